"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6, for phones.

    >>> model = build(width=1.0, depth=1.0)
    >>> model.get_layer("block4_add").output.shape
    (None, 28, 28, 40)

Blocks are numbered from 0 through the whole network. Each has up to three convolutions, ``expand``, ``depthwise`` and
``project``, each followed by ``_bn`` and the first two by ``_relu``; a block that keeps its shape ends in ``_add``.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019), table 1; the Lite
variants keep stem and head at their width and the first and last stage at their depth whatever the scaling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from modelzoo.weights.torch_state import convolution_kernel, dense_kernel, depthwise_kernel

__all__ = ["build", "from_torch"]

STEM, HEAD = 32, 1280


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


class _Block(NamedTuple):
    number: int
    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int


def build(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    dropout: float = 0.2,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1000,
    name: str = "efficientnet_lite",
) -> keras.Model:
    """Build an EfficientNet-Lite with random weights.

    Parameters
    ----------
    width, depth
        Factors on channels and repeats: 1.0, 1.0 for Lite0; 1.0, 1.1 for Lite1; 1.1, 1.2 for Lite2.
    dropout
        Rate before the classifier.
    input_shape
        ``(height, width, 3)`` of images already scaled to (-1, 1), as ``(255 x - 127) / 128`` does.
    classes
        Number of outputs.
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities, its logits are the layer ``"logits"``.
    """
    image = keras.Input(input_shape, name="image")
    x = _unit(layers.Conv2D(STEM, 3, 2, padding="same", use_bias=False, name="stem_conv"), image)
    for block in _blocks(width, depth):
        x = _block(block, x)
    x = _unit(layers.Conv2D(HEAD, 1, use_bias=False, name="head_conv"), x)
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = layers.Dropout(dropout, name="head_dropout")(x)
    logits = layers.Dense(classes, name="logits")(x)
    return keras.Model(image, layers.Softmax(name="probabilities")(logits), name=name)


def from_torch(
    tensors: Mapping[str, np.ndarray], *, width: float = 1.0, depth: float = 1.0, dropout: float = 0.2
) -> dict[str, np.ndarray]:
    """Name a PyTorch state dict as `build` names its weights, and turn its arrays to Keras' layout.

    Parameters
    ----------
    tensors
        Arrays under the names of the published PyTorch weights (``_conv_stem``, ``_blocks.0._depthwise_conv``, ``_fc``).
    width, depth, dropout
        As given to `build`; a dropout has no weights.

    Returns
    -------
    dict
        ``{"stem_conv/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it is found.
    """
    units = {
        "_conv_stem": "stem_conv",
        "_bn0": "stem_bn",
        "_conv_head": "head_conv",
        "_bn1": "head_bn",
        "_fc": "logits",
    }
    for block in _blocks(width, depth):
        theirs, ours = f"_blocks.{block.number}.", f"block{block.number}_"
        for part, theirs_bn in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
            units[f"{theirs}_{part}_conv"] = f"{ours}{part}_conv"
            units[theirs + theirs_bn] = f"{ours}{part}_bn"
    renamed = {}
    for name, array in tensors.items():
        unit, _, field = name.rpartition(".")
        if field == "num_batches_tracked":
            continue
        layer = units.get(unit)
        renamed.update({name: array} if layer is None else dict([_keras_weight(layer, field, array)]))
    return renamed


def _keras_weight(layer: str, field: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    if layer.endswith("_bn"):
        fields = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
        return f"{layer}/{fields.get(field, field)}", array
    if field == "bias":
        return f"{layer}/bias", array
    turn: Any = convolution_kernel
    if layer == "logits":
        turn = dense_kernel
    elif "depthwise" in layer:
        turn = depthwise_kernel
    return f"{layer}/kernel", turn(array)


def _blocks(width: float, depth: float) -> Iterator[_Block]:
    number, inputs = 0, STEM
    for position, stage in enumerate(STAGES):
        scaled = position not in (0, len(STAGES) - 1)
        repeats = math.ceil(stage.repeats * depth) if scaled else stage.repeats
        outputs = _rounded(stage.channels * width)
        for repeat in range(repeats):
            yield _Block(number, stage.kernel, stage.stride if repeat == 0 else 1, stage.expansion, inputs, outputs)
            number, inputs = number + 1, outputs


def _rounded(channels: float) -> int:
    """Round to the nearest multiple of 8, never down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _unit(convolution: keras.Layer, x: Any, *, relu: bool = True) -> Any:
    name = convolution.name.removesuffix("_conv")
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_bn")(convolution(x))
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _block(block: _Block, x: Any) -> Any:
    name = f"block{block.number}"
    before = x
    if block.expansion != 1:
        wide = block.inputs * block.expansion
        x = _unit(layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand_conv"), x)
    depthwise = layers.DepthwiseConv2D(
        block.kernel, block.stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )
    x = _unit(depthwise, x)
    x = _unit(layers.Conv2D(block.outputs, 1, use_bias=False, name=f"{name}_project_conv"), x, relu=False)
    if block.stride == 1 and block.inputs == block.outputs:
        x = layers.Add(name=f"{name}_add")([before, x])
    return x
