"""YAMNet: MobileNet v1 for sound, on mel spectrograms of 0.96 s.

    >>> model = build(blocks=6, classes=10)
    >>> model.get_layer("layer6.pointwise_conv.relu").output.shape
    (None, 12, 8, 256)

It takes ``(time, frequency, 1)``. ``layer1`` is a plain convolution, every further one a depthwise and a pointwise
convolution; each convolution is followed by ``.bn`` and ``.relu``, named as published with ``.`` in the place of ``/``.
YAMNet-256 ends after six of the fourteen, at 256 channels, for microcontrollers.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017
(https://arxiv.org/abs/1704.04861), table 1; trained on AudioSet as in Hershey et al., "CNN Architectures for Large-Scale
Audio Classification", ICASSP 2017 (https://arxiv.org/abs/1609.09430).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

__all__ = ["build", "from_keras"]

# (stride, channels) of each layer.
LAYERS = (
    (2, 32),
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
)
# The heads that the weights were published with.
HEADS = ("new_head", "logits")


def build(
    *,
    blocks: int = len(LAYERS),
    input_shape: tuple[int | None, int | None, int] = (96, 64, 1),
    classes: int = 10,
    several: bool = False,
    name: str = "yamnet",
) -> keras.Model:
    """Build a YAMNet with random weights.

    Parameters
    ----------
    blocks
        How many of the fourteen layers it has.
    input_shape
        ``(time, frequency, 1)`` of natural logarithms of mel magnitudes.
    classes
        Number of outputs.
    several
        Whether a sound may be of several classes at once, as in AudioSet.
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities, its logits are the layer ``"logits"``. The probabilities
        are a softmax, or, of several classes, a sigmoid each.

    Raises
    ------
    ValueError
        For a number of blocks that YAMNet does not have.
    """
    if not 1 <= blocks <= len(LAYERS):
        raise ValueError(f"blocks is {blocks}; expected 1 to {len(LAYERS)}")
    spectrogram = keras.Input(input_shape, name="spectrogram")
    x: Any = spectrogram
    for number, (stride, channels) in enumerate(LAYERS[:blocks], 1):
        if number == 1:
            conv = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False, name="layer1.conv")
            x = _unit(conv, x, "layer1.relu")
            continue
        at = f"layer{number}"
        depthwise = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False, name=f"{at}.depthwise_conv")
        x = _unit(depthwise, x, f"{at}.depthwise_conv.relu")
        pointwise = layers.Conv2D(channels, 1, use_bias=False, name=f"{at}.pointwise_conv")
        x = _unit(pointwise, x, f"{at}.pointwise_conv.relu")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(classes, name="logits")(x)
    end = layers.Activation("sigmoid", name="probabilities") if several else layers.Softmax(name="probabilities")
    return keras.Model(spectrogram, end(logits), name=name)


def from_keras(arrays: Mapping[str, np.ndarray], **options: Any) -> dict[str, np.ndarray]:
    """Name the arrays of a published Keras file as `build` names its weights.

    Parameters
    ----------
    arrays
        Arrays under their names in the file, ``sequential_2/layer1/conv/kernel``: a nested model's name may stand
        before them.
    options
        As given to `build`; they change no name.

    Returns
    -------
    dict
        ``{"layer1.conv/kernel": array, ...}``. An array that no layer has keeps its own name, so that it is found.
    """
    return {_renamed(name): array for name, array in arrays.items()}


def _renamed(name: str) -> str:
    *path, variable = name.split("/")
    start = next((i for i, part in enumerate(path) if part.startswith("layer") and part[5:].isdigit()), None)
    if start is not None:
        return f"{'.'.join(path[start:])}/{variable}"
    return f"logits/{variable}" if path and path[-1] in HEADS else name


def _unit(convolution: keras.Layer, x: Any, relu: str) -> Any:
    x = convolution(x)
    x = layers.BatchNormalization(scale=False, epsilon=1e-4, name=f"{convolution.name}.bn")(x)
    return layers.ReLU(name=relu)(x)
