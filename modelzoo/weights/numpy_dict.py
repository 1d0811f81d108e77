"""Arrays out of a pickled dict of NumPy arrays, without running anything the file says.

::

    >>> np.save("two.npy", {"conv1": [np.zeros((11, 11, 3, 96)), np.zeros(96)]})
    >>> arrays = read_numpy_dict("two.npy")
    >>> arrays["conv1.0"].shape, arrays["conv1.1"].shape
    ((11, 11, 3, 96), (96,))

Weights that were converted from Caffe to TensorFlow around 2016 travel as ``np.save`` of a dict: an array of one object,
which is a pickle, and loading a pickle runs what it says. ``np.load(..., allow_pickle=True)`` is that invitation. Here,
as in `state_pickle`, the file is split into opcodes and the few that dicts, lists, texts and numbers consist of are
played on a stack of plain values; the three functions of NumPy that such a file names are recognised, never called.

What a caller meets:

- Names are joined by dots where dicts and lists lie in each other: ``{"conv1": [kernel, bias]}`` gives ``conv1.0`` and
  ``conv1.1``. What is no array is left out.
- A bare pickle of such a dict is read as well as an ``.npy`` file, whatever its suffix.
- Arrays are copies in C order, dtypes as stored, in the byte order of this machine.
"""

from __future__ import annotations

import ast
import math
import mmap
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.pickle_stack import Stack

__all__ = ["read_numpy_dict"]

MAGIC = b"\x93NUMPY"
MOST_HEADER_BYTES = 64 * 1024
MOST_NESTED = 16
MOST_VALUES = 1_000_000
MOST_DIMENSIONS = 32
# A file may make arrays of one remembered run of bytes as often as it likes.
MOST_GROWTH = 4
MOST_GROWTH_BYTES = 256 * 1024 * 1024
NUMBERS = "biuf"


def read_numpy_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Read a dict of arrays.

    Parameters
    ----------
    path
        An ``.npy`` file of one pickled dict, or a pickle of one.

    Returns
    -------
    dict
        ``{name: array}`` in the file's order; see the module's notes on names.

    Raises
    ------
    WeightsError
        Where there is no such file, it is truncated, holds a single array or none, or anything but data: the message
        names the global or the instruction that was refused. Nothing of the file is ever executed.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"no file {path}; expected an .npy file with a dict of arrays")
    if not path.stat().st_size:
        raise WeightsError(f"{path}: empty (0 bytes)")
    # An mmap gives less where a length reaches past the end; a file would first allocate all of it.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        start = stream.read(8)
        if start[:6] == MAGIC:
            _skip_header(stream, start[6:], str(path))
        elif start[:1] == b"\x80":
            stream.seek(0)
        else:
            raise WeightsError(f"{path}: begins with {start!r}; expected an .npy file or a pickle of a dict of arrays")
        value = _read_pickle(stream, str(path))
    arrays = dict(_leaves(value, str(path)))
    if not arrays:
        raise WeightsError(f"{path}: holds no array")
    return arrays


def _skip_header(stream: mmap.mmap, version: bytes, origin: str) -> None:
    width = {1: 2, 2: 4, 3: 4}.get(version[0] if len(version) == 2 else 0)
    if width is None:
        raise WeightsError(f"{origin}: truncated, or an .npy file of an unknown version")
    length = int.from_bytes(stream.read(width), "little")
    header = stream.read(min(length, MOST_HEADER_BYTES))
    try:
        described = ast.literal_eval(header.decode("latin-1").strip())
        stored, shape = described["descr"], described["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError):
        raise WeightsError(f"{origin}: truncated or damaged: its header says neither dtype nor shape") from None
    if stored not in ("|O", "O") or shape != ():
        raise WeightsError(
            f"{origin}: holds one array without a name ({str(stored)[:50]}, {str(shape)[:50]}); expected a dict of arrays"
        )


@dataclass(frozen=True)
class _Named:
    """A global the file names: never the thing itself, only which of the known ones it is."""

    role: str


@dataclass
class _Dtype:
    code: str
    order: Literal["<", ">", "|", "="] = "="

    def known(self) -> np.dtype:
        if self.code == "O8" or self.code == "O":
            return np.dtype(object)
        if self.code[:1] not in NUMBERS or not self.code[1:].isdigit():
            raise ValueError(f"numbers of the kind {self.code[:20]!r}; expected one of {', '.join(NUMBERS)}")
        return np.dtype(self.code).newbyteorder(self.order)


@dataclass
class _Array:
    """An array of the file; empty until its state arrives."""

    value: Any = None


def _read_pickle(stream: mmap.mmap, origin: str) -> Any:
    machine = _Machine(origin, room=MOST_GROWTH * stream.size() + MOST_GROWTH_BYTES)
    try:
        for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.play(opcode.name, argument)
    except WeightsError:
        raise
    except (ValueError, IndexError, OverflowError, MemoryError, UnicodeError, TypeError) as error:
        raise WeightsError(f"{origin}: truncated, or no dict of arrays ({error})") from None
    raise WeightsError(f"{origin}: truncated: its pickle has no end")


class _Machine:
    def __init__(self, origin: str, *, room: int) -> None:
        self.origin = origin
        self.room = room
        self.stack = Stack()

    def play(self, name: str, argument: Any) -> None:
        if self.stack.plays(name, argument):
            return
        if name not in _ACTIONS:
            raise self.refused(f"the pickle instruction {name}")
        _ACTIONS[name](self, argument)

    def refused(self, what: str) -> WeightsError:
        return WeightsError(
            f"{self.origin}: refused at {what[:200]}: a dict of arrays holds numbers and names only, and this file asks "
            "for more (nothing of it was run)"
        )

    def name_global(self, module: Any, name: Any) -> None:
        role = _KNOWN.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if role is None:
            raise self.refused(f"the global {module}.{name}")
        self.stack.push(_Named(role))

    def name_from_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name_global(module, name)

    def reduce(self) -> None:
        arguments, named = self.stack.pop(), self.stack.pop()
        if not isinstance(named, _Named) or not isinstance(arguments, tuple):
            raise self.refused(f"a call of a {type(named).__name__}")
        if named.role == "array" and arguments[:1] == (_Named("ndarray"),):
            self.stack.push(_Array())
        elif named.role == "buffer" and len(arguments) == 4:
            content, dtype, shape, order = arguments
            self.stack.push(_Array(self.array(content, dtype, shape, is_fortran=order == "F")))
        elif named.role == "dtype" and arguments and isinstance(arguments[0], str):
            self.stack.push(_Dtype(arguments[0]))
        elif named.role == "scalar" and len(arguments) == 2:
            self.stack.push(self.array(arguments[1], arguments[0], ()).item())
        elif named.role == "encode" and len(arguments) == 2 and isinstance(arguments[0], str):
            # How Python 3 writes bytes for a reader of Python 2.
            self.stack.push(arguments[0].encode("latin-1"))
        else:
            raise self.refused(f"a call of the {named.role}")

    def build(self) -> None:
        state = self.stack.pop()
        if not isinstance(state, tuple):
            raise ValueError("a state that is no tuple")
        target = self.stack.top(_Dtype, _Array)
        if isinstance(target, _Dtype):
            if len(state) < 2 or state[1] not in ("<", ">", "|", "="):
                raise ValueError("a dtype without its byte order")
            target.order = state[1]
            return
        if len(state) != 5:
            raise ValueError("an array without shape, dtype and numbers")
        _, shape, dtype, is_fortran, content = state
        target.value = self.array(content, dtype, shape, is_fortran=bool(is_fortran))

    def array(self, content: Any, dtype: Any, shape: Any, *, is_fortran: bool = False) -> Any:
        if not isinstance(dtype, _Dtype):
            raise ValueError("an array without its dtype")
        if not isinstance(shape, tuple) or len(shape) > MOST_DIMENSIONS or not all(_is_count(n) for n in shape):
            raise ValueError("an array whose shape is no tuple of numbers")
        known = dtype.known()
        if known.hasobject:
            if not isinstance(content, list) or len(content) != math.prod(shape):
                raise ValueError("an array of objects without its objects")
            return content[0] if shape == () else content
        if isinstance(content, str):
            # Python 2 had one type for texts and bytes; its opcodes are read as latin-1, which loses nothing.
            content = content.encode("latin-1")
        if not isinstance(content, bytes | bytearray) or len(content) != math.prod(shape) * known.itemsize:
            held = (
                f"{len(content):,} bytes" if isinstance(content, bytes | bytearray) else f"a {type(content).__name__}"
            )
            raise ValueError(f"an array of shape {shape} and {known} holds {held}")
        self.room -= len(content)
        if self.room < 0:
            raise ValueError("arrays that take many times the bytes of the file")
        stored = np.ndarray(shape, known, content, order="F" if is_fortran else "C")
        return np.array(stored, dtype=known.newbyteorder("="), order="C")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _leaves(value: Any, origin: str) -> Iterator[tuple[str, np.ndarray]]:
    # A remembered dict may lie in itself, or in another many times over, so the walk is bounded in depth and length.
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    names: set[str] = set()
    seen = 0
    while waiting:
        path, item = waiting.pop()
        seen += 1
        if isinstance(item, _Array):
            item = item.value
        items: list[tuple[Any, Any]] = []
        if isinstance(item, np.ndarray):
            name = ".".join(path)
            if not name or name in names:
                found = "a single array" if not name else f"two arrays called {name[:200]!r}"
                raise WeightsError(f"{origin}: holds {found}; expected a dict of arrays")
            names.add(name)
            yield name, item
        elif isinstance(item, dict):
            items = list(item.items())
        elif isinstance(item, list | tuple):
            items = list(enumerate(item))
        if len(path) > MOST_NESTED or seen + len(waiting) + len(items) > MOST_VALUES:
            raise WeightsError(f"{origin}: refused: its dicts lie more than {MOST_NESTED} deep, or hold too much")
        waiting.extend(((*path, str(key)), inner) for key, inner in reversed(items))


_KNOWN = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    **{(f"numpy.{core}.multiarray", "_reconstruct"): "array" for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): "scalar" for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "buffer" for core in ("core", "_core")},
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": lambda machine, names: machine.name_global(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name_from_stack(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
}
