"""What an embedding gives: codes of pictures, their places on a plane and in a grid, and who is near whom."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from diamond.inspection.codes import read_codes
from diamond.inspection.units import read_place
from diamond.show.result import Result
from modelzoo import Network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["METRICS", "Embedding", "Neighbours", "distances"]

METRICS = ("cosine", "euclidean")


@dataclass(frozen=True, eq=False)
class Embedding(Result):
    """Pictures by their codes: on a plane, in a grid, and by neighbours.

    Attributes
    ----------
    network, layer, pool
        Whose codes they are, and how they were pooled.
    codes
        ``(n, values)`` float32.
    positions
        ``(n, 2)`` places on the plane: t-SNE, or what `notes` say.
    components
        ``(n, 2)`` the codes' first two principal components.
    cells
        ``(n, 2)`` row and column in the grid, each picture in one of its own.
    grid
        ``(rows, columns)`` of the grid.
    images
        ``(n,)`` names.
    thumbnails
        uint8 ``(n, height, width, 3)``.
    labels, classes
        ``(n,)`` number of each one's class, and the classes' names; None and nothing where there are none.
    explained
        Share of the codes' variance in the principal components that t-SNE was given.
    perplexity
        As it was used; None where there was no t-SNE.
    trustworthiness
        How far neighbours are neighbours by code, from 0 to 1 (drawn by lot: 0.5): of ``"tsne"``, of ``"pca"``, the first
        two components, and of ``"grid"``.
    agreement
        Share of each picture's `NEAREST` nearest by code that are of its class, the mean over the classes; NaN without
        classes.
    notes
        What was done otherwise than asked, in sentences.
    skipped
        Name and reason of each file that gave no picture.
    net
        The network itself, which codes other photos for `neighbours`.

    Examples
    --------
    >>> found = dc.embed(net, "textures/val", progress=False)
    >>> found.network, found.layer, found.pool, found.net is net, found.skipped, found.notes
    ('EfficientNetLite0', 'head_pool', 'flatten', True, (),
     ('Perplexity 3.67 in place of 30: 12 pictures have no more neighbours than that.',))
    >>> found.codes.shape, found.positions.shape, found.components.shape, found.cells.shape, found.grid
    ((12, 1280), (12, 2), (12, 2), (12, 2), (3, 4))
    >>> found.images[0], found.thumbnails.shape, found.labels[:5], found.classes
    ('brick/30.png', (12, 72, 72, 3), array([0, 0, 0, 0, 1]), ('brick', 'grass', 'gravel'))
    >>> round(found.explained, 1), found.perplexity, sorted(found.trustworthiness), round(found.agreement, 1)
    (1.0, 3.6666666666666665, ['grid', 'pca', 'tsne'], 0.3)
    >>> found.to_dataframe().columns.to_list()
    ['image', 'label', 'x', 'y', 'row', 'column', 'pca_1', 'pca_2']
    >>> found.plot()
    <Figure size ... with 2 Axes>
    >>> found.save("textures.html")
    PosixPath('textures.html')
    """

    FRAME_PX: ClassVar[int] = 860
    NEAREST: ClassVar[int] = 10

    network: str
    layer: str
    pool: str
    codes: np.ndarray = field(repr=False)
    positions: np.ndarray = field(repr=False)
    components: np.ndarray = field(repr=False)
    cells: np.ndarray = field(repr=False)
    grid: tuple[int, int]
    images: tuple[str, ...] = field(repr=False)
    thumbnails: np.ndarray = field(repr=False)
    labels: np.ndarray | None = field(repr=False)
    classes: tuple[str, ...]
    explained: float
    perplexity: float | None
    trustworthiness: dict[str, float]
    agreement: float
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    net: Network | None = field(repr=False, default=None)

    def neighbours(self, photo: Any, k: int = 8, *, metric: str = "cosine") -> Neighbours:
        """Find the pictures whose codes are nearest to a photo's.

        Parameters
        ----------
        photo
            One of these pictures, by number or by name, which is then left out of its own neighbours; or any other
            picture, as a path or an array.
        k
            How many.
        metric
            ``"cosine"``, one less the cosine of the angle between two codes, or ``"euclidean"``.

        Raises
        ------
        IndexError
            For a number that no picture has.
        ValueError
            Where `k` is less than 1, for another metric, and for more than one photo.
        FileNotFoundError
            For what is neither a name here nor a file, naming the nearest name.

        Examples
        --------
        >>> found = dc.embed(net, "textures/val", progress=False).neighbours("textures/train/brick/00.png", k=3)
        >>> found.images
        ('brick/33.png', 'brick/32.png', 'brick/30.png')
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected 1 or more neighbours")
        number, name, code, thumbnail = self._photo(photo)
        far = distances(self.codes, code[None], metric)[:, 0]
        order = np.argsort(far, kind="stable")
        order = order[order != number][:k]
        return Neighbours(
            network=self.network,
            layer=self.layer,
            photo=name,
            thumbnail=thumbnail,
            metric=metric,
            indices=order,
            distances=far[order],
            images=tuple(self.images[i] for i in order),
            thumbnails=self.thumbnails[order],
            labels=None if self.labels is None else tuple(self.classes[self.labels[i]] for i in order),
        )

    def _photo(self, photo: Any) -> tuple[int, str, np.ndarray, np.ndarray]:
        if isinstance(photo, int | np.integer):
            number = int(photo)
            if not 0 <= number < len(self.codes):
                raise IndexError(f"no picture {number}; they are numbered from 0 to {len(self.codes) - 1}")
        elif isinstance(photo, str) and photo in self.images:
            number = self.images.index(photo)
        else:
            return self._another(photo)
        return number, self.images[number], self.codes[number], self.thumbnails[number]

    def _another(self, photo: Any) -> tuple[int, str, np.ndarray, np.ndarray]:
        assert self.net is not None
        try:
            place = read_place(self.net, self.layer)
            found = read_codes(self.net, photo, place, labels=False, pool=self.pool, progress=False)
        except FileNotFoundError as error:
            near = difflib.get_close_matches(str(photo), self.images, n=1, cutoff=0.0)
            raise FileNotFoundError(
                f"{error}; nor is it the name of a picture here: did you mean {near[0]!r}?"
            ) from error
        if len(found.codes) != 1:
            raise ValueError(f"{len(found.codes)} photos were given; neighbours are of one")
        return -1, found.names[0], found.codes[0], found.thumbnails[0]

    def to_dataframe(self) -> pd.DataFrame:
        """One row a picture: image, label, x, y (the plane), row, column (the grid), pca_1, pca_2."""
        import pandas as pd

        labels = [None] * len(self.images) if self.labels is None else [self.classes[i] for i in self.labels]
        return pd.DataFrame(
            {
                "image": self.images,
                "label": labels,
                "x": self.positions[:, 0],
                "y": self.positions[:, 1],
                "row": self.cells[:, 0],
                "column": self.cells[:, 1],
                "pca_1": self.components[:, 0],
                "pca_2": self.components[:, 1],
            }
        )

    def plot(self) -> Figure:
        """Draw the thumbnails at their places, and in the grid, framed in the colour of their class."""
        from diamond.show.embedding import embedding_figure

        return embedding_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        found = {name: getattr(self, name) for name in ("codes", "positions", "components", "cells", "thumbnails")}
        found["images"] = np.array(self.images)
        return found if self.labels is None else found | {"labels": self.labels, "classes": np.array(self.classes)}

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: {len(self.images):,} pictures by their codes"

    def __repr__(self) -> str:
        trusted = ", ".join(f"{name} {value:.3f}" for name, value in self.trustworthiness.items())
        of = f", {len(self.classes)} classes ({self.agreement:.0%} of the nearest agree)" if self.classes else ""
        return "\n".join([f"{self}{of}; trustworthiness: {trusted}", *self.notes])

    def _page(self) -> str:
        from diamond.show.embedding import embedding_page

        return embedding_page(self)


@dataclass(frozen=True, eq=False)
class Neighbours(Result):
    """The pictures whose codes are nearest to a photo's, the nearest first.

    Attributes
    ----------
    network, layer, metric
        Whose codes, and how their distance is measured.
    photo
        Name of the photo.
    thumbnail
        uint8 ``(height, width, 3)``.
    indices, distances
        ``(k,)`` numbers of the pictures, and how far their codes are.
    images, thumbnails, labels
        Their names, pictures ``(k, height, width, 3)`` and classes, None where there are none.
    """

    FRAME_PX: ClassVar[int] = 260

    network: str
    layer: str
    photo: str
    thumbnail: np.ndarray = field(repr=False)
    metric: str
    indices: np.ndarray
    distances: np.ndarray
    images: tuple[str, ...]
    thumbnails: np.ndarray = field(repr=False)
    labels: tuple[str, ...] | None

    def to_dataframe(self) -> pd.DataFrame:
        """One row a neighbour: rank, image, index, distance, label."""
        import pandas as pd

        n = len(self.images)
        return pd.DataFrame(
            {
                "rank": np.arange(1, n + 1),
                "image": self.images,
                "index": self.indices,
                "distance": self.distances,
                "label": [None] * n if self.labels is None else self.labels,
            }
        )

    def plot(self) -> Figure:
        """Draw the photo and its neighbours in a row."""
        from diamond.show.embedding import neighbours_figure

        return neighbours_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in ("thumbnail", "indices", "distances", "thumbnails")}

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: nearest to {self.photo}"

    def _page(self) -> str:
        from diamond.show.embedding import neighbours_page

        return neighbours_page(self)


def distances(codes: np.ndarray, of: np.ndarray, metric: str) -> np.ndarray:
    """Measure ``(n, m)`` distances of codes ``(n, values)`` from others ``(m, values)``; a code of zeros is far from all.

    Raises
    ------
    ValueError
        For another metric, naming those there are.
    """
    if metric not in METRICS:
        near = difflib.get_close_matches(str(metric), METRICS, n=1, cutoff=0.0)
        raise ValueError(f"no metric {metric!r}; expected one of {', '.join(METRICS)}; did you mean {near[0]!r}?")
    if metric == "cosine":
        lengths = np.linalg.norm(codes, axis=1), np.linalg.norm(of, axis=1)
        a = codes / np.maximum(lengths[0], 1e-30)[:, None]
        b = of / np.maximum(lengths[1], 1e-30)[:, None]
        found: np.ndarray = 1.0 - a @ b.T
        return found
    squares = (codes**2).sum(axis=1)[:, None] + (of**2).sum(axis=1)[None] - 2.0 * codes @ of.T
    far: np.ndarray = np.sqrt(np.maximum(squares, 0.0))
    return far
