"""Which weights are the classifier's.

Some files hold a network up to its last features and no further: Keras calls them "notop". The network then answers for
everything before the classifier, whose weights stay random, and must say so. For that one has to tell a file that lacks
the classifier from one that lacks something else::

    >>> classifier_variables(net.graph, net.model, net.landmarks)
    ('logits/kernel', 'logits/bias')

The classifier is what no landmark with height and width depends on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelzoo.weights.mapping import variable_addresses

if TYPE_CHECKING:
    import keras

    from modelzoo.graph import Graph, Node

__all__ = ["classifier_variables", "last_features"]


def classifier_variables(graph: Graph, model: keras.Model, landmarks: Iterable[str]) -> tuple[str, ...]:
    """Give the addresses of the classifier's variables, in network order; none where no landmark has space."""
    places = _with_space(graph, landmarks)
    if not places:
        return ()
    held = {id(variable) for node in graph.ancestors(places) for variable in node.weights}
    return tuple(address for address, variable in variable_addresses(model).items() if id(variable) not in held)


def last_features(graph: Graph, landmarks: Iterable[str]) -> str:
    """Give the address of the last landmark that has height and width."""
    return max(_with_space(graph, landmarks), key=lambda node: node.index).address


def _with_space(graph: Graph, landmarks: Iterable[str]) -> list[Node]:
    nodes = [graph[address] for address in landmarks]
    return [node for node in nodes if len(node.shape) == 4 and node.shape[1:3] != (1, 1)]
