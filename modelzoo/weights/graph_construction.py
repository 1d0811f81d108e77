"""A Keras network under way, while it is built node by node from a TensorFlow graph.

::

        tensor = work.call(keras.layers.ReLU(name=work.named("conv1/Relu")), work.tensors["conv1/BiasAdd"])

Building one node needs to know more than the node: what was built before, which of its inputs are constants, who else
reads it, which names are taken. All of that stands here, and what the network will need once it is whole: the arrays of
its layers, and which layer stands for which node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.graph_nodes import GraphNode

__all__ = ["Construction"]


@dataclass(frozen=True, eq=False)
class Construction:
    """A network under way.

    Attributes
    ----------
    where
        The file, for errors.
    nodes
        All of the graph.
    constants
        ``{node: array}``.
    end
        Node of the answer.
    order
        The nodes that are built, in order.
    tensors
        ``{node: Keras tensor}`` of those that are built.
    arrays
        ``{"layer/variable": array}``.
    names
        ``{node: layer}``.
    """

    where: str
    nodes: Mapping[str, GraphNode]
    constants: dict[str, np.ndarray]
    end: str
    order: tuple[GraphNode, ...]
    tensors: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    _layer_of: dict[int, str] = field(default_factory=dict)

    @cached_property
    def readers(self) -> dict[str, list[GraphNode]]:
        """Which of the nodes that are built read each node."""
        readers: dict[str, list[GraphNode]] = {}
        for node in self.order:
            for name in node.inputs:
                readers.setdefault(name, []).append(node)
        return readers

    def named(self, name: str) -> str:
        """Give a node's name as Keras takes it, different from all given before."""
        plain = name.replace("/", ".")
        free, n = plain, 1
        while free.casefold() in self._taken:
            n += 1
            free = f"{plain}_{n}"
        self._taken.add(free.casefold())
        return free

    def address_of(self, tensor: Any) -> str:
        """Name of the layer that gives a tensor of this construction."""
        return self._layer_of[id(tensor)]

    def open(self, node: GraphNode, shape: tuple[int | None, ...]) -> Any:
        """Make the input that stands for a node."""
        name = self.named(node.name)
        tensor = keras.Input(shape, name=name)
        self.tensors[node.name] = tensor
        self._layer_of[id(tensor)] = name
        return tensor

    def refuse(self, node: GraphNode, why: str) -> WeightsError:
        """Make the error that names a node."""
        return WeightsError(f"{self.where}: {node.op} {node.name!r}: {why}")

    def call(self, layer: keras.Layer, tensors: Any, **arrays: np.ndarray) -> Any:
        """Call a layer and keep the arrays of its variables."""
        result = layer(tensors)
        self._layer_of[id(result)] = layer.name
        self.arrays.update({f"{layer.name}/{variable}": array for variable, array in arrays.items()})
        return result

    def constant(self, node: GraphNode, place: int, what: str) -> np.ndarray:
        """Give the constant that a node reads at a place.

        Raises
        ------
        WeightsError
            Where it is computed from the picture, or not there.
        """
        if place >= len(node.inputs) or node.inputs[place] not in self.constants:
            found = repr(node.inputs[place]) if place < len(node.inputs) else "nothing"
            raise self.refuse(node, f"its {what} is {found}; expected a constant")
        return self.constants[node.inputs[place]]
