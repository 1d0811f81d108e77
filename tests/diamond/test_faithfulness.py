"""Removal, computed by hand on small networks, and held to the estimate where the rest is linear."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.attribution.ablated import rank_correlation
from tests import tiny


def random_pictures(n=5, size=(8, 6)):
    return np.random.default_rng(7).random((n, *size, 3), dtype=np.float32)


def saturating():
    """2 x 3 picture; red and green channels; the score is min(red + green, 1) at the first pixel's place, summed."""
    image = keras.Input((2, 3, 3), name="image")
    x = layers.Conv2D(2, 1, name="colours", use_bias=False)(image)
    x = layers.Conv2D(1, 1, name="both", use_bias=False)(x)
    x = layers.ReLU(max_value=1.0, name="cap")(x)
    logits = layers.Dense(2, name="logits", use_bias=False)(layers.Flatten()(x))
    model = keras.Model(image, logits, name="saturating")
    one_hot = np.zeros((6, 2), np.float32)
    one_hot[0, 0] = 1.0
    values = {"colours/kernel": np.eye(3)[:, :2], "both/kernel": 1.0, "logits/kernel": one_hot}
    return dc.load(tiny.constant(model, values), input=(0, 1))


def first_pixel(red, green):
    picture = np.zeros((2, 3, 3), np.float32)
    picture[0, 0] = (red, green, 0)
    return picture


def test_where_the_rest_is_linear_truth_is_the_estimate_by_hand():
    # `sum` gives 2 at 16 places; without it the logit falls from 4 to 0.
    net = dc.load(tiny.one_filter(), input=(0, 1))
    found = dc.ablate(net, np.ones((1, 4, 4, 3), np.float32), "sum")
    assert found.units.tolist() == [0]
    assert found.estimates.tolist() == [4.0]
    assert found.truths.tolist() == [4.0]
    assert found.logits.tolist() == [4.0]
    assert found.trust is None
    against = dc.ablate(net, np.ones((1, 4, 4, 3), np.float32), "sum", positive=0, negative=1)
    assert against.truths.tolist() == [6.0]


def test_where_it_is_not_linear_truth_and_estimate_part_by_hand():
    """Red .6 and green .3 add up to .9 below the cap: both count. At 1 and .5 they are above it: the gradient is 0."""
    net = saturating()
    below = dc.ablate(net, first_pixel(0.6, 0.3), "colours", positive=0)
    np.testing.assert_allclose(below.estimates, [0.6, 0.3], atol=1e-6)
    np.testing.assert_allclose(below.truths, [0.6, 0.3], atol=1e-6)
    above = dc.ablate(net, first_pixel(1.0, 0.5), "colours", positive=0, channels=[0, 1])
    assert above.estimates.tolist() == [0.0, 0.0]
    # Without red .5 is left of a score of 1; without green red alone still fills the cap.
    np.testing.assert_allclose(above.truths, [0.5, 0.0], atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 17])
@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_on_a_linear_tail_every_unit_of_every_picture_agrees(n, fill):
    net, pictures = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures(n)
    for asked in ({}, {"cells": "top"}, {"groups": dc.groups(net, pictures, "features", k=2)}):
        found = dc.ablate(net, pictures, "features", positive=1, negative=2, fill=fill, **asked)
        np.testing.assert_allclose(found.per_image_truths, found.per_image_estimates, atol=2e-6)
        # Without what one picture has on average everywhere, the mean over its places stays what it was.
        assert np.abs(found.per_image_truths).max() > 1e-3 or (n == 1 and fill == "mean" and "cells" not in asked)


def test_channels_of_a_linear_tail_are_those_of_channel_attribution_and_fully_trusted():
    net, pictures = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures(3)
    found = dc.ablate(net, pictures, "features", positive=0)
    channels = dc.channel_attribution(net, pictures, "features", positive=0, top=5)
    assert found.units.tolist() == channels.channels.tolist()
    np.testing.assert_allclose(found.truths, channels.all_scores.mean(axis=0)[found.units], rtol=1e-4, atol=1e-6)
    assert found.trust == pytest.approx(1.0)
    assert found.same_sign == 5
    assert "nearly in their true order" in found.verdict


def test_a_planted_cell_is_the_one_that_matters():
    net = saturating()
    found = dc.ablate(net, first_pixel(0.5, 0.0), "colours", positive=0, cells=[(0, 0), (1, 2)])
    assert found.units.tolist() == [[0, 0], [1, 2]]
    np.testing.assert_allclose(found.truths, [0.5, 0.0], atol=1e-6)
    assert found.labels == ("0, 0", "1, 2")
    top = dc.ablate(net, first_pixel(0.5, 0.0), "colours", positive=0, cells="top", top=1)
    assert top.units.tolist() == [[0, 0]]


def test_ways_around_the_layer_see_the_same_picture():
    """Logit = mean(2 x) + mean(x) of the picture: without the doubled way the other still stands."""
    image = keras.Input((2, 3, 3), name="image")
    doubled = layers.Conv2D(3, 1, name="doubled", use_bias=False)(image)
    x = layers.GlobalAveragePooling2D(name="mean")(layers.Add(name="add")([doubled, image]))
    model = tiny.constant(keras.Model(image, x, name="around"), {"doubled/kernel": 2 * np.eye(3)[None, None]})
    net = dc.load(model, input=(0, 1))
    pictures = np.stack([np.full((2, 3, 3), value, np.float32) for value in (0.25, 1.0)])
    found = dc.ablate(net, pictures, "doubled", positive=0, channels=[0])
    assert found.logits.tolist() == [0.75, 3.0]
    assert found.per_image_truths.tolist() == [[0.5], [2.0]]


def test_many_ablations_run_through_one_compilation():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    for n in (1, 3, 7):
        dc.ablate(net, random_pictures(n), "conv")
    assert net.compiled(("logits from", "image", "conv"), None).experimental_get_tracing_count() == 1


def two_inputs():
    """Logits: mean red plus, and mean green times, the age that is given."""
    image, age = keras.Input((2, 3, 3), name="image"), keras.Input((1,), name="age")
    colours = layers.Conv2D(2, 1, name="colours", use_bias=False)(image)
    mean = layers.GlobalAveragePooling2D(name="mean")(colours)
    x = layers.Dense(2, name="logits", use_bias=False)(layers.Multiply(name="times")([mean, age]))
    model = keras.Model([image, age], x, name="two_inputs")
    return dc.load(tiny.constant(model, {"colours/kernel": np.eye(3)[:, :2], "logits/kernel": np.eye(2)}), input=(0, 1))


def test_values_of_another_input_are_given():
    net, white = two_inputs(), np.ones((2, 2, 3, 3), np.float32)
    ages = {"age": np.array([[2.0], [5.0]])}
    found = dc.ablate(net, white, "colours", positive=0, channels=[0], given=ages)
    np.testing.assert_allclose(found.per_image_truths, [[2.0], [5.0]], rtol=1e-6)
    np.testing.assert_allclose(found.per_image_estimates, [[2.0], [5.0]], rtol=1e-6)
    assert dc.groups(net, white, "colours", k=1, positive=1, given=ages).per_image[:, 0] == pytest.approx([2.0, 5.0])
    carried = dc.flow(net, white[0], ["colours", "mean"], positive=0, given={"age": [[3.0]]})
    np.testing.assert_allclose(carried.links[0], [[3.0, 0.0], [0.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(dc.describe(net, white, "colours", [0], given=ages).pushes, [[1.75, -1.75]])
    with pytest.raises(ValueError, match="has 2 inputs"):
        dc.ablate(net, white, "colours")


def test_all_others_may_be_held_against_a_class():
    net, pictures = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures(2)
    found = dc.ablate(net, pictures, "features", positive=1, negative="others")
    logits = net.predict(pictures).logits
    np.testing.assert_allclose(
        found.logits, logits[:, 1] - np.log(np.exp(np.delete(logits, 1, axis=1)).sum(axis=1)), rtol=1e-5
    )
    assert found.question == "1 against all others"
    # Log odds bend: truth is near the estimate and not the same.
    np.testing.assert_allclose(found.truths, found.estimates, atol=0.02)
    assert dc.flow(net, pictures[0], ["features"], negative="others").question.endswith("against all others")


def test_a_nested_layer_and_a_layer_without_space():
    net = dc.load(tiny.nested(), input=(0, 1))
    pictures = random_pictures(2, (16, 12))
    assert np.abs(dc.ablate(net, pictures, "backbone/block/conv").truths).max() > 0
    dense = dc.ablate(net, pictures, "mean", positive=0)
    np.testing.assert_allclose(dense.truths, dense.estimates, atol=1e-6)
    with pytest.raises(ValueError, match="no height and width to have cells"):
        dc.ablate(net, pictures, "mean", cells="top")


def test_rank_correlation_by_hand():
    up = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(up, np.array([1.0, 10.0, 100.0, 1000.0])) == pytest.approx(1.0)
    # Squared rank differences 0, 1, 1, 0: 1 - 6 * 2 / (4 * 15).
    assert rank_correlation(up, np.array([1.0, 3.0, 2.0, 4.0])) == pytest.approx(0.8)
    assert rank_correlation(up[:2], up[:2]) is None
    assert rank_correlation(up, np.ones(4)) is None


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"layer": "featurs"}, KeyError, "did you mean 'features'"),
        ({"layer": "answer"}, ValueError, "no gradient reaches 'answer'"),
        ({"channels": [5]}, ValueError, "no channel 5 in 'features'; it has 0 to 4"),
        ({"channels": []}, ValueError, "no channels were given"),
        ({"cells": [(8, 0)]}, ValueError, "rows run from 0 to 7, columns from 0 to 5"),
        ({"cells": "all"}, ValueError, "or 'top'"),
        ({"cells": "top", "channels": [1]}, ValueError, "channels and cells were given; expected one"),
        ({"fill": "noise"}, ValueError, "expected 'zero' or 'mean'"),
        ({"top": 0}, ValueError, "expected 1 or more"),
        ({"images": []}, ValueError, "picture|image"),
    ],
)
def test_bad_input_is_named(asked, error, words):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    given = {"images": random_pictures(1), "layer": "features", **asked}
    with pytest.raises(error, match=words):
        dc.ablate(net, given.pop("images"), given.pop("layer"), **given)


def test_groups_of_other_pictures_are_refused():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    found = dc.groups(net, random_pictures(2), "features", k=2)
    with pytest.raises(ValueError, match="make them with the same pictures and layer"):
        dc.ablate(net, random_pictures(3), "features", groups=found)


def test_results_draw_themselves_save_and_escape(tmp_path):
    net, pictures = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures(2)
    found = dc.ablate(net, pictures, "features")
    assert list(found.to_dataframe().columns) == ["channel", "estimate", "truth"]
    cells = dc.ablate(net, pictures, "features", cells="top")
    assert list(cells.to_dataframe().columns) == ["row", "column", "estimate", "truth"]
    for result in (found, cells):
        for suffix in (".html", ".png", ".csv", ".npz"):
            assert result.save(tmp_path / f"x{suffix}").stat().st_size > 100
    nasty = dataclasses.replace(found, images=("<script>a", "b"), positive=("<script>'\"", "c"), layer="<script>")
    assert "<script>" not in nasty._repr_html_()
    again = dc.ablate(net, pictures, "features")
    assert again._page() == found._page()
