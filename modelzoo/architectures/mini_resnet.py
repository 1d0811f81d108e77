"""MiniResNet: the first stage of a small residual network, for sound on microcontrollers.

    >>> model = build(classes=10)
    >>> model.get_layer("conv2_block2_out").output.shape
    (None, 8, 7, 64)

It takes ``(frequency, time, 1)``. Two blocks of a 1x1 and a 3x3 convolution, each with a convolution beside them; the
second block halves the size. A block adds the two *after* the ReLU of its own path (``_2_relu``) and before the one of
the sum (``_out``). The classifier reads every place of the last block by itself, so the size of the input is fixed.

After He et al., "Deep Residual Learning for Image Recognition", 2015 (https://arxiv.org/abs/1512.03385).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

__all__ = ["build", "from_keras"]

CHANNELS = 64
EPSILON = 1.001e-5


def build(
    *,
    input_shape: tuple[int | None, int | None, int] = (64, 50, 1),
    classes: int = 10,
    name: str = "mini_resnet",
) -> keras.Model:
    """Build a MiniResNet of one stage with random weights.

    Parameters
    ----------
    input_shape
        ``(frequency, time, 1)`` of decibels below the loudest place of the sound.
    classes
        Number of outputs.
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities, its logits are the layer ``"logits"``.
    """
    spectrogram = keras.Input(input_shape, name="spectrogram")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(spectrogram)
    x = layers.Conv2D(CHANNELS, 7, 2, name="conv1_conv")(x)
    x = _normalised(x, "conv1_bn")
    x = layers.ReLU(name="conv1_relu")(x)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    x = _block(x, "conv2_block1", stride=1)
    x = _block(x, "conv2_block2", stride=2)
    x = layers.Flatten(name="flatten")(x)
    logits = layers.Dense(classes, name="logits")(x)
    return keras.Model(spectrogram, layers.Softmax(name="probabilities")(logits), name=name)


def from_keras(arrays: Mapping[str, np.ndarray], **options: Any) -> dict[str, np.ndarray]:
    """Name the arrays of a published Keras file as `build` names its weights: all but the head's are alike.

    Parameters
    ----------
    arrays
        Arrays under their names in the file.
    options
        As given to `build`; it has none that change a name.
    """
    return {name.replace("new_head/", "logits/"): array for name, array in arrays.items()}


def _block(x: Any, name: str, *, stride: int) -> Any:
    beside = _normalised(layers.Conv2D(CHANNELS, 1, stride, name=f"{name}_0_conv")(x), f"{name}_0_bn")
    x = _normalised(layers.Conv2D(CHANNELS, 1, stride, name=f"{name}_1_conv")(x), f"{name}_1_bn")
    x = layers.ReLU(name=f"{name}_1_relu")(x)
    x = _normalised(layers.Conv2D(CHANNELS, 3, padding="same", name=f"{name}_2_conv")(x), f"{name}_2_bn")
    x = layers.ReLU(name=f"{name}_2_relu")(x)
    x = layers.Add(name=f"{name}_add")([beside, x])
    return layers.ReLU(name=f"{name}_out")(x)


def _normalised(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=EPSILON, name=name)(x)
