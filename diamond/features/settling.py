"""What an objective leaves to the network: looked up, and checked before anything is compiled.

    settled = settle(question, channel("block9_add", 11), size=(128, 128))

A class that was named gets its number here, and whatever a network cannot give is refused with what it could: a channel
out of range, a place outside the map, a canvas too small for the layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import tensorflow as tf

from diamond.features.ascent import Question
from diamond.features.objectives import CENTRE, LOGITS, Objective, Term
from modelzoo import Network
from modelzoo.geometry import least_size
from modelzoo.graph import Node

__all__ = ["RenderError", "layer_shapes", "node_of", "settle", "unreachable"]

Size = tuple[int, int]
Shapes = dict[str, tuple[int, ...]]


class RenderError(RuntimeError):
    """Objectives that a network cannot be rendered for, or images that did not stay finite.

    Examples
    --------
    >>> dc.render(net, dc.channel("block9_add", 112))
    Traceback (most recent call last):
        ...
    diamond.features.settling.RenderError: no channel 112 in 'block9_add': its 112 channels run from 0 to 111
    """


def node_of(net: Network, layer: str) -> Node:
    """Find the node that an objective's layer names."""
    return net.logits_node if layer == LOGITS else net.node(layer)


def settle(question: Question, objective: Objective, *, shapes: Callable[[], Shapes], size: Size) -> Objective:
    """Look up what only the network knows: the number of a class that was named; check what it cannot have.

    Parameters
    ----------
    question
        The network and the nodes asked for.
    objective
        What somebody asked.
    shapes
        Gives `layer_shapes`; called where places are named.
    size
        ``(height, width)`` of the canvas.

    Raises
    ------
    RenderError
        Naming what was found, and what there is.
    """
    return Objective(tuple(_checked(question, term, shapes, size) for term in objective.terms))


def layer_shapes(question: Question, size: Size, colours: int) -> Shapes:
    """Shape of what each layer gives for one image of this canvas.

    Raises
    ------
    RenderError
        Where the canvas is too small.
    """
    layers = {layer: node for (layer, _), node in question.nodes.items()}
    traced = tf.function(lambda pictures: question.net.forward(pictures, list(layers.values())), autograph=False)
    try:
        found = traced.get_concrete_function(tf.TensorSpec((1, *size, colours), tf.float32)).structured_outputs
    except ValueError as error:
        raise RenderError(unreachable(question, size, error)) from error
    return {layer: tuple(value.shape[1:]) for layer, value in zip(layers, found, strict=True)}


def unreachable(question: Question, size: Size, error: Exception) -> str:
    """Word the error for a canvas on which the layers cannot be computed."""
    layers = ", ".join(dict.fromkeys(layer for layer, _ in question.nodes))
    spec, (height, width) = question.net.input, size
    sizes = [least_size(question.net.graph, node) for node in question.nodes.values()]
    least = max(of[0] for of in sizes), max(of[1] for of in sizes)
    hint = f"; the network was made for {spec.height} x {spec.width} px: try that" if spec.height else ""
    if height < least[0] or width < least[1]:
        hint = f"; the least is {least[0]} x {least[1]} px"
    first = str(error).strip().splitlines()[0]
    return f"{layers} cannot be computed on a canvas of {height} x {width} px{hint} ({first})"


def _checked(question: Question, term: Term, shapes: Callable[[], Shapes], size: Size) -> Term:
    if not term.layer:
        return term
    node = node_of(question.net, term.layer)
    if len(node.shape) < 2 or node.shape[-1] is None:
        raise RenderError(f"{node.address!r} gives {node.shape[1:]} for a picture: it has no channels to look at")
    if "row" in term.parameters and len(node.shape) == 3:
        raise RenderError(f"{node.address!r} gives {node.shape[1:]} for a picture: no places in rows and columns")
    channels = int(node.shape[-1])
    index = term.parameters.get("index")
    if index is not None and index == CENTRE:
        label = term.words.removeprefix("logit ")
        index = np.asarray(question.net.class_index(label), np.int32)
        term = replace(term, parameters={**term.parameters, "index": index})
    if index is not None and index >= channels:
        raise RenderError(
            f"no channel {index} in {node.address!r}: its {channels} channels run from 0 to {channels - 1}"
        )
    vector = term.parameters.get("vector")
    if vector is not None and len(vector) != channels:
        raise RenderError(f"a direction of {len(vector)} numbers in {node.address!r}, which has {channels} channels")
    _check_places(term, node, shapes, size)
    return term


def _check_places(term: Term, node: Node, shapes: Callable[[], Shapes], size: Size) -> None:
    row, column, target = (term.parameters.get(name) for name in ("row", "column", "target"))
    canvas = " x ".join(map(str, size))
    if target is not None and target.shape != shapes()[term.layer]:
        raise RenderError(
            f"activations of shape {target.shape} to come close to in {node.address!r}, which gives "
            f"{shapes()[term.layer]} on a canvas of {canvas} px: take them from one picture of that size"
        )
    if row is None or column is None or row == CENTRE:
        return
    grid = shapes()[term.layer][:-1]
    if len(grid) == 2 and (row >= grid[0] or column >= grid[1]):
        raise RenderError(
            f"no place ({row}, {column}) in {node.address!r}: on a canvas of {canvas} px it has {grid[0]} rows and "
            f"{grid[1]} columns, counted from 0"
        )
