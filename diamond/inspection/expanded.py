"""Weights between layers that are not neighbours.

    >>> expanded(net, "block5_project_bn", "block4_add", channels=[3]).shape    # (filter, height, width, input channel)
    (1, 3, 3, 40)

A narrow layer speaks to the next narrow one through layers in between, and what those are made of says little. Taken as if
all of them were linear, they are one filter: every nonlinearity passes its input on, and the strongest of a pool is its
mean. Then how much each channel here adds to one there is a gradient, the same for every picture.

Voss et al., "Visualizing Weights" (Distill 2021), section "Expanded weights", where the nonlinearities are left out in the
same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from modelzoo import GraphError, Layer, Network
from modelzoo.attributes import describe
from modelzoo.graph import Node

__all__ = ["expanded"]

SIZE_WITHOUT_ONE = 224
# Filters at a time: each takes the maps of one picture.
AT_ONCE = 16
_LINEAR = {
    "input", "identity", "convolution", "transposed_convolution", "dense", "pooling", "global_pooling", "pad", "pad_all",
    "crop", "upsample", "normalise", "nonlinearity", "affine", "merge", "concatenate", "slice", "flatten", "reshape",
}  # fmt: skip


def expanded(
    net: Network, layer: str | Layer, reads: str | Layer, *, channels: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Compute the weights from an earlier layer's channels to a layer's, with all that lies between taken as linear.

    Parameters
    ----------
    net
        The network.
    layer, reads
        The layer, and the earlier one.
    channels
        Which of the layer's channels.

    Returns
    -------
    float32 array
        ``(channel, height, width, channel of reads)``: the window that the place in the middle of the layer sees, cut to
        what is not zero anywhere. A layer without places gives its whole view.

    Raises
    ------
    UnknownLayerError
        For a layer that is not there.
    GraphError
        Where no way leads from one to the other, and where something between them is not linear in a way that can be left
        out: a product of two maps, a layer nobody here knows.
    """
    node, source = net.node(layer), net.node(reads)
    _check(net, node, source)
    spec = net.input
    size = (spec.height or SIZE_WITHOUT_ONE, spec.width or SIZE_WITHOUT_ONE)
    black = tf.zeros((1, *size, spec.channels))
    [start] = net.forward(black, [source])
    parts = []
    for begin in range(0, len(channels), AT_ONCE):
        some = np.asarray(channels[begin : begin + AT_ONCE])
        parts.append(_gradient(net, node, source, black, start, some))
    return _cut(np.concatenate(parts))


def _gradient(net: Network, node: Node, source: Node, black: Any, start: Any, channels: np.ndarray) -> np.ndarray:
    n = len(channels)
    values = tf.zeros((n, *start.shape[1:]))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        [found] = net.forward(tf.repeat(black, n, axis=0), [node], replace=_linear, feeds={source.index: values})
        middle = found[(slice(None), *(extent // 2 for extent in found.shape[1:-1]))]
        asked = tf.reduce_sum(tf.gather(middle, tf.constant(channels), axis=1, batch_dims=1))
    slopes = tape.gradient(asked, values)
    if slopes is None:
        raise GraphError(f"no gradient reaches {source.address!r} from {node.address!r}")
    return np.asarray(slopes)


def _linear(node: Node) -> Callable[..., Any] | None:
    what = describe(node)
    if what["op"] == "nonlinearity":
        return lambda x: x
    if what["op"] == "pooling" and what["mode"] == "max":
        return lambda x: tf.nn.avg_pool(x, what["kernel"], what["stride"], what["padding"].upper())
    if what["op"] == "global_pooling" and what["mode"] == "max":
        return lambda x: tf.reduce_mean(x, list(range(1, x.shape.rank - 1)), keepdims=what["keepdims"])
    return None


def _check(net: Network, node: Node, source: Node) -> None:
    inside = net.graph.ancestors([node], stop=[source.index])
    if source.index == node.index or source.index not in {each.index for each in inside}:
        hint = "; it lies after it" if node.index in {n.index for n in net.graph.ancestors([source])} else ""
        raise GraphError(f"no way leads from {source.address!r} to {node.address!r}{hint}; expected an earlier layer")
    behind = {source.index}
    for each in inside:
        touched = [ref.node for ref in each.inputs if ref.node in behind]
        if each.index == source.index or not touched:
            continue
        behind.add(each.index)
        what = describe(each)
        products = what["op"] == "merge" and what["how"] not in ("add", "subtract", "average") and len(each.inputs) > 1
        normed = what["op"] == "normalise" and what["by"] != "BatchNormalization"
        if products or normed or what["op"] not in _LINEAR:
            raise GraphError(
                f"between {source.address!r} and {node.address!r} lies {each.address!r} ({each.kind}), which cannot be "
                "taken as linear; ask for a layer after it, or leave reads out for the layer's own weights"
            )


def _cut(values: np.ndarray) -> np.ndarray:
    """Cut ``(n, *places, channel)`` to the places where anything is not zero."""
    for axis in range(1, values.ndim - 1):
        others = tuple(i for i in range(values.ndim) if i != axis)
        there = np.flatnonzero(np.abs(values).max(axis=others) > 0)
        if len(there):
            values = np.take(values, np.arange(there[0], there[-1] + 1), axis=axis)
    return values
