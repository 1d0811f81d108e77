"""The reader of Caffe's files: three generations of them, and files that lie about their lengths."""

import numpy as np
import pytest

from modelzoo import load
from modelzoo.architectures import bvlc_googlenet
from modelzoo.weights import WeightsError
from modelzoo.weights.caffemodel import read_caffemodel
from tests.modelzoo.caffe_files import (
    blob,
    field,
    four_dimensional_blob,
    layer,
    network,
    v0_layer,
    v1_layer,
    varint,
)
from tests.modelzoo.seeded_weights import read_scores

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
DENSE = np.arange(6, dtype=np.float32).reshape(2, 3)
BIAS = np.array([0.5, -1.5], np.float32)


@pytest.fixture
def read(tmp_path):
    def read_bytes(content: bytes) -> dict[str, np.ndarray]:
        (tmp_path / "net.caffemodel").write_bytes(content)
        return read_caffemodel(tmp_path / "net.caffemodel")

    return read_bytes


def assert_arrays(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
        found[name][...] = 0


def test_a_file_of_today(read):
    content = (
        field(1, b"net")
        + layer("data", "Input")
        + layer("conv1/7x7_s2", "Convolution", blob(KERNEL), blob(BIAS))
        + layer("fc", "InnerProduct", blob(DENSE))
        + layer("bn", "BatchNorm", blob(BIAS), blob(BIAS), blob(np.float64([999.0])))
    )
    expected = {"conv1/7x7_s2.weight": KERNEL, "conv1/7x7_s2.bias": BIAS, "fc.weight": DENSE}
    expected |= {"bn.weight": BIAS, "bn.bias": BIAS, "bn.2": np.float64([999.0])}
    assert_arrays(read(content), expected)


@pytest.mark.parametrize("packed", [True, False])
def test_files_of_before_2014_lose_dimensions_that_carry_nothing(read, packed):
    blobs = [four_dimensional_blob(array, packed=packed) for array in (KERNEL, BIAS, DENSE)]
    single = four_dimensional_blob(KERNEL[:1, :1], packed=packed)
    expected = {"conv.weight": KERNEL, "conv.bias": BIAS, "one.weight": KERNEL[:1, :1], "fc.weight": DENSE}
    v1 = v1_layer("conv", "Convolution", *blobs[:2]) + v1_layer("one", "Convolution", single)
    assert_arrays(read(v1 + v1_layer("fc", "InnerProduct", blobs[2])), expected)
    v0 = v0_layer("conv", "conv", *blobs[:2]) + v0_layer("one", "conv", single)
    assert_arrays(read(v0 + v0_layer("fc", "innerproduct", blobs[2])), expected)


def test_fields_of_no_interest_are_passed_over(read):
    noise = varint(9 << 3 | 1) + bytes(8) + varint(9 << 3 | 5) + bytes(4) + field(10, 2**63) + field(11, b"x" * 300)
    gradient = blob(BIAS) + field(6, bytes(8))
    assert_arrays(read(noise + layer("a", "Bias", gradient) + noise), {"a.weight": BIAS})


def test_a_published_network_arrives_whole_in_its_model(tmp_path):
    scores = read_scores("bvlc_googlenet_opencv")
    training = {"loss1/classifier.weight": DENSE, "loss1/classifier.bias": BIAS}
    (tmp_path / "random.caffemodel").write_bytes(network({**scores.tensors, **training}))
    net = load("InceptionV1_caffe", weights=tmp_path / "random.caffemodel")
    expected = bvlc_googlenet.from_caffe(scores.tensors)["inception_5b_5x5/kernel"]
    np.testing.assert_array_equal(net.model.get_layer("inception_5b_5x5").kernel, expected)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b'name: "net"\nlayer {\n  name: "data"\n}\n', "description in text"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "no .caffemodel file"),
        (field(1, b"net"), "holds no weights"),
        (layer("conv", "Convolution", blob(KERNEL))[:-1], "ends at byte"),
        (b"\xff" * 11, "more than ten bytes"),
        (b"\xff" * 3, "has no end"),
        (varint(100 << 3 | 2) + varint(2**60), "the message at"),
        (varint(100 << 3 | 3), "wire type 3"),
        (layer("fc", "InnerProduct", field(7, field(1, b"\x02\x04")) + field(5, bytes(24))), r"24 bytes.*\(2, 4\).*32"),
        (layer("fc", "InnerProduct", field(7, field(1, varint(2**50))) + field(5, b"")), "absurd size"),
        (layer("fc", "InnerProduct", field(5, bytes(4))), r"\(0, 0, 0, 0\), which needs 0"),
        (layer("fc", "InnerProduct", blob(BIAS)) * 2, "two blobs are called 'fc.weight'"),
        (layer("fc", "X", blob(BIAS)[:-2]), r"ends at byte.*\(blob 0 of the layer 'fc'\)"),
        (field(100, field(1, b"\xff\xfe") + field(7, blob(BIAS))), "utf-8"),
    ],
)
def test_a_file_that_lies_is_refused(content, told, read):
    with pytest.raises(WeightsError, match=told):
        read(content)


def test_every_truncation_is_an_error_or_fewer_layers(read):
    content = network({"conv.weight": KERNEL, "conv.bias": BIAS, "fc.weight": DENSE})
    whole = read(content)
    for length in range(len(content)):
        try:
            found = read(content[:length])
        except WeightsError:
            continue
        assert found.keys() < whole.keys()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no file .*net.caffemodel"):
        read_caffemodel(tmp_path / "net.caffemodel")
