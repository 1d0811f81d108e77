"""One occlusion map by Xplique 2.0.2 or tf-explain 0.3.1, timed; `benchmarks/occlusion_speed.py` calls this.

    python keras_occlusion.py FOLDER NETWORK Xplique OUT.npz --window 16 --stride 8 --fill 0.5

Both with 32 covered pictures at a time. tf-explain knows no stride but the window and no fill but mid-grey, so its map is
another one; only its time for each window counts.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from keras_layers import load

BATCH = 32


def by_xplique(model, picture, window, stride, fill):
    """Give a function that makes the map, and how many windows it has."""
    from xplique.attributions import Occlusion

    target = np.eye(model.output_shape[-1], dtype=np.float32)[:1]

    def occluded(step):
        explainer = Occlusion(model, BATCH, patch_size=window, patch_stride=step, occlusion_value=fill)
        return np.asarray(explainer(picture[None], target))[0]

    return occluded, ((picture.shape[0] - window) // stride + 1) ** 2


def by_tf_explain(model, picture, window, stride, fill):
    """Give a function that makes the map, and how many windows it has."""
    from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity

    def occluded(step):
        explainer = OcclusionSensitivity(batch_size=BATCH)
        return explainer.get_sensitivity_map(model, picture, 0, max(step, window))

    return occluded, (-(-picture.shape[0] // max(stride, window))) ** 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("network")
    parser.add_argument("tool", choices=("Xplique", "tf-explain"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--window", type=int, default=16)
    parser.add_argument("--stride", type=int, default=8)
    parser.add_argument("--fill", type=float, default=0.5)
    asked = parser.parse_args()
    model = load(asked.folder, asked.network)
    picture = np.load(asked.folder / f"{asked.network}-picture.npy")
    make = by_xplique if asked.tool == "Xplique" else by_tf_explain
    occluded, windows = make(model, picture, asked.window, asked.stride, asked.fill)
    occluded(asked.stride)
    begin = time.perf_counter()
    found = occluded(asked.stride)
    seconds = time.perf_counter() - begin
    np.savez(asked.out, map=np.squeeze(found), seconds=seconds, windows=windows)


if __name__ == "__main__":
    main()
