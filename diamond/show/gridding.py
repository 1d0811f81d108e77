"""A cloud of points moved into the cells of a grid, each into one of its own.

    >>> positions = np.random.default_rng(0).normal(size=(120, 2))
    >>> cells = to_grid(positions, (12, 10))
    >>> len({tuple(cell) for cell in cells.tolist()}) == len(positions)
    True

Thumbnails at their places lie over each other; in a grid every one is seen, and near ones stay near. Which point goes
where is an assignment of least total cost (the squared distances moved), solved exactly. The exact way takes time with
the third power of the number of points: half a second for a thousand, minutes for ten thousand. More than
`MOST_EXACT` are halved instead: the points left of the middle go to the grid's left half, the rest to the right, each
half is halved across, and so on. That takes no time to speak of, no cell has two and none of the points goes far, but
points near a cut may part.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["MOST_EXACT", "grid_shape", "to_grid"]

MOST_EXACT = 2000


def grid_shape(n: int, *, ratio: float = 1.0) -> tuple[int, int]:
    """Give rows and columns of the smallest grid with a cell for each of `n`, about `ratio` times as wide as high."""
    columns = max(1, math.ceil(math.sqrt(n * ratio)))
    return max(1, math.ceil(n / columns)), columns


def to_grid(positions: np.ndarray, shape: tuple[int, int], *, exact: bool | None = None) -> np.ndarray:
    """Give each point a cell of its own.

    Parameters
    ----------
    positions
        ``(n, 2)``: across, and up.
    shape
        ``(rows, columns)`` of the grid, with at least `n` cells.
    exact
        Whether to solve the assignment; where None, up to `MOST_EXACT` points.

    Returns
    -------
    int array
        ``(n, 2)`` row, from the top, and column.

    Raises
    ------
    ValueError
        For a grid with too few cells.
    """
    n, (rows, columns) = len(positions), shape
    if rows * columns < n:
        raise ValueError(f"a grid of {rows} x {columns} has no cell for each of {n}")
    places = _in_grid(np.asarray(positions, np.float64), shape)
    if exact is False or (exact is None and n > MOST_EXACT):
        cells = np.zeros((n, 2), np.int64)
        _halve(places, np.arange(n), (0, 0, rows, columns), cells)
        return cells
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    row, column = np.divmod(np.arange(rows * columns), columns)
    cost = (places[:, :1] - row[None]) ** 2 + (places[:, 1:] - column[None]) ** 2
    _, chosen = linear_sum_assignment(cost)
    return np.stack(np.divmod(chosen, columns), axis=-1)


def _in_grid(positions: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Give the points on the scale of the grid: row, from the top, and column, with fractions."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    scaled = (positions - low) / np.where(high > low, high - low, 1.0)
    return np.stack([(1 - scaled[:, 1]) * (shape[0] - 1), scaled[:, 0] * (shape[1] - 1)], axis=-1)


def _halve(places: np.ndarray, which: np.ndarray, block: tuple[int, int, int, int], cells: np.ndarray) -> None:
    top, left, rows, columns = block
    if not len(which):
        return
    if rows * columns == 1:
        cells[which] = top, left
        return
    axis = 0 if rows >= columns else 1
    first = (rows if axis == 0 else columns) // 2
    size = first * columns if axis == 0 else first * rows
    order = which[np.argsort(places[which, axis], kind="stable")]
    # Empty cells are shared out as the points are.
    rest = rows * columns - size
    take = min(size, max(len(which) - rest, round(len(which) * size / (rows * columns))))
    if axis == 0:
        blocks = (top, left, first, columns), (top + first, left, rows - first, columns)
    else:
        blocks = (top, left, rows, first), (top, left + first, rows, columns - first)
    _halve(places, order[:take], blocks[0], cells)
    _halve(places, order[take:], blocks[1], cells)
