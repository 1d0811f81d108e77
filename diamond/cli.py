"""The command line: ``diamond models``, ``layers NAME``, ``check NAME``, ``convert FILE``, ``demo``."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["app"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

app = typer.Typer(
    name="diamond",
    help="See what a Keras CNN looks at, what its channels look for, and where to cut it for transfer learning.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command()
def models(as_json: Json = False) -> None:
    """List the networks of the zoo.

    Example: diamond models
    """
    from modelzoo.registry import broken_cards, cards, weights_state

    rows = [
        {
            "name": card.name,
            "input": f"{card.input.height} x {card.input.width}",
            "values": "{:g} .. {:g}".format(*card.input.value_range),
            "outputs": card.output.size,
            "landmarks": len(card.landmarks),
            "parameters": card.parameters,
            "weights": weights_state(card),
        }
        for card in cards().values()
    ]
    unknown = dict.fromkeys(rows[0])
    rows += [{**unknown, "name": name, "weights": f"broken: {error}"} for name, error in broken_cards().items()]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        _print_table("The zoo", rows)


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

    net = _or_exit(read)
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

    found = _or_exit(lambda: check_network(load(name, weights=weights), image))
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
    output: Annotated[str | None, typer.Option(help="Node of a frozen graph that gives the answer.")] = None,
    input_node: Annotated[str | None, typer.Option("--input", help="Node of a frozen graph for the pictures.")] = None,
    classes: Annotated[str | None, typer.Option(help="What its outputs mean: imagenet.")] = None,
    first_class: Annotated[int | None, typer.Option(help="Output of the first class; 1 after a background.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a network of this name.")] = False,
) -> None:
    """Make a network from a file one of the zoo: a .keras file and a card in your zoo folder.

    Example: diamond convert frozen.pb --name MyNet --input-size 224 --value-range -1 1 --classes imagenet
    """
    from modelzoo.convert import convert as convert_file
    from modelzoo.user_zoo import read_user_card

    place = _or_exit(
        lambda: convert_file(
            file,
            name=name,
            input_size=input_size,
            value_range=value_range,
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


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("diamond-demo"),
) -> None:
    """Name what is in a photo, show the channels that said so, render some, and write one page.

    Example: diamond demo
    """
    from diamond.demo import run

    _or_exit(lambda: run(folder))


def _or_exit(do: Any) -> Any:
    """Run; turn an error that is meant for the user into one line and exit code 1."""
    try:
        with _notices_unheard():
            import tensorflow  # noqa: F401
        return do()
    except (KeyError, ValueError, OSError, RuntimeError) as error:
        typer.secho(f"diamond: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def _notices_unheard() -> Iterator[None]:
    """Keep what a library writes to the standard error while it is imported from the user.

    TensorFlow tells about processors and drivers before any log level counts, past Python's own streams.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _print_table(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for name in rows[0]:
        table.add_column(name, justify="left" if name in ("name", "weights") else "right", no_wrap=name == "name")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else "" if v is None else str(v) for v in row.values()))
    # Piped output is read by programs: it must not be cut to a terminal's width.
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    def number(value: Any) -> Any:
        if isinstance(value, tuple):
            return [number(item) for item in value]
        return None if isinstance(value, float) and value == float("inf") else value

    return {key: number(value) for key, value in values.items()}
