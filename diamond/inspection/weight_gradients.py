"""What pictures of a class would teach a layer's filters.

    found = dc.weight_gradients(net, "tabbies/", "conv1_7x7_s2", "tabby")
    found.labels                                    # the class itself, the one most like it, the one least like it
    found.gradients.shape                           # (class, filter, height, width, input channel)
    found.sentence, found.alike                     # cosines of the classes' gradients
    found.plot()

The gradient of a class's logit with respect to a filter's weights is the change of the filter that would raise that logit
most. Over pictures of one reference class it is asked for the class itself, for a class the network holds to be similar,
and for one it holds to be unlike: a filter that all three want changed alike has nothing to do with what tells them apart.

Each picture has a gradient of its own. They are computed one after another and merged into means and deviations, so that
memory is that of a few kernels for any number of pictures. What pictures share stands in the mean; how much of their
gradients that is, is told as *agreement*.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.feeding import Given, feeds_of, picture_input
from diamond.attribution.streams import stream
from diamond.attribution.targets import Target, class_labels, encode
from diamond.inspection.differentiated import WeightGradients
from diamond.inspection.first_layer import colours_read
from diamond.inspection.kernels import Kernels, read_kernels
from diamond.inspection.similar_classes import similar_classes
from modelzoo import GraphError, Layer, Network
from modelzoo.graph import Node
from spritemaps import Store, find

__all__ = ["WeightGradients", "weight_gradients"]

# Means and deviations of all classes, as float64.
MOST_BYTES = 1_500_000_000


def weight_gradients(
    net: Network,
    images: Any,
    layer: str | Layer,
    target: Target = "top1",
    *,
    similar: Target | None = None,
    dissimilar: Target | None = None,
    channels: Iterable[int] | int | None = None,
    given: Given | None = None,
    batch: int = 8,
    progress: bool = True,
    store: Store | str | Path | None = None,
) -> WeightGradients:
    """Compute gradients of class scores with respect to a layer's filters, over pictures of a class.

    Parameters
    ----------
    net
        The network.
    images
        Pictures of the reference class: a folder, a list of paths, URLs or arrays, or any iterable; sounds for a sound
        network.
    layer
        A layer with filters, or its address.
    target
        The class: index, label, WordNet id; or ``"top1"``: the one that most of the pictures are answered with.
    similar, dissimilar
        The classes to hold beside it; by default the ones whose weights in the classifier point most, and least, the
        same way.
    channels
        Which filters to keep; all by default.
    given
        Values of the network's other inputs by address, where it has several: one row, or one for each picture.
    batch
        How many pictures go forward at a time.
    progress
        Whether to show a progress bar, from 64 pictures on.
    store
        Where to look first for spritemaps.

    Returns
    -------
    WeightGradients
        Of the network's own weights, in its own channel order; drawn in the picture's colours.

    Raises
    ------
    UnknownLayerError, ClassError, PictureError, FileNotFoundError
        For a layer or class that is not there, and where nothing can be read.
    GraphError
        For a layer without filters, with two kernels (separable), or that no gradient reaches; where similar classes
        are not said and the classifier has no weights to compare; for inputs that are not filled.
    IndexError
        For a channel that the layer does not have.
    ValueError
        For gradients that are NaN or infinite, and for layers too large to keep the gradients of.

    Examples
    --------
    >>> found = dc.weight_gradients(net, "cats/", "stem_conv", "tabby", progress=False)
    >>> found.labels, found.roles
    (('tabby', 'tiger cat', 'measuring cup'), ('itself', 'similar', 'dissimilar'))
    >>> found.gradients.shape
    (3, 32, 3, 3, 3)
    """
    kernels = read_kernels(net, layer)
    if kernels.variable is None:
        raise GraphError(
            f"{kernels.node.address!r} is a separable convolution: its filters are products of two kernels, and neither "
            "has a gradient that is the filters'; load it as a depthwise and a plain convolution to ask about each"
        )
    name = kernels.node.address.removesuffix(":linear")
    chosen = _chosen(channels, len(kernels.values), name)
    if isinstance(images, Iterator):
        images = list(images)
    reading: dict[str, Any] = {"given": given, "batch": batch, "progress": progress}
    classes, roles = _classes(net, images, target, similar, dissimilar, reading)
    needed = 2 * 8 * len(classes) * len(chosen) * int(np.prod(kernels.values.shape[1:]))
    if needed > MOST_BYTES:
        fit = max(1, len(chosen) * MOST_BYTES // needed)
        raise ValueError(
            f"gradients of {len(chosen):,} filters of {name!r} for {len(classes)} classes take "
            f"{needed / 1e9:.1f} GB, more than {MOST_BYTES / 1e9:.1f}; ask for some, as channels=range({fit})"
        )
    merged, norms, names, hits, skipped = _merged(net, images, kernels, chosen, classes, reading)
    mean, deviation = merged
    notes = []
    if hits < len(names) / 2:
        label = net.class_label(classes[0])
        few = f"Only {hits} of {len(names)} are" if hits else f"None of {len(names)} is"
        notes.append(f"{few} answered with {label}: are they of it?")
    colours = colours_read(net, kernels.source)
    source = None if colours is not None else kernels.source.address
    return WeightGradients(
        network=net.name,
        layer=name,
        kind=kernels.kind,
        classes=np.array(classes),
        labels=class_labels(net, classes),
        roles=roles,
        channels=chosen,
        weights=kernels.values[chosen],
        inputs=kernels.inputs[chosen],
        gradients=mean.astype(np.float32),
        deviations=deviation.astype(np.float32),
        image_norms=norms,
        images=names,
        reads=source,
        colours=colours if colours is not None and len(colours) == 3 else None,
        is_sound=net.input.audio is not None,
        skipped=skipped,
        notes=tuple(notes),
        sprites=find(net.fingerprint(name), store=store),
    )


def _classes(
    net: Network, images: Any, target: Target, similar: Target | None, dissimilar: Target | None, reading: Any
) -> tuple[list[int], tuple[str, ...]]:
    """Give the classes to ask about, each once, and what each is to the first."""
    code = encode(net, target)
    asked = code if code >= 0 else _usual(net, images, -1 - code, reading)
    if net.output_size < 2 and similar is None and dissimilar is None:
        return [asked], ("itself",)
    if net.output_size == 2 and similar is None and dissimilar is None:
        return [asked, 1 - asked], ("itself", "dissimilar")
    by_weights = (0, 0) if similar is not None and dissimilar is not None else similar_classes(net, asked)
    others = (
        ("similar", by_weights[0] if similar is None else net.class_index(similar)),
        ("dissimilar", by_weights[1] if dissimilar is None else net.class_index(dissimilar)),
    )
    found = {asked: "itself"}
    for role, index in others:
        found.setdefault(index, role)
    return list(found), tuple(found.values())


def _usual(net: Network, images: Any, rank: int, reading: Any) -> int:
    """Give the class that stands at a rank for most of the pictures."""
    counts = np.zeros(net.output_size, np.int64)
    entry = picture_input(net, reading["given"])
    for one in stream(net, images, tell=False, **reading):
        logits = _logits(net, entry, one.pictures, one.given)
        np.add.at(counts, np.argsort(-logits, axis=1, kind="stable")[:, rank], 1)
    return int(counts.argmax())


def _logits(net: Network, entry: Node, pictures: np.ndarray, given: Mapping[str, Any]) -> np.ndarray:
    def compute(batch: Any, others: Mapping[str, Any]) -> Any:
        [answer] = net.graph.evaluate(feeds_of(net, entry, batch, others), [net.logits_node])
        return tf.reshape(tf.cast(answer, tf.float32), [tf.shape(answer)[0], -1])

    run = net.compiled(("class scores", entry.address), lambda: compute)
    return np.asarray(run(tf.constant(pictures), _rows(given, len(pictures))))


def _merged(
    net: Network, images: Any, kernels: Kernels, chosen: np.ndarray, classes: Sequence[int], reading: Any
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, tuple[str, ...], int, tuple[str, ...]]:
    """Go through the pictures once: mean and deviation, each picture's norms, names, answers that hit, what was skipped."""
    entry = picture_input(net, reading["given"])
    calls = [node for node in net.graph if node.operation is kernels.node.operation and node.part != "activation"]
    calls = [node for node in calls if node in net.graph.ancestors([net.logits_node])]
    address, k = kernels.node.address.removesuffix(":linear"), len(classes)
    if not calls:
        raise GraphError(f"no gradient reaches {address!r} from the class score: it is not on the way there")
    slopes_of = net.compiled(("slopes", str(k), entry.address, address), lambda: _slopes(net, entry, calls, k))
    kernel_of = net.compiled(
        ("kernel gradients", str(k), address), lambda: _kernel_gradients(calls, kernels.variable, k)
    )
    pictures = stream(net, images, **reading)
    names: list[str] = []
    norms: list[np.ndarray] = []
    hits, n = 0, 0
    mean = squares = np.zeros((len(classes), *kernels.values[chosen].shape))
    for one in pictures:
        reads, slopes, logits = slopes_of(
            tf.constant(one.pictures), _rows(one.given, len(one.pictures)), tf.constant(classes)
        )
        hits += int((logits.numpy().argmax(axis=1) == classes[0]).sum())
        for i, name in enumerate(one.names):
            parts = kernel_of([x[i : i + 1] for x in reads], [x[:, i : i + 1] for x in slopes]).numpy()
            values = np.stack([kernels.arranged(part)[chosen] for part in parts]).astype(np.float64)
            if not np.isfinite(values).all():
                raise ValueError(f"the gradient of {address!r} is NaN or infinite for {name}")
            n += 1
            before = values - mean
            mean = mean + before / n
            squares = squares + before * (values - mean)
            norms.append(np.sqrt((values**2).reshape(len(classes), -1).sum(axis=1)))
            names.append(name)
    return (mean, np.sqrt(squares / n)), np.array(norms), tuple(names), hits, pictures.skipped


def _slopes(net: Network, entry: Node, calls: Sequence[Node], n: int) -> Callable[..., Any]:
    def compute(pictures: Any, given: Mapping[str, Any], classes: Any) -> Any:
        reads = [net.graph.nodes[node.inputs[0].node] for node in calls]
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(pictures)
            feeds = feeds_of(net, entry, pictures, given)
            *found, answer = net.graph.evaluate(feeds, [*reads, *calls, net.logits_node])
            logits = tf.reshape(tf.cast(answer, tf.float32), [tf.shape(answer)[0], -1])
            # Pictures do not see each other, so the gradient of a sum is each picture's own.
            scores = [tf.reduce_sum(tf.gather(logits, classes[k], axis=1)) for k in range(n)]
        outputs = found[len(calls) :]
        slopes = [tf.stack([_known(tape.gradient(score, output), output) for score in scores]) for output in outputs]
        return found[: len(calls)], slopes, logits

    return compute


def _known(slope: Any, output: Any) -> Any:
    return tf.zeros_like(output) if slope is None else slope


def _kernel_gradients(calls: Sequence[Node], variable: Any, n: int) -> Callable[..., Any]:
    def compute(reads: Sequence[Any], slopes: Sequence[Any]) -> Any:
        weights = variable.value
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(weights)
            outputs = [node.compute(x)[0] for node, x in zip(calls, reads, strict=True)]
        parts = []
        for k in range(n):
            each = [
                tape.gradient(output, weights, output_gradients=slope[k])
                for output, slope in zip(outputs, slopes, strict=True)
            ]
            parts.append(tf.add_n(each))
        return tf.stack(parts)

    return compute


def _rows(given: Mapping[str, Any], n: int) -> dict[str, Any]:
    return {
        name: tf.constant(np.repeat(value, n, axis=0) if len(value) == 1 else value) for name, value in given.items()
    }


def _chosen(channels: Iterable[int] | int | None, n: int, layer: str) -> np.ndarray:
    if channels is None:
        return np.arange(n)
    numbers = [channels] if isinstance(channels, int | np.integer) else list(channels)
    if not numbers:
        raise ValueError(f"no channel of {layer!r} is asked about; leave channels out to ask about all")
    bad = [number for number in numbers if not 0 <= number < n]
    if bad:
        raise IndexError(f"channel {bad[0]} is out of range: {layer!r} has channels 0 to {n - 1}")
    return np.array([operator.index(number) for number in numbers])
