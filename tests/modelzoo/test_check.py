"""Trained weights are told from random ones, and a wrong range or channel order from the right one."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from modelzoo import load
from modelzoo.check import check_network
from modelzoo.inputs.sample_pictures import sample_pictures
from modelzoo.value_range import RangeError, suggest_value_range
from modelzoo.weights.graph_builder import build_from_frozen_graph


@pytest.fixture(scope="module")
def lite():
    return load("EfficientNetLite0")


def fed(net, **changes):
    # What is compiled for weighing takes the network's own values, whatever the card says.
    kept = {key: function for key, function in net._compiled.items() if key == ("value range",)}
    return replace(net, card=replace(net.card, input=replace(net.input, **changes)), _compiled=kept)


def test_trained_weights_look_trained(lite):
    found = check_network(lite)
    assert found.looks_trained
    assert found.better is None
    assert found.predictions.images == ("chelsea", "coffee", "grace_hopper")
    assert [labels[0] for labels in found.predictions.labels] == ["Egyptian cat", "espresso", "military uniform"]
    assert "The weights look trained" in repr(found)


@pytest.mark.slow
def test_random_weights_look_random():
    found = check_network(load("EfficientNetLite0", weights=None))
    assert not found.looks_trained
    assert found.better is None
    assert found.own.separation < 0.01
    assert "These look random" in found.verdict


@pytest.mark.slow
def test_random_weights_without_batch_normalisation_look_random_too():
    found = check_network(load("AlexNet", weights=None))
    assert not found.looks_trained


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"scale": (1.0,), "offset": (0.0,)}, id="0..1"),
        pytest.param({"scale": (255.0,), "offset": (0.0,)}, id="0..255", marks=pytest.mark.slow),
        pytest.param({"channel_order": "BGR"}, id="BGR", marks=pytest.mark.slow),
    ],
)
def test_a_wrong_input_is_noticed_and_the_right_one_named(changes, lite):
    found = check_network(fed(lite, **changes))
    assert found.better is not None
    assert found.better.label == "-1 .. 1"
    assert "is the card's range right?" in found.verdict


@pytest.mark.slow
def test_a_picture_of_ones_own_is_named(lite):
    found = check_network(lite, sample_pictures()["coffee"])
    assert len(found.predictions.images) == 1
    assert found.predictions.labels[0][0] == "espresso"


def test_the_sample_pictures_are_five_photos_in_0_to_1():
    photos = sample_pictures()
    assert sorted(photos) == ["chelsea", "china", "coffee", "flower", "grace_hopper"]
    assert all(p.ndim == 3 and p.dtype == np.float32 and p.min() >= 0 and p.max() <= 1 for p in photos.values())


@pytest.mark.slow
def test_the_range_is_suggested_from_the_answers_alone(lite):
    found = suggest_value_range(fed(lite, scale=(9.0,), offset=(3.0,)))
    assert (found.label, found.spec.height, found.spec.assumed) == ("-1 .. 1", 224, True)


@pytest.mark.slow
def test_the_range_of_published_networks_is_found(shared_data):
    weights = shared_data / "weights"
    frozen, _ = build_from_frozen_graph(weights / "mobilenet_v1_1.0_224_frozen.pb", input_size=224)
    found = {
        "frozen graph": suggest_value_range(load(frozen)).label,
        "Keras 2": suggest_value_range(load(weights / "mobilenet_v1_0.25_224.h5")).label,
        "Caffe": suggest_value_range(load("InceptionV1_caffe", weights=weights / "bvlc_googlenet.safetensors")).label,
    }
    assert found == {"frozen graph": "-1 .. 1", "Keras 2": "-1 .. 1", "Caffe": "BGR, 0 .. 255 less its means"}


def test_a_network_photos_say_nothing_about_is_refused():
    sound = keras.Input((8, 8, 1))
    with pytest.raises(RangeError, match="does not take one colour picture"):
        check_network(load(keras.Model(sound, layers.Dense(2)(layers.Flatten()(sound)))))
    image = keras.Input((8, 8, 3))
    with pytest.raises(RangeError, match="a single output"):
        check_network(load(keras.Model(image, layers.Dense(1)(layers.Flatten()(image)))))
