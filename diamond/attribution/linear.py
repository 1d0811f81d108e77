"""What a layer's values contribute to a class score, to first order.

With A the activations of a layer and s the class score (the logit of one class, or of one minus that of another), the
contribution of each value is its *gradient times activation*, ``A * ds/dA``: the first-order effect of setting it to
zero. Summed over places it is a channel's attribution, summed over channels a place's; where everything after the layer
is linear, all of it together is the score itself, less the bias.

Olah et al., "The Building Blocks of Interpretability" (Distill 2018), section "Attribution"; Shrikumar, Greenside and
Kundaje, "Learning Important Features Through Propagating Activation Differences" (ICML 2017), for gradient x input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.targets import Target, choose, encode
from modelzoo import GraphError, Layer, Network
from modelzoo.graph import Node

__all__ = ["Contribution", "contributions"]

BATCH = 16


@dataclass(frozen=True, eq=False)
class Contribution:
    """Contributions of a layer's values for a batch of pictures.

    Attributes
    ----------
    values
        Of the shape of the layer's activations, ``(batch, height, width, channel)``: gradient times activation.
    activations
        Of the same shape.
    logits
        ``(batch, class)``.
    positive, negative
        ``(batch,)`` class indices; `negative` is None where no class was taken away.
    """

    values: np.ndarray
    activations: np.ndarray
    logits: np.ndarray
    positive: np.ndarray
    negative: np.ndarray | None


def contributions(
    net: Network,
    pictures: np.ndarray,
    layer: str | Layer,
    *,
    positive: Target = "top1",
    negative: Target | None = None,
) -> Iterator[Contribution]:
    """Compute contributions, a batch of pictures at a time, so that any number of pictures fits into memory.

    Parameters
    ----------
    net
        The network.
    pictures
        ``(n, height, width, 3)`` float32 in [0, 1], of the network's size.
    layer
        A layer or its address.
    positive, negative
        The class asked about, and the class it is held against; see `diamond.attribution.targets`.

    Raises
    ------
    UnknownLayerError, ClassError
        For a layer or class the network does not have.
    GraphError
        Where no gradient reaches the layer from the class score.
    """
    node = net.node(layer)
    plus = encode(net, positive)
    # A score with nothing taken away is a difference with weight 0, so that both run through one compilation.
    minus, weight = (plus, 0.0) if negative is None else (encode(net, negative), 1.0)
    compute = net.compiled(("contributions", node.address), lambda: _compute(net, node))
    for begin in range(0, len(pictures), BATCH):
        batch = tf.constant(pictures[begin : begin + BATCH])
        results = compute(batch, tf.constant(plus), tf.constant(minus), tf.constant(weight))
        values, activations, logits, of, against = (result.numpy() for result in results)
        yield Contribution(values, activations, logits, of, None if negative is None else against)


def _compute(net: Network, node: Node) -> Callable[..., Any]:
    def compute(pictures: Any, plus: Any, minus: Any, weight: Any) -> tuple[Any, ...]:
        # Only what lies between layer and score is gone through backwards: the gradient stops at the layer.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(pictures)
            activations, scores = net.forward(pictures, [node, net.logits_node])
            logits = tf.reshape(scores, [tf.shape(scores)[0], -1])
            of, against = choose(plus, logits), choose(minus, logits)
            score = tf.gather(logits, of, batch_dims=1) - weight * tf.gather(logits, against, batch_dims=1)
        gradients = tape.gradient(score, activations)
        if gradients is None:
            raise GraphError(f"no gradient reaches {node.address!r} from the class score: it is not on the way there")
        return gradients * activations, activations, logits, of, against

    return compute
