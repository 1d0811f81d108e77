"""Where a picture is covered, one window after the other.

    >>> windows = grid((224, 224), 32, 16)                       # 32 x 32 px, every 16 px
    >>> len(windows), windows.boxes[-1]
    (169, array([192, 192, 224, 224], dtype=int32))
    >>> np.asarray(windows.masks([0])).shape
    (1, 224, 224)

Windows start at 0, one stride, two strides ... along each axis, ceil((size - window) / stride) + 1 of them, the last cut
at the edge: so every pixel is covered, whatever the stride, as in captum's ``Occlusion``. Where the last window is left
out instead, the right and lower border of every map stays empty.

A window is a rectangle or a *disc* that fills it; or one of the areas of a *label picture* (superpixels, or those of
somebody's own); or a *mask* given as it is, from 0 to 1. Masks are built on the device from a few numbers a window: ten
thousand of them take no more memory than the batch at hand.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

__all__ = ["SHAPES", "Windows", "areas", "given_masks", "grid", "masks_of", "superpixels"]

SHAPES = ("rectangle", "disc")


@dataclass(frozen=True, eq=False)
class Windows:
    """Places in a picture.

    Attributes
    ----------
    size
        Height and width of the picture in pixels.
    boxes
        ``(n, 4)`` int32: top, left, bottom, right (the first row and column outside); a window lies inside its box.
    shape
        ``"rectangle"``, ``"disc"``, ``"area"`` or ``"mask"``.
    window, stride
        Height and width of a window, and the steps down and across; None where the windows are no grid.
    """

    size: tuple[int, int]
    boxes: np.ndarray
    shape: str = "rectangle"
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    _rows: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    _whole: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.boxes)

    def parts(self, rows: Any) -> dict[str, Any]:
        """Give all that `masks_of` needs for some windows, as tensors: a compiled function may take them.

        Parameters
        ----------
        rows
            ``(k,)`` numbers of windows; an array, or a tensor, also inside a compiled function.
        """
        each = {"boxes": self.boxes, **self._rows}
        whole = {name: tf.constant(value) for name, value in self._whole.items()}
        return {name: _taken(value, rows) for name, value in each.items()} | whole

    def only(self, rows: np.ndarray) -> Windows:
        """Keep some of them, ``(k,)`` numbers, in that order."""
        kept = {name: value[rows] for name, value in self._rows.items()}
        return replace(self, boxes=self.boxes[rows], _rows=kept)

    def masks(self, rows: Any) -> Any:
        """Give ``(k, height, width)`` float32 from 0 to 1: how much of each pixel each window covers."""
        return masks_of(self.parts(rows), self.size)


def grid(
    size: tuple[int, int], window: int | tuple[int, int], stride: int | tuple[int, int], shape: str = "rectangle"
) -> Windows:
    """Lay windows over a picture, the last of each row and column cut at the edge.

    Parameters
    ----------
    size
        Height and width of the picture in pixels.
    window, stride
        Height and width of a window, and the steps down and across, in pixels; one number for both.
    shape
        ``"rectangle"``, or ``"disc"``: the ellipse that fills it.

    Raises
    ------
    ValueError
        For windows that are larger than the picture, a window or stride below 1, and another shape.
    """
    if shape not in SHAPES:
        raise ValueError(f"shape is {shape!r}; expected 'rectangle', 'disc', 'superpixels', or an array of masks")
    height, width = _pair(window, "window")
    down, across = _pair(stride, "stride")
    if height > size[0] or width > size[1]:
        raise ValueError(
            f"the window is {height} x {width} and the picture {size[0]} x {size[1]} (height x width, in pixels); "
            f"expected at most {min(height, size[0])} x {min(width, size[1])}"
        )
    tops, lefts = _starts(size[0], height, down), _starts(size[1], width, across)
    top, left = (each.ravel() for each in np.meshgrid(tops, lefts, indexing="ij"))
    boxes = np.stack([top, left, np.minimum(top + height, size[0]), np.minimum(left + width, size[1])], axis=1)
    rows = {}
    if shape == "disc":
        # The centre of the whole window, also where the picture ends before it.
        centres = np.stack([top + (height - 1) / 2, left + (width - 1) / 2], axis=1)
        rows["discs"] = np.hstack([centres, np.full_like(centres, (height / 2, width / 2))]).astype(np.float32)
    return Windows(size, boxes.astype(np.int32), shape, (height, width), (down, across), rows)


def areas(labels: Any, size: tuple[int, int]) -> Windows:
    """Make each area of a label picture a window.

    Parameters
    ----------
    labels
        ``(height, width)`` integers; pixels of the same number are one window, in the order of the numbers.
    size
        Height and width of the picture in pixels.

    Raises
    ------
    ValueError
        For another size, and for labels that are no whole numbers.
    """
    values = np.asarray(labels)
    if values.shape != size or values.dtype.kind not in "iub":
        raise ValueError(
            f"the areas have the shape {values.shape} and the type {values.dtype}; expected whole numbers, {size}"
        )
    found, numbered = np.unique(values, return_inverse=True)
    numbered = numbered.reshape(size).astype(np.int32)
    numbers = np.arange(len(found), dtype=np.int32)
    boxes = np.array([_box(numbered == number) for number in numbers], np.int32)
    return Windows(size, boxes, "area", _rows={"numbers": numbers}, _whole={"labels": numbered})


def superpixels(picture: np.ndarray, count: int = 60, *, compactness: float = 10.0) -> Windows:
    """Cut a picture into areas of like colour that follow its edges, and make each a window.

    SLIC: Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods" (PAMI 2012), as
    scikit-image has it.

    Parameters
    ----------
    picture
        ``(height, width, channels)`` in [0, 1].
    count
        About how many; fewer where the picture is so small that they would be less than 4 x 4 px.
    compactness
        How round they are: more follows the edges less.

    Raises
    ------
    ValueError
        For fewer than 2, and where all of the picture is one area.
    """
    from skimage.segmentation import slic

    height, width, channels = picture.shape
    if count < 2:
        raise ValueError(f"count is {count}; expected 2 or more areas")
    colours = picture if channels == 3 else picture.mean(axis=-1)
    labels = slic(
        colours,
        n_segments=min(count, max(2, height * width // 16)),
        compactness=compactness,
        start_label=0,
        channel_axis=-1 if channels == 3 else None,
    )
    found = areas(labels, (height, width))
    if len(found) < 2:
        raise ValueError(
            "all of the picture is one superpixel: it has one colour or few pixels; expected windows, or masks"
        )
    return found


def given_masks(masks: Any, size: tuple[int, int]) -> Windows:
    """Take masks as they are.

    Parameters
    ----------
    masks
        ``(n, height, width)`` from 0 (left as it is) to 1 (covered), or of truth values.
    size
        Height and width of the picture in pixels.

    Raises
    ------
    ValueError
        For another shape, values outside 0 to 1, and masks that cover nothing.
    """
    values = np.asarray(masks).astype(np.float32)
    if values.ndim != 3 or values.shape[1:] != size or not len(values):
        raise ValueError(f"the masks have the shape {values.shape}; expected (n, {size[0]}, {size[1]}), n from 1")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise ValueError(f"the masks run from {values.min():g} to {values.max():g}; expected 0 to 1")
    empty = np.flatnonzero(~values.any(axis=(1, 2)))
    if len(empty):
        raise ValueError(f"mask {empty[0]} covers nothing; expected at least one pixel above 0 in each")
    boxes = np.array([_box(mask > 0) for mask in values], np.int32)
    return Windows(size, boxes, "mask", _rows={"given": values})


def masks_of(parts: Mapping[str, Any], size: tuple[int, int]) -> Any:
    """Build the masks of some windows from what `Windows.parts` gives: ``(k, height, width)`` float32."""
    if "given" in parts:
        return parts["given"]
    if "labels" in parts:
        return tf.cast(parts["labels"][None] == parts["numbers"][:, None, None], tf.float32)
    top, left, bottom, right = (edge[:, None] for edge in tf.unstack(parts["boxes"], axis=1))
    row, column = tf.range(size[0])[None], tf.range(size[1])[None]
    rows, columns = (row >= top) & (row < bottom), (column >= left) & (column < right)
    inside = rows[:, :, None] & columns[:, None, :]
    if "discs" in parts:
        y, x, high, wide = (value[:, None] for value in tf.unstack(parts["discs"], axis=1))
        down = ((tf.cast(row, tf.float32) - y) / high) ** 2
        across = ((tf.cast(column, tf.float32) - x) / wide) ** 2
        inside &= down[:, :, None] + across[:, None, :] <= 1.0
    return tf.cast(inside, tf.float32)


def _starts(size: int, window: int, stride: int) -> np.ndarray:
    starts = np.arange(-(-(size - window) // stride) + 1) * stride
    # A stride beyond the window can step over the edge.
    return starts[starts < size]


def _pair(value: int | tuple[int, int], name: str) -> tuple[int, int]:
    try:
        first, second = value if isinstance(value, tuple | list) else (value, value)
        pair = operator.index(first), operator.index(second)
    except (TypeError, ValueError):
        raise ValueError(f"the {name} is {value!r}; expected pixels, one whole number or (down, across)") from None
    if min(pair) < 1:
        raise ValueError(f"the {name} is {value!r}; expected 1 pixel or more")
    return pair


def _box(covered: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _taken(values: np.ndarray, rows: Any) -> Any:
    if tf.is_tensor(rows) and not hasattr(rows, "numpy"):
        return tf.gather(values, rows)
    return tf.constant(values[np.asarray(rows)])
