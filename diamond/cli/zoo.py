"""Commands about networks: ``diamond models``, ``layers NAME``, ``check NAME``, ``convert FILE``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from diamond.cli.app import Json, app, or_exit, print_table

__all__: list[str] = []


@app.command()
def models(as_json: Json = False) -> None:
    """List the networks of the zoo, whether their weights are here, and the next step where they are not.

    ready: the weights are here. downloadable: loading by name fetches them, a Keras file read as it is. convertible:
    loading by name fetches a checkpoint, graph or state dict of another library and converts it. installable: they come
    in a Python package that is not installed. none: give a file of your own. missing: your own network's file is gone.

    Example: diamond models
    """
    from modelzoo.readiness import MEANINGS, next_step, weights_state
    from modelzoo.registry import broken_cards, cards

    rows = [
        {
            "name": card.name,
            "input": f"{card.input.height} x {card.input.width}",
            "values": "{:g} .. {:g}".format(*card.input.value_range),
            "outputs": card.output.size,
            "landmarks": len(card.landmarks),
            "parameters": card.parameters,
            "weights": weights_state(card),
            "next": next_step(card),
        }
        for card in cards().values()
    ]
    unknown = dict.fromkeys(rows[0])
    rows += [{**unknown, "name": name, "weights": f"broken: {error}"} for name, error in broken_cards().items()]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print_table("The zoo", rows)
        words = {str(row["weights"]).partition(",")[0] for row in rows}
        print("\n".join(f"{word}: {meaning}" for word, meaning in MEANINGS.items() if word in words))


@app.command()
def layers(
    name: Annotated[str, typer.Argument(help="A network of the zoo, or the path of a .keras or .h5 file.")],
    landmarks: Annotated[bool, typer.Option("--landmarks", help="Only the layers worth a spritemap.")] = False,
    as_json: Json = False,
) -> None:
    """List the layers of a network in order: channels, shape, stride, receptive field.

    Example: diamond layers EfficientNetLite0 --landmarks
    """
    from modelzoo.registry import load
    from modelzoo.weights.model_file import MODEL_SUFFIXES

    def read() -> Any:
        # The inventory needs no trained weights, so none are fetched.
        return load(name) if Path(name).suffix in MODEL_SUFFIXES else load(name, weights=None)

    net = or_exit(read)
    table = net.layers
    chosen = table.landmarks if landmarks else tuple(table)
    if as_json:
        print(json.dumps([_plain(vars(layer)) for layer in chosen], indent=1))
        return
    from modelzoo.inventory import LayerTable

    print(LayerTable(chosen, table.network, table.aliases))


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A network of the zoo, or the path of a .keras or .h5 file.")],
    image: Annotated[str | None, typer.Argument(help="Path or URL of a picture; three known photos without.")] = None,
    weights: Annotated[str, typer.Option(help="A file with other weights.")] = "default",
) -> None:
    """Name what is in known photos, and say whether the weights look trained and the pictures are fed rightly.

    Exit code 1 where the weights look random.

    Example: diamond check EfficientNetLite0
    """
    from modelzoo.check import check_network
    from modelzoo.registry import load

    found = or_exit(lambda: check_network(load(name, weights=weights), image))
    print(found)
    if not found.looks_trained:
        raise typer.Exit(1)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A frozen graph (.pb), a whole .keras or .h5 model, or a model.json.")],
    name: Annotated[str, typer.Option(help="What the network is called from now on.")],
    input_size: Annotated[int | None, typer.Option(help="Side of its pictures in pixels.")] = None,
    value_range: Annotated[
        tuple[float, float] | None, typer.Option(help="What it sees for black and white; guessed without.")
    ] = None,
    channel_order: Annotated[str, typer.Option(help="RGB, or BGR where blue comes first.")] = "RGB",
    mean: Annotated[
        tuple[float, float, float] | None,
        typer.Option(help="What is taken from each colour, of 0 to 255, in the network's own order."),
    ] = None,
    output: Annotated[str | None, typer.Option(help="Node of a frozen graph that gives the answer.")] = None,
    input_node: Annotated[str | None, typer.Option("--input", help="Node of a frozen graph for the pictures.")] = None,
    classes: Annotated[str | None, typer.Option(help="What its outputs mean: imagenet.")] = None,
    first_class: Annotated[int | None, typer.Option(help="Output of the first class; 1 after a background.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a network of this name.")] = False,
) -> None:
    """Make a network from a file one of the zoo: a .keras file and a card in your zoo folder.

    Example: diamond convert frozen.pb --name MyNet --input-size 224 --value-range -1 1 --classes imagenet

    One of Caffe's: diamond convert net.h5 --name MyNet --channel-order BGR --mean 104 117 123
    """
    from modelzoo.cards import InputSpec
    from modelzoo.convert import convert as convert_file
    from modelzoo.user_zoo import read_user_card

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

    place = or_exit(
        lambda: convert_file(
            file,
            name=name,
            input_size=input_size,
            value_range=said(),
            output=output,
            input=input_node,
            classes=classes,
            first_class=first_class,
            overwrite=overwrite,
        )
    )
    card = read_user_card(place)
    low, high = card.input.value_range
    guess = ", a guess: diamond check says more" if card.input.assumed else ""
    print(f"{place}\n{name}: {card.output.size} outputs, {card.input.channel_order}, values {low:g} .. {high:g}{guess}")


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    def number(value: Any) -> Any:
        if isinstance(value, tuple):
            return [number(item) for item in value]
        return None if isinstance(value, float) and value == float("inf") else value

    return {key: number(value) for key, value in values.items()}
