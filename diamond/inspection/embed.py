"""The shape of the code space: pictures laid out by what a layer makes of them.

    found = dc.embed(net, "flowers/")                          # a folder for each class
    found.trustworthiness, found.agreement
    found.neighbours("daisy/5547758_eea9edfd54_n.jpg", k=5)
    found.save("flowers.html")

Each picture has a code, the layer's activations. Principal components take the noise out, t-SNE lays neighbours beside
each other on a plane; there the thumbnails lie over each other, so they stand in a grid too, each in a cell of its own.
What is near by code and what only looks near can be told apart by figures (`trustworthiness`) and by the photo itself:
its nearest by code are measured in the code space, not on the plane.

Van der Maaten and Hinton, "Visualizing Data using t-SNE" (JMLR 2008); Karpathy, "t-SNE visualization of CNN codes" (2014),
for thumbnails in a grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diamond.attribution.feeding import Given
from diamond.inspection.codes import read_codes
from diamond.inspection.embedded import Embedding, distances
from diamond.inspection.spread import spread, trust
from diamond.inspection.units import read_place
from diamond.show.gridding import MOST_EXACT, grid_shape, to_grid
from modelzoo import Layer, Network

__all__ = ["Embedding", "embed"]

# Rows of the table of all distances at a time.
ROWS = 512


def embed(
    net: Network,
    images: Any,
    layer: str | Layer | None = None,
    *,
    labels: Any = None,
    pool: str = "mean",
    components: int = 50,
    perplexity: float = 30.0,
    seed: int = 0,
    batch: int = 32,
    progress: bool = True,
    given: Given | None = None,
) -> Embedding:
    """Lay pictures out by their codes.

    Parameters
    ----------
    net
        The network.
    images
        A folder (where it has a folder for each class, they are the labels), an archive of one, a list of paths or
        arrays, or any iterable of pictures or batches of them, of ``(pictures, labels)`` too; sounds for a sound
        network. Read once, a batch at a time.
    layer
        A layer or its address; the last one with features where None.
    labels
        A class for each picture of a list: words, or whole numbers; False to leave the folders' names out.
    pool
        How a code is made of activations at many places: their ``"mean"``, their ``"max"``, or ``"flatten"``: all of
        them, so that the same thing elsewhere in the picture has another code.
    components
        How many principal components t-SNE is given.
    perplexity
        About how many neighbours each picture minds; lowered, and told, where there are fewer than three times as many.
    seed
        The same seed gives the same layout on the same machine.
    batch
        How many pictures at a time.
    progress
        Whether to show a progress bar, from 64 pictures on.
    given
        Values of the network's other inputs by address, where it has several.

    Returns
    -------
    Embedding

    Raises
    ------
    UnknownLayerError, PictureError, SamplesError, FileNotFoundError
        For a layer that is not there, naming the nearest; where nothing can be read; for labels that do not fit.
    ValueError
        For codes that are NaN or infinite, too large for memory, or another pool; for components or a perplexity below 1.

    Warns
    -----
    UserWarning
        Where files were skipped since they are no pictures.

    Notes
    -----
    The grid is the assignment of least cost up to 2000 pictures, and by halving beyond: see `diamond.show.gridding`.

    Examples
    --------
    >>> found = dc.embed(net, "textures/val", progress=False)
    >>> found.codes.shape, found.classes
    ((12, 1280), ('brick', 'grass', 'gravel'))
    >>> found.neighbours("photos/cat.jpg", k=2).images
    ('grass/32.png', 'gravel/31.png')
    """
    place = read_place(net, net.pre_output_layer if layer is None else layer)
    found = read_codes(net, images, place, labels, pool=pool, given=given, batch=batch, progress=progress)
    layout = spread(found.codes, components=components, perplexity=perplexity, seed=seed)
    n = len(found.codes)
    shape = grid_shape(n)
    cells = to_grid(layout.positions, shape, exact=n <= MOST_EXACT)
    notes = list(layout.notes)
    if n > MOST_EXACT:
        notes.append(
            f"The grid of {n:,} pictures was filled by halving; the best assignment is found up to {MOST_EXACT:,}."
        )
    on_grid = np.stack([cells[:, 1], -cells[:, 0]], axis=-1).astype(np.float32)
    main = "tsne" if layout.perplexity is not None else "plane"
    trusted = {main: layout.positions, "pca": layout.components, "grid": on_grid}
    return Embedding(
        network=net.name,
        layer=place.name,
        pool=pool if len(place.output_shape) > 2 else "flatten",
        codes=found.codes,
        positions=layout.positions,
        components=layout.components,
        cells=cells,
        grid=shape,
        images=found.names,
        thumbnails=found.thumbnails,
        labels=found.labels,
        classes=found.classes,
        explained=layout.explained,
        perplexity=layout.perplexity,
        trustworthiness={name: trust(found.codes, where, seed=seed) for name, where in trusted.items()},
        agreement=_agreement(found.codes, found.labels),
        notes=tuple(notes),
        skipped=found.skipped,
        net=net,
    )


def _agreement(codes: np.ndarray, labels: np.ndarray | None) -> float:
    """Give the share of nearest neighbours that are of a picture's own class, the mean over classes."""
    if labels is None or len(codes) < 2:
        return float("nan")
    k = min(Embedding.NEAREST, len(codes) - 1)
    shares = np.zeros(len(codes))
    for begin in range(0, len(codes), ROWS):
        rows = np.arange(begin, min(begin + ROWS, len(codes)))
        far = distances(codes, codes[rows], "cosine").T
        far[np.arange(len(rows)), rows] = np.inf
        nearest = np.argpartition(far, k - 1, axis=1)[:, :k]
        shares[rows] = (labels[nearest] == labels[rows, None]).mean(axis=1)
    return float(np.mean([shares[labels == label].mean() for label in np.unique(labels)]))
