"""Networks as commands load them: TensorFlow imported without its chatter, and only where it is needed."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from diamond.cli.ending import is_debugging

if TYPE_CHECKING:
    from modelzoo import Network

__all__ = ["import_tensorflow", "load_network", "number_or_word", "split_words"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def load_network(name: str, weights: str | None = "default", *, files: Iterable[str | Path] = ()) -> Network:
    """Load a network of the zoo, a saved one, or a file.

    Parameters
    ----------
    name
        As the user gave it.
    weights
        A file; ``"default"`` for the published ones, None for random ones.
    files
        What the command will read: where one of them is missing, that is told before TensorFlow is imported.

    Raises
    ------
    UnknownModelError, GraphError, WeightsError, FileNotFoundError
        As `modelzoo.load` does, the first and last at once.
    """
    _refuse_early(name, weights, files)
    import_tensorflow()
    from modelzoo.registry import load

    return load(name, weights=weights)


def _refuse_early(name: str, weights: str | None, files: Iterable[str | Path]) -> None:
    from modelzoo.inputs.paths import existing_file
    from modelzoo.persist import is_saved
    from modelzoo.registry import read_model_card
    from modelzoo.weights.model_file import MODEL_SUFFIXES

    if Path(name).suffix not in MODEL_SUFFIXES and not is_saved(name):
        read_model_card(name)
    for file in (*files, *(() if weights in ("default", None) else (weights,))):
        if "://" not in str(file) and not Path(file).expanduser().is_dir():
            existing_file(file, error=ValueError, remedy="give a file", expected="the path of a file")


def import_tensorflow() -> None:
    """Import TensorFlow and keep what it says of processors and drivers from the user; DIAMOND_DEBUG=1 lets it speak."""
    if is_debugging():
        return
    with _notices_unheard():
        import tensorflow as _  # noqa: F401
    for name in ("tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.ERROR)


def split_words(text: str | None) -> list[str] | None:
    """Read words with commas between; None stays None."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def number_or_word(word: str) -> int | str:
    """Read the index of a class as a number, and all else as it is."""
    return int(word) if word.isascii() and word.isdigit() else word


@contextlib.contextmanager
def _notices_unheard() -> Iterator[None]:
    """Keep what a library writes to the standard error while it is imported from the user.

    TensorFlow tells about processors and drivers before any log level counts, past Python's own streams.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
