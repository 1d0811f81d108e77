"""Named arrays from a TensorFlow 1 checkpoint.

::

        arrays = read_tf_checkpoint(Path("inception_v2.ckpt"))
        arrays["InceptionV2/Conv2d_2b_1x1/weights"].shape
        # (1, 1, 64, 64)

A checkpoint goes by the name given when it was saved, its *prefix*, which may not be the name of any file. Older ones
(V1) are one file of that name; later ones (V2) are ``<prefix>.index`` with the names and shapes and
``<prefix>.data-00000-of-00001`` with the numbers, and a prefix that ends in a slash makes them ``.index`` and
``.data-...`` inside a folder. People point at any of these, so one verb comes first: a checkpoint is *found* from
whatever was given, then *read*.

What follows from that:

* `find_checkpoint` needs no TensorFlow, and gives a file: the index, or the one file of a V1 checkpoint.
* The numbers are checked against the size of their files before any is read: a download that broke off is called so.
* bfloat16 becomes float32, which holds the same numbers; everything else is as stored, TensorFlow's layout included.
"""

from __future__ import annotations

import difflib
import math
import re
from pathlib import Path

import numpy as np

from modelzoo.weights.errors import WeightsError

__all__ = ["find_checkpoint", "read_tf_checkpoint"]

INDEX = ".index"
DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
# What TensorFlow 2 stores beside the weights to find its objects again.
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def find_checkpoint(path: str | Path) -> Path | None:
    """Find the file that stands for a checkpoint.

    Parameters
    ----------
    path
        The prefix, the ``.index``, a ``.data-...`` or the ``.meta`` beside it, the one file of a V1 checkpoint, or a
        folder with one checkpoint in it.

    Returns
    -------
    Path or None
        The ``.index`` of a V2 checkpoint, the file of a V1 checkpoint; None where there is none.

    Raises
    ------
    WeightsError
        Where a folder holds several checkpoints, naming them.
    """
    path = Path(path).expanduser()
    beside = path.with_name(path.name + INDEX) if path.name else path / INDEX
    if beside.is_file():
        return beside
    if path.is_dir():
        found = sorted(path.glob("*" + INDEX)) or sorted(path.glob("*.ckpt"))
        if len(found) > 1:
            names = ", ".join(entry.name for entry in found[:5])
            raise WeightsError(f"{path} holds {len(found)} checkpoints ({names}); expected the path of one of them")
        return found[0] if found else None
    prefix = DATA.sub("", path.name).removesuffix(".meta")
    index = path.with_name(prefix + INDEX)
    if prefix != path.name and index.is_file():
        return index
    return path if path.is_file() and not DATA.search(path.name) and not path.name.endswith(".meta") else None


def read_tf_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Read all arrays of a checkpoint.

    Parameters
    ----------
    path
        As `find_checkpoint` takes it.

    Returns
    -------
    dict
        ``{name: array}`` in alphabetical order, under the names and in the layout they were saved with.

    Raises
    ------
    WeightsError
        Where there is no checkpoint, its numbers are missing or truncated, or it is damaged.
    """
    found = find_checkpoint(path)
    if found is None:
        raise WeightsError(f"no TensorFlow checkpoint {path}{_nearest(Path(path))}")
    from tensorflow import errors
    from tensorflow.compat.v1.train import NewCheckpointReader

    origin = str(found)
    prefix = origin.removesuffix(INDEX)
    # Depending on where the damage lies, TensorFlow's reader throws plain Python errors as well as its own.
    damage = (errors.OpError, RuntimeError, ValueError, IndexError)
    try:
        reader = NewCheckpointReader(prefix)
        shapes = reader.get_variable_to_shape_map()
        dtypes = reader.get_variable_to_dtype_map()
    except damage as error:
        raise WeightsError(
            f"{origin}: no TensorFlow checkpoint, or truncated or damaged ({_first_line(error)})"
        ) from None
    names = sorted(name for name in shapes if name != OBJECT_GRAPH)
    if not names:
        raise WeightsError(f"{origin}: a checkpoint without any variable")
    if found.name.endswith(INDEX):
        needed = sum(math.prod(shapes[name]) * dtypes[name].size for name in names)
        _check_numbers(found, needed)
    arrays = {}
    for name in names:
        try:
            array = np.asarray(reader.get_tensor(name))
        except damage as error:
            raise WeightsError(f"{origin}: damaged: {name!r} cannot be read ({_first_line(error)})") from None
        arrays[name] = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
    return arrays


def _check_numbers(index: Path, needed: int) -> None:
    prefix = index.name.removesuffix(INDEX)
    shards = [entry for entry in index.parent.iterdir() if DATA.sub("", entry.name) == prefix and entry.name != prefix]
    if not shards:
        raise WeightsError(
            f"{index}: the numbers are missing: they lie in {prefix}.data-00000-of-00001, which belongs beside it"
        )
    held = sum(shard.stat().st_size for shard in shards)
    expected = int(shards[0].name.rpartition("-of-")[2])
    if len(shards) != expected:
        raise WeightsError(f"{index}: {len(shards)} of the {expected} files {prefix}.data-... are here")
    if held < needed:
        raise WeightsError(f"{index}: truncated: its numbers take {needed:,} bytes, the files of them have {held:,}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _nearest(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f"; there is no folder {folder}"
    names = [entry.name for entry in folder.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=2, cutoff=0.5)
    held = ", ".join(sorted(names)[:5]) or "nothing"
    return f"; did you mean {' or '.join(near)}?" if near else f"; {folder} holds {held}"
