"""Pictures by Xplique 2.0.2: its Fourier images, or MACO, at its own defaults but for the canvas.

    python xplique_pictures.py FOLDER OUT [--method fourier] [--layers ...] [--channels 16] [--steps 256] [--looks 8]

Fourier draws all channels of a layer in one batch (``--batch`` at most); MACO takes one channel at a time, each step
over ``--crops`` boxes.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from exchange import arguments, check, clock, keep, looks, tasks
from keras_layers import load
from xplique.features_visualizations import Objective, maco, optimize


def shown_by(method, size):
    """Give the side at which the network sees the whole picture: both methods show it enlarged, a part at a time."""
    if method == "maco":
        return 2 * size
    unit = size // 16
    # A border, five shifts that each crop the picture, a scale, two more shifts.
    part = (size + 8 * unit - 16 * unit) * 0.94 - 2 * unit
    return round(size * size / part)


def fourier(model, task, at, batch):
    """Draw in batches; give ``(look, channel, height, width, 3)`` and the time spent."""
    drawn = []
    begin = clock()
    for first in range(0, len(task.channels), batch):
        some = list(task.channels[first : first + batch])
        images, _ = optimize(
            Objective.channel(model, task.layer, some),
            optimizer=keras.optimizers.Adam(0.05),
            nb_steps=at[-1],
            values_range=(0, 1),
            custom_shape=(task.size, task.size),
            save_every=at[0],
        )
        # The last picture is given twice where the last step is also one to save at.
        drawn.append(np.stack([np.asarray(picture) for picture in images[: len(at)]]))
    return np.concatenate(drawn, axis=1), clock() - begin


def magnitude_constrained(model, task, steps, crops):
    """Draw one by one with MACO; give ``(1, channel, height, width, 3)`` and the time spent."""
    begin = clock()
    drawn = [
        maco(
            Objective.channel(model, task.layer, channel),
            optimizer=keras.optimizers.Nadam(1.0),
            nb_steps=steps,
            nb_crops=crops,
            values_range=(0, 1),
            custom_shape=(task.size, task.size),
        )[0]
        for channel in task.channels
    ]
    return np.stack(drawn)[None], clock() - begin


def main():
    parser = arguments(__doc__, steps=256)
    parser.add_argument("--method", choices=("fourier", "maco"), default="fourier")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crops", type=int, default=32)
    asked = parser.parse_args()
    models = {}
    for task in tasks(asked):
        tf.random.set_seed(asked.seed)
        np.random.seed(asked.seed)  # noqa: NPY002 (Xplique draws MACO's first phase from NumPy's global stream)
        if task.network not in models:
            models[task.network] = load(asked.folder, task.network)
            check(asked.folder, task.network, lambda picture, of=task.network: np.asarray(models[of](picture)))
        at = looks(asked) if asked.method == "fourier" else [asked.steps]
        if asked.method == "fourier":
            images, spent = fourier(models[task.network], task, at, asked.batch)
        else:
            images, spent = magnitude_constrained(models[task.network], task, asked.steps, asked.crops)
        tool = "xplique" if asked.method == "fourier" else "xplique-maco"
        keep(asked, tool, task, images=images, steps=at, spent=spent, shown=shown_by(asked.method, task.size))


if __name__ == "__main__":
    main()
