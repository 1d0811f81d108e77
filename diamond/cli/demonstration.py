"""``diamond demo``: the whole line once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diamond.cli.app import app, or_exit

__all__: list[str] = []


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("diamond-demo"),
) -> None:
    """Name what is in a photo, show the channels that said so, render some, and write one page.

    Example: diamond demo
    """
    from diamond.demo import run

    or_exit(lambda: run(folder))
