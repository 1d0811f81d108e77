"""Files in PyTorch's formats, written by hand: opcode by opcode, so that a test can also write what PyTorch would not."""

import io
import json
import pickle
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
PROTOCOL = pickle.dumps(1001, protocol=2)
STORAGE_TYPES = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte", "b1": "Bool"}


@dataclass(frozen=True)
class Global:
    module: str
    name: str


@dataclass(frozen=True)
class Call:
    function: Any
    arguments: tuple


@dataclass(frozen=True)
class Stored:
    identity: tuple


ORDERED_DICT = Global("collections", "OrderedDict")
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")


def opcodes(value: Any) -> bytes:
    """What pushes a value onto a pickle's stack."""
    if isinstance(value, Global):
        return b"c" + f"{value.module}\n{value.name}\n".encode()
    if isinstance(value, Call):
        return opcodes(value.function) + opcodes(value.arguments) + b"R"
    if isinstance(value, Stored):
        return opcodes(value.identity) + b"Q"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(opcodes, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(opcodes, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(opcodes(k) + opcodes(v) for k, v in value.items()) + b"u"
    return pickle.dumps(value, protocol=2)[2:-1]


def pickled(value: Any) -> bytes:
    return b"\x80\x02" + opcodes(value) + b"."


def tensor(key: str, kind: str, numel: int, shape: tuple, strides: tuple, *, offset: int = 0, part: Any = None) -> Call:
    storage = Stored(("storage", Global("torch", f"{kind}Storage"), key, "cpu", numel, part))
    return Call(REBUILD, (storage, offset, shape, strides, False, Call(ORDERED_DICT, ())))


def of_array(key: str, array: np.ndarray) -> Call:
    kind = STORAGE_TYPES[array.dtype.str[1:]]
    strides = tuple(stride // array.itemsize for stride in array.strides)
    return tensor(key, kind, array.size, array.shape, strides)


def legacy(value: bytes, storages: dict[str, np.ndarray], *, system: Any = None, keys: list | None = None) -> bytes:
    """A file as PyTorch wrote it up to 1.5, around an already pickled value."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}} if system is None else system
    content = MAGIC + PROTOCOL + pickled(system) + value + pickled(list(storages) if keys is None else keys)
    return content + b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())


def zipped(
    value: bytes, storages: dict[str, np.ndarray], *, compress: int = zipfile.ZIP_STORED, **more: bytes
) -> bytes:
    """A file as PyTorch writes it since 1.6, around an already pickled value."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compress) as archive:
        archive.writestr("archive/data.pkl", value)
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        for name, content in more.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def safetensors(header: Any, content: bytes, *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content
