"""TensorFlow.js layers models: a manifest and its shards.

::

        arrays = read_tfjs(Path("ResNet50/model.json"))
        arrays["conv1/kernel"].shape
        # (7, 7, 3, 64)

A ``model.json`` lists groups of weights by name, shape and dtype; the numbers of a group lie one after another in the
files it names beside it, cut anywhere, in the middle of a number too. A weight may be *quantised*: stored in one or two
bytes and given back as ``scale * stored + min`` (or, as float16, simply widened). Layouts are Keras' own.

Manifest and shards are read as data only; a shard outside the manifest's folder is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from modelzoo.weights.errors import WeightsError

__all__ = ["read_tfjs"]

MOST_MANIFEST_BYTES = 200_000_000
DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "|u1"}
QUANTISED = {"uint8": "|u1", "uint16": "<u2", "float16": "<f2"}


def read_tfjs(path: Path) -> dict[str, np.ndarray]:
    """Read the weights of a TensorFlow.js layers model, in the manifest's order.

    Parameters
    ----------
    path
        The ``model.json``; the shards it names lie beside it.

    Returns
    -------
    dict
        ``{"layer/variable": array}`` in Keras' layout, quantised ones as float32.

    Raises
    ------
    WeightsError
        Where the file is no such manifest, a shard is missing, lies elsewhere or is too short or too long, or a weight
        is described by what cannot be.
    """
    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    for number, group in enumerate(_groups(path)):
        where = f"{path}: group {number + 1} of its weights"
        content = _shards(path, group.get("paths"), where)
        begin = 0
        for entry in _entries(group, where):
            name, shape, stored = _described(entry, where)
            if name in arrays:
                raise WeightsError(f"{where}: {name!r} stands twice")
            end = begin + math.prod(shape) * np.dtype(stored).itemsize
            if end > len(content):
                raise WeightsError(
                    f"{where}: its shards are truncated: {name} {shape} ends at byte {end:,}, they have {len(content):,}"
                )
            numbers = np.frombuffer(content[begin:end], stored).reshape(shape)
            arrays[name] = _dequantised(numbers, entry, f"{where}: {name}")
            begin = end
        if begin != len(content):
            raise WeightsError(f"{where}: its shards have {len(content):,} bytes; its weights take {begin:,}")
    if not arrays:
        raise WeightsError(f"{path}: lists no weights")
    return arrays


def _groups(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise WeightsError(f"no file {path}")
    if path.stat().st_size > MOST_MANIFEST_BYTES:
        raise WeightsError(f"{path}: {path.stat().st_size:,} bytes; a model.json has {MOST_MANIFEST_BYTES:,} at most")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: no TensorFlow.js model: not JSON ({error})") from None
    groups = manifest.get("weightsManifest") if isinstance(manifest, dict) else None
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise WeightsError(f"{path}: no TensorFlow.js model: it has no list 'weightsManifest'")
    if manifest.get("format") == "graph-model":
        raise WeightsError(f"{path}: a graph model of TensorFlow.js, whose layers are fused; expected a layers model")
    return groups


def _shards(path: Path, names: Any, where: str) -> bytes:
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise WeightsError(f"{where}: 'paths' is no list of file names")
    parts = []
    for name in names:
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or "\\" in name or "\0" in name or ":" in name:
            raise WeightsError(f"{where}: refused: the shard {name!r} lies outside the manifest's folder")
        shard = path.parent / inside
        if not shard.is_file():
            raise WeightsError(f"{where}: the shard {name} is missing beside {path.name}; expected it at {shard}")
        if path.parent.resolve() not in shard.resolve().parents:
            raise WeightsError(f"{where}: refused: the shard {name!r} is a link out of the manifest's folder")
        parts.append(shard.read_bytes())
    return b"".join(parts)


def _entries(group: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    entries = group.get("weights")
    if not isinstance(entries, list):
        raise WeightsError(f"{where}: has no list 'weights'")
    for entry in entries:
        if not isinstance(entry, dict) or {"name", "shape", "dtype"} - entry.keys():
            raise WeightsError(f"{where}: a weight is not described by name, shape and dtype")
        yield entry


def _described(entry: dict[str, Any], where: str) -> tuple[str, tuple[int, ...], str]:
    name, shape, dtype = entry["name"], entry["shape"], entry["dtype"]
    if not isinstance(name, str) or not _sizes(shape):
        raise WeightsError(f"{where}: {str(name)[:200]!r} has the shape {str(shape)[:100]}; expected a list of numbers")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise WeightsError(f"{where}: {name} has dtype {str(dtype)[:50]!r}; expected one of {', '.join(DTYPES)}")
    quantisation = entry.get("quantization")
    if quantisation is None:
        return name, tuple(shape), DTYPES[dtype]
    stored = quantisation.get("dtype") if isinstance(quantisation, dict) else None
    if not isinstance(stored, str) or stored not in QUANTISED:
        raise WeightsError(f"{where}: {name} is quantised as {str(stored)[:50]!r}; expected {', '.join(QUANTISED)}")
    return name, tuple(shape), QUANTISED[stored]


def _dequantised(numbers: np.ndarray, entry: dict[str, Any], where: str) -> np.ndarray:
    quantisation = entry.get("quantization")
    dtype = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}[entry["dtype"]]
    if quantisation is None or quantisation["dtype"] == "float16":
        return numbers.astype(dtype)
    scale, least = quantisation.get("scale"), quantisation.get("min")
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in (scale, least)):
        raise WeightsError(f"{where} is quantised with scale {scale!r} and min {least!r}; expected two numbers")
    return (numbers.astype(np.float64) * scale + least).astype(dtype)


def _sizes(shape: Any) -> bool:
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) > 16:
        return False
    return all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**31 for n in shape)
