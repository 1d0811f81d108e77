"""Exemplars as a page and as a figure: a row a channel, its sprite first, then what excites it most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from diamond.show.packing import gather
from diamond.show.pages import page
from diamond.show.semantic import sheet_of

if TYPE_CHECKING:
    from diamond.inspection.exemplars import Exemplars

__all__ = ["exemplar_figure", "exemplar_page"]

ON_PAGE = 24
IN_FIGURE = 12
PATCH_BYTES = 900_000


def exemplar_page(found: Exemplars) -> str:
    """Give exemplars as a whole HTML document: the first two dozen channels."""
    shown = min(len(found.channels), ON_PAGE)
    sprites, places = sheet_of(found, found.channels[:shown].tolist())
    patches = found.patches[:shown]
    height, width = patches.shape[2:4]
    return page(
        "exemplars.html",
        title=str(found),
        found=found,
        shown=shown,
        sprites=sprites,
        places=places,
        patches=gather(patches.reshape(-1, height, width, 3), most_bytes=PATCH_BYTES),
        ratio=f"{width} / {height}",
        most=found.values[:shown].max(axis=1),
    )


def exemplar_figure(found: Exemplars) -> Figure:
    """Draw the first dozen channels."""
    rows, top = min(len(found.channels), IN_FIGURE), found.values.shape[1]
    figure = Figure(figsize=(1.15 * (top + 1) + 0.2, 1.42 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, top + 1, squeeze=False)
    for i in range(rows):
        channel = int(found.channels[i])
        first = panels[i, 0]
        first.axis("off")
        first.set_title(f"channel {channel}", fontsize=8, pad=3)
        if found.sprites is not None and channel in found.sprites:
            first.imshow(found.sprites[channel], interpolation="lanczos")
        else:
            first.text(0.5, 0.5, str(channel), ha="center", va="center", transform=first.transAxes, fontsize=14)
        for k in range(top):
            panel = panels[i, k + 1]
            panel.axis("off")
            panel.imshow(found.patches[i, k], interpolation="bilinear")
            down, across = found.marks[i, k] * np.array(found.patches.shape[2:4]) - 0.5
            panel.plot(across, down, "o", ms=9, mfc="none", mec="white", mew=2.4)
            panel.plot(across, down, "o", ms=9, mfc="none", mec="black", mew=0.9)
            panel.set_title(f"{found.values[i, k]:.3g}", fontsize=8, pad=3)
    figure.suptitle(
        f"{found.layer}: what excites channels most {found.question}, of {found.count:,} pictures", fontsize=9
    )
    return figure
