"""Which formats trained weights come in, and who reads each.

A reader turns a file into arrays under the file's own names; the architecture's module *renames* them to Keras' names
and turns their layout. So a new format is one module here, and an old network gains it by one function there::

    read_torch_state(path)     -> {"_conv_stem.weight": array, ...}
    architecture.from_torch()  -> {"stem_conv/kernel": array, ...}
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelzoo.weights.errors import WeightsError

__all__ = ["FORMATS", "Format", "format_of", "read_arrays"]


@dataclass(frozen=True)
class Format:
    """How files of one format are known and read.

    Attributes
    ----------
    suffixes
        Endings of file names, in small letters.
    reader
        ``"module:function"`` in ``modelzoo/weights``, from a path to arrays by name.
    rename
        Name of the architecture's function that gives the arrays their Keras names.
    """

    suffixes: tuple[str, ...]
    reader: str
    rename: str


FORMATS: Mapping[str, Format] = {
    "torch_state": Format((".pth", ".pt", ".bin", ".safetensors"), "torch_state:read_torch_state", "from_torch"),
}


def format_of(path: Path) -> str:
    """Tell a file's format by its name.

    Raises
    ------
    WeightsError
        Where no format has such names, listing those there are.
    """
    name = path.name.lower()
    for label, known in FORMATS.items():
        if name.endswith(known.suffixes):
            return label
    listed = "; ".join(f"{label} ({', '.join(known.suffixes)})" for label, known in FORMATS.items())
    raise WeightsError(f"{path}: no known format of weights has such a name; expected one of {listed}")


def read_arrays(path: Path, label: str, architecture: Any, options: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Read a file and name its arrays as an architecture's Keras model does.

    Parameters
    ----------
    path
        The file.
    label
        Its format.
    architecture
        Module in ``modelzoo/architectures``.
    options
        What the architecture was built with.

    Raises
    ------
    WeightsError
        For an unknown format, and one that this architecture was never published in.
    """
    if label not in FORMATS:
        raise WeightsError(f"no format {label!r} of weights; expected one of {', '.join(FORMATS)}")
    module, function = FORMATS[label].reader.split(":")
    rename = getattr(architecture, FORMATS[label].rename, None)
    if rename is None:
        others = [other for other, known in FORMATS.items() if hasattr(architecture, known.rename)]
        family = architecture.__name__.rsplit(".", 1)[-1]
        raise WeightsError(f"{family} has no names for weights in the format {label!r}; it reads {', '.join(others)}")
    arrays = getattr(importlib.import_module(f"modelzoo.weights.{module}"), function)(path)
    renamed: dict[str, np.ndarray] = rename(arrays, **options)
    return renamed
