"""Arguments and options that several commands have: the same word means the same thing everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diamond.cli import completion

__all__ = [
    "Batch",
    "Image",
    "Json",
    "LayerName",
    "Layers",
    "Name",
    "Out",
    "Recipe",
    "Seed",
    "Store",
    "Weights",
]

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A network of the zoo (diamond models lists them), a .keras or .h5 file, or a folder that dc.save wrote.",
        autocompletion=completion.networks,
    ),
]
LayerName = Annotated[
    str,
    typer.Argument(metavar="LAYER", help="A layer; diamond layers NAME lists them.", autocompletion=completion.layers),
]
Layers = Annotated[
    str | None,
    typer.Option(
        metavar="LAYER,...",
        help="Layers, with commas between; what suits without.",
        autocompletion=completion.layers_by_commas,
    ),
]
Image = Annotated[str, typer.Argument(metavar="IMAGE", help="Path or URL of a picture.")]
Weights = Annotated[str, typer.Option(metavar="FILE", help="A file with other weights.")]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="RECIPE",
        help="texture, sprite, phase or sound; what suits without.",
        autocompletion=completion.recipes,
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Of the random numbers; the same seed gives the same result.")]
Batch = Annotated[int, typer.Option(metavar="N", help="How many at a time; it does not change the answer.")]
Store = Annotated[str | None, typer.Option(metavar="FOLDER", help="Where to look first for sprites.")]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Where to: .html, .png, .csv or .npz.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
