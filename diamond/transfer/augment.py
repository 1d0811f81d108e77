"""Pictures and spectrograms, a little changed each time they are shown in training.

    >>> shown = augmented(net.read(["cat.jpg", "coffee.jpg"]), seed=(0, 17))  # flipped, turned, zoomed, brighter
    >>> heard = augmented_sounds(ear.patches("song.wav").values, seed=(0, 17))  # some bands and some moments taken out
    >>> shown.shape, heard.shape
    (TensorShape([2, 224, 224, 3]), TensorShape([3, 64, 96, 1]))

Small changes that leave the class what it is. All of it is a stateless function of pictures and seed, so a training that
goes on after an interruption sees what it would have seen.

For sounds: Park et al., "SpecAugment" (2019), https://arxiv.org/abs/1904.08779, section 2: frequency masks and time masks.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

__all__ = ["augmented", "augmented_sounds"]

# Largest turn in radians; zoom and shift as parts of the picture; brightness and contrast as parts of its range.
TURN = math.radians(10)
ZOOM = SHIFT = 0.1
BRIGHTNESS = CONTRAST = 0.15
# Of sounds: the widest mask as a part of all bands, or of the patch's time.
MASK = 0.2


def augmented(pictures: Any, seed: Any, *, flip: bool = True) -> Any:
    """Change pictures as a camera held otherwise would have.

    Parameters
    ----------
    pictures
        ``(batch, height, width, channel)`` in [0, 1].
    seed
        ``(2,)`` whole numbers.
    flip
        Whether half of them are mirrored: not for letters, digits and signs.

    Returns
    -------
    tensor
        As `pictures`, float32 in [0, 1]; what lies beyond the edge is mirrored into the picture.
    """
    pictures = tf.cast(pictures, tf.float32)
    n = tf.shape(pictures)[0]
    seeds = tf.random.experimental.stateless_split(tf.cast(seed, tf.int64), 7)

    def uniform(which: int, most: float) -> Any:
        return tf.random.stateless_uniform((n,), seeds[which], -most, most)

    mirror = tf.sign(uniform(0, 1.0)) if flip else tf.ones((n,))
    height, width = (tf.cast(tf.shape(pictures)[axis], tf.float32) for axis in (1, 2))
    turned = _warped(
        pictures,
        mirror=mirror,
        angle=uniform(1, TURN),
        zoom=1.0 + uniform(2, ZOOM),
        down=uniform(3, SHIFT) * height,
        across=uniform(4, SHIFT) * width,
    )
    gain = (1.0 + uniform(5, CONTRAST))[:, None, None, None]
    mean = tf.reduce_mean(turned, axis=(1, 2, 3), keepdims=True)
    light = uniform(6, BRIGHTNESS)[:, None, None, None]
    return tf.clip_by_value((turned - mean) * gain + mean + light, 0.0, 1.0)


def augmented_sounds(spectrograms: Any, seed: Any) -> Any:
    """Take a band and a moment out of each spectrogram: they get its mean level.

    Parameters
    ----------
    spectrograms
        ``(batch, frequency, time, 1)``.
    seed
        ``(2,)`` whole numbers.
    """
    values = tf.cast(spectrograms, tf.float32)
    seeds = tf.random.experimental.stateless_split(tf.cast(seed, tf.int64), 4)
    mean = tf.reduce_mean(values, axis=(1, 2, 3), keepdims=True)
    bands = _spans(tf.shape(values)[0], tf.shape(values)[1], seeds[0], seeds[1])[:, :, None, None]
    times = _spans(tf.shape(values)[0], tf.shape(values)[2], seeds[2], seeds[3])[:, None, :, None]
    return tf.where(bands | times, mean, values)


def _spans(n: Any, length: Any, width_seed: Any, place_seed: Any) -> Any:
    """Give ``(n, length)`` booleans: one span in each row, as wide as a part of it."""
    whole = tf.cast(length, tf.float32)
    wide = tf.random.stateless_uniform((n,), width_seed, 0.0, MASK) * whole
    begin = tf.random.stateless_uniform((n,), place_seed) * (whole - wide)
    at = tf.range(whole)[None, :]
    return (at >= begin[:, None]) & (at < (begin + wide)[:, None])


def _warped(pictures: Any, *, mirror: Any, angle: Any, zoom: Any, down: Any, across: Any) -> Any:
    height, width = tf.shape(pictures)[1], tf.shape(pictures)[2]
    middle_y, middle_x = (tf.cast(side - 1, tf.float32) / 2 for side in (height, width))
    cos, sin = tf.cos(angle) * zoom, tf.sin(angle) * zoom
    # From where each pixel of the result is taken: turned and scaled about the middle, then moved.
    a, b = cos * mirror, -sin
    c, d = sin * mirror, cos
    x0 = middle_x + across - a * middle_x - b * middle_y
    y0 = middle_y + down - c * middle_x - d * middle_y
    none = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures,
        transforms=tf.stack([a, b, x0, c, d, y0, none, none], axis=1),
        output_shape=tf.stack([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
