"""The exported networks as PyTorch modules, built from their tables of operations."""

import json

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn


def same_padding(x, kernel, stride, value):
    """Pad the last two axes as TensorFlow's "same" does: what is odd goes below and to the right."""
    sides = []
    for side, k, s in zip(x.shape[:-3:-1], kernel[::-1], stride[::-1], strict=True):
        total = max((-(-side // s) - 1) * s + k - side, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(x, sides, value=value) if any(sides) else x


class Convolution(nn.Module):
    """A convolution, grouped or depthwise."""

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
        """Compute ``(batch, channel, height, width)``."""
        if self.row["padding"] == "same":
            x = same_padding(x, self.row["kernel"], self.row["stride"], 0.0)
        return F.conv2d(x, self.weight, self.bias, self.row["stride"], groups=self.groups)


class Pooling(nn.Module):
    """The maximum or mean of a window."""

    def __init__(self, row):
        super().__init__()
        self.row = row

    def forward(self, x):
        """Compute ``(batch, channel, height, width)``."""
        kernel, stride = self.row["kernel"], self.row["stride"]
        if self.row["mode"] == "max":
            if self.row["padding"] == "same":
                x = same_padding(x, kernel, stride, float("-inf"))
            return F.max_pool2d(x, kernel, stride)
        if self.row["padding"] == "same":
            # What is padded does not count in the mean.
            whole, counted = (same_padding(part, kernel, stride, 0.0) for part in (x, torch.ones_like(x[:1, :1])))
            return F.avg_pool2d(whole, kernel, stride) / F.avg_pool2d(counted, kernel, stride)
        return F.avg_pool2d(x, kernel, stride)


class Function(nn.Module):
    """An operation without weights."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        """Compute from one or several tensors."""
        return self.function(*tensors)


def module(row, weights):
    """Make the module of one row of the table."""
    op = row["op"]
    if op == "convolution":
        return Convolution(row, weights)
    if op == "pooling":
        return Pooling(row)
    if op == "normalise":
        *gamma, beta, mean, variance = weights
        gamma = gamma[0] if gamma else np.ones_like(mean)
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
        # Channels last, as the weights after it have them.
        "flatten": lambda x: x.movedim(1, -1).flatten(1),
        "reshape": lambda x: x.movedim(1, -1).flatten(1),
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
        self.logits = described.get("logits")
        self.register_buffer("scale", torch.tensor(described["scale"]).reshape(3, 1, 1))
        self.register_buffer("offset", torch.tensor(described["offset"]).reshape(3, 1, 1))

    def forward(self, pictures, last=None):
        """Answer to pictures ``(batch, 3, height, width)`` in [0, 1]; stop after the operation named `last`."""
        values = []
        for row in self.rows:
            if row["op"] == "input":
                values.append(pictures[:, self.order] * self.scale + self.offset)
            else:
                values.append(getattr(self, row["address"])(*[values[i] for i in row["inputs"]]))
            if row["address"] == last:
                return values[-1]
        return values[-1]
