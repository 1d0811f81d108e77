"""VGG's weights as PyTorch and Flax name them.

    arrays = from_torch(read_torch_state(Path("vgg16-397923af.pth")), application="VGG16")
    arrays["block1_conv1/kernel"].shape
    # (3, 3, 3, 64)

Two trainings of VGG are about. The authors' own takes BGR minus the mean, as Keras' VGG does. torchvision's takes RGB,
``(x - mean) / std``; its layers are the same, so its first convolution is *folded*: divided by 255 std and turned to BGR,
the difference of the two means moved into the bias. The network then answers alike on the same picture, but for the
one pixel at the border where the padding stands for another grey (by less than 1 in 255).

Files of the authors' training for PyTorch carry their preprocessing as a first 1 x 1 convolution. The network's card
does that work, so this convolution is left out, where it is the one expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.torch_state import convolution_kernel, dense_kernel

__all__ = ["from_numpy_dict", "from_torch"]

DEPTHS = {"VGG16": (2, 2, 3, 3, 3), "VGG19": (2, 2, 4, 4, 4)}
TORCH_MEAN, TORCH_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
MEAN_BGR = np.array([103.939, 116.779, 123.68])
LAST_CHANNELS = 512
_PREPROCESSING = "0"
_CLASSIFIER = {"classifier.0": "fc1", "classifier.3": "fc2", "classifier.6": "predictions"}


def from_torch(tensors: Mapping[str, np.ndarray], *, application: str, **options: Any) -> dict[str, np.ndarray]:
    """Name a PyTorch state dict as Keras' VGG names its weights, and turn its arrays to Keras' layout.

    Parameters
    ----------
    tensors
        torchvision's (``features.0.weight``, ``classifier.6.bias``), or convolutions numbered through a plain sequence
        (``2.weight``) after a 1 x 1 convolution that is the preprocessing.
    application
        ``"VGG16"`` or ``"VGG19"``.
    options
        Further arguments of the application; they play no part.

    Returns
    -------
    dict
        ``{"block1_conv1/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it is found.

    Raises
    ------
    WeightsError
        Where the 1 x 1 convolution does other work than the card of the network.
    """
    plain = f"{_PREPROCESSING}.weight" in tensors
    pattern = re.compile(r"(\d+)\.weight" if plain else r"features\.(\d+)\.weight")
    numbers = sorted(int(found[1]) for name in tensors if (found := pattern.fullmatch(name)))
    if plain:
        _check_preprocessing(tensors)
        numbers.remove(0)
    prefix = "" if plain else "features."
    units = dict(zip((f"{prefix}{number}" for number in numbers), _convolutions(application), strict=False))
    renamed = {}
    for name, tensor in tensors.items():
        unit, _, field = name.rpartition(".")
        if plain and unit == _PREPROCESSING:
            continue
        layer = units.get(unit, _CLASSIFIER.get(unit))
        if layer is None or field not in ("weight", "bias"):
            renamed[name] = tensor
        elif field == "bias":
            renamed[f"{layer}/bias"] = tensor
        elif unit in _CLASSIFIER:
            renamed[f"{layer}/kernel"] = dense_kernel(_channels_last(tensor) if layer == "fc1" else tensor)
        else:
            renamed[f"{layer}/kernel"] = convolution_kernel(tensor)
    return renamed if plain else _folded(renamed)


def from_numpy_dict(arrays: Mapping[str, np.ndarray], *, application: str, **options: Any) -> dict[str, np.ndarray]:
    """Name the convolutions of a Flax port of torchvision's VGG as Keras' VGG names them.

    Parameters
    ----------
    arrays
        ``VGG16_0.Conv_0.kernel`` in TensorFlow's layout.
    application
        ``"VGG16"`` or ``"VGG19"``.
    options
        Further arguments of the application; they play no part.

    Returns
    -------
    dict
        As of `from_torch`.
    """
    renamed = {}
    convolutions = _convolutions(application)
    for name, array in arrays.items():
        # The weighting of the layers for a perceptual distance; no part of the network.
        if name.startswith("NetLinLayer_"):
            continue
        found = re.fullmatch(rf"{application}_0\.Conv_(\d+)\.(kernel|bias)", name)
        known = found is not None and int(found[1]) < len(convolutions)
        renamed[f"{convolutions[int(found[1])]}/{found[2]}" if found and known else name] = array
    return _folded(renamed)


def _convolutions(application: str) -> list[str]:
    if application not in DEPTHS:
        raise WeightsError(
            f"no names for such weights of {application}; they are known for {' and '.join(DEPTHS)}. torchvision's "
            "ResNets are no ResNet v1: they halve the picture in another convolution"
        )
    return [f"block{b + 1}_conv{i + 1}" for b, depth in enumerate(DEPTHS[application]) for i in range(depth)]


def _folded(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    kernel, bias = arrays.get("block1_conv1/kernel"), arrays.get("block1_conv1/bias")
    if kernel is None or bias is None or kernel.ndim != 4 or kernel.shape[2] != 3:
        return dict(arrays)
    scaled = kernel.astype(np.float64) / (255 * TORCH_STD)[:, None]
    moved = bias + np.einsum("hwio,i->o", scaled, MEAN_BGR[::-1] - 255 * TORCH_MEAN)
    first = {
        "block1_conv1/kernel": np.ascontiguousarray(scaled[:, :, ::-1]).astype(np.float32),
        "block1_conv1/bias": moved.astype(np.float32),
    }
    return {**arrays, **first}


def _check_preprocessing(tensors: Mapping[str, np.ndarray]) -> None:
    kernel, bias = tensors[f"{_PREPROCESSING}.weight"], tensors.get(f"{_PREPROCESSING}.bias")
    expected = 255 * np.eye(3)[::-1]
    if kernel.shape == (3, 3, 1, 1) and bias is not None and bias.shape == (3,):
        if np.allclose(kernel[:, :, 0, 0], expected, atol=0.1) and np.allclose(bias, -MEAN_BGR, atol=0.1):
            return
        found = f"gives 1 the values {(kernel.sum((1, 2, 3)) + bias).round(2).tolist()}"
    else:
        found = f"has the shape {kernel.shape}"
    raise WeightsError(
        f"the first convolution, {_PREPROCESSING}.weight, should be the preprocessing, RGB in [0, 1] to BGR minus "
        f"{MEAN_BGR.tolist()}; it {found}"
    )


def _channels_last(kernel: np.ndarray) -> np.ndarray:
    """Reorder a dense kernel ``(out, channel x place)``, flattened as PyTorch does, to ``(out, place x channel)``."""
    if kernel.ndim != 2 or kernel.shape[1] % LAST_CHANNELS:
        return kernel
    return kernel.reshape(len(kernel), LAST_CHANNELS, -1).transpose(0, 2, 1).reshape(len(kernel), -1)
