"""The pictures of a data set that excite a channel most.

    >>> found = exemplars(net, "photos/", "block9_add", channels=[33, 71], top=8)
    >>> found.images[0][:2], found.values[0][:2]
    (('cat.12.jpg', 'cat.7.jpg'), array([21.8, 20.3], dtype=float32))
    >>> found.save("exemplars.html")

A sprite is what a channel would like to see, and shows nothing that it does see; a data set answers that. Each picture
is read once, a batch at a time, and only the best of each channel are held, so a folder of any size will do.

A picture's value is the highest of all its places; or, with ``cell=(row, column)``, the value at that very cell: which
pictures have it, too, where this one has it. Of each picture the *patch* is kept that the cell sees (its receptive
field, moved into the picture where it reaches beyond), which for deep layers is all of it; a ring marks the place.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), figure 2, for patches of the
strongest activations.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from diamond.attribution.feeding import Given
from diamond.attribution.linear import contributions
from diamond.attribution.semantic import spatial_layer, upright
from diamond.attribution.streams import stream
from diamond.show.heat import visible
from diamond.show.result import Result
from modelzoo import Layer, Network
from modelzoo.geometry import AxisView, propagate
from spritemaps import Spritemap, Store, StoreError, find
from spritemaps.companions import Companions, keep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Exemplars", "exemplars"]

PATCH_PX = 112
# Of the shallowest layers a cell sees three pixels; a few more show what they are part of.
LEAST_SEEN_PX = 24


@dataclass(frozen=True, eq=False)
class Exemplars(Result):
    """The pictures that excite channels most, the strongest first.

    Attributes
    ----------
    network, layer
        Which network, which layer.
    channels
        ``(channel,)`` channel numbers.
    cell
        ``(row, column)`` where a certain cell was asked about; None for the highest of all.
    values
        ``(channel, top)`` activations, falling along each row.
    indices
        ``(channel, top)`` which picture, counted from 0 in the order they were read.
    images
        ``(channel, top)`` its name.
    places
        ``(channel, top, 2)`` row and column of the cell.
    patches
        uint8 ``(channel, top, height, width, 3)`` what the cell sees of the picture.
    marks
        ``(channel, top, 2)`` where in the patch the cell lies, down and across, from 0 to 1.
    count
        How many pictures were looked at.
    skipped
        Name and reason of each file that gave no picture.
    sprites
        The layer's spritemap, or None where no store has one.
    """

    network: str
    layer: str
    channels: np.ndarray
    cell: tuple[int, int] | None
    values: np.ndarray
    indices: np.ndarray
    images: tuple[tuple[str, ...], ...]
    places: np.ndarray
    patches: np.ndarray = field(repr=False)
    marks: np.ndarray = field(repr=False)
    count: int = 0
    skipped: tuple[str, ...] = ()
    sprites: Spritemap | None = field(repr=False, default=None)

    @property
    def question(self) -> str:
        """What was looked for, in words."""
        return "anywhere" if self.cell is None else f"at row {self.cell[0]}, column {self.cell[1]}"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a channel and picture: channel, rank, image, index, activation, row, column."""
        import pandas as pd

        n, top = self.values.shape
        return pd.DataFrame(
            {
                "channel": np.repeat(self.channels, top),
                "rank": np.tile(np.arange(1, top + 1), n),
                "image": [name for names in self.images for name in names],
                "index": self.indices.ravel(),
                "activation": self.values.ravel(),
                "row": self.places[..., 0].ravel(),
                "column": self.places[..., 1].ravel(),
            }
        )

    def keep(self) -> Companions:
        """Keep the patches beside the layer's sprites, in whose site they are shown (``diamond site``).

        Raises
        ------
        StoreError
            Where no store has sprites of the layer, or theirs cannot be written.
        """
        if self.sprites is None:
            raise StoreError(
                f"no store has sprites of {self.layer!r} to keep pictures beside: dc.spritemap(net, {self.layer!r}) "
                "renders them"
            )
        numbers = [int(channel) for channel in self.channels]
        words = {
            channel: [f"{name}, {value:.3g}" for name, value in zip(names, values, strict=True)]
            for channel, names, values in zip(numbers, self.images, self.values, strict=True)
        }
        patches = {channel: _squared(rows) for channel, rows in zip(numbers, self.patches, strict=True)}
        return keep(self.sprites.folder, "exemplars", patches, words)

    def plot(self) -> Figure:
        """Draw a row a channel: its sprite, then the patches; the first dozen channels."""
        from diamond.show.exemplars import exemplar_figure

        return exemplar_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in ("channels", "values", "indices", "places", "patches", "marks")}

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: what excites its channels most {self.question}"

    def __repr__(self) -> str:
        left = f", {len(self.skipped)} skipped" if self.skipped else ""
        return f"{self}: {len(self.channels)} channels, {self.values.shape[1]} of {self.count:,} pictures each{left}"

    def _page(self) -> str:
        from diamond.show.exemplars import exemplar_page

        return exemplar_page(self)


def exemplars(
    net: Network,
    images: Any,
    layer: str | Layer,
    channels: Iterable[int] | int | None = None,
    *,
    cell: tuple[int, int] | None = None,
    top: int = 8,
    batch: int = 16,
    progress: bool = True,
    given: Given | None = None,
    store: Store | str | Path | None = None,
) -> Exemplars:
    """Find the pictures that excite a layer's channels most.

    Parameters
    ----------
    net
        The network.
    images
        A folder (with the folders in it), a list of paths, URLs or arrays, or any iterable of pictures or batches of
        them, of ``(pictures, labels)`` too, as a ``tf.data.Dataset`` gives; sounds for a sound network. Read once, a
        batch at a time.
    layer
        A layer or its address. One without height and width has one value a picture.
    channels
        Which of its channels; all by default.
    cell
        ``(row, column)`` of the layer's grid, to compare the values at that cell alone.
    top
        How many pictures for each channel; fewer where there are fewer.
    batch
        How many pictures at a time.
    progress
        Whether to show a progress bar, from 64 pictures on.
    given
        Values of the network's other inputs by address, where it has several: one row, or one for each picture.
    store
        Where to look first for the layer's spritemap.

    Returns
    -------
    Exemplars

    Raises
    ------
    UnknownLayerError, PictureError, FileNotFoundError
        For a layer that is not there, naming the nearest, and where nothing can be read.
    GraphError
        For a cell of a layer without height and width, and for inputs that are not filled.
    IndexError
        For a channel or a cell that the layer does not have.
    ValueError
        Where `top` is less than 1, no channel is asked about, or activations are NaN or infinite, naming the layer.

    Warns
    -----
    UserWarning
        At the end, where files were skipped since they are no pictures: how many, and which.
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more pictures")
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    wanted = _channels(place, channels)
    if cell is not None:
        place = spatial_layer(net, place)
    view = propagate(net.graph)[net.node(place).index]
    axes = None if view is None or view.sees_all or len(view.axes) != 2 else view.axes
    if axes is not None and net.input.audio is not None and net.input.audio.time_first:
        axes = axes[::-1]
    best: _Best | None = None
    names: list[str] = []
    reading = stream(net, _pictures_alone(images), given=given, batch=batch, progress=progress)
    for part in reading:
        found = contributions(net, part.pictures, place, positive=None, given=part.given)
        grid = np.concatenate([each.activations for each in found])
        grid = grid.reshape(len(grid), 1, 1, -1) if grid.ndim != 4 else upright(net, grid)
        best = best or _Best(wanted, top, _checked_cell(place, cell, grid.shape[1:3]), grid.shape[1:3], axes)
        best.add(grid, part.pictures, len(names))
        names.extend(part.names)
    assert best is not None
    top = min(top, len(names))
    return Exemplars(
        network=net.name,
        layer=place.name,
        channels=wanted,
        cell=best.cell,
        values=best.values[:, :top],
        indices=best.indices[:, :top],
        images=tuple(tuple(names[i] for i in row[:top]) for row in best.indices),
        places=np.stack(np.divmod(best.cells[:, :top], best.grid[1]), axis=-1),
        patches=best.patches[:, :top],
        marks=best.marks[:, :top],
        count=len(names),
        skipped=reading.skipped,
        sprites=find(net.fingerprint(place), store=store),
    )


class _Best:
    """The best pictures of each channel so far."""

    def __init__(
        self,
        channels: np.ndarray,
        top: int,
        cell: tuple[int, int] | None,
        grid: tuple[int, int],
        axes: Sequence[AxisView] | None,
    ) -> None:
        shape = (len(channels), top)
        self.channels, self.cell, self.grid, self.axes = channels, cell, grid, axes
        self.values = np.full(shape, -np.inf, np.float32)
        self.indices = np.zeros(shape, np.int64)
        self.cells = np.zeros(shape, np.int64)
        self.marks = np.zeros((*shape, 2), np.float32)
        self.patches = np.zeros((*shape, 1, 1, 3), np.uint8)

    def add(self, activations: np.ndarray, pictures: np.ndarray, before: int) -> None:
        """Take in ``(batch, cells high, cells wide, channel)`` of ``(batch, height, width, 3)``, the first as `before`."""
        n = len(activations)
        flat = activations[..., self.channels].reshape(n, -1, len(self.channels))
        if self.cell is None:
            cells = flat.argmax(axis=1)
        else:
            cells = np.full((n, len(self.channels)), self.cell[0] * self.grid[1] + self.cell[1])
        values = np.take_along_axis(flat, cells[:, None], axis=1)[:, 0]
        shown: dict[int, np.ndarray] = {}
        for i in np.flatnonzero((values > self.values[:, -1]).any(axis=0)):
            together = np.concatenate([self.values[i], values[:, i]])
            # A stable order: of two pictures that are alike the one that was read first stays first.
            order = np.argsort(-together, kind="stable")[: self.values.shape[1]]
            order = order[np.isfinite(together[order])]
            patches, marks = [], []
            for which in order:
                k = int(which) - self.values.shape[1]
                if k < 0:
                    patches.append(self.patches[i, which].copy())
                    marks.append(self.marks[i, which].copy())
                    continue
                if k not in shown:
                    shown[k] = _levels(pictures[k])
                patch, mark = self._cut(shown[k], int(cells[k, i]), flipped=pictures.shape[-1] == 1)
                patches.append(patch)
                marks.append(mark)
            if self.patches.shape[2:] != patches[0].shape:
                self.patches = np.zeros((*self.patches.shape[:2], *patches[0].shape), np.uint8)
            filled = slice(0, len(order))
            self.values[i, filled] = together[order]
            self.indices[i, filled] = np.concatenate([self.indices[i], before + np.arange(n)])[order]
            self.cells[i, filled] = np.concatenate([self.cells[i], cells[:, i]])[order]
            self.patches[i, filled] = patches
            self.marks[i, filled] = marks

    def _cut(self, picture: np.ndarray, cell: int, *, flipped: bool) -> tuple[np.ndarray, np.ndarray]:
        """Give what a cell sees of ``(height, width, 3)``, and where in it the cell lies."""
        begin, end, mark = [], [], []
        for axis, place in enumerate(divmod(cell, self.grid[1])):
            size = picture.shape[axis]
            if self.axes is None:
                centre, extent = (place + 0.5) * size / self.grid[axis], float(size)
            else:
                centre = self.axes[axis].start + place * self.axes[axis].stride + self.axes[axis].extent / 2
                extent = max(self.axes[axis].extent, LEAST_SEEN_PX)
            if flipped and axis == 0:
                centre = size - centre
            length = min(size, round(extent)) if np.isfinite(extent) else size
            first = min(max(0, round(centre - length / 2)), size - length)
            begin.append(first)
            end.append(first + length)
            mark.append(min(max((centre - first) / length, 0.0), 1.0))
        patch = picture[begin[0] : end[0], begin[1] : end[1]]
        factor = PATCH_PX / max(patch.shape[:2])
        size_px = max(1, round(patch.shape[1] * factor)), max(1, round(patch.shape[0] * factor))
        smoothly = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.LANCZOS
        return np.asarray(Image.fromarray(patch).resize(size_px, smoothly)), np.array(mark, np.float32)


def _squared(patches: np.ndarray) -> np.ndarray:
    """Lay patches ``(n, height, width, 3)`` into the middle of grey squares."""
    n, height, width, _ = patches.shape
    side = max(height, width)
    squares = np.full((n, side, side, 3), 128, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    squares[:, top : top + height, left : left + width] = patches
    return squares


def _levels(picture: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.rint(np.clip(visible(picture), 0, 1) * 255).astype(np.uint8)
    return levels


def _channels(place: Layer, channels: Iterable[int] | int | None) -> np.ndarray:
    if channels is None:
        return np.arange(place.channels)
    numbers = [channels] if isinstance(channels, int | np.integer) else list(channels)
    if not numbers:
        raise ValueError(f"no channel of {place.name!r} is asked about; leave channels out to ask about all")
    wanted = np.array([operator.index(number) for number in numbers])
    bad = [number for number in numbers if not 0 <= number < place.channels]
    if bad:
        raise IndexError(f"channel {bad[0]} is out of range: {place.name!r} has channels 0 to {place.channels - 1}")
    return wanted


def _checked_cell(place: Layer, cell: Any, grid: tuple[int, int]) -> tuple[int, int] | None:
    if cell is None:
        return None
    row, column = (operator.index(number) for number in cell)
    if not (0 <= row < grid[0] and 0 <= column < grid[1]):
        raise IndexError(
            f"cell ({row}, {column}) is out of range: {place.name!r} has rows 0 to {grid[0] - 1} and columns 0 to "
            f"{grid[1] - 1}"
        )
    return row, column


def _pictures_alone(images: Any) -> Any:
    """Leave the labels of a data set's ``(pictures, labels)`` out."""
    one = isinstance(images, str | Path | list | tuple | Image.Image | np.ndarray) or not isinstance(images, Iterable)
    if one or hasattr(images, "__array__"):
        return images
    return _first_of_each(images)


def _first_of_each(images: Iterable[Any]) -> Iterator[Any]:
    for element in images:
        yield element[0] if isinstance(element, tuple) else element
