"""How what a layer found is carried to the next layer, and to the class.

    >>> found = flow(net, "cat.jpg", ["block9_add", "block14_add"], top=5)
    >>> found.links[0].shape                        # from the 5 channels of the first layer to the 5 of the second
    (5, 5)

Channel attribution says what a channel of each layer is worth to the class, and is silent on the way there. A later
unit is worth its *contribution*, its activations times the gradient of the class score, summed over places. Asked how
that sum changes with an earlier layer, and multiplied with the earlier activations, it falls into *links*: what of the
later unit's contribution each earlier unit carried to it. All links are in logits, as the contributions are; where
all ways lead through both layers, the links that leave a unit, to all of the later layer, add up to its contribution.

The later unit's own gradient is held fixed. So a link is of first order in both layers, and says nothing of what would
have come instead; `diamond.attribution.faithfulness.ablate` does.

Olah et al., "The Building Blocks of Interpretability" (Distill 2018), section "Attribution", for attribution between
hidden layers by the same product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from diamond.attribution.feeding import Given, feeds_of, given_tensors, picture_input, rows_of
from diamond.attribution.flowed import Flow
from diamond.attribution.groups import factorise
from diamond.attribution.tail import Gradient, gradients, over_space
from diamond.attribution.targets import Target
from modelzoo import GraphError, Layer, Network
from modelzoo.graph import Node
from spritemaps import Store, find

__all__ = ["Flow", "flow"]

TOP_OF_GROUP = 4


def flow(
    net: Network,
    image: Any,
    layers: Sequence[str | Layer],
    *,
    top: int = 5,
    positive: Target = "top1",
    negative: Target | None = None,
    by: Literal["channels", "groups"] = "channels",
    k: int = 5,
    seed: int = 0,
    given: Given | None = None,
    store: Store | str | Path | None = None,
) -> Flow:
    """Find how the top channels or the groups of some layers carry to each other and to a class.

    Parameters
    ----------
    net
        The network.
    image
        One picture: path, URL, or array ``(height, width, 3)`` in [0, 1].
    layers
        One or more layers, each on the way to the next and to the class; put into network order.
    top
        How many channels of each layer: those with the largest contribution to the class, either way.
    positive, negative
        The class asked about, and the class it is held against.
    by
        ``"channels"``, or ``"groups"``: groups of channels that fire together in this picture (see
        `diamond.attribution.groups`). Each contribution is then split among the groups in proportion to their share of
        the activation; where a layer is below zero there is no group.
    k, seed
        How many groups, and the seed they are found by.
    given
        Values of the network's other inputs by address, ``(1, ...)``, where it has several.
    store
        Where to look first for spritemaps.

    Returns
    -------
    Flow

    Raises
    ------
    UnknownLayerError, ClassError, PictureError
        For a layer or class the network does not have, or a picture that cannot be read, naming the nearest.
    GraphError
        Where a layer is not on the way to the next or to the class, and for groups of a layer without height and width.
    ValueError
        For no layers or the same twice, several pictures, another `by`, a `top` less than 1, and a `k` that `groups`
        would refuse.

    Examples
    --------
    >>> found = dc.flow(net, "cat.jpg", ["block9_add", "block14_add"], top=3)
    >>> found.links[0].shape, found.units[0]
    ((3, 3), ((48,), (107,), (97,)))
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more channels of each layer")
    if by not in ("channels", "groups"):
        raise ValueError(f"by is {by!r}; expected 'channels' or 'groups'")
    places = _in_order(net, layers)
    pictures, names = net.read_named(image)
    if len(pictures) != 1:
        raise ValueError(f"{len(pictures)} pictures were given; a flow is of one")
    parts = [
        next(gradients(net, pictures, place, positive=positive, negative=negative, given=given)) for place in places
    ]
    columns = [
        _channels(part, top) if by == "channels" else _groups(part, place, k, seed)
        for part, place in zip(parts, places, strict=True)
    ]
    links = tuple(
        _links(net, pictures, (places[i], places[i + 1]), (parts[i], parts[i + 1]), (columns[i], columns[i + 1]), given)
        for i in range(len(places) - 1)
    )
    plus, minus = parts[-1].classes_in_words(net)
    return Flow(
        network=net.name,
        image=names[0],
        layers=tuple(place.name for place in places),
        by=by,
        units=tuple(column.units for column in columns),
        effects=tuple(column.effects for column in columns),
        totals=np.array([float((part.gradients * part.activations).sum()) for part in parts]),
        links=links,
        maps=tuple(column.maps for column in columns),
        positive=plus[0],
        negative=minus[0] if minus else None,
        logit=float(parts[-1].scores[0]),
        picture=pictures[0],
        sprites=tuple(find(net.fingerprint(place), store=store) for place in places),
    )


@dataclass(frozen=True, eq=False)
class _Column:
    """The units of a layer that are shown.

    `shares` holds how much of each value is each unit's, ``(..., channel, unit)``: for channels all or nothing.
    """

    units: tuple[tuple[int, ...], ...]
    effects: np.ndarray
    shares: np.ndarray
    maps: np.ndarray | None


def _channels(part: Gradient, top: int) -> _Column:
    contributions = part.gradients[0] * part.activations[0]
    n = contributions.shape[-1]
    effects = contributions.reshape(-1, n).sum(axis=0)
    largest = np.argsort(-np.abs(effects), kind="stable")[:top]
    order = largest[np.argsort(-effects[largest], kind="stable")]
    shares = np.eye(n, dtype=np.float32)[:, order]
    maps = contributions[..., order] if contributions.ndim == 3 else None
    return _Column(tuple((int(c),) for c in order), effects[order], shares, maps)


def _groups(part: Gradient, layer: Layer, k: int, seed: int) -> _Column:
    if not layer.is_spatial:
        raise GraphError(f"{layer.name!r} has the shape {layer.output_shape}: no height and width to have groups in")
    found = factorise(part.activations, k, layer=layer.name, seed=seed)
    contributions = part.gradients[0] * part.activations[0]
    shares = found.shares()[0] * (part.activations[0] > 0)[..., None]
    maps = np.einsum("hwc,hwck->hwk", contributions, shares)
    effects = maps.sum(axis=(0, 1))
    order = np.argsort(-effects, kind="stable")
    made_of = np.argsort(-found.factors[order], axis=1, kind="stable")[:, :TOP_OF_GROUP]
    units = tuple(tuple(int(c) for c in row) for row in made_of)
    return _Column(units, effects[order], shares[..., order], maps[..., order])


def _links(
    net: Network,
    pictures: np.ndarray,
    layers: tuple[Layer, Layer],
    parts: tuple[Gradient, Gradient],
    columns: tuple[_Column, _Column],
    given: Given | None,
) -> np.ndarray:
    """What of each later unit's contribution each earlier unit carried: ``(earlier, later)``."""
    earlier, later = net.node(layers[0]), net.node(layers[1])
    entry = picture_input(net, given)
    key = ("carried", entry.address, earlier.address, later.address)
    carried = net.compiled(key, lambda: _carried(net, earlier, later, entry))
    n = len(columns[1].units)
    # One row a later unit: its share of each value, weighted with the value's gradient.
    asked = np.moveaxis(parts[1].gradients[0][..., None] * columns[1].shares, -1, 0)
    others = given_tensors(rows_of(given, np.zeros(n, np.int64)), 0, n, n)
    rows = [tf.constant(np.repeat(values, n, axis=0)) for values in (pictures, parts[0].activations)]
    found = carried(rows[0], others, rows[1], tf.constant(asked, tf.float32)).numpy()
    shares = columns[0].shares
    # A channel's share is the same at every place, so that places can be summed first.
    split: np.ndarray = (
        (over_space(found) @ shares).T if shares.ndim == 2 else np.einsum("vhwc,hwcu->uv", found, shares)
    )
    return split


def _carried(net: Network, earlier: Node, later: Node, entry: Node) -> Callable[..., Any]:
    def compute(pictures: Any, given: Mapping[str, Any], activations: Any, asked: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(activations)
            feeds = {**feeds_of(net, entry, pictures, given), earlier.index: activations}
            [values] = net.graph.evaluate(feeds, [later])
            contribution = tf.reduce_sum(values * asked)
        slopes = tape.gradient(contribution, activations)
        if slopes is None:
            raise GraphError(f"no gradient reaches {earlier.address!r} from {later.address!r}")
        return slopes * activations

    return compute


def _in_order(net: Network, layers: Sequence[str | Layer]) -> list[Layer]:
    if isinstance(layers, str | Layer):
        layers = [layers]
    places = sorted((net.layers[each.name if isinstance(each, Layer) else each] for each in layers), key=_position)
    if not places:
        raise ValueError("no layers were given; expected one or more, as net.landmarks")
    for earlier, later in zip(places, places[1:], strict=False):
        if earlier.name == later.name:
            raise ValueError(f"{earlier.name!r} was given twice")
        if net.node(earlier) not in net.graph.ancestors([net.node(later)]):
            raise GraphError(f"{earlier.name!r} is not on the way to {later.name!r}: nothing flows between them")
    return places


def _position(layer: Layer) -> int:
    return layer.position
