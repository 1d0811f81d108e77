"""One way to save any result: the suffix says as what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["save"]


def save(
    path: str | Path,
    *,
    page: Callable[[], str],
    figure: Callable[[], Figure],
    table: Callable[[], pd.DataFrame],
    arrays: Mapping[str, np.ndarray],
) -> Path:
    """Write a result as ``.html``, ``.png``, ``.csv`` or ``.npz``.

    Parameters
    ----------
    path
        Where to; its suffix decides the form.
    page, figure, table
        Make the page (a whole HTML document), the matplotlib figure, the table; only the one needed is called.
    arrays
        The result's arrays by name.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ValueError
        For any other suffix, naming those there are.
    FileNotFoundError
        Where the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in; make it first")
    if path.suffix == ".html":
        path.write_text(page(), encoding="utf-8")
    elif path.suffix == ".png":
        figure().savefig(path, dpi=150)
    elif path.suffix == ".csv":
        table().to_csv(path, index=False)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        raise ValueError(f"cannot save as {path.suffix!r}; expected .html, .png, .csv or .npz")
    return path
