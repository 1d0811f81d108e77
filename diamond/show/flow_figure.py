"""The figure of a flow: columns of sprites, and links as wide as they weigh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from diamond.show.heat import AGAINST, FOR, overlay, visible
from diamond.show.layouts import Tile, lay_out_flow
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from diamond.attribution.flowed import Flow

__all__ = ["flow_figure"]

PX_TO_INCHES = 1 / 80


def flow_figure(found: Flow) -> Figure:
    """Draw the picture, then a column a layer with the class at the end; orange links for, blue against."""
    layout = lay_out_flow(found.effects, found.links)
    width, height = layout.width * PX_TO_INCHES, layout.height * PX_TO_INCHES
    figure = Figure(figsize=(2.6 + width, max(height, 2.6) + 0.5), layout="constrained")
    figure.suptitle(str(found), fontsize=9, x=0.01, ha="left")
    photo, panel = figure.subplots(1, 2, width_ratios=(2.2, width))
    photo.imshow(visible(found.picture))
    photo.set_title(f"{found.positive}: {found.logit:.3g}", fontsize=9)
    photo.axis("off")
    panel.set(xlim=(-4, layout.width), ylim=(layout.height, 0), aspect="equal")
    panel.axis("off")
    points_in_px = 72 * PX_TO_INCHES
    for link in layout.links:
        curve = Path(list(link.points), [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
        shade = np.array(FOR if link.weight >= 0 else AGAINST) / 255
        panel.add_patch(
            PathPatch(curve, fill=False, edgecolor=(*shade, 0.6), linewidth=link.width * points_in_px, capstyle="butt")
        )
    for i, name in enumerate(found.layers):
        x = next(tile.x for tile in layout.tiles if tile.column == i)
        panel.text(x + layout.tile / 2, 12, name, ha="center", fontsize=8)
    for tile in layout.tiles:
        if tile.column < len(found.layers):
            _draw_unit(panel, found, tile, layout.tile)
        else:
            panel.text(tile.x + 6, tile.y + layout.tile / 2, found.question, va="center", fontsize=9)
    return figure


def _draw_unit(panel: Axes, found: Flow, tile: Tile, side: float) -> None:
    extent = (tile.x, tile.x + side, tile.y + side, tile.y)
    label = found.label(tile.column, tile.unit)
    sprites, channel = found.sprites[tile.column], found.units[tile.column][tile.unit][0]
    maps = found.maps[tile.column]
    if found.by == "channels" and sprites is not None and channel in sprites:
        panel.imshow(sprites[channel], extent=extent, interpolation="lanczos", zorder=2)
    elif maps is not None:
        grey = np.repeat(visible(found.picture).mean(axis=-1, keepdims=True), 3, axis=-1)
        cells = maps[::-1] if found.picture.shape[-1] == 1 else maps
        panel.imshow(grey, extent=extent, zorder=2)
        panel.imshow(overlay(cells[..., tile.unit]), extent=extent, interpolation="bilinear", zorder=3)
    else:
        panel.fill_between((tile.x, tile.x + side), tile.y, tile.y + side, color="0.93", zorder=2)
        panel.text(tile.x + side / 2, tile.y + side / 2, label, ha="center", va="center", fontsize=9, zorder=3)
    effect = float(found.effects[tile.column][tile.unit])
    panel.text(tile.x + side / 2, tile.y + side + 12, f"{label}  {effect:+.2f}", ha="center", fontsize=7, zorder=4)
