"""Intervals and tests of shares, against numbers worked out by hand and against SciPy and scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from diamond.transfer.agreement import (
    balanced_accuracy,
    balanced_interval,
    confusion,
    holm,
    mcnemar,
    paired_difference,
    wilson,
)


def rows(both, only_first, only_second, neither):
    first = np.repeat([True, True, False, False], [both, only_first, only_second, neither])
    second = np.repeat([True, False, True, False], [both, only_first, only_second, neither])
    return first, second


def test_wilson_is_the_score_interval():
    # Newcombe (1998), table I, Wilson's method without correction: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert wilson(20, 20)[1] == 1.0
    assert all(math.isnan(end) for end in wilson(0, 0))
    for hits, n, level in ((0, 1, 0.95), (3, 7, 0.9), (45, 50, 0.95), (999, 1000, 0.99)):
        found = binomtest(hits, n).proportion_ci(level, method="wilson")
        assert wilson(hits, n, level) == pytest.approx((found.low, found.high), abs=1e-12)
    with pytest.raises(ValueError, match="level is 95; expected a share"):
        wilson(1, 2, 95)


def test_a_confusion_has_a_column_for_other_answers():
    labels, answers = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 3, 1, 1, 3])
    assert confusion(labels, answers, 3).tolist() == [[1, 1, 0, 1], [0, 2, 0, 0], [0, 0, 0, 1]]
    expected = confusion_matrix(labels, answers, labels=range(4))
    assert confusion(labels, answers, 3).tolist() == expected[:3].tolist()


def test_balanced_accuracy_leaves_out_classes_without_samples():
    counts = np.array([[9, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    assert balanced_accuracy(counts) == pytest.approx((0.9 + 0.5) / 2)
    labels, answers = [0] * 10 + [1] * 2, [0] * 9 + [1] + [0, 1]
    assert balanced_accuracy(counts) == pytest.approx(balanced_accuracy_score(labels, answers))
    assert math.isnan(balanced_accuracy(np.zeros((2, 3), int)))
    assert all(math.isnan(end) for end in balanced_interval(np.zeros((2, 3), int)))


def test_the_interval_of_a_balanced_accuracy_is_wilsons_where_classes_are_alike():
    alike = np.array([[40, 10, 0], [10, 40, 0]])
    assert balanced_interval(alike) == pytest.approx(wilson(80, 100))
    # All right: not of no width, though no recall varies.
    assert balanced_interval(np.array([[5, 0, 0], [0, 5, 0]])) == pytest.approx(wilson(10, 10))
    # A rare class makes it wider than its few samples would.
    rare = np.array([[990, 10, 0], [5, 5, 0]])
    low, high = balanced_interval(rare)
    assert low < 0.745 < high
    # z^2 = 3.8415: recalls (990 + 1.9207) / 1003.8415 = 0.98813 and (5 + 1.9207) / 13.8415 = 0.5, their mean 0.74406.
    # V = (0.98813 * 0.01187 / 1000 + 0.25 / 10) / 4 = 0.0062529; 0.74406 * 0.25594 / V = 30.455 samples.
    # Wilson's middle (0.745 + 0.06307) / 1.12614 = 0.71756, and 0.14843 to both sides.
    assert (low, high) == pytest.approx((0.56913, 0.86599), abs=2e-5)


@pytest.mark.parametrize("sizes", [(1,) * 60, (200, 10), (5, 5, 5, 5)], ids=["one-a-class", "unbalanced", "few"])
def test_intervals_of_balanced_accuracy_hold_the_truth_as_often_as_they_say(sizes):
    rng = np.random.default_rng(0)
    recalls = rng.uniform(0.6, 0.95, len(sizes))
    held = 0
    for _ in range(600):
        hits = rng.binomial(sizes, recalls)
        counts = np.zeros((len(sizes), len(sizes) + 1), int)
        counts[np.arange(len(sizes)), np.arange(len(sizes))] = hits
        counts[:, -1] = np.array(sizes) - hits
        low, high = balanced_interval(counts)
        held += low <= recalls.mean() <= high
    assert 0.92 < held / 600 <= 1.0


def test_a_paired_difference_is_worked_out_by_hand():
    # 100 samples: 70 both, 12 only the first, 3 only the second, 15 neither. Accuracies 0.82 and 0.73.
    # Wilson: 0.82 (0.7333, 0.8830) and 0.73 (0.6357, 0.8073).
    # phi: (70*15 - 12*3 - 50) / sqrt(82*18*73*27) = 964 / 1705.6 = 0.5652.
    # Down sqrt(0.0867^2 - 2*0.5652*0.0867*0.0773 + 0.0773^2) = 0.0769; up sqrt(0.0630^2 ... 0.0943^2) = 0.0781.
    difference, low, high = paired_difference(*rows(70, 12, 3, 15))
    assert difference == pytest.approx(0.09)
    assert (low, high) == pytest.approx((0.0131, 0.1681), abs=2e-3)
    back = paired_difference(*rows(70, 3, 12, 15))
    assert back == pytest.approx((-difference, -high, -low))


def test_a_paired_difference_of_equals_is_zero_with_a_width():
    difference, low, high = paired_difference(*rows(10, 0, 0, 0))
    assert difference == 0
    # Wilson's 10 of 10 begins at 0.7225: no correlation can be known, so the two widths are squared and added.
    assert (low, high) == pytest.approx((-0.2775, 0.2775), abs=1e-3)


def test_paired_intervals_hold_the_truth_as_often_as_they_say():
    rng, held = np.random.default_rng(1), 0
    for _ in range(600):
        drawn = rng.choice(4, 40, p=(0.6, 0.15, 0.05, 0.2))
        _, low, high = paired_difference(np.isin(drawn, (0, 1)), np.isin(drawn, (0, 2)))
        held += low <= 0.10 <= high
    assert 0.92 < held / 600 <= 1.0


def test_mcnemars_exact_test_is_the_binomial_test_of_the_discordant_samples():
    # 8 against 1: 2 * (1 + 9) / 2^9.
    assert mcnemar(8, 1) == mcnemar(1, 8) == pytest.approx(20 / 512)
    assert mcnemar(0, 5) == pytest.approx(2 / 32)
    assert mcnemar(0, 0) == mcnemar(4, 4) == 1.0
    for one, other in itertools.product(range(6), repeat=2):
        if one + other:
            assert mcnemar(one, other) == pytest.approx(binomtest(one, one + other).pvalue)
    assert mcnemar(4000, 3700) == pytest.approx(binomtest(4000, 7700).pvalue)


def test_holm_multiplies_step_by_step():
    # Sorted 0.01 0.03 0.04: times 3, 2, 1 = 0.03 0.06 0.04, and none below the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).shape == (0,)
