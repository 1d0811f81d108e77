"""The covered pictures of one picture, built on the device.

    >>> from diamond.occlusion.windows import grid
    >>> cover = Cover.of(net.read("cat.jpg")[0], grid((224, 224), 32, 16), np.zeros(3))
    >>> cover.pictures([0, 1, 2]).shape                            # the first three windows covered in black
    TensorShape([3, 224, 224, 3])

A window of mask m over a picture x with the fill b gives ``x (1 - m) + b m``. One fill serves all windows, or the
covered pixels are made up from those around the window's box. Only numbers of windows go to the device: 40,000 covered
pictures of VGG16's size would be 24 GB.

With `outside` everything but the window is covered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.occlusion.windows import Windows, masks_of

__all__ = ["Cover", "covered"]


@dataclass(frozen=True, eq=False)
class Cover:
    """A picture and the windows that cover it.

    Attributes
    ----------
    picture
        ``(height, width, channels)`` float32, in [0, 1] as the network takes it before its preprocessing.
    windows
        Where it is covered.
    fill
        ``(height, width, channels)`` float32 what stands there; None where it is made up from what is around each box.
    outside
        Whether all but the window is covered.
    """

    picture: np.ndarray = field(repr=False)
    windows: Windows
    fill: np.ndarray | None = field(repr=False)
    outside: bool = False

    @classmethod
    def of(cls, picture: np.ndarray, windows: Windows, fill: np.ndarray | None, *, outside: bool = False) -> Cover:
        """Join them; a fill may be one number, one a channel, or a whole picture.

        Raises
        ------
        ValueError
            Where shapes do not fit, and where what is outside a window should be made up from what is around it.
        """
        if picture.ndim != 3 or picture.shape[:2] != windows.size:
            raise ValueError(f"the picture has the shape {picture.shape}, the windows are of {windows.size}")
        if fill is None:
            if outside:
                raise ValueError("nothing is around what is kept, so the rest cannot be inpainted; choose another fill")
            return cls(picture, windows, None)
        try:
            whole = np.broadcast_to(np.asarray(fill, np.float32), picture.shape)
        except ValueError:
            found = np.shape(fill)
            raise ValueError(f"the fill has the shape {found}; expected one that fits {picture.shape}") from None
        return cls(picture, windows, np.ascontiguousarray(whole), outside)

    @cached_property
    def boxes(self) -> np.ndarray:
        """``(n, 4)`` int32 top, left, bottom, right: all that window i changes lies inside box i."""
        if self.outside:
            return np.tile(np.array([0, 0, *self.windows.size], np.int32), (len(self), 1))
        return self.windows.boxes

    def __len__(self) -> int:
        return len(self.windows)

    def parts(self, rows: Any) -> dict[str, Any]:
        """Give all that `covered` needs for some windows, as tensors: a compiled function may take them.

        Parameters
        ----------
        rows
            ``(k,)`` numbers of windows.
        """
        fixed = {"picture": tf.constant(self.picture)}
        if self.fill is not None:
            fixed["fill"] = tf.constant(self.fill)
        if self.outside:
            fixed["outside"] = tf.constant(1.0)
        return self.windows.parts(rows) | fixed

    def masks(self, rows: Any) -> Any:
        """Give ``(k, height, width)`` float32 from 0 to 1: how much of each pixel is covered."""
        masks = self.windows.masks(rows)
        return 1.0 - masks if self.outside else masks

    def pictures(self, rows: Any) -> Any:
        """Give ``(k, height, width, channels)`` float32: the picture with each of some windows covered.

        Parameters
        ----------
        rows
            ``(k,)`` numbers of windows; an array, or a tensor, also inside a compiled function.
        """
        return covered(self.parts(rows))


def covered(parts: Mapping[str, Any]) -> Any:
    """Build covered pictures from what `Cover.parts` gives: ``(k, height, width, channels)`` float32.

    A compiled function that takes the parts serves every picture of its size; one that builds a `Cover` in would be
    compiled anew for each.
    """
    picture = parts["picture"]
    masks = masks_of(parts, (picture.shape[0], picture.shape[1]))[..., None]
    if "outside" in parts:
        masks = 1.0 - masks
    fill = parts["fill"][None] if "fill" in parts else _from_around(picture, parts["boxes"])
    return picture[None] * (1.0 - masks) + fill * masks


def _from_around(picture: Any, boxes: Any) -> Any:
    """Fill each box from the pixels next to it, left, right, above and below, the nearer the more: ``(k, h, w, c)``.

    Beside the edge of the picture there is none on that side; where a box is the whole picture, the picture's mean.
    """
    height, width = picture.shape[0], picture.shape[1]
    top, left, bottom, right = tf.unstack(boxes, axis=1)
    row, column = tf.range(height)[None], tf.range(width)[None]

    def nearness(steps: Any, there: Any) -> Any:
        inside = (steps > 0) & there[:, None]
        return tf.where(inside, 1.0 / tf.cast(tf.maximum(steps, 1), tf.float32), 0.0)

    sides = (
        (tf.gather(picture, tf.maximum(left - 1, 0), axis=1), nearness(column - left[:, None] + 1, left > 0), 2),
        (tf.gather(picture, tf.minimum(right, width - 1), axis=1), nearness(right[:, None] - column, right < width), 2),
        (tf.gather(picture, tf.maximum(top - 1, 0), axis=0), nearness(row - top[:, None] + 1, top > 0), 1),
        (
            tf.gather(picture, tf.minimum(bottom, height - 1), axis=0),
            nearness(bottom[:, None] - row, bottom < height),
            1,
        ),
    )
    total, weights = 0.0, 0.0
    for values, near, axis in sides:
        # Columns were gathered as (height, k, channels), rows as (k, width, channels).
        each = tf.transpose(values, (1, 0, 2))[:, :, None] if axis == 2 else values[:, None]
        weight = near[:, None, :, None] if axis == 2 else near[:, :, None, None]
        total, weights = total + each * weight, weights + weight
    return tf.where(weights > 0, total / tf.maximum(weights, 1e-12), tf.reduce_mean(picture, axis=(0, 1)))
