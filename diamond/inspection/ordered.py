"""Maps in a new order, and how much nearer to one another its neighbours are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["METHODS", "OrderedMaps"]

METHODS = {
    "leaves": "by similarity, as the leaves of a tree",
    "spectral": "by similarity, along the Fiedler vector",
    "pca": "along the first component of whole maps",
    "pca_rows": "each row along its own first component",
    "kmeans": "by k-means on one row",
}


@dataclass(frozen=True, eq=False)
class OrderedMaps(Result):
    """A layer's maps in an order in which what is alike stands side by side.

    Attributes
    ----------
    name
        What the maps are of: network, layer and picture, or a word for an array.
    method
        How the order was found.
    maps
        ``(height, width, channel)`` as they were given.
    channels
        ``(channel,)`` their numbers in the layer.
    permutation
        ``(channel,)`` which of the given maps stands at each place; of ``"pca_rows"`` ``(height, channel)``, a
        permutation of its own for each row.
    clusters
        ``(channel,)`` number of the cluster at each place, from 0; None for methods without clusters.
    row
        The row that k-means looked at; for the other methods the row whose channels differ most, which pictures show.
    steps
        How far neighbours lie apart, as the mean size of the difference of their values: in the order as given, in the
        order found, and between any two channels, which is what a random order has.
    edges_hz, edges_s
        Of a sound: ``(height + 1,)`` frequencies, lowest first, and ``(width + 1,)`` seconds between which the cells lie.
        Else None.
    notes
        What to know of this order, in sentences.

    Examples
    --------
    >>> found = dc.order_maps(dc.activation_maps(net, "cat.jpg", "block4_add"), method="kmeans", clusters=4)
    >>> found.name, found.method, found.row, found.notes
    ('EfficientNetLite0 block4_add, cat.jpg', 'kmeans', 10, ('k-means on row 10 (counted from 0): 4 clusters.',))
    >>> found.maps.shape, found.ordered.shape, found.channels.shape, found.order.shape, found.permutation.shape
    ((28, 28, 40), (28, 28, 40), (40,), (40,), (40,))
    >>> sorted(set(found.clusters.tolist())), found.by_row, found.heard, found.edges_hz, found.edges_s
    ([0, 1, 2, 3], False, False, None, None)
    >>> found.steps
    (7.864909648895264, 7.507538318634033, 7.749248088930998)
    >>> round(found.gain, 1)
    0.0
    >>> print(found.sentence)
    Neighbours differ by 7.51 in the mean, before by 7.86; any two channels differ by 7.75,
     so this order brings neighbours 3% nearer than chance.
    >>> found.to_dataframe().columns.to_list()
    ['place', 'channel', 'cluster']
    >>> found.plot()
    <Figure size ... with 8 Axes>
    >>> found.save("order.html")
    PosixPath('order.html')
    """

    FRAME_PX: ClassVar[int] = 820

    name: str
    method: str
    maps: np.ndarray = field(repr=False)
    channels: np.ndarray = field(repr=False)
    permutation: np.ndarray
    clusters: np.ndarray | None
    row: int
    steps: tuple[float, float, float]
    edges_hz: np.ndarray | None = field(repr=False, default=None)
    edges_s: np.ndarray | None = field(repr=False, default=None)
    notes: tuple[str, ...] = ()

    @property
    def heard(self) -> bool:
        """Whether rows are bands of frequency, the lowest first."""
        return self.edges_hz is not None

    @property
    def by_row(self) -> bool:
        """Whether each row has an order of its own."""
        return self.permutation.ndim == 2

    @property
    def ordered(self) -> np.ndarray:
        """``(height, width, channel)`` the maps in the new order."""
        if not self.by_row:
            return self.maps[..., self.permutation]
        return np.take_along_axis(self.maps, self.permutation[:, None, :], axis=2)

    @property
    def order(self) -> np.ndarray:
        """``(channel,)`` numbers of the channels in the new order; of an order for each row ``(height, channel)``."""
        return self.channels[self.permutation]

    @property
    def gain(self) -> float:
        """By what share neighbours lie nearer to one another than in a random order."""
        _, after, chance = self.steps
        return 1.0 - after / chance if chance > 0 else 0.0

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        before, after, chance = self.steps
        if chance == 0:
            return "All maps are the same; every order is as good."
        return (
            f"Neighbours differ by {after:.3g} in the mean, before by {before:.3g}; any two channels differ by "
            f"{chance:.3g}, so this order brings neighbours {self.gain:.0%} nearer than chance."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a place in the order: place, channel, and cluster where there are any; row, where each has its own."""
        import pandas as pd

        n = len(self.channels)
        if self.by_row:
            rows = np.arange(len(self.permutation))
            places = np.tile(np.arange(n), len(rows))
            return pd.DataFrame({"row": np.repeat(rows, n), "place": places, "channel": self.order.ravel()})
        columns = {"place": np.arange(n), "channel": self.order}
        return pd.DataFrame(columns if self.clusters is None else {**columns, "cluster": self.clusters})

    def plot(self) -> Figure:
        """Draw before and after side by side: a slice through the stack of maps, their similarities, the maps."""
        from diamond.show.ordered_maps import ordered_figure

        return ordered_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        held = {"maps": self.maps, "ordered": self.ordered, "permutation": self.permutation, "channels": self.channels}
        return held if self.clusters is None else {**held, "clusters": self.clusters}

    def __str__(self) -> str:
        return f"{self.name}: {len(self.channels)} maps {METHODS[self.method]}"

    def __repr__(self) -> str:
        return f"{self}. {self.sentence}"

    def _page(self) -> str:
        from diamond.show.ordered_maps import ordered_page

        return ordered_page(self)
