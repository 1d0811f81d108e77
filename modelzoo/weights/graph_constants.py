"""The constant part of a graph, computed in NumPy.

A frozen graph computes much from its constants alone: unfused batch normalisation multiplies by
``gamma * rsqrt(variance + epsilon)``, a flattening takes the batch's size from the shape it flattens. Here such a node is
*folded* into an array, one node at a time, from the arrays it reads::

        fold(node, [variance, epsilon], where="graph.pb")

The size of a batch is not known before there is one: in a folded shape it is the number `BATCH`, which may be moved
about and compared but not computed with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.graph_nodes import PASSES_ON, GraphNode

__all__ = ["BATCH", "FOLDED", "fold"]

BATCH = -(2**30)
MOST_VALUES = 2**27


def fold(node: GraphNode, values: Sequence[np.ndarray], *, where: str) -> np.ndarray:
    """Compute one node of which all inputs are constants.

    Parameters
    ----------
    node
        Its operation is one of `FOLDED`.
    values
        What it reads, in its order.
    where
        The file, for errors.

    Raises
    ------
    WeightsError
        Where the values do not fit the operation, the result would not fit in memory, or the size of the batch would
        enter a computation.
    """
    arithmetic = node.op in _ARITHMETIC
    if arithmetic and any(value.dtype.kind == "i" and (value == BATCH).any() for value in values):
        raise WeightsError(f"{where}: {node.op} {node.name!r} computes with the size of the batch, which is open here")
    try:
        if arithmetic and math.prod(np.broadcast_shapes(*(value.shape for value in values))) > MOST_VALUES:
            raise WeightsError(f"{where}: refused: {node.op} {node.name!r} makes more than {MOST_VALUES:,} values")
        with np.errstate(all="ignore"):
            return np.asarray(FOLDED[node.op](node, *values))
    except (ValueError, IndexError, TypeError, KeyError) as error:
        shapes = ", ".join(str(value.shape) for value in values)
        raise WeightsError(f"{where}: damaged: {node.op} {node.name!r} of arrays {shapes}: {error}") from None


def _strided_slice(node: GraphNode, values: np.ndarray, begin: Any, end: Any, strides: Any) -> np.ndarray:
    masks = {name: node.integer(f"{name}_mask", 0) for name in ("begin", "end", "shrink_axis", "ellipsis", "new_axis")}
    if masks["ellipsis"] or masks["new_axis"]:
        raise ValueError("slices with an ellipsis or a new axis are not read")
    keys: list[Any] = []
    for axis, (low, high, step) in enumerate(zip(begin, end, strides, strict=True)):
        bit = 1 << axis
        if masks["shrink_axis"] & bit:
            keys.append(int(low))
        else:
            keys.append(slice(None if masks["begin"] & bit else low, None if masks["end"] & bit else high, step))
    return np.asarray(values[tuple(keys)])


def _pack(node: GraphNode, *values: np.ndarray) -> np.ndarray:
    return np.stack(values, axis=node.integer("axis", 0))


def _reshape(node: GraphNode, values: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return values.reshape(tuple(int(size) for size in shape))


def _squeeze(node: GraphNode, values: np.ndarray) -> np.ndarray:
    return np.squeeze(values, axis=node.integers("squeeze_dims") or None)


def _expand(node: GraphNode, values: np.ndarray, axis: np.ndarray) -> np.ndarray:
    return np.expand_dims(values, int(axis))


def _concatenate(node: GraphNode, *values: np.ndarray) -> np.ndarray:
    return np.concatenate(values[:-1], axis=int(values[-1]))


def _cast(node: GraphNode, values: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    return values.astype(tf.dtypes.as_dtype(node.attributes["DstT"].type).as_numpy_dtype)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda node, *values: function(*values)


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": _plain(np.add),
    "AddV2": _plain(np.add),
    "BiasAdd": _plain(np.add),
    "Sub": _plain(np.subtract),
    "Mul": _plain(np.multiply),
    "Div": _plain(np.divide),
    "RealDiv": _plain(np.divide),
    "Maximum": _plain(np.maximum),
    "Minimum": _plain(np.minimum),
    "Neg": _plain(np.negative),
    "Square": _plain(np.square),
    "Sqrt": _plain(np.sqrt),
    "Rsqrt": _plain(lambda values: 1 / np.sqrt(values)),
    "Reciprocal": _plain(lambda values: 1 / values),
}

FOLDED: Mapping[str, Callable[..., Any]] = {
    **_ARITHMETIC,
    **{op: _plain(lambda values: values) for op in PASSES_ON if op != "Cast"},
    "Cast": _cast,
    "StridedSlice": _strided_slice,
    "Pack": _pack,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "ExpandDims": _expand,
    "ConcatV2": _concatenate,
}
