"""Where a network can be cut, and what it costs up to there.

    >>> [layer.name for layer in cut_layers(net)][:3]
    ['stem_relu', 'block0_project_bn', 'block2_add']
    >>> cut_costs(net, cut_layers(net))["block9_add"]
    CutCost(parameters=543776, multiply_adds=210472640.0, peak_bytes=9633792)

A network is cut at a layer by keeping the layer with all that it is computed from; it need not be the only way through
the network (a NASNet, whose cells read the last two, has no such place between stem and head).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from diamond.pregenerate.costs import layer_costs
from modelzoo import Layer, Network
from modelzoo.attributes import describe
from modelzoo.graph import Node

__all__ = ["CutCost", "cut_costs", "cut_layers", "latency_s"]

# Sides of pictures for networks that take any.
USUAL_PX = 224
ROUNDS = 7


class CutCost(NamedTuple):
    """What a network takes up to a layer, for one picture.

    Attributes
    ----------
    parameters
        Numbers of all weights on the way.
    multiply_adds
        Multiplications, each with its addition.
    peak_bytes
        Most that the layers' outputs hold at once, in float32; an output is held until the last layer that reads it.
    """

    parameters: int
    multiply_adds: float
    peak_bytes: int


def cut_layers(net: Network, layers: Iterable[str | Layer] | None = None) -> tuple[Layer, ...]:
    """Give the layers to cut at: those named, or all landmarks and the last layer with features.

    Where a network names no landmarks, every layer that is not just another's copy.

    Raises
    ------
    UnknownLayerError
        For a layer the network does not have, naming the nearest.
    """
    if layers is not None:
        return tuple(dict.fromkeys(net.layers[layer.name if isinstance(layer, Layer) else layer] for layer in layers))
    last = net.layers[net.pre_output_layer] if isinstance(net.pre_output_layer, str) else net.pre_output_layer
    wanted = [*net.layers.landmarks, last] if net.layers.landmarks else [*net.layers, last]
    found = [layer for layer in dict.fromkeys(wanted) if len(layer.output_shape) in (2, 4)]
    order = {layer.name: place for place, layer in enumerate(net.layers)}
    found.sort(key=lambda layer: order.get(layer.name, len(order)))
    return tuple(_apart(net, found))


def cut_costs(net: Network, layers: Sequence[Layer]) -> dict[str, CutCost]:
    """Count what each cut costs, by address, for pictures of the network's own size."""
    spec = net.input
    size = (spec.height or USUAL_PX, spec.width or USUAL_PX)
    counted = layer_costs(net, layers, size)
    shapes = _shapes(net, layers, size)
    found = {}
    for layer in layers:
        before = net.graph.ancestors([net.node(layer)])
        weights = {
            id(weight): math.prod(weight.shape) for node in before if not node.is_input for weight in node.weights
        }
        found[layer.name] = CutCost(sum(weights.values()), counted[layer.name].macs, _peak(before, shapes))
    return found


def latency_s(net: Network, layer: Layer, *, rounds: int = ROUNDS) -> float:
    """Measure the seconds from one picture to a layer: the median of some runs, compilation apart."""
    spec, node = net.input, net.node(layer)
    picture = tf.zeros((1, spec.height or USUAL_PX, spec.width or USUAL_PX, 1 if spec.channels == 1 else 3))
    run = net.compiled(("latency", node.address), lambda: lambda shown: net.forward(shown, [node]))
    run(picture)
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run(picture)[0].numpy()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def _apart(net: Network, layers: Iterable[Layer]) -> list[Layer]:
    """Leave out layers that give what the one before gives: a dropout, an identity, the mean over its places."""
    found: list[Layer] = []
    for layer in layers:
        if found and (net.fingerprint(layer) == net.fingerprint(found[-1]) or _is_mean_of(net, layer, found[-1])):
            continue
        found.append(layer)
    return found


def _is_mean_of(net: Network, layer: Layer, before: Layer) -> bool:
    node = net.node(layer)
    pools = describe(node)["op"] == "global_pooling" and describe(node)["mode"] == "average"
    return pools and node.inputs[0].node == net.node(before).index


def _shapes(net: Network, layers: Sequence[Layer], size: tuple[int, int]) -> dict[int, tuple[int, ...]]:
    nodes = [node for node in net.graph.ancestors([net.node(layer) for layer in layers]) if not node.is_input]
    colours = 1 if net.input.channels == 1 else 3
    traced = tf.function(lambda pictures: net.forward(pictures, nodes), autograph=False)
    given = traced.get_concrete_function(tf.TensorSpec((1, *size, colours), tf.float32)).structured_outputs
    found = {node.index: tuple(value.shape)[1:] for node, value in zip(nodes, given, strict=True)}
    entries = [node for node in net.graph.ancestors(nodes) if node.is_input]
    return found | {node.index: (*size, colours) for node in entries}


def _peak(order: Sequence[Node], shapes: dict[int, tuple[int, ...]]) -> int:
    last = {ref.node: node.index for node in order for ref in node.inputs}
    held = most = 0
    for node in order:
        held += math.prod(shapes[node.index])
        most = max(most, held)
        held -= sum(math.prod(shapes[i]) for i in {ref.node for ref in node.inputs} if last[i] == node.index)
    return 4 * most
