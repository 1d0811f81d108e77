"""What a nonlinearity hides from an optimiser, and two ways past it.

A channel that a faint noise leaves at zero has no gradient at all, and its image stays grey however long one optimises:
7 of 8 channels of the head of EfficientNet-Lite0 do.

*Redirected* gradients: for the first steps, and only for an image whose gradient a ReLU blocks altogether, the gradient
is let through wherever it would push the blocked value towards life. The idea is Lucid's
(``misc/redirected_relu_grad``); true gradients count as soon as there are any.

TensorFlow keeps every custom gradient for ever, and with it the whole graph it was traced in: a gigabyte after some
hundred layers. So a gradient of our own is traced once in a function of its own, which all graphs call, and SiLU, whose
gradient in TensorFlow is a custom one, is *unregistered*: written out as the product it is.

Values *before the nonlinearity*: an objective measures what goes into a layer's own ReLU instead of what comes out,
through concatenations to the ReLUs of all branches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from modelzoo.attributes import describe
from modelzoo.graph import Graph, Node

__all__ = ["redirect", "sources_before", "unregistered", "values_before"]


def redirect(node: Node) -> Callable[..., Any] | None:
    """Replace a ReLU or ReLU6 by one with redirected gradients; else as `unregistered` (for `Graph.evaluate`)."""
    return {"relu": _relu, "relu6": _relu6}.get(str(node.nonlinearity), unregistered(node))


def unregistered(node: Node) -> Callable[..., Any] | None:
    """Replace SiLU by one without a custom gradient; leave any other node (for `Graph.evaluate`)."""
    return _silu if node.nonlinearity == "silu" else None


def sources_before(graph: Graph, node: Node) -> list[Node]:
    """Name the nodes whose values make up a layer before its own nonlinearity."""
    if node.nonlinearity not in (None, "linear"):
        return [graph.nodes[node.inputs[0].node]]
    if describe(node)["op"] in ("concatenate", "identity"):
        return [source for ref in node.inputs for source in sources_before(graph, graph.nodes[ref.node])]
    return [node]


def values_before(graph: Graph, node: Node, values: Mapping[int, Any]) -> Any:
    """Give a layer's values before its own nonlinearity, from the values of `sources_before` by node index."""
    if node.nonlinearity not in (None, "linear"):
        return values[node.inputs[0].node]
    if describe(node)["op"] in ("concatenate", "identity"):
        return node.compute(*[values_before(graph, graph.nodes[ref.node], values) for ref in node.inputs])[0]
    return values[node.index]


def _silu(x: Any) -> Any:
    return x * tf.sigmoid(x)


def _relu(x: Any) -> Any:
    return tf.ensure_shape(_relu_once(x), x.shape)


def _relu6(x: Any) -> Any:
    return tf.ensure_shape(_relu6_once(x), x.shape)


def _once(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    traced: Callable[[Any], Any] = tf.function(tf.custom_gradient(function), autograph=False, reduce_retracing=True)
    return traced


@_once
def _relu_once(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    def gradient(dy: Any) -> Any:
        # A loss goes down where x goes against dy: below zero, dy < 0 pushes up, towards life.
        return _unless_blocked(dy * tf.cast(x > 0, dy.dtype), tf.where((x <= 0) & (dy > 0), 0.0, dy))

    return tf.nn.relu(x), gradient


@_once
def _relu6_once(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    def gradient(dy: Any) -> Any:
        inside = tf.cast((x > 0) & (x < 6), dy.dtype)
        outward = ((x <= 0) & (dy > 0)) | ((x >= 6) & (dy < 0))
        return _unless_blocked(dy * inside, tf.where(outward, 0.0, dy))

    return tf.nn.relu6(x), gradient


def _unless_blocked(true: Any, redirected: Any) -> Any:
    axes = tf.range(1, tf.rank(true))
    alive = tf.reduce_any(tf.not_equal(true, 0.0), axis=axes, keepdims=True)
    return tf.where(alive, true, redirected)
