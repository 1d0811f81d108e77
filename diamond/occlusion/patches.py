"""Computing a layer by boxes: its values inside them, from what it reads inside them and around.

    boxes = Boxes(sizes, starts)
    around = boxes.around(Patch(values, place), kept, target, reach)      # (k, 17, 17, 64) and nothing missing
    values = convolved(around, layer, reach)

All boxes of a batch have one size a layer, so they are one tensor, ``(k, height, width, channel)``: a *patch*. What a
window needs around its box stands in the *kept* values, which the network gave for the picture itself; outside the layer
stands what its padding is: 0, and minus infinity before a maximum. Kept values and boxes are laid end to end, and one
gathering by index takes each value from where it is. Measured on a layer of VGG16 that takes an eighth of its convolution;
cutting every window out by itself, or writing boxes into what was cut out, is slower.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from diamond.occlusion.boxes import SELF, Place, Reach
from modelzoo.attributes import Description

__all__ = ["Boxes", "Patch", "convolved", "pooled"]

Tensor = Any


class Patch(NamedTuple):
    """Values in the boxes of a batch: ``(k, height, width, channel)``, and where they lie."""

    values: Tensor
    place: Place


class Boxes:
    """Where the boxes of one batch lie, as tensors, and the ways to take values from them and around.

    Parameters
    ----------
    sizes
        ``(places, 2)`` int32 height and width of the boxes of each place.
    starts
        ``(places, k, 2)`` int32 their first row and column.
    """

    def __init__(self, sizes: Tensor, starts: Tensor) -> None:
        self.sizes = sizes
        self.starts = starts
        self.k = tf.shape(starts)[1]
        self._indices: dict[Any, Tensor] = {}

    def around(
        self, patch: Patch | None, kept: Tensor, target: Place | None, reach: Reach = SELF, fill: float = 0.0
    ) -> Tensor:
        """Give what a layer with boxes at `target` reads: ``(k, height, width, channel)``.

        Parameters
        ----------
        patch
            Values in the boxes of the layer that is read; None where no window changes it.
        kept
            ``(1, height, width, channel)`` its values for the picture itself.
        target
            Where the boxes to compute lie; None for all of the layer.
        reach
            What a value there reads.
        fill
            What stands outside the layer.
        """
        size, channels = tuple(kept.shape[1:3]), kept.shape[3]
        rows = [tf.reshape(kept, (-1, channels)), tf.fill((1, channels), tf.cast(fill, kept.dtype))]
        if patch is not None:
            rows.append(tf.reshape(patch.values, (-1, channels)))
        given = tf.gather(tf.concat(rows, axis=0), self._index(patch and patch.place, target, reach, size))
        given.set_shape((None, *(size if target is None else (None, None)), channels))
        return given

    def inside(self, kept: Tensor, place: Place) -> Tensor:
        """Give kept values in the boxes of a place: ``(k, height, width, channel)``."""
        return self.around(None, kept, place)

    def cut_out(self, pictures: Tensor, place: Place, turned: bool) -> Tensor:
        """Give the boxes of covered pictures, ``(k, height, width, channel)``; `turned` where the network turns them."""
        step = -1 if turned else 1
        size, starts = self.sizes[place.number][::step], self.starts[place.number][:, ::step]
        row, column = (starts[:, axis, None] + tf.range(size[axis]) for axis in range(2))
        high, wide = pictures.shape[1:3]
        own = tf.range(self.k)[:, None, None] * (high * wide)
        index = own + row[:, :, None] * wide + column[:, None, :]
        return tf.gather(tf.reshape(pictures, (-1, pictures.shape[3])), index)

    def mean(self, patch: Patch, kept: Tensor, mean: Tensor) -> Tensor:
        """Give the mean over all places from that for the picture itself and the change in the boxes."""
        change = tf.reduce_sum(patch.values - self.inside(kept, patch.place), axis=(1, 2))
        change /= tf.cast(math.prod(kept.shape[1:3]), change.dtype)
        return mean + tf.reshape(change, (-1, *mean.shape[1:]))

    def share_inside(self, place: Place, reach: Reach, size: tuple[int, int]) -> Tensor:
        """Give how much of the window of each value lies in the layer: ``(k, height, width, 1)`` from 0 to 1."""
        shares = []
        for axis in range(2):
            values = self.starts[place.number][:, axis, None] + tf.range(self.sizes[place.number][axis])
            first = values * reach.stride[axis] - reach.before[axis]
            there = tf.minimum(first + reach.span[axis], size[axis]) - tf.maximum(first, 0)
            shares.append(tf.cast(there, tf.float32) / reach.span[axis])
        return shares[0][:, :, None, None] * shares[1][:, None, :, None]

    def _index(self, source: Place | None, target: Place | None, reach: Reach, size: tuple[int, int]) -> Tensor:
        key = (source and source.number, target and target.number, reach, size)
        if key not in self._indices:
            self._indices[key] = self._new_index(source, target, reach, size)
        return self._indices[key]

    def _new_index(self, source: Place | None, target: Place | None, reach: Reach, size: tuple[int, int]) -> Tensor:
        """Index each value to gather: kept values come first, one of the padding next, then all boxes."""
        kept = size[0] * size[1]
        places = [self._along(axis, target, reach, size[axis]) for axis in range(2)]
        row, column = places
        there = [(at >= 0) & (at < extent) for at, extent in zip(places, size, strict=True)]
        index = row[:, :, None] * size[1] + column[:, None, :]
        if target is not None and reach.span != (1, 1):
            index = tf.where(there[0][:, :, None] & there[1][:, None, :], index, kept)
        if source is None:
            return index
        starts, extents = self.starts[source.number], self.sizes[source.number]
        row, column = (at - starts[:, axis, None] for axis, at in enumerate(places))
        held = [(at >= 0) & (at < extents[axis]) for axis, at in enumerate((row, column))]
        own = (tf.range(self.k) * extents[0])[:, None] + row
        own = kept + 1 + own[:, :, None] * extents[1] + column[:, None, :]
        return tf.where(held[0][:, :, None] & held[1][:, None, :], own, index)

    def _along(self, axis: int, target: Place | None, reach: Reach, size: int) -> Tensor:
        """Give the places that are read along an axis: ``(k, n)``."""
        if target is None:
            return tf.tile(tf.range(size)[None], (self.k, 1))
        extent = self.sizes[target.number][axis]
        first = self.starts[target.number][:, axis, None] * reach.stride[axis] - reach.before[axis]
        if is_thinned(reach):
            return first + tf.range(extent) * reach.stride[axis]
        return first + tf.range((extent - 1) * reach.stride[axis] + reach.span[axis])


def is_thinned(reach: Reach) -> bool:
    """Whether values read one place each: then what the stride steps over is not gathered at all."""
    return reach.span == (1, 1)


def convolved(
    values: Tensor, layer: Any, reach: Reach | None, kernel: Tensor | None = None, shift: Tensor | None = None
) -> Tensor:
    """Run a convolution on patches with all that it reads around them, or on whole layers.

    Parameters
    ----------
    values
        ``(k, height, width, channel)`` of `Boxes.around`, or of a whole layer.
    layer
        The Keras layer; its own activation is not run.
    reach
        What its values read; None for whole layers, which it pads itself.
    kernel, shift
        In the place of the layer's own, where a batch norm is folded into them.
    """
    thinned = reach is not None and is_thinned(reach)
    arguments = {
        "strides": (1, 1) if thinned else tuple(layer.strides),
        "padding": layer.padding if reach is None else "valid",
        "dilation_rate": layer.dilation_rate,
    }
    if isinstance(layer, keras.layers.SeparableConv2D):
        done = keras.ops.separable_conv(values, layer.depthwise_kernel, layer.pointwise_kernel, **arguments)
    elif isinstance(layer, keras.layers.DepthwiseConv2D):
        done = keras.ops.depthwise_conv(values, layer.kernel if kernel is None else kernel, **arguments)
    else:
        done = keras.ops.conv(values, layer.kernel if kernel is None else kernel, **arguments)
    if shift is not None:
        return tf.nn.bias_add(done, shift)
    return tf.nn.bias_add(done, layer.bias) if layer.use_bias else done


def pooled(around: Tensor, what: Description, reach: Reach, share: Tensor | None) -> Tensor:
    """Run a pooling on patches with all that it reads around them.

    Parameters
    ----------
    around
        ``(k, height, width, channel)`` of `Boxes.around`; for an average with 0 outside the layer.
    what, reach
        The layer's description, and what its values read.
    share
        For an average that counts only what lies in the layer: `Boxes.share_inside`; None where nothing is padded.
    """
    window, stride = ((1, 1), (1, 1)) if is_thinned(reach) else (what["kernel"], what["stride"])
    if what["mode"] == "max":
        return tf.nn.max_pool2d(around, window, stride, "VALID")
    mean = tf.nn.avg_pool2d(around, window, stride, "VALID")
    return mean if share is None else mean / tf.cast(share, mean.dtype)
