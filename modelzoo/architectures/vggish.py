"""VGGish: a VGG for sound, up to its embedding, on mel spectrograms of 0.96 s.

    >>> model = build()
    >>> model.get_layer("conv4_2").output.shape, model.output.shape
    ((None, 12, 8, 512), (None, 128))

It takes ``(time, frequency, 1)``: 96 frames of 64 bands. Six convolutions of 3 x 3 with four poolings, two dense layers,
and a third without nonlinearity whose 128 values are the embedding: it was published without the classifier above.
Layers are called as in the checkpoint, below its scope ``vggish`` and without the scopes that repeat a name.

Hershey et al., "CNN Architectures for Large-Scale Audio Classification" (ICASSP 2017,
https://arxiv.org/abs/1609.09430), from configuration A of Simonyan and Zisserman, "Very Deep Convolutional Networks for
Large-Scale Image Recognition" (ICLR 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from modelzoo.weights.slim import from_slim

__all__ = ["build", "from_tf_checkpoint"]

SCOPE = "vggish"
# Channels and names of the convolutions between two poolings.
STAGES = (
    (64, ("conv1",)),
    (128, ("conv2",)),
    (256, ("conv3_1", "conv3_2")),
    (512, ("conv4_1", "conv4_2")),
)
HIDDEN = ("fc1_1", "fc1_2")
EMBEDDING = "fc2"


def build(
    *,
    input_shape: tuple[int | None, int | None, int] = (96, 64, 1),
    classes: int = 128,
    name: str = "vggish",
) -> keras.Model:
    """Build a VGGish with random weights.

    Parameters
    ----------
    input_shape
        ``(time, frequency, 1)`` of natural logarithms of mel magnitudes.
    classes
        Size of the embedding.
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)``, the layer ``"fc2"``.
    """
    spectrogram = keras.Input(input_shape, name="spectrogram")
    x = spectrogram
    for number, (channels, names) in enumerate(STAGES, 1):
        for convolution in names:
            x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=convolution)(x)
        x = layers.MaxPooling2D(2, padding="same", name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    for dense in HIDDEN:
        x = layers.Dense(4096, activation="relu", name=dense)(x)
    return keras.Model(spectrogram, layers.Dense(classes, name=EMBEDDING)(x), name=name)


def from_tf_checkpoint(arrays: Mapping[str, np.ndarray], **options: Any) -> dict[str, np.ndarray]:
    """Name the arrays of the published checkpoint as `build` names its weights.

    Parameters
    ----------
    arrays
        Arrays under the names of the checkpoint: ``vggish/conv3/conv3_1/weights``.
    options
        As given to `build`; they change no name.

    Returns
    -------
    dict
        ``{"conv3_1/kernel": array, ...}``. An array that no layer has keeps its own name, so that it is found.
    """
    names = [name for _, group in STAGES for name in group] + [*HIDDEN, EMBEDDING]
    return from_slim(arrays, {_scope(name): name for name in names})


def _scope(layer: str) -> str:
    group, _, number = layer.partition("_")
    return f"{SCOPE}/{group}/{layer}" if number else f"{SCOPE}/{layer}"
