"""Frozen graphs as Keras networks: the same numbers as TensorFlow's own session, layer names from the graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from modelzoo import load
from modelzoo.weights import WeightsError
from modelzoo.weights.graph_builder import build_from_frozen_graph
from tests.modelzoo.graph_files import Frozen, pictures, v1, weight


def conv(x, name="conv", filters=4, kernel=3, stride=1, padding="SAME", **more):
    return tf.nn.conv2d(
        x, weight(f"{name}/w", kernel, kernel, x.shape[-1], filters), stride, padding, name=name, **more
    )


def unfused(x, name="bn", gamma=True):
    c = x.shape[-1]
    with tf.name_scope(name):
        return tf.nn.batch_normalization(
            x,
            weight(f"{name}_mean", c),
            weight(f"{name}_variance", c, low=0.5, high=2.0),
            weight(f"{name}_beta", c),
            weight(f"{name}_gamma", c) if gamma else None,
            1e-3,
        )


def fused(x, op):
    c = x.shape[-1]
    numbers = [weight(n, c) for n in ("gamma", "beta", "mean")] + [weight("variance", c, low=0.5, high=2.0)]
    return getattr(tf.raw_ops, op)(x=x, scale=numbers[0], offset=numbers[1], mean=numbers[2], variance=numbers[3],
                                   epsilon=2e-3, is_training=False, name="bn")[0]  # fmt: skip


def dropout_of_2016(x):
    noise = tf.random.uniform(tf.shape(x)) + 0.9
    return tf.multiply(x / 0.9, tf.floor(noise), name="dropout/mul")


def flattened(x):
    return tf.reshape(x, [tf.shape(x)[0], -1], name="flat")


def slim_predictions(x):
    logits = tf.matmul(flattened(x), weight("w", int(np.prod(x.shape[1:])), 5), name="logits")
    return tf.reshape(tf.nn.softmax(tf.reshape(logits, [-1, 5])), tf.shape(logits), name="Predictions")


ONE_LAYER = {
    "Conv2D": lambda x: conv(x, stride=2),
    "Conv2D valid, two strides": lambda x: conv(x, stride=[1, 2, 1, 1], padding="VALID"),
    "Conv2D dilated": lambda x: conv(x, dilations=2),
    "Conv2D explicit padding": lambda x: conv(x, stride=2, padding=[[0, 0], [1, 0], [2, 1], [0, 0]]),
    "Conv2D grouped": lambda x: tf.nn.conv2d(tf.concat([x, x], 3), weight("w", 3, 3, 3, 4), 1, "SAME"),
    "DepthwiseConv2dNative": lambda x: tf.nn.depthwise_conv2d(x, weight("w", 3, 3, 3, 2), [1, 2, 2, 1], "SAME"),
    "BiasAdd": lambda x: tf.nn.bias_add(conv(x), weight("b", 4), name="conv/BiasAdd"),
    "bias by Add": lambda x: weight("b", 4) + conv(x),
    "bias by Sub": lambda x: conv(x) - weight("b", 4),
    "a convolution subtracted": lambda x: weight("b", 4) - conv(x),
    "BiasAdd on the picture": lambda x: tf.nn.bias_add(x, weight("b", 3)),
    "depthwise bias": lambda x: tf.nn.depthwise_conv2d(x, weight("w", 3, 3, 3, 1), [1] * 4, "SAME") + weight("b", 3),
    "FusedBatchNorm": lambda x: fused(x, "FusedBatchNorm"),
    "FusedBatchNormV2": lambda x: fused(x, "FusedBatchNormV2"),
    "FusedBatchNormV3": lambda x: fused(x, "FusedBatchNormV3"),
    "unfused batch norm": lambda x: unfused(conv(x)),
    "unfused without gamma": lambda x: unfused(x, gamma=False),
    "scaled and shifted": lambda x: x * weight("s", 3) + weight("o", 1),
    "preprocessing inside": lambda x: tf.multiply((x - 128.0) / 64.0, 2.0) + 0.5,
    "one less": lambda x: 1.0 - 2.0 * x,
    "Relu": tf.nn.relu,
    "Relu6": lambda x: tf.nn.relu6(x * 20.0),
    "Sigmoid": tf.sigmoid,
    "Tanh": tf.tanh,
    "Softmax": tf.nn.softmax,
    "MaxPool": lambda x: v1.nn.max_pool(x, [1, 3, 2, 1], [1, 2, 2, 1], "SAME"),
    "MaxPool valid": lambda x: v1.nn.max_pool(x, [1, 3, 3, 1], [1, 2, 2, 1], "VALID"),
    "AvgPool": lambda x: v1.nn.avg_pool(x, [1, 3, 3, 1], [1, 2, 2, 1], "SAME"),
    "LRN": lambda x: tf.nn.lrn(x, depth_radius=2, bias=2.0, alpha=0.3, beta=0.75),
    "ConcatV2": lambda x: tf.concat([x, conv(x)], -1),
    "Concat": lambda x: tf.raw_ops.Concat(concat_dim=3, values=[x, conv(x)]),
    "AddV2": lambda x: conv(x, filters=3) + x,
    "Add": lambda x: tf.raw_ops.Add(x=conv(x, filters=3), y=x),
    "Sub": lambda x: conv(x, filters=3) - x,
    "a gate": lambda x: x * tf.sigmoid(tf.reduce_mean(x, [1, 2], keepdims=True)),
    "Mean": lambda x: tf.reduce_mean(x, [1, 2]),
    "Mean keepdims": lambda x: tf.reduce_mean(x, [2, 1], keepdims=True),
    "Max": lambda x: tf.reduce_max(x, [1, 2]),
    "MatMul": lambda x: tf.matmul(tf.reshape(x, [-1, 432]), weight("w", 432, 5)),
    "MatMul transposed": lambda x: tf.matmul(tf.reshape(x, [-1, 432]), weight("w", 5, 432), transpose_b=True) + 1.0,
    "Reshape to space": lambda x: tf.reshape(x, [-1, 6, 24, 3]),
    "Reshape by Shape": lambda x: conv(tf.reshape(flattened(x), [-1, 12, 12, 3])),
    "Squeeze": lambda x: tf.squeeze(tf.reduce_mean(x, [1, 2], keepdims=True), [1, 2]),
    "ExpandDims": lambda x: tf.expand_dims(tf.reduce_mean(x, [1, 2]), 1),
    "Pad": lambda x: tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]]),
    "PadV2": lambda x: tf.raw_ops.PadV2(input=x, paddings=[[0, 0], [1, 2], [3, 0], [0, 0]], constant_values=0.0),
    "Identity": lambda x: tf.identity(tf.nn.relu(x)),
    "slim's predictions": slim_predictions,
}  # fmt: skip


@pytest.mark.parametrize("what", ONE_LAYER)
def test_an_operation_gives_what_tensorflow_gives(what, tmp_path):
    frozen = Frozen(tmp_path / "graph.pb", lambda x: ONE_LAYER[what](x * weight("before", 3, low=0.5, high=1.5)))
    model, _ = build_from_frozen_graph(frozen.path, output=frozen.end)
    expected = frozen.run(pictures())
    np.testing.assert_allclose(np.asarray(model(pictures())), expected, rtol=1e-5, atol=1e-5)


def network(x):
    x = tf.nn.relu6(unfused(conv(x, "stem", 8, stride=2), "stem/bn"), name="stem/Relu6")
    y = tf.nn.relu(
        tf.nn.bias_add(conv(x, "branch/conv", 8), weight("branch/b", 8), name="branch/pre"), name="branch/relu"
    )
    x = tf.concat([x, tf.nn.lrn(y, 2)], 3, name="mixed")
    x = tf.reduce_mean(x, [1, 2], name="pool")
    x = tf.nn.bias_add(tf.matmul(tf.identity(x, name="drop"), weight("fc/w", 16, 7)), weight("fc/b", 7), name="logits")
    return tf.nn.softmax(x, name="probabilities")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return Frozen(tmp_path_factory.mktemp("graph") / "net.pb", network)


def test_layers_keep_the_graphs_names_and_the_pairs_are_one(whole):
    model, names = build_from_frozen_graph(whole.path)
    kinds = [(layer.name, type(layer).__name__) for layer in model.layers]
    assert kinds == [
        ("input", "InputLayer"),
        ("stem", "Conv2D"),
        ("stem.bn.batchnorm.add_1", "BatchNormalization"),
        ("stem.Relu6", "ReLU"),
        ("branch.pre", "Conv2D"),
        ("branch.relu", "ReLU"),
        ("LRN", "LocalResponseNormalization"),
        ("mixed", "Concatenate"),
        ("pool", "GlobalAveragePooling2D"),
        ("logits", "Dense"),
        ("probabilities", "Softmax"),
    ]
    assert names["stem/Relu6"] == "stem.Relu6"
    assert names["drop"] == "pool"
    assert "branch/conv" not in names


def test_unfused_batch_normalisation_keeps_its_statistics(whole):
    model, _ = build_from_frozen_graph(whole.path)
    layer = model.get_layer("stem.bn.batchnorm.add_1")
    assert layer.epsilon == pytest.approx(1e-3)
    assert np.asarray(layer.moving_variance).min() > 0.5
    assert np.abs(np.asarray(layer.moving_mean)).max() > 0.1


def test_inventory_receptive_fields_and_fingerprints_work(whole):
    model, _ = build_from_frozen_graph(whole.path)
    net = load(model, input=(-1, 1))
    assert net.layers["mixed"].receptive_field_px == (7.0, 7.0)
    assert net.layers["mixed"].stride_px == (2.0, 2.0)
    assert net.node("stem.Relu6").nonlinearity == "relu6"
    assert net.pre_output_layer == "pool"
    assert len(net.fingerprint("mixed")) == 64


def test_a_network_saves_and_loads_with_the_same_answer(whole, tmp_path):
    model, _ = build_from_frozen_graph(whole.path)
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(np.asarray(again(pictures())), np.asarray(model(pictures())))
    np.testing.assert_allclose(np.asarray(model(pictures())), whole.run(pictures()), rtol=1e-5, atol=1e-6)


def test_an_output_inside_the_network_may_be_chosen(whole):
    model, names = build_from_frozen_graph(whole.path, output="branch/relu:0")
    assert model.output_shape == (None, 6, 6, 8)
    assert "pool" not in names


def test_of_several_heads_the_deepest_answer_is_taken(tmp_path):
    def heads(x):
        first = tf.nn.softmax(tf.reduce_mean(conv(x, "a"), [1, 2]), name="softmax0")
        last = tf.nn.softmax(tf.reduce_mean(conv(conv(x, "b"), "c"), [1, 2]), name="softmax2")
        return tf.add(tf.argmax(first, 1), tf.argmax(last, 1), name="metric")

    frozen = Frozen(tmp_path / "graph.pb", heads)
    model, _ = build_from_frozen_graph(frozen.path)
    assert model.layers[-1].name == "softmax2"


def test_a_shared_constant_serves_both_layers(tmp_path):
    def twice(x):
        kernel = weight("w", 3, 3, 3, 3)
        return tf.nn.conv2d(tf.nn.conv2d(x, kernel, 1, "SAME"), kernel, 1, "SAME")

    frozen = Frozen(tmp_path / "graph.pb", twice)
    model, _ = build_from_frozen_graph(frozen.path)
    np.testing.assert_allclose(np.asarray(model(pictures())), frozen.run(pictures()), rtol=1e-5, atol=1e-5)


def test_a_value_read_twice_is_not_swallowed_by_its_bias(tmp_path):
    def both(x):
        y = conv(x)
        return tf.concat([y, tf.nn.bias_add(y, weight("b", 4))], 3)

    frozen = Frozen(tmp_path / "graph.pb", both)
    model, _ = build_from_frozen_graph(frozen.path)
    np.testing.assert_allclose(np.asarray(model(pictures())), frozen.run(pictures()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("drop", [dropout_of_2016, lambda x: v1.nn.dropout(x, rate=0.1)], ids=["floor", "today's"])
def test_what_training_left_of_dropout_passes_everything(drop, tmp_path):
    frozen = Frozen(tmp_path / "graph.pb", lambda x: tf.nn.relu(drop(tf.nn.relu6(x)), name="after") * 1.0)
    model, _ = build_from_frozen_graph(frozen.path)
    np.testing.assert_allclose(np.asarray(model(pictures())), np.maximum(pictures(), 0), rtol=1e-6)


def test_control_inputs_are_ignored(tmp_path):
    def controlled(x):
        with tf.control_dependencies([tf.debugging.assert_greater(tf.reduce_max(x), -9.0)]):
            return tf.nn.relu(x * 2.0, name="relu")

    model, _ = build_from_frozen_graph(Frozen(tmp_path / "graph.pb", controlled).path, output="relu")
    assert [layer.name for layer in model.layers] == ["input", "mul", "relu"]


def test_a_size_nobody_stated_is_asked_for_or_given(tmp_path):
    def head(x):
        x = conv(tf.ensure_shape(x, (None, None, None, 3)) if x.shape.rank is None else x)
        return tf.matmul(tf.reshape(x, [-1, 4 * 144]), weight("w", 576, 5))

    path = Frozen(tmp_path / "graph.pb", head, shape=(None, None, None, 3)).path
    with pytest.raises(WeightsError, match="needs the size of the pictures"):
        build_from_frozen_graph(path)
    with pytest.raises(WeightsError, match="mixes pictures of a batch: another input_size fits, perhaps"):
        build_from_frozen_graph(path, input_size=24)
    assert build_from_frozen_graph(path, input_size=12)[0].output_shape == (None, 5)


def test_decoding_before_the_network_is_left_out_with_input(tmp_path):
    def decoded(x):
        x = tf.image.resize(tf.cast(x, tf.float32), (12, 12), name="resize")
        return tf.reduce_mean(conv(tf.identity(x, name="picture")), [1, 2], name="logits")

    path = Frozen(tmp_path / "graph.pb", decoded).path
    with pytest.raises(WeightsError, match=r"ResizeBilinear .*say with input=NODE"):
        build_from_frozen_graph(path)
    assert build_from_frozen_graph(path, input="picture", input_size=12)[0].output_shape == (None, 4)


REFUSED = {
    "1 operations are not known here:\n  Erf (strange)": lambda x: tf.math.erf(x * 2.0, name="strange"),
    "data format NCHW; expected NHWC": lambda x: tf.nn.conv2d(
        x, weight("w", 1, 1, 12, 2), 1, "SAME", data_format="NCHW"
    ),
    "normalises by the batch": lambda x: tf.raw_ops.FusedBatchNormV3(
        x=x, scale=[1.0] * 3, offset=[0.0] * 3, mean=[], variance=[], is_training=True
    )[0],
    "over the axes [1]": lambda x: tf.reduce_mean(x, 1),
    "pads with [1.0]; expected zeros": lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=1.0),
    "its kernel is 'input'": lambda x: tf.nn.conv2d(tf.nn.relu(x), x, 1, "SAME") + weight("b", 3),
    "of a constant that is neither one number nor one a channel": lambda x: x + weight("b", 12, 12, 3),
}


@pytest.mark.parametrize("told", REFUSED)
def test_what_has_no_layer_is_refused_by_name(told, tmp_path):
    shape = (3, 3, 3, 3) if "kernel" in told else (None, 12, 12, 3)
    frozen = Frozen(tmp_path / "graph.pb", REFUSED[told], shape=shape)
    with pytest.raises(WeightsError) as error:
        build_from_frozen_graph(frozen.path, output=frozen.end)
    assert told in str(error.value)


def test_switches_and_merges_say_how_to_freeze(tmp_path):
    def switched(x):
        training = v1.placeholder_with_default(False, (), name="is_training")
        a, b = tf.raw_ops.Switch(data=x, pred=training)
        return tf.raw_ops.Merge(inputs=[tf.nn.relu(a), tf.nn.relu6(b)])[0]

    frozen = Frozen(tmp_path / "graph.pb", switched)
    with pytest.raises(WeightsError, match=r"Switch .*freeze it built for use") as error:
        build_from_frozen_graph(frozen.path, output=frozen.end)
    assert "Merge" in str(error.value)


def test_an_unknown_output_lists_the_candidates(whole):
    with pytest.raises(
        WeightsError, match=r"no node 'probability'.*did you mean probabilities.*ends are probabilities"
    ):
        build_from_frozen_graph(whole.path, output="probability")


def test_a_loop_is_refused(tmp_path):
    graph = v1.GraphDef()
    graph.node.add(name="input", op="Placeholder")
    graph.node.add(name="c", op="Const").attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1.0))
    graph.node.add(name="a", op="AddV2", input=["input", "b"])
    graph.node.add(name="b", op="Relu", input=["a"])
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(WeightsError, match="a graph with loops"):
        build_from_frozen_graph(tmp_path / "graph.pb", output="b")


def test_names_that_fall_together_are_told_apart(tmp_path):
    frozen = Frozen(tmp_path / "graph.pb", lambda x: tf.nn.relu(tf.multiply(x, 2.0, name="a/b"), name="a.b"))
    _, names = build_from_frozen_graph(frozen.path)
    assert names == {"a/b": "a.b", "a.b": "a.b_2"}
