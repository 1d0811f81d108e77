"""Channels before and after: the same where they were frozen, most changed where they were turned, their sprites alike."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.features.recipes import Recipe
from diamond.transfer.shared import changes, changes_of, same_layer, shared_layers, shares_base
from modelzoo import UnknownLayerError
from modelzoo.inputs.pictures import PictureError


def trunk(seed=0, size=16):
    keras.utils.set_random_seed(seed)
    image = keras.Input((size, size, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(image)
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="middle")(x)
    x = layers.Conv2D(8, 3, activation="relu", name="last")(x)
    return image, x


def network(classes=3, seed=0, name="before", size=16):
    image, x = trunk(seed, size)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return dc.load(keras.Model(image, layers.Dense(classes, name=f"answer{classes}")(x), name=name), input=(0, 1))


def tuned(channel=5):
    """The same network but for one channel of ``last``, whose filter is turned round, and a head of other classes."""
    net = network(2, name="after")
    kernel = net.model.get_layer("last").kernel
    values = kernel.numpy()
    values[..., channel] *= -1
    kernel.assign(values)
    return net


def pictures(n=6, size=16):
    return list(np.random.default_rng(3).random((n, size, size, 3), dtype=np.float32))


def test_a_change_is_the_difference_in_units_of_the_spread_of_both():
    before = np.array([[0.0, 0.0, 3.0], [2.0, 0.0, 3.0]])
    after = np.array([[2.0, 1.0, 3.0], [0.0, 1.0, 3.0]])
    # 0 2 and 2 0: 2 apart, spread 1. 0 0 and 1 1: 1 apart, spread 1/2. Constant in both: not changed.
    assert changes_of(before, after) == pytest.approx([2.0, 2.0, 0.0])
    # 0 4 and 1 3: 1 apart; the mean of 0 4 1 3 is 2, their variance (4 + 4 + 1 + 1) / 4.
    assert changes_of(np.array([[0.0], [4.0]]), np.array([[1.0], [3.0]])) == pytest.approx([1 / np.sqrt(2.5)])
    rng = np.random.default_rng(0)
    apart = changes_of(rng.normal(100, 1, (20_000, 1)), rng.normal(100, 1, (20_000, 1)))
    assert apart == pytest.approx([2 / np.sqrt(np.pi)], abs=0.02)


def test_layers_are_shared_by_address_and_within_a_nested_model():
    before = network()
    assert [one.name for one, _ in shared_layers(before, tuned())] == ["stem", "middle", "last", "pool"]
    image, x = trunk()
    base = keras.Model(image, x, name="base")
    given = keras.Input((16, 16, 3), name="given")
    pooled = layers.GlobalAveragePooling2D(name="mean")(base(given))
    nested = dc.load(keras.Model(given, layers.Dense(2, name="head")(pooled), name="nested"), input=(0, 1))
    pairs = [(one.name, other.name) for one, other in shared_layers(before, nested)]
    assert pairs == [("stem", "base/stem"), ("middle", "base/middle"), ("last", "base/last")]
    back = [(one.name, other.name) for one, other in shared_layers(nested, before)]
    assert back == [(other, one) for one, other in pairs]
    assert [one.name for one in same_layer(before, nested, "last")] == ["last", "base/last"]


def test_a_base_is_shared_where_the_kernels_are_alike():
    before, other = network(), network(seed=9, name="other")
    assert shares_base(before, tuned(), shared_layers(before, tuned()))
    assert not shares_base(before, other, shared_layers(before, other))
    assert not shares_base(before, other, [])


def test_what_was_frozen_is_the_same_and_the_turned_channel_changed_most():
    before, after = network(), tuned()
    found = changes(before, after, pictures(), shared_layers(before, after), progress=False)
    assert [(one.layer, one.same) for one in found] == [
        ("stem", True), ("middle", True), ("last", False), ("pool", False)
    ]  # fmt: skip
    last = found[2]
    assert last.most(1).tolist() == [5]
    assert last.channels[5] > 0.5
    assert np.delete(last.channels, 5) == pytest.approx(np.zeros(7), abs=1e-6)
    assert (last.median, last.by_place) == (0.0, True)
    one = before.activations(np.stack(pictures()), "last")
    two = after.activations(np.stack(pictures()), "last")
    assert last.channels == pytest.approx(changes_of(one, two), abs=1e-5)


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_batches_change_nothing(batch):
    before, after = network(), tuned()
    pairs = [same_layer(before, after, "last")]
    [found] = changes(before, after, pictures(), pairs, batch=batch, progress=False)
    [whole] = changes(before, after, pictures(), pairs, batch=6, progress=False)
    assert found.channels == pytest.approx(whole.channels, abs=1e-6)


def test_of_other_sizes_the_means_over_places_are_compared():
    before, after = network(), network(size=20, name="larger")
    flat = [np.full((30, 30, 3), level, np.float32) for level in (0.1, 0.5, 0.9)]
    [found] = changes(before, after, flat, [same_layer(before, after, "last")], progress=False)
    # The kernels are one, but a larger picture is another graph to no fingerprint.
    assert found.same
    shifted = tuned()
    large = network(2, size=20, name="larger")
    large.model.set_weights(shifted.model.get_weights())
    [found] = changes(before, large, flat, [same_layer(before, large, "last")], progress=False)
    assert not found.by_place
    assert found.most(1).tolist() == [5]


def test_the_channels_that_changed_most_are_shown_in_both(tmp_path):
    before, after = network(), tuned()
    recipe = Recipe("texture", size_px=32, steps=4)
    found = dc.before_and_after(before, after, pictures(), "last", top=3, recipe=recipe, progress=False)
    assert found.names == ("before", "after")
    assert found.channels[0] == 5
    assert found.changes[0] == found.change.channels[5]
    assert found.count == 6
    assert set(found.before) == set(found.after) == set(found.channels.tolist())
    # One recipe, one seed: a channel that has not changed looks the same, the turned one does not.
    same = int(found.channels[1])
    assert np.array_equal(found.before[same], found.after[same])
    assert not np.array_equal(found.before[5], found.after[5])
    page = found.save(tmp_path / "found.html").read_text()
    assert page.count("data:image/webp") == 6
    assert "and channel 5 most, by" in page
    for suffix in (".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"found{suffix}").stat().st_size > 50
    assert found.to_dataframe()["channel"].tolist()[0] == 5
    assert "5 (" in repr(found)


@pytest.mark.slow
def test_sprites_that_are_kept_are_found_and_the_others_made_like_them(tmp_path):
    before, after = network(), tuned()
    recipe = Recipe("mine", size_px=32, steps=3)
    kept = dc.spritemap(before, "last", recipe=recipe, store=tmp_path, seed=7, progress=False)
    found = dc.before_and_after(before, after, pictures(), "last", top=2, store=tmp_path, progress=False)
    assert np.array_equal(found.before[5], kept[5])
    assert (found.after.manifest.recipe_name, found.after.manifest.seed) == ("mine", 7)
    without = dc.before_and_after(
        before, after, pictures(), "last", top=2, render=False, store=tmp_path, progress=False
    )
    assert without.after is None
    assert without.before is not None
    assert without._page().count("data:image/webp") == 2
    without.plot()


def test_a_frozen_layer_is_said_to_be_the_same():
    found = dc.before_and_after(network(), tuned(), pictures(), "stem", render=False, progress=False)
    assert found.change.same
    assert found.sentence == "stem computes the same in before and after: it was frozen."
    assert found.changes.tolist() == [0.0] * 4
    found.plot()
    assert "it was frozen" in found._page()


def test_a_comparison_has_the_changes_and_shows_them():
    found = dc.compare(
        [network(2, name="start"), tuned()],
        pictures(),
        [0, 1] * 3,
        names=["start", "end"],
        latency=False,
        progress=False,
    )
    assert [one.same for one in found.changes if one.layer in ("stem", "middle")] == [True] * sum(
        one.layer in ("stem", "middle") for one in found.changes
    )
    assert "Before and after" in found._page()
    shown = found.before_and_after("last", top=2, render=False, progress=False)
    assert (shown.names, shown.channels[0]) == (("start", "end"), 5)
    with pytest.raises(ValueError, match=r"networks is \(0, 2\); expected two numbers from 0 to 1"):
        found.before_and_after("last", networks=(0, 2))
    apart = dc.compare(
        [network(2), network(2, seed=4, name="other")], pictures(), [0, 1] * 3, latency=False, progress=False
    )
    assert apart.changes == ()


def test_bad_calls_are_told():
    before, after = network(), tuned()
    with pytest.raises(UnknownLayerError, match="no layer 'lats'; did you mean 'last'"):
        dc.before_and_after(before, after, pictures(), "lats")
    with pytest.raises(ValueError, match="'answer3' of before does not stand in after, or with other channels"):
        dc.before_and_after(before, after, pictures(), "answer3")
    with pytest.raises(ValueError, match="top is 0; expected 1 or more"):
        dc.before_and_after(before, after, pictures(), "last", top=0)
    with pytest.raises(PictureError, match="the list is empty"):
        dc.before_and_after(before, after, [], "last")
    # A ReLU may swallow NaN, not infinity.
    after.model.get_layer("last").bias.assign(np.full(8, np.inf))
    with pytest.raises(ValueError, match="'last' of after gives NaN or infinity"):
        dc.before_and_after(before, after, pictures(), "last", render=False, progress=False)


@pytest.mark.parametrize("kind", ["one", "three"])
def test_layers_of_one_and_of_three_axes_have_fingerprints_too(kind):
    shape, convolution = {"one": ((16, 3), layers.Conv1D), "three": ((6, 6, 6, 3), layers.Conv3D)}[kind]
    keras.utils.set_random_seed(0)
    image = keras.Input(shape, name="image")
    x = convolution(4, 3, activation="relu", name="conv")(image)
    model = keras.Model(image, layers.Dense(2, name="answer")(layers.Flatten(name="flat")(x)))
    net = dc.load(model, input=(0, 1))
    found = dc.before_and_after(net, net, pictures(), "conv", render=False, progress=False)
    assert found.change.same
