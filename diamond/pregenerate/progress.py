"""One line that says how far a pregeneration is, and when it will be through.

    with Progress("InceptionV1", jobs, weights) as progress:
        schedule = Schedule(jobs, on_made=progress.made)

    InceptionV1:  43%|####3     | 1:02:03<1:20:00, 512 of 1,024 channels, 3 dead, 12 retried

A step of a deep layer costs many times one of a shallow layer, so the line counts steps by what they weigh; what was
done in earlier runs counts as done, and not as fast.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import Any

from tqdm.auto import tqdm

from diamond.pregenerate.schedule import Task
from diamond.pregenerate.sprites import Made
from spritemaps import ChannelRecord, Job
from spritemaps.parts import better

__all__ = ["Progress", "steps_of"]

LOG_EVERY_S = 30.0
LINE = "{desc}: {percentage:3.0f}%|{bar:10}| {elapsed}<{remaining}{postfix}"


def steps_of(job: Job, attempt: int) -> int:
    """Steps of the optimiser in an attempt at a job's channels."""
    recipe = job.spec.ladder[attempt - 1]["recipe"] if job.spec.ladder else job.spec.recipe
    return int(recipe["steps"])


class Progress:
    """Counts what is done, and shows it.

    Parameters
    ----------
    title
        What the line begins with.
    jobs
        All jobs of the run.
    weights
        For each job what one step of one picture weighs.
    shown
        Whether there is a line at all.
    """

    def __init__(self, title: str, jobs: Sequence[Job], weights: Sequence[float], *, shown: bool = True) -> None:
        self.jobs = jobs
        self.image_steps = [0] * len(jobs)
        self.took_s = [0.0] * len(jobs)
        self.batches = 0
        self._weights = weights
        self._best: list[dict[int, ChannelRecord]] = [{r.channel: r for r in job.records} for job in jobs]
        self._steps_told: dict[tuple[int, int], int] = {}
        self._lock = threading.RLock()
        whole = sum(job.spec.channels * steps_of(job, 1) * w for job, w in zip(jobs, weights, strict=True))
        done = sum(self._done_steps(number) * w for number, w in enumerate(weights))
        logged = not sys.stderr.isatty() and _is_plain()
        self._bar = tqdm(
            total=max(whole, done, 1e-9),
            initial=done,
            desc=title,
            disable=not shown,
            smoothing=0.0,
            mininterval=LOG_EVERY_S if logged else 0.5,
            bar_format="{desc}: {percentage:3.0f}%, {elapsed} so far, {remaining} to come{postfix}" if logged else LINE,
            **({"file": _Log()} if logged else {}),
        )
        self._tell()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def records(self, number: int) -> tuple[ChannelRecord, ...]:
        """The best attempt so far at each channel of a job."""
        with self._lock:
            return tuple(self._best[number].values())

    def stepped(self, task: Task, image_steps: int) -> None:
        """Count steps of a task that is in hand."""
        with self._lock:
            key = task.job, task.batch
            self._steps_told[key] = self._steps_told.get(key, 0) + image_steps
            self._advance(task, image_steps)

    def made(self, task: Task, made: Made, took_s: float) -> None:
        """Count what came of a task."""
        with self._lock:
            steps = len(task.channels) * steps_of(self.jobs[task.job], task.attempt)
            self._advance(task, steps - self._steps_told.pop((task.job, task.batch), 0))
            self.image_steps[task.job] += steps
            self.took_s[task.job] += took_s
            self.batches += 1
            best = self._best[task.job]
            for record in made.records:
                best[record.channel] = better(best.get(record.channel), record)
            self._tell()

    def _advance(self, task: Task, image_steps: int) -> None:
        weight = image_steps * self._weights[task.job]
        if task.attempt > 1:
            # Further attempts are known only when they come.
            self._bar.total += weight
        self._bar.update(weight)

    def _done_steps(self, number: int) -> int:
        return len(self._best[number]) * steps_of(self.jobs[number], 1)

    def _tell(self) -> None:
        done = sum(map(len, self._best))
        records = [record for best in self._best for record in best.values()]
        dead, retried = sum(not r.alive for r in records), sum(r.attempts > 1 for r in records)
        channels = sum(job.spec.channels for job in self.jobs)
        self._bar.set_postfix_str(
            f"{done:,} of {channels:,} channels, {dead:,} dead, {retried:,} retried", refresh=False
        )


class _Log:
    """The standard error as a log: each state of the line is a line of its own, and none is drawn over."""

    def write(self, text: str) -> None:
        line = text.strip()
        if line:
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def _is_plain() -> bool:
    """Whether the line is drawn as text; in a notebook it is a widget, and lively."""
    module: Any = tqdm.__module__
    return "notebook" not in str(module)
