"""How fast the renderer is: beside the network's own work, and beside other tools.

    python benchmarks/render_speed.py step [--layer EfficientNetLite0/block9_add] [--batch 32] [--size 128] [--rounds 7]
    python benchmarks/render_speed.py reach EXPORTED --torch-python PATH --tf-python PATH [--tools diamond lucent ...]
    python benchmarks/render_speed.py reach EXPORTED --drawn PICTURES

``step``: milliseconds an image-step beside the truncated network's own forward and backward pass, as it is and with
its batch norms folded into convolutions, as the renderer runs it. The renderer adds the Fourier image, its movement, the
redirected gradients (first steps only), the optimiser, and what a run needs once: its random numbers, and what its
pictures and a grey one reach.

``reach``: seconds until the pictures of some channels reach the robust activation (see `judge.py`; median over the
channels) that Lucent's reach in 512 steps. EXPORTED is what ``peers/export.py`` wrote; each tool runs in its own
environment, named by its Python. Compilation counts where the tool compiles again for every batch of channels; the
renderer here compiles once a layer, so it is measured with (``first``) and without (``again``). With ``--drawn``, the
pictures and times of an earlier run of the tools are used. Everything is measured alternately in one run; medians.
Processor seconds are those of all threads: on a machine that others use too, only they compare.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import judge
import numpy as np
import tensorflow as tf

from diamond.features.folding import folded
from diamond.features.recipes import Recipe, read_recipe
from diamond.features.renderer import Renderer

STEPS = 16
PEERS = Path(__file__).parent / "peers"
# Which script, in which environment, with which arguments.
TOOLS = {
    "lucent": ("lucent_pictures.py", "torch", ()),
    "xplique": ("xplique_pictures.py", "tf", ()),
    "tf-keras-vis": ("tf_keras_vis_pictures.py", "tf", ()),
}
OURS = "diamond"
ROUNDING = 1e-3


def bare_network(net, layer, pictures, *, fold):
    """Forward and backward pass of the truncated network, from the layer's mean to the picture; STEPS times."""
    node = net.node(layer)

    @tf.function(autograph=False)
    def steps(x):
        replacement = folded(net.graph, [node]) if fold else None

        def one(i, x):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                [values] = net.forward(x, [node], replace=replacement)
                score = tf.reduce_mean(values)
            # The picture must change, or the loop's body could be computed once.
            return i + 1, x + 1e-9 * tape.gradient(score, x)

        return tf.while_loop(lambda i, _: i < STEPS, one, (0, x))[1]

    return lambda: steps(pictures).numpy()


def measure_step(asked):
    """Print milliseconds an image-step."""
    network, layer = asked.layer.split("/", 1)
    net = judge.load(network)
    recipe = replace(recipe_of(asked.recipe), size_px=asked.size, steps=STEPS, redirect_steps=0)
    objectives = [recipe.objective(layer, i % net.layers[layer].channels) for i in range(asked.batch)]
    plain = Renderer(net, objectives[0].shape, recipe, width=asked.batch)
    redirected = Renderer(net, objectives[0].shape, replace(recipe, redirect_steps=STEPS), width=asked.batch)
    pictures = tf.random.stateless_uniform((asked.batch, asked.size, asked.size, 3), seed=(0, 0))
    contestants = {
        "network alone, forward and backward": bare_network(net, layer, pictures, fold=False),
        "the same, batch norms folded": bare_network(net, layer, pictures, fold=True),
        f"renderer, {recipe.name}": lambda: plain.render(objectives),
        f"renderer, {recipe.name}, gradients redirected": lambda: redirected.render(objectives),
    }
    times = defaultdict(list)
    for run in contestants.values():
        run()
    for _ in range(asked.rounds):
        for name, run in contestants.items():
            begin = np.array([time.perf_counter(), time.process_time()])
            run()
            spent = np.array([time.perf_counter(), time.process_time()]) - begin
            times[name].append(spent * 1000 / asked.batch / STEPS)
    print(f"{asked.layer}, batch {asked.batch}, {asked.size} px, {asked.rounds} rounds of {STEPS} steps")
    print(f"{'ms an image-step: median':46}{'seconds':>9}{'processor':>11}   ratio to the network, and to it folded")
    alone, fold = (np.array(of) for of in list(times.values())[:2])
    for name, values in times.items():
        wall, processor = np.median(values, axis=0)
        ratios = [np.median(np.array(values) / of, axis=0) for of in (alone, fold)]
        said = ", ".join(f"{r[0]:.2f} ({r[1]:.2f} by the processor)" for r in ratios)
        print(f"{name:46}{wall:9.2f}{processor:11.2f}   {said}")


def ours(net, layer, channels, recipe, renderer=None):
    """Draw with our renderer; give pictures and seconds at each look, and the renderer for another round."""
    begin, begin_processor = time.perf_counter(), time.process_time()
    objectives = [recipe.objective(layer, int(c)) for c in channels]
    renderer = renderer or Renderer(net, objectives[0].shape, recipe, width=len(objectives))
    at = [step for step in (8, 16, 24, 32, 48, 64, 96, 128, 192) if step < recipe.steps] + [recipe.steps]
    images, seconds, processor = [], [], []
    for done in renderer.run(objectives, looks=at):
        images.append(done.images)
        seconds.append(time.perf_counter() - begin)
        processor.append(time.process_time() - begin_processor)
    times = {"steps": at, "seconds": seconds, "processor": processor, "channels": channels}
    return {"images": np.stack(images), "shown": recipe.size[0], **times}, renderer


def drawn(folder, tool, network, layer):
    """Read what a tool drew; None where it drew nothing of the layer."""
    file = folder / tool / network / f"{layer}.npz"
    if not file.exists():
        return None
    with np.load(file) as kept:
        content = {name: kept[name] for name in kept.files}
    return content | {"images": content["images"].astype(np.float32) / 255}


def run_tool(tool, asked, place, channels, out):
    """Let a tool draw in its own environment."""
    script, environment, extra = TOOLS[tool]
    python = {"torch": asked.torch_python, "tf": asked.tf_python}[environment]
    if python is None:
        raise SystemExit(f"{tool} runs in an environment of its own; say --{environment}-python PATH")
    command = [python, str(PEERS / script), str(asked.exported), str(out), "--layers", place, "--looks", "8"]
    done = subprocess.run(
        [*command, "--channels", str(channels), *extra], cwd=PEERS, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{tool} failed on {place}:\n{done.stderr[-2000:]}")


def reached_at(net, layer, content, channels, wanted):
    """Give for each look the median over the channels of robust activation as a share of what is wanted."""
    chosen = [list(content["channels"]).index(c) for c in channels]
    shown = int(content["shown"])
    return [
        float(np.median(judge.robust_at_best(net, layer, look[chosen], channels, "mean", shown) / wanted))
        for look in content["images"]
    ]


def time_to_reach(shares, content):
    """Give steps, seconds and processor seconds at which the share is 1, on a line between looks; None if it never is."""
    shares = [0.0, *shares]
    spent = [[0.0, *map(float, content[name])] for name in ("steps", "seconds", "processor")]
    for i in range(1, len(shares)):
        # Eight bits a colour take a hair off what Lucent's own pictures reach.
        if shares[i] >= 1.0 - ROUNDING:
            part = min(1.0, (1.0 - shares[i - 1]) / max(shares[i] - shares[i - 1], ROUNDING))
            return tuple(values[i - 1] + part * (values[i] - values[i - 1]) for values in spent)
    return None


def recipe_of(word):
    """Read a recipe by its name, or from a file of `Recipe.to_dict`."""
    return Recipe.from_dict(json.loads(Path(word).read_text())) if word.endswith(".json") else read_recipe(word)


def measure_reach(asked):
    """Print the seconds to Lucent's robust activation."""
    plan = json.loads((asked.exported / "plan.json").read_text())
    for row in plan["layers"]:
        network, layer = row["network"], row["layer"]
        place = f"{network}/{layer}"
        if asked.layers and place not in asked.layers:
            continue
        net = judge.load(network)
        recipe = replace(recipe_of(asked.recipe), size_px=plan["size"])
        chosen = np.linspace(0, len(row["channels"]) - 1, min(asked.channels, len(row["channels"]))).astype(int)
        channels = np.array(row["channels"])[chosen]
        rounds, renderer = defaultdict(list), None
        for i in range(asked.rounds):
            with tempfile.TemporaryDirectory() as scratch:
                out = asked.drawn or Path(scratch)
                for tool in asked.tools if not asked.drawn else ():
                    if tool != OURS:
                        run_tool(tool, asked, place, asked.channels, out)
                for tool in asked.tools:
                    # Drawn before, a tool has one round.
                    if tool != OURS and not (asked.drawn and i) and (content := drawn(out, tool, network, layer)):
                        rounds[tool].append(content)
            if OURS in asked.tools:
                if renderer is None:
                    first, renderer = ours(net, layer, channels, recipe)
                    rounds[f"{OURS}, first"].append(first)
                rounds[f"{OURS}, again"].append(ours(net, layer, channels, recipe, renderer)[0])
        print_reach(net, place, layer, channels, rounds)


def print_reach(net, place, layer, channels, rounds):
    """Print a layer's lines."""
    if "lucent" not in rounds:
        print(f"{place}: not drawn by Lucent, so nothing to reach")
        return
    goal = rounds["lucent"][0]
    chosen = [list(goal["channels"]).index(c) for c in channels]
    wanted = judge.robust_at_best(net, layer, goal["images"][-1][chosen], channels, "mean", int(goal["shown"]))
    # What stayed silent under Lucent is reached by a grey picture.
    channels, wanted = channels[wanted > 0], wanted[wanted > 0]
    left = f", without {len(chosen) - len(channels)} that stay silent there" if len(channels) < len(chosen) else ""
    steps = int(goal["steps"][-1])
    print(f"\n{place}, {len(channels)} channels, to what {steps} steps of Lucent reach{left}")
    print(
        f"{'':20}{'share at the end':>18}{'steps to reach':>16}{'seconds':>10}{'processor s':>13}"
        f"{'faster than Lucent, by the processor':>38}{'rounds':>8}"
    )
    of_lucent = np.median([float(content["processor"][-1]) for content in rounds["lucent"]])
    for tool, contents in rounds.items():
        shares = [reached_at(net, layer, content, channels, wanted) for content in contents]
        times = [time_to_reach(of, content) for of, content in zip(shares, contents, strict=True)]
        share, reaching = np.median([of[-1] for of in shares]), [when for when in times if when is not None]
        begin = f"{tool:20}{share:18.2f}"
        if len(reaching) * 2 <= len(times):
            seconds, processor = (np.median([c[name][-1] for c in contents]) for name in ("seconds", "processor"))
            print(f"{begin}{'not in ' + str(contents[0]['steps'][-1]):>16}{seconds:10.1f}{processor:13.1f}", flush=True)
            continue
        steps, seconds, processor = np.median(reaching, axis=0)
        print(
            f"{begin}{steps:16.0f}{seconds:10.1f}{processor:13.1f}{of_lucent / processor:37.1f}x{len(times):8}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    step = parts.add_parser("step", help="beside the network's own work")
    step.add_argument("--layer", default="EfficientNetLite0/block9_add")
    step.add_argument("--recipe", default="texture", help="a name or a .json file")
    step.add_argument("--batch", type=int, default=32)
    step.add_argument("--size", type=int, default=128)
    step.add_argument("--rounds", type=int, default=7)
    reach = parts.add_parser("reach", help="beside other tools")
    reach.add_argument("exported", type=Path)
    reach.add_argument("--tools", nargs="*", default=[OURS, *TOOLS], choices=[OURS, *TOOLS])
    reach.add_argument("--torch-python")
    reach.add_argument("--tf-python")
    reach.add_argument("--drawn", type=Path, help="use pictures drawn before")
    reach.add_argument("--layers", nargs="*", help="NETWORK/LAYER; all that were exported by default")
    reach.add_argument("--recipe", default="texture", help="a name or a .json file")
    reach.add_argument("--channels", type=int, default=16)
    reach.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    (measure_step if asked.part == "step" else measure_reach)(asked)


if __name__ == "__main__":
    main()
