"""Did it really matter? What a network answers without a channel, a place or a group of channels.

    >>> found = ablate(net, ["cat.jpg", "dog.jpg"], "block9_add", top=20)
    >>> found.to_dataframe().head(2)
      channel  estimate  truth
           71      0.61   0.48
           25      0.44   0.40
    >>> found.trust                     # rank correlation of the two columns
    0.93

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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from diamond.attribution.ablated import Ablation
from diamond.attribution.feeding import Given
from diamond.attribution.tail import Gradient, gradients, logits_from, rows_of
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
) -> Ablation:
    """Remove channels, cells or groups one at a time and see what the class score loses.

    Parameters
    ----------
    net
        The network.
    images
        One or many pictures: path, URL, array ``(height, width, 3)`` or ``(batch, height, width, 3)`` in [0, 1], or a
        list of those; sounds for a sound network.
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
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more")
    if fill not in ("zero", "mean"):
        raise ValueError(f"fill is {fill!r}; expected 'zero' or 'mean'")
    asked = [
        name for name, value in (("channels", channels), ("cells", cells), ("groups", groups)) if value is not None
    ]
    if len(asked) > 1:
        raise ValueError(f"{' and '.join(asked)} were given; expected one of them a call")
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    pictures, names = net.read_named(images)
    whole = Gradient.joined(list(gradients(net, pictures, place, positive=positive, negative=negative, given=given)))
    plus, minus = whole.classes_in_words(net)
    removal: _Removal
    if groups is not None:
        removal = _Groups.of(groups, whole, place, len(pictures), fill)
    elif cells is not None:
        removal = _Cells.of(cells, whole, place, fill, top)
    else:
        removal = _Channels.of(channels, whole, place, fill, top)
    estimates, truths = _both(net, pictures, place, whole, removal, given)
    means = estimates.mean(axis=0)
    named = cells not in (None, "top") or channels is not None or groups is not None
    order = np.arange(len(means)) if named else np.argsort(-means, kind="stable")
    return Ablation(
        network=net.name,
        layer=place.name,
        images=names,
        kind=removal.kind,
        units=removal.units[order],
        estimates=means[order],
        truths=truths.mean(axis=0)[order],
        per_image_estimates=estimates[:, order],
        per_image_truths=truths[:, order],
        fill=fill,
        positive=plus,
        negative=minus,
        logits=whole.scores,
        pictures=pictures,
        sprites=find(net.fingerprint(place), store=store) if removal.kind == "channel" else None,
    )


def _both(
    net: Network, pictures: np.ndarray, layer: Layer, whole: Gradient, removal: _Removal, given: Given | None
) -> tuple[np.ndarray, np.ndarray]:
    """Give estimates and truths, each ``(image, unit)``."""
    n = len(removal.units)
    estimates, truths = np.zeros((len(pictures), n), np.float32), np.zeros((len(pictures), n), np.float32)
    pairs = [(i, unit) for i in range(len(pictures)) for unit in range(n)]
    scores = whole.scores
    for begin in range(0, len(pairs), HELD):
        rows, units = np.array(pairs[begin : begin + HELD]).T
        removed = np.stack([removal.part(i, unit) for i, unit in zip(rows, units, strict=True)])
        estimates[rows, units] = (whole.gradients[rows] * removed).reshape(len(rows), -1).sum(axis=1)
        left = logits_from(net, pictures[rows], layer, whole.activations[rows] - removed, rows_of(given, rows))
        truths[rows, units] = scores[rows] - whole.score_of(left, rows)
    return estimates, truths


@dataclass(frozen=True, eq=False)
class _Channels:
    units: np.ndarray
    removed: np.ndarray = field(repr=False)
    kind: str = "channel"

    @classmethod
    def of(cls, asked: Sequence[int] | None, whole: Gradient, layer: Layer, fill: str, top: int) -> _Channels:
        removed = whole.activations - _mean(whole.activations, fill)
        if asked is None:
            estimates = (whole.gradients * removed).reshape(len(removed), -1, removed.shape[-1]).sum(axis=1)
            return cls(_largest(estimates, top), removed)
        units = np.array([operator.index(channel) for channel in asked], np.int64)
        if not len(units):
            raise ValueError(f"no channels were given; {layer.name!r} has {layer.channels}, from 0")
        for unit in units:
            if not 0 <= unit < removed.shape[-1]:
                raise ValueError(f"no channel {unit} in {layer.name!r}; it has 0 to {removed.shape[-1] - 1}")
        return cls(units, removed)

    def part(self, image: int, unit: int) -> np.ndarray:
        removed = np.zeros_like(self.removed[image])
        removed[..., self.units[unit]] = self.removed[image][..., self.units[unit]]
        return removed


@dataclass(frozen=True, eq=False)
class _Cells:
    units: np.ndarray
    removed: np.ndarray = field(repr=False)
    kind: str = "cell"

    @classmethod
    def of(cls, asked: Any, whole: Gradient, layer: Layer, fill: str, top: int) -> _Cells:
        removed = whole.activations - _mean(whole.activations, fill)
        if removed.ndim != 4:
            raise GraphError(f"{layer.name!r} has the shape {layer.output_shape}: no height and width to have cells")
        rows, columns = removed.shape[1:3]
        if isinstance(asked, str):
            if asked != "top":
                raise ValueError(f"cells is {asked!r}; expected (row, column) pairs or 'top'")
            best = _largest((whole.gradients * removed).sum(axis=-1).reshape(len(removed), -1), top)
            return cls(np.stack(np.unravel_index(best, (rows, columns)), axis=1), removed)
        units = np.array([(operator.index(row), operator.index(column)) for row, column in asked], np.int64)
        if not len(units):
            raise ValueError(f"no cells were given; {layer.name!r} has {rows} rows and {columns} columns, from 0")
        for row, column in units:
            if not (0 <= row < rows and 0 <= column < columns):
                raise ValueError(
                    f"no cell ({row}, {column}) in {layer.name!r}; rows run from 0 to {rows - 1}, "
                    f"columns from 0 to {columns - 1}"
                )
        return cls(units, removed)

    def part(self, image: int, unit: int) -> np.ndarray:
        removed = np.zeros_like(self.removed[image])
        row, column = self.units[unit]
        removed[row, column] = self.removed[image][row, column]
        return removed


@dataclass(frozen=True, eq=False)
class _Groups:
    units: np.ndarray
    maps: np.ndarray = field(repr=False)
    factors: np.ndarray = field(repr=False)
    kind: str = "group"

    @classmethod
    def of(cls, found: Groups, whole: Gradient, layer: Layer, n: int, fill: str) -> _Groups:
        if found.layer != layer.name or len(found.maps) != n or found.maps.shape[1:3] != whole.activations.shape[1:3]:
            raise ValueError(
                f"the groups are of {len(found.maps)} pictures at {found.layer!r}; expected {n} at {layer.name!r}: "
                "make them with the same pictures and layer"
            )
        maps = found.maps - (found.maps.mean(axis=(0, 1, 2)) if fill == "mean" else 0.0)
        return cls(np.arange(len(found.factors)), maps, found.factors)

    def part(self, image: int, unit: int) -> np.ndarray:
        removed: np.ndarray = self.maps[image, :, :, unit, None] * self.factors[unit]
        return removed


_Removal = _Channels | _Cells | _Groups


def _mean(activations: np.ndarray, fill: str) -> np.ndarray | float:
    mean: np.ndarray = activations.mean(axis=tuple(range(activations.ndim - 1)))
    return mean if fill == "mean" else 0.0


def _largest(estimates: np.ndarray, top: int) -> np.ndarray:
    """Units that matter most, either way, in the mean over the pictures: of ``(image, unit)``."""
    return np.argsort(-np.abs(estimates).mean(axis=0), kind="stable")[:top]
