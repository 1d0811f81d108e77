"""Figures for papers and slides, drawn with matplotlib and no global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from diamond.show.heat import AGAINST, FOR, overlay, visible
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.attribution.channels import ChannelAttribution
    from diamond.attribution.spatial import SpatialAttribution

__all__ = ["channel_figure", "heatmap_figure"]

MOST_PICTURES = 4
MOST_LETTERS = 26
SPRITE_INCHES = 1.25


def channel_figure(rows: Sequence[ChannelAttribution]) -> Figure:
    """Draw top channels as their sprites, a row a layer, the pictures to their left.

    Where a class is held against another, the channels that speak for that other stand in a second row, on blue bars.

    Parameters
    ----------
    rows
        Attributions of the same pictures, one a layer.
    """
    lines = [(row, channels) for row in rows for channels in (row.channels, row.opposed) if len(channels)]
    columns = max(len(channels) for _, channels in lines)
    height = max(2.15, 1.95 * len(lines) + 0.1)
    figure = Figure(figsize=(2.4 + SPRITE_INCHES * columns, height), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(2.2, SPRITE_INCHES * columns))[0]
    _draw_pictures(left, rows[0], height)
    bands = right.subfigures(len(lines), 1, squeeze=False)[:, 0]
    for band, (row, channels) in zip(bands, lines, strict=True):
        against = channels is row.opposed
        heading = f"{row.layer}: {f'for {row.opponent}' if against else row.question}"
        # A dollar sign in a class name is no formula.
        band.suptitle(heading.replace("$", r"\$"), x=0.01, ha="left", fontsize=10)
        _draw_sprites(band, row, channels, columns)
    return figure


def _draw_pictures(figure, row: ChannelAttribution, height: float) -> None:  # type: ignore[no-untyped-def]
    shown = min(len(row.pictures), MOST_PICTURES, max(1, int(height / 1.6)))
    for i, panel in enumerate(figure.subplots(shown, 1, squeeze=False)[:, 0]):
        panel.imshow(visible(row.pictures[i]))
        name = row.images[i] if len(row.images[i]) <= MOST_LETTERS else f"{row.images[i][: MOST_LETTERS - 1]}…"
        panel.set_title(name.replace("$", r"\$"), fontsize=8)
        panel.axis("off")
    if len(row.images) > shown:
        figure.supxlabel(f"and {len(row.images) - shown:,} more", fontsize=8)


def _draw_sprites(figure, row: ChannelAttribution, channels: np.ndarray, columns: int) -> None:  # type: ignore[no-untyped-def]
    most = row.strongest or 1.0
    panels = figure.subplots(2, columns, squeeze=False, height_ratios=(1, 0.16))
    for panel in panels.ravel():
        panel.axis("off")
    for i, channel in enumerate(channels):
        above, below = panels[:, i]
        score = float(row.totals[channel])
        if row.sprites is not None and channel in row.sprites:
            above.imshow(row.sprites[int(channel)], interpolation="lanczos")
        else:
            above.text(0.5, 0.5, str(channel), ha="center", va="center", transform=above.transAxes, fontsize=14)
            above.set_aspect("equal")
        above.set_title(str(channel), fontsize=7, pad=2)
        shade = np.array(FOR if score >= 0 else AGAINST) / 255
        strength = 0.15 + 0.85 * abs(score) / most
        below.add_patch(_bar(shade, strength, abs(score) / most))
        spread = f" ± {row.spreads[channel]:.2g}" if len(row.images) > 1 else ""
        said = f"{row.means[channel]:.2g}{spread}" if spread else f"{score:.3g}"
        below.text(0.03, 0.45, said, va="center", fontsize=8, transform=below.transAxes)


def _bar(shade: np.ndarray, strength: float, length: float):  # type: ignore[no-untyped-def]
    from matplotlib.patches import Rectangle

    return Rectangle((0, 0), length, 1, color=(*shade, strength), linewidth=0)


def heatmap_figure(found: SpatialAttribution) -> Figure:
    """Draw a picture and its heatmap over it, orange for and blue against the class."""
    figure = Figure(figsize=(6.4, 3.5), layout="constrained")
    plain, covered = figure.subplots(1, 2)
    shown = visible(found.picture)
    height, width = shown.shape[:2]
    # In grey beneath the heatmap: an orange cup would pass for a hot one.
    grey = np.repeat(shown.mean(axis=-1, keepdims=True), 3, axis=-1)
    for panel, picture, title in (
        (plain, shown, found.image),
        (covered, grey, f"{found.layer}: {found.question}"),
    ):
        panel.imshow(picture)
        panel.set_title(title, fontsize=9)
        panel.axis("off")
    cells = found.heatmap[::-1] if found.picture.shape[-1] == 1 else found.heatmap
    covered.imshow(overlay(cells, (height, width)))
    return figure
