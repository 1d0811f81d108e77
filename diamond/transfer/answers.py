"""What a network answers to samples whose classes are known, whatever else it could have answered.

    samples = read_samples("flowers/")
    outputs = match_classes(net, samples)                  # which output stands for daisy, rose ...
    found = ask(net, samples, outputs)
    (found.answers == samples.labels[found.rows]).mean()

A data set and a network name their classes independently. They are *matched* by name, where the network has names: a
network of a thousand classes can be asked about five of them, and an answer outside the five counts as "other". Where it
has none, by number. Then the network is *asked*: of each sample only a few numbers are kept, so that ten thousand samples
take no more memory than a batch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diamond.attribution.streams import stream
from diamond.transfer.samples import Samples
from modelzoo import Network
from modelzoo.labels import ClassError

__all__ = ["Answers", "ask", "class_names", "match_classes", "outputs_of"]

BATCH = 32
WORDNET = re.compile(r"n\d{8}")
MOST_TOLD = 8


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network said to each sample.

    Attributes
    ----------
    rows
        ``(n,)`` numbers of the samples that could be read.
    answers
        ``(n,)`` the class with the highest probability, by its number in the data; their count for any other. Of equal
        ones the first.
    outputs
        ``(n,)`` the output that is.
    confidences
        ``(n,)`` its probability; of a sound the mean over its patches.
    true
        ``(n,)`` probability of the true class.
    squares
        ``(n,)`` sum of the squared probabilities of all outputs.
    skipped
        Name and reason of each sample that could not be read.
    """

    rows: np.ndarray
    answers: np.ndarray = field(repr=False)
    outputs: np.ndarray = field(repr=False)
    confidences: np.ndarray = field(repr=False)
    true: np.ndarray = field(repr=False)
    squares: np.ndarray = field(repr=False)
    skipped: tuple[str, ...] = ()


def outputs_of(net: Network) -> int:
    """Count what a network can answer; one output with a sigmoid tells two classes apart."""
    return max(2, net.output_size)


def match_classes(net: Network, samples: Samples) -> np.ndarray:
    """Find the output that stands for each class of the data.

    Parameters
    ----------
    net
        The network.
    samples
        Its classes' names: found among the network's in any spelling, or by their WordNet ids. Names that are whole
        numbers are numbers of the network's classes (a background before them not counted), where none is so called.

    Returns
    -------
    int array
        ``(class,)``; -1 for a class without samples that the network does not know.

    Raises
    ------
    ClassError
        Where a class is not there, naming the nearest; where two of the data are one to the network; and where the network
        has no names and another number of outputs than the data have classes.
    """
    numbers = _numbers(samples.classes)
    if net.classes is None and numbers is None:
        outputs = _in_order(net, samples.classes)
    else:
        filled = samples.counts
        outputs = np.array(
            [
                _output(net, name, None if numbers is None else numbers[i], needed=filled[name] > 0)
                for i, name in enumerate(samples.classes)
            ]
        )
    for output in np.unique(outputs[outputs >= 0]):
        same = [samples.classes[i] for i in np.flatnonzero(outputs == output)]
        if len(same) > 1:
            raise ClassError(
                f"{' and '.join(map(repr, same))} of the data are one class to {net.name}, "
                f"{net.class_label(int(output))!r}; expected a class of its own for each"
            )
    return outputs


def class_names(nets: Sequence[Network], samples: Samples, outputs: Sequence[np.ndarray]) -> tuple[str, ...]:
    """Give the data's classes names to read: those of the networks for WordNet ids and numbers, else their own.

    Raises
    ------
    ClassError
        Where the data have numbers and two networks call one number by different names.
    """
    named = [(net, found) for net, found in zip(nets, outputs, strict=True) if net.classes is not None]
    numbered = _numbers(samples.classes) is not None
    words = []
    for i, name in enumerate(samples.classes):
        readable = numbered or WORDNET.fullmatch(name)
        labels = {net.class_label(int(found[i])): net.name for net, found in named if readable and found[i] >= 0}
        if len({label.casefold() for label in labels}) > 1:
            told = ", ".join(f"{label!r} to {net}" for label, net in labels.items())
            raise ClassError(f"the number {name} is {told}; give names as labels, which mean the same to all")
        words.append(next(iter(labels), name))
    return tuple(words) if len(set(words)) == len(words) else samples.classes


def ask(
    net: Network,
    samples: Samples,
    outputs: np.ndarray,
    *,
    batch: int = BATCH,
    progress: bool = True,
    tell: bool = True,
) -> Answers:
    """Ask a network about samples, a batch at a time.

    Parameters
    ----------
    net
        The network; it reads the samples at its own size.
    samples
        Pictures, or sounds.
    outputs
        ``(class,)`` the output of each class, as `match_classes` gives them.
    batch
        How many at a time.
    progress
        Whether to show a progress bar.
    tell
        Whether to warn of samples that cannot be read.

    Raises
    ------
    PictureError, SoundError
        Where none can be read.
    ValueError
        For logits that are NaN or infinite, naming the sample.
    """
    size, n = outputs_of(net), len(samples)
    classes = np.full(size, len(outputs))
    classes[outputs[outputs >= 0]] = np.flatnonzero(outputs >= 0)
    answered = np.full(n, -1)
    confidences, true, squares = np.zeros(n), np.zeros(n), np.zeros(n)
    skipped: list[str] = []
    with tqdm(total=n, unit="sample", desc=net.name, disable=not progress) as bar:
        for row, shares in _probabilities(net, samples, batch, tell, skipped):
            answered[row] = best = int(shares.argmax())
            confidences[row], squares[row] = shares[best], float((shares * shares).sum())
            true[row] = shares[outputs[samples.labels[row]]]
            bar.update()
    rows = np.flatnonzero(answered >= 0)
    given = answered[rows]
    return Answers(rows, classes[given], given, confidences[rows], true[rows], squares[rows], tuple(skipped))


def _probabilities(
    net: Network, samples: Samples, batch: int, tell: bool, skipped: list[str]
) -> Iterator[tuple[int, np.ndarray]]:
    """Give number and probabilities ``(output,)`` of each sample; of a sound the mean over its patches."""
    node, ending = net.logits_node, _ending(net)
    run = net.compiled(("answers", node.address), lambda: lambda shown: net.forward(shown, [node])[0])
    reading = stream(net, list(samples.sources), batch=batch, progress=False, tell=tell)
    row, total, count = -1, np.zeros(outputs_of(net)), 0
    for one in reading:
        n = len(one.pictures)
        # A short last batch is filled up: another length would be compiled anew.
        shown = np.concatenate([one.pictures, np.repeat(one.pictures[-1:], batch - n, axis=0)])
        logits = np.reshape(np.asarray(run(tf.constant(shown)), np.float64)[:n], (n, -1))
        broken = ~np.isfinite(logits).all(axis=1)
        if broken.any():
            which = one.names[int(broken.argmax())]
            raise ValueError(f"{net.name} gives NaN or infinity for {which}: no answer to compare")
        for place, shares in zip(one.places.tolist(), _shares(logits, ending), strict=True):
            if place != row and count:
                yield row, total / count
                total, count = np.zeros_like(total), 0
            row, total, count = place, total + shares, count + 1
    if count:
        yield row, total / count
    skipped.extend(reading.skipped)


def _shares(logits: np.ndarray, ending: str | None) -> np.ndarray:
    """Turn logits ``(batch, output)`` into probabilities, in float64, which keeps small ones apart from 0."""
    if logits.shape[1] == 1 or ending == "sigmoid":
        ones = np.exp(-np.logaddexp(0, -logits))
        return np.concatenate([1 - ones, ones], axis=1) if logits.shape[1] == 1 else ones
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _ending(net: Network) -> str | None:
    """Name what the network makes of its logits."""
    node, logits = net.graph.nodes[net.graph.outputs[0].node], net.logits_node
    while node is not logits:
        if node.nonlinearity is not None:
            return node.nonlinearity
        node = net.graph.nodes[node.inputs[0].node]
    return None


def _numbers(classes: Sequence[str]) -> list[int] | None:
    return [int(name) for name in classes] if all(name.isascii() and name.isdigit() for name in classes) else None


def _output(net: Network, name: str, number: int | None, *, needed: bool) -> int:
    before = net.card.output.first_class
    if net.classes is not None:
        try:
            return int(net.classes.index(name)) + before
        except ClassError as error:
            if number is not None and number < len(net.classes):
                return number + before
            if not needed:
                return -1
            raise ClassError(f"{net.name} cannot be asked about {name!r}, a class of the data: {error}") from None
    if number is not None and number < outputs_of(net):
        return number
    if not needed:
        return -1
    raise ClassError(
        f"{net.name} has {outputs_of(net)} outputs without names, and the data a class {name!r}; expected numbers from 0 "
        f"to {outputs_of(net) - 1}"
    )


def _in_order(net: Network, classes: Sequence[str]) -> Any:
    size = outputs_of(net)
    if len(classes) != size:
        told = ", ".join(classes[:MOST_TOLD]) + (" ..." if len(classes) > MOST_TOLD else "")
        raise ClassError(
            f"{net.name} has {size} outputs without names, and the data {len(classes)} classes ({told}); expected as many "
            "of both, the outputs in the order of the classes, or the numbers of the outputs as labels"
        )
    return np.arange(size)
