"""Commands about networks: ``diamond models``, ``layers NAME``, ``check NAME``, ``convert FILE``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from diamond.cli.app import app
from diamond.cli.arguments import Json, Name, Weights
from diamond.cli.ending import ERROR
from diamond.cli.networks import import_tensorflow, load_network
from diamond.cli.printing import print_json, print_table, rows_of

__all__: list[str] = []


@app.command()
def models(as_json: Json = False) -> None:
    """List the networks of the zoo, whether their weights are here, and the next step.

    ready: the weights are here. downloadable: loading by name fetches them, a Keras file read as it is. convertible:
    loading by name fetches a checkpoint, graph or state dict of another library and converts it. installable: they come
    in a Python package that is not installed. none: give a file of your own. missing: your own network's file is gone.

    JSON: a list of name, input, values, outputs, landmarks, parameters, weights, next.

    Example: diamond models
    """
    from modelzoo.readiness import MEANINGS, next_step, weights_state
    from modelzoo.registry import broken_cards, cards

    rows: list[dict[str, Any]] = [
        {
            "name": card.name,
            "input": f"{card.input.height} x {card.input.width}",
            "values": "{:g} .. {:g}".format(*card.input.value_range),
            "outputs": card.output.size,
            "landmarks": len(card.landmarks),
            "parameters": card.parameters,
            "weights": weights_state(card),
            "next": next_step(card, shell=True),
        }
        for card in cards().values()
    ]
    unknown = dict.fromkeys(rows[0])
    rows += [{**unknown, "name": name, "weights": f"broken: {error}"} for name, error in broken_cards().items()]
    if as_json:
        print_json(rows)
        return
    print_table("The zoo", rows, narrow=("name", "weights", "next"))
    if sys.stdout.isatty():
        words = {str(row["weights"]).partition(",")[0] for row in rows}
        typer.echo("\n".join(f"{word}: {meaning}" for word, meaning in MEANINGS.items() if word in words))


@app.command()
def layers(
    name: Name,
    landmarks: Annotated[bool, typer.Option("--landmarks", help="Only the layers worth a spritemap.")] = False,
    as_json: Json = False,
) -> None:
    """List the layers of a network in order: channels, shape, stride, receptive field.

    JSON: a list of name, kind, channels, grid_side, output_shape, position, stride_px, receptive_field_px, landmark.

    Example: diamond layers EfficientNetLite0 --landmarks
    """
    from modelzoo.weights.model_file import MODEL_SUFFIXES

    # The inventory of a network of the zoo needs no trained weights, so none are fetched.
    is_file = Path(name).suffix in MODEL_SUFFIXES or "/" in name or Path(name).is_dir()
    net = load_network(name, "default" if is_file else None)
    table = net.layers
    chosen = table.landmarks if landmarks else tuple(table)
    if as_json:
        print_json([vars(layer) for layer in chosen])
    elif sys.stdout.isatty():
        from modelzoo.inventory import LayerTable

        typer.echo(LayerTable(chosen, table.network, table.aliases))
    else:
        print_table(table.network, [_row(layer) for layer in chosen])


def _row(layer: Any) -> dict[str, Any]:
    """Give a layer as a row of a piped table."""
    stride, sees = (
        "" if pixels is None else " x ".join(f"{pixel:g}" for pixel in pixels)
        for pixels in (layer.stride_px, layer.receptive_field_px)
    )
    return {
        "position": layer.position,
        "layer": layer.name,
        "kind": layer.kind,
        "channels": layer.channels,
        "shape": " x ".join("?" if size is None else str(size) for size in layer.output_shape[1:]),
        "grid_side": layer.grid_side,
        "stride_px": stride,
        "receptive_field_px": sees,
        "landmark": "yes" if layer.landmark else "no",
    }


@app.command()
def check(
    name: Name,
    image: Annotated[
        str | None,
        typer.Argument(
            metavar="[IMAGE]", help="Path or URL of a picture; three known photos without.", show_default=False
        ),
    ] = None,
    weights: Weights = "default",
    as_json: Json = False,
) -> None:
    """Name what is in known photos, and say whether the weights look trained.

    Says also whether the pictures are fed rightly. Exit code 1 where the weights look random.

    JSON: network, looks_trained, verdict, separation, entropy, confidence, better, rows (image, rank, class, label,
    probability, logit).

    Example: diamond check EfficientNetLite0
    """
    net = load_network(name, weights, files=[] if image is None else [image])
    from modelzoo.check import check_network

    found = check_network(net, image)
    if as_json:
        own = found.own
        print_json(
            {
                "network": net.name,
                "looks_trained": found.looks_trained,
                "verdict": found.verdict,
                "separation": own.separation,
                "entropy": own.entropy,
                "confidence": own.confidence,
                "better": None if found.better is None else found.better.label,
                "rows": rows_of(found.predictions.to_dataframe()),
            }
        )
    else:
        typer.echo(found)
    if not found.looks_trained:
        raise typer.Exit(ERROR)


@app.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A frozen graph (.pb), a whole .keras or .h5 model, or a model.json."),
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the network is called from now on.")],
    input_size: Annotated[int | None, typer.Option(metavar="PX", help="Side of its pictures in pixels.")] = None,
    value_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="What it sees for black and white; guessed without."),
    ] = None,
    channel_order: Annotated[str, typer.Option(metavar="WORD", help="RGB, or BGR where blue comes first.")] = "RGB",
    mean: Annotated[
        tuple[float, float, float] | None,
        typer.Option(metavar="A B C", help="What is taken from each colour, of 0 to 255, in the network's own order."),
    ] = None,
    output: Annotated[
        str | None, typer.Option(metavar="NODE", help="Node of a frozen graph that gives the answer.")
    ] = None,
    input_node: Annotated[
        str | None, typer.Option("--input", metavar="NODE", help="Node of a frozen graph for the pictures.")
    ] = None,
    classes: Annotated[str | None, typer.Option(metavar="WORD", help="What its outputs mean: imagenet.")] = None,
    first_class: Annotated[
        int | None, typer.Option(metavar="N", help="Output of the first class; 1 after a background.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a network of this name.")] = False,
    as_json: Json = False,
) -> None:
    """Make a network from a file one of the zoo: a .keras file and a card.

    They go into your zoo folder, and the network has a name for every command from then on. One of Caffe's takes
    --channel-order BGR --mean 104 117 123.

    JSON: network, outputs, channel_order, value_range, assumed, written.

    Example: diamond convert net.keras --name MyNet --value-range -1 1
    """
    from modelzoo.cards import InputSpec

    def said() -> InputSpec | tuple[float, float] | None:
        if mean is not None and value_range is not None:
            raise ValueError(
                "--mean takes its numbers from pictures of 0 to 255, --value-range says the values itself; give one of them"
            )
        if mean is not None:
            offset = tuple(-number for number in mean)
            return InputSpec(None, None, channel_order=channel_order, scale=(255.0,), offset=offset)
        if channel_order == "RGB":
            return value_range
        if value_range is None:
            raise ValueError(
                f"--channel-order {channel_order} needs --value-range or --mean; a guess tries both orders"
            )
        return replace(InputSpec.from_value_range(*value_range), channel_order=channel_order)

    wanted = said()
    import_tensorflow()
    from modelzoo.convert import convert as convert_file
    from modelzoo.user_zoo import read_user_card

    place = convert_file(
        file,
        name=name,
        input_size=input_size,
        value_range=wanted,
        output=output,
        input=input_node,
        classes=classes,
        first_class=first_class,
        overwrite=overwrite,
    )
    card = read_user_card(place)
    low, high = card.input.value_range
    if as_json:
        print_json(
            {
                "network": name,
                "outputs": card.output.size,
                "channel_order": card.input.channel_order,
                "value_range": [low, high],
                "assumed": card.input.assumed,
                "written": str(place),
            }
        )
        return
    guess = ", a guess: diamond check says more" if card.input.assumed else ""
    typer.echo(f"{name}: {card.output.size} outputs, {card.input.channel_order}, values {low:g} .. {high:g}{guess}")
    typer.echo(f"written: {place}")
