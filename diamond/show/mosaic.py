"""Small pictures beside each other in one, with a gap between."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["mosaic"]

WHITE = 255


def mosaic(tiles: np.ndarray, *, columns: int | None = None, least_px: int = 1, gap: int = 1) -> np.ndarray:
    """Lay tiles out row by row, about square, each pixel as a block where they are small.

    Parameters
    ----------
    tiles
        uint8 ``(n, height, width, 3)``, or grey ``(n, height, width)``.
    columns
        How many a row; about the square root where None.
    least_px
        What the longer side of a tile measures at least.
    gap
        Pixels between tiles, white.

    Returns
    -------
    uint8 array
        ``(height, width, 3)``.
    """
    if tiles.ndim == 3:
        tiles = np.repeat(tiles[..., None], 3, axis=-1)
    factor = max(1, math.ceil(least_px / max(tiles.shape[1:3])))
    tiles = tiles.repeat(factor, axis=1).repeat(factor, axis=2)
    n, height, width, _ = tiles.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    picture = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), WHITE, np.uint8)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        top, left = row * (height + gap), column * (width + gap)
        picture[top : top + height, left : left + width] = tile
    return picture
