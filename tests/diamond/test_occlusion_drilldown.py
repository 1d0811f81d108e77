"""Drilldown: maps that sharpen, the exact one at the end, and an estimate of the error that holds."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import diamond as dc
from diamond.occlusion.averaged import averaged
from diamond.occlusion.drilldown import made_up, sharpened
from diamond.occlusion.windows import grid
from tests import tiny

WINDOWS = grid((120, 96), 16, 4)
SHAPE = (27, 21)


def scores(seed):
    """Smooth scores with two peaks and some roughness, as those of photos are; and a second column of half of them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(SHAPE)
    found = gaussian_filter(rng.normal(size=SHAPE), 1.5)
    for sign in (1, -1):
        y, x = rng.uniform(3, 18, 2)
        found += sign * 3 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18)
    return np.stack([found.ravel(), found.ravel() / 2], axis=1)


def stages(exact, **options):
    asked = []

    def measure(rows):
        asked.extend(rows.tolist())
        return exact[rows]

    found = list(sharpened(measure, WINDOWS, batch=16, **options))
    assert len(asked) == len(set(asked)), "no window is measured twice"
    assert len(asked) == found[-1].measured.sum()
    return found


def off(stage, exact):
    difference = averaged(WINDOWS, stage.values)[0] - averaged(WINDOWS, exact)[0]
    return np.sqrt((difference**2).mean(axis=(1, 2)))


def test_what_lies_between_is_made_up_by_halves():
    values = np.zeros((25, 1))
    measured = np.zeros(25, bool)
    for place, value in ((0, 0), (4, 4), (20, 8), (24, 12), (12, 10)):
        values[place], measured[place] = value, True
    found = made_up(values, measured, (5, 5), 4).reshape(5, 5)
    # The middle was measured as 10, where its neighbours alone would make 6.
    assert found[0].tolist() == [0, 1, 2, 3, 4]
    assert found[2].tolist() == [4, 7, 10, 9, 8]
    assert found[1].tolist() == [2, 4, 6, 6, 6]


@pytest.mark.parametrize("seed", range(4))
def test_maps_sharpen_and_the_last_is_exact(seed):
    exact = scores(seed)
    found = stages(exact, share=1.0)
    errors = [off(stage, exact)[0] for stage in found]
    shares = [stage.measured.mean() for stage in found]
    assert shares[0] < 0.12
    assert shares == sorted(shares)
    # A fifth of the windows halve the error of the first map.
    assert min(e for e, share in zip(errors, shares, strict=True) if share < 0.25) < 0.5 * errors[0]
    assert errors[-1] == pytest.approx(0, abs=1e-9)
    assert found[-1].errors.tolist() == [0, 0]
    assert (found[-1].values == exact).all()


def test_the_estimate_is_mostly_on_the_safe_side_of_the_error():
    ratios = []
    for seed in range(6):
        exact = scores(seed)
        for stage in stages(exact, share=0.5):
            ratios.append(stage.errors[0] / off(stage, exact)[0])
            assert stage.errors[1] == pytest.approx(stage.errors[0] / 2)
    # It is made from a dozen windows at first, and of windows: the map's error is smaller.
    assert 1 < np.median(ratios) < 4
    assert np.mean(np.array(ratios) > 1) > 0.7
    assert min(ratios) > 0.4
    assert max(ratios) < 12


def test_more_windows_are_measured_where_it_matters():
    rows, columns = np.indices(SHAPE)
    # A small bump in an otherwise even picture.
    bump = np.exp(-((rows - 12) ** 2 + (columns - 8) ** 2) / 8).ravel()[:, None]
    [*_, last] = stages(bump, share=0.3)
    near = (np.hypot(rows - 12, columns - 8) < 5).ravel()
    assert last.measured[near].mean() > 1.3 * last.measured[~near].mean()


def test_a_share_is_kept_and_a_small_error_stops():
    exact = scores(1)
    [*_, last] = stages(exact, share=0.3)
    assert last.measured.mean() == pytest.approx(0.3, abs=0.01)
    [*_, last] = stages(exact)
    assert not last.measured.all()
    assert (last.errors <= 0.1 * np.ptp(exact, axis=0) * 1.1).all()


def test_the_same_seed_measures_the_same_windows():
    first, again, other = (stages(scores(0), share=0.3, seed=seed)[-1].measured for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


def test_a_stream_of_a_picture_ends_in_the_full_map():
    net = dc.load(tiny.nested(), input=(0, 1))
    picture = np.random.default_rng(0).random((16, 12, 3), dtype=np.float32)
    asked = {"window": 3, "stride": 1, "target": [0, 2], "fill": 0.0}
    found = list(dc.occlude(net, picture, method="drilldown", stream=True, batch=16, **asked))
    assert len(found) > 2
    assert 0 < found[0].measured.sum() < len(found[0].scores)
    assert (found[0].errors > 0).all()
    assert "estimated error of the map" in " ".join(found[0].facts)
    full = dc.occlude(net, picture, method="full", **asked)
    np.testing.assert_allclose(found[-1].heatmaps, full.heatmaps, atol=1e-5)
    np.testing.assert_allclose(found[0].scores[found[0].measured], full.scores[found[0].measured], atol=1e-5)
    assert found[-1].errors.tolist() == [0, 0]
