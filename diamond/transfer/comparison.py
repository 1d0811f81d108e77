"""What was found when networks were asked about the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from diamond.show.result import Result
from diamond.transfer.agreement import wilson
from diamond.transfer.calibration import Reliability
from diamond.transfer.shared import LayerChange

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from diamond.transfer.before_after import BeforeAfter
    from modelzoo import Layer, Network

__all__ = ["Compared", "Comparison", "Disagreement", "Pair"]

OTHER = "other"
# What the differences of a pair may be due to chance by, so that they are called differences.
SIGNIFICANT = 0.05


@dataclass(frozen=True, eq=False)
class Compared:
    """One network among those compared.

    Attributes
    ----------
    name
        What it is called here.
    accuracy, accuracy_interval
        Share of the samples that it has right, and Wilson's interval.
    balanced, balanced_interval
        Mean of the classes' recalls, and its interval (`diamond.transfer.agreement.balanced_interval`).
    confusion
        ``(class, class + 1)`` how many of each true class were answered as each class; the last column is any other answer.
    reliability
        Its answers by how sure it was of them; ``reliability.error`` is the expected calibration error.
    brier
        Brier score, from 0 to 2.
    nll
        Negative log likelihood of the true classes, in nats.
    parameters, multiply_adds, bytes
        What its answer takes: numbers of all weights, multiplications for one sample, bytes of the weights.
    latency_s
        Seconds from one sample to the answer, measured; None where it was not.
    """

    name: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    balanced: float
    balanced_interval: tuple[float, float]
    confusion: np.ndarray = field(repr=False)
    reliability: Reliability = field(repr=False)
    brier: float
    nll: float
    parameters: int
    multiply_adds: float
    bytes: int
    latency_s: float | None

    @property
    def others(self) -> int:
        """How many answers are none of the data's classes."""
        return int(self.confusion[:, -1].sum())


@dataclass(frozen=True)
class Pair:
    """Two of the networks on the same samples.

    Attributes
    ----------
    first, second
        Their numbers.
    difference, interval
        The first's accuracy less the second's, and Newcombe's interval for paired shares.
    only_first, only_second
        How many samples only the one, and only the other, has right.
    p, p_holm
        McNemar's exact test, two-sided; the same corrected for all pairs by Holm's method.
    """

    first: int
    second: int
    difference: float
    interval: tuple[float, float]
    only_first: int
    only_second: int
    p: float
    p_holm: float

    @property
    def differ(self) -> bool:
        """Whether they can be told apart: less than one chance in twenty, after the correction."""
        return self.p_holm < SIGNIFICANT


@dataclass(frozen=True)
class Disagreement:
    """A sample that networks answer differently.

    Attributes
    ----------
    row
        Its number among the samples that were read.
    name, label
        What it is called, and its true class.
    answers, probabilities, right
        Of each network: the class it names, how probable it holds it, whether it is right.
    """

    row: int
    name: str
    label: str
    answers: tuple[str, ...]
    probabilities: tuple[float, ...]
    right: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """Networks side by side on the same samples.

    Attributes
    ----------
    networks
        One for each, in the order they were given.
    pairs_found
        Each pair of them; `pairs` gives them as a table.
    classes, counts
        The data's classes, and how many samples of each were read.
    samples, labels
        ``(n,)`` name and true class of each sample that all networks read.
    answers
        ``(network, n)`` classes answered; ``len(classes)`` stands for any other.
    confidences, true_probabilities
        ``(network, n)`` probability of the answer, and of the true class.
    disagreements, thumbnails
        Samples that the networks answer differently, those first that two are surest of; uint8
        ``(disagreement, height, width, 3)`` what the first network sees of them.
    disagreeing
        How many there are in all.
    changes
        Of two networks with a shared base: their shared landmarks, the same or changed. Empty otherwise.
    level
        How often the intervals hold the truth.
    skipped
        Name and reason of each sample that could not be read.
    notes
        What to know about these data, in sentences.

    Examples
    --------
    >>> other = dc.attach(net, "block2_add", classes=student.classes.names, name="other")
    >>> training = [dc.train(each, "textures/train", epochs=1, augment=False, progress=False) for each in (student, other)]
    >>> found = dc.compare([student, other], "textures/val", latency=False, progress=False)
    >>> found.names, found.classes, found.counts, found.level, found.skipped
    (('student', 'other'), ('brick', 'grass', 'gravel'), (4, 4, 4), 0.95, ())
    >>> found.samples[0], found.labels.shape, found.answers.shape, found.confidences.shape
    ('brick/30.png', (12,), (2, 12), (2, 12))
    >>> found.true_probabilities.shape, found.confusion.shape
    ((2, 12), (2, 3, 4))
    >>> len(found.disagreements) == found.disagreeing, len(found.thumbnails) == found.disagreeing
    (True, True)
    >>> found.networks[0].name, len(found.pairs_found), len(found.changes), found.notes
    ('student', 1, 3, ('Only 12 samples: the intervals are wide, and few differences can be told.',))
    >>> found.pairs.columns.to_list()
    ['first', 'second', 'difference', 'low', 'high', 'only_first_right', 'only_second_right', 'p', 'p_holm']
    >>> found.rates.columns.to_list()
    ['network', 'class', 'answer', 'right', 'count', 'of', 'rate', 'low', 'high']
    >>> len(found.sentence) > 0
    True
    >>> found.to_dataframe().columns.to_list()
    ['network', 'samples', 'accuracy', 'low', 'high', 'balanced_accuracy', 'balanced_low', 'balanced_high',
     'other_answers', 'calibration_error', 'brier', 'negative_log_likelihood', 'parameters', 'multiply_adds',
     'bytes', 'latency_s']
    >>> found.plot("rates")
    <Figure size ... with 1 Axes>
    >>> found.save("comparison.html")
    PosixPath('comparison.html')
    """

    FRAME_PX: ClassVar[int] = 900

    networks: tuple[Compared, ...]
    pairs_found: tuple[Pair, ...]
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    samples: tuple[str, ...] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    answers: np.ndarray = field(repr=False)
    confidences: np.ndarray = field(repr=False)
    true_probabilities: np.ndarray = field(repr=False)
    disagreements: tuple[Disagreement, ...] = field(repr=False)
    thumbnails: np.ndarray = field(repr=False)
    disagreeing: int = 0
    changes: tuple[LayerChange, ...] = ()
    level: float = 0.95
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    _asked: tuple[Network, ...] = field(default=(), repr=False)
    _sources: Sequence[Any] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def names(self) -> tuple[str, ...]:
        """What the networks are called."""
        return tuple(network.name for network in self.networks)

    @property
    def confusion(self) -> np.ndarray:
        """``(network, class, class + 1)`` how many of each true class were answered as each; last, as any other."""
        return np.stack([network.confusion for network in self.networks])

    @property
    def pairs(self) -> pd.DataFrame:
        """One row a pair: the difference of their accuracies, its interval, and McNemar's exact test."""
        import pandas as pd

        columns = [
            "first", "second", "difference", "low", "high", "only_first_right", "only_second_right", "p", "p_holm"
        ]  # fmt: skip
        rows = [
            (
                self.names[pair.first],
                self.names[pair.second],
                pair.difference,
                *pair.interval,
                pair.only_first,
                pair.only_second,
                pair.p,
                pair.p_holm,
            )
            for pair in self.pairs_found
        ]
        return pd.DataFrame(rows, columns=columns)

    @property
    def rates(self) -> pd.DataFrame:
        """How often each network gives each answer to each true class, with Wilson's interval.

        One row a network, true class and answer that was given; and one for the right answer, even where it never was: the
        class's recall.
        """
        import pandas as pd

        words = (*self.classes, OTHER)
        rows = [
            (network.name, self.classes[i], words[k], i == k, int(counts[k]), int(counts.sum()),
             counts[k] / counts.sum() if counts.any() else np.nan, *wilson(counts[k], int(counts.sum()), self.level))
            for network in self.networks
            for i, counts in enumerate(network.confusion)
            for k in range(len(words))
            if counts[k] or i == k
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["network", "class", "answer", "right", "count", "of", "rate", "low", "high"])

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        order = sorted(range(len(self.networks)), key=lambda i: -self.networks[i].accuracy)
        best = self.networks[order[0]]
        low, high = best.accuracy_interval
        begin = f"{best.name} has {best.accuracy:.1%} of {len(self):,} samples right ({low:.1%} to {high:.1%})"
        if len(order) == 1:
            return f"{begin}."
        behind = [self._pair(order[0], i) for i in order[1:]]
        told = [self.names[i] for i, pair in zip(order[1:], behind, strict=True) if pair.differ]
        tied = [self.names[i] for i, pair in zip(order[1:], behind, strict=True) if not pair.differ]
        parts = [f"it is better than {_listed(told)}"] if told else []
        parts += [f"{'and ' if told else 'it '}cannot be told from {_listed(tied)}"] if tied else []
        return f"{begin}; {' '.join(parts)}."

    def _pair(self, one: int, other: int) -> Pair:
        return next(pair for pair in self.pairs_found if {pair.first, pair.second} == {one, other})

    def before_and_after(
        self,
        layer: str | Layer,
        *,
        networks: tuple[int, int] = (0, 1),
        top: int = 8,
        render: bool = True,
        seed: int = 0,
        progress: bool = True,
    ) -> BeforeAfter:
        """Show the channels of a layer that changed most between two of the networks, on these samples.

        Parameters
        ----------
        layer
            A layer of the first, which the second has too.
        networks
            Which two, by number.
        top, render, seed, progress
            As of `dc.before_and_after`.

        Raises
        ------
        UnknownLayerError, ValueError
            As of `dc.before_and_after`; and for numbers of no two networks.

        Examples
        --------
        >>> training = dc.train(student, "textures/train", epochs=1, unfreeze=1, fine_epochs=1, progress=False)
        >>> pictures, labels = ["cat.jpg", "coffee.jpg"], ["brick", "grass"]
        >>> before = dc.attach(net, "block4_add", classes=student.classes.names, name="before")
        >>> found = dc.compare([before, student], pictures, labels, latency=False, progress=False)
        >>> found.before_and_after("block4_add", render=False, progress=False).names
        ('before', 'student')
        """
        from diamond.transfer.before_after import before_and_after

        if not all(0 <= number < len(self._asked) for number in networks) or networks[0] == networks[1]:
            raise ValueError(f"networks is {networks}; expected two numbers from 0 to {len(self._asked) - 1}")
        first, second = (self._asked[number] for number in networks)
        return before_and_after(
            first,
            second,
            self._sources,
            layer,
            names=(self.names[networks[0]], self.names[networks[1]]),
            top=top,
            render=render,
            seed=seed,
            progress=progress,
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a network: accuracies with their intervals, calibration, size, work and latency."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "network": one.name,
                    "samples": len(self),
                    "accuracy": one.accuracy,
                    "low": one.accuracy_interval[0],
                    "high": one.accuracy_interval[1],
                    "balanced_accuracy": one.balanced,
                    "balanced_low": one.balanced_interval[0],
                    "balanced_high": one.balanced_interval[1],
                    "other_answers": one.others,
                    "calibration_error": one.reliability.error,
                    "brier": one.brier,
                    "negative_log_likelihood": one.nll,
                    "parameters": one.parameters,
                    "multiply_adds": one.multiply_adds,
                    "bytes": one.bytes,
                    "latency_s": one.latency_s,
                }
                for one in self.networks
            ]
        )

    def plot(self, view: str = "summary") -> Figure:
        """Draw the comparison.

        Parameters
        ----------
        view
            ``"summary"``: accuracies with their intervals, calibration, accuracy against work, and the rates;
            ``"rates"``: what each network answers to each true class; ``"confusion"``: a matrix a network;
            ``"disagreements"``: the samples that the networks answer differently.

        Raises
        ------
        ValueError
            For another view.
        """
        from diamond.show.comparison import comparison_figure

        return comparison_figure(self, view)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "networks": np.array(self.names),
            "classes": np.array(self.classes),
            "samples": np.array(self.samples),
            "labels": self.labels,
            "answers": self.answers,
            "confidences": self.confidences,
            "true_probabilities": self.true_probabilities,
            "confusion": self.confusion,
            "thumbnails": self.thumbnails,
            "disagreements": np.array([one.row for one in self.disagreements], np.int64),
        }

    def __str__(self) -> str:
        n = len(self.networks)
        return f"{_listed(self.names)}: {n} network{'s' * (n != 1)} on {len(self):,} samples of {len(self.classes)} classes"

    def __repr__(self) -> str:
        width = max(map(len, self.names))
        rows = [
            f"  {one.name:<{width}}  {one.accuracy:6.1%} ({one.accuracy_interval[0]:.1%} to {one.accuracy_interval[1]:.1%})"
            f"  balanced {one.balanced:.1%}  calibration error {one.reliability.error:.1%}"
            f"  {one.multiply_adds / 1e6:,.0f} M multiply-adds"
            for one in self.networks
        ]
        return "\n".join([str(self), *rows, self.sentence, *self.notes])

    def _page(self) -> str:
        from diamond.show.comparison import comparison_page

        return comparison_page(self)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(([", ".join(words[:-1])] if len(words) > 1 else []) + [words[-1]])
