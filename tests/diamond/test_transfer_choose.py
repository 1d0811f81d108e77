"""Which cut is recommended: the cheapest of those that cannot be told from the best, and none where all guess."""

import numpy as np
import pytest

from diamond.transfer.choose import choose
from diamond.transfer.scores import folds, probe

LABELS = np.repeat([0, 1], 50)
PARTS = folds(LABELS, n=5, repeats=2)


def rows(means, noise=0.02, shared=0.0, seed=0):
    """Accuracies with these means; `shared` is what all cuts have in common in a fold."""
    rng = np.random.default_rng(seed)
    found = rng.normal(0, noise, (len(means), len(PARTS)))
    found -= found.mean(axis=1, keepdims=True)
    return np.array(means)[:, None] + found + rng.normal(0, shared, len(PARTS))


def test_the_cheapest_of_those_tied_with_the_best_is_recommended():
    choice = choose(rows([0.70, 0.90, 0.915, 0.92, 0.80]), [1, 2, 3, 4, 5], PARTS, chance=0.5)
    assert choice.best == 3
    assert choice.tied == (2, 3)
    assert choice.recommended == 2
    assert not choice.is_tie
    assert choice.differences == pytest.approx((0.22, 0.02, 0.005, 0, 0.12), abs=1e-6)
    # The cheapest need not come first in the network.
    assert choose(rows([0.70, 0.90, 0.915, 0.92, 0.80]), [1, 2, 9, 4, 5], PARTS, chance=0.5).recommended == 3


def test_folds_that_are_hard_for_all_cuts_do_not_hide_a_difference():
    alone = choose(rows([0.85, 0.90], noise=0.005), [1, 2], PARTS, chance=0.5)
    shared = choose(rows([0.85, 0.90], noise=0.005, shared=0.1), [1, 2], PARTS, chance=0.5)
    assert alone.tied == shared.tied == (1,)
    np.testing.assert_allclose(alone.errors, shared.errors)


def test_equal_cuts_are_tied_and_the_cheapest_taken():
    choice = choose(rows([0.9, 0.9, 0.9], noise=0.03), [3, 1, 2], PARTS, chance=0.5)
    assert choice.is_tie
    assert choice.recommended == 1


def test_nothing_is_recommended_where_all_guess():
    recommended = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = rng.permutation(LABELS)
        parts = folds(labels, n=5, repeats=2, seed=seed)
        cuts = np.stack([probe(rng.normal(size=(100, 8)), labels, parts) for _ in range(6)])
        choice = choose(cuts, range(6), parts, chance=0.5)
        recommended += choice.recommended is not None
        assert choice.guessing == choice.is_tie == (choice.recommended is None)
    assert recommended <= 2


def test_one_cut_is_the_best_and_perfect_folds_are_no_division_by_zero():
    choice = choose(np.ones((1, 10)), [1.0], PARTS, chance=0.5)
    assert (choice.best, choice.recommended, choice.tied) == (0, 0, (0,))
    assert choose(np.full((2, 10), 0.5), [1, 2], PARTS, chance=0.5).recommended is None


@pytest.mark.parametrize("values", [np.ones((2, 3)), np.ones(10), np.full((1, 10), np.nan), np.ones((0, 10))])
def test_numbers_that_do_not_fit_are_named(values):
    with pytest.raises(ValueError, match="accuracies"):
        choose(values, [1.0], PARTS, chance=0.5)
