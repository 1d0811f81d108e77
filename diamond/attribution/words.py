"""What a channel is for, in words, from what it does and nothing else.

    told = describe(net, "photos/", "block14_add")
    print(told)

A sprite shows what excites a channel and says nothing of what follows from it. Here a channel is *described* by what
follows: which class scores it raises most, in the mean over the pictures given (gradient times activation for each class,
see `diamond.attribution.linear`), and where in them it fires. The classes are gathered under the nearest ancestor in
WordNet that covers most of the push (see `modelzoo.labels.wordnet`), where the network's classes have one.

What raises all scores alike changes no answer, so a class' *push* is how much more it is raised than the mean class.
Other pictures give other words: those of a channel that no picture excites say nothing.

Bau et al., "Network Dissection" (CVPR 2017), describes units by labelled concepts; here the network's own classes serve.
"""

from __future__ import annotations

import operator
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diamond.attribution.described import ChannelWords, Description, Pushed
from diamond.attribution.every_class import effects_on_classes
from diamond.attribution.feeding import Given
from diamond.attribution.passes import Passes
from diamond.attribution.tail import over_space
from modelzoo import Layer, Network
from modelzoo.labels import ancestors, has_ancestors
from spritemaps import Store, find

__all__ = ["ChannelWords", "Description", "Pushed", "describe", "kind_of"]

# An ancestor covers a list of classes where so much of their push is its own ...
COVERS = 0.7
# ... and part of it where so much is, if it is a specific one: of fewer than so many of the network's classes.
PARTLY = 0.4
SPECIFIC = 0.1
# A kind of so many of the network's classes says little of a few of them, and of half of them nothing.
GENERAL = 0.25
MOST_GENERAL = 0.5
FEWEST = 2
# Ancestors nobody would use to name a thing, and ones that hold things together by no more than having parts.
SAYS_NOTHING = {
    *("entity", "physical entity", "abstraction", "object", "whole", "matter", "substance", "solid", "instrumentality"),
    *("chordate", "placental", "living thing", "organism", "device", "covering", "conveyance", "part", "piece"),
    *(
        "consumer goods",
        "commodity",
        "durables",
        "natural object",
        "article",
        "attribute",
        "shape",
        "system",
        "artifact",
    ),
    *("unit", "measure", "location", "communication", "signal", "relation", "equipment", "implement"),
}
FIRES = 0.5
EVERYWHERE = 0.5
MOSTLY = 2 / 3


def describe(
    net: Network,
    images: Any,
    layer: str | Layer,
    channels: Sequence[int] | None = None,
    *,
    top: int = 20,
    classes: int = 10,
    given: Given | None = None,
    store: Store | str | Path | None = None,
    progress: bool = True,
) -> Description:
    """Describe channels by the classes they push and the places they fire at.

    Parameters
    ----------
    net
        The network.
    images
        One or many pictures: path, URL, array ``(height, width, 3)`` or ``(batch, height, width, 3)`` in [0, 1], a
        folder, a list of those, or any iterable of them; read a batch at a time, a file that gives no picture skipped,
        told and counted. The more, and the more different, the better the words.
    layer
        A layer or its address.
    channels
        Which; where None, those that count most, either way, for each picture's own answer.
    top
        How many where none are named.
    classes
        How many classes are read off a channel's pushes, either way.
    given
        Values of the network's other inputs by address, ``(n, ...)`` or ``(1, ...)``, where it has several.
    store
        Where to look first for the layer's spritemap.
    progress
        Whether to show a progress bar, from 64 pictures on.

    Returns
    -------
    Description

    Raises
    ------
    UnknownLayerError, PictureError
        For a layer the network does not have, or a picture that cannot be read, naming the nearest.
    GraphError
        Where the layer is not on the way to the class scores.
    ValueError
        For channels that the layer does not have, no pictures, and `top` or `classes` less than 1.

    Examples
    --------
    >>> print(dc.describe(net, "photos/", "block14_add", channels=[125, 170], progress=False))
    channel 125: pushes dock, Crock Pot and sewing machine; fires in the middle, in 3 of 8 pictures
    channel 170: pushes partly food (espresso, cup, chocolate sauce); fires in no fixed place, in 8 of 8 pictures
    """
    if min(top, classes) < 1:
        raise ValueError(f"top is {top} and classes {classes}; expected 1 or more")
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    asked = Passes(net, images, place, given=given, progress=progress)
    if channels is None:
        owed = np.concatenate([np.abs(over_space(part.activations * part.gradients)) for _, part in asked])
        chosen = np.argsort(-owed.mean(axis=0), kind="stable")[:top]
    else:
        chosen = _checked(channels, place)
    effects, peaks = [], []
    for batch, part in asked:
        outputs = part.logits.shape[1]
        pushed = effects_on_classes(net, batch.pictures, place, part.activations, chosen, outputs, batch.given)
        effects.append(pushed * len(batch.names))
        peaks.append(part.activations[..., chosen].reshape(len(batch.names), -1, len(chosen)).max(axis=1))
    firing = _Firing(np.concatenate(peaks))
    for _, part in asked:
        firing.add(part.activations[..., chosen])
    effect = np.sum(effects, axis=0) / len(asked.names)
    pushes = effect - (effect.mean(axis=1, keepdims=True) if effect.shape[1] > 1 else 0.0)
    kinds = _kinds(net, pushes.shape[1])
    told = []
    for i, (channel, push) in enumerate(zip(chosen, pushes, strict=True)):
        towards, away = (_towards(net, sign * push, classes, kinds) for sign in (1, -1))
        told.append(ChannelWords(channel=int(channel), towards=towards, away=away, **firing.told(i, asked.names)))
    return Description(
        network=net.name,
        layer=place.name,
        images=asked.names,
        channels=tuple(told),
        pushes=pushes,
        pictures=asked.pictures,
        sprites=find(net.fingerprint(place), store=store),
        skipped=asked.skipped,
    )


def kind_of(pushed: Sequence[tuple[int, float]], kinds: Mapping[int, tuple[str, ...]]) -> tuple[str, float] | None:
    """Name the kind that covers a push.

    The most specific kind that covers `COVERS` of it; where there is none, or only one of a quarter of all classes or
    more, such as animals, the specific one that covers most, if it covers `PARTLY`.

    Parameters
    ----------
    pushed
        ``(class, push)``, pushes above 0.
    kinds
        The kinds each of the network's classes is of, the nearest first, as `modelzoo.labels.ancestors` gives them.

    Returns
    -------
    tuple or None
        The kind and its share of the push; None where no kind covers enough of it with `FEWEST` classes or more.
    """
    total = sum(push for _, push in pushed)
    weights: dict[str, float] = defaultdict(float)
    members: Counter[str] = Counter()
    depths: dict[str, int] = {}
    for c, push in pushed:
        for height, kind in enumerate(reversed(kinds.get(c, ()))):
            weights[kind] += push
            members[kind] += 1
            depths[kind] = max(depths.get(kind, 0), height)
    shares = {kind: weight / total for kind, weight in weights.items()}
    everywhere = Counter(kind for chain in kinds.values() for kind in set(chain))
    able = [kind for kind in shares if members[kind] >= FEWEST and everywhere[kind] < MOST_GENERAL * len(kinds)]
    mostly = max((kind for kind in able if shares[kind] >= COVERS), key=lambda kind: depths[kind], default=None)
    if mostly is None or everywhere[mostly] >= GENERAL * len(kinds):
        partly = [kind for kind in able if shares[kind] >= PARTLY and everywhere[kind] < SPECIFIC * len(kinds)]
        mostly = max(partly, key=lambda kind: (round(shares[kind], 6), depths[kind]), default=mostly)
    return None if mostly is None else (mostly, shares[mostly])


def _kinds(net: Network, outputs: int) -> dict[int, tuple[str, ...]]:
    """The kinds of each output, the nearest first, without names that say nothing."""
    if net.classes is None or not net.classes.wordnet_ids:
        return {}
    first = net.card.output.first_class
    chains = {
        i + first: tuple(kind.name for kind in ancestors(wordnet_id))
        for i, wordnet_id in enumerate(net.classes.wordnet_ids)
        if has_ancestors(wordnet_id) and i + first < outputs
    }
    return {c: tuple(kind for kind in chain if kind not in SAYS_NOTHING) for c, chain in chains.items()}


def _towards(net: Network, push: np.ndarray, classes: int, kinds: Mapping[int, tuple[str, ...]]) -> Pushed:
    order = np.argsort(-push, kind="stable")[:classes]
    pushed = [(int(c), float(push[c])) for c in order if push[c] > 0]
    found = kind_of(pushed, kinds)
    members = tuple(c for c, _ in pushed if found is not None and found[0] in kinds.get(c, ()))
    return Pushed(
        classes=tuple((net.class_label(c), push) for c, push in pushed),
        kind=None if found is None else found[0],
        share=0.0 if found is None else found[1],
        members=tuple(net.class_label(c) for c in members),
    )


class _Firing:
    """Where channels fire: at half their largest value over all pictures, or more.

    Parameters
    ----------
    peaks
        ``(image, channel)`` the largest value of each picture.
    """

    def __init__(self, peaks: np.ndarray) -> None:
        self._peaks, self._bar = peaks, FIRES * peaks.max(axis=0)
        self._fires = self._inside = self._area = np.zeros(peaks.shape[1])
        self._cells: int | None = None
        self._seen = 0

    def add(self, values: np.ndarray) -> None:
        """Count the cells of ``(batch, rows, columns, channel)``, in the order of the peaks."""
        peaks = self._peaks[self._seen : self._seen + len(values)]
        self._seen += len(values)
        if values.ndim != 4:
            return
        rows, columns = values.shape[1:3]
        down, across = np.meshgrid(_off_centre(rows), _off_centre(columns), indexing="ij")
        # The middle is the box of half the area: chance alone puts half of what fires there.
        middle = np.maximum(down, across) <= np.sqrt(0.5)
        fires = (values >= self._bar) & (peaks >= self._bar)[:, None, None]
        self._cells, self._area = rows * columns, np.full(len(self._bar), middle.mean())
        self._fires = self._fires + fires.sum(axis=(0, 1, 2))
        self._inside = self._inside + fires[:, middle].sum(axis=(0, 1))

    def told(self, channel: int, names: tuple[str, ...]) -> dict[str, Any]:
        """Give the fields of `ChannelWords` that say where."""
        peaks, bar = self._peaks[:, channel], self._bar[channel]
        if bar <= 0:
            return {"where": "nowhere", "fires_in": 0, "pictures": len(names), "share": 0.0, "most_in": ()}
        order = [int(i) for i in np.argsort(-peaks, kind="stable") if peaks[i] >= bar]
        found = {"fires_in": len(order), "pictures": len(names), "most_in": tuple(names[i] for i in order[:3])}
        if self._cells is None:
            return {"where": "", "share": 1.0, **found}
        share = float(self._fires[channel] / (len(order) * self._cells))
        inside, area = float(self._inside[channel] / self._fires[channel]), float(self._area[channel])
        where = "in no fixed place"
        if share >= EVERYWHERE:
            where = "everywhere"
        elif inside >= MOSTLY and inside > area:
            where = "in the middle"
        elif inside <= 1 - MOSTLY and inside < area:
            where = "at the edges"
        return {"where": where, "share": share, **found}


def _off_centre(n: int) -> np.ndarray:
    """How far the middle of each of n cells is from the centre, from 0 to 1."""
    return np.abs((np.arange(n) + 0.5) / n * 2 - 1)


def _checked(channels: Sequence[int], layer: Layer) -> np.ndarray:
    n = layer.channels
    chosen = np.array([operator.index(channel) for channel in channels], np.int64)
    if not len(chosen):
        raise ValueError(f"no channels were given; {layer.name!r} has {n}, from 0")
    for channel in chosen:
        if not 0 <= channel < n:
            raise ValueError(f"no channel {channel} in {layer.name!r}; it has 0 to {n - 1}")
    return chosen
