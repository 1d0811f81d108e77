"""What a network's layers do over many pictures, in numbers that need no second look.

    >>> found = vitals(net, "photos/", [net.node("stem_relu")])
    >>> (found.layers[0].zeros / found.layers[0].places).shape          # share of zeros, channel by channel
    (32,)
    >>> found.count
    8

The pictures are read once, a batch at a time, and nothing of them is held: of each layer sums are *taken in*, as many
for ten pictures as for a million. How channels go together is *sampled* at places in a grid, since a layer's neighbouring
places say nearly the same. Means and spreads are merged batch by batch, which stays exact where adding up squares would
not.

Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979), equation 2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.broken import what_broke
from diamond.attribution.feeding import Given, feeds_of, picture_input
from diamond.attribution.streams import stream
from modelzoo import Network
from modelzoo.graph import Node

__all__ = ["LayerVitals", "Vitals", "caps_of", "vitals"]

# Along each axis of a layer so many places are sampled of each picture.
SIDE = 8
# What is kept of how channels go together, of all layers; of the largest nothing, where it would be more.
MOST_BYTES = 400_000_000
# Of wider layers the rank alone would take longer than the pictures.
MOST_CHANNELS = 2048
# A sigmoid reaches its ends nowhere: within a hundredth of its range it has next to no gradient.
NEAR = 0.01
_ENDS = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@dataclass(eq=False)
class LayerVitals:
    """Sums over all pictures and places of a layer.

    Attributes
    ----------
    node
        The layer.
    caps
        Where its nonlinearity ends, below and above; None where it does not.
    places
        How many values each channel had.
    zeros
        ``(channel,)`` how many of them were exactly 0.
    capped
        How many values of all channels lay at a cap.
    low, high
        ``(channel,)`` the least and the largest value.
    mean, squares
        ``(channel,)`` mean, and sum of the squared distances from it.
    samples
        How many places were sampled.
    sample_mean, scatter
        ``(channel,)`` and ``(channel, channel)`` the same of these, with all products; None for the largest layers.
    """

    node: Node
    caps: tuple[float | None, float | None]
    places: int = 0
    zeros: np.ndarray = field(default_factory=lambda: np.zeros(0))
    capped: float = 0.0
    low: np.ndarray = field(default_factory=lambda: np.zeros(0))
    high: np.ndarray = field(default_factory=lambda: np.zeros(0))
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(0))
    samples: int = 0
    sample_mean: np.ndarray | None = None
    scatter: np.ndarray | None = None

    @property
    def spread(self) -> np.ndarray:
        """``(channel,)`` standard deviations."""
        return np.sqrt(self.squares / max(self.places, 1))

    def add(self, part: Mapping[str, np.ndarray]) -> None:
        """Take in the sums of a batch."""
        n = int(part["places"])
        zeros, low, high = (np.asarray(part[name], np.float64) for name in ("zeros", "low", "high"))
        if not self.places:
            self.zeros, self.low, self.high = np.zeros_like(zeros), low, high
            self.mean, self.squares = np.zeros_like(zeros), np.zeros_like(zeros)
        self.zeros += zeros
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.capped += float(part["capped"])
        difference = part["mean"] - self.mean
        together = self.places + n
        self.mean = self.mean + difference * (n / together)
        self.squares = self.squares + part["squares"] + difference**2 * (self.places * n / together)
        self.places = together
        if "scatter" in part:
            self._sample(part)

    def _sample(self, part: Mapping[str, np.ndarray]) -> None:
        n, mean = int(part["samples"]), np.asarray(part["sample_mean"], np.float64)
        if self.scatter is None or self.sample_mean is None:
            self.scatter, self.sample_mean = np.zeros((len(mean), len(mean))), np.zeros_like(mean)
        difference = mean - self.sample_mean
        together = self.samples + n
        self.scatter += part["scatter"]
        self.scatter += np.outer(difference, difference * (self.samples * n / together))
        self.sample_mean += difference * (n / together)
        self.samples = together


@dataclass(frozen=True, eq=False)
class Vitals:
    """The sums of all layers.

    Attributes
    ----------
    layers
        In the order they were asked for.
    count
        How many pictures were looked at; of sounds, patches.
    skipped
        Name and reason of each file that gave none.
    """

    layers: tuple[LayerVitals, ...]
    count: int
    skipped: tuple[str, ...]


def vitals(
    net: Network,
    images: Any,
    nodes: Sequence[Node],
    *,
    given: Given | None = None,
    batch: int = 16,
    progress: bool = True,
) -> Vitals:
    """Run pictures through a network once, and take in what its layers do.

    Parameters
    ----------
    net, images, given, batch, progress
        As in `diamond.attribution.streams.stream`, which says what is raised.
    nodes
        Layers with channels last.

    Raises
    ------
    ValueError
        For activations that are NaN or infinite, naming the first layer that gives such.
    """
    entry = picture_input(net, given)
    related = _related(nodes)
    key = ("vitals", entry.address, *(f"{node.address}{node.index in related}" for node in nodes))
    compute = net.compiled(key, lambda: _measuring(net, entry, nodes, related))
    found = [LayerVitals(node, caps_of(node)) for node in nodes]
    reading = stream(net, images, given=given, batch=batch, progress=progress)
    count = 0
    for one in reading:
        n = len(one.pictures)
        # A short last batch is filled up: another length would be compiled anew.
        filled = np.concatenate([one.pictures, np.repeat(one.pictures[-1:], batch - n, axis=0)])
        rows = {name: tf.constant(_filled(value, n, batch)) for name, value in one.given.items()}
        parts = compute(tf.constant(filled), rows, tf.constant(n))
        for each, part in zip(found, parts, strict=True):
            numbers = {name: value.numpy() for name, value in part.items()}
            if not np.isfinite(numbers["squares"]).all():
                alone = {name: value[:n] for name, value in rows.items()}
                pictures = tf.constant(one.pictures)
                [values] = net.graph.evaluate(feeds_of(net, entry, pictures, alone), [each.node])
                raise ValueError(what_broke(net, each.node, entry, pictures, alone, np.asarray(values)))
            each.add(numbers)
        count += n
    return Vitals(tuple(found), count, reading.skipped)


def caps_of(node: Node) -> tuple[float | None, float | None]:
    """Give where a nonlinearity ends, below and above; None where it does not. The zero of a ReLU is its rest, no cap."""
    name = node.nonlinearity
    if name == "relu6":
        return None, 6.0
    if name in _ENDS:
        return _ENDS[name]
    most = getattr(node.operation, "max_value", None)
    return None, float(most) if name in ("capped_relu", "leaky_relu") and most is not None else None


def _related(nodes: Sequence[Node]) -> set[int]:
    """Choose the layers whose channels are compared, the smallest first, as far as memory goes."""
    found, used = set(), 0
    for node in sorted(nodes, key=lambda node: int(node.shape[-1] or 0)):
        used += 8 * int(node.shape[-1] or 0) ** 2
        if used > MOST_BYTES or int(node.shape[-1] or 0) > MOST_CHANNELS:
            break
        found.add(node.index)
    return found


def _filled(value: np.ndarray, n: int, batch: int) -> np.ndarray:
    whole = np.repeat(value, n, axis=0) if len(value) == 1 else value
    return np.concatenate([whole, np.repeat(whole[-1:], batch - n, axis=0)])


def _measuring(net: Network, entry: Node, nodes: Sequence[Node], related: set[int]) -> Callable[..., Any]:
    def compute(pictures: Any, given: Mapping[str, Any], n: Any) -> list[dict[str, Any]]:
        found = net.graph.evaluate(feeds_of(net, entry, pictures, given), list(nodes))
        return [
            _measured(tf.cast(values[:n], tf.float32), caps_of(node), node.index in related)
            for node, values in zip(nodes, found, strict=True)
        ]

    return compute


def _measured(values: Any, caps: tuple[float | None, float | None], compared: bool) -> dict[str, Any]:
    channels = values.shape[-1]
    flat = tf.reshape(values, [-1, channels])
    mean = tf.reduce_mean(flat, axis=0)
    measured = {
        "places": tf.shape(flat)[0],
        "zeros": tf.reduce_sum(tf.cast(flat == 0.0, tf.float32), axis=0),
        "capped": _capped(flat, caps),
        "low": tf.reduce_min(flat, axis=0),
        "high": tf.reduce_max(flat, axis=0),
        "mean": mean,
        "squares": tf.reduce_sum(tf.square(flat - mean), axis=0),
    }
    if compared:
        # In float64: the roots of rounding errors, one a channel, would add up to a rank of their own.
        rows = tf.cast(tf.reshape(_thinned(values), [-1, channels]), tf.float64)
        middle = tf.reduce_mean(rows, axis=0)
        measured |= {
            "samples": tf.shape(rows)[0],
            "sample_mean": middle,
            "scatter": tf.matmul(rows - middle, rows - middle, transpose_a=True),
        }
    return measured


def _capped(flat: Any, caps: tuple[float | None, float | None]) -> Any:
    low, high = caps
    near = NEAR * (high - low) if low is not None and high is not None else 0.0
    at = tf.zeros_like(flat, tf.bool)
    if low is not None:
        at |= flat <= low + near
    if high is not None:
        at |= flat >= high - near
    return tf.reduce_sum(tf.cast(at, tf.float32))


def _thinned(values: Any) -> Any:
    """Take places in a grid, `SIDE` along each axis at most, from the middle of each stretch."""
    for axis in range(1, values.shape.rank - 1):
        extent = tf.shape(values)[axis]
        side = tf.minimum(extent, SIDE)
        places = ((2 * tf.range(side) + 1) * extent) // (2 * side)
        values = tf.gather(values, places, axis=axis)
    return values
