"""Maps of channels as small pictures: cell by cell, or smoothed over the photo.

Zero is black. What lies above it goes over orange to white, what lies below it over blue to white, so that a layer with
a ReLU and one without are read alike: orange and blue are the colours of for and against in every picture here.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from diamond.show.heat import AGAINST, FOR, overlay, visible

__all__ = ["TILE_PX", "coloured", "enlarged", "over_photo_tiles", "plain_tiles", "signed_colours"]

TILE_PX = 96
DARKEST = (14, 15, 18)
LIGHTEST = (255, 244, 228)
COLDEST = (232, 242, 255)
# A photo beneath a map is dimmed, so that a weak answer can be seen on a white wall.
DIMMED = 0.55


def signed_colours(values: np.ndarray) -> np.ndarray:
    """Colour numbers from -1 to 1, uint8 of one more axis: black at 0, over orange to white at 1, over blue at -1."""
    share = np.clip(np.nan_to_num(np.asarray(values, np.float64)), -1.0, 1.0)
    levels = np.empty((*share.shape, 3), np.uint8)
    for i in range(3):
        stops = (COLDEST[i], AGAINST[i], DARKEST[i], FOR[i], LIGHTEST[i])
        levels[..., i] = np.rint(np.interp(share, (-1.0, -0.6, 0.0, 0.6, 1.0), stops))
    return levels


def coloured(values: np.ndarray, most: float | np.ndarray | None = None) -> np.ndarray:
    """Colour a map, ``(rows, columns)``, in units of `most`, or of its own largest size."""
    reach = np.abs(values).max(initial=0.0) if most is None else most
    return signed_colours(values / np.where(np.asarray(reach) > 0, reach, 1.0))


def enlarged(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Smooth maps ``(rows, columns, n)`` to ``(height, width, n)``, bilinearly, each cell in the middle of its place."""
    width_height = (size[1], size[0])
    planes = [
        np.asarray(Image.fromarray(plane).resize(width_height, Image.Resampling.BILINEAR))
        for plane in np.moveaxis(np.asarray(maps, np.float32), -1, 0)
    ]
    return np.stack(planes, axis=-1) if planes else np.zeros((*size, 0), np.float32)


def plain_tiles(maps: np.ndarray, *, heard: bool, most: float | None = None) -> np.ndarray:
    """Give maps ``(rows, columns, n)`` as uint8 ``(n, 96, 96, 3)``, cell by cell; those of sounds frequency upward."""
    maps = maps[::-1] if heard else maps
    return np.stack([_square(coloured(maps[..., i], most)) for i in range(maps.shape[-1])])


def over_photo_tiles(maps: np.ndarray, picture: np.ndarray, *, heard: bool, side: int = TILE_PX) -> np.ndarray:
    """Give maps ``(rows, columns, n)`` smoothed over their picture in grey, uint8 ``(n, side, side, 3)``."""
    maps = maps[::-1] if heard else maps
    shown = np.rint(np.clip(visible(picture), 0, 1) * 255).astype(np.uint8)
    small = np.asarray(Image.fromarray(shown).resize((side, side), Image.Resampling.LANCZOS), np.float32)
    grey = np.repeat(small.mean(axis=-1, keepdims=True), 3, axis=-1) * DIMMED
    tiles = np.empty((maps.shape[-1], side, side, 3), np.uint8)
    for i in range(maps.shape[-1]):
        cover = overlay(maps[..., i], (side, side)).astype(np.float32)
        opacity = cover[..., 3:] / 255
        tiles[i] = np.rint(grey * (1 - opacity) + np.minimum(cover[..., :3] * 1.15, 255) * opacity)
    return tiles


def _square(tile: np.ndarray) -> np.ndarray:
    # A map of more cells than pixels is averaged: picking every other cell would make patterns that are not there.
    how = Image.Resampling.NEAREST if max(tile.shape[:2]) <= TILE_PX else Image.Resampling.BOX
    return np.asarray(Image.fromarray(tile).resize((TILE_PX, TILE_PX), how))
