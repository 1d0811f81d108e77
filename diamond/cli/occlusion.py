"""``diamond occlude NAME FILE...``: what the class score loses where pictures are covered, as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from diamond.cli.app import app, or_exit

__all__: list[str] = []

SUFFIXES = (".html", ".png", ".csv", ".npz")


@app.command()
def occlude(
    name: Annotated[str, typer.Argument(help="A network of the zoo, or the path of a .keras or .h5 file.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Paths or URLs of pictures, or folders.")],
    target: Annotated[
        str, typer.Option(help="The class: a label, an index, top1, top2 ...; several with semicolons between.")
    ] = "top1",
    window: Annotated[
        str | None, typer.Option(help="Size in pixels, as 32 or 40x24 (height x width); a seventh without.")
    ] = None,
    stride: Annotated[str | None, typer.Option(help="Step in pixels, as 16 or 20x12; half a window without.")] = None,
    shape: Annotated[str, typer.Option(help="rectangle, disc, superpixels, or channels of a layer.")] = "rectangle",
    fill: Annotated[
        str | None, typer.Option(help="mean, blur, noise, shuffled, inpaint, zero, or a colour: white, #808080.")
    ] = None,
    outside: Annotated[bool, typer.Option("--outside", help="Cover all but the window: keep only this.")] = False,
    method: Annotated[str, typer.Option(help="auto, full, incremental or drilldown.")] = "auto",
    share: Annotated[float | None, typer.Option(help="Of drilldown: share of the windows to measure.")] = None,
    layer: Annotated[str | None, typer.Option(help="Cover cells or channels of this layer instead.")] = None,
    weights: Annotated[str, typer.Option(help="A file with other weights.")] = "default",
    seed: Annotated[int, typer.Option(help="Of random fills.")] = 0,
    out: Annotated[Path, typer.Option(help="Where to: .html, .png, .csv or .npz.")] = Path("occlusion.html"),
) -> None:
    """Cover part after part of a picture and show what the class score loses.

    Of a folder every picture in it is covered; broken ones are told and left out.

    Example: diamond occlude EfficientNetLite0 cat.jpg --target "tabby; tiger cat" --window 16 --stride 8 --fill blur
    """

    def run() -> None:
        import warnings

        from diamond.occlusion.occlude import occlude as cover
        from modelzoo.registry import load

        def tell(message: Warning | str, *_: Any, **__: Any) -> None:
            typer.secho(f"diamond: {message}", err=True, fg=typer.colors.YELLOW)

        # Minutes later would be too late to learn of it.
        if out.suffix not in SUFFIXES:
            raise ValueError(f"cannot save as {out.name!r}; expected a name that ends in {', '.join(SUFFIXES)}")
        if not out.parent.is_dir():
            raise FileNotFoundError(f"no folder {out.parent} to save {out.name} in; make it first")
        net = load(name, weights=weights)
        with warnings.catch_warnings():
            # To whoever uses the command line, the place in our code means nothing.
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = tell
            found = cover(
                net,
                files,
                target=[_number_or_word(each.strip()) for each in target.split(";") if each.strip()],
                window=_pixels(window, "window"),
                stride=_pixels(stride, "stride"),
                shape=shape,
                fill=fill,
                outside=outside,
                method=method,
                share=share,
                layer=layer,
                seed=seed,
            )
        for row in found:
            typer.echo(repr(row))
        (found[0] if len(found) == 1 else found).save(out)
        typer.echo(f"written: {out}")

    or_exit(run)


def _number_or_word(word: str) -> int | str:
    return int(word) if word.isascii() and word.isdigit() else word


def _pixels(word: str | None, name: str) -> int | tuple[int, int] | None:
    if word is None:
        return None
    numbers = word.lower().split("x")
    if not all(n.strip().isascii() and n.strip().isdigit() for n in numbers) or len(numbers) > 2:
        raise ValueError(f"the {name} is {word!r}; expected pixels, as 32 or 40x24 (height x width)")
    pixels = [int(n) for n in numbers]
    return pixels[0] if len(pixels) == 1 else (pixels[0], pixels[1])
