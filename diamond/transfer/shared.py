"""Layers that two networks share, and how much each channel of them has changed from one to the other.

    >>> pairs = shared_layers(net, student)                     # by address, or by name inside a nested model
    >>> [one.layer for one in changes(net, student, net.read(["cat.jpg", "coffee.jpg"]), pairs) if not one.same]
    []

A network that was fine-tuned has the layers of the one it was made from; some were frozen, the others have moved. Frozen
ones are known by their fingerprints, without a look at the data. Of the others both networks *respond* to the same
pictures, and a channel has changed as much as its responses differ, in units of how much they vary at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diamond.attribution.streams import stream
from modelzoo import Layer, Network
from modelzoo.graph import no_such

__all__ = ["LayerChange", "changes", "changes_of", "same_layer", "shared_layers", "shares_base"]

BATCH = 16
# Kernels that were trained further still point where they did; two that were trained apart are at right angles.
ALIKE = 0.5


@dataclass(frozen=True, eq=False)
class LayerChange:
    """One layer of two networks.

    Attributes
    ----------
    layer, other
        Its address in the first and in the second.
    same
        Whether it computes the same in both, by fingerprint: it was frozen, and so was all before it.
    channels
        ``(channel,)`` how much each has changed, from 0 to 2: the mean absolute difference of its responses to the same
        pictures, divided by the standard deviation of both networks' responses together. Two channels that have nothing
        to do with each other come to about 1.1; 0 where `same`.
    by_place
        Whether responses were compared place by place; False where the two grids differ, and means were.
    """

    layer: str
    other: str
    same: bool
    channels: np.ndarray = field(repr=False)
    by_place: bool = True

    @property
    def median(self) -> float:
        """How much the channel in the middle has changed."""
        return float(np.median(self.channels))

    def most(self, top: int = 8) -> np.ndarray:
        """Numbers of the channels that changed most, the most changed first."""
        order: np.ndarray = np.argsort(-self.channels, kind="stable")[:top]
        return order


def shared_layers(first: Network, second: Network) -> list[tuple[Layer, Layer]]:
    """Pair the layers that stand in both networks, in the order of the first.

    A layer is another's where their addresses are one, or one's is the end of the other's (``block4_add`` and
    ``backbone/block4_add``) and no third has it; and they have as many channels.
    """
    ends: dict[str, list[Layer]] = {}
    for layer in second.layers:
        ends.setdefault(_flat(layer.name), []).append(layer)
    exact = dict(ends)
    for layer in second.layers:
        for end in _ends(layer.name):
            ends.setdefault(end, []).append(layer)
    pairs = []
    for layer in first.layers:
        found = exact.get(_flat(layer.name)) or next(
            (ends[end] for end in (_flat(layer.name), *_ends(layer.name)) if end in ends), []
        )
        if len(found) == 1 and found[0].channels == layer.channels and _rank(found[0]) == _rank(layer):
            pairs.append((layer, found[0]))
    # A name that ends many addresses would else be paired with many.
    taken = [other.name for _, other in pairs]
    return [(layer, other) for layer, other in pairs if taken.count(other.name) == 1]


def same_layer(first: Network, second: Network, layer: str | Layer) -> tuple[Layer, Layer]:
    """Find a layer, named as in the first network, in both.

    Raises
    ------
    UnknownLayerError
        Where the first has no such layer.
    ValueError
        Where the second has none, naming the nearest that stand in both.
    """
    place = first.layers[layer.name if isinstance(layer, Layer) else layer]
    pairs = shared_layers(first, second)
    for one, other in pairs:
        if one.name == place.name:
            return one, other
    both = [one.name for one, _ in pairs]
    if not both:
        raise ValueError(f"{first.name} and {second.name} share no layer of one name and as many channels")
    near = no_such("layer", place.name, both).partition("; ")[2].partition("net.layers")[0]
    raise ValueError(
        f"{place.name!r} of {first.name} does not stand in {second.name}, or with other channels; "
        f"{near or f'in both are such as {both[-1]!r}; '}they share {len(both)} layers"
    )


def shares_base(first: Network, second: Network, pairs: Sequence[tuple[Layer, Layer]]) -> bool:
    """Whether one network was made from the other, or both from a third: their shared layers' kernels are alike.

    Parameters
    ----------
    pairs
        Their shared layers.
    """
    likeness = []
    for one, other in pairs:
        kernels = [_kernel(net, layer) for net, layer in ((first, one), (second, other))]
        if kernels[0] is None or kernels[1] is None or kernels[0].shape != kernels[1].shape:
            continue
        a, b = (np.asarray(kernel, np.float64).ravel() for kernel in kernels)
        length = float(np.linalg.norm(a) * np.linalg.norm(b))
        likeness.append(float(a @ b) / length if length else 0.0)
    return bool(likeness) and float(np.median(likeness)) > ALIKE


def changes(
    first: Network,
    second: Network,
    sources: Sequence[Any],
    pairs: Sequence[tuple[Layer, Layer]],
    *,
    batch: int = BATCH,
    progress: bool = True,
) -> tuple[LayerChange, ...]:
    """Measure how much each channel of shared layers has changed, in one pass over pictures or sounds.

    Parameters
    ----------
    first, second
        The networks.
    sources
        Pictures or sounds, as `dc.load` networks read them.
    pairs
        The layers, as `shared_layers` gives them.
    batch
        How many at a time.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        For responses that are NaN or infinite, naming network and layer.
    """
    same = {one.name: first.fingerprint(one) == second.fingerprint(other) for one, other in pairs}
    moved = [(one, other) for one, other in pairs if not same[one.name]]
    found: dict[str, LayerChange] = {}
    if moved:
        sums: dict[str, _Sums] = {one.name: _Sums() for one, _ in moved}
        for ours, theirs in _responses(first, second, list(sources), moved, batch, progress):
            for (one, other), a, b in zip(moved, ours, theirs, strict=True):
                for net, layer, values in ((first, one, a), (second, other, b)):
                    if not np.isfinite(values).all():
                        raise ValueError(f"{layer.name!r} of {net.name} gives NaN or infinity")
                sums[one.name].add(a, b)
        found = {
            one.name: LayerChange(one.name, other.name, False, sums[one.name].changes(), sums[one.name].by_place)
            for one, other in moved
        }
    return tuple(
        found.get(one.name) or LayerChange(one.name, other.name, True, np.zeros(one.channels)) for one, other in pairs
    )


def changes_of(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Give how much each channel has changed, of responses ``(..., channel)`` of two networks: see `LayerChange`."""
    sums = _Sums()
    sums.add(before, after)
    return sums.changes()


class _Sums:
    """What the change of a layer's channels is computed from, picture after picture."""

    def __init__(self) -> None:
        self.n, self.by_place = 0, True
        self.apart: Any = 0.0
        self.total: Any = 0.0
        self.squares: Any = 0.0
        self.centre: Any = None

    def add(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Take in responses ``(batch, ..., channel)`` of both."""
        if ours.shape != theirs.shape:
            self.by_place = False
            ours, theirs = (values.mean(axis=tuple(range(1, values.ndim - 1))) for values in (ours, theirs))
        a, b = (np.reshape(values, (-1, values.shape[-1])).astype(np.float64) for values in (ours, theirs))
        if self.centre is None:
            # Sums about a value near the mean lose no digits.
            self.centre = (a.mean(axis=0) + b.mean(axis=0)) / 2
        self.n += len(a)
        self.apart = self.apart + np.abs(a - b).sum(axis=0)
        for values in (a - self.centre, b - self.centre):
            self.total = self.total + values.sum(axis=0)
            self.squares = self.squares + (values * values).sum(axis=0)

    def changes(self) -> np.ndarray:
        mean = self.total / (2 * self.n)
        spread = np.sqrt(np.maximum(self.squares / (2 * self.n) - mean**2, 0))
        # A channel that is one constant in both, such as a dead one, has not changed.
        moved: np.ndarray = np.divide(self.apart / self.n, spread, out=np.zeros_like(spread), where=spread > 0)
        return moved


def _responses(
    first: Network,
    second: Network,
    sources: list[Any],
    pairs: Sequence[tuple[Layer, Layer]],
    batch: int,
    progress: bool,
) -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    runs = []
    for net, layers in ((first, [one for one, _ in pairs]), (second, [other for _, other in pairs])):
        nodes = [net.node(layer) for layer in layers]
        runs.append(net.compiled(("changes", *(node.address for node in nodes)), _forward(net, nodes)))
    alike = first.input == second.input
    readings = [iter(stream(net, sources, batch=batch, progress=False, tell=False)) for net in (first, second)]
    with tqdm(total=len(sources), unit="sample", desc="before and after", disable=not progress) as bar:
        for one in readings[0]:
            other = one if alike else next(readings[1])
            given = []
            for part, run in zip((one, other), runs, strict=True):
                n = len(part.pictures)
                shown = np.concatenate([part.pictures, np.repeat(part.pictures[-1:], batch - n, axis=0)])
                given.append([np.asarray(values)[:n] for values in run(tf.constant(shown))])
            yield given[0], given[1]
            bar.update(len(one.pictures))


def _forward(net: Network, nodes: Sequence[Any]) -> Any:
    return lambda: lambda shown: net.forward(shown, nodes)


def _flat(address: str) -> str:
    # A clone of a nested layer carries its address in its name, with dots.
    return address.replace("/", ".")


def _ends(address: str) -> list[str]:
    """Give what an address ends with, the longest first: ``a/b/c`` ends with ``b.c`` and ``c``."""
    parts = _flat(address).split(".")
    return [".".join(parts[i:]) for i in range(1, len(parts))]


def _rank(layer: Layer) -> int:
    return len(layer.output_shape)


def _kernel(net: Network, layer: Layer) -> np.ndarray | None:
    node = net.node(layer)
    # An activation that Keras keeps inside a layer stands behind the part with the weights.
    weights = node.weights or (net.graph.nodes[node.inputs[0].node].weights if node.part == "activation" else ())
    return next((np.asarray(weight) for weight in weights if len(weight.shape) > 1), None)
