"""In how many pictures a channel fires at all.

    >>> [fired] = firing(net, "photos/", [net.node("block9_add")])
    >>> fired.count, np.flatnonzero(fired.pictures == 0)
    (8, array([], dtype=int64))

One picture leaves many channels at zero, and none of them need be dead: a channel is called so only where it stayed at
zero in every place of many pictures, and the number of those belongs to the claim. The pictures are read once, a batch
at a time, and of a layer's values only two numbers a channel leave the graph, so memory is the same for any number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.broken import what_broke
from diamond.attribution.feeding import Given, feeds_of, picture_input
from diamond.attribution.streams import stream
from modelzoo import Network
from modelzoo.graph import Node

__all__ = ["Firing", "firing"]


@dataclass(frozen=True, eq=False)
class Firing:
    """How a layer's channels fire over many pictures.

    Attributes
    ----------
    pictures
        ``(channel,)`` in how many pictures the channel was anything but 0 at any place.
    peaks
        ``(channel,)`` the largest size of its values.
    count
        How many pictures there were.
    skipped
        Name and reason of each file that gave no picture.
    """

    pictures: np.ndarray
    peaks: np.ndarray
    count: int
    skipped: tuple[str, ...]


def firing(
    net: Network,
    images: Any,
    nodes: Sequence[Node],
    *,
    given: Given | None = None,
    batch: int = 16,
    progress: bool = True,
) -> tuple[Firing, ...]:
    """Count the pictures in which each channel of some layers fires.

    Parameters
    ----------
    net
        The network.
    images
        A folder, a list or any iterable of pictures, as `diamond.attribution.streams.stream` takes them.
    nodes
        The layers' nodes.
    given, batch, progress
        As of `diamond.exemplars`.

    Raises
    ------
    PictureError, FileNotFoundError
        Where nothing can be read.
    ValueError
        Where activations are NaN or infinite, naming the layer.
    """
    entry = picture_input(net, given)

    def build() -> Callable[..., Any]:
        def compute(pictures: Any, others: Mapping[str, Any]) -> Any:
            return [_told(values) for values in net.graph.evaluate(feeds_of(net, entry, pictures, others), nodes)]

        return compute

    compiled = net.compiled(("firing", entry.address, *(node.address for node in nodes)), build)
    pictures: list[np.ndarray] = []
    peaks: list[np.ndarray] = []
    count = 0
    reading = stream(net, images, given=given, batch=batch, progress=progress)
    for part in reading:
        n = len(part.pictures)
        rows = {name: np.broadcast_to(value, (n, *np.shape(value)[1:])) for name, value in part.given.items()}
        tensors = {name: tf.constant(value) for name, value in rows.items()}
        found = compiled(tf.constant(part.pictures), tensors)
        for i, (fired, peak) in enumerate(found):
            if not np.isfinite(peak.numpy()).all():
                raise ValueError(what_broke(net, nodes[i], entry, part.pictures, rows, _values(net, nodes[i], part)))
            if count == 0:
                pictures.append(fired.numpy().astype(np.int64))
                peaks.append(peak.numpy())
            else:
                pictures[i] += fired.numpy()
                peaks[i] = np.maximum(peaks[i], peak)
        count += n
    return tuple(Firing(p, peak, count, reading.skipped) for p, peak in zip(pictures, peaks, strict=True))


def _told(values: Any) -> tuple[Any, Any]:
    """Give of ``(batch, ..., channel)`` in how many rows each channel is not 0, and its largest size."""
    flat = tf.reshape(tf.cast(values, tf.float32), [tf.shape(values)[0], -1, values.shape[-1]])
    fired = tf.reduce_sum(tf.cast(tf.reduce_any(flat != 0.0, axis=1), tf.int64), axis=0)
    # A maximum may pass over NaN; a sum does not.
    broken = tf.reduce_any(~tf.math.is_finite(flat), axis=(0, 1))
    return fired, tf.where(broken, np.float32(np.nan), tf.reduce_max(tf.abs(flat), axis=(0, 1)))


def _values(net: Network, node: Node, part: Any) -> np.ndarray:
    entry = picture_input(net, part.given)
    [values] = net.graph.evaluate(feeds_of(net, entry, part.pictures, part.given), [node])
    return np.asarray(values)
