"""Occlusion by boxes: exact, and only what a window can change is computed.

    incremental = IncrementalNetwork(net, cover, batch=32)
    incremental.plan.forecast.saved
    for rows, logits in incremental.logits_without(): ...

The picture itself goes through the network once, and what its layers give is *kept*. Of a covered picture only the boxes
are computed that its window changes (`diamond.occlusion.boxes`), from boxes before them and kept values around
(`diamond.occlusion.patches`), up to the node from which whole layers are cheaper (`diamond.occlusion.plan`). Where a
global average comes first, it follows from the change of the box. What comes out is what the whole network gives, but for
the last bits of float32: no value is left out, none is approximated.

Sizes and positions of boxes go into the compiled function as numbers, so that one compilation serves all batches, and all
pictures of one size. Batch norms are folded into the convolutions before them, anew for every cover: a network in training
can be followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.broken import what_broke
from diamond.attribution.feeding import Given, feeds_of, given_tensors, picture_input
from diamond.occlusion.boxes import spread_boxes
from diamond.occlusion.cover import Cover
from diamond.occlusion.layout import Layout, is_turned
from diamond.occlusion.plan import Plan
from modelzoo import Network
from modelzoo.graph import Node, Shape

__all__ = ["BATCH", "IncrementalNetwork", "plan_for"]

Tensor = Any
BATCH = 32


def plan_for(
    net: Network, size: tuple[int, ...], boxes: np.ndarray, *, batch: int = BATCH, given: Given | None = None
) -> Plan:
    """Plan occlusion by boxes, and forecast what it takes, before anything is computed.

    Parameters
    ----------
    net
        The network.
    size
        Height and width of the picture.
    boxes
        ``(n, 4)`` of `Cover.boxes`.
    batch
        Windows computed together.
    given
        Values of the network's other inputs by address, one row each.

    Raises
    ------
    GraphError
        For inputs that are not filled.
    """
    entry = picture_input(net, given)
    edges = np.asarray(boxes)
    if is_turned(net):
        # A network that takes time before frequency sees the picture turned.
        size, edges = size[::-1], edges[:, [1, 0, 3, 2]]
    shapes = _shapes_at(net, entry, (size[0], size[1]))
    return Plan.of(spread_boxes(net.graph, net.logits_node, entry, shapes, edges), max(1, batch))


class IncrementalNetwork:
    """A network that is ready for one covered picture: its plan, its kept values, its compiled function.

    Parameters
    ----------
    net, cover
        The network, and the picture with its windows.
    plan
        Of `plan_for`, where it is made already.
    batch
        Windows computed together; what is returned does not depend on it, but for the last bits.
    given
        Values of the network's other inputs by address, one row each.

    Attributes
    ----------
    plan
        Which nodes are computed by boxes, and which windows together.

    Raises
    ------
    GraphError
        For inputs that are not filled.
    """

    def __init__(
        self, net: Network, cover: Cover, plan: Plan | None = None, *, batch: int = BATCH, given: Given | None = None
    ) -> None:
        self._net, self._cover, self._given = net, cover, given
        self._entry = picture_input(net, given)
        self.plan = plan or plan_for(net, cover.picture.shape[:2], cover.boxes, batch=batch, given=given)
        self._layout = Layout(net, self.plan, self._entry)
        self._digest = self._layout.digest()
        self._folded = self._layout.folded()
        self._kept = self._keep()

    def logits_without(self, rows: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Compute the logits of the picture without each of some windows.

        Parameters
        ----------
        rows
            Numbers of the windows, ``(n,)``; all where None.

        Yields
        ------
        rows, logits
            Some of these numbers, ``(k,)``, and their logits, ``(k, class)``; every window once, in any order.

        Raises
        ------
        ValueError
            For logits that are NaN or infinite, naming the layer they come from.
        """
        places, layout = self.plan.spread.places, self._layout
        compute = self._net.compiled(("incremental", self._digest), lambda: layout.run)
        together = self.plan.batches(np.arange(len(self._cover)) if rows is None else rows)
        most = max((len(batch) for batch in together), default=0)
        for batch in together:
            # Filled up with its first window: another length would be traced anew.
            filled = np.concatenate([batch, np.full(most - len(batch), batch[0])])
            sizes = np.array([place.sizes(filled) for place in places], np.int32)
            starts = np.array([place.starts(filled) for place in places], np.int32)
            parts = self._cover.parts(filled)
            found = compute(parts, self._kept, self._folded, tf.constant(sizes), tf.constant(starts)).numpy()
            if not np.isfinite(found).all():
                raise ValueError(self._what_broke(filled, found))
            yield batch, found[: len(batch)]

    def _what_broke(self, rows: np.ndarray, logits: np.ndarray) -> str:
        others = given_tensors(self._given, 0, len(rows), len(rows))
        pictures = self._cover.pictures(rows)
        return what_broke(self._net, self._net.logits_node, self._entry, pictures, others, logits)

    def _keep(self) -> dict[str, Tensor]:
        """Compute what is kept of the picture itself."""
        feeds = feeds_of(
            self._net, self._entry, tf.constant(self._cover.picture[None]), given_tensors(self._given, 0, 1, 1)
        )
        wanted = [self._net.graph.nodes[index] for index in self._layout.keeps]
        return {
            str(node.index): value for node, value in zip(wanted, self._net.graph.evaluate(feeds, wanted), strict=True)
        }


def _shapes_at(net: Network, entry: Node, size: tuple[int, int]) -> dict[int, Shape]:
    """Give the shape of each node on the way to the logits for a picture of a size, the batch open."""
    order = net.graph.ancestors([net.logits_node])
    known = {node.index: node.shape for node in order} | {entry.index: (None, *size, entry.shape[-1])}
    if known[entry.index] == entry.shape and all(None not in shape[1:] for shape in known.values()):
        return known
    inputs = [node for node in order if node.is_input]
    others = [node for node in order if not node.is_input]

    def compute(values: list[Tensor]) -> list[Tensor]:
        feeds = {node.index: value for node, value in zip(inputs, values, strict=True)}
        return net.graph.evaluate(feeds, others)

    signature = [tf.TensorSpec(known[node.index], node.operation.dtype) for node in inputs]
    found = tf.function(compute, autograph=False).get_concrete_function(signature).structured_outputs
    return known | {node.index: tuple(value.shape) for node, value in zip(others, found, strict=True)}
