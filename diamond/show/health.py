"""The health of a network's layers as a table to read and as a figure: a row a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.show.heat import AGAINST, FOR
from diamond.show.pages import page
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.health_report import Health, LayerHealth

__all__ = ["health_figure", "health_page"]

MOST_NAMED = 60
GREY = (0.62, 0.64, 0.67)


def health_page(found: Health) -> str:
    """Give the health of all layers as a whole HTML document."""
    from diamond.inspection.health_report import MEANINGS

    return page(
        "health.html",
        title=str(found),
        found=found,
        rows=[_row(each) for each in found.layers],
        meanings={name: (MEANINGS[name], layers) for name, layers in found.flagged.items()},
        others={name: MEANINGS[name] for name in MEANINGS if name not in found.flagged},
    )


def health_figure(found: Health) -> Figure:
    """Draw a row a layer and a column a measure; orange where it is flagged."""
    rows = found.layers
    figure = Figure(figsize=(11.5, max(2.6, 0.19 * len(rows) + 1.3)), layout="constrained")
    columns: list[tuple[str, tuple[str, ...], list[float]]] = [
        ("dead and (in blue)\nidle channels", ("dead", "idle"), [len(each.dead) / each.channels for each in rows]),
        ("zeros", ("sparse",), [each.sparsity for each in rows]),
        ("values at the cap", ("saturated",), [each.saturation for each in rows]),
        ("effective rank,\nof living channels", ("low rank",), [each.rank_share for each in rows]),
        ("channels like\nan earlier one", ("redundant",), [_share(each.redundant, each) for each in rows]),
        ("smoothness\nof filters", ("noisy", "alike"), [each.mean_smoothness for each in rows]),
    ]
    panels = figure.subplots(1, len(columns), sharey=True)
    at = np.arange(len(rows))
    for panel, (title, flags, values) in zip(panels, columns, strict=True):
        flagged = [any(flag in each.flags for flag in flags) for each in rows]
        colours = [np.array(FOR) / 255 if is_so else GREY for is_so in flagged]
        panel.barh(at, np.nan_to_num(values), color=colours, height=0.72)
        if "idle" in flags:
            idle = [len(each.idle) / each.channels for each in rows]
            panel.barh(at, idle, left=np.nan_to_num(values), color=np.array(AGAINST) / 255, alpha=0.45, height=0.72)
        for i, value in enumerate(values):
            if not np.isfinite(value):
                panel.text(0.01, i, "\N{EN DASH}", fontsize=6, va="center", color="0.6")
        smooth = "smoothness" in title
        reach = 1.0 if smooth or "zeros" in title else max(0.02, float(np.nanmax([0.0, *values])) * 1.08)
        panel.set_xlim(min(0.0, float(np.nanmin([0.0, *values]))) if smooth else 0.0, reach)
        panel.set_title(title, fontsize=8)
        panel.tick_params(axis="x", labelsize=7)
        panel.tick_params(axis="y", labelsize=6.5, length=0)
        panel.xaxis.set_major_locator(_few())
        if not smooth:
            panel.xaxis.set_major_formatter(
                lambda value, _: f"{value:.0%}" if value >= 0.01 or not value else f"{value:.1%}"
            )
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(at, [each.layer.replace("$", r"\$") for each in rows])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle(f"{found}; orange: worth a look".replace("$", r"\$"), fontsize=9, x=0.01, ha="left")
    return figure


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(3)


def _share(numbers: np.ndarray | None, each: LayerHealth) -> float:
    return float("nan") if numbers is None else len(numbers) / each.channels


def _row(each: LayerHealth) -> dict[str, Any]:
    return {
        "health": each,
        "dead": len(each.dead) / each.channels,
        "idle": len(each.idle) / each.channels,
        "rank": each.rank_share,
        "redundant": _share(each.redundant, each),
        "alike": _share(each.alike, each),
        "smoothness": each.mean_smoothness,
        "words": _words(each),
    }


def _words(each: LayerHealth) -> list[tuple[str, str]]:
    """Name the channels behind a row's numbers."""
    said = [(name, _listed(numbers)) for name, numbers in (("dead", each.dead), ("idle", each.idle)) if len(numbers)]
    if each.twins:
        pairs = ", ".join(f"{i} and {j} ({r:.2f})" for i, j, r in each.twins)
        said.append(("closest pairs", pairs.replace("-", "\N{MINUS SIGN}")))
    if each.alike is not None and len(each.alike):
        said.append(("filters like an earlier one", _listed(each.alike)))
    return said


def _listed(numbers: Sequence[int] | np.ndarray) -> str:
    rest = len(numbers) - MOST_NAMED
    return ", ".join(str(int(number)) for number in numbers[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
