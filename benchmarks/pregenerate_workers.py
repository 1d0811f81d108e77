"""How much faster two workers are than one, on the local engine or on Ray: the same job, in turns.

    python benchmarks/pregenerate_workers.py --engine ray --rounds 3

Each run is a process of its own with a store of its own; a worker has one thread, so two need two free cores. What is
timed is from the first part on the disk to the finished layer: starting processes and compiling is the same for a job
of any length. Prints one line a run, and the ratio of the medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

RUN = textwrap.dedent("""
    import dataclasses, sys
    from pathlib import Path
    import diamond as dc
    from diamond.features.recipes import read_recipe

    store, engine, workers, layer, channels, steps = sys.argv[1:]
    if __name__ == "__main__":
        recipe = dataclasses.replace(read_recipe("texture"), size_px=64, steps=int(steps))
        dc.pregenerate(
            dc.load("EfficientNetLite0", weights=None), layer, store=store, recipe=recipe, engine=engine, batch=8,
            workers=int(workers), retries=0, channels=range(int(channels)), progress=False,
        )
""")


def timed(engine, workers, asked):
    """Batches a second, from when each worker has made its first."""
    environment = os.environ | {"TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", RUN, folder, engine, str(workers), asked.layer, str(asked.channels)]
        subprocess.run([*command, str(asked.steps)], check=True, env=environment)
        written = sorted(path.stat().st_mtime for path in Path(folder).rglob("batch-*.npz"))
    # What the workers were busy with before all of them were warm is not counted.
    warm = written[workers - 1 :]
    return (len(warm) - 1) / (warm[-1] - warm[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("local", "ray"), default="ray")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layer", default="block9_add")
    parser.add_argument("--channels", type=int, default=96, help="fewer than the layer has: the rest is not rendered")
    parser.add_argument("--steps", type=int, default=64)
    asked = parser.parse_args()
    rates = {1: [], 2: []}
    for round_ in range(asked.rounds):
        for workers in (1, 2):
            rates[workers].append(timed(asked.engine, workers, asked))
            print(f"round {round_ + 1}, {workers} workers: {rates[workers][-1]:.3f} batches a second", flush=True)
    one, two = (statistics.median(rates[workers]) for workers in (1, 2))
    print(f"{asked.engine}: two workers are {two / one:.2f} times as fast as one (medians of {asked.rounds})")


if __name__ == "__main__":
    main()
