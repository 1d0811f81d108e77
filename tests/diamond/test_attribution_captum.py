"""Attribution beside captum 0.9, on the same weights and pictures; what captum gave lies in the fixture."""

import numpy as np
import pytest

import diamond as dc
from diamond.attribution.linear import contributions
from tests.diamond.captum_network import bends, read


@pytest.fixture(scope="module")
def kept():
    return read("captum.npz")


@pytest.fixture(scope="module")
def net(kept):
    return bends(kept)


def of(net, kept, layer, **question):
    return np.concatenate([part.values for part in contributions(net, kept["pictures"], layer, **question)])


def test_the_logits_are_the_same(net, kept):
    np.testing.assert_allclose(net.predict(kept["pictures"]).logits, kept["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", ["silu", "gelu", "relu"])
@pytest.mark.parametrize("target", [1, 3])
def test_gradient_times_activation_is_captums_behind_silu_gelu_and_relu(net, kept, layer, target):
    found = of(net, kept, layer, positive=target)
    assert found.shape == kept[f"{layer}:{target}"].shape
    assert np.abs(found).max() > 0.01
    np.testing.assert_allclose(found, kept[f"{layer}:{target}"], rtol=1e-5, atol=1e-6)


def test_a_class_against_another_is_the_difference_of_captums(net, kept):
    found = of(net, kept, "gelu", positive=1, negative=3)
    np.testing.assert_allclose(found, kept["gelu:1"] - kept["gelu:3"], rtol=1e-5, atol=2e-6)


def test_channel_scores_are_captums_summed_over_places(net, kept):
    found = dc.channel_attribution(net, kept["pictures"], "silu", positive=1)
    np.testing.assert_allclose(found.all_scores, kept["silu:1"].sum(axis=(1, 2)), rtol=1e-5, atol=1e-5)


def test_the_path_is_captums_integrated_gradient_of_what_follows(net, kept):
    found = of(net, kept, "silu", positive=1, method="path")
    np.testing.assert_allclose(found, kept["path:1"], rtol=1e-3, atol=1e-5)
