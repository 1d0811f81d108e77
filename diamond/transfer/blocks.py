"""A network as blocks: what lies between one landmark and the next.

    >>> [block.name for block in blocks(student)]
    ['stem_relu', 'block0_project_bn', 'block2_add', 'block4_add', 'head']
    >>> unfreeze(student, 2)                            # the two frozen blocks nearest to the head
    ('block2_add', 'block4_add')

Freezing and unfreezing go by blocks, which is what people mean by "the top of the network": a number of Keras layers counts
paddings and activations, and ends in the middle of a residual.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

import keras

from modelzoo import Network, UnknownLayerError

__all__ = ["Block", "blocks", "unfreeze"]

HEAD = "head"


@dataclass(frozen=True, eq=False)
class Block:
    """Layers between one landmark and the next.

    Attributes
    ----------
    name
        Address of the landmark it ends in; ``"head"`` for what comes after the last.
    layers
        The Keras layers with weights, in order.
    """

    name: str
    layers: tuple[keras.Layer, ...] = field(repr=False)

    @property
    def variables(self) -> list[keras.Variable]:
        """What training would change, frozen now or not: kernels and biases; not the batch norms', which stay."""
        return [variable for layer in self.layers for variable in _learnable(layer)]

    @property
    def is_frozen(self) -> bool:
        """Whether no layer of it learns."""
        return not any(layer.trainable_weights for layer in self.layers)


def _learnable(layer: keras.Layer) -> list[keras.Variable]:
    if isinstance(layer, keras.layers.BatchNormalization):
        return []
    was = layer.trainable
    # Keras tells statistics and seeds from weights only in a layer that is not frozen.
    layer.trainable = True
    try:
        return list(layer.trainable_weights)
    finally:
        layer.trainable = was


def blocks(net: Network) -> tuple[Block, ...]:
    """Part a network's layers with weights at its landmarks; each layer stands in the first block that needs it."""
    taken: set[int] = set()
    found = []
    ends = [(name, net.node(name)) for name in net.landmarks]
    for name, node in [*ends, (HEAD, net.graph.nodes[net.graph.outputs[0].node])]:
        layers: dict[int, keras.Layer] = {}
        for one in net.graph.ancestors([node]):
            if id(one.operation) not in taken and one.weights:
                layers.setdefault(id(one.operation), one.operation)
        taken |= set(layers)
        if layers:
            found.append(Block(name, tuple(layers.values())))
    return tuple(found)


def unfreeze(net: Network, which: int | Sequence[str]) -> tuple[str, ...]:
    """Let blocks learn, but for their batch norms, which keep their means and scales.

    Parameters
    ----------
    net
        A student.
    which
        How many of the frozen blocks, counted from the head down, or their names.

    Returns
    -------
    tuple of str
        The blocks' names, in the order of the network.

    Raises
    ------
    ValueError
        For a number below 0.
    UnknownLayerError
        For a block that is not there, naming the nearest.
    """
    every = blocks(net)
    if isinstance(which, int):
        if which < 0:
            raise ValueError(f"unfreeze is {which}; expected 0 or more blocks, or their names")
        frozen = [block for block in every if block.is_frozen]
        chosen = frozen[len(frozen) - min(which, len(frozen)) :]
    else:
        by_name = {block.name: block for block in every}
        for name in which:
            if name not in by_name:
                near = difflib.get_close_matches(str(name), by_name, n=2, cutoff=0.3)
                hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
                raise UnknownLayerError(f"no block {name!r}{hint} There are {', '.join(by_name)}")
        chosen = [block for block in every if block.name in set(which)]
    for block in chosen:
        for layer in block.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return tuple(block.name for block in chosen)
