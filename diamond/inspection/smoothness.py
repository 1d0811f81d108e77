"""How smooth filters are: whether neighbouring weights know of each other.

    >>> smoothness(np.ones((1, 3, 3, 1)))           # all alike
    array([1.])
    >>> band = noise_band((3, 3), inputs=64)        # noise lies within, 19 times of 20
    >>> round(band, 3)
    0.072

A network begins with noise in its filters; training writes into them what varies slowly from place to place, and weight
decay takes the noise away. A filter that still looks like noise has learned little, or was held to little. The score is
the correlation of neighbouring weights about zero: 1 where all weights of a slice are alike, 0 on average for noise, -1 for
a chessboard. Of noise alone it scatters by one over the square root of the number of neighbours, so one can say which
filters cannot be told from noise.
"""

from __future__ import annotations

import numpy as np

__all__ = ["noise_band", "pairs", "smoothness"]

MOST_VALUES = 4_000_000
# Of fewer neighbours noise scatters over more than half of all scores.
FEWEST_PAIRS = 16


def smoothness(values: np.ndarray) -> np.ndarray:
    """Score filters: the sum of ``2 a b`` over all neighbours a and b, over the sum of ``a^2 + b^2``.

    Parameters
    ----------
    values
        ``(filter, *places, input channel)``. Neighbours are next to each other along one axis of places, in one slice.

    Returns
    -------
    float64 array
        ``(filter,)`` from -1 to 1; NaN for filters without neighbours (1 x 1), or of zeros.
    """
    # Some filters at a time: a dense layer on a map has a hundred million weights.
    at_once = max(1, MOST_VALUES // max(1, values[:1].size))
    parts = [_scores(values[begin : begin + at_once]) for begin in range(0, len(values), at_once)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _scores(values: np.ndarray) -> np.ndarray:
    n = len(values)
    together, alone = np.zeros(n), np.zeros(n)
    for axis in range(1, values.ndim - 1):
        a = np.moveaxis(values, axis, 1)[:, :-1].astype(np.float64)
        b = np.moveaxis(values, axis, 1)[:, 1:].astype(np.float64)
        together += 2 * (a * b).reshape(n, -1).sum(axis=1)
        alone += (a**2 + b**2).reshape(n, -1).sum(axis=1)
    found: np.ndarray = np.divide(together, alone, out=np.full(n, np.nan), where=alone > 0)
    return found


def pairs(places: tuple[int, ...], inputs: int) -> int:
    """Count the neighbours in a filter."""
    whole = int(np.prod(places)) if places else 0
    return inputs * sum(whole // extent * (extent - 1) for extent in places)


def noise_band(places: tuple[int, ...], inputs: int) -> float:
    """Give how far from 0 the score of noise comes, 19 times of 20: two standard deviations.

    NaN for filters of so few neighbours, as one slice of 3 x 3, that noise comes nearly anywhere.
    """
    n = pairs(places, inputs)
    return 2 / float(np.sqrt(n)) if n >= FEWEST_PAIRS else float("nan")
