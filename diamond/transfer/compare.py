"""Networks side by side on the same samples: which is better, by how much, how sure one can be, and at what cost.

    found = dc.compare([net, student], "flowers/val")               # a folder for each class
    found.sentence
    found.pairs, found.rates, found.to_dataframe()
    found.before_and_after("block9_add")                            # what its channels looked for, and do now

Every network reads the samples at its own size and is asked about all of them; the classes are matched by name. Two
accuracies of one set of samples are compared *paired*: the samples that only one of the two has right decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from PIL import Image

from diamond.attribution.streams import stream
from diamond.show.heat import visible
from diamond.transfer.agreement import (
    balanced_accuracy,
    balanced_interval,
    confusion,
    holm,
    mcnemar,
    paired_difference,
    wilson,
)
from diamond.transfer.answers import Answers, ask, class_names, match_classes
from diamond.transfer.calibration import brier_score, negative_log_likelihood, reliability
from diamond.transfer.comparison import Compared, Comparison, Disagreement, Pair
from diamond.transfer.cuts import cut_costs, latency_s
from diamond.transfer.samples import Samples, SamplesError, read_samples
from diamond.transfer.shared import LayerChange, changes, shared_layers, shares_base
from modelzoo import Network

__all__ = ["compare"]

THUMBNAIL_PX = 112
# Below so many samples it is said that they are few.
FEW = 30
TURNS, ROUNDS = 5, 3
# Samples that responses are compared on: more of them change no median.
MOST_CHANGED = 500


def compare(
    networks: Network | Iterable[Network],
    inputs: Any,
    labels: Any = None,
    *,
    names: Sequence[str] | None = None,
    level: float = 0.95,
    bins: int = 15,
    latency: bool = True,
    changed: bool = True,
    examples: int = 24,
    batch: int = 32,
    progress: bool = True,
) -> Comparison:
    """Compare networks on samples whose classes are known.

    Parameters
    ----------
    networks
        One or more, from `dc.load` or `dc.attach`. Their classes are found by name, in any spelling or by WordNet id;
        those of a network without names by number, or in order where it has as many outputs as the data have classes. A
        network of more classes is asked too: what it answers beside the data's counts as "other".
    inputs
        A folder with a folder for each class; a ``.zip`` or ``.tar`` of one, or its address; a `tf.data.Dataset` of
        ``(picture, label)``; or pictures (sounds) as a list or array, with `labels`.
    labels
        A class for each: names, or the numbers of the networks' classes.
    names
        What to call the networks; their own names where None.
    level
        How often the intervals shall hold the truth.
    bins
        Bins of confidence for the calibration.
    latency
        Whether to measure the seconds of one sample, which compiles each network for it.
    changed
        Whether to measure, of two networks with a shared base, how much the channels of their landmarks changed, on
        up to 500 of the samples.
    examples
        At most so many samples that the networks disagree about are kept to be shown.
    batch
        Samples at a time.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Comparison

    Raises
    ------
    FileNotFoundError, SamplesError, PictureError, SoundError
        For what gives no samples with classes, and where none can be read.
    ClassError
        For classes that a network does not know, naming the nearest.
    ValueError
        For no network, names that do not fit, an impossible level, and answers that are NaN or infinite.

    Examples
    --------
    >>> training = dc.train(student, "textures/train", epochs=2, augment=False, progress=False)
    >>> found = dc.compare(student, "textures/val", latency=False, progress=False)
    >>> print(found.sentence)
    student has 100.0% of 12 samples right (75.8% to 100.0%).
    """
    nets = _checked(networks)
    words = _named(nets, names)
    wilson(1, 1, level)
    samples = read_samples(inputs, labels)
    outputs = [match_classes(net, samples) for net in nets]
    classes = class_names(nets, samples, outputs)
    asked = [
        ask(net, samples, found, batch=batch, progress=progress, tell=number == 0)
        for number, (net, found) in enumerate(zip(nets, outputs, strict=True))
    ]
    rows = _read_by_all(asked, nets, samples)
    asked = [_only(each, rows) for each in asked]
    read = samples.only(rows)
    latencies = _latencies(nets) if latency else [None] * len(nets)
    compared = tuple(
        _compared(net, word, answers, read, level=level, bins=bins, seconds=seconds)
        for net, word, answers, seconds in zip(nets, words, asked, latencies, strict=True)
    )
    right = np.stack([answers.answers == read.labels for answers in asked])
    disagreements, disagreeing = _disagreements(nets, asked, read, classes, right, examples)
    pairs = _pairs(right, level)
    return Comparison(
        networks=compared,
        pairs_found=pairs,
        classes=classes,
        counts=tuple(np.bincount(read.labels, minlength=len(classes)).tolist()),
        samples=read.names,
        labels=read.labels,
        answers=np.stack([answers.answers for answers in asked]),
        confidences=np.stack([answers.confidences for answers in asked]),
        true_probabilities=np.stack([answers.true for answers in asked]),
        disagreements=disagreements,
        thumbnails=_thumbnails(nets[0], [read.sources[one.row] for one in disagreements]),
        disagreeing=disagreeing,
        changes=_changes(nets, read, batch, progress) if changed and len(nets) == 2 else (),
        level=level,
        skipped=asked[0].skipped,
        notes=_notes(compared, pairs, read, classes),
        _asked=nets,
        _sources=read.sources,
    )


def _checked(networks: Network | Iterable[Network]) -> tuple[Network, ...]:
    nets = (networks,) if isinstance(networks, Network) else tuple(networks)
    if not nets:
        raise ValueError("no network to compare; expected one or more, as dc.load and dc.attach give them")
    for net in nets:
        if not isinstance(net, Network):
            raise TypeError(f"{type(net).__qualname__} {net!r:.60} is no network; expected what dc.load gives")
    if len({net.input.audio is None for net in nets}) > 1:
        told = ", ".join(f"{net.name} ({'pictures' if net.input.audio is None else 'sounds'})" for net in nets)
        raise ValueError(f"some networks take pictures and some sounds: {told}; expected all of one kind")
    return nets


def _named(nets: Sequence[Network], names: Sequence[str] | None) -> tuple[str, ...]:
    if names is not None:
        given = tuple(names)
        if isinstance(names, str) or len(given) != len(nets):
            raise ValueError(f"names is {names!r}; expected a name for each of {len(nets)} networks")
        if len(set(given)) < len(given):
            raise ValueError(f"names is {names!r}; expected a name of its own for each network")
        return given
    words: list[str] = []
    for net in nets:
        number = 1 + sum(other.name == net.name for other in nets[: len(words)])
        words.append(net.name if number == 1 else f"{net.name} ({number})")
    return tuple(words)


def _read_by_all(asked: Sequence[Answers], nets: Sequence[Network], samples: Samples) -> np.ndarray:
    rows = asked[0].rows
    for answers in asked[1:]:
        rows = np.intersect1d(rows, answers.rows, assume_unique=True)
    if not len(rows):
        raise SamplesError(f"none of {len(samples)} samples could be read by all of {len(nets)} networks")
    return rows


def _only(answers: Answers, rows: np.ndarray) -> Answers:
    kept = np.searchsorted(answers.rows, rows)
    return Answers(
        rows=rows,
        answers=answers.answers[kept],
        outputs=answers.outputs[kept],
        confidences=answers.confidences[kept],
        true=answers.true[kept],
        squares=answers.squares[kept],
        skipped=answers.skipped,
    )


def _compared(
    net: Network, name: str, answers: Answers, samples: Samples, *, level: float, bins: int, seconds: float | None
) -> Compared:
    counts = confusion(samples.labels, answers.answers, len(samples.classes))
    right = answers.answers == samples.labels
    last = net.layers[net.output_layer]
    cost = cut_costs(net, [last])[last.name]
    weights = {
        id(weight): weight
        for node in net.graph.ancestors([net.node(last)])
        if not node.is_input
        for weight in node.weights
    }
    return Compared(
        name=name,
        accuracy=float(right.mean()),
        accuracy_interval=wilson(int(right.sum()), len(right), level),
        balanced=balanced_accuracy(counts),
        balanced_interval=balanced_interval(counts, level),
        confusion=counts,
        reliability=reliability(np.clip(answers.confidences, 0, 1), right, bins),
        brier=brier_score(answers.true, answers.squares),
        nll=negative_log_likelihood(answers.true),
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        bytes=sum(int(np.prod(weight.shape)) * np.dtype(weight.dtype).itemsize for weight in weights.values()),
        latency_s=seconds,
    )


def _latencies(nets: Sequence[Network]) -> list[float]:
    """Measure the seconds of one sample: the networks in turns, so that a busy moment is not one network's alone."""
    turns = [[latency_s(net, net.layers[net.output_layer], rounds=ROUNDS) for net in nets] for _ in range(TURNS)]
    return [float(seconds) for seconds in np.median(turns, axis=0)]


def _pairs(right: np.ndarray, level: float) -> tuple[Pair, ...]:
    each = list(combinations(range(len(right)), 2))
    only = [(int((right[a] & ~right[b]).sum()), int((right[b] & ~right[a]).sum())) for a, b in each]
    found = [mcnemar(*counts) for counts in only]
    pairs = []
    for (a, b), counts, p, p_holm in zip(each, only, found, holm(found), strict=True):
        difference, low, high = paired_difference(right[a], right[b], level)
        pairs.append(Pair(a, b, difference, (low, high), *counts, p, float(p_holm)))
    return tuple(pairs)


def _disagreements(
    nets: Sequence[Network],
    asked: Sequence[Answers],
    samples: Samples,
    classes: Sequence[str],
    right: np.ndarray,
    examples: int,
) -> tuple[tuple[Disagreement, ...], int]:
    """Find the samples that are answered differently, those first that two networks are both sure of."""
    words = [_words(net, answers, classes) for net, answers in zip(nets, asked, strict=True)]
    folded = np.array([[word.casefold() for word in row] for row in words])
    numbers = np.unique(folded, return_inverse=True)[1].reshape(folded.shape)
    sure = np.stack([answers.confidences for answers in asked])
    strength = np.full(len(samples), -1.0)
    for a, b in combinations(range(len(nets)), 2):
        both = np.minimum(sure[a], sure[b])
        strength = np.maximum(strength, np.where(numbers[a] != numbers[b], both, -1.0))
    rows = np.flatnonzero(strength >= 0)
    first = rows[np.argsort(-strength[rows], kind="stable")][: max(0, examples)]
    found = tuple(
        Disagreement(
            row=int(row),
            name=samples.names[row],
            label=classes[samples.labels[row]],
            answers=tuple(word[row] for word in words),
            probabilities=tuple(float(each[row]) for each in sure),
            right=tuple(bool(each[row]) for each in right),
        )
        for row in first
    )
    return found, len(rows)


def _words(net: Network, answers: Answers, classes: Sequence[str]) -> list[str]:
    """Name each answer: as the data call it, or as the network does where it is none of theirs."""
    labels = {int(output): net.class_label(int(output)) for output in np.unique(answers.outputs)}
    return [
        classes[answer] if answer < len(classes) else labels[int(output)]
        for answer, output in zip(answers.answers, answers.outputs, strict=True)
    ]


def _thumbnails(net: Network, sources: Sequence[Any]) -> np.ndarray:
    """Give what a network sees of samples, small, in the middle of grey squares: of a sound its first patch."""
    squares = np.full((len(sources), THUMBNAIL_PX, THUMBNAIL_PX, 3), 128, np.uint8)
    for square, source in zip(squares, sources, strict=True):
        [batch, *_] = stream(net, [source], batch=1, progress=False, tell=False)
        levels = np.rint(np.clip(visible(batch.pictures[0]), 0, 1) * 255).astype(np.uint8)
        factor = THUMBNAIL_PX / max(levels.shape[:2])
        width, height = (max(1, round(side * factor)) for side in (levels.shape[1], levels.shape[0]))
        how = Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC
        top, left = (THUMBNAIL_PX - height) // 2, (THUMBNAIL_PX - width) // 2
        square[top : top + height, left : left + width] = np.asarray(
            Image.fromarray(levels).resize((width, height), how)
        )
    return squares


def _changes(nets: Sequence[Network], samples: Samples, batch: int, progress: bool) -> tuple[LayerChange, ...]:
    first, second = nets
    pairs = shared_layers(first, second)
    if not shares_base(first, second, pairs):
        return ()
    landmarks = {layer.name for layer in first.layers.landmarks}
    wanted = [pair for pair in pairs if pair[0].name in landmarks] or pairs
    rows = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), MOST_CHANGED)).astype(np.int64))
    return changes(first, second, [samples.sources[i] for i in rows], wanted, batch=batch, progress=progress)


def _notes(
    compared: Sequence[Compared], pairs: Sequence[Pair], samples: Samples, classes: Sequence[str]
) -> tuple[str, ...]:
    said = []
    empty = [name for name, n in zip(classes, samples.counts.values(), strict=True) if not n]
    if empty:
        told = ", ".join(empty[:8]) + (f" and {len(empty) - 8} more" if len(empty) > 8 else "")
        said.append(f"No sample of {told}: left out of the balanced accuracy.")
    if len(samples) < FEW:
        said.append(f"Only {len(samples)} samples: the intervals are wide, and few differences can be told.")
    others = [f"{one.name} {one.others / len(samples):.0%}" for one in compared if one.others]
    if others:
        said.append(
            f'Answers that are none of the data\'s classes count as "other", and as wrong: {", ".join(others)}.'
        )
    if len(pairs) > 1:
        said.append(f"The tests of {len(pairs)} pairs are corrected for each other by Holm's method.")
    return tuple(said)
