"""``diamond attribute NAME IMAGE...``: which channels speak for a class in pictures, and where, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diamond.cli.app import app, or_exit

__all__: list[str] = []


@app.command()
def attribute(
    name: Annotated[str, typer.Argument(help="A network of the zoo, or the path of a .keras or .h5 file.")],
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Paths or URLs of pictures, or folders.")],
    layers: Annotated[
        str | None, typer.Option(help="Addresses, with commas between; a shallow, a middle and a deep one without.")
    ] = None,
    positive: Annotated[
        str, typer.Option(help="The class asked about: a label, an index, top1, top2 ...; none for no class.")
    ] = "top1",
    negative: Annotated[
        str | None, typer.Option(help="A class held against it, the same way, or others for all of them.")
    ] = None,
    method: Annotated[str, typer.Option(help="gradient, path or activation.")] = "gradient",
    weights: Annotated[str, typer.Option(help="A file with other weights.")] = "default",
    top: Annotated[int, typer.Option(help="How many channels of each layer.")] = 8,
    store: Annotated[str | None, typer.Option(help="Where to look first for sprites.")] = None,
    render: Annotated[bool, typer.Option("--render", help="Render the sprites that no store has.")] = False,
    out: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("attribution.html"),
) -> None:
    """Name what is in pictures, show the channels that speak for it and where they are, and write one page.

    Of a folder every picture in it counts; broken ones are told and left out.

    Example: diamond attribute EfficientNetLite0 cat.jpg --positive tabby --negative "tiger cat"
    """

    def run() -> None:
        import warnings

        from diamond.attribution.report import write_report
        from modelzoo.registry import load

        def tell(message: Warning | str, *_: Any, **__: Any) -> None:
            typer.secho(f"diamond: {message}", err=True, fg=typer.colors.YELLOW)

        net = load(name, weights=weights)
        with warnings.catch_warnings():
            # To whoever uses the command line, the place in our code means nothing.
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = tell
            write_report(
                net,
                images if len(images) > 1 else images[0],
                out,
                layers=None if layers is None else [each.strip() for each in layers.split(",") if each.strip()],
                positive=None if positive == "none" else _target(positive),
                negative=None if negative is None else _target(negative),
                method=method,
                top=top,
                store=store,
                render=render,
            )

    or_exit(run)


def _target(word: str) -> int | str:
    return int(word) if word.isascii() and word.isdigit() else word
