"""Places of two pictures that a layer takes for the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Correspondence"]


@dataclass(frozen=True, eq=False)
class Correspondence(Result):
    """Matching cells of two pictures, the most alike first.

    Attributes
    ----------
    network, layer
        Which network, which layer.
    images
        A word for each of the two pictures.
    pictures
        Both as the network saw them, ``(height, width, 3)`` in [0, 1].
    grids
        ``(cells high, cells wide)`` of each.
    cells_a, cells_b
        ``(match, 2)`` row and column of the cell in the first and in the second picture.
    points_a, points_b
        ``(match, 2)`` where the cell lies, down and across in pixels, the grid of cells in the middle of the picture.
    similarities
        ``(match,)`` cosine of the two codes, up to 1.
    ratios
        ``(match,)`` distance of the two codes as a share of that to the next best place of the second picture, the cells
        around the best left out: near 1 where another place would have done as well.
    mutual
        Whether only pairs count in which each is the other's best.

    Examples
    --------
    >>> found = dc.correspond(net, photo, photo[:, ::-1], "block9_add", ratio=0.9)
    >>> found.network, found.layer, found.images, found.mutual, found.grids
    ('EfficientNetLite0', 'block9_add', ('the first picture', 'the second picture'), True, ((14, 14), (14, 14)))
    >>> found.cells_a[0], found.cells_b[0], found.points_a[0], found.points_b[0]
    (array([6, 4]), array([6, 9]), array([104.,  72.]), array([104., 152.]))
    >>> found.similarities[0].round(2), found.ratios[0].round(2), round(found.share, 1), found.pictures[0].shape
    (np.float64(0.95), np.float64(0.51), 1.0, (224, 224, 3))
    >>> len(found.spread(5))
    5
    >>> found.to_dataframe().columns.to_list()
    ['row_a', 'column_a', 'down_a_px', 'across_a_px', 'row_b', 'column_b', 'down_b_px', 'across_b_px',
     'similarity', 'ratio']
    >>> found.plot("colours")
    <Figure size ... with 2 Axes>
    >>> found.save("matches.html")
    PosixPath('matches.html')
    """

    network: str
    layer: str
    images: tuple[str, str]
    pictures: tuple[np.ndarray, np.ndarray] = field(repr=False)
    grids: tuple[tuple[int, int], tuple[int, int]]
    cells_a: np.ndarray = field(repr=False)
    cells_b: np.ndarray = field(repr=False)
    points_a: np.ndarray = field(repr=False)
    points_b: np.ndarray = field(repr=False)
    similarities: np.ndarray = field(repr=False)
    ratios: np.ndarray = field(repr=False)
    mutual: bool = True

    def __len__(self) -> int:
        return len(self.cells_a)

    @property
    def share(self) -> float:
        """Share of the first picture's cells that have a match."""
        return len(self) / (self.grids[0][0] * self.grids[0][1])

    def spread(self, count: int) -> np.ndarray:
        """Give the numbers of at most `count` matches that lie far from each other in the first picture, the best first.

        The most alike comes first; each further one is the match that is furthest from all before.

        Parameters
        ----------
        count
            How many at most.
        """
        if not len(self) or count < 1:
            return np.zeros(0, np.int64)
        chosen = [0]
        nearest = np.full(len(self), np.inf)
        while len(chosen) < min(count, len(self)):
            nearest = np.minimum(nearest, np.hypot(*(self.cells_a - self.cells_a[chosen[-1]]).T))
            # Of places equally far, the one whose codes are more alike, which stands first.
            chosen.append(int(nearest.argmax()))
        return np.sort(np.array(chosen))

    def to_dataframe(self) -> pd.DataFrame:
        """One row a match: row and column in each picture, the middles in pixels, similarity, ratio."""
        import pandas as pd

        names = ("row", "column")
        table: dict[str, np.ndarray] = {}
        for which, cells, points in (("a", self.cells_a, self.points_a), ("b", self.cells_b, self.points_b)):
            table |= {f"{name}_{which}": cells[:, i] for i, name in enumerate(names)}
            table |= {f"{name}_{which}_px": points[:, i] for i, name in enumerate(("down", "across"))}
        return pd.DataFrame({**table, "similarity": self.similarities, "ratio": self.ratios})

    def plot(self, view: str = "lines", *, count: int = 40) -> Figure:
        """Draw both pictures, and what matches.

        Parameters
        ----------
        view
            ``"lines"`` between some matches that lie far from each other; or ``"colours"``: every matched cell of the
            first picture in a colour of its own, and its match in the same.
        count
            How many lines at most.

        Raises
        ------
        ValueError
            For another view.
        """
        from diamond.show.correspondence import correspondence_figure

        return correspondence_figure(self, view, count)

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("cells_a", "cells_b", "points_a", "points_b", "similarities", "ratios")
        arrays = {name: getattr(self, name) for name in names}
        return arrays | {"picture_a": self.pictures[0], "picture_b": self.pictures[1]}

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: the same places in {self.images[0]} and {self.images[1]}"

    def __repr__(self) -> str:
        found = f"{len(self):,} matches, {self.share:.0%} of the first picture's cells"
        return f"{self}: {found}, cosine {np.median(self.similarities):.2f} (median)" if len(self) else f"{self}: none"

    def _page(self) -> str:
        from diamond.show.correspondence import correspondence_page

        return correspondence_page(self)

    @property
    def _height_px(self) -> int:
        return 640
