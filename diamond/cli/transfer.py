"""``diamond cut NAME FOLDER``, where to cut a network for some data, and ``diamond compare A B --data FOLDER``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diamond.cli.app import app, check_out, or_exit

__all__: list[str] = []


@app.command()
def cut(
    name: Annotated[str, typer.Argument(help="A network of the zoo, or the path of a .keras or .h5 file.")],
    data: Annotated[
        str,
        typer.Argument(metavar="FOLDER", help="A folder with a folder for each class; or a .zip or .tar, or its URL."),
    ],
    layers: Annotated[
        str | None, typer.Option(help="Cuts to measure, with commas between; the landmarks without.")
    ] = None,
    weights: Annotated[str, typer.Option(help="A file with other weights.")] = "default",
    latency: Annotated[bool, typer.Option("--latency/--no-latency", help="Measure the seconds to each cut.")] = True,
    seed: Annotated[int, typer.Option(help="Of the folds.")] = 0,
    out: Annotated[Path, typer.Option(help="Where to: .html, .png, .csv or .npz.")] = Path("cuts.html"),
) -> None:
    """Measure where to cut a network for your classes, and recommend the cheapest cut that is as good as the best.

    Example: diamond cut EfficientNetLite0 flowers/ --out flowers.html
    """

    def run() -> None:
        from diamond.transfer.cut_points import cut_points
        from modelzoo.registry import load

        check_out(out)
        named = None if layers is None else [each.strip() for each in layers.split(",") if each.strip()]
        found = cut_points(load(name, weights=weights), data, layers=named, latency=latency, seed=seed)
        typer.echo(repr(found))
        found.save(out)
        typer.echo(f"written: {out}")

    or_exit(run)


@app.command()
def compare(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORKS", help="Networks of the zoo, or paths of saved ones: what dc.save wrote, .keras, .h5."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="A folder with a folder for each class; or a .zip or .tar, or its URL."),
    ],
    names: Annotated[
        str | None, typer.Option(help="What to call the networks, with commas between; their own names without.")
    ] = None,
    level: Annotated[float, typer.Option(help="How often the intervals shall hold the truth.")] = 0.95,
    latency: Annotated[bool, typer.Option("--latency/--no-latency", help="Measure the seconds of one sample.")] = True,
    examples: Annotated[int, typer.Option(help="At most so many samples that they disagree about.")] = 24,
    out: Annotated[Path, typer.Option(help="Where to: .html, .png, .csv or .npz.")] = Path("comparison.html"),
) -> None:
    """Compare networks on the same samples: which is right more often, whether that is more than chance, and the cost.

    Example: diamond compare flowers_student mobilenet.keras --data flowers/val --out flowers.html
    """

    def run() -> None:
        from diamond.transfer.compare import compare as compared
        from diamond.transfer.samples import read_samples
        from modelzoo.registry import load

        check_out(out)
        called = None if names is None else [each.strip() for each in names.split(",")]
        # A folder that is not there is told before networks are loaded.
        samples = read_samples(data)
        found = compared(
            [load(each) for each in networks], samples, names=called, level=level, latency=latency, examples=examples
        )
        typer.echo(repr(found))
        found.save(out)
        typer.echo(f"written: {out}")

    or_exit(run)
