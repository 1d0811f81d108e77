"""InceptionV1 as Google trained it in 2014: nine Inception modules, two auxiliary heads, no batch normalisation.

::

    >>> model = build(input_shape=(224, 224, 3), classes=1008)
    >>> model.get_layer("mixed4a").output.shape
    (None, 14, 14, 508)

This is the network of DeepDream and of Lucid's pictures, published as ``tensorflow_inception_graph.pb``. The slim and
Caffe networks of the same name differ from it (the 3x3 branch of mixed4a has 204 channels here and 208 there, the 5x5
bottleneck of mixed5a 48 and 32). Layers are called as in the published graph, ``mixed3a_3x3_bottleneck``; an activation
is part of its layer, so ``mixed3a_1x1:linear`` is the graph's ``mixed3a_1x1_pre_relu``.

The model has three outputs: ``softmax2``, the answer, then ``softmax0`` and ``softmax1`` of the heads at mixed4a and
mixed4d. ``heads=False`` leaves the heads out, for a picture of another size than the 224 pixels their dense layers ask
for.

Szegedy et al., "Going Deeper with Convolutions" (CVPR 2015), table 1 and section 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from modelzoo.architectures.local_response import LocalResponseNormalization
from modelzoo.weights.torch_state import convolution_kernel, dense_kernel

__all__ = ["Widths", "build", "from_frozen_graph", "from_torch", "inception_module"]


class Widths(NamedTuple):
    """Channels of the six convolutions of one Inception module, in the order of the paper's table 1."""

    one: int
    three_bottleneck: int
    three: int
    five_bottleneck: int
    five: int
    pool: int


MODULES = {
    "mixed3a": Widths(64, 96, 128, 16, 32, 32),
    "mixed3b": Widths(128, 128, 192, 32, 96, 64),
    "mixed4a": Widths(192, 96, 204, 16, 48, 64),
    "mixed4b": Widths(160, 112, 224, 24, 64, 64),
    "mixed4c": Widths(128, 128, 256, 24, 64, 64),
    "mixed4d": Widths(112, 144, 288, 32, 64, 64),
    "mixed4e": Widths(256, 160, 320, 32, 128, 128),
    "mixed5a": Widths(256, 160, 320, 48, 128, 128),
    "mixed5b": Widths(384, 192, 384, 48, 128, 128),
}
POOLED_BEFORE = {"mixed4a": "maxpool4", "mixed5a": "maxpool10"}
HEADS = {"mixed4a": 0, "mixed4d": 1}
_HEAD_PARTS = (("head", "_bottleneck"), ("nn", ""), ("softmax", "_pre_activation"))
# Parts of the published graph that hold no weights but shapes and axes.
_SHAPES = ("/concat_dim", "/reshape/shape")


def build(
    *,
    heads: bool = True,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1008,
    name: str = "inception_v1",
) -> keras.Model:
    """Build InceptionV1 with random weights.

    Parameters
    ----------
    heads
        Whether the auxiliary classifiers are there too, as the second and third output.
    input_shape
        ``(height, width, 3)`` of RGB pictures in 0..255 less 117. The published heads fit 224 x 224 only.
    classes
        Number of outputs of each classifier.
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities (``softmax2``), and with heads a list of three such
        (``softmax2``, ``softmax0``, ``softmax1``). Logits are the layers ``softmax2_pre_activation`` and so on.

    Raises
    ------
    ValueError
        Where heads are asked for and the input's size is open or too small for them.
    """
    image = keras.Input(input_shape, name="input")
    x = _convolution(image, "conv2d0", 64, 7, stride=2)
    x = _normalised(_pooled(x, "maxpool0"), "localresponsenorm0")
    x = _convolution(x, "conv2d1", 64, 1)
    x = _convolution(x, "conv2d2", 192, 3)
    x = _pooled(_normalised(x, "localresponsenorm1"), "maxpool1")
    answers = []
    for module, widths in MODULES.items():
        if module in POOLED_BEFORE:
            x = _pooled(x, POOLED_BEFORE[module])
        x = inception_module(x, module, widths)
        if heads and module in HEADS:
            answers.append(_head(x, HEADS[module], classes))
    x = layers.GlobalAveragePooling2D(name="avgpool0")(x)
    answer = _classified(x, 2, classes)
    return keras.Model(image, [answer, *answers] if heads else answer, name=name)


def from_frozen_graph(tensors: Mapping[str, np.ndarray], *, heads: bool = True) -> dict[str, np.ndarray]:
    """Name the constants of the published graph as `build` names its weights.

    Parameters
    ----------
    tensors
        Arrays by node name: ``conv2d0_w``, ``mixed3a_3x3_bottleneck_b``, ``nn0_w``, ``softmax2_b`` ...
    heads
        As given to `build`; without heads their weights are left out.

    Returns
    -------
    dict
        ``{"conv2d0/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it is found.
    """
    renamed = {}
    for name, array in tensors.items():
        if name.endswith(_SHAPES):
            continue
        part, _, field = name.rpartition("_")
        layer = _layer(part)
        if not heads and layer in _head_layers():
            continue
        known = layer in _weighted() and field in ("w", "b")
        renamed[f"{layer}/{'kernel' if field == 'w' else 'bias'}" if known else name] = array
    return renamed


def from_torch(tensors: Mapping[str, np.ndarray], *, heads: bool = True) -> dict[str, np.ndarray]:
    """Name the PyTorch conversion of the published graph as `build` names its weights, and turn its arrays.

    Parameters
    ----------
    tensors
        Arrays under the names of ``inception5h.pth``: ``conv2d0_pre_relu_conv.weight``,
        ``softmax2_pre_activation_matmul.bias`` ... That file has no heads: build with ``heads=False`` for it.
    heads
        As given to `build`.

    Returns
    -------
    dict
        ``{"conv2d0/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it is found.
    """
    renamed = {}
    for name, array in tensors.items():
        part, _, field = name.rpartition(".")
        layer = _layer(part.removesuffix("_conv").removesuffix("_matmul").removesuffix("_pre_relu"))
        if not heads and layer in _head_layers():
            continue
        if layer not in _weighted() or field not in ("weight", "bias"):
            renamed[name] = array
        elif field == "bias":
            renamed[f"{layer}/bias"] = array
        else:
            dense = layer.startswith(("nn", "softmax"))
            renamed[f"{layer}/kernel"] = dense_kernel(array) if dense else convolution_kernel(array)
    return renamed


def inception_module(
    x: Any,
    name: str,
    widths: Widths,
    *,
    bottleneck: str = "bottleneck",
    pooled: str = "pool_reduce",
    output: str = "",
) -> Any:
    """Lay four branches side by side: 1x1, 3x3 and 5x5 behind bottlenecks, and a pool of stride 1.

    Parameters
    ----------
    x
        ``(batch, height, width, channel)``.
    name
        Beginning of the layers' names: ``"mixed3a"`` gives ``mixed3a_1x1`` ...
    widths
        Channels of the convolutions.
    bottleneck, pooled, output
        How the bottlenecks, the convolution after the pool, and the concatenation are called behind `name`.

    Returns
    -------
    tensor
        ``(batch, height, width, widths.one + widths.three + widths.five + widths.pool)``, in this order.
    """
    one = _convolution(x, f"{name}_1x1", widths.one, 1)
    three = _convolution(x, f"{name}_3x3_{bottleneck}", widths.three_bottleneck, 1)
    three = _convolution(three, f"{name}_3x3", widths.three, 3)
    five = _convolution(x, f"{name}_5x5_{bottleneck}", widths.five_bottleneck, 1)
    five = _convolution(five, f"{name}_5x5", widths.five, 5)
    pool = _convolution(_pooled(x, f"{name}_pool", stride=1), f"{name}_{pooled}", widths.pool, 1)
    return layers.Concatenate(name=name + output)([one, three, five, pool])


def _layer(part: str) -> str:
    is_softmax = part.startswith("softmax") and part.removeprefix("softmax").isdigit()
    return f"{part}_pre_activation" if is_softmax else part


def _weighted() -> set[str]:
    branches = ("1x1", "3x3_bottleneck", "3x3", "5x5_bottleneck", "5x5", "pool_reduce")
    return {
        *("conv2d0", "conv2d1", "conv2d2", "softmax2_pre_activation"),
        *(f"{module}_{branch}" for module in MODULES for branch in branches),
        *_head_layers(),
    }


def _head_layers() -> set[str]:
    return {f"{part}{i}{end}" for i in HEADS.values() for part, end in _HEAD_PARTS}


def _convolution(x: Any, name: str, channels: int, kernel: int, stride: int = 1) -> Any:
    return layers.Conv2D(channels, kernel, stride, padding="same", activation="relu", name=name)(x)


def _pooled(x: Any, name: str, stride: int = 2) -> Any:
    return layers.MaxPooling2D(3, stride, padding="same", name=name)(x)


def _normalised(x: Any, name: str) -> Any:
    return LocalResponseNormalization(5, alpha=1e-4, beta=0.5, bias=2.0, name=name)(x)


def _head(x: Any, number: int, classes: int) -> Any:
    height, width = x.shape[1:3]
    if height is None or width is None or min(height, width) < 5:
        raise ValueError(
            f"the auxiliary heads pool 5 x 5 values and found {height} x {width}: they need a fixed size of at least "
            "80 x 80 pixels, 224 x 224 for the published weights; or build without them: heads=False"
        )
    x = layers.AveragePooling2D(5, 3, name=f"head{number}_pool")(x)
    x = _convolution(x, f"head{number}_bottleneck", 128, 1)
    x = layers.Flatten(name=f"head{number}_flat")(x)
    x = layers.Dense(1024, activation="relu", name=f"nn{number}")(x)
    return _classified(x, number, classes)


def _classified(x: Any, number: int, classes: int) -> Any:
    logits = layers.Dense(classes, name=f"softmax{number}_pre_activation")(x)
    return layers.Softmax(name=f"softmax{number}")(logits)
