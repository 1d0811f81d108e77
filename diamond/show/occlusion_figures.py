"""Figures of occlusion: the picture, and over it what the scores lose where it is covered."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.show.heat import overlay, visible
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.occlusion.occluded import OcclusionMap

__all__ = ["occlusion_figure"]


def occlusion_figure(maps: Sequence[OcclusionMap]) -> Figure:
    """Draw a row a picture: the picture, then for each target its heatmap by logit and by probability.

    Parameters
    ----------
    maps
        One a picture.
    """
    most = 1 + 2 * max(len(found.targets) for found in maps)
    figure = Figure(figsize=(2.7 * most, 3.7 * len(maps) + 0.4), layout="constrained")
    bands = figure.subfigures(len(maps), 1, squeeze=False)[:, 0]
    for band, found in zip(bands, maps, strict=True):
        band.suptitle(_plain(str(found)), x=0.01, ha="left", fontsize=9)
        panels = band.subplots(1, most, squeeze=False)[0]
        for panel in panels:
            panel.axis("off")
        panels[0].imshow(visible(found.picture))
        panels[0].set_title(_plain(found.image[:32]), fontsize=8)
        for target, label in enumerate(found.targets):
            pairs = (
                (found.heatmaps, "logit", found.logits),
                (found.probability_heatmaps, "probability", found.probabilities),
            )
            for side, (heatmaps, unit, start) in enumerate(pairs):
                title = f"{label[:28]}\n{unit} {start[target]:.3g}"
                _draw(panels[1 + 2 * target + side], found, heatmaps[target], title)
        lines = [line for fact in found.facts for line in textwrap.wrap(fact, 44 * most)]
        band.supxlabel(_plain("\n".join(lines)), fontsize=6.5, x=0.01, ha="left")
    return figure


def _draw(panel: Any, found: OcclusionMap, heatmap: np.ndarray, title: str) -> None:
    shown = visible(found.picture)
    height, width = shown.shape[:2]
    panel.axis("on")
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
    # In grey beneath the heatmap: an orange cup would pass for a hot one.
    panel.imshow(np.repeat(shown.mean(axis=-1, keepdims=True), 3, axis=-1))
    cells = heatmap[::-1] if found.picture.shape[-1] == 1 else heatmap
    panel.imshow(overlay(cells, (height, width)))
    panel.set_title(_plain(title), fontsize=8)
    panel.set_xlabel(f"{heatmap.min():+.2g} to {heatmap.max():+.2g}", fontsize=7)


def _plain(words: str) -> str:
    # A dollar sign in a name is no formula.
    return words.replace("$", r"\$")
