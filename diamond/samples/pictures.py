"""Changes of pictures: covered, blurred, shifted, noisy.

    >>> covered = cover("cat.jpg", (60, 80, 120, 160), fill="blur")      # rows 60 to 120, columns 80 to 160
    >>> net.predict([covered], top=2).labels
    (('tiger cat', 'Egyptian cat'),)

Each function takes one picture as `dc.image` does, and gives a new one, float32 ``(height, width, 3)`` in [0, 1] of the
same size; what it was given never changes. What is random takes a seed, and the same seed gives the same picture.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from modelzoo import image

__all__ = ["add_noise", "blur", "cover", "shift"]

FILLS = ("mean", "blur", "noise", "shuffled")
BORDERS = ("mirror", "wrap", "grey")
# A box is blurred until nothing in it can be told apart.
COVER_SIGMA = 0.25


def cover(picture: Any, box: tuple[int, int, int, int], fill: Any = "mean", *, seed: int = 0) -> np.ndarray:
    """Cover a box.

    Parameters
    ----------
    picture
        Path, URL or array.
    box
        ``(top, left, bottom, right)`` in pixels; bottom and right are the first that are not covered.
    fill
        ``"mean"`` (the picture's colour), ``"blur"``, ``"noise"`` (of the picture's mean and spread), ``"shuffled"`` (its
        own pixels in another order), a number, or a colour of three, in [0, 1].
    seed
        Of noise and order.

    Raises
    ------
    ValueError
        For a box that is empty or leaves the picture, and another fill.

    Examples
    --------
    >>> covered = dc.samples.pictures.cover("cat.jpg", (60, 80, 120, 160), fill="blur")
    >>> covered.shape
    (300, 451, 3)
    """
    values = image(picture)
    height, width = values.shape[:2]
    top, left, bottom, right = (operator.index(edge) for edge in box)
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise ValueError(
            f"the box is {tuple(box)}; expected top < bottom and left < right inside a picture of {height}x{width} px"
        )
    covered = values.copy()
    inside = (slice(top, bottom), slice(left, right))
    covered[inside] = _filled(values, inside, fill, np.random.default_rng(seed))
    return covered


def blur(picture: Any, sigma_px: float) -> np.ndarray:
    """Blur by a Gaussian.

    Parameters
    ----------
    picture
        Path, URL or array.
    sigma_px
        Its standard deviation, in pixels; 0 changes nothing.

    Raises
    ------
    ValueError
        For a deviation below 0.

    Examples
    --------
    >>> np.abs(dc.samples.pictures.blur(photo, 3) - photo).max().round(1)
    np.float32(0.7)
    """
    if not sigma_px >= 0:
        raise ValueError(f"sigma_px is {sigma_px!r}; expected 0 or more pixels")
    return _blurred(image(picture), sigma_px)


def shift(picture: Any, down_px: int, right_px: int, *, border: str = "mirror") -> np.ndarray:
    """Move the picture.

    Parameters
    ----------
    picture
        Path, URL or array.
    down_px, right_px
        How far, in pixels; below 0 up and left.
    border
        What comes in at the other side: ``"mirror"``, ``"wrap"`` (what left), or ``"grey"``.

    Raises
    ------
    ValueError
        For another border, and a shift as large as the picture.

    Examples
    --------
    >>> moved = dc.samples.pictures.shift(photo, 10, 0)
    >>> bool((moved[10:] == photo[:-10]).all())
    True
    """
    values = image(picture)
    if border not in BORDERS:
        raise ValueError(f"border is {border!r}; expected one of {', '.join(BORDERS)}")
    steps = operator.index(down_px), operator.index(right_px)
    if any(abs(step) >= side for step, side in zip(steps, values.shape, strict=False)):
        raise ValueError(f"a shift by {steps} px leaves nothing of a picture of {values.shape[0]}x{values.shape[1]} px")
    if border == "wrap":
        return np.roll(values, steps, axis=(0, 1))
    pads = [(max(step, 0), max(-step, 0)) for step in steps] + [(0, 0)]
    padded = np.pad(values, pads, mode="symmetric") if border == "mirror" else np.pad(values, pads, constant_values=0.5)
    top, left = (max(-step, 0) for step in steps)
    moved: np.ndarray = padded[top : top + values.shape[0], left : left + values.shape[1]]
    return np.ascontiguousarray(moved)


def add_noise(picture: Any, deviation: float, *, seed: int = 0) -> np.ndarray:
    """Add normal noise, and keep the values in [0, 1].

    Parameters
    ----------
    picture
        Path, URL or array.
    deviation
        Standard deviation of the noise, where 1 is from black to white.
    seed
        Of the noise.

    Raises
    ------
    ValueError
        For a deviation below 0.

    Examples
    --------
    >>> (dc.samples.pictures.add_noise(np.full((64, 64, 3), 0.5), 0.1) - 0.5).std().round(1)
    np.float32(0.1)
    """
    if not deviation >= 0:
        raise ValueError(f"deviation is {deviation!r}; expected 0 or more")
    values = image(picture)
    noise = np.random.default_rng(seed).normal(scale=deviation, size=values.shape)
    return np.clip(values + noise, 0, 1).astype(np.float32)


def _filled(values: np.ndarray, inside: tuple[slice, slice], fill: Any, rng: np.random.Generator) -> Any:
    whole = values.reshape(-1, values.shape[-1])
    shape = values[inside].shape
    if not isinstance(fill, str):
        colour = np.asarray(fill, np.float32)
        if colour.shape not in ((), (values.shape[-1],)) or not ((colour >= 0) & (colour <= 1)).all():
            raise ValueError(f"fill is {fill!r}; expected a number or {values.shape[-1]} of them from 0 to 1")
        return colour
    if fill not in FILLS:
        raise ValueError(f"fill is {fill!r}; expected one of {', '.join(FILLS)}, or a colour")
    if fill == "mean":
        return whole.mean(axis=0)
    if fill == "blur":
        return _blurred(values, COVER_SIGMA * max(shape[:2]))[inside]
    if fill == "noise":
        return np.clip(rng.normal(whole.mean(axis=0), whole.std(axis=0), shape), 0, 1)
    return rng.choice(whole, shape[0] * shape[1]).reshape(shape)


def _blurred(values: np.ndarray, sigma_px: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

    blurred: np.ndarray = gaussian_filter(values, (sigma_px, sigma_px, 0))
    return blurred
