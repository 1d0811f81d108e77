"""How long attribution takes beside the network's own work.

    python benchmarks/attribution_speed.py [--layers NETWORK/LAYER ...] [--batch 16] [--rounds 15]

The measure is one pass of the network forward, from pictures to logits, and one backward, from the logit to the layer:
compiled, and nothing else. Beside it stand the contributions of every value (`contributions`), the same summed over
places as `channel_attribution` needs it, and `channel_attribution` as a user calls it, with reading, checking, sorting and
looking for sprites. Contestants take turns; medians over the rounds, and the median of the rounds' ratios. The pictures
are arrays of the network's size; compilation is not counted.
"""

import argparse
import time
from collections import defaultdict

import judge
import numpy as np
import tensorflow as tf

import diamond as dc
from diamond.attribution.linear import contributions, contributions_at

LAYERS = (
    "EfficientNetLite0/block4_add",
    "EfficientNetLite0/block9_add",
    "EfficientNetLite0/block14_add",
    "InceptionV1_caffe/inception_3b_output",
    "InceptionV1_caffe/inception_4d_output",
)


def bare(net, layer, pictures):
    """One pass forward to the logits, one backward from the first class' logit to the layer."""
    node = net.node(layer)

    @tf.function(autograph=False)
    def passes(x):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            activations, logits = net.forward(x, [node, net.logits_node])
            score = tf.reduce_max(tf.reshape(logits, [tf.shape(x)[0], -1]), axis=1)
        return tape.gradient(score, activations)

    shown = tf.constant(pictures)
    return lambda: passes(shown).numpy()


def contestants(net, layer, pictures):
    """Give what is measured, by name; the measure first."""
    return {
        "forward and backward": bare(net, layer, pictures),
        "contributions": lambda: list(contributions(net, pictures, layer)),
        "summed over places": lambda: list(contributions_at(net, pictures, [layer], places=False)),
        "channel_attribution": lambda: dc.channel_attribution(net, pictures, layer, progress=False),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="*", default=LAYERS)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    print(f"batch of {asked.batch}, {asked.rounds} rounds; milliseconds, and ratio to the first")
    for place in asked.layers:
        network, layer = place.split("/", 1)
        net = judge.load(network)
        pictures = judge.photos(net.input.height)[: asked.batch]
        runs, times = contestants(net, layer, pictures), defaultdict(list)
        for run in runs.values():
            run()
        for _ in range(asked.rounds):
            for name, run in runs.items():
                begin = time.perf_counter()
                run()
                times[name].append(1000 * (time.perf_counter() - begin))
        measure = np.array(times["forward and backward"])
        said = [f"{name} {np.median(of):.0f} ({np.median(of / measure):.2f})" for name, of in times.items()]
        print(f"{place}: {', '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
