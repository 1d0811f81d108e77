"""The VGG of musicnn: a tagger of music, on mel spectrograms of 3 s.

    >>> model = build()
    >>> model.get_layer("conv5_relu").output.shape
    (None, 11, 6, 128)

It takes ``(time, frequency, 1)``: 187 frames of 96 bands, ``log10(1 + 10,000 x)`` of mel powers. The spectrogram is
normalised; five convolutions of 3 x 3 follow, each with a ReLU, a batch normalisation *after* it, and a pooling; then
one dense layer. A tag is independent of the others, so the outputs are sigmoids.

Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging" (ISMIR 2019, late-breaking;
https://arxiv.org/abs/1909.06654); the network is that of Choi, Fazekas and Sandler, "Automatic tagging using deep
convolutional neural networks" (ISMIR 2016), in the size that musicnn compares itself with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from modelzoo.weights.slim import trained_only

__all__ = ["build", "from_tf_checkpoint"]

# (pool size, strides) after each convolution, of time and frequency.
POOLS = (((4, 1), (2, 2)), ((2, 2), (2, 2)), ((2, 2), (2, 2)), ((2, 2), (2, 2)), ((4, 4), (4, 4)))
NORMALISATION = re.compile(r"batch_normalization(?:_(\d+))?/")
CONVOLUTION = re.compile(r"(\d)CNN/")


def build(
    *,
    channels: int = 128,
    input_shape: tuple[int | None, int | None, int] = (187, 96, 1),
    classes: int = 50,
    name: str = "musicnn_vgg",
) -> keras.Model:
    """Build the tagger with random weights.

    Parameters
    ----------
    channels
        Of each convolution.
    input_shape
        ``(time, frequency, 1)`` of logarithms of mel powers.
    classes
        Number of tags.
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)``, each tag's probability by itself; its logits are the layer ``"logits"``.
    """
    spectrogram = keras.Input(input_shape, name="spectrogram")
    x = layers.BatchNormalization(name="input_bn")(spectrogram)
    for number, (pool, strides) in enumerate(POOLS, 1):
        x = layers.Conv2D(channels, 3, padding="same", name=f"conv{number}")(x)
        x = layers.ReLU(name=f"conv{number}_relu")(x)
        x = layers.BatchNormalization(name=f"conv{number}_bn")(x)
        x = layers.MaxPooling2D(pool, strides, name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    logits = layers.Dense(classes, name="logits")(x)
    return keras.Model(spectrogram, layers.Activation("sigmoid", name="probabilities")(logits), name=name)


def from_tf_checkpoint(arrays: Mapping[str, np.ndarray], **options: Any) -> dict[str, np.ndarray]:
    """Name the arrays of a published checkpoint as `build` names its weights.

    Parameters
    ----------
    arrays
        Arrays under musicnn's names: ``1CNN/kernel``, ``batch_normalization_1/gamma``, ``dense/bias``.
    options
        As given to `build`; they change no name.

    Returns
    -------
    dict
        ``{"conv1/kernel": array, ...}``. An array that no layer has keeps its own name, so that it is found.
    """
    return {_renamed(name): array for name, array in trained_only(arrays).items()}


def _renamed(name: str) -> str:
    _, _, field = name.rpartition("/")
    if found := CONVOLUTION.match(name):
        return f"conv{found[1]}/{field}"
    if found := NORMALISATION.match(name):
        # They are numbered as they were made: the input's is the first, without a number.
        return f"conv{found[1]}_bn/{field}" if found[1] else f"input_bn/{field}"
    return f"logits/{field}" if name.startswith("dense/") else name
