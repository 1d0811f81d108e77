"""Inception V2, the BN-Inception of TF-slim: GoogLeNet with batch normalisation and a separable first convolution.

    >>> model = build()
    >>> model.get_layer("Mixed_4d").output.shape
    (None, 14, 14, 576)

Layers are called as TF-slim's scopes with ``_`` for ``/``: ``Mixed_3b`` joins the branches of a block, whose
convolutions are ``Mixed_3b_Branch_1_Conv2d_0b_3x3``, each followed by ``_bn`` and ``_relu``. The first convolution alone
has a bias and no batch normalisation: TF-slim built and trained it so, and its checkpoint holds it so.

Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift" (ICML
2015), figure 5; TF-slim's first convolution is separable and some of its depths are its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers

from modelzoo.architectures.slim_units import (
    Block,
    Convolution,
    Pool,
    from_slim_blocks,
    mixed,
    pool,
    unit,
)

__all__ = ["build", "from_tf_checkpoint"]

SCOPE = "InceptionV2"
FIRST = "Conv2d_1a_7x7"
# Each colour is filtered eight times over before the channels are mixed: 3 x 8 of the 64 that leave the layer.
MULTIPLIER = 8
DROPOUT = 0.2


def _block(single: int, pair: tuple[int, int], triple: tuple[int, int], pooled: str, projected: int) -> Block:
    return (
        (Convolution("Conv2d_0a_1x1", single),),
        (Convolution("Conv2d_0a_1x1", pair[0]), Convolution("Conv2d_0b_3x3", pair[1])),
        (
            Convolution("Conv2d_0a_1x1", triple[0]),
            Convolution("Conv2d_0b_3x3", triple[1]),
            Convolution("Conv2d_0c_3x3", triple[1]),
        ),
        (Pool(f"{pooled}_0a_3x3"), Convolution("Conv2d_0b_1x1", projected)),
    )


def _halving(pair: tuple[int, int], triple: tuple[int, int]) -> Block:
    return (
        (Convolution("Conv2d_0a_1x1", pair[0]), Convolution("Conv2d_1a_3x3", pair[1], 2)),
        (
            Convolution("Conv2d_0a_1x1", triple[0]),
            Convolution("Conv2d_0b_3x3", triple[1]),
            Convolution("Conv2d_1a_3x3", triple[1], 2),
        ),
        (Pool("MaxPool_1a_3x3", 2),),
    )


BLOCKS: Mapping[str, Block] = {
    "Mixed_3b": _block(64, (64, 64), (64, 96), "AvgPool", 32),
    "Mixed_3c": _block(64, (64, 96), (64, 96), "AvgPool", 64),
    "Mixed_4a": _halving((128, 160), (64, 96)),
    "Mixed_4b": _block(224, (64, 96), (96, 128), "AvgPool", 128),
    "Mixed_4c": _block(192, (96, 128), (96, 128), "AvgPool", 128),
    "Mixed_4d": _block(160, (128, 160), (128, 160), "AvgPool", 96),
    "Mixed_4e": _block(96, (128, 192), (160, 192), "AvgPool", 96),
    "Mixed_5a": _halving((128, 192), (192, 256)),
    "Mixed_5b": _block(352, (192, 320), (160, 224), "AvgPool", 128),
    "Mixed_5c": _block(352, (192, 320), (192, 224), "MaxPool", 128),
}


def build(
    *,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    classes: int = 1001,
    name: str = "inception_v2",
) -> keras.Model:
    """Build Inception V2 with random weights.

    Parameters
    ----------
    input_shape
        ``(height, width, 3)`` of images scaled to (-1, 1).
    classes
        Number of outputs; the published weights have 1001, of which output 0 is "background".
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities, its logits are the layer ``"logits"``.
    """
    image = keras.Input(input_shape, name="image")
    first = layers.SeparableConv2D(64, 7, 2, padding="same", depth_multiplier=MULTIPLIER, name=FIRST)
    x = layers.ReLU(name=f"{FIRST}_relu")(first(image))
    x = pool(x, "MaxPool_2a_3x3", stride=2)
    x = unit(x, "Conv2d_2b_1x1", 64)
    x = unit(x, "Conv2d_2c_3x3", 192)
    x = pool(x, "MaxPool_3a_3x3", stride=2)
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
        Arrays under TF-slim's names (``InceptionV2/Mixed_3b/Branch_0/Conv2d_0a_1x1/weights``).

    Returns
    -------
    dict
        ``{"Mixed_3b_Branch_0_Conv2d_0a_1x1/kernel": array, ...}``. An array no layer has keeps its own name.
    """
    stem = (FIRST, "Conv2d_2b_1x1", "Conv2d_2c_3x3")
    return from_slim_blocks(arrays, SCOPE, stem, BLOCKS, logits="Logits/Conv2d_1c_1x1")
