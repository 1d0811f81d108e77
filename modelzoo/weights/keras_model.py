"""Whole models as Keras 1 and 2 wrote them, for a Keras that has moved on.

::

    >>> small.model.save("small.h5")
    >>> read_keras_model(Path("small.h5")).get_layer("parts").output.shape
    (None, 13, 13, 6)

The description of a model inside an ``.h5`` is a text that Keras 3 no longer takes word by word: it refuses the argument
``groups`` that Keras 2 gave every ``DepthwiseConv2D``, and it forbids the ``/`` that names of layers used to hold. It also
counts the calls of a nested Sequential from 0, where Keras 2 began with 1, and takes an output listed alone for a list
of outputs. So the text is *amended* before Keras reads it: the idle argument is dropped, ``layer1/conv`` becomes
``layer1.conv``, calls and outputs are written as today, and nothing else is touched. The weights find their layers by
their order, as Keras itself assigns them.

Keras' safe mode stays on throughout: a file that brings code along (a ``Lambda`` layer) is refused.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo.weights.errors import WeightsError

if TYPE_CHECKING:
    import keras

__all__ = ["amended_description", "read_keras_model"]


def read_keras_model(path: Path) -> keras.Model:
    """Read a whole model from an ``.h5`` file.

    Parameters
    ----------
    path
        A file written by ``model.save`` of Keras 1, 2 or 3.

    Raises
    ------
    WeightsError
        Where the file holds weights but no model, with the way out, or is truncated, or is of Keras 1.
    ValueError
        Where Keras refuses the model: a layer nobody knows, code in the file.
    """
    import h5py
    import keras

    try:
        with h5py.File(path, "r") as file:
            description = _description(file, path)
            amended = amended_description(description, former=_version(file).startswith("2."))
            if amended == description:
                return keras.saving.load_model(path, compile=False, safe_mode=True)
            with tempfile.TemporaryDirectory(prefix="diamond-", ignore_cleanup_errors=True) as folder:
                copy = Path(folder) / "model.h5"
                with h5py.File(copy, "w") as other:
                    for name in ("keras_version", "backend"):
                        if name in file.attrs:
                            other.attrs[name] = file.attrs[name]
                    other.attrs["model_config"] = json.dumps(amended).encode()
                    file.copy("model_weights", other)
                return keras.saving.load_model(copy, compile=False, safe_mode=True)
    except OSError as error:
        raise WeightsError(f"{path}: truncated, or no Keras file: {error}") from None


def _description(file: Any, path: Path) -> Any:
    text = file.attrs.get("model_config")
    if text is None or "model_weights" not in file:
        raise WeightsError(
            f"{path} holds weights and no model; give the network's name and the file: load(NAME, weights={str(path)!r})"
        )
    version = _version(file)
    if version.startswith("1."):
        raise WeightsError(
            f"{path} is a model of Keras {version}, whose layers Keras 3 no longer knows; build the network anew and "
            "give it the file's weights"
        )
    try:
        return json.loads(text)
    except ValueError as error:
        raise WeightsError(f"{path}: damaged: its model_config is no JSON ({error})") from None


def _version(file: Any) -> str:
    # Keras 1 wrote its version beside the weights.
    text = file.attrs.get("keras_version", file["model_weights"].attrs.get("keras_version", b""))
    return text.decode() if isinstance(text, bytes) else str(text)


def amended_description(description: Any, *, former: bool) -> Any:
    """Write a model's description so that Keras 3 takes it; `former` where Keras 2 wrote it."""
    slashed = {name for name in _names(description) if "/" in name}
    amended = _rewritten(description, slashed)
    if former:
        _bring_up_to_date(amended)
    return amended


def _bring_up_to_date(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _bring_up_to_date(item)
    elif isinstance(value, dict):
        layers = value.get("layers")
        if isinstance(layers, list) and "output_layers" in value:
            sequentials = {layer.get("name") for layer in layers if layer.get("class_name") == "Sequential"}
            for layer in layers:
                layer["inbound_nodes"] = _recounted(layer.get("inbound_nodes"), sequentials)
            for ends in ("input_layers", "output_layers"):
                value[ends] = _single(_recounted(value.get(ends), sequentials))
        for item in value.values():
            _bring_up_to_date(item)


def _single(ends: Any) -> Any:
    # Keras 2 listed one input or output as it listed several; Keras 3 would give a list of one tensor for that.
    one = isinstance(ends, list) and len(ends) == 1 and isinstance(ends[0], list)
    return ends[0] if one else ends


def _recounted(calls: Any, sequentials: set[str]) -> Any:
    if isinstance(calls, dict):
        return {key: _recounted(item, sequentials) for key, item in calls.items()}
    if not isinstance(calls, list):
        return calls
    if len(calls) >= 3 and isinstance(calls[0], str) and calls[0] in sequentials and isinstance(calls[1], int):
        return [calls[0], max(calls[1] - 1, 0), *calls[2:]]
    return [_recounted(item, sequentials) for item in calls]


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        config = value.get("config")
        if "class_name" in value and isinstance(config, dict) and isinstance(config.get("name"), str):
            yield config["name"]
        for item in value.values():
            yield from _names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)


def _rewritten(value: Any, slashed: set[str]) -> Any:
    if isinstance(value, dict):
        rewritten = {key: _rewritten(item, slashed) for key, item in value.items()}
        config = rewritten.get("config")
        # Keras 2 gave it one group and computed one group a channel, whatever it said.
        if rewritten.get("class_name") == "DepthwiseConv2D" and isinstance(config, dict):
            config.pop("groups", None)
        return rewritten
    if isinstance(value, list):
        return [_rewritten(item, slashed) for item in value]
    # A layer stands under its name in the lists of what feeds what, too.
    return value.replace("/", ".") if isinstance(value, str) and value in slashed else value
