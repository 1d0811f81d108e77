"""Pictures by Lucent (torch-lucent 0.1.8 with kornia 0.4.1 and torch 2.13.0) at its own defaults.

    python lucent_pictures.py FOLDER OUT [--layers ...] [--channels 16] [--steps 512] [--looks 8] [--batch 1]

One channel at a time, as its documentation does; with ``--batch`` several, which all share each step's random move.
"""

import json
import time

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from exchange import arguments, check, keep, looks, tasks
from torch import nn

# Where torch is built for the processor alone, torchvision from PyPI lacks operators that it asks for while it is
# imported; Lucent wants nothing of it but a normalisation.
_MISSING = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    _MISSING.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from lucent.optvis import objectives, param, render  # noqa: E402


def same_padding(x, kernel, stride, value):
    """Pad the last two axes as TensorFlow's "same" does: what is odd goes below and to the right."""
    sides = []
    for side, k, s in zip(x.shape[:-3:-1], kernel[::-1], stride[::-1], strict=True):
        total = max((-(-side // s) - 1) * s + k - side, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides, value=value) if any(sides) else x


class Convolution(nn.Module):
    def __init__(self, row, weights):
        super().__init__()
        kernel = weights[0]
        depthwise = row["groups"] == "depthwise"
        order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
        self.weight = nn.Parameter(torch.tensor(kernel.transpose(order).copy()))
        self.bias = nn.Parameter(torch.tensor(weights[1])) if row["bias"] else None
        self.groups = kernel.shape[2] if depthwise else row["groups"]
        self.row = row

    def forward(self, x):
        if self.row["padding"] == "same":
            x = same_padding(x, self.row["kernel"], self.row["stride"], 0.0)
        return F.conv2d(x, self.weight, self.bias, self.row["stride"], groups=self.groups)


class Pooling(nn.Module):
    def __init__(self, row):
        super().__init__()
        self.row = row

    def forward(self, x):
        kernel, stride = self.row["kernel"], self.row["stride"]
        if self.row["mode"] == "max":
            if self.row["padding"] == "same":
                x = same_padding(x, kernel, stride, float("-inf"))
            return F.max_pool2d(x, kernel, stride)
        return F.avg_pool2d(x, kernel, stride)


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


def module(row, weights):
    """Make the module of one row of the table."""
    op = row["op"]
    if op == "convolution":
        return Convolution(row, weights)
    if op == "pooling":
        return Pooling(row)
    if op == "normalise":
        gamma, beta, mean, variance = weights
        norm = nn.BatchNorm2d(len(mean), eps=row["epsilon"])
        names = {"weight": gamma, "bias": beta, "running_mean": mean, "running_var": variance}
        norm.load_state_dict({name: torch.tensor(value) for name, value in names.items()}, strict=False)
        return norm
    if op == "dense":
        dense = nn.Linear(*weights[0].shape)
        dense.load_state_dict({"weight": torch.tensor(weights[0].T), "bias": torch.tensor(weights[1])})
        return dense
    if op == "nonlinearity":
        return {"relu": nn.ReLU(), "relu6": nn.ReLU6(), "softmax": nn.Softmax(1)}[row["name"]]
    if op == "unknown":
        radius, alpha = row["depth_radius"], row["alpha"]
        size = 2 * radius + 1
        return nn.LocalResponseNorm(size, alpha * size, row["beta"], row["bias"])
    return Function(_plain(op, row))


def _plain(op, row):
    if op == "pad":
        (top, bottom), (left, right) = (row["sides"] * 2)[:2]
        return lambda x: F.pad(x, (left, right, top, bottom))
    return {
        "identity": lambda x: x,
        "merge": lambda *parts: sum(parts[1:], parts[0]),
        "concatenate": lambda *parts: torch.cat(parts, 1),
        "global_pooling": lambda x: x.mean((2, 3), keepdim=bool(row.get("keepdims"))),
        "flatten": lambda x: x.flatten(1),
        "reshape": lambda x: x.flatten(1),
    }[op]


class Network(nn.Module):
    """The network of a table; every operation is a submodule under its address, as Lucent looks layers up."""

    def __init__(self, folder, name):
        super().__init__()
        described = json.loads((folder / f"{name}.json").read_text())
        with np.load(folder / f"{name}.npz") as kept:
            for row in described["nodes"]:
                if row["op"] != "input":
                    self.add_module(row["address"], module(row, [kept[key] for key in row["weights"]]))
        self.rows = described["nodes"]
        self.order = described["order"]
        self.register_buffer("scale", torch.tensor(described["scale"]).reshape(3, 1, 1))
        self.register_buffer("offset", torch.tensor(described["offset"]).reshape(3, 1, 1))

    def forward(self, pictures, last=None):
        values = []
        for row in self.rows:
            if row["op"] == "input":
                values.append(pictures[:, self.order] * self.scale + self.offset)
            else:
                values.append(getattr(self, row["address"])(*[values[i] for i in row["inputs"]]))
            if row["address"] == last:
                return values[-1]
        return values[-1]


def draw(net, task, at, batch, seed):
    """Draw a layer's channels; give ``(look, channel, height, width, 3)`` and the seconds in all."""
    drawn = []
    begin = time.perf_counter()
    for first in range(0, len(task.channels), batch):
        some = task.channels[first : first + batch]
        np.random.seed(seed + first)  # noqa: NPY002 (Lucent draws from NumPy's global stream)
        torch.manual_seed(seed + first)
        wanted = [objectives.channel(task.layer, c, batch=i) for i, c in enumerate(some)]
        drawn.append(
            render.render_vis(
                net,
                objectives.Objective.sum(wanted),
                lambda n=len(some): param.image(task.size, batch=n),
                thresholds=at,
                preprocess=False,
                progress=False,
                show_image=False,
            )
        )
    return np.concatenate([np.stack(images) for images in drawn], axis=1), time.perf_counter() - begin


def main():
    parser = arguments(__doc__, steps=512)
    parser.add_argument("--batch", type=int, default=1)
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
        images, seconds = draw(net, task, at, asked.batch, asked.seed)
        # Every step costs the same, so the time of a look is its share of the whole.
        keep(asked, "lucent", task, images=images, steps=at, seconds=[seconds * step / at[-1] for step in at])


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
