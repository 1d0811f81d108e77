"""Keep a student, with what was found on the way to it.

::

    dc.save(student, "/drive/flowers", reports=[report, training, comparison])
    student = dc.load("/drive/flowers")
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from diamond.show.result import Result
from modelzoo import Network
from modelzoo.persist import save_network

__all__ = ["save"]


def save(net: Network, path: str | Path, *, reports: Sequence[Result] = (), overwrite: bool = False) -> str:
    """Write a network, with its card and reports, into one folder.

    Parameters
    ----------
    net
        A student, or any network.
    path
        The folder, or an address that fsspec reaches: ``"gs://bucket/flowers"``. `dc.load` takes the same.
    reports
        Results whose pages go along: ``cut_report.html``, ``training.html``, ``comparison.html``.
    overwrite
        Whether a folder that is there is replaced.

    Returns
    -------
    str
        Where it is.

    Raises
    ------
    FileExistsError
        Where something is there already.
    CardError
        For a model that holds code, which `dc.load` would not read.
    ImportError
        Where an address needs a package that is not installed.

    Examples
    --------
    >>> dc.save(student, "student")
    'student'
    >>> dc.load("student").classes.names
    ('brick', 'grass', 'gravel')
    """
    pages: dict[str, bytes] = {}
    for report in reports:
        stem = re.sub(r"(?<!^)(?=[A-Z])", "_", type(report).__name__).lower()
        names = (f"{stem}.html", *(f"{stem}_{number}.html" for number in range(2, len(reports) + 2)))
        pages[next(name for name in names if name not in pages)] = report._page().encode()
    return save_network(net, path, files=pages, overwrite=overwrite)
