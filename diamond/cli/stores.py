"""Commands about stores of spritemaps: ``diamond verify STORE``, ``merge A B``, ``site STORE OUT``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from diamond.cli.app import Json, app, or_exit

__all__: list[str] = []

Place = Annotated[str, typer.Argument(help="Folder of a store, or an address: gs://, s3://, https://.")]


@app.command()
def verify(store: Place, as_json: Json = False) -> None:
    """Check every file of a store: hashes, counts, fingerprints. Exit code 1 where something is wrong.

    Example: diamond verify spritemaps
    """
    from spritemaps.store import Store
    from spritemaps.verify import verify as check

    found = or_exit(lambda: check(Store(store, read_only=True)), tensorflow=False)
    if as_json:
        told = {"layers": found.layers, "pages": found.pages, "unfinished": found.unfinished}
        faults = [vars(fault) for fault in found.faults]
        print(json.dumps({**told, "faults": faults}, indent=1))
    else:
        if found.faults:
            _print_faults(found.faults)
        print(found)
    if found.faults:
        raise typer.Exit(1)


@app.command()
def merge(
    source: Annotated[str, typer.Argument(help="Store to copy from: a folder or an address.")],
    target: Annotated[str, typer.Argument(help="Store to copy into: a folder or an address.")],
) -> None:
    """Copy into a store what it lacks of another; a layer that both have stays unless the other's came out better.

    Better is: fewer dead channels; with as many dead, a mean quality at least 0.5 % higher. Stop it at any moment; the
    same command goes on.

    Example: diamond merge from-the-cluster gs://our-bucket/spritemaps
    """
    from spritemaps.merge import merge as merge_stores

    done = or_exit(lambda: merge_stores(source, target, say=print), tensorflow=False)
    for problem in done.problems:
        typer.secho(problem, err=True, fg=typer.colors.RED)
    print(done)
    if done.problems:
        raise typer.Exit(1)


@app.command()
def site(
    store: Place,
    out: Annotated[Path, typer.Argument(help="Folder for the site.")],
    title: Annotated[str, typer.Option(help="Of the first page.")] = "Spritemaps",
    photos: Annotated[
        Path | None,
        typer.Option(help="Folder of the photos given to pregenerate; a channel's best is shown beside it."),
    ] = None,
) -> None:
    """Make pages to look at a store with: networks, layers, channels. They open from disk, without a server.

    Example: diamond site spritemaps site
    """
    from modelzoo.registry import cards
    from spritemaps.site import site as write_site

    orders = {name: card.landmarks for name, card in cards().items()}
    print(or_exit(lambda: write_site(store, out, title=title, photos=photos, orders=orders), tensorflow=False))


def _print_faults(faults: tuple[object, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(header_style="bold", title="What is wrong", title_justify="left")
    for name in ("where", "what", "way out"):
        table.add_column(name, overflow="fold")
    for fault in faults:
        table.add_row(*map(str, vars(fault).values()))
    Console(markup=False).print(table)
