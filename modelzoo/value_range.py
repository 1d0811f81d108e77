"""Which values a network was trained on, guessed from how it answers.

::

    >>> found = suggest_value_range(net)
    >>> found.label, found.spec.value_range
    ('-1 .. 1', (-1.0, 1.0))

A file with weights does not say whether black was 0, -1 or -123 when they were trained, nor whether red came first; fed
wrongly, a network still answers, only worse. Each customary range is *weighed* by what the network makes of five known
photos, each shown in four views (plain, mirrored, nearer, darker):

- *surprise*: how far the values that reach the first batch normalisations are from the mean and variance these
  remember, as the divergence of two normal distributions. Wrong ranges are off by a factor of ten or a thousand.
- *agreement*: how likely two views of one photo get the same class, less how likely two different photos do.
- *separation*: the same with the overlap of the answers in place of their product (Bhattacharyya's coefficient), which
  random weights keep near 0 whatever the range.

Ranges that surprise the network are out; of the others the one with the greatest agreement and separation is
suggested. It is a guess: ranges that differ little, or a network that was never trained, leave it open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from modelzoo.cards import InputSpec

if TYPE_CHECKING:
    from modelzoo.graph import Node
    from modelzoo.network import Network

__all__ = ["RANGES", "Evidence", "RangeError", "best_of", "suggest_value_range", "unsurprising", "weigh_ranges"]

RANDOM_BELOW = 0.15
MOST_NORMALISATIONS = 6
# A range stays in where it surprises at most this many times as much as the least surprising one.
SURPRISE_FACTOR, SURPRISE_FLOOR = 3.0, 0.01
SIZE_WITHOUT_ONE = 224
BATCH = 10

_MEANS, _DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RANGES: Mapping[str, InputSpec] = {
    "-1 .. 1": InputSpec(None, None, scale=(2.0,), offset=(-1.0,)),
    "0 .. 1": InputSpec(None, None),
    "0 .. 255": InputSpec(None, None, scale=(255.0,)),
    "-117 .. 138": InputSpec(None, None, scale=(255.0,), offset=(-117.0,)),
    "BGR, 0 .. 255 less its means": InputSpec(
        None, None, channel_order="BGR", scale=(255.0,), offset=(-103.939, -116.779, -123.68)
    ),
    "0 .. 255 less its means": InputSpec(None, None, scale=(255.0,), offset=(-123.68, -116.779, -103.939)),
    "mean 0, deviation 1 a channel": InputSpec(
        None,
        None,
        scale=tuple(1 / d for d in _DEVIATIONS),
        offset=tuple(-m / d for m, d in zip(_MEANS, _DEVIATIONS, strict=True)),
    ),
    "BGR, -1 .. 1": InputSpec(None, None, channel_order="BGR", scale=(2.0,), offset=(-1.0,)),
}


class RangeError(ValueError):
    """A network that photos say nothing about."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for one range of values.

    Attributes
    ----------
    label
        The range in words.
    spec
        The input it makes, marked as assumed.
    agreement, separation
        From 0, for answers that do not depend on the photo, to 1.
    confidence
        Mean probability of the most probable class, in [0, 1].
    entropy
        Mean entropy of the answers as a share of that of no answer at all, in [0, 1].
    surprise
        Mean divergence at the first batch normalisations, in nats; None for a network without.
    """

    label: str
    spec: InputSpec
    agreement: float
    separation: float
    confidence: float
    entropy: float
    surprise: float | None

    @property
    def score(self) -> float:
        """What ranges that do not surprise are compared by."""
        return self.agreement + self.separation

    @property
    def looks_random(self) -> bool:
        """Whether the answers depend on the photo no more than those of random weights."""
        return self.separation < RANDOM_BELOW


def suggest_value_range(net: Network) -> Evidence:
    """Guess the values a network was trained on.

    Parameters
    ----------
    net
        A network that tells classes of colour pictures apart; what its card says of values is not used.

    Returns
    -------
    Evidence
        Of the range that fits best; its `spec` has the network's size and is marked as assumed.

    Raises
    ------
    RangeError
        For a network that does not take colour pictures or has a single output.
    WeightsError
        Where its classifier is not trained.

    Examples
    --------
    >>> found = suggest_value_range(net)
    >>> found.label, found.spec.value_range
    ('-1 .. 1', (-1.0, 1.0))
    """
    return best_of(weigh_ranges(net, RANGES))


def best_of(evidences: Sequence[Evidence]) -> Evidence:
    """Give the range that fits best: of those that do not surprise the network, the one with the greatest score."""
    return max(unsurprising(evidences), key=lambda each: each.score)


def unsurprising(evidences: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Give the ranges with which batch normalisation finds about what it remembers; all, for a network without."""
    known = [each.surprise for each in evidences if each.surprise is not None]
    most = SURPRISE_FACTOR * min(known) + SURPRISE_FLOOR if known else np.inf
    return tuple(each for each in evidences if each.surprise is None or each.surprise <= most)


def weigh_ranges(net: Network, ranges: Mapping[str, InputSpec]) -> tuple[Evidence, ...]:
    """Weigh ranges of values by a network's answers to the sample pictures; raises as `suggest_value_range` does."""
    import tensorflow as tf

    from modelzoo.inputs.pictures import images
    from modelzoo.inputs.sample_pictures import sample_pictures

    spec = net.input
    if spec.channels != 3 or len(net.graph.inputs) != 1:
        raise RangeError(f"{net.name} does not take one colour picture, so photos say nothing about its weights")
    if net.output_size < 2:
        raise RangeError(f"{net.name} has a single output; only a network that tells classes apart can be checked so")
    size = (spec.height or SIZE_WITHOUT_ONE, spec.width or SIZE_WITHOUT_ONE)
    photos = [images(photo, size=size)[0] for photo in sample_pictures().values()]
    views = [view for photo in photos for view in _views(photo)]
    normalisations = _normalisations(net)
    wanted = [net.logits_node, *(net.graph.nodes[node.inputs[0].node] for node in normalisations)]
    place = net.graph.inputs[0].node
    run = net.compiled(("value range",), lambda: lambda values: net.graph.evaluate({place: values}, wanted))
    found = []
    for label, candidate in ranges.items():
        asked = replace(candidate, height=spec.height, width=spec.width, assumed=True)
        seen = replace(net, card=replace(net.card, input=asked)).preprocess(np.stack(views))
        parts = [run(tf.constant(seen[i : i + BATCH])) for i in range(0, len(views), BATCH)]
        logits, *before = (np.concatenate([np.asarray(part[k]) for part in parts]) for k in range(len(wanted)))
        answers = _softmax(logits.reshape(len(photos), len(views) // len(photos), -1))
        found.append(_evidence(label, asked, answers, _surprise(normalisations, before)))
    return tuple(found)


def _views(photo: np.ndarray) -> list[np.ndarray]:
    from modelzoo.inputs.pictures import images

    high, wide = photo.shape[0] // 10, photo.shape[1] // 10
    nearer = photo[high : photo.shape[0] - high, wide : photo.shape[1] - wide]
    return [photo, photo[:, ::-1], images(nearer, size=photo.shape[:2])[0], 0.8 * photo]


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _evidence(label: str, spec: InputSpec, answers: np.ndarray, surprise: float | None) -> Evidence:
    """Sum up answers ``(photo, view, class)``."""
    entropy = -(answers * np.log(np.maximum(answers, 1e-30))).sum(axis=-1).mean() / np.log(answers.shape[-1])
    return Evidence(
        label=label,
        spec=spec,
        agreement=_alike_within(answers),
        separation=_alike_within(np.sqrt(answers)),
        confidence=float(answers.max(axis=-1).mean()),
        entropy=float(entropy),
        surprise=surprise,
    )


def _alike_within(answers: np.ndarray) -> float:
    """Mean scalar product of two views of one photo, less that of the same view of two photos."""
    photos, views, _ = answers.shape
    same = np.mean([(answers[:, i] * answers[:, j]).sum(-1).mean() for i, j in combinations(range(views), 2)])
    other = np.mean([(answers[i] * answers[j]).sum(-1).mean() for i, j in combinations(range(photos), 2)])
    return float(same - other)


def _normalisations(net: Network) -> list[Node]:
    """Find the first batch normalisations that remember anything."""
    from modelzoo.attributes import describe

    found: list[Node] = []
    for node in net.graph:
        if len(found) < MOST_NORMALISATIONS and not node.is_input and describe(node).get("by") == "BatchNormalization":
            mean, variance = _remembered(node.operation)
            if np.any(mean != 0) or np.any(variance != 1):
                found.append(node)
    return found


def _remembered(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)


def _surprise(nodes: Sequence[Node], before: Sequence[np.ndarray]) -> float | None:
    if not nodes:
        return None
    divergences: list[float] = []
    for node, values in zip(nodes, before, strict=True):
        mean, variance = _remembered(node.operation)
        values = values.reshape(-1, values.shape[-1]).astype(np.float64)
        # A channel that hardly varies would be surprised by the last bit.
        expected = variance + 1e-3
        ratio = (values.var(axis=0) + 1e-3) / expected
        apart = (values.mean(axis=0) - mean) ** 2 / expected
        divergences.append(float(np.median(0.5 * (ratio - 1 - np.log(ratio) + apart))))
    return float(np.mean(divergences))
