"""A training log as a page and as a figure: curves, and what was seen at some of the looks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.show.mosaic import mosaic
from diamond.show.pages import figure_uri, page, picture_uri
from diamond.show.tints import MARKS, TINTS
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.callbacks.training_log import LayerState, TrainingLog

__all__ = ["atlas_figure", "atlas_page"]

IN_STRIP = 6
FILTER_PX, MAP_PX = 24, 40
MOST_FILTERS, MOST_MAPS = 36, 9
PANELS = (
    ("median_smoothness", "smoothness of filters", "neighbouring weights' correlation, median"),
    ("mean_selectivity", "class selectivity of channels", "index from 0 to 1, mean"),
    ("dead", "dead channels", "0 everywhere in all pictures"),
)


def atlas_figure(log: TrainingLog) -> Figure:
    """Draw the curves, and below them the first filters at some of the looks."""
    filmed = next((number for number, state in enumerate(log.snapshots[0].layers) if state.filters is not None), None)
    figure = Figure(figsize=(13, 3.4 if filmed is None else 5.9), layout="constrained")
    rows = figure.subfigures(
        1 if filmed is None else 2, 1, squeeze=False, height_ratios=[1.25, 1][: 1 + (filmed is not None)]
    )
    _curves(log, rows[0, 0])
    if filmed is not None:
        looks = _chosen(range(len(log.snapshots)))
        panels = rows[1, 0].subplots(1, IN_STRIP, squeeze=False)[0]
        for panel in panels:
            panel.axis("off")
        for panel, look in zip(panels, looks, strict=False):
            snapshot = log.snapshots[look]
            tiles = snapshot.layers[filmed].filters
            assert tiles is not None
            panel.imshow(mosaic(tiles[:MOST_FILTERS], least_px=FILTER_PX, gap=4), interpolation="nearest")
            panel.set_title(_epoch(snapshot.epoch), fontsize=9)
        name = log.layers[filmed].replace("$", r"\$")
        rows[1, 0].suptitle(f"filters of {name}, each on its own scale, zero grey", fontsize=9, x=0.01, ha="left")
    return figure


def atlas_page(log: TrainingLog) -> str:
    """Give a training log as a whole HTML document."""
    curves = Figure(figsize=(13, 3.4), layout="constrained")
    _curves(log, curves)
    return page(
        "training_atlas.html",
        title=str(log),
        log=log,
        curves=figure_uri(curves, dpi=110),
        photo=picture_uri(log.photo, most_px=150),
        layers=[_strips(log, number) for number in range(len(log.layers))],
    )


def _curves(log: TrainingLog, figure: Any) -> None:
    panels = figure.subplots(1, 4)
    for (name, title, words), panel in zip(PANELS, panels, strict=False):
        for number, layer in enumerate(log.layers):
            values = log.of(layer, name)
            if np.isfinite(values).any():
                colour = np.array(TINTS[number % len(TINTS)]) / 255
                style = ("-", "--", ":")[number // len(TINTS) % 3]
                drawn = {"marker": MARKS[number % len(MARKS)], "ms": 3.5, "color": colour}
                panel.plot(log.epochs, values, style, label=layer.replace("$", r"\$"), **drawn)
                if name == "median_smoothness":
                    _band(log, number, panel, colour)
        panel.set_title(f"{title}\n{words}", fontsize=9)
        if not panel.lines:
            panel.text(0.5, 0.5, "none to measure", ha="center", va="center", transform=panel.transAxes, color="0.5")
    # Layers are named once, where most of them have a line.
    named = max(panels[:3], key=lambda panel: len(panel.lines))
    handles, labels = named.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(8, len(handles)), fontsize=8, frameon=False
        )
    _logs(log, panels[3])
    for panel in panels:
        panel.set_xlabel("epochs", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[2].yaxis.get_major_locator().set_params(integer=True)
    panels[2].set_ylim(-0.04 * max(1, panels[2].get_ylim()[1]), max(1, panels[2].get_ylim()[1]))


def _band(log: TrainingLog, number: int, panel: Any, colour: np.ndarray) -> None:
    """Shade the middle half of the filters."""
    every = [snapshot.layers[number].smoothness for snapshot in log.snapshots]
    if len(every) > 1 and all(values is not None and np.isfinite(values).any() for values in every):
        low, high = np.array([np.nanpercentile(values, (25, 75)) for values in every if values is not None]).T
        panel.fill_between(log.epochs, low, high, color=colour, alpha=0.12, linewidth=0)


def _logs(log: TrainingLog, panel: Any) -> None:
    names = list(dict.fromkeys(name for snapshot in log.snapshots for name in snapshot.logs))
    plain = list(dict.fromkeys(name.removeprefix("val_") for name in names))
    for name in names:
        told = [(s.epoch, s.logs[name]) for s in log.snapshots if name in s.logs]
        epochs, values = zip(*told, strict=True)
        # A metric and its validation share a colour.
        colour = np.array(TINTS[plain.index(name.removeprefix("val_")) % len(TINTS)]) / 255
        style = "--" if name.startswith("val_") else "-"
        panel.plot(epochs, values, style, marker="o", ms=3, color=colour, label=name.replace("$", r"\$"))
    panel.set_title("what Keras told\nloss and metrics", fontsize=9)
    if names:
        panel.legend(fontsize=7, frameon=False)


def _strips(log: TrainingLog, number: int) -> dict[str, Any]:
    """Give what a layer looked like: for filters, sprites and maps some looks side by side."""
    layer = log.layers[number]
    found: dict[str, Any] = {"layer": layer, "strips": []}
    for name, words in (
        ("filters", "Filters, each on its own scale, zero grey"),
        ("sprites", "What channels {} look for by now"),
        ("maps", "What channels {} make of the photo, each on its own scale"),
    ):
        looks = [look for look, s in enumerate(log.snapshots) if getattr(s.layers[number], name) is not None]
        if not looks:
            continue
        states = [(log.snapshots[look].epoch, log.snapshots[look].layers[number]) for look in _chosen(looks)]
        first = states[0][1]
        numbers = first.sprite_channels if name == "sprites" else first.channels[:MOST_MAPS]
        cells = [{"epoch": _epoch(epoch), "uri": picture_uri(_mosaic(state, name))} for epoch, state in states]
        found["strips"].append({"name": name, "words": words.format(", ".join(map(str, numbers))), "cells": cells})
    last = log.snapshots[-1].layers[number]
    found["state"] = last
    return found


def _mosaic(state: LayerState, name: str) -> np.ndarray:
    if name == "filters":
        assert state.filters is not None
        return mosaic(state.filters[:MOST_FILTERS], least_px=FILTER_PX, gap=4)
    if name == "maps":
        assert state.maps is not None
        return mosaic(state.maps[:MOST_MAPS], least_px=MAP_PX, gap=2)
    assert state.sprites is not None
    return mosaic(state.sprites, least_px=MAP_PX, gap=3)


def _chosen(looks: Sequence[int]) -> list[int]:
    """Take the first, the last and some evenly between."""
    places = np.unique(np.linspace(0, len(looks) - 1, min(IN_STRIP, len(looks))).round().astype(int))
    return [looks[place] for place in places]


def _epoch(epoch: int) -> str:
    return "before" if epoch == 0 else f"after {epoch}"
