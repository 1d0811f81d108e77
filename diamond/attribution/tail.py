"""The rest of a network after a layer: run on from changed activations, and gone through backwards.

    part = next(gradients(net, pictures, "block9_add"))
    logits_from(net, pictures, "block9_add", part.activations * 0.0)                 # without the whole layer

`diamond.attribution.linear` estimates what a layer's values do from one gradient. What asks for the truth, or for a
share of a value, needs the two things apart: the *gradients* themselves, also where an activation is zero, and the
*logits from* activations that were changed by hand.

Going on from changed activations takes many rows, an ablation and a picture each: they go through one compilation a
layer, a short batch filled up with copies of its first row, whose results are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.broken import what_broke
from diamond.attribution.feeding import Given, feeds_of, given_tensors, picture_input, rows_of
from diamond.attribution.linear import codes
from diamond.attribution.streams import BATCH
from diamond.attribution.targets import ALL_OTHERS, Question, Target, ask, choose, class_labels, score
from modelzoo import GraphError, Layer, Network
from modelzoo.graph import Node

__all__ = ["Gradient", "gradients", "logits_from", "over_space"]


@dataclass(frozen=True, eq=False)
class Gradient:
    """Activations of a layer for a batch of pictures, and how the class score changes with them.

    Attributes
    ----------
    activations, gradients
        ``(batch, height, width, channel)``, or as many axes as the layer has.
    logits
        ``(batch, class)``.
    positive, negative
        ``(batch,)`` class indices; `negative` is None where no single class was taken away.
    others
        Whether all other classes were taken away.
    """

    activations: np.ndarray
    gradients: np.ndarray
    logits: np.ndarray
    positive: np.ndarray
    negative: np.ndarray | None
    others: bool = False

    @property
    def scores(self) -> np.ndarray:
        """``(batch,)`` the logit, the difference of two, or the log odds against all others."""
        return self.score_of(self.logits, np.arange(len(self.logits)))

    def score_of(self, logits: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Give the score that other logits, ``(n, class)``, mean for the questions about `rows`, ``(n,)``."""
        against = self.positive if self.negative is None else self.negative
        weight = 0.0 if self.negative is None else 1.0
        found: np.ndarray = score(logits, self.positive[rows], against[rows], weight, others=self.others).numpy()
        return found

    def classes_in_words(self, net: Network) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Name each picture's class, and the class held against it; none of the second where there is none."""
        if self.others:
            return class_labels(net, self.positive), (ALL_OTHERS,) * len(self.positive)
        return class_labels(net, self.positive), () if self.negative is None else class_labels(net, self.negative)


def gradients(
    net: Network,
    pictures: np.ndarray,
    layer: str | Layer,
    *,
    positive: Target = "top1",
    negative: Target | None = None,
    given: Given | None = None,
) -> Iterator[Gradient]:
    """Compute activations and gradients, a batch of pictures at a time.

    Parameters
    ----------
    net, layer, positive, negative, given
        As in `diamond.attribution.linear.contributions`.
    pictures
        ``(n, height, width, 3)`` float32 in [0, 1], of the network's size.

    Raises
    ------
    UnknownLayerError, ClassError
        For a layer or class the network does not have.
    GraphError
        Where no gradient reaches the layer from the class score, and for inputs that are not filled.
    ValueError
        Where there are no pictures, and for activations or gradients that are NaN or infinite.
    """
    if not len(pictures):
        raise ValueError("no pictures were given; expected one or more")
    node, entry = net.node(layer), picture_input(net, given)
    question = ask(net, positive, negative)
    key = ("gradients", str(question.others), entry.address, node.address)
    compute = net.compiled(key, lambda: _gradients(net, node, entry, question))
    for begin in range(0, len(pictures), BATCH):
        batch = tf.constant(pictures[begin : begin + BATCH])
        others = given_tensors(given, begin, len(batch), len(pictures))
        found = compute(batch, others, *codes(question))
        values, slopes, logits, of, against = (result.numpy() for result in found)
        if not np.isfinite(values * slopes).all():
            raise ValueError(what_broke(net, node, entry, batch, others, values * slopes))
        yield Gradient(values, slopes, logits, of, None if question.minus is None else against, question.others)


def logits_from(
    net: Network, pictures: np.ndarray, layer: str | Layer, activations: np.ndarray, given: Given | None = None
) -> np.ndarray:
    """Run the rest of a network from given activations of a layer.

    Parameters
    ----------
    net, layer
        The network and its layer.
    pictures
        ``(n, height, width, 3)``: what ways around the layer see, where there are any.
    activations
        ``(n, ...)`` of the layer's shape, one row a picture.
    given
        Values of the network's other inputs by address, ``(n, ...)`` or ``(1, ...)``, where it has several.

    Returns
    -------
    float32 array
        ``(n, class)``.
    """
    node, entry = net.node(layer), picture_input(net, given)
    compute = net.compiled(("logits from", entry.address, node.address), lambda: _logits_from(net, node, entry))
    parts = []
    for begin in range(0, len(activations), BATCH):
        # Filled up with copies of the first row: another length would be traced anew.
        n = min(BATCH, len(activations) - begin)
        rows = np.concatenate([np.arange(begin, begin + n), np.full(BATCH - n, begin)])
        others = given_tensors(rows_of(given, rows), 0, BATCH, BATCH)
        found = compute(tf.constant(pictures[rows]), others, tf.constant(activations[rows]))
        parts.append(found.numpy()[:n])
    return np.concatenate(parts)


def over_space(values: np.ndarray) -> np.ndarray:
    """Sum ``(batch, height, width, channel)`` over all places: ``(batch, channel)``."""
    summed: np.ndarray = values.reshape(len(values), -1, values.shape[-1]).sum(axis=1)
    return summed


def _gradients(net: Network, node: Node, entry: Node, question: Question) -> Callable[..., Any]:
    def compute(pictures: Any, given: Mapping[str, Any], plus: Any, minus: Any, weight: Any) -> tuple[Any, ...]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(pictures)
            activations, answer = net.graph.evaluate(feeds_of(net, entry, pictures, given), [node, net.logits_node])
            logits = tf.reshape(tf.cast(answer, tf.float32), [tf.shape(answer)[0], -1])
            of, against = choose(plus, logits), choose(minus, logits)
            asked = score(logits, of, against, weight, others=question.others)
        slopes = tape.gradient(asked, activations)
        if slopes is None:
            raise GraphError(f"no gradient reaches {node.address!r} from the class score: it is not on the way there")
        return activations, slopes, logits, of, against

    return compute


def _logits_from(net: Network, node: Node, entry: Node) -> Callable[..., Any]:
    def compute(pictures: Any, given: Mapping[str, Any], activations: Any) -> Any:
        feeds = {**feeds_of(net, entry, pictures, given), node.index: activations}
        [answer] = net.graph.evaluate(feeds, [net.logits_node])
        return tf.reshape(tf.cast(answer, tf.float32), [tf.shape(answer)[0], -1])

    return compute
