"""The figure of a cut report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diamond.show.heat import AGAINST, FOR
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.transfer.cut_report import CutReport

__all__ = ["cut_figure"]

# The line of guessing is drawn where it takes no more than this of the axis from the cuts.
NEAR = 0.15


def cut_figure(report: CutReport) -> Figure:
    """Draw the accuracy of each cut against the work up to it.

    Bars are one standard error; the band holds all that cannot be told from the best; the recommended cut is orange; a
    dotted line is guessing, where the worst cut is near it.
    """
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panel = figure.subplots()
    cuts, choice = report.cuts, report.choice
    work = np.array([cut.multiply_adds for cut in cuts]) / 1e6
    accuracy = np.array([cut.accuracy for cut in cuts])
    errors = np.nan_to_num([cut.error for cut in cuts])
    tied = np.array([number in choice.tied for number in range(len(cuts))])
    colours = [
        np.array(FOR if number == choice.recommended else AGAINST) / 255 if tied[number] else np.full(3, 0.6)
        for number in range(len(cuts))
    ]
    if tied.any():
        low = float(accuracy[tied].min())
        panel.axhspan(low, float(accuracy[tied].max()), color=np.array(FOR) / 255, alpha=0.1, linewidth=0)
    panel.plot(work, accuracy, color="0.75", linewidth=1, zorder=1)
    for at, value, error, colour in zip(work, accuracy, errors, colours, strict=True):
        panel.errorbar(at, value, yerr=error, fmt="o", color=colour, capsize=3, markersize=6, zorder=2)
    low = float((accuracy - errors).min())
    if report.chance > low - NEAR:
        panel.axhline(report.chance, color="0.5", linewidth=1, linestyle=":")
    panel.annotate(
        f"guessing: {report.chance:.0%}", (0.995, 0.015), xycoords="axes fraction", fontsize=8, color="0.4", ha="right"
    )
    for number, cut in enumerate(cuts):
        above = number % 2 == 0
        panel.annotate(
            cut.layer.replace("$", r"\$"),
            (work[number], accuracy[number] + (errors[number] if above else -errors[number])),
            xytext=(0, 6 if above else -6),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=8,
            fontweight="bold" if number == choice.recommended else "normal",
        )
    panel.set(xlabel="million multiply-adds up to the cut", ylabel="balanced accuracy of a linear probe")
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.margins(x=0.06, y=0.14)
    panel.spines[["top", "right"]].set_visible(False)
    figure.suptitle(str(report).replace("$", r"\$"), fontsize=10, x=0.01, ha="left")
    return figure
