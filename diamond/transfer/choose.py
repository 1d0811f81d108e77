"""Which cut: the cheapest that cannot be told from the best.

    choice = choose(accuracies, costs, parts, chance=0.2)         # (cut, fold) balanced accuracies
    choice.recommended, choice.tied

Accuracies of neighbouring cuts differ by less than they would between two samples of the same data, and a table that
names the largest names noise. So cuts are compared with the best on the same samples: one whose difference is within one
standard error is *tied* with it, and of those that are tied the cheapest is recommended (the one-standard-error rule of
Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984, section 3.4.3, on paired differences).

Where even the best cut tells the classes no better than guessing, every cut is tied and none is recommended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from diamond.transfer.scores import Fold, standard_error

__all__ = ["Choice", "choose"]

# How sure one must be that the best of all cuts is better than guessing.
SURE = 0.95


@dataclass(frozen=True)
class Choice:
    """Cuts by their numbers.

    Attributes
    ----------
    best
        The most accurate.
    recommended
        The cheapest of those tied with it; None where nothing is better than guessing.
    tied
        All that cannot be told from the best, in order.
    differences, errors
        For each cut how far it is below the best, the mean over folds, and the standard error of that.
    guessing
        Whether even the best is no better than guessing.
    """

    best: int
    recommended: int | None
    tied: tuple[int, ...]
    differences: tuple[float, ...]
    errors: tuple[float, ...]
    guessing: bool

    @property
    def is_tie(self) -> bool:
        """Whether no cut can be told from any other."""
        return len(self.tied) == len(self.differences)


def choose(
    accuracies: np.ndarray,
    costs: Sequence[float],
    parts: Sequence[Fold],
    *,
    chance: float,
    error: Callable[[int, int], float] | None = None,
) -> Choice:
    """Choose a cut.

    Parameters
    ----------
    accuracies
        ``(cut, fold)`` balanced accuracies, the same folds for all.
    costs
        ``(cut,)`` what each costs, in any unit.
    parts
        The folds.
    chance
        Balanced accuracy of guessing: one divided by the number of classes.
    error
        Gives the standard error of the difference of two cuts, by their numbers, from their answers to each sample
        (`paired_error`); by the spread over folds where None.

    Raises
    ------
    ValueError
        Where their numbers do not fit, or are not finite.
    """
    values = np.asarray(accuracies, np.float64)
    if values.ndim != 2 or values.shape != (len(costs), len(parts)) or not values.size:
        raise ValueError(
            f"accuracies of shape {values.shape}; expected ({len(costs)}, {len(parts)}): a row a cut, a column a fold"
        )
    if not np.isfinite(values).all():
        raise ValueError("some accuracies are NaN or infinite")
    means = values.mean(axis=1)
    best = int(np.argmax(means))
    below = values[best] - values
    errors = np.array(
        [standard_error(row, parts) if error is None else error(best, number) for number, row in enumerate(below)]
    )
    guessing = _is_guessing(values[best], parts, len(values), chance)
    tied = np.ones(len(values), bool) if guessing else below.mean(axis=1) <= np.nan_to_num(errors)
    numbers = np.flatnonzero(tied)
    cheapest = int(numbers[np.argmin(np.asarray(costs, np.float64)[numbers])])
    return Choice(
        best=best,
        recommended=None if guessing else cheapest,
        tied=tuple(numbers.tolist()),
        differences=tuple(below.mean(axis=1).tolist()),
        errors=tuple(errors.tolist()),
        guessing=guessing,
    )


def _is_guessing(accuracies: np.ndarray, parts: Sequence[Fold], cuts: int, chance: float) -> bool:
    """Whether the best of so many cuts may be as good as it is by luck (Bonferroni's bound on a one-sided t-test)."""
    from scipy.stats import t  # type: ignore[import-untyped]

    over, error = float(accuracies.mean()) - chance, standard_error(accuracies, parts)
    if not error > 0:
        return over <= 0
    return bool(over / error <= t.ppf(1 - (1 - SURE) / cuts, len(accuracies) - 1))
