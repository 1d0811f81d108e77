"""A comparison of networks as a page and as figures.

Each network keeps one colour throughout. Of what it answers to a class the right part has that colour and the rest is grey,
named where there is room, so that no legend is needed for a hundred classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from diamond.show.packing import gather
from diamond.show.pages import page
from diamond.show.tints import MARKS, colour_of
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from diamond.transfer.comparison import Comparison

__all__ = ["comparison_figure", "comparison_page"]

VIEWS = ("summary", "rates", "confusion", "disagreements")
# All classes, where they are so few; else so many of them.
ALL_ON_PAGE, SOME_ON_PAGE, RATES_IN_SUMMARY, RATES_IN_FIGURE = 20, 12, 6, 24
# Matrices of more classes are squares without words; on the page the commonest mix-ups stand instead.
MOST_IN_MATRIX = 16
MIX_UPS = 12
CHANGED_ON_PAGE = 8
THUMBNAIL_BYTES = 420_000
GREYS = (0.62, 0.74, 0.84)


class Segment(NamedTuple):
    """One answer's share of a class."""

    word: str
    share: float
    right: bool


class ClassRates(NamedTuple):
    """What each network answers to one class."""

    name: str
    samples: int
    bars: list[list[Segment]]


def comparison_page(found: Comparison) -> str:
    """Give a comparison as a whole HTML document."""
    thumbnails = gather(found.thumbnails, most_bytes=THUMBNAIL_BYTES) if len(found.thumbnails) else None
    low = min(one.accuracy_interval[0] for one in found.networks)
    low = min(low, *(one.balanced_interval[0] for one in found.networks))
    reach = max((max(abs(end) for end in pair.interval) for pair in found.pairs_found), default=1.0)
    filled = sum(count > 0 for count in found.counts)
    rates = class_rates(found, ALL_ON_PAGE if filled <= ALL_ON_PAGE else SOME_ON_PAGE)
    return page(
        "comparison.html",
        title=str(found),
        found=found,
        colours=[" ".join(map(str, colour_of(i))) for i in range(len(found.networks))],
        floor=np.floor(low * 10) / 10,
        reach=reach,
        rates=rates,
        matrices=len(found.classes) <= MOST_IN_MATRIX,
        mix_ups=_mix_ups(found),
        thumbnails=thumbnails,
        most_changed=max((one.median for one in found.changes), default=0.0),
        top=CHANGED_ON_PAGE,
    )


def comparison_figure(found: Comparison, view: str = "summary") -> Figure:
    """Draw a comparison: see `Comparison.plot`.

    Raises
    ------
    ValueError
        For a view that there is not.
    """
    if view not in VIEWS:
        raise ValueError(f"no view {view!r}; expected {', '.join(VIEWS)}")
    draw = {"summary": _summary, "rates": _rates, "confusion": _matrices, "disagreements": _disagreements}
    return draw[view](found)


def class_rates(found: Comparison, most: int) -> list[ClassRates]:
    """Give what each network answers to each class, the right answer first, then the commonest.

    Of more than `most` classes those are given between whose recalls the networks differ most, in their order.
    """
    words = (*found.classes, "other")
    counts = found.confusion
    there = [i for i, n in enumerate(found.counts) if n]
    if len(there) > most:
        recalls = counts[:, there, there] / np.array(found.counts)[there]
        apart = recalls.max(axis=0) - recalls.min(axis=0) if len(found.networks) > 1 else 1 - recalls[0]
        there = sorted(there[k] for k in np.argsort(-apart, kind="stable")[:most])
    rows = []
    for i in there:
        bars = []
        for row in counts[:, i]:
            order = sorted(np.flatnonzero(row).tolist(), key=lambda k, row=row, i=i: (k != i, -row[k]))  # type: ignore[misc]
            bars.append([Segment(words[k], float(row[k]) / found.counts[i], k == i) for k in order])
        rows.append(ClassRates(found.classes[i], found.counts[i], bars))
    return rows


def _mix_ups(found: Comparison) -> list[tuple[str, str, list[int], int]]:
    """Give the commonest wrong answers: true class, answer, how often each network gives it, of how many."""
    words = (*found.classes, "other")
    wrong = found.confusion.copy()
    diagonal = np.arange(len(found.classes))
    wrong[:, diagonal, diagonal] = 0
    wrong[:, :, -1] = 0
    order = np.argsort(-wrong.max(axis=0), axis=None, kind="stable")[:MIX_UPS]
    places = [(int(i), int(k)) for i, k in zip(*np.unravel_index(order, wrong.shape[1:]), strict=True)]
    return [
        (found.classes[i], words[k], wrong[:, i, k].tolist(), found.counts[i])
        for i, k in places
        if wrong[:, i, k].any()
    ]


def _summary(found: Comparison) -> Figure:
    n = len(found.networks)
    shown = class_rates(found, RATES_IN_SUMMARY)
    below = 0.6 + len(shown) * (0.2 * n + 0.14)
    above = 2.9
    figure = Figure(figsize=(10, above + below + 0.4), layout="constrained")
    upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=(above, below))[:, 0]
    panels = upper.subplots(1, 3, width_ratios=(1.25, 1, 1))
    _draw_accuracy(panels[0], found)
    _draw_reliability(panels[1], found)
    _draw_work(panels[2], found)
    _draw_rates(lower.subplots(), found, shown)
    figure.suptitle(_plain(str(found)), fontsize=10, x=0.01, ha="left")
    return figure


def _rates(found: Comparison) -> Figure:
    shown = class_rates(found, RATES_IN_FIGURE)
    figure = Figure(figsize=(9, 1.1 + len(shown) * (0.2 * len(found.networks) + 0.14)), layout="constrained")
    _draw_rates(figure.subplots(), found, shown)
    return figure


def _draw_accuracy(panel: Axes, found: Comparison) -> None:
    for i, one in enumerate(found.networks):
        for value, ends, down, filled in (
            (one.accuracy, one.accuracy_interval, -0.13, True),
            (one.balanced, one.balanced_interval, 0.13, False),
        ):
            colour = _colour(i)
            panel.plot(ends, [i + down] * 2, color=colour, linewidth=2, solid_capstyle="butt")
            panel.plot(value, i + down, "o", color=colour, markerfacecolor=colour if filled else "white", markersize=6)
    panel.set_yticks(range(len(found.networks)), [_plain(name) for name in found.names], fontsize=9)
    panel.set_ylim(len(found.networks) - 0.5, -0.5)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.set_title(f"accuracy (filled), balanced (open), {found.level:.0%} intervals", fontsize=9, loc="left")
    panel.grid(axis="x", color="0.92")
    _bare(panel)


def _draw_reliability(panel: Axes, found: Comparison) -> None:
    panel.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
    for i, one in enumerate(found.networks):
        there = one.reliability.counts > 0
        panel.plot(
            one.reliability.confidences[there],
            one.reliability.shares[there],
            color=_colour(i),
            linewidth=1,
            alpha=0.45,
            zorder=2,
        )
        panel.scatter(
            one.reliability.confidences[there],
            one.reliability.shares[there],
            s=10 + 110 * one.reliability.counts[there] / len(found),
            color=_colour(i),
            marker=MARKS[i % len(MARKS)],
            zorder=3,
        )
    panel.set(xlim=(0, 1.02), ylim=(-0.02, 1.04))
    panel.set_xlabel("how sure", fontsize=9)
    panel.set_ylabel("how often right", fontsize=9)
    errors = ", ".join(f"{one.reliability.error:.0%}" for one in found.networks)
    panel.set_title(f"calibration: error {errors}", fontsize=9, loc="left")
    _bare(panel)


def _draw_work(panel: Axes, found: Comparison) -> None:
    works = [one.multiply_adds / 1e6 for one in found.networks]
    n = len(works)
    ticks: list[float] = []
    for work in sorted(works):
        # Numbers that would be written over each other are written once.
        if not ticks or work > 1.4 * ticks[-1]:
            ticks.append(work)
    for i, one in enumerate(found.networks):
        # Networks of the same work stand beside each other.
        same = [k for k in range(n) if abs(works[k] / works[i] - 1) < 0.03]
        work = works[i] * 1.06 ** (same.index(i) - (len(same) - 1) / 2)
        panel.plot([work, work], one.accuracy_interval, color=_colour(i), linewidth=2, solid_capstyle="butt")
        panel.plot(work, one.accuracy, MARKS[i % len(MARKS)], color=_colour(i), markersize=6)
    panel.set_xscale("log")
    panel.set_xlim(min(works) / 2, max(works) * 2)
    panel.set_xticks(ticks, [f"{work:,.0f}" if work >= 10 else f"{work:.2g}" for work in ticks])
    panel.minorticks_off()
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.set_xlabel("million multiply-adds", fontsize=9)
    panel.set_title("accuracy against work", fontsize=9, loc="left")
    _bare(panel)


def _draw_rates(panel: Axes, found: Comparison, shown: Sequence[ClassRates]) -> None:
    n = len(found.networks)
    ticks = []
    for row, each in enumerate(shown):
        top = row * (n + 0.7)
        ticks.append(top + (n - 1) / 2)
        for i, bar in enumerate(each.bars):
            begin, grey = 0.0, 0
            for segment in bar:
                colour: Any = _colour(i) if segment.right else (GREYS[grey % len(GREYS)],) * 3
                grey += not segment.right
                panel.barh(
                    top + i, segment.share, left=begin, height=0.86, color=colour, edgecolor="white", linewidth=0.8
                )
                word = f"{segment.share:.0%}" if segment.right else segment.word
                # About 150 letters of this size go across the panel.
                if len(word) < 130 * segment.share:
                    panel.text(
                        begin + segment.share / 2, top + i, _plain(word), ha="center", va="center", fontsize=7,
                        color="black",
                    )  # fmt: skip
                begin += segment.share
    panel.set_yticks(ticks, [f"{_plain(each.name)} ({each.samples:,})" for each in shown], fontsize=8)
    panel.set_ylim(len(shown) * (n + 0.7) - 1.0, -0.75)
    panel.set_xlim(0, 1)
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    filled = sum(count > 0 for count in found.counts)
    which = "" if len(shown) == filled else f", the {len(shown)} of {filled} classes they differ most in"
    if n == 1 and which:
        which = f", the {len(shown)} of {filled} classes it knows worst"
    panel.set_title(f"what is answered to each class{which} (coloured: right)", fontsize=9, loc="left", pad=22)
    for i, name in enumerate(found.names):
        panel.plot([], [], MARKS[i % len(MARKS)], color=_colour(i), label=_plain(name))
    panel.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=n, fontsize=8, frameon=False, borderaxespad=0.2,
        handletextpad=0.1, columnspacing=1.2,
    )  # fmt: skip
    panel.tick_params(axis="y", length=0)
    _bare(panel)


def _matrices(found: Comparison) -> Figure:
    n, k = len(found.networks), len(found.classes)
    words = [*found.classes, "other"]
    last = k + 1 if any(one.others for one in found.networks) else k
    side = min(6.0, 1.6 + 0.36 * k)
    figure = Figure(figsize=(side * n + 0.6, side + 0.5), layout="constrained")
    for panel, one in zip(figure.subplots(1, n, squeeze=False)[0], found.networks, strict=True):
        counts = one.confusion[:, :last]
        totals = np.maximum(one.confusion.sum(axis=1, keepdims=True), 1)
        shares = counts / totals
        panel.imshow(shares, cmap="Oranges", vmin=0, vmax=1, aspect="equal")
        if k <= MOST_IN_MATRIX:
            panel.set_yticks(range(k), [_plain(word) for word in words[:k]], fontsize=7)
            panel.set_xticks(range(last), [_plain(word) for word in words[:last]], fontsize=7, rotation=60, ha="right")
            for i, j in zip(*np.nonzero(counts), strict=True):
                light = shares[i, j] > 0.6
                panel.text(
                    j, i, f"{counts[i, j]:,}", ha="center", va="center", fontsize=7, color="white" if light else "0.15"
                )
        panel.set_xlabel("answered", fontsize=8)
        panel.set_ylabel("true class", fontsize=8)
        panel.set_title(_plain(one.name), fontsize=9)
    return figure


def _disagreements(found: Comparison) -> Figure:
    shown = found.disagreements[:12]
    columns = min(max(len(shown), 1), 4)
    rows = max(1, -(-len(shown) // columns))
    deep = 1.75 + 0.16 * (len(found.networks) + 1)
    figure = Figure(figsize=(2.5 * columns, deep * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.axis("off")
    if not shown:
        panels[0].text(0.5, 0.5, "the networks agree\non every sample", ha="center", va="center", fontsize=9)
    for panel, one, picture in zip(panels, shown, found.thumbnails, strict=False):
        panel.imshow(picture)
        panel.set_title(_plain(_short(one.label, 30)), fontsize=8, fontweight="bold", pad=3)
        each = zip(one.answers, one.probabilities, one.right, strict=True)
        for i, (answer, share, right) in enumerate(each):
            panel.text(
                0.5, -0.03 - 0.1 * i, f"{'✓' if right else '✗'} {_plain(_short(answer, 24))} {share:.0%}", fontsize=7.5,
                ha="center", va="top", transform=panel.transAxes, color=_dark(i),
            )  # fmt: skip
    key = ", ".join(found.names)
    figure.suptitle(
        f"{found.disagreeing:,} of {len(found):,} are answered differently; below each: {_plain(key)}", fontsize=8
    )
    return figure


def _short(word: str, most: int) -> str:
    return word if len(word) <= most else word[: most - 1] + "…"


def _colour(i: int) -> tuple[float, float, float]:
    red, green, blue = colour_of(i)
    return red / 255, green / 255, blue / 255


def _dark(i: int) -> tuple[float, float, float]:
    """Give a network's colour dark enough to be read as text."""
    red, green, blue = (0.62 * part for part in _colour(i))
    return red, green, blue


def _bare(panel: Axes) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8)


def _plain(word: str) -> str:
    # A dollar begins a formula.
    return word.replace("$", r"\$")
