"""What commands print: answers on the standard output, as text, table or JSON; all else on the standard error.

A table is drawn for people where the output is a terminal. Piped, it is a line a row with tabs between, numbers without
separators, and nothing is cut: ``diamond models | cut -f1,7``. Colour is for terminals, and for those that did not set
``NO_COLOR``.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["has_bar", "print_json", "print_result", "print_table", "rows_of", "tell"]

WORDS = ("name", "layer", "kind", "weights", "next", "where", "what", "way out", "image", "target", "label", "flags")


def has_bar() -> bool:
    """Whether there is somebody to watch a progress bar: the standard error is a terminal."""
    return sys.stderr.isatty()


def tell(text: str, *, wrong: bool = False) -> None:
    """Say something that is no answer, on the standard error."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    colour = typer.colors.RED if wrong else typer.colors.YELLOW
    typer.echo(typer.style(f"diamond: {text}", fg=colour) if coloured else f"diamond: {text}", err=True)


def print_json(value: Any) -> None:
    """Print one JSON document in UTF-8; what is not finite is null, a tuple a list, a path its text."""
    text = json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    # As bytes: a program reads UTF-8, whatever the terminal speaks.
    sys.stdout.flush()
    typer.echo(text.encode("utf-8"))


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Give a table as one dictionary a row, of plain values."""
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def print_table(title: str, rows: Sequence[Mapping[str, Any]], *, narrow: Sequence[str] = ()) -> None:
    """Print rows that have the same keys: drawn in a terminal, with tabs between where piped.

    In a terminal that is too narrow for all columns those of `narrow` are drawn, and a line says so.
    """
    if not sys.stdout.isatty():
        lines = [list(rows[0]) if rows else [], *([_cell(value) for value in row.values()] for row in rows)]
        typer.echo("\n".join("\t".join(line) for line in lines))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    drawn = [{name: f"{v:,}" if isinstance(v, int) else _cell(v) for name, v in row.items()} for row in rows]
    names = list(rows[0]) if rows else []
    widths = [max(map(len, (name, *(row[name] for row in drawn)))) for name in names]
    is_cut = bool(narrow) and sum(widths) + 4 * len(names) > console.width
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in narrow if is_cut else names:
        table.add_column(name, justify="left" if name in WORDS else "right", overflow="fold", no_wrap=name == "name")
    for row in drawn:
        # Names may have brackets, which are no markup.
        table.add_row(*(Text(row[name]) for name in (narrow if is_cut else names)))
    console.print(table)
    if is_cut:
        left = ", ".join(name for name in names if name not in narrow)
        typer.echo(f"A wider terminal also shows: {left}.")


def print_result(result: Any, out: Path, *, as_json: bool, **facts: Any) -> None:
    """Save a result and print what it says, or its table as JSON with `facts` before it."""
    written = result.save(out) or out
    if as_json:
        noted = {name: list(getattr(result, name)) for name in ("notes", "skipped") if hasattr(result, name)}
        print_json({**facts, "rows": rows_of(result.to_dataframe()), **noted, "written": str(out)})
    else:
        typer.echo(repr(result))
        typer.echo(f"written: {written}")


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(str(value).split())


def _plain(value: Any) -> Any:
    """Give what JSON knows: text, numbers, booleans, lists, dictionaries and null."""
    import numpy as np

    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    # pandas has a missing value of its own, which is no number.
    return None if type(value).__name__ in ("NAType", "NaTType") else str(value)
