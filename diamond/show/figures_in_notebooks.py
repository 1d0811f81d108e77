"""Figures that draw themselves as the last line of a notebook's cell.

    found.plot()            # in a notebook: the figure; without this module: <Figure size 810x410 with 3 Axes>

A notebook draws a figure only where `matplotlib.pyplot` was imported before, which is what tells IPython how. The figures
of the results are made without it, so that none of them is kept open. So IPython is told here, by the type's name: it
imports nothing, and whoever chooses another format (``%config InlineBackend.figure_formats``) is obeyed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["show_figures"]

TYPE = ("matplotlib.figure", "Figure")


def show_figures() -> None:
    """Tell the notebook that this runs in, if any, how a figure is drawn, unless it knows."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or shell.display_formatter is None:
        return
    formatters = shell.display_formatter.formatters
    if not any(".".join(TYPE) in formatters[kind] for kind in ("image/png", "image/jpeg", "image/svg+xml")):
        formatters["image/png"].for_type_by_name(*TYPE, _as_png)


def _as_png(figure: Figure) -> object:
    from IPython.core.pylabtools import print_figure

    return print_figure(figure, "png")
