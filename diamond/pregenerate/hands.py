"""Who renders: this process, or several beside it, one a GPU.

    work_off(schedule, [own_hand(net, jobs)])                     # in this process
    with worker_processes(net, jobs, n=4) as hands:               # four processes
        work_off(schedule, hands)

A *hand* is a function that renders a task and gives what it made; whose it is does not show in the outcome. A worker
process that dies (the system takes memory back, a driver fails) is started anew, and its task is rendered again; one
that dies three times over the same task ends the run.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from diamond.pregenerate.portable import pack_network
from diamond.pregenerate.schedule import Schedule, Task
from diamond.pregenerate.sprites import Made, Make, sprite_maker
from modelzoo import Network
from spritemaps import Job

__all__ = ["Hand", "WorkerError", "leave_gpus", "own_hand", "work_off", "worker_processes"]

MOST_DEATHS = 3
Hand = Callable[[Task], Made]


class WorkerError(RuntimeError):
    """A worker process that failed, in its own words."""


def own_hand(net: Network, jobs: Sequence[Job], *, on_steps: Callable[[Task, int], object] | None = None) -> Hand:
    """Give a hand that renders in this process; `on_steps` is called with a task and the image-steps done of it."""
    current: dict[int, Make] = {}

    def render(task: Task) -> Made:
        if task.job not in current:
            # What was compiled for the layer before is let go.
            current.clear()
            current[task.job] = sprite_maker(net, jobs[task.job].spec)
        told = None if on_steps is None else lambda steps: on_steps(task, steps)
        return current[task.job](task.channels, task.attempt, on_steps=told)

    return render


def work_off(schedule: Schedule, hands: Sequence[Hand]) -> None:
    """Let hands take tasks until there are none.

    Raises
    ------
    Exception
        What a hand raised first; the others end with the task they have.
    """
    if len(hands) == 1:
        _work(schedule, hands[0])
        return
    errors: list[BaseException] = []

    def thread(hand: Hand) -> None:
        try:
            _work(schedule, hand)
        except BaseException as error:
            if not schedule.stopped:
                errors.append(error)
            schedule.stop()

    threads = [threading.Thread(target=thread, args=(hand,), daemon=True) for hand in hands]
    for one in threads:
        one.start()
    try:
        for one in threads:
            while one.is_alive():
                one.join(0.2)
    except BaseException:
        schedule.stop()
        raise
    if errors:
        raise errors[0]


def leave_gpus(workers: int | None, engine: str) -> None:
    """Leave the GPUs to worker processes, where there will be any; ask before TensorFlow's first operation."""
    import tensorflow as tf

    n = len(tf.config.list_physical_devices("GPU"))
    if n > 1 and engine == "local" and workers in (None, n):
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")


def _work(schedule: Schedule, hand: Hand) -> None:
    while (task := schedule.take()) is not None:
        try:
            made = hand(task)
        except BaseException:
            schedule.give_back(task)
            raise
        schedule.give(task, made)


@contextlib.contextmanager
def worker_processes(
    net: Network, jobs: Sequence[Job], *, n: int, gpus: bool = False, threads: int = 0
) -> Iterator[list[Hand]]:
    """Start `n` processes that hold the network, and give a hand for each; they end with the block.

    Parameters
    ----------
    gpus
        Whether the i-th process sees the i-th GPU alone.
    threads
        TensorFlow's, in each process; as it likes where 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network"
        path.write_bytes(pack_network(net))
        workers = [_Worker(path, jobs, _environment(i if gpus else None, threads)) for i in range(n)]
        try:
            yield [worker.render for worker in workers]
        finally:
            for worker in workers:
                worker.end()


class _Worker:
    """A process that renders tasks: it reads them as pickles from its input and writes what it made to its output."""

    def __init__(self, network: Path, jobs: Sequence[Job], environment: dict[str, str]) -> None:
        self._network, self._jobs, self._environment = network, jobs, environment
        self._process = self._started()
        self._ended = False

    def render(self, task: Task) -> Made:
        """Let the process render a task."""
        deaths = 0
        while True:
            try:
                answer = self._asked((self._jobs[task.job].spec.to_bytes(), task))
            except (EOFError, OSError, pickle.UnpicklingError):
                deaths += 1
                status = self._process.wait()
                if self._ended or deaths == MOST_DEATHS:
                    raise WorkerError(
                        f"a worker died {deaths} times (status {status}) over channels {task.channels[0]} to "
                        f"{task.channels[-1]} of {self._jobs[task.job].spec.layer!r}; a smaller batch needs less memory"
                    ) from None
                self._process = self._started()
                continue
            if isinstance(answer, str):
                raise WorkerError(answer)
            return Made(*answer)

    def end(self) -> None:
        """End the process."""
        self._ended = True
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _asked(self, question: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(question, self._process.stdin)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "diamond.pregenerate.worker", str(self._network)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self._environment)


def _environment(gpu: int | None, threads: int) -> dict[str, str]:
    environment = dict(os.environ)
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The package may be run from a folder that only this process knows of.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    if gpu is not None:
        shown = environment.get("CUDA_VISIBLE_DEVICES", "")
        names = [name for name in shown.split(",") if name]
        environment["CUDA_VISIBLE_DEVICES"] = names[gpu] if gpu < len(names) else str(gpu)
    if threads:
        environment["TF_NUM_INTRAOP_THREADS"] = str(threads)
    return environment
