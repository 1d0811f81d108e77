"""Exemplars as a page and as a figure: a row a channel, its sprite first, then what excites it most, and least."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

from diamond.show.packing import Sheet, gather
from diamond.show.pages import page
from diamond.show.semantic import sheet_of
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.exemplified import Exemplars

__all__ = ["exemplar_figure", "exemplar_page"]

ON_PAGE = 24
IN_FIGURE = 12
PATCH_BYTES = 900_000
# Channels that a direction is shown to be made of.
PARTS = 4
# A frame is drawn where a cell sees less of what is shown than this; else a ring, which hides less of a deep cell's patch.
FRAMED_BELOW = 0.35


def exemplar_page(found: Exemplars) -> str:
    """Give exemplars as a whole HTML document: the first two dozen channels."""
    shown = min(len(found.channels), ON_PAGE)
    parts = None
    if found.directions is None:
        sprites, places = sheet_of(found, found.channels[:shown].tolist())
    else:
        strongest = np.argsort(-np.abs(found.directions[:shown]), axis=1, kind="stable")[:, :PARTS]
        numbers = np.unique(strongest).tolist()
        sprites, each = sheet_of(found, numbers)
        place_of = dict(zip(numbers, each, strict=True))
        places = []
        parts = [
            [(c, float(row[c]), place_of[c]) for c in channels.tolist() if row[c] != 0]
            for row, channels in zip(found.directions, strongest, strict=False)
        ]
    height, width = found.patches.shape[2:4]
    ends = (
        found.values[:shown] if found.least is None else np.hstack([found.values[:shown], found.least.values[:shown]])
    )
    share = PATCH_BYTES if found.least is None else PATCH_BYTES * found.values.shape[1] // ends.shape[1]
    return page(
        "exemplars.html",
        title=str(found),
        found=found,
        shown=shown,
        sprites=sprites,
        places=places,
        parts=parts,
        patches=_sheet(found, shown, share),
        least=None if found.least is None else _sheet(found.least, shown, PATCH_BYTES - share),
        ratio=f"{width} / {height}",
        most=np.abs(ends).max(axis=1),
        boxes=frame_of,
        framed=any(frame_of(found, i, k) for i in range(shown) for k in range(found.values.shape[1])),
    )


def exemplar_figure(found: Exemplars) -> Figure:
    """Draw the first dozen channels."""
    rows, top = min(len(found.channels), IN_FIGURE), found.values.shape[1]
    parts = [found] if found.least is None else [found, found.least]
    wide = sum(part.values.shape[1] for part in parts)
    named = found.directions is not None
    figure = Figure(figsize=(1.15 * (wide + 1) + 0.2, 1.42 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, wide + 1, squeeze=False)
    for i in range(rows):
        first = panels[i, 0]
        first.axis("off")
        channel = int(found.channels[i])
        if not named and found.sprites is not None and channel in found.sprites:
            first.imshow(found.sprites[channel], interpolation="lanczos")
        else:
            words = found.labels[i].replace("$", r"\$") if named else str(channel)
            first.text(
                0.5, 0.5, words, ha="center", va="center", transform=first.transAxes, fontsize=9 if named else 14
            )
        if not named:
            first.set_title(found.labels[i], fontsize=8, pad=3)
        for number, part in enumerate(parts):
            for k in range(part.values.shape[1]):
                panel = panels[i, 1 + number * top + k]
                panel.axis("off")
                panel.imshow(part.patches[i, k], interpolation="bilinear")
                _mark(panel, part, i, k)
                least = "least: " if number and k == 0 else ""
                panel.set_title(f"{least}{part.values[i, k]:.3g}", fontsize=8, pad=3)
    ends = "most" if found.least is None else "most (left) and least (right)"
    figure.suptitle(
        f"{found.layer}: what excites {found.unit}s {ends} {found.question}, of {found.count:,} pictures".replace(
            "$", r"\$"
        ),
        fontsize=9,
    )
    return figure


def frame_of(found: Exemplars, unit: int, k: int) -> tuple[float, float, float, float] | None:
    """Give the receptive field within a patch in percent: top, left, height, width; None where it is most of the patch."""
    top, left, bottom, right = found.windows[unit, k].tolist()
    above, before, below, after = found.crops[unit, k].tolist()
    height, width = below - above, after - before
    if (bottom - top) * (right - left) > FRAMED_BELOW * height * width:
        return None
    return (
        100 * (top - above) / height,
        100 * (left - before) / width,
        100 * (bottom - top) / height,
        100 * (right - left) / width,
    )


def _sheet(found: Exemplars, shown: int, most_bytes: int) -> Sheet:
    height, width = found.patches.shape[2:4]
    return gather(found.patches[:shown].reshape(-1, height, width, 3), most_bytes=most_bytes)


def _mark(panel: Any, found: Exemplars, unit: int, k: int) -> None:
    height, width = found.patches.shape[2:4]
    frame = frame_of(found, unit, k)
    if frame is not None:
        top, left, high, wide = np.array(frame) / 100 * (height, width, height, width)
        for line, colour in ((2.4, "white"), (0.9, "black")):
            panel.add_patch(
                Rectangle((left - 0.5, top - 0.5), wide, high, fill=False, linewidth=line, edgecolor=colour)
            )
        return
    down, across = found.marks[unit, k] * np.array((height, width)) - 0.5
    panel.plot(across, down, "o", ms=9, mfc="none", mec="white", mew=2.4)
    panel.plot(across, down, "o", ms=9, mfc="none", mec="black", mew=0.9)
