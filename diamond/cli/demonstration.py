"""``diamond demo``: the whole line once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diamond.cli.app import app
from diamond.cli.networks import import_tensorflow
from diamond.cli.printing import has_bar

__all__: list[str] = []


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--folder", metavar="FOLDER", help="Where the page goes.")] = Path(
        "diamond-demo"
    ),
) -> None:
    """Name what is in a photo, show the channels that said so, and write one page.

    Half a minute, with nothing of your own.

    Example: diamond demo
    """
    import_tensorflow()
    from diamond.demo import run

    run(folder, say=typer.echo, progress=has_bar())
