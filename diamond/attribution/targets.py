"""Which class a question is about.

    channel_attribution(net, images, layer, positive="top1")                    # each picture's own first answer
    channel_attribution(net, images, layer, positive="Egyptian cat", negative="tabby")
    channel_attribution(net, images, layer, positive=285, negative="others")    # against all other classes

A target is an output's index, a label in any of its spellings, a WordNet id, or ``"top1"``, ``"top2"`` ...: the class
that stands first, second ... in each picture's own answer. It is *encoded* once, as a number, and *chosen* for each
picture in the graph, where the answer is known: so a ranked target costs no second forward pass.

The score of a question is the logit of its class, less that of the class held against it. Against ``"others"`` it is
less the logarithm of the sum of the exponentials of all other logits: behind a softmax, the log odds of the class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from modelzoo import Network
from modelzoo.labels import ClassError

__all__ = [
    "ALL_OTHERS",
    "OTHERS",
    "Question",
    "Target",
    "ask",
    "choose",
    "class_labels",
    "encode",
    "in_words",
    "score",
]

Target = int | str
OTHERS = "others"
ALL_OTHERS = "all others"
MOST_NAMED = 3
_RANK = re.compile(r"top([1-9][0-9]*)")


@dataclass(frozen=True)
class Question:
    """The class asked about and what is held against it, encoded.

    Attributes
    ----------
    plus
        See `encode`.
    minus
        The same of the class held against it; None where there is none, or all others are.
    others
        Whether all other classes are held against it.
    """

    plus: int
    minus: int | None = None
    others: bool = False


def ask(net: Network, positive: Target, negative: Target | None = None) -> Question:
    """Encode a question.

    Raises
    ------
    ClassError
        As `encode` does, and for ``"others"`` where the network has a single output, or in the place of `positive`.
    """
    if positive == OTHERS:
        raise ClassError(
            'positive is "others"; expected one class, which negative="others" then holds against the rest'
        )
    plus = encode(net, positive)
    if negative != OTHERS:
        return Question(plus, None if negative is None else encode(net, negative))
    if net.output_size < 2:
        raise ClassError(f"{net.name} has a single output, so there are no others to hold against it")
    return Question(plus, others=True)


def encode(net: Network, target: Target) -> int:
    """Give a target as one number: a class index, or ``-r`` for the class of rank r.

    Raises
    ------
    ClassError
        For a class the network does not have, a name that stands twice, and a rank beyond the number of classes.
    """
    rank = _RANK.fullmatch(target) if isinstance(target, str) else None
    if rank is None:
        return net.class_index(target)
    place = int(rank.group(1)) - 1
    # Asked for in every batch: the names are gone through only for the error.
    return -1 - (place if place < net.output_size else net.class_index(place))


def choose(code: Any, logits: Any) -> Any:
    """Give each picture's class index for an encoded target.

    Parameters
    ----------
    code
        ``()`` integer tensor: see `encode`.
    logits
        ``(batch, class)``.

    Returns
    -------
    tensor
        ``(batch,)`` int32.
    """
    by_rank = tf.argsort(logits, direction="DESCENDING", stable=True)
    ranked = by_rank[:, tf.maximum(-1 - code, 0)]
    return tf.where(code >= 0, tf.fill(tf.shape(logits)[:1], code), ranked)


def score(logits: Any, of: Any, against: Any, weight: Any, *, others: bool) -> Any:
    """Give the score that is explained.

    Parameters
    ----------
    logits
        ``(batch, class)``.
    of, against
        ``(batch,)`` class indices, as `choose` gives them.
    weight
        ``()``: 1 where `against` is taken away, else 0.
    others
        Whether all classes but `of` are taken away, in the place of `against`.

    Returns
    -------
    tensor
        ``(batch,)``.
    """
    asked = tf.gather(logits, of, batch_dims=1)
    if not others:
        return asked - weight * tf.gather(logits, against, batch_dims=1)
    is_asked = tf.one_hot(of, tf.shape(logits)[1], on_value=True, off_value=False, dtype=tf.bool)
    rest = tf.where(is_asked, tf.constant(-np.inf, logits.dtype), logits)
    return asked - tf.reduce_logsumexp(rest, axis=1)


def class_labels(net: Network, classes: Iterable[int]) -> tuple[str, ...]:
    """Give the name of each class index."""
    return tuple(net.class_label(int(c)) for c in classes)


def in_words(positive: Iterable[str], negative: Iterable[str]) -> str:
    """Word a question over many pictures: each class once, and how many more there are after a few."""

    def listed(labels: Iterable[str]) -> str:
        names = list(dict.fromkeys(labels))
        more = len(names) - MOST_NAMED
        return " / ".join(names) if more < 2 else f"{' / '.join(names[:MOST_NAMED])} and {more} more classes"

    plus, minus = listed(positive), listed(negative)
    if not plus:
        return "all classes"
    return f"{plus} against {minus}" if minus else plus
