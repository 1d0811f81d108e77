"""Where things stand in a drawing, so that a page's SVG and a figure for paper are the same drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Scatter", "scatter"]

MARGIN = 0.08


@dataclass(frozen=True, eq=False)
class Scatter:
    """Pairs of numbers on one scale for both axes, so that equal ones lie on the diagonal.

    Attributes
    ----------
    low, high
        The range of both axes.
    x, y
        ``(n,)`` places from 0 to 1; `y` upward.
    zero
        Where 0 lies on both axes, from 0 to 1.
    """

    low: float
    high: float
    x: np.ndarray
    y: np.ndarray
    zero: float


def scatter(first: np.ndarray, second: np.ndarray) -> Scatter:
    """Lay out pairs, `first` along x and `second` along y, zero always in sight.

    Parameters
    ----------
    first, second
        ``(n,)``.
    """
    low, high = min(0.0, float(first.min()), float(second.min())), max(0.0, float(first.max()), float(second.max()))
    reach = (high - low) or 1.0
    low, high = low - MARGIN * reach, high + MARGIN * reach
    return Scatter(low, high, (first - low) / (high - low), (second - low) / (high - low), -low / (high - low))
