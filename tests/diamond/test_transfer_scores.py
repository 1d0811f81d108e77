"""Scores of features: probes as scikit-learn has them, bounds that hold, and nothing found where there is nothing."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from diamond.transfer.scores import (
    ALPHAS,
    Fold,
    effective_rank,
    folds,
    h_alpha,
    hits,
    knn,
    log_me,
    paired_error,
    probe,
    standard_error,
)


def features(n=200, d=12, classes=4, apart=1.0, seed=1):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    return rng.normal(size=(n, d)) + apart * rng.normal(size=(classes, d))[labels], labels


def test_a_probe_is_scikit_learns_own_cross_validation():
    values, labels = features()
    parts = folds(labels, n=5, seed=3)
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(ALPHAS, class_weight="balanced"))
    split = [(part.learned, part.asked) for part in parts]
    expected = cross_val_score(model, values, labels, cv=split, scoring="balanced_accuracy")
    np.testing.assert_allclose(probe(values, labels, parts), expected)
    assert probe(values, labels, parts).mean() > 0.8
    assert knn(values, labels, parts).mean() > 0.7


def test_each_row_is_asked_once_a_repeat_with_the_shares_of_the_classes():
    labels = np.repeat([0, 1], [80, 20])
    parts = folds(labels, n=5, repeats=3)
    assert len(parts) == 15
    for repeat in range(3):
        asked = np.concatenate([part.asked for part in parts[5 * repeat : 5 * repeat + 5]])
        assert sorted(asked.tolist()) == list(range(100))
    for part in parts:
        assert np.bincount(labels[part.asked]).tolist() == [16, 4]
        assert set(part.learned.tolist()).isdisjoint(part.asked.tolist())


def test_groups_are_never_on_both_sides():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    labels = np.repeat(rng.integers(0, 2, 20), 10)
    # Frames of one film are alike: whoever has seen one knows the label of the rest.
    values = rng.normal(size=(20, 8))[groups] + 0.01 * rng.normal(size=(200, 8))
    apart = folds(labels, n=5, groups=groups)
    for part in apart:
        assert set(groups[part.learned].tolist()).isdisjoint(groups[part.asked].tolist())
    assert knn(values, labels, folds(labels, n=5)).mean() > 0.99
    assert knn(values, labels, apart).mean() < 0.8


def test_few_samples_make_fewer_folds():
    labels = np.repeat([0, 1, 2], [30, 3, 1])
    parts = folds(labels, n=5)
    assert len(parts) == 3
    values = np.eye(3)[labels]
    assert np.isfinite(probe(values, labels, parts)).all()


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1], [0, 1, 1, 1], []])
def test_without_two_classes_of_two_nothing_can_be_said(labels):
    with pytest.raises(ValueError, match="expected two with two or more each"):
        folds(np.array(labels, int))


def test_the_standard_error_counts_what_folds_share():
    labels = np.repeat([0, 1], 50)
    parts = folds(labels, n=5)
    values = np.array([0.8, 0.9, 0.85, 0.95, 0.75])
    # Five folds of 20 that learn from 80: 1/5 + 20/80 in the place of 1/5.
    assert standard_error(values, parts) == pytest.approx(np.sqrt(0.45 * np.var(values, ddof=1)))


@pytest.mark.parametrize(
    ("n", "d", "classes", "apart", "seed", "expected"),
    # By the authors' own implementation (thuml/LogME at GitHub, its fixed point), on the same arrays.
    [
        (200, 12, 4, 1.0, 1, -0.26203559390275766),
        (500, 40, 5, 0.5, 2, -0.14947028120338382),
        (300, 20, 2, 0.2, 4, -0.9576798935399311),
    ],
)
def test_logme_is_that_of_its_authors(n, d, classes, apart, seed, expected):
    assert log_me(*features(n, d, classes, apart, seed)) == pytest.approx(expected, abs=1e-6)


def test_logme_with_more_features_than_rows_is_that_of_its_first_form():
    # Their first implementation, which stops at a change of 1 %; the later one leaves out a term here and gives 3.1.
    assert log_me(*features(60, 100, 3, 1.0, 3)) == pytest.approx(0.38378795, abs=1e-3)


@pytest.mark.parametrize("d", [3, 12, 300])
def test_h_alpha_lies_between_nothing_and_the_classes_less_one(d):
    for apart in (0.0, 1.0, 30.0):
        values, labels = features(d=d, apart=apart)
        assert 0 <= h_alpha(values, labels) <= 3
    assert h_alpha(*features(d=12, apart=30.0)) > 2.8
    assert h_alpha(*features(n=2000, d=3, apart=0.0)) < 0.05


def test_scores_fall_to_nothing_with_shuffled_labels():
    values, labels = features(apart=3.0)
    shuffled = np.random.default_rng(0).permutation(labels)
    assert h_alpha(values, labels) > 5 * h_alpha(values, shuffled)
    assert log_me(values, labels) > log_me(values, shuffled)
    assert abs(probe(values, shuffled, folds(shuffled, repeats=4)).mean() - 0.25) < 0.08


def test_effective_rank_counts_directions():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(50, 50)))[0][:, :5]
    values = (basis - basis.mean(axis=0)) @ np.linalg.qr(rng.normal(size=(8, 8)))[0][:5]
    assert effective_rank(values) == pytest.approx(5, abs=0.3)
    assert effective_rank(np.ones((10, 4))) == 0
    assert h_alpha(np.ones((10, 4)), np.arange(10) % 2) == 0


def test_log_me_has_an_end_where_features_fit_without_a_rest():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    for scale in (1.0, 1e3, 1e6):
        features = scale * (rng.normal(size=(40, 400)) + 5 * labels[:, None])
        assert np.isfinite(log_me(features, labels))


def test_hits_are_shares_of_the_times_a_row_was_asked():
    parts = [Fold(np.array([2, 3]), np.array([0, 1])), Fold(np.array([0, 1]), np.array([1, 2]))]
    found = hits(np.array([0, 1, 1, 0]), [np.array([0, 0]), np.array([1, 0])], parts)
    np.testing.assert_array_equal(found, [1.0, 0.5, 0.0, np.nan])


def test_the_error_of_a_difference_is_that_of_the_rows_that_differ():
    # One row of 10 and one of 30 are right in one alone: McNemar's variance, class by class.
    labels = np.repeat([0, 1], [10, 30])
    one, other = np.ones(40), np.ones(40)
    other[[0, 10]] = 0
    expected = np.sqrt((0.1 * 0.9 / 10 + (1 / 30) * (29 / 30) / 30) / 4 * 40 / 39)
    assert paired_error(one, other, labels) == pytest.approx(expected)
    assert paired_error(one, one, labels) == 0
    # Rows that come in pairs are half as many.
    doubled = paired_error(np.repeat(one, 2), np.repeat(other, 2), np.repeat(labels, 2), np.repeat(np.arange(40), 2))
    assert doubled == pytest.approx(expected)
    # What was never asked says nothing.
    assert paired_error(np.append(one, np.nan), np.append(other, 1.0), np.append(labels, 1)) == pytest.approx(expected)


def test_the_error_of_a_difference_is_what_the_difference_varies_by():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    drawn = []
    for _ in range(400):
        shared = rng.random(120)
        one, other = shared < 0.9, np.where(rng.random(120) < 0.1, rng.random(120) < 0.5, shared < 0.9)
        apart = np.mean([one[labels == c].mean() - other[labels == c].mean() for c in range(3)])
        drawn.append([apart, paired_error(one.astype(float), other.astype(float), labels)])
    found = np.array(drawn)
    assert np.sqrt(np.mean(found[:, 1] ** 2)) == pytest.approx(found[:, 0].std(), rel=0.1)
