"""Flow, computed by hand on small networks, and held to what has to add up."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.show.layouts import lay_out_flow
from tests import tiny
from tests.diamond.test_pages import opened


def random_pictures(n=1, size=(8, 6)):
    return np.random.default_rng(7).random((n, *size, 3), dtype=np.float32)


def two_layers():
    """2 x 3 picture; ``first`` red and green; ``second`` red + 2 green, and red - green; logit 0 = mean of both."""
    image = keras.Input((2, 3, 3), name="image")
    first = layers.Conv2D(2, 1, name="first", use_bias=False)(image)
    second = layers.Conv2D(2, 1, name="second", use_bias=False)(first)
    x = layers.Dense(2, name="logits", use_bias=False)(layers.GlobalAveragePooling2D(name="mean")(second))
    weights = {
        "first/kernel": np.eye(3)[:, :2],
        "second/kernel": [[1.0, 1.0], [2.0, -1.0]],
        "logits/kernel": [[1.0, 0.0], [3.0, 0.0]],
    }
    return dc.load(tiny.constant(keras.Model(image, x, name="two_layers"), weights), input=(0, 1))


def orange():
    """Red 1 and green .5 everywhere: first 1, .5; second 2, .5; logit 0 = 2 + 3 x .5 = 3.5."""
    return np.broadcast_to(np.array([1.0, 0.5, 0.0], np.float32), (2, 3, 3)).copy()


def test_links_computed_by_hand():
    found = dc.flow(two_layers(), orange(), ["first", "second"], positive=0)
    assert found.logit == pytest.approx(3.5)
    # Of the second layer: channel 0 gives 2, channel 1 gives 1.5. Of the first: red 1 + 3, green (2 - 3) x .5.
    assert found.units == (((0,), (1,)), ((0,), (1,)))
    np.testing.assert_allclose(found.effects[0], [4.0, -0.5], atol=1e-6)
    np.testing.assert_allclose(found.effects[1], [2.0, 1.5], atol=1e-6)
    np.testing.assert_allclose(found.links[0], [[1.0, 3.0], [1.0, -1.5]], atol=1e-6)
    np.testing.assert_allclose(found.totals, [3.5, 3.5], atol=1e-6)


@pytest.mark.parametrize("by", ["channels", "groups"])
def test_links_of_all_units_add_up_to_contributions(by):
    """Where all ways lead through both layers, what leaves a unit is its contribution."""
    net = dc.load(tiny.nested(), input=(0, 1))
    names = ["backbone/block/conv", "backbone/wide"]
    found = dc.flow(net, random_pictures(size=(16, 12)), names, top=6, positive=1)
    np.testing.assert_allclose(found.links[0].sum(axis=1), found.effects[0], rtol=1e-4, atol=1e-6)
    if by == "groups":
        relu = dc.load(tiny.linear_tail(), input=(0, 1))
        grouped = dc.flow(relu, random_pictures(), ["features"], by="groups", k=3, positive=1)
        np.testing.assert_allclose(grouped.effects[0].sum(), grouped.totals[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(grouped.maps[0].sum(axis=(0, 1)), grouped.effects[0], rtol=1e-4, atol=1e-6)


def test_groups_carry_to_groups_all_that_is_carried():
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 6, 3), name="image")
    one = layers.Conv2D(4, 3, activation="relu", padding="same", name="one", bias_initializer="ones")(image)
    two = layers.Conv2D(5, 3, activation="relu", padding="same", name="two", bias_initializer="ones")(one)
    model = keras.Model(image, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(two)), name="relus")
    net = dc.load(model, input=(0, 1))
    channels = dc.flow(net, random_pictures(), ["one", "two"], top=5, positive=0)
    grouped = dc.flow(net, random_pictures(), ["one", "two"], by="groups", k=3, positive=0)
    assert grouped.links[0].shape == (3, 3)
    np.testing.assert_allclose(grouped.links[0].sum(), channels.links[0].sum(), rtol=1e-3)
    np.testing.assert_allclose(grouped.links[0].sum(axis=1), grouped.effects[0], rtol=1e-3, atol=1e-4)


def test_the_channels_that_count_most_either_way_are_kept():
    found = dc.flow(two_layers(), orange(), ["first"], positive=0, top=1)
    assert found.units == (((0,),),)
    against = dc.flow(two_layers(), orange(), ["second", "first"], positive=1, negative=0, top=2)
    assert against.layers == ("first", "second")
    np.testing.assert_allclose(np.sort(against.effects[1]), [-2.0, -1.5], atol=1e-6)
    assert against.question == "1 against 0"


def test_the_table_ends_at_the_class():
    table = dc.flow(two_layers(), orange(), ["first", "second"], positive=0).to_dataframe()
    assert len(table) == 4 + 2
    assert table.iloc[-1].tolist()[:4] == ["second", "1", "class", "0"]
    assert table.iloc[-1]["weight"] == pytest.approx(1.5)


def test_links_are_laid_out_as_wide_as_they_weigh():
    layout = lay_out_flow([np.array([3.0, -1.0])], [])
    wide, narrow = layout.links
    assert (wide.weight, narrow.weight) == (3.0, -1.0)
    assert wide.width == pytest.approx(3 * narrow.width)
    assert wide.width + narrow.width == pytest.approx(layout.tile)
    # Side by side where they arrive, neither above the other's half.
    assert narrow.points[3][1] - wide.points[3][1] == pytest.approx((wide.width + narrow.width) / 2)
    assert lay_out_flow([np.zeros(2)], []).links[0].width > 0


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"layers": ["featurs"]}, KeyError, "did you mean 'features'"),
        ({"layers": ["conv", "answer"]}, ValueError, "no gradient reaches 'answer'"),
        ({"layers": []}, ValueError, "no layers were given"),
        ({"layers": ["conv", "conv"]}, ValueError, "'conv' was given twice"),
        ({"image": random_pictures(2)}, ValueError, "2 pictures were given; a flow is of one"),
        ({"top": 0}, ValueError, "expected 1 or more"),
        ({"by": "cells"}, ValueError, "expected 'channels' or 'groups'"),
        ({"by": "groups", "k": 6}, ValueError, "there are 1 to 5 groups|there are 1 to"),
        ({"by": "groups", "layers": ["pool"]}, ValueError, "no height and width to have groups in"),
    ],
)
def test_bad_input_is_named(asked, error, words):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    given = {"image": random_pictures(), "layers": ["conv", "features"], **asked}
    with pytest.raises(error, match=words):
        dc.flow(net, given.pop("image"), given.pop("layers"), **given)


def test_layers_that_are_not_on_one_way_are_refused():
    image = keras.Input((4, 6, 3), name="image")
    left, right = (layers.Conv2D(2, 1, name=name)(image) for name in ("left", "right"))
    x = layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(layers.Add()([left, right])))
    net = dc.load(keras.Model(image, x, name="beside"), input=(0, 1))
    with pytest.raises(ValueError, match="'left' is not on the way to 'right'"):
        dc.flow(net, random_pictures(size=(4, 6)), ["left", "right"])


def test_results_draw_themselves_save_and_escape(tmp_path):
    net, picture = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures()
    found = dc.flow(net, picture, ["conv", "features", "pool"], top=3)
    grouped = dc.flow(net, picture, ["features"], by="groups", k=2)
    for result in (found, grouped):
        for suffix in (".html", ".png", ".csv", ".npz"):
            assert result.save(tmp_path / f"x{suffix}").stat().st_size > 100
    nasty = "<script>alert('x')</script>\""
    document = dataclasses.replace(found, image=nasty, positive=nasty, layers=(nasty, "b", "c"))._page()
    assert "<script>alert" not in document
    assert found._page() == dc.flow(net, picture, ["conv", "features", "pool"], top=3)._page()


def test_on_the_page_a_unit_lights_its_own_links(browser, tmp_path):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    path = dc.flow(net, random_pictures(), ["conv", "features"], top=3).save(tmp_path / "flow.html")
    shown, outside = opened(browser, path)
    assert outside == []
    assert shown.locator("#flow path").count() == 9 + 3
    unit = shown.locator('.unit[data-id="1-0"]')
    unit.hover()
    # Three links arrive at a unit of the second layer, one leaves it for the class.
    assert shown.locator("#flow path.lit").count() == 4
    assert shown.locator(".over.shown").count() == 1
    assert "features, channel" in shown.locator("#said").inner_text()
    shown.mouse.move(0, 0)
    assert shown.locator("#flow path.lit").count() == 0
    unit.focus()
    shown.keyboard.press("Enter")
    shown.mouse.move(1, 1)
    assert shown.locator("#flow path.lit").count() == 4
    shown.keyboard.press("Escape")
    assert shown.locator("#flow path.lit").count() == 0
    still, _ = opened(browser, path, java_script_enabled=False)
    assert still.locator("#flow path").count() == 12
