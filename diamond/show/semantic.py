"""A semantic map as a page to explore and as a figure to print.

The page carries each number once: channels and scores of the cells, where each channel that is named anywhere fires, and
the sprites of those channels in one picture. What a script draws from them, it draws over the photo; without one the
heatmap and the picture's top channels stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from diamond.show.heat import AGAINST, FOR, overlay, visible
from diamond.show.packing import Sheet, gather, pack, pack_measured, pack_shades
from diamond.show.pages import page
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.attribution.semantic import SemanticMap

__all__ = ["heat_image", "semantic_figure", "semantic_page", "sheet_of"]

MOST_OTHERS = 12
OTHER_SIDES = (14, 10, 7)
OTHER_VALUES = 240_000
FINE_VALUES = 160_000
MOST_VALUES = 840_000
HEAT_PX = 336
# A sprite's own subject is in its middle; a cell shows that.
MIDDLE = 0.74
# Activations have a colour of their own: they say neither for nor against.
FIRED = (146, 62, 196)


def semantic_page(found: SemanticMap) -> str:
    """Give the map as a whole HTML document."""
    channels, positions = np.unique(np.append(found.channels.ravel(), found.overall), return_inverse=True)
    cells, overall = positions[: found.channels.size], positions[found.channels.size :]
    sheet, tiles = sheet_of(found, channels.tolist())
    high, wide, top = found.channels.shape
    shown = min(len(found.others), MOST_OTHERS)
    fires = np.maximum(np.moveaxis(_shown(found, found.activations), -1, 0)[channels], 0)
    elsewhere = np.zeros((0, *fires.shape))
    if shown:
        elsewhere = np.maximum(np.moveaxis(found.other_activations[:shown][..., channels], -1, 1), 0)
        elsewhere = elsewhere[:, :, ::-1] if found.picture.shape[-1] == 1 else elsewhere
    peaks = elsewhere.max(axis=(2, 3))
    reach = np.maximum(fires.max(axis=(1, 2)), peaks.max(axis=0, initial=0.0))
    reach = np.where(reach > 0, reach, 1.0)
    small = _pooled(elsewhere, OTHER_SIDES, OTHER_VALUES)
    # Of more than fits, neighbouring cells are joined; where each channel fires most is told exactly.
    packed = _pooled(fires[None], (max(high, wide), 28, 14), MOST_VALUES)[0]
    strongest = fires.reshape(len(channels), -1).max(axis=1)
    above = (fires > 0) & (fires >= strongest[:, None, None] / 2)
    data = {
        "high": high,
        "wide": wide,
        "top": top,
        "unit": found.unit,
        "flipped": found.picture.shape[-1] == 1,
        "both": found.negative is not None,
        "positive": found.positive,
        "negative": found.negative,
        "names": channels.tolist(),
        "tiles": tiles,
        "sheet": None if sheet is None else [sheet.columns, sheet.rows, sheet.tile_px],
        "middle": MIDDLE,
        "colour": FIRED,
        "edgesHz": None if found.edges_hz is None else [round(float(hz), 1) for hz in found.edges_hz],
        "edgesS": None if found.edges_s is None else [round(float(s), 3) for s in found.edges_s],
        "cells": pack(_shown(found, cells.reshape(high, wide, top)).astype(np.uint16)),
        "scores": pack_measured(_shown(found, found.scores)),
        "heat": pack_measured(_shown(found, found.heatmap)),
        "overall": overall.tolist(),
        "overallScores": [float(score) for score in found.overall_scores],
        "reach": [float(f"{value:.5g}") for value in reach],
        "fires": pack_shades(packed / reach[:, None, None], 8 if packed.size <= FINE_VALUES else 4),
        "grid": list(packed.shape[1:]),
        "peaks": pack(fires.reshape(len(channels), -1).argmax(axis=1).astype(np.uint32)),
        "strongest": [float(f"{value:.5g}") for value in strongest],
        "above": above.sum(axis=(1, 2)).tolist(),
        "others": {
            "grid": list(small.shape[2:]),
            "peaks": pack_measured(peaks),
            "fires": pack_shades(small / reach[:, None, None], 4),
        },
    }
    return page(
        "semantic_map.html",
        title=str(found),
        found=found,
        data=data,
        sheet=sheet,
        tiles={int(channel): tile for channel, tile in zip(channels, tiles, strict=True)},
        heat=heat_image(found, HEAT_PX),
        most=float(np.abs(found.heatmap).max()),
        shown_others=shown,
    )


def sheet_of(found: Any, channels: Sequence[int]) -> tuple[Sheet | None, list[int]]:
    """Gather the sprites of channels into one picture; give it, and each channel's place in it, -1 where it has none.

    Parameters
    ----------
    found
        A result with ``sprites``: a spritemap of all channels, of some, or None.
    channels
        Channel numbers, each once.
    """
    held = set() if found.sprites is None else set(found.sprites.channels)
    there = [channel for channel in channels if channel in held]
    if not there:
        return None, [-1] * len(channels)
    place = {channel: i for i, channel in enumerate(there)}
    return gather(found.sprites.tiles(there)), [place.get(channel, -1) for channel in channels]


def heat_image(found: SemanticMap, most_px: int) -> np.ndarray:
    """Colour the heatmap to lay over the photo, uint8 ``(height, width, 4)``, smoothed, `most_px` on its longer side.

    Of one class only what speaks for it is coloured; without a class, what lies above the least active cell.
    """
    height, width = found.picture.shape[:2]
    size = tuple(max(1, round(side * most_px / max(height, width))) for side in (height, width))
    values = _shown(found, found.heatmap)
    if found.negative is None:
        values = np.maximum(values - (values.min() if found.positive is None else 0), 0)
    coloured = overlay(values, (size[0], size[1]))
    if found.positive is None:
        coloured[..., :3] = FIRED
    return coloured


def semantic_figure(found: SemanticMap, view: str = "heatmap") -> Figure:
    """Draw the photo, the map over it, and the picture's top channels below.

    Raises
    ------
    ValueError
        For another view than ``"heatmap"`` and ``"sprites"``, and for sprites where there are none.
    """
    if view not in ("heatmap", "sprites"):
        raise ValueError(f"no view {view!r}; expected 'heatmap' or 'sprites'")
    if view == "sprites" and found.sprites is None:
        raise ValueError(f"no store has sprites of {found.layer!r}; dc.spritemap(net, {found.layer!r}) renders them")
    n = len(found.overall)
    columns = max(5, min(n, 10))
    # Room for the photo, then for its title; the same below.
    heights = 4.15 * found.picture.shape[0] / found.picture.shape[1] + 0.4, 2.0
    figure = Figure(figsize=(8.4, sum(heights)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    plain, covered = above.subplots(1, 2)
    photo = visible(found.photo)
    # Grey and flat beneath the map: an orange cup would pass for a hot one.
    grey = 0.25 + 0.62 * np.repeat(photo.mean(axis=-1, keepdims=True), 3, axis=-1)
    height, width = photo.shape[:2]
    plain.imshow(photo)
    plain.set_title(found.image, fontsize=9, loc="left")
    covered.imshow(grey)
    covered.imshow(
        heat_image(found, max(height, width)) if view == "heatmap" else _mosaic(found),
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="nearest" if view == "sprites" else "bilinear",
    )
    covered.set_title(f"{found.layer}: {found.question}", fontsize=9, loc="left")
    for panel in (plain, covered):
        if found.edges_hz is None or found.edges_s is None:
            panel.axis("off")
        else:
            _scale(panel, found.edges_hz, found.edges_s)
    most = float(np.abs(found.overall_scores).max()) or 1.0
    panels = below.subplots(2, columns, squeeze=False, height_ratios=(1, 0.14))
    for panel in panels.ravel():
        panel.axis("off")
    for i in range(min(n, columns)):
        _draw_channel(panels[:, i], found, int(found.overall[i]), float(found.overall_scores[i]), most)
    whole = "picture" if found.edges_hz is None else "spectrogram"
    below.suptitle(f"top channels of the whole {whole}, in {found.unit}", fontsize=9, x=0.012, ha="left")
    return figure


def _scale(panel, edges_hz: np.ndarray, edges_s: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    """Write frequencies and seconds beside a spectrogram, lowest frequency at the bottom."""
    bottom, top = panel.get_ylim()
    left, right = panel.get_xlim()
    rows, columns = (np.unique(np.linspace(0, len(edges) - 1, 5).round()).astype(int) for edges in (edges_hz, edges_s))
    kilohertz = [f"{edges_hz[row] / 1000:.2g}" for row in rows]
    panel.set_yticks(bottom + (top - bottom) * rows / (len(edges_hz) - 1), kilohertz, fontsize=7)
    panel.set_xticks(
        left + (right - left) * columns / (len(edges_s) - 1), [f"{edges_s[c]:.2g}" for c in columns], fontsize=7
    )
    panel.set_ylabel("kHz", fontsize=7)
    panel.set_xlabel("s", fontsize=7)


def _draw_channel(panels, found: SemanticMap, channel: int, score: float, most: float) -> None:  # type: ignore[no-untyped-def]
    above, below = panels
    if found.sprites is not None and channel in found.sprites:
        above.imshow(found.sprites[channel], interpolation="lanczos")
    else:
        above.text(0.5, 0.5, str(channel), ha="center", va="center", transform=above.transAxes, fontsize=14)
    above.set_title(str(channel), fontsize=7, pad=2)
    above.set_anchor("S")
    colour = np.array(FIRED if found.positive is None else FOR if score >= 0 else AGAINST) / 255
    strength = abs(score) / most
    below.barh([0], [strength], height=1, color=[(*colour, 0.25 + 0.75 * strength)])
    below.set_xlim(0, 1)
    below.text(0.03, 0.45, f"{score:.3g}", va="center", fontsize=8, transform=below.transAxes)


def _mosaic(found: SemanticMap, cell_px: int = 48) -> np.ndarray:
    """Draw each cell's first sprite in its place, uint8 RGBA; fainter where the cell matters less."""
    assert found.sprites is not None
    high, wide = found.heatmap.shape
    picture = np.zeros((high * cell_px, wide * cell_px, 4), np.uint8)
    strength = np.abs(found.heatmap) / (float(np.abs(found.heatmap).max()) or 1.0)
    tiles: dict[int, np.ndarray] = {}
    for row, column in np.ndindex(high, wide):
        channel = int(found.channels[row, column, 0])
        if channel not in found.sprites:
            continue
        if channel not in tiles:
            sprite = found.sprites[channel]
            edge = round(len(sprite) * (1 - MIDDLE) / 2)
            inner = Image.fromarray(sprite[edge : len(sprite) - edge, edge : len(sprite) - edge])
            tiles[channel] = np.asarray(inner.resize((cell_px, cell_px), Image.Resampling.LANCZOS))
        line = high - 1 - row if found.picture.shape[-1] == 1 else row
        block = picture[line * cell_px : (line + 1) * cell_px, column * cell_px : (column + 1) * cell_px]
        block[..., :3] = tiles[channel]
        block[..., 3] = round(255 * (0.3 + 0.7 * float(strength[row, column]) ** 0.5))
    return picture


def _shown(found: SemanticMap, grid: np.ndarray) -> np.ndarray:
    """Turn a grid as its picture is shown: of a sound the highest frequency comes first."""
    return grid[::-1] if found.picture.shape[-1] == 1 else grid


def _pooled(fires: np.ndarray, sides: Sequence[int], most: int) -> np.ndarray:
    """Take the highest of neighbouring cells, ``(image, channel, high, wide)``, until all together are few enough."""
    pictures, channels, *grid = fires.shape
    side = next((s for s in sides if pictures * channels * min(s, grid[0]) * min(s, grid[1]) <= most), sides[-1])
    for axis in (2, 3):
        n = fires.shape[axis]
        if n > side:
            fires = np.maximum.reduceat(fires, np.arange(side) * n // side, axis=axis)
    return fires
