"""Occlusion beside captum 0.9, on the same weights and picture; what captum gave lies in the fixture."""

import numpy as np
import pytest

import diamond as dc
from tests.diamond.captum_network import bends, read

SETTINGS = 11


@pytest.fixture(scope="module")
def kept():
    return read("captum_occlusion.npz")


@pytest.fixture(scope="module")
def net(kept):
    return bends(kept)


def of(net, kept, setting, **options):
    high, wide, down, across, target, fill = (int(n) for n in kept["setting"][setting])
    asked = {
        "target": target,
        "window": (high, wide),
        "stride": (down, across),
        "fill": kept[f"fill:{fill}"],
        **options,
    }
    return dc.occlude(net, kept["picture"], **asked)


def test_the_logits_are_the_same(net, kept):
    found = dc.occlude(net, kept["picture"], target=[0, 1, 2, 3, 4], window=(14, 10), method="full")
    np.testing.assert_allclose(found.logits, kept["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["full", "incremental"])
@pytest.mark.parametrize("setting", range(SETTINGS))
def test_the_map_is_captums(net, kept, setting, method):
    assert len(kept["setting"]) == SETTINGS
    wanted = kept[f"map:{setting}"]
    assert np.abs(wanted).max() > 0.05
    found = of(net, kept, setting, method=method)
    np.testing.assert_allclose(found.heatmap, wanted, rtol=1e-5, atol=1e-5)


def test_a_mean_fill_and_a_number_are_what_captum_was_given(net, kept):
    means, halves = (np.flatnonzero(kept["setting"][:, 5] == fill)[0] for fill in (3, 1))
    np.testing.assert_allclose(of(net, kept, means, fill="mean").heatmap, kept[f"map:{means}"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of(net, kept, halves, fill=0.5).heatmap, kept[f"map:{halves}"], rtol=1e-5, atol=1e-5)
