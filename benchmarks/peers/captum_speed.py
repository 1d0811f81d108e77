"""One occlusion map by captum 0.9, timed; `benchmarks/occlusion_speed.py` calls this.

    python captum_speed.py FOLDER NETWORK captum OUT.npz --window 16 --stride 8 --fill 0.5

Sixteen covered pictures at a time, which is faster than captum's default of one.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from captum.attr import Occlusion
from torch_layers import Network


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("network")
    parser.add_argument("tool", choices=("captum",))
    parser.add_argument("out", type=Path)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--fill", type=float, default=0.5)
    asked = parser.parse_args()
    net = Network(asked.folder, asked.network).eval()
    picture = torch.tensor(np.moveaxis(np.load(asked.folder / f"{asked.network}-picture.npy"), -1, 0)[None])
    side = picture.shape[-1]
    windows = (-(-(side - asked.window) // asked.stride) + 1) ** 2

    def occluded(window, stride):
        return Occlusion(lambda x: net(x, last=net.logits).flatten(1)).attribute(
            picture,
            sliding_window_shapes=(3, window, window),
            strides=(3, stride, stride),
            baselines=asked.fill,
            target=0,
            perturbations_per_eval=16,
        )

    with torch.no_grad():
        occluded(side // 2, side // 2)
        begin = time.perf_counter()
        found = occluded(asked.window, asked.stride)
    seconds = time.perf_counter() - begin
    np.savez(asked.out, map=found.numpy()[0, 0], seconds=seconds, windows=windows)


if __name__ == "__main__":
    main()
