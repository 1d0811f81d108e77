"""One pass for all cuts: what it costs beside one forward pass, and how much memory a whole report takes.

    python benchmarks/cut_scan.py --data flowers/train --network EfficientNetLite0
    python benchmarks/cut_scan.py --data flowers/train --network MobilenetV1_025 --weights FILE --times 20

Reading the pictures and running them through the network up to its last cut is timed in turns with the scan of all cuts, by
processor and by clock, after one round that is not counted. With ``--times N`` the samples are taken N times over for a
whole report, and the most memory the process held is told.
"""

import argparse
import resource
import time

import numpy as np
import tensorflow as tf

import diamond as dc
from diamond.attribution.streams import stream
from diamond.transfer.cuts import cut_layers
from diamond.transfer.samples import read_samples
from diamond.transfer.scan import scan

BATCH = 32


def forward(net, samples, last):
    run = net.compiled(("benchmark", last.name), lambda: lambda shown: net.forward(shown, [net.node(last)]))
    for part in stream(net, list(samples.sources), batch=BATCH, progress=False):
        shown = part.pictures
        if len(shown) == BATCH:
            run(tf.constant(shown))[0].numpy()


def timed(work):
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--network", default="EfficientNetLite0")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=0)
    arguments = parser.parse_args()
    net = dc.load(arguments.network, weights=arguments.weights)
    samples = read_samples(arguments.data)
    cuts = cut_layers(net)
    whole = samples.only(np.arange(len(samples) // BATCH * BATCH))
    found = []
    for round_ in range(arguments.rounds + 1):
        one = timed(lambda: forward(net, whole, cuts[-1]))
        all_cuts = timed(lambda: scan(net, whole, cuts, batch=BATCH, progress=False))
        if round_:
            found.append([*one, *all_cuts])
    pass_s, pass_cpu, scan_s, scan_cpu = np.median(found, axis=0)
    ratios = np.array(found)[:, 2:] / np.array(found)[:, :2]
    clock, processor = np.median(ratios, axis=0)
    print(
        f"{net.name}, {len(whole)} pictures, {len(cuts)} cuts: one pass {pass_s:.1f} s ({pass_cpu:.1f} s of processor), "
        f"all cuts {scan_s:.1f} s ({scan_cpu:.1f} s): {clock:.2f} by clock, {processor:.2f} by processor"
    )
    if arguments.times:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        many = samples.only(np.tile(np.arange(len(samples)), arguments.times))
        seconds = timed(lambda: dc.cut_points(net, many, latency=False, progress=False))[0]
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"a report over {len(many):,} samples: {seconds:.0f} s, {most:.2f} GB at most ({before:.2f} GB before it)"
        )


if __name__ == "__main__":
    main()
