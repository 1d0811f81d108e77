"""AlexNet as Berkeley trained it with Caffe: five convolutions, three of them in two groups, and three dense layers.

::

    >>> model = build(input_shape=(227, 227, 3), classes=1000)
    >>> model.get_layer("conv5").output.shape
    (None, 13, 13, 256)

The groups are what is left of the two graphics cards of 2012: conv2, conv4 and conv5 see only half of the channels
before them, so the halves of conv1 specialise (one in form, one in colour). torchvision's network of this name has
neither groups nor local response normalisation and other widths; its weights do not fit.

Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (NIPS 2012), figure
2; in Caffe's order of layers, normalisation before pooling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from modelzoo.architectures.local_response import LocalResponseNormalization
from modelzoo.weights.errors import WeightsError
from modelzoo.weights.torch_state import convolution_kernel, dense_kernel

__all__ = ["build", "from_caffe", "from_frozen_graph", "from_numpy_dict"]

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
DENSE = ("fc6", "fc7", "fc8")
LAST_CHANNELS = 256


def build(
    *,
    dropout: float = 0.5,
    input_shape: tuple[int | None, int | None, int] = (227, 227, 3),
    classes: int = 1000,
    name: str = "alexnet",
) -> keras.Model:
    """Build AlexNet with random weights.

    Parameters
    ----------
    dropout
        Rate after each of the two wide dense layers.
    input_shape
        ``(height, width, 3)`` of BGR pictures in 0..255 less the mean. The published dense layers fit 227 x 227 only.
    classes
        Number of outputs.
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities (``prob``), its logits are the layer ``"fc8"``.

    Raises
    ------
    ValueError
        Where the input's size is open or below 67 pixels: the dense layers need a fixed number of values.
    """
    height, width = input_shape[:2]
    if height is None or width is None or min(height, width) < 67:
        raise ValueError(f"AlexNet for {height} x {width} pixels; expected a fixed size of at least 67 x 67")
    image = keras.Input(input_shape, name="data")
    x = layers.Conv2D(96, 11, 4, activation="relu", name="conv1")(image)
    x = _normalised_and_pooled(x, 1)
    x = _convolution(x, "conv2", 256, 5, groups=2)
    x = _normalised_and_pooled(x, 2)
    x = _convolution(x, "conv3", 384, 3)
    x = _convolution(x, "conv4", 384, 3, groups=2)
    x = _convolution(x, "conv5", LAST_CHANNELS, 3, groups=2)
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    x = layers.Flatten(name="flat5")(x)
    for layer in ("6", "7"):
        x = layers.Dense(4096, activation="relu", name=f"fc{layer}")(x)
        x = layers.Dropout(dropout, name=f"drop{layer}")(x)
    logits = layers.Dense(classes, name="fc8")(x)
    return keras.Model(image, layers.Softmax(name="prob")(logits), name=name)


def from_caffe(tensors: Mapping[str, np.ndarray], *, dropout: float = 0.5) -> dict[str, np.ndarray]:
    """Name Caffe's blobs as `build` names its weights, and turn them to Keras' layout.

    Parameters
    ----------
    tensors
        Arrays under Caffe's names: ``"conv1.weight"``, ``"fc8.bias"`` ...
    dropout
        As given to `build`; without effect on weights.

    Returns
    -------
    dict
        ``{"conv1/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it is found.

    Raises
    ------
    WeightsError
        Where the values before fc6 are no square of 256 channels.
    """
    renamed = {}
    for name, array in tensors.items():
        layer, _, field = name.rpartition(".")
        if layer not in (*CONVOLUTIONS, *DENSE) or field not in ("weight", "bias"):
            renamed[name] = array
        elif field == "bias":
            renamed[f"{layer}/bias"] = array
        elif layer in CONVOLUTIONS:
            renamed[f"{layer}/kernel"] = convolution_kernel(array)
        else:
            renamed[f"{layer}/kernel"] = dense_kernel(_channels_last(array) if layer == "fc6" else array)
    return renamed


def from_numpy_dict(tensors: Mapping[str, np.ndarray], *, dropout: float = 0.5) -> dict[str, np.ndarray]:
    """Name the arrays of ``bvlc_alexnet.npy`` as `build` names its weights; their layout is TensorFlow's already.

    Parameters
    ----------
    tensors
        Arrays by layer and place: ``"conv1.0"`` (kernel), ``"conv1.1"`` (bias) ...
    dropout
        As given to `build`; without effect on weights.

    Returns
    -------
    dict
        ``{"conv1/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it is found.
    """
    return _renamed(tensors, ".", {"0": "kernel", "1": "bias"})


def from_frozen_graph(tensors: Mapping[str, np.ndarray], *, dropout: float = 0.5) -> dict[str, np.ndarray]:
    """Name the constants of the frozen graph that Lucid uses as `build` names its weights.

    Parameters
    ----------
    tensors
        Arrays by node name: ``"conv1/weights"``, ``"conv1/biases"`` ...; the graph's axes, shapes and sizes are no
        weights and are left out.
    dropout
        As given to `build`; without effect on weights.

    Returns
    -------
    dict
        ``{"conv1/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it is found.
    """
    # Axes of split and concat, shapes of reshapes, the rate of dropout: whole numbers and single ones.
    weights = {name: array for name, array in tensors.items() if array.ndim and array.dtype.kind == "f"}
    return _renamed(weights, "/", {"weights": "kernel", "biases": "bias"})


def _renamed(tensors: Mapping[str, np.ndarray], joint: str, fields: Mapping[str, str]) -> dict[str, np.ndarray]:
    renamed = {}
    for name, array in tensors.items():
        layer, _, field = name.rpartition(joint)
        known = layer in (*CONVOLUTIONS, *DENSE) and field in fields
        renamed[f"{layer}/{fields[field]}" if known else name] = array
    return renamed


def _channels_last(kernel: np.ndarray) -> np.ndarray:
    """Reorder the inputs of ``(out, channel * height * width)``: Caffe flattens channels first, Keras last."""
    side = math.isqrt(kernel.shape[-1] // LAST_CHANNELS) if kernel.ndim == 2 else 0
    if not side or side * side * LAST_CHANNELS != kernel.shape[1]:
        raise WeightsError(f"fc6 of shape {kernel.shape}; expected (4096, 9216): 256 channels of 6 x 6 values")
    turned = kernel.reshape(-1, LAST_CHANNELS, side, side).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(turned).reshape(kernel.shape)


def _convolution(x: Any, name: str, channels: int, kernel: int, groups: int = 1) -> Any:
    return layers.Conv2D(channels, kernel, padding="same", groups=groups, activation="relu", name=name)(x)


def _normalised_and_pooled(x: Any, number: int) -> Any:
    x = LocalResponseNormalization(2, alpha=1e-4 / 5, beta=0.75, name=f"norm{number}")(x)
    return layers.MaxPooling2D(3, 2, name=f"pool{number}")(x)
