"""Small movements of the image before the network sees it.

A picture that excites a channel only as long as no pixel moves shows the network's blind spots, not what the channel
looks for. So each image is shifted, scaled and turned a little at each step, every image by its own draw (one draw a
batch, as other tools do, lets a whole batch overfit to the same shift)::

    >>> transforms = (Jitter(8), Scale(0.9, 1.1), Rotate(10), Jitter(4))
    >>> warps = draw(transforms, streams, steps=256, size=(128, 128))     # (256, batch, 8)
    >>> moved = warp(pictures, warps[0])

Each transform *gives* a 3 x 3 matrix an image and step, the matrices are multiplied, and one resampling does it all.
Draws come from NumPy streams, so step 100 of channel 7 is the same in every batch and every process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import tensorflow as tf

__all__ = ["Jitter", "Rotate", "Scale", "Transform", "draw", "transform_from_dict", "warp"]

# What lies beyond the picture's edge: the grey that a network sees as nothing.
FILL = 0.5


class Transform(Protocol):
    """A random movement: numbers uniform in [0, 1) in, matrices out."""

    draws: ClassVar[int]

    def matrices(self, uniform: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Give the movement for each row of ``(n, draws)`` uniform numbers.

        Returns
        -------
        float64 array
            ``(n, 3, 3)``: where in the source, as ``(x, y, 1)`` in pixels, a pixel of the result is taken from.
        """
        ...


@dataclass(frozen=True)
class Jitter:
    """Shift by up to `px` pixels each way, along both axes."""

    px: float
    draws: ClassVar[int] = 2

    def matrices(self, uniform: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Give shifts, uniform in [-px, px)."""
        matrices = np.tile(np.eye(3), (len(uniform), 1, 1))
        matrices[:, :2, 2] = (2 * uniform - 1) * self.px
        return matrices


@dataclass(frozen=True)
class Scale:
    """Enlarge about the centre by a factor between `low` and `high`."""

    low: float
    high: float
    draws: ClassVar[int] = 1

    def matrices(self, uniform: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Give factors, uniform in [low, high)."""
        factor = self.low + uniform[:, 0] * (self.high - self.low)
        return _about_centre(1 / factor, np.zeros_like(factor), size)


@dataclass(frozen=True)
class Rotate:
    """Turn about the centre by up to `degrees` either way."""

    degrees: float
    draws: ClassVar[int] = 1

    def matrices(self, uniform: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Give turns, uniform in [-degrees, degrees)."""
        angle = np.deg2rad((2 * uniform[:, 0] - 1) * self.degrees)
        return _about_centre(np.ones_like(angle), angle, size)


_KINDS: dict[str, type] = {"jitter": Jitter, "scale": Scale, "rotate": Rotate}


def transform_from_dict(content: dict[str, Any]) -> Transform:
    """Read a transform as a recipe writes it: ``{"kind": "jitter", "px": 8}``.

    Raises
    ------
    ValueError
        For a kind that is not there.
    """
    arguments = dict(content)
    kind = arguments.pop("kind", None)
    if kind not in _KINDS:
        raise ValueError(f"no transform of kind {kind!r}; expected one of {', '.join(_KINDS)}")
    transform: Transform = _KINDS[kind](**arguments)
    return transform


def transform_to_dict(transform: Transform) -> dict[str, Any]:
    """Write a transform as `transform_from_dict` reads it."""
    kind = next(name for name, known in _KINDS.items() if isinstance(transform, known))
    return {"kind": kind, **vars(transform)}


def draw(
    transforms: Sequence[Transform], streams: Sequence[np.random.Generator], *, steps: int, size: tuple[int, int]
) -> np.ndarray:
    """Draw the movement of every image at every step.

    Parameters
    ----------
    transforms
        Applied first to last.
    streams
        One stream of random numbers an image; a longer run begins with the draws of a shorter one.
    steps
        How many steps to draw for.
    size
        ``(height, width)`` in pixels.

    Returns
    -------
    float32 array
        ``(steps, batch, 8)`` as `warp` takes them.
    """
    warps = np.empty((steps, len(streams), 8), np.float32)
    numbers = sum(transform.draws for transform in transforms)
    for image, stream in enumerate(streams):
        uniform = stream.random((steps, numbers))
        matrix = np.tile(np.eye(3), (steps, 1, 1))
        at = 0
        for transform in transforms:
            matrix = matrix @ transform.matrices(uniform[:, at : at + transform.draws], size)
            at += transform.draws
        warps[:, image] = matrix.reshape(steps, 9)[:, :8]
    return warps


def warp(pictures: Any, warps: Any) -> Any:
    """Move each picture by its own matrix, bilinear, grey beyond the edge.

    Parameters
    ----------
    pictures
        ``(batch, height, width, channel)``.
    warps
        ``(batch, 8)``.

    Returns
    -------
    tensor
        Of the shape of `pictures`. The gradient is the picture's gradient moved back, TensorFlow's approximation of
        the adjoint: exact for shifts by whole pixels.
    """
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures,
        transforms=warps,
        output_shape=tf.shape(pictures)[1:3],
        fill_value=FILL,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )


def _about_centre(zoom: np.ndarray, angle: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
    cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
    matrices = np.tile(np.eye(3), (len(angle), 1, 1))
    matrices[:, 0, 0], matrices[:, 0, 1] = cosine, -sine
    matrices[:, 1, 0], matrices[:, 1, 1] = sine, cosine
    matrices[:, 0, 2] = x - cosine * x + sine * y
    matrices[:, 1, 2] = y - sine * x - cosine * y
    return matrices
