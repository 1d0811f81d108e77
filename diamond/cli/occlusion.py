"""``diamond occlude NAME FILE...``: what the class score loses where pictures or sounds are covered, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diamond.cli import completion
from diamond.cli.app import app, check_out
from diamond.cli.arguments import Json, Name, Seed, Weights
from diamond.cli.networks import load_network, number_or_word
from diamond.cli.printing import has_bar, print_json, rows_of

__all__: list[str] = []


@app.command()
def occlude(
    name: Name,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Paths or URLs of pictures or sounds, or folders.")
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="CLASS",
            help="The class: a label, an index, top1, top2 ...; several with semicolons between.",
            autocompletion=completion.classes,
        ),
    ] = "top1",
    window: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Pixels, as 32 or 40x24 (height x width); of a sound s, Hz, or HZxS as 500x0.2."
        ),
    ] = None,
    stride: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Step, in the same units; half a window without.")
    ] = None,
    shape: Annotated[
        str,
        typer.Option(
            metavar="WORD",
            help="rectangle, disc, superpixels, channels of a layer; of a sound patches, time, frequency.",
        ),
    ] = "rectangle",
    fill: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help="mean, blur, noise, shuffled, inpaint, zero, a colour; of a sound band_mean, silence, local_mean, "
            "noise.",
        ),
    ] = None,
    outside: Annotated[bool, typer.Option("--outside", help="Cover all but the window: keep only this.")] = False,
    method: Annotated[str, typer.Option(metavar="WORD", help="auto, full, incremental or drilldown.")] = "auto",
    share: Annotated[
        float | None, typer.Option(metavar="X", help="Of drilldown: share of the windows to measure.")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            "--layer",
            metavar="LAYER",
            help="Cover cells or channels of this layer instead.",
            autocompletion=completion.layers,
        ),
    ] = None,
    weights: Weights = "default",
    seed: Seed = 0,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to: .html, .png, .csv or .npz; of a sound .wav too.")
    ] = Path("occlusion.html"),
    as_json: Json = False,
) -> None:
    """Cover part after part of a picture, or of a sound, and show what the score loses.

    Of a folder every file in it is covered; broken ones are told and left out.

    JSON: network, images, rows (image, window, channel, top, left, bottom, right, low_hz, from_s, high_hz, to_s, target,
    logit, probability, measured), skipped, written.

    Example: diamond occlude EfficientNetLite0 cat.jpg --window 32 --fill blur

    Example: diamond occlude EfficientNetLite0 cat.jpg --target "tabby; lynx"
    """
    check_out(out, ".wav")
    net = load_network(name, weights, files=files)
    from diamond.occlusion.occlude import occlude as cover_any

    is_ear = net.input.audio is not None
    if out.suffix == ".wav" and not is_ear:
        raise ValueError(f"{net.name} takes pictures, which cannot be saved as {out.name!r}; expected .html or .png")
    lengths: Any = _lengths if is_ear else _pixels
    cover: Any = cover_any
    found = cover(
        net,
        files,
        target=[number_or_word(each.strip()) for each in target.split(";") if each.strip()],
        window=lengths(window, "window"),
        stride=lengths(stride, "stride"),
        shape=shape,
        fill=fill,
        outside=outside,
        method=method,
        share=share,
        layer=layer,
        seed=seed,
        progress=has_bar(),
    )
    rows = list(found)
    (rows[0] if len(rows) == 1 else found).save(out)
    if as_json:
        facts = {"network": net.name, "images": [_facts(row) for row in rows], "rows": rows_of(found.to_dataframe())}
        print_json({**facts, "skipped": list(found.skipped), "written": str(out)})
        return
    for row in rows:
        typer.echo(repr(row))
    typer.echo(f"written: {out}")


def _facts(row: Any) -> dict[str, Any]:
    """Give a picture's scores uncovered; the rows say what is left of them."""
    each = zip(row.targets, row.logits, row.probabilities, strict=True)
    targets = [{"target": t, "logit": logit, "probability": p} for t, logit, p in each]
    return {"image": row.image, "targets": targets}


def _lengths(word: str | None, name: str) -> float | tuple[float, float] | None:
    """Read seconds, Hz, or both: ``"500x0.2"``."""
    try:
        numbers = None if word is None else [float(n) for n in word.lower().split("x")]
    except ValueError:
        numbers = []
    if numbers is None:
        return None
    if len(numbers) not in (1, 2):
        raise ValueError(f"the {name} is {word!r}; expected seconds or Hz, as 0.2, or both, as 500x0.2")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def _pixels(word: str | None, name: str) -> int | tuple[int, int] | None:
    if word is None:
        return None
    numbers = word.lower().split("x")
    if not all(n.strip().isascii() and n.strip().isdigit() for n in numbers) or len(numbers) > 2:
        raise ValueError(f"the {name} is {word!r}; expected pixels, as 32 or 40x24 (height x width)")
    pixels = [int(n) for n in numbers]
    return pixels[0] if len(pixels) == 1 else (pixels[0], pixels[1])
