"""Groups of channels that fire together, over all pictures at once.

    found = groups(net, ["cat.jpg", "dog.jpg"], "block9_add", k=6)
    found.maps.shape, found.factors.shape
    found.effects                                  # logits, the mean over the pictures

A hundred channels at two hundred places are more than anyone reads. Non-negative factorisation writes the activations
as ``A = S x C``: how strong each of k groups is at each place (its *map* S), and how much of each channel it is made of
(its *factor* C). All pictures are *factorised* together, so group 2 is the same thing in each of them. Where the rest of
the network is linear in what the groups explain, the *effect* of a group is what the class score owes it.

Activations below zero, which a layer without a ReLU has, cannot take part: they are clipped, and the share lost is told.

Olah et al., "The Building Blocks of Interpretability" (Distill 2018), section "Making things human-scale"; Lee and
Seung, "Learning the parts of objects by non-negative matrix factorization" (Nature 401, 1999).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diamond.attribution.feeding import Given
from diamond.attribution.grouped import Groups
from diamond.attribution.passes import Passes
from diamond.attribution.tail import over_space
from diamond.attribution.targets import Target
from modelzoo import GraphError, Layer, Network
from spritemaps import Store, find

__all__ = ["Factors", "Groups", "factorise", "groups"]

# Factors are found on so many places, drawn by the seed; the maps are then of all of them.
MOST_PLACES = 20_000
MOST_STEPS = 600
SMALL = 1e-12


@dataclass(frozen=True, eq=False)
class Factors:
    """Activations written as a product.

    Attributes
    ----------
    maps
        ``(image, rows, columns, k)``: how strong each group is at each place; in units of the activation.
    factors
        ``(k, channel)``: of what channels each group is made, each row of length 1.
    explained, clipped
        Shares from 0 to 1: how much of the squares of the activations above zero the product explains, and how much of
        the sum of all sizes lay below zero.
    """

    maps: np.ndarray
    factors: np.ndarray
    explained: float
    clipped: float

    def shares(self) -> np.ndarray:
        """Share of each group in each value, ``(image, rows, columns, channel, k)``; 0 where no group is."""
        parts = self.maps[..., None, :] * self.factors.T
        whole = parts.sum(axis=-1, keepdims=True)
        return np.divide(parts, whole, out=np.zeros_like(parts), where=whole > SMALL)


def groups(
    net: Network,
    images: Any,
    layer: str | Layer,
    k: int = 6,
    *,
    positive: Target = "top1",
    negative: Target | None = None,
    seed: int = 0,
    sprites: bool = False,
    recipe: Any = None,
    given: Given | None = None,
    store: Store | str | Path | None = None,
    progress: bool = True,
) -> Groups:
    """Find groups of channels that fire together, their places and their effect on a class.

    Parameters
    ----------
    net
        The network.
    images
        One or many pictures: path, URL, array ``(height, width, 3)`` or ``(batch, height, width, 3)`` in [0, 1], a
        folder, a list of those, or any iterable of them; read a batch at a time, a file that gives no picture skipped,
        told and counted. The maps of all are kept.
    layer
        A layer with height and width, or its address.
    k
        How many groups.
    positive, negative
        The class asked about, and the class it is held against, as in `diamond.attribution.channels`.
    seed
        The same seed gives the same groups.
    sprites
        Render a picture for each group, which takes as long as rendering k sprites. Where False, a group is shown by
        the sprites of its top channels, where a store has them.
    recipe
        How to render, as `dc.render` takes it.
    given
        Values of the network's other inputs by address, ``(n, ...)`` or ``(1, ...)``, where it has several.
    store
        Where to look first for the layer's spritemap.
    progress
        Whether to show a progress bar, from 64 pictures on.

    Returns
    -------
    Groups
        The group with the largest effect first.

    Raises
    ------
    UnknownLayerError, ClassError, PictureError
        For a layer or class the network does not have, or a picture that cannot be read, naming the nearest.
    GraphError
        For a layer that has no height and width, or is not on the way to the class.
    ValueError
        For a `k` below 1 or above the number of channels or places, and activations that are nowhere above zero.

    Examples
    --------
    >>> found = dc.groups(net, ["cat.jpg", "coffee.jpg"], "block9_add", k=4, progress=False)
    >>> found.maps.shape, found.factors.shape
    ((2, 14, 14, 4), (4, 112))
    >>> print(found.summary)
    They explain 50 % of the activations that lie above zero (of their squares) and carry -0.26 of the layer's
     -1.02 logits. 46 % of the activations lie below zero, where no group can be.
    """
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    if not place.is_spatial:
        raise GraphError(f"{place.name!r} has the shape {place.output_shape}: no height and width to have groups in")
    asked = Passes(net, images, place, positive=positive, negative=negative, given=given, progress=progress)
    some = _Sample(seed)
    for _, part in asked:
        some.add(_finite(part.activations, place.name))
    factoriser = _Factoriser(some.cells, k, place.name, seed)
    maps, effects, totals = [], [], []
    for _, part in asked:
        maps.append(factoriser.maps(part.activations))
        # Sum over places of map x (factor . gradient): what the score owes the group's part of the activations.
        effects.append(over_space(maps[-1] * (part.gradients @ factoriser.factors.T)))
        totals.append(over_space(part.activations * part.gradients).sum(axis=1))
    per_image = np.concatenate(effects)
    order = np.argsort(-per_image.mean(axis=0), kind="stable")
    factors = factoriser.factors[order]
    return Groups(
        **asked.told,
        maps=np.concatenate(maps)[..., order],
        factors=factors,
        effects=per_image.mean(axis=0)[order],
        per_image=per_image[:, order],
        totals=np.concatenate(totals),
        explained=factoriser.explained,
        clipped=factoriser.clipped,
        sprites=find(net.fingerprint(place), store=store),
        rendered=_rendered(net, place, factors, recipe, seed) if sprites else None,
    )


def factorise(activations: np.ndarray, k: int, *, layer: str = "the layer", seed: int = 0) -> Factors:
    """Write activations as a product of k maps and factors, none of them negative.

    Parameters
    ----------
    activations
        ``(image, rows, columns, channel)``.
    k
        How many groups.
    layer
        What to call the layer in an error.
    seed
        Of the start, and of the places looked at where there are more than `MOST_PLACES`.

    Raises
    ------
    ValueError
        For a `k` below 1 or above the number of channels or places, activations that are nowhere above zero, and ones
        that are not finite.
    """
    some = _Sample(seed)
    some.add(_finite(activations, layer))
    factoriser = _Factoriser(some.cells, k, layer, seed)
    maps = factoriser.maps(activations)
    return Factors(maps, factoriser.factors, factoriser.explained, factoriser.clipped)


class _Sample:
    """Places drawn evenly from all that come by: all of them, in their order, as long as they are few."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._lots = np.zeros(0)
        self.cells = np.zeros((0, 0), np.float32)

    def add(self, activations: np.ndarray) -> None:
        new = np.maximum(activations, 0).reshape(-1, activations.shape[-1])
        self.cells = np.concatenate([self.cells, new]) if len(self.cells) else new
        self._lots = np.concatenate([self._lots, self._rng.random(len(new))])
        if len(self.cells) > MOST_PLACES:
            drawn = np.sort(np.argpartition(self._lots, MOST_PLACES)[:MOST_PLACES])
            self.cells, self._lots = self.cells[drawn], self._lots[drawn]


class _Factoriser:
    """Factors found at some places; maps of any activations follow from them, and what these maps miss is counted."""

    def __init__(self, cells: np.ndarray, k: int, layer: str, seed: int) -> None:
        from sklearn.decomposition import NMF

        most = min(cells.shape)
        if not 1 <= k <= most:
            raise ValueError(
                f"k is {k}; {layer!r} has {cells.shape[1]} channels at {len(cells)} places, so there are 1 to {most} "
                "groups"
            )
        if not cells.any():
            raise ValueError(f"no channel of {layer!r} is above zero in these pictures: there is nothing to group")
        # Scaled to the size of 1: the solver's tolerances are meant for that.
        self._scale = float(cells.mean())
        self._model = NMF(n_components=k, init="nndsvda", random_state=seed, max_iter=MOST_STEPS, tol=1e-4)
        with warnings.catch_warnings():
            # More steps change the third digit of a factor; what the product explains is told in any case.
            warnings.simplefilter("ignore")
            self._model.fit(cells / self._scale)
        lengths = np.linalg.norm(self._model.components_, axis=1)
        self._lengths = np.where(lengths > SMALL, lengths, 1.0)
        self.factors = (self._model.components_ / self._lengths[:, None]).astype(np.float32)
        self._missed = self._squares = self._below = self._sizes = 0.0

    def maps(self, activations: np.ndarray) -> np.ndarray:
        """Give ``(image, rows, columns, k)`` for ``(image, rows, columns, channel)``."""
        *shape, channels = activations.shape
        cells = np.maximum(activations, 0).reshape(-1, channels)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            strengths = self._model.transform(cells / self._scale) * self._lengths * self._scale
        self._missed += float(((cells - strengths @ self.factors) ** 2).sum())
        self._squares += float((cells.astype(np.float64) ** 2).sum())
        self._below -= float(np.minimum(activations, 0).sum())
        self._sizes += float(np.abs(activations).sum())
        found: np.ndarray = strengths.reshape(*shape, -1).astype(np.float32)
        return found

    @property
    def explained(self) -> float:
        """How much of the squares of the activations above zero the maps so far explain, from 0 to 1."""
        return 1.0 - self._missed / self._squares

    @property
    def clipped(self) -> float:
        """How much of the activations so far lay below zero, from 0 to 1."""
        return self._below / self._sizes


def _finite(activations: np.ndarray, layer: str) -> np.ndarray:
    if not np.isfinite(activations).all():
        raise ValueError(
            f"the activations of {layer!r} are not finite; the pictures or the weights hold NaN or infinity"
        )
    return activations


def _rendered(net: Network, layer: Layer, factors: np.ndarray, recipe: Any, seed: int) -> np.ndarray:
    from diamond.features.objectives import group
    from diamond.features.render import render

    return render(net, [group(layer, factor) for factor in factors], recipe=recipe, seed=seed).images
