"""Channel numbers and times as one writes them on a command line: ``0-31,40`` and ``1h30m``."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["read_duration", "read_numbers"]


def read_numbers(text: str | Iterable[str]) -> list[int]:
    """Read channel numbers: ``"0-31,40"``, or several such words.

    Raises
    ------
    ValueError
        Where it is no such thing.
    """
    text = text if isinstance(text, str) else ",".join(text)
    numbers: list[int] = []
    for word in filter(None, text.split(",")):
        first, _, last = word.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or word.endswith("-"):
            raise ValueError(f"channels {text!r}: {word!r} is no number and no range; expected something like 0-31,40")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def read_duration(text: str) -> float:
    """Read a time in seconds: ``"2h"``, ``"1h30m"``, ``"90s"``; a bare number is minutes.

    Raises
    ------
    ValueError
        Where it is no such thing.
    """
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)(?:m|$))?(?:(\d+(?:\.\d+)?)s)?", text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"a budget of {text!r}; expected something like 45m, 2h or 1h30m")
    hours, minutes, seconds = (float(word or 0) for word in match.groups())
    return 3600 * hours + 60 * minutes + seconds
