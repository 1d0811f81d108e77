"""The same places in two pictures, found by what a layer answers there.

    found = dc.correspond(net, "cat.jpg", "other_cat.jpg", "block9_add")
    found.points_a.shape, found.points_b.shape, found.similarities.max()
    dc.correspond(net, photo, moved, "block9_add", ratio=0.9).plot("colours")

Each cell of a layer has a code, the values of all its channels there. Two cells *match* where the cosine of their codes
is the largest there is for both: each is the other's nearest neighbour. What matches says what the layer takes for the
same: of shallow layers an edge of one direction, so that hardly anything matches in a mirrored copy; of middle layers an
eye and an eye, wherever they lie; of the deepest little more than cat and cat. Middle layers find places best.

Lowe's ratio (2004) leaves out what has a rival: a match whose code is not much nearer than that of the next best place.

Long, Zhang and Darrell, "Do Convnets Learn Correspondence?" (NeurIPS 2014); Lowe, "Distinctive Image Features from
Scale-Invariant Keypoints" (IJCV 2004), section 7.1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from diamond.attribution.semantic import spatial_layer, upright
from diamond.attribution.streams import stream
from diamond.inspection.matched import Correspondence
from modelzoo import GraphError, Layer, Network

__all__ = ["correspond"]

# So many numbers of a table of cosines at once: 64 MB.
MOST_AT_ONCE = 2**24
# Cells around the best are no rivals of it: neighbours see almost the same.
AROUND = 1


def correspond(
    net: Network,
    a: Any,
    b: Any,
    layer: str | Layer,
    *,
    mutual: bool = True,
    ratio: float | None = None,
    least: float | None = None,
) -> Correspondence:
    """Find the cells of two pictures whose codes are most alike.

    Parameters
    ----------
    net
        The network.
    a, b
        Two pictures: path, URL, array ``(height, width, 3)`` in [0, 1]; or spectrogram patches for a sound network.
    layer
        A layer with height and width, or its address.
    mutual
        Whether to keep only pairs in which each is the other's best; else every cell of `a` has its best of `b`.
    ratio
        Keep only matches whose distance is less than this share of that to the next best place, from 0 to 1.
    least
        Keep only matches whose cosine is at least this.

    Returns
    -------
    Correspondence

    Raises
    ------
    UnknownLayerError, PictureError
        For a layer the network does not have, naming the nearest, or a picture that cannot be read.
    GraphError
        For a layer without height and width or with a single cell, and for a network of several inputs.
    ValueError
        Where several pictures are given for one, for a ratio or a cosine out of range, and for codes that are NaN or
        infinite.

    Examples
    --------
    >>> found = dc.correspond(net, photo, photo[:, ::-1], "block9_add")
    >>> found.points_a.shape == found.points_b.shape, found.similarities.max().round(1)
    (True, np.float64(1.0))
    """
    if ratio is not None and not 0 < ratio <= 1:
        raise ValueError(f"ratio is {ratio}; expected a share above 0 and up to 1, such as 0.9, or None")
    if least is not None and not -1 <= least <= 1:
        raise ValueError(f"least is {least}; expected a cosine from -1 to 1, or None")
    place = spatial_layer(net, layer)
    seen = [_seen(net, source, place, which) for which, source in (("first", a), ("second", b))]
    found = _matches(seen[0].codes, seen[1].codes, seen[1].grid)
    keep = np.isfinite(found.best)
    if mutual:
        keep &= found.back[found.partner] == np.arange(len(found.partner))
    # Without a rival anywhere a match stands alone.
    alone = ~np.isfinite(found.rival) | ~np.isfinite(found.best)
    distances = np.maximum(0, 1 - np.stack([np.where(alone, 1, found.best), np.where(alone, 0, found.rival)]))
    ratios = np.minimum(1.0, np.sqrt(distances[0] / np.maximum(distances[1], 1e-12)))
    if ratio is not None:
        keep &= ratios < ratio
    if least is not None:
        keep &= found.best >= least
    numbers = np.flatnonzero(keep)
    numbers = numbers[np.argsort(-found.best[numbers], kind="stable")]
    cells = [
        np.stack(np.divmod(of, one.grid[1]), axis=-1)
        for of, one in zip((numbers, found.partner[numbers]), seen, strict=True)
    ]
    points = [one.corner + at * one.step for at, one in zip(cells, seen, strict=True)]
    points = [np.clip(at, 0, one.picture.shape[:2]) for at, one in zip(points, seen, strict=True)]
    return Correspondence(
        network=net.name,
        layer=place.name,
        images=(seen[0].name, seen[1].name),
        pictures=(seen[0].picture, seen[1].picture),
        grids=(seen[0].grid, seen[1].grid),
        cells_a=cells[0],
        cells_b=cells[1],
        points_a=points[0],
        points_b=points[1],
        similarities=found.best[numbers],
        ratios=ratios[numbers],
        mutual=mutual,
    )


class _Seen(NamedTuple):
    """One picture: its cells' codes of length 1, ``(cell, channel)``, and where the middles of the cells lie."""

    picture: np.ndarray
    name: str
    codes: np.ndarray
    grid: tuple[int, int]
    corner: np.ndarray
    step: np.ndarray


class _Matches(NamedTuple):
    """For each cell of a: its best of b, that one's best of a, the cosine, and the best cosine elsewhere in b."""

    partner: np.ndarray
    back: np.ndarray
    best: np.ndarray
    rival: np.ndarray


def _seen(net: Network, source: Any, place: Layer, which: str) -> _Seen:
    batches = list(stream(net, source, batch=2, progress=False))
    n = sum(len(batch.names) for batch in batches)
    if n != 1:
        hint = "; give one patch of the sound, net.patches(sound).values[0]" if net.input.audio is not None else ""
        raise ValueError(f"{n} pictures were given as the {which}; places are matched between one and one{hint}")
    picture, name = batches[0].pictures[0], batches[0].names[0]
    [values] = upright(net, net.activations(picture[None], place))
    grid = values.shape[:2]
    if grid == (1, 1):
        raise GraphError(f"{place.name!r} has a single cell: no places to match; expected a layer with more")
    flat = values.reshape(-1, values.shape[-1]).astype(np.float32)
    if not np.isfinite(flat).all():
        raise ValueError(f"the values of {place.name!r} are NaN or infinite for {name}")
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    codes = np.divide(flat, lengths, out=np.zeros_like(flat), where=lengths > 0)
    corner, step = _middles(net, place, picture.shape[:2], grid)
    if name.startswith(("picture 0", "sound 0")):
        name = f"the {which} {name.split()[0]}"
    return _Seen(picture, name, codes, grid, corner, step)


def _middles(net: Network, place: Layer, size: tuple[int, ...], grid: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Give the place of the first cell and the step to the next, down and across in pixels, the grid in the middle.

    The middle of what a cell sees lies to one side where padding is uneven, 7.5 px at a stride of 16. Networks have learned
    to make up for that: in a mirrored copy the match is the mirrored cell, counted from the other end of the grid.
    """
    strides = net.layers[place.name].stride_px
    known = strides is not None and len(strides) == 2 and bool(np.isfinite(strides).all())
    step = np.array(strides if known else np.array(size) / np.array(grid), float)
    if known and net.input.audio is not None and net.input.audio.time_first:
        step = step[::-1]
    return (np.array(size) - (np.array(grid) - 1) * step) / 2, step


def _matches(a: np.ndarray, b: np.ndarray, grid: tuple[int, int]) -> _Matches:
    """Compare every cell of a with every cell of b, a part of a at a time."""
    n, m = len(a), len(b)
    partner, best, rival = np.zeros(n, np.int64), np.full(n, -np.inf), np.full(n, -np.inf)
    back, back_best = np.zeros(m, np.int64), np.full(m, -np.inf)
    row, column = np.divmod(np.arange(m), grid[1])
    # A cell that answers nothing has no code, and is like no other.
    silent_a, silent_b = (np.asarray(np.all(codes == 0, axis=1)) for codes in (a, b))
    part = max(1, MOST_AT_ONCE // m)
    for begin in range(0, n, part):
        rows = slice(begin, min(n, begin + part))
        cosines = np.minimum(a[rows] @ b.T, 1.0)
        cosines[silent_a[rows]] = -np.inf
        cosines[:, silent_b] = -np.inf
        first = cosines.argmax(axis=1)
        partner[rows] = first
        best[rows] = np.take_along_axis(cosines, first[:, None], axis=1)[:, 0]
        high = cosines.max(axis=0)
        back = np.where(high > back_best, begin + cosines.argmax(axis=0), back)
        back_best = np.maximum(high, back_best)
        near = np.abs(row[first][:, None] - row) <= AROUND
        near &= np.abs(column[first][:, None] - column) <= AROUND
        cosines[near] = -np.inf
        rival[rows] = cosines.max(axis=1)
    return _Matches(partner, back, best, rival)
