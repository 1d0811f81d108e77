"""Volumes as files that outside viewers open: NIfTI-1 and MetaImage.

    >>> values = net.activations("cat.jpg", "block9_add")[0]
    >>> size = Path("maps.nii.gz").write_bytes(nifti_bytes(values, name="block9_add"))  # ITK-SNAP, Fiji ...
    >>> write_metaimage(Path("maps.mhd"), values)                           # and maps.raw beside it
    PosixPath('maps.mhd')

A NIfTI file of one volume is a header of 348 bytes at fixed places, four more, and the numbers; a MetaImage is a dozen
lines of text and the numbers. Both are written here, so that exporting needs no further package; the tests read them
back with nibabel.

Values ``(rows, columns, depth)`` are stored with columns running fastest, then rows, then depth. Viewers show a slice as
one looks at a patient from the feet, the left side to the right and the back below: columns run to the left side and rows
to the back, so a photo's maps appear as the photo does. Every cell is 1 mm wide: formats of medicine know no other unit.

NIfTI-1: Cox et al., "A (Sort of) New Image Data Format Standard: NIfTI-1" (Human Brain Mapping 2004), and its ``nifti1.h``.
MetaImage: the documentation of ITK's MetaIO library.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

__all__ = ["nifti_bytes", "write_metaimage"]

HEADER_BYTES = 348
DATA_AT = 352
MOST_CELLS = 32767
_CODES = {"f4": (16, "MET_FLOAT"), "u1": (2, "MET_UCHAR")}
_MILLIMETRES = 2
_ALIGNED = 2


def nifti_bytes(values: np.ndarray, *, name: str = "", upward: bool = False) -> bytes:
    """Give a volume as the bytes of a ``.nii`` file.

    Parameters
    ----------
    values
        ``(rows, columns, depth)``, float32 or uint8; anything else becomes float32.
    name
        What the volume is of; the header holds 79 characters of ASCII.
    upward
        Whether row 0 lies at the bottom, as the lowest frequency does; else at the top.

    Raises
    ------
    ValueError
        For another number of axes, and for one longer than the 32,767 cells that the header can say.
    """
    values = _plain(values)
    rows, columns, depth = values.shape
    if max(values.shape) > MOST_CELLS:
        raise ValueError(
            f"an axis has {max(values.shape):,} cells; NIfTI-1 holds {MOST_CELLS:,}, MetaImage (.mhd) more"
        )
    header = bytearray(HEADER_BYTES)

    def put(at: int, form: str, *numbers: float | bytes) -> None:
        struct.pack_into(f"<{form}", header, at, *numbers)

    put(0, "i", HEADER_BYTES)
    put(40, "8h", 3, columns, rows, depth, 1, 1, 1, 1)
    put(70, "2h", _CODES[_code(values)][0], 8 * values.itemsize)
    put(76, "8f", 1, 1, 1, 1, 1, 1, 1, 1)
    put(108, "3f", DATA_AT, 1, 0)
    put(123, "B", _MILLIMETRES)
    put(124, "2f", float(values.max(initial=0)), float(values.min(initial=0)))
    put(148, "80s", name.encode("ascii", "replace")[:79])
    put(254, "h", _ALIGNED)
    # NIfTI counts to the right and to the front, so both axes run backwards.
    put(280, "4f", -1, 0, 0, 0)
    put(296, "4f", 0, 1 if upward else -1, 0, 1 - rows if upward else 0)
    put(312, "4f", 0, 0, 1, 0)
    put(344, "4s", b"n+1\0")
    return bytes(header) + bytes(DATA_AT - HEADER_BYTES) + _stored(values)


def write_metaimage(path: Path, values: np.ndarray, *, upward: bool = False) -> Path:
    """Write a volume as ``.mhd``, and its numbers as ``.raw`` beside it; give the path of the first.

    Parameters
    ----------
    path
        Where to; ends in ``.mhd``.
    values, upward
        As of `nifti_bytes`.

    Raises
    ------
    ValueError
        For another number of axes.
    """
    values = _plain(values)
    rows, columns, depth = values.shape
    raw = path.with_suffix(".raw")
    turned = -1 if upward else 1
    lines = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": False,
        "TransformMatrix": f"1 0 0 0 {turned} 0 0 0 1",
        "Offset": f"0 {rows - 1 if upward else 0} 0",
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": "1 1 1",
        "DimSize": f"{columns} {rows} {depth}",
        "ElementType": _CODES[_code(values)][1],
        "ElementDataFile": raw.name,
    }
    raw.write_bytes(_stored(values))
    path.write_text("".join(f"{name} = {value}\n" for name, value in lines.items()), encoding="utf-8")
    return path


def _plain(values: np.ndarray) -> np.ndarray:
    if values.ndim != 3:
        raise ValueError(f"a volume has three axes, found the shape {values.shape}")
    return values if _code(values) in _CODES else values.astype(np.float32)


def _code(values: np.ndarray) -> str:
    return f"{values.dtype.kind}{values.dtype.itemsize}"


def _stored(values: np.ndarray) -> bytes:
    ordered = np.ascontiguousarray(values.transpose(2, 0, 1), values.dtype.newbyteorder("<"))
    return ordered.tobytes()
