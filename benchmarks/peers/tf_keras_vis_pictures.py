"""Pictures by tf-keras-vis 0.8.7 at its own defaults, on pictures in [0, 255] as it expects them.

python tf_keras_vis_pictures.py FOLDER OUT [--layers ...] [--channels 16] [--steps 200] [--looks 8] [--batch 8]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from exchange import arguments, check, clock, keep, looks, tasks
from keras_layers import load
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.activation_maximization.callbacks import Callback
from tf_keras_vis.utils.scores import CategoricalScore


class Looks(Callback):
    """Keeps the pictures after some of the steps."""

    def __init__(self, at):
        self.at = set(at)
        self.pictures = []

    def __call__(self, i, values, *_, **__):
        """Keep the pictures of step `i`, counted from 0."""
        if i + 1 in self.at:
            self.pictures.append(np.asarray(values[0]) / 255)


def truncated(model, layer, size):
    """End the network at a layer, and begin it with pictures in [0, 255]."""
    part = keras.Model(model.inputs, model.get_layer(layer).output)
    pictures = keras.Input((size, size, 3), name="pictures_255")
    return keras.Model(pictures, part(keras.layers.Rescaling(1 / 255)(pictures)))


def draw(model, task, at, batch):
    """Draw in batches; give ``(look, channel, height, width, 3)`` and the time spent."""
    drawn = []
    begin = clock()
    ascent = ActivationMaximization(truncated(model, task.layer, task.size))
    for first in range(0, len(task.channels), batch):
        some = list(task.channels[first : first + batch])
        kept = Looks(at)
        seeds = tf.random.uniform((len(some), task.size, task.size, 3), 0, 255)
        ascent(CategoricalScore(some), seed_input=seeds, steps=at[-1], callbacks=[kept])
        drawn.append(np.stack(kept.pictures))
    return np.concatenate(drawn, axis=1), clock() - begin


def main():
    parser = arguments(__doc__, steps=200)
    parser.add_argument("--batch", type=int, default=8)
    asked = parser.parse_args()
    models = {}
    for task in tasks(asked):
        tf.random.set_seed(asked.seed)
        if task.network not in models:
            models[task.network] = load(asked.folder, task.network)
            check(asked.folder, task.network, lambda picture, of=task.network: np.asarray(models[of](picture)))
        at = looks(asked)
        images, spent = draw(models[task.network], task, at, asked.batch)
        keep(asked, "tf-keras-vis", task, images=images, steps=at, spent=spent)


if __name__ == "__main__":
    main()
