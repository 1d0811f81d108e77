"""How pictures, and whatever else a network takes, come into it.

    contributions(net, pictures, "conv")                                    # one input: the pictures fill it
    contributions(two, pictures, "conv", given={"patient": ages})           # two: the pictures fill the other one

A network of several inputs is told the values of all but one; that one takes the pictures. Those values go in as they
are, on the scale the network was trained on; one row serves all pictures, or there is one for each.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from modelzoo import GraphError, Network
from modelzoo.graph import Node

__all__ = ["Given", "feeds_of", "given_tensors", "picture_input", "rows_of"]

Given = Mapping[str, Any]


def picture_input(net: Network, given: Given | None = None) -> Node:
    """Find the input that the pictures fill: the only one whose values are not given.

    Raises
    ------
    GraphError
        Where none or several inputs are left, and for an input the network does not have, naming all.
    """
    inputs = {net.graph.nodes[ref.node].address: net.graph.nodes[ref.node] for ref in net.graph.inputs}
    for name in given or {}:
        if name not in inputs:
            near = difflib.get_close_matches(name, inputs, n=1, cutoff=0.0)
            raise GraphError(
                f"{net.name} has no input {name!r}; did you mean {near[0]!r}? Its inputs: {', '.join(inputs)}"
            )
    left = [name for name in inputs if name not in (given or {})]
    if len(left) == 1:
        return inputs[left[0]]
    if not left:
        raise GraphError(f"all inputs of {net.name} are given ({', '.join(inputs)}), none is left for the pictures")
    example = ", ".join(f"{name!r}: array" for name in left[1:])
    raise GraphError(
        f"{net.name} has {len(inputs)} inputs ({', '.join(inputs)}); pictures fill only one. Say the values of the "
        f"others, as given={{{example}}}"
    )


def given_tensors(given: Given | None, begin: int, n: int, total: int) -> dict[str, Any]:
    """Give the rows of a batch, ``(n, ...)`` each.

    Parameters
    ----------
    given
        ``(total, ...)`` or ``(1, ...)`` by address.
    begin, n
        First picture of the batch, and how many it has.
    total
        Number of all pictures.

    Raises
    ------
    GraphError
        Where the number of rows is neither 1 nor that of the pictures.
    """
    rows = {}
    for name, value in (given or {}).items():
        values = np.asarray(value)
        values = values.astype(np.float32) if values.dtype.kind == "f" else values
        if values.ndim == 0 or len(values) not in (1, total):
            found = f"the shape {values.shape}"
            raise GraphError(
                f"the values of the input {name!r} have {found}; expected 1 row, or one for each of {total}"
            )
        rows[name] = tf.constant(np.repeat(values, n, axis=0) if len(values) == 1 else values[begin : begin + n])
    return rows


def rows_of(given: Given | None, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Give the values of other inputs for some pictures, by their numbers; one row that serves all stays one."""
    values = {name: np.asarray(value) for name, value in (given or {}).items()}
    return {name: value if value.ndim == 0 or len(value) == 1 else value[rows] for name, value in values.items()}


def feeds_of(net: Network, entry: Node, pictures: Any, given: Mapping[str, Any]) -> dict[int, Any]:
    """Give the values of all inputs by node index, as many rows each: pictures are preprocessed, the rest is not."""
    feeds = {entry.index: net.preprocess(pictures)}
    for name, value in given.items():
        node = net.graph[name]
        feeds[node.index] = tf.cast(value, node.operation.dtype)
    return feeds
