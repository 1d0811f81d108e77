"""Inception V3 and Inception-ResNet V2: from TF-slim's names, and a file of PyTorch's, to ``keras.applications``.

    >>> dict(units("InceptionV3"))["InceptionV3/Mixed_5b/Branch_0/Conv2d_0a_1x1"]
    Unit(convolution='conv2d_5', normalisation='batch_normalization_5')

Keras numbers most of their convolutions from the input to the output, branch by branch; TF-slim names each by its place.
The order is the same, so the places are written down here in that order, as TF-slim names them. Twice in Mixed_5c, and
in Mixed_6a, those names are slips (``Conv_1_0c_5x5``, ``Conv2d_1a_1x1`` for a window of 3 x 3), which its checkpoints
have kept ever since.

Both have an output 0 for "background", which Keras' have not. The auxiliary classifier plays no part in the answer.

For PyTorch the body of the Inception V3 of 2015 travels in tools that measure the distance between sets of pictures. It
has no classifier, and one thing is other: the last block takes the greatest of its neighbours where Keras takes the mean,
so with these weights the last 192 channels of ``mixed10`` are not what that network gives; all others are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import NamedTuple

import numpy as np

from modelzoo.weights.slim import from_slim
from modelzoo.weights.torch_state import convolution_kernel

__all__ = ["NETWORKS", "from_tf_checkpoint", "from_torch", "units"]

Branch = tuple[str, ...]
Block = tuple[Branch, ...]


class Unit(NamedTuple):
    """The two layers that Keras makes of a TF-slim convolution; one that ends a residual has no normalisation."""

    convolution: str
    normalisation: str | None


STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
# The last branch of a block is a pooling followed by a convolution, or a pooling alone, which has no place here.
_35: Block = (
    ("Conv2d_0a_1x1",),
    ("Conv2d_0a_1x1", "Conv2d_0b_5x5"),
    ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_0c_3x3"),
    ("Conv2d_0b_1x1",),
)
_17: Block = (
    ("Conv2d_0a_1x1",),
    ("Conv2d_0a_1x1", "Conv2d_0b_1x7", "Conv2d_0c_7x1"),
    ("Conv2d_0a_1x1", "Conv2d_0b_7x1", "Conv2d_0c_1x7", "Conv2d_0d_7x1", "Conv2d_0e_1x7"),
    ("Conv2d_0b_1x1",),
)
_8: Block = (
    ("Conv2d_0a_1x1",),
    ("Conv2d_0a_1x1", "Conv2d_0b_1x3", "Conv2d_0b_3x1"),
    ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_0c_1x3", "Conv2d_0d_3x1"),
    ("Conv2d_0b_1x1",),
)
INCEPTION_V3: Mapping[str, Block] = {
    "Mixed_5b": _35,
    "Mixed_5c": (_35[0], ("Conv2d_0b_1x1", "Conv_1_0c_5x5"), *_35[2:]),
    "Mixed_5d": _35,
    "Mixed_6a": (("Conv2d_1a_1x1",), ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_1a_1x1")),
    **{f"Mixed_6{letter}": _17 for letter in "bcde"},
    "Mixed_7a": (
        ("Conv2d_0a_1x1", "Conv2d_1a_3x3"),
        ("Conv2d_0a_1x1", "Conv2d_0b_1x7", "Conv2d_0c_7x1", "Conv2d_1a_3x3"),
    ),
    "Mixed_7b": _8,
    "Mixed_7c": (_8[0], ("Conv2d_0a_1x1", "Conv2d_0b_1x3", "Conv2d_0c_3x1"), *_8[2:]),
}
RESIDUAL_35: Block = (
    ("Conv2d_1x1",),
    ("Conv2d_0a_1x1", "Conv2d_0b_3x3"),
    ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_0c_3x3"),
)
RESIDUAL_17: Block = (("Conv2d_1x1",), ("Conv2d_0a_1x1", "Conv2d_0b_1x7", "Conv2d_0c_7x1"))
RESIDUAL_8: Block = (("Conv2d_1x1",), ("Conv2d_0a_1x1", "Conv2d_0b_1x3", "Conv2d_0c_3x1"))
INCEPTION_RESNET_V2: Mapping[str, Block] = {
    "Mixed_5b": (("Conv2d_1x1",), *_35[1:]),
    **{f"Repeat/block35_{number}": RESIDUAL_35 for number in range(1, 11)},
    "Mixed_6a": (("Conv2d_1a_3x3",), ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_1a_3x3")),
    **{f"Repeat_1/block17_{number}": RESIDUAL_17 for number in range(1, 21)},
    "Mixed_7a": (
        ("Conv2d_0a_1x1", "Conv2d_1a_3x3"),
        ("Conv2d_0a_1x1", "Conv2d_1a_3x3"),
        ("Conv2d_0a_1x1", "Conv2d_0b_3x3", "Conv2d_1a_3x3"),
    ),
    **{f"Repeat_2/block8_{number}": RESIDUAL_8 for number in range(1, 10)},
    "Block8": RESIDUAL_8,
}
# By the application's name: TF-slim's scope, the blocks, and where the classifier stands in that scope.
NETWORKS: Mapping[str, tuple[str, Mapping[str, Block], str]] = {
    "InceptionV3": ("InceptionV3", INCEPTION_V3, "Logits/Conv2d_1c_1x1"),
    "InceptionResNetV2": ("InceptionResnetV2", INCEPTION_RESNET_V2, "Logits/Logits"),
}
# Keras names these by their place in the network, not by number.
NAMED = {"Conv2d_7b_1x1": Unit("conv_7b", "conv_7b_bn"), "Block8": Unit("block8_10_conv", None)}
BACKGROUND_AND_CLASSES = 1001
TORCH_ROOT = "net.layers."
TORCH_FIELDS = {"beta": "beta", "mean": "moving_mean", "var": "moving_variance"}


def units(application: str) -> Iterator[tuple[str, Unit]]:
    """Give ``(TF-slim scope, layers in Keras)`` of every convolution but the classifier's, in network order."""
    scope, blocks, _ = NETWORKS[application]
    numbered = (_numbered(n) for n in count())
    yield from ((f"{scope}/{name}", next(numbered)) for name in STEM)
    for block, branches in blocks.items():
        for number, branch in enumerate(branches):
            yield from ((f"{scope}/{block}/Branch_{number}/{name}", next(numbered)) for name in branch)
        if not block.startswith("Mixed"):
            end = NAMED.get(block) or Unit(f"{block.partition('/')[2]}_conv", None)
            yield f"{scope}/{block}/Conv2d_1x1", end
    if application == "InceptionResNetV2":
        yield f"{scope}/Conv2d_7b_1x1", NAMED["Conv2d_7b_1x1"]


def from_tf_checkpoint(arrays: Mapping[str, np.ndarray], *, application: str) -> dict[str, np.ndarray]:
    """Name a TF-slim checkpoint as the Keras application names its weights.

    Parameters
    ----------
    arrays
        Arrays under TF-slim's names (``InceptionV3/Mixed_5b/Branch_0/Conv2d_0a_1x1/weights``).
    application
        ``"InceptionV3"`` or ``"InceptionResNetV2"``.

    Returns
    -------
    dict
        ``{"conv2d_5/kernel": array, ...}``. An array no layer has keeps its own name. Of 1001 outputs the first is left
        out.
    """
    scope, _, classifier = NETWORKS[application]
    layers = {f"{scope}/{classifier}": "predictions"}
    for place, unit in units(application):
        layers[place] = unit.convolution
        if unit.normalisation is not None:
            layers[f"{place}/BatchNorm"] = unit.normalisation
    renamed = from_slim(arrays, layers, dense=("predictions",), skip=(f"{scope}/AuxLogits/",))
    for address in ("predictions/kernel", "predictions/bias"):
        if address in renamed and renamed[address].shape[-1] == BACKGROUND_AND_CLASSES:
            renamed[address] = renamed[address][..., 1:]
    return renamed


def from_torch(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name the body of an Inception V3 as the Keras application names its weights, and turn its layout.

    Parameters
    ----------
    tensors
        Arrays in network order under names as ``net.layers.mixed.tower.conv_1.weight``; fields are ``weight``,
        ``beta``, ``mean`` and ``var``.

    Returns
    -------
    dict
        ``{"conv2d_7/kernel": array, ...}``. A tensor that no layer has keeps its own name, so that it is found.
    """
    renamed: dict[str, np.ndarray] = {}
    numbers: dict[str, int] = {}
    known = dict(enumerate(unit for _, unit in units("InceptionV3")))
    for name, tensor in tensors.items():
        place, _, field = name.rpartition(".")
        unit = known.get(numbers.setdefault(place, len(numbers))) if name.startswith(TORCH_ROOT) else None
        if unit is not None and field == "weight":
            renamed[f"{unit.convolution}/kernel"] = convolution_kernel(tensor)
        elif unit is not None and field in TORCH_FIELDS:
            renamed[f"{unit.normalisation}/{TORCH_FIELDS[field]}"] = tensor
        else:
            renamed[name] = tensor
    return renamed


def _numbered(n: int) -> Unit:
    end = f"_{n}" if n else ""
    return Unit(f"conv2d{end}", f"batch_normalization{end}")
