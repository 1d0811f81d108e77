"""What all landmarks of the seventeen networks take, on this machine and on one and sixteen GPUs: the table of the docs.

    python benchmarks/pregenerate_plan.py probe rates.json        # measure this machine, a few minutes
    python benchmarks/pregenerate_plan.py table rates.json        # print the table; counts every network, no weights

The costs are counted on each network itself (multiplications and values up to every landmark, on the recipe's canvas).
The rates of this machine are measured; a GPU's are assumed, from what its makers print, and said in the table. Then the
schedule is simulated, batch by batch: each hand compiles a layer when it first meets it, and a later attempt at a layer
begins when the one before is done.
"""

import argparse
import heapq
import json
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import diamond as dc
from diamond.features.recipes import read_recipe
from diamond.features.renderer import BATCH
from diamond.pregenerate.choice import recipe_for
from diamond.pregenerate.costs import Rates, layer_costs
from diamond.pregenerate.freeze import spec_of, width_for
from diamond.pregenerate.plan import BYTES_PER_PIXEL, RETRIED, costs_of, probe
from diamond.pregenerate.report import duration

SEVENTEEN = (
    *("AlexNet", "VGG16", "VGG19", "InceptionV1", "InceptionV2", "InceptionV3", "InceptionV4", "InceptionResnetV2"),
    *("ResnetV1_50", "ResnetV1_101", "ResnetV1_152", "MobilenetV1_025", "MobilenetV1_050"),
    *("NasnetMobile", "NasnetLarge", "PnasnetMobile", "PnasnetLarge"),
)
# Assumed: a data-centre GPU of 2020, of 19.5 TFLOP/s and 1.5 TB/s as printed, that reaches 40 % of either. A step is
# three passes of two operations a multiplication; each value is written and read some six times in four bytes.
GPU = Rates(
    s_per_mac=3 * 2 / (0.4 * 19.5e12), s_per_value=3 * 6 * 4 / (0.4 * 1.5e12), s_per_picture=2e-5, s_per_node=0.08
)
GPU_BATCH = 128


@dataclass(frozen=True)
class Work:
    """A layer: its batches, their image-steps, seconds of a step for one picture, seconds to compile."""

    channels: int
    width: int
    steps: int
    step_s: float
    compile_s: float
    measuring_steps: float

    def batch_s(self, pictures):
        """Seconds for so many pictures, their measuring included."""
        return pictures * (self.steps + self.measuring_steps) * self.step_s


def works(costs, rates, batch):
    found = []
    for channels, recipe, cost in costs:
        width = width_for(channels, batch)
        seconds = rates.step_s(cost), rates.compile_s(cost)
        found.append(Work(channels, width, recipe.steps, *seconds, rates.measuring_steps))
    return found


def simulated(layers, hands):
    """Seconds until every layer is done: a free hand takes the first batch there is, and later attempts wait."""
    free = [(0.0, hand) for hand in range(hands)]
    heapq.heapify(free)
    knows: dict[int, int] = {}
    end = 0.0
    retries: list[tuple[float, int, float]] = []
    for number, work in enumerate(layers):
        last = 0.0
        for _ in range(-(-work.channels // work.width)):
            now, hand = heapq.heappop(free)
            compiled = 0.0 if knows.get(hand) == number else work.compile_s
            knows[hand] = number
            done = now + compiled + work.batch_s(work.width)
            last, end = max(last, done), max(end, done)
            heapq.heappush(free, (done, hand))
        retries.append((last, number, work.compile_s + RETRIED * work.batch_s(work.channels)))
    for ready, _, seconds in retries:
        now, hand = heapq.heappop(free)
        done = max(now, ready) + seconds
        end = max(end, done)
        heapq.heappush(free, (done, hand))
    return end


def measured_costs(name):
    """Channels, recipe and cost of each landmark of a network, which is built without weights."""
    net = dc.load(name, weights=None)
    found = []
    for layer in net.layers.landmarks:
        recipe = read_recipe(recipe_for(layer, net.input))
        [cost] = layer_costs(net, [layer], recipe.size).values()
        found.append((layer.channels, recipe, cost))
    keras.backend.clear_session()
    return found


def probed(networks):
    layers = []
    for name in networks:
        net = dc.load(name, weights=None)
        chosen = net.layers.landmarks
        recipes = [read_recipe(recipe_for(layer, net.input)) for layer in chosen]
        specs = [spec_of(net, layer, recipe) for layer, recipe in zip(chosen, recipes, strict=True)]
        layers.append((net, chosen, specs, costs_of(net, chosen, specs)))
    return {
        net.name: list(probe(net, list(zip(chosen, specs, strict=True)), costs)) for net, chosen, specs, costs in layers
    }


def table(rates):
    heads = ["network", "landmarks", "channels", "image-steps", "this machine", "1 GPU", "16 GPUs", "store"]
    print("| " + " | ".join(heads) + " |")
    print("|---" + "|---:" * (len(heads) - 1) + "|")
    total = [0, 0, 0, 0.0, 0.0, 0.0, 0.0]
    everything = []
    for name in SEVENTEEN:
        costs = measured_costs(name)
        channels = sum(n for n, _, _ in costs)
        steps = sum(n * recipe.steps for n, recipe, _ in costs)
        here = simulated(works(costs, rates, BATCH), 1)
        gpus = works(costs, GPU, GPU_BATCH)
        everything += gpus
        one, sixteen = simulated(gpus, 1), simulated(gpus, 16)
        store = sum(n * recipe.size[0] * recipe.size[1] * BYTES_PER_PIXEL for n, recipe, _ in costs)
        row = [len(costs), channels, steps, here, one, sixteen, store]
        total = [a + b for a, b in zip(total, row, strict=True)]
        print(line(name, row), flush=True)
    # Together they leave no GPU idle between one network and the next.
    total[5] = simulated(everything, 16)
    print(line("**all seventeen**", total))


def line(name, row):
    landmarks, channels, steps, here, one, sixteen, store = row
    words = [name, str(landmarks), f"{channels:,}", f"{steps / 1e6:,.1f} M"]
    return "| " + " | ".join([*words, *map(duration, (here, one, sixteen)), f"{store / 1e6:,.0f} MB"]) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("probe", "table"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--networks", nargs="+", default=["EfficientNetLite0", "InceptionV1_caffe"])
    parser.add_argument("--rates-of", default="InceptionV1_caffe", help="whose measured rates the table uses")
    asked = parser.parse_args()
    if asked.what == "probe":
        found = probed(asked.networks)
        asked.file.write_text(json.dumps(found, indent=1))
        for name, rates in found.items():
            print(name, dict(zip(Rates._fields, rates, strict=True)))
    else:
        table(Rates(*json.loads(asked.file.read_text())[asked.rates_of]))


if __name__ == "__main__":
    main()
