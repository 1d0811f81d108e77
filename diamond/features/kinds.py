"""Dataclasses written as a recipe writes them: their kind beside their fields.

::

    >>> from diamond.features.transforms import Jitter
    >>> write({"jitter": Jitter}, Jitter(8))
    {'kind': 'jitter', 'px': 8, 'across_px': None}
    >>> read({"jitter": Jitter}, {"kind": "jitter", "px": 8}, "transform")
    Jitter(px=8, across_px=None)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["read", "write"]


def read(kinds: Mapping[str, Any], content: Mapping[str, Any], what: str) -> Any:
    """Make the dataclass that `content` describes.

    Parameters
    ----------
    kinds
        The dataclasses by kind.
    content
        The kind and the fields of one of them.
    what
        What they are called together, for the error.

    Raises
    ------
    ValueError
        For a kind that is not there.
    """
    arguments = dict(content)
    kind = arguments.pop("kind", None)
    if kind not in kinds:
        raise ValueError(f"no {what} of kind {kind!r}; expected one of {', '.join(kinds)}")
    return kinds[kind](**arguments)


def write(kinds: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """Write a dataclass as `read` reads it."""
    return {"kind": next(name for name, known in kinds.items() if isinstance(value, known)), **vars(value)}
