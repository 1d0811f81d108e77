"""Commands that render whole networks: ``diamond pregenerate NAME``, and ``diamond status STORE`` beside it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from diamond.cli.app import Json, app, or_exit

__all__: list[str] = []

INTERRUPTED = 130


@app.command()
def pregenerate(
    name: Annotated[str, typer.Argument(help="A network of the zoo, or the path of a .keras or .h5 file.")],
    store: Annotated[str, typer.Option(help="Folder of the store, made where it is missing; or gs://, s3://.")],
    weights: Annotated[str, typer.Option(help="A file with the network's weights.")] = "default",
    layers: Annotated[str | None, typer.Option(help="Layers, by commas; the landmarks without.")] = None,
    all_layers: Annotated[bool, typer.Option("--all-layers", help="After the landmarks all other layers.")] = False,
    channels: Annotated[str | None, typer.Option(help="Only batches with these channels: 0-31,40.")] = None,
    recipe: Annotated[str | None, typer.Option(help="texture, sprite ...; what suits each layer without.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of a sprite in pixels.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the optimiser.")] = None,
    batch: Annotated[int | None, typer.Option(help="Most channels at once.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first attempt at each channel.")] = 0,
    retries: Annotated[int, typer.Option(help="Most further attempts at a channel below the bar.")] = 3,
    photos: Annotated[Path | None, typer.Option(help="Folder of photos that sprites have to beat.")] = None,
    budget: Annotated[str | None, typer.Option(help="How long to go on: 45m, 2h, 1h30m.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what it will take.")] = False,
    shard: Annotated[str | None, typer.Option(help="i/n: the i-th of n parts, beside other processes.")] = None,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of the Ray cluster: auto.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that render; one a GPU without.")] = None,
) -> None:
    """Render every channel of a network's landmarks into a store; interrupted, the same command goes on.

    Example: diamond pregenerate InceptionV1_caffe --weights bvlc_googlenet.safetensors --store sprites --plan
    """
    # A batch system ends a job with SIGTERM: as good as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def run() -> Any:
        numbers = None if channels is None else read_numbers(channels)
        seconds = None if budget is None else read_duration(budget)
        _obey_threads(store)
        from diamond.features.renderer import BATCH
        from diamond.pregenerate.hands import leave_gpus
        from diamond.pregenerate.run import pregenerate as do
        from modelzoo.registry import load

        leave_gpus(workers, engine)
        return do(
            load(name, weights=weights),
            None if layers is None else [word for word in layers.split(",") if word],
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

    try:
        report = or_exit(run)
    except KeyboardInterrupt:
        typer.secho("interrupted; what is finished is kept, the same command goes on", err=True)
        raise typer.Exit(INTERRUPTED) from None
    print(report)
    if report.stopped.startswith("interrupted"):
        raise typer.Exit(INTERRUPTED)


@app.command()
def diverse(
    name: Annotated[str, typer.Argument(help="A network of the zoo, or the path of a .keras or .h5 file.")],
    layer: Annotated[str, typer.Argument(help="A layer whose sprites the store has.")],
    channels: Annotated[str, typer.Argument(help="Channels: 0-31,40.")],
    store: Annotated[str | None, typer.Option(help="Where to look first for the layer's sprites.")] = None,
    weights: Annotated[str, typer.Option(help="A file with the network's weights.")] = "default",
    count: Annotated[int, typer.Option(help="How many pictures of each channel.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the first picture.")] = 0,
) -> None:
    """Render several different pictures of channels, kept beside their sprites; diamond site shows them.

    Example: diamond diverse InceptionV1_caffe inception_4d_output 24,57 --store sprites
    """

    def run() -> str:
        from diamond.pregenerate.diverse import diverse as do
        from modelzoo.registry import load

        numbers = read_numbers(channels)
        kept = do(load(name, weights=weights), layer, numbers, count=count, store=store, seed=seed)
        return f"{len(numbers)} channels, {count} pictures each: {kept.folder}"

    print(or_exit(run))


@app.command()
def exemplars(
    name: Annotated[str, typer.Argument(help="A network of the zoo, or the path of a .keras or .h5 file.")],
    photos: Annotated[Path, typer.Argument(help="Folder of photos.")],
    store: Annotated[str, typer.Option(help="Folder of the store with the network's sprites.")],
    layers: Annotated[str | None, typer.Option(help="Layers, by commas; all that the store has without.")] = None,
    weights: Annotated[str, typer.Option(help="A file with the network's weights.")] = "default",
    top: Annotated[int, typer.Option(help="How many photos of each channel.")] = 6,
) -> None:
    """Find the photos that excite each channel most, kept beside its sprite; diamond site shows them.

    Example: diamond exemplars EfficientNetLite0 photos --store sprites
    """

    def run() -> None:
        from diamond.inspection.exemplars import exemplars as find_exemplars
        from modelzoo.fingerprint import fingerprints
        from modelzoo.registry import load
        from spritemaps import Store, StoreError

        net, keep = load(name, weights=weights), Store(store)
        if layers is not None:
            asked = [word for word in layers.split(",") if word]
        else:
            prints = fingerprints(net.graph, net.card.input)
            there = {sprites.fingerprint for sprites in keep.layers()}
            asked = [layer.name for layer in net.layers if prints[net.node(layer).index] in there]
        if not asked:
            raise StoreError(f"{store} has no sprites of {net.name}; diamond pregenerate renders them")
        for layer in asked:
            found = find_exemplars(net, photos, layer, top=top, store=keep)
            kept = found.keep()
            print(f"{layer}: {kept.count:,} pictures of {len(kept.captions):,} channels, from {found.count:,} photos")

    or_exit(run)


@app.command()
def status(
    store: Annotated[Path, typer.Argument(help="Folder of the store.")],
    as_json: Json = False,
) -> None:
    """Say how far a pregeneration is, from another shell: layers finished and begun, sprites, dead, time left.

    Example: diamond status sprites
    """
    from diamond.pregenerate.status import status_of

    found = or_exit(lambda: status_of(store), tensorflow=False)
    print(json.dumps(found.to_dict(), indent=1) if as_json else found)


def read_numbers(text: str) -> list[int]:
    """Read channel numbers: ``"0-31,40"``.

    Raises
    ------
    ValueError
        Where it is no such thing.
    """
    numbers: list[int] = []
    for word in filter(None, text.split(",")):
        first, _, last = word.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or word.endswith("-"):
            raise ValueError(f"channels {text!r}: {word!r} is no number and no range; expected something like 0-31,40")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def read_duration(text: str) -> float:
    """Read a time in seconds: ``"2h"``, ``"1h30m"``, ``"90s"``; a bare number is minutes.

    Raises
    ------
    ValueError
        Where it is no such thing.
    """
    import re

    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)(?:m|$))?(?:(\d+(?:\.\d+)?)s)?", text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f"a budget of {text!r}; expected something like 45m, 2h or 1h30m")
    hours, minutes, seconds = (float(word or 0) for word in match.groups())
    return 3600 * hours + 60 * minutes + seconds


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
