"""Train students at the recommended cut and at others: is the recommendation good.

    python benchmarks/cut_finetuned.py --train flowers/train --test flowers/val --network EfficientNetLite0

For each seed a student is attached at the recommended cut, at the most accurate one by the probe, at the last, and at
those next to the recommended; each is trained alike (its head, then its top two blocks; no early stopping) and asked once
about the test samples. Without ``--test`` a third of the samples, drawn by the seed, is kept for the test. Results go to a
file as they come, and are not computed twice.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

import diamond as dc
from diamond.transfer.feed import dataset, hold, split
from diamond.transfer.samples import read_samples


def trained_accuracy(net, cut, learned, asked, seed, head_epochs, fine_epochs):
    student = dc.attach(net, cut, classes=learned.classes, dropout=0.2, seed=seed)
    began = time.perf_counter()
    dc.train(
        student, learned, validation=None, epochs=head_epochs, unfreeze=2, fine_epochs=fine_epochs, augment=False,
        seed=seed, progress=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    held = hold(student, asked, progress=False)
    answers = student.model.predict(dataset(student, held, shuffle=False), verbose=0).argmax(axis=1)
    return float((answers == held.labels).mean()), seconds


def roles(report):
    return {"recommended": report.recommended, "best by probe": report.best, "last": report.cuts[-1].layer}


def cuts_to_try(report):
    names = [cut.layer for cut in report.cuts]
    chosen = names.index(report.recommended)
    return list(dict.fromkeys([*roles(report).values(), *names[max(0, chosen - 1) : chosen + 2]]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True)
    parser.add_argument("--test")
    parser.add_argument("--network", default="EfficientNetLite0")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--head-epochs", type=int, default=0)
    parser.add_argument("--fine-epochs", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path("cut_finetuned.json"))
    arguments = parser.parse_args()
    net = dc.load(arguments.network, weights=arguments.weights)
    found = json.loads(arguments.results.read_text()) if arguments.results.is_file() else {}
    for seed in range(arguments.seeds):
        learned = read_samples(arguments.train)
        learned, asked = (learned, read_samples(arguments.test)) if arguments.test else split(learned, 1 / 3, seed=seed)
        report = dc.cut_points(net, learned, latency=False, seed=seed, progress=False)
        work = {cut.layer: cut.multiply_adds for cut in report.cuts}
        for row in found.values():
            if (row["network"], row["data"], row["seed"]) == (arguments.network, arguments.train, seed):
                row["role"] = []
        for cut in cuts_to_try(report):
            key = f"{arguments.network} | {arguments.train} | {seed} | {cut}"
            if key not in found:
                accuracy, seconds = trained_accuracy(
                    net, cut, learned, asked, seed, arguments.head_epochs, arguments.fine_epochs
                )
                found[key] = {
                    "network": arguments.network, "data": arguments.train, "seed": seed, "cut": cut,
                    "probe": next(one.accuracy for one in report.cuts if one.layer == cut), "trained": accuracy,
                    "seconds": seconds, "work": work[cut] / max(work.values()),
                }  # fmt: skip
            found[key]["role"] = [role for role, name in roles(report).items() if name == cut]
            arguments.results.write_text(json.dumps(found, indent=1))
            print(found[key], flush=True)
    mine = [row for row in found.values() if (row["network"], row["data"]) == (arguments.network, arguments.train)]
    for role in ("recommended", "best by probe", "last"):
        rows = [row for row in mine if role in row["role"]]
        trained = np.array([row["trained"] for row in rows])
        best = np.array([max(other["trained"] for other in mine if other["seed"] == row["seed"]) for row in rows])
        cuts = ", ".join(sorted({row["cut"] for row in rows}))
        below, work = (best - trained).mean(), np.mean([row["work"] for row in rows])
        seconds = np.mean([row["seconds"] for row in rows])
        print(
            f"{role:<14} {cuts}: {trained.mean():.1%}, {below:.1%} under the best trained, {work:.0%} of the work, "
            f"{seconds:.0f} s of training"
        )


if __name__ == "__main__":
    main()
