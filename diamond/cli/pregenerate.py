"""Commands that render whole networks: ``diamond pregenerate NAME``, and ``diamond status STORE`` beside it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from diamond.cli.app import app
from diamond.cli.arguments import Json, Layers, Name, Recipe, Weights
from diamond.cli.ending import INTERRUPTED
from diamond.cli.networks import import_tensorflow, load_network, split_words
from diamond.cli.printing import print_json
from diamond.cli.ranges import read_duration, read_numbers

__all__: list[str] = []


@app.command()
def pregenerate(
    name: Name,
    store: Annotated[str, typer.Option(metavar="FOLDER", help="The store, made where it is missing; or gs://, s3://.")],
    weights: Weights = "default",
    layers: Layers = None,
    all_layers: Annotated[bool, typer.Option("--all-layers", help="After the landmarks all other layers.")] = False,
    channels: Annotated[str | None, typer.Option(metavar="0-31,40", help="Only batches with these channels.")] = None,
    recipe: Recipe = None,
    size: Annotated[int | None, typer.Option(metavar="PX", help="Side of a sprite in pixels.")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Steps of the optimiser.")] = None,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Most channels at once.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the first attempt at each channel.")] = 0,
    retries: Annotated[int, typer.Option(metavar="N", help="Most further attempts at a channel below the bar.")] = 3,
    photos: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Photos that sprites have to beat.")] = None,
    budget: Annotated[str | None, typer.Option(metavar="TIME", help="How long to go on: 45m, 2h, 1h30m.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it will take.")] = False,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="The I-th of N parts, beside other processes.")
    ] = None,
    engine: Annotated[str, typer.Option(metavar="WORD", help="local or ray.")] = "local",
    address: Annotated[
        str | None, typer.Option("--address", metavar="ADDRESS", help="Of the Ray cluster: auto.")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes that render; one a GPU without.")] = None,
    as_json: Json = False,
) -> None:
    """Render every channel of a network's landmarks into a store.

    Interrupted, by Ctrl-C or by a batch system, it ends with exit code 130, and the same command goes on.

    JSON: network, store, stopped, took_s, batches, forecast_s, forecast_bytes, complete, layers, notes.

    Example: diamond pregenerate EfficientNetLite0 --store sprites --plan

    Example: diamond pregenerate EfficientNetLite0 --store sprites --budget 2h
    """
    # A batch system ends a job with SIGTERM: as good as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    numbers = None if channels is None else read_numbers(channels)
    seconds = None if budget is None else read_duration(budget)
    _obey_threads(store)
    import_tensorflow()
    from diamond.pregenerate.hands import leave_gpus

    leave_gpus(workers, engine)
    net = load_network(name, weights, files=[] if photos is None else [photos])
    from diamond.features.renderer import BATCH
    from diamond.pregenerate.run import pregenerate as do

    report = do(
        net,
        split_words(layers),
        store=store,
        recipe=recipe,
        size=size,
        steps=steps,
        channels=numbers,
        all_layers=all_layers,
        seed=seed,
        retries=retries,
        photos=photos,
        budget=seconds,
        plan_only=plan,
        shard=shard,
        engine=engine,
        workers=workers,
        address=address,
        batch=batch or BATCH,
    )
    if as_json:
        names = ("network", "store", "stopped", "took_s", "batches", "forecast_s", "forecast_bytes", "complete")
        facts = {fact: getattr(report, fact) for fact in names}
        print_json({**facts, "layers": [vars(row) for row in report.layers], "notes": report.notes})
    else:
        typer.echo(report)
    if report.stopped.startswith("interrupted"):
        raise typer.Exit(INTERRUPTED)


@app.command()
def status(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the store.")],
    as_json: Json = False,
) -> None:
    """Say how far a pregeneration is, from another shell.

    Layers finished and begun, sprites, dead channels, time left.

    JSON: networks, per_hour, left_s, idle_s.

    Example: diamond status sprites
    """
    from diamond.pregenerate.status import status_of

    found = status_of(store)
    if as_json:
        print_json(found.to_dict())
    else:
        typer.echo(found)


def _obey_threads(place: str) -> None:
    """Let TensorFlow begin with the threads that jobs in the store froze: once it has begun it cannot change them."""
    if "TF_NUM_INTRAOP_THREADS" in os.environ:
        return
    from spritemaps import Store, is_remote, user_store

    store = Store(place)
    # What goes to a bucket is rendered in the user's own store.
    frozen = [
        int(job.spec.settings.get("threads", 0))
        for job in (user_store() if is_remote(store.root) else store).unfinished()
    ]
    if any(frozen):
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(max(frozen))
