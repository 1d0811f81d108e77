"""What was found of the maps of layers for one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.result import Result
from spritemaps import Spritemap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["ActivationMaps", "LayerMaps"]

# Where a channel was silent for n pictures, it fires in fewer than 3 of n more, in 95 of 100 such cases.
RULE_OF_THREE = 3.0


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """The maps of one layer for one picture.

    Attributes
    ----------
    layer
        Its address.
    channels
        ``(n,)`` the channels whose maps are held.
    maps
        ``(rows, columns, n)`` what they answer; of a dense layer ``(1, 1, n)``, of a sequence ``(1, length, n)``. Of
        sounds a row is a band of frequencies, the lowest first.
    highest, means
        ``(channel,)`` of every channel of the layer: its highest value in the picture, and its mean.
    zeros
        ``(channel,)`` the share of its places that are exactly 0.
    fired
        ``(channel,)`` in how many of many pictures the channel was anything but 0 anywhere; None where none were given.
    peaks
        ``(channel,)`` its largest value in them, of either sign, as a size; None likewise.
    edges_hz, edges_s
        Of a sound: ``(rows + 1,)`` frequencies and ``(columns + 1,)`` seconds between which the cells lie. Else None.
    sprites
        The layer's spritemap, or None where no store has one.
    """

    layer: str
    channels: np.ndarray
    maps: np.ndarray = field(repr=False)
    highest: np.ndarray = field(repr=False)
    means: np.ndarray = field(repr=False)
    zeros: np.ndarray = field(repr=False)
    fired: np.ndarray | None = field(repr=False, default=None)
    peaks: np.ndarray | None = field(repr=False, default=None)
    edges_hz: np.ndarray | None = field(repr=False, default=None)
    edges_s: np.ndarray | None = field(repr=False, default=None)
    sprites: Spritemap | None = field(repr=False, default=None)

    @property
    def sparsity(self) -> float:
        """Share of the layer's values, of all its channels, that are exactly 0."""
        return float(self.zeros.mean())

    @property
    def silent(self) -> np.ndarray:
        """Numbers of the channels that are 0 everywhere in this picture."""
        return np.flatnonzero(self.zeros == 1.0)

    @property
    def dead(self) -> np.ndarray | None:
        """Numbers of the channels that stayed 0 in all of many pictures, and in this one; None where none were given."""
        return None if self.fired is None else np.flatnonzero((self.fired == 0) & (self.zeros == 1.0))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a map."""
        return self.maps.shape[0], self.maps.shape[1]


@dataclass(frozen=True, eq=False)
class ActivationMaps(Result):
    """The maps of one or several layers for one picture.

    Attributes
    ----------
    network, image
        Which network, which picture.
    layers
        The layers, in network order.
    picture
        ``(height, width, 3)`` as the network saw it, in [0, 1]; of a sound ``(frequency, time, 1)``.
    count
        How many pictures say which channels are dead; 0 where none were given.
    chosen
        Whether the channels were asked for by number; else they are all of a layer, or of several those that vary most.
    skipped
        Name and reason of each file among them that gave no picture.
    notes
        What to know of these maps, in sentences.

    Examples
    --------
    >>> found = dc.activation_maps(net, "cat.jpg", "block4_add", over="photos/", progress=False)
    >>> found.network, found.image, found.count, found.chosen, found.skipped, found.notes
    ('EfficientNetLite0', 'cat.jpg', 8, False, (), ())
    >>> found.layers[0].layer, found.maps.shape, found.picture.shape, round(found.bound, 2)
    ('block4_add', (28, 28, 40), (224, 224, 3), 0.38)
    >>> found.over_photo().shape
    (224, 224, 40)
    >>> found.to_dataframe().columns.to_list()
    ['layer', 'channel', 'highest', 'mean', 'sparsity', 'fired', 'peak', 'dead']
    >>> found.sparsity().columns.to_list()
    ['layer', 'channels', 'rows', 'columns', 'sparsity', 'silent', 'dead']
    >>> found.plot(upsampled=True)
    <Figure size ... with 43 Axes>
    >>> found.save("maps.npz")
    PosixPath('maps.npz')
    """

    FRAME_PX: ClassVar[int] = 760

    network: str
    image: str
    layers: tuple[LayerMaps, ...]
    picture: np.ndarray = field(repr=False)
    count: int = 0
    chosen: bool = False
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __getitem__(self, layer: str) -> LayerMaps:
        """Give one layer's maps by its address.

        Raises
        ------
        KeyError
            Where it is not among them, naming those that are.
        """
        for found in self.layers:
            if found.layer == layer:
                return found
        raise KeyError(f"no maps of {layer!r} here; expected one of {', '.join(each.layer for each in self.layers)}")

    @property
    def maps(self) -> np.ndarray:
        """``(rows, columns, channel)`` of the only layer.

        Raises
        ------
        ValueError
            Where there are several.
        """
        if len(self.layers) > 1:
            raise ValueError(
                f"maps of {len(self.layers)} layers are here; say which, as in found[{self.layers[0].layer!r}].maps"
            )
        return self.layers[0].maps

    @property
    def bound(self) -> float | None:
        """In what share of such pictures a dead channel fires at most, 95 % sure (the rule of three); None without any."""
        return None if self.count == 0 else min(1.0, RULE_OF_THREE / self.count)

    def over_photo(self, layer: str | None = None) -> np.ndarray:
        """Give the maps of a layer at the size of the picture, ``(height, width, n)``, smoothed.

        Parameters
        ----------
        layer
            Which; of one layer it need not be said.
        """
        from diamond.show.map_tiles import enlarged

        found = self.layers[0] if layer is None else self[layer]
        return enlarged(found.maps, self.picture.shape[:2])

    def to_dataframe(self) -> pd.DataFrame:
        """One row a layer and channel, all channels: layer, channel, highest, mean, sparsity, and fired, peak, dead.

        The last three stand where many pictures were given: in how many the channel fired, how strongly at most, and
        whether it never did.
        """
        import pandas as pd

        parts = []
        for found in self.layers:
            columns: dict[str, object] = {
                "layer": found.layer,
                "channel": np.arange(len(found.highest)),
                "highest": found.highest,
                "mean": found.means,
                "sparsity": found.zeros,
            }
            if found.fired is not None and found.dead is not None:
                columns |= {"fired": found.fired, "peak": found.peaks}
                columns["dead"] = np.isin(np.arange(len(found.highest)), found.dead)
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def sparsity(self) -> pd.DataFrame:
        """One row a layer: layer, channels, rows, columns, sparsity, silent (channels in this picture), dead."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "layer": found.layer,
                    "channels": len(found.highest),
                    "rows": found.grid[0],
                    "columns": found.grid[1],
                    "sparsity": found.sparsity,
                    "silent": len(found.silent),
                    "dead": None if found.dead is None else len(found.dead),
                }
                for found in self.layers
            ]
        )

    def plot(self, *, upsampled: bool = False, first: int = 0) -> Figure:
        """Draw the maps of one layer as a grid, of several as a strip, a row a layer.

        Parameters
        ----------
        upsampled
            Whether to smooth them to the size of the picture and lay them over it; else cell by cell.
        first
            Where to begin among the channels of one layer: a figure holds 100.

        Raises
        ------
        IndexError
            Where there are not so many.
        """
        from diamond.show.activation_maps import grid_figure, strip_figure

        if len(self.layers) > 1:
            return strip_figure(self, upsampled)
        return grid_figure(self, upsampled, first)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"picture": self.picture}
        for number, found in enumerate(self.layers):
            before = "" if len(self.layers) == 1 else f"{number}_"
            names = ("channels", "maps", "highest", "means", "zeros", "fired", "peaks")
            held = {name: getattr(found, name) for name in names}
            arrays |= {f"{before}{name}": array for name, array in held.items() if array is not None}
        return {**arrays, "layer": np.array([found.layer for found in self.layers])}

    def __str__(self) -> str:
        return f"{self.network}: the maps of {named([found.layer for found in self.layers])} for {self.image}"

    def __repr__(self) -> str:
        dead = [found.dead for found in self.layers]
        told = (
            "" if dead[0] is None else f", {sum(len(d) for d in dead if d is not None)} dead in {self.count:,} pictures"
        )
        sparse = np.average([f.sparsity for f in self.layers], weights=[len(f.highest) for f in self.layers])
        n = sum(len(found.channels) for found in self.layers)
        return f"{self}: {n} {'map' if n == 1 else 'maps'}, {sparse:.0%} of the values are 0{told}"

    def _page(self) -> str:
        from diamond.show.activation_maps import maps_page

        return maps_page(self)


def named(layers: Sequence[str]) -> str:
    """Name a layer, or say how many there are from which to which."""
    return layers[0] if len(layers) == 1 else f"{len(layers)} layers, {layers[0]} to {layers[-1]}"
