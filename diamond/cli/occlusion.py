"""``diamond occlude NAME FILE...``: what the class score loses where pictures or sounds are covered, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diamond.cli.app import app, check_out, or_exit

__all__: list[str] = []


@app.command()
def occlude(
    name: Annotated[str, typer.Argument(help="A network of the zoo, or the path of a .keras or .h5 file.")],
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Paths or URLs of pictures or sounds, or folders.")
    ],
    target: Annotated[
        str, typer.Option(help="The class: a label, an index, top1, top2 ...; several with semicolons between.")
    ] = "top1",
    window: Annotated[
        str | None, typer.Option(help="Pixels, as 32 or 40x24 (height x width); of a sound s, Hz, or HZxS as 500x0.2.")
    ] = None,
    stride: Annotated[str | None, typer.Option(help="Step, in the same units; half a window without.")] = None,
    shape: Annotated[
        str,
        typer.Option(help="rectangle, disc, superpixels, channels of a layer; of a sound patches, time, frequency."),
    ] = "rectangle",
    fill: Annotated[
        str | None,
        typer.Option(
            help="mean, blur, noise, shuffled, inpaint, zero, a colour; of a sound band_mean, silence, local_mean, noise."
        ),
    ] = None,
    outside: Annotated[bool, typer.Option("--outside", help="Cover all but the window: keep only this.")] = False,
    method: Annotated[str, typer.Option(help="auto, full, incremental or drilldown.")] = "auto",
    share: Annotated[float | None, typer.Option(help="Of drilldown: share of the windows to measure.")] = None,
    layer: Annotated[str | None, typer.Option(help="Cover cells or channels of this layer instead.")] = None,
    weights: Annotated[str, typer.Option(help="A file with other weights.")] = "default",
    seed: Annotated[int, typer.Option(help="Of random fills.")] = 0,
    out: Annotated[Path, typer.Option(help="Where to: .html, .png, .csv or .npz; of a sound .wav too.")] = Path(
        "occlusion.html"
    ),
) -> None:
    """Cover part after part of a picture, or of a sound, and show what the class score loses.

    Of a folder every file in it is covered; broken ones are told and left out.

    Example: diamond occlude EfficientNetLite0 cat.jpg --target "tabby; tiger cat" --window 16 --stride 8 --fill blur
    """

    def run() -> None:
        import warnings

        from diamond.occlusion import occlude as covering
        from modelzoo.registry import load

        def tell(message: Warning | str, *_: Any, **__: Any) -> None:
            typer.secho(f"diamond: {message}", err=True, fg=typer.colors.YELLOW)

        check_out(out, ".wav")
        net = load(name, weights=weights)
        is_ear = net.input.audio is not None
        if out.suffix == ".wav" and not is_ear:
            raise ValueError(
                f"{net.name} takes pictures, which cannot be saved as {out.name!r}; expected .html or .png"
            )
        lengths: Any = _lengths if is_ear else _pixels
        with warnings.catch_warnings():
            # To whoever uses the command line, the place in our code means nothing.
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = tell
            cover: Any = covering.occlude
            found = cover(
                net,
                files,
                target=[_number_or_word(each.strip()) for each in target.split(";") if each.strip()],
                window=lengths(window, "window"),
                stride=lengths(stride, "stride"),
                shape=shape,
                fill=fill,
                outside=outside,
                method=method,
                share=share,
                layer=layer,
                seed=seed,
            )
        rows = list(found)
        for row in rows:
            typer.echo(repr(row))
        (rows[0] if len(rows) == 1 else found).save(out)
        typer.echo(f"written: {out}")

    or_exit(run)


def _number_or_word(word: str) -> int | str:
    return int(word) if word.isascii() and word.isdigit() else word


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
