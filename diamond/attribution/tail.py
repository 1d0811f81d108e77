"""The rest of a network after a layer: run on from changed activations, and gone through backwards.

    >>> part = next(gradients(net, pictures, "block9_add"))
    >>> scores_from(net, pictures, "block9_add", part.activations * 0.0, part.positive)      # without the whole layer

`diamond.attribution.linear` estimates what a layer's values do from one gradient. What asks for the truth, or for a
share of a value, needs the two things apart: the *gradients* themselves, also where an activation is zero, and the
*scores from* activations that were changed by hand.

Going on from changed activations takes many rows, an ablation and a picture each: they go through one compilation a
layer, a short batch filled up with copies of its first row, whose results are dropped.
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

__all__ = ["Gradient", "gradients", "in_words", "labels_of", "logits_from", "over_space", "score_of", "scores_from"]

BATCH = 16
MOST_CLASSES = 4


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
        ``(batch,)`` class indices; `negative` is None where no class was taken away.
    """

    activations: np.ndarray
    gradients: np.ndarray
    logits: np.ndarray
    positive: np.ndarray
    negative: np.ndarray | None

    @property
    def scores(self) -> np.ndarray:
        """``(batch,)`` the logit, or the difference of two."""
        return score_of(self.logits, self.positive, self.negative)


def gradients(
    net: Network,
    pictures: np.ndarray,
    layer: str | Layer,
    *,
    positive: Target = "top1",
    negative: Target | None = None,
) -> Iterator[Gradient]:
    """Compute activations and gradients, a batch of pictures at a time.

    Parameters
    ----------
    net, layer, positive, negative
        As in `diamond.attribution.linear.contributions`.
    pictures
        ``(n, height, width, 3)`` float32 in [0, 1], of the network's size.

    Raises
    ------
    UnknownLayerError, ClassError
        For a layer or class the network does not have.
    GraphError
        Where no gradient reaches the layer from the class score.
    ValueError
        Where there are no pictures.
    """
    if not len(pictures):
        raise ValueError("no pictures were given; expected one or more")
    node = net.node(layer)
    plus = encode(net, positive)
    minus, weight = (plus, 0.0) if negative is None else (encode(net, negative), 1.0)
    compute = net.compiled(("gradients", node.address), lambda: _gradients(net, node))
    for begin in range(0, len(pictures), BATCH):
        batch = pictures[begin : begin + BATCH]
        given = compute(tf.constant(batch), tf.constant(plus), tf.constant(minus), tf.constant(weight))
        values, slopes, logits, of, against = (result.numpy() for result in given)
        yield Gradient(values, slopes, logits, of, None if negative is None else against)


def logits_from(net: Network, pictures: np.ndarray, layer: str | Layer, activations: np.ndarray) -> np.ndarray:
    """Run the rest of a network from given activations of a layer.

    Parameters
    ----------
    net, layer
        The network and its layer.
    pictures
        ``(n, height, width, 3)``: what ways around the layer see, where there are any.
    activations
        ``(n, ...)`` of the layer's shape, one row a picture.

    Returns
    -------
    float32 array
        ``(n, class)``.
    """
    node = net.node(layer)
    compute = net.compiled(("logits from", node.address), lambda: _logits_from(net, node))
    parts = []
    for begin in range(0, len(activations), BATCH):
        rows = slice(begin, begin + BATCH)
        given = compute(tf.constant(_filled(pictures[rows])), tf.constant(_filled(activations[rows])))
        parts.append(given.numpy()[: len(activations[rows])])
    return np.concatenate(parts)


def scores_from(
    net: Network,
    pictures: np.ndarray,
    layer: str | Layer,
    activations: np.ndarray,
    positive: np.ndarray,
    negative: np.ndarray | None = None,
) -> np.ndarray:
    """Give the class score that `logits_from` reaches, ``(n,)``, for one class index a row."""
    return score_of(logits_from(net, pictures, layer, activations), positive, negative)


def score_of(logits: np.ndarray, positive: np.ndarray, negative: np.ndarray | None) -> np.ndarray:
    """Give each row's logit of its class, less that of its other class where there is one."""
    rows = np.arange(len(logits))
    score: np.ndarray = logits[rows, positive] - (0.0 if negative is None else logits[rows, negative])
    return score


def over_space(values: np.ndarray) -> np.ndarray:
    """Sum ``(batch, height, width, channel)`` over all places: ``(batch, channel)``."""
    summed: np.ndarray = values.reshape(len(values), -1, values.shape[-1]).sum(axis=1)
    return summed


def labels_of(net: Network, classes: np.ndarray) -> tuple[str, ...]:
    """Name classes."""
    return tuple(net.class_label(int(c)) for c in classes)


def in_words(positive: tuple[str, ...], negative: tuple[str, ...]) -> str:
    """Word the question about the pictures' classes: ``"koala / flamingo and 8 more against zebra"``."""
    plus, minus = (_few(labels) for labels in (positive, negative))
    return f"{plus} against {minus}" if minus else plus


def _few(labels: tuple[str, ...]) -> str:
    each = list(dict.fromkeys(labels))
    return " / ".join(each) if len(each) <= MOST_CLASSES else f"{' / '.join(each[:2])} and {len(each) - 2} more"


def _filled(rows: np.ndarray) -> np.ndarray:
    """Fill a batch up with copies of its first row: another length would be traced anew."""
    missing = BATCH - len(rows)
    return rows if missing <= 0 else np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)])


def _gradients(net: Network, node: Node) -> Callable[..., Any]:
    def compute(pictures: Any, plus: Any, minus: Any, weight: Any) -> tuple[Any, ...]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(pictures)
            activations, scores = net.forward(pictures, [node, net.logits_node])
            logits = tf.reshape(scores, [tf.shape(scores)[0], -1])
            of, against = choose(plus, logits), choose(minus, logits)
            score = tf.gather(logits, of, batch_dims=1) - weight * tf.gather(logits, against, batch_dims=1)
        slopes = tape.gradient(score, activations)
        if slopes is None:
            raise GraphError(f"no gradient reaches {node.address!r} from the class score: it is not on the way there")
        return activations, slopes, logits, of, against

    return compute


def _logits_from(net: Network, node: Node) -> Callable[..., Any]:
    def compute(pictures: Any, activations: Any) -> Any:
        scores = net.forward(pictures, [net.logits_node], feeds={node.index: activations})[0]
        return tf.reshape(scores, [tf.shape(scores)[0], -1])

    return compute
