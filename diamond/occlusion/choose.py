"""Which way of computing is taken, and why.

    choose(net, cover, "auto", batch=32).why

The whole network for every window is always possible. Where a window changes only a part of each layer, the rest need
not be computed again (see `diamond.occlusion.incremental`): how much is left is counted from the network's graph, before
anything is run, and what moving parts about costs is counted with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from diamond.attribution.feeding import Given
from diamond.occlusion import features, full
from diamond.occlusion.cover import Cover
from diamond.occlusion.windows import SHAPES
from modelzoo import Layer, Network

if TYPE_CHECKING:
    from diamond.occlusion.plan import Forecast

__all__ = ["METHODS", "Ask", "Choice", "checked_method", "choose", "choose_in_layer"]

METHODS = ("auto", "full", "incremental", "drilldown")
# So much faster the way by boxes must be forecast: a forecast may err, and the other way is the simpler one.
GAIN = 1.1

# Takes numbers of windows; gives some of them with their logits, until every one was given.
Ask = Callable[[np.ndarray], Iterator[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class Choice:
    """A way of computing.

    Attributes
    ----------
    method
        ``"full"``, ``"incremental"`` or ``"drilldown"``.
    why
        In words.
    begin
        Makes ready, and gives what computes the logits of windows, ``(k,)``, exactly; drilldown asks it too.
    forecast
        What the way by boxes should save; None where it is not taken.
    """

    method: str
    why: str
    begin: Callable[[], Ask] = field(repr=False)
    forecast: Forecast | None = None


def checked_method(method: str, *, shape: object, in_layer: bool) -> None:
    """Check a method before anything is read.

    Raises
    ------
    ValueError
        For one that does not exist, naming the nearest, and one that does not go with what is covered.
    """
    if method not in METHODS:
        near = difflib.get_close_matches(str(method), METHODS, n=1, cutoff=0.0)[0]
        raise ValueError(f"method is {method!r}; did you mean {near!r}? There are {', '.join(METHODS)}")
    if in_layer and method == "incremental":
        raise ValueError("method 'incremental' starts at the picture; in a layer there are 'full' and 'drilldown'")
    if method == "drilldown" and not (isinstance(shape, str) and shape in SHAPES):
        found = repr(shape) if isinstance(shape, str) else "masks or areas"
        raise ValueError(f"method 'drilldown' needs windows on a grid, and the shape is {found}; take method 'full'")


def choose(net: Network, cover: Cover, method: str, *, batch: int, given: Given | None = None) -> Choice:
    """Choose the way of computing.

    Parameters
    ----------
    net, cover
        The network, and the picture with its windows.
    method
        One of `METHODS`.
    batch
        How many windows at a time.
    given
        Values of the network's other inputs by address, ``(1, ...)``.

    Raises
    ------
    ValueError
        For ``"incremental"`` where all but the window is covered.
    """
    drilling = method == "drilldown"
    if method == "incremental" and cover.outside:
        raise ValueError("all but the window is covered, so all of every layer changes; take method 'full'")
    ask_all = partial(full.logits_without, net, cover, batch=batch, given=given)
    if method == "full" or cover.outside:
        why = "all of every layer changes" if cover.outside else "as asked"
        return Choice("drilldown" if drilling else "full", why, lambda: ask_all)
    from diamond.occlusion import incremental

    plan = incremental.plan_for(net, cover.windows.size, cover.boxes, batch=batch, given=given)
    words = _words(plan.forecast)
    if method == "incremental" or plan.forecast.speed_up > GAIN:
        why = f"each window by boxes, {words}" if drilling else words
        boxes = partial(incremental.IncrementalNetwork, net, cover, plan, given=given)
        return Choice("drilldown" if drilling else "incremental", why, lambda: boxes().logits_without, plan.forecast)
    why = f"each window by the whole network, by boxes there would be {words}"
    return Choice("drilldown" if drilling else "full", why, lambda: ask_all)


def choose_in_layer(
    net: Network, layer: Layer, picture: np.ndarray, cover: Cover, method: str, *, batch: int, given: Given | None
) -> Choice:
    """Choose the way of computing where a layer is covered: there the network always runs from it on.

    Parameters
    ----------
    net, layer, picture
        The network, its layer, and the picture it is shown.
    cover
        The layer's activations, and their windows.
    method, batch, given
        As in `choose`.
    """
    ask = partial(features.logits_without, net, layer, picture, cover, batch=batch, given=given)
    return Choice("drilldown" if method == "drilldown" else "full", "from the layer on", lambda: ask)


def _words(found: Forecast) -> str:
    until = "" if found.falls_back_at is None else f", whole layers from {found.falls_back_at} on"
    return (
        f"{found.by_boxes:.0%} of the multiply-adds in boxes and {found.saved:.0%} saved{until}; "
        f"forecast {found.speed_up:.1f} times as fast"
    )
