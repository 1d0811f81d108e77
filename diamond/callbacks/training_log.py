"""The log of a training atlas: what a network was like, look by look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["LayerState", "Snapshot", "TrainingLog"]


@dataclass(frozen=True, eq=False)
class LayerState:
    """A layer at one look.

    Attributes
    ----------
    layer
        Its address.
    selectivity
        ``(channel,)`` index of class selectivity, from 0 to 1; NaN for dead channels, and without classes.
    peaks
        ``(channel,)`` the largest size of its values over all pictures; NaN where they are not finite.
    smoothness
        ``(filter,)`` correlation of neighbouring weights; None for a layer without filters.
    filters
        uint8 ``(filter, height, width, 3)``, each on its own scale, zero grey: of layers that read a picture, the first
        64; else None.
    channels, maps
        Which channels' maps of the photo are kept, uint8 ``(channel, side, side)``, each on its own scale; None of a
        layer without height and width.
    sprite_channels, sprites
        Which channels were rendered, uint8 ``(channel, height, width, 3)``; None where none were.
    """

    layer: str
    selectivity: np.ndarray = field(repr=False)
    peaks: np.ndarray = field(repr=False)
    smoothness: np.ndarray | None = field(repr=False)
    filters: np.ndarray | None = field(repr=False)
    channels: tuple[int, ...]
    maps: np.ndarray | None = field(repr=False)
    sprites: np.ndarray | None = field(repr=False)
    sprite_channels: tuple[int, ...]

    @property
    def dead(self) -> int:
        """How many channels were 0 everywhere in all pictures."""
        return int((self.peaks == 0).sum())

    @property
    def mean_selectivity(self) -> float:
        """Mean of the index over the channels that are alive; NaN without any."""
        return _middle(self.selectivity, np.mean)

    @property
    def median_smoothness(self) -> float:
        """Median over the filters; NaN without any."""
        return float("nan") if self.smoothness is None else _middle(self.smoothness, np.median)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One look.

    Attributes
    ----------
    epoch
        How many epochs were done: 0 before the training.
    logs
        What Keras told of the last epoch: loss, metrics.
    layers
        In the order of the network.
    notes
        What could not be looked at, in sentences.
    photo
        uint8 ``(height, width, 3)`` whose maps are kept.
    """

    epoch: int
    logs: Mapping[str, float]
    layers: tuple[LayerState, ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    photo: np.ndarray | None = field(repr=False, default=None)


@dataclass(frozen=True, eq=False)
class TrainingLog(Result):
    """What a network was like before, during and after training.

    Attributes
    ----------
    network
        Its name.
    snapshots
        The looks, in order.
    classes
        Names of the classes that selectivity is among; none without.
    count
        How many pictures each look measured.
    photo
        ``(height, width, 3)`` whose activation maps were kept.

    Examples
    --------
    >>> atlas = dc.callbacks.TrainingAtlas("textures/val", layers=["parts"])
    >>> small.model.compile("adam", "sparse_categorical_crossentropy")
    >>> history = small.model.fit(np.zeros((8, 32, 32, 3)), np.zeros(8), epochs=2, verbose=0, callbacks=[atlas])
    >>> log = atlas.history
    >>> log.network, log.layers, log.epochs, log.classes, log.count, log.photo.shape, log.notes
    ('small', ('parts',), array([0, 1, 2]), ('brick', 'grass', 'gravel'), 12, (32, 32, 3), ())
    >>> len(log.snapshots), log.of("parts", "dead").shape
    (3, (3,))
    >>> len(log.sentence) > 0
    True
    >>> log.to_dataframe().columns.to_list()
    ['epoch', 'layer', 'channels', 'dead', 'selectivity', 'smoothness', 'loss']
    >>> log.plot()
    <Figure size ... with 4 Axes>
    >>> log.save("log.csv")
    PosixPath('log.csv')
    """

    FRAME_PX: ClassVar[int] = 900

    network: str
    snapshots: tuple[Snapshot, ...] = field(repr=False)
    classes: tuple[str, ...]
    count: int
    photo: np.ndarray = field(repr=False)

    @property
    def layers(self) -> tuple[str, ...]:
        """Addresses of the layers watched, in the order of the network."""
        return tuple(state.layer for state in self.snapshots[0].layers)

    @property
    def epochs(self) -> np.ndarray:
        """``(look,)`` how many epochs were done at each."""
        return np.array([snapshot.epoch for snapshot in self.snapshots])

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be looked at, in sentences."""
        return tuple(note for snapshot in self.snapshots for note in snapshot.notes)

    @property
    def sentence(self) -> str:
        """What changed from the first look to the last, in words."""
        first, last = self.snapshots[0], self.snapshots[-1]
        parts = []
        for before, after in zip(first.layers, last.layers, strict=True):
            if np.isfinite(before.median_smoothness) and np.isfinite(after.median_smoothness):
                parts.append(
                    f"the filters of {after.layer} went from a smoothness of {before.median_smoothness:.2f} to "
                    f"{after.median_smoothness:.2f}"
                )
                break
        before, after = first.layers[-1], last.layers[-1]
        if np.isfinite(before.mean_selectivity) and np.isfinite(after.mean_selectivity):
            parts.append(
                f"the selectivity of {after.layer} from {before.mean_selectivity:.2f} to {after.mean_selectivity:.2f}"
            )
        dead = sum(state.dead for state in last.layers)
        parts.append(f"{dead} of {sum(len(state.peaks) for state in last.layers):,} channels are dead")
        begin = f"In {last.epoch} epoch{'' if last.epoch == 1 else 's'} " if last.epoch else "Before training, "
        return begin + ", ".join(parts) + "."

    def of(self, layer: str, name: str) -> np.ndarray:
        """Give ``(look,)`` values of a layer: ``"dead"``, ``"mean_selectivity"`` or ``"median_smoothness"``.

        Parameters
        ----------
        layer
            Address of a layer watched.
        name
            ``"dead"``, ``"mean_selectivity"`` or ``"median_smoothness"``.
        """
        number = self.layers.index(layer)
        return np.array([getattr(snapshot.layers[number], name) for snapshot in self.snapshots], float)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a look and layer: epoch, layer, channels, dead, selectivity, smoothness, and what Keras told."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "epoch": snapshot.epoch,
                    "layer": state.layer,
                    "channels": len(state.peaks),
                    "dead": state.dead,
                    "selectivity": state.mean_selectivity,
                    "smoothness": state.median_smoothness,
                    **snapshot.logs,
                }
                for snapshot in self.snapshots
                for state in snapshot.layers
            ]
        )

    def plot(self) -> Figure:
        """Draw smoothness, selectivity, dead channels and loss over the epochs, and the first filters at some of them."""
        from diamond.show.training_atlas import atlas_figure

        return atlas_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        found = {"epochs": self.epochs, "layers": np.array(self.layers), "photo": self.photo}
        for number, layer in enumerate(self.layers):
            states = [snapshot.layers[number] for snapshot in self.snapshots]
            key = layer.replace("/", "|")
            found[f"{key} selectivity"] = np.stack([state.selectivity for state in states])
            found[f"{key} peaks"] = np.stack([state.peaks for state in states])
            for name in ("smoothness", "filters", "maps"):
                values = [getattr(state, name) for state in states]
                if all(value is not None for value in values):
                    found[f"{key} {name}"] = np.stack(values)
            drawn = [(epoch, s.sprites) for epoch, s in zip(self.epochs, states, strict=True) if s.sprites is not None]
            if drawn:
                found[f"{key} sprites"] = np.stack([sprites for _, sprites in drawn])
                found[f"{key} sprite epochs"] = np.array([epoch for epoch, _ in drawn])
        return found

    def __str__(self) -> str:
        n = int(self.epochs[-1])
        return f"{self.network}: {n} epoch{'' if n == 1 else 's'} of training, seen in {len(self.layers)} layers"

    def __repr__(self) -> str:
        return "\n".join([str(self), self.sentence, *self.notes])

    def _page(self) -> str:
        from diamond.show.training_atlas import atlas_page

        return atlas_page(self)


def _middle(values: np.ndarray, of: object) -> float:
    finite = values[np.isfinite(values)]
    return float(of(finite)) if len(finite) else float("nan")  # type: ignore[operator]
