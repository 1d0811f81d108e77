"""Pictures from anywhere, a batch at a time, so that thousands of them need the memory of a few.

    >>> reading = stream(net, "photos/")                    # a folder, with the folders in it
    >>> for batch in reading:
    ...     print(batch.pictures.shape, batch.names[0])
    (8, 224, 224, 3) astronaut.jpg
    >>> reading.skipped
    ()

Sources are *read* in their order. A file that gives no picture, among others that do, is skipped, and told at the end;
a path that does not exist, or an array of wrong values, is a mistake in the call and raises at once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from diamond.attribution.feeding import Given, picture_input, rows_of
from modelzoo import GraphError, Network
from modelzoo.inputs.pictures import PictureError
from modelzoo.inputs.pictures import images as read_images
from modelzoo.inputs.sounds import SoundError, is_sound

__all__ = ["SOUND_SUFFIXES", "Batch", "Stream", "sources_of", "stream"]

BATCH = 16
FEWEST_WITH_BAR = 64
MOST_TOLD = 3
SOUND_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".au"}


@dataclass(frozen=True, eq=False)
class Batch:
    """Some pictures.

    Attributes
    ----------
    pictures
        ``(n, height, width, 3)`` float32 in [0, 1] of the network's size; of sounds ``(n, frequency, time, 1)``.
    names
        A word for each: the file's name (below the folder that was given), or its number.
    given
        ``(n, ...)`` or ``(1, ...)`` values of the network's other inputs that go with these pictures, by address.
    places
        ``(n,)`` number of the source that each is from; the patches of a sound are from one.
    """

    pictures: np.ndarray
    names: tuple[str, ...]
    given: dict[str, np.ndarray]
    places: np.ndarray


@dataclass(eq=False)
class Stream:
    """Pictures to be read; iterate over it once.

    Attributes
    ----------
    count
        How many sources there are; None where only the end will tell.
    skipped
        What was left out so far: a name and the reason, for each.
    """

    _net: Network
    _sources: Iterator[tuple[str | None, Any]]
    count: int | None
    _size: tuple[int, int] | None
    _given: Given | None
    _batch: int
    _progress: bool
    _tell: bool
    _begin: int = 0
    _skipped: list[str] = field(default_factory=list)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Name and reason of each file that gave no picture."""
        return tuple(self._skipped)

    def __iter__(self) -> Iterator[Batch]:
        waiting: list[tuple[np.ndarray, str, int]] = []
        first: tuple[str, tuple[int, ...]] | None = None
        for row in self._rows():
            first = first or (row[1], row[0].shape)
            if row[0].shape != first[1]:
                raise PictureError(_mixed(self._net, first, (row[1], row[0].shape)))
            waiting.append(row)
            if len(waiting) == self._batch:
                yield self._joined(waiting)
                waiting = []
        if waiting:
            yield self._joined(waiting)
        if first is None:
            begin = f"no {self._noun} was given" if not self._skipped else f"none of {len(self._skipped)} could be read"
            raise PictureError("; ".join([begin, *self._skipped[:MOST_TOLD]]))
        if self._skipped and self._tell:
            told = "; ".join(self._skipped[:MOST_TOLD])
            more = len(self._skipped) - MOST_TOLD
            rest = f"; and {more} more" if more > 0 else ""
            of = "" if self.count is None else f" of {self.count:,}"
            warnings.warn(f"skipped {len(self._skipped)}{of} {self._noun}s: {told}{rest}", UserWarning, stacklevel=3)

    def _joined(self, rows: list[tuple[np.ndarray, str, int]]) -> Batch:
        pictures, names, places = zip(*rows, strict=True)
        # By the place of its source: a file that was skipped takes its row with it.
        numbers = np.array(places)
        return Batch(np.stack(pictures), tuple(names), rows_of(self._given, numbers), numbers)

    def _rows(self) -> Iterator[tuple[np.ndarray, str, int]]:
        numbered = 0
        hidden = not self._progress or (self.count is not None and self.count < FEWEST_WITH_BAR)
        with tqdm(total=self.count, unit="picture", disable=hidden, leave=False) as bar:
            for place, (name, source) in enumerate(self._sources):
                bar.update()
                if place < self._begin:
                    numbered += 1
                    continue
                try:
                    pictures, owners, times = self._read(source)
                except (PictureError, SoundError) as error:
                    if name is None:
                        raise type(error)(
                            str(error) if self.count == 1 else f"{self._noun} {place}: {error}"
                        ) from error
                    if self.count == 1:
                        raise
                    self._skipped.append(f"{name}: {str(error).removeprefix(f'{source}: ')}")
                    continue
                for picture, owner, time in zip(pictures, owners, times, strict=True):
                    yield picture, (name or f"{self._noun} {numbered + owner}") + time, place
                numbered += int(owners[-1]) + 1

    @property
    def _noun(self) -> str:
        return "picture" if self._net.card.input.audio is None else "sound"

    def _read(self, source: Any) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Give pictures, which one of the source each is (the patches of a sound are of one), and words on the time."""
        if self._net.card.input.audio is not None:
            patches = self._net.patches(source)
            return patches.values, patches.owner, [f" {start:.2f} s" for start in patches.start_s]
        if self._size is not None:
            pictures = read_images(source, size=self._size, crop=self._net.card.input.crop)
        else:
            pictures = self._net.read(source)
        return pictures, np.arange(len(pictures)), [""] * len(pictures)


def stream(
    net: Network,
    images: Any,
    *,
    given: Given | None = None,
    batch: int = BATCH,
    progress: bool = True,
    tell: bool = True,
    begin: int = 0,
) -> Stream:
    """Read pictures for a network, some at a time.

    Parameters
    ----------
    net
        The network: it says the size, and whether it takes pictures or sounds.
    images
        A path, address, array or PIL image, a batch of arrays, a folder (searched with all folders in it, in the order
        of the names), a list of any of those, or any other iterable of them, which is read as it goes. For a sound
        network the same of sounds.
    given
        Values of the network's other inputs by address, where it has several: one row, or one for each source. The
        pictures then fit the input that is left.
    batch
        How many pictures at a time.
    progress
        Whether to show a progress bar, from 64 sources on.
    tell
        Whether to warn of what was skipped.
    begin
        So many sources are passed over unread, as a search does that goes on from where it was broken off; places are
        counted from the first of all.

    Raises
    ------
    FileNotFoundError, PictureError, SoundError
        For a path that does not exist, nothing to read, a folder without pictures, arrays of wrong values, and, where
        the network takes any size, pictures of several sizes. Some are raised while the stream is read.
    GraphError
        Where inputs are not filled, or given as many rows as there are no pictures.

    Warns
    -----
    UserWarning
        At the end, where files were skipped.
    """
    entry = picture_input(net, given)
    size = None
    if len(net.graph.inputs) > 1 and len(entry.shape) == 4 and None not in entry.shape[1:3]:
        size = (int(entry.shape[1] or 0), int(entry.shape[2] or 0))
    sources, count = sources_of(net, images)
    for name, value in (given or {}).items():
        rows = np.shape(value)[:1]
        if count is not None and rows not in ((), (1,), (count,)):
            raise GraphError(
                f"{rows[0]} rows of the input {name!r} are given for {count} pictures; expected 1 or {count}"
            )
    return Stream(net, sources, count, size, given, batch, progress, tell, begin)


def sources_of(net: Network, images: Any) -> tuple[Iterator[tuple[str | None, Any]], int | None]:
    """Give name and source of each picture or sound, and how many there are; a name only to what can be skipped.

    Parameters
    ----------
    net, images
        As in `stream`.
    """
    sounds = net.card.input.audio is not None
    noun = "sound" if sounds else "picture"
    if _is_path(images):
        listed = _files(images, sounds)
        return iter(listed), len(listed)
    if sounds and is_sound(images):
        return iter([(None, images)]), 1
    if isinstance(images, list | tuple):
        if not images:
            raise PictureError(f"no {noun}s: the list is empty; expected a path, an array or a list of those")
        every = [one for image in images for one in (_files(image, sounds) if _is_path(image) else [(None, image)])]
        return iter(every), len(every)
    if getattr(images, "ndim", None) == 4:
        if not len(images):
            raise PictureError(f"no {noun}s: an empty batch of shape {tuple(images.shape)}")
        return ((None, images[i]) for i in range(len(images))), len(images)
    is_array = hasattr(images, "__array__") or hasattr(images, "__array_interface__")
    if isinstance(images, Iterable) and not is_array and not isinstance(images, bytes | dict | set):
        return ((_short(image) if _is_path(image) else None, image) for image in images), None
    return iter([(None, images)]), 1


def _files(source: str | Path, sounds: bool) -> list[tuple[str | None, Any]]:
    try:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            return [(_short(source), source)]
    except (OSError, ValueError):
        return [(_short(source), source)]
    known = SOUND_SUFFIXES if sounds else set(Image.registered_extensions())
    every = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    files = [path for path in every if path.suffix.lower() in known]
    if not files:
        noun = "sound" if sounds else "picture"
        kinds = ", ".join(sorted({path.suffix or "no suffix" for path in every})[:5])
        raise PictureError(f"no {noun} in the folder {folder}: {f'{len(every)} files ({kinds})' if every else 'empty'}")
    return [(path.relative_to(folder).as_posix(), path) for path in files]


def _is_path(source: Any) -> bool:
    return isinstance(source, str | Path)


def _short(source: Any) -> str:
    return str(source).rstrip("/").rsplit("/", 1)[-1]


def _mixed(net: Network, first: tuple[str, tuple[int, ...]], other: tuple[str, tuple[int, ...]]) -> str:
    (one, a), (two, b) = first, other
    return (
        f"{two} is {b[0]}x{b[1]} px, {one} is {a[0]}x{a[1]} px, and {net.name} takes any size; make them alike first, "
        "as [dc.image(path, size=224) for path in paths]"
    )
