"""Inception V4: three kinds of Inception blocks between two kinds of reductions, after a stem of branches.

    >>> model = build()
    >>> model.get_layer("Mixed_6h").output.shape
    (None, 17, 17, 1024)

Layers are called as TF-slim's scopes with ``_`` for ``/``: ``Mixed_5b`` joins the branches of a block, whose
convolutions are ``Mixed_5b_Branch_1_Conv2d_0b_3x3``, each followed by ``_bn`` and ``_relu``. The auxiliary classifier,
which TF-slim trains beside the network, plays no part in its answer and is left out.

Szegedy, Ioffe, Vanhoucke and Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning"
(AAAI 2017), figures 3 to 9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras
import numpy as np
from keras import layers

from modelzoo.architectures.slim_units import Block, Convolution, Fork, Pool, from_slim_blocks, mixed, unit
from modelzoo.weights.errors import WeightsError
from modelzoo.weights.torch_state import convolution_kernel, dense_kernel

__all__ = ["build", "from_tf_checkpoint", "from_torch"]

SCOPE = "InceptionV4"
DROPOUT = 0.2
# Far below any score of a trained network: after softmax nothing of it is left in float32.
NEVER = -100.0
NORMALISATION = {"bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}

STEM = (
    Convolution("Conv2d_1a_3x3", 32, 2, "valid"),
    Convolution("Conv2d_2a_3x3", 32, 1, "valid"),
    Convolution("Conv2d_2b_3x3", 64),
)
STEM_3A: Block = (
    (Pool("MaxPool_0a_3x3", 2, "valid"),),
    (Convolution("Conv2d_0a_3x3", 96, 2, "valid"),),
)
STEM_4A: Block = (
    (Convolution("Conv2d_0a_1x1", 64), Convolution("Conv2d_1a_3x3", 96, 1, "valid")),
    (
        Convolution("Conv2d_0a_1x1", 64),
        Convolution("Conv2d_0b_1x7", 64),
        Convolution("Conv2d_0c_7x1", 64),
        Convolution("Conv2d_1a_3x3", 96, 1, "valid"),
    ),
)
STEM_5A: Block = (
    (Convolution("Conv2d_1a_3x3", 192, 2, "valid"),),
    (Pool("MaxPool_1a_3x3", 2, "valid"),),
)
INCEPTION_A: Block = (
    (Convolution("Conv2d_0a_1x1", 96),),
    (Convolution("Conv2d_0a_1x1", 64), Convolution("Conv2d_0b_3x3", 96)),
    (Convolution("Conv2d_0a_1x1", 64), Convolution("Conv2d_0b_3x3", 96), Convolution("Conv2d_0c_3x3", 96)),
    (Pool("AvgPool_0a_3x3"), Convolution("Conv2d_0b_1x1", 96)),
)
REDUCTION_A: Block = (
    (Convolution("Conv2d_1a_3x3", 384, 2, "valid"),),
    (
        Convolution("Conv2d_0a_1x1", 192),
        Convolution("Conv2d_0b_3x3", 224),
        Convolution("Conv2d_1a_3x3", 256, 2, "valid"),
    ),
    (Pool("MaxPool_1a_3x3", 2, "valid"),),
)
INCEPTION_B: Block = (
    (Convolution("Conv2d_0a_1x1", 384),),
    (Convolution("Conv2d_0a_1x1", 192), Convolution("Conv2d_0b_1x7", 224), Convolution("Conv2d_0c_7x1", 256)),
    (
        Convolution("Conv2d_0a_1x1", 192),
        Convolution("Conv2d_0b_7x1", 192),
        Convolution("Conv2d_0c_1x7", 224),
        Convolution("Conv2d_0d_7x1", 224),
        Convolution("Conv2d_0e_1x7", 256),
    ),
    (Pool("AvgPool_0a_3x3"), Convolution("Conv2d_0b_1x1", 128)),
)
REDUCTION_B: Block = (
    (Convolution("Conv2d_0a_1x1", 192), Convolution("Conv2d_1a_3x3", 192, 2, "valid")),
    (
        Convolution("Conv2d_0a_1x1", 256),
        Convolution("Conv2d_0b_1x7", 256),
        Convolution("Conv2d_0c_7x1", 320),
        Convolution("Conv2d_1a_3x3", 320, 2, "valid"),
    ),
    (Pool("MaxPool_1a_3x3", 2, "valid"),),
)
INCEPTION_C: Block = (
    (Convolution("Conv2d_0a_1x1", 256),),
    (Convolution("Conv2d_0a_1x1", 384), Fork(Convolution("Conv2d_0b_1x3", 256), Convolution("Conv2d_0c_3x1", 256))),
    (
        Convolution("Conv2d_0a_1x1", 384),
        Convolution("Conv2d_0b_3x1", 448),
        Convolution("Conv2d_0c_1x3", 512),
        Fork(Convolution("Conv2d_0d_1x3", 256), Convolution("Conv2d_0e_3x1", 256)),
    ),
    (Pool("AvgPool_0a_3x3"), Convolution("Conv2d_0b_1x1", 256)),
)
BLOCKS: Mapping[str, Block] = {
    "Mixed_3a": STEM_3A,
    "Mixed_4a": STEM_4A,
    "Mixed_5a": STEM_5A,
    **{f"Mixed_5{letter}": INCEPTION_A for letter in "bcde"},
    "Mixed_6a": REDUCTION_A,
    **{f"Mixed_6{letter}": INCEPTION_B for letter in "bcdefgh"},
    "Mixed_7a": REDUCTION_B,
    **{f"Mixed_7{letter}": INCEPTION_C for letter in "bcd"},
}


def build(
    *,
    input_shape: tuple[int | None, int | None, int] = (299, 299, 3),
    classes: int = 1001,
    name: str = "inception_v4",
) -> keras.Model:
    """Build Inception V4 with random weights.

    Parameters
    ----------
    input_shape
        ``(height, width, 3)`` of images scaled to (-1, 1), 75 pixels a side or more.
    classes
        Number of outputs; the published weights have 1001, of which output 0 is "background".
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities, its logits are the layer ``"logits"``.
    """
    x = image = keras.Input(input_shape, name="image")
    for step in STEM:
        x = unit(x, step.name, step.channels, stride=step.stride, padding=step.padding)
    for block, branches in BLOCKS.items():
        x = mixed(x, block, branches)
    x = layers.GlobalAveragePooling2D(name="AvgPool_1a")(x)
    x = layers.Dropout(DROPOUT, name="Dropout_1b")(x)
    logits = layers.Dense(classes, name="logits")(x)
    return keras.Model(image, layers.Softmax(name="probabilities")(logits), name=name)


def from_tf_checkpoint(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name a TF-slim checkpoint as `build` names its weights.

    Parameters
    ----------
    arrays
        Arrays under TF-slim's names (``InceptionV4/Mixed_5b/Branch_0/Conv2d_0a_1x1/weights``).

    Returns
    -------
    dict
        ``{"Mixed_5b_Branch_0_Conv2d_0a_1x1/kernel": array, ...}``. An array no layer has keeps its own name; those of
        the auxiliary classifier are left out.
    """
    stem = [step.name for step in STEM]
    return from_slim_blocks(arrays, SCOPE, stem, BLOCKS, logits="Logits/Logits", skip=("AuxLogits",))


def from_torch(tensors: Mapping[str, np.ndarray], *, background: bool = True) -> dict[str, np.ndarray]:
    """Name a PyTorch state dict of timm's ``inception_v4`` as `build` names its weights, and turn its layout.

    Parameters
    ----------
    tensors
        Arrays under timm's names (``features.6.branch1.0.conv.weight``, ``last_linear.bias``).
    background
        Whether to put TF-slim's output 0 back, which those weights have lost: it then scores -100 for any picture, so
        that it takes no probability. Weights with 1001 outputs have it, and are left as they are.

    Returns
    -------
    dict
        ``{"Mixed_5b_Branch_0_Conv2d_0a_1x1/kernel": array, ...}``. A tensor that no layer has keeps its own name. The
        gamma of a batch normalisation, which `build` has not, is multiplied into the kernel and the moving mean: the
        network computes the same.

    Raises
    ------
    WeightsError
        Where a gamma is not one number a channel of its convolution.
    """
    layers_of = dict(_timm_units())
    renamed: dict[str, np.ndarray] = {}
    gammas: dict[str, np.ndarray] = {}
    for name, array in tensors.items():
        module, _, field = name.rpartition(".")
        unit_name, _, part = module.rpartition(".")
        layer = layers_of.get(unit_name)
        if field == "num_batches_tracked":
            continue
        if module == "last_linear" and field in ("weight", "bias"):
            renamed |= _classifier(field, array, background)
        elif layer is not None and (part, field) == ("conv", "weight"):
            renamed[f"{layer}/kernel"] = convolution_kernel(array)
        elif layer is not None and (part, field) == ("bn", "weight"):
            gammas[layer] = array
        elif layer is not None and part == "bn" and field in NORMALISATION:
            renamed[f"{layer}_bn/{NORMALISATION[field]}"] = array
        else:
            renamed[name] = array
    for layer, gamma in gammas.items():
        for address in (f"{layer}/kernel", f"{layer}_bn/moving_mean"):
            if address not in renamed:
                continue
            if gamma.shape != renamed[address].shape[-1:]:
                raise WeightsError(
                    f"the gamma of {layer} has shape {gamma.shape}; expected {renamed[address].shape[-1:]}, as {address}"
                )
            renamed[address] = renamed[address] * gamma
    return renamed


def _classifier(field: str, array: np.ndarray, background: bool) -> dict[str, np.ndarray]:
    address, array = ("logits/kernel", dense_kernel(array)) if field == "weight" else ("logits/bias", array)
    if background and array.shape[-1] != 1001:
        lost = np.full((*array.shape[:-1], 1), 0.0 if field == "weight" else NEVER, array.dtype)
        array = np.concatenate([lost, array], axis=-1)
    return {address: array}


def _timm_units() -> Iterator[tuple[str, str]]:
    """Give ``(module in timm, convolution here)`` for every unit."""
    for position, stem in enumerate(STEM):
        yield f"features.{position}", stem.name
    for position, (name, block) in enumerate(BLOCKS.items(), start=len(STEM)):
        alone = name in ("Mixed_3a", "Mixed_5a")
        for number, branch in enumerate(block):
            theirs = f"features.{position}." + ("conv" if alone else f"branch{number}")
            ours = f"{name}_Branch_{number}_"
            # A branch of several steps is a list in timm, one of a single step is not; a forked one has a name a step.
            joint = "" if len(branch) == 1 else "_" if isinstance(branch[-1], Fork) else "."
            for place, step in enumerate(branch):
                if isinstance(step, Fork):
                    yield f"{theirs}_{place}a", ours + step.first.name
                    yield f"{theirs}_{place}b", ours + step.second.name
                elif isinstance(step, Convolution):
                    yield theirs + (joint and f"{joint}{place}"), ours + step.name
