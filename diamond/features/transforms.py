"""What happens to the image before the network sees it, another way at each step.

A picture that excites a channel only as long as no pixel moves shows the network's blind spots, not what the channel
looks for. So each image is shifted, scaled and turned a little at each step, every image by its own draw (one draw a
batch, as other tools do, lets a whole batch overfit to the same shift)::

        transforms = (Jitter(8), Scale(0.9, 1.1), Rotate(10), Jitter(4), Noise(0.02))
        drawn = draw(transforms, streams, steps=256, size=(128, 128))
        moved = apply(transforms, pictures, {name: values[0] for name, values in drawn.items()})

*Movements* give a 3 x 3 matrix an image and step; neighbours in the list are multiplied, and one resampling does them
all. *Changes* (noise, gain, background) work on the pixels. All random numbers come from NumPy streams and are drawn
beforehand, so step 100 of channel 7 is the same in every batch and every process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from diamond.features import kinds
from diamond.features.warp import warp

__all__ = [
    "Background",
    "Blur",
    "Boxes",
    "Gain",
    "Jitter",
    "Noise",
    "Pad",
    "Rotate",
    "Scale",
    "Transform",
    "apply",
    "draw",
    "transform_from_dict",
    "transform_to_dict",
    "warp",
]

Size = tuple[int, int]


@dataclass(frozen=True)
class Pad:
    """Show the picture within a border of `px` grey pixels, at the same canvas size."""

    px: float
    draws: ClassVar[int] = 0

    def matrices(self, uniform: np.ndarray, progress: np.ndarray, size: Size) -> np.ndarray:
        """Give the same shrinking at every step."""
        factor = (max(size) + 2 * self.px) / max(size)
        return _about_centre(np.full(len(uniform), factor), np.zeros(len(uniform)), size)


@dataclass(frozen=True)
class Jitter:
    """Shift by up to `px` pixels each way.

    Attributes
    ----------
    px
        Along both axes; along the first (down, or frequency) alone where `across_px` is given.
    across_px
        Along the second axis (across, or time).
    """

    px: float
    across_px: float | None = None
    draws: ClassVar[int] = 2

    def matrices(self, uniform: np.ndarray, progress: np.ndarray, size: Size) -> np.ndarray:
        """Give shifts, uniform in [-px, px)."""
        matrices = np.tile(np.eye(3), (len(uniform), 1, 1))
        reach = np.array([self.px if self.across_px is None else self.across_px, self.px])
        matrices[:, :2, 2] = (2 * uniform - 1) * reach
        return matrices


@dataclass(frozen=True)
class Scale:
    """Enlarge about the centre by a factor between `low` and `high`."""

    low: float
    high: float
    draws: ClassVar[int] = 1

    def matrices(self, uniform: np.ndarray, progress: np.ndarray, size: Size) -> np.ndarray:
        """Give factors, uniform in [low, high)."""
        factor = self.low + uniform[:, 0] * (self.high - self.low)
        return _about_centre(1 / factor, np.zeros_like(factor), size)


@dataclass(frozen=True)
class Rotate:
    """Turn about the centre by up to `degrees` either way."""

    degrees: float
    draws: ClassVar[int] = 1

    def matrices(self, uniform: np.ndarray, progress: np.ndarray, size: Size) -> np.ndarray:
        """Give turns, uniform in [-degrees, degrees)."""
        angle = np.deg2rad((2 * uniform[:, 0] - 1) * self.degrees)
        return _about_centre(np.ones_like(angle), angle, size)


@dataclass(frozen=True)
class Boxes:
    """Show a box somewhere in the picture, enlarged to the canvas: from `first` of its side at the start to `last`.

    The box stays within the picture; its size varies by a tenth (Fel et al. 2023, appendix on MACO's transforms).
    """

    first: float = 0.5
    last: float = 0.05
    draws: ClassVar[int] = 3

    def matrices(self, uniform: np.ndarray, progress: np.ndarray, size: Size) -> np.ndarray:
        """Give boxes, placed uniformly."""
        side = self.first + (self.last - self.first) * progress
        side = np.clip(side * (0.9 + 0.2 * uniform[:, 0]), 1.0 / min(size), 1.0)
        matrices = np.tile(np.eye(3), (len(uniform), 1, 1))
        matrices[:, 0, 0] = matrices[:, 1, 1] = side
        matrices[:, 0, 2] = uniform[:, 1] * (1 - side) * (size[1] - 1)
        matrices[:, 1, 2] = uniform[:, 2] * (1 - side) * (size[0] - 1)
        return matrices


@dataclass(frozen=True)
class Noise:
    """Add normal noise of this standard deviation to every pixel."""

    deviation: float
    draws: ClassVar[int] = 1

    def change(self, pictures: Any, numbers: Any) -> Any:
        """Add noise that depends on the image's own numbers alone."""
        seeds = tf.cast(numbers * 2**31, tf.int32)
        shape = tf.shape(pictures)[1:]
        noise = tf.map_fn(
            lambda seed: tf.random.stateless_normal(shape, seed=tf.concat([seed, seed + 1], 0)),
            seeds,
            fn_output_signature=tf.TensorSpec(pictures.shape[1:], tf.float32),
        )
        return pictures + self.deviation * noise


@dataclass(frozen=True)
class Gain:
    """Make a spectrogram in decibels louder or softer: add up to `amount`, in units of the picture, either way."""

    amount: float
    draws: ClassVar[int] = 1

    def change(self, pictures: Any, numbers: Any) -> Any:
        """Add the same to every pixel of an image."""
        return pictures + self.amount * (2 * numbers[:, :, None, None] - 1)


@dataclass(frozen=True)
class Blur:
    """Blur by a Gaussian that fades: of standard deviation `first_px` at the first step, `last_px` at the last.

    Held back at the start, the finest detail cannot take the picture over before its larger shapes are there.
    """

    first_px: float
    last_px: float = 0.0
    draws: ClassVar[int] = 0

    def change(self, pictures: Any, numbers: Any) -> Any:
        """Convolve rows, then columns; the width is the same for every image of a step."""
        reach = int(np.ceil(3 * max(self.first_px, self.last_px)))
        width = tf.maximum(self.first_px + (self.last_px - self.first_px) * numbers[0, 0], 1e-3)
        at = tf.range(-reach, reach + 1, dtype=tf.float32)
        line = tf.exp(-0.5 * (at / width) ** 2)
        n = pictures.shape[-1]
        kernel = tf.tile((line / tf.reduce_sum(line))[:, None, None, None], [1, 1, n, 1])
        edges = [[0, 0], [reach, reach], [reach, reach], [0, 0]]
        padded = tf.pad(pictures, edges, mode="SYMMETRIC")
        rows = tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], "VALID")
        return tf.nn.depthwise_conv2d(rows, tf.transpose(kernel, [1, 0, 2, 3]), [1, 1, 1, 1], "VALID")


@dataclass(frozen=True)
class Background:
    """Lay a picture with an alpha channel over a random soft background, another at each step.

    What the network does not need becomes transparent, since nothing there helps on every background.

    Attributes
    ----------
    cells
        The background is a grid of so many random colours a side, blended.
    """

    cells: int = 6

    @property
    def draws(self) -> int:
        """Three numbers a cell."""
        return 3 * self.cells**2

    def change(self, pictures: Any, numbers: Any) -> Any:
        """Blend, and drop the alpha channel."""
        grid = tf.reshape(numbers, [-1, self.cells, self.cells, 3])
        ground = tf.image.resize(grid, tf.shape(pictures)[1:3], method="bicubic")
        return over(pictures, tf.clip_by_value(ground, 0.0, 1.0))


Movement = Pad | Jitter | Scale | Rotate | Boxes
Change = Noise | Gain | Blur | Background
Transform = Movement | Change
_KINDS: dict[str, Any] = {
    "pad": Pad,
    "jitter": Jitter,
    "scale": Scale,
    "rotate": Rotate,
    "boxes": Boxes,
    "noise": Noise,
    "gain": Gain,
    "blur": Blur,
    "background": Background,
}


def over(pictures: Any, ground: Any) -> Any:
    """Lay pictures ``(batch, height, width, 4)`` over a ground of three colours."""
    alpha = pictures[..., 3:]
    return pictures[..., :3] * alpha + ground * (1 - alpha)


def transform_from_dict(content: Mapping[str, Any]) -> Transform:
    """Read a transform as a recipe writes it: ``{"kind": "jitter", "px": 8}``.

    Raises
    ------
    ValueError
        For a kind that is not there.
    """
    transform: Transform = kinds.read(_KINDS, content, "transform")
    return transform


def transform_to_dict(transform: Transform) -> dict[str, Any]:
    """Write a transform as `transform_from_dict` reads it."""
    return kinds.write(_KINDS, transform)


def draw(
    transforms: Sequence[Transform], streams: Sequence[np.random.Generator], *, steps: int, size: Size
) -> dict[str, np.ndarray]:
    """Draw what happens to every image at every step.

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
    dict
        Float32 arrays ``(steps, batch, ...)`` by the place of their transform in the list, as `apply` takes them.
    """
    progress = np.linspace(0, 1, steps)
    uniform = [stream.random((steps, sum(t.draws for t in transforms))) for stream in streams]
    drawn: dict[str, np.ndarray] = {}
    at = 0
    for label, members in _stages(transforms):
        width = sum(t.draws for t in members)
        numbers = [u[:, at : at + width] for u in uniform]
        if _moves(members[0]):
            numbers = [_warps(members, n, progress, size) for n in numbers]
        elif isinstance(members[0], Blur):
            numbers = [progress[:, None]] * len(numbers)
        drawn[label] = np.stack(numbers, axis=1).astype(np.float32)
        at += width
    return drawn


def apply(transforms: Sequence[Transform], pictures: Any, drawn: dict[str, Any]) -> Any:
    """Move and change each picture by its own draw.

    Parameters
    ----------
    transforms
        As they were given to `draw`.
    pictures
        ``(batch, height, width, channel)``.
    drawn
        What `draw` gave, at one step: ``(batch, ...)``.
    """
    for label, members in _stages(transforms):
        if _moves(members[0]):
            pictures = warp(pictures, drawn[label])
        else:
            change: Any = members[0]
            pictures = change.change(pictures, drawn[label])
    return pictures


def _moves(transform: Transform) -> bool:
    return isinstance(transform, Movement)


def _stages(transforms: Sequence[Transform]) -> list[tuple[str, list[Transform]]]:
    """Group neighbouring movements; each change stands alone."""
    groups: list[list[Transform]] = []
    for moves, together in groupby(transforms, key=_moves):
        members = list(together)
        groups.extend([members] if moves else [[member] for member in members])
    return [(f"stage{i}", members) for i, members in enumerate(groups)]


def _warps(movements: Sequence[Any], uniform: np.ndarray, progress: np.ndarray, size: Size) -> np.ndarray:
    matrix, at = np.tile(np.eye(3), (len(uniform), 1, 1)), 0
    for movement in movements:
        matrix = matrix @ movement.matrices(uniform[:, at : at + movement.draws], progress, size)
        at += movement.draws
    return matrix.reshape(-1, 9)[:, :8]


def _about_centre(zoom: np.ndarray, angle: np.ndarray, size: Size) -> np.ndarray:
    y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
    cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
    matrices = np.tile(np.eye(3), (len(angle), 1, 1))
    matrices[:, 0, 0], matrices[:, 0, 1] = cosine, -sine
    matrices[:, 1, 0], matrices[:, 1, 1] = sine, cosine
    matrices[:, 0, 2] = x - cosine * x + sine * y
    matrices[:, 1, 2] = y - sine * x - cosine * y
    return matrices
