"""Colours for things that have no sign, such as groups: one each, apart for every common form of colour blindness.

The colours are those of Okabe and Ito, "Color Universal Design" (2008), without black and yellow, which vanish on dark
and on light grounds, and with a grey. From the eighth on they begin again: a number goes with each.
"""

from __future__ import annotations

import numpy as np

__all__ = ["MARKS", "TINTS", "colour_of", "strongest", "tint"]

TINTS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (213, 94, 0), (0, 114, 178), (140, 140, 140))
# What marks a thing in a chart beside its colour, in the same order.
MARKS = "osD^vP*"
MOST_OPAQUE = 0.85


def colour_of(i: int) -> tuple[int, int, int]:
    """Give the colour of thing `i`, from 0, as red, green and blue to 255."""
    return TINTS[i % len(TINTS)]


def tint(strengths: np.ndarray, i: int, most: float | None = None) -> np.ndarray:
    """Colour a map of strengths to lay over a picture.

    Parameters
    ----------
    strengths
        ``(rows, columns)``, 0 or more.
    i
        Which colour.
    most
        The strength in full colour; the map's own largest where None.

    Returns
    -------
    uint8 array
        ``(rows, columns, 4)``, opacity last.
    """
    reach = float(strengths.max()) if most is None else most
    share = np.clip(strengths / reach, 0, 1) if reach > 0 else np.zeros_like(strengths)
    opacity = np.round(share * MOST_OPAQUE * 255)
    coloured = np.broadcast_to(np.array(colour_of(i)), (*strengths.shape, 3))
    return np.concatenate([coloured, opacity[..., None]], axis=-1).astype(np.uint8)


def strongest(strengths: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Colour each place as the thing that is strongest there, each in units of its own largest strength.

    Parameters
    ----------
    strengths
        ``(rows, columns, k)``, 0 or more.
    most
        ``(k,)`` the strength of each in full colour.

    Returns
    -------
    uint8 array
        ``(rows, columns, 4)``, opacity last.
    """
    shares = strengths / np.where(most > 0, most, 1.0)
    first = shares.argmax(axis=-1)
    colours = np.array([colour_of(i) for i in range(strengths.shape[-1])])[first]
    opacity = np.round(np.clip(shares.max(axis=-1, keepdims=True), 0, 1) * MOST_OPAQUE * 255)
    return np.concatenate([colours, opacity], axis=-1).astype(np.uint8)
