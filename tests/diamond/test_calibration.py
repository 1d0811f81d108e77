"""Calibration by hand, and against scikit-learn."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from diamond.transfer.calibration import brier_score, negative_log_likelihood, reliability


def test_the_expected_calibration_error_by_hand():
    # Two bins. 0.4 and 0.2, one right: sure 0.3, right 0.5. 0.9, 0.8 and 1.0, two right: sure 0.9, right 0.6667.
    found = reliability(np.array([0.4, 0.2, 0.9, 0.8, 1.0]), np.array([1, 0, 1, 1, 0]), bins=2)
    assert found.edges.tolist() == [0, 0.5, 1]
    assert found.counts.tolist() == [2, 3]
    assert found.confidences == pytest.approx([0.3, 0.9])
    assert found.shares == pytest.approx([0.5, 2 / 3])
    assert found.error == pytest.approx(2 / 5 * 0.2 + 3 / 5 * (0.9 - 2 / 3))


def test_a_bin_holds_its_upper_edge_and_an_empty_one_is_no_number():
    found = reliability(np.array([0.0, 0.5, 1.0]), np.array([0, 1, 1]), bins=4)
    assert found.counts.tolist() == [1, 1, 0, 1]
    assert np.isnan(found.shares[2])
    assert found.error == pytest.approx(0.5 / 3)


def test_bins_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    sure = rng.random(500)
    right = rng.random(500) < sure**2
    found = reliability(sure, right, bins=10)
    shares, confidences = calibration_curve(right, sure, n_bins=10)
    assert found.shares == pytest.approx(shares)
    assert found.confidences == pytest.approx(confidences)
    assert found.counts.sum() == 500


@pytest.mark.parametrize(
    ("sure", "right", "bins", "told"),
    [
        ([0.5], [1, 0], 5, r"\(1,\) confidences and \(2,\) answers"),
        ([], [], 5, "expected one of both for each sample"),
        ([0.5], [1], 0, "bins is 0; expected 1 or more"),
    ],
    ids=["numbers", "none", "bins"],
)
def test_what_cannot_be_sorted_is_told(sure, right, bins, told):
    with pytest.raises(ValueError, match=told):
        reliability(np.array(sure, float), np.array(right, bool), bins)


def test_brier_score_and_log_loss_by_hand_and_by_scikit_learn():
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])
    labels = np.array([0, 2, 0])
    true, squares = shares[np.arange(3), labels], (shares**2).sum(axis=1)
    # 0.09 + 0.04 + 0.01; 0.01 + 0.01 + 0.04; 0.49 + 0.16 + 0.09.
    assert brier_score(true, squares) == pytest.approx((0.14 + 0.06 + 0.74) / 3)
    assert negative_log_likelihood(true) == pytest.approx(-(np.log(0.7) + np.log(0.8) + np.log(0.3)) / 3)
    assert brier_score(true, squares) == pytest.approx(
        brier_score_loss(labels, shares, labels=[0, 1, 2], scale_by_half=False)
    )
    assert negative_log_likelihood(true) == pytest.approx(log_loss(labels, shares, labels=[0, 1, 2]))
    assert negative_log_likelihood(np.array([0.0])) == pytest.approx(690.8, abs=0.1)
