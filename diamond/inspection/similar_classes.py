"""Which classes a network holds to be like another, by its own classifier.

    >>> [net.class_label(index) for index in similar_classes(net, net.class_index("tabby"))]
    ['tiger cat', 'measuring cup']

The last layer holds a vector of weights for each class: what its features should be like. Two classes whose vectors point
the same way are named for the same features. What all vectors have in common changes no softmax, so it is taken away first.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from modelzoo import GraphError, Network
from modelzoo.attributes import describe

__all__ = ["class_cosines", "similar_classes"]

_PASSES_ON = {"identity", "flatten", "reshape", "affine", "global_pooling"}


def similar_classes(net: Network, index: int) -> tuple[int, int]:
    """Give the class most like another, and the one least like it.

    Parameters
    ----------
    net
        The network.
    index
        The class.

    Raises
    ------
    GraphError
        Where the scores are not made by a dense layer or a convolution of 1 x 1, or there are fewer than two classes.
    """
    cosines = class_cosines(net, index)
    if len(cosines) < 2:
        raise GraphError(f"{net.name} has {len(cosines)} class; nothing is similar to it or unlike it")
    cosines[index] = np.nan
    return int(np.nanargmax(cosines)), int(np.nanargmin(cosines))


def class_cosines(net: Network, index: int) -> np.ndarray:
    """Give the cosine of every class's weights with those of one, ``(class,)``, less what all have in common.

    Raises
    ------
    GraphError
        As `similar_classes` does.
    """
    node = net.logits_node
    while len(node.inputs) == 1 and describe(node)["op"] in _PASSES_ON:
        node = net.graph.nodes[node.inputs[0].node]
    layer: Any = node.operation
    is_dense = isinstance(layer, keras.layers.Dense)
    is_pointwise = isinstance(layer, keras.layers.Conv2D) and tuple(layer.kernel_size) == (1, 1) and layer.groups == 1
    if node.part == "activation" or not (is_dense or is_pointwise):
        raise GraphError(
            f"the class scores of {net.name} are made by {node.address!r} ({node.kind}), which has no weights for each "
            "class to compare; say similar= and dissimilar= yourself"
        )
    weights = np.asarray(layer.kernel, np.float64).reshape(-1, layer.kernel.shape[-1]).T
    weights -= weights.mean(axis=0)
    sizes = np.sqrt((weights**2).sum(axis=1))
    return np.asarray(weights @ weights[index] / np.maximum(sizes * sizes[index], 1e-30))
