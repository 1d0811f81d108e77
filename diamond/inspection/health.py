"""Whether the layers of a network do their work, over pictures of one's own.

    report = dc.health(net, "photos/")
    report.sentence
    report.flagged                                # {'dead': ('conv1_relu', 'conv_dw_1_relu', ...), ...}
    len(report["conv_dw_1_relu"].dead)

A network may answer well and still carry channels that never fire, values that sit at a cap where no gradient passes, and
filters that are one another's copies. Each shows in numbers that one pass over some pictures gives: see
`diamond.inspection.health_report` for what each flag says, and what it usually means. A channel is called dead of the
pictures that were looked at, and of no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from diamond.attribution.feeding import Given
from diamond.inspection.health_report import FEW_PICTURES, Health, LayerHealth, flags_of
from diamond.inspection.kernels import Kernels, has_filters, read_kernels
from diamond.inspection.smoothness import pairs, smoothness
from diamond.inspection.vitals import LayerVitals, vitals
from modelzoo import GraphError, Layer, Network
from modelzoo.attributes import describe
from modelzoo.graph import Node

__all__ = ["Health", "health"]

# A channel that varies this much less than the layer's median is idle.
HARDLY = 0.01
ALIKE = 0.95
MOST_TWINS = 12
# From fewer samples channels go together by chance.
FEW_SAMPLES = 50
# Fewer neighbours than this in a whole layer do not tell noise from filters.
FEW_PAIRS = 400
# Layers with fewer channels use few directions anyhow.
FEW_CHANNELS = 16
# Filters are compared up to here; larger ones belong to dense layers of old networks.
MOST_WEIGHTS = 40_000_000
_PASSES_ON = {"normalise", "affine", "identity", "nonlinearity"}
_ENDS = {"identity", "affine", "flatten", "reshape"}
_ANSWERS = {"softmax", "log_softmax", "sigmoid", "linear"}


def health(
    net: Network,
    images: Any,
    *,
    layers: Iterable[str | Layer] | None = None,
    given: Given | None = None,
    batch: int = 16,
    progress: bool = True,
) -> Health:
    """Look over a network's layers.

    Parameters
    ----------
    net
        The network.
    images
        A folder (with the folders in it), a list of paths, URLs or arrays, or any iterable of pictures or batches;
        sounds for a sound network. Read once, a batch at a time, in memory that does not grow with their number.
    layers
        Which layers; by default every nonlinearity, and what layers with filters give where none follows, but for the
        classifier.
    given
        Values of the network's other inputs by address, where it has several: one row, or one for each picture.
    batch
        How many pictures at a time.
    progress
        Whether to show a progress bar, from 64 pictures on.

    Returns
    -------
    Health

    Raises
    ------
    UnknownLayerError, PictureError, FileNotFoundError
        For a layer that is not there, naming the nearest, and where nothing can be read.
    GraphError
        Where no layer is left to look at, and for inputs that are not filled.
    ValueError
        For activations or weights that are NaN or infinite, naming the layer.

    Warns
    -----
    UserWarning
        At the end, where files were skipped since they are no pictures.

    Examples
    --------
    >>> found = dc.health(net, "photos/", layers=["stem_relu", "block4_add"], progress=False)
    >>> print(found.sentence)
    2 layers over 8 pictures: 4 of 72 channels stay at 0 in all of them,
     the largest share in stem_relu (4 of 32). Flagged layers: dead 1, redundant 1.
    """
    nodes = _looked_at(net) if layers is None else _asked(net, layers)
    if not nodes:
        raise GraphError(f"{net.name} has no layer to look at: none with filters or a nonlinearity before its answer")
    _check_weights(net, nodes)
    found = vitals(net, images, nodes, given=given, batch=batch, progress=progress)
    noun = "pictures" if net.input.audio is None else "patches of sound"
    return Health(
        network=net.name,
        layers=tuple(_judged(net, each) for each in found.layers),
        count=found.count,
        noun=noun,
        skipped=found.skipped,
        notes=_notes(found.layers, found.count, noun),
    )


def _check_weights(net: Network, nodes: list[Node]) -> None:
    """Refuse weights that are no numbers: a ReLU joined to its convolution turns NaN to 0, and channels would look dead."""
    for node in net.graph.ancestors(nodes):
        for variable in node.weights:
            values = np.asarray(variable)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise ValueError(
                    f"{variable.name} of {node.address!r} holds NaN or infinity; nothing after it can be judged"
                )


def _asked(net: Network, layers: Iterable[str | Layer]) -> list[Node]:
    names = [layers] if isinstance(layers, str | Layer) else list(layers)
    nodes = [net.node(layer) for layer in names]
    for node in nodes:
        if node.shape[-1] is None or len(node.shape) < 2:
            raise GraphError(f"{node.address!r} has the shape {node.shape}: no channels that could be counted")
    return sorted({node.index: node for node in nodes}.values(), key=lambda node: node.index)


def _looked_at(net: Network) -> list[Node]:
    """Find every nonlinearity, and of layers with filters that none follows what they give last."""
    readers: dict[int, list[Node]] = {}
    for node in net.graph:
        for ref in node.inputs:
            readers.setdefault(ref.node, []).append(node)
    stops = _stops(net)
    answers = {node.index for node in net.graph.ancestors(_outputs(net), stop=stops)} - stops
    found: dict[int, Node] = {}
    for node in net.graph:
        if node.nonlinearity is not None and node.nonlinearity != "linear":
            found[node.index] = node
        elif has_filters(node):
            at = node
            while at.nonlinearity in (None, "linear") and len(readers.get(at.index, [])) == 1:
                after = readers[at.index][0]
                if describe(after)["op"] not in _PASSES_ON or len(after.inputs) != 1:
                    break
                at = after
            found[at.index] = at
    kept = [
        found[i] for i in sorted(found) if i not in answers and found[i].nonlinearity not in ("softmax", "log_softmax")
    ]
    return [node for node in kept if len(node.shape) > 1 and node.shape[-1] is not None]


def _outputs(net: Network) -> list[Node]:
    return [net.graph.nodes[ref.node] for ref in net.graph.outputs]


def _stops(net: Network) -> set[int]:
    """Give the nodes that the classifier's filters read: channels of what lies behind them are classes."""
    stops: set[int] = set()
    for node in _outputs(net):
        at = node
        while len(at.inputs) == 1 and not has_filters(at):
            what = describe(at)
            if what["op"] not in _ENDS and at.nonlinearity not in _ANSWERS:
                break
            at = net.graph.nodes[at.inputs[0].node]
        # Without a classifier at the end all is looked at.
        stops.update({ref.node for ref in at.inputs} if has_filters(at) else {node.index})
    return stops


def _judged(net: Network, each: LayerVitals) -> LayerHealth:
    largest = np.maximum(np.abs(each.low), np.abs(each.high))
    dead = np.flatnonzero(largest == 0)
    alive = largest > 0
    usual = float(np.median(each.spread[alive])) if alive.any() else 0.0
    idle = np.flatnonzero(alive & (each.spread <= HARDLY * usual))
    rank, redundant, twins = _related(each)
    kernels = _filters_of(net, each.node)
    scores, alike = (np.zeros(0), None) if kernels is None else _filtered(kernels)
    channels = len(largest)
    sparsity = float(each.zeros.sum() / (each.places * channels))
    saturation = float(each.capped / (each.places * channels)) if each.caps != (None, None) else float("nan")
    rank_share = rank / max(channels - len(dead), 1) if channels >= FEW_CHANNELS else float("nan")
    return LayerHealth(
        layer=each.node.address,
        kind=each.node.nonlinearity or each.node.kind,
        filters=None if kernels is None else kernels.node.address.removesuffix(":linear"),
        channels=channels,
        dead=dead,
        idle=idle,
        sparsity=sparsity,
        saturation=saturation,
        effective_rank=rank,
        redundant=redundant,
        twins=twins,
        smoothness=scores,
        alike=alike,
        samples=each.samples,
        flags=flags_of(
            channels=channels,
            dead=len(dead),
            idle=len(idle),
            sparsity=sparsity,
            saturation=saturation,
            # Fewer samples than channels cap the rank themselves.
            rank_share=rank_share if each.samples >= channels else float("nan"),
            redundant=0 if redundant is None else len(redundant),
            smoothness=_telling(kernels, scores),
            alike=0 if alike is None else len(alike),
        ),
    )


def _related(each: LayerVitals) -> tuple[float, np.ndarray | None, tuple[tuple[int, int, float], ...]]:
    """Give effective rank, redundant channels and the closest pairs of a layer's samples."""
    if each.scatter is None or each.samples < 2:
        return float("nan"), None, ()
    spread = np.sqrt(np.maximum(np.diag(each.scatter), 0))
    usual = float(np.median(spread[spread > 0])) if (spread > 0).any() else 0.0
    varying = np.flatnonzero(spread > HARDLY * usual)
    singular = np.sqrt(np.maximum(np.linalg.eigvalsh(each.scatter), 0))
    shares = singular[singular > 0] / max(float(singular.sum()), 1e-300)
    rank = float(np.exp(-np.sum(shares * np.log(shares)))) if len(shares) else 0.0
    if each.samples < FEW_SAMPLES:
        return rank, None, ()
    correlations = each.scatter[np.ix_(varying, varying)] / np.outer(spread[varying], spread[varying])
    close = np.triu(np.abs(correlations) >= ALIKE, 1)
    pairs_found = np.argwhere(close)
    strength = np.abs(correlations[close])
    order = np.argsort(-strength, kind="stable")[:MOST_TWINS]
    twins = tuple(
        (int(varying[i]), int(varying[j]), float(np.clip(correlations[i, j], -1, 1))) for i, j in pairs_found[order]
    )
    return rank, varying[close.any(axis=0)], twins


def _filters_of(net: Network, node: Node) -> Kernels | None:
    """Read the filters that alone make a layer's values, through a batch norm and a nonlinearity."""
    at = node
    while not has_filters(at):
        if len(at.inputs) != 1 or describe(at)["op"] not in _PASSES_ON:
            return None
        at = net.graph.nodes[at.inputs[0].node]
    size = sum(int(np.prod(variable.shape)) for variable in at.weights)
    return read_kernels(net, at.address) if size <= MOST_WEIGHTS else None


def _filtered(kernels: Kernels) -> tuple[np.ndarray, np.ndarray | None]:
    scores = smoothness(kernels.values)
    if kernels.values.shape[-1] < 2 or len(np.unique(kernels.inputs[:, 0])) > 1:
        return scores, None
    flat = kernels.values.reshape(len(kernels.values), -1).astype(np.float64)
    sizes = np.sqrt((flat**2).sum(axis=1))
    there = np.flatnonzero(sizes > 0)
    cosines = (flat[there] / sizes[there, None]) @ (flat[there] / sizes[there, None]).T
    return scores, there[np.triu(cosines >= ALIKE, 1).any(axis=0)]


def _telling(kernels: Kernels | None, scores: np.ndarray) -> float:
    """Give the mean smoothness where it can tell noise: not of depthwise filters, which are few weights each."""
    known = scores[np.isfinite(scores)]
    if kernels is None or not len(known) or kernels.values.shape[-1] < 2:
        return float("nan")
    neighbours = len(known) * pairs(kernels.places, kernels.values.shape[-1])
    return float(known.mean()) if neighbours >= FEW_PAIRS else float("nan")


def _notes(layers: Iterable[LayerVitals], count: int, noun: str) -> tuple[str, ...]:
    said = []
    if count < FEW_PICTURES:
        said.append(f"Only {count} {noun}: a channel that stays at 0 in all of them may fire for others.")
    missing = [each.node.address for each in layers if each.scatter is None]
    if missing:
        said.append(f"Too large to compare their channels: {', '.join(missing)}.")
    short = [each.node.address for each in layers if each.scatter is not None and each.samples < len(each.low)]
    if short:
        shown = ", ".join(short[:4]) + (f" and {len(short) - 4} more" if len(short) > 4 else "")
        said.append(f"Fewer samples than channels in {shown}: their rank is no more than the number of samples.")
    return tuple(said)
