"""A volume as a figure and as a page: slices along all axes, the binary volume, and a view in three dimensions."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from diamond.show.map_tiles import coloured
from diamond.show.packing import pack_measured
from diamond.show.pages import figure_uri, page
from diamond.show.volume_scene import CAMERA, EXTRA, aspect, has_plotly, plotly_gzip, thinned, ticks
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.voxels import Volume

__all__ = ["opened_at", "volume_figure", "volume_page"]

# What a page carries for its slices, in two bytes each.
MOST_ON_PAGE = 400_000
MAPS = 24
ELONGATED = 2.5
BINARY = np.array([[14, 15, 18], [255, 214, 160]], np.uint8)
NAMES = ("rows", "columns", "depth")


def opened_at(volume: Volume) -> tuple[int, int, int]:
    """Give where a volume is opened: the middle row and column, and the slice of the depth that varies most."""
    high, wide, _ = volume.values.shape
    return high // 2, wide // 2, int(volume.values.var(axis=(0, 1)).argmax())


def volume_figure(volume: Volume) -> Figure:
    """Draw one slice across each axis, binary below, the highest along each axis below that, then maps."""
    at = opened_at(volume)
    most = float(np.abs(volume.values).max()) or 1.0
    figure = Figure(figsize=(11, 9.6), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(2.9, 1.1))[:, 0]
    panels = above.subplots(3, 3, squeeze=False, width_ratios=(1.0, 1.5, 1.5))
    for column, axis in enumerate((2, 1, 0)):
        where = volume.axes[axis].word(at[axis])
        images = (
            coloured(volume.slice(axis, at[axis]), most),
            BINARY[volume.slice(axis, at[axis], binary=True).astype(int)],
            coloured(volume.values.max(axis=axis), most),
        )
        words = (where, f"{where}, {volume.threshold:.3g} or more", f"highest of all {volume.axes[axis].plural}")
        for row, (image, title) in enumerate(zip(images, words, strict=True)):
            _draw(panels[row, column], volume, axis, image, title, labelled=row == 2)
    shown = np.unique(np.linspace(0, volume.values.shape[2] - 1, min(MAPS, volume.values.shape[2])).round().astype(int))
    rows = 2 if len(shown) > 12 else 1
    maps = below.subplots(rows, -(-len(shown) // rows), squeeze=False)
    for panel in maps.ravel():
        panel.axis("off")
    for k, panel in zip(shown, maps.ravel(), strict=False):
        panel.imshow(_upright(volume, 2, coloured(volume.values[..., k])), interpolation="nearest", aspect="equal")
        panel.set_title(volume.axes[2].word(int(k)).replace("channel ", ""), fontsize=7, pad=2)
    below.suptitle(
        f"{len(shown)} of {volume.values.shape[2]:,} slices, each on its own scale", fontsize=8, x=0.01, ha="left"
    )
    heading = textwrap.fill(repr(volume), 140).replace("$", r"\$")
    figure.suptitle(heading, fontsize=9, x=0.01, ha="left")
    return figure


def volume_page(volume: Volume) -> str:
    """Give a volume as a whole HTML document."""
    flat = thinned(volume.values, MOST_ON_PAGE)
    drawn = has_plotly()
    content: dict[str, Any] = {
        "slices": _packed(flat.values),
        "axes": [_said(volume, axis, flat.factors[axis], flat.values.shape[axis]) for axis in range(3)],
        "at": [
            min(place // factor, n - 1)
            for place, factor, n in zip(opened_at(volume), flat.factors, flat.values.shape, strict=True)
        ],
        "threshold": volume.threshold,
        "range": [float(volume.values.min()), float(volume.values.max())],
        "upward": volume.upward,
        "scene": None,
    }
    small = thinned(volume.values)
    if drawn:
        rows, columns, deep = small.values.shape
        content["scene"] = {
            **_packed(small.values),
            "aspect": aspect(rows, columns, deep),
            "camera": CAMERA,
            "axes": [
                ticks(axis, factor, n)
                for axis, factor, n in zip(volume.axes, small.factors, small.values.shape, strict=True)
            ],
        }
    return page(
        "volume.html",
        title=volume.name,
        volume=volume,
        size=volume.size,
        data=json.dumps(content).replace("<", "\\u003c"),
        plotly=plotly_gzip() if drawn else None,
        extra=EXTRA,
        scene_note=small.note if drawn else "",
        slice_note=flat.note.replace("For the view in three dimensions", "For these slices"),
        still=figure_uri(volume_figure(volume), dpi=70),
    )


def _packed(values: np.ndarray) -> dict[str, Any]:
    return {**pack_measured(values), "shape": list(values.shape)}


def _said(volume: Volume, axis: int, factor: int, n: int) -> dict[str, Any]:
    one = volume.axes[axis]
    words = [one.word(min(k * factor, len(one.places) - 1)) for k in range(n)]
    return {"name": one.name, "label": one.label, "words": words}


def _draw(panel: Axes, volume: Volume, axis: int, image: np.ndarray, title: str, *, labelled: bool) -> None:
    left = [other for other in range(3) if other != axis]
    square = axis == 2 and 1 / ELONGATED < image.shape[1] / image.shape[0] < ELONGATED
    panel.imshow(_upright(volume, axis, image), interpolation="nearest", aspect="equal" if square else "auto")
    panel.set_title(title, fontsize=8, pad=3)
    down, across = (volume.axes[other] for other in left)
    for name, one, n in (("x", across, image.shape[1]), ("y", down, image.shape[0])):
        shown = np.unique(np.linspace(0, n - 1, min(n, 3 if axis == 2 else 4)).round().astype(int))
        digits = 2 if one.unit == "s" else 0
        text = [f"{one.places[k]:,.{digits}f}" for k in shown]
        turned = name == "y" and volume.upward and left[0] == 0
        ticks_at = n - 1 - shown if turned else shown
        (panel.set_xticks if name == "x" else panel.set_yticks)(ticks_at, text, fontsize=6.5)
    if labelled:
        panel.set_xlabel(across.label, fontsize=7)
    panel.set_ylabel(down.label, fontsize=7)


def _upright(volume: Volume, axis: int, image: np.ndarray) -> np.ndarray:
    """Turn a slice whose rows are frequencies, lowest first, as pictures lie."""
    return image[::-1] if volume.upward and axis != 0 else image
