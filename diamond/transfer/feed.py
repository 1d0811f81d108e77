"""What a student is trained on: samples as batches of what its network sees.

    >>> from diamond.transfer.samples import read_samples
    >>> held = hold(student, read_samples("textures/val"))        # read once, as the network reads them
    >>> shown = dataset(student, held, batch=8, augment=True, seed=0)
    >>> next(iter(shown))[0].shape.as_list()
    [8, 224, 224, 3]

A network takes pictures in [0, 1] and its card says what becomes of them, so ``model.fit`` on pictures as they come would
train on other values than `Network.predict` shows it. Here pictures are read as `Network.read` reads them, held as bytes
(on the disk where they are many), shuffled anew each epoch, changed a little where asked, and preprocessed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.streams import stream
from diamond.transfer.augment import augmented, augmented_sounds
from diamond.transfer.samples import Samples, SamplesError
from modelzoo import Network

__all__ = ["Augment", "Held", "Room", "dataset", "hold", "split", "steps"]

# More than so many bytes of pictures go to the disk.
MOST_BYTES = 1_000_000_000
READ_BATCH = 32

Augment = bool | Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Held:
    """Samples that were read.

    Attributes
    ----------
    values
        ``(row, height, width, channel)`` uint8 pictures, or float32 spectrogram patches.
    labels
        ``(row,)`` the class of each.
    owners
        ``(row,)`` which sample it is of: a sound has several patches.
    classes
        Names of the classes.
    skipped
        Name and reason of each sample that could not be read.
    """

    values: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    owners: np.ndarray = field(repr=False)
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def samples(self) -> np.ndarray:
        """Numbers of the samples that could be read."""
        found: np.ndarray = np.unique(self.owners)
        return found


def hold(net: Network, samples: Samples, *, most_bytes: int = MOST_BYTES, progress: bool = True) -> Held:
    """Read samples once, at the network's size.

    Parameters
    ----------
    net, samples
        The network, and what it is to see.
    most_bytes
        What they may take in memory; more is kept in a temporary file, which goes with the result.
    progress
        Whether to show a progress bar, from 64 samples on.

    Raises
    ------
    PictureError, SoundError
        Where none can be read.
    """
    sounds = net.input.audio is not None
    reading = stream(net, list(samples.sources), batch=READ_BATCH, progress=progress)
    kept = Room(most_bytes)
    owners = []
    for part in reading:
        kept.add(part.pictures.astype(np.float32) if sounds else np.round(part.pictures * 255).astype(np.uint8))
        owners.append(part.places)
    rows = np.concatenate(owners)
    return Held(kept.values(), samples.labels[rows], rows, samples.classes, reading.skipped)


def split(samples: Samples, share: float, *, seed: int = 0) -> tuple[Samples, Samples]:
    """Part samples for validation, each class by the same share; groups stay together.

    Returns
    -------
    tuple
        The larger part, and `share` of them; a class with one sample stays in the larger.

    Raises
    ------
    SamplesError
        For a share that is not between 0 and 1, or that leaves one part empty.
    """
    if not 0 < share < 1:
        raise SamplesError(f"validation is {share}; expected a share between 0 and 1, or samples")
    apart = _apart(samples, share, seed)
    rest = np.setdiff1d(np.arange(len(samples)), apart)
    if not len(apart) or not len(rest):
        raise SamplesError(
            f"{len(samples)} samples cannot be parted with {share:.0%} for validation: one part would be empty; give "
            "validation samples of their own, or validation=None"
        )
    return samples.only(rest), samples.only(np.sort(apart))


def _apart(samples: Samples, share: float, seed: int) -> list[int]:
    if samples.groups is not None:
        from sklearn.model_selection import StratifiedGroupKFold

        parts = min(max(2, round(1 / share)), len(np.unique(samples.groups)), int(np.bincount(samples.labels).max()))
        if parts < 2:
            return []
        fold = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
        return next(fold.split(samples.labels, samples.labels, samples.groups))[1].tolist()
    rng = np.random.default_rng(seed)
    apart: list[int] = []
    for number in np.unique(samples.labels):
        rows = rng.permutation(np.flatnonzero(samples.labels == number))
        apart += rows[: min(round(share * len(rows)), len(rows) - 1)].tolist()
    return apart


def steps(held: Held, batch: int) -> int:
    """How many batches there are in an epoch."""
    return -(-len(held) // batch)


def dataset(
    net: Network,
    held: Held,
    *,
    batch: int = 32,
    augment: Augment = False,
    shuffle: bool = True,
    seed: int = 0,
    first_epoch: int = 0,
    preprocess: bool = True,
) -> tf.data.Dataset:
    """Give batches as the network's Keras model takes them.

    Parameters
    ----------
    net
        Whose preprocessing is applied.
    held
        Samples that were read.
    batch
        How many at a time; the last of an epoch may be shorter.
    augment
        Whether they are changed a little each time (`augmented`), or a function of ``(batch, seed)`` that does.
    shuffle
        Whether they come in another order each epoch, without an end; else one epoch in their own order.
    seed
        Of order and changes.
    first_epoch
        The epoch to begin with: a training that goes on sees what it would have seen.
    preprocess
        Whether they are pictures (sounds), and not what some layer has made of them.

    Returns
    -------
    tf.data.Dataset
        Of ``(values, labels)``.
    """
    change = _change(net, augment)
    is_bytes = held.values.dtype == np.uint8

    def order() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        epoch = first_epoch
        while True:
            rows = np.random.default_rng((seed, epoch)).permutation(len(held)) if shuffle else np.arange(len(held))
            for number, begin in enumerate(range(0, len(rows), batch)):
                chosen = rows[begin : begin + batch]
                key = np.array([seed, epoch * 1_000_003 + number], np.int64)
                yield held.values[chosen], held.labels[chosen], key
            epoch += 1
            if not shuffle:
                return

    def shown(values: Any, labels: Any, key: Any) -> tuple[Any, Any]:
        values = tf.cast(values, tf.float32) / 255.0 if is_bytes else values
        if change is not None:
            values = change(values, key)
        return (net.preprocess(values) if preprocess else values), labels

    kinds = (
        tf.TensorSpec((None, *held.values.shape[1:]), held.values.dtype),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((2,), tf.int64),
    )
    given = tf.data.Dataset.from_generator(order, output_signature=kinds).map(shown).prefetch(2)
    return given if shuffle else given.apply(tf.data.experimental.assert_cardinality(steps(held, batch)))


def _change(net: Network, augment: Augment) -> Callable[[Any, Any], Any] | None:
    if callable(augment):
        return augment
    if not augment:
        return None
    return augmented if net.input.audio is None else augmented_sounds


class Room:
    """Rows in memory until they are many, then in a file without a name, which goes with them."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.parts: list[np.ndarray] = []
        self.file: Any = None
        self.n = 0

    def add(self, values: np.ndarray) -> None:
        """Take in rows of one shape and dtype."""
        self.n += len(values)
        if self.file is None and sum(part.nbytes for part in self.parts) + values.nbytes > self.most_bytes:
            self.file = tempfile.TemporaryFile(prefix="diamond-train-")  # noqa: SIM115
            for part in self.parts:
                self.file.write(part.tobytes())
            self.parts = [values[:0]]
        if self.file is None:
            self.parts.append(values)
        else:
            self.file.write(values.tobytes())

    def values(self) -> np.ndarray:
        """Give all rows as one array."""
        if self.file is None:
            return np.concatenate(self.parts)
        with self.file as file:
            file.flush()
            # The map outlives the file, which has no name.
            found: np.ndarray = np.memmap(file, self.parts[0].dtype, "r", shape=(self.n, *self.parts[0].shape[1:]))
        return found
