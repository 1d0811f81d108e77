"""Which channels of a layer speak for a class, over one picture or many.

    >>> found = channel_attribution(net, "cat.jpg", "block9_add")
    >>> found.channels[:3], found.scores[:3].round(2)
    (array([48, 96, 71]), array([0.45, 0.35, 0.33], dtype=float32))
    >>> found.save("cat.html")
    PosixPath('cat.html')

A channel's attribution is its contribution to the class score (see `diamond.attribution.linear`), summed over all
places and then over the pictures; the values of each picture are kept. Channels come in the order of that sum, with the
sprites that somebody rendered for the layer, where a store has them. Pictures are read a batch at a time, and all
layers share one pass through the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from diamond.attribution.feeding import Given
from diamond.attribution.linear import contributions_at, method_for
from diamond.attribution.passes import MOST_SHOWN
from diamond.attribution.ranking import AttributionByLayer, ChannelAttribution
from diamond.attribution.streams import stream
from diamond.attribution.targets import ALL_OTHERS, OTHERS, Target, ask, class_labels
from modelzoo import Layer, Network
from modelzoo.fingerprint import fingerprints
from spritemaps import Spritemap, Store, find

__all__ = ["AttributionByLayer", "ChannelAttribution", "channel_attribution"]


@overload
def channel_attribution(
    net: Network,
    images: Any,
    layer: str | Layer,
    *,
    positive: Target | None = ...,
    negative: Target | None = ...,
    method: str = ...,
    top: int = ...,
    given: Given | None = ...,
    store: Store | str | Path | None = ...,
    render: bool = ...,
    progress: bool = ...,
) -> ChannelAttribution:
    """Of one layer."""


@overload
def channel_attribution(
    net: Network,
    images: Any,
    layer: list[str] | list[Layer] | tuple[str | Layer, ...],
    *,
    positive: Target | None = ...,
    negative: Target | None = ...,
    method: str = ...,
    top: int = ...,
    given: Given | None = ...,
    store: Store | str | Path | None = ...,
    render: bool = ...,
    progress: bool = ...,
) -> AttributionByLayer:
    """Of several layers."""


def channel_attribution(
    net: Network,
    images: Any,
    layer: str | Layer | list[str] | list[Layer] | tuple[str | Layer, ...],
    *,
    positive: Target | None = "top1",
    negative: Target | None = None,
    method: str = "gradient",
    top: int = 10,
    given: Given | None = None,
    store: Store | str | Path | None = None,
    render: bool = False,
    progress: bool = True,
) -> ChannelAttribution | AttributionByLayer:
    """Find the channels of a layer, or of several, that speak most for a class.

    Parameters
    ----------
    net
        The network.
    images
        One or many pictures: path, URL, array ``(height, width, 3)`` or ``(batch, height, width, 3)`` in [0, 1], a
        folder (with the folders in it), a list of those, or any iterable of them. Thousands are read a batch at a time;
        a file that gives no picture is skipped, told and counted. Sounds for a sound network, each of whose patches
        then counts as a picture.
    layer
        A layer or its address; several of them in a list give one row each.
    positive
        Index, label, WordNet id, or ``"top1"``, ``"top2"`` ...: the class asked about. None asks about no class: the
        channels that are most active.
    negative
        The same for a class held against it, or ``"others"`` for all other classes at once.
    method
        ``"gradient"`` (times activation), ``"path"`` (the same, averaged while the layer grows from zero: adds up to
        the change of the score, and takes 32 to 1,000 times the time, the most at shallow layers), or ``"activation"``
        (of no class: the mean over all places).
    top
        How many channels to name.
    given
        Values of the network's other inputs by address, where it has several: one row, or one for each picture.
    store
        Where to look first for the layer's spritemap.
    render
        Whether to render the sprites of the channels that are shown, where no store has them.
    progress
        Whether to show a progress bar, from 64 pictures on and while rendering.

    Returns
    -------
    ChannelAttribution
        For a layer; `AttributionByLayer` for a list of layers.

    Raises
    ------
    UnknownLayerError, ClassError, PictureError, FileNotFoundError
        For a layer or class the network does not have, or a picture that cannot be read, naming the nearest.
    GraphError
        Where no gradient reaches the layer from the class, and for inputs that are not filled.
    ValueError
        Where `top` is less than 1, no layer is given, and for activations that are NaN or infinite, naming the layer.

    Examples
    --------
    >>> found = dc.channel_attribution(net, "cat.jpg", "block9_add", top=3)
    >>> found.channels, found.scores.round(2)
    (array([48, 96, 71]), array([0.45, 0.35, 0.33], dtype=float32))

    Two classes against each other, at two layers, over a folder of photos:

    >>> layers = ["block4_add", "block14_add"]
    >>> both = dc.channel_attribution(net, "photos/", layers, positive="tabby", negative="tiger cat")
    >>> both["block14_add"].question, both["block14_add"].per_image.shape
    ('tabby against tiger cat', (8, 10))
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more channels")
    single = isinstance(layer, str | Layer)
    asked: Sequence[str | Layer] = [layer] if isinstance(layer, str | Layer) else list(layer)
    if not asked:
        raise ValueError("the list of layers is empty; expected a layer or several: net.layers lists all")
    places = [net.layers[each.name if isinstance(each, Layer) else each] for each in asked]
    method = method_for(method, positive, negative)
    if method != "activation" and positive is not None:
        ask(net, positive, negative)
    values: list[list[np.ndarray]] = [[] for _ in places]
    names: list[str] = []
    plus: list[np.ndarray] = []
    minus: list[np.ndarray] = []
    scores: list[np.ndarray] = []
    changes: list[list[np.ndarray]] = [[] for _ in places]
    kept: list[np.ndarray] = []
    reading = stream(net, images, given=given, progress=progress)
    for batch in reading:
        for parts in contributions_at(
            net,
            batch.pictures,
            places,
            positive=positive,
            negative=negative,
            method=method,
            given=batch.given,
            places=False,
        ):
            for i, part in enumerate(parts):
                values[i].append(part.values.reshape(len(part.values), -1))
                if part.changes is not None:
                    changes[i].append(part.changes)
            plus.append(parts[0].positive)
            minus.append(np.zeros(0, np.int32) if parts[0].negative is None else parts[0].negative)
            scores.append(parts[0].scores)
        names += batch.names
        kept.extend(batch.pictures[: MOST_SHOWN - len(kept)].copy())
    against = class_labels(net, np.concatenate(minus))
    # The weights are hashed once for all layers.
    prints = fingerprints(net.graph, net.card.input, [net.node(place) for place in places])
    rows = []
    for place, of, changed in zip(places, values, changes, strict=True):
        every = np.concatenate(of)
        totals = every.sum(axis=0, dtype=np.float64)
        order = np.argsort(-totals, kind="stable")[:top]
        found = ChannelAttribution(
            network=net.name,
            layer=place.name,
            images=tuple(names),
            channels=order,
            scores=totals[order].astype(np.float32),
            per_image=every[:, order],
            all_scores=every,
            positive=class_labels(net, np.concatenate(plus)),
            negative=(ALL_OTHERS,) * len(names) if negative == OTHERS else against,
            logits=np.concatenate(scores),
            pictures=np.stack(kept),
            method=method,
            changes=np.concatenate(changed) if changed else None,
            skipped=reading.skipped,
        )
        sprites = find(prints[net.node(place).index], store=store)
        if sprites is None and render:
            sprites = _rendered(net, place, found, store, progress)
        rows.append(replace(found, sprites=sprites))
    return rows[0] if single else AttributionByLayer(tuple(rows))


def _rendered(
    net: Network, place: Layer, found: ChannelAttribution, store: Store | str | Path | None, progress: bool
) -> Spritemap:
    """Render the sprites of the channels that are shown, and of no others."""
    from diamond.pregenerate.one_layer import spritemap

    shown = sorted({*found.channels.tolist(), *found.opposed.tolist()})
    return spritemap(net, place, channels=shown, store=store, progress=progress)
