"""Fingerprints: the same work has the same one, other work another."""

from dataclasses import replace

import keras
import numpy as np
from keras import layers

from modelzoo.cards import InputSpec
from modelzoo.fingerprint import fingerprints
from modelzoo.graph import read_graph
from modelzoo.registry import packaged_cards
from tests import tiny

UNIT = InputSpec(height=None, width=None)


def named(model, spec=UNIT):
    graph = read_graph(model)
    found = fingerprints(graph, spec)
    return {node.address: found[node.index] for node in graph}


def unit(prefix="", size=16, kernel=None):
    image = keras.Input((size, size, 3), name=prefix + "image")
    x = layers.Conv2D(4, 3, use_bias=False, name=prefix + "conv")(image)
    x = layers.BatchNormalization(name=prefix + "bn")(x)
    x = layers.ReLU(name=prefix + "relu")(x)
    model = keras.Model(image, layers.Dropout(0.5, name=prefix + "drop")(x))
    weights = np.random.default_rng(0).normal(size=(3, 3, 3, 4)) if kernel is None else kernel
    model.get_layer(prefix + "conv").set_weights([weights])
    return model


def test_a_convolution_its_batch_norm_and_its_relu_differ():
    found = named(unit())
    assert len({found[name] for name in ("image", "conv", "bn", "relu")}) == 4
    assert all(len(value) == 64 for value in found.values())


def test_a_dropout_has_the_fingerprint_of_what_it_reads():
    found = named(unit())
    assert found["drop"] == found["relu"]


def test_names_and_input_size_play_no_part():
    assert list(named(unit()).values()) == list(named(unit(prefix="other_", size=32)).values())


def test_one_changed_weight_changes_all_that_follows_and_nothing_before():
    before, model = named(unit()), unit()
    gamma = model.get_layer("bn").gamma
    gamma.assign(np.array([1, 1, 1, 1.001], np.float32))
    after = named(model)
    assert before["conv"] == after["conv"]
    assert before["bn"] != after["bn"]
    assert before["relu"] != after["relu"]


def test_the_preprocessing_is_the_root():
    ours, theirs = named(unit()), named(unit(), InputSpec.from_value_range(-1, 1))
    assert ours["conv"] != theirs["conv"]
    reversed_order = named(unit(), InputSpec(height=None, width=None, channel_order="BGR"))
    assert ours["conv"] != reversed_order["conv"]


def test_attributes_that_change_the_work_change_the_fingerprint():
    kernel = np.zeros((3, 3, 3, 4), np.float32)

    def first(**arguments):
        image = keras.Input((16, 16, 3), name="image")
        model = keras.Model(image, layers.Conv2D(4, 3, use_bias=False, name="conv", **arguments)(image))
        model.get_layer("conv").set_weights([kernel])
        return named(model)["conv"]

    found = [first(), first(strides=2), first(padding="same"), first(dilation_rate=2)]
    assert len(set(found)) == 4


def test_an_activation_inside_a_layer_or_after_it_is_the_same_work():
    kernel, bias = np.ones((1, 1, 3, 2), np.float32), np.zeros(2, np.float32)
    image = keras.Input((4, 4, 3), name="image")
    inside = keras.Model(image, layers.Conv2D(2, 1, activation="relu", name="conv")(image))
    after = keras.Model(image, layers.ReLU(name="relu")(layers.Conv2D(2, 1, name="conv")(image)))
    for model in (inside, after):
        model.get_layer("conv").set_weights([kernel, bias])
    assert named(inside)["conv"] == named(after)["relu"]
    assert named(inside)["conv:linear"] == named(after)["conv"]


def test_a_frozen_trunk_under_a_new_head_keeps_its_fingerprints():
    model = tiny.linear_tail()
    pooled = layers.GlobalAveragePooling2D(name="p")(model.get_layer("features").output)
    transferred = keras.Model(model.input, layers.Dense(2, name="new_head")(pooled))
    assert named(transferred)["features"] == named(model)["features"]


def test_a_nested_trunk_keeps_its_fingerprints():
    inner = tiny.linear_tail()
    trunk = keras.Model(inner.input, inner.get_layer("features").output, name="trunk")
    image = keras.Input((8, 6, 3), name="picture")
    outer = keras.Model(image, layers.GlobalAveragePooling2D()(trunk(image)))
    assert named(outer)["trunk/features"] == named(inner)["features"]


def test_constants_of_operations_count():
    def scaled(factor):
        image = keras.Input((4, 4, 3), name="image")
        graph = read_graph(keras.Model(image, image * factor))
        return fingerprints(graph, UNIT)[1]

    assert scaled(2.0) != scaled(3.0)
    assert scaled(2.0) == scaled(2.0)


def test_a_sound_networks_frontend_counts_but_not_how_sounds_are_cut():
    audio = packaged_cards()["Yamnet256_esc10"].input.audio
    spec = InputSpec(64, 96, channels=1, audio=audio)
    image = keras.Input((96, 64, 1), name="patches")
    keras.utils.set_random_seed(0)
    graph = read_graph(keras.Model(image, keras.layers.Conv2D(2, 3, name="conv")(image)))

    def of(**changes):
        return fingerprints(graph, replace(spec, audio=replace(audio, **changes)))[1]

    assert of(fmin_hz=125.0) == of() == of(overlap=0.5) == of(trim_db=30.0) == of(ceiling=9.0)
    others = [of(fmax_hz=7000), of(hop_samples=161), of(mel_scale="slaney"), of(power=2), of(time_first=False)]
    others.append(of(log=replace(audio.log, offset=1e-3)))
    assert len({of(), *others}) == 7


def test_how_much_of_a_photo_is_shown_does_not_count():
    assert named(unit(), replace(UNIT, crop=0.875)) == named(unit(), UNIT)


def test_the_fingerprint_is_the_same_on_every_machine():
    # Literal: a change of this value makes every spritemap ever rendered unfindable, so it must be meant.
    assert named(unit())["relu"] == LITERAL


LITERAL = "1e916c07f3497a3b7915db052840bab1f1c9f1b61d94b25ba805a11c80f4aa95"
