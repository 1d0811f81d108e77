"""Every channel of every layer, planned, resumable, by all the hands there are.

    report = pregenerate(net, store="sprites", plan_only=True)     # what it will cost; nothing is rendered
    print(report)
    report = pregenerate(net, store="sprites", photos="photos")    # hours; interrupt it, and call it again

One layer after the other is rendered batch by batch (`diamond.pregenerate.sprites`), by one hand or several
(`diamond.pregenerate.hands`), in the order of a schedule (`diamond.pregenerate.schedule`). What was frozen when a layer
was begun counts, whatever is asked for later; the report's notes tell where the two differ.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import tensorflow as tf

from diamond.features.recipes import Recipe
from diamond.features.renderer import BATCH
from diamond.pregenerate import choice, freeze, plan
from diamond.pregenerate.costs import USUAL, layer_costs
from diamond.pregenerate.hands import Hand, own_hand, work_off, worker_processes
from diamond.pregenerate.progress import Progress
from diamond.pregenerate.quality import PhotoBests, photo_bests, photo_files, statistic_of
from diamond.pregenerate.report import LayerReport, PregenerationReport, quality_of
from diamond.pregenerate.schedule import Schedule, Shard, check_shard
from modelzoo import Layer, Network
from spritemaps import Job, JobSpec, Outpost, Store, is_remote, user_store

__all__ = ["pregenerate", "run_jobs"]

ENGINES = ("local", "ray")


def pregenerate(
    net: Network,
    layers: Iterable[str | Layer] | None = None,
    *,
    store: Store | str | Path,
    recipe: str | Recipe | None = None,
    size: int | None = None,
    steps: int | None = None,
    channels: Iterable[int] | None = None,
    all_layers: bool = False,
    seed: int = 0,
    retries: int = freeze.MOST_RETRIES,
    photos: str | Path | None = None,
    budget: float | None = None,
    plan_only: bool = False,
    shard: tuple[int, int] | str | None = None,
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
    batch: int = BATCH,
    progress: bool = True,
) -> PregenerationReport:
    """Render every channel of the layers of a network into a store, and go on where an earlier run was interrupted.

    Parameters
    ----------
    net
        The network.
    layers
        Layers or their addresses; the landmarks where None.
    store
        The store, or its folder; of an address such as ``"gs://bucket/sprites"`` the layers are rendered in the user's
        own store, and each is sent when it is finished.
    recipe
        How to render; where None each layer's own, see `diamond.pregenerate.choice.recipe_for`.
    size, steps
        Side of a sprite in pixels, and steps of the optimiser; the recipe's where None.
    channels
        Only the batches with these channels, which come first; the layers stay unfinished until all are rendered.
    all_layers
        After the landmarks all other layers too.
    seed
        Of the first attempt at each channel.
    retries
        Most further attempts at a channel below the bar, 0 to 3: from another seed, with twice the steps, by phases.
    photos
        A folder of photos. What they reach is noted beside each sprite, and a sprite that reaches less is tried again.
    budget
        Seconds after which no batch is begun that would not be through. With a budget all layers are asked for,
        landmarks first, where no layer is named.
    plan_only
        Say what it would take, from a short probe on this machine, and render nothing.
    shard
        ``(i, n)`` or ``"i/n"``: render the i-th of n parts, from 1, beside other processes on one shared folder.
    engine
        ``"local"``, or ``"ray"`` for a Ray cluster.
    workers
        Processes that render (local) or tasks at a time (ray). Where None one a GPU, or this process alone.
    address
        Of the Ray cluster; one of its own on this machine where None.
    batch
        Most channels at once.
    progress
        Whether to show a line that tells how far it is.

    Returns
    -------
    PregenerationReport

    Raises
    ------
    UnknownLayerError
        For a layer the network does not have.
    ValueError
        For a recipe, an engine, a shard that is not there.
    StoreError
        For a store that cannot be written, or holds a layer with another seed or size.

    Examples
    --------
    >>> report = dc.pregenerate(small, ["parts"], store="sprites", size=32, steps=4, progress=False)
    >>> report.complete, [layer.layer for layer in report.layers]
    (True, ['parts'])
    >>> dc.spritemap(small, "parts", store="sprites")
    Spritemap('small', 'parts': 6 channels, 32 px, recipe 'texture')
    """
    if engine not in ENGINES:
        raise ValueError(f"no engine {engine!r}; expected {' or '.join(map(repr, ENGINES))}")
    part = check_shard(shard)
    chosen = choice.chosen_layers(net, layers, all_layers=all_layers or (budget is not None and layers is None))
    recipes = [choice.recipe_of(net, layer, recipe, size=size, steps=steps) for layer in chosen]
    keep = store if isinstance(store, Store) else Store(store)
    wanted = None if channels is None else list(channels)
    specs = [
        freeze.spec_of(net, layer, settled, seed=seed, batch=batch, retries=retries, first=wanted or ())
        for layer, settled in zip(chosen, recipes, strict=True)
    ]
    if plan_only:
        return plan.priced(net, chosen, specs, keep, only=wanted)
    there: list[str] = []
    if is_remote(keep.root):
        keep, kept = _near(keep, specs, part)
        there = [f"{len(chosen) - len(kept)} of {len(chosen)} layers are there already"] * (len(kept) < len(chosen))
        chosen = tuple(chosen[i] for i in kept)
        recipes, specs = [recipes[i] for i in kept], [specs[i] for i in kept]
    jobs, notes = _opened(net, chosen, recipes, specs, keep, photos, wanted, seed, batch, retries)
    hands = _hands_of(engine, workers, address)
    return run_jobs(
        net,
        jobs,
        store=keep,
        only=None if wanted is None else frozenset(wanted),
        shard=part,
        budget_s=budget,
        progress=progress,
        hands=hands,
        notes=[*there, *notes],
    )


Hands = Callable[[Network, Sequence[Job]], contextlib.AbstractContextManager[Sequence[Hand]]]


def run_jobs(
    net: Network,
    jobs: Sequence[Job],
    *,
    store: Store,
    only: frozenset[int] | None = None,
    shard: Shard | None = None,
    budget_s: float | None = None,
    progress: bool = True,
    hands: Hands | None = None,
    notes: Sequence[str] = (),
) -> PregenerationReport:
    """Do what is left of some jobs of one network; the parameters are those of `pregenerate`.

    Parameters
    ----------
    hands
        Gives the hands, as a context that ends them; this process alone where None.
    """
    begin = time.monotonic()
    freeze.obey_threads([job.spec for job in jobs])
    weights = [1.0] * len(jobs) if len(jobs) == 1 else _weights(net, jobs)
    stopped = ""
    with Progress(net.name, jobs, weights, shown=progress) as line:
        schedule = Schedule(jobs, only=only, shard=shard, budget_s=budget_s, on_made=line.made)
        try:
            if hands is None:
                work_off(schedule, [own_hand(net, jobs, on_steps=line.stepped)])
            else:
                with hands(net, jobs) as several:
                    work_off(schedule, several)
        except KeyboardInterrupt:
            stopped = "interrupted; the same call goes on"
        if schedule.out_of_time:
            stopped = "the budget is spent; the same call goes on"
            for job in jobs:
                job.withdraw()
        rows = tuple(_row(line, number, job) for number, job in enumerate(jobs))
        return PregenerationReport(
            network=net.name,
            store=store.address,
            layers=rows,
            took_s=time.monotonic() - begin,
            batches=line.batches,
            stopped=stopped,
            notes=tuple(notes),
        )


def _near(far: Store, specs: Sequence[JobSpec], shard: Shard | None) -> tuple[Outpost, list[int]]:
    """Give a store near by that fills one far away, and which of the layers that one lacks."""
    if shard is not None:
        raise ValueError(
            f"a shard of {far.address}: the processes of a batch system meet in a folder that they share; give that "
            f"folder as the store, then diamond merge FOLDER {far.address}"
        )
    lacking = [i for i, spec in enumerate(specs) if far.find(spec.fingerprint, spec.recipe_hash) is None]
    return Outpost(user_store(), far), lacking


def _opened(
    net: Network,
    layers: Sequence[Layer],
    recipes: Sequence[Recipe],
    specs: Sequence[JobSpec],
    store: Store,
    photos: str | Path | None,
    first: Sequence[int] | None,
    seed: int,
    batch: int,
    retries: int,
) -> tuple[list[Job], list[str]]:
    """Open a job a layer; what photos reach is measured only for those that are new."""
    files = None if photos is None else photo_files(photos)
    begun = {(job.spec.fingerprint, job.spec.recipe_hash) for job in store.unfinished()}
    new = [
        number
        for number, spec in enumerate(specs)
        if (spec.fingerprint, spec.recipe_hash) not in begun and store.find(spec.fingerprint, spec.recipe_hash) is None
    ]
    bests: dict[int, PhotoBests] = {}
    if files is not None and new:
        statistics = [statistic_of(recipes[number]) for number in new]
        bests = dict(zip(new, photo_bests(net, [layers[n] for n in new], statistics, files), strict=True))
    jobs, notes = [], []
    for number, (layer, recipe, spec) in enumerate(zip(layers, recipes, specs, strict=True)):
        asked = spec
        if number in bests:
            asked = freeze.spec_of(
                net, layer, recipe, seed=seed, batch=batch, retries=retries, first=first or (), photos=bests[number]
            )
        job = store.open_job(asked)
        jobs.append(job)
        if number not in new and job.finished is None:
            notes += _differences(job.spec, asked, photos is not None)
    return jobs, notes


def _differences(frozen: JobSpec, asked: JobSpec, photos: bool) -> list[str]:
    found = []
    if photos and "photos" not in frozen.settings:
        found.append("without photos")
    if len(frozen.ladder) != len(asked.ladder):
        found.append(f"with {max(0, len(frozen.ladder) - 1)} retries")
    found += [
        f"with {name} {frozen.settings.get(name)}"
        for name in ("batch", "device", "threads")
        if frozen.settings.get(name) != asked.settings[name]
    ]
    found += [
        f"with {name} {version}, here is {asked.versions[name]}: the bytes may differ from an uninterrupted run's"
        for name, version in frozen.versions.items()
        if asked.versions.get(name, version) != version
    ]
    return [f"{frozen.layer} was begun {words}, and goes on so" for words in found]


def _weights(net: Network, jobs: Sequence[Job]) -> list[float]:
    by_size: dict[int, list[Job]] = {}
    for job in jobs:
        by_size.setdefault(job.spec.tile_px, []).append(job)
    weights: dict[str, float] = {}
    for size, members in by_size.items():
        costs = layer_costs(net, [net.layers[job.spec.layer] for job in members], size)
        weights |= {f"{name} {size}": USUAL.step_s(cost) for name, cost in costs.items()}
    return [weights[f"{job.spec.layer} {job.spec.tile_px}"] for job in jobs]


def _hands_of(engine: str, workers: int | None, address: str | None) -> Hands | None:
    if engine == "ray":
        from diamond.pregenerate.ray_engine import ray_hands

        return lambda net, jobs: ray_hands(net, jobs, address=address, n=workers)
    gpus = len(tf.config.list_physical_devices("GPU"))
    n = workers if workers is not None else gpus
    if n < 2:
        return None
    each_its_gpu = gpus >= n and _hide_gpus()
    if gpus and not each_its_gpu and workers is None:
        return None

    @contextlib.contextmanager
    def processes(net: Network, jobs: Sequence[Job]) -> Iterator[Sequence[Hand]]:
        threads = max((int(job.spec.settings.get("threads", 0)) for job in jobs), default=0)
        with worker_processes(net, jobs, n=n, gpus=each_its_gpu, threads=threads) as hands:
            yield hands

    return processes


def _hide_gpus() -> bool:
    """Leave the GPUs to the workers; False where this process has taken them already."""
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        return False
    return True


def _row(line: Progress, number: int, job: Job) -> LayerReport:
    records = line.records(number)
    return LayerReport(
        layer=job.spec.layer,
        recipe=job.spec.recipe_name,
        tile_px=job.spec.tile_px,
        channels=job.spec.channels,
        state="finished" if job.finished is not None else "unfinished",
        done=len(records),
        dead=sum(not record.alive for record in records),
        retried=sum(record.attempts > 1 for record in records),
        quality=quality_of(records),
        image_steps=line.image_steps[number],
        took_s=line.took_s[number],
    )
