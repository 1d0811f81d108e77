"""The figure of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from diamond.show.heat import AGAINST, FOR
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.transfer.training import Training

__all__ = ["training_figure"]


def training_figure(training: Training) -> Figure:
    """Draw loss and accuracy by epoch: training blue, validation orange; a ring for the epoch that is kept.

    The ground is darker where blocks of the kept part learn too.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    epochs = training.epochs
    at = np.arange(len(epochs)) + training.first
    fine = [number for number, epoch in zip(at, epochs, strict=True) if epoch.phase == "blocks"]
    pairs = [("loss", "loss", "validation_loss"), ("accuracy", "accuracy", "validation_accuracy")]
    for panel, (title, learned, judged) in zip(figure.subplots(1, 2), pairs, strict=True):
        if fine:
            panel.axvspan(fine[0] - 0.5, fine[-1] + 0.5, color="0.5", alpha=0.1, linewidth=0)
            panel.annotate(
                "blocks learn too", (fine[0] - 0.4, 0.985), xycoords=("data", "axes fraction"), va="top", fontsize=8,
                color="0.4",
            )  # fmt: skip
        panel.plot(at, [getattr(epoch, learned) for epoch in epochs], "s--", color=_colour(AGAINST), markersize=3)
        ends = [("training", getattr(epochs[-1], learned), AGAINST)]
        if epochs[-1].validation_loss is not None:
            values = [getattr(epoch, judged) for epoch in epochs]
            panel.plot(at, values, "o-", color=_colour(FOR), markersize=3)
            panel.plot(
                at[training.best], values[training.best], "o", markersize=11, fillstyle="none", color=_colour(FOR)
            )
            ends.append(("validation", values[-1], FOR))
        _name_lines(panel, int(at[-1]), ends)
        panel.set(xlabel="epoch" if training.first else "epoch; 0 is the probe", xlim=(at[0] - 0.5, at[-1] + 0.5))
        panel.margins(y=0.12)
        panel.set_title(title, fontsize=10, loc="left")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.spines[["top", "right"]].set_visible(False)
        if title == "accuracy":
            panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    figure.suptitle(str(training).replace("$", r"\$"), fontsize=10, x=0.01, ha="left")
    return figure


def _name_lines(panel: object, last: int, ends: list[tuple[str, float, tuple[int, int, int]]]) -> None:
    """Write each line's name at its end, the higher one upward and the lower one downward."""
    order = sorted(ends, key=lambda end: -end[1])
    for number, (name, value, colour) in enumerate(order):
        panel.annotate(  # type: ignore[attr-defined]
            name, (last, value), xytext=(6, 5 if number == 0 else -5), textcoords="offset points", fontsize=8,
            va="bottom" if number == 0 else "top", color=_colour(colour), annotation_clip=False,
        )  # fmt: skip


def _colour(rgb: tuple[int, int, int]) -> np.ndarray:
    return np.array(rgb) / 255
