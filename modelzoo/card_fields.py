"""Dataclasses from plain dictionaries, field by field, with errors that name the field.

::

    >>> from modelzoo.cards import Paper
    >>> checked(Paper, {"title": "...", "authors": "...", "yaer": 2015, "url": "..."}, "paper")
    Traceback (most recent call last):
        ...
    modelzoo.card_fields.CardError: no field 'paper.yaer'; did you mean 'paper.year'?

A dataclass called with the wrong arguments raises a ``TypeError`` that speaks of ``__init__``. Who writes a card reads
TOML, not Python, so a dictionary is *checked* before it becomes a dataclass, and a dataclass is *stripped* of what is
None before it is written.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

__all__ = ["CardError", "checked", "finite_numbers", "stripped"]


class CardError(ValueError):
    """A card that lacks a field, has one too many, or holds a value that cannot be.

    Examples
    --------
    >>> dc.InputSpec(scale=(0.0,))
    Traceback (most recent call last):
        ...
    TypeError: InputSpec.__init__() missing 2 required positional arguments: 'height' and 'width'
    """


def checked(kind: type, content: Mapping[str, Any], where: str) -> Any:
    """Make a dataclass of a dictionary.

    Parameters
    ----------
    kind
        The dataclass.
    content
        Its fields by name.
    where
        Name of the table they stand in, for the errors; empty at the top of a card.

    Raises
    ------
    CardError
        For a field that is missing, and one that `kind` does not have (with the nearest).
    """
    known = {f.name: f for f in fields(kind)}
    prefix = f"{where}." if where else ""
    for name in content:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {prefix + near[0]!r}?" if near else f"; a card has {', '.join(known)}"
            raise CardError(f"no field {prefix + name!r}{hint}")
    for name, f in known.items():
        if name not in content and f.default is MISSING and f.default_factory is MISSING:
            raise CardError(f"the field {prefix + name!r} is missing")
    return kind(**content)


def finite_numbers(value: float | Sequence[float], name: str) -> tuple[float, ...]:
    """Give one number or several as a tuple of floats.

    Raises
    ------
    CardError
        Where one is infinite, NaN or no number, or there is none.
    """
    numbers = (value,) if isinstance(value, int | float) else tuple(value)
    if not numbers or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
        raise CardError(f"{name} is {value!r}; expected a finite number, or one a channel")
    return tuple(float(n) for n in numbers)


def stripped(value: Any) -> Any:
    """Give nested dictionaries and lists without the entries that are None, which TOML cannot write."""
    if isinstance(value, Mapping):
        return {key: stripped(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [stripped(item) for item in value]
    return value
