"""Chosen sprites side by side, as a picture for a README, a slide or a paper.

    >>> sprites = dc.spritemap(net, "block9_add")
    >>> write_banner(sprites.tiles([3, 11, 24, 57]), "banner.webp", columns=4)
    PosixPath('banner.webp')

A grid of all channels is for looking through, and a banner is for showing: few sprites, in the order given, with rounded
corners and air between them that is transparent, so that it stands on a light page and on a dark one.

The two verbs of this module: sprites are *laid out*, a banner is *written*.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from spritemaps.files import write_file
from spritemaps.pages import Pixels

__all__ = ["banner", "write_banner"]

# A corner is drawn so many times as large and scaled down, which smooths it.
SMOOTH = 4
QUALITY = 92


def banner(
    sprites: Sequence[Pixels] | Pixels, *, columns: int, tile_px: int = 128, gap_px: int = 10, round_px: int = 10
) -> Pixels:
    """Lay sprites out row by row, uint8 ``(height, width, 4)``: RGB, and opacity that is 0 between them.

    Parameters
    ----------
    sprites
        uint8 ``(size, size, 3)``, RGB, each; of any sizes, since they may come from several layers.
    columns
        Sprites a row.
    tile_px
        Side of each in the banner.
    gap_px
        Between two, right and below; none at the edges.
    round_px
        Radius of the corners.

    Raises
    ------
    ValueError
        Where there are no sprites, or a number is too small.

    Examples
    --------
    >>> banner([np.zeros((64, 64, 3), np.uint8)] * 6, columns=3, tile_px=96, gap_px=8).shape
    (200, 304, 4)
    """
    if not len(sprites):
        raise ValueError("no sprites; give one or more")
    if columns < 1 or tile_px < 1 or gap_px < 0 or round_px < 0:
        raise ValueError(
            f"columns {columns}, tile_px {tile_px}, gap_px {gap_px}, round_px {round_px}; expected 1 or more of the "
            "first two, and 0 or more of the others"
        )
    columns = min(columns, len(sprites))
    rows, step = -(-len(sprites) // columns), tile_px + gap_px
    picture = np.zeros((rows * step - gap_px, columns * step - gap_px, 4), np.uint8)
    corners = _rounded(tile_px, round_px)
    for i, sprite in enumerate(sprites):
        y, x = (step * n for n in divmod(i, columns))
        cell = picture[y : y + tile_px, x : x + tile_px]
        drawn = Image.fromarray(sprite)
        cell[..., :3] = np.asarray(drawn.resize((tile_px, tile_px), Image.Resampling.LANCZOS))
        cell[..., 3] = corners
    return picture


def write_banner(sprites: Sequence[Pixels] | Pixels, path: str | Path, *, columns: int, **layout: int) -> Path:
    """Write a banner as ``.webp`` or ``.png``, and give its path; `layout` is that of `banner`.

    Raises
    ------
    ValueError
        Where the suffix is another, or as `banner` raises it.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".webp", ".png"):
        raise ValueError(f"no banner of kind {path.suffix!r} ({path}); expected .webp or .png")
    file = io.BytesIO()
    picture = Image.fromarray(banner(sprites, columns=columns, **layout))
    if kind == ".webp":
        picture.save(file, format="WEBP", quality=QUALITY, method=6)
    else:
        picture.save(file, format="PNG")
    write_file(path, file.getvalue())
    return path


def _rounded(side: int, radius: int) -> Pixels:
    large = Image.new("L", (side * SMOOTH, side * SMOOTH))
    last = side * SMOOTH - 1
    ImageDraw.Draw(large).rounded_rectangle((0, 0, last, last), radius * SMOOTH, fill=255)
    return np.asarray(large.resize((side, side), Image.Resampling.BOX))
