"""A figure is drawn as the last line of a cell, in the format that was chosen."""

import subprocess
import sys

import pytest

SHELL = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
{before}
import diamond
from matplotlib.figure import Figure
figure = Figure(figsize=(1, 1))
figure.subplots()
print(sorted(shell.display_formatter.format(figure)[0]))
"""
CHOOSE = "from IPython.core.pylabtools import select_figure_formats; select_figure_formats(shell, {{'{kind}'}})"


@pytest.mark.parametrize(
    ("before", "kinds"),
    [
        ("", ["image/png", "text/plain"]),
        (CHOOSE.format(kind="png"), ["image/png", "text/plain"]),
        (CHOOSE.format(kind="svg"), ["image/svg+xml", "text/plain"]),
    ],
    ids=["unasked", "as png", "as svg"],
)
def test_a_figure_is_drawn(before, kinds):
    done = subprocess.run(
        [sys.executable, "-c", SHELL.format(before=before)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == str(kinds)
