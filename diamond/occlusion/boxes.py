"""Which box of every layer a box of the picture can change.

Covering 16 x 16 px of a picture changes 20 x 20 places two convolutions later, and none outside them: what lies there is
known from the picture itself. Without those boxes every covered picture goes through the whole network::

        spread = spread_boxes(net.graph, net.logits_node, entry, shapes, cover.boxes)
        spread.at[net.node("block1_conv2").index].sizes([0, 1])           # of windows 0 and 1 together
        # (20, 20)

A box is *spread* through a layer by the layer's window: value ``i`` reads ``span`` places from ``i * stride - before`` on,
so places ``low`` to ``high`` reach values ``ceil((low + before - span + 1) / stride)`` to ``floor((high - 1 + before) /
stride)``. Where ways meet, boxes are united. That is exact, and holds along each axis by itself: a grid of 40,000 windows
has 200 boxes an axis, which is all that is kept.

A *place* is where the boxes of one or many layers lie. Windows that are computed together have boxes of one size, the
largest any of them needs, moved into the layer where they would stand out of it. A node has no place where it sees
everything (a dense layer on flattened maps, a squeeze-excite gate) or is not known to work by places.

The idea of recomputing only boxes: Nakandala, Kumar and Papakonstantinou, "Incremental and Approximate Inference for
Faster Occlusion-based Deep CNN Explanations" (Krypton, SIGMOD 2019), section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np

from modelzoo.attributes import Description, describe
from modelzoo.graph import Graph, Node, Shape

__all__ = ["SELF", "Place", "Reach", "Spread", "reach_of", "spread_boxes"]


class Reach(NamedTuple):
    """What a value reads along height and width: `span` places from ``i * stride - before`` on.

    An enlarged layer repeats each place `factor` times, and reads nothing around it.
    """

    span: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)
    factor: tuple[int, int] = (1, 1)

    @property
    def shift(self) -> tuple[int, int] | None:
        """How far values stand from what they read, where each reads one place and no other reads it; else None."""
        return self.before if self.span == self.stride == self.factor == (1, 1) else None


SELF = Reach()


@dataclass(frozen=True, eq=False)
class Place:
    """Where the boxes of all windows lie in layers of one size.

    Attributes
    ----------
    number
        Position in `Spread.places`.
    layer
        Height and width of the layers.
    low, high
        For each axis ``(m,)``: the first place changed and the first not changed any more, by the window's number along
        that axis.
    which
        ``(n, 2)`` each window's number along each axis.
    beside, shift
        The place that this one is, so many places further on; None where it lies by itself.
    """

    number: int
    layer: tuple[int, int]
    low: tuple[np.ndarray, np.ndarray] = field(repr=False)
    high: tuple[np.ndarray, np.ndarray] = field(repr=False)
    which: np.ndarray = field(repr=False)
    beside: Place | None = None
    shift: tuple[int, int] = (0, 0)

    def sizes(self, rows: Any) -> tuple[int, int]:
        """Height and width that hold the box of each of some windows."""
        if self.beside is not None:
            return self.beside.sizes(rows)
        high, wide = (int(self.lengths(axis)[self.which[rows, axis]].max()) for axis in range(2))
        return high, wide

    def lengths(self, axis: int) -> np.ndarray:
        """Length of each box along an axis, ``(m,)``, 1 or more."""
        return self.high[axis] - self.low[axis]

    def starts(self, rows: Any) -> np.ndarray:
        """Give ``(k, 2)``: the first row and column of the box of each of some windows, which are computed together."""
        if self.beside is not None:
            return self.beside.starts(rows) + np.array(self.shift)
        last = np.array(self.layer) - np.array(self.sizes(rows))
        lows = np.stack([self.low[axis][self.which[rows, axis]] for axis in range(2)], axis=1)
        return np.clip(lows, 0, last)


@dataclass(frozen=True, eq=False)
class Spread:
    """Boxes of all windows in all nodes on the way to the wanted one.

    Attributes
    ----------
    order
        These nodes, in topological order.
    shapes
        The shape of each, the batch first.
    places
        Every place once.
    at
        Place of each node that has one.
    means
        Nodes that give the mean over all places of a node with a place: it follows from the change.
    still
        Nodes that no window changes.
    """

    order: tuple[Node, ...]
    shapes: Mapping[int, Shape]
    places: tuple[Place, ...]
    at: Mapping[int, Place]
    means: frozenset[int]
    still: frozenset[int]


def spread_boxes(graph: Graph, wanted: Node, entry: Node, shapes: Mapping[int, Shape], boxes: np.ndarray) -> Spread:
    """Spread boxes of the picture through a network.

    Parameters
    ----------
    graph, wanted, entry
        The network, the node to go to, and the input that takes the picture.
    shapes
        Shape of every node by index, the batch first, for a picture of this size.
    boxes
        ``(n, 4)`` top, left, bottom, right (the first row and column outside) of what each window changes.
    """
    return _Spreading(shapes, boxes).through(tuple(graph.ancestors([wanted])), entry)


class _Spreading:
    """The state of one spreading: places found so far."""

    def __init__(self, shapes: Mapping[int, Shape], boxes: np.ndarray) -> None:
        self.shapes = shapes
        found = [np.unique(boxes[:, [axis, axis + 2]], axis=0, return_inverse=True) for axis in range(2)]
        self.which = np.stack([np.reshape(inverse, -1) for _, inverse in found], axis=1)
        self.edges = [edges for edges, _ in found]
        self.places: list[Place] = []
        self._known: dict[Any, Place] = {}

    def through(self, order: tuple[Node, ...], entry: Node) -> Spread:
        at: dict[int, Place] = {}
        means: set[int] = set()
        still: set[int] = set()
        for node in order:
            if node.index == entry.index:
                at[node.index] = self._at_entry(_size(self.shapes[node.index]))
                continue
            reads = {ref.node for ref in node.inputs}
            if reads <= still:
                still.add(node.index)
            elif _is_mean(node, self.shapes) and reads <= set(at):
                means.add(node.index)
            elif reads <= set(at) | still and (place := self._after(node, at)) is not None:
                at[node.index] = place
        shapes = {node.index: self.shapes[node.index] for node in order}
        return Spread(order, shapes, tuple(self.places), at, frozenset(means), frozenset(still))

    def _at_entry(self, size: tuple[int, int]) -> Place:
        low = (self.edges[0][:, 0], self.edges[1][:, 0])
        high = (self.edges[0][:, 1], self.edges[1][:, 1])
        return self._place(size, low, high)

    def _after(self, node: Node, at: Mapping[int, Place]) -> Place | None:
        reach = reach_of(node, self.shapes)
        if reach is None:
            return None
        placed = [at[ref.node] for ref in node.inputs if ref.node in at]
        size = _size(self.shapes[node.index])
        first = placed[0]
        if len(placed) > 1 and any(place is not first for place in placed):
            low = tuple(np.minimum.reduce([place.low[axis] for place in placed]) for axis in range(2))
            high = tuple(np.maximum.reduce([place.high[axis] for place in placed]) for axis in range(2))
            return self._place(size, (low[0], low[1]), (high[0], high[1]))
        if reach == SELF and size == first.layer:
            return first
        # Moved into a layer that holds all of the old one, boxes need not be gathered anew.
        shift, grown = reach.shift, all(new >= old for new, old in zip(size, first.layer, strict=True))
        if shift is not None and min(shift) >= 0 and grown:
            return self._beside(first, shift, size)
        (top, bottom), (left, right) = (
            _reached(first.low[axis], first.high[axis], reach, axis, size[axis]) for axis in range(2)
        )
        return self._place(size, (top, left), (bottom, right))

    def _place(
        self, size: tuple[int, int], low: tuple[np.ndarray, np.ndarray], high: tuple[np.ndarray, np.ndarray]
    ) -> Place:
        key = (size, *(edge.tobytes() for edge in (*low, *high)))
        return self._kept(key, lambda number: Place(number, size, low, high, self.which))

    def _beside(self, other: Place, shift: tuple[int, int], size: tuple[int, int]) -> Place:
        low = (other.low[0] + shift[0], other.low[1] + shift[1])
        high = (other.high[0] + shift[0], other.high[1] + shift[1])
        return self._kept(
            (other.number, shift, size), lambda number: Place(number, size, low, high, self.which, other, shift)
        )

    def _kept(self, key: Any, make: Any) -> Place:
        if key not in self._known:
            self._known[key] = make(len(self.places))
            self.places.append(self._known[key])
        return self._known[key]


def _reached(low: np.ndarray, high: np.ndarray, reach: Reach, axis: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    span, stride, before, factor = (part[axis] for part in reach)
    first = -((span - 1 - before - low) // stride) * factor
    last = ((high - 1 + before) // stride + 1) * factor
    # A stride can step over a box: one place, which does not change, then stands for none.
    first = np.clip(first, 0, size - 1)
    return first, np.clip(last, first + 1, size)


def reach_of(node: Node, shapes: Mapping[int, Shape]) -> Reach | None:
    """Give what a value of a node reads of each of its inputs; None where it sees everything, or nobody here knows.

    Parameters
    ----------
    node
        Any node; only those with one output of ``(batch, height, width, channel)`` have a reach.
    shapes
        Shape of every node by index.
    """
    shape, inputs = shapes[node.index], [shapes[ref.node] for ref in node.inputs]
    one_output = len(node.shapes) == 1 and all(ref.output == 0 for ref in node.inputs)
    channels_last = getattr(node.operation, "data_format", None) != "channels_first"
    # Called with training=True it draws at random, or takes its mean from the batch.
    at_rest = not any(argument is True for argument in node.arguments)
    if not (inputs and one_output and channels_last and at_rest and len(shape) == 4) or not _is_local(node):
        return None
    what = describe(node)
    op = what["op"]
    if op in ("merge", "concatenate") or len(inputs) > 1:
        return _meeting(what, inputs, shape)
    if len(inputs[0]) != 4:
        return None
    if op in ("convolution", "pooling") and type(node.operation) in _WINDOWS:
        return _window(what, _size(inputs[0]))
    if op in ("pad", "crop"):
        sign = 1 if op == "pad" else -1
        return Reach(before=(sign * what["sides"][0][0], sign * what["sides"][-1][0]))
    if op == "upsample":
        return Reach(factor=what["factor"]) if what["interpolation"] == "nearest" else None
    if op in ("identity", "dense") or what.get("pointwise") or (op in _BY_PLACE and _is_over_channels(what)):
        return SELF
    return None


# Their subclasses may compute something else.
_WINDOWS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)
_BY_PLACE = {"affine", "elementwise", "nonlinearity", "normalise"}


def _is_over_channels(what: Description) -> bool:
    axis = what.get("axis", -1)
    axes = axis if isinstance(axis, tuple) else (axis,)
    return all(a in (None, -1, 3) for a in axes) and what.get("by") != "GroupNormalization"


def _is_local(node: Node) -> bool:
    """Whether no weight or constant differs from place to place, as one slope a place of a PReLU does."""
    if describe(node)["op"] in ("convolution", "dense"):
        return True
    each = [tuple(weight.shape) for weight in node.weights] + [np.shape(constant) for constant in node.constants]
    numbers = [shape for shape in each if len(shape) >= 2]
    return all(extent == 1 for shape in numbers for extent in shape[-3:-1])


def _meeting(what: Description, inputs: Sequence[Shape], shape: Shape) -> Reach | None:
    if what["op"] not in ("merge", "concatenate", "elementwise"):
        return None
    if what["op"] == "concatenate" and what["axis"] not in (-1, 3):
        return None
    return SELF if all(len(each) == 4 and _size(each) == _size(shape) for each in inputs) else None


def _window(what: Description, size: tuple[int, int]) -> Reach | None:
    kernel, stride, dilation = what["kernel"], what["stride"], what["dilation"]
    if what["padding"] not in ("same", "valid") or len(kernel) != 2:
        return None
    high, wide = ((kernel[axis] - 1) * dilation[axis] + 1 for axis in range(2))
    before = [0, 0]
    if what["padding"] == "same":
        for axis, span in enumerate((high, wide)):
            steps = -(-size[axis] // stride[axis])
            before[axis] = max((steps - 1) * stride[axis] + span - size[axis], 0) // 2
    return Reach((high, wide), (stride[0], stride[1]), (before[0], before[1]))


def _is_mean(node: Node, shapes: Mapping[int, Shape]) -> bool:
    if len(node.inputs) != 1 or len(shapes[node.inputs[0].node]) != 4:
        return False
    if getattr(node.operation, "data_format", None) == "channels_first":
        return False
    what = describe(node)
    if what["op"] == "global_pooling":
        return bool(what["mode"] == "average")
    axis = what.get("axis")
    return what["op"] == "reduce" and what["how"] == "Mean" and isinstance(axis, tuple) and set(axis) in _SPATIAL


_SPATIAL = ({1, 2}, {-3, -2}, {1, -2}, {-3, 2})


def _size(shape: Shape) -> tuple[int, int]:
    high, wide = shape[1:3]
    assert high is not None
    assert wide is not None
    return high, wide
