"""What a search for exemplars gives: for each channel or direction the pictures at the ends of what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from diamond.show.result import Result
from spritemaps import Spritemap, StoreError
from spritemaps.companions import Companions, keep

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Exemplars"]

_OF_PICTURES = ("values", "indices", "places", "patches", "marks", "windows", "crops")


@dataclass(frozen=True, eq=False)
class Exemplars(Result):
    """The pictures that excite channels, or directions, most: the strongest first.

    Attributes
    ----------
    network, layer
        Which network, which layer.
    channels
        ``(unit,)`` channel numbers; of directions their numbers, from 0.
    cell
        ``(row, column)`` where a certain cell was asked about; None for the highest of all.
    values
        ``(unit, top)`` activations, falling along each row (in `least`: rising).
    indices
        ``(unit, top)`` which picture, counted from 0 in the order they were read.
    images
        ``(unit, top)`` its name.
    places
        ``(unit, top, 2)`` row and column of the cell.
    patches
        uint8 ``(unit, top, height, width, 3)`` what the cell sees of the picture.
    marks
        ``(unit, top, 2)`` where in the patch the middle of the cell's sight lies, down and across, from 0 to 1.
    windows
        ``(unit, top, 4)`` the receptive field of the cell, exactly, within the picture as the network saw it: top, left,
        bottom, right, in pixels. No pixel outside it has a say in the value.
    crops
        ``(unit, top, 4)`` the same of what `patches` shows: for shallow layers more, and at edges moved inward.
    count
        How many pictures were looked at.
    skipped
        Name and reason of each file that gave no picture.
    sprites
        The layer's spritemap, or None where no store has one.
    directions
        ``(unit, channel)`` unit vectors where directions were asked about, else None.
    labels
        A word for each unit: ``"channel 33"``, or what the direction is called.
    least
        The pictures at the other end, the lowest first, where they were asked about; else None.
    end
        ``"most"``, or ``"least"``.

    Examples
    --------
    >>> found = dc.exemplars(net, "photos/", "block9_add", [71, 25], top=3, least=1, progress=False)
    >>> found.network, found.layer, found.channels, found.labels, found.cell, found.count, found.skipped, found.end
    ('EfficientNetLite0', 'block9_add', array([71, 25]), ('channel 71', 'channel 25'), None, 8, (), 'most')
    >>> found.images[0], found.indices.shape, found.values.round(1), found.places[0, 0]
    (('astronaut.jpg', 'temple.jpg', 'coffee.jpg'), (2, 3), array([[20.4, 19.7, 16.2],
           [21.6, 18.8, 17. ]], dtype=float32), array([1, 7]))
    >>> found.patches.shape, found.marks.shape, found.windows[0, 0], found.crops[0, 0]
    ((2, 3, 112, 112, 3), (2, 3, 2), array([  0,   0, 169, 224], dtype=int32), array([  0,   0, 224, 224], dtype=int32))
    >>> found.least.values.shape, found.directions, found.question, found.unit, found.notes
    ((2, 1), None, 'anywhere', 'channel', ())
    >>> found.sprites.layer
    'block9_add'
    >>> found.to_dataframe().columns.to_list()
    ['channel', 'rank', 'image', 'index', 'activation', 'row', 'column', 'end']
    >>> found.plot()
    <Figure size ... with 10 Axes>
    >>> found.save("exemplars.html")
    PosixPath('exemplars.html')
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
    windows: np.ndarray = field(repr=False)
    crops: np.ndarray = field(repr=False)
    count: int = 0
    skipped: tuple[str, ...] = ()
    sprites: Spritemap | None = field(repr=False, default=None)
    directions: np.ndarray | None = field(repr=False, default=None)
    labels: tuple[str, ...] = ()
    least: Exemplars | None = field(repr=False, default=None)
    end: str = "most"

    @property
    def question(self) -> str:
        """What was looked for, in words."""
        return "anywhere" if self.cell is None else f"at row {self.cell[0]}, column {self.cell[1]}"

    @property
    def unit(self) -> str:
        """``"channel"`` or ``"direction"``."""
        return "channel" if self.directions is None else "direction"

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about these pictures, in sentences."""
        if self.least is None:
            return ()
        resting = int((self.least.values == 0).all(axis=1).sum())
        if not resting:
            return ()
        of = f"All {resting}" if resting == len(self.channels) else f"{resting} of {len(self.channels)}"
        return (
            f"{of} {self.unit}s are at 0 somewhere in every picture at the least end, as after a ReLU: any picture "
            f"will do there. What speaks against a {self.unit} shows before the activation: in the layer before, or at "
            f"'{self.layer.removesuffix(':linear')}:linear' where the layer has an activation of its own.",
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a channel (or direction) and picture: channel, rank, image, index, activation, row, column, end."""
        import pandas as pd

        n, top = self.values.shape
        table = pd.DataFrame(
            {
                self.unit: np.repeat(self.channels if self.directions is None else np.array(self.labels), top),
                "rank": np.tile(np.arange(1, top + 1), n),
                "image": [name for names in self.images for name in names],
                "index": self.indices.ravel(),
                "activation": self.values.ravel(),
                "row": self.places[..., 0].ravel(),
                "column": self.places[..., 1].ravel(),
                "end": self.end,
            }
        )
        return table if self.least is None else pd.concat([table, self.least.to_dataframe()], ignore_index=True)

    def keep(self) -> Companions:
        """Keep the patches beside the layer's sprites, in whose site they are shown (``diamond site``).

        Raises
        ------
        StoreError
            Where no store has sprites of the layer, or theirs cannot be written, and for directions, which have none.

        Examples
        --------
        >>> report = dc.pregenerate(small, ["parts"], store="sprites", size=32, steps=4, progress=False)
        >>> found = dc.exemplars(small, "photos/", "parts", [0, 1], top=2, store="sprites", progress=False)
        >>> found.keep().kind
        'exemplars'
        """
        if self.directions is not None:
            raise StoreError("directions have no sprites in a store to keep pictures beside; channels have")
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
        found = {name: getattr(self, name) for name in ("channels", *_OF_PICTURES)}
        if self.directions is not None:
            found["directions"] = self.directions
        if self.least is not None:
            found |= {f"least_{name}": getattr(self.least, name) for name in _OF_PICTURES}
        return found

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: what excites its {self.unit}s {self._ends} {self.question}"

    def __repr__(self) -> str:
        left = f", {len(self.skipped)} skipped" if self.skipped else ""
        shown = self.values.shape[1] + (0 if self.least is None else self.least.values.shape[1])
        return f"{self}: {len(self.channels)} {self.unit}s, {shown} of {self.count:,} pictures each{left}"

    @property
    def _ends(self) -> str:
        return self.end if self.least is None else "most and least"

    def _page(self) -> str:
        from diamond.show.exemplars import exemplar_page

        return exemplar_page(self)


def _squared(patches: np.ndarray) -> np.ndarray:
    """Lay patches ``(n, height, width, 3)`` into the middle of grey squares."""
    n, height, width, _ = patches.shape
    side = max(height, width)
    squares = np.full((n, side, side, 3), 128, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    squares[:, top : top + height, left : left + width] = patches
    return squares
