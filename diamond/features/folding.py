"""Batch norms folded into the convolutions before them.

A batch norm of a network that is not in training is a product and a sum for each channel. Done by themselves they pass
over the largest maps of the network three times, forward and backward; done to the kernel, once and for the whole
batch, they cost nothing::

        fold = folded(net.graph, [node])
        [values] = net.forward(pictures, [node], replace=fold)

What it gives differs in the last bits of float32 alone. The network itself is not touched: folded kernels are computed
from its weights where `folded` is called, so that a network in training can be followed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from modelzoo.graph import Graph, Node

__all__ = ["fold", "foldable", "folded", "is_at_rest", "scale_of"]

# Their subclasses may compute something else.
_CONVOLUTIONS = {keras.layers.Conv2D: keras.ops.conv, keras.layers.DepthwiseConv2D: keras.ops.depthwise_conv}


def folded(graph: Graph, wanted: Sequence[Node]) -> Callable[[Node], Callable[..., Any] | None]:
    """Fold every batch norm that alone reads a convolution, on the way to the wanted nodes.

    Parameters
    ----------
    graph
        The network.
    wanted
        What will be computed; a convolution that is wanted itself is left as it is.

    Returns
    -------
    function
        The `replace` of `Graph.evaluate`: what runs in a node's place, or None.
    """
    others: dict[int, Callable[..., Any]] = {}
    for node, norm in foldable(graph.ancestors(wanted), wanted):
        others[node.index] = _convolution(node.operation, norm.operation)
        others[norm.index] = _nothing
    return lambda node: others.get(node.index)


def foldable(order: Sequence[Node], wanted: Sequence[Node]) -> list[tuple[Node, Node]]:
    """Give each convolution that a batch norm alone reads, and that norm.

    Parameters
    ----------
    order
        Nodes on the way to the wanted ones.
    wanted
        What will be computed; a convolution that is wanted itself is left out.
    """
    readers: dict[int, list[Node]] = {}
    for node in order:
        for ref in node.inputs:
            readers.setdefault(ref.node, []).append(node)
    kept = {node.index for node in wanted}
    found = []
    for node in order:
        after = readers.get(node.index, [])
        if node.index not in kept and len(after) == 1 and _is_plain(node) and is_at_rest(after[0]):
            found.append((node, after[0]))
    return found


def fold(layer: Any, norm: Any) -> tuple[Any, Any]:
    """Give the kernel and the bias of a convolution that does the work of its batch norm too, as tensors."""
    scale = scale_of(norm)
    shift = -norm.moving_mean * scale
    if norm.beta is not None:
        shift += norm.beta
    if layer.use_bias:
        shift += layer.bias * scale
    kernel = tf.convert_to_tensor(layer.kernel)
    # The kernel of a depthwise convolution ends in (channels, multiplier), any other in its output channels.
    by_channel = tf.reshape(scale, kernel.shape[2:]) if isinstance(layer, keras.layers.DepthwiseConv2D) else scale
    return kernel * by_channel, shift


def scale_of(norm: Any) -> Any:
    """Give what a batch norm at rest multiplies each channel by, ``(channel,)``, as a tensor."""
    scale = tf.math.rsqrt(tf.convert_to_tensor(norm.moving_variance) + norm.epsilon)
    return scale if norm.gamma is None else scale * norm.gamma


def is_at_rest(node: Node) -> bool:
    """Whether a node is a batch norm over the last axis that uses the mean and variance it remembers."""
    layer: Any = node.operation
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, len(node.shape) - 1)
        and layer.compute_dtype == "float32"
        # Called with training=True it takes mean and variance from the batch.
        and not any(argument is True for argument in node.arguments)
    )


def _is_plain(node: Node) -> bool:
    layer: Any = node.operation
    return (
        type(layer) in _CONVOLUTIONS
        and node.part == "whole"
        and node.nonlinearity in (None, "linear")
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
    )


def _convolution(layer: Any, norm: Any) -> Callable[[Any], Any]:
    kernel, shift = fold(layer, norm)
    convolve = _CONVOLUTIONS[type(layer)]

    def run(x: Any) -> Any:
        done = convolve(
            x, kernel, strides=layer.strides, padding=layer.padding, data_format=None, dilation_rate=layer.dilation_rate
        )
        return tf.nn.bias_add(done, shift)

    return run


def _nothing(x: Any) -> Any:
    return x
