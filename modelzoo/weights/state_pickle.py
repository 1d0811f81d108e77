"""The pickle inside a PyTorch file, read as data.

::

        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
            value, storages = read_pickle(stream, origin="model.pth")

A pickle is a program: Python's own reader calls whatever function the file names. Restricting the names is not enough
for a file from a stranger, for the reader still builds what the file describes: a memo index of four billion allocates
its table, a tuple nested a million times and used as a key overruns the stack. Here nothing is called at all. The
standard library splits the file into opcodes (``pickletools.genops``), and this module plays the few of them that a
state dict consists of, on a stack of plain values.

The two words of this module: a `Storage` is a run of numbers that lies elsewhere in the file, and a `View` is a
tensor: a shape and strides over a storage. Both are descriptions, checked and bounded; who calls `read_pickle` fetches
the numbers. All other values are None, bool, int, float, str, bytes, tuple, list and dict. An ``OrderedDict`` is a dict
(what PyTorch hangs on it, the ``_metadata`` of modules, is left out), and a parameter becomes its tensor. A TorchScript
file holds a tree of modules in place of a dict; each becomes a dict of its attributes, its class and its code unread.
"""

from __future__ import annotations

import math
import mmap
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.pickle_stack import LARGEST, Stack

__all__ = ["DTYPES", "Storage", "View", "read_pickle"]

MOST_BYTES = 32 * 1024 * 1024
MOST_DIMENSIONS = 32
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C

# "bfloat16" stands for itself: NumPy has no such dtype, and who fetches the numbers widens them.
DTYPES = {
    "Float": "<f4",
    "Double": "<f8",
    "Half": "<f2",
    "BFloat16": "bfloat16",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "|i1",
    "Byte": "|u1",
    "Bool": "|b1",
    "ComplexFloat": "<c8",
    "ComplexDouble": "<c16",
}
TYPED_LISTS = ("build_boollist", "build_doublelist", "build_intlist", "build_tensorlist")
UNTYPED = "|V1"
DTYPE_NAMES = {
    "float32": "<f4",
    "float": "<f4",
    "float64": "<f8",
    "double": "<f8",
    "float16": "<f2",
    "half": "<f2",
    "bfloat16": "bfloat16",
    "int64": "<i8",
    "long": "<i8",
    "int32": "<i4",
    "int": "<i4",
    "int16": "<i2",
    "short": "<i2",
    "int8": "|i1",
    "uint8": "|u1",
    "bool": "|b1",
    "complex64": "<c8",
    "complex128": "<c16",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
}


@dataclass(frozen=True)
class Storage:
    """A run of numbers that lies elsewhere in the file.

    Attributes
    ----------
    key
        Its name in the file.
    dtype
        NumPy's name of its numbers, ``"bfloat16"``, or ``"|V1"`` for bytes without a type.
    numel
        How many numbers the whole run has.
    start, stop
        The part of it that is meant.
    """

    key: str
    dtype: str
    numel: int
    start: int
    stop: int


@dataclass(frozen=True)
class View:
    """A tensor: `shape` over a storage, beginning `offset` numbers into it, with `strides` in numbers."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes the tensor takes once its numbers are laid out without gaps."""
        return math.prod(self.shape) * item_size(self.dtype)


@dataclass(frozen=True)
class _Named:
    """A global the file names: never the thing itself, only which of the known ones it is."""

    role: str
    dtype: str = ""


class _Module(dict[str, Any]):
    """The attributes of a TorchScript module."""


def item_size(dtype: str) -> int:
    """Bytes of one number."""
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def read_pickle(stream: IO[bytes] | mmap.mmap, *, origin: str) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle as data; the stream stands behind it afterwards.

    Parameters
    ----------
    stream
        Bounded binary stream (``io.BytesIO`` or an ``mmap``): a read past its end gives less, it allocates nothing.
    origin
        The file's name, for the errors.

    Returns
    -------
    value, storages
        What the pickle holds, and every storage it names, by key (of a part of one: the whole run).

    Raises
    ------
    WeightsError
        Where the pickle is truncated or malformed, holds an opcode or a global that no state dict needs (the message
        names it), or describes tensors that cannot be.
    """
    machine = _Machine(origin)
    begin = stream.tell()
    try:
        for opcode, argument, position in pickletools.genops(stream):  # type: ignore[arg-type]
            if (position or 0) - begin > MOST_BYTES:
                raise WeightsError(f"{origin}: its pickle is longer than {MOST_BYTES:,} bytes; refused")
            if opcode.name == "STOP":
                return machine.stack.pop(), machine.storages
            machine.play(opcode.name, argument)
    except WeightsError:
        raise
    except (ValueError, IndexError, OverflowError, MemoryError, UnicodeError, TypeError) as error:
        raise WeightsError(f"{origin}: truncated, or not a PyTorch state dict ({error})") from None
    raise WeightsError(f"{origin}: truncated: its pickle has no end")


class _Machine:
    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.stack = Stack(also=(MAGIC_NUMBER,))
        self.storages: dict[str, Storage] = {}

    def play(self, name: str, argument: Any) -> None:
        if self.stack.plays(name, argument):
            return
        if name not in _ACTIONS:
            raise self.refused(f"the pickle instruction {name}")
        _ACTIONS[name](self, argument)

    def refused(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self.origin}: refused at {what[:200]}: a state dict holds tensors only, and this file tries to call "
            "code (nothing of it was run). If you trust it, load it with PyTorch and store model.state_dict() instead"
        )

    def name_global(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a global without a name")
        named = _known_global(module, name)
        if named is None and module == "torch" and name.startswith(("float", "q", "Q", "complex", "bits")):
            raise WeightsError(f"{self.origin}: holds numbers of the kind torch.{name[:50]}, which are not read")
        if named is None:
            raise self.refused(f"the global {module}.{name}")
        self.stack.push(named)

    def name_from_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name_global(module, name)

    def reduce(self) -> None:
        arguments, named = self.stack.pop(), self.stack.pop()
        if not isinstance(named, _Named) or not isinstance(arguments, tuple):
            raise self.refused(f"a call of a {type(named).__name__}")
        if named.role == "OrderedDict":
            self.stack.push({})
            if arguments:
                pairs = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else None
                if pairs is None or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
                    raise ValueError("an OrderedDict of something else than pairs")
                self.stack.set_items([item for pair in pairs for item in pair])
        elif named.role == "list":
            if len(arguments) != 1 or not isinstance(arguments[0], list):
                raise ValueError("a list without its items")
            self.stack.push(arguments[0])
        elif named.role in ("tensor", "typed tensor"):
            self.stack.push(_view(arguments, typed=named.role == "typed tensor"))
        elif named.role == "parameter":
            if not arguments or not isinstance(arguments[0], View):
                raise ValueError("a parameter without its tensor")
            self.stack.push(arguments[0])
        else:
            raise self.refused(f"a call of the {named.role}")

    def instance(self) -> None:
        arguments, named = self.stack.pop(), self.stack.pop()
        if not isinstance(named, _Named) or named.role != "module" or arguments != ():
            raise self.refused(f"an instance of a {named.role if isinstance(named, _Named) else type(named).__name__}")
        self.stack.push(_Module())

    def build(self) -> None:
        state = self.stack.pop()
        # The state of an OrderedDict is its attributes: PyTorch's _metadata, which says nothing about numbers.
        if isinstance(self.stack.top(dict), _Module):
            if not isinstance(state, dict):
                raise ValueError("a module whose attributes are no dict")
            self.stack.set_items([item for pair in state.items() for item in pair])

    def persistent(self) -> None:
        storage = _storage(self.stack.pop())
        whole = replace(storage, start=0, stop=storage.numel)
        if self.storages.setdefault(storage.key, whole) != whole:
            raise ValueError(f"storage {storage.key[:50]!r} is described in two ways")
        self.stack.push(storage)


def _known_global(module: str, name: str) -> _Named | None:
    if (module, name) == ("collections", "OrderedDict"):
        return _Named("OrderedDict")
    if module.partition(".")[0] == "__torch__":
        return _Named("module")
    if module == "torch.jit._pickle" and name in TYPED_LISTS:
        return _Named("list")
    if module == "torch._utils":
        roles = {
            "_rebuild_tensor_v2": "tensor",
            "_rebuild_tensor_v3": "typed tensor",
            "_rebuild_parameter": "parameter",
        }
        return _Named(roles[name]) if name in roles else None
    if module == "torch.storage" and name in ("UntypedStorage", "TypedStorage", "_UntypedStorage", "_TypedStorage"):
        return _Named("storage type", UNTYPED)
    if module in ("torch", "torch.cuda") and name.removesuffix("Storage") in DTYPES and name.endswith("Storage"):
        return _Named("storage type", DTYPES[name.removesuffix("Storage")])
    if module == "torch" and name in DTYPE_NAMES:
        return _Named("dtype", DTYPE_NAMES[name])
    return None


def _storage(identity: Any) -> Storage:
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise ValueError("a persistent id that is no storage")
    _, named, key, _, numel = identity[:5]
    if not isinstance(named, _Named) or named.role != "storage type":
        raise ValueError("a storage without its type")
    if not isinstance(key, str) or not _is_count(numel):
        raise ValueError("a storage whose key is no name, or whose size is no number")
    start, stop = 0, numel
    if len(identity) == 6 and identity[5] is not None:
        view = identity[5]
        if not isinstance(view, tuple) or len(view) != 3 or not (_is_count(view[1]) and _is_count(view[2])):
            raise ValueError("a part of a storage that is not described as (name, offset, size)")
        start, stop = view[1], view[1] + view[2]
        if stop > numel:
            raise ValueError(f"the part {start} to {stop} of a storage of {numel} numbers")
    return Storage(key, named.dtype, numel, start, stop)


def _view(arguments: tuple[Any, ...], *, typed: bool) -> View:
    if len(arguments) < (7 if typed else 4) or not isinstance(arguments[0], Storage):
        raise ValueError("a tensor without its storage")
    storage, offset, shape, strides = arguments[:4]
    dtype = storage.dtype
    if typed:
        if not isinstance(arguments[6], _Named) or arguments[6].role != "dtype":
            raise ValueError("a tensor without its dtype")
        dtype = arguments[6].dtype
    elif dtype == UNTYPED:
        raise ValueError("a tensor over a storage without a type")
    for numbers in (shape, strides):
        if not isinstance(numbers, tuple) or len(numbers) > MOST_DIMENSIONS or not all(map(_is_count, numbers)):
            raise ValueError("a tensor whose shape or strides are no numbers")
    if math.prod(n or 1 for n in shape) > LARGEST // 16:
        raise ValueError("a tensor of an absurd size")
    if not _is_count(offset) or len(shape) != len(strides):
        raise ValueError("a tensor whose shape and strides differ in length, or whose offset is no number")
    held = (storage.stop - storage.start) * item_size(storage.dtype) // item_size(dtype)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if math.prod(shape) and last >= held:
        raise ValueError(f"a tensor of shape {shape} reaches number {last} of a storage of {held}")
    return View(storage, dtype, offset, shape, strides)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": lambda machine, names: machine.name_global(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name_from_stack(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "NEWOBJ": lambda machine, _: machine.instance(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.persistent(),
}
