"""AlexNet as torchvision has it: one column, no groups, no local response normalisation.

::

    >>> model = build(input_shape=(224, 224, 3), classes=1000)
    >>> model.get_layer("conv5").output.shape
    (None, 13, 13, 256)

It shares a name and little else with the network of 2012 (`modelzoo.architectures.alexnet`): 64 and 192 channels in the
first two convolutions where that one has 96 and 256, and every convolution sees all channels before it. Its convolutions
are those by which the perceptual distance LPIPS compares pictures.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (arXiv 1404.5997, 2014), section 5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras
import numpy as np
from keras import layers

from modelzoo.weights.torch_state import convolution_kernel, dense_kernel

__all__ = ["build", "from_numpy_dict", "from_torch"]

LAST_CHANNELS = 256
# How torchvision numbers the layers of its two sequences, and how they are called here.
TORCH_UNITS = {
    **{f"features.{n}": f"conv{i}" for i, n in enumerate((0, 3, 6, 8, 10), start=1)},
    **{f"classifier.{n}": f"fc{i}" for i, n in enumerate((1, 4, 6), start=6)},
}


def build(
    *,
    dropout: float = 0.5,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1000,
    name: str = "alexnet_torchvision",
) -> keras.Model:
    """Build torchvision's AlexNet with random weights.

    Parameters
    ----------
    dropout
        Rate before each of the two wide dense layers.
    input_shape
        ``(height, width, 3)`` of RGB pictures, each colour at mean 0 and deviation 1. The published dense layers fit
        224 x 224 only, where torchvision's pooling to 6 x 6 places changes nothing.
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
        Where the input's size is open or below 63 pixels: the dense layers need a fixed number of values.
    """
    height, width = input_shape[:2]
    if height is None or width is None or min(height, width) < 63:
        raise ValueError(f"AlexNet for {height} x {width} pixels; expected a fixed size of at least 63 x 63")
    image = keras.Input(input_shape, name="image")
    # PyTorch pads by 2 on every side, which "same" does not where the stride is 4.
    x = layers.ZeroPadding2D(2, name="conv1_pad")(image)
    x = layers.Conv2D(64, 11, 4, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = layers.Conv2D(192, 5, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(3, 2, name="pool2")(x)
    for number, channels in ((3, 384), (4, LAST_CHANNELS), (5, LAST_CHANNELS)):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=f"conv{number}")(x)
    x = layers.MaxPooling2D(3, 2, name="pool5")(x)
    x = layers.Flatten(name="flat5")(x)
    for number in (6, 7):
        x = layers.Dropout(dropout, name=f"drop{number}")(x)
        x = layers.Dense(4096, activation="relu", name=f"fc{number}")(x)
    logits = layers.Dense(classes, name="fc8")(x)
    return keras.Model(image, layers.Softmax(name="prob")(logits), name=name)


def from_torch(tensors: Mapping[str, np.ndarray], *, dropout: float = 0.5) -> dict[str, np.ndarray]:
    """Name torchvision's state dict as `build` names its weights, and turn its arrays to Keras' layout.

    Parameters
    ----------
    tensors
        Arrays under torchvision's names: ``"features.0.weight"``, ``"classifier.6.bias"`` ...
    dropout
        As given to `build`; without effect on weights.

    Returns
    -------
    dict
        ``{"conv1/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it is found.
    """
    renamed = {}
    for name, tensor in tensors.items():
        unit, _, field = name.rpartition(".")
        layer = TORCH_UNITS.get(unit)
        if layer is None or field not in ("weight", "bias"):
            renamed[name] = tensor
        elif field == "bias":
            renamed[f"{layer}/bias"] = tensor
        elif layer.startswith("conv"):
            renamed[f"{layer}/kernel"] = convolution_kernel(tensor)
        else:
            renamed[f"{layer}/kernel"] = dense_kernel(_channels_last(tensor) if layer == "fc6" else tensor)
    return renamed


def from_numpy_dict(arrays: Mapping[str, np.ndarray], *, dropout: float = 0.5) -> dict[str, np.ndarray]:
    """Name the convolutions of a Flax port as `build` names its weights; their layout is TensorFlow's already.

    Parameters
    ----------
    arrays
        ``AlexNet_0.Conv_0.kernel`` ...; the weighting of layers for a perceptual distance is left out.
    dropout
        As given to `build`; without effect on weights.

    Returns
    -------
    dict
        As of `from_torch`.
    """
    renamed = {}
    for name, array in arrays.items():
        if name.startswith("NetLinLayer_"):
            continue
        found = re.fullmatch(r"AlexNet_0\.Conv_([0-4])\.(kernel|bias)", name)
        renamed[f"conv{int(found[1]) + 1}/{found[2]}" if found else name] = array
    return renamed


def _channels_last(kernel: np.ndarray) -> np.ndarray:
    """Reorder a dense kernel ``(out, channel x place)``, flattened as PyTorch does, to ``(out, place x channel)``."""
    if kernel.ndim != 2 or kernel.shape[1] % LAST_CHANNELS:
        return kernel
    return kernel.reshape(len(kernel), LAST_CHANNELS, -1).transpose(0, 2, 1).reshape(len(kernel), -1)
