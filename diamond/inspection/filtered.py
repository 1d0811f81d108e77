"""What was found of a layer's filters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.result import Result
from spritemaps import Spritemap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Connection", "Filters"]


@dataclass(frozen=True, eq=False)
class Connection:
    """How one channel that a filter reads speaks to it.

    Attributes
    ----------
    channel
        Number of the channel that is read.
    weight
        The sum of its weights over all places: above 0 it excites, below it inhibits.
    slice
        ``(*places)`` its weights.
    """

    channel: int
    weight: float
    slice: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class Filters(Result):
    """The filters of a layer, in the order they were sorted in.

    Attributes
    ----------
    network, layer
        Which network, which layer.
    kind
        What the filters are: ``"convolution"``, ``"depthwise convolution"``, ``"expanded weights"`` ...
    channels
        ``(filter,)`` channel numbers.
    weights
        ``(kept, *places, input)`` of the first of them, as many as are kept: all but of the largest layers. Of a first
        layer ``input`` is red, green and blue, and a weight is what one unit of a colour in [0, 1] adds.
    inputs
        ``(kept, input)`` which channels of what it reads each filter reads.
    norms
        ``(filter,)`` roots of the sums of squares.
    smoothness
        ``(filter,)`` from -1 to 1: see `diamond.inspection.smoothness`; NaN for 1 x 1.
    layer_smoothness
        ``(all filters,)`` the same of the whole layer, in the network's order.
    noise_band
        Up to so far from 0 a score cannot be told from that of noise; NaN where none can, of a slice of 3 x 3 alone.
    colours
        Whether the filters look at the picture's colours.
    sort, scale
        As they were asked for.
    top
        How many channels are named that excite a filter, and that inhibit it.
    batch_norm
        Address of the batch norm that the weights are multiplied with; None where there is none.
    reads
        Address of the layer whose channels the filters read; None where it is the picture.
    is_sound
        Whether places are frequency and time, frequency upward in pictures.
    notes
        What to know, in sentences.
    sprites, read_sprites
        Spritemaps of the layer and of what it reads; None where no store has them.

    Examples
    --------
    >>> found = dc.filters(net, "stem_conv", channels=[0, 7])
    >>> found.network, found.layer, found.kind, found.channels, found.sort, found.scale, found.top
    ('EfficientNetLite0', 'stem_conv', 'convolution', array([0, 7]), 'norm', 'own', 5)
    >>> found.weights.shape, found.places, found.inputs.shape, found.colours, found.is_sound, found.notes
    ((2, 3, 3, 3), (3, 3), (2, 3), True, False,
     ('4 of 32 filters are less than a hundredth of the median: they do next to nothing.',))
    >>> found.norms.round(2), found.smoothness.round(2), found.noisy
    (array([61.88,  9.96]), array([0.02, 0.87]), array([ True, False]))
    >>> len(found.layer_smoothness), round(found.noise_band, 2)
    (32, 0.33)
    >>> found.batch_norm, found.reads, found.has_connections, found.connections.shape
    ('stem_bn', None, False, (2, 3))
    >>> found.sprites.layer, found.read_sprites, found.title
    ('stem_relu', None, 'EfficientNetLite0 stem_conv: its filters with stem_bn')
    >>> print(found.sentence)
    32 filters of 3 x 3, red, green and blue; smoothness 0.30 in the middle,
     15 cannot be told from noise by their smoothness (within ±0.33).
    >>> found.to_dataframe().columns.to_list()
    ['channel', 'norm', 'smoothness', 'noisy']
    >>> found.plot()
    <Figure size ... with 3 Axes>
    >>> found.save("stem.html")
    PosixPath('stem.html')
    """

    FRAME_PX: ClassVar[int] = 720

    network: str
    layer: str
    kind: str
    channels: np.ndarray
    weights: np.ndarray = field(repr=False)
    inputs: np.ndarray = field(repr=False)
    norms: np.ndarray = field(repr=False)
    smoothness: np.ndarray = field(repr=False)
    layer_smoothness: np.ndarray = field(repr=False)
    noise_band: float
    colours: bool
    sort: str
    scale: str
    top: int
    batch_norm: str | None
    reads: str | None
    is_sound: bool = False
    notes: tuple[str, ...] = ()
    sprites: Spritemap | None = field(repr=False, default=None)
    read_sprites: Spritemap | None = field(repr=False, default=None)

    @property
    def places(self) -> tuple[int, ...]:
        """Size of a filter."""
        return tuple(self.weights.shape[1:-1])

    @property
    def has_connections(self) -> bool:
        """Whether filters read channels that can be told apart: more than one, and not the picture's colours."""
        return self.reads is not None and self.weights.shape[-1] > 1

    @property
    def connections(self) -> np.ndarray:
        """``(kept, input)`` sums of the weights over all places."""
        return self.weights.reshape(len(self.weights), -1, self.weights.shape[-1]).sum(axis=1)

    @property
    def noisy(self) -> np.ndarray:
        """``(filter,)`` whether each cannot be told from noise; False where smoothness says nothing."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(self.smoothness) < self.noise_band)

    def strongest(self, position: int) -> tuple[tuple[Connection, ...], tuple[Connection, ...]]:
        """Give the channels that excite a filter most, and those that inhibit it most, the strongest first.

        Parameters
        ----------
        position
            Which of the kept filters, in the order of `channels`.

        Returns
        -------
        tuple, tuple
            Up to `top` each; channels whose weights add up to 0 are in neither.

        Examples
        --------
        >>> excite, inhibit = dc.filters(net, "block5_expand_conv", channels=[7], top=2).strongest(0)
        >>> excite
        (Connection(channel=34, weight=0.04879622906446457), Connection(channel=36, weight=0.03781478852033615))
        """
        sums, one = self.connections[position], self.weights[position]
        order = np.argsort(-sums, kind="stable")

        def named(numbers: np.ndarray) -> tuple[Connection, ...]:
            return tuple(Connection(int(self.inputs[position, i]), float(sums[i]), one[..., i]) for i in numbers)

        return named(order[sums[order] > 0][: self.top]), named(order[::-1][sums[order[::-1]] < 0][: self.top])

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        n, read = len(self.layer_smoothness), self.weights.shape[-1]
        of = "red, green and blue" if self.colours else "one channel each" if read == 1 else f"{read} channels each"
        begin = (
            f"{n} filters of {' x '.join(map(str, self.places))}, {of}"
            if self.places
            else f"{n} filters of {read} weights"
        )
        known = self.layer_smoothness[np.isfinite(self.layer_smoothness)]
        if not len(known):
            return f"{begin}; without neighbouring weights nothing is smooth or rough."
        if not np.isfinite(self.noise_band):
            few = "each has too few weights to be told from noise"
            return f"{begin}; smoothness {np.median(known):.2f} in the middle, {few}."
        noisy = int((np.abs(known) < self.noise_band).sum())
        rest = "all stand out from noise" if not noisy else f"{noisy} cannot be told from noise by their smoothness"
        middle = f"{np.median(known):.2f}".replace("-", "\N{MINUS SIGN}")
        band = f"\N{PLUS-MINUS SIGN}{self.noise_band:.2f}"
        return f"{begin}; smoothness {middle} in the middle, {rest} (within {band})."

    def to_dataframe(self) -> pd.DataFrame:
        """One row a filter, in this order; of those that are kept, and read channels, the strongest connections."""
        import pandas as pd

        table = pd.DataFrame(
            {"channel": self.channels, "norm": self.norms, "smoothness": self.smoothness, "noisy": self.noisy}
        )
        if self.has_connections:
            found = [self.strongest(i) for i in range(len(self.weights))]
            for name, which in (("excited_by", 0), ("inhibited_by", 1)):
                first = [
                    (each[which][0].channel, each[which][0].weight) if each[which] else (pd.NA, np.nan)
                    for each in found
                ]
                first += [(pd.NA, np.nan)] * (len(table) - len(first))
                table[name] = pd.array([channel for channel, _ in first], "Int64")
                table[f"{name}_weight"] = [weight for _, weight in first]
        return table

    def plot(self, *, slices: bool = False) -> Figure:
        """Draw the filters with matplotlib.

        Parameters
        ----------
        slices
            Of filters that read channels: True for all their slices in grey, False for the channels that excite and
            inhibit them most. First filters are drawn in colour either way.
        """
        from diamond.show.filter_figures import connection_figure, tile_figure

        return connection_figure(self) if self.has_connections and not slices else tile_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("channels", "weights", "inputs", "norms", "smoothness", "layer_smoothness")
        return {name: getattr(self, name) for name in names}

    @property
    def title(self) -> str:
        """What a frame and a window around the page are called."""
        return str(self)

    def __str__(self) -> str:
        through = "" if self.batch_norm is None else f" with {self.batch_norm}"
        of = "" if self.reads is None or self.kind != "expanded weights" else f" of {self.reads}"
        return f"{self.network} {self.layer}: its filters{of}{through}"

    def __repr__(self) -> str:
        return "\n".join([str(self), self.sentence, *self.notes])

    def _page(self) -> str:
        from diamond.show.filters import filter_page

        return filter_page(self)
