"""``diamond attribute``, ``map`` and ``saliency``: what in a picture speaks for a class, by channel, cell and pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diamond.cli import completion
from diamond.cli.app import app, check_out
from diamond.cli.arguments import Image, Json, Layers, Name, Out, Seed, Store, Weights
from diamond.cli.networks import load_network, number_or_word, split_words
from diamond.cli.printing import has_bar, print_json, print_result, rows_of

__all__: list[str] = []

Images = Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Paths or URLs of pictures, or folders.")]
Positive = Annotated[
    str,
    typer.Option(
        metavar="CLASS",
        help="The class asked about: a label, an index, top1, top2 ...; none for no class.",
        autocompletion=completion.classes,
    ),
]
Negative = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS",
        help="A class held against it, the same way, or others for all of them.",
        autocompletion=completion.classes,
    ),
]


@app.command()
def attribute(
    name: Name,
    images: Images,
    layers: Layers = None,
    positive: Positive = "top1",
    negative: Negative = None,
    method: Annotated[str, typer.Option(metavar="WORD", help="gradient, path or activation.")] = "gradient",
    weights: Weights = "default",
    top: Annotated[int, typer.Option(metavar="N", help="How many channels of each layer.")] = 8,
    store: Store = None,
    render: Annotated[bool, typer.Option("--render", help="Render the sprites that no store has.")] = False,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the page goes.")] = Path("attribution.html"),
    as_json: Json = False,
) -> None:
    """Name what is in pictures, and show which channels speak for it and where.

    A shallow, a middle and a deep layer are shown unless --layers says others. Of a folder every picture in it counts;
    broken ones are told and left out.

    JSON: network, method, positive, negative, predictions, rows (layer, channel, score, mean, spread, per_image),
    skipped, written.

    Example: diamond attribute EfficientNetLite0 cat.jpg --positive tabby

    Example: diamond attribute EfficientNetLite0 photos/ --out photos.html
    """
    if out.suffix != ".html":
        raise ValueError(f"the page would be {out.name!r}; expected a name that ends in .html")
    check_out(out)
    net = load_network(name, weights, files=images)
    from diamond.attribution.report import read_report

    found = read_report(
        net,
        images if len(images) > 1 else images[0],
        layers=split_words(layers),
        positive=None if positive == "none" else number_or_word(positive),
        negative=None if negative is None else number_or_word(negative),
        method=method,
        top=top,
        store=store,
        render=render,
        progress=has_bar(),
    )
    found.save(out)
    if as_json:
        answers = None if found.answers is None else rows_of(found.answers.to_dataframe())
        print_json(
            {
                "network": net.name,
                "method": method,
                "positive": found.rows[0].positive,
                "negative": found.rows[0].negative,
                "predictions": answers,
                "rows": [_by_image(row) for row in rows_of(found.rows.to_dataframe())],
                "skipped": list(found.rows[0].skipped),
                "written": str(out),
            }
        )
        return
    typer.echo(repr(found))
    typer.echo(f"written: {out}")


def _by_image(row: dict[str, Any]) -> dict[str, Any]:
    """Put the columns that pictures gave their names to under one key."""
    own = ("layer", "channel", "score", "mean", "spread")
    return {**{key: row[key] for key in own}, "per_image": {key: row[key] for key in row if key not in own}}


@app.command(name="map")
def semantic_map(
    name: Name,
    image: Image,
    layer: Annotated[
        str | None,
        typer.Argument(
            metavar="[LAYER]",
            help="A layer with height and width; the deepest landmark with them without.",
            autocompletion=completion.layers,
            show_default=False,
        ),
    ] = None,
    positive: Positive = "top1",
    negative: Negative = None,
    top: Annotated[int, typer.Option(metavar="N", help="How many channels to name for each cell.")] = 4,
    weights: Weights = "default",
    store: Store = None,
    out: Out = Path("map.html"),
    as_json: Json = False,
) -> None:
    """Show what a layer sees at each place of a picture, and for which class.

    The page is the map to hover over: each cell names its channels, with their sprites.

    JSON: network, image, layer, positive, negative, logit, rows (row, column, low_hz, high_hz, from_s, to_s, cell, rank,
    channel, score, activation), written.

    Example: diamond map EfficientNetLite0 cat.jpg
    """
    check_out(out)
    net = load_network(name, weights, files=[image])
    from diamond.attribution.report import landmark_to_map
    from diamond.attribution.semantic import semantic_map as find
    from modelzoo import GraphError

    place = layer or landmark_to_map(net)
    if place is None:
        raise GraphError(f"no layer of {net.name} has height and width, so that there are no places to map")
    found = find(
        net,
        image,
        place,
        positive=None if positive == "none" else number_or_word(positive),
        negative=None if negative is None else number_or_word(negative),
        top=top,
        store=store,
    )
    facts = {"network": net.name, "image": found.image, "layer": found.layer}
    asked = {"positive": found.positive, "negative": found.negative, "logit": found.logit}
    print_result(found, out, as_json=as_json, **facts, **asked)


@app.command()
def saliency(
    name: Name,
    images: Images,
    target: Annotated[
        str,
        typer.Option(
            metavar="CLASS", help="The class: a label, an index, top1, top2 ...", autocompletion=completion.classes
        ),
    ] = "top1",
    negative: Negative = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="WORD,...",
            help="gradient, gradient_x_input, integrated_gradients, smoothgrad, guided, grad_cam ..., with commas "
            "between; or all.",
        ),
    ] = "gradient",
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            metavar="LAYER",
            help="Of grad_cam; the last with places without.",
            autocompletion=completion.layers,
        ),
    ] = None,
    weights: Weights = "default",
    seed: Seed = 0,
    out: Out = Path("saliency.html"),
    as_json: Json = False,
) -> None:
    """Show which pixels of a picture a class score hangs on, by its gradient.

    JSON: network, layer, rows (image, target, score, method, row, column, sum), notes, skipped, written.

    Example: diamond saliency EfficientNetLite0 cat.jpg --method grad_cam
    """
    check_out(out)
    net = load_network(name, weights, files=images)
    from diamond.attribution.saliency import saliency as follow

    found = follow(
        net,
        images if len(images) > 1 else images[0],
        target=number_or_word(target),
        negative=None if negative is None else number_or_word(negative),
        method="all" if method == "all" else split_words(method) or "gradient",
        layer=layer,
        seed=seed,
        progress=has_bar(),
    )
    print_result(found, out, as_json=as_json, network=net.name, layer=found.layer)
