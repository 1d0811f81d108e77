"""Rules by which rectifiers pass a gradient back other than calculus says.

    replace = rule_of(net, "guided_backpropagation")
    [logits] = net.forward(pictures, [net.logits_node], replace=replace)      # the same logits, another gradient

*Guided backpropagation* lets a gradient through a ReLU where it is positive and the ReLU is open, the *deconvnet* where
it is positive, open or not. Pictures made by them are sharp, and say little of the class: both come close to an edge
detector (Nie, Zhang and Patel, "A Theoretical Explanation for Perplexing Behaviors of Backpropagation-based
Visualizations", ICML 2018), and guided backpropagation hardly changes when the network's weights are replaced by noise
(Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018).

A rule is of ReLUs. Where a network has none, or bends by SiLU or GELU, other libraries leave the gradient as it is and
say nothing; here that is an error. What follows from reading nodes, and not layers:

* The ReLU of ``Conv2D(activation="relu")``, one in a nested model and one that is called twice are all met.
* A ReLU that ends at 6, or anywhere else, keeps that end: where it is reached, no gradient passes.
* Sigmoids and tanh, which gate and do not rectify, keep their own gradient, as max pooling keeps its switches.

Springenberg et al., "Striving for Simplicity: The All Convolutional Net" (ICLR workshop 2015), section 3.4; Zeiler and
Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), section 2.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from modelzoo import Network
from modelzoo.attributes import describe
from modelzoo.graph import Node

__all__ = ["RULES", "rectifiers", "rule_of"]

RULES = ("guided_backpropagation", "deconvnet")
_KEEP_THEIR_OWN = {"linear", "softmax", "log_softmax", "sigmoid", "hard_sigmoid", "tanh"}


def rectifiers(net: Network) -> list[Node]:
    """Give the ReLUs on the way to the class scores, of any cap and threshold.

    Raises
    ------
    ValueError
        Where there is none, and where the network bends in another way that no rule knows, naming the first.
    """
    found, others = [], []
    for node in net.graph.ancestors([net.logits_node]):
        if node.is_input or node.part == "linear":
            continue
        name = node.nonlinearity
        if name in ("relu", "relu6", "capped_relu"):
            found.append(node)
        elif (name is not None and name not in _KEEP_THEIR_OWN) or (name is None and _rectifies(node)):
            others.append((node, name or node.kind))
    if others:
        node, name = others[0]
        rest = len(others) - 1
        more = f" and at {rest} more place{'s' * (rest > 1)}" if rest else ""
        raise ValueError(
            f"{net.name} bends by {name} at {node.address!r}{more}; guided backpropagation and the deconvnet are rules "
            "of ReLUs and would do nothing there. Methods for any network: gradient, smoothgrad, integrated_gradients, "
            "grad_cam"
        )
    if not found:
        raise ValueError(
            f"{net.name} has no ReLU before its class scores, so guided backpropagation and the deconvnet would be the "
            "plain gradient; expected a ReLU, a ReLU6 or activation='relu'. Methods for any network: gradient, "
            "smoothgrad, integrated_gradients, grad_cam"
        )
    return found


def rule_of(net: Network, method: str) -> Callable[[Node], Callable[..., Any] | None]:
    """Give the `replace` of `Graph.evaluate` that runs every ReLU by a rule.

    Parameters
    ----------
    net
        The network.
    method
        ``"guided_backpropagation"`` or ``"deconvnet"``.

    Raises
    ------
    ValueError
        As `rectifiers` does.
    """
    rule = _guided if method == "guided_backpropagation" else _deconvolved
    others = {node.index: _ruled(rule, *_ends(node)) for node in rectifiers(net)}
    return lambda node: others.get(node.index)


def _rectifies(node: Node) -> bool:
    """Whether an operation is a ReLU written out: ``maximum(x, 0)``, ``clip(x, 0, 6)``."""
    what = describe(node)
    if what["op"] == "merge":
        return what["how"] in ("maximum", "minimum") and bool(what["constants"])
    return what["op"] == "elementwise" and what["how"] == "Clip"


def _ends(node: Node) -> tuple[float, float]:
    """Between which inputs a ReLU is open."""
    if node.nonlinearity != "capped_relu":
        return 0.0, 6.0 if node.nonlinearity == "relu6" else math.inf
    what = describe(node)
    return float(what.get("threshold", 0.0)), float(what.get("max_value", math.inf))


def _ruled(rule: Any, low: float, high: float) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        return tf.ensure_shape(rule(x, tf.constant(low, x.dtype), tf.constant(high, x.dtype)), x.shape)

    return run


def _once(function: Callable[..., Any]) -> Any:
    # TensorFlow keeps every custom gradient for ever with the graph it was traced in: so each has a graph of its own.
    return tf.function(tf.custom_gradient(function), autograph=False, reduce_retracing=True)


def _values(x: Any, low: Any, high: Any) -> Any:
    return tf.where(x > low, tf.minimum(x, high), tf.zeros_like(x))


@_once
def _guided(x: Any, low: Any, high: Any) -> tuple[Any, Callable[[Any], Any]]:
    return _values(x, low, high), lambda dy: (tf.where((x > low) & (x < high), tf.nn.relu(dy), 0), None, None)


@_once
def _deconvolved(x: Any, low: Any, high: Any) -> tuple[Any, Callable[[Any], Any]]:
    return _values(x, low, high), lambda dy: (tf.where(x < high, tf.nn.relu(dy), 0), None, None)
