"""Maps before and after they were put in order: slices through the stack, similarities, and the maps themselves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from diamond.show.map_tiles import coloured, plain_tiles, signed_colours
from diamond.show.packing import gather
from diamond.show.pages import page, picture_uri
from diamond.show.tints import colour_of
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.ordered import OrderedMaps

__all__ = ["Slice", "ordered_figure", "ordered_page", "slices"]

ON_PAGE = 240
MOSAIC = 100
BRIGHTEST = 99.5
LEAST_GAP_PX = 1

Slice = tuple[str, np.ndarray, np.ndarray]


def slices(found: OrderedMaps) -> list[Slice]:
    """Give cuts through the stack, each as words and uint8 ``(height or width, channel, 3)`` before and after."""
    before, after = _scaled(found, found.maps), _scaled(found, found.ordered)
    cuts = []
    high, wide, _ = found.maps.shape
    if wide > 1:
        across = "time runs down" if found.heard else "its left end at the top"
        words = f"Row {found.row} of every map, {across}"
        cuts.append((words, signed_colours(before[found.row]), signed_colours(after[found.row])))
    if high > 1:
        column = int(found.maps.var(axis=2).sum(axis=0).argmax())
        upright = slice(None, None, -1 if found.heard else 1)
        words = f"Column {column} of every map{', frequency upward' if found.heard else ''}"
        cuts.append((words, signed_colours(before[upright, column]), signed_colours(after[upright, column])))
    return cuts


def ordered_page(found: OrderedMaps) -> str:
    """Give ordered maps as a whole HTML document."""
    shown = min(len(found.channels), ON_PAGE)
    tiles: list[dict[str, Any]] = []
    for place in range(shown):
        channel = None if found.by_row else int(found.order[place])
        tile: dict[str, Any] = {"place": place, "channel": channel, "cluster": None, "colour": None, "first": False}
        if found.clusters is not None:
            number = int(found.clusters[place])
            tile["cluster"], tile["colour"] = number, " ".join(map(str, colour_of(number)))
            tile["first"] = place == 0 or number != found.clusters[place - 1]
        tiles.append(tile)
    return page(
        "ordered_maps.html",
        title=str(found),
        found=found,
        how=_how(found),
        cuts=[(words, _lossless(before), _lossless(after)) for words, before, after in slices(found)],
        matrices=None if found.by_row else [_lossless(each) for each in _matrices(found)],
        tiles=tiles,
        sheet=gather(plain_tiles(found.ordered[..., :shown], heard=found.heard)),
        ratio=f"{_ratio(found):.4g}",
    )


def ordered_figure(found: OrderedMaps) -> Figure:
    """Draw before on the left, after on the right."""
    cuts = slices(found)
    high = [1.5] * len(cuts) + ([] if found.by_row else [4.2]) + [4.2]
    figure = Figure(figsize=(10, sum(high) + 0.35 * len(high) + 0.6), layout="constrained")
    panels = figure.subplots(len(high), 2, squeeze=False, height_ratios=high)
    pairs: list[tuple[str, np.ndarray, np.ndarray]] = list(cuts)
    if not found.by_row:
        first, second = _matrices(found)
        pairs.append(("Correlation of maps", first, second))
    pairs.append(("Maps", _mosaic(found, found.maps), _mosaic(found, found.ordered)))
    for (words, before, after), row in zip(pairs, panels, strict=True):
        stretch = words.startswith(("Row", "Column"))
        for panel, image, state in ((row[0], before, "as given"), (row[1], after, "in order")):
            _draw(panel, image, f"{words}, {state}", stretch)
    figure.suptitle(f"{found}\n{found.sentence}".replace("$", r"\$"), fontsize=9, x=0.01, ha="left")
    return figure


def _draw(panel: Axes, image: np.ndarray, words: str, stretch: bool) -> None:
    panel.imshow(image, aspect="auto" if stretch else "equal", interpolation="nearest")
    panel.set_title(words, fontsize=8, pad=3, loc="left")
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(False)


def _scaled(found: OrderedMaps, stack: np.ndarray) -> np.ndarray:
    """Give a stack in [-1, 1]: each map by its own size where maps were compared by shape, else all by one."""
    if found.method in ("spectral", "leaves"):
        most = np.abs(stack).max(axis=(0, 1), keepdims=True)
    else:
        most = np.full((1, 1, 1), np.percentile(np.abs(stack), BRIGHTEST))
        if most.item() == 0:
            most = np.full((1, 1, 1), np.abs(stack).max())
    scaled: np.ndarray = np.clip(stack / np.where(most > 0, most, 1.0), -1.0, 1.0)
    return scaled


def _matrices(found: OrderedMaps) -> tuple[np.ndarray, np.ndarray]:
    from diamond.inspection.seriation import correlations

    similar = correlations(found.maps.reshape(-1, len(found.channels)).T.astype(np.float64))
    return signed_colours(similar), signed_colours(similar[np.ix_(found.permutation, found.permutation)])


def _mosaic(found: OrderedMaps, stack: np.ndarray) -> np.ndarray:
    """Lay up to a hundred maps out row by row, taken evenly from the whole stack."""
    high, wide, n = stack.shape
    shown = np.unique(np.linspace(0, n - 1, min(n, MOSAIC)).round().astype(int))
    columns = math.isqrt(len(shown) - 1) + 1
    rows = -(-len(shown) // columns)
    gap = max(LEAST_GAP_PX, wide // 14)
    laid = np.full((rows * (high + gap) - gap, columns * (wide + gap) - gap, 3), 255, np.uint8)
    for i, place in enumerate(shown):
        top, left = (i // columns) * (high + gap), (i % columns) * (wide + gap)
        tile = coloured(stack[::-1, :, place] if found.heard else stack[..., place])
        laid[top : top + high, left : left + wide] = tile
    return laid


def _how(found: OrderedMaps) -> str:
    own = found.method in ("spectral", "leaves")
    return "each map on its own scale" if own else "all on one scale"


def _lossless(image: np.ndarray) -> str:
    """Give a picture of few pixels as PNG: the page enlarges each of them to a square."""
    return picture_uri(np.concatenate([image, np.full((*image.shape[:2], 1), 255, np.uint8)], axis=-1))


def _ratio(found: OrderedMaps) -> float:
    high, wide, _ = found.maps.shape
    return float(np.clip(wide / high, 0.4, 2.5))
