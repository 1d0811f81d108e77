"""Batch norms folded into convolutions: the same numbers, from fewer passes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import diamond as dc
from diamond.features.folding import folded


def normed(seed=0):
    """Two convolutions and a depthwise one, each with a batch norm; one more norm has no convolution before it."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((9, 9, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(image)
    x = layers.ReLU(6.0, name="relu")(layers.BatchNormalization(name="conv_bn")(x))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="deep")(x)
    x = layers.BatchNormalization(name="deep_bn", scale=False)(x)
    x = layers.BatchNormalization(name="alone_bn", center=False)(x)
    y = layers.Conv2D(8, 1, name="read_twice")(x)
    x = layers.Add(name="sum")([layers.BatchNormalization(name="twice_bn")(y), y])
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(x), name="normed")
    rng = np.random.default_rng(1)
    for variable in model.variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return dc.load(model, input=(-1, 1))


def ran(net, replace, wanted):
    """Which nodes were replaced, on the way to the wanted."""
    return [node.address for node in net.graph.ancestors(wanted) if replace(node) is not None]


@pytest.mark.parametrize("layer", ["relu", "deep_bn", "sum", "mean"])
def test_what_is_folded_gives_the_same_numbers_and_gradients(layer):
    net = normed()
    wanted = [net.node(layer)]
    pictures = tf.random.stateless_uniform((2, 9, 9, 3), seed=(0, 1))
    found = []
    for replace in (None, folded(net.graph, wanted)):
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            [values] = net.forward(pictures, wanted, replace=replace)
        found.append((values, tape.gradient(values, pictures)))
    for plain, fold in zip(*found, strict=True):
        np.testing.assert_allclose(plain, fold, rtol=1e-4, atol=1e-4 * np.abs(plain).max())


def test_each_norm_goes_into_the_convolution_that_it_alone_reads():
    net = normed()
    everything = [net.node("mean")]
    assert ran(net, folded(net.graph, everything), everything) == ["conv", "conv_bn", "deep", "deep_bn"]


def test_a_convolution_that_is_looked_at_itself_is_left_alone():
    net = normed()
    both = [net.node("conv"), net.node("relu")]
    assert ran(net, folded(net.graph, both), both) == []


def test_a_network_in_training_is_seen_as_it_is_now():
    net = normed()
    wanted = [net.node("relu")]
    pictures = np.full((1, 9, 9, 3), 0.5, np.float32)
    before = net.forward(pictures, wanted, replace=folded(net.graph, wanted))[0]
    net.model.get_layer("conv_bn").beta.assign([-100.0] * 4)
    after = net.forward(pictures, wanted, replace=folded(net.graph, wanted))[0]
    assert float(tf.reduce_max(before)) > 0.0
    assert float(tf.reduce_max(after)) == 0.0
