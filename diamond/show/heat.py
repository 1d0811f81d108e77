"""Signed numbers as colours: orange where something speaks for a class, blue and striped where against it.

Orange and blue stay apart for every common form of colour blindness, and on light and dark grounds; the strength is in
the opacity, so that the picture beneath stays visible where nothing happens. In a map as large as its picture blue is
striped too, so that the sign is seen on a grey print and by those who see no colours.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["AGAINST", "FOR", "loudness_colours", "overlay", "visible"]

FOR = (217, 116, 20)
AGAINST = (38, 104, 196)
MOST_OPAQUE = 0.82
# The fainter stripes of what speaks against, as a share of the opacity, and how many pairs of them a map is wide.
STRIPE, STRIPES = 0.62, 32


def overlay(heatmap: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
    """Colour a heatmap to lay over its picture.

    Parameters
    ----------
    heatmap
        ``(cells high, cells wide)``, zero where nothing speaks either way.
    size
        ``(height, width)`` in pixels to smooth it to, with stripes where it is negative; cell by cell where None.

    Returns
    -------
    uint8 array
        ``(height, width, 4)``, opacity last: in full strength where the heatmap is furthest from zero.
    """
    values = np.asarray(heatmap, np.float32)
    if size is not None:
        smooth = Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        values = np.asarray(smooth)
    most = float(np.abs(values).max())
    strength = np.abs(values) / most if most > 0 else np.zeros_like(values)
    coloured = np.where(values[..., None] >= 0, np.array(FOR), np.array(AGAINST))
    if size is not None:
        high, wide = np.indices(values.shape)
        striped = (high + wide) // max(1, round(min(size) / STRIPES / 2)) % 2 == 1
        strength = np.where((values < 0) & striped, STRIPE * strength, strength)
    opacity = np.round(strength * MOST_OPAQUE * 255)[..., None]
    return np.concatenate([coloured, opacity], axis=-1).astype(np.uint8)


def visible(picture: np.ndarray) -> np.ndarray:
    """Give a picture as three colours: as it is, or a spectrogram in magma, frequency upward.

    Parameters
    ----------
    picture
        ``(height, width, 3)`` in [0, 1], or ``(frequency, time, 1)`` of any values.
    """
    if picture.shape[-1] != 1:
        return picture
    low, high = float(picture.min()), float(picture.max())
    return loudness_colours((picture[..., 0] - low) / ((high - low) or 1.0))


def loudness_colours(loudness: np.ndarray) -> np.ndarray:
    """Colour a spectrogram in magma, frequency upward: ``(frequency, time)`` in [0, 1] gives ``(height, width, 3)``."""
    import matplotlib

    colours: np.ndarray = matplotlib.colormaps["magma"](loudness[::-1])[..., :3]
    return colours.astype(np.float32)
