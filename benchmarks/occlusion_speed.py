"""How long occlusion takes beside captum, Xplique and tf-explain, on the same weights and the same picture.

    python benchmarks/occlusion_speed.py EXPORTED --torch-python torch/bin/python --tf-python tf/bin/python
    python benchmarks/occlusion_speed.py EXPORTED --networks VGG16 --strides 8 --rounds 1
    python benchmarks/occlusion_speed.py drilldown

A window of 16 px goes over one photo. The other tools, and our own way through the whole network, take the same time for
each window, so they are timed at a wide stride, in turns, and their time at the strides asked for is so many windows
times that (``--whole`` runs them there instead). What goes by boxes depends on the stride and is run there. Compilation,
loading and the first call are not counted; by boxes the faster round counts. Networks that are not at hand have random
weights.

``drilldown`` has photos and real weights: how much of the time of the exact map, and of the whole network for every
window, passes until the map is like the exact one (structural similarity 0.9), and until there is a first one.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import judge
import keras
import numpy as np
from skimage.metrics import structural_similarity

import diamond as dc
from diamond.occlusion.choose import choose
from diamond.occlusion.cover import Cover
from diamond.occlusion.full import batch_for
from diamond.occlusion.windows import grid

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from export import table

NETWORKS = ("VGG16", "ResnetV1_50", "MobilenetV1_050", "InceptionV3")
REAL = ("InceptionV1_caffe", "EfficientNetLite0", "MobilenetV1_025")
PEERS = (("captum", "torch"), ("Xplique", "tf"), ("tf-explain", "tf"))
WINDOW = 16
FILL = 0.5
WIDE = 16
ALIKE = 0.9


def network(name):
    """Load a network: with its weights where they are at hand, else with random ones that keep signals alive."""
    try:
        return judge.load(name)
    except (OSError, KeyError, ValueError):
        keras.utils.set_random_seed(0)
        net = dc.load(name, weights=None)
        rng = np.random.default_rng(0)
        for weight in net.model.weights:
            if len(weight.shape) >= 2:
                # A depthwise kernel sees one channel.
                inputs = np.prod(weight.shape[:2] if weight.shape[-1] == 1 else weight.shape[:-1])
                weight.assign(rng.normal(0, np.sqrt(2 / inputs), weight.shape))
        return net


def export(net, folder):
    """Write a network for the other tools: as a table of operations, and as a Keras model of pictures in [0, 1]."""
    described, weights = table(net)
    described["logits"] = net.logits_node.address
    (folder / f"{net.name}.json").write_text(json.dumps(described))
    np.savez(folder / f"{net.name}.npz", **weights)
    side = net.input.height
    pictures = keras.Input((side, side, 3), name="pictures")
    x = pictures[..., ::-1] if net.input.channel_order == "BGR" else pictures
    scale, offset = zip(*net.input.per_channel, strict=True)
    x = keras.layers.Rescaling(list(scale), list(offset), name="preprocessing")(x)
    [logits] = net.graph.evaluate({net.graph.inputs[0].node: x}, [net.logits_node])
    keras.Model(pictures, keras.layers.Flatten(name="scores")(logits)).save(folder / f"{net.name}.keras")


def ours(net, picture, stride, method):
    """Give the seconds that a map took, and the map."""
    found = dc.occlude(net, picture, target=0, window=WINDOW, stride=stride, fill=FILL, method=method, progress=False)
    return found.seconds, found


def chosen(net, picture, stride):
    """Name the way that is taken by itself."""
    cover = Cover.of(picture, grid(picture.shape[:2], WINDOW, stride), np.full(3, FILL, np.float32))
    return choose(net, cover, "auto", batch=batch_for(net, picture.shape[:2])).method


def theirs(tool, python, folder, name, stride):
    """Give seconds and map of another tool, in a process of its own."""
    script = Path(__file__).parent / "peers" / ("captum_speed.py" if tool == "captum" else "keras_occlusion.py")
    out = folder / f"{name}-{tool}.npz"
    words = [python, script, folder, name, tool, out, "--window", WINDOW, "--stride", stride, "--fill", FILL]
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with np.load(out) as kept:
        return float(kept["seconds"]) / int(kept["windows"]), kept["map"]


def compare(asked):
    """Print a table a network."""
    pythons = {"torch": asked.torch_python, "tf": asked.tf_python}
    peers = [(tool, pythons[kind]) for tool, kind in PEERS if pythons[kind]]
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.networks:
        net = network(name)
        side = net.input.height
        picture = judge.photos(side)[0]
        export(net, asked.folder)
        np.save(asked.folder / f"{name}-picture.npy", picture)
        each, maps = defaultdict(list), {}
        wide = WIDE if not asked.whole else asked.strides[0]
        # Compiled here; by boxes every stride is compiled anew, in its first round.
        ours(net, picture, side // 2, "full")
        for _ in range(asked.rounds):
            seconds, full = ours(net, picture, wide, "full")
            each["ours, full"].append(seconds / len(full.scores))
            for tool, python in peers:
                seconds, maps[tool] = theirs(tool, python, asked.folder, name, wide)
                each[tool].append(seconds)
        reach = np.ptp(full.heatmap)
        off = {
            tool: float(np.abs(of - full.heatmap).max()) for tool, of in maps.items() if of.shape == full.heatmap.shape
        }
        print(f"{name}, {side} px; logits of the map run over {reach:.3g}")
        for stride in asked.strides:
            n = len(grid((side, side), WINDOW, stride).boxes)
            by_boxes = [ours(net, picture, stride, "incremental") for _ in range(max(2, asked.rounds))]
            best = min(seconds for seconds, _ in by_boxes)
            print(f"  stride {stride}, {n:,} windows: by boxes {best:.1f} s; by itself {chosen(net, picture, stride)}")
            for tool, seconds in each.items():
                total = n * float(np.median(seconds))
                told = f", largest difference {off[tool]:.1e}" if tool in off else ""
                print(f"    {tool} {total:.1f} s: {total / best:.1f} times as long{told}")
            found = by_boxes[0][1]
            held, peak = found.batch_bytes / 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            print(f"    saved {found.saved:.1%}; layers hold {held:.0f} MB, the process held at most {peak:,.0f} MB")
        sys.stdout.flush()


def drilldown(asked):
    """Print for each network and photo how soon its map is like the exact one."""
    for name in asked.networks:
        net = network(name)
        for picture in judge.photos(net.input.height)[:: 200 // asked.photos][: asked.photos]:
            of = {"window": WINDOW, "stride": asked.strides[0], "progress": False}
            exact_s, exact = min((timed(net, picture, method="auto", **of) for _ in range(2)), key=lambda pair: pair[0])
            wide = {**of, "stride": WIDE}
            full_s, full = min((timed(net, picture, method="full", **wide) for _ in range(2)), key=lambda pair: pair[0])
            full_s *= len(exact.scores) / len(full.scores)
            # Compiled here.
            next(dc.occlude(net, picture, method="drilldown", stream=True, **of))
            begin = time.perf_counter()
            for number, stage in enumerate(dc.occlude(net, picture, method="drilldown", stream=True, **of)):
                now = time.perf_counter() - begin
                if not number:
                    first_s = now
                like = structural_similarity(stage.heatmap, exact.heatmap, data_range=float(np.ptp(exact.heatmap)))
                if like >= ALIKE:
                    break
            print(
                f"{name}: first map after {first_s:.2f} s; like the exact one after {now:.2f} s and "
                f"{stage.measured.mean():.0%} of {len(exact.scores):,} windows; exact {exact_s:.1f} s "
                f"({exact_s / now:.1f} times as long), whole network {full_s:.1f} s ({full_s / now:.1f} times)",
                flush=True,
            )


def timed(net, picture, **asked):
    """Give seconds and the map."""
    begin = time.perf_counter()
    found = dc.occlude(net, picture, **asked)
    return time.perf_counter() - begin, found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where networks for the other tools go; or the word drilldown")
    parser.add_argument("--networks", nargs="*")
    parser.add_argument("--strides", nargs="*", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("--whole", action="store_true", help="run the other tools at the first stride itself")
    parser.add_argument("--torch-python")
    parser.add_argument("--tf-python")
    asked = parser.parse_args()
    is_drilldown = str(asked.folder) == "drilldown"
    asked.networks = asked.networks or (REAL if is_drilldown else NETWORKS)
    asked.strides = asked.strides or ([4] if is_drilldown else [8, 4])
    (drilldown if is_drilldown else compare)(asked)


if __name__ == "__main__":
    main()
