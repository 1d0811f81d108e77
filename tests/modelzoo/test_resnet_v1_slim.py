"""TF-slim's ResNet v1: its scores, what it shares with Keras' network of that name and what not, names and sizes."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from modelzoo.architectures import keras_applications, resnet_v1_slim
from modelzoo.graph import read_graph
from modelzoo.registry import read_model_card
from modelzoo.weights import WeightsError, assign_weights
from tests.modelzoo.seeded_weights import FIXTURES, read_scores, relative_difference


@pytest.fixture(scope="module")
def slim():
    return read_scores("resnet_v1_50_slim")


@pytest.fixture(scope="module")
def small(slim):
    # Odd and even sizes: there TF-slim's padding of a strided convolution and TensorFlow's "same" are apart.
    model = resnet_v1_slim.build(input_shape=(75, 106, 3), classes=11)
    assign_weights(model, resnet_v1_slim.from_tf_checkpoint(slim.tensors), origin="fixture")
    return model


def test_it_scores_as_tf_slim_does_on_the_same_weights(small, slim):
    found = np.asarray(keras.Model(small.input, small.get_layer("logits").output)(slim.pictures))
    assert slim.logits.shape == (2, 11)
    assert np.abs(slim.logits[0] - slim.logits[1]).max() > 100
    assert relative_difference(found, slim.logits) < 1e-5


def keras_address(address):
    """Where an array of TF-slim's network belongs in that of Keras."""
    layer, variable = address.split("/")
    normalisation = layer.endswith("_bn")
    parts = layer.removesuffix("_bn").split("_")
    if layer == "logits":
        return f"predictions/{variable}"
    place = "conv1"
    if len(parts) > 1:
        number = {"shortcut": 0, "conv1": 1, "conv2": 2, "conv3": 3}[parts[-1]]
        place = f"conv{int(parts[0].removeprefix('block')) + 1}_block{parts[2]}_{number}"
    return f"{place}_{'bn' if normalisation else 'conv'}/{variable}"


def pooled_as_tf_slim_does(node):
    if node.address.startswith("pool1_pad"):
        return lambda x: x
    if node.address.startswith("pool1_pool"):
        return lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME")
    return None


def test_keras_network_on_these_weights_differs_by_its_first_pooling_alone(slim):
    arrays = {keras_address(k): v for k, v in resnet_v1_slim.from_tf_checkpoint(slim.tensors).items()}
    model = keras_applications.build(application="ResNet50", input_shape=(75, 106, 3), classes=11, name="keras")
    biases = {f"{x.name}/bias": np.zeros(x.filters) for x in model.layers if isinstance(x, keras.layers.Conv2D)}
    assign_weights(model, biases | arrays, origin="fixture")
    graph = read_graph(model)
    pictures, logits = {0: tf.constant(slim.pictures)}, [graph["predictions:linear"]]
    [same] = graph.evaluate(pictures, logits, replace=pooled_as_tf_slim_does)
    [other] = graph.evaluate(pictures, logits)
    assert relative_difference(np.asarray(same), slim.logits) < 1e-5
    assert 0.001 < relative_difference(np.asarray(other), slim.logits) < 0.1


def test_the_step_and_the_mean_are_left_out_and_nothing_else():
    names = ("global_step", "resnet_v1_50/mean_rgb", "resnet_v1_50/conv1/biases", "resnet_v1_50/block5/conv1/weights")
    found = resnet_v1_slim.from_tf_checkpoint({name: np.zeros(1) for name in names})
    assert list(found) == ["conv1/bias", names[3]]


def test_a_resnet_of_another_depth_or_version_is_named():
    with pytest.raises(WeightsError, match=r"one of resnet_v1_101 .*expected resnet_v1_50; load it as 'ResnetV1_101_s"):
        resnet_v1_slim.from_tf_checkpoint({"resnet_v1_101/conv1/weights": np.zeros(1)})
    with pytest.raises(
        WeightsError, match=r"one of resnet_v2_50 \(resnet_v2_50/conv1/biases\); expected resnet_v1_152$"
    ):
        resnet_v1_slim.from_tf_checkpoint({"resnet_v2_50/conv1/biases": np.zeros(1)}, units=(3, 8, 36, 3))
    with pytest.raises(ValueError, match=r"units are \(3, 4, 6\); expected 4 numbers of 1 or more"):
        resnet_v1_slim.build(units=(3, 4, 6))


@pytest.mark.parametrize(
    ("depth", "parameters", "arrays"), [(50, 25_557_032, 267), (101, 44_549_160, 522), (152, 60_192_808, 777)]
)
def test_size_depths_and_names_are_the_published_ones(depth, parameters, arrays):
    card = read_model_card(f"ResnetV1_{depth}_slim")
    model = resnet_v1_slim.build(**card.options)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == card.parameters == parameters
    assert len(model.weights) == arrays
    lucid = json.loads((FIXTURES / "lucid_zoo.json").read_text())[f"ResnetV1_{depth}"]["layers"]
    assert {name: model.get_layer(ours).output.shape[-1] for name, ours in card.lucid.items()} == lucid
    assert list(card.lucid.values()) == [*card.landmarks, "probabilities"]
    ends = [f"block{block}_unit_{last}_bottleneck_v1_relu" for block, last in enumerate(card.options["units"], start=1)]
    assert [model.get_layer(name).output.shape[1] for name in ends] == [28, 14, 7, 7]
