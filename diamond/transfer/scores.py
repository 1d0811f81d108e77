"""How well features tell classes apart: probes that are cross-validated, and scores in closed form beside them.

    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(60) % 2
    >>> features = rng.normal(size=(60, 4)) + labels[:, None]
    >>> parts = folds(labels, n=5, repeats=2, seed=0)
    >>> probe(features, labels, parts).mean().round(1)   # balanced accuracy of a linear classifier, unseen rows
    np.float64(0.7)
    >>> round(h_alpha(features, labels), 1), round(log_me(features, labels), 1)
    (0.3, -0.9)

Everything here takes pooled features ``(n, d)`` and whole numbers as labels ``(n,)``, and knows nothing of networks.

No score in closed form agrees with what training finds everywhere, so a probe decides and scores advise. A probe is a
ridge classifier whose regularisation is searched inside each fold, on features that are standardised inside it too.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "Fold",
    "balanced",
    "effective_rank",
    "folds",
    "h_alpha",
    "hits",
    "knn",
    "log_me",
    "paired_error",
    "probe",
    "probe_answers",
    "standard_error",
]

ALPHAS = np.logspace(-3, 6, 10)
NEIGHBOURS = 5
# LogME's fixed point: so many rounds at most, until precision and noise change by so small a part.
ROUNDS = 200
CLOSE = 1e-9


@dataclass(frozen=True, eq=False)
class Fold:
    """One split: numbers of the rows that are learned from, and of those that are asked."""

    learned: np.ndarray = field(repr=False)
    asked: np.ndarray = field(repr=False)


def folds(
    labels: np.ndarray, *, n: int = 5, repeats: int = 1, groups: np.ndarray | None = None, seed: int = 0
) -> list[Fold]:
    """Split rows into folds with the classes' shares, several times over.

    Parameters
    ----------
    labels
        ``(n,)`` whole numbers.
    n
        Folds a split; fewer where no class has so many rows (or groups).
    repeats
        How many splits.
    groups
        ``(n,)`` what belongs together, such as frames of one film: it is never on both sides.
    seed
        Of the splits.

    Raises
    ------
    ValueError
        Where there are not two classes with two rows, or two groups, each.
    """
    from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedGroupKFold

    classes, counts = np.unique(labels, return_counts=True)
    if groups is not None:
        counts = np.array([len(np.unique(groups[labels == c])) for c in classes])
    if len(classes) < 2 or np.sort(counts)[-2] < 2:
        unit = "samples" if groups is None else "groups"
        raise ValueError(f"{len(classes)} classes with {counts.tolist()} {unit}; expected two with two or more each")
    n = int(min(n, max(2, counts.max())))
    rows = np.zeros(len(labels))
    if groups is None:
        n = int(min(n, max(2, counts[counts >= 2].min())))
        with warnings.catch_warnings():
            # A class with fewer rows than folds is told once, by whoever asks, and not at each split.
            warnings.simplefilter("ignore", UserWarning)
            split = RepeatedStratifiedKFold(n_splits=n, n_repeats=repeats, random_state=seed)
            return [Fold(learned, asked) for learned, asked in split.split(rows, labels)]
    found = []
    n = int(min(n, len(np.unique(groups))))
    for repeat in range(repeats):
        split = StratifiedGroupKFold(n_splits=n, shuffle=True, random_state=seed + repeat)
        found += [Fold(learned, asked) for learned, asked in split.split(rows, labels, groups)]
    return found


def probe(features: np.ndarray, labels: np.ndarray, parts: Sequence[Fold]) -> np.ndarray:
    """Balanced accuracy of a ridge classifier in each fold, ``(fold,)``.

    Regularisation is chosen inside each fold, without looking at what is asked, by generalised cross-validation.

    Parameters
    ----------
    features
        ``(n, d)``.
    labels
        ``(n,)``.
    parts
        Of `folds`.
    """
    return balanced(labels, probe_answers(features, labels, parts), parts)


def probe_answers(features: np.ndarray, labels: np.ndarray, parts: Sequence[Fold]) -> list[np.ndarray]:
    """What the probe of each fold says of the rows it is asked about: ``(asked,)`` classes, one array a fold."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return _answers(
        lambda: make_pipeline(StandardScaler(), RidgeClassifierCV(ALPHAS, class_weight="balanced")),
        features,
        labels,
        parts,
    )


def hits(labels: np.ndarray, answers: Sequence[np.ndarray], parts: Sequence[Fold]) -> np.ndarray:
    """How often each row was answered rightly, of the times it was asked: ``(n,)`` from 0 to 1, NaN for never."""
    right, asked = np.zeros(len(labels)), np.zeros(len(labels))
    for part, said in zip(parts, answers, strict=True):
        right[part.asked] += said == labels[part.asked]
        asked[part.asked] += 1
    with np.errstate(invalid="ignore"):
        return right / asked


def paired_error(one: np.ndarray, other: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Standard error of the difference of two balanced accuracies that were found on the same rows.

    Rows are drawn from their class; rows of one group are drawn together, and then count as one.

    Parameters
    ----------
    one, other
        ``(n,)`` of `hits`.
    labels
        ``(n,)``.
    groups
        ``(n,)`` what belongs together; None where each row is alone.
    """
    asked = np.isfinite(one) & np.isfinite(other)
    apart, classes = (one - other)[asked], labels[asked]
    members = np.arange(len(apart)) if groups is None else np.unique(groups[asked], return_inverse=True)[1]
    names = np.unique(classes)
    pulls = np.zeros(len(apart))
    for name in names:
        rows = classes == name
        pulls[rows] = (apart[rows] - apart[rows].mean()) / (rows.sum() * len(names))
    together = np.bincount(members, pulls)
    n = len(together)
    return float(np.sqrt(np.sum(together**2) * n / max(n - 1, 1)))


def knn(features: np.ndarray, labels: np.ndarray, parts: Sequence[Fold], *, neighbours: int = NEIGHBOURS) -> np.ndarray:
    """Balanced accuracy of the nearest neighbours in each fold, ``(fold,)``."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    least = min(len(part.learned) for part in parts)
    said = _answers(
        lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(min(neighbours, least))), features, labels, parts
    )
    return balanced(labels, said, parts)


def standard_error(values: np.ndarray, parts: Sequence[Fold]) -> float:
    """Standard error of the mean of a value of each fold.

    Folds share most of what they learn from, so the usual formula is too small by far; corrected by the shares of rows
    learned and asked (Nadeau and Bengio, "Inference for the Generalization Error", Machine Learning 2003, section 3).
    """
    if len(values) < 2:
        return float("nan")
    shares = np.mean([len(part.asked) / len(part.learned) for part in parts])
    return float(np.sqrt((1 / len(values) + shares) * np.var(values, ddof=1)))


def h_alpha(features: np.ndarray, labels: np.ndarray) -> float:
    """H-score with a shrunk covariance: how much of the features' variance is between the classes.

    From 0 to the number of classes less 1. Ibrahim, Ponomareva and Mazumder, "Newer is not always better: Rethinking
    transferability metrics, their peculiarities, stability and performance" (ECML 2022), equation 6, with the shrinkage
    of Ledoit and Wolf (2004).
    """
    from sklearn.covariance import ledoit_wolf

    centred = np.asarray(features, np.float64)
    centred = centred - centred.mean(axis=0)
    shrunk, shrinkage = ledoit_wolf(centred, assume_centered=True)
    classes, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(classes), centred.shape[1]))
    np.add.at(means, which, centred)
    # Of each class the root of its share times its mean: their outer products add up to the covariance of the means.
    between = means / np.sqrt(counts * len(labels))[:, None]
    if not np.trace(shrunk) > 0:
        return 0.0
    # Shrunk, it is positive definite; but where nothing was shrunk, a channel that never changes has no variance.
    unit = np.trace(shrunk) / len(shrunk)
    solved = np.linalg.solve(shrunk + 1e-12 * unit * np.eye(len(shrunk)), between.T)
    return float((1.0 - shrinkage) * np.sum(between.T * solved))


def log_me(features: np.ndarray, labels: np.ndarray) -> float:
    """Logarithm of the maximum evidence of a linear model, for each row and class.

    You, Liu, Wang and Long, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning" (ICML 2021),
    section 4, with the fixed point of its algorithm 1 carried on until it stands still.
    """
    values = np.asarray(features, np.float64)
    n, d = values.shape
    left, singular, _ = np.linalg.svd(values, full_matrices=False)
    return float(
        np.mean([_evidence((labels == c).astype(np.float64), left, singular**2, n, d) for c in np.unique(labels)])
    )


def effective_rank(features: np.ndarray) -> float:
    """Number of directions that features really use: e to the entropy of their singular values' shares.

    Roy and Vetterli, "The effective rank" (EUSIPCO 2007), definition 1; 0 where nothing varies.
    """
    centred = np.asarray(features, np.float64)
    singular = np.linalg.svd(centred - centred.mean(axis=0), compute_uv=False)
    total = singular.sum()
    if not total > 0:
        return 0.0
    shares = singular[singular > 0] / total
    return float(np.exp(-np.sum(shares * np.log(shares))))


def _evidence(wanted: np.ndarray, left: np.ndarray, squares: np.ndarray, n: int, d: int) -> float:
    """Maximise the evidence of one class over the precisions of weights (alpha) and noise (beta)."""
    along = (left.T @ wanted) ** 2
    outside = max(float(wanted @ wanted - along.sum()), 0.0)
    alpha, beta = 1.0, 1.0
    for _ in range(ROUNDS):
        shrunk = alpha + beta * squares
        used = float(np.sum(beta * squares / shrunk))
        weights = float(np.sum(beta**2 * squares * along / shrunk**2))
        residual = float(np.sum((alpha / shrunk) ** 2 * along)) + outside
        before = alpha / beta
        next_alpha, next_beta = used / (weights + 1e-300), (n - used) / (residual + 1e-300)
        if not (0 < next_alpha < np.inf and 0 < next_beta < np.inf):
            # More features than rows, which they fit without a rest: there is no noise to go by any more.
            break
        alpha, beta = next_alpha, next_beta
        if abs(alpha / beta - before) <= CLOSE * before:
            break
    shrunk = alpha + beta * squares
    weights = float(np.sum(beta**2 * squares * along / shrunk**2))
    residual = float(np.sum((alpha / shrunk) ** 2 * along)) + outside
    logarithms = float(np.sum(np.log(shrunk))) + (d - len(squares)) * np.log(alpha)
    evidence = n * np.log(beta) + d * np.log(alpha) - n * np.log(2 * np.pi)
    return float((evidence - beta * residual - alpha * weights - logarithms) / (2 * n))


def balanced(labels: np.ndarray, answers: Sequence[np.ndarray], parts: Sequence[Fold]) -> np.ndarray:
    """Balanced accuracy of each fold's answers, over the classes that are asked about, ``(fold,)``."""
    found = []
    for part, said in zip(parts, answers, strict=True):
        expected = labels[part.asked]
        # A class of few rows may not be among them.
        found.append(np.mean([np.mean(said[expected == number] == number) for number in np.unique(expected)]))
    return np.array(found)


def _answers(make, features, labels, parts):  # type: ignore[no-untyped-def]
    return [make().fit(features[part.learned], labels[part.learned]).predict(features[part.asked]) for part in parts]
