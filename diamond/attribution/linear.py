"""What a layer's values contribute to a class score, to first order.

With A the activations of a layer and s the class score (the logit of one class, or of one minus that of another), the
contribution of each value is its *gradient times activation*, ``A * ds/dA``: the first-order effect of setting it to
zero. Summed over places it is a channel's attribution, summed over channels a place's; where everything after the layer
is linear, all of it together is the score itself, less the bias.

Two other measures answer the same call. Along the *path* (`diamond.attribution.path`) the gradient is averaged while
the layer grows from zero to what it is, so that all contributions add up to the change of the score. A plain
*activation* asks about no class at all.

Several layers share one pass forward and one backward, and the gradient goes no further back than the first of them.

Olah et al., "The Building Blocks of Interpretability" (Distill 2018), section "Attribution"; Shrikumar, Greenside and
Kundaje, "Learning Important Features Through Propagating Activation Differences" (ICML 2017), for gradient x input.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.broken import what_broke
from diamond.attribution.feeding import Given, feeds_of, given_tensors, picture_input
from diamond.attribution.path import along_path
from diamond.attribution.targets import Question, Target, ask, choose, score
from modelzoo import GraphError, Layer, Network
from modelzoo.graph import Node

__all__ = ["METHODS", "Contribution", "contributions", "contributions_at", "method_for"]

BATCH = 16
METHODS = ("gradient", "path", "activation")


@dataclass(frozen=True, eq=False)
class Contribution:
    """Contributions of a layer's values for a batch of pictures.

    Attributes
    ----------
    values
        Of the shape of the layer's activations, ``(batch, height, width, channel)``: gradient times activation. Over
        all places, ``(batch, channel)``: their sum; of plain activations their mean.
    activations
        Of the layer's shape; empty, ``(batch, 0)``, where places were not asked for.
    logits
        ``(batch, class)``; ``(batch, 0)`` where no class was asked about.
    positive, negative
        ``(batch,)`` class indices; `positive` is empty where no class was asked about, `negative` is None where no
        single class was taken away.
    scores
        ``(batch,)`` what is explained: a logit, a difference of two, or log odds against all others. NaN without class.
    changes
        ``(batch,)`` by how much the score falls when the whole layer is set to zero; along the path only, else None.
    """

    values: np.ndarray
    activations: np.ndarray
    logits: np.ndarray
    positive: np.ndarray
    negative: np.ndarray | None
    scores: np.ndarray
    changes: np.ndarray | None = None


def contributions(
    net: Network,
    pictures: np.ndarray,
    layer: str | Layer,
    *,
    positive: Target | None = "top1",
    negative: Target | None = None,
    method: str = "gradient",
    given: Given | None = None,
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
        The class asked about, and the class it is held against (``"others"`` for all other classes); see
        `diamond.attribution.targets`. With `positive` None the values are the activations themselves.
    method
        ``"gradient"``, ``"path"`` or ``"activation"``.
    given
        Values of the network's other inputs by address, ``(n, ...)`` or ``(1, ...)``, where it has several.

    Raises
    ------
    UnknownLayerError, ClassError
        For a layer or class the network does not have.
    GraphError
        Where no gradient reaches the layer from the class score, and for inputs that are not filled.
    ValueError
        For another method, a class asked about plain activations, and activations that are NaN or infinite.
    """
    for [found] in contributions_at(
        net, pictures, [layer], positive=positive, negative=negative, method=method, given=given
    ):
        yield found


def contributions_at(
    net: Network,
    pictures: np.ndarray,
    layers: Sequence[str | Layer],
    *,
    positive: Target | None = "top1",
    negative: Target | None = None,
    method: str = "gradient",
    given: Given | None = None,
    places: bool = True,
) -> Iterator[tuple[Contribution, ...]]:
    """Compute the contributions of several layers in one pass: for each batch one `Contribution` a layer.

    Parameters
    ----------
    net, pictures, positive, negative, method, given
        As of `contributions`, which says what is raised.
    layers
        Layers or their addresses.
    places
        False to have them summed over places, which keeps large layers out of memory.
    """
    nodes = [net.node(layer) for layer in layers]
    method = method_for(method, positive, negative)
    entry = picture_input(net, given)
    question = None if method == "activation" or positive is None else ask(net, positive, negative)
    for begin in range(0, len(pictures), BATCH):
        batch = tf.constant(pictures[begin : begin + BATCH])
        others = given_tensors(given, begin, len(batch), len(pictures))
        if question is None:
            found = _activations(net, nodes, entry, batch, others, places)
        elif method == "path":
            found = tuple(_along_path(net, node, entry, batch, others, question, places) for node in nodes)
        else:
            found = _gradients(net, nodes, entry, batch, others, question, places)
        for node, part in zip(nodes, found, strict=True):
            if not np.isfinite(part.values).all():
                raise ValueError(what_broke(net, node, entry, batch, others, part.values))
        yield found


def method_for(method: str, positive: Target | None, negative: Target | None) -> str:
    """Check a method against the classes asked about, and give it: without a class, ``"activation"``.

    Raises
    ------
    ValueError
        For another word, naming the nearest, and for a class where none is looked at.
    """
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, n=1, cutoff=0.0)
        raise ValueError(f"no method {method!r}; expected one of {', '.join(METHODS)}; did you mean {near[0]!r}?")
    if negative is not None and (positive is None or method == "activation"):
        raise ValueError(f"negative is {negative!r}, but plain activations are of no class; give a positive class too")
    if positive is None and method == "path":
        raise ValueError("positive is None, but the path leads to the score of a class; give one, or 'top1'")
    return "activation" if positive is None else method


def _gradients(
    net: Network, nodes: Sequence[Node], entry: Node, batch: Any, others: Any, question: Question, places: bool
) -> tuple[Contribution, ...]:
    def build() -> Callable[..., Any]:
        def compute(pictures: Any, given: Mapping[str, Any], plus: Any, minus: Any, weight: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                feeds = feeds_of(net, entry, pictures, given)
                *activations, answer = net.graph.evaluate(
                    feeds, [*nodes, net.logits_node], replace=_watching(tape, nodes, feeds)
                )
                logits = tf.reshape(tf.cast(answer, tf.float32), [tf.shape(answer)[0], -1])
                of, against = choose(plus, logits), choose(minus, logits)
                asked = score(logits, of, against, weight, others=question.others)
            gradients = tape.gradient(asked, activations)
            for node, gradient in zip(nodes, gradients, strict=True):
                if gradient is None:
                    raise GraphError(
                        f"no gradient reaches {node.address!r} from the class score: it is not on the way there"
                    )
            found = [_summed(a * g, a, places) for a, g in zip(activations, gradients, strict=True)]
            return found, logits, of, against, asked

        return compute

    kind = ("contributions", str(question.others), str(places), entry.address, *(node.address for node in nodes))
    found, *rest = net.compiled(kind, build)(batch, others, *codes(question))
    logits, of, against, asked = (value.numpy() for value in rest)
    negative = None if question.minus is None else against
    return tuple(
        Contribution(values.numpy(), activations.numpy(), logits, of, negative, asked) for values, activations in found
    )


def _activations(
    net: Network, nodes: Sequence[Node], entry: Node, batch: Any, others: Any, places: bool
) -> tuple[Contribution, ...]:
    def build() -> Callable[..., Any]:
        def compute(pictures: Any, given: Mapping[str, Any]) -> Any:
            found = net.graph.evaluate(feeds_of(net, entry, pictures, given), nodes)
            return [_summed(a, a, places, mean=True) for a in found]

        return compute

    kind = ("activations", str(places), entry.address, *(node.address for node in nodes))
    none, unknown = np.zeros((len(batch), 0), np.float32), np.full(len(batch), np.nan, np.float32)
    return tuple(
        Contribution(values.numpy(), activations.numpy(), none, np.zeros(0, np.int32), None, unknown)
        for values, activations in net.compiled(kind, build)(batch, others)
    )


def _along_path(
    net: Network, node: Node, entry: Node, batch: Any, others: Any, question: Question, places: bool
) -> Contribution:
    found = along_path(net, node, entry, batch, others, question, codes(question))
    values, activations = (x.numpy() for x in _summed(found.values, found.activations, places))
    negative = None if question.minus is None else found.negative
    return Contribution(values, activations, found.logits, found.positive, negative, found.scores, found.changes)


def codes(question: Question) -> tuple[Any, Any, Any]:
    """Give a question as tensors: nothing taken away is a difference of weight 0, so that one compilation serves both."""
    taken = question.minus is not None
    return (
        tf.constant(question.plus),
        tf.constant(question.minus if taken else question.plus),
        tf.constant(float(taken)),
    )


def _watching(tape: Any, nodes: Sequence[Node], feeds: Mapping[int, Any]) -> Callable[[Node], Any]:
    """Record from the wanted layers on: what lies before them, integer inputs too, needs no gradient."""
    wanted = {node.index for node in nodes if len(node.shapes) == 1}
    for value in feeds.values():
        if value.dtype.is_floating:
            tape.watch(value)

    def watched(node: Node) -> Callable[..., Any]:
        def compute(*tensors: Any) -> Any:
            [value] = node.compute(*tensors)
            tape.watch(value)
            return value

        return compute

    return lambda node: watched(node) if node.index in wanted else None


def _summed(values: Any, activations: Any, places: bool, *, mean: bool = False) -> tuple[Any, Any]:
    values, activations = tf.cast(values, tf.float32), tf.cast(activations, tf.float32)
    if places:
        return values, activations
    axes = list(range(1, len(values.shape) - 1))
    total = tf.reduce_mean(values, axis=axes) if mean else tf.reduce_sum(values, axis=axes)
    return total, tf.zeros((tf.shape(values)[0], 0))
