"""The filters of any layer, in one form.

    >>> found = read_kernels(net, "stem_conv")
    >>> found.values.shape                          # (filter, height, width, input channel)
    (32, 3, 3, 3)
    >>> found.inputs[0]                             # which channels of what it reads the first filter sees
    array([0, 1, 2])

Keras keeps a convolution's kernel with its filters last, a depthwise one's with two axes that are both filters, a
transposed one's with the filters last but one, a dense layer's without space although the map it was flattened from has
some. Here they are all *read* as ``(filter, *places, input channel)``, so that whoever draws, compares or counts filters
need not know which they are. The same *arranging* serves for anything of the kernel's shape, such as its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from diamond.features.folding import is_at_rest, scale_of
from modelzoo import GraphError, Layer, Network
from modelzoo.attributes import describe
from modelzoo.graph import Node

__all__ = ["Kernels", "channel_source", "filter_node", "has_filters", "next_norm", "read_kernels"]

_PLAIN = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_FILTERING = (*_PLAIN, *_TRANSPOSED, *_DEPTHWISE, *_SEPARABLE, keras.layers.Dense)
# Through these a channel stays the channel it is.
_KEEPS_CHANNELS = {
    "identity", "pad", "crop", "pooling", "global_pooling", "nonlinearity", "normalise", "affine", "upsample", "flatten",
    "reshape",
}  # fmt: skip
_MIX_CHANNELS = {"softmax", "log_softmax"}


@dataclass(frozen=True, eq=False)
class Kernels:
    """The filters of a layer.

    Attributes
    ----------
    node
        The node that computes with them.
    source
        The node whose channels they read: what the layer reads, or the map that was flattened for it.
    kind
        What they are, in a word: ``"convolution"``, ``"depthwise convolution"`` ...
    values
        ``(filter, *places, input channel)``; no places for a dense layer on vectors.
    inputs
        ``(filter, input channel)`` numbers of the channels that each filter reads.
    variable
        The Keras variable they are made of; None where there are two.
    """

    node: Node
    source: Node
    kind: str
    values: np.ndarray = field(repr=False)
    inputs: np.ndarray = field(repr=False)
    variable: Any = field(repr=False)
    _arranged: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    @property
    def places(self) -> tuple[int, ...]:
        """Size of a filter: height and width, for sounds frequency and time."""
        return tuple(self.values.shape[1:-1])

    def arranged(self, values: np.ndarray) -> np.ndarray:
        """Give values of the variable's own shape as ``(filter, *places, input channel)``."""
        return self._arranged(values)


def read_kernels(net: Network, layer: str | Layer) -> Kernels:
    """Read the filters of a layer.

    Parameters
    ----------
    net
        The network.
    layer
        A layer or its address: a convolution of one, two or three dimensions, plain, grouped, depthwise, separable or
        transposed, or a dense layer.

    Returns
    -------
    Kernels
        Of a separable convolution the products of its two kernels, which is what it computes with. Of a dense layer on
        a flattened map the places are those of the map. Of a sound network that takes time first, turned to frequency
        and time.

    Raises
    ------
    UnknownLayerError
        For a layer that is not there, naming the nearest.
    GraphError
        For a layer without filters, naming the nearest before it that has some.
    ValueError
        For weights that are NaN or infinite.
    """
    node = filter_node(net, layer)
    operation: Any = node.operation
    kind, kernel, arrange = _arranging(net, node)
    if not np.isfinite(kernel).all():
        bad = int((~np.isfinite(kernel)).sum())
        raise ValueError(f"{bad:,} of {kernel.size:,} weights of {node.address!r} are NaN or infinite")
    turned = _turned(net, arrange) if kind != "dense layer" else arrange
    values = turned(kernel)
    variable = None if isinstance(operation, _SEPARABLE) else operation.kernel
    return Kernels(node, _source(net, node), kind, values, _inputs(operation, values), variable, turned)


def filter_node(net: Network, layer: str | Layer) -> Node:
    """Find the node that computes with a layer's filters: of a layer with an activation of its own the part before it.

    Raises
    ------
    UnknownLayerError, GraphError
        As `read_kernels` does.
    """
    node = net.node(layer)
    if not isinstance(node.operation, _FILTERING):
        raise GraphError(_without_filters(net, node))
    return net.graph.nodes[node.inputs[0].node] if node.part == "activation" else node


def has_filters(node: Node) -> bool:
    """Whether a node computes with filters."""
    return node.part != "activation" and isinstance(node.operation, _FILTERING)


def next_norm(net: Network, node: Node) -> tuple[Node, np.ndarray] | None:
    """Find the batch norm that alone reads a node; give it, and what it multiplies each channel by."""
    readers = [other for other in net.graph if any(ref.node == node.index for ref in other.inputs)]
    if len(readers) != 1 or not is_at_rest(readers[0]):
        return None
    return readers[0], np.asarray(scale_of(readers[0].operation))


def channel_source(net: Network, source: Node) -> list[Node]:
    """Give a node, and those before it of which each of its channels is made alone.

    Where ``pool(relu(norm(conv)))`` is read, channels of ``conv`` are: one of ``pool`` is one of ``conv``, and looks for
    the same. The nearest comes first.
    """
    found = [source]
    while len(found[-1].inputs) == 1:
        at = found[-1]
        before = net.graph.nodes[at.inputs[0].node]
        op = describe(at)["op"]
        if op not in _KEEPS_CHANNELS or before.shape[-1] != at.shape[-1] or at.nonlinearity in _MIX_CHANNELS:
            break
        found.append(before)
    return found


def _arranging(net: Network, node: Node) -> tuple[str, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    layer: Any = node.operation
    if isinstance(layer, _SEPARABLE):
        return "separable convolution", _joined(layer), lambda kernel: np.moveaxis(kernel, -1, 0)
    kernel = np.asarray(layer.kernel, np.float32)
    if isinstance(layer, _DEPTHWISE):
        together = (*kernel.shape[:-2], kernel.shape[-2] * kernel.shape[-1])
        return "depthwise convolution", kernel, lambda k: np.moveaxis(k.reshape(together), -1, 0)[..., None]
    if isinstance(layer, _TRANSPOSED):
        return "transposed convolution", kernel, lambda k: np.moveaxis(k, -2, 0)
    if isinstance(layer, keras.layers.Dense):
        source = _source(net, node)
        if source.index != node.inputs[0].node:
            places = tuple(int(extent or 0) for extent in source.shape[1:])
            return "dense layer on a map", kernel, lambda k: k.T.reshape(k.shape[1], *places)
        return "dense layer", kernel, lambda k: k.T
    grouped = "grouped " if layer.groups > 1 else ""
    return f"{grouped}convolution", kernel, lambda k: np.moveaxis(k, -1, 0)


def _source(net: Network, node: Node) -> Node:
    before = net.graph.nodes[node.inputs[0].node]
    flattened = net.graph.nodes[before.inputs[0].node] if before.inputs else before
    is_map = isinstance(node.operation, keras.layers.Dense) and _is_flattened_map(flattened, before)
    return flattened if is_map else before


def _is_flattened_map(before: Node, after: Node) -> bool:
    return (
        describe(after)["op"] == "flatten"
        and len(before.shape) == 4
        and None not in before.shape[1:]
        and max(int(extent or 0) for extent in before.shape[1:3]) > 1
    )


def _joined(layer: Any) -> np.ndarray:
    """Multiply the two kernels of a separable convolution: ``(*places, input, filter)``."""
    by_channel, across = np.asarray(layer.depthwise_kernel, np.float32), np.asarray(layer.pointwise_kernel, np.float32)
    across = across.reshape(*by_channel.shape[-2:], -1)
    joined: np.ndarray = np.einsum("...cm,cmo->...co", by_channel, across)
    return joined


def _turned(net: Network, arrange: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    audio = net.input.audio
    if audio is None or not audio.time_first:
        return arrange

    def turned(kernel: np.ndarray) -> np.ndarray:
        values = arrange(kernel)
        return np.swapaxes(values, 1, 2) if values.ndim == 4 else values

    return turned


def _inputs(layer: Any, values: np.ndarray) -> np.ndarray:
    n, read = values.shape[0], values.shape[-1]
    if isinstance(layer, _DEPTHWISE):
        return np.arange(n)[:, None] // int(layer.depth_multiplier)
    groups = int(layer.groups) if isinstance(layer, _PLAIN) else 1
    first = np.arange(n) // (n // groups) * read
    return first[:, None] + np.arange(read)


def _without_filters(net: Network, node: Node) -> str:
    own = [variable.name for variable in node.weights]
    has = f"has weights ({', '.join(own[:4])}) but no filters" if own else "has no filters"
    before = [n for n in net.graph.ancestors([node]) if isinstance(n.operation, _FILTERING)]
    if not before:
        after = [n for n in net.graph if isinstance(n.operation, _FILTERING)]
        hint = f"the first with filters is {_shown(after[0])!r}" if after else f"no layer of {net.name} has any"
    else:
        hint = f"the nearest before it with filters is {_shown(before[-1])!r}"
    return f"{node.address!r} ({node.kind}) {has}; {hint}"


def _shown(node: Node) -> str:
    return node.address.removesuffix(":linear")
