"""A network watched while it learns.

    atlas = dc.callbacks.TrainingAtlas("flowers/val", channels={"conv3": [0, 1, 2]}, photo="daisy.jpg")
    model.fit(pictures, labels, epochs=20, callbacks=[atlas])
    atlas.history                                        # draws itself: filters, sprites, maps, epoch by epoch
    atlas.to_dataframe()[["epoch", "layer", "selectivity", "smoothness", "dead"]]

Loss and accuracy say that a network learns, and not what. The atlas *looks* before the first epoch and after every few:
filters that leave noise, channels that begin to answer to one class, channels that die, what chosen channels would like
to see by now, what they make of one photo. It measures the same pictures each time, few enough to be quick and none of
them learned from, if they are chosen well.

What is looked at is kept in a log of the atlas's own, and written for TensorBoard where ``log_dir`` says so. A look that
fails, as where weights have become NaN, is told in the log and does not end the training.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from diamond.attribution.streams import stream
from diamond.callbacks.look import Question, look
from diamond.callbacks.summaries import Summaries
from diamond.callbacks.training_log import Snapshot, TrainingLog
from diamond.inspection.kernels import has_filters
from diamond.transfer.samples import Samples, read_samples
from modelzoo import InputSpec, Network, load

__all__ = ["TrainingAtlas"]

MOST_PICTURES = 500


class TrainingAtlas(keras.callbacks.Callback):
    """A Keras callback that logs filters, sprites, activation maps, dead channels and selectivity during training.

    Parameters
    ----------
    pictures
        Pictures to measure with: a folder with one for each class, a list of paths, an array ``(n, height, width, 3)`` in
        [0, 1], a `tf.data.Dataset` of ``(picture, label)``; the same at every look. Of more than 500, 500, evenly taken.
    labels
        A class for each of a list: words or whole numbers. Without classes selectivity is NaN.
    layers
        Layers to watch, by address; where None the first with filters and the network's landmarks.
    channels
        Channels whose sprites are rendered at each look, by layer: ``{"conv3": [0, 1, 2]}``. Rendering compiles anew
        each time, some seconds a layer. Also whose maps are kept; the first of each layer where it is not named.
    photo
        A picture for activation maps; the first of `pictures` where None.
    every
        Look after every so many epochs.
    sprites_every
        Render sprites after every so many epochs; as often as the rest where None.
    steps, size
        Steps of the optimiser, and side of a sprite in pixels; the network's own size where None.
    input
        What the model takes, as of `diamond.load`: ``(low, high)``, the values it sees for black and white. What is
        given to this callback is in [0, 1] in any case.
    log_dir
        Folder to write TensorBoard summaries to; none where None. TensorBoard itself need not be installed to write.
    save_to
        A file (``.html``, ``.png``, ``.csv`` or ``.npz``) that is written anew after each look.
    seed
        Of the sprites.

    Attributes
    ----------
    history
        The log so far: a `TrainingLog`, which draws itself and saves itself.

    Raises
    ------
    ValueError
        For a period below 1 and layers or channels that are not there, when the training begins.
    GraphError
        For a subclassed model, whose layers cannot be looked at, and a Sequential without an input shape, when the
        training begins.

    Notes
    -----
    Selectivity is the index of Morcos et al. (2018), smoothness the correlation of neighbouring weights: see
    `diamond.inspection.selectivity` and `diamond.inspection.smoothness`.

    Examples
    --------
    >>> atlas = dc.callbacks.TrainingAtlas("textures/val", layers=["parts"])
    >>> small.model.compile("adam", "sparse_categorical_crossentropy")
    >>> history = small.model.fit(np.zeros((8, 32, 32, 3)), np.zeros(8), epochs=2, verbose=0, callbacks=[atlas])
    >>> atlas.history.epochs
    array([0, 1, 2])
    >>> atlas.to_dataframe()[["epoch", "layer", "dead"]]
       epoch  layer  dead
    0      0  parts     4
    1      1  parts     4
    2      2  parts     4
    >>> atlas.plot()
    <Figure size ... with 4 Axes>
    >>> atlas.save("atlas.html")
    PosixPath('atlas.html')
    """

    def __init__(
        self,
        pictures: Any,
        labels: Any = None,
        *,
        layers: Iterable[str] | None = None,
        channels: Mapping[str, Iterable[int]] | None = None,
        photo: Any = None,
        every: int = 1,
        sprites_every: int | None = None,
        steps: int = 64,
        size: int | None = None,
        input: InputSpec | tuple[float, float] | None = None,
        log_dir: str | Path | None = None,
        save_to: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, period in (("every", every), ("sprites_every", sprites_every), ("steps", steps)):
            if period is not None and period < 1:
                raise ValueError(f"{name} is {period}; expected 1 or more")
        if save_to is not None and not Path(save_to).expanduser().parent.is_dir():
            raise FileNotFoundError(f"no folder {Path(save_to).parent} to save {Path(save_to).name} in; make it first")
        self._pictures, self._labels, self._photo = pictures, labels, photo
        self._layers = None if layers is None else list(layers)
        self._channels = {layer: [int(c) for c in numbers] for layer, numbers in (channels or {}).items()}
        self._every, self._sprites_every = every, sprites_every or every
        self._steps, self._size, self._seed, self._input = steps, size, seed, input
        self._save_to = None if save_to is None else Path(save_to).expanduser()
        self._summaries = None if log_dir is None else Summaries(Path(log_dir).expanduser())
        self._snapshots: list[Snapshot] = []
        self._question: Question | None = None
        self._done = 0

    @property
    def history(self) -> TrainingLog:
        """The log so far.

        Raises
        ------
        RuntimeError
            Before the first look.
        """
        if self._question is None or not self._snapshots:
            raise RuntimeError("nothing was looked at yet; give the atlas to model.fit(..., callbacks=[atlas])")
        asked = self._question
        return TrainingLog(asked.net.name, tuple(self._snapshots), asked.classes, len(asked.pictures), asked.photo)

    def to_dataframe(self) -> Any:
        """Give the log as a table: one row a look and layer."""
        return self.history.to_dataframe()

    def plot(self) -> Any:
        """Draw the log with matplotlib."""
        return self.history.plot()

    def save(self, path: str | Path) -> Path:
        """Write the log as ``.html``, ``.png``, ``.csv`` or ``.npz``, by suffix.

        Parameters
        ----------
        path
            Where to; its suffix says as what.
        """
        return self.history.save(path)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Look at the network before it learns; a second training goes on in the same log."""
        if self._question is None or self._question.net.model is not self.model:
            self._question = self._asked(load(self.model, input=self._input))
            self._snapshots, self._done = [], 0
        if not self._snapshots:
            self._look(logs={}, sprites=True)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Look where it is time to."""
        self._done += 1
        if self._done % self._every == 0:
            self._look(logs=dict(logs or {}), sprites=self._done % self._sprites_every == 0)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Write out what is left to write."""
        if self._summaries is not None:
            self._summaries.flush()

    def _look(self, *, logs: Mapping[str, float], sprites: bool) -> None:
        assert self._question is not None
        numbers = {name: float(np.asarray(value)) for name, value in logs.items() if np.ndim(value) == 0}
        snapshot = look(self._question, epoch=self._done, logs=numbers, sprites=sprites)
        self._snapshots.append(snapshot)
        if self._summaries is not None:
            self._summaries.write(snapshot)
        if self._save_to is not None:
            self.history.save(self._save_to)

    def _asked(self, net: Network) -> Question:
        every = _default_layers(net) if self._layers is None else self._layers
        every = list(dict.fromkeys([*every, *self._channels]))
        layers = sorted((net.layers[name] for name in every), key=lambda layer: layer.position)
        if not layers:
            raise ValueError("no layer to watch; leave layers out to watch the first with filters and the landmarks")
        for layer in layers:
            for channel in self._channels.get(layer.name, []):
                if not 0 <= channel < layer.channels:
                    raise ValueError(
                        f"channel {channel} is out of range: {layer.name!r} has channels 0 to {layer.channels - 1}"
                    )
        pictures, labels, classes = _read(net, self._pictures, self._labels)
        photo = pictures[0] if self._photo is None else net.read(self._photo)[0]
        return Question(
            net, tuple(layers), pictures, labels, classes, photo, self._channels, self._steps, self._size, self._seed
        )


def _default_layers(net: Network) -> list[str]:
    first = next((node for node in net.graph if has_filters(node)), None)
    names = [] if first is None else [first.address.removesuffix(":linear")]
    return [*names, *net.landmarks]


def _read(net: Network, pictures: Any, labels: Any) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Give the pictures as the network sees them, their classes, and those classes' names."""
    samples = _samples(pictures, labels)
    sources = pictures if samples is None else list(samples.sources)
    if samples is not None and len(samples) > MOST_PICTURES:
        chosen = np.linspace(0, len(samples) - 1, MOST_PICTURES).round().astype(int)
        samples = samples.only(chosen)
        sources = list(samples.sources)
    parts = list(stream(net, sources, progress=False))
    found = np.concatenate([part.pictures for part in parts])
    places = np.concatenate([part.places for part in parts])
    if samples is None:
        chosen = np.unique(np.linspace(0, len(found) - 1, min(len(found), MOST_PICTURES)).round().astype(int))
        return found[chosen], None, ()
    numbers = samples.labels[places]
    if len(np.unique(numbers)) < 2:
        warnings.warn("pictures of one class alone: no selectivity is measured", UserWarning, stacklevel=4)
        return found, None, ()
    return found, numbers, samples.classes


def _samples(pictures: Any, labels: Any) -> Samples | None:
    if labels is not None:
        # Keras gives labels as a column too.
        return read_samples(pictures, labels)
    if isinstance(pictures, Samples):
        return pictures
    if isinstance(pictures, str | Path) and (Path(pictures).is_dir() or not Path(pictures).exists()):
        from diamond.transfer.samples import SamplesError

        try:
            return read_samples(pictures)
        except SamplesError:
            return None
    return read_samples(pictures) if hasattr(pictures, "as_numpy_iterator") else None
