"""What an optimised image maximises.

Objectives are values: they add, subtract and scale::

    >>> dc.channel("block9_add", 11)
    >>> dc.channel("block9_add", 11) + 0.5 * dc.channel("block9_add", 24)
    >>> -dc.channel("block4_add", 3)

An objective is a sum of *terms*, each a weight, a kind of measure, a layer and an index. The terms' shape (kinds and
layers) decides what is compiled; weights and indices are data. So all channels of a layer run through one compiled
step, in batches, and only another layer compiles another.

Measures, drawn on the activations ``(height, width, channel)`` of a layer::

    channel    the mean over every place of one channel
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from modelzoo.inventory import Layer

__all__ = ["Objective", "Term", "channel", "measure"]


@dataclass(frozen=True)
class Term:
    """One summand of an objective: ``weight`` times the measure ``kind`` of channel ``index`` of ``layer``."""

    kind: str
    layer: str
    index: int
    weight: float = 1.0

    def __str__(self) -> str:
        factor = "" if self.weight == 1.0 else f"{self.weight:g} "
        return f"{factor}{self.layer}:{self.index}"


@dataclass(frozen=True)
class Objective:
    """A weighted sum of measures of a network's activations."""

    terms: tuple[Term, ...]

    def __add__(self, other: Objective) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return Objective(self.terms + other.terms)

    def __sub__(self, other: Objective) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return self + -other

    def __neg__(self) -> Objective:
        return self * -1.0

    def __mul__(self, factor: float) -> Objective:
        if not isinstance(factor, int | float | np.number):
            return NotImplemented
        return Objective(tuple(replace(term, weight=term.weight * float(factor)) for term in self.terms))

    __rmul__ = __mul__

    def __str__(self) -> str:
        return " + ".join(map(str, self.terms))

    @property
    def shape(self) -> tuple[tuple[str, str], ...]:
        """Kind and layer of each term: objectives of one shape run in one batch."""
        return tuple((term.kind, term.layer) for term in self.terms)


def channel(layer: str | Layer, index: int) -> Objective:
    """Maximise a channel everywhere: its mean over all places.

    Parameters
    ----------
    layer
        A layer or its address.
    index
        The channel, from 0.

    Raises
    ------
    ValueError
        For a negative index; one that is too large is told when the network is known.
    """
    if index < 0:
        raise ValueError(f"channel {index}: channels are counted from 0")
    return Objective((Term("channel", layer.name if isinstance(layer, Layer) else layer, int(index)),))


def measure(shape: Sequence[tuple[str, str]], activations: Mapping[str, Any], indices: Any, weights: Any) -> Any:
    """Compute objectives of one shape for a batch of images.

    Parameters
    ----------
    shape
        See `Objective.shape`.
    activations
        By layer: ``(batch, height, width, channel)`` or ``(batch, channel)``.
    indices, weights
        ``(batch, term)``.

    Returns
    -------
    tensor
        ``(batch,)``: the objective of each image.
    """
    values = [_MEASURES[kind](activations[layer], indices[:, i]) for i, (kind, layer) in enumerate(shape)]
    return tf.add_n([weights[:, i] * value for i, value in enumerate(values)])


def _channel(activations: Any, index: Any) -> Any:
    places = list(range(1, activations.shape.rank - 1))
    everywhere = tf.reduce_mean(activations, axis=places) if places else activations
    return tf.gather(everywhere, index, axis=-1, batch_dims=1)


_MEASURES: dict[str, Callable[[Any, Any], Any]] = {"channel": _channel}
