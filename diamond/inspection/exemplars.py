"""The pictures of a data set that excite a channel most, and least.

    found = exemplars(net, "photos/", "block9_add", channels=[33, 71], top=8)
    found.images[0][:2], found.values[0][:2]
    found.save("exemplars.html")
    exemplars(net, "photos/", "block9_add", directions={"fur": fur}, top=8, least=4, resume="fur.npz")

A sprite is what a channel would like to see, and shows nothing that it does see; a data set answers that. Each picture
is read once, a batch at a time, and only the best of each channel are held, so a folder of any size will do; a search
that is told a file to keep its progress in goes on from there after a kill.

A picture's value is the highest of all its places (at the other end, the lowest); or, with ``cell=(row, column)``, the
value at that very cell: which pictures have it, too, where this one has it. Of each picture the *patch* is kept that the
cell sees (its receptive field, moved into the picture where it reaches beyond), which for deep layers is all of it.

Channels are one basis of what a layer says, and not a special one: ``directions=`` asks the same of any vector.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), figure 2, for patches of the
strongest activations; Szegedy et al., "Intriguing properties of neural networks" (ICLR 2014), section 3, for directions.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diamond.attribution.feeding import Given
from diamond.attribution.linear import contributions
from diamond.attribution.semantic import spatial_layer, upright
from diamond.attribution.streams import Batch, sources_of, stream
from diamond.inspection.exemplified import Exemplars
from diamond.inspection.extremes import Extremes
from diamond.inspection.receptive import sight_of
from diamond.inspection.search_progress import SearchProgress
from diamond.inspection.units import Units, read_place, read_units
from diamond.show.heat import visible
from modelzoo import Layer, Network
from spritemaps import Store, find

__all__ = ["Exemplars", "exemplars"]


def exemplars(
    net: Network,
    images: Any,
    layer: str | Layer,
    channels: Iterable[int] | int | None = None,
    *,
    directions: Any = None,
    cell: tuple[int, int] | None = None,
    top: int = 8,
    least: int = 0,
    batch: int = 16,
    progress: bool = True,
    resume: str | Path | None = None,
    given: Given | None = None,
    store: Store | str | Path | None = None,
) -> Exemplars:
    """Find the pictures that excite a layer's channels, or directions of its activations, most.

    Parameters
    ----------
    net
        The network.
    images
        A folder (with the folders in it), a list of paths, URLs or arrays, or any iterable of pictures or batches of
        them, of ``(pictures, labels)`` too, as a ``tf.data.Dataset`` gives; sounds for a sound network. Read once, a
        batch at a time.
    layer
        A layer or its address; ``"conv:linear"`` before the layer's own activation. A vector has one value a picture;
        of a layer with one or three axes of places they are counted through, as rows.
    channels
        Which of its channels; all by default.
    directions
        In place of channels: vectors ``(channel,)`` or ``(direction, channel)``, or a mapping of them by name. The value
        at a place is the dot product of its activations with the vector, made one long.
    cell
        ``(row, column)`` of the layer's grid, to compare the values at that cell alone.
    top
        How many pictures for each channel; fewer where there are fewer.
    least
        How many pictures for each channel at the other end, where its value is lowest.
    batch
        How many pictures at a time.
    progress
        Whether to show a progress bar, from 64 pictures on.
    resume
        A ``.npz`` file to keep the state of the search in, of a folder or a list of files: where it is there already,
        the search goes on from it, and where it is complete, nothing is read again.
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
        Where `top` is less than 1, no channel is asked about, or activations are NaN or infinite, naming the layer; for
        directions of another length, of zeros or not finite; for a file to resume from that is of another search.

    Warns
    -----
    UserWarning
        At the end, where files were skipped since they are no pictures: how many, and which.

    Examples
    --------
    >>> found = dc.exemplars(net, "photos/", "block9_add", [71, 25], top=3, least=1, progress=False)
    >>> found.images[0], found.values.round(1)[0]
    (('astronaut.jpg', 'temple.jpg', 'coffee.jpg'), array([20.4, 19.7, 16.2], dtype=float32))
    >>> found.least.images[0]
    ('cat.jpg',)
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more pictures")
    if least < 0:
        raise ValueError(f"least is {least}; expected 0 or more pictures")
    place = read_place(net, layer)
    units = read_units(place, channels, directions)
    if cell is not None and not place.is_spatial:
        spatial_layer(net, place)
    pair = partial(_pair, net, place, units, cell=cell, top=top, least=least)
    images = _pictures_alone(images)
    saved = None
    if resume is not None:
        asked = {"layer": place.name, "fingerprint": net.fingerprint(place), **units.asked}
        asked |= {"cell": None if cell is None else list(map(int, cell)), "top": top, "least": least}
        saved = SearchProgress(resume, asked=asked, names=_file_names(net, images))
    state = None if saved is None else saved.read()
    ends: list[Extremes] = []
    skipped: tuple[str, ...] = ()
    count, begin, inside = 0, 0, 0
    if state is not None:
        ends = pair(size=tuple(state["size"].tolist()), grid=tuple(state["grid"].tolist()))
        for number, end in enumerate(ends):
            end.restore({name.partition(" ")[2]: v for name, v in state.items() if name.startswith(f"{number} ")})
        count, begin, inside = int(state["count"]), int(state["place"]), int(state["inside"])
        skipped = tuple(state["skipped"].tolist())
    if state is None or not state["complete"]:
        reading = stream(net, images, given=given, batch=batch, progress=progress, begin=begin)
        before, last = skipped, (begin, inside)
        for part in reading:
            # The file at which the search was broken off may hold several patches of a sound, some of them seen.
            taken = min(int((part.places == begin).sum()), inside)
            inside -= taken
            if taken == len(part.pictures):
                continue
            grid = _answers(net, place, part)[taken:]
            ends = ends or pair(size=part.pictures.shape[1:3], grid=grid.shape[1:3])
            shown = _shown_of(part.pictures[taken:])
            for end in ends:
                end.add(units.of(grid), shown, part.names[taken:], before=count)
            count += len(grid)
            here = int((part.places[taken:] == part.places[-1]).sum())
            last = int(part.places[-1]), here + (last[1] if last[0] == part.places[-1] else 0)
            skipped = tuple(dict.fromkeys((*before, *reading.skipped)))
            if saved is not None:
                saved.write(_state(ends, last, count, skipped, complete=False))
        skipped = tuple(dict.fromkeys((*before, *reading.skipped)))
        if saved is not None:
            saved.write(_state(ends, last, count, skipped, complete=True), now=True)
    found = [_found(net, place, units, end, count, skipped, cell) for end in ends]
    sprites = find(net.fingerprint(place), store=store)
    return replace(found[0], sprites=sprites, least=replace(found[1], sprites=sprites) if least else None)


def _pair(
    net: Network,
    place: Layer,
    units: Units,
    *,
    cell: Any,
    top: int,
    least: int,
    size: tuple[int, int],
    grid: tuple[int, int],
) -> list[Extremes]:
    """Make what keeps the highest, and, where it was asked about, what keeps the lowest."""
    sight = sight_of(net, place, size=size, grid=grid)
    at = _checked_cell(place, cell, grid)
    ends = [Extremes(len(units.numbers), top, sight, cell=at)]
    return [*ends, Extremes(len(units.numbers), least, sight, cell=at, sign=-1)] if least else ends


def _answers(net: Network, place: Layer, part: Batch) -> np.ndarray:
    """Give ``(batch, cells high, cells wide, channel)``; of a layer without height and width all places in one column."""
    found = contributions(net, part.pictures, place, positive=None, given=part.given)
    grid = np.concatenate([each.activations for each in found])
    return grid.reshape(len(grid), -1, 1, grid.shape[-1]) if grid.ndim != 4 else upright(net, grid)


def _shown_of(pictures: np.ndarray) -> Any:
    """Give a function from a row to its picture as it is shown, each made once."""
    made: dict[int, np.ndarray] = {}

    def shown(row: int) -> np.ndarray:
        if row not in made:
            made[row] = np.rint(np.clip(visible(pictures[row]), 0, 1) * 255).astype(np.uint8)
        return made[row]

    return shown


def _state(
    ends: list[Extremes], last: tuple[int, int], count: int, skipped: tuple[str, ...], *, complete: bool
) -> dict[str, np.ndarray]:
    state = {f"{number} {name}": value for number, end in enumerate(ends) for name, value in end.state().items()}
    return state | {
        "size": np.array(ends[0].sight.size),
        "grid": np.array(ends[0].sight.grid),
        "count": np.array(count),
        "place": np.array(last[0]),
        "inside": np.array(last[1]),
        "skipped": np.array(skipped, str),
        "complete": np.array(complete),
    }


def _found(
    net: Network, place: Layer, units: Units, end: Extremes, count: int, skipped: tuple[str, ...], cell: Any
) -> Exemplars:
    full = slice(0, end.filled)
    return Exemplars(
        network=net.name,
        layer=place.name,
        channels=units.numbers,
        cell=None if cell is None else end.cell,
        values=end.values[:, full],
        indices=end.indices[:, full],
        images=tuple(tuple(map(str, row[full])) for row in end.names),
        places=end.places[:, full],
        patches=end.patches[:, full],
        marks=end.marks[:, full],
        windows=end.windows[:, full],
        crops=end.crops[:, full],
        count=count,
        skipped=skipped,
        directions=units.directions,
        labels=units.labels,
        end="most" if end.sign > 0 else "least",
    )


def _file_names(net: Network, images: Any) -> list[str]:
    paths = isinstance(images, str | Path) or (
        isinstance(images, list | tuple) and all(isinstance(image, str | Path) for image in images)
    )
    if not paths:
        raise ValueError(
            "resume goes on among files, which can be told apart by their names; expected a folder or a list of paths, "
            f"found {type(images).__name__}"
        )
    return [str(name) for name, _ in sources_of(net, images)[0]]


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
