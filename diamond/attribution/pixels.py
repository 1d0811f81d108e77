"""Gradients of a class score with respect to the picture itself, and what is made of them.

    asked = ask_of(net, entry, batch, given, question)
    gradients(net, entry, batch, given, asked).shape

First the network is *asked*, once: which class each picture is about, and its score. Everything else holds that class
still: the copies of a noisy gradient, the steps of a path, the gradient by another rule. Each is one compiled function
for a network, through which any number of batches run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from diamond.attribution.feeding import feeds_of
from diamond.attribution.linear import codes
from diamond.attribution.rules import rule_of
from diamond.attribution.targets import Question, choose, score
from modelzoo import GraphError, Network
from modelzoo.graph import Node

__all__ = ["Asked", "ask_of", "class_activation", "gradients", "integrated"]

FEWEST_STEPS = 32
MOST_STEPS = 512
TOLERANCE = 0.01
# Of float32 sums: where contributions cancel out, a hundredth of what is left may be below what they can tell.
ROUNDING = 1e-5


class Asked(NamedTuple):
    """What each picture of a batch is asked: tensors, but for `others`.

    Attributes
    ----------
    of, against
        ``(batch,)`` class indices.
    weight
        ``()``: 1 where `against` is taken away, else 0.
    others
        Whether all other classes are taken away.
    scores
        ``(batch,)`` what the network answers.
    """

    of: Any
    against: Any
    weight: Any
    others: bool
    scores: Any


def ask_of(net: Network, entry: Node, batch: Any, given: Mapping[str, Any], question: Question) -> Asked:
    """Ask the network: settle each picture's class, and its score.

    Parameters
    ----------
    net
        The network.
    entry, given
        The input that takes the pictures, and the values of the others.
    batch
        ``(batch, height, width, 3)`` in [0, 1].
    question
        The classes asked about.
    """

    def build() -> Callable[..., Any]:
        def compute(pictures: Any, given: Mapping[str, Any], plus: Any, minus: Any, weight: Any) -> Any:
            logits = _logits(net, net.graph.evaluate(feeds_of(net, entry, pictures, given), [net.logits_node]))
            of, against = choose(plus, logits), choose(minus, logits)
            return of, against, score(logits, of, against, weight, others=question.others)

        return compute

    plus, minus, weight = codes(question)
    of, against, scores = net.compiled(("asked", str(question.others), entry.address), build)(
        batch, given, plus, minus, weight
    )
    return Asked(of, against, weight, question.others, scores)


def gradients(
    net: Network, entry: Node, batch: Any, given: Mapping[str, Any], asked: Asked, *, rule: str | None = None
) -> np.ndarray:
    """Give the gradient of each picture's score, ``(batch, height, width, 3)``: per unit of a picture in [0, 1].

    Parameters
    ----------
    net, entry, batch, given
        As of `ask_of`.
    asked
        What it gave.
    rule
        A rule of `diamond.attribution.rules` for the ReLUs on the way back; their own gradient where None.

    Raises
    ------
    ValueError
        Where a rule has no ReLU to act on.
    GraphError
        Where no gradient reaches the picture.
    """

    def build() -> Callable[..., Any]:
        replace = None if rule is None else rule_of(net, rule)

        def compute(pictures: Any, given: Mapping[str, Any], of: Any, against: Any, weight: Any) -> Any:
            return _gradient(net, entry, pictures, given, Asked(of, against, weight, asked.others, None), replace)[0]

        return compute

    key = ("pixels", str(rule), str(asked.others), entry.address)
    found: np.ndarray = net.compiled(key, build)(batch, given, asked.of, asked.against, asked.weight).numpy()
    return found


def integrated(
    net: Network, entry: Node, batch: Any, given: Mapping[str, Any], asked: Asked, baseline: Any, steps: int | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Integrate the gradient along the straight way from a baseline to each picture, by midpoints.

    Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (ICML 2017), equations 1 and 3.

    Parameters
    ----------
    net, entry, batch, given, asked
        As of `gradients`.
    baseline
        ``(height, width, 3)`` or what fits it.
    steps
        How many gradients; where None 32, and twice as many, up to 512, until all sums are right within 1 %.

    Returns
    -------
    values
        ``(batch, height, width, 3)`` in units of the score: their sum is its change.
    changes
        ``(batch,)`` score of the picture less that of the baseline.
    steps
        How many gradients were taken.

    Raises
    ------
    GraphError
        Where no gradient reaches the picture.
    """

    def build() -> Callable[..., Any]:
        def compute(
            pictures: Any, given: Mapping[str, Any], of: Any, against: Any, weight: Any, start: Any, steps: Any
        ) -> Any:
            question = Asked(of, against, weight, asked.others, None)
            way = pictures - start

            def step(n: Any, total: Any) -> tuple[Any, Any]:
                part = (tf.cast(n, tf.float32) + 0.5) / tf.cast(steps, tf.float32)
                return n + 1, total + _gradient(net, entry, start + part * way, given, question, None)[0]

            zero = (tf.constant(0), tf.zeros_like(pictures))
            values = way * tf.while_loop(lambda n, _: n < steps, step, zero)[1] / tf.cast(steps, tf.float32)
            ends = [_score(net, entry, at, given, question) for at in (pictures, start)]
            axes = list(range(1, len(values.shape)))
            return values, ends[0] - ends[1], tf.reduce_sum(values, axes), tf.reduce_sum(tf.abs(values), axes)

        return compute

    run = net.compiled(("integrated", str(asked.others), entry.address), build)
    start = tf.broadcast_to(tf.constant(baseline, tf.float32), tf.shape(batch))
    taken = FEWEST_STEPS if steps is None else steps
    while True:
        found = run(batch, given, asked.of, asked.against, asked.weight, start, tf.constant(taken))
        values, changes, totals, sizes = (value.numpy() for value in found)
        short = np.abs(totals - changes) > np.maximum(TOLERANCE * np.abs(changes), ROUNDING * sizes)
        if steps is not None or taken >= MOST_STEPS or not short.any():
            return values, changes, taken
        taken *= 2


def class_activation(
    net: Network, node: Node, entry: Node, batch: Any, given: Mapping[str, Any], asked: Asked
) -> np.ndarray:
    """Give Grad-CAM of a layer, ``(batch, cells high, cells wide)``, 0 or more.

    Each channel is weighed by the mean of its gradient over all places; what is below zero in their sum is left out.
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (ICCV 2017),
    equations 1 and 2.

    Parameters
    ----------
    net, entry, batch, given, asked
        As of `gradients`.
    node
        The layer, with height and width.

    Raises
    ------
    GraphError
        Where no gradient reaches the layer.
    """

    def build() -> Callable[..., Any]:
        def compute(pictures: Any, given: Mapping[str, Any], of: Any, against: Any, weight: Any) -> Any:
            feeds = feeds_of(net, entry, pictures, given)
            [activations] = net.graph.evaluate(feeds, [node])
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(activations)
                answer = net.graph.evaluate({**feeds, node.index: activations}, [net.logits_node])
                reached = score(_logits(net, answer), of, against, weight, others=asked.others)
            gradient = tape.gradient(reached, activations)
            if gradient is None:
                raise GraphError(
                    f"no gradient reaches {node.address!r} from the class score: it is not on the way there"
                )
            weights = tf.reduce_mean(gradient, axis=[1, 2], keepdims=True)
            return tf.cast(tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1)), tf.float32)

        return compute

    key = ("grad_cam", node.address, str(asked.others), entry.address)
    found: np.ndarray = net.compiled(key, build)(batch, given, asked.of, asked.against, asked.weight).numpy()
    return found


def _gradient(
    net: Network, entry: Node, pictures: Any, given: Mapping[str, Any], asked: Asked, replace: Any
) -> tuple[Any, Any]:
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(pictures)
        reached = _score(net, entry, pictures, given, asked, replace)
    gradient = tape.gradient(reached, pictures)
    if gradient is None:
        raise GraphError(f"no gradient reaches the picture from the class score of {net.name}")
    return gradient, reached


def _score(
    net: Network, entry: Node, pictures: Any, given: Mapping[str, Any], asked: Asked, replace: Any = None
) -> Any:
    feeds = feeds_of(net, entry, pictures, given)
    logits = _logits(net, net.graph.evaluate(feeds, [net.logits_node], replace=replace))
    return score(logits, asked.of, asked.against, asked.weight, others=asked.others)


def _logits(net: Network, answer: Any) -> Any:
    return tf.reshape(tf.cast(answer[0], tf.float32), [tf.shape(answer[0])[0], net.output_size])
