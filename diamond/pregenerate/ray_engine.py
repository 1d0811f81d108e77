"""The same plan on a Ray cluster: one task a batch of channels, and one writer.

    with ray_hands(net, jobs, address="auto") as hands:
        work_off(schedule, hands)

Ray sends tasks to machines, asks for a GPU for each where the cluster has any, and runs a task elsewhere when its worker
is lost. A worker gets the network once, as an object of Ray's store; what it made comes back to this process, which
alone writes the store, so the workers need no folder in common.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

from diamond.pregenerate.hands import Hand, WorkerError
from diamond.pregenerate.portable import pack_network
from diamond.pregenerate.schedule import Task
from diamond.pregenerate.sprites import Made
from modelzoo import Network
from spritemaps import Job

__all__ = ["ray_hands"]

MOST_LOSSES = 5


@contextlib.contextmanager
def ray_hands(
    net: Network, jobs: Sequence[Job], *, address: str | None = None, n: int | None = None
) -> Iterator[list[Hand]]:
    """Connect to a Ray cluster, and give a hand for each task that it can run at a time.

    Parameters
    ----------
    address
        Of the cluster: ``"auto"``, ``"ray://..."``; where None the one this process is connected to, else one of its
        own on this machine, which ends with the block.
    n
        Tasks at a time; where None one a GPU, or one for each so many CPUs as a job froze threads.

    Raises
    ------
    WorkerError
        Where Ray is not installed, or the cluster has no room for a task.
    """
    try:
        import ray
    except ImportError:
        raise WorkerError("the ray engine needs Ray: pip install 'diamond-cutter[ray]'") from None
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address, log_to_driver=False, include_dashboard=False, ignore_reinit_error=True)
    try:
        there = ray.cluster_resources()
        gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
        threads = max((int(job.spec.settings.get("threads", 1)) for job in jobs), default=1)
        slots = n or gpus or max(1, cpus // threads)
        needs = {"num_gpus": 1, "num_cpus": 1} if gpus else {"num_cpus": max(1, min(threads, cpus // slots))}
        if cpus < 1:
            raise WorkerError("the Ray cluster has no CPUs; start workers first")
        network = ray.put(pack_network(net))
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": str(threads), "PYTHONPATH": _path()}
        remote = ray.remote(**needs, max_retries=MOST_LOSSES, runtime_env={"env_vars": environment})(_rendered)

        def render(task: Task) -> Made:
            spec = jobs[task.job].spec
            try:
                return Made(*ray.get(remote.remote(network, spec.to_bytes(), task.channels, task.attempt)))
            except ray.exceptions.RayTaskError as error:
                raise WorkerError(f"a Ray task failed over {spec.layer!r}: {error.cause!r}") from error
            except ray.exceptions.RayError as error:
                raise WorkerError(f"Ray lost a task of {spec.layer!r} {MOST_LOSSES + 1} times: {error}") from error

        yield [render] * slots
    finally:
        if ours:
            ray.shutdown()


def _rendered(network: bytes, spec: bytes, channels: tuple[int, ...], attempt: int) -> tuple[Any, Any]:
    """What runs in a worker: it keeps the network, and what it compiled for the last layer, for the next task."""
    import hashlib

    from diamond.pregenerate.portable import unpack_network
    from diamond.pregenerate.sprites import sprite_maker
    from spritemaps import JobSpec

    nets, makers = _kept("nets"), _kept("makers")
    whose = hashlib.sha256(network).hexdigest()
    if whose not in nets:
        nets.clear()
        makers.clear()
        nets[whose] = unpack_network(network)
    if spec not in makers:
        makers.clear()
        makers[spec] = sprite_maker(nets[whose], JobSpec.from_bytes(spec))
    return tuple(makers[spec](channels, attempt))


def _kept(name: str) -> dict[Any, Any]:
    """A dictionary that lives as long as the worker's process does."""
    from diamond.pregenerate import ray_engine

    found: dict[Any, Any] = ray_engine.__dict__.setdefault(f"_kept_{name}", {})
    return found


def _path() -> str:
    import diamond

    # Workers on this machine find the package where this process found it.
    here = os.path.dirname(os.path.dirname(os.path.abspath(str(diamond.__file__))))
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
