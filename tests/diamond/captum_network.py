"""The network that captum was asked about: what its fixtures hold, and the same network in Keras."""

from pathlib import Path

import keras
import numpy as np
from keras import layers

import diamond as dc

FIXTURES = Path(__file__).parent / "fixtures"


def read(name):
    """Give the arrays of a fixture by name."""
    with np.load(FIXTURES / name) as file:
        return {key: file[key] for key in file.files}


def bends(kept):
    """A network of nonlinearities that bend, on the weights of a fixture."""
    image = keras.Input((14, 10, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", activation="silu", name="silu")(image)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="gelu", name="gelu")(x)
    y = layers.Conv2D(8, 3, padding="same", activation="relu", name="relu")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(y + x)
    model = keras.Model(image, layers.Dense(5, activation="softmax", name="answer")(x), name="bends")
    for layer, name in (("silu", "conv1"), ("gelu", "conv2"), ("relu", "conv3"), ("answer", "dense")):
        model.get_layer(layer).set_weights([kept[f"weight:{name}.weight"], kept[f"weight:{name}.bias"]])
    return dc.load(model, input=(0, 1))
