"""Which batch comes next, for as many hands as there are.

    schedule = Schedule(jobs)
    while (task := schedule.take()) is not None:
        made = make(task.channels, task.attempt)
        schedule.give(task, made)

Workers *take* tasks and *give* what they made; the schedule writes it and finishes a layer when nothing of it is
pending. It looks at the store each time, so what another process has done is not done again, and it hands out no batch
twice. A later attempt at a layer begins when every batch of the one before is there: until then hands that are free go
on with the next layer, and wait only where there is none.

A *shard* is one of several processes without a common schedule, as a batch system starts them, on one shared folder. It
takes every n-th batch of first attempts; whichever shard comes last to a layer does the later attempts and finishes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from diamond.pregenerate.sprites import Made
from spritemaps import Job
from spritemaps.job import Todo

__all__ = ["Schedule", "Task", "check_shard"]

Shard = tuple[int, int]


class Task(NamedTuple):
    """A batch to render.

    Attributes
    ----------
    job
        Number of the job.
    batch
        Number of the batch in ``job.batches``.
    attempt
        Which attempt at its channels this is, from 1.
    channels
        Their numbers.
    """

    job: int
    batch: int
    attempt: int
    channels: tuple[int, ...]


class Schedule:
    """Hands out the batches of jobs, in order, and keeps what comes back.

    Parameters
    ----------
    jobs
        The jobs, in the order of their worth.
    only
        Channels of each job to which to keep; batches that hold none of them are left alone. All where None.
    shard
        ``(i, n)``: the i-th of n shards, from 1.
    budget_s
        Seconds from now on; a batch that would not be through by then is not begun.
    on_made
        Called with a task and what came of it, after it is written.
    on_finished
        Called with the number of a job whose layer is finished.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        only: frozenset[int] | None = None,
        shard: Shard | None = None,
        budget_s: float | None = None,
        on_made: Callable[[Task, Made, float], object] | None = None,
        on_finished: Callable[[int], object] | None = None,
    ) -> None:
        self.jobs = jobs
        self.stopped = False
        self.out_of_time = False
        self._only = only
        self._shard = shard
        self._ends = None if budget_s is None else time.monotonic() + budget_s
        self._on_made, self._on_finished = on_made, on_finished
        self._turn = threading.Condition(threading.RLock())
        self._out: dict[tuple[int, int], float] = {}
        self._finished: set[int] = set()
        self._longest_s: dict[int, float] = {}
        firsts = [0]
        for job in jobs:
            firsts.append(firsts[-1] + len(job.spec.batches))
        self._first_of_job = firsts

    def take(self) -> Task | None:
        """Give the next task; wait where one may come of what others have in hand; None where there is none."""
        with self._turn:
            while True:
                if self.stopped:
                    return None
                task = self._next()
                if task is not None:
                    if self._too_late(task.job):
                        self.out_of_time = True
                        return None
                    self._out[task.job, task.batch] = time.monotonic()
                    return task
                if not self._out:
                    return None
                self._turn.wait(1.0)

    def give(self, task: Task, made: Made) -> None:
        """Keep what came of a task, and finish its layer where it was the last.

        Raises
        ------
        StoreError
            Where it cannot be written.
        """
        with self._turn:
            took_s = time.monotonic() - self._out.pop((task.job, task.batch))
            self._longest_s[task.job] = max(took_s, self._longest_s.get(task.job, 0.0))
            job = self.jobs[task.job]
            job.write(task.batch, made.tiles, made.records)
            if self._on_made is not None:
                self._on_made(task, made, took_s)
            self._finish(task.job)
            self._turn.notify_all()

    def give_back(self, task: Task) -> None:
        """Say that nothing came of a task: somebody else is to take it."""
        with self._turn:
            self._out.pop((task.job, task.batch), None)
            self._turn.notify_all()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._turn:
            self.stopped = True
            self._turn.notify_all()

    def _next(self) -> Task | None:
        for number, job in enumerate(self.jobs):
            if number in self._finished:
                continue
            self._finish(number)
            for todo in self._mine(number, job):
                if (number, todo.batch) not in self._out:
                    return Task(number, *todo)
        return None

    def _mine(self, number: int, job: Job) -> Sequence[Todo]:
        todo = [one for one in job.todo if self._only is None or self._only.intersection(one.channels)]
        if self._shard is None:
            return todo
        i, n = self._shard
        first = [one for one in todo if one.attempt == 1]
        if first:
            return [one for one in first if (self._first_of_job[number] + one.batch) % n == i - 1]
        # Every shard may come to the later attempts. Each begins elsewhere, so that two at once share the work.
        start = len(todo) * (i - 1) // n
        return [*todo[start:], *todo[:start]]

    def _finish(self, number: int) -> None:
        job = self.jobs[number]
        if number in self._finished or any(of == number for of, _ in self._out):
            return
        if job.finished is not None or not job.pending:
            job.finish()
            self._finished.add(number)
            if self._on_finished is not None:
                self._on_finished(number)

    def _too_late(self, number: int) -> bool:
        if self._ends is None:
            return False
        needed = self._longest_s.get(number, max(self._longest_s.values(), default=0.0))
        return time.monotonic() + needed > self._ends


def check_shard(shard: Shard | str | None) -> Shard | None:
    """Read a shard, ``(2, 8)`` or ``"2/8"``.

    Raises
    ------
    ValueError
        Where it is no such thing.
    """
    if shard is None:
        return None
    try:
        i, n = (int(word) for word in (shard.split("/") if isinstance(shard, str) else shard))
    except ValueError:
        i, n = 0, 0
    if not 1 <= i <= n:
        raise ValueError(f"shard {shard!r}; expected i/n with i from 1 to n: 1/8, 2/8 ... 8/8")
    return i, n
