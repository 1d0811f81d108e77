"""What a layer sees at each place of a picture, and for which class: one map to look at.

    >>> found = semantic_map(net, "cat.jpg", "block9_add", positive="tiger cat", negative="tabby")
    >>> found.heatmap.shape, found.channels[5, 8], found.scores[5, 8]
    ((14, 14), array([71, 25, 3, 90]), array([0.08, -0.05, 0.04, 0.02], dtype=float32))
    >>> found.save("cat.html")

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
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from diamond.attribution.linear import contributions
from diamond.attribution.targets import Target
from modelzoo import GraphError, Layer, Network, image
from modelzoo.predictions import names_of
from spritemaps import Spritemap, Store, find

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["SemanticMap", "semantic_map", "spatial_layer"]

# A photo is shown at up to so many times the size that the network saw it at.
SHARPER = 2.5
FRAME_HEIGHT_PX = 800


@dataclass(frozen=True, eq=False)
class SemanticMap:
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
    """

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
        """One row a cell and channel: row, column, cell (its value in the heatmap), rank, channel, score, activation."""
        import pandas as pd

        row, column, rank = (axis.ravel() for axis in np.indices(self.channels.shape))
        channel = self.channels.ravel()
        return pd.DataFrame(
            {
                "row": row,
                "column": column,
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

    def save(self, path: str | Path) -> Path:
        """Write as ``.html``, ``.png``, ``.csv`` or ``.npz``, by suffix.

        Raises
        ------
        ValueError
            For any other suffix.
        """
        from diamond.show.saving import save

        names = ("heatmap", "channels", "scores", "overall", "overall_scores", "activations", "picture")
        arrays = {name: getattr(self, name) for name in names}
        return save(path, page=self._page, figure=self.plot, table=self.to_dataframe, arrays=arrays)

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: what {self.image} shows for {self.question}"

    def __repr__(self) -> str:
        high, wide, top = self.channels.shape
        listed = ", ".join(f"{c} ({s:.3g})" for c, s in zip(self.overall, self.overall_scores, strict=True))
        return f"{self}: {high} x {wide} cells, {top} channels each; overall {listed}"

    def _page(self) -> str:
        from diamond.show.semantic import semantic_page

        return semantic_page(self)

    def _repr_html_(self) -> str:
        from diamond.show.pages import embed

        return embed(self._page(), title=str(self), height_px=FRAME_HEIGHT_PX)


def semantic_map(
    net: Network,
    image: Any,
    layer: str | Layer,
    *,
    positive: Target | None = "top1",
    negative: Target | None = None,
    top: int = 4,
    others: Any = None,
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
        Index, label, WordNet id, or ``"top1"``, ``"top2"`` ...: the class asked about, and one held against it.
        ``positive=None`` asks about no class: what is active where.
    top
        How many channels to name for each cell; all of them where the layer has fewer.
    others
        One or many further pictures, in which the page shows where a chosen channel fires too.
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
        Where `top` is less than 1, several pictures are given, a class is held against none, or activations are not
        finite.
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more channels")
    if positive is None and negative is not None:
        raise ValueError(f"negative={negative!r} is held against no class; say positive too")
    place = spatial_layer(net, layer)
    pictures, photo, name = _read(net, image)
    logit: float | None = None
    labels: tuple[str | None, ...] = (None, None)
    if positive is None:
        activations = values = net.activations(pictures, place)
    else:
        [found] = contributions(net, pictures, place, positive=positive, negative=negative)
        values, activations = found.values, found.activations
        logit = float(found.logits[0, found.positive[0]])
        logit -= 0.0 if found.negative is None else float(found.logits[0, found.negative[0]])
        labels = tuple(None if c is None else net.class_label(int(c[0])) for c in (found.positive, found.negative))
    other_pictures, names = (pictures[:0], ()) if others is None else net.read_named(others)
    other_activations = net.activations(other_pictures, place) if len(other_pictures) else activations[:0]
    values, activations, other_activations = (_upright(net, part) for part in (values, activations, other_activations))
    _check_finite(place, activations[0], name)
    return SemanticMap(
        network=net.name,
        layer=place.name,
        image=name,
        **_ranked(values[0], top, labelled=positive is not None, both=negative is not None),
        activations=activations[0],
        positive=labels[0],
        negative=labels[1],
        logit=logit,
        stride_px=_stride(pictures[0], activations[0]),
        picture=pictures[0],
        photo=photo,
        others=names,
        other_pictures=other_pictures,
        other_activations=other_activations,
        sprites=find(net.fingerprint(place), store=store),
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


def _read(net: Network, source: Any) -> tuple[np.ndarray, np.ndarray, str]:
    """Give one picture as the network sees it, as it is shown, and its name."""
    [single] = source if isinstance(source, list | tuple) and len(source) == 1 else [source]
    if net.input.audio is None and isinstance(single, str | Path | Image.Image):
        raw = image(single)
        picture = net.read(raw)
        return picture, _sharper(net, raw, picture[0]), names_of(single, 1)[0]
    pictures, names = net.read_named(source)
    if len(pictures) != 1:
        hint = "; give one patch of the sound, net.patches(sound).values[0]" if net.input.audio is not None else ""
        raise ValueError(f"{len(pictures)} pictures were given; a semantic map is of one{hint}")
    raw = np.asarray(single) if net.input.audio is None else pictures
    return pictures, _sharper(net, image(raw), pictures[0]) if raw.ndim == 3 else pictures[0], names[0]


def _sharper(net: Network, raw: np.ndarray, picture: np.ndarray) -> np.ndarray:
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


def _upright(net: Network, grid: np.ndarray) -> np.ndarray:
    """Turn ``(batch, time, frequency, channel)`` as the pictures of sounds lie: frequency first."""
    audio = net.input.audio
    return np.swapaxes(grid, 1, 2) if audio is not None and audio.time_first else grid


def _check_finite(place: Layer, activations: np.ndarray, name: str) -> None:
    bad = int((~np.isfinite(activations)).sum())
    if bad:
        raise ValueError(
            f"{bad} of {activations.size} activations of {place.name!r} for {name} are NaN or infinite; expected "
            "finite ones: look for broken weights, or a division or logarithm before the layer"
        )


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


def _stride(picture: np.ndarray, grid: np.ndarray) -> tuple[float, float]:
    return picture.shape[0] / grid.shape[0], picture.shape[1] / grid.shape[1]
