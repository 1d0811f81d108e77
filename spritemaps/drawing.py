"""How a spritemap looks in a notebook, as a figure and as a page.

    >>> dc.spritemap(net, "block9_add").plot()
    <Figure size ... with 1 Axes>

A grid of 2,048 squares without names is wallpaper. Here every square tells its channel and the activation it reached
when it is hovered or reached by the keyboard (one stop of the Tab key, and arrows: radio buttons do that without a
script), and a channel that never fired is crossed out, so that nobody reads meaning into noise.
A page needs no script and no network: with styles alone it is alive, without them it is still the picture. A large grid
is scaled down to keep a notebook small.

The two verbs of this module: dead channels are *marked* in the picture, and a page is *framed*.
"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from spritemaps.grid import grid_side
from spritemaps.manifest import ChannelRecord, Manifest
from spritemaps.pages import Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure", "frame", "mark_dead", "page"]

PAGE_WIDTH_PX = 1536
SHOWN_WIDTH_PX = 960
PICTURE_BYTES = 600_000
# Above this a page is the picture alone: its squares' names would weigh more than a notebook should.
MOST_NAMED = 5000

_STYLE = """
body{margin:0;font:14px/1.4 system-ui,sans-serif;color:#222;background:#fff;color-scheme:light dark}
h1{font-size:15px;margin:6px 0 0}p{margin:2px 0 8px;color:#555}
.g{position:relative}.g img{display:block;width:100%}
.c{position:absolute;inset:0;display:grid}
.c input{appearance:none;margin:0;min-width:0}
.c input:is(:hover,:focus){outline:2px solid #e40;box-shadow:0 0 0 3px #fff;z-index:1}
.c input:focus::after{content:attr(title);position:fixed;left:0;bottom:0;padding:2px 8px;background:#222;color:#fff}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}p{color:#aaa}}
"""


def mark_dead(picture: Pixels, records: tuple[ChannelRecord, ...]) -> Pixels:
    """Give the grid with its dead channels dimmed and crossed out.

    Parameters
    ----------
    picture
        Square grid of one cell a record, uint8 ``(side * cell_px, side * cell_px, 3)``, RGB.
    """
    side = grid_side(max(len(records), 1))
    px = picture.shape[0] // side
    marked = picture.copy()
    dead = [divmod(i, side) for i, record in enumerate(records) if not record.alive]
    for row, column in dead:
        square = marked[row * px : (row + 1) * px, column * px : (column + 1) * px]
        square[...] = square // 4 + 160
    drawn = Image.fromarray(marked)
    pen, width = ImageDraw.Draw(drawn), max(1, px // 24)
    for row, column in dead:
        left, top, right, bottom = column * px, row * px, (column + 1) * px - 1, (row + 1) * px - 1
        pen.line((left, top, right, bottom), fill=(200, 30, 30), width=width)
        pen.line((left, bottom, right, top), fill=(200, 30, 30), width=width)
    return np.array(drawn)


def figure(picture: Pixels, manifest: Manifest) -> Figure:
    """Draw the grid as a matplotlib figure, its rows named by their first channel."""
    from matplotlib.figure import Figure

    side = grid_side(max(len(manifest.records), 1))
    px = picture.shape[0] // side
    width = min(12.0, max(4.0, picture.shape[1] / 100))
    drawn = Figure(figsize=(width, width + 0.4), layout="constrained")
    axes = drawn.add_subplot()
    axes.imshow(mark_dead(picture, manifest.records))
    firsts = [(row, manifest.records[row * side].channel) for row in range(side) if row * side < len(manifest.records)]
    firsts = firsts[:: max(1, side // 16)]
    axes.set_yticks([(row + 0.5) * px - 0.5 for row, _ in firsts], [str(channel) for _, channel in firsts])
    axes.set_xticks([])
    axes.set_ylabel("first channel of the row")
    # A dollar sign in a name would start a formula.
    axes.set_title(_heading(manifest).replace("$", r"\$"))
    return drawn


def page(picture: Pixels, manifest: Manifest) -> str:
    """Give a self-contained HTML page: the grid, with the channel and activation of every square."""
    records = manifest.records
    side = grid_side(max(len(records), 1))
    small = _scaled(picture, side, PAGE_WIDTH_PX)
    uri = _picture_uri(mark_dead(small, records), side)
    heading, summary = html.escape(_heading(manifest)), html.escape(_summary(manifest))
    named = records if len(records) <= MOST_NAMED else ()
    squares = "".join(
        f"<input type=radio name=c aria-label='channel {record.channel}' title='{_title(record)}'>" for record in named
    )
    track = f"repeat({side},1fr)"
    return (
        f"<!DOCTYPE html><html lang=en><meta charset=utf-8><title>{heading}</title><style>{_STYLE}</style>"
        f"<main><h1>{heading}</h1><p>{summary}</p><div class=g style='max-width:{_shown_px(picture)}px'>"
        f"<img src='{uri}' alt='{heading}: {summary}'>"
        f"<div class=c role=radiogroup aria-label=channels style='grid-template:{track}/{track}'>{squares}</div>"
        "</div></main></html>"
    )


def frame(picture: Pixels, manifest: Manifest) -> str:
    """Give the page inside an ``<iframe>``, where neither its styles nor its names reach the notebook around it."""
    title = html.escape(_heading(manifest))
    height = _shown_px(picture) + 96
    return (
        f'<iframe sandbox title="{title}" style="width:100%;height:{height}px;border:0" '
        f'srcdoc="{html.escape(page(picture, manifest))}"></iframe>'
    )


def _heading(manifest: Manifest) -> str:
    return f"{manifest.network} {manifest.layer}"


def _summary(manifest: Manifest) -> str:
    n, dead = len(manifest.records), sum(not record.alive for record in manifest.records)
    count = f"{n:,}" if n == manifest.channels else f"{n:,} of {manifest.channels:,}"
    named = " (point at a square for its channel, or Tab and arrow keys)" if n <= MOST_NAMED else ""
    return f"{count} channels, {dead:,} dead, recipe {manifest.recipe_name}{named}"


def _title(record: ChannelRecord) -> str:
    if record.alive:
        return f"channel {record.channel}, activation {record.activation:.4g}"
    return f"channel {record.channel}, dead after {record.attempts} attempt{'s' * (record.attempts != 1)}"


def _shown_px(picture: Pixels) -> int:
    return int(min(SHOWN_WIDTH_PX, max(picture.shape[1], 320)))


def _scaled(picture: Pixels, side: int, most_px: int) -> Pixels:
    # Cells keep a whole number of pixels, so that the squares over the picture stand where its cells are.
    size = side * max(1, min(picture.shape[0], most_px) // side)
    if size == picture.shape[0]:
        return picture
    return np.array(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX))


def _picture_uri(picture: Pixels, side: int) -> str:
    width = picture.shape[1]
    while True:
        file = io.BytesIO()
        Image.fromarray(_scaled(picture, side, width)).save(file, format="WEBP", quality=85, method=2)
        if len(file.getvalue()) <= PICTURE_BYTES or width <= side:
            return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
        width = width * 4 // 5
