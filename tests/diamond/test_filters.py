"""Filters of a layer: drawn in the picture's colours, scored, with the channels they listen to; any kind of layer."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.inspection.kernels import read_kernels
from diamond.inspection.smoothness import noise_band, smoothness
from diamond.show.filter_tiles import tile
from modelzoo import GraphError, InputSpec, UnknownLayerError
from tests.spritemaps.sprites import finished
from tests.tiny import built_in_rescaling, constant, nested, one_filter

RED, GREEN, BLUE = np.eye(3)


def after(*layers_, shape=(8, 8, 3), head=True):
    """A network of these layers, one after the other, with a mean and two classes after them."""
    image = keras.Input(shape, name="image")
    x = image
    for layer in layers_:
        x = layer(x)
    if head:
        x = layers.Dense(2, name="answer")(layers.Flatten(name="flat")(x))
    return keras.Model(image, x, name="tiny")


def two_filters(**options):
    """Filter 0 weighs the first channel that comes in 2, filter 1 the third -1; of 1 x 1."""
    model = after(layers.Conv2D(2, 1, use_bias=False, name="conv"), layers.GlobalAveragePooling2D(name="mean"))
    constant(model, {"conv/kernel": [[[[2, 0], [0, 0], [0, -1]]]]})
    return dc.load(model, **options)


def test_first_filters_are_in_the_pictures_own_colours_and_units():
    found = dc.filters(two_filters(input=(0, 1)), "conv")
    np.testing.assert_array_equal(found.weights[:, 0, 0], [2 * RED, -BLUE])
    assert (found.colours, found.reads, found.has_connections) == (True, None, False)
    spec = InputSpec(8, 8, channel_order="BGR", scale=(255, 100, 10), offset=(-104, -117, -123))
    turned = dc.filters(two_filters(input=spec), "conv")
    # The network's first channel is blue, times 255; its third is red, times 10.
    np.testing.assert_allclose(turned.weights[:, 0, 0], [510 * BLUE, -10 * RED], rtol=1e-5)
    assert found.norms.tolist() == [2, 1]
    np.testing.assert_allclose(turned.norms, [510, 10], rtol=1e-6)


def test_layers_that_rescale_or_swap_colours_inside_the_network_are_seen_through():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.ZeroPadding2D(1, name="pad")(layers.Rescaling(1 / 4, -1.0, name="rescale")(image[..., ::-1]))
    x = layers.Conv2D(1, 1, use_bias=False, name="conv")(x)
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(x))
    constant(model, {"conv/kernel": [[[[1.0], [2.0], [4.0]]]]})
    found = dc.filters(dc.load(model, input=(0, 1)), "conv")
    np.testing.assert_allclose(found.weights[0, 0, 0], [1.0, 0.5, 0.25], rtol=1e-6)


def test_a_batch_norm_after_the_layer_scales_and_turns_its_filters():
    norm = layers.BatchNormalization(epsilon=0.0, name="norm")
    model = after(layers.Conv2D(2, 1, use_bias=False, name="conv"), norm)
    constant(model, {"conv/kernel": 1.0, "norm/gamma": [-3.0, 0.5], "norm/moving_variance": [4.0, 1.0]})
    net = dc.load(model, input=(0, 1))
    found = dc.filters(net, "conv", sort="order")
    np.testing.assert_allclose(found.weights[:, 0, 0], [[-1.5] * 3, [0.5] * 3])
    assert found.batch_norm == "norm"
    plain = dc.filters(net, "conv", batch_norm=False)
    np.testing.assert_allclose(plain.weights, 1.0)
    assert plain.batch_norm is None


def test_a_batch_norm_that_others_read_around_is_left_alone():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(2, 1, name="conv")(image)
    both = layers.Add(name="add")([x, layers.BatchNormalization(name="norm")(x)])
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(both))
    assert dc.filters(dc.load(model, input=(0, 1)), "conv").batch_norm is None


def test_of_several_inputs_the_one_that_is_a_picture_gives_the_colours():
    image, patient = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="patient")
    x = layers.GlobalAveragePooling2D(name="mean")(layers.Conv2D(2, 1, use_bias=False, name="conv")(image))
    x = layers.Dense(2, name="answer")(layers.Concatenate(name="both")([x, layers.Dense(3, name="side")(patient)]))
    model = constant(keras.Model([image, patient], x), {"conv/kernel": [[[[2, 0], [0, 0], [0, -1]]]]})
    net = dc.load(model, input=(0, 255))
    found = dc.filters(net, "conv")
    assert found.colours
    np.testing.assert_array_equal(found.weights[:, 0, 0], [510 * RED, -255 * BLUE])
    assert (
        dc.filters(net, "side").sentence
        == "3 filters of 4 weights; without neighbouring weights nothing is smooth or rough."
    )


def test_smoothness_is_1_for_one_level_0_for_alone_and_minus_1_for_a_chessboard():
    level = np.ones((3, 3, 1))
    alone = np.zeros((3, 3, 1))
    alone[1, 1] = 1
    chessboard = (-1.0) ** np.add.outer(np.arange(3), np.arange(3))[..., None]
    edge = np.array([[-1.0, 0, 1]] * 3)[..., None]
    # Of the edge: 4 pairs down of equal ones (2 a b = 2 = a^2 + b^2), 2 of zeros; 6 across, one of each a zero.
    np.testing.assert_allclose(smoothness(np.stack([level, alone, chessboard, edge])), [1, 0, -1, 8 / 14])
    assert np.isnan(smoothness(np.ones((1, 1, 1, 64)))).all()
    assert np.isnan(smoothness(np.zeros((1, 3, 3, 1)))).all()


def test_noise_is_told_as_noise_19_times_of_20():
    noise = np.random.default_rng(0).normal(size=(2000, 3, 3, 16))
    assert noise_band((3, 3), 16) == pytest.approx(2 / np.sqrt(12 * 16))
    assert np.isnan(noise_band((3, 3), 1))
    assert np.mean(np.abs(smoothness(noise)) < noise_band((3, 3), 16)) == pytest.approx(0.95, abs=0.02)


def test_filters_are_sorted_by_norm_by_smoothness_or_not_at_all():
    model = after(layers.Conv2D(3, (1, 2), use_bias=False, name="conv"))
    kernel = np.zeros((1, 2, 3, 3))
    kernel[0, :, 0] = [[1, 3, 2], [1, -3, 0]]
    net = dc.load(constant(model, {"conv/kernel": kernel}), input=(0, 1))
    assert dc.filters(net, "conv").channels.tolist() == [1, 2, 0]
    found = dc.filters(net, "conv", sort="smoothness")
    assert found.channels.tolist() == [0, 2, 1]
    assert found.smoothness.tolist() == [1, 0, -1]
    assert dc.filters(net, "conv", sort="order").channels.tolist() == [0, 1, 2]
    some = dc.filters(net, "conv", [2, 0])
    assert (some.channels.tolist(), len(some.layer_smoothness)) == ([2, 0], 3)


def test_own_scale_makes_each_filters_largest_weight_white_and_a_shared_one_only_the_largest_of_all():
    weights = np.array([[[1.0, 1, 1]], [[-0.5, 0, 0]]])
    own = tile(weights, most=1.0, colours=True)
    assert own.tolist() == [[[255, 255, 255, 255]], [[64, 128, 128, 255]]]
    assert tile(weights[1:], most=0.5, colours=True).tolist() == [[[0, 128, 128, 255]]]


def test_slices_lie_where_their_sprites_lie_in_a_spritemap():
    weights = np.zeros((1, 1, 5))
    weights[..., 3] = 1.0
    grid = tile(weights, most=1.0)
    assert grid.shape == (2, 3, 4)
    assert grid[1, 0].tolist() == [255] * 4
    assert grid[1, 2].tolist() == [0] * 4
    assert tile(np.zeros((3, 3, 4)), most=1.0).shape == (7, 7, 4)


def listeners():
    """Layer ``second`` reads three channels through a ReLU: +2, -3 and 1; and the others' negatives half as strong."""
    model = after(
        layers.Conv2D(3, 1, name="first"),
        layers.ReLU(name="relu"),
        layers.Conv2D(2, 2, use_bias=False, name="second"),
    )
    kernel = np.zeros((2, 2, 3, 2))
    kernel[0, 0, :, 0] = [2, -3, 1]
    kernel[1, 1, :, 1] = [-1, 1.5, -0.5]
    return dc.load(constant(model, {"second/kernel": kernel}), input=(0, 1))


def test_the_channels_that_excite_and_inhibit_a_filter_come_strongest_first():
    found = dc.filters(listeners(), "second", sort="order")
    exciting, inhibiting = found.strongest(0)
    assert [(one.channel, one.weight) for one in exciting] == [(0, 2), (2, 1)]
    assert [(one.channel, one.weight) for one in inhibiting] == [(1, -3)]
    np.testing.assert_array_equal(exciting[0].slice, [[2, 0], [0, 0]])
    assert found.connections.tolist() == [[2, -3, 1], [-1, 1.5, -0.5]]
    assert (found.reads, found.colours) == ("relu", False)
    table = found.to_dataframe()
    assert table.excited_by.tolist() == [0, 1]
    assert table.inhibited_by_weight.tolist() == [-3, -1]


def test_sprites_of_what_is_read_are_found_through_layers_that_keep_channels(tmp_path):
    net = listeners()
    finished(tmp_path, channels=3, fingerprint=net.fingerprint("first"), batches=((0, 1, 2),))
    found = dc.filters(net, "second", store=tmp_path)
    assert found.reads == "first"
    assert found.read_sprites.channels == (0, 1, 2)


def test_sprites_of_an_earlier_landmark_are_pointed_at(tmp_path):
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 1, name="low")(image)
    for i in range(2):
        x = layers.Add(name=f"block{i}_add")([x, layers.Conv2D(4, 1, name=f"conv{i}")(x)])
    x = layers.Conv2D(4, 1, name="high")(layers.Conv2D(4, 1, name="between")(x))
    x = layers.GlobalAveragePooling2D(name="mean")(layers.Add(name="block2_add")([x, x]))
    net = dc.load(keras.Model(image, layers.Dense(2, name="answer")(x)), input=(0, 1))
    assert "block1_add" in net.landmarks
    finished(tmp_path, channels=4, fingerprint=net.fingerprint("block1_add"), batches=((0, 1, 2, 3),))
    found = dc.filters(net, "high", store=tmp_path)
    assert found.notes == ("block1_add before it has sprites: reads='block1_add' shows the weights from its channels.",)
    shown = dc.filters(net, "high", reads="block1_add", store=tmp_path)
    assert shown.read_sprites is not None


def test_expanded_weights_are_the_product_of_linear_layers():
    model = after(
        layers.Conv2D(2, 1, use_bias=False, name="low"),
        layers.ReLU(name="relu"),
        layers.Conv2D(2, (1, 2), use_bias=False, name="middle"),
        layers.MaxPooling2D((1, 2), strides=1, name="pool"),
        layers.Conv2D(1, 1, use_bias=False, name="high"),
    )
    kernel = np.zeros((1, 2, 2, 2))
    kernel[0, :, 0, 0], kernel[0, :, 1, 1] = [1, 2], [0, 4]
    constant(model, {"middle/kernel": kernel, "high/kernel": [[[[3.0], [-1.0]]]]})
    found = dc.filters(dc.load(model, input=(0, 1)), "high", reads="low")
    # 3 x [1, 2] and -1 x [0, 4], each half here and half one place on: the pool of two is their mean.
    np.testing.assert_allclose(found.weights[0, 0], [[1.5, 0], [4.5, -2], [3, -2]], rtol=1e-6)
    assert found.kind == "expanded weights"
    assert found.reads == "low"
    assert [one.channel for one in found.strongest(0)[1]] == [1]


def test_expanded_weights_take_both_ways_of_a_shortcut():
    image = keras.Input((8, 8, 3), name="image")
    low = layers.Conv2D(2, 1, name="low")(image)
    x = layers.Conv2D(2, 1, use_bias=False, activation="relu", name="side")(low)
    both = layers.Add(name="both")([low, x])
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(both))
    constant(model, {"side/kernel": [[[[5, 0], [0, 7]]]]})
    found = dc.filters(dc.load(model, input=(0, 1)), "both", reads="low", sort="order")
    np.testing.assert_allclose(found.weights[:, 0, 0], [[6, 0], [0, 8]])


def test_what_is_not_linear_between_is_named():
    image = keras.Input((8, 8, 3), name="image")
    low = layers.Conv2D(2, 1, name="low")(image)
    gate = layers.Multiply(name="gate")([low, layers.Conv2D(2, 1, activation="sigmoid", name="sig")(low)])
    model = keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(layers.Conv2D(2, 1, name="high")(gate)))
    net = dc.load(model, input=(0, 1))
    with pytest.raises(GraphError, match="between 'low' and 'high' lies 'gate' \\(Multiply\\)"):
        dc.filters(net, "high", reads="low")
    with pytest.raises(GraphError, match="it lies after it"):
        dc.filters(net, "low", reads="high")


KINDS = {
    "grouped": (layers.Conv2D(4, 3, groups=2, name="k"), (8, 8, 4), (4, 3, 3, 2), [[0, 1], [0, 1], [2, 3], [2, 3]]),
    "depthwise": (
        layers.DepthwiseConv2D(3, depth_multiplier=2, name="k"),
        (8, 8, 2),
        (4, 3, 3, 1),
        [[0], [0], [1], [1]],
    ),
    "separable": (layers.SeparableConv2D(5, 3, name="k"), (8, 8, 2), (5, 3, 3, 2), [[0, 1]] * 5),
    "transposed": (layers.Conv2DTranspose(5, 3, name="k"), (8, 8, 2), (5, 3, 3, 2), [[0, 1]] * 5),
    "one dimension": (layers.Conv1D(5, 3, name="k"), (8, 2), (5, 3, 2), [[0, 1]] * 5),
    "three dimensions": (layers.Conv3D(5, 3, name="k"), (8, 8, 8, 2), (5, 3, 3, 3, 2), [[0, 1]] * 5),
    "dense": (layers.Dense(5, name="k"), (4,), (5, 4), [[0, 1, 2, 3]] * 5),
    "1 x 1": (layers.Conv2D(5, 1, name="k"), (8, 8, 4), (5, 1, 1, 4), [[0, 1, 2, 3]] * 5),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_is_read_drawn_and_saved(kind, tmp_path):
    layer, shape, expected, inputs = KINDS[kind]
    image = keras.Input(shape, name="image")
    layer = type(layer).from_config(layer.get_config())
    first = layers.Activation("relu", name="before")(image)
    net = (
        dc.load(keras.Model(image, layer(first)), input=(0, 1))
        if len(shape) == 3
        else dc.load(keras.Model(image, layer(first)))
    )
    found = dc.filters(net, "k", sort="order")
    assert found.weights.shape == expected
    assert found.inputs.tolist() == inputs
    for suffix in ("png", "html", "csv", "npz"):
        found.save(tmp_path / f"filters.{suffix}")


def test_filters_compute_what_the_layer_computes():
    picture = np.random.default_rng(0).random((1, 3, 3, 4), dtype=np.float32)
    for layer in (
        layers.Conv2D(4, 3, groups=2),
        layers.SeparableConv2D(5, 3),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
    ):
        layer.name = "k"
        image = keras.Input((3, 3, 4), name="image")
        model = keras.Model(image, layer(layers.Activation("linear", name="same")(image)))
        kernels = read_kernels(dc.load(model, input=InputSpec(3, 3, channels=4)), "k")
        by_hand = [np.sum(w * picture[0][..., i]) for w, i in zip(kernels.values, kernels.inputs, strict=True)]
        np.testing.assert_allclose(np.asarray(model(picture))[0, 0, 0], by_hand, rtol=1e-4)


def test_a_dense_layer_on_a_flattened_map_has_the_maps_places():
    found = dc.filters(dc.load(after(layers.Conv2D(5, 3, name="conv")), input=(0, 1)), "answer")
    assert found.weights.shape == (2, 6, 6, 5)
    assert found.kind == "dense layer on a map"
    assert found.reads == "conv"
    model = after(shape=(4, 4, 3))
    constant(model, {"answer/kernel": np.arange(96).reshape(48, 2)})
    seen = dc.filters(dc.load(model, input=(0, 1)), "answer", sort="order")
    assert seen.colours
    assert seen.weights[1, 0, 0].tolist() == [1, 3, 5]


def test_a_nested_layer_and_one_with_an_activation_of_its_own():
    found = dc.filters(dc.load(nested(), input=(0, 1)), "backbone/block/conv")
    assert found.weights.shape == (4, 3, 3, 3)
    assert found.colours
    # The network's own rescaling doubles what a unit of colour is worth.
    np.testing.assert_allclose(
        found.weights[0],
        2 * read_kernels(dc.load(nested()), "backbone/block/conv").values[found.channels[0]],
        rtol=1e-5,
    )
    assert dc.filters(dc.load(one_filter(), input=(0, 1)), "sum").weights.tolist() == [[[[1, 1, 1]]]]


def test_layers_without_filters_are_refused_with_the_nearest_that_has_some():
    net = dc.load(
        after(layers.Conv2D(2, 1, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU(name="relu"))
    )
    with pytest.raises(
        GraphError, match="'relu' \\(ReLU\\) has no filters; the nearest before it with filters is 'conv'"
    ):
        dc.filters(net, "relu")
    with pytest.raises(
        GraphError, match="'norm' \\(BatchNormalization\\) has weights \\(gamma, beta, .*but no filters"
    ):
        dc.filters(net, "norm")
    with pytest.raises(GraphError, match="'rescale' \\(Rescaling\\) has no filters; the first with filters is 'head'"):
        dc.filters(dc.load(built_in_rescaling()), "rescale")
    with pytest.raises(UnknownLayerError, match="did you mean 'conv'"):
        dc.filters(net, "conf")


def test_wrong_questions_are_named():
    net = two_filters(input=(0, 1))
    with pytest.raises(
        ValueError, match="sort is 'norms'; expected one of norm, order, smoothness; did you mean 'norm'"
    ):
        dc.filters(net, "conv", sort="norms")
    with pytest.raises(ValueError, match="scale is 'each'; expected one of own, shared"):
        dc.filters(net, "conv", scale="each")
    with pytest.raises(IndexError, match="channel 2 is out of range: 'conv' has channels 0 to 1"):
        dc.filters(net, "conv", [0, 2])
    with pytest.raises(ValueError, match="no channel of 'conv'"):
        dc.filters(net, "conv", [])
    with pytest.raises(ValueError, match="top is 0"):
        dc.filters(net, "conv", top=0)
    broken = constant(one_filter(), {"sum/kernel": np.nan})
    with pytest.raises(ValueError, match="3 of 3 weights of 'sum.*' are NaN or infinite"):
        dc.filters(dc.load(broken, input=(0, 1)), "sum")


def test_a_filter_of_almost_nothing_is_told():
    model = after(layers.Conv2D(3, 1, use_bias=False, name="conv"))
    constant(model, {"conv/kernel": [[[[1, 1, 0.001]] * 3]]})
    found = dc.filters(dc.load(model, input=(0, 1)), "conv")
    assert "1 of 3 filters are less than a hundredth of the median" in found.notes[0]


def test_a_huge_layer_keeps_the_first_and_the_numbers_of_all(monkeypatch):
    monkeypatch.setattr("diamond.inspection.filters.MOST_VALUES", 27 * 2)
    net = dc.load(after(layers.Conv2D(9, 3, name="conv")), input=(0, 1))
    found = dc.filters(net, "conv")
    assert (len(found.weights), len(found.channels), len(found.norms)) == (2, 9, 9)
    assert found.notes == ("The weights of the first 2 are kept, the numbers of all 9.",)
    assert "2 of 9 are drawn" in found._page()


def test_the_page_and_the_figure_show_all_filters(tmp_path):
    found = dc.filters(listeners(), "second")
    page = found._repr_html_()
    assert "excited by" in page
    assert "http" not in found._page().replace("http://www.w3.org", "")
    assert found.save(tmp_path / "filters.npz").stat().st_size > 0
    assert "2 filters of 2 x 2, 3 channels each" in repr(found)


@pytest.mark.slow
def test_the_first_filters_of_trained_networks(shared_data):
    googlenet = dc.load("InceptionV1_caffe", weights=shared_data / "weights" / "bvlc_googlenet.safetensors")
    found = dc.filters(googlenet, "conv1_7x7_s2")
    assert np.median(found.layer_smoothness) > 0.6
    # Filter 54 finds orange to the left of blue.
    left, right = (
        found.weights[found.channels.tolist().index(54)][:, side].mean(axis=(0, 1))
        for side in (slice(0, 3), slice(4, 7))
    )
    assert left[0] > 0 > left[2]
    assert right[2] > 0 > right[0]
    deep = dc.filters(googlenet, "inception_4b_1x1")
    assert deep.reads == "inception_4a_output"
    assert deep.read_sprites is not None
    lite = dc.load("EfficientNetLite0")
    assert dc.filters(lite, "block5_expand_conv").reads == "block4_add"


@pytest.mark.slow
def test_filters_of_a_network_that_takes_time_first_are_turned(shared_data):
    yamnet = dc.load("Yamnet256_esc10", weights=shared_data / "weights" / "yamnet_256_64x96_esc10.h5")
    assert yamnet.input.audio.time_first
    found = dc.filters(yamnet, "layer1.conv", sort="order", batch_norm=False)
    kernel = np.asarray(yamnet.node("layer1.conv").operation.kernel)
    turned = np.swapaxes(np.moveaxis(kernel, -1, 0), 1, 2)
    # One unit of the spectrogram is one unit of what the network sees, up to its scale.
    ratio = found.weights / np.where(turned == 0, 1, turned)
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-4)
    assert found.is_sound
