"""Caffe's trained weights as NumPy arrays, without Caffe and without a protobuf library.

::

        arrays = read_caffemodel("bvlc_googlenet.caffemodel")
        arrays["conv1/7x7_s2.weight"].shape, arrays["conv1/7x7_s2.bias"].shape
        # ((64, 3, 7, 7), (64,))

A ``.caffemodel`` is one protobuf message, ``NetParameter``, with a message for each layer and in it one for each *blob*,
which is Caffe's word for an array. Only their numbers are wanted here, so the wire format is walked directly: a field is
a number, a type and, for what is nested, a length. A length may lie, so each is held against the message it stands in
before a byte is taken.

What a caller meets:

- A layer's first blob is called ``NAME.weight``, its second ``NAME.bias``, further ones ``NAME.2`` and so on; a batch
  normalisation has mean, variance and their factor there, in this order.
- Kernels keep Caffe's layout: ``(out, in, height, width)`` of convolutions, ``(out, in)`` of dense layers, whose inputs
  count channels first.
- Files before 2014 give every blob four dimensions; leading ones that carry nothing are dropped.
- All three generations are read: ``layer`` (since 2014), ``layers`` (V1), and ``layers`` around ``layer`` (V0).

The fields are those of ``caffe.proto`` (Jia et al., "Caffe: Convolutional Architecture for Fast Feature Embedding",
2014); the wire format is https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelzoo.weights.errors import WeightsError

__all__ = ["read_caffemodel"]

VARINT, FIXED64, NESTED, FIXED32 = 0, 1, 2, 5
MOST_DIMENSIONS = 32
MOST_LAYERS = 100_000
FIRST_BLOBS = ("weight", "bias")
CONVOLUTIONS = ("Convolution", "Deconvolution")
V1_CONVOLUTIONS = (4, 39)


@dataclass(frozen=True)
class _Generation:
    """Where one generation of layer messages keeps what is read here."""

    name: int
    kind: int
    blobs: int


LAYER, V1_LAYER, V0_LAYER = _Generation(1, 2, 7), _Generation(4, 5, 6), _Generation(1, 2, 50)
# NetParameter's fields for the two; a V0 layer lies in field 1 of a V1 layer.
NET_LAYER, NET_V1_LAYER, V1_NESTED = 100, 2, 1


class _DamagedError(ValueError):
    """What is wrong with a message, without the file's name."""


def read_caffemodel(path: str | Path) -> dict[str, np.ndarray]:
    """Read all blobs of a trained Caffe network.

    Parameters
    ----------
    path
        A ``.caffemodel`` file.

    Returns
    -------
    dict
        ``{name: float32 or float64 array}`` in the file's order; see the module's notes on names and shapes.

    Raises
    ------
    WeightsError
        Where there is no such file, it is truncated or damaged, is the text of a network without weights
        (``.prototxt``), or no layer in it has a blob.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"no file {path}; expected a .caffemodel file")
    if not path.stat().st_size:
        raise WeightsError(f"{path}: empty (0 bytes)")
    with path.open("rb") as file:
        # Never closed by hand: the error of a damaged file still holds views of it.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = mapped[:4096]
    if b"layer" in start and b"{" in start and _is_text(start):
        raise WeightsError(f"{path}: a network's description in text; its weights are in a .caffemodel file")
    try:
        arrays = _arrays(memoryview(mapped))
    except (_DamagedError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: truncated, damaged, or no .caffemodel file: {error}") from None
    if not arrays:
        raise WeightsError(f"{path}: holds no weights; expected the layers of a trained Caffe network")
    return arrays


def _is_text(start: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r" for byte in start)


def _arrays(net: memoryview) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for number, (field, wire, content) in enumerate(_fields(net)):
        if number > MOST_LAYERS:
            raise _DamagedError(f"more than {MOST_LAYERS:,} layers")
        if wire != NESTED or field not in (NET_LAYER, NET_V1_LAYER):
            continue
        generation = LAYER if field == NET_LAYER else V1_LAYER
        if generation is V1_LAYER:
            older = [
                inner for inner_field, kind, inner in _fields(content) if (inner_field, kind) == (V1_NESTED, NESTED)
            ]
            if older:
                content, generation = older[0], V0_LAYER
        for name, array in _blobs(content, generation):
            if name in arrays:
                raise _DamagedError(f"two blobs are called {name[:200]!r}")
            arrays[name] = array
    return arrays


def _blobs(layer: memoryview, generation: _Generation) -> Iterator[tuple[str, np.ndarray]]:
    name, convolves = "", False
    blobs = []
    for field, wire, content in _fields(layer):
        if field == generation.name and wire == NESTED:
            name = bytes(content).decode("utf-8")
        elif field == generation.kind and wire == NESTED:
            convolves = bytes(content).decode("utf-8").title() in CONVOLUTIONS or bytes(content) == b"conv"
        elif field == generation.kind and wire == VARINT:
            convolves = _varint(content, 0)[0] in V1_CONVOLUTIONS
        elif field == generation.blobs and wire == NESTED:
            blobs.append(content)
    for place, blob in enumerate(blobs):
        ending = FIRST_BLOBS[place] if place < len(FIRST_BLOBS) else str(place)
        try:
            array = _blob(blob, keep_four=convolves and place == 0)
        except _DamagedError as error:
            raise _DamagedError(f"{error} (blob {place} of the layer {name[:200]!r})") from None
        yield f"{name}.{ending}", array


def _blob(blob: memoryview, *, keep_four: bool) -> np.ndarray:
    legacy = [0, 0, 0, 0]
    shape: tuple[int, ...] | None = None
    numbers: dict[str, list[memoryview]] = {"<f4": [], "<f8": []}
    for field, wire, content in _fields(blob):
        if 1 <= field <= 4 and wire == VARINT:
            legacy[field - 1] = _varint(content, 0)[0]
        elif field == 7 and wire == NESTED:
            shape = _shape(content)
        # Packed, or one number at a time as the oldest files have it.
        elif field == 5 and wire in (NESTED, FIXED32):
            numbers["<f4"].append(content)
        elif field == 8 and wire in (NESTED, FIXED64):
            numbers["<f8"].append(content)
    dtype = "<f8" if numbers["<f8"] else "<f4"
    together = b"".join(numbers[dtype])
    if shape is None:
        shape = tuple(legacy)
        while not keep_four and len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]
    held, size = len(together), np.dtype(dtype).itemsize
    if held != math.prod(shape) * size:
        raise _DamagedError(f"{held:,} bytes of numbers for the shape {shape}, which needs {math.prod(shape) * size:,}")
    return np.frombuffer(together, dtype).reshape(shape).astype(dtype[1:], copy=True)


def _shape(message: memoryview) -> tuple[int, ...]:
    sizes: list[int] = []
    for field, wire, content in _fields(message):
        if field != 1 or wire not in (VARINT, NESTED):
            continue
        position = 0
        while position < len(content):
            size, position = _varint(content, position)
            sizes.append(size)
    if len(sizes) > MOST_DIMENSIONS or any(size >= 2**40 for size in sizes):
        raise _DamagedError(f"a shape of {len(sizes)} dimensions, or of an absurd size")
    return tuple(sizes)


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Walk the fields of one message: number, wire type, and the bytes of the value."""
    position = 0
    while position < len(message):
        begin = position
        key, position = _varint(message, position)
        field, wire = key >> 3, key & 7
        if wire == VARINT:
            stop = _varint(message, position)[1]
        elif wire == NESTED:
            length, position = _varint(message, position)
            stop = position + length
        elif wire in (FIXED32, FIXED64):
            stop = position + (4 if wire == FIXED32 else 8)
        else:
            raise _DamagedError(f"a field of wire type {wire} at byte {begin:,} of a message")
        if field == 0 or stop > len(message):
            raise _DamagedError(
                f"field {field} at byte {begin:,} of a message ends at byte {stop:,}, the message at {len(message):,}"
            )
        yield field, wire, message[position:stop]
        position = stop


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if position + place >= len(message):
            raise _DamagedError(f"a number at byte {position:,} has no end")
        byte = message[position + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, position + place + 1
    raise _DamagedError(f"a number at byte {position:,} has more than ten bytes")
