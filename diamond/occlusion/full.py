"""The logits of a picture without each window, the whole network run for each.

    >>> from diamond.occlusion.cover import Cover
    >>> from diamond.occlusion.windows import grid
    >>> cover = Cover.of(net.read("cat.jpg")[0], grid((224, 224), 64, 32), np.zeros(3))
    >>> for rows, logits in logits_without(net, cover, batch=32):
    ...     print(rows.shape, logits.shape)
    (32,) (32, 1000)
    (4,) (4, 1000)

Covered pictures are built where the network runs, from the numbers of the windows, in the one compiled function that
also runs it. A short last batch is filled up with copies of its first row, so that every batch has one shape and one
compilation; those rows are dropped.

Memory is bounded, whatever the stride: a batch has as many pictures as fit `MOST_BYTES` by `bytes_of_one`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.broken import what_broke
from diamond.attribution.feeding import Given, feeds_of, given_tensors, picture_input
from diamond.occlusion.cover import Cover, covered
from modelzoo import Network
from modelzoo.graph import Node

__all__ = ["MOST_BYTES", "batch_for", "bytes_of_one", "logits_without"]

# What the layers of a batch may hold at once; the network's weights and TensorFlow itself come on top.
MOST_BYTES = 400_000_000
MOST_PICTURES = 32


def logits_without(
    net: Network, cover: Cover, rows: np.ndarray | None = None, *, batch: int, given: Given | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the logits of each covered picture, a batch at a time.

    Parameters
    ----------
    net, cover
        The network, and the picture with its windows.
    rows
        Numbers of the windows, ``(n,)``; all where None.
    batch
        How many covered pictures at a time.
    given
        Values of the network's other inputs by address, ``(1, ...)``.

    Yields
    ------
    rows, logits
        Some of these numbers, ``(k,)``, and their logits, ``(k, class)`` float32, in order.

    Raises
    ------
    ValueError
        For logits that are NaN or infinite, naming the layer they come from.
    """
    entry = picture_input(net, given)
    others = given_tensors(given, 0, batch, batch)
    names = cover.parts([0])
    key = ("logits without", entry.address, str(cover.picture.shape), str(batch), *sorted(names))
    compute = net.compiled(key, lambda: _logits_without(net, entry))
    wanted = np.arange(len(cover)) if rows is None else rows
    for begin in range(0, len(wanted), batch):
        some = wanted[begin : begin + batch]
        n = len(some)
        logits = compute(cover.parts(np.concatenate([some, np.full(batch - n, some[0])])), others).numpy()
        if not np.isfinite(logits).all():
            pictures = cover.pictures(some)
            left = {name: value[:n] for name, value in others.items()}
            raise ValueError(what_broke(net, net.logits_node, entry, pictures, left, logits[:n]))
        yield some, logits[:n]


def batch_for(net: Network, size: tuple[int, int], most_bytes: int = MOST_BYTES) -> int:
    """Say how many pictures of a size fit into so many bytes, from 1 to 32."""
    return max(1, min(MOST_PICTURES, most_bytes // bytes_of_one(net, size)))


def bytes_of_one(net: Network, size: tuple[int, int]) -> int:
    """Say what one picture takes while a network runs: the most that its layers' outputs hold at once.

    An output is held until the last layer that reads it has run. Batches run as one compiled function, which keeps to
    that; twice the sum, since layers work on copies.

    Parameters
    ----------
    net
        The network.
    size
        Height and width of the picture in pixels.
    """
    spec = net.card.input
    share = 1.0 if not spec.height or not spec.width else size[0] * size[1] / (spec.height * spec.width)
    shapes = {layer.name: layer.output_shape for layer in net.layers}
    sizes: dict[int, float] = {}
    order = net.graph.ancestors([net.logits_node])
    last_use = {ref.node: node.index for node in order for ref in node.inputs}
    held = most = 0.0
    for node in order:
        shape = node.shape if None not in node.shape[1:] else shapes.get(node.address, ())
        known = [int(n) for n in shape[1:] if n is not None]
        if node.is_input:
            sizes[node.index] = math.prod(size) * spec.channels
        elif len(known) == len(shape) - 1 and known:
            open_size = None in node.shape[1:]
            sizes[node.index] = math.prod(known) * (share if open_size else 1.0)
        else:
            sizes[node.index] = max(sizes[ref.node] for ref in node.inputs)
        held += sizes[node.index]
        most = max(most, held)
        held -= sum(sizes[i] for i in {ref.node for ref in node.inputs} if last_use[i] == node.index)
    covering = 4 * math.prod(size) * 3
    return int(4 * (2 * most + covering))


def _logits_without(net: Network, entry: Node) -> Callable[..., Any]:
    def compute(parts: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
        [answer] = net.graph.evaluate(feeds_of(net, entry, covered(parts), given), [net.logits_node])
        return tf.reshape(tf.cast(answer, tf.float32), [tf.shape(answer)[0], -1])

    return compute
