"""Which formats trained weights come in, and who reads each.

A reader turns a file into arrays under the file's own names; the architecture's module *renames* them to Keras' names
and turns their layout. So a new format is one module here, and an old network gains it by one function there::

    read_torch_state(path)     -> {"_conv_stem.weight": array, ...}
    architecture.from_torch()  -> {"stem_conv/kernel": array, ...}
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelzoo.weights.errors import WeightsError

if TYPE_CHECKING:
    import keras

__all__ = ["FORMATS", "Format", "format_of", "read_arrays"]

PICKLE = b"\x80"


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
    match
        ``"module:function"`` in ``modelzoo/weights``, which finds the variables of a Keras model by the names and the
        order in the file; an architecture then needs no function of its own. None where only names of the
        architecture's own tell.
    """

    suffixes: tuple[str, ...]
    reader: str
    rename: str
    match: str | None = None


FORMATS: Mapping[str, Format] = {
    "keras": Format((".keras", ".h5", ".hdf5"), "keras_file:read_keras", "from_keras", "keras_file:keras_addresses"),
    "tfjs": Format(("model.json",), "tfjs:read_tfjs", "from_keras", "keras_file:keras_names"),
    "tf_checkpoint": Format((".index", ".ckpt"), "tf_checkpoint:read_tf_checkpoint", "from_tf_checkpoint"),
    "frozen_graph": Format((".pb",), "frozen_graph:read_constants", "from_frozen_graph"),
    "caffemodel": Format((".caffemodel",), "caffemodel:read_caffemodel", "from_caffe"),
    "numpy_dict": Format((".npy",), "numpy_dict:read_numpy_dict", "from_numpy_dict"),
    "torch_state": Format((".pth", ".pt", ".bin", ".safetensors"), "torch_state:read_torch_state", "from_torch"),
}


def format_of(path: Path) -> str:
    """Tell a file's format by its name, and where one name has two formats, by its first byte.

    Raises
    ------
    WeightsError
        Where no format has such names, listing those there are.
    """
    name = path.name.lower()
    # A TensorFlow checkpoint and a pickle of NumPy arrays may both be called .ckpt.
    if name.endswith(".ckpt") and path.is_file():
        with path.open("rb") as file:
            if file.read(1) == PICKLE:
                return "numpy_dict"
    for label, known in FORMATS.items():
        if name.endswith(known.suffixes):
            return label
    listed = "; ".join(f"{label} ({', '.join(known.suffixes)})" for label, known in FORMATS.items())
    raise WeightsError(f"{path}: no known format of weights has such a name; expected one of {listed}")


def read_arrays(
    path: Path,
    label: str,
    architecture: Any,
    options: Mapping[str, Any],
    *,
    model: keras.Model,
    optional: Collection[str] = (),
) -> dict[str, np.ndarray]:
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
    model
        The Keras model that was built.
    optional
        Addresses of its classifier's variables, which a file may lack as a whole.

    Raises
    ------
    WeightsError
        For an unknown format, and one that this architecture was never published in.
    """
    if label not in FORMATS:
        raise WeightsError(f"no format {label!r} of weights; expected one of {', '.join(FORMATS)}")
    known = FORMATS[label]
    rename = getattr(architecture, known.rename, None)
    if rename is None and known.match is None:
        others = [other for other, each in FORMATS.items() if each.match or hasattr(architecture, each.rename)]
        family = architecture.__name__.rsplit(".", 1)[-1]
        raise WeightsError(f"{family} has no names for weights in the format {label!r}; it reads {', '.join(others)}")
    arrays: dict[str, np.ndarray] = _function(known.reader)(path)
    if rename is not None:
        arrays = rename(arrays, **options)
    if known.match is not None:
        arrays = _function(known.match)(arrays, model, origin=str(path), optional=optional)
    return arrays


def _function(place: str) -> Callable[..., Any]:
    module, function = place.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(f"modelzoo.weights.{module}"), function)
    return found
