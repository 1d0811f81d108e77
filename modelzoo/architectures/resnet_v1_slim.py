"""ResNet v1 as TF-slim has it: 50, 101 or 152 layers, strides at the ends of its blocks.

    >>> model = build(units=(3, 4, 6, 3))
    >>> model.get_layer("block1_unit_3_bottleneck_v1_relu").output.shape
    (None, 28, 28, 256)

``keras.applications`` has the same networks from the same weights of the authors, with two things in other places:

* A block halves the picture in its *last* unit: the 3 x 3 convolution there has stride 2, and the shortcut beside it is
  subsampled by a pooling over a window of one pixel. Keras halves at the beginning of the next block. That unit has
  half the size here; what later units compute is the same, since a strided convolution is padded alike on all sides
  and so gives every second value of the one without stride (``same`` would not, for pictures of an even size).
* The pooling after the first convolution is padded as ``same``. Keras pads it by one on every side: for pictures of an
  even size its windows begin one pixel before these, and all that follows differs.

Layers are called as TF-slim's scopes below the network's own, with ``_`` for ``/``: ``block1_unit_2_bottleneck_v1_conv3``,
then ``_bn`` and ``_relu``; a unit ends in ``block1_unit_2_bottleneck_v1_relu``.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition" (CVPR 2016), table 1 and figure 5, right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.slim import from_slim

__all__ = ["build", "from_tf_checkpoint"]

RESNET_50 = (3, 4, 6, 3)
EPSILON = 1e-5
MOMENTUM = 0.997
CHANNELS = (64, 128, 256, 512)
EXPANSION = 4
PUBLISHED = {f"resnet_v1_{depth}": f"ResnetV1_{depth}_slim" for depth in (50, 101, 152)}


class Unit(NamedTuple):
    """A bottleneck: its scope below the network's, the channels of its 3 x 3 convolution, its stride.

    `projects` says that a convolution stands beside it in place of the plain shortcut.
    """

    scope: str
    channels: int
    stride: int
    projects: bool

    @property
    def name(self) -> str:
        """What its layers are called after."""
        return self.scope.replace("/", "_")


def build(
    *,
    units: Sequence[int] = RESNET_50,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1000,
    name: str = "resnet_v1_50_slim",
) -> keras.Model:
    """Build a ResNet v1 of TF-slim with random weights.

    Parameters
    ----------
    units
        Bottleneck units of the four blocks: ``(3, 4, 6, 3)`` has 50 layers, ``(3, 4, 23, 3)`` 101, ``(3, 8, 36, 3)``
        152.
    input_shape
        ``(height, width, 3)`` of RGB values minus their mean (123.68, 116.779, 103.939).
    classes
        Number of outputs; the published 1000 are without "background".
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities, its logits are the layer ``"logits"``.

    Raises
    ------
    ValueError
        Where `units` are not four numbers of 1 or more.
    """
    picture = keras.Input(input_shape, name="image")
    x = _convolution(picture, "conv1", 64, 7, stride=2)
    x = layers.ReLU(name="conv1_relu")(x)
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(x)
    for unit in _units(units):
        x = _bottleneck(x, unit)
    x = layers.GlobalAveragePooling2D(name="pool5")(x)
    logits = layers.Dense(classes, name="logits")(x)
    return keras.Model(picture, layers.Softmax(name="probabilities")(logits), name=name)


def from_tf_checkpoint(arrays: Mapping[str, np.ndarray], *, units: Sequence[int] = RESNET_50) -> dict[str, np.ndarray]:
    """Name the arrays of a TF-slim checkpoint as `build` names its weights.

    Parameters
    ----------
    arrays
        Arrays under TF-slim's names (``resnet_v1_50/block1/unit_1/bottleneck_v1/conv1/weights``).
    units
        As `build` takes them; they say how many layers the network has, and with that its name.

    Returns
    -------
    dict
        ``{"block1_unit_1_bottleneck_v1_conv1/kernel": array, ...}``. An array no layer has keeps its own name.

    Raises
    ------
    WeightsError
        Where the arrays are those of a ResNet of another depth or version.
    """
    scope = _scope(units)
    for name in arrays:
        other = name.partition("/")[0]
        if other.startswith("resnet_v") and other != scope:
            hint = f"; load it as {PUBLISHED[other]!r}" if other in PUBLISHED else ""
            raise WeightsError(f"the checkpoint is one of {other} ({name}); expected {scope}{hint}")
    scopes = {f"{scope}/conv1": "conv1", f"{scope}/logits": "logits"}
    for unit in _units(units):
        parts = ("conv1", "conv2", "conv3", "shortcut") if unit.projects else ("conv1", "conv2", "conv3")
        scopes |= {f"{scope}/{unit.scope}/{part}": f"{unit.name}_{part}" for part in parts}
    # The mean that was taken from the pictures travels in the published files; here the card holds it.
    return from_slim(arrays, scopes, dense=("logits",), skip=(f"{scope}/mean_rgb",))


def _scope(units: Sequence[int]) -> str:
    # Three convolutions a unit, the first one and the classifier: the number the paper calls a network by.
    return f"resnet_v1_{3 * sum(units) + 2}"


def _units(units: Sequence[int]) -> Iterator[Unit]:
    if len(units) != len(CHANNELS) or min(units) < 1:
        raise ValueError(f"units are {tuple(units)}; expected {len(CHANNELS)} numbers of 1 or more, as {RESNET_50}")
    for block, (channels, depth) in enumerate(zip(CHANNELS, units, strict=True), start=1):
        for number in range(1, depth + 1):
            halves = number == depth and block < len(CHANNELS)
            scope = f"block{block}/unit_{number}/bottleneck_v1"
            yield Unit(scope, channels, stride=2 if halves else 1, projects=number == 1)


def _bottleneck(x: Any, unit: Unit) -> Any:
    name, depth = unit.name, EXPANSION * unit.channels
    y = layers.ReLU(name=f"{name}_conv1_relu")(_convolution(x, f"{name}_conv1", unit.channels, 1))
    y = _convolution(y, f"{name}_conv2", unit.channels, 3, stride=unit.stride)
    y = layers.ReLU(name=f"{name}_conv2_relu")(y)
    y = _convolution(y, f"{name}_conv3", depth, 1)
    if unit.projects:
        x = _convolution(x, f"{name}_shortcut", depth, 1, stride=unit.stride)
    elif unit.stride > 1:
        x = layers.MaxPooling2D(1, unit.stride, name=f"{name}_shortcut")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _convolution(x: Any, name: str, channels: int, size: int, *, stride: int = 1) -> Any:
    """Convolution without bias and batch normalisation, padded by half its window on every side."""
    padding = "same"
    if stride > 1 and size > 1:
        x, padding = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x), "valid"
    x = layers.Conv2D(channels, size, stride, padding=padding, use_bias=False, name=name)(x)
    return layers.BatchNormalization(epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")(x)
