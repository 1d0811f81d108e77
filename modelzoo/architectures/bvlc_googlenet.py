"""BVLC GoogLeNet: InceptionV1 as Berkeley trained it with Caffe. Lucid calls it InceptionV1_caffe.

::

    >>> model = build(input_shape=(224, 224, 3), classes=1000)
    >>> model.get_layer("inception_4a_output").output.shape
    (None, 14, 14, 512)

It has the widths of the paper's table, which Google's own published network (`modelzoo.architectures.inception_v1`) has
not, other numbers in its local response normalisation, and Caffe's padding: three pixels on every side of the first
convolution, where TensorFlow pads two before and three behind. Layers are called as in Caffe with ``/`` written ``_``:
``inception_4a_3x3_reduce``. The two auxiliary classifiers (``loss1``, ``loss2``) served training only and are left out.

Szegedy et al., "Going Deeper with Convolutions" (CVPR 2015), table 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from modelzoo.architectures.inception_v1 import Widths, inception_module
from modelzoo.architectures.local_response import LocalResponseNormalization
from modelzoo.weights.torch_state import convolution_kernel, dense_kernel

__all__ = ["build", "from_caffe", "from_torch"]


MODULES = {
    "3a": Widths(64, 96, 128, 16, 32, 32),
    "3b": Widths(128, 128, 192, 32, 96, 64),
    "4a": Widths(192, 96, 208, 16, 48, 64),
    "4b": Widths(160, 112, 224, 24, 64, 64),
    "4c": Widths(128, 128, 256, 24, 64, 64),
    "4d": Widths(112, 144, 288, 32, 64, 64),
    "4e": Widths(256, 160, 320, 32, 128, 128),
    "5a": Widths(256, 160, 320, 32, 128, 128),
    "5b": Widths(384, 192, 384, 48, 128, 128),
}
POOLED_BEFORE = {"4a": "pool3_3x3_s2", "5a": "pool4_3x3_s2"}
CLASSIFIER = "loss3_classifier"
# Heads at 4a and 4d that helped training; the network published for use has none.
_TRAINING_ONLY = ("loss1/", "loss2/")


def build(
    *,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1000,
    name: str = "bvlc_googlenet",
) -> keras.Model:
    """Build BVLC GoogLeNet with random weights.

    Parameters
    ----------
    input_shape
        ``(height, width, 3)`` of BGR pictures in 0..255 less (104, 117, 123). Where a side is no multiple of 32, the
        windows of the pools lie half a step off Caffe's.
    classes
        Number of outputs.
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities (``prob``), its logits are the layer
        ``"loss3_classifier"``.
    """
    image = keras.Input(input_shape, name="data")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    x = _convolution(x, "conv1_7x7_s2", 64, 7, stride=2, padding="valid")
    x = _normalised(_pooled(x, "pool1_3x3_s2"), "pool1_norm1")
    x = _convolution(x, "conv2_3x3_reduce", 64, 1)
    x = _convolution(x, "conv2_3x3", 192, 3)
    x = _pooled(_normalised(x, "conv2_norm2"), "pool2_3x3_s2")
    for module, widths in MODULES.items():
        if module in POOLED_BEFORE:
            x = _pooled(x, POOLED_BEFORE[module])
        x = inception_module(
            x, f"inception_{module}", widths, bottleneck="reduce", pooled="pool_proj", output="_output"
        )
    x = layers.GlobalAveragePooling2D(name="pool5_7x7_s1")(x)
    x = layers.Dropout(0.4, name="pool5_drop_7x7_s1")(x)
    logits = layers.Dense(classes, name=CLASSIFIER)(x)
    return keras.Model(image, layers.Softmax(name="prob")(logits), name=name)


def from_caffe(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name Caffe's blobs as `build` names its weights, and turn them to Keras' layout.

    Parameters
    ----------
    tensors
        Arrays under Caffe's names: ``"inception_3a/3x3_reduce.weight"``, ``"loss3/classifier.bias"`` ...

    Returns
    -------
    dict
        ``{"inception_3a_3x3_reduce/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it
        is found; the auxiliary classifiers of training are left out.
    """
    renamed = {}
    for name, array in tensors.items():
        if name.startswith(_TRAINING_ONLY):
            continue
        part, _, field = name.rpartition(".")
        layer = part.replace("/", "_")
        if layer not in _weighted() or field not in ("weight", "bias"):
            renamed[name] = array
        elif field == "bias":
            renamed[f"{layer}/bias"] = array
        else:
            renamed[f"{layer}/kernel"] = dense_kernel(array) if layer == CLASSIFIER else convolution_kernel(array)
    return renamed


def from_torch(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name the tensors of a ``.safetensors`` file that keeps Caffe's names; the same as `from_caffe`."""
    return from_caffe(tensors)


def _weighted() -> set[str]:
    branches = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
    return {
        *("conv1_7x7_s2", "conv2_3x3_reduce", "conv2_3x3", CLASSIFIER),
        *(f"inception_{module}_{branch}" for module in MODULES for branch in branches),
    }


def _convolution(x: Any, name: str, channels: int, kernel: int, *, stride: int = 1, padding: str = "same") -> Any:
    return layers.Conv2D(channels, kernel, stride, padding=padding, activation="relu", name=name)(x)


def _pooled(x: Any, name: str) -> Any:
    # Caffe rounds the number of windows up and cuts the last one: for even sizes that is "same".
    return layers.MaxPooling2D(3, 2, padding="same", name=name)(x)


def _normalised(x: Any, name: str) -> Any:
    return LocalResponseNormalization(2, alpha=1e-4 / 5, beta=0.75, name=name)(x)
