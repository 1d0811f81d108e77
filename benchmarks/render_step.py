"""What one step of the renderer costs beside the network's own forward and backward pass.

    python benchmarks/render_step.py [--layer block9_add] [--batch 32] [--size 128] [--rounds 7]

Measured alternately in one run; medians over the rounds, in milliseconds an image and step. The renderer adds to the
network's own work the Fourier image, its movement, the redirected gradients (first steps only) and the optimiser.
"""

import argparse
import os
import time
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

import diamond as dc
from diamond.features.recipes import read_recipe
from diamond.features.renderer import Renderer

STEPS = 16


def bare_network(net, layer, pictures):
    """Forward and backward pass of the truncated network, from the layer's mean to the picture; STEPS times."""
    node = net.node(layer)

    @tf.function(autograph=False)
    def steps(x):
        def one(i, x):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                [values] = net.forward(x, [node])
                score = tf.reduce_mean(values)
            # The picture must change, or the loop's body could be computed once.
            return i + 1, x + 1e-9 * tape.gradient(score, x)

        return tf.while_loop(lambda i, _: i < STEPS, one, (0, x))[1]

    return lambda: steps(pictures).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="EfficientNetLite0")
    parser.add_argument("--layer", default="block9_add")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    net = dc.load(asked.network)
    recipe = replace(read_recipe(None), size_px=asked.size, steps=STEPS, redirect_steps=0)
    objectives = [dc.channel(asked.layer, i % net.layers[asked.layer].channels) for i in range(asked.batch)]
    plain = Renderer(net, objectives[0].shape, recipe, width=asked.batch)
    redirected = Renderer(net, objectives[0].shape, replace(recipe, redirect_steps=STEPS), width=asked.batch)
    pictures = tf.random.stateless_uniform((asked.batch, asked.size, asked.size, 3), seed=(0, 0))
    contestants = {
        "network alone, forward and backward": bare_network(net, asked.layer, pictures),
        "renderer": lambda: plain.render(objectives),
        "renderer, gradients redirected": lambda: redirected.render(objectives),
    }
    times = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(asked.rounds):
        for name, run in contestants.items():
            begin = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begin) * 1000 / asked.batch / STEPS)
    alone = np.array(times["network alone, forward and backward"])
    print(f"{asked.network} {asked.layer}, batch {asked.batch}, {asked.size} px, {asked.rounds} rounds of {STEPS} steps")
    print(f"{'':38}{'median':>8}{'min':>8}{'max':>8}  ratio to the network, median of rounds")
    for name, values in times.items():
        ratio = np.median(np.array(values) / alone)
        print(f"{name:38}{np.median(values):8.2f}{min(values):8.2f}{max(values):8.2f}  {ratio:.2f}")


if __name__ == "__main__":
    main()
