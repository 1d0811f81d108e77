"""Whether a network knows how sure it can be: of the answers it gives with 80 %, 80 % should be right.

    >>> right = np.arange(100) % 4 > 0                       # three of four
    >>> found = reliability(np.full(100, 0.9), right)
    >>> found.shares[-1], found.confidences[-1]          # of the surest answers: how many are right, how sure it was
    (np.float64(nan), np.float64(nan))
    >>> found.error                                      # expected calibration error
    0.1500000000000008

Everything here takes probabilities and what is right, and knows nothing of networks. Two networks that are right equally
often can differ here: one that says 99 % to everything cannot be used to decide which answers a person should look at.

Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks" (ICML 2017).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Reliability", "brier_score", "negative_log_likelihood", "reliability"]

BINS = 15
# What float64 can still take the logarithm of: a probability that was rounded to 0 costs much, not everything.
LEAST = 1e-300


@dataclass(frozen=True, eq=False)
class Reliability:
    """Answers sorted into bins by how sure the network was of them.

    Attributes
    ----------
    edges
        ``(bin + 1,)`` from 0 to 1, equally far apart.
    counts
        ``(bin,)`` how many answers.
    confidences
        ``(bin,)`` their mean probability; NaN where there are none.
    shares
        ``(bin,)`` which share of them is right; NaN where there are none.
    """

    edges: np.ndarray = field(repr=False)
    counts: np.ndarray
    confidences: np.ndarray
    shares: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: how far confidence and accuracy are apart, the mean over all answers.

        Equation 3 of Guo et al. (2017), after Naeini, Cooper and Hauskrecht (AAAI 2015).
        """
        filled = self.counts > 0
        apart = np.abs(self.confidences[filled] - self.shares[filled])
        return float((self.counts[filled] * apart).sum() / self.counts.sum())


def reliability(confidences: np.ndarray, right: np.ndarray, bins: int = BINS) -> Reliability:
    """Sort answers into bins of confidence.

    Parameters
    ----------
    confidences
        ``(n,)`` the probability that the network gave its answer, from 0 to 1.
    right
        ``(n,)`` whether the answer is right.
    bins
        How many: equally wide, each holding its upper edge, as Guo et al. have them.

    Raises
    ------
    ValueError
        For no answers, numbers that do not fit, or fewer bins than one.
    """
    sure, hits = np.asarray(confidences, np.float64), np.asarray(right, bool)
    if sure.shape != hits.shape or sure.ndim != 1 or not len(sure):
        raise ValueError(f"{sure.shape} confidences and {hits.shape} answers; expected one of both for each sample")
    if bins < 1:
        raise ValueError(f"bins is {bins}; expected 1 or more")
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    filled = np.where(counts > 0, counts, np.nan)
    return Reliability(
        edges=edges,
        counts=counts,
        confidences=np.bincount(which, weights=sure, minlength=bins) / filled,
        shares=np.bincount(which, weights=hits, minlength=bins) / filled,
    )


def brier_score(true: np.ndarray, squares: np.ndarray) -> float:
    """Give the Brier score: how far the probabilities are from the truth, squared, from 0 (all right, and sure) to 2.

    The sum over all classes, the mean over samples: Brier, "Verification of forecasts expressed in terms of
    probability" (Monthly Weather Review, 1950), equation 2. Of a sample it is ``squares - 2 true + 1``.

    Parameters
    ----------
    true
        ``(n,)`` probability of the true class.
    squares
        ``(n,)`` sum of the squared probabilities of all classes.
    """
    return float((np.asarray(squares, np.float64) - 2 * np.asarray(true, np.float64) + 1).mean())


def negative_log_likelihood(true: np.ndarray) -> float:
    """Give the mean of ``-log p`` of the true classes, in nats: what training minimises; 0 for all right, and sure.

    Parameters
    ----------
    true
        ``(n,)`` probability of the true class.
    """
    return float(-np.log(np.maximum(np.asarray(true, np.float64), LEAST)).mean())
