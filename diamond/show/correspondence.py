"""Matching places as a page and as a figure: lines between two pictures, or the same colour on both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diamond.show.heat import visible
from diamond.show.pages import page
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.matched import Correspondence

__all__ = ["correspondence_figure", "correspondence_page"]

VIEWS = ("lines", "colours")
ON_PAGE = 48
GAP = 0.06
OPAQUE = 0.62


def correspondence_page(found: Correspondence) -> str:
    """Give matches as a whole HTML document: lines or colours, and how alike they must be."""
    (high_a, wide_a), (high_b, wide_b) = (picture.shape[:2] for picture in found.pictures)
    gap = round(GAP * (wide_a + wide_b))
    lines = [
        {
            "from": _shown(found, found.points_a[k], 0),
            "to": _shown(found, found.points_b[k], 1),
            "colour": "rgb({} {} {})".format(*_places(found)[k]),
            "similarity": float(found.similarities[k]),
            "ratio": float(found.ratios[k]),
        }
        for k in found.spread(ON_PAGE)
    ]
    return page(
        "correspondence.html",
        title=str(found),
        found=found,
        lines=lines,
        tinted=_tinted(found),
        gap=gap,
        width=wide_a + gap + wide_b,
        height=max(high_a, high_b),
        median=float(np.median(found.similarities)) if len(found) else 0.0,
    )


def correspondence_figure(found: Correspondence, view: str, count: int) -> Figure:
    """Draw both pictures side by side with lines between them, or with their matched cells in the same colours."""
    from matplotlib.patches import ConnectionPatch

    if view not in VIEWS:
        raise ValueError(f"no view {view!r}; expected 'lines' or 'colours'")
    figure = Figure(figsize=(9, 4.75), layout="constrained")
    panels = figure.subplots(1, 2)
    for which, panel in enumerate(panels):
        shown = visible(found.pictures[which])
        panel.axis("off")
        panel.set_title(_plain(found.images[which][:44]), fontsize=9)
        if view == "colours":
            shown = np.repeat(shown.mean(axis=-1, keepdims=True), 3, axis=-1)
        height, width = shown.shape[:2]
        panel.imshow(shown, extent=(0, width, height, 0))
        if view == "colours":
            panel.imshow(_tinted(found)[which], extent=(0, width, height, 0), interpolation="nearest")
    if view == "lines":
        colours = _places(found) / 255
        for k in found.spread(count):
            ends = [_shown(found, points[k], which) for which, points in enumerate((found.points_a, found.points_b))]
            for edge, width in (("black", 2.4), (colours[k], 1.4)):
                figure.add_artist(
                    ConnectionPatch(
                        xyA=ends[0],
                        xyB=ends[1],
                        coordsA="data",
                        coordsB="data",
                        axesA=panels[0],
                        axesB=panels[1],
                        color=edge,
                        linewidth=width,
                        alpha=0.9,
                    )
                )
            for end, panel in zip(ends, panels, strict=True):
                panel.plot(*end, "o", ms=4.5, color=colours[k], mec="black", mew=0.7)
    said = f"{len(found):,} matches" + (f", {min(count, len(found))} shown" if view == "lines" else "")
    figure.suptitle(_plain(f"{found.network} {found.layer}: {said}"), fontsize=9, x=0.01, ha="left")
    return figure


def _places(found: Correspondence) -> np.ndarray:
    """Give each match a colour by its place in the first picture: hue across, dark down, ``(match, 3)`` to 255."""
    from matplotlib.colors import hsv_to_rgb

    high, wide = found.grids[0]
    down, across = ((found.cells_a + 0.5) / (high, wide)).T
    if found.pictures[0].shape[-1] == 1:
        down = 1 - down
    colours = hsv_to_rgb(np.stack([0.85 * across, np.full(len(found), 0.85), 1 - 0.6 * down], axis=-1))
    coloured: np.ndarray = np.rint(255 * colours).astype(np.uint8)
    return coloured


def _tinted(found: Correspondence) -> list[np.ndarray]:
    """Colour the matched cells of each picture, ``(cells high, cells wide, 4)``; the others stay clear."""
    layers = []
    colours = _places(found)
    for grid, cells in zip(found.grids, (found.cells_a, found.cells_b), strict=True):
        layer = np.zeros((*grid, 4), np.uint8)
        # Of several that match one cell the most alike is shown, which stands first.
        for cell, colour in zip(cells[::-1], colours[::-1], strict=True):
            layer[tuple(cell)] = (*colour, round(255 * OPAQUE))
        layers.append(layer[::-1] if found.pictures[0].shape[-1] == 1 else layer)
    return layers


def _shown(found: Correspondence, point: np.ndarray, which: int) -> tuple[float, float]:
    """Give a point as x and y of the shown picture; spectrograms are shown with frequency upward."""
    down, across = map(float, point)
    picture = found.pictures[which]
    return across, picture.shape[0] - down if picture.shape[-1] == 1 else down


def _plain(words: str) -> str:
    # A dollar sign in a name is no formula.
    return words.replace("$", r"\$")
