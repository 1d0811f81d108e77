"""Write the measured networks for tools that live in environments of their own.

    python benchmarks/peers/export.py FOLDER [--size 128] [--channels 16]

For each network of `judge.LANDMARKS` the folder then holds ``NAME.keras``, a model of pictures in [0, 1] at the given
size that ends at the last landmark, and ``NAME.json`` with ``NAME.npz``: the whole network as a table of operations
with its weights, from which a PyTorch module can be built. ``plan.json`` names the layers, channels and size.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import judge
import keras
import numpy as np

from modelzoo.attributes import describe


def keras_model(net, layers, size):
    """Build the network up to the last of `layers` on a canvas of `size` pixels, its preprocessing in front."""
    pictures = keras.Input((size, size, 3), name="pictures")
    x = pictures[..., ::-1] if net.input.channel_order == "BGR" else pictures
    scale, offset = zip(*net.input.per_channel, strict=True)
    x = keras.layers.Rescaling(list(scale), list(offset), name="preprocessing")(x)
    wanted = [net.node(layer) for layer in layers]
    outputs = net.graph.evaluate({net.graph.inputs[0].node: x}, wanted)
    return keras.Model(pictures, outputs[-1], name=net.name)


def table(net):
    """Write each node as its description, inputs, and the names of its weights."""
    rows, weights = [], {}
    for node in net.graph:
        names = [f"{node.index}:{i}" for i in range(len(node.weights))]
        weights |= {name: np.asarray(value) for name, value in zip(names, node.weights, strict=True)}
        reads = [ref.node for ref in node.inputs]
        rows.append({"address": node.address, "inputs": reads, "weights": names, **describe(node)})
    scale, offset = zip(*net.input.per_channel, strict=True)
    order = [2, 1, 0] if net.input.channel_order == "BGR" else [0, 1, 2]
    return {"nodes": rows, "scale": scale, "offset": offset, "order": order}, weights


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--channels", type=int, default=16)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    plan = {"size": asked.size, "layers": []}
    for network in dict.fromkeys(network for network, _ in judge.LANDMARKS):
        net = judge.load(network)
        layers = [layer for of, layer in judge.LANDMARKS if of == network]
        for layer in layers:
            channels = judge.chosen_channels(net.layers[layer].channels, asked.channels)
            plan["layers"].append({"network": network, "layer": layer, "channels": channels.tolist()})
        described, weights = table(net)
        (asked.folder / f"{network}.json").write_text(json.dumps(described))
        np.savez(asked.folder / f"{network}.npz", **weights)
        model = keras_model(net, layers, asked.size)
        model.save(asked.folder / f"{network}.keras")
        # What every other tool must compute for this picture, so that none is judged on another network.
        picture = judge.photos(asked.size)[:1]
        np.savez(asked.folder / f"{network}-check.npz", picture=picture, answer=np.asarray(model(picture)))
        print(f"{network}: {', '.join(layers)}")
    (asked.folder / "plan.json").write_text(json.dumps(plan, indent=1))


if __name__ == "__main__":
    main()
