"""Did it really matter? What a network answers without a channel, a place or a group of channels.

    found = ablate(net, ["cat.jpg", "dog.jpg"], "block9_add", top=20)
    found.to_dataframe().head(2)
    found.trust                     # rank correlation of the two columns

An attribution is an estimate: what a layer's values would do to the class score if the rest of the network were linear.
It is not, so a channel can be praised for what another would have done without it. Here each unit is *removed* (set to
zero, or to its mean over pictures and places), the rest of the network is *run on*, and what the score lost stands
beside the estimate. Where everything after the layer is linear the two are equal.

Both columns have the sign of an attribution: positive where the unit speaks for the class, as the score falls without it.
A channel set to zero is a thing the network has not seen in training either; the mean is the milder question.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), for removal as the measure; Ancona
et al., "Towards better understanding of gradient-based attribution methods" (ICLR 2018), for its comparison with them.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from diamond.attribution.ablated import Ablation
from diamond.attribution.feeding import Given, rows_of
from diamond.attribution.passes import Passes
from diamond.attribution.streams import Batch
from diamond.attribution.tail import Gradient, logits_from, over_space
from diamond.attribution.targets import Target
from modelzoo import GraphError, Layer, Network
from spritemaps import Store, find

if TYPE_CHECKING:
    from diamond.attribution.groups import Groups

__all__ = ["Ablation", "ablate"]

# Removed parts are held in memory a few at a time; each is as large as the layer's activations.
HELD = 64


def ablate(
    net: Network,
    images: Any,
    layer: str | Layer,
    *,
    channels: Sequence[int] | None = None,
    cells: Sequence[tuple[int, int]] | Literal["top"] | None = None,
    groups: Groups | None = None,
    fill: Literal["zero", "mean"] = "zero",
    positive: Target = "top1",
    negative: Target | None = None,
    top: int = 20,
    given: Given | None = None,
    store: Store | str | Path | None = None,
    progress: bool = True,
) -> Ablation:
    """Remove channels, cells or groups one at a time and see what the class score loses.

    Parameters
    ----------
    net
        The network.
    images
        One or many pictures: path, URL, array ``(height, width, 3)`` or ``(batch, height, width, 3)`` in [0, 1], a
        folder, a list of those, or any iterable of them; read a batch at a time, a file that gives no picture skipped,
        told and counted. Sounds for a sound network.
    layer
        A layer or its address.
    channels, cells, groups
        What to remove, one kind a call: channel numbers; ``(row, column)`` on the layer's grid, or ``"top"`` for those
        with the largest estimates; or the groups found by `diamond.attribution.groups.groups` for these pictures and
        this layer. Where none is given, the channels with the largest estimates.
    fill
        What stands in its place: ``"zero"``, or ``"mean"``, the mean over all pictures and places of the channel (of
        the group's strength).
    positive, negative
        The class asked about, and the class it is held against. A ranked one, ``"top1"``, is each picture's answer
        with nothing removed, and stays.
    top
        How many units where none are named.
    given
        Values of the network's other inputs by address, ``(n, ...)`` or ``(1, ...)``, where it has several.
    store
        Where to look first for the layer's spritemap.
    progress
        Whether to show a progress bar, from 64 pictures on.

    Returns
    -------
    Ablation

    Raises
    ------
    UnknownLayerError, ClassError, PictureError
        For a layer or class the network does not have, or a picture that cannot be read, naming the nearest.
    GraphError
        For cells of a layer that has no height and width, and where the layer is not on the way to the class.
    ValueError
        For channels or cells that the layer does not have, groups of other pictures or another layer, more than one
        kind, another `fill`, no pictures, and a `top` less than 1.

    Examples
    --------
    >>> found = dc.ablate(net, "cat.jpg", "block9_add", top=8, progress=False)
    >>> found.to_dataframe().head(2).round(2)
       channel  estimate  truth
    0       48      0.45   0.42
    1       96      0.35   0.31
    >>> round(found.trust, 1)
    0.8
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more")
    if fill not in ("zero", "mean"):
        raise ValueError(f"fill is {fill!r}; expected 'zero' or 'mean'")
    kinds = [name for name, of in (("channels", channels), ("cells", cells), ("groups", groups)) if of is not None]
    if len(kinds) > 1:
        raise ValueError(f"{' and '.join(kinds)} were given; expected one of them a call")
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    asked = Passes(net, images, place, positive=positive, negative=negative, given=given, progress=progress)
    removal: _Removal
    if groups is not None:
        removal = _Groups.of(groups, place, fill)
    elif cells is not None:
        removal = _Cells.of(cells, asked, place, fill, top)
    else:
        removal = _Channels.of(channels, asked, place, fill, top)
    both = [_estimates_and_truths(net, place, batch, part, removal, at) for batch, part, at in _counted(asked)]
    if groups is not None and len(groups.maps) != len(asked.names):
        raise ValueError(_other_pictures(groups, len(asked.names), place))
    estimates, truths = (np.concatenate(each) for each in zip(*both, strict=True))
    means = estimates.mean(axis=0)
    named = cells not in (None, "top") or channels is not None or groups is not None
    order = np.arange(len(means)) if named else np.argsort(-means, kind="stable")
    return Ablation(
        **asked.told,
        kind=removal.kind,
        units=removal.units[order],
        estimates=means[order],
        truths=truths.mean(axis=0)[order],
        per_image_estimates=estimates[:, order],
        per_image_truths=truths[:, order],
        fill=fill,
        sprites=find(net.fingerprint(place), store=store) if removal.kind == "channel" else None,
    )


def _counted(asked: Passes) -> Iterator[tuple[Batch, Gradient, int]]:
    """Give each batch, and how many pictures came before it."""
    at = 0
    for batch, part in asked:
        yield batch, part, at
        at += len(batch.names)


def _estimates_and_truths(
    net: Network, layer: Layer, batch: Batch, part: Gradient, removal: _Removal, at: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give estimates and truths of a batch, each ``(image, unit)``."""
    shape = len(batch.pictures), len(removal.units)
    estimates, truths = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    pairs = np.stack(np.unravel_index(np.arange(shape[0] * shape[1]), shape))
    for begin in range(0, pairs.shape[1], HELD):
        rows, units = pairs[:, begin : begin + HELD]
        removed = np.stack(
            [removal.part(part.activations[i], at + i, unit) for i, unit in zip(rows, units, strict=True)]
        )
        estimates[rows, units] = (part.gradients[rows] * removed).reshape(len(rows), -1).sum(axis=1)
        changed = part.activations[rows] - removed
        left = logits_from(net, batch.pictures[rows], layer, changed, rows_of(batch.given, rows))
        truths[rows, units] = part.scores[rows] - part.score_of(left, rows)
    return estimates, truths


@dataclass(frozen=True, eq=False)
class _Channels:
    units: np.ndarray
    mean: np.ndarray
    kind: str = "channel"

    @classmethod
    def of(cls, named: Sequence[int] | None, asked: Passes, layer: Layer, fill: str, top: int) -> _Channels:
        if named is None:
            mean = _mean(asked, layer, fill)
            owed = [over_space((part.activations - mean) * part.gradients) for _, part in asked]
            return cls(_largest(owed, top), mean)
        units = np.array([operator.index(channel) for channel in named], np.int64)
        if not len(units):
            raise ValueError(f"no channels were given; {layer.name!r} has {layer.channels}, from 0")
        for unit in units:
            if not 0 <= unit < layer.channels:
                raise ValueError(f"no channel {unit} in {layer.name!r}; it has 0 to {layer.channels - 1}")
        return cls(units, _mean(asked, layer, fill))

    def part(self, activations: np.ndarray, image: int, unit: int) -> np.ndarray:
        removed = np.zeros_like(activations)
        channel = self.units[unit]
        removed[..., channel] = activations[..., channel] - self.mean[channel]
        return removed


@dataclass(frozen=True, eq=False)
class _Cells:
    units: np.ndarray
    mean: np.ndarray
    kind: str = "cell"

    @classmethod
    def of(cls, named: Any, asked: Passes, layer: Layer, fill: str, top: int) -> _Cells:
        if not layer.is_spatial:
            raise GraphError(f"{layer.name!r} has the shape {layer.output_shape}: no height and width to have cells")
        mean = _mean(asked, layer, fill)
        rows, columns = next(iter(asked))[1].activations.shape[1:3]
        if isinstance(named, str):
            if named != "top":
                raise ValueError(f"cells is {named!r}; expected (row, column) pairs or 'top'")
            owed = [((part.activations - mean) * part.gradients).sum(axis=-1) for _, part in asked]
            best = _largest([each.reshape(len(each), -1) for each in owed], top)
            return cls(np.stack(np.unravel_index(best, (rows, columns)), axis=1), mean)
        units = np.array([(operator.index(row), operator.index(column)) for row, column in named], np.int64)
        if not len(units):
            raise ValueError(f"no cells were given; {layer.name!r} has {rows} rows and {columns} columns, from 0")
        for row, column in units:
            if not (0 <= row < rows and 0 <= column < columns):
                raise ValueError(
                    f"no cell ({row}, {column}) in {layer.name!r}; rows run from 0 to {rows - 1}, "
                    f"columns from 0 to {columns - 1}"
                )
        return cls(units, mean)

    def part(self, activations: np.ndarray, image: int, unit: int) -> np.ndarray:
        removed = np.zeros_like(activations)
        row, column = self.units[unit]
        removed[row, column] = activations[row, column] - self.mean
        return removed


@dataclass(frozen=True, eq=False)
class _Groups:
    units: np.ndarray
    maps: np.ndarray = field(repr=False)
    factors: np.ndarray = field(repr=False)
    found: Groups
    layer: Layer
    kind: str = "group"

    @classmethod
    def of(cls, found: Groups, layer: Layer, fill: str) -> _Groups:
        if found.layer != layer.name:
            raise ValueError(_other_pictures(found, len(found.maps), layer))
        maps = found.maps - (found.maps.mean(axis=(0, 1, 2)) if fill == "mean" else 0.0)
        return cls(np.arange(len(found.factors)), maps, found.factors, found, layer)

    def part(self, activations: np.ndarray, image: int, unit: int) -> np.ndarray:
        if image >= len(self.maps) or self.maps.shape[1:3] != activations.shape[:2]:
            raise ValueError(_other_pictures(self.found, image + 1, self.layer))
        removed: np.ndarray = self.maps[image, :, :, unit, None] * self.factors[unit]
        return removed


_Removal = _Channels | _Cells | _Groups


def _other_pictures(found: Groups, n: int, layer: Layer) -> str:
    return (
        f"the groups are of {len(found.maps)} pictures at {found.layer!r}; expected {n} at {layer.name!r}: "
        "make them with the same pictures and layer"
    )


def _mean(asked: Passes, layer: Layer, fill: str) -> np.ndarray:
    """Give what stands in a channel's place, ``(channel,)``: zeros, or its mean over all pictures and places."""
    if fill == "zero":
        return np.zeros(layer.channels, np.float32)
    parts = [part.activations.reshape(len(part.activations), -1, layer.channels).mean(axis=1) for _, part in asked]
    mean: np.ndarray = np.concatenate(parts).mean(axis=0)
    return mean


def _largest(estimates: Sequence[np.ndarray], top: int) -> np.ndarray:
    """Units that matter most, either way, in the mean over the pictures: of batches ``(image, unit)``."""
    return np.argsort(-np.abs(np.concatenate(estimates)).mean(axis=0), kind="stable")[:top]
