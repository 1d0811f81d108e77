"""The part of a pickle that is plain data: a stack of values, marks in it, and a memo.

A pickle is a program for a small machine, and loading one runs whatever function it names. The readers here
(`state_pickle`, `numpy_dict`) play it themselves, opcode by opcode. What both need is this stack; what a file may name
and what becomes of it, each decides for itself::

    >>> stack = Stack()
    >>> [stack.plays(name, argument) for name, argument in (("EMPTY_DICT", None), ("BININT1", 7), ("GLOBAL", "os system"))]
    [True, True, False]

Nothing here imports, calls or makes an instance of anything. What a short file can make by pointing at its memo again
and again is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

__all__ = ["LARGEST", "LONGEST_NAME", "MOST_ENTRIES", "Stack"]

MOST_INSTRUCTIONS = 8_000_000
MOST_ENTRIES = 4_000_000
LONGEST_NAME = 1000
LARGEST = 2**63 - 1


class _Mark:
    """Where the arguments of a later opcode begin."""


class Stack:
    """The values of a pickle while it is played.

    Parameters
    ----------
    also
        Numbers that are taken although they have more than 64 bits.
    """

    def __init__(self, *, also: Collection[int] = ()) -> None:
        self._also = also
        self._values: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._played = 0
        self._entries = 0

    def plays(self, name: str, argument: Any) -> bool:
        """Play one opcode where it is one of plain data; False, and nothing is done, where it is not.

        Raises
        ------
        ValueError
            Where the opcode does not fit what lies on the stack, or the pickle is beyond all measure.
        """
        self._played += 1
        if self._played > MOST_INSTRUCTIONS:
            raise ValueError(f"more than {MOST_INSTRUCTIONS:,} instructions")
        if name in _PUSHED:
            if isinstance(argument, int) and not -LARGEST - 1 <= argument <= LARGEST and argument not in self._also:
                raise ValueError(f"a number of {argument.bit_length()} bits")
            self.push(argument)
        elif name in _CONSTANTS:
            self.push(_CONSTANTS[name])
        elif name in _MADE:
            self.push(_MADE[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        else:
            return name in ("PROTO", "FRAME")
        return True

    def push(self, value: Any) -> None:
        """Lay a value on the stack."""
        self._values.append(value)

    def pop(self) -> Any:
        """Take the topmost value; a mark is none."""
        if not self._values or isinstance(self._values[-1], _Mark):
            raise ValueError("an instruction without its argument")
        return self._values.pop()

    def top(self, *kinds: type) -> Any:
        """Give the topmost value, which must be of one of these kinds."""
        if not self._values or not isinstance(self._values[-1], kinds):
            raise ValueError(f"no {kinds[-1].__name__.strip('_').lower()} where one is filled")
        return self._values[-1]

    def set_items(self, items: list[Any]) -> None:
        """Put keys and values, one after the other, into the dict on top."""
        if len(items) % 2:
            raise ValueError("a key without its value")
        # A short file can fill many dicts from one remembered list, so what it makes of it is bounded too.
        self._entries += len(items)
        if self._entries > MOST_ENTRIES:
            raise ValueError(f"more than {MOST_ENTRIES:,} entries")
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing a deeply nested tuple overruns the stack; the keys of weights are names or numbers.
            if not isinstance(key, str | int):
                raise ValueError(f"a key of the kind {type(key).__name__}; expected a name")
            if isinstance(key, str) and len(key) > LONGEST_NAME:
                raise ValueError(f"a name of {len(key):,} letters")
            target[key] = value

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._values:
            item = self._values.pop()
            if isinstance(item, _Mark):
                return items[::-1]
            items.append(item)
        raise ValueError("a mark is missing")

    def _pop_many(self, n: int) -> list[Any]:
        return [self.pop() for _ in range(n)][::-1]

    def _remember(self, index: int) -> None:
        if not self._values or isinstance(self._values[-1], _Mark):
            raise ValueError("nothing to remember")
        self._memo[index] = self._values[-1]

    def _recall(self, index: int) -> None:
        if index not in self._memo:
            raise ValueError(f"memo {index} was never stored")
        self.push(self._memo[index])

    def _append(self, items: list[Any]) -> None:
        self.top(list).extend(items)


_PUSHED = frozenset(
    {
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "LONG4",
        "BINFLOAT",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "BINSTRING",
        "SHORT_BINSTRING",
    }
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_MADE: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "MARK": _Mark}
_ACTIONS: dict[str, Callable[[Stack, Any], None]] = {
    "TUPLE": lambda stack, _: stack.push(tuple(stack._pop_to_mark())),
    "TUPLE1": lambda stack, _: stack.push(tuple(stack._pop_many(1))),
    "TUPLE2": lambda stack, _: stack.push(tuple(stack._pop_many(2))),
    "TUPLE3": lambda stack, _: stack.push(tuple(stack._pop_many(3))),
    "APPEND": lambda stack, _: stack._append([stack.pop()]),
    "APPENDS": lambda stack, _: stack._append(stack._pop_to_mark()),
    "SETITEM": lambda stack, _: stack.set_items(stack._pop_many(2)),
    "SETITEMS": lambda stack, _: stack.set_items(stack._pop_to_mark()),
    "BINPUT": lambda stack, index: stack._remember(index),
    "LONG_BINPUT": lambda stack, index: stack._remember(index),
    "MEMOIZE": lambda stack, _: stack._remember(len(stack._memo)),
    "BINGET": lambda stack, index: stack._recall(index),
    "LONG_BINGET": lambda stack, index: stack._recall(index),
}
