"""Which pixels a value of a layer sees.

Lists of receptive fields on the web disagree, because each is computed for a chain of layers and networks are none.
Here stride and receptive field are propagated along every path of the graph and united where paths meet::

    >>> views = propagate(net.graph)
    >>> views[net.graph["block4_add"].index].stride_px
    (8.0, 8.0)

A *view* says, for each spatial axis, that the value at index ``i`` sees the pixels from ``start + i * stride`` up to,
not including, that plus ``extent``. Pixels outside the picture are counted: they are the padding. What follows:

* The numbers are exact for convolution, pooling, padding, cropping, slicing and all work done at each place by itself;
  a test holds them against the support of a gradient.
* After a global pooling, or a dense layer on flattened features, a value sees everything that was seen before.
* An operation nobody here knows gives an unknown view (None), and so does all that follows from it alone.

The recurrences are those of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks"
(Distill 2019), equations 2, 3 and 5, extended to merging paths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelzoo.attributes import Description, describe
from modelzoo.graph import Graph, Node, Shape

__all__ = ["AxisView", "View", "least_size", "propagate"]


@dataclass(frozen=True)
class AxisView:
    """What index ``i`` along one axis sees: ``extent`` pixels from ``start + i * stride`` on."""

    stride: float = 1.0
    start: float = 0.0
    extent: float = 1.0

    @property
    def end(self) -> float:
        """First pixel that index 0 does not see any more."""
        return self.start + self.extent

    def shifted(self, steps: float) -> AxisView:
        """View of the index `steps` further on, as index 0."""
        return AxisView(self.stride, self.start + steps * self.stride, self.extent)

    def windowed(self, span: int, stride: int, before: int) -> AxisView:
        """View after a window of `span` indices every `stride`, `before` of them padded at the front (eq. 2, 3, 5)."""
        start = self.start - before * self.stride
        return AxisView(self.stride * stride, start, self.extent + (span - 1) * self.stride)


@dataclass(frozen=True)
class View:
    """What a value of a layer sees, axis by axis (height, width; for sound: time or frequency alike).

    Attributes
    ----------
    axes
        One `AxisView` a spatial axis, the network's input measured in pixels.
    sees_all
        True where the value has no place any more: it sees the whole of what was seen before it.
    """

    axes: tuple[AxisView, ...]
    sees_all: bool = False

    @property
    def stride_px(self) -> tuple[float, ...]:
        """Pixels between two neighbouring values."""
        return tuple(axis.stride for axis in self.axes)

    @property
    def receptive_field_px(self) -> tuple[float, ...]:
        """Pixels seen along each axis, padding included."""
        return tuple(axis.extent for axis in self.axes)


def propagate(graph: Graph, shapes: Mapping[int, Shape] | None = None) -> dict[int, View | None]:
    """Compute the view of every node.

    Parameters
    ----------
    graph
        The network.
    shapes
        Shapes by node index where they are better known than in the graph (a network of any size, at a given one).
        "Same" padding splits unevenly for some sizes, so the exact start of a view depends on them.

    Returns
    -------
    dict
        ``{node index: View}``, None where a view is unknown.

    Examples
    --------
    >>> view = propagate(net.graph)[net.graph["block4_add"].index]
    >>> view.stride_px
    (8.0, 8.0)
    """
    known = {node.index: node.shape for node in graph} | dict(shapes or {})
    views: dict[int, View | None] = {}
    for node in graph:
        if node.is_input:
            rank = max(len(known[node.index]) - 2, 0)
            views[node.index] = View((AxisView(),) * rank)
            continue
        before = [views[ref.node] for ref in node.inputs]
        shape_of = [known[ref.node] for ref in node.inputs]
        views[node.index] = _after(node, describe(node), before, shape_of, known[node.index])
    return views


def least_size(graph: Graph, node: Node) -> tuple[int, int]:
    """Give the smallest picture, ``(height, width)`` in pixels, at which a node has at least one value.

    Counted backwards from one value: a window that may not leave the picture needs its whole span, any other one
    place. A layer made for one size of picture (behind a flattening) needs that size, which is not counted here.
    """
    needed = {each.index: [1, 1] for each in graph.ancestors([node])}
    for each in reversed(graph.ancestors([node])):
        what = describe(each)
        for axis in range(2):
            need = _needed_before(what, needed[each.index][axis], axis)
            for ref in each.inputs:
                needed[ref.node][axis] = max(needed[ref.node][axis], need)
    inputs = [needed[ref.node] for ref in graph.inputs if ref.node in needed]
    return max(n[0] for n in inputs), max(n[1] for n in inputs)


def _needed_before(what: Description, need: int, axis: int) -> int:
    op = what["op"]
    if op in ("convolution", "pooling") and axis < len(what["kernel"]):
        kernel, stride, dilation = (what[name][axis] for name in ("kernel", "stride", "dilation"))
        span = (kernel - 1) * dilation + 1 if what["padding"] == "valid" else 1
        return int((need - 1) * stride + span)
    if op in ("pad", "crop") and axis < len(what["sides"]):
        both = sum(what["sides"][axis])
        return max(1, need - both if op == "pad" else need + both)
    if op in ("global_pooling", "flatten", "reduce", "transposed_convolution", "upsample"):
        return 1
    return need


def _after(
    node: Node, what: Description, views: Sequence[View | None], shapes: Sequence[Shape], shape: Shape
) -> View | None:
    if any(view is None for view in views):
        return None
    seen = [view for view in views if view is not None]
    view, before = seen[0], shapes[0]
    op = what["op"]
    if op in ("merge", "concatenate") or len(seen) > 1:
        return _merged(what, seen, shapes, shape)
    if view.sees_all or op in ("identity", "affine", "elementwise"):
        return view
    if op == "nonlinearity":
        over_space = what.get("axis", -1) not in (-1, len(before) - 1)
        return _everything(view, before) if over_space else view
    if op == "dense":
        return view
    if op in ("convolution", "pooling"):
        return _windowed(view, what, before)
    if op in ("transposed_convolution", "upsample"):
        return _enlarged(view, what, before, shape)
    if op in ("pad", "crop"):
        sign = -1 if op == "pad" else 1
        axes = zip(view.axes, what["sides"], strict=True)
        return View(tuple(axis.shifted(sign * low) for axis, (low, _) in axes))
    if op == "pad_all":
        sides = what["sides"][1:-1]
        return View(tuple(axis.shifted(-side[0]) for axis, side in zip(view.axes, sides, strict=True)))
    if op == "slice":
        return _sliced(view, what, len(before))
    if op == "normalise":
        return view if _channels_only(what, len(before)) else _everything(view, before)
    if op == "reduce":
        axis = what["axis"]
        over = range(len(before)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        spatial = {a % len(before) for a in over} & set(range(1, len(before) - 1))
        return _everything(view, before) if spatial else view
    if op in ("global_pooling", "flatten"):
        return _everything(view, before)
    if op == "reshape":
        return view if before[1:-1] == shape[1:-1] else _everything(view, before)
    return view if what.get("pointwise") else None


def _windowed(view: View, what: Description, before: Shape) -> View:
    axes = []
    for axis, view_axis in enumerate(view.axes):
        kernel, stride, dilation = (what[name][axis] for name in ("kernel", "stride", "dilation"))
        span = (kernel - 1) * dilation + 1
        front = 0
        if what["padding"] == "same":
            front = _same_padding(before[axis + 1], span, stride) // 2
        elif what["padding"] == "causal":
            front = span - 1
        axes.append(view_axis.windowed(span, stride, front))
    return View(tuple(axes))


def _same_padding(size: int | None, span: int, stride: int) -> int:
    # Without a size, one that the stride divides is the best guess: networks are built for such sizes.
    if size is None:
        return max(span - stride, 0)
    return max((math.ceil(size / stride) - 1) * stride + span - size, 0)


def _enlarged(view: View, what: Description, before: Shape, shape: Shape) -> View:
    """Give the view after an upsampling or transposed convolution: the widest any of its values has."""
    axes = []
    for axis, view_axis in enumerate(view.axes):
        if what["op"] == "upsample":
            factor, reach = what["factor"][axis], 0 if what["interpolation"] == "nearest" else 1
            reads = [(-reach, reach)] * factor
        else:
            factor = what["stride"][axis]
            span = (what["kernel"][axis] - 1) * what["dilation"][axis] + 1
            full = None if before[axis + 1] is None else (before[axis + 1] - 1) * factor + span  # type: ignore[operator]
            size = shape[axis + 1]
            cut = 0 if full is None or size is None else max(full - size, 0) // 2
            # Output o reads input i where i * factor <= o + cut < i * factor + span.
            reads = [(math.ceil((o + cut - span + 1) / factor), (o + cut) // factor) for o in range(factor)]
        # Index o stands o / factor of an old step further on: the view must hold for each of them from there.
        low = min(first - o / factor for o, (first, _) in enumerate(reads))
        high = max(last - o / factor for o, (_, last) in enumerate(reads))
        start = view_axis.start + low * view_axis.stride
        extent = view_axis.extent + (high - low) * view_axis.stride
        axes.append(AxisView(view_axis.stride / factor, start, extent))
    return View(tuple(axes))


def _sliced(view: View, what: Description, rank: int) -> View | None:
    keys = [key for key in what["key"] if key is not None]
    if "..." in keys:
        at = keys.index("...")
        keys = keys[:at] + [("slice", None, None, None)] * (rank - len(keys) + 1) + keys[at + 1 :]
    axes = []
    for axis, view_axis in enumerate(view.axes):
        key = keys[axis + 1] if axis + 1 < len(keys) else ("slice", None, None, None)
        if not isinstance(key, tuple):
            return None
        _, start, _, step = key
        if (start or 0) < 0 or (step or 1) < 1:
            return None
        moved = view_axis.shifted(start or 0)
        axes.append(AxisView(moved.stride * (step or 1), moved.start, moved.extent))
    return View(tuple(axes))


def _channels_only(what: Description, rank: int) -> bool:
    if what["by"] == "BatchNormalization":
        return True
    axis = what["axis"]
    axes = axis if isinstance(axis, tuple) else (axis,)
    return what["by"] == "LayerNormalization" and all(a % rank == rank - 1 for a in axes)


def _everything(view: View, shape: Shape) -> View:
    """Give the view of a value that reads a whole layer of this view and shape."""
    axes = []
    for axis, view_axis in enumerate(view.axes):
        size = shape[axis + 1] if axis + 1 < len(shape) - 1 else 1
        extent = math.inf if size is None else view_axis.extent + (size - 1) * view_axis.stride
        start = -math.inf if size is None else view_axis.start
        axes.append(AxisView(math.inf, start, extent))
    return View(tuple(axes), sees_all=True)


def _merged(what: Description, views: Sequence[View], shapes: Sequence[Shape], shape: Shape) -> View | None:
    rank = len(shape)
    if what["op"] == "concatenate" and what["axis"] % rank != rank - 1:
        return None
    if what["op"] not in ("merge", "concatenate"):
        return None
    placed = [view for view, of in zip(views, shapes, strict=True) if not view.sees_all and len(of) == rank]
    if not placed:
        return View(tuple(_united([view.axes[a] for view in views]) for a in range(len(views[0].axes))), sees_all=True)
    if len({view.stride_px for view in placed}) > 1:
        return None
    axes = []
    for a in range(len(placed[0].axes)):
        axis = _united([view.axes[a] for view in placed])
        # A value that sees everything, as a squeeze-excite gate does, makes every place see everything.
        whole = [view.axes[a] for view in views if view.sees_all]
        axes.append(axis if not whole else _united([axis, *(AxisView(axis.stride, w.start, w.extent) for w in whole)]))
    return View(tuple(axes))


def _united(axes: Sequence[AxisView]) -> AxisView:
    start = min(axis.start for axis in axes)
    return AxisView(axes[0].stride, start, max(axis.end for axis in axes) - start)
