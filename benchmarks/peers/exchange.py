"""What the scripts of this folder share: reading what `export.py` wrote, and keeping pictures for the judge.

Imported in every tool's own environment, so it needs nothing but NumPy.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Task:
    """A layer, the channels to draw, and the side of the canvas in pixels."""

    network: str
    layer: str
    channels: tuple[int, ...]
    size: int


def arguments(description, *, steps):
    """Parse what every script takes, with the tool's own default of `steps`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what export.py wrote")
    parser.add_argument("out", type=Path, help="where the pictures go")
    parser.add_argument("--layers", nargs="*", help="NETWORK/LAYER; all that were exported by default")
    parser.add_argument("--channels", type=int, default=16, help="so many of the exported, spread over them")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--looks", type=int, default=1, help="keep so many pictures on the way, evenly spaced")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def tasks(asked):
    """Give the layers asked for."""
    plan = json.loads((asked.folder / "plan.json").read_text())
    for row in plan["layers"]:
        if not asked.layers or f"{row['network']}/{row['layer']}" in asked.layers:
            some = np.linspace(0, len(row["channels"]) - 1, min(asked.channels, len(row["channels"]))).astype(int)
            yield Task(row["network"], row["layer"], tuple(row["channels"][i] for i in some), plan["size"])


def looks(asked):
    """Give the numbers of steps after which a picture is kept, the last of them all steps."""
    return [asked.steps * (i + 1) // asked.looks for i in range(asked.looks)]


def clock():
    """Read the clock: seconds, and processor seconds of all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def keep(asked, tool, task, *, images, steps, spent, shown=None):
    """Keep what a tool drew.

    Parameters
    ----------
    images
        ``(look, channel, height, width, 3)`` in [0, 1].
    steps
        ``(look,)``: steps of the optimiser up to each look.
    spent
        Seconds and processor seconds for all channels and steps, as `clock` counts them. Every step costs the same, so
        the time of a look is its share of the whole.
    shown
        Side in pixels at which the tool showed the picture to the network, where that is not the canvas' own.
    """
    file = asked.out / tool / task.network / f"{task.layer}.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    pictures = np.round(np.clip(np.asarray(images), 0, 1) * 255).astype(np.uint8)
    seconds, processor = (total * np.array(steps) / steps[-1] for total in spent)
    kept = {"channels": task.channels, "steps": steps, "seconds": seconds, "processor": processor}
    np.savez_compressed(file, images=pictures, shown=shown or task.size, **kept)
    print(f"{tool} {task.network}/{task.layer}: {len(task.channels)} channels, {steps[-1]} steps, {seconds[-1]:.1f} s")


def check(folder, network, answer):
    """Refuse to go on where a rebuilt network answers something else than the original.

    Parameters
    ----------
    answer
        Function of a batch of pictures ``(1, height, width, 3)`` that gives the last landmark's activations.
    """
    with np.load(folder / f"{network}-check.npz") as kept:
        wanted, found = kept["answer"], answer(kept["picture"])
    error = float(np.abs(wanted - found).max() / np.abs(wanted).max())
    if error > 1e-3:
        raise SystemExit(
            f"{network} as rebuilt here differs from the original by {error:.1e} of its largest activation"
        )
