"""Contributions along the path from nothing to what a layer gives.

One gradient tells what happens near the activations as they are. Where the rest of the network bends (a cap, another
class that takes over, a swish), the product with the activation over- or understates what the layer does. The path
method goes from zero to the activations A in N steps and takes the mean of the gradients on the way::

    values = A * 1/N * sum over n of ds/dA at A * (n + 1/2) / N

The baseline is 0: every value of the layer set to zero, while what goes around the layer stays as the picture has it.
All contributions then add up to ``s(A) - s(0)``. N grows until they do within 1 %; midpoints come closer than the left
ends of the steps, with as many gradients.

Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (ICML 2017), equation 3, applied to a layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.feeding import feeds_of
from diamond.attribution.targets import Question, choose, score
from modelzoo import GraphError, Network
from modelzoo.graph import Node

__all__ = ["Path", "along_path"]

FEWEST_STEPS = 32
MOST_STEPS = 512
TOLERANCE = 0.01
# Of float32 sums: where contributions cancel out, a hundredth of what is left may be below what they can tell.
ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Path:
    """What comes out along the path.

    Attributes
    ----------
    values, activations
        Tensors of the layer's shape, ``(batch, height, width, channel)``.
    logits, positive, negative, scores
        ``(batch, class)`` and ``(batch,)``: as of `diamond.attribution.linear.Contribution`.
    changes
        ``(batch,)`` score less the score at zero.
    steps
        How many gradients were taken.
    """

    values: Any
    activations: Any
    logits: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    scores: np.ndarray
    changes: np.ndarray
    steps: int


def along_path(
    net: Network,
    node: Node,
    entry: Node,
    batch: Any,
    given: Mapping[str, Any],
    question: Question,
    codes: tuple[Any, Any, Any],
) -> Path:
    """Integrate a layer's contributions for a batch, in as many steps as it takes, up to 512.

    Parameters
    ----------
    net, node
        Network and layer.
    entry, given
        The input that takes the pictures, and the values of the others.
    batch
        ``(batch, height, width, 3)`` in [0, 1].
    question, codes
        What is asked, and the same as tensors.

    Raises
    ------
    GraphError
        Where no gradient reaches the layer from the class score.

    Warns
    -----
    UserWarning
        Where the sum still misses the change of the score by more than 1 %.
    """
    key = ("path", str(question.others), entry.address, node.address)
    compute = net.compiled(key, lambda: _compute(net, node, entry, question.others))
    steps = FEWEST_STEPS
    while True:
        values, activations, total, size, *rest = compute(batch, given, *codes, tf.constant(steps))
        logits, of, against, scores, changes = (result.numpy() for result in rest)
        missed = np.abs(total.numpy() - changes)
        short = missed > np.maximum(TOLERANCE * np.abs(changes), ROUNDING * size.numpy())
        if not short.any() or steps >= MOST_STEPS:
            break
        steps *= 2
    if short.any():
        worst = int(np.argmax(missed))
        warnings.warn(
            f"the path of {node.address!r} adds up to {total.numpy()[worst]:.4g} where the score changes by "
            f"{changes[worst]:.4g}, after {steps} steps, for {short.sum()} of {len(short)} pictures",
            UserWarning,
            stacklevel=2,
        )
    return Path(values, activations, logits, of, against, scores, changes, steps)


def _compute(net: Network, node: Node, entry: Node, others: bool) -> Callable[..., Any]:
    end = net.logits_node

    def compute(pictures: Any, given: Mapping[str, Any], plus: Any, minus: Any, weight: Any, steps: Any) -> Any:
        feeds = feeds_of(net, entry, pictures, given)
        activations, answer = net.graph.evaluate(feeds, [node, end])
        logits = tf.reshape(tf.cast(answer, tf.float32), [tf.shape(answer)[0], -1])
        # The classes are those of the picture itself, on the whole path.
        of, against = choose(plus, logits), choose(minus, logits)
        asked = score(logits, of, against, weight, others=others)

        def at(values: Any) -> Any:
            [found] = net.graph.evaluate({**feeds, node.index: values}, [end])
            found = tf.reshape(tf.cast(found, tf.float32), tf.shape(logits))
            return score(found, of, against, weight, others=others)

        def step(n: Any, total: Any) -> tuple[Any, Any]:
            part = (tf.cast(n, activations.dtype) + 0.5) / tf.cast(steps, activations.dtype)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                values = activations * part
                tape.watch(values)
                reached = at(values)
            gradient = tape.gradient(reached, values)
            if gradient is None:
                raise GraphError(
                    f"no gradient reaches {node.address!r} from the class score: it is not on the way there"
                )
            return n + 1, total + tf.cast(gradient, tf.float32)

        start = (tf.constant(0), tf.zeros(tf.shape(activations), tf.float32))
        gradients = tf.while_loop(lambda n, _: n < steps, step, start)[1]
        own = tf.cast(activations, tf.float32)
        values = own * gradients / tf.cast(steps, tf.float32)
        axes = list(range(1, len(values.shape)))
        total, size = tf.reduce_sum(values, axis=axes), tf.reduce_sum(tf.abs(values), axis=axes)
        return values, own, total, size, logits, of, against, asked, asked - at(tf.zeros_like(activations))

    return compute
