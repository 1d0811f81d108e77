"""A file that is asked for, or the reason why it is not there.

::

    >>> existing_file("photos/cat.jgp", error=ValueError, remedy="pass one of its files", expected="a path")
    Traceback (most recent call last):
        ...
    FileNotFoundError: no file photos/cat.jgp; did you mean 'cat.jpg'?

Whoever mistypes a name wants to see the right one, and whoever passes a folder wants to be told so: the operating
system says neither.
"""

from __future__ import annotations

import difflib
from pathlib import Path

__all__ = ["existing_file"]


def existing_file(source: str | Path, *, error: type[Exception], remedy: str, expected: str) -> Path:
    """Give the path of a file that exists.

    Parameters
    ----------
    source
        The path as it was given; ``~`` is the home folder.
    error
        What to raise where it is a folder, or no path at all.
    remedy
        What to do with a folder.
    expected
        What would have been accepted.

    Raises
    ------
    FileNotFoundError
        Where there is no such file; it names the nearest file or folder beside it.
    """
    if not str(source).strip() or "\0" in str(source):
        raise error(f"{str(source)[:200]!r} is no path; expected {expected}")
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            raise error(f"{path} is a folder; {remedy}")
        if path.exists():
            return path
    except OSError as trouble:
        raise error(f"{str(source)[:200]!r} is no path ({trouble.strerror})") from None
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"no file {path}: there is no folder {folder} (working in {Path.cwd()})")
    names = {entry.name.casefold(): entry.name for entry in folder.iterdir()}
    near = difflib.get_close_matches(path.name.casefold(), names, n=1, cutoff=0.5)
    files = sum(entry.is_file() for entry in folder.iterdir())
    hint = f"; did you mean {names[near[0]]!r}?" if near else f"; {files} other files are in {folder.resolve()}"
    raise FileNotFoundError(f"no file {path}{hint}")
