"""Write what captum 0.9 attributes in a small network, and that network's weights, as a fixture of the tests.

    torch/bin/pip install torch==2.13.0 captum==0.9.0
    torch/bin/python benchmarks/peers/captum_attribution.py tests/diamond/fixtures/captum.npz

The network takes pictures of 14 x 10 px and bends in three ways: SiLU, GELU, ReLU, with a maximum pooling and an
addition between them. `tests/diamond/test_attribution_captum.py` builds the same of Keras layers with these weights. The
file holds, beside weights and pictures, the logits, for each layer LayerGradientXActivation of class 1 and of class 3,
and IntegratedGradients of class 1 from the ``silu`` layer onward (midpoints, 32 steps, baseline 0). All arrays have the
channels last.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradientXActivation
from torch import nn

LAYERS = ("silu", "gelu", "relu")


class Tail(nn.Module):
    """What follows ``silu``: pooling, two convolutions, a way around the second, mean, logits."""

    def __init__(self):
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.conv2, self.conv3 = nn.Conv2d(6, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.gelu, self.relu = nn.GELU(), nn.ReLU()
        self.dense = nn.Linear(8, 5)

    def forward(self, x):
        """Give the logits."""
        x = self.gelu(self.conv2(self.pool(x)))
        x = self.relu(self.conv3(x)) + x
        return self.dense(x.mean(dim=(2, 3)))


class Whole(nn.Module):
    """The network."""

    def __init__(self):
        super().__init__()
        self.conv1, self.silu, self.tail = nn.Conv2d(3, 6, 3, padding=1), nn.SiLU(), Tail()

    def forward(self, x):
        """Give the logits."""
        return self.tail(self.silu(self.conv1(x)))


def last(values):
    """Give ``(batch, channel, height, width)`` with the channels last."""
    return np.moveaxis(values.detach().numpy(), 1, -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    torch.manual_seed(0)
    net = Whole().eval()
    for parameter in net.parameters():
        # Larger than the default, so that the nonlinearities bend and the classes differ.
        nn.init.normal_(parameter, std=0.35)
    pictures = torch.rand(3, 3, 14, 10)
    modules = {"silu": net.silu, "gelu": net.tail.gelu, "relu": net.tail.relu}
    kept = {"pictures": last(pictures), "logits": net(pictures).detach().numpy()}
    for name in LAYERS:
        attribution = LayerGradientXActivation(net, modules[name])
        for target in (1, 3):
            kept[f"{name}:{target}"] = last(attribution.attribute(pictures, target=target))
    before = net.silu(net.conv1(pictures)).detach()
    path = IntegratedGradients(net.tail).attribute(before, target=1, n_steps=32, method="riemann_middle")
    kept["path:1"] = last(path)
    for name, parameter in net.state_dict().items():
        values = parameter.numpy()
        axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[values.ndim]
        kept[f"weight:{name.removeprefix('tail.')}"] = values.transpose(axes)
    np.savez_compressed(asked.file, **kept)
    print(f"{asked.file}: {asked.file.stat().st_size:,} bytes, {len(kept)} arrays")


if __name__ == "__main__":
    main()
