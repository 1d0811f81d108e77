"""``diamond filters``, ``health``, ``invert`` and ``embed``: a network's weights and codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diamond.cli import completion
from diamond.cli.app import app, check_out
from diamond.cli.arguments import Batch, Image, Json, LayerName, Layers, Name, Out, Seed, Store, Weights
from diamond.cli.networks import load_network, split_words
from diamond.cli.printing import has_bar, print_result
from diamond.cli.ranges import read_numbers

__all__: list[str] = []

Folder = Annotated[
    str, typer.Argument(metavar="FOLDER", help="A folder of pictures, with the folders in it; or one picture.")
]


@app.command()
def filters(
    name: Name,
    layer: LayerName,
    channels: Annotated[str | None, typer.Option(metavar="0-31,40", help="Only these filters; all without.")] = None,
    sort: Annotated[str, typer.Option(metavar="WORD", help="norm, smoothness or order.")] = "norm",
    scale: Annotated[str, typer.Option(metavar="WORD", help="Greys of each filter's own, or shared.")] = "own",
    reads: Annotated[
        str | None,
        typer.Option(metavar="LAYER", help="An earlier layer to show weights from.", autocompletion=completion.layers),
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", help="How many channels to name that excite a filter.")] = 5,
    weights: Weights = "default",
    store: Store = None,
    out: Out = Path("filters.html"),
    as_json: Json = False,
) -> None:
    """Show a layer's filters as pictures, and which channels they read.

    JSON: network, layer, rows (channel, norm, smoothness, noisy, excited_by, excited_by_weight, inhibited_by,
    inhibited_by_weight), notes, written.

    Example: diamond filters EfficientNetLite0 stem_conv
    """
    check_out(out)
    numbers = None if channels is None else read_numbers(channels)
    net = load_network(name, weights)
    from diamond.inspection.filters import filters as show

    found = show(net, layer, numbers, sort=sort, scale=scale, reads=reads, top=top, store=store)
    print_result(found, out, as_json=as_json, network=net.name, layer=found.layer)


@app.command()
def health(
    name: Name,
    images: Folder,
    layers: Layers = None,
    weights: Weights = "default",
    batch: Batch = 16,
    out: Out = Path("health.html"),
    as_json: Json = False,
) -> None:
    """Look for dead, idle and redundant channels, on your pictures.

    JSON: network, pictures, rows (layer, kind, filters, channels, dead, idle, sparsity, saturation, effective_rank,
    smoothness, redundant, alike, samples, flags), notes, skipped, written.

    Example: diamond health EfficientNetLite0 photos/
    """
    check_out(out)
    net = load_network(name, weights, files=[images])
    from diamond.inspection.health import health as look_over

    found = look_over(net, images, layers=split_words(layers), batch=batch, progress=has_bar())
    print_result(found, out, as_json=as_json, network=net.name, pictures=found.count)


@app.command()
def invert(
    name: Name,
    image: Image,
    layers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LAYER]...",
            help="Layers; a shallow, a middle and a deep one without.",
            autocompletion=completion.layers,
            show_default=False,
        ),
    ] = None,
    copies: Annotated[int, typer.Option(metavar="N", help="How many pictures for each layer.")] = 1,
    steps: Annotated[int, typer.Option(metavar="N", help="At most so many steps for each.")] = 200,
    smoothness: Annotated[float, typer.Option(metavar="X", help="How much a rough picture costs; 10 is much.")] = 0.0,
    weights: Weights = "default",
    seed: Seed = 0,
    out: Out = Path("inversion.html"),
    as_json: Json = False,
) -> None:
    """Find a picture that a layer cannot tell from yours: what it has kept of it.

    JSON: network, image, copies, steps, smoothness, seed, rows (layer, copy, code_error, flat_error, distance, label,
    probability), written.

    Example: diamond invert EfficientNetLite0 cat.jpg block2_add --steps 50
    """
    check_out(out)
    net = load_network(name, weights, files=[image])
    from diamond.attribution.report import landmarks_to_show
    from diamond.inspection.inversion import invert as search

    asked = layers or list(landmarks_to_show(net))
    options = {"copies": copies, "steps": steps, "smoothness": smoothness, "seed": seed}
    found = search(net, image, asked, progress=has_bar(), **options)  # type: ignore[arg-type]
    print_result(found, out, as_json=as_json, network=net.name, image=found.image, **options)


@app.command()
def embed(
    name: Name,
    images: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="A folder of pictures; where it has a folder for each class, they are the labels."
        ),
    ],
    layer: Annotated[
        str | None,
        typer.Argument(
            metavar="[LAYER]",
            help="A layer; the last one with features without.",
            autocompletion=completion.layers,
            show_default=False,
        ),
    ] = None,
    pool: Annotated[str, typer.Option(metavar="WORD", help="mean, max or flatten.")] = "mean",
    perplexity: Annotated[float, typer.Option(metavar="X", help="About how many neighbours each minds.")] = 30.0,
    weights: Weights = "default",
    seed: Seed = 0,
    batch: Batch = 32,
    out: Out = Path("embedding.html"),
    as_json: Json = False,
) -> None:
    """Lay a folder of pictures out by what a layer makes of them.

    JSON: network, layer, rows (image, label, x, y, row, column, pca_1, pca_2), notes, skipped, written.

    Example: diamond embed EfficientNetLite0 flowers/
    """
    check_out(out)
    net = load_network(name, weights, files=[images])
    from diamond.inspection.embed import embed as lay_out

    found = lay_out(net, images, layer, pool=pool, perplexity=perplexity, seed=seed, batch=batch, progress=has_bar())
    print_result(found, out, as_json=as_json, network=net.name, layer=found.layer)
