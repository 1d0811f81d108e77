"""What to recompute by boxes, what as a whole, and which windows together.

    plan = Plan.of(spread, batch=32)                              # VGG16, windows of 16 px every 4 px
    plan.forecast.saved, plan.forecast.falls_back_at

Boxes grow from layer to layer until they fill it, and moving values about costs time that multiplying does not: from
some node on, *the cut*, whole layers are cheaper. It is found by adding up the work on both sides of every node, a value
moved counted as `MOVED` multiply-adds.

Windows whose boxes have the same sizes are computed *together*: one that stands across four values of a pooling and its
neighbour that stands across three, or an inner one and one at the border, would else both take the larger box. Each batch
is a window, the most expensive one left, and those that waste least beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from diamond.occlusion.boxes import Place, Reach, Spread, reach_of
from modelzoo.attributes import describe
from modelzoo.graph import Node, Shape

__all__ = ["Forecast", "Plan", "is_as_it_is", "multiply_adds"]

# Measured on one core of a server of 2024: 0.8 ns for a value gathered, 16 ps for a multiply-add of a convolution.
MOVED = 50.0
# A depthwise convolution has one input channel an output channel: it waits for memory.
DEPTHWISE = 8.0
# Small boxes fill the processor's registers less well than whole layers.
SMALL = 1.15
MOST_COMPARED = 4096


@dataclass(frozen=True)
class Forecast:
    """What occlusion by boxes will take.

    Attributes
    ----------
    windows
        How many.
    full
        Multiply-adds of all windows, each a pass through the whole network.
    incremental
        The same by boxes: the picture's own pass, boxes up to the cut, whole layers from there on.
    by_boxes
        Part of `full` that lies before the cut, from 0 to 1.
    falls_back_at
        Address of the first node that is computed as a whole; None where none is.
    speed_up
        How many times faster than `full` it should be, the picture's own pass and the moving of values included; 1 where
        no box is worth it.
    """

    windows: int
    full: float
    incremental: float
    by_boxes: float
    falls_back_at: str | None
    speed_up: float

    @property
    def saved(self) -> float:
        """Share of all multiply-adds that are not done, from 0 to 1."""
        return 1.0 - self.incremental / self.full if self.full else 0.0


@dataclass(frozen=True, eq=False)
class Plan:
    """How the windows of one picture go through a network.

    Attributes
    ----------
    spread
        Their boxes.
    boxed
        Nodes that are computed by boxes.
    batch
        How many windows are computed together at most.
    forecast
        What that takes.
    """

    spread: Spread
    boxed: frozenset[int]
    batch: int
    forecast: Forecast
    _works: tuple[_Work, ...] = field(repr=False)

    @classmethod
    def of(cls, spread: Spread, batch: int) -> Plan:
        """Choose the cut and the batches, of at most `batch` windows."""
        works = [_Work.of(node, spread) for node in spread.order]
        everything = np.arange(len(spread.places[0].which))
        batches = together(spread, everything, batch, [work for work in works if work.node.index in spread.at])
        areas = _mean_areas(spread, batches)
        each = max(1.0, float(np.mean([len(rows) for rows in batches])))
        cut, speed_up = _cheapest(spread, works, areas, each)
        boxed = frozenset(
            node.index for node in spread.order[:cut] if node.index in spread.at or node.index in spread.means
        )
        in_boxes = tuple(work for work in works if work.node.index in boxed and work.place)
        batches = together(spread, everything, batch, in_boxes)
        return cls(spread, boxed, batch, _forecast(spread, works, boxed, batches, speed_up), in_boxes)

    def batches(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        """Give the numbers of some windows in batches that are computed together, ``(k,)`` each."""
        return together(self.spread, rows, self.batch, self._works)


def multiply_adds(node: Node, shape: Shape) -> float:
    """Multiply-adds of a node for one picture: its places times the numbers of its kernels."""
    kernels = [math.prod(variable.shape) for variable in node.weights if len(variable.shape) >= 2]
    return float(math.prod(int(extent or 1) for extent in shape[1:-1]) * sum(kernels))


@dataclass(frozen=True)
class _Work:
    """What a node takes as a whole, and what of it lies before it, in multiply-adds."""

    node: Node
    place: Place | None
    macs: float
    values: float
    whole: float

    @classmethod
    def of(cls, node: Node, spread: Spread) -> _Work:
        shape = spread.shapes[node.index]
        macs = 0.0 if node.is_input else multiply_adds(node, shape)
        values = float(math.prod(int(extent or 1) for extent in shape[1:]))
        thin = describe(node).get("groups") == "depthwise"
        return cls(node, spread.at.get(node.index), macs, values, macs * (DEPTHWISE if thin else 1.0) + MOVED * values)


def together(spread: Spread, rows: np.ndarray, batch: int, works: Sequence[_Work]) -> tuple[np.ndarray, ...]:
    """Give some windows in batches of at most `batch` whose boxes waste little on each other."""
    n = len(rows)
    if not works:
        return tuple(rows[begin : begin + batch] for begin in range(0, n, batch))
    per_area = np.zeros(len(spread.places))
    for work in works:
        assert work.place is not None
        per_area[work.place.number] += work.whole / math.prod(work.place.layer)
    used = [place for place in spread.places if per_area[place.number] > 0]
    weights = per_area[[place.number for place in used]].astype(np.float32)
    high, wide = (
        np.stack([place.lengths(axis) for place in used], axis=1).astype(np.float32)[used[0].which[rows, axis]]
        for axis in range(2)
    )
    own, found = (high * wide) @ weights, []
    # Each window is compared with all that are left: among tens of thousands, with every second, third ... of them.
    parts = -(-n // MOST_COMPARED)
    for part in range(parts):
        left = np.arange(part, n, parts)
        while len(left):
            first = left[np.argmax(own[left])]
            with_first = (np.maximum(high[left], high[first]) * np.maximum(wide[left], wide[first])) @ weights
            chosen = np.argsort(with_first - own[left], kind="stable")[:batch]
            found.append(np.sort(rows[left[chosen]]))
            left = np.delete(left, chosen)
    return tuple(found)


def _mean_areas(spread: Spread, batches: tuple[np.ndarray, ...]) -> np.ndarray:
    """Mean area of the boxes of each place, over all windows: ``(places,)``."""
    counts = np.array([len(rows) for rows in batches], float)
    areas = [[math.prod(place.sizes(rows)) for rows in batches] for place in spread.places]
    return np.array(areas, float) @ counts / counts.sum()


def _cheapest(spread: Spread, works: list[_Work], areas: np.ndarray, batch: float) -> tuple[int, float]:
    """Find the position in the order from which whole layers are cheaper, and how many times that is faster."""
    n = len(works)
    # change[t]: what the work of the cut at t has more than that of the cut at t - 1.
    change = np.zeros(n + 2)
    last_reader, needs_whole = _readers(spread)
    for at, work in enumerate(works):
        index = work.node.index
        if index in spread.still:
            continue
        change[0] += work.whole
        if index in spread.at:
            change[at + 1] += _boxed_work(work, spread, areas, batch) - work.whole
            if work.node.is_input:
                continue
            once_whole = MOVED * work.values * (2.0 + 1.0 / batch)
            change[at + 1] += once_whole
            if not needs_whole[index]:
                change[last_reader[index] + 1] -= once_whole
        elif index in spread.means:
            place = spread.at[work.node.inputs[0].node]
            change[at + 1] += 3 * MOVED * work.values * areas[place.number] - work.whole
    total = np.cumsum(change)[: n + 1]
    # The picture itself goes through the whole network once, as one window more would.
    total[1:] += total[0] / len(spread.places[0].which)
    cut = int(np.argmin(total))
    return cut, float(total[0] / total[cut])


def _readers(spread: Spread) -> tuple[dict[int, int], dict[int, bool]]:
    """Give the position of the last node that reads each by its box, and whether one must read it whole."""
    last = {node.index: at for at, node in enumerate(spread.order)}
    whole = dict.fromkeys(last, False)
    whole[spread.order[-1].index] = True
    for at, node in enumerate(spread.order):
        for ref in node.inputs:
            if node.index in spread.at or node.index in spread.means:
                last[ref.node] = max(last[ref.node], at)
            else:
                whole[ref.node] = True
    return last, whole


def _boxed_work(work: _Work, spread: Spread, areas: np.ndarray, batch: float) -> float:
    assert work.place is not None
    share = areas[work.place.number] / math.prod(work.place.layer)
    total = SMALL * share * work.whole
    for ref, values in _gathered(work.node, spread, areas):
        total += MOVED * (2.0 * values + math.prod(int(e or 1) for e in spread.shapes[ref][1:]) / batch)
    return float(total)


def _gathered(node: Node, spread: Spread, areas: np.ndarray) -> Iterator[tuple[int, float]]:
    """Give each input whose box needs values from around it, and how many values it then has."""
    reach = None if node.is_input else reach_of(node, spread.shapes)
    if reach is None:
        return
    place = spread.at[node.index]
    side = math.sqrt(areas[place.number])
    for ref in node.inputs:
        if not is_as_it_is(spread.at.get(ref.node), place, reach):
            high, wide = ((side - 1) * reach.stride[axis] + reach.span[axis] for axis in range(2))
            yield ref.node, high * wide * float(spread.shapes[ref.node][-1] or 1)


def is_as_it_is(source: Place | None, place: Place, reach: Reach) -> bool:
    """Whether a node at a place takes the box of what it reads as it is: no value around it is needed."""
    if source is None:
        return False
    if reach.factor != (1, 1):
        return True
    unmoved = source is place and reach.shift == (0, 0)
    return unmoved or (place.beside is source and place.shift == reach.shift)


def _forecast(
    spread: Spread, works: list[_Work], boxed: frozenset[int], batches: tuple[np.ndarray, ...], speed_up: float
) -> Forecast:
    n = len(spread.places[0].which)
    areas = _mean_areas(spread, batches)
    once = sum(work.macs for work in works)
    by_boxes = sum(work.macs for work in works if work.node.index in boxed)
    each = 0.0
    for work in works:
        if work.node.index in boxed and work.place is not None:
            each += work.macs * areas[work.place.number] / math.prod(work.place.layer)
        elif work.node.index not in boxed and work.node.index not in spread.still:
            each += work.macs
    whole = [
        work.node.address for work in works if work.node.index not in boxed and work.node.index not in spread.still
    ]
    # Without boxes the picture's own pass is not needed either.
    own = once if boxed else 0.0
    return Forecast(
        windows=n,
        full=once * n,
        incremental=own + each * n,
        by_boxes=by_boxes / once if once else 0.0,
        falls_back_at=whole[0] if whole else None,
        speed_up=speed_up if boxed else 1.0,
    )
