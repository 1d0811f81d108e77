"""What a layer sees at each place of a picture, and for which class: one map to look at.

    found = semantic_map(net, "cat.jpg", "block9_add", positive="tiger cat", negative="tabby")
    found.heatmap.shape, found.channels[5, 8], found.scores[5, 8]
    found.save("cat.html")

A heatmap says where, a list of channels says what, and neither says what is where. A semantic map keeps both: for each
cell of the layer's grid the channels that matter most there, and how much the cell matters as a whole. Its page shows
them together on the photo, cell by cell under the pointer.

What it measures depends on the question, and on nothing else:

* *a class*: gradient times activation, in logits (see `diamond.attribution.linear`). A cell's channels are those that
  speak most for the class, the highest score first.
* *a class against another*: the same of the difference of their logits. A cell's channels are those with the largest
  score of either sign, so that both classes have their say.
* *no class* (``positive=None``): the activations themselves. A cell's channels are those most active there, and the
  heatmap is the length of the cell's activation vector, the root of the sum of squares, which counts a negative value
  of a layer without a ReLU as much as a positive one.

Olah et al., "The Building Blocks of Interpretability" (Distill 2018), sections "What Does the Network See?" and
"Attribution".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from diamond.attribution.feeding import Given
from diamond.attribution.linear import contributions
from diamond.attribution.streams import stream
from diamond.attribution.targets import ALL_OTHERS, OTHERS, Target
from diamond.show.result import Result
from modelzoo import GraphError, Layer, Network, image
from modelzoo.inputs.frontends import cell_edges
from modelzoo.predictions import names_of
from spritemaps import Spritemap, Store, find

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["SemanticMap", "semantic_map", "sharper", "spatial_layer", "upright"]

# A photo is shown at up to so many times the size that the network saw it at.
SHARPER = 2.5
FRAME_HEIGHT_PX = 800


@dataclass(frozen=True, eq=False)
class SemanticMap(Result):
    """What a layer sees at each place of one picture.

    Attributes
    ----------
    network, layer, image
        Which network, layer and picture.
    heatmap
        ``(cells high, cells wide)`` how much each cell matters: contribution to the class score in logits, or, without a
        class, the length of its activation vector.
    channels
        ``(cells high, cells wide, top)`` the channels that matter most at each cell, most first.
    scores
        ``(cells high, cells wide, top)`` how much: contribution in logits, or, without a class, activation.
    overall, overall_scores
        ``(top,)`` the same of the whole picture: contributions are summed over the cells, activations are the highest.
    activations
        ``(cells high, cells wide, channel)`` of the whole layer.
    positive, negative
        Class asked about, and class held against it; None where there was none.
    logit
        The score that is explained: a logit, or the difference of two; None without a class.
    stride_px
        ``(height, width)`` pixels of the picture that a cell stands for.
    picture
        ``(height, width, 3)`` as the network saw it, in [0, 1]; of a sound ``(frequency, time, 1)``.
    photo
        The same part of the photo, sharper where the photo allows.
    others, other_pictures, other_activations
        Further pictures: a word for each, what the network saw ``(image, height, width, 3)``, and what the layer
        answered ``(image, cells high, cells wide, channel)``.
    sprites
        The layer's spritemap, or None where no store has one.
    edges_hz, edges_s
        Of a sound: ``(cells high + 1,)`` frequencies between which the rows lie, lowest first, and
        ``(cells wide + 1,)`` seconds from the start of the patch. Else None.

    Examples
    --------
    >>> found = dc.semantic_map(net, "cat.jpg", "block9_add", others=["coffee.jpg"])
    >>> found.network, found.layer, found.image, found.question, found.unit
    ('EfficientNetLite0', 'block9_add', 'cat.jpg', 'tiger cat', 'logits')
    >>> found.positive, found.negative, round(float(found.logit), 1)
    ('tiger cat', None, 9.2)
    >>> found.heatmap.shape, found.channels.shape, found.scores.shape, found.activations.shape
    ((14, 14), (14, 14, 4), (14, 14, 4), (14, 14, 112))
    >>> found.overall, found.overall_scores.round(2)
    (array([48, 96, 71, 38]), array([0.45, 0.35, 0.33, 0.32], dtype=float32))
    >>> found.stride_px, found.picture.shape, found.photo.shape
    ((16.0, 16.0), (224, 224, 3), (224, 224, 3))
    >>> found.others, found.other_pictures.shape, found.other_activations.shape
    (('coffee.jpg',), (1, 224, 224, 3), (1, 14, 14, 112))
    >>> found.sprites, found.edges_hz, found.edges_s
    (Spritemap('EfficientNetLite0', 'block9_add': 112 channels, 96 px, recipe 'sprite'), None, None)
    >>> found.to_dataframe().iloc[:2, :6].round(3)
       row  column   cell  rank  channel  score
    0    0       0  0.021     1       96  0.019
    1    0       0  0.021     2       38  0.018
    >>> found.plot("sprites")
    <Figure size ... with 12 Axes>
    >>> found.save("cat.html")
    PosixPath('cat.html')
    """

    FRAME_PX: ClassVar[int] = FRAME_HEIGHT_PX

    network: str
    layer: str
    image: str
    heatmap: np.ndarray
    channels: np.ndarray
    scores: np.ndarray
    overall: np.ndarray
    overall_scores: np.ndarray
    activations: np.ndarray = field(repr=False)
    positive: str | None
    negative: str | None
    logit: float | None
    stride_px: tuple[float, float]
    picture: np.ndarray = field(repr=False)
    photo: np.ndarray = field(repr=False)
    others: tuple[str, ...] = ()
    other_pictures: np.ndarray = field(repr=False, default_factory=lambda: np.zeros((0, 0, 0, 3), np.float32))
    other_activations: np.ndarray = field(repr=False, default_factory=lambda: np.zeros((0, 0, 0, 0), np.float32))
    sprites: Spritemap | None = field(repr=False, default=None)
    edges_hz: np.ndarray | None = None
    edges_s: np.ndarray | None = None

    @property
    def question(self) -> str:
        """The class or classes asked about, in words."""
        if self.positive is None:
            return "all classes"
        return self.positive if self.negative is None else f"{self.positive} against {self.negative}"

    @property
    def unit(self) -> str:
        """What scores and heatmap are measured in."""
        return "activation" if self.positive is None else "logits"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a cell and channel: row, column, cell (its value in the heatmap), rank, channel, score, activation.

        Of a sound also where the cell begins and ends: low_hz, high_hz, from_s, to_s.
        """
        import pandas as pd

        row, column, rank = (axis.ravel() for axis in np.indices(self.channels.shape))
        channel = self.channels.ravel()
        heard = {}
        if self.edges_hz is not None and self.edges_s is not None:
            heard = {"low_hz": self.edges_hz[row], "high_hz": self.edges_hz[row + 1]}
            heard |= {"from_s": self.edges_s[column], "to_s": self.edges_s[column + 1]}
        return pd.DataFrame(
            {
                "row": row,
                "column": column,
                **heard,
                "cell": self.heatmap[row, column],
                "rank": rank + 1,
                "channel": channel,
                "score": self.scores.ravel(),
                "activation": self.activations[row, column, channel],
            }
        )

    def plot(self, view: str = "heatmap") -> Figure:
        """Draw the photo, the map over it and the picture's top channels.

        Parameters
        ----------
        view
            ``"heatmap"``, or ``"sprites"``: each cell as the sprite of its first channel.

        Raises
        ------
        ValueError
            For another view, and for ``"sprites"`` where no store has sprites of the layer.
        """
        from diamond.show.semantic import semantic_figure

        return semantic_figure(self, view)

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("heatmap", "channels", "scores", "overall", "overall_scores", "activations", "picture")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: what {self.image} shows for {self.question}"

    def __repr__(self) -> str:
        high, wide, top = self.channels.shape
        listed = ", ".join(f"{c} ({s:.3g})" for c, s in zip(self.overall, self.overall_scores, strict=True))
        return f"{self}: {high} x {wide} cells, {top} channels each; overall {listed}"

    def _page(self) -> str:
        from diamond.show.semantic import semantic_page

        return semantic_page(self)


def semantic_map(
    net: Network,
    image: Any,
    layer: str | Layer,
    *,
    positive: Target | None = "top1",
    negative: Target | None = None,
    top: int = 4,
    others: Any = None,
    given: Given | None = None,
    store: Store | str | Path | None = None,
) -> SemanticMap:
    """Find what a layer sees at each place of a picture, and for which class.

    Parameters
    ----------
    net
        The network.
    image
        One picture: path, URL, array ``(height, width, 3)`` in [0, 1]; or a spectrogram patch for a sound network.
    layer
        A layer with height and width, or its address.
    positive, negative
        Index, label, WordNet id, or ``"top1"``, ``"top2"`` ...: the class asked about, and one held against it, or
        ``"others"``: all of them. ``positive=None`` asks about no class: what is active where.
    top
        How many channels to name for each cell; all of them where the layer has fewer.
    others
        Further pictures, one or many or a folder of them, in which the page shows where a chosen channel fires too. They
        stay in memory; of thousands, `diamond.exemplars` finds the best.
    given
        Values of the network's other inputs by address, ``(1, ...)`` each, where it has several.
    store
        Where to look first for the layer's spritemap.

    Returns
    -------
    SemanticMap

    Raises
    ------
    UnknownLayerError, ClassError, PictureError
        For a layer or class the network does not have, or a picture that cannot be read, naming the nearest.
    GraphError
        For a layer without height and width, naming the nearest with them; where no gradient reaches the layer.
    ValueError
        Where `top` is less than 1, several pictures are given, a class is held against none, or activations are NaN or
        infinite, naming the layer they come from.

    Warns
    -----
    UserWarning
        Where files among `others` were skipped since they are no pictures.

    Examples
    --------
    >>> found = dc.semantic_map(net, "cat.jpg", "block9_add", positive="tiger cat", negative="tabby")
    >>> found.heatmap.shape, found.channels.shape, found.channels[5, 8]
    ((14, 14), (14, 14, 4), array([70,  3, 24, 48]))
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more channels")
    if positive is None and negative is not None:
        raise ValueError(f"negative={negative!r} is held against no class; say positive too")
    place = spatial_layer(net, layer)
    pictures, photo, name = _read(net, image, given)
    [found] = contributions(net, pictures, place, positive=positive, negative=negative, given=given)
    plus, minus = (
        net.class_label(int(of[0])) if of is not None and len(of) else None for of in (found.positive, found.negative)
    )
    other_pictures, other_names, other_activations = _others(net, others, place, given, found.activations[:0])
    values, activations = upright(net, found.values)[0], upright(net, found.activations)[0]
    audio = net.input.audio
    hz, s = (None, None) if audio is None else cell_edges(audio, *activations.shape[:2])
    return SemanticMap(
        network=net.name,
        layer=place.name,
        image=name,
        **_ranked(values, top, labelled=positive is not None, both=negative is not None),
        activations=activations,
        positive=plus,
        negative=ALL_OTHERS if negative == OTHERS else minus,
        logit=None if positive is None else float(found.scores[0]),
        stride_px=(pictures.shape[1] / activations.shape[0], pictures.shape[2] / activations.shape[1]),
        picture=pictures[0],
        photo=photo,
        others=other_names,
        other_pictures=other_pictures if other_names else pictures[:0],
        other_activations=upright(net, other_activations),
        sprites=find(net.fingerprint(place), store=store),
        edges_hz=hz,
        edges_s=s,
    )


def spatial_layer(net: Network, layer: str | Layer) -> Layer:
    """Find a layer that has height and width.

    Raises
    ------
    UnknownLayerError
        Naming the nearest layers.
    GraphError
        Where it has no height and width, naming the nearest layers, in network order, that do.
    """
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    if place.is_spatial:
        return place
    spatial = sorted((row for row in net.layers if row.is_spatial), key=lambda row: abs(row.position - place.position))
    near = ", ".join(repr(row.name) for row in spatial[:3]) or "none in this network"
    raise GraphError(
        f"{place.name!r} has the shape {place.output_shape}: no height and width to draw a map of; nearest layers with "
        f"them: {near}"
    )


def upright(net: Network, grid: np.ndarray) -> np.ndarray:
    """Turn ``(batch, time, frequency, channel)`` as the pictures of sounds lie, frequency first; leave all else."""
    audio = net.input.audio
    return np.swapaxes(grid, 1, 2) if audio is not None and audio.time_first else grid


def _read(net: Network, source: Any, given: Given | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Give one picture as the network sees it, as it is shown, and its name."""
    [single] = source if isinstance(source, list | tuple) and len(source) == 1 else [source]
    raw = image(single) if net.input.audio is None and isinstance(single, str | Path | Image.Image) else single
    batches = list(stream(net, raw, given=given, batch=2, progress=False))
    n = sum(len(batch.names) for batch in batches)
    if n != 1:
        hint = "; give one patch of the sound, net.patches(sound).values[0]" if net.input.audio is not None else ""
        raise ValueError(f"{n} pictures were given; a semantic map is of one{hint}")
    [batch] = batches
    is_photo = net.input.audio is None and getattr(raw, "ndim", 0) == 3
    photo = sharper(net, image(raw), batch.pictures[0]) if is_photo else batch.pictures[0]
    return batch.pictures, photo, names_of(single, 1)[0] if raw is not single else batch.names[0]


def _others(
    net: Network, sources: Any, place: Layer, given: Given | None, none: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Give further pictures as the network sees them, their names, and what the layer answers."""
    if sources is None:
        return none, (), none
    batches = list(stream(net, sources, given=given))
    found = [
        part.activations
        for b in batches
        for part in contributions(net, b.pictures, place, positive=None, given=b.given)
    ]
    pictures = np.concatenate([batch.pictures for batch in batches])
    return pictures, tuple(name for batch in batches for name in batch.names), np.concatenate(found)


def sharper(net: Network, raw: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Give the part of the photo that the network saw, larger where the photo has more pixels than the network takes."""
    height, width = picture.shape[:2]
    if raw.shape[:2] == (height, width):
        return picture
    factor = min(SHARPER, *(net.input.crop * own / seen for own, seen in zip(raw.shape, (height, width), strict=False)))
    if factor < 1.2:
        return picture
    size = round(height * factor), round(width * factor)
    # A photo that has just this size would be taken whole; the network saw its middle.
    return image(raw, size if size != raw.shape[:2] else (size[0] - 1, size[1] - 1), crop=net.input.crop)


def _ranked(values: np.ndarray, top: int, *, labelled: bool, both: bool) -> dict[str, np.ndarray]:
    key = np.abs(values) if both else values
    channels = np.argsort(-key, axis=-1, kind="stable")[..., :top]
    whole = values.sum(axis=(0, 1)) if labelled else values.max(axis=(0, 1))
    overall = np.argsort(-(np.abs(whole) if both else whole), kind="stable")[:top]
    return {
        "heatmap": values.sum(axis=-1) if labelled else np.sqrt(np.square(values).sum(axis=-1)),
        "channels": channels,
        "scores": np.take_along_axis(values, channels, axis=-1),
        "overall": overall,
        "overall_scores": whole[overall],
    }
