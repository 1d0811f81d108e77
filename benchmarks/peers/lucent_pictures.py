"""Pictures by Lucent (torch-lucent 0.1.8 with kornia 0.4.1 and torch 2.13.0) at its own defaults.

    python lucent_pictures.py FOLDER OUT [--layers ...] [--channels 16] [--steps 512] [--looks 8] [--batch 1] [--seen 128]

Lucent pads a small picture and enlarges it to 224 px before the network sees it; here the network sees it at the
canvas' own size, as with the other tools, which is three times as fast; ``--seen 224`` is what Lucent does by itself.
One channel at a time, as its documentation does; with ``--batch`` several, which all share each step's random move.
"""

import json
from functools import partial

import numpy as np
import torch
from exchange import arguments, check, clock, keep, looks, tasks
from torch_layers import Network

# Where torch is built for the processor alone, torchvision from PyPI lacks operators that it asks for while it is
# imported; Lucent wants nothing of it but a normalisation.
_MISSING = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    _MISSING.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lucent.optvis import objectives, param, render  # noqa: E402

PADDING = 12


def draw(net, task, at, *, batch, seen, seed):
    """Draw a layer's channels; give ``(look, channel, height, width, 3)`` and the time spent."""
    drawn = []
    begin = clock()
    for first in range(0, len(task.channels), batch):
        some = task.channels[first : first + batch]
        np.random.seed(seed + first)  # noqa: NPY002 (Lucent draws from NumPy's global stream)
        torch.manual_seed(seed + first)
        wanted = [objectives.channel(task.layer, c, batch=i) for i, c in enumerate(some)]
        drawn.append(
            render.render_vis(
                net,
                objectives.Objective.sum(wanted),
                partial(param.image, task.size, batch=len(some)),
                thresholds=at,
                preprocess=False,
                progress=False,
                show_image=False,
                fixed_image_size=seen,
            )
        )
    return np.concatenate([np.stack(images) for images in drawn], axis=1), clock() - begin


def main():
    parser = arguments(__doc__, steps=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seen", type=int, help="side at which the network sees the picture; the canvas' by default")
    asked = parser.parse_args()
    nets = {}
    everything = list(tasks(asked))
    last = {task.network: task.layer for task in everything}
    for task in everything:
        if task.network not in nets:
            nets[task.network] = Network(asked.folder, task.network).eval()
        net = nets[task.network]
        if last[task.network] == task.layer:
            check_last(asked.folder, net, task.network)
        at = looks(asked)
        images, spent = draw(net, task, at, batch=asked.batch, seen=asked.seen or task.size, seed=asked.seed)
        # Before the picture is brought to the size that the network sees, it has grown by its border.
        shown = round(task.size * (asked.seen or task.size) / (task.size + 2 * PADDING))
        tool = "lucent" if asked.seen in (None, task.size) else f"lucent-{asked.seen}"
        keep(asked, tool, task, images=images, steps=at, spent=spent, shown=shown)


def check_last(folder, net, network):
    """Hold the rebuilt network against the original at the last exported landmark."""
    plan = json.loads((folder / "plan.json").read_text())
    last = [row["layer"] for row in plan["layers"] if row["network"] == network][-1]

    def answer(picture):
        with torch.no_grad():
            values = net(torch.tensor(picture).permute(0, 3, 1, 2), last)
        return values.permute(0, 2, 3, 1).numpy()

    check(folder, network, answer)


if __name__ == "__main__":
    main()
