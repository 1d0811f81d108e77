"""What holds for every network of the zoo, whoever built it."""

import importlib
import json
import math
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from modelzoo.inventory import is_layer
from modelzoo.network import Network
from modelzoo.registry import packaged_cards

CLASSES = 12
# What holds at a small size holds at the published one; below these the last layers would have no place left.
SMALL = {"AlexNet": 99, "AlexNet_torchvision": 99, "VGG16": 32, "VGG19": 32}
SMALL |= dict.fromkeys(["InceptionV3", "InceptionV4", "InceptionResnetV2"], 107)
GIANTS = ("InceptionResnetV2", "NasnetLarge", "PnasnetLarge", "ResnetV1_101", "ResnetV1_152", "VGG19")
GIANTS += ("ResnetV1_101_slim", "ResnetV1_152_slim")
LUCID = json.loads((Path(__file__).parent / "fixtures" / "lucid_zoo.json").read_text())


def every_card():
    for name in packaged_cards():
        yield pytest.param(name, marks=[pytest.mark.slow] if name in GIANTS else [], id=name)


def small_network(name):
    """Build a network for few classes and small pictures, its weights random and its batch norms not idle."""
    card, size = packaged_cards()[name], SMALL.get(name, 96)
    # Sound networks are small, and their input is as their frontend makes it.
    small = card.input if card.input.audio else replace(card.input, height=size, width=size)
    module = importlib.import_module(f"modelzoo.architectures.{card.architecture}")
    keras.utils.set_random_seed(0)
    model = module.build(**card.options, input_shape=small.shape, classes=CLASSES, name=name.lower())
    card = replace(
        card,
        input=small,
        output=replace(card.output, size=CLASSES, classes=None, first_class=0),
    )
    return Network.of(model, card, weights="random")


@pytest.fixture(params=every_card(), scope="module")
def net(request):
    yield small_network(request.param)
    keras.utils.clear_session()


@pytest.fixture(scope="module")
def picture(net):
    shape = (1, net.input.height, net.input.width, net.input.channels)
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_it_gives_one_score_a_class(net, picture):
    found = net.predict(picture, top=3)
    assert found.logits.shape == (1, CLASSES)
    assert found.classes.shape == (1, 3)
    assert np.isfinite(found.logits).all()
    output = np.asarray(keras.tree.flatten(net.model(net.preprocess(picture), training=False))[0])
    end = net.graph[net.output_layer].nonlinearity
    if end == "softmax":
        assert output.sum() == pytest.approx(1, abs=1e-5)
    else:
        # Tags stand by themselves; an embedding is no probability at all.
        expected = {"sigmoid": 1 / (1 + np.exp(-found.logits)), None: found.logits}[end]
        np.testing.assert_allclose(output, expected, rtol=1e-5)


def test_its_table_is_complete_and_in_network_order(net):
    listed = {id(node.operation) for node in net.graph if is_layer(node)}
    assert {id(layer) for layer in net.model.layers} - listed == {id(net.graph.nodes[0].operation)}
    assert [layer.position for layer in net.layers] == list(range(len(net.layers)))
    assert all(ref.node < node.index for node in net.graph for ref in node.inputs)
    assert len(set(net.layers.names)) == len(net.layers)
    places = [net.layers[name].position for name in net.landmarks]
    assert places == sorted(places)
    assert len(set(places)) == len(net.landmarks) > 0
    assert net.layers[net.output_layer].channels == CLASSES


def test_every_layer_with_space_knows_what_it_sees(net):
    for layer in net.layers:
        if layer.is_spatial:
            assert layer.receptive_field_px is not None, layer.name
            assert all(map(math.isfinite, layer.receptive_field_px)), layer.name
            assert layer.stride_px is not None


def test_cut_at_any_landmark_it_answers_as_the_whole(net, picture):
    nodes = [net.node(name) for name in net.landmarks]
    whole = net.forward(picture, [*nodes, net.graph.nodes[net.graph.outputs[0].node]])
    for node, expected in zip(nodes, whole[:-1], strict=True):
        [alone] = net.forward(picture, [node])
        np.testing.assert_array_equal(np.asarray(alone), np.asarray(expected), err_msg=node.address)


def test_from_every_landmark_a_gradient_reaches_the_picture(net, picture):
    nodes = [net.node(name) for name in net.landmarks]
    pixels = tf.constant(picture)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(pixels)
        activations = net.forward(pixels, nodes)
        scores = [tf.reduce_mean(values[..., : values.shape[-1] // 2]) for values in activations]
    for node, score in zip(nodes, scores, strict=True):
        gradient = np.asarray(tape.gradient(score, pixels))
        assert np.isfinite(gradient).all(), node.address
        assert np.abs(gradient).max() > 0, node.address


def test_saved_and_loaded_it_answers_the_same(net, picture, tmp_path):
    net.model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras", compile=False)
    (tmp_path / "net.keras").unlink()
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in net.model.layers]
    values = net.preprocess(picture)
    np.testing.assert_array_equal(loaded(values, training=False), net.model(values, training=False))
    assert all(np.array_equal(a, b) for a, b in zip(loaded.get_weights(), net.model.get_weights(), strict=True))


def test_lucids_layers_are_as_deep_here(net):
    published = packaged_cards()[net.name].output.size
    depths = LUCID.get(net.name, {"layers": {}})["layers"]
    for name, ours in net.card.lucid.items():
        layer, depth = net.layers[ours], depths.get(name)
        # The classifiers were built for fewer classes; that the card has as many as Lucid is asked below.
        expected = CLASSES if depth == published and not layer.is_spatial else depth
        assert layer.channels == expected or depth is None, name


@pytest.mark.parametrize("name", [name for name in packaged_cards() if name in LUCID])
def test_where_a_card_differs_from_lucid_it_says_so(name):
    card, theirs = packaged_cards()[name], LUCID[name]
    assert (card.input.height, card.input.width) == tuple(theirs["size"])
    assert set(card.lucid) <= set(theirs["layers"])
    for layer, ours in card.lucid.items():
        if ours == card.output.layer:
            assert card.output.size == theirs["layers"][layer]
    low, high = (list(map(float, end)) for end in theirs["value_range"])
    ours = [list(ends) for ends in zip(*((o, o + s) for s, o in card.input.per_channel), strict=True)]
    same_values = np.allclose(ours, [low, high], atol=1e-3) and (card.input.channel_order == "BGR") == theirs["bgr"]
    if set(card.lucid) != set(theirs["layers"]) or not same_values:
        assert card.remark is not None
        assert "Lucid" in card.remark
