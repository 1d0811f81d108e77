"""Named arrays from a ``.safetensors`` file.

::

        arrays = read_safetensors(Path("bvlc_googlenet.safetensors"))
        arrays["conv1/7x7_s2.weight"].shape
        # (64, 3, 7, 7)

The format is a length (8 bytes, little-endian), a JSON header of that length, and the numbers. It cannot carry code,
but a header can lie: about its own length, about where an array ends, about two arrays in one place. So every claim is
checked against the file's size before a byte is taken, and together the arrays must fill the file without a gap, as the
format's own description asks.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from modelzoo.weights.errors import WeightsError

__all__ = ["read_safetensors", "widened_bfloat16"]

MOST_HEADER_BYTES = 100_000_000
MOST_DIMENSIONS = 32
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a file, in the order of the numbers in it.

    Parameters
    ----------
    path
        A ``.safetensors`` file.

    Returns
    -------
    dict
        ``{name: array}``; arrays as stored, bfloat16 as float32 (exactly the same numbers).

    Raises
    ------
    WeightsError
        Where the file is truncated, its header is no header, or an array's place does not fit its shape, its
        neighbours or the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise WeightsError(f"{path}: truncated: {size} bytes, and a .safetensors file has at least 10")
        length = int.from_bytes(start, "little")
        if not 2 <= length <= min(size - 8, MOST_HEADER_BYTES):
            raise WeightsError(
                f"{path}: truncated, or no .safetensors file: its header should have {length:,} bytes, "
                f"the whole file has {size:,}"
            )
        places = _places(_header(file.read(length), path), size - 8 - length, path)
        return {name: _array(file.read(stop - begin), code, shape) for name, code, shape, begin, stop in places}


def widened_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Give bfloat16 numbers, stored as uint16 of any shape, as float32: their upper half, so no number changes."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _header(content: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name stands twice")
        return found

    try:
        header = json.loads(content.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: no .safetensors file: its header is no JSON ({error})") from None
    if not isinstance(header, dict):
        raise WeightsError(f"{path}: no .safetensors file: its header is a {type(header).__name__}, not an object")
    header.pop("__metadata__", None)
    return header


def _places(header: dict[str, Any], held: int, path: Path) -> list[tuple[str, str, tuple[int, ...], int, int]]:
    places = []
    for name, entry in header.items():
        where = f"{path}: the array {name[:200]!r}"
        if not isinstance(entry, dict) or {"dtype", "shape", "data_offsets"} - entry.keys():
            raise WeightsError(f"{where} is not described by dtype, shape and data_offsets")
        code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(code, str) or code not in DTYPES:
            raise WeightsError(f"{where} has dtype {str(code)[:50]!r}; expected one of {', '.join(DTYPES)}")
        if not _counts(shape) or len(shape) > MOST_DIMENSIONS or not _counts(offsets) or len(offsets) != 2:
            raise WeightsError(f"{where} has a shape or data_offsets that are no lists of numbers")
        begin, stop = offsets
        if math.prod(n or 1 for n in shape) > 2**59:
            raise WeightsError(f"{where} has an absurd size")
        needed = math.prod(shape) * np.dtype(DTYPES[code]).itemsize
        if not begin <= stop <= held:
            raise WeightsError(
                f"{where} lies at bytes {begin:,} to {stop:,} of {held:,}: the file is truncated or damaged"
            )
        if stop - begin != needed:
            raise WeightsError(
                f"{where} has {stop - begin:,} bytes; its shape {tuple(shape)} of {code} needs {needed:,}"
            )
        places.append((name, code, tuple(shape), begin, stop))
    places.sort(key=lambda place: place[3:])
    end = 0
    for name, _, _, begin, stop in places:
        if begin != end:
            raise WeightsError(f"{path}: the array {name[:200]!r} begins at byte {begin:,}; expected {end:,}")
        end = stop
    if end != held:
        raise WeightsError(f"{path}: its arrays end at byte {end:,}, the file at {held:,}; it is damaged")
    return places


def _counts(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(n) is int and 0 <= n < 2**63 for n in numbers)


def _array(content: bytes, code: str, shape: tuple[int, ...]) -> np.ndarray:
    array = np.frombuffer(content, DTYPES[code]).reshape(shape).copy()
    return widened_bfloat16(array) if code == "BF16" else array
