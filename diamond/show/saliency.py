"""Saliency maps as a page and as a figure: the picture, then its map by each method."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from diamond.show.heat import overlay, visible
from diamond.show.pages import page
from diamond.show.tints import colour_of
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.attribution.randomisation import Randomisation
    from diamond.attribution.saliency_map import SaliencyMap

__all__ = ["randomisation_figure", "randomisation_page", "saliency_figure", "saliency_page"]

# So many maps on a page, of as many pictures as that is: with the photos about a megabyte.
ON_PAGE = 40
IN_FIGURE = 8
# A few pixels hold the largest gradients by far: in full colour from this quantile on, so that the rest can be seen.
FULL_FROM = 0.99
BENEATH = 0.3
# Noise in 256 levels is four times the bytes of noise in 16, and looks the same.
LEVEL = 17


def saliency_page(found: SaliencyMap) -> str:
    """Give saliency maps as a whole HTML document: as many pictures as make forty maps."""
    from diamond.attribution.saliency_map import DOUBTED, SIGNED

    shown = min(len(found.images), max(1, ON_PAGE // len(found.methods)))
    return page(
        "saliency.html",
        title=str(found),
        found=found,
        shown=shown,
        coloured={method: [_coloured(found, method, i) for i in range(shown)] for method in found.methods},
        doubted=DOUBTED,
        signed=any(method in SIGNED for method in found.methods),
        side=222 if len(found.methods) > 1 else 380,
    )


def saliency_figure(found: SaliencyMap) -> Figure:
    """Draw the first eight pictures, a row each, or, of a single picture, its maps four in a row."""
    n = min(len(found.images), IN_FIGURE)
    columns = 1 + len(found.methods) if n > 1 else min(4, 1 + len(found.methods))
    rows = n if n > 1 else -(-(1 + len(found.methods)) // columns)
    notes = [line for note in found.notes for line in textwrap.wrap(note, 34 * columns)]
    foot = 0.14 * len(notes) + 0.1
    high, wide = found.pictures.shape[1:3]
    figure = Figure(figsize=(2.45 * columns, (2.45 * high / wide + 0.45) * rows + 0.1 + foot), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for panel in panels.ravel():
        panel.axis("off")
    for i in range(n):
        line = panels[i] if n > 1 else panels.ravel()
        shown = visible(found.pictures[i])
        line[0].imshow(shown)
        line[0].set_title(_plain(f"{found.images[i][:26]}\n{found.targets[i][:30]} {found.scores[i]:.3g}"), fontsize=8)
        grey = np.repeat(shown.mean(axis=-1, keepdims=True), 3, axis=-1)
        for method, panel in zip(found.methods, line[1:], strict=False):
            panel.imshow(1 - BENEATH * (1 - grey) if method != "grad_cam" else grey)
            panel.imshow(_coloured(found, method, i))
            panel.set_title(found.in_words(method), fontsize=8)
    if notes:
        figure.supxlabel(_plain("\n".join(notes)), fontsize=6.5, x=0.01, ha="left")
    return figure


def randomisation_page(found: Randomisation) -> str:
    """Give what is left of maps as a whole HTML document."""
    from diamond.attribution.saliency_map import PLAIN

    return page("randomisation.html", title=str(found), found=found, plain=PLAIN, tints=_tints(found))


def randomisation_figure(found: Randomisation) -> Figure:
    """Draw a line a method: likeness to the trained network's maps against the share of layers shuffled."""
    from diamond.attribution.saliency_map import DOUBTED, PLAIN

    figure = Figure(figsize=(7.4, 4.2), layout="constrained")
    panel = figure.subplots()
    shares = np.concatenate([[0.0], found.shares])
    for method, rows, colour in zip(found.methods, found.likeness, _tints(found), strict=True):
        line = np.concatenate([[1.0], rows.mean(axis=-1)])
        style = "--" if method in DOUBTED else "-"
        label = PLAIN[method]
        panel.plot(shares, line, style, color=np.array(colour) / 255, linewidth=2, marker="o", ms=4, label=label)
    panel.axhline(0, color="0.6", linewidth=1, linestyle=":")
    panel.set(xlabel="share of the layers shuffled, from the class scores back", ylabel="rank correlation of the maps")
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.spines[["top", "right"]].set_visible(False)
    # Beside the lines: with eight of them there is no room among them.
    panel.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    if any(method in DOUBTED for method in found.methods):
        figure.supxlabel(
            "dashed: rules that failed such a test elsewhere (Adebayo et al. 2018; Nie et al. 2018)", fontsize=7
        )
    figure.suptitle(_plain(str(found)), fontsize=9, x=0.01, ha="left")
    return figure


def _coloured(found: SaliencyMap, method: str, i: int) -> np.ndarray:
    values = found.heatmaps(method)[i]
    most = float(np.abs(values).max() if method == "grad_cam" else np.quantile(np.abs(values), FULL_FROM))
    upright = values[::-1] if found.pictures.shape[-1] == 1 else values
    layer = overlay(np.clip(upright, -most, most) if most > 0 else upright)
    if method != "grad_cam":
        layer[..., 3] = np.rint(layer[..., 3] / LEVEL) * LEVEL
        layer[layer[..., 3] == 0] = 0
    return layer


def _tints(found: Randomisation) -> list[tuple[int, int, int]]:
    # There are seven tints and eight methods.
    return [colour_of(i) if i < 7 else (70, 70, 70) for i in range(len(found.methods))]


def _plain(words: str) -> str:
    # A dollar sign in a name is no formula.
    return words.replace("$", r"\$")
