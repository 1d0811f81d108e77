"""Whole models from files, whatever wrote them.

::

    >>> small.model.save("small.keras")
    >>> read_model(Path("small.keras")).get_layer("parts").output.shape
    (None, 13, 13, 6)

``.keras`` and ``.h5`` files and layers models of TensorFlow.js hold a model with its weights. Keras' safe mode stays on: a
file that brings code along is refused. The layers of our own that a file may name are known by the time it is read.
"""

from __future__ import annotations

import difflib
import importlib
import json
import pkgutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo.weights.errors import WeightsError

if TYPE_CHECKING:
    import keras

__all__ = ["MODEL_SUFFIXES", "know_own_layers", "read_model"]

MODEL_SUFFIXES = (".keras", ".h5", ".hdf5")


def read_model(path: Path) -> keras.Model:
    """Read a whole model from a ``.keras`` or ``.h5`` file, or the ``model.json`` of a TensorFlow.js layers model.

    Raises
    ------
    FileNotFoundError
        Where there is no such file, with the nearest names.
    ValueError
        Where the content is not what the name says, or holds code.
    WeightsError
        Where the file holds weights and no model.
    """
    import keras

    from modelzoo.weights.keras_model import read_keras_model

    if not path.is_file():
        siblings = [p.name for p in path.parent.glob("*")] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, siblings, n=2)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise FileNotFoundError(f"no file {path}{hint}")
    know_own_layers()
    if path.suffix == ".json":
        return _read_tfjs_model(path)
    with path.open("rb") as file:
        start = file.read(8)
    zipped, hdf5 = zipfile.is_zipfile(path), start == b"\x89HDF\r\n\x1a\n"
    if not (zipped if path.suffix == ".keras" else hdf5):
        raise ValueError(f"{path} is no {path.suffix} file: it begins with {start!r}; it may be truncated or renamed")
    # safe_mode refuses Lambda layers: a model file must not bring code along.
    return keras.saving.load_model(path, compile=False, safe_mode=True) if zipped else read_keras_model(path)


def know_own_layers() -> None:
    """Import the modules whose layers a saved model may name: Keras finds them by their registration."""
    package = importlib.import_module("modelzoo.architectures")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def _read_tfjs_model(path: Path) -> keras.Model:
    import keras

    from modelzoo.weights.keras_file import keras_names
    from modelzoo.weights.keras_model import amended_description
    from modelzoo.weights.mapping import assign_weights
    from modelzoo.weights.tfjs import read_tfjs

    arrays = read_tfjs(path)
    topology = json.loads(path.read_text(encoding="utf-8")).get("modelTopology")
    if not isinstance(topology, dict):
        raise WeightsError(f"{path} holds weights and no model: it has no 'modelTopology'")
    description = topology.get("model_config", topology)
    if not isinstance(description, dict) or "class_name" not in description:
        raise WeightsError(f"{path}: its 'modelTopology' describes no Keras model; expected a class_name and a config")
    if _holds_code(description):
        raise WeightsError(f"{path}: refused: it brings code along, in a Lambda layer")
    former = str(topology.get("keras_version", "2.")).startswith(("2.", "tfjs"))
    kind = keras.Sequential if description["class_name"] == "Sequential" else keras.Model
    config = amended_description(description, former=former).get("config")
    try:
        # Before 2.2.3 the layers of a Sequential stood there alone.
        model = kind.from_config({"name": path.parent.name, "layers": config} if isinstance(config, list) else config)
    except (TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path}: Keras cannot read its 'modelTopology': {error}") from None
    assign_weights(model, keras_names(arrays, model, origin=str(path), optional=()), origin=str(path))
    return model


def _holds_code(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("class_name") == "Lambda" or any(_holds_code(item) for item in value.values())
    return isinstance(value, list) and any(_holds_code(item) for item in value)
