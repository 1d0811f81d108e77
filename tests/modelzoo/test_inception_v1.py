"""The two InceptionV1: Google's of 2014 and Berkeley's, held against independent implementations on equal weights."""

import keras
import numpy as np
import pytest

from modelzoo import load
from modelzoo.architectures import bvlc_googlenet, inception_v1
from modelzoo.graph import read_graph
from modelzoo.labels import read_classes
from modelzoo.network import features_node, logits_node
from modelzoo.registry import read_model_card
from modelzoo.weights import WeightsError, assign_weights
from tests.modelzoo.photos import right_of_50
from tests.modelzoo.seeded_weights import read_scores, relative_difference

# From black to white the published networks see about 255; at -1 to 1 the normalisation would do nothing.
CONTRAST = 127
DEPTHS = {
    "conv2d0": 64,
    "conv2d1": 64,
    "conv2d2": 192,
    "mixed3a": 256,
    "mixed3b": 480,
    "mixed4a": 508,
    "mixed4b": 512,
    "mixed4c": 512,
    "mixed4d": 528,
    "mixed4e": 832,
    "mixed5a": 832,
    "mixed5b": 1024,
    "head0_bottleneck": 128,
    "nn0": 1024,
    "softmax0": 1008,
    "head1_bottleneck": 128,
    "nn1": 1024,
    "softmax1": 1008,
    "softmax2": 1008,
}


@pytest.fixture(scope="module")
def lucents():
    """Scores of the network in PyTorch, with the published graph's normalisation, and of its heads."""
    return read_scores("inception_v1_lucent")


@pytest.fixture(scope="module")
def google(lucents):
    model = inception_v1.build()
    assign_weights(model, inception_v1.from_torch(lucents.tensors), origin="fixture")
    return model


def scores_of(model, addresses, pictures):
    graph = read_graph(model)
    found = graph.evaluate({graph.inputs[0].node: pictures}, [graph[address] for address in addresses])
    return [np.asarray(scores) for scores in found]


def test_scores_of_the_answer_and_of_both_heads_equal_the_independent_ones(google, lucents):
    addresses = [f"softmax{i}_pre_activation" for i in (2, 0, 1)]
    for found, expected in zip(scores_of(google, addresses, CONTRAST * lucents.pictures), lucents.logits, strict=True):
        assert relative_difference(found, expected) < 1e-4


def test_it_has_the_published_sizes(google):
    assert google.count_params() == 13_461_996
    assert inception_v1.build(heads=False).count_params() == 7_066_380
    graph = read_graph(google)
    assert {address: graph[address].shape[-1] for address in DEPTHS} == DEPTHS
    assert graph["head0_flat"].shape == (None, 2048)


def test_the_answer_is_the_first_output_and_its_features_the_pooled_ones(google):
    graph = read_graph(google)
    assert [graph.nodes[ref.node].address for ref in graph.outputs] == ["softmax2", "softmax0", "softmax1"]
    assert logits_node(graph).address == "softmax2_pre_activation"
    assert features_node(graph).address == "avgpool0"


def test_the_published_graph_and_its_conversion_give_the_same_weights(lucents):
    converted = inception_v1.from_torch(lucents.tensors)
    constants = {"mixed3a/concat_dim": np.int32(3), "nn0/reshape/shape": np.array([-1, 1024], np.int32)}
    for address, array in converted.items():
        layer, field = address.split("/")
        constants[f"{layer.removesuffix('_pre_activation')}_{'w' if field == 'kernel' else 'b'}"] = array
    assert {"conv2d0_w", "mixed5b_pool_reduce_b", "head0_bottleneck_w", "nn1_b", "softmax2_w"} < constants.keys()
    renamed = inception_v1.from_frozen_graph(constants)
    assert renamed.keys() == converted.keys()
    assert all(renamed[address] is array for address, array in converted.items())
    assert inception_v1.from_frozen_graph({"other_w": np.ones(1), "conv2d0_v": np.ones(1)}).keys() == {
        "other_w",
        "conv2d0_v",
    }


def test_without_heads_any_size_will_do(google, lucents):
    trunk = inception_v1.build(heads=False, input_shape=(None, None, 3))
    assign_weights(trunk, inception_v1.from_torch(lucents.tensors, heads=False), origin="fixture")
    pictures = CONTRAST * lucents.pictures[:1]
    [answer, *_] = google(pictures)
    np.testing.assert_allclose(trunk(pictures), answer, atol=1e-6)
    assert trunk(pictures[:, :96, :64]).shape == (1, 1008)


def test_a_file_without_heads_is_told_what_is_missing(google, lucents):
    only = {name: array for name, array in lucents.tensors.items() if not name.startswith(("head", "nn", "softmax0"))}
    with pytest.raises(WeightsError, match="head0_bottleneck/kernel"):
        assign_weights(google, inception_v1.from_torch(only), origin="inception5h.pth")


@pytest.mark.parametrize("size", [(None, None, 3), (64, 224, 3)])
def test_heads_need_room(size):
    with pytest.raises(ValueError, match="heads=False"):
        inception_v1.build(input_shape=size)


def test_its_classes_stand_in_the_order_of_the_development_kit():
    devkit, customary = read_classes("imagenet_devkit"), read_classes("imagenet")
    assert [devkit[i] for i in (0, 1, 2, 7, 538, 785, 946, 999)] == [
        *("kit fox", "English setter", "Siberian husky", "Egyptian cat", "cannon", "teddy", "espresso", "dumbbell")
    ]
    assert (devkit.wordnet_ids[428], devkit.wordnet_ids[544]) == ("n02012849", "n03126707")
    assert dict(zip(devkit.wordnet_ids, devkit.names, strict=True)) == dict(
        zip(customary.wordnet_ids, customary.names, strict=True)
    )
    net = load("InceptionV1", weights=None)
    assert net.class_index("Egyptian cat") == 8
    assert net.class_label(947) == "espresso"


# Berkeley's


def test_berkeleys_scores_equal_those_of_opencvs_reading_of_the_published_network():
    scores = read_scores("bvlc_googlenet_opencv")
    model = bvlc_googlenet.build()
    assert model.count_params() == 6_998_552
    assign_weights(model, bvlc_googlenet.from_caffe(scores.tensors), origin="fixture")
    [found] = scores_of(model, ["loss3_classifier"], CONTRAST * scores.pictures)
    assert relative_difference(found, scores.logits) < 1e-4


def test_blobs_of_training_are_left_out_and_strange_ones_are_not():
    blob = np.ones((4, 3, 1, 1), np.float32)
    names = ("loss1/conv.weight", "loss2/classifier.bias", "inception_3a/1x1.weight", "inception_9a/1x1.weight")
    renamed = bvlc_googlenet.from_caffe(dict.fromkeys(names, blob))
    assert {name: array.shape for name, array in renamed.items()} == {
        "inception_3a_1x1/kernel": (1, 1, 3, 4),
        "inception_9a/1x1.weight": (4, 3, 1, 1),
    }


@pytest.fixture(scope="module")
def berkeley(shared_data):
    return load("InceptionV1_caffe", weights=shared_data / "weights" / "bvlc_googlenet.safetensors")


def test_the_real_weights_know_39_of_50_photos(berkeley, shared_data):
    assert right_of_50(berkeley, shared_data) == 39


def test_the_real_weights_see_a_cat_and_an_espresso(berkeley):
    from skimage import data

    assert "cat" in berkeley.predict(data.chelsea() / 255, top=1).labels[0][0]
    assert berkeley.predict(data.coffee() / 255, top=1).labels[0][0] == "espresso"


@pytest.mark.parametrize("name", ["InceptionV1", "InceptionV1_caffe"])
def test_cards_name_layers_of_the_network_in_its_order(name):
    net, card = load(name, weights=None), read_model_card(name)
    positions = [net.layers[landmark].position for landmark in card.landmarks]
    assert positions == sorted(positions)
    assert all(address in net.graph for address in card.lucid.values())
    assert net.model.count_params() == card.parameters
    assert isinstance(net.model, keras.Model)
