"""Where things stand in a drawing, so that a page's SVG and a figure for paper are the same drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["FlowLayout", "Link", "Scatter", "Tile", "lay_out_flow", "scatter"]

MARGIN = 0.08
TILE = 64.0
GAP = 26.0
BETWEEN = 170.0
HEAD = 40.0
THINNEST = 0.6


@dataclass(frozen=True, eq=False)
class Scatter:
    """Pairs of numbers on one scale for both axes, so that equal ones lie on the diagonal.

    Attributes
    ----------
    low, high
        The range of both axes.
    x, y
        ``(n,)`` places from 0 to 1; `y` upward.
    zero
        Where 0 lies on both axes, from 0 to 1.
    """

    low: float
    high: float
    x: np.ndarray
    y: np.ndarray
    zero: float


def scatter(first: np.ndarray, second: np.ndarray) -> Scatter:
    """Lay out pairs, `first` along x and `second` along y, zero always in sight.

    Parameters
    ----------
    first, second
        ``(n,)``.
    """
    low, high = min(0.0, float(first.min()), float(second.min())), max(0.0, float(first.max()), float(second.max()))
    reach = (high - low) or 1.0
    low, high = low - MARGIN * reach, high + MARGIN * reach
    return Scatter(low, high, (first - low) / (high - low), (second - low) / (high - low), -low / (high - low))


@dataclass(frozen=True)
class Tile:
    """One unit of a flow: its column and place in it, and its left upper corner; the class is the last column's only."""

    column: int
    unit: int
    x: float
    y: float


@dataclass(frozen=True)
class Link:
    """One link: from a unit of a column to a unit of the next, its weight and width, and a cubic curve's four points."""

    column: int
    start: int
    end: int
    weight: float
    width: float
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """The curve as an SVG path."""
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = self.points
        return f"M{ax:.1f} {ay:.1f}C{bx:.1f} {by:.1f} {cx:.1f} {cy:.1f} {dx:.1f} {dy:.1f}"


@dataclass(frozen=True)
class FlowLayout:
    """A flow as a drawing, y downward.

    Attributes
    ----------
    width, height, tile
        Size of the drawing, and side of a tile.
    tiles
        Of every unit, and of the class last.
    links
        The widest first, so that thin ones lie on top.
    """

    width: float
    height: float
    tile: float
    tiles: tuple[Tile, ...]
    links: tuple[Link, ...]


def lay_out_flow(effects: Sequence[np.ndarray], links: Sequence[np.ndarray]) -> FlowLayout:
    """Lay out columns of units with the class at the end, and links that add up to no more than a tile's side.

    Parameters
    ----------
    effects
        For each column ``(unit,)`` contributions to the class; those of the last are its links to the class.
    links
        For each column but the last ``(unit, unit of the next)``.
    """
    weights = [*links, effects[-1][:, None]]
    counts = [*(len(column) for column in effects), 1]
    # Every column is as high as the highest, so that a layer of three units spreads over the height of one of ten.
    height = HEAD + max(counts) * (TILE + GAP)
    tops = [
        [HEAD + (height - HEAD) * (unit + 0.5) / count - (TILE + GAP) / 2 for unit in range(count)] for count in counts
    ]
    heaviest = max(float(np.abs(w).sum(axis=axis).max()) for w in weights for axis in (0, 1))
    scale = TILE / heaviest if heaviest > 0 else 0.0
    drawn = []
    for column, given in enumerate(weights):
        widths = np.abs(given) * scale
        x = column * (TILE + BETWEEN) + TILE
        for start, end in np.ndindex(*given.shape):
            # Links stand side by side along a tile's edge, in the order of their other ends, about its middle.
            leaves = tops[column][start] + TILE / 2 - widths[start].sum() / 2 + widths[start, :end].sum()
            arrives = tops[column + 1][end] + TILE / 2 - widths[:, end].sum() / 2 + widths[:start, end].sum()
            half = widths[start, end] / 2
            a, d = (x, leaves + half), (x + BETWEEN, arrives + half)
            middle = x + BETWEEN / 2
            points = (a, (middle, a[1]), (middle, d[1]), d)
            width = max(float(widths[start, end]), THINNEST)
            drawn.append(Link(column, start, end, float(given[start, end]), width, points))
    tiles = [
        Tile(column, unit, column * (TILE + BETWEEN), tops[column][unit])
        for column, count in enumerate(counts)
        for unit in range(count)
    ]
    order = sorted(drawn, key=lambda link: -link.width)
    return FlowLayout(len(counts) * (TILE + BETWEEN) - BETWEEN + 90.0, height, TILE, tuple(tiles), tuple(order))
