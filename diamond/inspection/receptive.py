"""What a cell of a layer sees of a picture, to the pixel, cut out.

    >>> sight = sight_of(net, "block4_add", size=(224, 224), grid=(28, 28))
    >>> sight.window((3, 5))                                # rows from, columns from, rows to, columns to
    (0, 14, 65, 81)

The *window* is the receptive field, exactly, as far as it lies in the picture: no pixel outside it has a say in the cell.
The *crop* is what is shown: as large as the receptive field for every cell alike, so moved into the picture at its
edges, and never less than a few pixels. Where nobody knows what a cell sees (an operation of unknown reach), and where a
value has no place any more, both are all of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf
from PIL import Image

from modelzoo import Layer, Network
from modelzoo.geometry import AxisView, propagate
from modelzoo.graph import Shape

__all__ = ["Sight", "sight_of"]

Rectangle = tuple[int, int, int, int]
PATCH_PX = 112
# Of the shallowest layers a cell sees three pixels; a few more show what they are part of.
LEAST_SEEN_PX = 24


@dataclass(frozen=True)
class Sight:
    """What the cells of a layer see of pictures of one size.

    Attributes
    ----------
    size
        ``(height, width)`` of the pictures, in pixels.
    grid
        ``(cells high, cells wide)`` of the layer, lying as the pictures do.
    axes
        For height and width, what index 0 sees and how far the next one is; None where a cell sees all.
    flipped
        Whether pictures are shown upside down, as spectrograms are, whose first row is the lowest frequency.
    placed
        Whether cells lie on the picture at all; those of a layer with one or three axes of places do not.
    """

    size: tuple[int, int]
    grid: tuple[int, int]
    axes: tuple[AxisView, ...] | None
    flipped: bool = False
    placed: bool = True

    def window(self, cell: tuple[int, int]) -> Rectangle:
        """Give the receptive field of a cell within the picture as it is shown: top, left, bottom, right, in pixels."""
        ends = [self._window(axis, index) for axis, index in enumerate(cell)]
        return ends[0][0], ends[1][0], ends[0][1], ends[1][1]

    def crop(self, cell: tuple[int, int]) -> Rectangle:
        """Give the part of the picture that is shown for a cell: top, left, bottom, right, in pixels."""
        ends = [self._crop(axis, index) for axis, index in enumerate(cell)]
        return ends[0][0], ends[1][0], ends[0][1], ends[1][1]

    def mark(self, cell: tuple[int, int]) -> tuple[float, float]:
        """Say where in the crop the middle of the cell's sight lies, down and across, from 0 to 1."""
        if not self.placed:
            return 0.5, 0.5
        places = []
        for axis, index in enumerate(cell):
            first, end = self._crop(axis, index)
            places.append(min(max((self._centre(axis, index) - first) / (end - first), 0.0), 1.0))
        return places[0], places[1]

    def cut(self, shown: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
        """Cut a cell's crop out of ``(height, width, 3)`` uint8 as it is shown, the longer side scaled to `PATCH_PX`."""
        top, left, bottom, right = self.crop(cell)
        patch = shown[top:bottom, left:right]
        height, width = self.patch_size
        if patch.shape[:2] == (height, width):
            return patch
        smoothly = Image.Resampling.BICUBIC if height > patch.shape[0] else Image.Resampling.LANCZOS
        return np.asarray(Image.fromarray(patch).resize((width, height), smoothly))

    @cached_property
    def patch_size(self) -> tuple[int, int]:
        """``(height, width)`` of a patch as `cut` gives it."""
        height, width = self._length(0), self._length(1)
        factor = PATCH_PX / max(height, width)
        return max(1, round(height * factor)), max(1, round(width * factor))

    def _centre(self, axis: int, index: int) -> float:
        if self.axes is None:
            centre = (index + 0.5) * self.size[axis] / self.grid[axis]
        else:
            centre = self.axes[axis].start + index * self.axes[axis].stride + self.axes[axis].extent / 2
        return self.size[axis] - centre if self.flipped and axis == 0 else centre

    def _length(self, axis: int) -> int:
        if self.axes is None or not math.isfinite(self.axes[axis].extent):
            return self.size[axis]
        return min(self.size[axis], round(max(self.axes[axis].extent, LEAST_SEEN_PX)))

    def _crop(self, axis: int, index: int) -> tuple[int, int]:
        size, length = self.size[axis], self._length(axis)
        first = min(max(0, round(self._centre(axis, index) - length / 2)), size - length)
        return first, first + length

    def _window(self, axis: int, index: int) -> tuple[int, int]:
        size = self.size[axis]
        if self.axes is None or not math.isfinite(self.axes[axis].extent):
            return 0, size
        view = self.axes[axis].shifted(index)
        first, end = max(0, math.floor(view.start)), min(size, math.ceil(view.end))
        return (size - end, size - first) if self.flipped and axis == 0 else (first, end)


def sight_of(net: Network, layer: str | Layer, *, size: tuple[int, int], grid: tuple[int, int]) -> Sight:
    """Find out what the cells of a layer see.

    Parameters
    ----------
    net, layer
        The network, and a layer or its address.
    size
        ``(height, width)`` of the pictures, in pixels; of spectrograms ``(frequency, time)``.
    grid
        ``(cells high, cells wide)`` of the layer for such pictures.
    """
    node = net.node(layer)
    view = propagate(net.graph, _shapes_at(net, size))[node.index]
    axes = None if view is None or view.sees_all or len(view.axes) != 2 else view.axes
    if axes is not None and net.input.audio is not None and net.input.audio.time_first:
        axes = axes[::-1]
    placed = len(node.shape) in (2, 4)
    return Sight(size, grid, axes if placed else None, flipped=net.input.audio is not None, placed=placed)


def _shapes_at(net: Network, size: tuple[int, int]) -> Mapping[int, Shape]:
    """Give the shapes that the graph leaves open: "same" padding lies differently around pictures of another size."""
    nodes = [node for node in net.graph if not node.is_input]
    if len(net.graph.inputs) != 1 or not any(None in node.shape[1:] for node in nodes):
        return {}
    picture = tf.TensorSpec((None, *size, 1 if net.input.audio is not None else 3), tf.float32)
    traced = tf.function(lambda pictures: net.forward(pictures, nodes), autograph=False)
    shapes = traced.get_concrete_function(picture).structured_outputs
    found: dict[int, Shape] = {node.index: tuple(value.shape) for node, value in zip(nodes, shapes, strict=True)}
    [entry] = net.graph.inputs
    time_first = net.input.audio is not None and net.input.audio.time_first
    return found | {entry.node: (None, *(size[::-1] if time_first else size), net.input.channels)}
