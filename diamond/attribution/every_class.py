"""What channels do to the scores of all classes at once.

    effects_on_classes(net, pictures, layer, activations, channels=np.array([3, 11]), classes=1000).shape

A backward pass gives the effect of all channels on one class; asked of a few channels and a thousand classes, it would
run a thousand times. A derivative along a direction, the channel's own activations, gives its effect on all classes in
one pass: the Jacobian times a vector, as two backward passes of which the second is through the first (the "double
backward" trick). Whichever of the two takes fewer passes is used; the numbers are the same.

The second backward pass asks for second derivatives of each operation. TensorFlow's max pooling gives some on the CPU
that differ from run to run, and its local response normalisation none: both are run here in words of other operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.feeding import Given, feeds_of, given_tensors, picture_input, rows_of
from diamond.attribution.streams import BATCH
from diamond.attribution.tail import gradients, over_space
from modelzoo import GraphError, Layer, Network
from modelzoo.graph import Node

__all__ = ["effects_on_classes"]


def effects_on_classes(
    net: Network,
    pictures: np.ndarray,
    layer: Layer,
    activations: np.ndarray,
    channels: np.ndarray,
    classes: int,
    given: Given | None = None,
) -> np.ndarray:
    """Give gradient times activation of channels for each class.

    Parameters
    ----------
    net, layer
        The network and its layer.
    pictures
        ``(n, height, width, 3)`` in [0, 1].
    activations
        ``(n, ...)`` of the layer for these pictures.
    channels
        ``(k,)`` channel numbers.
    classes
        How many the network has.
    given
        Values of the network's other inputs by address, ``(n, ...)`` or ``(1, ...)``, where it has several.

    Returns
    -------
    array
        ``(k, class)`` in logits, summed over places, the mean over the pictures.

    Raises
    ------
    GraphError
        Where the layer is not on the way to the class scores, and where an operation after it has no second derivative.
    """
    if classes <= len(channels):
        each = (gradients(net, pictures, layer, positive=c, given=given) for c in range(classes))
        every = [np.concatenate([over_space(p.activations * p.gradients) for p in parts]) for parts in each]
        found: np.ndarray = np.stack(every).mean(axis=1).T[channels]
        return found
    node, entry = net.node(layer), picture_input(net, given)
    compute = net.compiled(("every class", entry.address, node.address), lambda: _along(net, node, entry))
    effects = np.zeros((len(channels), classes), np.float64)
    pairs = [(i, unit) for unit in range(len(channels)) for i in range(len(pictures))]
    for begin in range(0, len(pairs), BATCH):
        asked = len(pairs[begin : begin + BATCH])
        # Filled up with copies, so that every batch runs through one compilation.
        rows, units = np.array((pairs[begin : begin + BATCH] + pairs[:1] * BATCH)[:BATCH]).T
        along = np.zeros_like(activations[rows])
        for at, (row, unit) in enumerate(zip(rows, units, strict=True)):
            along[at, ..., channels[unit]] = activations[row, ..., channels[unit]]
        others = given_tensors(rows_of(given, rows), 0, BATCH, BATCH)
        pushed = compute(
            tf.constant(pictures[rows]), others, tf.constant(activations[rows]), tf.constant(along)
        ).numpy()
        np.add.at(effects, units[:asked], pushed[:asked])
    return effects / len(pictures)


def _along(net: Network, node: Node, entry: Node) -> Callable[..., Any]:
    def compute(pictures: Any, given: Mapping[str, Any], activations: Any, along: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as outer:
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(activations)
                feeds = {**feeds_of(net, entry, pictures, given), node.index: activations}
                [scores] = net.graph.evaluate(feeds, [net.logits_node], replace=_twice_differentiable)
                logits = tf.reshape(tf.cast(scores, tf.float32), [tf.shape(scores)[0], -1])
            weights = tf.zeros_like(logits)
            outer.watch(weights)
            slopes = inner.gradient(logits, activations, output_gradients=weights)
            if slopes is None:
                raise GraphError(f"no gradient reaches {node.address!r} from the class scores: it is not on the way")
            total = tf.reduce_sum(slopes * along)
        try:
            return outer.gradient(total, weights)
        except LookupError as error:
            raise GraphError(f"an operation after {node.address!r} has no second derivative: {error}") from error

    return compute


def _twice_differentiable(node: Node) -> Callable[..., Any] | None:
    if node.kind == "MaxPooling2D" and node.operation.data_format == "channels_last":
        return lambda values: _max_pooled(node.operation, values)
    if node.kind == "LocalResponseNormalization":
        return lambda values: _normalised(node.operation, values)
    return None


def _max_pooled(layer: Any, values: Any) -> Any:
    """Look up where each window has its maximum, and take the value from there: what passes back is a sum."""
    _, places = tf.nn.max_pool_with_argmax(
        tf.stop_gradient(values), layer.pool_size, layer.strides, layer.padding.upper(), include_batch_in_index=False
    )
    n = tf.shape(values)[0]
    taken = tf.gather(tf.reshape(values, [n, -1]), tf.reshape(places, [n, -1]), batch_dims=1)
    return tf.reshape(taken, tf.shape(places))


def _normalised(layer: Any, values: Any) -> Any:
    """Divide by the energy of the channels around: their sum as a product with a band of ones."""
    channels = np.arange(values.shape[-1])
    band = np.abs(channels[:, None] - channels) <= layer.depth_radius
    energy = tf.tensordot(values**2, tf.constant(band, values.dtype), 1)
    return values / (layer.bias + layer.alpha * energy) ** layer.beta
