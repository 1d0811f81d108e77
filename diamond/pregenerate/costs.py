"""What a step costs, layer by layer, before any is taken.

    >>> cost = layer_costs(net, net.layers.landmarks, 128)["block9_add"]
    >>> f"{cost.macs:,.0f}", f"{cost.values:,.0f}", cost.nodes
    ('68,725,760', '5,490,688', 86)

A step is a pass forward to the layer and back to the picture: its time follows the multiplications and the values that
are moved, for so many pictures at once. Both are counted on the canvas itself, from the shapes that the network gives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from modelzoo import Layer, Network
from modelzoo.graph import Node

__all__ = ["Cost", "Rates", "fit_rates", "layer_costs"]


class Cost(NamedTuple):
    """What one forward pass of one picture to a layer takes.

    Attributes
    ----------
    macs
        Multiply-accumulate operations.
    values
        Numbers that its nodes give.
    nodes
        Number of nodes: what compiling takes follows it.
    """

    macs: float
    values: float
    nodes: int


class Rates(NamedTuple):
    """What a machine needs.

    Attributes
    ----------
    s_per_mac, s_per_value
        Seconds of a step (forward and back) for one multiplication and one value of the forward pass.
    s_per_picture
        Seconds of a step for one picture, whatever the layer: to develop it, move it and change it.
    s_per_node
        Seconds to compile a recipe's steps and the measuring, for one node.
    measuring_steps
        Steps that take as long as measuring a finished picture under all transforms.
    """

    s_per_mac: float
    s_per_value: float
    s_per_picture: float
    s_per_node: float
    # A forward pass is a third of a step, and there are 32 transforms.
    measuring_steps: float = 32 / 3

    def step_s(self, cost: Cost) -> float:
        """Seconds of a step for one picture."""
        return cost.macs * self.s_per_mac + cost.values * self.s_per_value + self.s_per_picture

    def compile_s(self, cost: Cost) -> float:
        """Seconds to compile for a layer."""
        return cost.nodes * self.s_per_node


# Of two cores of a server of 2024: what a progress line weighs layers by before anything is measured.
USUAL = Rates(s_per_mac=4e-11, s_per_value=1.2e-8, s_per_picture=1e-3, s_per_node=0.05)


def layer_costs(net: Network, layers: Iterable[Layer], size: int | tuple[int, int]) -> dict[str, Cost]:
    """Count what a forward pass of one picture to each layer takes, on a canvas of `size` pixels.

    Raises
    ------
    ValueError
        Where a layer cannot be computed on the canvas.
    """
    chosen = list(layers)
    height, width = (size, size) if isinstance(size, int) else size
    colours = 1 if net.input.channels == 1 else 3
    of_layer = {layer.name: net.graph.ancestors([net.node(layer)]) for layer in chosen}
    nodes = {node.index: node for found in of_layer.values() for node in found if not node.is_input}
    wanted = [nodes[index] for index in sorted(nodes)]
    traced = tf.function(lambda pictures: net.forward(pictures, wanted), autograph=False)
    given = traced.get_concrete_function(tf.TensorSpec((1, height, width, colours), tf.float32)).structured_outputs
    shapes = {node.index: tuple(value.shape)[1:] for node, value in zip(wanted, given, strict=True)}
    return {
        name: Cost(
            macs=float(sum(_macs(node, shapes[node.index]) for node in found if not node.is_input)),
            values=float(sum(math.prod(shapes[node.index]) for node in found if not node.is_input)),
            nodes=len(found),
        )
        for name, found in of_layer.items()
    }


def fit_rates(
    costs: list[Cost], step_s: list[float], compile_s: list[float], measure_s: list[float] | None = None
) -> Rates:
    """Find the rates that explain what was measured, none of them below zero.

    Parameters
    ----------
    costs
        Of the layers measured.
    step_s, compile_s, measure_s
        Seconds of a step for one picture, of compiling, and of measuring one picture, of each.
    """
    table = np.array([[cost.macs, cost.values, 1.0] for cost in costs])
    seconds = np.array(step_s)
    # Shares of the time matter, not seconds: a deep layer must not drown the shallow ones.
    mac, value, picture = _least_squares(table / seconds[:, None], np.ones(len(seconds)))
    per_node = sum(compile_s) / max(1, sum(cost.nodes for cost in costs))
    measuring = Rates._field_defaults["measuring_steps"] if measure_s is None else sum(measure_s) / sum(step_s)
    return Rates(mac, value, picture, per_node, measuring)


def _least_squares(table: np.ndarray, wanted: np.ndarray) -> list[float]:
    """Solve for numbers that are not below zero; with three unknowns all choices of those above it can be tried."""
    best, least = np.zeros(table.shape[1]), np.inf
    for n in range(1, table.shape[1] + 1):
        for columns in itertools.combinations(range(table.shape[1]), n):
            part = table[:, columns]
            found = np.linalg.lstsq(part / (scale := part.max(axis=0)), wanted, rcond=None)[0] / scale
            off = float(np.sum((part @ found - wanted) ** 2))
            if (found >= 0).all() and off < least * 0.999:
                best, least = np.zeros(table.shape[1]), off
                best[list(columns)] = found
    return list(best.tolist())


def _macs(node: Node, shape: tuple[Any, ...]) -> float:
    """One multiplication for each place of the output and each number of a kernel."""
    kernels = [math.prod(variable.shape) for variable in node.weights if len(variable.shape) >= 2]
    return math.prod(shape[:-1]) * sum(kernels)
