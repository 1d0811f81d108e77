"""Where in a network values stopped being numbers.

A single infinite weight makes every attribution NaN, and a page full of NaN tells nobody why. So the nodes are gone
through in order, for one picture, up to the first that gives what is no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from diamond.attribution.feeding import feeds_of
from modelzoo import Network
from modelzoo.graph import Node

__all__ = ["what_broke"]


def what_broke(net: Network, node: Node, entry: Node, batch: Any, given: Mapping[str, Any], values: np.ndarray) -> str:
    """Word the error for values that are NaN or infinite, naming the first layer that gives such.

    Parameters
    ----------
    net, node
        Network, and the layer whose values were asked for.
    entry, given
        The input that takes the pictures, and the values of the others.
    batch
        ``(batch, height, width, 3)`` in [0, 1].
    values
        ``(batch, ...)``, some not finite.
    """
    bad = [i for i in range(len(values)) if not _finite(values[i])]
    row = slice(bad[0], bad[0] + 1)
    alone = {name: value[row] for name, value in given.items()}
    known: dict[int, Any] = {i: (value,) for i, value in feeds_of(net, entry, batch[row], alone).items()}
    where = f"for {len(bad)} of {len(values)} pictures"
    until = [node] if net.trained_to is not None else [node, net.logits_node]
    for step in net.graph.ancestors(until):
        if step.index not in known:
            known[step.index] = step.compute(*(known[ref.node][ref.output] for ref in step.inputs))
        if _finite(known[step.index][0]):
            continue
        cause = "its weights are finite" if all(map(_finite, step.weights)) else "its weights hold such values"
        after = "" if step.index <= node.index else f"; it lies after {node.address!r}"
        begin = f"the values of {node.address!r} cannot be told {where}: "
        return f"{begin}from {step.address!r} on the activations are NaN or infinite, and {cause}{after}"
    return f"the gradient of the class score is NaN or infinite at {node.address!r} {where}, all activations are finite"


def _finite(values: Any) -> bool:
    array = np.asarray(values)
    return array.dtype.kind in "biu" or bool(np.isfinite(array.astype(np.float32)).all())
