"""The part of a network up to a layer, as layers of its own.

::

    >>> trunk = clone_trunk(net.graph, net.graph["block4_add"])
    >>> trunk.output.shape, trunk.names["block4_add"]
    ((None, 28, 28, 40), 'block4_add')

Keras freezes layers, not networks: ``layer.trainable = False`` on a trunk that is shared with the network it was cut from
freezes that network too, and training one changes the other. So every layer is made anew, with a copy of its weights. A
network with models nested in it becomes a flat one, whose layers carry their address in their name. What does nothing but
in training (a dropout) is left out: a frozen part gives the same in training as elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from modelzoo.attributes import describe
from modelzoo.graph import Graph, GraphError, Node

__all__ = ["Trunk", "clone_trunk"]


@dataclass(frozen=True, eq=False)
class Trunk:
    """Copies of a network's layers, as a piece of a Keras graph.

    Attributes
    ----------
    input, output
        Keras tensors; a model of both is the part that was copied.
    layers
        The copies that are layers, in order.
    names
        By address in the network, the address of each copy; a layer that was left out has that of what it passes on.
    """

    input: Any
    output: Any
    layers: tuple[keras.Layer, ...]
    names: Mapping[str, str]


def clone_trunk(graph: Graph, node: Node) -> Trunk:
    """Copy the part of a network that a node depends on.

    Parameters
    ----------
    graph
        The network.
    node
        The last node of the part.

    Raises
    ------
    GraphError
        Where the part has several inputs, or a layer cannot be made again from its configuration.
    """
    order = graph.ancestors([node])
    entries = [one for one in order if one.is_input]
    if len(entries) != 1:
        raise GraphError(f"{node.address!r} is computed from {len(entries)} inputs; expected one")
    copying = _Copying(node)
    entry = entries[0]
    given = keras.Input(entry.shape[1:], name=_named(entry.address), dtype=entry.operation.dtype)
    copying.names[entry.address] = _named(entry.address)
    [output] = graph.evaluate({entry.index: given}, [node], replace=copying.in_place_of)
    for operation, copy in copying.pairs:
        if isinstance(copy, keras.Layer) and operation.weights:
            copy.set_weights(operation.get_weights())
    copies = tuple(copy for _, copy in copying.pairs if isinstance(copy, keras.Layer))
    return Trunk(given, output, copies, _passed_on(order, copying.names))


class _Copying:
    """Copies of operations, one for each however often it is called."""

    def __init__(self, last: Node) -> None:
        self.last = last
        self.names: dict[str, str] = {}
        self._copies: dict[int, tuple[Any, Any]] = {}
        self._calls: dict[str, int] = {}

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """Operations with their copies, in the order of their first calls."""
        return list(self._copies.values())

    def in_place_of(self, node: Node) -> Any:
        """Give what runs in a node's place."""
        if describe(node)["op"] == "identity" and len(node.inputs) == 1:
            return _itself
        if node.part == "activation":
            # The copy of the layer has computed it already, in the place of the layer's linear part.
            return _itself
        copy = self._copy(node)
        self._calls[copy.name] = call = self._calls.get(copy.name, 0) + 1
        self.names[node.address] = copy.name if call == 1 else f"{copy.name}@{call}"
        return replace(node, operation=copy, part="whole").compute

    def _copy(self, node: Node) -> Any:
        operation = node.operation
        if id(operation) not in self._copies:
            changes = {"activation": None} if node is self.last and node.part == "linear" else {}
            self._copies[id(operation)] = operation, _made_again(operation, _named(node.address), changes)
        return self._copies[id(operation)][1]


def _itself(*tensors: Any) -> Any:
    return tensors[0]


def _named(address: str) -> str:
    # Keras takes no "/" in a name; what stands behind ":" and "@" is a part or a call, not the layer.
    return address.split(":")[0].split("@")[0].replace("/", ".")


def _made_again(operation: Any, name: str, changes: Mapping[str, Any]) -> Any:
    if isinstance(operation, keras.layers.Lambda):
        # Its configuration holds code, which Keras reads only where one trusts it; the function is at hand.
        return keras.layers.Lambda(
            operation.function, output_shape=operation._output_shape, arguments=operation.arguments, name=name
        )
    try:
        return type(operation).from_config({**operation.get_config(), **changes, "name": name})
    except (NotImplementedError, TypeError, ValueError) as error:
        kind = f"{type(operation).__module__}.{type(operation).__qualname__}"
        raise GraphError(
            f"{operation.name!r}, a {kind}, cannot be made again from its configuration ({error}); expected a layer "
            "with get_config and from_config"
        ) from error


def _passed_on(order: list[Node], names: Mapping[str, str]) -> dict[str, str]:
    """Add the nodes that were left out, under the name of what they pass on."""
    found: dict[str, str] = {}
    by_index = {node.index: node.address for node in order}
    for node in order:
        found[node.address] = names[node.address] if node.address in names else found[by_index[node.inputs[0].node]]
    return found
