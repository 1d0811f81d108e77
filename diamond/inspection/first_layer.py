"""What the channels that a first layer reads are made of: red, green and blue of the picture.

    >>> colours_read(net, net.graph.nodes[0])           # (colour of the picture, channel the layer reads)
    array([[1.9921875, 0.       , 0.       ],
           [0.       , 1.9921875, 0.       ],
           [0.       , 0.       , 1.9921875]], dtype=float32)

A network may take blue before green before red, each on a scale of its own, and may change them once more in layers of
its own. Its first filters drawn as they lie in memory would then have the wrong colours, or too much of one. All of that
is pointwise and linear, so it is *asked* of the network itself: what reaches the layer for black, and for one full colour
after the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from modelzoo import Network
from modelzoo.attributes import describe
from modelzoo.graph import Node

__all__ = ["colours_read"]

SIZE_WITHOUT_ONE = 64
_POINTWISE = {
    "input",
    "identity",
    "affine",
    "pad",
    "pad_all",
    "crop",
    "slice",
    "concatenate",
    "merge",
    "pooling",
    "upsample",
}
_LINEAR_MERGES = {"add", "subtract", "multiply", "divide"}


def colours_read(net: Network, source: Node) -> np.ndarray | None:
    """Give how the channels of a node are made of the picture's own.

    Parameters
    ----------
    net
        The network.
    source
        What a layer with filters reads.

    Returns
    -------
    float32 array or None
        ``(colour of the picture, channel)``: what one unit of red, green and blue, in [0, 1], adds to each channel; of a
        network with one channel, or of sound, a single row. None for what is made of more than colours.
    """
    before = net.graph.ancestors([source])
    entries = [node for node in before if node.is_input]
    if len(entries) != 1 or not all(_is_pointwise(node) for node in before):
        return None
    [entry], spec = entries, net.input
    if len(entry.shape) != 4 or entry.shape[-1] not in (None, spec.channels) or (source.shape[-1] or 0) > 4:
        return None
    known = entry.shape[1:3] if None not in entry.shape[1:3] else spec.shape[:2]
    high, wide = (int(extent or SIZE_WITHOUT_ONE) for extent in known)
    if spec.audio is not None and spec.audio.time_first:
        high, wide = wide, high
    n = spec.channels
    pictures = np.zeros((n + 1, high, wide, n), np.float32)
    for colour in range(n):
        pictures[colour + 1, ..., colour] = 1.0
    [values] = net.graph.evaluate({entry.index: net.preprocess(tf.constant(pictures))}, [source])
    # The middle: padding is no picture.
    middle = np.asarray(values)[:, values.shape[1] // 2, values.shape[2] // 2]
    return np.asarray(middle[1:] - middle[:1], np.float32)


def _is_pointwise(node: Node) -> bool:
    what: dict[str, Any] = describe(node)
    if what["op"] == "merge":
        return what["how"] in _LINEAR_MERGES and len(node.inputs) == 1
    if what["op"] == "pooling":
        return what["mode"] == "average"
    return what["op"] in _POINTWISE
