"""Sprites as picture files: several a file, whole cells of the grid.

    >>> tiles = dc.spritemap(net, "block9_add").tiles()
    >>> [(page, content)] = pack(tiles)
    >>> page.file, tiles.shape
    ('atlas-0.webp', (112, 96, 96, 3))

One picture of a large layer would be wider than browsers and graphics cards take, so the grid is cut into pages. They
are WebP, written with fixed settings so that equal sprites give equal bytes; the format is lossy, one or two levels of
255 off in a smooth sprite of 64 px.

The two verbs of this module: sprites are *packed* into pages, a page is *read* and checked against its hash.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spritemaps.files import StoreError
from spritemaps.grid import Block, cut, grid_side
from spritemaps.manifest import Page

__all__ = ["NEUTRAL_GREY", "Pixels", "check_tiles", "compose", "encode", "pack", "read_page"]

NEUTRAL_GREY = 128
# Part of the format: changing either changes the bytes of every page.
WEBP_QUALITY = 90
WEBP_METHOD = 4

Pixels = NDArray[np.uint8]


def pack(tiles: Pixels) -> Iterator[tuple[Page, bytes]]:
    """Pack the sprites of a whole layer into pages, one after the other: what each is, and the content of its file.

    Parameters
    ----------
    tiles
        uint8 ``(channels, tile_px, tile_px, 3)``, RGB, in channel order.

    Raises
    ------
    ValueError
        Where the array is not of that shape and type, or its tiles are larger than a page.
    """
    tiles = check_tiles(tiles, len(tiles))
    side = grid_side(len(tiles))
    for number, block in enumerate(cut(len(tiles), tiles.shape[1])):
        content = encode(compose(tiles, side, block))
        digest = hashlib.sha256(content).hexdigest()
        yield Page(f"atlas-{number}.webp", *block, sha256=digest, bytes=len(content)), content


def encode(picture: Pixels) -> bytes:
    """Give a picture, uint8 ``(height, width, 3)``, RGB, as the content of a WebP file; equal pictures, equal bytes."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)
    return file.getvalue()


def read_page(folder: Path, page: Page, tile_px: int) -> Pixels:
    """Read a page, uint8 ``(rows * tile_px, columns * tile_px, 3)``, RGB.

    Raises
    ------
    StoreError
        Where its file is missing, or is not what the manifest says.
    """
    path = folder / page.file
    way_out = "delete its folder and render the layer again"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror or error}); {way_out}") from error
    if len(content) != page.bytes or hashlib.sha256(content).hexdigest() != page.sha256:
        raise StoreError(f"{path} is damaged: its content is not what the manifest says; {way_out}")
    try:
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as picture:
            expected = (page.columns * tile_px, page.rows * tile_px)
            if picture.size != expected:
                raise StoreError(f"{path} measures {picture.size} px; expected {expected}; {way_out}")
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise StoreError(f"{path} is no WebP picture ({error}); {way_out}") from error


def check_tiles(tiles: Pixels, n: int) -> Pixels:
    """Check that `tiles` are `n` sprites: uint8 ``(n, tile_px, tile_px, 3)``.

    Raises
    ------
    ValueError
        Saying what was found and what was expected.
    """
    tiles = np.asarray(tiles)
    if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[0] != n or tiles.shape[3] != 3:
        raise ValueError(f"tiles are {tiles.dtype} {tiles.shape}; expected uint8 ({n}, tile_px, tile_px, 3)")
    if tiles.shape[1] != tiles.shape[2] or tiles.shape[1] == 0:
        raise ValueError(f"tiles of {tiles.shape[1]} x {tiles.shape[2]} px; expected squares")
    return tiles


def compose(tiles: Pixels, side: int, block: Block) -> Pixels:
    """Lay sprites out as a block of their grid, uint8 ``(rows * tile_px, columns * tile_px, 3)``; empty cells are grey.

    Parameters
    ----------
    tiles
        uint8 ``(n, tile_px, tile_px, 3)``, in the order of the cells.
    side
        Of the grid, in cells.
    """
    px = tiles.shape[1]
    picture = np.full((block.rows * px, block.columns * px, 3), NEUTRAL_GREY, np.uint8)
    for y in range(block.rows):
        for x in range(block.columns):
            channel = (block.first_row + y) * side + block.first_column + x
            if channel < len(tiles):
                picture[y * px : (y + 1) * px, x * px : (x + 1) * px] = tiles[channel]
    return picture
