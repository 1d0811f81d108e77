"""The maps of a layer in an order in which what is alike stands side by side.

    >>> maps = dc.activation_maps(net, photo, "block6_expand_relu")
    >>> found = order_maps(maps)
    >>> found.ordered.shape, round(found.gain, 1)
    ((14, 14, 480), 0.4)

Stacked in the order of their numbers, the maps of a layer are noise along the third axis: channel 17 has nothing to do
with channel 18. Put in order they become a *volume* with shapes in it (see `diamond.volume`), and groups of channels
that answer to the same parts of the picture can be seen. The methods ask different things:

* ``"leaves"`` and ``"spectral"`` compare whole maps by their correlation, so a weak map may stand beside a strong one.
  The first makes neighbours alike; the second lays out the one line along which all differ, end to end.
* ``"pca"`` takes whole maps as vectors and orders them along their first component: by how much they have of the one
  pattern in which they differ most. Strong maps lie at the end.
* ``"pca_rows"`` does so for each row of the maps by itself: channels ``(row, width)`` as vectors, and an order for each
  row, turned as the row above it.
* ``"kmeans"`` groups the channels by their values on one row, a *slice* of the stack.

How good an order is can be counted: by how much neighbours differ, beside any two channels taken at random.
"""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np

from diamond.inspection.mapped import ActivationMaps
from diamond.inspection.ordered import METHODS, OrderedMaps
from diamond.inspection.seriation import along_first_component, by_clusters, by_leaves, by_similarity, first_component

__all__ = ["order_maps", "stacked"]

CLUSTERS = 8
# An optimal order of leaves takes some seconds for a thousand, and the cube of that for more.
MOST_LEAVES = 2500

Edges = tuple[np.ndarray | None, np.ndarray | None]


def order_maps(
    maps: ActivationMaps | np.ndarray,
    *,
    method: str = "leaves",
    layer: str | None = None,
    row: int | None = None,
    clusters: int = CLUSTERS,
    seed: int = 0,
) -> OrderedMaps:
    """Order a layer's maps so that what is alike stands side by side.

    Parameters
    ----------
    maps
        ``(height, width, channel)``, or what `diamond.activation_maps` gives.
    method
        ``"leaves"``, ``"spectral"``, ``"pca"``, ``"pca_rows"`` or ``"kmeans"``; see `diamond.inspection.order`.
    layer
        Which layer, where `maps` holds several.
    row
        The slice that k-means looks at; by default the row on which the channels differ most.
    clusters
        How many clusters k-means looks for.
    seed
        Of k-means.

    Returns
    -------
    OrderedMaps

    Raises
    ------
    ValueError
        For another method, naming the nearest; for maps of another shape, of no channels, of NaN or infinite values;
        for fewer than one cluster; for ``"leaves"`` of more than 2,500 channels.
    IndexError
        For a row that the maps do not have.
    KeyError
        For a layer that is not among them.

    Examples
    --------
    >>> maps = dc.activation_maps(net, "cat.jpg", "block4_add")
    >>> found = dc.order_maps(maps)
    >>> found.ordered.shape, found.gain > 0
    ((28, 28, 40), True)
    """
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, n=1, cutoff=0.0)
        raise ValueError(f"no method {method!r}; expected one of {', '.join(METHODS)}; did you mean {near[0]!r}?")
    if clusters < 1:
        raise ValueError(f"clusters is {clusters}; expected 1 or more")
    values, channels, name, (hz, s) = stacked(maps, layer)
    high, _, n = values.shape
    row = _liveliest(values) if row is None else row
    if not 0 <= row < high:
        raise IndexError(f"row {row} is out of range: the maps have rows 0 to {high - 1}")
    vectors = values.reshape(-1, n).T
    numbers, notes = None, []
    flat = np.ptp(vectors, axis=1) == 0
    if method in ("spectral", "leaves"):
        # A map without any shape is like no other: it stands at the end.
        shaped = np.flatnonzero(~flat)
        if method == "leaves" and len(shaped) > MOST_LEAVES:
            raise ValueError(
                f"{len(shaped):,} channels are too many for 'leaves' ({MOST_LEAVES:,}); 'spectral' takes any"
            )
        seriate = by_similarity if method == "spectral" else by_leaves
        permutation = np.concatenate([shaped[seriate(vectors[shaped])], np.flatnonzero(flat)])
        if flat.any():
            notes.append(f"{int(flat.sum())} of the {n:,} maps have one value everywhere and stand at the end.")
    elif method == "pca":
        permutation = along_first_component(vectors)
    elif method == "pca_rows":
        permutation = _each_row(values)
    else:
        permutation, numbers = by_clusters(values[row].T, clusters, seed)
        found = int(numbers.max()) + 1
        notes.append(f"k-means on row {row} (counted from 0): {found} clusters.")
    ordered = np.take_along_axis(values, permutation[:, None, :], axis=2) if permutation.ndim == 2 else None
    return OrderedMaps(
        name=name,
        method=method,
        maps=values,
        channels=channels,
        permutation=permutation,
        clusters=numbers,
        row=row,
        steps=(_step(values), _step(values[..., permutation] if ordered is None else ordered), _chance(values)),
        edges_hz=hz,
        edges_s=s,
        notes=tuple(notes),
    )


def stacked(maps: Any, layer: str | None = None) -> tuple[np.ndarray, np.ndarray, str, Edges]:
    """Give maps as ``(height, width, channel)``, their channels' numbers, what they are of, and their edges.

    Raises
    ------
    ValueError
        Where they have another shape, no channels, or values that are NaN or infinite.
    KeyError
        For a layer that is not among them.
    """
    edges: Edges = (None, None)
    if isinstance(maps, ActivationMaps):
        if layer is None and len(maps.layers) > 1:
            names = ", ".join(each.layer for each in maps.layers[:4])
            raise ValueError(f"maps of {len(maps.layers)} layers were given ({names} ...); say which with layer=")
        one = maps.layers[0] if layer is None else maps[layer]
        values, channels = one.maps, one.channels
        name, edges = f"{maps.network} {one.layer}, {maps.image}", (one.edges_hz, one.edges_s)
    else:
        values = np.asarray(maps)
        if values.ndim != 3 or values.dtype.kind not in "biuf":
            found = f"shape {values.shape}" if values.dtype.kind in "biuf" else f"{type(maps).__name__}"
            raise ValueError(f"expected numbers (height, width, channel) or activation maps, found {found}")
        values, channels, name = values.astype(np.float32), np.arange(values.shape[-1]), "array"
    if not values.size:
        raise ValueError(f"no maps: the shape is {values.shape}; expected one channel or more")
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=(0, 1)))
        raise ValueError(
            f"{len(bad)} of {values.shape[-1]} maps hold NaN or infinite values, the first channel {bad[0]}"
        )
    return values, channels, name, edges


def _each_row(values: np.ndarray) -> np.ndarray:
    """Order each row of ``(height, width, channel)`` by itself, turned as the row before it: ``(height, channel)``."""
    orders = np.empty((values.shape[0], values.shape[2]), np.int64)
    before: np.ndarray | None = None
    for r, row in enumerate(values):
        scores = first_component(row.T)
        if before is not None and float(scores @ before) < 0:
            scores = -scores
        orders[r] = np.argsort(scores, kind="stable")
        # A row of zeros has no direction to hand on.
        before = scores if np.ptp(scores) > 0 else before
    return orders


def _liveliest(values: np.ndarray) -> int:
    return int(values.var(axis=2).sum(axis=1).argmax())


def _step(values: np.ndarray) -> float:
    """Give the mean size of the difference of neighbours along the last axis."""
    return float(np.abs(np.diff(values, axis=2)).mean()) if values.shape[2] > 1 else 0.0


def _chance(values: np.ndarray) -> float:
    """Give the mean size of the difference of any two channels: what neighbours differ by in a random order."""
    n = values.shape[2]
    if n < 2:
        return 0.0
    # Sorted, the k-th value is taken from k larger ones and added to n - 1 - k smaller ones.
    weights = 2 * np.arange(n) - (n - 1)
    return float((np.sort(values.astype(np.float64), axis=2) @ weights).mean() / (n * (n - 1) / 2))
