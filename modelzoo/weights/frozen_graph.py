"""The constants of a frozen TensorFlow 1 graph as NumPy arrays; the graph itself is never run.

::

        arrays = read_constants("tensorflow_inception_graph.pb")
        arrays["mixed3a_3x3_bottleneck_w"].shape
        # (1, 1, 192, 96)

Before there were checkpoints to exchange, a network was published as its graph with the weights frozen into it as
``Const`` nodes: one ``.pb`` file, a ``GraphDef``. Where the network itself is built here, only those constants are
wanted. They are read by the name of their node, without importing the graph: a ``GraphDef`` may hold any operation,
reading and writing of files among them.

- Shapes, axes and other small constants of the graph are given with the weights; who renames them sorts them out.
- Constants that are no numbers (texts) are left out.
- A node holds one value for a whole array where all its numbers are equal; such an array is filled, within bounds.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from modelzoo.weights.errors import WeightsError

__all__ = ["read_constants", "read_graph_def"]

MOST_BYTES = 2**31 - 1
# What filling may add: a constant can describe an array far larger than the file.
MOST_GROWTH_BYTES = 256 * 1024 * 1024
LARGEST_ITEM_BYTES = 16


def read_constants(path: str | Path) -> dict[str, np.ndarray]:
    """Read the constants of a frozen graph.

    Parameters
    ----------
    path
        A binary ``.pb`` file with a ``GraphDef``.

    Returns
    -------
    dict
        ``{node name: array}`` in the order of the nodes; dtypes as stored.

    Raises
    ------
    WeightsError
        Where there is no such file; it is no ``GraphDef``, one in text, or a SavedModel; it holds no constant (its
        weights are in a checkpoint then), a name twice, or a constant whose numbers do not fit its shape.
    """
    graph = read_graph_def(path)
    arrays: dict[str, np.ndarray] = {}
    room = MOST_GROWTH_BYTES + graph.ByteSize()
    for node in graph.node:
        if node.op != "Const":
            continue
        if node.name in arrays:
            raise WeightsError(f"{path}: damaged: two constants are called {node.name[:200]!r}")
        tensor = node.attr["value"].tensor
        sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
        if tensor.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
            raise WeightsError(f"{path}: damaged: the constant {node.name[:200]!r} has no shape")
        room -= math.prod(sizes) * LARGEST_ITEM_BYTES if not tensor.tensor_content else len(tensor.tensor_content)
        if room < 0:
            raise WeightsError(
                f"{path}: refused: the constant {node.name[:200]!r} of shape {sizes} would not fit in memory"
            )
        array = _array(tensor, f"{path}: damaged: the constant {node.name[:200]!r}")
        if array is not None:
            arrays[node.name] = array
    if not arrays:
        raise WeightsError(
            f"{path}: a graph of {len(graph.node)} nodes without a constant: it is not frozen, its weights are elsewhere "
            "(a checkpoint beside it)"
        )
    return arrays


def read_graph_def(path: str | Path) -> Any:
    """Read a graph as the ``GraphDef`` it is, without importing or running it.

    Raises
    ------
    WeightsError
        Where there is no such file, or it is no binary ``GraphDef`` with nodes.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"no file {path}; expected a frozen graph, a .pb file")
    size = path.stat().st_size
    if not 0 < size <= MOST_BYTES:
        raise WeightsError(f"{path}: {size:,} bytes; expected a frozen graph of 1 to {MOST_BYTES:,}")
    content = path.read_bytes()
    if content.lstrip()[:4] == b"node":
        raise WeightsError(
            f"{path}: a graph in text; expected a binary one, which its publisher calls .pb and not .pbtxt"
        )
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
    except DecodeError:
        raise WeightsError(
            f"{path}: truncated, damaged, or no frozen graph (GraphDef); it begins {content[:8]!r}"
        ) from None
    if not graph.node:
        raise WeightsError(
            f"{path}: no frozen graph (GraphDef): no node in it. A saved_model.pb is another format: it keeps its "
            "weights in the folder variables/ beside it"
        )
    return graph


def _array(tensor: Any, where: str) -> np.ndarray | None:
    import tensorflow as tf

    try:
        dtype = tf.dtypes.as_dtype(tensor.dtype)
        if dtype == tf.string or dtype == tf.resource or dtype == tf.variant:
            return None
        array = np.asarray(tf.make_ndarray(tensor))
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise WeightsError(f"{where}: {error}") from None
    return array if array.dtype.kind in "biufc" or array.dtype.name == "bfloat16" else None
