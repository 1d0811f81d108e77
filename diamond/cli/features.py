"""``diamond render``, ``sprites``, ``diverse`` and ``exemplars``: pictures of what channels look for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diamond.cli.app import app, check_out
from diamond.cli.arguments import Json, LayerName, Layers, Name, Out, Recipe, Seed, Store, Weights
from diamond.cli.networks import load_network, split_words
from diamond.cli.printing import has_bar, print_json, print_result
from diamond.cli.ranges import read_numbers

__all__: list[str] = []


@app.command()
def render(
    name: Name,
    layer: LayerName,
    channels: Annotated[list[str], typer.Argument(metavar="CHANNEL...", help="Numbers and ranges: 24 57, 0-8,40.")],
    size: Annotated[int | None, typer.Option(metavar="PX", help="Side in pixels; the recipe's without.")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Of the optimiser; the recipe's without.")] = None,
    recipe: Recipe = None,
    weights: Weights = "default",
    seed: Seed = 0,
    out: Out = Path("rendering.png"),
    as_json: Json = False,
) -> None:
    """Render pictures that excite channels of a layer, afresh.

    Nothing is kept but the file; diamond sprites looks into the stores first.

    JSON: network, layer, channels, recipe, seed, rows (objective, activation), written.

    Example: diamond render EfficientNetLite0 block9_add 71 25
    """
    check_out(out)
    numbers = read_numbers(channels)
    net = load_network(name, weights)
    from diamond.features.objectives import channel
    from diamond.features.render import render as do

    asked = [channel(layer, number) for number in numbers]
    found = do(net, asked, size=size, steps=steps, recipe=recipe, seed=seed, progress=has_bar())
    facts = {"network": net.name, "layer": layer, "channels": numbers, "recipe": found.recipe, "seed": seed}
    print_result(found, out, as_json=as_json, **facts)


@app.command()
def sprites(
    name: Name,
    layer: LayerName,
    channels: Annotated[str | None, typer.Option(metavar="0-31,40", help="Only these; all without.")] = None,
    recipe: Recipe = None,
    weights: Weights = "default",
    store: Store = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to: .html, .png, .webp, .csv or .npz.")] = Path(
        "sprites.html"
    ),
    as_json: Json = False,
) -> None:
    """Give a layer's spritemap: found in a store, else rendered and kept.

    JSON: network, layer, tile_px, fingerprint, rows (channel, row, column, activation, alive, attempts), written.

    Example: diamond sprites EfficientNetLite0 block9_add --out block9.png
    """
    check_out(out, ".webp")
    numbers = None if channels is None else read_numbers(channels)
    net = load_network(name, weights)
    from diamond.pregenerate.one_layer import spritemap

    found = spritemap(net, layer, channels=numbers, recipe=recipe, store=store, seed=seed, progress=has_bar())
    facts = {"network": net.name, "layer": found.layer, "tile_px": found.tile_px}
    print_result(found, out, as_json=as_json, **facts, fingerprint=found.fingerprint)


@app.command()
def diverse(
    name: Name,
    layer: Annotated[str, typer.Argument(metavar="LAYER", help="A layer whose sprites the store has.")],
    channels: Annotated[list[str], typer.Argument(metavar="CHANNEL...", help="Numbers and ranges: 24 57, 0-8,40.")],
    store: Store = None,
    weights: Weights = "default",
    count: Annotated[int, typer.Option(metavar="N", help="How many pictures of each channel.")] = 4,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Render several different pictures of channels, kept beside their sprites.

    diamond site shows them.

    JSON: network, layer, channels, count, written.

    Example: diamond diverse EfficientNetLite0 stem_relu 2,7 --store sprites
    """
    numbers = read_numbers(channels)
    net = load_network(name, weights)
    from diamond.pregenerate.diverse import diverse as do

    kept = do(net, layer, numbers, count=count, store=store, seed=seed, progress=has_bar())
    if as_json:
        print_json(
            {"network": net.name, "layer": layer, "channels": numbers, "count": count, "written": str(kept.folder)}
        )
        return
    noun = "channel" if len(numbers) == 1 else "channels"
    typer.echo(f"{len(numbers)} {noun}, {count} pictures each\nwritten: {kept.folder}")


@app.command()
def exemplars(
    name: Name,
    photos: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of photos.")],
    store: Annotated[str, typer.Option(metavar="FOLDER", help="The store with the network's sprites.")],
    layers: Layers = None,
    weights: Weights = "default",
    top: Annotated[int, typer.Option(metavar="N", help="How many photos of each channel.")] = 6,
    as_json: Json = False,
) -> None:
    """Find the photos that excite each channel most, kept beside its sprite.

    All layers that the store has, unless --layers says which. diamond site shows them.

    JSON: network, store, rows (layer, pictures, channels, photos).

    Example: diamond exemplars EfficientNetLite0 photos/ --store sprites
    """
    net = load_network(name, weights, files=[photos])
    from diamond.inspection.exemplars import exemplars as find_exemplars
    from modelzoo.fingerprint import fingerprints
    from spritemaps import Store as Sprites
    from spritemaps import StoreError

    keep = Sprites(store)
    asked = split_words(layers)
    if asked is None:
        prints = fingerprints(net.graph, net.card.input)
        there = {found.fingerprint for found in keep.layers()}
        asked = [layer.name for layer in net.layers if prints[net.node(layer).index] in there]
    if not asked:
        raise StoreError(f"{store} has no sprites of {net.name}; diamond pregenerate renders them")
    rows = []
    for layer in asked:
        found = find_exemplars(net, photos, layer, top=top, store=keep, progress=has_bar())
        kept = found.keep()
        rows.append({"layer": layer, "pictures": kept.count, "channels": len(kept.captions), "photos": found.count})
        if not as_json:
            typer.echo(
                f"{layer}: {kept.count:,} pictures of {len(kept.captions):,} channels, from {found.count:,} photos"
            )
    if as_json:
        print_json({"network": net.name, "store": store, "rows": rows})
