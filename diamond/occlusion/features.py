"""Occlusion inside a network: cells or channels of a layer's activations covered, the rest of the network run on.

    >>> found = dc.occlude(net, "cat.jpg", layer="block14_add", window=3, stride=2, progress=False)  # 3 x 3 cells
    >>> found.scores.shape, found.heatmap.shape
    ((9, 1), (7, 7))

A layer's activations are covered as a picture is, by the same `Cover`; what follows is run by
`diamond.attribution.tail.logits_from`. A channel has no place of its own: its score is laid where it is active, in
proportion to how far it is from its fill there, so that the map of all channels adds up to the sum of their scores.
The idea is Ablation-CAM's (Desai & Ramaswamy, WACV 2020), which weights activations by the loss and leaves the scale open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.feeding import Given, feeds_of, given_tensors, picture_input
from diamond.attribution.tail import logits_from
from diamond.occlusion.cover import Cover
from modelzoo import GraphError, Layer, Network
from modelzoo.graph import Node

__all__ = ["Channels", "logits_without", "start"]


@dataclass(frozen=True, eq=False)
class Channels:
    """The activations of a layer and its channels, one of them covered at a time.

    Attributes
    ----------
    activations
        ``(height, width, channel)`` of one picture.
    fill
        ``(height, width, channel)`` what stands in a channel's place.
    """

    activations: np.ndarray = field(repr=False)
    fill: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, activations: np.ndarray, fill: np.ndarray) -> Channels:
        """Join them; a fill may be one number, one a channel, or whole."""
        return cls(activations, np.broadcast_to(fill, activations.shape))

    def __len__(self) -> int:
        return self.activations.shape[-1]

    def pictures(self, rows: Any) -> Any:
        """Give ``(k, height, width, channel)``: the activations without each of some channels."""
        one = tf.one_hot(tf.constant(rows), len(self))[:, None, None, :]
        return self.activations[None] * (1.0 - one) + self.fill[None] * one

    def laid(self, values: np.ndarray) -> np.ndarray:
        """Lay values of channels, ``(channel, column)``, where the channels are active: ``(column, height, width)``."""
        away = np.abs(self.activations - self.fill).astype(np.float64)
        total = away.sum(axis=(0, 1))
        shares = away / np.where(total > 0, total, 1.0)
        found: np.ndarray = np.moveaxis(shares @ values, -1, 0).astype(np.float32)
        return found


def start(
    net: Network, picture: np.ndarray, layer: Layer | None = None, given: Given | None = None
) -> tuple[np.ndarray | None, np.ndarray]:
    """Give a layer's activations for one picture, and the logits with nothing covered.

    Parameters
    ----------
    net
        The network.
    picture
        ``(height, width, channels)`` as the network takes it before its preprocessing.
    layer
        The layer; None for none.
    given
        Values of the network's other inputs by address, ``(1, ...)``.

    Returns
    -------
    activations, logits
        ``(height, width, channel)`` or None, and ``(class,)`` float32.

    Raises
    ------
    GraphError
        For a layer that has no height and width, or is not on the way to the class scores.
    """
    entry = picture_input(net, given)
    node = None if layer is None else _checked(net, layer)
    key = ("occlusion starts", entry.address, "" if node is None else node.address)
    compute = net.compiled(key, lambda: _start(net, entry, node))
    found = [value.numpy()[0] for value in compute(tf.constant(picture[None]), given_tensors(given, 0, 1, 1))]
    return (None if layer is None else found[1]), found[0]


def logits_without(
    net: Network,
    layer: Layer,
    picture: np.ndarray,
    cover: Cover | Channels,
    rows: np.ndarray | None = None,
    *,
    batch: int,
    given: Given | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the logits without each part of a layer, a batch at a time, as `diamond.occlusion.full` does of a picture.

    Parameters
    ----------
    net, layer
        The network and its layer.
    picture
        ``(height, width, channels)``: what ways around the layer see, where there are any.
    cover
        Of the layer's activations.
    rows
        Numbers of the parts, ``(n,)``; all where None.
    batch
        How many rows at a time.
    given
        Values of the network's other inputs by address, ``(1, ...)``.

    Raises
    ------
    ValueError
        For logits that are NaN or infinite.
    """
    wanted = np.arange(len(cover)) if rows is None else rows
    for begin in range(0, len(wanted), batch):
        some = wanted[begin : begin + batch]
        shown = np.broadcast_to(picture, (len(some), *picture.shape))
        logits = logits_from(net, shown, layer, cover.pictures(some).numpy(), given)
        if not np.isfinite(logits).all():
            raise ValueError(f"the class scores without parts of {layer.name!r} are NaN or infinite")
        yield some, logits


def _checked(net: Network, layer: Layer) -> Node:
    if not layer.is_spatial:
        raise GraphError(
            f"{layer.name!r} has the shape {layer.output_shape}: no height and width to cover parts of; "
            "dc.ablate removes its channels"
        )
    node = net.node(layer)
    if node not in net.graph.ancestors([net.logits_node]):
        raise GraphError(f"{node.address!r} is not on the way to the class scores: covering it changes nothing")
    return node


def _start(net: Network, entry: Node, node: Node | None) -> Callable[..., Any]:
    def compute(pictures: Any, given: Mapping[str, Any]) -> list[Any]:
        wanted = [net.logits_node] if node is None else [net.logits_node, node]
        answer, *rest = net.graph.evaluate(feeds_of(net, entry, pictures, given), wanted)
        return [tf.reshape(tf.cast(answer, tf.float32), [tf.shape(answer)[0], -1]), *rest]

    return compute
