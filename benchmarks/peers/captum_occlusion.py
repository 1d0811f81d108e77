"""Write what captum 0.9's Occlusion gives for a small network, and that network's weights, as a fixture of the tests.

    torch/bin/pip install torch==2.13.0 captum==0.9.0
    torch/bin/python benchmarks/peers/captum_occlusion.py tests/diamond/fixtures/captum_occlusion.npz

The network and the size of the picture, 14 x 10 px, are those of `captum_attribution.py`. Eleven settings: windows that fit
and windows that are cut at the edge, overlaps, strips over a whole side, one window over all; filled with a number, a
colour, the picture's mean colour, another picture. ``setting`` holds a row each: window height and width, stride down and
across, class, and the number of the fill among ``fill:0`` ... ; ``map:0`` ... are the maps, equal in all three colours
and so kept once. All arrays have the channels last.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from captum.attr import Occlusion
from captum_attribution import Whole, last
from torch import nn

# Window height, width; stride down, across; class; fill.
SETTINGS = (
    (4, 3, 4, 3, 1, 0),
    (4, 3, 3, 2, 1, 0),
    (5, 5, 2, 3, 1, 1),
    (1, 1, 1, 1, 2, 0),
    (14, 10, 1, 1, 1, 2),
    (3, 10, 2, 1, 0, 2),
    (14, 2, 1, 2, 4, 3),
    (6, 4, 5, 3, 1, 4),
    (5, 3, 4, 2, 3, 3),
    (2, 3, 1, 3, 3, 4),
    (7, 6, 5, 5, 2, 1),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    torch.manual_seed(1)
    net = Whole().eval()
    for parameter in net.parameters():
        # Larger than the default, so that the nonlinearities bend and the classes differ.
        nn.init.normal_(parameter, std=0.35)
    picture = torch.rand(1, 3, 14, 10)
    colour = torch.tensor([0.9, 0.1, 0.4]).view(1, 3, 1, 1).expand_as(picture)
    mean = picture.mean(dim=(2, 3), keepdim=True).expand_as(picture)
    fills = (torch.zeros_like(picture), torch.full_like(picture, 0.5), colour, mean, torch.rand(1, 3, 14, 10))
    kept = {"picture": last(picture)[0], "logits": net(picture).detach().numpy()[0], "setting": np.array(SETTINGS)}
    kept |= {f"fill:{i}": last(fill)[0] for i, fill in enumerate(fills)}
    for i, (high, wide, down, across, target, fill) in enumerate(SETTINGS):
        found = Occlusion(net).attribute(
            picture,
            sliding_window_shapes=(3, high, wide),
            strides=(3, down, across),
            baselines=fills[fill],
            target=target,
            perturbations_per_eval=7,
        )
        kept[f"map:{i}"] = last(found)[0, :, :, 0]
    for name, parameter in net.state_dict().items():
        values = parameter.numpy()
        axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[values.ndim]
        kept[f"weight:{name.removeprefix('tail.')}"] = values.transpose(axes)
    np.savez_compressed(asked.file, **kept)
    print(f"{asked.file}: {asked.file.stat().st_size:,} bytes, {len(kept)} arrays")


if __name__ == "__main__":
    main()
