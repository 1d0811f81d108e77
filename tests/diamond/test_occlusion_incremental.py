"""Occlusion by boxes: every kind of operation gives the logits that the whole network gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import diamond as dc
from diamond.occlusion.boxes import spread_boxes
from diamond.occlusion.cover import Cover
from diamond.occlusion.incremental import IncrementalNetwork, forecast, logits_without
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
        scale = 1.0 if len(shape) < 2 else (2.0 / max(1, np.prod(shape[:-1]))) ** 0.5
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
    for rows, logits in logits_without(net, cover, batch=batch):
        for row, values in zip(rows, logits, strict=True):
            assert int(row) not in found
            found[int(row)] = values
    return np.array([found[row] for row in range(len(cover))])


def assert_same(net, cover, rtol=1e-5, batch=8):
    expected, found = whole(net, cover), by_boxes(net, cover, batch)
    assert np.ptp(expected, axis=0).max() > 1e-3, "covering changes nothing: the test proves nothing"
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


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_gives_what_the_whole_network_gives(name, monkeypatch):
    always_boxes(monkeypatch)
    net = network(OPERATIONS[name])
    assert_same(net, Cover.of(picture(), windows_of(), picture(seed=1)), batch=16)
