"""Gradients of class scores with respect to filters: by hand, per picture, for a class, one like it and one unlike it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import diamond as dc
from diamond.inspection.kernels import read_kernels
from diamond.inspection.similar_classes import class_cosines, similar_classes
from modelzoo import GraphError, InputSpec
from modelzoo.inputs import PictureError
from modelzoo.labels import ClassError
from tests.tiny import constant, linear_tail, one_filter, shared

ONE = np.broadcast_to(np.float32([0.5, 0.4, 0.3]), (4, 4, 3))
OTHER = np.broadcast_to(np.float32([0.7, 0.4, 0.1]), (4, 4, 3))


def test_by_hand():
    # The filter answers r + g + b - 1 > 0, the logits are 2 and -1 times its mean: gradients are 2 and -1 times r, g, b.
    found = dc.weight_gradients(dc.load(one_filter(), input=(0, 1)), np.stack([ONE, OTHER]), "sum", 0)
    np.testing.assert_allclose(found.gradients[:, 0, 0, 0], [[1.2, 0.8, 0.4], [-0.6, -0.4, -0.2]], rtol=1e-5)
    # The pictures' red is 0.1 from its mean, green 0, blue 0.1.
    np.testing.assert_allclose(found.deviations[:, 0, 0, 0], [[0.2, 0, 0.2], [0.1, 0, 0.1]], atol=1e-6)
    np.testing.assert_allclose(found.alike, [[1, -1], [-1, 1]], rtol=1e-6)
    shared_part = 1.2**2 + 0.8**2 + 0.4**2
    assert found.agreement[0, 0] == pytest.approx(shared_part / (shared_part + 0.08), rel=1e-5)
    assert found.norms[0, 0] == pytest.approx(np.sqrt(shared_part), rel=1e-5)
    np.testing.assert_allclose(found.image_norms[:, 1], np.linalg.norm([ONE[0, 0], OTHER[0, 0]], axis=1), rtol=1e-5)
    assert (found.labels, found.roles) == (("0", "1"), ("itself", "dissimilar"))


def test_a_filter_that_does_not_fire_learns_nothing():
    found = dc.weight_gradients(dc.load(one_filter(), input=(0, 1)), np.zeros((4, 4, 3)), "sum", 0)
    assert found.gradients.tolist() == np.zeros((2, 1, 1, 1, 3)).tolist()
    assert found.order.tolist() == [0]
    found.plot()
    assert "One picture says nothing" in found.sentence


def test_a_layer_called_twice_learns_from_both_calls():
    # z = x K K + 2 x K with K three times the identity: z_j changes with K_aj by (3 + 3 + 2) x_a.
    picture = np.broadcast_to(np.float32([0.1, 0.2, 0.3]), (6, 6, 3))
    found = dc.weight_gradients(dc.load(shared(), input=(0, 1)), picture, "c", 0, similar=1, dissimilar=2)
    for j in range(3):
        expected = np.zeros((3, 3))
        expected[j] = [0.8, 1.6, 2.4]
        np.testing.assert_allclose(found.gradients[j, :, 0, 0], expected, rtol=1e-5)


KINDS = {
    "plain": layers.Conv2D(4, 3, activation="relu", name="k"),
    "grouped": layers.Conv2D(6, 3, groups=3, name="k"),
    "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2, name="k"),
    "transposed": layers.Conv2DTranspose(4, 3, name="k"),
    "dense on a map": layers.Dense(5, name="k"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_is_the_gradient_of_the_mean_logit(kind):
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = type(KINDS[kind]).from_config(KINDS[kind].get_config())(image)
    x = layers.GlobalAveragePooling2D(name="mean")(layers.Activation("tanh", name="bent")(x))
    model = keras.Model(image, layers.Softmax(name="answer")(layers.Dense(3, name="logits")(x)))
    net = dc.load(model, input=(0, 1))
    pictures = np.random.default_rng(0).random((5, 8, 8, 3), dtype=np.float32)
    found = dc.weight_gradients(net, pictures, "k", 2, similar=0, dissimilar=1, batch=2)
    kernel = model.get_layer("k").kernel.value
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        [logits] = net.forward(pictures, [net.node("logits")])
        score = tf.reduce_mean(logits[:, 2])
    expected = read_kernels(net, "k").arranged(np.asarray(tape.gradient(score, kernel)))
    np.testing.assert_allclose(found.gradients[0], expected, rtol=1e-4, atol=1e-7)


def test_one_by_one_or_together_and_through_a_generator():
    net = dc.load(linear_tail(), input=(0, 1))
    pictures = np.random.default_rng(0).random((5, 8, 6, 3), dtype=np.float32)
    whole = dc.weight_gradients(net, pictures, "conv", 1, batch=5)
    each = [dc.weight_gradients(net, picture, "conv", 1).gradients for picture in pictures]
    np.testing.assert_allclose(whole.gradients, np.mean(each, axis=0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(whole.deviations, np.std(each, axis=0), rtol=1e-3, atol=1e-7)
    parts = dc.weight_gradients(net, (picture for picture in pictures), "conv", 1, batch=2)
    np.testing.assert_allclose(parts.gradients, whole.gradients, rtol=1e-4, atol=1e-7)
    some = dc.weight_gradients(net, pictures, "conv", 1, channels=[4, 1])
    np.testing.assert_allclose(some.gradients, whole.gradients[:, [4, 1]], rtol=1e-4, atol=1e-7)
    assert some.channels.tolist() == [4, 1]


def classifier(kernel, **options):
    image = keras.Input((4, 4, 3), name="image")
    x = layers.GlobalAveragePooling2D(keepdims=options.get("pointwise", False), name="mean")(image)
    if options.get("pointwise"):
        x = layers.Reshape((4,), name="flat")(layers.Conv2D(4, 1, name="logits")(x))
        kernel = np.array(kernel)[None, None]
    else:
        x = layers.Dense(4, name="logits")(x)
    return dc.load(
        constant(keras.Model(image, layers.Softmax(name="answer")(x)), {"logits/kernel": kernel}), input=(0, 1)
    )


@pytest.mark.parametrize("pointwise", [False, True])
def test_similar_classes_are_those_the_classifier_weighs_alike(pointwise):
    # Columns are classes: 0 and 2 weigh red, 1 weighs it away, 3 weighs green; all weigh blue, which tells none apart.
    kernel = [[1, -1, 0.9, 0], [0, 0, 0.1, 1], [5, 5, 5, 5]]
    net = classifier(kernel, pointwise=pointwise)
    assert similar_classes(net, 0) == (2, 1)
    centred = np.array(kernel).T - np.mean(kernel, axis=1)
    expected = centred @ centred[0] / np.linalg.norm(centred, axis=1) / np.linalg.norm(centred[0])
    np.testing.assert_allclose(class_cosines(net, 0), expected, rtol=1e-6)


def test_without_weights_to_compare_the_classes_must_be_said():
    with pytest.raises(GraphError, match="say similar= and dissimilar= yourself"):
        dc.weight_gradients(dc.load(shared(), input=(0, 1)), np.zeros((6, 6, 3)), "c", 0)


def test_top1_is_the_class_that_most_pictures_are_answered_with():
    net = classifier([[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0]])
    pictures = np.zeros((3, 4, 4, 3), np.float32)
    pictures[[0, 1, 2], ..., [1, 0, 1]] = 1.0
    image = keras.Input((4, 4, 3), name="image")
    x = layers.Conv2D(3, 1, use_bias=False, name="conv")(image)
    x = net.model.get_layer("logits")(layers.GlobalAveragePooling2D(name="mean")(x))
    whole = dc.load(
        constant(keras.Model(image, layers.Softmax(name="answer")(x)), {"conv/kernel": np.eye(3)[None, None]}),
        input=(0, 1),
    )
    found = dc.weight_gradients(whole, iter(pictures), "conv")
    assert found.labels[0] == "1"
    assert found.notes == ()
    wrong = dc.weight_gradients(whole, pictures, "conv", 3)
    assert wrong.notes == ("None of 3 is answered with 3: are they of it?",)


def test_first_gradients_are_drawn_in_the_pictures_colours():
    found = dc.weight_gradients(dc.load(one_filter(), input=InputSpec(4, 4, channel_order="BGR")), ONE, "sum", 0)
    # The network sees blue first; the array keeps the network's order, and the colours say what it is.
    np.testing.assert_allclose(found.gradients[0, 0, 0, 0], [0.6, 0.8, 1.0], rtol=1e-5)
    np.testing.assert_array_equal(found.colours, np.eye(3)[::-1])


def test_the_volume_has_a_slice_for_each_filter_and_channel():
    net = dc.load(linear_tail(), input=(0, 1))
    found = dc.weight_gradients(net, np.random.default_rng(0).random((2, 8, 6, 3), dtype=np.float32), "conv", "top1")
    stack = found.volume("similar")
    assert stack.shape == (3, 3, 15)
    np.testing.assert_array_equal(stack[..., 4], found.gradients[1, 1, :, :, 1])
    assert dc.volume(stack).values.shape == (3, 3, 15)
    with pytest.raises(KeyError, match="no class 'cat' was asked about; expected one of"):
        found.volume("cat")
    dense = dc.weight_gradients(net, np.zeros((8, 6, 3)), "logits", 0)
    assert dense.volume(0).shape == (4, 5, 1)


def test_it_draws_itself_and_is_saved(tmp_path):
    net = dc.load(linear_tail(), input=(0, 1))
    found = dc.weight_gradients(net, np.random.default_rng(0).random((3, 8, 6, 3), dtype=np.float32), "conv", 0)
    for suffix in ("png", "html", "csv", "npz"):
        assert found.save(tmp_path / f"gradients.{suffix}").stat().st_size > 0
    table = found.to_dataframe()
    assert len(table) == 15
    assert table.role.unique().tolist() == ["itself", "similar", "dissimilar"]
    assert "http" not in found._page()
    assert "33% if they had nothing in common" in found.sentence


def test_wrong_questions_are_named(monkeypatch):
    net = dc.load(linear_tail(), input=(0, 1))
    black = np.zeros((8, 6, 3))
    with pytest.raises(ClassError):
        dc.weight_gradients(net, black, "conv", 9)
    with pytest.raises(
        GraphError, match="'features' \\(ReLU\\) has no filters; the nearest before it with filters is 'conv'"
    ):
        dc.weight_gradients(net, black, "features")
    with pytest.raises(PictureError, match="the list is empty"):
        dc.weight_gradients(net, [], "conv", 0)
    with pytest.raises(IndexError, match="channel 5 is out of range: 'conv' has channels 0 to 4"):
        dc.weight_gradients(net, black, "conv", 0, channels=5)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.SeparableConv2D(4, 3, name="two")(image)
    side = layers.Conv2D(2, 1, name="side")(image)
    model = keras.Model(image, [layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D(name="mean")(x)), side])
    several = dc.load(model, input=(0, 1))
    with pytest.raises(GraphError, match="'two' is a separable convolution"):
        dc.weight_gradients(several, np.zeros((8, 8, 3)), "two", 0)
    with pytest.raises(GraphError, match="no gradient reaches 'side'"):
        dc.weight_gradients(several, np.zeros((8, 8, 3)), "side", 0)
    monkeypatch.setattr("diamond.inspection.weight_gradients.MOST_BYTES", 3000)
    with pytest.raises(ValueError, match="ask for some, as channels=range\\(2\\)"):
        dc.weight_gradients(net, black, "conv", 0)


@pytest.mark.slow
def test_a_trained_network_wants_similar_classes_alike(shared_data):
    googlenet = dc.load("InceptionV1_caffe", weights=shared_data / "weights" / "bvlc_googlenet.safetensors")
    cats = sorted((shared_data / "dogcat").rglob("*cat*.jpg"))[:8]
    found = dc.weight_gradients(googlenet, cats, "inception_4b_3x3", "tabby")
    assert found.labels[:2] == ("tabby", "tiger cat")
    assert found.alike[0, 1] > 0.8
    assert found.alike[0, 2] < 0.2
