"""Strides and receptive fields, held against what a gradient says and against published figures."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from modelzoo.geometry import least_size, propagate
from modelzoo.graph import read_graph
from tests import tiny


def view_of(model, address):
    graph = read_graph(model)
    return propagate(graph)[graph[address].index]


def support(model, address, row, column, *, tries=8):
    """Rows and columns of the input that the value at (row, column) answers to, over some random pictures."""
    graph = read_graph(model)
    shape = model.inputs[0].shape[1:]
    touched = np.zeros(shape[:2], bool)
    for seed in range(tries):
        pixels = tf.constant(np.random.default_rng(seed).random((1, *shape), dtype=np.float32))
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            [values] = graph.evaluate({0: pixels}, [graph[address]])
            value = tf.reduce_sum(values[0, row, column])
        touched |= np.any(tape.gradient(value, pixels).numpy()[0] != 0, axis=-1)
    rows, columns = np.nonzero(touched.any(axis=1))[0], np.nonzero(touched.any(axis=0))[0]
    return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)


def chain(*steps, size=(41, 36)):
    x = image = keras.Input((*size, 2), name="image")
    for step in steps:
        x = step(x)
    return keras.Model(image, layers.Identity(name="end")(x))


def positive(layer, **arguments):
    return layer(2, **arguments, kernel_initializer="ones", bias_initializer="ones")


def residual(x):
    return layers.Add()([x, positive(layers.Conv2D, kernel_size=5, padding="same")(x)])


def inception(x):
    left = positive(layers.Conv2D, kernel_size=1, strides=2)(x)
    right = positive(layers.Conv2D, kernel_size=(3, 7), strides=2, padding="same")(x)
    return layers.Concatenate()([left, layers.MaxPooling2D(3, 2, padding="same")(x), right])


CHAINS = {
    "valid convolutions": [lambda x: positive(layers.Conv2D, kernel_size=(3, 5))(x)] * 2,
    "same, stride 2, uneven size": [lambda x: positive(layers.Conv2D, kernel_size=3, strides=2, padding="same")(x)] * 3,
    "dilated": [lambda x: positive(layers.Conv2D, kernel_size=3, dilation_rate=3, padding="same")(x)],
    "padded, then valid": [layers.ZeroPadding2D(((2, 1), (0, 3))), lambda x: positive(layers.Conv2D, kernel_size=4)(x)],
    "cropped": [layers.Cropping2D(((3, 1), (2, 2))), lambda x: positive(layers.Conv2D, kernel_size=3, strides=2)(x)],
    "sliced": [lambda x: x[:, 1:, 3:, :], lambda x: positive(layers.Conv2D, kernel_size=2, strides=2)(x)],
    "pooled": [layers.MaxPooling2D(3, 2, padding="same"), layers.AveragePooling2D(2)],
    "residual": [residual, residual],
    "branches": [inception, inception],
    "separable": [lambda x: layers.SeparableConv2D(3, 5, strides=2, padding="same", bias_initializer="ones")(x)],
}


@pytest.mark.parametrize("name", CHAINS)
def test_views_are_the_support_of_a_gradient(name):
    model = chain(*CHAINS[name])
    graph = read_graph(model)
    view = propagate(graph)[graph["end"].index]
    height, width = graph["end"].shape[1:3]
    for row, column in ((0, 0), (height // 2, width // 2), (height - 1, width - 1)):
        seen = support(model, "end", row, column)
        for axis, (index, size) in enumerate(((row, 41), (column, 36))):
            start = view.axes[axis].start + index * view.axes[axis].stride
            expected = (max(start, 0), min(start + view.axes[axis].extent, size))
            assert seen[axis] == expected


def test_upsampling_and_transposed_convolution_see_at_most_what_is_said():
    for step in (
        layers.UpSampling2D(2),
        lambda x: positive(layers.Conv2DTranspose, kernel_size=3, strides=2, padding="same")(x),
    ):
        model = chain(
            lambda x: positive(layers.Conv2D, kernel_size=3, strides=2, padding="same")(x), step, size=(40, 40)
        )
        view = view_of(model, "end")
        assert view.stride_px == (1.0, 1.0)
        for row in (20, 21):
            (top, bottom), _ = support(model, "end", row, 20)
            start = view.axes[0].start + row * 1.0
            assert start <= top
            assert bottom <= start + view.axes[0].extent


@pytest.mark.parametrize(
    ("build", "layer", "field", "stride"),
    [
        (keras.applications.VGG16, "block5_pool", 212, 32),
        (keras.applications.ResNet50, "conv5_block3_out", 483, 32),
        (keras.applications.InceptionV3, "mixed10", 1311, 32),
        (keras.applications.MobileNet, "conv_pw_13_relu", 315, 32),
    ],
)
def test_receptive_fields_equal_the_published_ones(build, layer, field, stride):
    # Araujo, Norris and Sim (Distill 2019), table of receptive fields.
    view = view_of(build(weights=None), layer)
    assert view.receptive_field_px == (field, field)
    assert view.stride_px == (stride, stride)


def test_a_gate_over_the_whole_picture_makes_every_place_see_everything():
    image = keras.Input((16, 16, 2), name="image")
    gate = layers.GlobalAveragePooling2D(keepdims=True)(image)
    model = keras.Model(image, layers.Multiply(name="gated")([image, gate]))
    assert view_of(model, "gated").receptive_field_px == (16.0, 16.0)
    assert view_of(model, "gated").stride_px == (1.0, 1.0)


def test_after_global_pooling_a_value_sees_all_that_was_seen():
    model = tiny.linear_tail()
    assert view_of(model, "features").receptive_field_px == (3.0, 3.0)
    pooled = view_of(model, "pool")
    assert pooled.sees_all
    assert pooled.receptive_field_px == (10.0, 8.0)
    assert pooled.stride_px == (float("inf"), float("inf"))


class Unheard(layers.Layer):
    def call(self, x):
        return keras.ops.flip(x, axis=1)


def test_an_operation_nobody_knows_gives_an_unknown_view():
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, layers.ReLU(name="after")(Unheard(name="unheard")(image)))
    assert view_of(model, "unheard") is None
    assert view_of(model, "after") is None


def test_the_smallest_picture_at_which_a_layer_has_a_value():
    model = chain(
        lambda x: layers.Conv2D(2, 3, strides=2)(x),
        lambda x: layers.Conv2D(2, (3, 1), padding="valid")(x),
        layers.ZeroPadding2D(1),
        layers.MaxPooling2D(4),
    )
    graph = read_graph(model)
    # Backwards from one place: 4 by the pooling, 2 without the padding; 4 and 2 by the column; 9 and 5 by the stride.
    assert least_size(graph, graph["end"]) == (9, 5)
    assert np.asarray(graph.evaluate({0: np.ones((1, 9, 5, 2), np.float32)}, [graph["end"]])[0]).shape == (1, 1, 1, 2)
