"""The networks that ``keras.applications`` has, under names that hold.

    >>> model = build(application="InceptionV3", input_shape=(299, 299, 3), classes=1000, name="inceptionv3")
    >>> model.get_layer("mixed10").output.shape
    (None, 8, 8, 2048)

Keras leaves many of their layers unnamed and counts on through the process: the first convolution is ``conv2d`` in a
fresh one, and ``conv2d_94`` where an InceptionV3 was built before. A card, a store of spritemaps or a colleague's note
that says ``activation_4`` would then mean another layer from one session to the next. Here every such name is *recounted*
from zero within the network, which gives the names of a fresh process whatever was built before; the sums of
Inception-ResNet's blocks, which Keras calls ``custom_scale_layer_17``, are named after their blocks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from modelzoo.architectures.keras_applications_names import from_tf_checkpoint, from_torch
from modelzoo.architectures.vgg_names import from_numpy_dict

__all__ = ["APPLICATIONS", "build", "from_keras", "from_numpy_dict", "from_tf_checkpoint", "from_torch"]

APPLICATIONS = (
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "VGG16",
    "VGG19",
)
_UNNAMED = (
    "activation",
    "add",
    "average_pooling2d",
    "batch_normalization",
    "concatenate",
    "conv2d",
    "cropping2d",
    "dropout",
    "global_average_pooling2d",
    "max_pooling2d",
    "zero_padding2d",
)
_COUNTED = re.compile(rf"({'|'.join(_UNNAMED)})(?:_(\d+))?")
_BRANCHES = {"1": 0, "2a": 1, "2b": 2, "2c": 3}
_FORMER_BLOCK = re.compile(r"(res|bn)(\d)([a-z])(\d*)_branch(1|2a|2b|2c)")
_FORMER_ENDS = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn", "fc1000": "predictions"}


def build(
    *,
    application: str,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1000,
    name: str = "keras_application",
    **options: Any,
) -> keras.Model:
    """Build one of Keras' applications with random weights.

    Parameters
    ----------
    application
        One of `APPLICATIONS`, as the function in ``keras.applications`` is called.
    input_shape
        ``(height, width, 3)`` of images already scaled as the application asks.
    classes
        Number of outputs.
    name
        Name of the Keras model.
    options
        Further arguments of the application: ``alpha`` of MobileNet.

    Returns
    -------
    keras.Model
        Functional and flat; gives ``(batch, classes)`` probabilities from its layer ``"predictions"``. The input layer
        is ``"image"``.

    Raises
    ------
    ValueError
        For an application that is not listed here.
    """
    if application not in APPLICATIONS:
        raise ValueError(f"no application {application!r} here; expected one of {', '.join(APPLICATIONS)}")
    image = keras.Input(input_shape, name="image")
    model = getattr(keras.applications, application)(
        weights=None, input_tensor=image, input_shape=input_shape, classes=classes, name=name, **options
    )
    _recount(model)
    _name_sums(model)
    # Given an input, Keras makes a model of a list of one input, and warns whoever calls it with a plain picture.
    return keras.Model(image, model.outputs[0], name=name)


def from_keras(arrays: Mapping[str, np.ndarray], *, application: str, **options: Any) -> dict[str, np.ndarray]:
    """Give the arrays of a Keras file the layer names of today.

    Parameters
    ----------
    arrays
        ``{"layer/variable": array}`` in Keras' layout.
    application
        As given to `build`. Only the ResNets were renamed: ``res2a_branch2a`` became ``conv2_block1_1_conv``.
    options
        As given to `build`; they play no part.

    Returns
    -------
    dict
        The same arrays; a name that is not known keeps its place and its name.
    """
    if not application.startswith("ResNet"):
        return dict(arrays)
    parts = {name: name.partition("/") for name in arrays}
    if not any(layer == "bn_conv1" for layer, _, _ in parts.values()):
        return dict(arrays)
    return {_of_today(layer) + slash + field: arrays[name] for name, (layer, slash, field) in parts.items()}


def _of_today(layer: str) -> str:
    found = _FORMER_BLOCK.fullmatch(layer)
    if found is None:
        return _FORMER_ENDS.get(layer, layer)
    what, stage, letter, number, branch = found.groups()
    # ResNet-50 lettered its blocks (4a, 4b, 4c ...); the deeper ones ran out of letters and wrote 4a, 4b1, 4b2 ...
    block = int(number) + 1 if number else ord(letter) - ord("a") + 1
    return f"conv{stage}_block{block}_{_BRANCHES[branch]}_{'conv' if what == 'res' else 'bn'}"


def _recount(model: keras.Model) -> None:
    counted = defaultdict(list)
    for layer in model.layers:
        found = _COUNTED.fullmatch(layer.name)
        if found:
            counted[found[1]].append((int(found[2] or 0), layer))
    for kind, numbered in counted.items():
        for number, (_, layer) in enumerate(sorted(numbered, key=lambda pair: pair[0])):
            layer.name = kind if number == 0 else f"{kind}_{number}"


def _name_sums(model: keras.Model) -> None:
    sums = [layer for layer in model.layers if type(layer).__name__ == "CustomScaleLayer"]
    blocks = [found[1] for layer in model.layers if (found := re.fullmatch(r"(block\d+_\d+)_conv", layer.name))]
    for block, layer in zip(blocks, sums, strict=True):
        layer.name = f"{block}_add"
