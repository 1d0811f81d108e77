"""What of a layer is asked about: some of its channels, or directions among them.

    >>> units = read_units(net.layers["block9_add"], [33, 71], None)
    >>> units.of(net.activations("cat.jpg", "block9_add")).shape                           # of (batch, height, width, 112)
    (1, 14, 14, 2)

Channels are one basis of what a layer says, and not a special one. A *unit* here is either: a channel by its number, or a
direction, a vector over all channels made one long, so that the direction of a single channel gives that channel's
values.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from modelzoo import Layer, Network

__all__ = ["Units", "read_place", "read_units"]


@dataclass(frozen=True, eq=False)
class Units:
    """Which channels are asked about, or which directions.

    Attributes
    ----------
    numbers
        ``(unit,)`` channel numbers; of directions 0, 1, ...
    directions
        ``(unit, channel)`` vectors of length 1; None for channels.
    labels
        A word for each.
    """

    numbers: np.ndarray
    directions: np.ndarray | None
    labels: tuple[str, ...]

    def of(self, grid: np.ndarray) -> np.ndarray:
        """Give the units' values ``(..., unit)`` of activations ``(..., channel)``."""
        return grid[..., self.numbers] if self.directions is None else grid @ self.directions.T

    @property
    def asked(self) -> dict[str, Any]:
        """Say what is asked in plain values, to tell one question from another."""
        if self.directions is None:
            return {"channels": self.numbers.tolist()}
        return {"directions": hashlib.sha256(self.directions.tobytes()).hexdigest()[:16], "labels": list(self.labels)}


def read_place(net: Network, layer: str | Layer) -> Layer:
    """Find a layer; of one before its own activation, the row of the layer under the name that was asked."""
    name = layer.name if isinstance(layer, Layer) else layer
    if isinstance(name, str) and name.endswith(":linear") and name not in net.layers:
        node = net.node(name)
        return replace(net.layers[name.removesuffix(":linear")], name=node.address)
    return net.layers[name]


def read_units(place: Layer, channels: Iterable[int] | int | None, directions: Any) -> Units:
    """Read what is asked of a layer.

    Parameters
    ----------
    place
        The layer.
    channels
        Channel numbers; all where None.
    directions
        In their place vectors ``(channel,)`` or ``(direction, channel)``, or a mapping of them by name.

    Raises
    ------
    IndexError, TypeError
        For a channel that is not there, and what is no whole number.
    ValueError
        Where no channel is asked about, for both at once, and for directions of another length, of zeros or not finite.
    """
    if directions is None:
        numbers = _channels(place, channels)
        return Units(numbers, None, tuple(f"channel {number}" for number in numbers))
    if channels is not None:
        raise ValueError("channels and directions are both given; expected one of them")
    names = None
    if isinstance(directions, Mapping):
        names, directions = tuple(map(str, directions)), list(directions.values())
    try:
        vectors = np.atleast_2d(np.asarray(directions, np.float32))
    except (TypeError, ValueError) as error:
        raise ValueError(f"directions are no vectors of one length ({error})") from error
    if vectors.ndim != 2 or vectors.shape[1] != place.channels or not len(vectors):
        raise ValueError(
            f"directions of the shape {np.shape(directions)}; {place.name!r} has {place.channels} channels: expected "
            f"({place.channels},) or (direction, {place.channels})"
        )
    labels = names or tuple(f"direction {number}" for number in range(len(vectors)))
    lengths = np.linalg.norm(vectors, axis=1)
    for label, length in zip(labels, lengths.tolist(), strict=True):
        if not np.isfinite(length) or length == 0:
            what = "all zeros" if length == 0 else "NaN or infinite"
            raise ValueError(f"{label!r} is {what}: it points nowhere; expected a vector with a length")
    return Units(np.arange(len(vectors)), vectors / lengths[:, None], labels)


def _channels(place: Layer, channels: Iterable[int] | int | None) -> np.ndarray:
    if channels is None:
        return np.arange(place.channels)
    numbers = [channels] if isinstance(channels, int | np.integer) else list(channels)
    if not numbers:
        raise ValueError(f"no channel of {place.name!r} is asked about; leave channels out to ask about all")
    wanted = np.array([operator.index(number) for number in numbers])
    bad = [number for number in numbers if not 0 <= number < place.channels]
    if bad:
        raise IndexError(f"channel {bad[0]} is out of range: {place.name!r} has channels 0 to {place.channels - 1}")
    return wanted
