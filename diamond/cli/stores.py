"""Commands about stores of spritemaps: ``diamond verify STORE``, ``merge A B``, ``site STORE OUT``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diamond.cli.app import app
from diamond.cli.arguments import Json
from diamond.cli.ending import ERROR
from diamond.cli.printing import print_json, print_table, tell

__all__: list[str] = []

Place = Annotated[
    str, typer.Argument(metavar="STORE", help="Folder of a store, or an address: gs://, s3://, https://.")
]


@app.command()
def verify(store: Place, as_json: Json = False) -> None:
    """Check every file of a store: hashes, counts, fingerprints.

    Exit code 1 where something is wrong; each fault is printed with the way out.

    JSON: layers, pages, unfinished, faults.

    Example: diamond verify sprites
    """
    from spritemaps.store import Store
    from spritemaps.verify import verify as check

    found = check(Store(store, read_only=True))
    faults = [{"where": fault.where, "what": fault.what, "way_out": fault.way_out} for fault in found.faults]
    if as_json:
        print_json({"layers": found.layers, "pages": found.pages, "unfinished": found.unfinished, "faults": faults})
    else:
        if faults:
            print_table("What is wrong", faults)
        typer.echo(found)
    if faults:
        raise typer.Exit(ERROR)


@app.command()
def merge(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Store to copy from: a folder or an address.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Store to copy into: a folder or an address.")],
    as_json: Json = False,
) -> None:
    """Copy into a store what it lacks of another.

    A layer that both have stays unless the other's came out better: fewer dead channels, or with as many dead, a mean
    quality at least 0.5 % higher. Stop it at any moment; the same command goes on. Exit code 1 where damaged layers were
    left out.

    JSON: copied, replaced, kept, unfinished, bytes, problems, layers.

    Example: diamond merge sprites all-sprites
    """
    from spritemaps.merge import merge as merge_stores

    lines: list[str] = []
    done = merge_stores(source, target, say=lines.append if as_json else typer.echo)
    if as_json:
        counts = {name: getattr(done, name) for name in ("copied", "replaced", "kept", "unfinished", "bytes")}
        print_json({**counts, "problems": done.problems, "layers": lines})
    else:
        for problem in done.problems:
            tell(problem, wrong=True)
        typer.echo(done)
    if done.problems:
        raise typer.Exit(ERROR)


@app.command()
def site(
    store: Place,
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder for the site.")],
    title: Annotated[str, typer.Option(metavar="WORDS", help="Of the first page.")] = "Spritemaps",
    photos: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The photos given to pregenerate; a channel's best is shown beside it."),
    ] = None,
) -> None:
    """Make pages to look at a store with: networks, layers, channels.

    They open from disk, without a server.

    Example: diamond site sprites site
    """
    from modelzoo.registry import cards
    from spritemaps.site import site as write_site

    orders = {name: card.landmarks for name, card in cards().items()}
    typer.echo(f"written: {write_site(store, out, title=title, photos=photos, orders=orders)}")
