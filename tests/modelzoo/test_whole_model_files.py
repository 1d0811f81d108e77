"""Whole models from files: those of a Keras that is gone, those of today, and those that must not be opened."""

import json

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from modelzoo.cards import InputSpec
from modelzoo.registry import load
from modelzoo.weights import WeightsError
from tests.modelzoo.photos import right_of_50


def node(name, call=0):
    return [[[name, call, 0, {}]]]


def layer(kind, name, inputs, **config):
    return {"class_name": kind, "name": name, "inbound_nodes": inputs, "config": {"name": name, **config}}


def image(name, shape):
    return layer("InputLayer", name, [], batch_input_shape=[None, *shape], dtype="float32")


def functional(name, inside, first, last):
    config = {"name": name, "layers": inside, "input_layers": [[first, 0, 0]], "output_layers": [[last, 0, 0]]}
    return {"class_name": "Functional", "config": config}


KERNEL = np.array([[[[2], [3]]]], np.float32)
HEAD = np.array([[1, 0, -1], [0, 1, 1]], np.float32)


@pytest.fixture
def keras_2(tmp_path):
    """As Keras 2.8 wrote it: x 2 and x 3 by channel in a model in a Sequential, mean, dense."""
    depthwise = layer("DepthwiseConv2D", "a/dw", node("inside"), kernel_size=[1, 1], groups=1, use_bias=False)
    block = functional("block", [image("inside", (4, 4, 2)), depthwise], "inside", "a/dw")
    mean = {"class_name": "GlobalAveragePooling2D", "config": {"name": "a/mean"}}
    start = {"class_name": "InputLayer", "config": {"name": "start", "batch_input_shape": [None, 4, 4, 2]}}
    trunk = {
        "class_name": "Sequential",
        "name": "trunk",
        "inbound_nodes": node("picture"),
        "config": {"name": "trunk", "layers": [start, block, mean]},
    }
    head = layer("Dense", "head", node("trunk", 1), units=3, use_bias=False)
    model = functional("former", [image("picture", (4, 4, 2)), trunk, head], "picture", "head")
    path = tmp_path / "former.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.8.0", "tensorflow"
        file.attrs["model_config"] = json.dumps(model)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"picture", b"trunk", b"head"]
        weights.create_group("picture").attrs["weight_names"] = []
        for name, weight, array in (("trunk", "a/dw/depthwise_kernel:0", KERNEL), ("head", "head/kernel:0", HEAD)):
            group = weights.create_group(name)
            group.attrs["weight_names"] = [weight.encode()]
            group[weight] = array
    return path


def test_a_model_of_keras_2_opens_with_dots_for_slashes(keras_2):
    net = load(keras_2, input=(0, 1))
    assert net.layers.names == ("trunk/block/a.dw", "trunk/a.mean", "head")
    assert net.name == "former"
    picture = np.ones((1, 4, 4, 2), np.float32) * np.array([1, 10], np.float32)
    np.testing.assert_array_equal(net.model.predict(picture, verbose=0), [[2, 30, 28]])


def test_the_file_itself_is_left_as_it_is(keras_2):
    before = keras_2.read_bytes()
    load(keras_2)
    assert keras_2.read_bytes() == before


def test_a_model_of_today_opens_from_either_file(tmp_path):
    start = keras.Input((4, 4, 3), name="image")
    model = keras.Model(start, layers.Conv2D(2, 1, name="conv")(start), name="today")
    for ending in (".keras", ".h5"):
        model.save(tmp_path / f"today{ending}")
        net = load(tmp_path / f"today{ending}")
        assert net.layers.names == ("conv",)
        np.testing.assert_array_equal(net.model.get_weights()[0], model.get_weights()[0])


def test_code_in_a_file_is_refused(tmp_path):
    start = keras.Input((4, 4, 3), name="image")
    model = keras.Model(start, layers.Lambda(lambda x: x + 1, output_shape=(4, 4, 3), name="code")(start))
    for ending in (".keras", ".h5"):
        model.save(tmp_path / f"code{ending}")
        with pytest.raises(ValueError, match=r"(?i)lambda"):
            load(tmp_path / f"code{ending}")


def test_weights_without_a_model_say_how_to_use_them(tmp_path):
    start = keras.Input((4, 4, 3), name="image")
    path = tmp_path / "only.weights.h5"
    keras.Model(start, layers.Conv2D(2, 1)(start)).save_weights(path)
    with pytest.raises(WeightsError, match=r"holds weights and no model; .*load\(NAME, weights="):
        load(path)


def test_a_model_of_keras_1_is_named_as_such(keras_2):
    with h5py.File(keras_2, "a") as file:
        file.attrs["keras_version"] = "1.2.2"
    with pytest.raises(WeightsError, match=r"a model of Keras 1\.2\.2"):
        load(keras_2)


def test_a_file_that_broke_off_says_so(keras_2):
    keras_2.write_bytes(keras_2.read_bytes()[:3000])
    with pytest.raises(WeightsError, match="truncated"):
        load(keras_2)


@pytest.mark.parametrize(
    ("name", "shape", "first", "last"),
    [
        ("miniresnet_1stacks_64x50_esc10.h5", (64, 50, 1), "conv1_conv/kernel", "new_head/kernel"),
        ("yamnet_256_64x96_esc10.h5", (64, 96, 1), "layer1.conv/kernel", "new_head/kernel"),
    ],
)
def test_the_real_sound_models_open_with_their_weights(name, shape, first, last, shared_data):
    path = shared_data / "weights" / name
    net = load(path, input=(0, 1))
    assert net.model.input_shape == (None, *shape)
    assert net.model(np.zeros((2, *shape), np.float32)).shape == (2, 10)
    stored = []
    with h5py.File(path) as file:
        file["model_weights"].visititems(lambda _, item: stored.append(item[()]) if hasattr(item, "shape") else None)
    ours = {f"{n.operation.name}/{w.name}": w for n in net.graph for w in n.weights}
    for address in (first, last):
        assert sum(s.shape == tuple(ours[address].shape) and np.array_equal(s, ours[address]) for s in stored) == 1


def test_the_real_mobilenet_opens_whole_and_answers_as_stated(shared_data):
    net = load(
        shared_data / "weights" / "mobilenet_v1_0.25_224.h5",
        input=InputSpec(height=224, width=224, scale=(2.0,), offset=(-1.0,), crop=0.875),
    )
    assert right_of_50(net, shared_data) == 32
