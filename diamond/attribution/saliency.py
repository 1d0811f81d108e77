"""Where in a picture a small change would change the class score most: gradient methods, all by one call.

    dc.saliency(net, "cat.jpg").heatmap.shape
    found = dc.saliency(net, ["cat.jpg", "dog.jpg"], method=["gradient", "integrated_gradients", "grad_cam"])
    found["integrated_gradients"].shape
    found.randomisation(net)                            # what is left of the maps when the weights are noise

With x the picture in [0, 1] and s the score of the class:

========================== =================================================================================
``gradient``               ds/dx (Simonyan, Vedaldi and Zisserman, ICLR workshop 2014)
``gradient_x_input``       x * ds/dx (Shrikumar, Greenside and Kundaje, ICML 2017)
``integrated_gradients``   (x - b) times the mean of ds/dx on the way from a baseline b (Sundararajan et al., ICML 2017)
``smoothgrad``             the mean of ds/dx over noisy copies of x (Smilkov et al., 2017)
``guided_backpropagation`` ds/dx, only positive gradients passing each open ReLU (Springenberg et al., 2015)
``deconvnet``              the same, open or not (Zeiler and Fergus, ECCV 2014)
``grad_cam``               a layer's channels, weighed by their mean gradient (Selvaraju et al., ICCV 2017)
``guided_grad_cam``        the product of guided backpropagation and Grad-CAM
========================== =================================================================================

No network is cloned and none is changed: the rules replace nodes while the network is evaluated, so nested networks,
shared layers and activations inside of convolutions are met. Where a rule would do nothing, it is refused. A map by
gradients is of an infinitesimal change; what really happens when a part is taken away, `dc.occlude` shows.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from diamond.attribution.by_method import Maps, Settings, maps_of
from diamond.attribution.feeding import Given
from diamond.attribution.rules import RULES, rectifiers
from diamond.attribution.saliency_map import DOUBTED, METHODS, PLAIN, SaliencyMap
from diamond.attribution.semantic import spatial_layer
from diamond.attribution.streams import Batch, stream
from diamond.attribution.targets import ALL_OTHERS, OTHERS, Target, ask, class_labels
from modelzoo import GraphError, Layer, Network

__all__ = ["saliency"]

BATCH = 16


def saliency(
    net: Network,
    images: Any,
    *,
    target: Target = "top1",
    negative: Target | None = None,
    method: str | Sequence[str] = "gradient",
    layer: str | Layer | None = None,
    baseline: Any = None,
    steps: int | None = None,
    samples: int = 32,
    noise: float = 0.15,
    given: Given | None = None,
    seed: int = 0,
    batch: int = BATCH,
    progress: bool = True,
) -> SaliencyMap:
    """Follow the gradient of a class score back to the picture.

    Parameters
    ----------
    net
        The network.
    images
        One or many pictures: paths, URLs, arrays ``(height, width, 3)`` in [0, 1], a folder, or a list of those; sounds
        for a sound network. All of them, and their maps, are kept.
    target, negative
        Index, label, WordNet id, or ``"top1"``, ``"top2"`` ...: the class asked about, and one held against it, or
        ``"others"``: all of them.
    method
        One of `diamond.attribution.saliency_map.METHODS`, or several in a list; ``"all"`` for all that the network has
        room for.
    layer
        Of ``grad_cam`` and ``guided_grad_cam``; the last before the classes that has height and width where None.
    baseline
        Of ``integrated_gradients``: where the way begins, a number or what fits ``(height, width, 3)``, in [0, 1]; black
        where None, of a sound its silence. What looks like the baseline can get no share of the score.
    steps
        Of ``integrated_gradients``: how many gradients; where None as many as the sum needs to be right within 1 %, from
        32 to 512.
    samples, noise
        Of ``smoothgrad``: how many copies, and their noise as a share of the picture's range.
    given
        Values of the network's other inputs by address, where it has several: one row, or one for each picture.
    seed
        Of the noise.
    batch
        How many pictures at a time; it does not change the answer.
    progress
        Whether to show a progress bar, from 64 pictures on.

    Returns
    -------
    SaliencyMap

    Raises
    ------
    UnknownLayerError, ClassError, PictureError, FileNotFoundError
        For a layer or class the network does not have, or pictures that cannot be read, naming the nearest.
    GraphError
        For a layer without height and width, where no gradient reaches picture or layer, and for inputs that are not
        filled.
    ValueError
        For an unknown method, naming the nearest; for a rule where the network has no ReLU, or bends by SiLU or GELU; for
        a baseline that does not fit; and for maps that are NaN or infinite, naming the layer.

    Warns
    -----
    UserWarning
        At the end, where files were skipped since they are no pictures.

    Examples
    --------
    >>> dc.saliency(net, "cat.jpg").heatmap.shape
    (224, 224)
    >>> methods = ["gradient_x_input", "grad_cam"]
    >>> found = dc.saliency(net, ["cat.jpg", "coffee.jpg"], method=methods, target="tabby", progress=False)
    >>> found["grad_cam"].shape, found.heatmaps("grad_cam").shape
    ((2, 7, 7, 1), (2, 224, 224))
    """
    methods = _methods(net, method)
    if steps is not None and steps < 1:
        raise ValueError(f"steps is {steps}; expected 1 or more, or None")
    if samples < 1 or not noise >= 0:
        raise ValueError(f"samples is {samples}, noise {noise}; expected 1 or more copies, and noise of 0 or more")
    if batch < 1:
        raise ValueError(f"batch is {batch}; expected 1 or more pictures at a time")
    by_layer = "grad_cam" in methods or "guided_grad_cam" in methods
    if layer is not None and not by_layer:
        raise ValueError(f"layer is {layer!r}, but {', '.join(methods)} is of the picture; layer goes with grad_cam")
    question = ask(net, target, negative)
    if any(rule in methods for rule in (*RULES, "guided_grad_cam")):
        rectifiers(net)
    place = net.node(spatial_layer(net, layer) if layer is not None else _last_spatial(net)) if by_layer else None
    address = None if place is None else place.address
    settings = Settings(question, methods, address, baseline, steps, samples, noise, seed)
    reading = stream(net, images, given=given, batch=batch, progress=progress)
    parts: list[Batch] = []
    maps: list[Maps] = []
    for part in reading:
        maps.append(maps_of(net, settings, part, first=sum(len(before.names) for before in parts)))
        parts.append(part)
    classes, opponents = (
        np.concatenate([np.asarray(of) for of in each])
        for each in zip(*((m.asked.of, m.asked.against) for m in maps), strict=True)
    )
    plus, minus = class_labels(net, classes), _against(net, negative, opponents)
    changes = [m.changes for m in maps if m.changes is not None]
    return SaliencyMap(
        network=net.name,
        images=tuple(name for part in parts for name in part.names),
        methods=methods,
        targets=tuple(a if b is None else f"{a} against {b}" for a, b in zip(plus, minus, strict=True)),
        classes=classes,
        scores=np.concatenate([m.asked.scores.numpy() for m in maps]),
        values=tuple(np.concatenate([m.values[name] for m in maps]) for name in methods),
        pictures=np.concatenate([part.pictures for part in parts]),
        layer=address,
        changes=np.concatenate(changes) if changes else None,
        notes=_notes(net, settings, maps),
        skipped=reading.skipped,
        settings=settings,
        opponents=opponents,
        given=tuple(part.given for part in parts),
        sizes=tuple(len(part.names) for part in parts),
    )


def _methods(net: Network, method: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(method, str) and method == "all":
        without: set[str] = set()
        try:
            _last_spatial(net)
        except GraphError:
            without |= {"grad_cam", "guided_grad_cam"}
        try:
            rectifiers(net)
        except ValueError:
            without |= set(DOUBTED)
        return tuple(name for name in METHODS if name not in without)
    asked = [method] if isinstance(method, str) else list(method)
    if not asked:
        raise ValueError(f"no method was asked for; expected one or several of {', '.join(METHODS)}")
    for name in asked:
        if name not in METHODS:
            near = difflib.get_close_matches(str(name), METHODS, n=1, cutoff=0.0)
            raise ValueError(f"no method {name!r}; expected one of {', '.join(METHODS)}; did you mean {near[0]!r}?")
    return tuple(dict.fromkeys(asked))


def _last_spatial(net: Network) -> Layer:
    before = {node.index for node in net.graph.ancestors([net.logits_node])}
    spatial = [
        row
        for row in net.layers
        if row.is_spatial and row.output_shape[1:3] != (1, 1) and net.node(row).index in before
    ]
    if not spatial:
        raise GraphError(
            f"no layer of {net.name} before its class scores has height and width; grad_cam needs one, gradient does not"
        )
    return spatial[-1]


def _against(net: Network, negative: Target | None, classes: np.ndarray) -> tuple[str | None, ...]:
    if negative is None:
        return (None,) * len(classes)
    return (ALL_OTHERS,) * len(classes) if negative == OTHERS else class_labels(net, classes)


def _notes(net: Network, settings: Settings, maps: Sequence[Maps]) -> tuple[str, ...]:
    notes, methods = [], settings.methods
    if "integrated_gradients" in methods:
        sums = np.concatenate([m.values["integrated_gradients"].sum(axis=(1, 2, 3), dtype=np.float64) for m in maps])
        changes = np.concatenate([np.asarray(m.changes) for m in maps])
        missed = float(np.max(np.abs(sums - changes) / np.maximum(np.abs(changes), 1e-6)))
        start = "black" if net.input.audio is None else "silence"
        begin = start if settings.baseline is None else "the given baseline"
        notes.append(
            f"Integrated gradients: {max(m.steps for m in maps)} steps from {begin}; each map adds up to the change of the "
            f"score within {missed:.2%}."
        )
    if "smoothgrad" in methods:
        notes.append(f"SmoothGrad: {settings.samples} copies, noise of {settings.noise:.0%} of each picture's range.")
    if settings.place is not None:
        notes.append(f"Grad-CAM of {settings.place}.")
    ruled = [name for name in methods if name in DOUBTED]
    if ruled:
        n = len(rectifiers(net))
        notes.append(f"Rules act on {n} ReLU{'s' * (n != 1)}.")
    named = {name: PLAIN[name][0].upper() + PLAIN[name][1:] for name in ruled}
    notes += [f"{named[name]} {DOUBTED[name]}." for name in ruled]
    if ruled:
        notes.append("How they do on this network, .randomisation(net) measures.")
    return tuple(notes)
