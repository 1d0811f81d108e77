"""Weights as pictures: grey is zero, white and black the largest of either sign.

A filter of a picture's colours is one picture. A filter of channels is one slice for each, laid out in the square grid
in which a spritemap has them, so that a slice and its sprite are found at the same place. A filter without places, or of
1 x 1, is that grid alone.
"""

from __future__ import annotations

import numpy as np

from diamond.show.heat import AGAINST, FOR

__all__ = ["signed_tile", "slice_tile", "tile"]


def tile(weights: np.ndarray, *, most: float, colours: bool = False, is_sound: bool = False) -> np.ndarray:
    """Draw one filter, a pixel a weight.

    Parameters
    ----------
    weights
        ``(*places, input)``.
    most
        The weight that is white.
    colours
        Whether the inputs are red, green and blue.
    is_sound
        Whether the first place is frequency, which is drawn upward.

    Returns
    -------
    uint8 array
        ``(height, width, 4)``, opacity last: gaps between slices are clear.
    """
    planes = _planes(weights, is_sound)
    level = np.clip(0.5 + 0.5 * planes / most, 0, 1) if most > 0 else np.full(planes.shape, 0.5)
    if colours:
        return _opaque(_in_row(level))
    return _grid(_in_row(level[..., None]))


def slice_tile(weights: np.ndarray, *, is_sound: bool = False) -> np.ndarray:
    """Give one slice ``(*places)`` as a plane ``(height, width)``: frequency upward, planes of depth beside each other."""
    row: np.ndarray = _in_row(_planes(weights[..., None], is_sound)[..., None])[0, ..., 0]
    return row


def signed_tile(weights: np.ndarray, *, most: float, is_sound: bool = False) -> np.ndarray:
    """Draw one slice ``(*places)`` in orange where it excites and blue where it inhibits: uint8 ``(height, width, 4)``."""
    plane = np.nan_to_num(slice_tile(weights, is_sound=is_sound))
    strength = np.abs(plane) / most if most > 0 else np.zeros_like(plane)
    coloured = np.where(plane[..., None] >= 0, np.array(FOR), np.array(AGAINST))
    return np.concatenate([coloured, np.round(np.clip(strength, 0, 1) * 255)[..., None]], axis=-1).astype(np.uint8)


def _planes(weights: np.ndarray, is_sound: bool) -> np.ndarray:
    """Give ``(depth, height, width, input)``."""
    rank = weights.ndim - 1
    if rank > 3:
        raise ValueError(f"weights have {rank} axes of places; expected at most 3")
    planes = weights.reshape(*[1] * (3 - rank), *weights.shape)
    return planes[:, ::-1] if is_sound and rank == 2 else planes


def _in_row(levels: np.ndarray) -> np.ndarray:
    """Lay depths beside each other, a clear column between: ``(depth, height, width, ...)``, NaN where clear."""
    if levels.ndim == 4:
        return _beside(levels)
    return np.stack([_beside(levels[..., i, :]) for i in range(levels.shape[-2])])


def _beside(levels: np.ndarray) -> np.ndarray:
    gap = np.full((levels.shape[1], 1, levels.shape[3]), np.nan)
    parts = [part for plane in levels for part in (plane, gap)][:-1]
    return np.concatenate(parts, axis=1)


def _grid(slices: np.ndarray) -> np.ndarray:
    """Lay slices ``(input, height, width, 1)`` out in a square grid; of vectors in time one below the other."""
    n, height, width, _ = slices.shape
    columns = 1 if height == 1 and width > 1 else int(np.ceil(np.sqrt(n)))
    rows, gap = -(-n // columns), int(max(height, width) > 1)
    picture = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 1), np.nan)
    for i, one in enumerate(slices):
        row, column = divmod(i, columns)
        y, x = row * (height + gap), column * (width + gap)
        picture[y : y + height, x : x + width] = one
    return _opaque(np.repeat(picture, 3, axis=-1))


def _opaque(levels: np.ndarray) -> np.ndarray:
    there = ~np.isnan(levels[..., :1])
    return np.round(np.concatenate([np.nan_to_num(levels), there], axis=-1) * 255).astype(np.uint8)
