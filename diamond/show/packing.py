"""Numbers and sprites, made small enough for a page to carry.

    >>> pack(np.array([[3, 1], [2, 5]], np.uint16))
    {'type': 'Uint16Array', 'data': 'AwABAAIABQA='}

28 x 28 cells with ten channels each are 284 kB as JSON and 34 kB as the bytes they are; a notebook lets a page of
about a megabyte through. So numbers are *packed*: as base64 of a typed array, little-endian, which a script reads with
``new Uint16Array(...)``; measured ones as whole multiples of a step; and sprites are *gathered* into one picture, each
once, smaller where they are many.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["Sheet", "gather", "pack", "pack_measured", "pack_shades"]

_ARRAYS = {
    "u1": "Uint8Array",
    "u2": "Uint16Array",
    "u4": "Uint32Array",
    "i2": "Int16Array",
    "i4": "Int32Array",
    "f4": "Float32Array",
}
SIDES_PX = (96, 80, 64, 56, 48, 40)
SHEET_BYTES = 440_000
QUALITY = 82


@dataclass(frozen=True)
class Sheet:
    """Sprites in one picture, row by row.

    Attributes
    ----------
    uri
        The picture as a data URI, WebP.
    columns, rows
        How the sprites lie in it.
    tile_px
        Side of one.
    """

    uri: str
    columns: int
    rows: int
    tile_px: int


def pack(array: np.ndarray) -> dict[str, Any]:
    """Give an array as what a script can read: the name of its typed array, and its bytes in base64.

    Parameters
    ----------
    array
        uint8, uint16, uint32, int16, int32 or float32, of any shape; packed in C order.

    Raises
    ------
    TypeError
        For another type.
    """
    code = f"{array.dtype.kind}{array.dtype.itemsize}"
    if code not in _ARRAYS:
        raise TypeError(f"cannot pack {array.dtype}; expected one of {', '.join(np.dtype(c).name for c in _ARRAYS)}")
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {"type": _ARRAYS[code], "data": base64.b64encode(plain.tobytes()).decode("ascii")}


def pack_measured(values: np.ndarray) -> dict[str, Any]:
    """Give numbers of either sign as int16 multiples of a step, half a 32,767th of the largest off at most.

    Parameters
    ----------
    values
        Any finite numbers, of any shape.

    Returns
    -------
    dict
        As of `pack`, with ``step``: what one is worth.
    """
    most = float(np.abs(values).max(initial=0.0))
    step = most / 32767 if most > 0 else 1.0
    return pack(np.rint(np.asarray(values, np.float64) / step).astype(np.int16)) | {"step": step}


def pack_shades(shades: np.ndarray, bits: int) -> dict[str, Any]:
    """Give numbers from 0 to 1 as shades of 8 or of 4 bits; of 4 bits two lie in a byte, the first in the lower half.

    Parameters
    ----------
    shades
        From 0 to 1, of any shape.
    bits
        8 or 4.

    Returns
    -------
    dict
        As of `pack`, with ``bits``.

    Raises
    ------
    ValueError
        For another number of bits.
    """
    if bits not in (4, 8):
        raise ValueError(f"{bits} bits; expected 8 or 4")
    levels = np.rint(np.clip(shades, 0, 1).ravel() * (2**bits - 1)).astype(np.uint8)
    if bits == 4:
        pairs = np.append(levels, np.zeros(len(levels) % 2, np.uint8)).reshape(-1, 2)
        levels = pairs[:, 0] | pairs[:, 1] << 4
    return pack(levels) | {"bits": bits}


def gather(tiles: Sequence[np.ndarray] | np.ndarray, *, most_bytes: int = SHEET_BYTES) -> Sheet:
    """Lay sprites out in one picture, as large as they are, or smaller until the picture is small enough.

    Parameters
    ----------
    tiles
        uint8 ``(size, size, 3)``, RGB, each, all of one size; at least one.
    most_bytes
        What the WebP file may have. The smallest side tried is 40 px, whatever it takes then.

    Raises
    ------
    ValueError
        Where there are none.
    """
    if not len(tiles):
        raise ValueError("no sprites; give one or more")
    own = tiles[0].shape[0]
    columns = math.isqrt(len(tiles) - 1) + 1
    rows = -(-len(tiles) // columns)
    content, side = b"", own
    for side in (min(own, SIDES_PX[0]), *(px for px in SIDES_PX[1:] if px < own)):
        content = _encoded(tiles, columns, rows, side)
        if len(content) <= most_bytes:
            break
    uri = "data:image/webp;base64," + base64.b64encode(content).decode("ascii")
    return Sheet(uri, columns, rows, side)


def _encoded(tiles: Sequence[np.ndarray] | np.ndarray, columns: int, rows: int, side: int) -> bytes:
    picture = Image.new("RGB", (columns * side, rows * side), (128, 128, 128))
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        drawn = Image.fromarray(tile)
        if drawn.size != (side, side):
            drawn = drawn.resize((side, side), Image.Resampling.LANCZOS)
        picture.paste(drawn, (column * side, row * side))
    file = io.BytesIO()
    picture.save(file, "webp", quality=QUALITY, method=4)
    return file.getvalue()
