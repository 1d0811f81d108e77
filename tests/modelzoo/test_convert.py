"""A network from a file joins the zoo: written whole or not at all, listed, loaded, and never at another's expense."""

import json
import tomllib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from modelzoo import InputSpec, UnknownModelError, load, models
from modelzoo.architectures.local_response import LocalResponseNormalization
from modelzoo.cards import CardError
from modelzoo.convert import convert
from modelzoo.registry import broken_cards, cards, packaged_cards
from modelzoo.weights import WeightsError
from tests.modelzoo.graph_files import Frozen, weight
from tests.modelzoo.photos import right_of_50


@pytest.fixture(autouse=True)
def zoo(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "zoo"


def head(x):
    x = tf.nn.relu(tf.nn.conv2d(x, weight("w", 3, 3, 3, 4), 2, "SAME", name="stem/conv"), name="stem/relu")
    return tf.nn.softmax(tf.matmul(tf.reduce_mean(x, [1, 2]), weight("fc", 4, 6)), name="head/softmax")


@pytest.fixture
def graph(tmp_path):
    return Frozen(tmp_path / "graph.pb", head)


@pytest.fixture
def keras_file(tmp_path):
    image = keras.Input((12, 12, 3), name="image")
    x = LocalResponseNormalization(2, alpha=1e-4, beta=0.75, name="norm")(layers.Conv2D(4, 3, name="conv")(image))
    x = layers.Dense(6, name="logits")(layers.GlobalAveragePooling2D(name="mean")(x))
    model = keras.Model(image, layers.Softmax(name="answer")(x), name="small")
    model.save(tmp_path / "small.keras")
    return tmp_path / "small.keras"


def test_a_frozen_graph_becomes_a_network_with_a_card(graph, zoo):
    place = convert(graph.path, name="MyNet", input_size=12, value_range=(-1, 1))
    assert place == zoo / "MyNet"
    assert sorted(p.name for p in place.iterdir()) == ["card.toml", "model.keras"]
    net = load("MyNet")
    assert (net.name, net.input.height, net.input.value_range, net.input.assumed) == ("MyNet", 12, (-1.0, 1.0), False)
    assert (net.output_layer, net.output_size, net.pre_output_layer) == ("head.softmax", 6, "Mean")
    assert net.card.lucid["stem/relu"] == "stem.relu"
    pictures = np.random.default_rng(0).random((2, 12, 12, 3), np.float32)
    expected = graph.run(2 * pictures - 1)
    np.testing.assert_allclose(net.activations(pictures, "head.softmax"), expected, rtol=1e-4, atol=1e-6)


def test_the_zoo_lists_it_after_the_packaged_ones(graph):
    convert(graph.path, name="AAA", input_size=12, value_range=(0, 1))
    assert list(cards()) == [*packaged_cards(), "AAA"]
    assert models().loc["AAA", "weights"] == "ready"
    assert models().loc["AAA", "outputs"] == 6


def test_a_layer_of_our_own_loads_in_safe_mode(keras_file):
    convert(keras_file, name="Small", value_range=(0, 255))
    assert type(load("small").model.get_layer("norm")).__name__ == "LocalResponseNormalization"


def test_random_weights_leave_the_trained_ones(keras_file):
    convert(keras_file, name="Small", value_range=(0, 255))
    trained, random = load("Small"), load("Small", weights=None)
    assert random.weights == "random"
    assert not np.array_equal(trained.model.get_layer("conv").kernel, random.model.get_layer("conv").kernel)


def test_other_values_may_be_said_at_loading(keras_file):
    convert(keras_file, name="Small", value_range=(0, 255))
    assert load("Small", input=(-1, 1)).input.value_range == (-1.0, 1.0)


def test_channels_in_another_order_are_described_in_full(keras_file):
    spec = InputSpec(None, None, channel_order="BGR", scale=(255.0,), offset=(-104.0, -117.0, -123.0))
    convert(keras_file, name="Small", value_range=spec)
    found = load("Small").input
    assert (found.height, found.channel_order, found.offset) == (12, "BGR", (-104.0, -117.0, -123.0))


def test_a_range_nobody_said_is_a_guess_and_says_so(keras_file):
    convert(keras_file, name="Small")
    card = cards()["Small"]
    assert card.input.assumed
    assert "is a guess from its answers to known photos" in card.remark


def test_a_tfjs_model_with_its_topology(tmp_path):
    image = keras.Input((8, 8, 3), name="image")
    x = layers.GlobalAveragePooling2D(name="mean")(layers.Conv2D(4, 3, name="conv", bias_initializer="normal")(image))
    model = keras.Model(image, layers.Dense(3, name="head")(x), name="tiny")
    named = {f"{layer.name}/{v.name}": np.asarray(v) for layer in model.layers for v in layer.weights}
    (tmp_path / "shard.bin").write_bytes(b"".join(array.astype("<f4").tobytes() for array in named.values()))
    config = {
        "name": "tiny",
        "layers": [
            _layer("InputLayer", "image", [], batch_input_shape=[None, 8, 8, 3], dtype="float32"),
            _layer("Conv2D", "conv", ["image"], filters=4, kernel_size=[3, 3]),
            _layer("GlobalAveragePooling2D", "mean", ["conv"]),
            _layer("Dense", "head", ["mean"], units=3),
        ],
        "input_layers": [["image", 0, 0]],
        "output_layers": [["head", 0, 0]],
    }
    topology = {"keras_version": "2.2.4", "model_config": {"class_name": "Model", "config": config}}
    entries = [{"name": n, "shape": list(a.shape), "dtype": "float32"} for n, a in named.items()]
    manifest = [{"paths": ["shard.bin"], "weights": entries}]
    content = {"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest}
    (tmp_path / "model.json").write_text(json.dumps(content))
    convert(tmp_path / "model.json", name="Tiny", value_range=(0, 1))
    pictures = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    np.testing.assert_allclose(load("Tiny").activations(pictures, "head"), np.asarray(model(pictures)), rtol=1e-5)


def test_a_tfjs_model_with_code_is_refused(tmp_path):
    (tmp_path / "shard.bin").write_bytes(np.zeros(1, "<f4").tobytes())
    config = {"name": "tiny", "layers": [_layer("Lambda", "evil", [], function="import os")]}
    weights = [{"paths": ["shard.bin"], "weights": [{"name": "a/b", "shape": [1], "dtype": "float32"}]}]
    content = {"modelTopology": {"class_name": "Sequential", "config": config}, "weightsManifest": weights}
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match="brings code along"):
        convert(tmp_path / "model.json", name="Tiny", value_range=(0, 1))


def _layer(kind, name, before, **config):
    calls = [[[each, 0, 0, {}] for each in before]] if before else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": calls}


@pytest.mark.parametrize("name", ["", "../out", "a/b", ".hidden", "a\\b", "net.keras", "net.", "x" * 65, "net\n"])
def test_a_name_that_leaves_the_folder_is_refused(name, graph, zoo):
    with pytest.raises(CardError, match="cannot call a network"):
        convert(graph.path, name=name, input_size=12, value_range=(0, 1))
    assert not zoo.exists()


def test_names_of_the_zoo_are_taken(graph):
    with pytest.raises(CardError, match="the zoo has a network 'VGG16'"):
        convert(graph.path, name="vgg-16", input_size=12, value_range=(0, 1))


def test_nothing_is_overwritten_unless_asked(graph, zoo):
    convert(graph.path, name="MyNet", input_size=12, value_range=(0, 1))
    with pytest.raises(FileExistsError, match=r"choose another name.*--overwrite"):
        convert(graph.path, name="MyNet", input_size=12, value_range=(-1, 1))
    with pytest.raises(FileExistsError, match="MyNet is there already"):
        convert(graph.path, name="my-net", input_size=12, value_range=(-1, 1), overwrite=True)
    convert(graph.path, name="MyNet", input_size=12, value_range=(-1, 1), overwrite=True)
    assert cards()["MyNet"].input.value_range == (-1.0, 1.0)
    assert [p.name for p in zoo.iterdir()] == ["MyNet"]


def test_a_failure_leaves_nothing_behind(graph, zoo, monkeypatch):
    import tomli_w

    def fail(content):
        raise OSError("disk full")

    monkeypatch.setattr(tomli_w, "dumps", fail)
    with pytest.raises(OSError, match="disk full"):
        convert(graph.path, name="MyNet", input_size=12, value_range=(0, 1))
    assert list(zoo.iterdir()) == []


def test_a_broken_card_is_listed_and_spoils_no_other(graph, zoo):
    convert(graph.path, name="Good", input_size=12, value_range=(0, 1))
    (zoo / "Bad").mkdir()
    (zoo / "Bad" / "card.toml").write_text('name = "Bad"')
    (zoo / "Empty").mkdir()
    table = models()
    assert table.loc["Good", "weights"] == "ready"
    assert table.loc["Bad", "weights"].endswith("the field 'title' is missing")
    assert "has no card.toml" in table.loc["Empty", "weights"]
    assert list(broken_cards()) == ["Bad", "Empty"]
    with pytest.raises(CardError, match="the field 'title' is missing"):
        load("bad")
    with pytest.raises(UnknownModelError, match="did you mean"):
        load("Goood")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "Other", "is called 'Other'; expected 'Good'"),
        ("path", "../../elsewhere.keras", "lies outside its folder"),
        ("kind", "wheel", "expected|needs the field"),
    ],
)
def test_a_card_edited_into_nonsense_is_told(field, value, told, graph, zoo):
    import tomli_w

    place = convert(graph.path, name="Good", input_size=12, value_range=(0, 1)) / "card.toml"
    content = tomllib.loads(place.read_text())
    (content if field == "name" else content["weights"][0])[field] = value
    place.write_text(tomli_w.dumps(content))
    with pytest.raises(CardError, match=told):
        raise broken_cards()["Good"]


def test_a_model_file_that_changed_is_refused(graph, zoo):
    place = convert(graph.path, name="MyNet", input_size=12, value_range=(0, 1))
    (place / "model.keras").write_bytes((place / "model.keras").read_bytes()[:-1])
    with pytest.raises(WeightsError, match="truncated"):
        load("MyNet")


def test_weights_of_another_file_are_refused(graph):
    convert(graph.path, name="MyNet", input_size=12, value_range=(0, 1))
    with pytest.raises(WeightsError, match="is a whole model"):
        load("MyNet", weights="other.h5")


def test_a_label_set_must_fit_and_background_is_found(tmp_path, graph):
    with pytest.raises(CardError, match="the label set 'imagenet' has 1000 classes, and from output 0 on"):
        convert(graph.path, name="MyNet", input_size=12, value_range=(0, 1), classes="imagenet")
    image = keras.Input((4, 4, 3))
    keras.Model(image, layers.Dense(1001)(layers.Flatten()(image))).save(tmp_path / "wide.keras")
    convert(tmp_path / "wide.keras", name="Wide", value_range=(0, 1), classes="imagenet")
    assert load("Wide").class_label(1) == "tench"
    assert load("Wide").class_label(0) == "background"


def test_what_does_not_fit_the_file_is_told(keras_file, tmp_path):
    with pytest.raises(CardError, match="takes pictures of 12 x 12 pixels; input_size says 13"):
        convert(keras_file, name="Small", input_size=13, value_range=(0, 1))
    with pytest.raises(WeightsError, match=r"nodes of a frozen graph"):
        convert(keras_file, name="Small", output="answer")
    with pytest.raises(WeightsError, match="no known format of whole models"):
        convert(tmp_path / "model.onnx", name="Small")


def test_the_published_mobilenet_answers_as_stated(shared_data):
    file = shared_data / "weights" / "mobilenet_v1_1.0_224_frozen.pb"
    convert(file, name="MyMobilenet", input_size=224, value_range=(-1, 1), classes="imagenet")
    net = load("MyMobilenet")
    assert (net.card.output.first_class, net.input.crop) == (1, 0.875)
    assert right_of_50(net, shared_data) == 45
