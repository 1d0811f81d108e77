"""An embedding as a page to look around in and as a figure: thumbnails at their places, and in a grid."""

from __future__ import annotations

import colorsys
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from diamond.inspection.embedded import distances
from diamond.show.gridding import grid_shape, to_grid
from diamond.show.packing import gather, pack
from diamond.show.pages import page
from diamond.show.tints import TINTS
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.embedded import Embedding, Neighbours

__all__ = ["embedding_figure", "embedding_page", "neighbours_figure", "neighbours_page"]

ON_PAGE = 1200
IN_FIGURE = 500
SHEET_BYTES = 780_000
NEAREST = 8
ROWS = 512
FIGURE_IN = 6.4
# What a thumbnail in the map measures, as a share of the map's side: all of them together cover it about once.
COVER, SMALLEST, LARGEST = 0.8, 0.028, 0.11
# Thumbnails of this side or more bear the letter of their class.
MARKED = 0.03
GOLDEN = 0.61803


def class_colours(n: int) -> list[tuple[int, int, int]]:
    """Give a colour for each class: those apart for colour blindness while they last, else hues all around."""
    if n <= len(TINTS):
        return list(TINTS[:n])
    made = [colorsys.hls_to_rgb(i * GOLDEN % 1, (0.42, 0.6)[i % 2], 0.72) for i in range(n)]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in made]


def class_mark(i: int) -> str:
    """Give the letters that stand for class `i` beside its colour: A to Z, then AA and on."""
    return (chr(64 + i // 26) if i >= 26 else "") + chr(65 + i % 26)


def embedding_page(found: Embedding) -> str:
    """Give an embedding as a whole HTML document."""
    shown, cells, grid = _some(found, ON_PAGE)
    tiles = found.thumbnails[shown]
    places = _placed(found.positions[shown])
    return page(
        "embedding.html",
        title=str(found),
        found=found,
        shown=shown.tolist(),
        sheet=gather(tiles, most_bytes=SHEET_BYTES),
        ratio=tiles.shape[2] / tiles.shape[1],
        places=np.round(100 * places, 2).tolist(),
        cells=cells.tolist(),
        grid=grid,
        side=round(100 * _side(len(shown)), 2),
        colours=class_colours(len(found.classes)),
        mark=class_mark,
        marked=100 * MARKED,
        counts=None if found.labels is None else np.bincount(found.labels, minlength=len(found.classes)).tolist(),
        nearest=_nearest(found, shown),
        trusted={name: value for name, value in found.trustworthiness.items() if math.isfinite(value)},
        names_of={"tsne": "t-SNE", "pca": "two components", "grid": "grid", "plane": "plane"},
    )


def neighbours_page(found: Neighbours) -> str:
    """Give the nearest pictures of a photo as a whole HTML document."""
    tiles = [found.thumbnail, *found.thumbnails]
    return page(
        "neighbours.html",
        title=str(found),
        found=found,
        sheet=gather(tiles),
        ratio=found.thumbnail.shape[1] / found.thumbnail.shape[0],
    )


def embedding_figure(found: Embedding) -> Figure:
    """Draw the map beside the grid; of many pictures, some, evenly taken."""
    shown, cells, (rows, columns) = _some(found, IN_FIGURE)
    colours = class_colours(len(found.classes))
    figure = Figure(figsize=(2 * FIGURE_IN + 0.4, FIGURE_IN + (1.1 if colours else 0.8)), layout="constrained")
    plane, filled = figure.subplots(1, 2)
    places = _placed(found.positions[shown])
    # Two pictures at one place lie over each other in the order they were read.
    _thumbnails(plane, found, shown, places, _side(len(shown)), colours)
    middles = np.stack([(cells[:, 1] + 0.5) / columns, (cells[:, 0] + 0.5) / rows], axis=-1)
    _thumbnails(filled, found, shown, middles, 0.96 / max(rows, columns), colours)
    trusted = {name: f"{value:.2f}" for name, value in found.trustworthiness.items() if math.isfinite(value)}
    main = "t-SNE" if found.perplexity is not None else "principal components"
    for panel, name, key in ((plane, main, "tsne"), (filled, "grid", "grid")):
        panel.set(xlim=(-0.06, 1.06), ylim=(1.06, -0.06), aspect="equal", xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
        panel.set_title(f"{name}, trustworthiness {trusted[key]}" if key in trusted else name, fontsize=9)
    if colours:
        handles = [_dot(colour, f"{class_mark(i)}  {found.classes[i]}") for i, colour in enumerate(colours)]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(10, len(handles)), fontsize=8, frameon=False
        )
    some = f" ({len(shown):,} of {len(found.images):,} shown)" if len(shown) < len(found.images) else ""
    figure.suptitle(f"{found}{some}".replace("$", r"\$"), fontsize=10)
    return figure


def neighbours_figure(found: Neighbours) -> Figure:
    """Draw the photo and its neighbours in a row."""
    n = len(found.images)
    figure = Figure(figsize=(1.5 * (n + 1), 2.0), layout="constrained")
    panels = figure.subplots(1, n + 1, squeeze=False)[0]
    titles = ["photo", *(f"{far:.3f}" for far in found.distances)]
    for i, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        panel.axis("off")
        panel.imshow(found.thumbnail if i == 0 else found.thumbnails[i - 1], interpolation="lanczos")
        label = "" if i == 0 or found.labels is None else f"\n{found.labels[i - 1]}"
        panel.set_title((title + label).replace("$", r"\$"), fontsize=8, pad=3)
    figure.suptitle(f"{found}, {found.metric} distance".replace("$", r"\$"), fontsize=9)
    return figure


def _some(found: Embedding, most: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Take at most so many pictures, evenly, with their cells and grid."""
    n = len(found.images)
    if n <= most:
        return np.arange(n), found.cells, found.grid
    shown = np.arange(0, n, math.ceil(n / most))
    shape = grid_shape(len(shown))
    return shown, to_grid(found.positions[shown], shape), shape


def _placed(positions: np.ndarray) -> np.ndarray:
    """Give places from 0 to 1, across and down, of one scale for both."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    reach = float((high - low).max()) or 1.0
    placed = (positions - (low + high) / 2) / reach + 0.5
    return np.stack([placed[:, 0], 1 - placed[:, 1]], axis=-1)


def _side(n: int) -> float:
    return min(LARGEST, max(SMALLEST, COVER / math.sqrt(n)))


def _nearest(found: Embedding, shown: np.ndarray) -> dict[str, Any]:
    """Give the nearest by code of each picture shown, among those, packed, with their distances."""
    k = min(NEAREST, len(shown) - 1)
    codes = found.codes[shown]
    nearest = np.zeros((len(shown), k), np.uint16)
    far = np.zeros((len(shown), k), np.float32)
    for begin in range(0, len(shown) if k else 0, ROWS):
        rows = np.arange(begin, min(begin + ROWS, len(shown)))
        between = distances(codes, codes[rows], "cosine").T
        between[np.arange(len(rows)), rows] = np.inf
        order = np.argsort(between, axis=1, kind="stable")[:, :k]
        nearest[rows], far[rows] = order, np.take_along_axis(between, order, axis=1)
    return {"k": k, "which": pack(nearest), "far": pack(far)}


def _thumbnails(
    panel: Any,
    found: Embedding,
    shown: np.ndarray,
    places: np.ndarray,
    side: float,
    colours: list[tuple[int, int, int]],
) -> None:
    height, width = found.thumbnails.shape[1:3]
    # Inches of a unit of the panel, less its margins, times points an inch.
    zoom = side * FIGURE_IN / 1.12 * 72 / max(height, width)
    for i, place in zip(shown, places, strict=True):
        edge = "none" if found.labels is None else np.array(colours[found.labels[i]]) / 255
        box = AnnotationBbox(
            OffsetImage(found.thumbnails[i], zoom=zoom * 0.92, interpolation="lanczos"),
            tuple(place),
            frameon=found.labels is not None,
            pad=0.0,
            bboxprops={"edgecolor": edge, "linewidth": 1.6, "facecolor": "none"},
        )
        panel.add_artist(box)
        if found.labels is not None and side >= MARKED:
            panel.text(
                *(place + side / 2), class_mark(int(found.labels[i])), fontsize=6, ha="right", va="bottom",
                color="#10161c", bbox={"facecolor": edge, "edgecolor": "none", "pad": 1},
            )  # fmt: skip


def _dot(colour: tuple[int, int, int], name: str) -> Any:
    from matplotlib.lines import Line2D

    red, green, blue = colour
    return Line2D(
        [], [], marker="s", linestyle="", color=(red / 255, green / 255, blue / 255), label=name.replace("$", r"\$")
    )
