"""What a pregeneration will take, before a second of it is spent.

    priced(net, chosen, specs, store).forecast_s / 3600

A few steps are taken in a few layers, from the cheapest to the dearest; from them follow the machine's rates
(`diamond.pregenerate.costs`), and from the rates the time of every layer. What the store has already is not counted.
How many channels will have to be tried again nobody knows beforehand: a usual share of them is taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from diamond.features.recipes import Recipe
from diamond.features.renderer import Renderer
from diamond.pregenerate.costs import Cost, Rates, fit_rates, layer_costs
from diamond.pregenerate.quality import examiner
from diamond.pregenerate.report import LayerReport, PregenerationReport
from modelzoo import Layer, Network
from spritemaps import Job, JobSpec, Store

__all__ = ["BYTES_PER_PIXEL", "Forecast", "forecast", "priced", "probe"]

PROBES = 3
PROBE_STEPS = 8
# WebP of the quality that pages have; measured on the sprites that ship.
BYTES_PER_PIXEL = 0.58
# Share of the first attempt's steps that later attempts take, compiling included: between none and 15 % of the time of the
# layers that ship.
RETRIED = 0.1
# In a layer of so many channels some will be tried again, in batches of another width that is compiled anew.
SURE_TO_RETRY = 32


@dataclass(frozen=True)
class Forecast:
    """What is left of a layer.

    Attributes
    ----------
    image_steps
        Steps times pictures, padding included.
    seconds
        By the rates, compilation included.
    bytes
        Of the finished pages.
    """

    image_steps: int
    seconds: float
    bytes: int


def priced(
    net: Network, layers: Sequence[Layer], specs: Sequence[JobSpec], store: Store, *, only: Iterable[int] | None = None
) -> PregenerationReport:
    """Say what rendering layers into a store would take; the machine is probed, and nothing is written."""
    begin = time.monotonic()
    begun = {(job.spec.fingerprint, job.spec.recipe_hash): job for job in store.unfinished()}
    wanted = None if only is None else frozenset(only)
    costs = costs_of(net, layers, specs)
    found = [store.find(spec.fingerprint, spec.recipe_hash) for spec in specs]
    to_do = [(layer, spec) for layer, spec, there in zip(layers, specs, found, strict=True) if there is None]
    rates = probe(net, to_do, costs) if to_do else Rates(0.0, 0.0, 0.0, 0.0)
    rows = []
    for spec, there in zip(specs, found, strict=True):
        job = begun.get((spec.fingerprint, spec.recipe_hash))
        records = there.records if there is not None else job.records if job is not None else ()
        left = 0 if there is not None else len(_left(spec, job, wanted))
        price = forecast(job.spec if job is not None else spec, costs[spec.layer, spec.tile_px], rates, left)
        rows.append(
            LayerReport(
                layer=spec.layer,
                recipe=spec.recipe_name,
                tile_px=spec.tile_px,
                channels=spec.channels,
                state="finished" if there is not None else "unfinished" if job is not None else "planned",
                done=len(records),
                dead=sum(not record.alive for record in records),
                retried=sum(record.attempts > 1 for record in records),
                image_steps=price.image_steps,
                forecast_s=price.seconds,
                forecast_bytes=price.bytes,
            )
        )
    return PregenerationReport(net.name, str(store.root), tuple(rows), took_s=time.monotonic() - begin)


def costs_of(net: Network, layers: Sequence[Layer], specs: Sequence[JobSpec]) -> dict[tuple[str, int], Cost]:
    """Count the costs of layers on their own canvases, by layer and side."""
    by_size: dict[int, list[Layer]] = {}
    for layer, spec in zip(layers, specs, strict=True):
        by_size.setdefault(spec.tile_px, []).append(layer)
    return {
        (name, size): cost
        for size, members in by_size.items()
        for name, cost in layer_costs(net, members, size).items()
    }


def forecast(spec: JobSpec, cost: Cost, rates: Rates, batches_left: int, *, retried: float | None = None) -> Forecast:
    """Price what is left of a layer.

    Parameters
    ----------
    batches_left
        Batches of the first attempt that are still to be rendered.
    retried
        Share of the first attempt's steps that later attempts take; a usual one where None.
    """
    recipe = Recipe.from_dict(spec.recipe)
    if retried is None:
        retried = RETRIED if len(spec.ladder) > 1 else 0.0
    width = int(spec.settings["batch"])
    pictures = batches_left * width
    steps = pictures * recipe.steps * (1 + retried)
    seconds = (steps + pictures * rates.measuring_steps) * rates.step_s(cost)
    if batches_left:
        seconds += rates.compile_s(cost) * (1 + (bool(retried) and spec.channels > SURE_TO_RETRY))
    share = batches_left / len(spec.batches)
    return Forecast(round(steps), seconds, round(share * spec.channels * spec.tile_px**2 * BYTES_PER_PIXEL))


def probe(
    net: Network, to_do: Sequence[tuple[Layer, JobSpec]], costs: dict[tuple[str, int], Cost], *, most: int = PROBES
) -> Rates:
    """Measure this machine's rates: a few steps in a few of the layers, compilation apart."""
    ordered = sorted(to_do, key=lambda pair: costs[pair[1].layer, pair[1].tile_px].values)
    places = np.unique(np.linspace(0, len(ordered) - 1, min(most, len(ordered))).astype(int))
    chosen = [ordered[place] for place in places]
    timed = [_timed(net, layer, spec) for layer, spec in chosen]
    step_s, compile_s, measure_s = (list(column) for column in zip(*timed, strict=True))
    return fit_rates([costs[spec.layer, spec.tile_px] for _, spec in chosen], step_s, compile_s, measure_s)


def _timed(net: Network, layer: Layer, spec: JobSpec) -> tuple[float, float, float]:
    """Seconds of a step for one picture, of compiling all that a layer needs, and of measuring one picture."""
    width = int(spec.settings["batch"])
    recipe = Recipe.from_dict(spec.recipe)
    # A few steps of either kind, so that both are compiled.
    redirected = min(recipe.redirect_steps, 2)
    recipe = replace(recipe, redirect_steps=redirected, steps=redirected + 1 + PROBE_STEPS)
    objectives = [recipe.objective(layer, i) for i in spec.batches[0]]
    renderer = Renderer(net, objectives[0].shape, recipe, width=width)
    examine = examiner(net, layer, statistic=str(spec.settings["statistic"]), width=width, size=recipe.size)
    begin = time.perf_counter()
    ends: list[float] = []
    run = renderer.run(
        objectives,
        seed=spec.seed,
        looks=(redirected + 1, recipe.steps),
        on_steps=lambda _: ends.append(time.perf_counter()),
    )
    next(run)
    first = time.perf_counter()
    done = next(run)
    rendered = time.perf_counter()
    examine(done.images, spec.batches[0])
    examined = time.perf_counter()
    examine(done.images, spec.batches[0])
    measure_s = time.perf_counter() - examined
    # What a look at the pictures takes, once in a whole rendering, must not be spread over so few steps.
    step_s = float(np.median(np.diff(ends[-PROBE_STEPS:])))
    compile_s = (first - begin - (redirected + 1) * step_s) + (examined - rendered - measure_s)
    return step_s / width, max(0.0, compile_s), measure_s / width


def _left(spec: JobSpec, job: Job | None, only: frozenset[int] | None) -> list[int]:
    batches = spec.batches if job is None else job.spec.batches
    pending = range(len(batches)) if job is None else [b for b in job.pending if b < len(batches)]
    return [b for b in pending if only is None or only.intersection(batches[b])]
