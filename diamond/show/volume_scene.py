"""A volume in three dimensions, drawn by plotly: the surface where values reach the threshold, and slices.

Plotly is an extra (``pip install "diamond-cutter[volume]"``): it brings five megabytes of JavaScript. A page carries
them in compressed, 1.4 MB, and unpacks them where it is looked at, so it asks nothing of a network; without plotly a
page has its slices, and no view in three dimensions.
"""

from __future__ import annotations

import base64
import gzip
import importlib.util
import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.show.heat import AGAINST, FOR
from diamond.show.map_tiles import DARKEST

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as Scene

    from diamond.inspection.voxels import Axis, Volume

__all__ = ["CAMERA", "Thinned", "has_plotly", "plotly_gzip", "scene", "thinned"]

# A browser marches through so many cubes in about a second.
MOST_VOXELS = 120_000
STEPS = 24
TICKS = 6
# The stack is drawn up to so many times as long as it is wide.
LONGEST = 2.2
# The stack lies, its first map to the left and upright.
CAMERA = {
    "eye": {"x": -0.95, "y": -2.15, "z": 0.85},
    "up": {"x": 0, "y": 0, "z": 1},
    "center": {"x": 0, "y": 0, "z": -0.08},
}
EXTRA = 'pip install "diamond-cutter[volume]"'


@dataclass(frozen=True, eq=False)
class Thinned:
    """A volume small enough to be drawn in three dimensions.

    Attributes
    ----------
    values
        ``(rows, columns, depth)``, two cells or more along each axis.
    factors
        How many cells of each axis became one: neighbours in a map are averaged, of the depth every k-th is kept.
    """

    values: np.ndarray
    factors: tuple[int, int, int]

    @property
    def note(self) -> str:
        """What was left out, in words; nothing where nothing was."""
        high, wide, deep = self.factors
        parts = [] if high == wide == 1 else [f"{high} x {wide} cells of a map averaged into one"]
        parts += [] if deep == 1 else [f"every {deep}. slice taken"]
        return "" if not parts else f"For the view in three dimensions {' and '.join(parts)}; files have all."


def thinned(values: np.ndarray, most: int = MOST_VOXELS) -> Thinned:
    """Thin a volume ``(rows, columns, depth)`` until it has at most `most` voxels."""
    factor = 1
    while min(values.shape[:2]) // (factor + 1) >= 12 and values.size / factor**2 > most:
        factor += 1
    maps = _averaged(values, factor)
    deep = max(1, math.ceil(maps.size / most))
    kept = maps[:, :, ::deep]
    for axis in range(3):
        # A surface needs two cells along every axis.
        kept = np.repeat(kept, 2, axis=axis) if kept.shape[axis] == 1 else kept
    return Thinned(np.ascontiguousarray(kept, np.float32), (factor, factor, deep))


def scene(volume: Volume) -> Scene:
    """Give a volume as a plotly figure, with a slider each for the threshold and for the slice.

    Raises
    ------
    ModuleNotFoundError
        Where plotly is not installed.
    """
    if not has_plotly():
        raise ModuleNotFoundError(f"a view in three dimensions is drawn by plotly, which is not installed; {EXTRA}")
    from plotly import graph_objects

    small = thinned(volume.values)
    values = small.values
    most = float(np.abs(values).max()) or 1.0
    rows, columns, deep = values.shape
    z, y, x = (axis.ravel() for axis in np.indices(values.shape))
    place = {"x": x, "y": y, "z": z, "value": values.ravel()}
    threshold = min(volume.threshold, most)
    quiet = {"show": False}
    caps = {"x": {"show": True}, "y": {"show": True}, "z": {"show": True}}
    solid: dict[str, Any] = {"showscale": False, "caps": caps, "surface": {"count": 2}, "hoverinfo": "skip"}
    solid["lighting"] = {"ambient": 0.78, "diffuse": 0.7, "specular": 0.1}
    traces = [
        graph_objects.Isosurface(
            **place, **solid, isomin=threshold, isomax=most, colorscale=shades(FOR), name="at the threshold or above"
        )
    ]
    if float(values.min()) < -threshold < 0:
        below = graph_objects.Isosurface(
            **place, **solid, isomin=-most, isomax=-threshold, colorscale=shades(AGAINST), name="as far below zero"
        )
        traces.append(below)
    middle = deep // 2
    cut = graph_objects.Isosurface(
        **place,
        isomin=-most,
        isomax=most,
        cmin=-most,
        cmax=most,
        colorscale=signed_scale(),
        surface=quiet,
        spaceframe=quiet,
        caps={"x": quiet, "y": quiet, "z": quiet},
        slices={"x": {"show": True, "locations": [middle], "fill": 1}},
        colorbar={"title": {"text": "slice"}, "thickness": 12, "len": 0.6},
        name="slice",
        opacity=0.9,
    )
    figure = graph_objects.Figure([*traces, cut])
    last = len(traces)
    shown = np.unique(np.linspace(0, deep - 1, min(deep, 2 * STEPS)).round().astype(int))
    figure.update_layout(
        title={"text": f"{volume.name}<br><sub>{small.note}</sub>", "font": {"size": 14}},
        height=720,
        margin={"l": 30, "r": 30, "t": 60, "b": 70},
        scene={
            "xaxis": ticks(volume.axes[2], small.factors[2], deep),
            "yaxis": ticks(volume.axes[1], small.factors[1], columns),
            "zaxis": ticks(volume.axes[0], small.factors[0], rows)
            | ({} if volume.upward else {"autorange": "reversed"}),
            "aspectmode": "manual",
            "aspectratio": dict(zip("zyx", aspect(rows, columns, deep), strict=True)),
            "camera": CAMERA,
        },
        sliders=[
            {
                "active": int(np.abs(_thresholds(values) - threshold).argmin()),
                "currentvalue": {"prefix": "threshold "},
                "len": 0.45,
                "steps": [
                    {
                        "label": f"{step:.3g}",
                        "method": "restyle",
                        "args": [_bounds(step, most, last), list(range(last))],
                    }
                    for step in _thresholds(values)
                ],
            },
            {
                "active": int(np.abs(shown - middle).argmin()),
                "currentvalue": {"prefix": "slice "},
                "x": 0.55,
                "len": 0.45,
                "steps": [
                    {
                        "label": volume.axes[2].word(min(int(k) * small.factors[2], len(volume.axes[2].places) - 1)),
                        "method": "restyle",
                        "args": [{"slices.x.locations": [[int(k)]]}, [last]],
                    }
                    for k in shown
                ],
            },
        ],
    )
    return figure


def has_plotly() -> bool:
    """Whether plotly is installed."""
    return importlib.util.find_spec("plotly") is not None


@cache
def plotly_gzip() -> str:
    """Give plotly's JavaScript, compressed, in base64."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode("ascii")


def ticks(axis: Axis, factor: int, n: int) -> dict[str, Any]:
    """Give an axis of plotly: its title, and the places of some cells in their own unit."""
    shown = np.unique(np.linspace(0, n - 1, min(n, TICKS)).round().astype(int))
    places = [axis.places[min(int(k) * factor + factor // 2, len(axis.places) - 1)] for k in shown]
    digits = 2 if axis.unit == "s" else 0
    text = [f"{place:,.{digits}f}" for place in places]
    return {"title": {"text": axis.label}, "tickvals": [int(k) for k in shown], "ticktext": text}


def aspect(rows: int, columns: int, deep: int) -> tuple[float, float, float]:
    """Give how long rows, columns and depth are drawn: the depth no more than a few times the longer side of a map."""
    side = max(rows, columns)
    return rows / side, columns / side, float(np.clip(deep / side, 0.6, LONGEST))


def shades(colour: tuple[int, int, int]) -> list[list[Any]]:
    """Give a scale of plotly from a colour to a lighter one, for a surface that light falls on."""
    light = tuple(round(part + 0.35 * (255 - part)) for part in colour)
    return [[0, f"rgb{colour}"], [1, f"rgb{light}"]]


def signed_scale() -> list[list[Any]]:
    """Give the scale of all maps here: blue below zero, dark at it, orange above."""
    return [[0, f"rgb{AGAINST}"], [0.5, f"rgb{DARKEST}"], [1, f"rgb{FOR}"]]


def _thresholds(values: np.ndarray) -> np.ndarray:
    sizes = np.abs(values)[values != 0]
    if not sizes.size:
        return np.array([0.0])
    return np.unique(np.quantile(sizes, np.linspace(0.3, 0.999, STEPS)))


def _bounds(step: float, most: float, surfaces: int) -> dict[str, list[float]]:
    """Give the ends of one surface above, or of one above and one below."""
    low, high = [float(step), -most], [most, float(-step)]
    return {"isomin": low[:surfaces], "isomax": high[:surfaces]}


def _averaged(values: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return values
    high, wide = (n // factor * factor for n in values.shape[:2])
    deep = values.shape[2]
    blocks = values[:high, :wide].reshape(high // factor, factor, wide // factor, factor, deep)
    averaged: np.ndarray = blocks.mean(axis=(1, 3))
    return averaged
