"""Activation maps as a grid, as a strip through layers, and as a page with both views of each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from diamond.show.heat import visible
from diamond.show.map_tiles import coloured, over_photo_tiles, plain_tiles
from diamond.show.packing import gather
from diamond.show.pages import page, picture_uri
from diamond.show.semantic import sheet_of
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.mapped import ActivationMaps, LayerMaps

__all__ = ["grid_figure", "maps_page", "strip_figure"]

IN_FIGURE = 100
ON_PAGE = 240
# Of a strip a page holds this many maps altogether.
ON_STRIP = 640
PHOTO_PX = 320
FIGURE_TILE_PX = 192
MAP_BYTES = 700_000


def grid_figure(found: ActivationMaps, upsampled: bool = False, first: int = 0) -> Figure:
    """Draw up to a hundred maps of one layer, the picture before them."""
    one = found.layers[0]
    n = len(one.channels)
    if not 0 <= first < n:
        raise IndexError(f"first is {first}; {one.layer!r} has maps 0 to {n - 1} here")
    shown = np.arange(first, min(n, first + IN_FIGURE))
    columns = min(10, math.isqrt(len(shown) - 1) + 1 if len(shown) > 4 else len(shown))
    rows = -(-len(shown) // columns)
    shape = _ratio(found)
    figure = Figure(figsize=(2.6 + 0.98 * columns, max(2.9, (0.98 / shape + 0.2) * rows + 0.6)), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(2.4, 0.98 * columns))[0]
    picture = left.subplots()
    _draw_picture(picture, found)
    panels = right.subplots(rows, columns, squeeze=False)
    for panel in panels.ravel():
        panel.axis("off")
    for i, panel in zip(shown, panels.ravel(), strict=False):
        _draw_map(panel, found, one, int(i), upsampled)
    until = "" if len(shown) == n else f", {first} to {shown[-1]} of {n:,}"
    told = f", {len(one.dead)} dead in {found.count:,} pictures" if one.dead is not None else ""
    words = f"{found.network} {one.layer}: {_size(one)} maps{until}; {one.sparsity:.0%} of all values are 0{told}"
    figure.suptitle(_plain(words), fontsize=10, x=0.01, ha="left")
    return figure


def strip_figure(found: ActivationMaps, upsampled: bool = False) -> Figure:
    """Draw a row a layer, its sparsity beside it, the picture above them."""
    columns = max(len(one.channels) for one in found.layers)
    rows = len(found.layers)
    high = 0.85 / _ratio(found) + 0.2
    figure = Figure(figsize=(3.2 + 0.85 * columns, high * rows + 1.9), layout="constrained")
    head, body = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.7, high * rows))[:, 0]
    above = head.subplots(1, 3, width_ratios=(1, 1, max(1.0, 0.5 * columns)))
    _draw_picture(above[0], found)
    for panel in above[1:]:
        panel.axis("off")
    grid = body.subplots(rows, columns + 1, squeeze=False, width_ratios=(2.6, *(1.0,) * columns))
    for one, panels in zip(found.layers, grid, strict=True):
        for panel in panels:
            panel.axis("off")
        told = "" if one.dead is None else f", {len(one.dead)} dead"
        panels[0].text(0.0, 0.62, _plain(one.layer), fontsize=8, va="center", transform=panels[0].transAxes)
        sub = f"{_size(one)}, {len(one.highest)} channels\n{one.sparsity:.0%} are 0{told}"
        panels[0].text(0.0, 0.2, sub, fontsize=6.5, va="center", color="0.4", transform=panels[0].transAxes)
        for i, panel in zip(range(len(one.channels)), panels[1:], strict=False):
            _draw_map(panel, found, one, i, upsampled)
    many = f"; dead: 0 in all of {found.count:,} pictures" if found.count else ""
    figure.suptitle(_plain(f"{found.network}, {len(found.layers)} layers{many}"), fontsize=10, x=0.01, ha="left")
    return figure


def maps_page(found: ActivationMaps) -> str:
    """Give activation maps as a whole HTML document."""
    heard = found.picture.shape[-1] == 1
    budget = ON_PAGE if len(found.layers) == 1 else max(1, ON_STRIP // len(found.layers))
    rows: list[dict[str, Any]] = []
    plain, over = [], []
    begin = 0
    for one in found.layers:
        shown = min(len(one.channels), budget)
        maps = one.maps[..., :shown]
        dead = set() if one.dead is None else set(one.dead.tolist())
        if shown:
            plain.append(plain_tiles(maps, heard=heard))
            over.append(over_photo_tiles(maps, found.picture, heard=heard))
        sprites, places = (
            sheet_of(one, one.channels[:shown].tolist()) if len(found.layers) == 1 else (None, [-1] * shown)
        )
        tiles = [
            {
                "channel": int(channel),
                "place": begin + i,
                "sprite": places[i],
                "highest": float(one.highest[channel]),
                "zeros": float(one.zeros[channel]),
                "fired": None if one.fired is None else int(one.fired[channel]),
                "dead": int(channel) in dead,
                "silent": bool(one.zeros[channel] == 1),
            }
            for i, channel in enumerate(one.channels[:shown])
        ]
        begin += shown
        rows.append({"one": one, "size": _size(one), "tiles": tiles, "sprites": sprites, "more": _more(one, shown)})
    return page(
        "activation_maps.html",
        title=str(found),
        found=found,
        rows=rows,
        plain=gather(np.concatenate(plain), most_bytes=MAP_BYTES),
        over=gather(np.concatenate(over), most_bytes=MAP_BYTES),
        photo=picture_uri(found.picture, most_px=PHOTO_PX),
        ratio=f"{_ratio(found):.4g}",
        heard=next((one for one in found.layers if one.edges_hz is not None), None),
        signed=any(one.maps.size and one.maps.min() < 0 for one in found.layers),
    )


def _draw_picture(panel: Axes, found: ActivationMaps) -> None:
    panel.set_anchor("N")
    panel.imshow(visible(found.picture), aspect="auto" if found.picture.shape[-1] == 1 else "equal")
    panel.set_box_aspect(1 / _ratio(found))
    panel.set_title(_plain(found.image if len(found.image) <= 34 else f"{found.image[:33]}…"), fontsize=8)
    one = next((each for each in found.layers if each.edges_hz is not None), None)
    if one is None or one.edges_hz is None or one.edges_s is None:
        panel.axis("off")
        return
    high, wide = found.picture.shape[:2]
    rows = np.linspace(0, len(one.edges_hz) - 1, 5)
    hz = np.interp(rows, np.arange(len(one.edges_hz)), one.edges_hz)
    panel.set_yticks(high - 0.5 - rows * high / (len(one.edges_hz) - 1), [f"{value:,.0f}" for value in hz], fontsize=7)
    seconds = np.linspace(one.edges_s[0], one.edges_s[-1], 4)
    panel.set_xticks(np.linspace(-0.5, wide - 0.5, 4), [f"{value:.2f}" for value in seconds], fontsize=7)
    panel.set_xlabel("s", fontsize=7)
    panel.set_ylabel("Hz", fontsize=7)


def _draw_map(panel: Axes, found: ActivationMaps, one: LayerMaps, i: int, upsampled: bool) -> None:
    heard = found.picture.shape[-1] == 1
    channel = int(one.channels[i])
    maps = one.maps[..., i : i + 1]
    # One picture to a panel, stretched over the photo's own shape, whatever the number of cells.
    high, wide = found.picture.shape[:2]
    if upsampled:
        shown = over_photo_tiles(maps, found.picture, heard=heard, side=FIGURE_TILE_PX)[0]
    else:
        shown = coloured(maps[::-1, :, 0] if heard else maps[..., 0])
    panel.imshow(shown, interpolation="nearest", extent=(0, wide, high, 0), aspect="auto" if heard else "equal")
    dead = one.dead is not None and channel in one.dead
    silent = one.zeros[channel] == 1
    mark = " dead" if dead else " silent" if silent else f"  {one.highest[channel]:.3g}"
    panel.set_title(f"{channel}{mark}", fontsize=6.5, pad=2, color="0.5" if silent else "0.1")


def _ratio(found: ActivationMaps) -> float:
    high, wide = found.picture.shape[:2]
    return float(np.clip(wide / high, 0.4, 2.5))


def _size(one: LayerMaps) -> str:
    return f"{one.grid[0]} x {one.grid[1]}"


def _more(one: LayerMaps, shown: int) -> str:
    """Say how the rest is seen, where a page does not hold all."""
    n = len(one.channels)
    if shown == n:
        return ""
    begin = int(one.channels[0])
    # A run of channels is continued; a choice of one's own is only counted.
    if (np.diff(one.channels) == 1).all():
        last = min(begin + 2 * shown, len(one.highest))
        shown_here = f"Channels {begin} to {begin + shown - 1} of {len(one.highest):,} are shown"
        return f"{shown_here}; channels=range({begin + shown}, {last}) gives the next."
    return f"The first {shown} of {n:,} channels are shown; ask for fewer."


def _plain(words: str) -> str:
    return words.replace("$", r"\$")
