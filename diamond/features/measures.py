"""The measures that objectives are made of: one number an image, from a layer's activations or from the picture.

Each takes what it measures and its parameters, one row an image, and gives ``(batch,)``. All of them are means, not
sums, so that a weight means the same on every layer and canvas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from diamond.features.objectives import CENTRE, Objective

__all__ = ["OF_PICTURES", "Data", "data_of", "measure"]

Measure = Callable[[Any, Mapping[str, Any]], Any]
OF_PICTURES = ("total_variation", "l1", "l2", "blur", "alpha")


class Data(NamedTuple):
    """What differs between objectives of one shape, stacked over the batch.

    Attributes
    ----------
    weights, since
        ``(batch, term)`` float32.
    parameters
        For each term its parameters by name, ``(batch, ...)``.
    """

    weights: Any
    since: Any
    parameters: tuple[dict[str, Any], ...]


def data_of(objectives: Sequence[Objective]) -> Data:
    """Stack the data of objectives of one shape."""
    columns = zip(*[o.terms for o in objectives], strict=True)
    parameters = tuple(
        {name: np.stack([term.parameters[name] for term in column]) for name in sorted(column[0].parameters)}
        for column in columns
    )
    weights = np.array([[term.weight for term in o.terms] for o in objectives], np.float32)
    since = np.array([[term.since for term in o.terms] for o in objectives], np.float32)
    return Data(weights, since, parameters)


def measure(
    shape: Sequence[tuple[Any, ...]],
    values: Mapping[tuple[str, bool], Any],
    pictures: Any,
    data: Data,
    *,
    progress: Any = 1.0,
) -> Any:
    """Compute objectives of one shape for a batch of images.

    Parameters
    ----------
    shape
        See `Objective.shape`.
    values
        Activations by ``(layer, before its nonlinearity)``: ``(batch, height, width, channel)`` or
        ``(batch, channel)``.
    pictures
        ``(batch, height, width, 3)``, or 4 with an alpha channel; None leaves out what measures the picture.
    data
        See `data_of`.
    progress
        Share of the steps that is done, from 0 to 1.

    Returns
    -------
    tensor
        ``(batch,)``: the objective of each image.
    """
    plain: list[Any] = []
    relative: list[Any] = []
    for i, (kind, layer, before, in_units, _) in enumerate(shape):
        if kind in OF_PICTURES and pictures is None:
            continue
        measured = pictures if kind in OF_PICTURES else values[layer, before]
        counts = tf.cast(progress >= data.since[:, i], tf.float32)
        value = counts * data.weights[:, i] * _MEASURES[kind](measured, data.parameters[i])
        (relative if in_units else plain).append(value)
    nothing = tf.zeros_like(data.weights[:, 0])
    total = tf.add_n([nothing, *plain])
    # The unit is held still: the terms that are counted in it must not push it about.
    return total + tf.stop_gradient(tf.abs(total)) * tf.add_n([nothing, *relative])


def _channel(values: Any, of: Mapping[str, Any]) -> Any:
    return tf.gather(_over_space(values), of["index"], axis=-1, batch_dims=1)


def _peak(values: Any, of: Mapping[str, Any]) -> Any:
    places = list(range(1, values.shape.rank - 1))
    strongest = tf.reduce_max(values, axis=places) if places else values
    return tf.gather(strongest, of["index"], axis=-1, batch_dims=1)


def _neuron(values: Any, of: Mapping[str, Any]) -> Any:
    return tf.gather(_at_place(values, of), of["index"], axis=-1, batch_dims=1)


def _direction(values: Any, of: Mapping[str, Any]) -> Any:
    vector = tf.reshape(of["vector"], [-1, *[1] * (values.shape.rank - 2), values.shape[-1]])
    return _over_space(_along(values, vector, of["power"])[..., None])[..., 0]


def _direction_neuron(values: Any, of: Mapping[str, Any]) -> Any:
    return _along(_at_place(values, of), of["vector"], of["power"])


def _along(values: Any, vector: Any, power: Any) -> Any:
    dot = tf.reduce_sum(values * vector, axis=-1)
    length = tf.norm(values, axis=-1) + 1e-6
    # The cosine is kept above a tenth, so that a direction that is not there yet still has a gradient.
    cosine = tf.maximum(dot / length, 0.1)
    return dot * cosine ** tf.reshape(power, [-1, *[1] * (dot.shape.rank - 1)])


def _deepdream(values: Any, of: Mapping[str, Any]) -> Any:
    return tf.reduce_mean(values**2, axis=list(range(1, values.shape.rank)))


def _diversity(values: Any, of: Mapping[str, Any]) -> Any:
    flat = tf.reshape(values, [tf.shape(values)[0], -1, values.shape[-1]])
    gram = tf.matmul(flat, flat, transpose_a=True)
    style = tf.math.l2_normalize(tf.reshape(gram, [tf.shape(gram)[0], -1]), axis=-1)
    return -_mean_over_others(tf.matmul(style, style, transpose_b=True), of["family"])


def _align(values: Any, of: Mapping[str, Any]) -> Any:
    following = tf.roll(values, -1, axis=0)
    distance = tf.reduce_mean((values - following) ** 2, axis=list(range(1, values.shape.rank)))
    related = tf.equal(of["family"], tf.roll(of["family"], -1, axis=0))
    # The last image of a family has no neighbour after it; in a batch the roll would lead back to the first.
    last = tf.equal(tf.range(tf.shape(values)[0]), tf.shape(values)[0] - 1)
    return -tf.where(related & ~last, distance, 0.0)


def _inversion(values: Any, of: Mapping[str, Any]) -> Any:
    axes = list(range(1, values.shape.rank))
    return -tf.reduce_sum((values - of["target"]) ** 2, axis=axes) / tf.reduce_sum(of["target"] ** 2, axis=axes)


def _total_variation(pictures: Any, of: Mapping[str, Any]) -> Any:
    down = tf.reduce_mean(tf.abs(pictures[:, 1:] - pictures[:, :-1]), axis=[1, 2, 3])
    across = tf.reduce_mean(tf.abs(pictures[:, :, 1:] - pictures[:, :, :-1]), axis=[1, 2, 3])
    return down + across


def _l1(pictures: Any, of: Mapping[str, Any]) -> Any:
    return tf.reduce_mean(tf.abs(pictures - of["centre"][:, None, None, None]), axis=[1, 2, 3])


def _l2(pictures: Any, of: Mapping[str, Any]) -> Any:
    return tf.sqrt(tf.reduce_mean((pictures - of["centre"][:, None, None, None]) ** 2, axis=[1, 2, 3]) + 1e-8)


def _blur(pictures: Any, of: Mapping[str, Any]) -> Any:
    # What is compared with is held still: the picture goes towards its blur, the blur not towards the picture.
    smooth = tf.stop_gradient(tf.nn.avg_pool2d(pictures, 3, 1, "SAME"))
    return tf.reduce_mean((pictures - smooth) ** 2, axis=[1, 2, 3])


def _alpha(pictures: Any, of: Mapping[str, Any]) -> Any:
    return tf.reduce_mean(pictures[..., 3], axis=[1, 2])


def _over_space(values: Any) -> Any:
    places = list(range(1, values.shape.rank - 1))
    return tf.reduce_mean(values, axis=places) if places else values


def _at_place(values: Any, of: Mapping[str, Any]) -> Any:
    if values.shape.rank == 2:
        return values
    row, column = (_around(of[name], tf.shape(values)[axis]) for name, axis in (("row", 1), ("column", 2)))
    return tf.einsum("bhwc,bh,bw->bc", values, row, column)


def _around(place: Any, n: Any) -> Any:
    """Weigh the places along an axis: 1 at `place`; at the centre, a half at each of the middle two where n is even."""
    first, second = tf.where(place == CENTRE, (n - 1) // 2, place), tf.where(place == CENTRE, n // 2, place)
    return (tf.one_hot(first, n) + tf.one_hot(second, n)) / 2


def _mean_over_others(similarity: Any, family: Any) -> Any:
    n = tf.shape(family)[0]
    related = tf.equal(family[:, None], family[None, :]) & ~tf.eye(n, dtype=tf.bool)
    count = tf.reduce_sum(tf.cast(related, similarity.dtype), axis=1)
    return tf.reduce_sum(tf.where(related, similarity, 0.0), axis=1) / tf.maximum(count, 1.0)


_MEASURES: dict[str, Measure] = {
    "channel": _channel,
    "peak": _peak,
    "neuron": _neuron,
    "direction": _direction,
    "direction_neuron": _direction_neuron,
    "deepdream": _deepdream,
    "diversity": _diversity,
    "align": _align,
    "inversion": _inversion,
    "total_variation": _total_variation,
    "l1": _l1,
    "l2": _l2,
    "blur": _blur,
    "alpha": _alpha,
}
