"""How sure one can be of a share, and of the difference of two that were counted on the same samples.

    >>> wilson(45, 50)
    (0.7864..., 0.9565...)
    >>> mcnemar(8, 1), holm([0.01, 0.04, 0.03])
    (0.0390625, array([0.03, 0.06, 0.06]))

Everything here takes counts, or rows of what is right and wrong, and knows nothing of networks.

Two networks that are asked about the same photos mostly agree, and intervals drawn around each alone say nothing of
their difference: a photo that is hard is hard for both. What tells them apart are the samples that one has right and the
other wrong, and those alone are counted in a *paired* comparison.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["balanced_accuracy", "balanced_interval", "confusion", "holm", "mcnemar", "paired_difference", "wilson"]

LEVEL = 0.95


def wilson(hits: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of a share: Wilson's score interval.

    It stays within 0 and 1 and keeps a width where all are right or only a few were asked, where the usual normal
    interval has none (Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association, 1927; Brown, Cai and DasGupta, "Interval estimation for a binomial proportion",
    Statistical Science, 2001, equation 4).

    Parameters
    ----------
    hits, n
        So many of so many.
    level
        How often such an interval holds the true share.

    Returns
    -------
    (float, float)
        Its ends; NaN where `n` is 0.
    """
    if not n:
        return math.nan, math.nan
    z, share = _z(level), hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At the ends the two parts are equal but for rounding.
    low, high = (0.0 if hits <= 0 else middle - half), (1.0 if hits >= n else middle + half)
    return max(0.0, low), min(1.0, high)


def confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Count answers by true class.

    Parameters
    ----------
    labels
        ``(n,)`` true classes from 0.
    answers
        ``(n,)`` classes answered; `classes` itself stands for any other answer.
    classes
        How many there are.

    Returns
    -------
    int array
        ``(classes, classes + 1)``: a row a true class, a column an answer, the last one for all others.
    """
    counts: np.ndarray = np.bincount(labels * (classes + 1) + answers, minlength=classes * (classes + 1))
    return counts.reshape(classes, classes + 1)


def balanced_accuracy(counts: np.ndarray) -> float:
    """Give the mean of the classes' recalls from a confusion matrix; classes without samples are left out."""
    hits, n = counts.diagonal(), counts.sum(axis=1)
    return float((hits[n > 0] / n[n > 0]).mean()) if n.any() else math.nan


def balanced_interval(counts: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Give the interval of a balanced accuracy: Wilson's, at the effective number of samples.

    The mean of ``k`` recalls ``p`` of ``n`` samples each has the variance ``V``, the sum of ``p (1 - p) / n`` divided by
    ``k**2``; it is taken for a share of ``P (1 - P) / V`` samples, ``P`` the mean, as in surveys whose groups are drawn in
    unequal numbers (Korn and Graubard, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data", Survey Methodology, 1998; with Wilson's interval: Franco, Little, Louis and
    Slud, Journal of Survey Statistics and Methodology, 2019). Where all classes have as many samples and the same
    recall, it is Wilson's interval of the accuracy. For the variance alone, recalls are drawn towards one half as Agresti
    and Coull do ("Approximate is better than exact", The American Statistician, 1998), so that a class of one sample
    counts as uncertain.

    Parameters
    ----------
    counts
        Confusion matrix, as `confusion` gives it.
    level
        How often such an interval holds the truth.
    """
    hits, n = counts.diagonal(), counts.sum(axis=1)
    hits, n = hits[n > 0].astype(np.float64), n[n > 0].astype(np.float64)
    if not len(n):
        return math.nan, math.nan
    z2 = _z(level) ** 2
    shares = (hits + z2 / 2) / (n + z2)
    variance = float((shares * (1 - shares) / n).sum()) / len(n) ** 2
    effective = float(shares.mean() * (1 - shares.mean())) / variance
    return wilson(balanced_accuracy(counts) * effective, effective, level)


def paired_difference(first: np.ndarray, second: np.ndarray, level: float = LEVEL) -> tuple[float, float, float]:
    """Give the difference of two accuracies on the same samples, and its interval.

    The interval is Newcombe's: two of Wilson's, joined by how far the two agree (Newcombe, "Improved confidence
    intervals for the difference between binomial proportions based on paired data", Statistics in Medicine, 1998,
    method 10).

    Parameters
    ----------
    first, second
        ``(n,)`` whether each has each sample right.
    level
        How often such an interval holds the true difference.

    Returns
    -------
    (float, float, float)
        The first's accuracy less the second's, and the ends of the interval.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    n = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    one, other = int((first & ~second).sum()), int((~first & second).sum())
    share_1, share_2 = (both + one) / n, (both + other) / n
    (low_1, high_1), (low_2, high_2) = wilson(both + one, n, level), wilson(both + other, n, level)
    together = float(both * neither - one * other)
    if together > 0:
        together = max(together - n / 2, 0)
    margins = (both + one) * (other + neither) * (both + other) * (one + neither)
    phi = together / math.sqrt(margins) if margins else 0.0
    down, up = (share_1 - low_1, high_2 - share_2), (high_1 - share_1, share_2 - low_2)
    below, above = (math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b)) for a, b in (down, up))
    difference = (one - other) / n
    return difference, max(-1.0, difference - below), min(1.0, difference + above)


def mcnemar(only_first: int, only_second: int) -> float:
    """Give the probability that two equally good ones differ by so much or more: McNemar's exact test.

    Of the samples that one has right and the other wrong, each is then as likely to be the one's as the other's: the
    two-sided binomial test of one half, not its mid-p form. It never finds a difference too often, at any number of
    samples, and at few it is rather too careful (McNemar, "Note on the sampling error of the difference between
    correlated proportions or percentages", Psychometrika, 1947; Fagerland, Lydersen and Laake, "The McNemar test for
    binary matched-pairs data", BMC Medical Research Methodology, 2013, compare both).

    Parameters
    ----------
    only_first, only_second
        How many samples only the one, and only the other, has right.
    """
    from scipy.stats import binom  # type: ignore[import-untyped]

    n = only_first + only_second
    return min(1.0, 2 * float(binom.cdf(min(only_first, only_second), n, 0.5))) if n else 1.0


def holm(probabilities: Sequence[float]) -> np.ndarray:
    """Correct the probabilities of several tests, so that among all of them an error stays as rare as in one.

    Holm, "A simple sequentially rejective multiple test procedure" (Scandinavian Journal of Statistics, 1979).

    Parameters
    ----------
    probabilities
        ``(m,)``, of each test alone.

    Returns
    -------
    float array
        ``(m,)``: the smallest times ``m``, the next times ``m - 1`` ..., none below the one before it, none above 1.
    """
    values = np.asarray(probabilities, np.float64)
    order = np.argsort(values, kind="stable")
    raised = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)) if len(values) else values
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(raised, 1.0)
    return corrected


def _z(level: float) -> float:
    from statistics import NormalDist

    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a share between 0 and 1, such as {LEVEL}")
    return NormalDist().inv_cdf((1 + level) / 2)
