"""Figures of filters: all of them as tiles with how smooth they are, or some with the channels they listen to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.show.filter_tiles import tile
from diamond.show.heat import AGAINST, FOR
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.filtered import Connection, Filters

__all__ = ["connection_figure", "smoothness_panel", "tile_figure", "tile_panel"]

MOST_TILES = 64
MOST_ROWS = 8
BINS = 32


def tile_figure(found: Filters) -> Figure:
    """Draw the first filters as tiles, and beside them how smooth all filters of the layer are."""
    shown = min(len(found.weights), MOST_TILES)
    has_scores = bool(np.isfinite(found.layer_smoothness).any())
    columns = max(1, int(np.ceil(np.sqrt(shown * 1.6))))
    rows = -(-shown // columns)
    figure = Figure(
        figsize=(0.62 * columns + (3.1 if has_scores else 0.2), max(2.6, 0.72 * rows + 0.5)), layout="constrained"
    )
    left: Any = figure
    if has_scores:
        halves: Any = figure.subfigures(1, 2, width_ratios=(0.62 * columns, 3.1))
        left = halves[0]
        smoothness_panel(halves[1].subplots(), found)
    panels = left.subplots(rows, columns, squeeze=False)
    most = float(np.abs(found.weights).max())
    for i, panel in enumerate(panels.flat):
        panel.axis("off")
        if i < shown:
            tile_panel(panel, found.weights[i], most if found.scale == "shared" else None, found)
            panel.set_title(str(found.channels[i]), fontsize=6.5, pad=2)
    rest = "" if shown == len(found.channels) else f", {shown} of {len(found.channels):,}"
    words = {"norm": "largest first", "smoothness": "smoothest first", "order": "in order"}[found.sort]
    figure.suptitle(f"{found}{rest}, {words}".replace("$", r"\$"), fontsize=9)
    return figure


def connection_figure(found: Filters) -> Figure:
    """Draw a row a filter: its own sprite, the channels that excite it most, those that inhibit it most."""
    shown, top = min(len(found.weights), MOST_ROWS), found.top
    figure = Figure(figsize=(1.0 * (2 * top + 1) + 0.6, 1.62 * shown + 0.75), layout="constrained")
    grid = figure.add_gridspec(
        2 * shown, 2 * top + 2, height_ratios=[1, 0.5] * shown, width_ratios=[1] * (top + 1) + [0.25] + [1] * top
    )
    for i in range(shown):
        own = figure.add_subplot(grid[2 * i : 2 * i + 2, 0])
        _sprite(own, found.sprites, int(found.channels[i]), f"channel {found.channels[i]}")
        for connections, first in zip(found.strongest(i), (1, top + 2), strict=True):
            most = float(np.abs(found.weights[i]).max())
            for k in range(top):
                if k < len(connections):
                    _connection(figure, grid, 2 * i, first + k, found, connections[k], most)
    signs = "what excites its channels (left, +) and what inhibits them (right, \N{MINUS SIGN})"
    words = f"{found.layer}: {signs}, of {found.reads}"
    figure.suptitle(words.replace("$", r"\$"), fontsize=9)
    return figure


def tile_panel(panel: Any, weights: np.ndarray, most: float | None, found: Filters) -> None:
    """Draw one filter into a panel; `most` is the weight that is white, the filter's own largest where None."""
    reach = float(np.abs(weights).max()) if most is None else most
    panel.imshow(tile(weights, most=reach, colours=found.colours, is_sound=found.is_sound), interpolation="nearest")


def smoothness_panel(panel: Any, found: Filters) -> None:
    """Draw how many filters are how smooth; grey where they cannot be told from noise."""
    scores = found.layer_smoothness[np.isfinite(found.layer_smoothness)]
    panel.hist(scores, bins=np.linspace(-1, 1, BINS + 1).tolist(), color=np.array(FOR) / 255)
    if np.isfinite(found.noise_band):
        panel.axvspan(-found.noise_band, found.noise_band, color="0.5", alpha=0.22, linewidth=0)
    panel.axvline(float(np.median(scores)), color="0.25", linewidth=1, linestyle="--")
    panel.set(
        xlim=(-1, 1),
        xticks=(-1, -0.5, 0, 0.5, 1),
        xlabel="smoothness" + (" (grey: as noise)" if np.isfinite(found.noise_band) else ""),
        ylabel="filters",
    )
    panel.xaxis.label.set_fontsize(8)
    panel.yaxis.label.set_fontsize(8)
    panel.tick_params(labelsize=7.5)
    panel.yaxis.get_major_locator().set_params(integer=True)
    panel.spines[["top", "right"]].set_visible(False)


def _connection(figure: Figure, grid: Any, row: int, column: int, found: Filters, one: Connection, most: float) -> None:
    from diamond.show.filter_tiles import signed_tile

    colour = np.array(FOR if one.weight > 0 else AGAINST) / 255
    upper = figure.add_subplot(grid[row, column])
    _sprite(
        upper,
        found.read_sprites,
        one.channel,
        f"{one.channel}   {one.weight:+.2g}".replace("-", "\N{MINUS SIGN}"),
        colour,
    )
    lower = figure.add_subplot(grid[row + 1, column])
    lower.imshow(np.full((1, 1, 3), 0.94), extent=(0, 1, 0, 1))
    lower.imshow(
        signed_tile(one.slice, most=most, is_sound=found.is_sound), interpolation="nearest", extent=(0, 1, 0, 1)
    )
    lower.set(xticks=[], yticks=[])
    lower.spines[:].set_visible(False)


def _sprite(panel: Any, sprites: Any, channel: int, words: str, colour: Any = "black") -> None:
    panel.axis("off")
    panel.set_title(words, fontsize=7.5, pad=3, color=colour)
    if sprites is not None and channel in sprites:
        panel.imshow(sprites[channel], interpolation="lanczos")
    else:
        panel.imshow(np.full((1, 1, 3), 0.9))
        panel.text(
            0.5, 0.5, str(channel), ha="center", va="center", transform=panel.transAxes, fontsize=11, color="0.35"
        )
