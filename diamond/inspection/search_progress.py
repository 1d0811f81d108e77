"""A search through pictures that can be broken off and gone on with.

    progress = SearchProgress("photos.progress.npz", asked={"layer": "block9_add", "top": 8}, names=names)
    state = progress.read()                    # None at the first time
    progress.write(state, now=True)

What was found so far is written beside the file and renamed over it, so that a kill at any moment leaves the last
whole state. The file knows what was asked and which files were looked at, and refuses to go on with anything else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SearchProgress"]

# Seconds between two writings, and how many times longer to work than to write.
EVERY_S = 20.0
WORK_PER_WRITING = 20
VERSION = 1


class SearchProgress:
    """A file that holds how far a search is.

    Parameters
    ----------
    path
        Of the file, ``.npz``.
    asked
        What the search looks for, in plain values: a file of another question is refused.
    names
        The files to be looked at, in order.

    Raises
    ------
    FileNotFoundError
        Where the folder of the file does not exist.
    """

    def __init__(self, path: str | Path, *, asked: Mapping[str, Any], names: Sequence[str]) -> None:
        self.path = Path(path).expanduser()
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"no folder {self.path.parent} to keep {self.path.name} in; make it first")
        self._asked = json.loads(json.dumps({"version": VERSION, **asked}))
        self._names = names
        self._written = time.monotonic()
        self._pause = EVERY_S

    def read(self) -> dict[str, np.ndarray] | None:
        """Give the arrays of the last state; None where there is no file yet.

        Raises
        ------
        ValueError
            Where the file is no such thing, is of another question, or the files were others.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
            asked, place = json.loads(str(state.pop("asked"))), int(state["place"])
            seen = str(state.pop("seen"))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.path} holds no progress of a search ({error}); name another file") from error
        for word, value in self._asked.items():
            if asked.get(word) != value:
                raise ValueError(
                    f"{self.path} is of another search: {word} was {asked.get(word)!r}, is {value!r}; name another file, "
                    "or delete it to begin anew"
                )
        if self._digest(place) != seen:
            raise ValueError(
                f"{self.path} has looked at {place + 1:,} other files than the first of these; name another file, or "
                "delete it to begin anew"
            )
        return state

    def write(self, state: Mapping[str, np.ndarray], *, now: bool = False) -> None:
        """Write the state, which has ``place``, the number of the last file looked at; not more often than is worth it.

        Parameters
        ----------
        state
            Arrays by name.
        now
            True to write whatever was written when.
        """
        begin = time.monotonic()
        if not now and begin - self._written < self._pause:
            return
        part = self.path.with_name(self.path.name + ".part")
        known = {"asked": np.array(json.dumps(self._asked)), "seen": np.array(self._digest(int(state["place"])))}
        with part.open("wb") as file:
            np.savez(file, **state, **known)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)
        self._written = time.monotonic()
        self._pause = max(EVERY_S, WORK_PER_WRITING * (self._written - begin)) if EVERY_S else 0.0

    def _digest(self, place: int) -> str:
        return hashlib.sha256("\n".join(self._names[: place + 1]).encode()).hexdigest()
