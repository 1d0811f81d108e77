"""Constants of frozen graphs: the arrays by name, and an error for what is no frozen graph."""

import numpy as np
import pytest
import tensorflow as tf

from modelzoo import load
from modelzoo.architectures import inception_v1
from modelzoo.weights import WeightsError
from modelzoo.weights.frozen_graph import read_constants
from tests.modelzoo.seeded_weights import read_scores

KERNEL = np.arange(12, dtype=np.float32).reshape(2, 2, 1, 3)


def graph_of(constants):
    graph = tf.compat.v1.GraphDef()
    graph.node.add(name="input", op="Placeholder")
    for name, value in constants.items():
        node = graph.node.add(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    graph.node.add(name="conv", op="Conv2D", input=["input", "conv_w"])
    return graph


@pytest.fixture
def read(tmp_path):
    def read_bytes(content):
        (tmp_path / "graph.pb").write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        return read_constants(tmp_path / "graph.pb")

    return read_bytes


def test_constants_come_by_name_in_order_with_their_dtypes(read):
    constants = {
        "conv_w": KERNEL,
        "axis": np.int32(3),
        "half": np.float16([0.5]),
        "label": "cat",
        "flag": np.array(True),
    }
    found = read(graph_of(constants))
    assert list(found) == ["conv_w", "axis", "half", "flag"]
    for name, array in found.items():
        assert array.dtype == np.asarray(constants[name]).dtype
        np.testing.assert_array_equal(array, constants[name])


def test_one_value_for_a_whole_array_is_filled(read):
    graph = graph_of({"conv_w": KERNEL})
    tensor = graph.node.add(name="bias", op="Const").attr["value"].tensor
    tensor.dtype = tf.float32.as_datatype_enum
    tensor.tensor_shape.dim.add(size=5)
    tensor.float_val.append(0.25)
    np.testing.assert_array_equal(read(graph)["bias"], np.full(5, 0.25, np.float32))


def test_a_published_network_arrives_whole_in_its_model(tmp_path):
    expected = inception_v1.from_torch(read_scores("inception_v1_lucent").tensors)
    constants = {"mixed3a/concat_dim": np.int32(3), "avgpool0/reshape/shape": np.int32([-1, 1024])}
    for address, array in expected.items():
        layer, field = address.split("/")
        constants[f"{layer.removesuffix('_pre_activation')}_{'w' if field == 'kernel' else 'b'}"] = array
    (tmp_path / "tensorflow_inception_graph.pb").write_bytes(graph_of(constants).SerializeToString())
    net = load("InceptionV1", weights=tmp_path / "tensorflow_inception_graph.pb")
    for layer in ("conv2d0", "mixed4a_3x3", "nn1", "softmax2_pre_activation"):
        np.testing.assert_array_equal(net.model.get_layer(layer).kernel, expected[f"{layer}/kernel"])


def test_a_real_frozen_graph(shared_data):
    found = read_constants(shared_data / "weights" / "mobilenet_v1_1.0_224_frozen.pb")
    assert found["MobilenetV1/Conv2d_0/weights"].shape == (3, 3, 3, 32)
    assert found["MobilenetV1/Logits/Conv2d_1c_1x1/weights"].shape == (1, 1, 1024, 1001)


def broken(kind):
    graph = graph_of({"conv_w": KERNEL})
    tensor = graph.node[1].attr["value"].tensor
    if kind == "twice":
        graph.node.add().CopyFrom(graph.node[1])
    elif kind == "short":
        tensor.tensor_content = tensor.tensor_content[:-4]
    elif kind == "huge":
        tensor.ClearField("tensor_content")
        tensor.float_val.append(1.0)
        tensor.tensor_shape.dim[0].size = 2**40
    elif kind == "open":
        tensor.tensor_shape.dim[0].size = -1
    elif kind == "dtype":
        tensor.dtype = 99
    return graph


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "0 bytes"),
        (b'node {\n  name: "x"\n}', "a graph in text"),
        (b"\x89HDF\r\n\x1a\n", "no frozen graph"),
        (graph_of({"conv_w": KERNEL}).SerializeToString()[:-3], "truncated"),
        (b"\x08\x01", "saved_model.pb is another format"),
        (graph_of({}), "2 nodes without a constant"),
        (broken("twice"), "two constants are called 'conv_w'"),
        (broken("short"), "'conv_w'"),
        (broken("huge"), "would not fit in memory"),
        (broken("open"), "has no shape"),
        (broken("dtype"), "'conv_w'"),
    ],
)
def test_what_is_no_frozen_graph_is_refused(content, told, read):
    with pytest.raises(WeightsError, match=told):
        read(content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no file .*graph.pb"):
        read_constants(tmp_path / "graph.pb")
