"""What all commands share: the application, how an error leaves it, and how a table is printed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["Json", "app", "check_out", "or_exit", "print_table"]

SUFFIXES = (".html", ".png", ".csv", ".npz")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

app = typer.Typer(
    name="diamond",
    help="See what a Keras CNN looks at, what its channels look for, and where to cut it for transfer learning.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def check_out(out: Path, *also: str) -> None:
    """Refuse a file that a result cannot be saved as, before the minutes that making it takes.

    Raises
    ------
    ValueError
        For a suffix that is neither a result's nor among `also`.
    FileNotFoundError
        Where its folder does not exist.
    """
    if out.suffix not in (*SUFFIXES, *also):
        raise ValueError(f"cannot save as {out.name!r}; expected a name that ends in {', '.join(SUFFIXES)}")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"no folder {out.parent} to save {out.name} in; make it first")


def or_exit(do: Callable[[], Any], *, tensorflow: bool = True) -> Any:
    """Run; turn an error that is meant for the user into one line and exit code 1.

    Say `tensorflow=False` where the work needs none: importing it takes seconds.
    """
    try:
        if tensorflow:
            with _notices_unheard():
                import tensorflow as _  # noqa: F401
        return do()
    except (KeyError, ValueError, OSError, RuntimeError) as error:
        typer.secho(f"diamond: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def _notices_unheard() -> Iterator[None]:
    """Keep what a library writes to the standard error while it is imported from the user.

    TensorFlow tells about processors and drivers before any log level counts, past Python's own streams.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def print_table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print one line a row; piped, wide enough for a program to read."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for name in rows[0]:
        table.add_column(
            name, justify="left" if name in ("name", "weights", "next") else "right", no_wrap=name == "name"
        )
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else "" if v is None else str(v) for v in row.values()))
    # Piped output is read by programs: it must not be cut to a terminal's width.
    Console(width=None if sys.stdout.isatty() else 160).print(table)
