"""Which class a question is about.

    >>> channel_attribution(net, images, layer, positive="top1")                    # each picture's own first answer
    >>> channel_attribution(net, images, layer, positive="Egyptian cat", negative="tabby")
    >>> channel_attribution(net, images, layer, positive=285)

A target is an output's index, a label in any of its spellings, a WordNet id, or ``"top1"``, ``"top2"`` ...: the class
that stands first, second ... in each picture's own answer. It is *encoded* once, as a number, and *chosen* for each
picture in the graph, where the answer is known: so a ranked target costs no second forward pass.
"""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf

from modelzoo import Network

__all__ = ["Target", "choose", "encode"]

Target = int | str
_RANK = re.compile(r"top([1-9][0-9]*)")


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
    return -1 - net.class_index(int(rank.group(1)) - 1)


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
