"""Groups: planted ones are found, and what they owe the class adds up."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.attribution.groups import factorise
from diamond.show.tints import TINTS, colour_of, strongest, tint
from tests import tiny


def random_pictures(n=3, size=(8, 6)):
    return np.random.default_rng(7).random((n, *size, 3), dtype=np.float32)


def planted():
    """Two things: channels 0 and 1 by 3 to 4 where it is red, channel 2 where it is blue; red counts 2, blue -1."""
    image = keras.Input((4, 6, 3), name="image")
    x = layers.Conv2D(3, 1, name="parts", activation="relu", use_bias=False)(image)
    x = layers.Dense(2, name="logits", use_bias=False)(layers.GlobalAveragePooling2D(name="mean")(x))
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 0] = (3, 4, 0)
    kernel[0, 0, 2] = (0, 0, 5)
    weights = np.array([[2, 0], [0, 0], [-1, 0]], np.float32)
    model = keras.Model(image, x, name="planted")
    return dc.load(tiny.constant(model, {"parts/kernel": kernel, "logits/kernel": weights}), input=(0, 1))


def red_and_blue():
    """Two pictures: red at one place and blue at two in the first, red at three in the second."""
    pictures = np.zeros((2, 4, 6, 3), np.float32)
    pictures[0, 0, 5, 0] = 1
    pictures[0, 2, 0:2, 2] = 1
    pictures[1, 3, 2:5, 0] = 1
    return pictures


def test_planted_groups_are_found_with_their_effects():
    found = dc.groups(planted(), red_and_blue(), "parts", k=2, positive=0)
    # A red place is 3 and 4 in two channels: a vector of length 5 along (.6, .8).
    np.testing.assert_allclose(found.factors, [[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], atol=1e-3)
    assert np.argwhere(found.maps[0, ..., 0] > 1).tolist() == [[0, 5]]
    assert np.argwhere(found.maps[1, ..., 0] > 1).tolist() == [[3, 2], [3, 3], [3, 4]]
    assert np.argwhere(found.maps[0, ..., 1] > 1).tolist() == [[2, 0], [2, 1]]
    np.testing.assert_allclose(found.maps.max(axis=(0, 1, 2)), [5.0, 5.0], atol=1e-2)
    # A red place gives 3 x 2 / 24 logits, a blue one 5 x -1 / 24.
    np.testing.assert_allclose(found.per_image, [[6 / 24, -10 / 24], [18 / 24, 0]], atol=1e-3)
    np.testing.assert_allclose(found.effects, [0.5, -5 / 24], atol=1e-3)
    np.testing.assert_allclose(found.totals, [-4 / 24, 18 / 24], atol=1e-6)
    assert found.explained == pytest.approx(1.0, abs=1e-3)
    assert found.clipped == 0
    assert found.top_channels(0) == (1, 0)
    assert found.top_channels(1)[0] == 2


@pytest.mark.parametrize("n", [1, 5, 17])
def test_the_same_seed_gives_the_same_groups_ordered_by_effect(n):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    first, second = (dc.groups(net, random_pictures(n), "features", k=3, seed=4) for _ in range(2))
    assert np.array_equal(first.maps, second.maps)
    assert first._page() == second._page()
    assert (np.diff(first.effects) <= 0).all()
    assert min(first.maps.min(), first.factors.min()) >= 0
    np.testing.assert_allclose(np.linalg.norm(first.factors, axis=1), 1, rtol=1e-5)
    assert first.maps.shape == (n, 8, 6, 3)


def test_as_many_groups_as_channels_carry_everything():
    net, pictures = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures()
    found = dc.groups(net, pictures, "features", k=5, positive=2)
    assert found.explained > 0.99
    np.testing.assert_allclose(found.per_image.sum(axis=1), found.totals, atol=0.02)


def test_what_lies_below_zero_is_told():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    values = net.activations(random_pictures(), "conv")
    found = dc.groups(net, random_pictures(), "conv", k=2)
    assert found.clipped == pytest.approx(float(-values[values < 0].sum() / np.abs(values).sum()), rel=1e-4)
    assert "lie below zero" in found.summary
    assert "below zero" not in dc.groups(net, random_pictures(), "features", k=2).summary


def test_many_places_are_factorised_from_some(monkeypatch):
    monkeypatch.setattr("diamond.attribution.groups.MOST_PLACES", 60)
    rng = np.random.default_rng(0)
    truth = rng.random((4, 8, 6, 2)) @ rng.random((2, 9))
    found = factorise(truth, 2)
    assert found.maps.shape == (4, 8, 6, 2)
    assert found.explained > 0.99


def test_shares_of_a_value_add_up_to_one_where_any_group_is():
    found = factorise(random_pictures(2), 2)
    reached = found.maps @ found.factors > 1e-6
    assert reached.mean() > 0.9
    np.testing.assert_allclose(found.shares().sum(axis=-1)[reached], 1, rtol=1e-5)


def test_a_nested_layer():
    net = dc.load(tiny.nested(), input=(0, 1))
    found = dc.groups(net, random_pictures(2, (16, 12)), "backbone/block/conv", k=2)
    assert found.maps.shape == (2, 16, 12, 2)


def test_a_picture_of_each_group_is_rendered_when_asked():
    net = dc.load(tiny.nested(), input=(0, 1))
    recipe = dc.Recipe("quick", size_px=16, steps=2)
    asked = {"k": 2, "sprites": True, "recipe": recipe}
    found = dc.groups(net, random_pictures(2, (16, 12)), "backbone/block/conv", **asked)
    assert found.rendered.shape == (2, 16, 16, 3)
    assert dc.groups(net, random_pictures(2, (16, 12)), "backbone/block/conv", k=2).rendered is None


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"layer": "featurs"}, KeyError, "did you mean 'features'"),
        ({"layer": "pool"}, ValueError, "no height and width to have groups in"),
        ({"k": 6}, ValueError, "k is 6; 'features' has 5 channels at 48 places, so there are 1 to 5 groups"),
        ({"k": 0}, ValueError, "k is 0"),
        ({"images": []}, ValueError, "picture|image"),
    ],
)
def test_bad_input_is_named(asked, error, words):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    given = {"images": random_pictures(1), "layer": "features", **asked}
    with pytest.raises(error, match=words):
        dc.groups(net, given.pop("images"), given.pop("layer"), **given)


def test_a_layer_that_is_silent_is_refused():
    with pytest.raises(ValueError, match="no channel of 'parts' is above zero in these pictures"):
        dc.groups(planted(), np.zeros((1, 4, 6, 3), np.float32), "parts", k=1)


def test_colours_are_apart_and_strength_is_opacity():
    assert len(set(TINTS)) == len(TINTS) == 7
    assert colour_of(7) == colour_of(0)
    coloured = tint(np.array([[0.0, 2.0]]), 1)
    assert coloured[0, 0, 3] == 0
    assert tuple(coloured[0, 1]) == (*TINTS[1], 217)
    # The second is stronger in units of its own largest.
    assert tuple(strongest(np.array([[[1.0, 0.9]]]), np.array([4.0, 1.0]))[0, 0, :3]) == TINTS[1]


def test_results_draw_themselves_save_and_escape(tmp_path):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    found = dc.groups(net, random_pictures(2), "features", k=3)
    assert list(found.to_dataframe().columns) == ["group", "effect", "channels", "picture 0", "picture 1"]
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"x{suffix}").stat().st_size > 100
    nasty = "<script>'\""
    page = dataclasses.replace(found, images=(nasty, "b"), positive=(nasty, "c"), layer=nasty)._repr_html_()
    assert "<script>'" not in page
