"""The gradients of a layer over pictures from anywhere, gone through as often as a question takes.

    asked = Passes(net, "photos/", net.layers["block9_add"], positive="tabby")
    for batch, part in asked:                          # sixteen pictures: their names, their gradients
        ...
    asked.names[:2], asked.told["logits"][:2]          # known after the first time through

Some questions need all pictures before the first can be answered: which channels are the largest, or what their mean is.
They go through the pictures again. A few are held; a folder of thousands is read again, so that it takes the memory of a
few. What cannot be read again, a generator, is held from the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from diamond.attribution.feeding import Given
from diamond.attribution.streams import Batch, stream
from diamond.attribution.tail import Gradient, gradients
from diamond.attribution.targets import Target
from modelzoo import Layer, Network

__all__ = ["MOST_SHOWN", "Passes"]

# Of so many pictures a result keeps the picture itself.
MOST_SHOWN = 6
# Pictures, activations and gradients are held up to here.
HELD_BYTES = 200_000_000


class Passes:
    """Go through the pictures of a question, a batch at a time, as often as needed.

    Parameters
    ----------
    net, layer
        The network and its layer.
    images
        Whatever `diamond.attribution.streams.stream` reads.
    positive, negative
        The class asked about, and the class it is held against.
    given
        Values of the network's other inputs by address, where it has several: one row, or one for each picture.
    progress
        Whether to show a progress bar, from 64 pictures on.

    Attributes
    ----------
    pictures
        The first few, ``(up to 6, height, width, 3)`` in [0, 1].
    skipped
        Name and reason of each file that gave no picture.
    """

    def __init__(
        self,
        net: Network,
        images: Any,
        layer: Layer,
        *,
        positive: Target = "top1",
        negative: Target | None = None,
        given: Given | None = None,
        progress: bool = True,
    ) -> None:
        self._net, self._layer, self._progress = net, layer, progress
        self._images = list(images) if isinstance(images, Iterator) else images
        self._asked: dict[str, Any] = {"positive": positive, "negative": negative}
        self._given = given
        self._been_through = False
        self._forget()

    def _forget(self) -> None:
        self._names: list[str] = []
        self._scores: list[np.ndarray] = []
        self._words: tuple[list[str], list[str]] = [], []
        self._held: list[tuple[Batch, Gradient]] = []
        self._size = 0
        self.pictures = np.zeros((0,), np.float32)
        self.skipped: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[Batch, Gradient]]:
        if self._been_through and self._size <= HELD_BYTES:
            yield from self._held
            return
        first = not self._been_through
        if first:
            # Somebody may have looked at one batch and left.
            self._forget()
        reading = stream(self._net, self._images, given=self._given, progress=self._progress, tell=first)
        for batch in reading:
            part = next(gradients(self._net, batch.pictures, self._layer, given=batch.given, **self._asked))
            if first:
                self._note(batch, part)
            yield batch, part
        self.skipped = reading.skipped
        self._been_through = True

    def _note(self, batch: Batch, part: Gradient) -> None:
        self._names += batch.names
        self._scores.append(part.scores)
        for words, more in zip(self._words, part.classes_in_words(self._net), strict=True):
            words += more
        missing = batch.pictures[: MOST_SHOWN - len(self.pictures)]
        self.pictures = np.concatenate([self.pictures, missing]) if len(self.pictures) else missing.copy()
        self._size += batch.pictures.nbytes + part.activations.nbytes + part.gradients.nbytes
        self._held = [*self._held, (batch, part)] if self._size <= HELD_BYTES else []

    @property
    def told(self) -> dict[str, Any]:
        """What every result tells of its pictures, by the names of its fields."""
        return {
            "network": self._net.name,
            "layer": self._layer.name,
            "images": self.names,
            "positive": tuple(self._words[0]),
            "negative": tuple(self._words[1]),
            "logits": np.concatenate(self._scores),
            "pictures": self.pictures,
            "skipped": self.skipped,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """A word for each picture that was read."""
        return tuple(self._names)
