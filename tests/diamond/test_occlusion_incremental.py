"""Occlusion by boxes: every kind of operation gives the logits that the whole network gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import diamond as dc
from diamond.occlusion.boxes import spread_boxes
from diamond.occlusion.cover import Cover
from diamond.occlusion.incremental import IncrementalNetwork, plan_for
from diamond.occlusion.plan import Plan
from diamond.occlusion.windows import Windows, given_masks, grid
from modelzoo.architectures.local_response import LocalResponseNormalization
from tests import tiny

SIZE = (21, 17)


def random_weights(model, seed=0):
    """Weights and statistics of batch norms that are all different, so that nothing cancels by chance."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        # A depthwise kernel, (height, width, channel, 1), reads one channel.
        read = shape[:2] if len(shape) == 4 and shape[-1] == 1 else shape[:-1]
        scale = 1.0 if len(shape) < 2 else (2.0 / max(1, np.prod(read))) ** 0.5
        values = rng.normal(size=shape) * scale
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.path or "gamma" in variable.path else values)
    return model


def network(build, size=SIZE, head="mean"):
    """A network of the operation under test between two convolutions, with a nonlinearity after it."""
    image = keras.Input((*size, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(image)
    x = build(x)
    if head == "mean":
        x = layers.ReLU()(x)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(5, name="logits")(x), name="tested")
    return dc.load(random_weights(model), input=(-1, 1))


def picture(size=SIZE, channels=3, seed=0):
    return np.random.default_rng(seed).uniform(size=(*size, channels)).astype(np.float32)


def whole(net, cover):
    """Logits of all covered pictures through the whole network."""
    rows = np.arange(len(cover))
    [logits] = net.forward(cover.pictures(rows), [net.logits_node])
    return np.reshape(logits, (len(rows), -1))


def by_boxes(net, cover, batch=8):
    found = {}
    for rows, logits in IncrementalNetwork(net, cover, batch=batch).logits_without():
        for row, values in zip(rows, logits, strict=True):
            assert int(row) not in found
            found[int(row)] = values
    return np.array([found[row] for row in range(len(cover))])


def assert_same(net, cover, rtol=1e-5, batch=8):
    expected, found = whole(net, cover), by_boxes(net, cover, batch)
    assert np.ptp(expected, axis=0).max() > 1e-4, "covering changes nothing: the test proves nothing"
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def squeeze_excite(x):
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(layers.Conv2D(2, 1, activation="swish")(gate))
    return layers.Conv2D(4, 3)(layers.Multiply()([x, gate]))


def residual(x):
    y = layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Conv2D(4, 5, padding="same")(y)
    return layers.Add()([layers.BatchNormalization()(y), x])


def inception(x):
    pooled = layers.Conv2D(2, 1)(layers.AveragePooling2D(3, 1, padding="same")(x))
    wide = layers.Conv2D(3, (1, 7), padding="same")(layers.Conv2D(3, (7, 1), padding="same", activation="relu")(x))
    return layers.Concatenate()([layers.Conv2D(2, 1)(x), layers.Conv2D(3, 3, padding="same")(x), wide, pooled])


def shared(x):
    convolution = layers.Conv2D(4, 3, padding="same", activation="tanh")
    once = convolution(x)
    return convolution(once) * 2.0 - once / 3.0


def nested(x):
    inside = keras.Input((None, None, 4))
    block = keras.Model(inside, layers.Conv2D(4, 3, padding="same", activation="relu")(inside))
    outside = keras.Sequential([keras.Input((None, None, 4)), block, layers.MaxPooling2D(), layers.Conv2D(3, 3)])
    return outside(x)


OPERATIONS = {
    "convolution": layers.Conv2D(6, 3),
    "same": layers.Conv2D(6, 3, padding="same"),
    "even kernel": layers.Conv2D(6, (4, 2), padding="same"),
    "stride": layers.Conv2D(6, 3, strides=2, padding="same"),
    "stride valid": layers.Conv2D(6, 3, strides=2),
    "stride over": layers.Conv2D(6, 1, strides=3),
    "strides apart": layers.Conv2D(6, (1, 3), strides=(2, 1), padding="same"),
    "dilation": layers.Conv2D(6, 3, dilation_rate=2, padding="same"),
    "dilation apart": layers.Conv2D(6, 3, dilation_rate=(1, 3)),
    "groups": layers.Conv2D(6, 3, groups=2, padding="same"),
    "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu6"),
    "depthwise stride": layers.DepthwiseConv2D(3, strides=2, padding="same"),
    "depthwise dilation": layers.DepthwiseConv2D(3, dilation_rate=2, padding="same"),
    "separable": layers.SeparableConv2D(6, 3, padding="same", activation="relu"),
    "separable stride": layers.SeparableConv2D(6, 3, strides=2),
    "max": layers.MaxPooling2D(3, 2, padding="same"),
    "max valid": layers.MaxPooling2D((2, 3)),
    "max of negative": lambda x: layers.Conv2D(3, 3)(layers.MaxPooling2D(3, 1, padding="same")(-x - 5.0)),
    "average": layers.AveragePooling2D(3, 2, padding="same"),
    "average valid": layers.AveragePooling2D(2),
    "average of one": layers.AveragePooling2D(1, 2, padding="same"),
    "padding": lambda x: layers.Conv2D(6, 3, strides=2)(layers.ZeroPadding2D(((0, 1), (2, 3)))(x)),
    "padding after": lambda x: layers.Conv2D(6, 3, strides=2)(layers.ZeroPadding2D(((0, 2), (0, 1)))(x)),
    "cropping": lambda x: layers.Conv2D(6, 3)(layers.Cropping2D(((3, 1), (0, 4)))(x)),
    "cropping after": lambda x: layers.Conv2D(6, 3)(layers.Cropping2D(((0, 5), (0, 1)))(x)),
    "shifted as NASNet": lambda x: layers.AveragePooling2D(1, 2)(
        layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
    ),
    "enlarged": lambda x: layers.Conv2D(3, 3)(layers.UpSampling2D((2, 3))(layers.MaxPooling2D(2)(x))),
    "enlarged smoothly": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(layers.MaxPooling2D(2)(x)),
    "transposed": layers.Conv2DTranspose(3, 3, strides=2),
    "batch norm": lambda x: layers.BatchNormalization()(layers.Conv2D(6, 3, strides=2, padding="same")(x)),
    "batch norm depthwise": lambda x: layers.BatchNormalization()(layers.DepthwiseConv2D(3, use_bias=False)(x)),
    "batch norm alone": lambda x: layers.Conv2D(3, 3, padding="same")(layers.BatchNormalization()(x)),
    "layer norm": layers.LayerNormalization(),
    "group norm": layers.GroupNormalization(2),
    "activations": lambda x: layers.ELU()(layers.ReLU(6.0, negative_slope=0.1)(keras.activations.silu(x) * 3.0)),
    "softmax": layers.Softmax(),
    "softmax over rows": lambda x: layers.Conv2D(3, 3)(layers.Softmax(axis=1)(x)),
    "slopes of channels": layers.PReLU(shared_axes=(1, 2)),
    "slopes of places": layers.PReLU(),
    "local response": LocalResponseNormalization(2, alpha=0.5, beta=0.75),
    "dense per place": layers.Dense(6, activation="relu"),
    "global max": lambda x: layers.Conv2D(3, 1)(layers.GlobalMaxPooling2D(keepdims=True)(x)),
    "mean": lambda x: keras.ops.mean(layers.Conv2D(6, 3)(x), axis=(1, 2), keepdims=True),
    "dropout": layers.Dropout(0.5),
    "sliced": lambda x: layers.Conv2D(3, 3)(x[:, 1:, :-2]),
    "rows joined": lambda x: layers.Conv2D(3, 3)(layers.Concatenate(axis=1)([x, x])),
    "many ways": lambda x: layers.Maximum()([x, layers.Average()([x, layers.Conv2D(4, 5, padding="same")(x)])]),
    "squeeze-excite": squeeze_excite,
    "residual": residual,
    "inception": inception,
    "shared": shared,
    "nested": nested,
}


def always_boxes(monkeypatch):
    """Take boxes wherever they can be taken, also where whole layers are cheaper."""
    monkeypatch.setattr("diamond.occlusion.plan._cheapest", lambda spread, *_: (len(spread.order), 1.0))


def windows_of(size=SIZE):
    """Windows of three sizes, at all borders and corners and inside."""
    grids = [grid(size, window, stride).boxes for window, stride in (((1, 1), (10, 8)), ((4, 6), (5, 4)), ((11, 3), 6))]
    return Windows(size, np.concatenate(grids))


@pytest.fixture
def eagerly():
    """Without compiling, which takes longer than the rest; other tests compile."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_gives_what_the_whole_network_gives(name, monkeypatch, eagerly):
    always_boxes(monkeypatch)
    net = network(OPERATIONS[name])
    assert_same(net, Cover.of(picture(), windows_of(), picture(seed=1)), batch=16)


def everything(x):
    """Most operations one after the other."""
    x = layers.MaxPooling2D(3, 1, padding="same")(inception(x))
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(layers.ZeroPadding2D(1)(x))
    x = layers.SeparableConv2D(4, 3, strides=2, padding="same")(x)
    return layers.AveragePooling2D(2, 1, padding="same")(residual(x))


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_compiled_it_gives_the_same_for_every_batch_size(batch, monkeypatch):
    always_boxes(monkeypatch)
    assert_same(network(everything), Cover.of(picture(), grid(SIZE, (4, 6), 5), picture(seed=1)), batch=batch)


def test_the_whole_is_taken_where_boxes_fill_their_layers(eagerly):
    net = network(squeeze_excite)
    cover = Cover.of(picture(), windows_of(), picture(seed=1))
    assert IncrementalNetwork(net, cover).plan.forecast.falls_back_at is not None
    assert_same(net, cover)


def test_masks_discs_and_inpainted_windows_and_what_is_left_alone(monkeypatch, eagerly):
    always_boxes(monkeypatch)
    net = network(layers.Conv2D(6, 3, strides=2))
    soft = np.random.default_rng(3).uniform(size=(4, *SIZE)) * (np.arange(SIZE[0])[:, None] > 9)
    for windows, fill, outside in (
        (given_masks(soft, SIZE), 0.5, False),
        (grid(SIZE, (7, 5), 6, "disc"), 0.5, False),
        (grid(SIZE, (7, 5), 6), None, False),
        (grid(SIZE, (7, 5), 6), picture(seed=1), True),
    ):
        assert_same(net, Cover.of(picture(), windows, fill, outside=outside))


def test_dense_on_flattened_maps_reads_boxes_set_among_what_is_kept(monkeypatch, eagerly):
    always_boxes(monkeypatch)
    net = network(lambda x: layers.Flatten()(layers.MaxPooling2D(2)(x)), head="flat")
    assert_same(net, Cover.of(picture(), windows_of(), picture(seed=1)))
    sizes = plan_for(net, SIZE, windows_of().boxes).forecast
    assert sizes.falls_back_at is not None


def test_a_head_of_maps_without_pooling_is_set_whole_at_the_end(monkeypatch, eagerly):
    always_boxes(monkeypatch)
    image = keras.Input((9, 7, 1), name="image")
    model = keras.Model(image, layers.Conv2D(2, 3, padding="same", name="answer")(image))
    net = dc.load(random_weights(model), input=(0, 1))
    assert_same(net, Cover.of(picture((9, 7), 1), grid((9, 7), 2, 2), 0.0))


@pytest.mark.parametrize("model", [tiny.nested, tiny.shared, tiny.one_filter])
def test_hand_made_networks(model, monkeypatch, eagerly):
    always_boxes(monkeypatch)
    net = dc.load(model(), input=(0, 1))
    size = net.input.height, net.input.width
    assert_same(net, Cover.of(picture(size), grid(size, 2, 1), 1.0))


def test_other_inputs_are_given_once_for_all_windows(monkeypatch, eagerly):
    always_boxes(monkeypatch)
    image, age = keras.Input((9, 7, 3), name="image"), keras.Input((2,), name="age")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    x = layers.Dense(3)(layers.Concatenate()([x, layers.Dense(2, activation="tanh")(age)]))
    net = dc.load(random_weights(keras.Model([image, age], x)), input=(0, 1))
    cover, ages = Cover.of(picture((9, 7)), grid((9, 7), 3, 2), 0.5), np.array([[0.5, -2.0]], np.float32)
    expected = net.model([cover.pictures(np.arange(len(cover))), tf.repeat(ages, len(cover), axis=0)])
    for rows, logits in IncrementalNetwork(net, cover, batch=5, given={"age": ages}).logits_without():
        np.testing.assert_allclose(logits, np.asarray(expected)[rows], rtol=1e-5, atol=1e-6)


def test_weights_that_change_are_followed_and_pictures_share_a_compilation():
    net = network(residual)
    for seed in (1, 2):
        random_weights(net.model, seed)
        assert_same(net, Cover.of(picture(seed=seed), grid(SIZE, 2, 9), 0.5))
    assert sum(key[0] == "incremental" for key in net._compiled) == 1


def test_a_weight_that_is_no_number_is_named(eagerly):
    net = network(layers.Conv2D(6, 3))
    net.model.layers[2].bias.assign(np.full(6, np.nan))
    with pytest.raises(ValueError, match=f"from '{net.model.layers[2].name}' on the activations are NaN"):
        list(IncrementalNetwork(net, Cover.of(picture(), grid(SIZE, 5, 5), 0.5)).logits_without())


def spread_of(build, size, boxes):
    image = keras.Input((*size, 1), name="image")
    net = dc.load(keras.Model(image, build(image)), input=(0, 1))
    shapes = {node.index: node.shape for node in net.graph}
    spread = spread_boxes(net.graph, net.logits_node, net.graph.nodes[0], shapes, np.array(boxes))
    return net, spread


def test_boxes_grow_as_counted_by_hand():
    def build(x):
        x = layers.Conv2D(1, 3, padding="same", name="one")(x)
        x = layers.Conv2D(1, 3, padding="same", name="two")(x)
        return layers.Conv2D(1, 3, padding="same", name="three")(layers.MaxPooling2D(2, name="pool")(x))

    # Rows 8 to 11 and columns 0 to 2 of 20 x 24: inside along the rows, at the left border along the columns.
    net, spread = spread_of(build, (20, 24), [[8, 0, 12, 3]])
    found = {
        name: (spread.at[net.node(name).index].sizes([0]), spread.at[net.node(name).index].starts([0])[0].tolist())
        for name in ("one", "two", "pool", "three")
    }
    assert found == {
        "one": ((6, 4), [7, 0]),
        "two": ((8, 5), [6, 0]),
        "pool": ((4, 3), [3, 0]),
        "three": ((6, 4), [2, 0]),
    }


def test_windows_computed_together_take_the_largest_box_moved_into_the_layer():
    net, spread = spread_of(
        layers.MaxPooling2D(4, name="pool"), (16, 16), [[0, 0, 4, 4], [2, 2, 6, 6], [12, 12, 16, 16]]
    )
    place = spread.at[net.node("pool").index]
    assert place.sizes([0]) == (1, 1)
    assert place.sizes([1]) == (2, 2)
    assert place.sizes([0, 1, 2]) == (2, 2)
    assert place.starts([0, 1, 2]).tolist() == [[0, 0], [0, 0], [2, 2]]


def test_windows_that_stand_alike_are_computed_together(monkeypatch):
    always_boxes(monkeypatch)
    boxes = [[top, 0, top + 4, 4] for top in (0, 2, 4, 6, 8, 10)]
    _, spread = spread_of(lambda x: layers.Conv2D(1, 1)(layers.MaxPooling2D(4)(x)), (16, 16), boxes)
    found = {tuple(rows.tolist()) for rows in Plan.of(spread, batch=3).batches(np.arange(6))}
    assert found == {(0, 2, 4), (1, 3, 5)}


def test_a_forecast_counts_multiply_adds(monkeypatch):
    always_boxes(monkeypatch)
    image = keras.Input((10, 10, 1), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(1, 3, padding="same", name="conv")(image))
    net = dc.load(keras.Model(image, layers.Dense(4, name="logits")(x)), input=(0, 1))
    found = plan_for(net, (10, 10), np.array([[4, 4, 6, 6], [0, 4, 2, 6]]), batch=1).forecast
    # 100 places of 9 and 4 x 1 of the dense layer; boxes of 4 x 4 and, at the border, 3 x 4 places.
    assert (found.windows, found.full) == (2, 2 * 904)
    assert found.incremental == 904 + (16 * 9 + 4) + (12 * 9 + 4)
    assert found.falls_back_at == "logits"
    assert found.by_boxes == pytest.approx(900 / 904)


def test_vgg16_saves_four_fifths_of_its_multiply_adds():
    net = dc.load("VGG16", weights=None)
    found = {stride: plan_for(net, (224, 224), grid((224, 224), 16, stride).boxes).forecast for stride in (4, 8)}
    assert found[4].saved == pytest.approx(0.886, abs=0.01)
    assert found[8].saved == pytest.approx(0.876, abs=0.01)
    assert found[4].falls_back_at == "flatten"
    assert found[4].speed_up > 5


def test_where_everything_is_covered_nothing_is_saved_and_nothing_is_forecast():
    net = network(layers.Conv2D(6, 3))
    found = plan_for(net, SIZE, np.array([[0, 0, *SIZE]] * 3)).forecast
    assert (found.saved, found.speed_up, found.by_boxes) == (0.0, 1.0, 0.0)


def test_trained_logits_are_within_a_ten_thousandth(monkeypatch, eagerly):
    always_boxes(monkeypatch)
    net, size = dc.load("EfficientNetLite0"), (128, 117)
    cover = Cover.of(picture(size), grid(size, 33, 48), picture(size, seed=1))
    expected = whole(net, cover)
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(by_boxes(net, cover), expected, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("VGG16", (224, 224)),
        ("ResnetV1_50", (112, 101)),
        ("InceptionV3", (139, 128)),
        ("InceptionV1", (96, 85)),
        ("MobilenetV1_050", (96, 85)),
        ("EfficientNetLite0", (96, 85)),
        ("NasnetMobile", (96, 64)),
    ],
)
@pytest.mark.parametrize("boxes_everywhere", [False, True])
def test_networks_of_the_zoo_give_the_same_logits(name, size, boxes_everywhere, monkeypatch):
    if boxes_everywhere:
        always_boxes(monkeypatch)
    net = dc.load(name, weights=None)
    random_weights(net.model)
    high, wide = size
    # Corners, borders and the middle, of three sizes.
    boxes = [
        [top, left, top + window, left + window]
        for window in (8, 16, 33)
        for top in (0, high // 2 - 3, high - window)
        for left in (0, wide // 2 + 2, wide - window)
    ]
    cover = Cover.of(picture(size), Windows(size, np.array(boxes, np.int32)), picture(size, seed=1))
    expected, found = whole(net, cover), by_boxes(net, cover)
    # What a window changes lies well above the rounding that is let pass.
    assert np.ptp(expected, axis=0).max() > 0.001 * np.abs(expected).max()
    # Random weights give logits up to 1e9, and rounding grows with them.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1.0, np.abs(expected).max()))
