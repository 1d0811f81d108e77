"""Pictures or sounds with their classes, from wherever they are.

    >>> samples = read_samples("textures/train")                        # a folder for each class
    >>> samples.classes, len(samples)
    (('brick', 'grass', 'gravel'), 36)
    >>> len(read_samples([photo, photo, photo, photo], ["cat", "dog", "cat", "dog"]))   # arrays, paths, what networks read
    4

Nothing is read yet but names: whoever wants the pictures streams `sources`.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diamond.attribution.streams import SOUND_SUFFIXES
from modelzoo.inputs.urls import is_url
from modelzoo.user_cache import user_cache

__all__ = ["Samples", "SamplesError", "read_samples"]

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
# Folders of splits, not of classes.
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing", "eval"}
MOST_TOLD = 8


class SamplesError(ValueError):
    """What gives no samples with classes."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Sources with their classes.

    Attributes
    ----------
    sources
        Paths, or arrays.
    labels
        ``(n,)`` number of each one's class.
    classes
        Their names, in the order of their numbers.
    names
        A word for each.
    groups
        ``(n,)`` what belongs together; None where nothing does.
    """

    sources: Sequence[Any] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    classes: tuple[str, ...]
    names: tuple[str, ...] = field(repr=False)
    groups: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each class."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, numbers.tolist(), strict=True))

    def only(self, rows: Any) -> Samples:
        """Give some of them, by their numbers; the classes stay."""
        chosen = np.asarray(rows)
        groups = None if self.groups is None else self.groups[chosen]
        sources, names = [self.sources[i] for i in chosen], tuple(self.names[i] for i in chosen)
        return Samples(sources, self.labels[chosen], self.classes, names, groups)


def read_samples(inputs: Any, labels: Any = None, *, groups: Any = None) -> Samples:
    """Find samples and their classes.

    Parameters
    ----------
    inputs
        A folder with a folder for each class, a ``.zip`` or ``.tar`` of one or the address of such (fetched and unpacked
        once), a `tf.data.Dataset` of ``(picture, label)``, or a list or array of pictures.
    labels
        A class for each of a list: words, or whole numbers. None for folders and data sets, which bring theirs.
    groups
        What belongs together, one for each, such as the film a frame is of; kept together by whatever splits.

    Raises
    ------
    FileNotFoundError
        For a folder or file that does not exist.
    SamplesError
        For folders without classes, lists and labels of different lengths, and nothing at all.
    """
    if isinstance(inputs, Samples):
        return inputs
    if isinstance(inputs, str | Path):
        if labels is not None:
            raise SamplesError("labels were given beside a folder, whose folders are the classes; expected labels=None")
        return _with_groups(_of_folder(_folder_of(inputs)), groups)
    if labels is None:
        inputs, labels = _of_pairs(inputs)
    sources = inputs if hasattr(inputs, "__getitem__") else list(inputs)
    if len(sources) != len(labels):
        raise SamplesError(f"{len(sources)} inputs and {len(labels)} labels; expected as many of both")
    if not len(sources):
        raise SamplesError("no samples: the list is empty")
    classes, numbers = _numbered(labels)
    names = tuple(
        str(source).rsplit("/", 1)[-1] if isinstance(source, str | Path) else f"sample {i}"
        for i, source in enumerate(sources)
    )
    return _with_groups(Samples(sources, numbers, classes, names), groups)


def _with_groups(samples: Samples, groups: Any) -> Samples:
    if groups is None:
        return samples
    if len(groups) != len(samples):
        raise SamplesError(f"{len(groups)} groups for {len(samples)} samples; expected one for each")
    which = np.unique(np.asarray(groups).astype(str), return_inverse=True)[1]
    return Samples(samples.sources, samples.labels, samples.classes, samples.names, which)


def _numbered(labels: Any) -> tuple[tuple[str, ...], np.ndarray]:
    values = np.asarray(labels)
    if values.ndim == 2 and values.shape[1] > 1 and np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all():
        # One-hot, as Keras has them.
        values = values.argmax(axis=1)
    values = values.reshape(len(values), -1)
    if values.shape[1] != 1:
        raise SamplesError(f"labels of shape {np.shape(labels)}; expected one class for each")
    column = values[:, 0]
    if column.dtype.kind == "f" and not (np.isfinite(column).all() and (column == np.round(column)).all()):
        raise SamplesError("labels are fractions; expected classes: words, or whole numbers")
    if column.dtype.kind in "fiu":
        column = column.astype(np.int64)
    found, numbers = np.unique(column, return_inverse=True)
    return tuple(map(str, found.tolist())), numbers.astype(np.int64)


def _of_pairs(inputs: Any) -> tuple[list[Any], list[Any]]:
    """Take pictures and labels apart, as a data set gives them, batched or not."""
    pairs = inputs.as_numpy_iterator() if hasattr(inputs, "as_numpy_iterator") else inputs
    if not isinstance(pairs, Iterable) or isinstance(pairs, np.ndarray):
        raise SamplesError("labels are missing; expected a class for each picture, or a folder for each class")
    sources, labels = [], []
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise SamplesError("labels are missing; expected pairs of a picture and its class, or labels=")
        picture, label = np.asarray(pair[0]), np.asarray(pair[1])
        batched = picture.ndim == 4
        sources += list(picture) if batched else [picture]
        labels += list(label) if batched else [label]
    return sources, labels


def _folder_of(source: str | Path) -> Path:
    """Give a folder: itself, or what an archive holds, unpacked once."""
    if isinstance(source, str) and is_url(source):
        return _unpacked(_fetched(source))
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if not path.exists():
        raise FileNotFoundError(f"no folder or archive {path}")
    return _unpacked(path)


def _fetched(address: str) -> Path:
    import pooch

    return Path(pooch.retrieve(address, known_hash=None, path=user_cache("samples") / "archives", progressbar=True))


def _unpacked(archive: Path) -> Path:
    if not (zipfile.is_zipfile(archive) or tarfile.is_tarfile(archive)):
        raise SamplesError(f"{archive} is no folder and no archive; expected {', '.join(ARCHIVES)}")
    content = archive.stat()
    into = user_cache("samples") / "unpacked" / f"{archive.stem}-{content.st_size}-{int(content.st_mtime)}"
    if not into.is_dir():
        part = into.with_name(f"{into.name}.part")
        part.mkdir(parents=True, exist_ok=True)
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(part)
        else:
            with tarfile.open(archive) as opened_tar:
                # Nothing outside the folder, no devices, no links out of it.
                opened_tar.extractall(part, filter="data")
        part.rename(into)
    return into


def _of_folder(folder: Path) -> Samples:
    """Take each folder in a folder for a class; one that holds nothing but one folder is passed through."""
    folders = _folders(folder)
    while len(folders) == 1 and not _files(folder, deep=False):
        folder = folders[0]
        folders = _folders(folder)
    splits = [each.name for each in folders if each.name.lower() in SPLITS]
    if splits and len(splits) == len(folders):
        raise SamplesError(
            f"{folder} holds {', '.join(splits)}: parts of the data, no classes; give one of them, as {folder / splits[0]}"
        )
    found = {each.name: _files(each, deep=True) for each in folders}
    filled = {name: files for name, files in found.items() if files}
    if len(filled) < 2:
        told = ", ".join(f"{name} ({len(files)})" for name, files in list(found.items())[:MOST_TOLD]) or "none"
        raise SamplesError(f"{folder} has {len(filled)} folders with pictures or sounds ({told}); expected one a class")
    classes = tuple(found)
    sources = [path for files in found.values() for path in files]
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in found.values()])
    return Samples(sources, labels, classes, tuple(path.relative_to(folder).as_posix() for path in sources))


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _files(folder: Path, *, deep: bool) -> list[Path]:
    known = set(Image.registered_extensions()) | set(SOUND_SUFFIXES)
    every = folder.rglob("*") if deep else folder.iterdir()
    return sorted(
        path for path in every if path.is_file() and path.suffix.lower() in known and not path.name.startswith(".")
    )
