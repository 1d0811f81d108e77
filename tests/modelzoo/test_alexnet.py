"""AlexNet, held against OpenCV's reading of the published network on equal weights, and its three sources."""

import numpy as np
import pytest

from modelzoo.architectures import alexnet
from modelzoo.graph import read_graph
from modelzoo.network import features_node, logits_node
from modelzoo.registry import read_model_card
from modelzoo.weights import WeightsError, assign_weights
from tests.modelzoo.seeded_weights import read_scores, relative_difference

CONTRAST = 127


@pytest.fixture(scope="module")
def opencvs():
    return read_scores("alexnet_opencv")


@pytest.fixture(scope="module")
def weights(opencvs):
    return alexnet.from_caffe(opencvs.tensors)


@pytest.fixture(scope="module")
def model(weights):
    model = alexnet.build()
    assign_weights(model, weights, origin="fixture")
    return model


def test_scores_equal_those_of_opencvs_reading_of_the_published_network(model, opencvs):
    graph = read_graph(model)
    [found] = graph.evaluate({graph.inputs[0].node: CONTRAST * opencvs.pictures}, [graph["fc8"]])
    assert relative_difference(np.asarray(found), opencvs.logits) < 1e-4


def test_it_has_the_published_sizes(model):
    graph, card = read_graph(model), read_model_card("AlexNet")
    assert model.count_params() == card.parameters == 60_965_224
    sizes = {"conv1": (55, 96), "pool1": (27, 96), "conv2": (27, 256), "conv3": (13, 384), "pool5": (6, 256)}
    assert {name: graph[name].shape[2:] for name in sizes} == sizes
    assert {ours: graph[ours].shape[-1] for ours in card.lucid.values()} == {
        "conv1": 96,
        "conv3": 384,
        "fc6": 4096,
        "fc7": 4096,
        "prob": 1000,
    }
    assert logits_node(graph).address == "fc8"
    assert features_node(graph).address == card.output.pre_output_layer == "fc7"


def test_the_second_half_of_conv2_does_not_see_the_first_half_of_conv1(model):
    graph = read_graph(model)
    features = np.zeros((1, 27, 27, 96), np.float32)
    changed = features.copy()
    changed[..., :48] = 1
    conv2 = graph["conv2:linear"]
    before, after = (
        np.asarray(graph.evaluate({graph["pool1"].index: values}, [conv2])[0]) for values in (features, changed)
    )
    np.testing.assert_array_equal(before[..., 128:], after[..., 128:])
    assert np.abs(before - after)[..., :128].max() > 0.1


def test_all_three_sources_give_the_same_weights(weights):
    by_place, by_node = {}, {"split/split_dim": np.int32(3), "Const": np.float32(1), "Reshape/shape": np.ones(2, int)}
    for address, array in weights.items():
        layer, field = address.split("/")
        by_place[f"{layer}.{0 if field == 'kernel' else 1}"] = array
        by_node[f"{layer}/{'weights' if field == 'kernel' else 'biases'}"] = array
    for renamed in (alexnet.from_numpy_dict(by_place), alexnet.from_frozen_graph(by_node)):
        assert renamed.keys() == weights.keys()
        assert all(renamed[address] is array for address, array in weights.items())


def test_a_tensor_of_no_layer_keeps_its_name():
    stray = {"conv6.weight": np.ones((2, 2)), "conv1.scale": np.ones(2)}
    assert alexnet.from_caffe(stray).keys() == stray.keys()
    assert alexnet.from_numpy_dict({"conv1.2": np.ones(2)}).keys() == {"conv1.2"}


def test_fc6_counts_channels_first_in_caffe_and_last_here():
    caffes = np.zeros((1, 256 * 36), np.float32)
    caffes[0, 5 * 36 + 2 * 6 + 3] = 1
    turned = alexnet.from_caffe({"fc6.weight": caffes})["fc6/kernel"]
    assert turned.shape == (9216, 1)
    assert np.flatnonzero(turned).tolist() == [(2 * 6 + 3) * 256 + 5]
    with pytest.raises(WeightsError, match="256 channels of 6 x 6"):
        alexnet.from_caffe({"fc6.weight": caffes[:, :-1]})


@pytest.mark.parametrize("size", [(None, None, 3), (60, 227, 3)])
def test_it_needs_a_fixed_size(size):
    with pytest.raises(ValueError, match="at least 67 x 67"):
        alexnet.build(input_shape=size)
