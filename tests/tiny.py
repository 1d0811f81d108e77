"""Networks small enough to compute by hand, with weights written out."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

__all__ = ["built_in_rescaling", "constant", "linear_tail", "nested", "one_filter", "shared", "subclassed"]


def constant(model: keras.Model, values: dict[str, object]) -> keras.Model:
    """Set weights by layer name and variable name, ``{"conv/kernel": 1.0}``: a number fills the whole array."""
    for path, value in values.items():
        layer, name = path.split("/")
        variable = next(v for v in model.get_layer(layer).weights if v.name == name)
        variable.assign(np.broadcast_to(np.asarray(value, np.float32), variable.shape))
    return model


def one_filter() -> keras.Model:
    """4 x 4 picture; ``sum`` adds the three colours of a pixel, minus one; ReLU; global mean; logits 2 a and -a."""
    image = keras.Input((4, 4, 3), name="image")
    x = layers.Conv2D(1, 1, activation="relu", name="sum")(image)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(image, layers.Dense(2, activation="softmax", name="answer")(x), name="one_filter")
    return constant(model, {"sum/kernel": 1.0, "sum/bias": -1.0, "answer/kernel": [[2.0, -1.0]], "answer/bias": 0.0})


def linear_tail(seed: int = 0) -> keras.Model:
    """Random 8 x 6 picture network whose layer ``features`` is followed by linear work alone: mean and dense."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 6, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", name="conv")(image)
    x = layers.ReLU(name="features")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(4, name="logits", bias_initializer="normal")(x)
    return keras.Model(image, layers.Softmax(name="answer")(logits), name="linear_tail")


def shared() -> keras.Model:
    """One convolution called twice, an addition and a product that are no layers: ``c(c(x)) + 2 c(x)``."""
    image = keras.Input((6, 6, 3), name="image")
    convolution = layers.Conv2D(3, 1, name="c", use_bias=False)
    once = convolution(image)
    twice = convolution(once)
    x = layers.GlobalAveragePooling2D(name="mean")(twice + 2.0 * once)
    model = keras.Model(image, x, name="shared")
    return constant(model, {"c/kernel": np.eye(3)[None, None] * 3.0})


def nested(seed: int = 0) -> keras.Model:
    """Three models deep: ``backbone`` (Sequential) holds ``block`` (functional) holds ``conv``; a dense head outside."""
    keras.utils.set_random_seed(seed)
    inside = keras.Input((None, None, 3), name="inside")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inside)
    block = keras.Model(inside, x, name="block")
    backbone = keras.Sequential(
        [keras.Input((None, None, 3)), block, layers.MaxPooling2D(name="pool"), layers.Conv2D(6, 3, name="wide")],
        name="backbone",
    )
    image = keras.Input((16, 12, 3), name="image")
    x = layers.GlobalAveragePooling2D(name="mean")(backbone(layers.Rescaling(2.0, -1.0, name="rescale")(image)))
    return keras.Model(image, layers.Dense(3, name="head")(x), name="nested")


def built_in_rescaling() -> keras.Model:
    """A network that takes 0..255 and rescales it itself, as ``keras.applications.EfficientNetB0`` does."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(image, layers.Dense(2, name="head")(x), name="built_in_rescaling")


class _Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv = layers.Conv2D(2, 3, name="conv")
        self.mean = layers.GlobalAveragePooling2D(name="mean")

    def call(self, image: object) -> object:
        return self.mean(self.conv(image) * 2.0)


def subclassed() -> keras.Model:
    """A model whose ``call`` is code."""
    return _Subclassed()
