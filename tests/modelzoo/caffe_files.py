"""Caffe's trained networks, written byte by byte: so that a test can also write what Caffe would not."""

import struct

import numpy as np

LAYER, V1_LAYER = 100, 2
V1_TYPES = {"Convolution": 4, "InnerProduct": 14, "LRN": 15}


def varint(number: int) -> bytes:
    content = b""
    while True:
        number, low = number >> 7, number & 0x7F
        content += bytes([low | (0x80 if number else 0)])
        if not number:
            return content


def field(number: int, content: bytes | int) -> bytes:
    """One field of a message: a number as varint, anything else with its length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(array: np.ndarray) -> bytes:
    """A blob since 2014: its shape, and its numbers packed."""
    shape = field(7, field(1, b"".join(map(varint, array.shape))))
    number, dtype = (8, "<f8") if array.dtype == np.float64 else (5, "<f4")
    return shape + field(number, array.astype(dtype).tobytes())


def four_dimensional_blob(array: np.ndarray, *, packed: bool = True) -> bytes:
    """A blob before 2014: always four dimensions, and at first one number at a time."""
    sizes = (1,) * (4 - array.ndim) + array.shape
    shape = b"".join(field(i, size) for i, size in enumerate(sizes, 1))
    if packed:
        return shape + field(5, array.astype("<f4").tobytes())
    return shape + b"".join(varint(5 << 3 | 5) + struct.pack("<f", number) for number in array.ravel())


def layer(name: str, kind: str, *blobs: bytes) -> bytes:
    return field(LAYER, field(1, name.encode()) + field(2, kind.encode()) + b"".join(field(7, b) for b in blobs))


def v1_layer(name: str, kind: str, *blobs: bytes) -> bytes:
    inner = field(2, b"bottom") + field(4, name.encode()) + field(5, V1_TYPES[kind])
    return field(V1_LAYER, inner + b"".join(field(6, b) for b in blobs))


def v0_layer(name: str, kind: str, *blobs: bytes) -> bytes:
    inner = field(1, name.encode()) + field(2, kind.encode()) + b"".join(field(50, b) for b in blobs)
    return field(V1_LAYER, field(1, inner) + field(2, b"bottom"))


def network(arrays: dict[str, np.ndarray], name: str = "net") -> bytes:
    """A trained network of today: ``{"conv1.weight": kernel, "conv1.bias": bias, ...}``, a layer's blobs together."""
    layers: dict[str, list[np.ndarray]] = {}
    for key in sorted(arrays, key=lambda key: (key.rpartition(".")[0], key.endswith(".bias"))):
        layers.setdefault(key.rpartition(".")[0], []).append(arrays[key])
    parts = [
        layer(key, "Convolution" if blobs[0].ndim == 4 else "InnerProduct", *map(blob, blobs))
        for key, blobs in layers.items()
    ]
    return field(1, name.encode()) + b"".join(parts)
