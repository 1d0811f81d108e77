"""Inversions: pictures whose code is that of a picture, by hand, at a ReLU that sleeps, and on real weights."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.inspection.descent import Descent
from modelzoo import GraphError, UnknownLayerError
from tests.tiny import constant, linear_tail, nested


def loaded(model):
    return dc.load(model, input=(0, 1))


def threshold(activation="relu"):
    """Two channels of each pixel: red less 0.6, and 0.6 less red; for mid-grey the first sleeps."""
    image = keras.Input((8, 6, 3), name="image")
    x = layers.Conv2D(2, 1, activation=activation, name="sides")(image)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D(name="mean")(x)))
    kernel = np.array([[10.0, -10.0], [0.0, 0.0], [0.0, 0.0]]).reshape(1, 1, 3, 2)
    return loaded(constant(model, {"sides/kernel": kernel, "sides/bias": [-6.0, 6.0]}))


def picture(shape=(8, 6, 3), seed=0):
    return np.random.default_rng(seed).random(shape, np.float32) * 0.8 + 0.1


def test_a_layer_that_keeps_everything_gives_the_picture_back():
    image = keras.Input((8, 6, 3), name="image")
    x = layers.Conv2D(3, 1, name="same")(image)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D(name="mean")(x)))
    kernel = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.5, 0.0, 1.0]]).reshape(1, 1, 3, 3)
    net = loaded(constant(model, {"same/kernel": kernel, "same/bias": 0.0}))
    found = dc.invert(net, picture(), "same", progress=False)
    assert found.images.shape == (1, 1, 8, 6, 3)
    assert found.errors[0, 0] < 1e-2
    assert found.distances[0, 0] < 1e-2
    assert np.abs(found.images[0, 0] - picture()).max() < 0.04
    # Of flat grey, half of every channel's sum of weights 1.5, by hand.
    code = picture() @ kernel[0, 0]
    np.testing.assert_allclose(found.flat_errors[0], np.linalg.norm(code - 0.75) / np.linalg.norm(code), rtol=1e-4)


def test_a_layer_that_keeps_the_mean_gives_another_picture_of_the_same_mean():
    net = loaded(linear_tail())
    found = dc.invert(net, picture(seed=1), "pool", copies=2, progress=False)
    assert found.errors.max() < 1e-2
    assert found.distances.min() > 0.05
    assert np.abs(found.images[0, 0] - found.images[0, 1]).max() > 0.01


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_a_channel_that_sleeps_in_grey_is_woken(activation):
    # Red is 0.9 everywhere: the first channel says 3, and for grey, where it is below its ReLU, has no gradient.
    bright = np.full((8, 6, 3), 0.9, np.float32)
    found = dc.invert(threshold(activation), bright, "sides", progress=False)
    assert found.errors[0, 0] < 1e-3
    np.testing.assert_allclose(found.images[0, 0, ..., 0], 0.9, atol=2e-3)


def test_what_is_measured_is_zero_where_the_code_is_reached_and_only_there():
    net = threshold("relu6")
    node = net.node("sides")
    code = np.zeros((8, 6, 2), np.float32)
    code[..., 0] = 3.0
    descent = Descent(net, node, code, (8, 6), 0.0)
    canvas = np.full((8, 6, 3), 0.5, np.float32)
    canvas[..., 0] = 0.9
    assert descent.error(canvas) < 1e-6
    canvas[..., 0] = 0.8
    np.testing.assert_allclose(descent.error(canvas), 1 / 3, rtol=1e-5)


def test_smoothness_quiets_what_the_layer_leaves_open():
    net = loaded(linear_tail())

    def roughness(smoothness):
        [[shown]] = dc.invert(net, picture(seed=2), "features", steps=60, smoothness=smoothness, progress=False).images
        return np.square(np.diff(shown, axis=0)).mean() + np.square(np.diff(shown, axis=1)).mean()

    assert roughness(10.0) < 0.7 * roughness(0.0)


def test_layers_stand_in_a_row_and_the_seed_decides():
    net = loaded(nested())
    asked = ["backbone/block/conv", "backbone/wide", "mean"]
    shown = picture((16, 12, 3), 3)
    found = dc.invert(net, shown, asked, steps=8, progress=False)
    assert found.layers == tuple(asked)
    assert found.images.shape == (3, 1, 16, 12, 3)
    assert found.errors[0, 0] < found.flat_errors[0]
    again = dc.invert(net, shown, asked, steps=8, progress=False)
    np.testing.assert_array_equal(found.images, again.images)
    other = dc.invert(net, shown, asked, steps=8, seed=1, progress=False)
    assert np.abs(found.images - other.images).max() > 1e-4
    assert len(found.labels) == 3


def test_what_cannot_be_inverted_is_told():
    net, shown = loaded(linear_tail()), picture()
    with pytest.raises(UnknownLayerError, match="did you mean 'features'"):
        dc.invert(net, shown, "feature")
    with pytest.raises(ValueError, match="no layer to invert"):
        dc.invert(net, shown, [])
    with pytest.raises(ValueError, match="copies is 0"):
        dc.invert(net, shown, "conv", copies=0)
    with pytest.raises(ValueError, match="smoothness is -1"):
        dc.invert(net, shown, "conv", smoothness=-1)
    with pytest.raises(ValueError, match="2 pictures were given; an inversion is of one"):
        dc.invert(net, np.stack([shown, shown]), "conv")
    silent = threshold()
    silent.model.get_layer("sides").kernel.assign(np.zeros((1, 1, 3, 2)))
    silent.model.get_layer("sides").bias.assign([-1.0, -1.0])
    with pytest.raises(ValueError, match="code of the picture at 'sides' is all zero"):
        dc.invert(silent, shown, "sides", progress=False)
    net.model.get_layer("conv").kernel.assign(np.full((3, 3, 3, 5), np.inf))
    with pytest.raises(ValueError, match="code of the picture at 'conv' holds NaN"):
        dc.invert(net, shown, "conv", progress=False)


def test_several_inputs_are_refused():
    image, age = keras.Input((8, 6, 3), name="image"), keras.Input((1,), name="age")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, name="conv")(image))
    model = keras.Model([image, age], layers.Dense(2, name="logits")(layers.Concatenate()([x, age])))
    with pytest.raises(GraphError, match="2 inputs"):
        dc.invert(loaded(model), picture(), "conv", progress=False)


def test_inversions_are_a_table_a_figure_a_page_and_arrays(tmp_path):
    net = loaded(linear_tail())
    found = dc.invert(net, picture(), ["conv", "features", "pool"], copies=2, steps=5, progress=False)
    table = found.to_dataframe()
    assert table["layer"].tolist() == ["conv"] * 2 + ["features"] * 2 + ["pool"] * 2
    np.testing.assert_allclose(table["code_error"], found.errors.ravel())
    page = found.save(tmp_path / "found.html").read_text()
    assert page.count("<img") == 1 + 6
    assert "What each layer still knows" in page
    for suffix in (".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"found{suffix}").stat().st_size > 100
    assert len(found.plot().axes) == 2 * 4
    assert repr(found).count("code error") == 3


@pytest.mark.slow
def test_an_early_layer_is_matched_within_a_hundredth_and_a_deep_one_still_knows_the_bird(shared_data):
    net = dc.load("EfficientNetLite0")
    photo = shared_data / "photos" / "015_n01558993_robin.JPEG"
    found = dc.invert(net, photo, ["stem_relu", "block9_add"], progress=False)
    assert found.errors[0, 0] < 0.01
    assert found.distances[0, 0] < 0.02
    assert found.errors[1, 0] < 0.2 < found.flat_errors[1]
    assert found.labels[1][0] == "robin"
