"""Kill a job at every step that it takes on the disk, resume it, and tell what differs from one left alone.

Run as ``python processes.py REPOSITORY FOLDER ATTEMPTS``; prints the number of kills and the differences as JSON. Last,
several processes work at one job at once. The job runs in children of a small process, since a fork of one that has
TensorFlow loaded is not safe.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, sys.argv[1])

from spritemaps import Store
from tests.spritemaps.sprites import FINGERPRINT, hashes, render, spec

ATTEMPTS = int(sys.argv[3])
STEPS = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"}


def work(root):
    ladder = tuple({"seed": attempt} for attempt in range(ATTEMPTS))
    job = Store(root).open_job(spec(ladder=ladder if ATTEMPTS > 1 else ()))
    render(job)
    job.finish()


def kill_before(step):
    """Kill this process before it changes a folder for the `step`-th time, or opens a file to write."""
    taken = 0

    def hook(event, arguments):
        nonlocal taken
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in STEPS:
            taken += 1
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def child(task, kill_after_s=None):
    """Run `task` in a child; True where it was killed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            task()
            status = 0
        finally:
            os._exit(status)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"a child failed, status {status}")
    return os.WIFSIGNALED(status)


def crowd(task, n):
    """Run `task` in `n` children at once; the number of those that failed."""
    pids = []
    for _ in range(n):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                task()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        pids.append(pid)
    return sum(os.waitpid(pid, 0)[1] != 0 for pid in pids)


def main(folder):
    started = time.perf_counter()
    child(lambda: work(folder / "whole"))
    took_s = time.perf_counter() - started
    whole = hashes(folder / "whole")
    differences, kills = [], 0

    def resume(root, name):
        found = Store(root).find(FINGERPRINT)
        if found is not None and len(found.tiles()) != 10:
            differences.append(f"{name}: found, but not whole")
        child(lambda: work(root))
        if hashes(root) != whole:
            differences.append(f"{name}: {sorted(set(hashes(root).items()) ^ set(whole.items()))}")

    step, killed = 0, True
    while killed:
        step += 1
        root = folder / f"step-{step}"
        killed = child(lambda root=root, step=step: (kill_before(step), work(root)))
        kills += killed
        resume(root, root.name)

    rng = random.Random(0)
    for turn in range(12):
        root = folder / f"turn-{turn}"
        for _ in range(2):
            kills += child(lambda root=root: work(root), kill_after_s=rng.uniform(0, took_s))
        resume(root, root.name)
    failures = 0
    for turn in range(12):
        root = folder / f"crowd-{turn}"
        failures += crowd(lambda root=root: work(root), 4)
        resume(root, root.name)
    print(
        json.dumps(
            {"failures": failures, "kills": kills, "steps": step, "files": len(whole), "differences": differences}
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[2]))
