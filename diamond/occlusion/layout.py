"""A plan as a function of tensors: boxes up to the cut, whole layers from there on.

    layout = Layout(net, plan, entry)
    kept = {str(index): values of that node for the picture itself for index in layout.keeps}
    logits = layout.run(cover.parts(rows), kept, layout.folded(), sizes, starts)

`diamond.occlusion.plan` says what is computed how; here it is laid out once, with all that the function will be given, and
then run in a compiled function: batches and pictures of one size differ only in the numbers they bring.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from diamond.features.folding import fold, foldable
from diamond.occlusion.boxes import SELF, Reach, reach_of
from diamond.occlusion.cover import covered
from diamond.occlusion.patches import Boxes, Patch, convolved, pooled
from diamond.occlusion.plan import Plan, is_as_it_is
from modelzoo import Network
from modelzoo.attributes import describe
from modelzoo.graph import Node, Ref

__all__ = ["Layout", "is_turned"]

Tensor = Any
Weights = Mapping[str, tuple[Tensor, Tensor]]


class Layout:
    """What the compiled function of a plan does.

    Parameters
    ----------
    net, plan, entry
        The network, how windows go through it, and the input that takes the picture.

    Attributes
    ----------
    keeps
        Nodes whose values for the picture itself are needed.
    """

    def __init__(self, net: Network, plan: Plan, entry: Node) -> None:
        self._net, self._entry = net, entry
        self._spread, self._boxed = plan.spread, plan.boxed
        self._wanted = plan.spread.order[-1]
        self._norms = {node.index: norm for node, norm in foldable(plan.spread.order, [self._wanted])}
        self._absorbed = {norm.index for norm in self._norms.values()}
        self._reach = {
            node.index: reach_of(node, plan.spread.shapes) or SELF for node in plan.spread.order if node.inputs
        }
        self.keeps = sorted(self._needed())

    def digest(self) -> str:
        """Name what the function does: plans with the same name share one compilation."""
        said = [self._entry.address, str(len(self._spread.places))]
        for node in self._spread.order:
            place = self._spread.at[node.index].number if self._is_patch(node.index) else None
            gathers = [self._gathers(node, ref) for ref in node.inputs] if place is not None else []
            said.append(
                f"{node.address} {self._spread.shapes[node.index]} {node.index in self._boxed} {place} {gathers}"
            )
        return hashlib.sha256("\n".join(said).encode()).hexdigest()

    def folded(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Give kernel and shift of each convolution with the batch norm after it, from the weights as they are now."""
        order = {node.index: node for node in self._spread.order}
        return {str(index): fold(order[index].operation, norm.operation) for index, norm in self._norms.items()}

    def run(
        self, parts: Mapping[str, Tensor], kept: Mapping[str, Tensor], folded: Weights, sizes: Tensor, starts: Tensor
    ) -> Tensor:
        """Compute the logits of some windows, ``(k, class)``.

        Parameters
        ----------
        parts
            The windows, of `Cover.parts`.
        kept
            What the nodes of `keeps` give for the picture itself, by index.
        folded
            What `folded` gives.
        sizes, starts
            ``(places, 2)`` and ``(places, k, 2)``, of `Boxes`.
        """
        running = _Running(self, covered(parts), kept, folded, Boxes(sizes, starts))
        for node in self._spread.order:
            if node.index not in self._spread.still:
                running.compute(node)
        answer = running.whole(Ref(self._wanted.index))
        return tf.reshape(tf.cast(answer, tf.float32), [tf.shape(answer)[0], -1])

    def _needed(self) -> set[int]:
        needed: set[int] = set()
        for node in self._spread.order:
            if node.index in self._spread.still or node is self._entry:
                continue
            for ref in node.inputs:
                still = ref.node in self._spread.still
                if still or (self._is_patch(ref.node) and self._reads_kept(node, ref)):
                    needed.add(self._kept_at(ref.node))
            if node.index in self._boxed and node.index in self._spread.means:
                needed.add(node.index)
        if self._is_patch(self._wanted.index):
            needed.add(self._kept_at(self._wanted.index))
        return needed

    def _reads_kept(self, node: Node, ref: Ref) -> bool:
        if node.index in self._absorbed and self._is_patch(node.index):
            return False
        return not self._is_patch(node.index) or self._gathers(node, ref)

    def _is_patch(self, index: int) -> bool:
        return index in self._boxed and index in self._spread.at

    def _gathers(self, node: Node, ref: Ref) -> bool:
        """Whether a node with boxes needs values around those of an input."""
        source = self._spread.at.get(ref.node) if ref.node in self._boxed else None
        return not is_as_it_is(source, self._spread.at[node.index], self._reach[node.index])

    def _kept_at(self, index: int) -> int:
        # A convolution with its batch norm gives what the norm gives.
        return self._norms[index].index if index in self._norms else index


class _Running:
    """The state of one run: a patch, or whole tensors, for each node computed so far."""

    def __init__(
        self, layout: Layout, pictures: Tensor, kept: Mapping[str, Tensor], folded: Weights, boxes: Boxes
    ) -> None:
        self._layout, self._pictures, self._kept, self._folded, self._boxes = layout, pictures, kept, folded, boxes
        self._patches: dict[int, Patch] = {}
        self._whole: dict[int, tuple[Tensor, ...]] = {}

    def compute(self, node: Node) -> None:
        layout = self._layout
        spread = layout._spread
        if node is layout._entry:
            self._enter(node)
        elif layout._is_patch(node.index):
            self._patches[node.index] = Patch(self._boxed(node), spread.at[node.index])
        elif node.index in layout._boxed:
            [ref] = node.inputs
            mean = self._boxes.mean(self._patches[ref.node], self._kept_of(ref.node), self._kept_of(node.index))
            self._whole[node.index] = (mean,)
        else:
            self._whole[node.index] = self._as_whole(node)

    def whole(self, ref: Ref) -> Tensor:
        """Give all of a node's values, ``(k, ...)``: those of its boxes set among what is kept."""
        if ref.node in self._layout._spread.still:
            return tf.repeat(self._kept_of(ref.node), self._boxes.k, axis=0)
        if ref.node not in self._whole:
            self._whole[ref.node] = (self._boxes.around(self._patches[ref.node], self._kept_of(ref.node), None),)
        return self._whole[ref.node][ref.output]

    def _enter(self, node: Node) -> None:
        net, pictures = self._layout._net, self._pictures
        if self._layout._is_patch(node.index):
            place = self._layout._spread.at[node.index]
            cut = net.preprocess(self._boxes.cut_out(pictures, place, is_turned(net)))
            self._patches[node.index] = Patch(cut, place)
        if not self._layout._is_patch(node.index) or self._layout._kept_at(node.index) in self._layout.keeps:
            # Pictures are whole already: no box needs to be set among kept values.
            self._whole[node.index] = (net.preprocess(pictures),)

    def _kept_of(self, index: int) -> Tensor:
        return self._kept[str(self._layout._kept_at(index))]

    def _as_whole(self, node: Node) -> tuple[Tensor, ...]:
        tensors = [self.whole(ref) for ref in node.inputs]
        if node.index in self._layout._absorbed:
            return (tensors[0],)
        if node.index in self._layout._norms:
            kernel, shift = self._folded[str(node.index)]
            return (convolved(tensors[0], node.operation, None, kernel, shift),)
        return node.compute(*tensors)

    def _boxed(self, node: Node) -> Tensor:
        reach, what = self._layout._reach[node.index], describe(node)
        fill = float("-inf") if what.get("mode") == "max" else 0.0
        given = [self._operand(node, ref, reach, fill) for ref in node.inputs]
        if node.index in self._layout._absorbed or what["op"] in ("pad", "crop"):
            return given[0]
        if what["op"] == "convolution":
            return convolved(given[0], node.operation, reach, *self._folded.get(str(node.index), (None, None)))
        if what["op"] == "pooling":
            source = self._layout._spread.shapes[node.inputs[0].node]
            share = None
            if what["mode"] == "average" and what["padding"] == "same":
                size = (int(source[1] or 0), int(source[2] or 0))
                share = self._boxes.share_inside(self._layout._spread.at[node.index], reach, size)
            return pooled(given[0], what, reach, share)
        return node.compute(*given)[0]

    def _operand(self, node: Node, ref: Ref, reach: Reach, fill: float) -> Tensor:
        patch = self._patches.get(ref.node)
        if node.index in self._layout._absorbed or not self._layout._gathers(node, ref):
            assert patch is not None
            return patch.values
        target = self._layout._spread.at[node.index]
        return self._boxes.around(patch, self._kept_of(ref.node), target, reach, fill)


def is_turned(net: Network) -> bool:
    """Whether the network sees pictures with their axes swapped: it takes time before frequency."""
    return net.input.audio is not None and net.input.audio.time_first
