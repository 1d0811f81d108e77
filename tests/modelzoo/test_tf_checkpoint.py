"""TensorFlow 1 checkpoints: found from whatever was given, read whole, refused when damaged."""

import io
import tarfile

import numpy as np
import pytest
import tensorflow as tf

import diamond as dc
from modelzoo.architectures import inception_v2
from modelzoo.cards import WeightSource
from modelzoo.weights import WeightsError, assign_weights, locate
from modelzoo.weights.mapping import variable_addresses
from modelzoo.weights.slim import from_slim, trained_only
from modelzoo.weights.tf_checkpoint import find_checkpoint, read_tf_checkpoint
from tests.modelzoo.loopback import Answer, serving
from tests.modelzoo.seeded_weights import random_tensor, read_scores

ARRAYS = {
    "net/conv/weights": np.arange(600, dtype=np.float32).reshape(3, 2, 10, 10),
    "net/conv/biases": np.ones(10, np.float32),
    "global_step": np.int64(7),
}


def save(prefix, arrays=None, *, version=2):
    arrays = ARRAYS if arrays is None else arrays
    names, tensors = list(arrays), [tf.constant(array) for array in arrays.values()]
    prefix.parent.mkdir(exist_ok=True)
    if version == 1:
        tf.raw_ops.Save(filename=str(prefix), tensor_names=names, data=tensors)
    else:
        # A path object would take the slash at the end of a folder's prefix away.
        name = f"{prefix}/" if prefix.is_dir() else str(prefix)
        tf.raw_ops.SaveV2(prefix=name, tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors)
    return prefix


def same(found, expected=ARRAYS):
    return sorted(found) == sorted(expected) and all(
        found[name].dtype == np.asarray(array).dtype and np.array_equal(found[name], array)
        for name, array in expected.items()
    )


@pytest.mark.parametrize("name", ["model.ckpt-7", "model.ckpt-7.index", "model.ckpt-7.data-00000-of-00001"])
def test_a_checkpoint_of_two_files_is_read_by_any_of_its_names(tmp_path, name):
    save(tmp_path / "model.ckpt-7")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/gone/model.ckpt-7"')
    assert find_checkpoint(tmp_path / name) == tmp_path / "model.ckpt-7.index"
    assert same(read_tf_checkpoint(tmp_path / name))
    assert same(read_tf_checkpoint(tmp_path))


def test_a_checkpoint_of_one_file_is_read(tmp_path):
    save(tmp_path / "old.ckpt", version=1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["old.ckpt"]
    assert find_checkpoint(tmp_path / "old.ckpt") == find_checkpoint(tmp_path) == tmp_path / "old.ckpt"
    assert same(read_tf_checkpoint(tmp_path / "old.ckpt"))


def test_a_checkpoint_whose_name_is_a_folder_is_read(tmp_path):
    folder = tmp_path / "MTT_vgg"
    folder.mkdir()
    save(folder)
    assert sorted(entry.name for entry in folder.iterdir()) == [".data-00000-of-00001", ".index"]
    for path in (folder, f"{folder}/", folder / ".index", folder / ".data-00000-of-00001"):
        assert same(read_tf_checkpoint(path))


def test_half_precision_keeps_its_numbers(tmp_path):
    halves = {"a": np.array([0.5, -2.0], np.float16), "b": tf.constant([0.5, 3.0], tf.bfloat16)}
    found = read_tf_checkpoint(save(tmp_path / "half.ckpt", halves))
    assert same(found, {"a": halves["a"], "b": np.array([0.5, 3.0], np.float32)})


def test_a_path_without_a_checkpoint_says_what_is_there(tmp_path):
    save(tmp_path / "model.ckpt")
    with pytest.raises(WeightsError, match=r"no TensorFlow checkpoint .*modle\.ckpt; did you mean model\.ckpt\.index"):
        read_tf_checkpoint(tmp_path / "modle.ckpt")
    with pytest.raises(WeightsError, match="there is no folder"):
        read_tf_checkpoint(tmp_path / "gone" / "model.ckpt")
    save(tmp_path / "other.ckpt")
    with pytest.raises(WeightsError, match=r"holds 2 checkpoints \(model\.ckpt\.index, other\.ckpt\.index\)"):
        read_tf_checkpoint(tmp_path)


def test_numbers_that_are_missing_or_cut_off_are_called_so(tmp_path):
    save(tmp_path / "model.ckpt")
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    content = data.read_bytes()
    data.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match=r"truncated: its numbers take 2,448 bytes, the files of them have 2,447"):
        read_tf_checkpoint(tmp_path / "model.ckpt")
    data.write_bytes(content[:100] + b"\xff" + content[101:])
    with pytest.raises(WeightsError, match=r"damaged: 'net/conv/.*' cannot be read"):
        read_tf_checkpoint(tmp_path / "model.ckpt")
    data.unlink()
    with pytest.raises(WeightsError, match=r"the numbers are missing: .* model\.ckpt\.data-00000-of-00001"):
        read_tf_checkpoint(tmp_path / "model.ckpt")


@pytest.mark.parametrize("version", [1, 2])
def test_whatever_is_damaged_is_refused_and_never_read_wrong(tmp_path, version):
    prefix = save(tmp_path / "model.ckpt", version=version)
    path = find_checkpoint(prefix)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(content), 40):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        for damaged in (content[:place], bytes(flipped)):
            path.write_bytes(damaged)
            try:
                # TensorFlow does not protect every byte of an index; what it lets through must still be right.
                assert same(read_tf_checkpoint(prefix))
            except WeightsError:
                refused += 1
    assert refused > 60


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "photo.ckpt").write_bytes(b"\xff\xd8\xff\xe0" * 100)
    with pytest.raises(WeightsError, match=r"photo\.ckpt: no TensorFlow checkpoint, or truncated or damaged"):
        read_tf_checkpoint(tmp_path / "photo.ckpt")


def test_an_index_brings_its_numbers_out_of_the_archive(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    save(tmp_path / "files" / "model.ckpt")
    save(tmp_path / "files" / "model.ckpt-2")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(tmp_path / "files", arcname="./pnasnet")
    with serving({"/a.tar.gz": Answer(packed.getvalue())}) as site:
        source = WeightSource(
            kind="download",
            format="tf_checkpoint",
            licence="Apache-2.0",
            url=f"{site.address}/a.tar.gz",
            member="pnasnet/model.ckpt.index",
        )
        path = locate(source, name="Pnasnet")
    assert path.name == "model.ckpt.index"
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["model.ckpt.data-00000-of-00001", path.name]
    assert same(read_tf_checkpoint(path))


# TF-slim's names


def test_what_training_keeps_beside_the_weights_is_left_out():
    arrays = {
        "net/w": np.zeros(1),
        "net/w/RMSProp": np.ones(1),
        "net/w/RMSProp_1": np.ones(1),
        "net/w/ExponentialMovingAverage": np.full(1, 0.5),
        "net/Adam": np.full(1, 2.0),
        "global_step": np.int64(9),
        "beta1_power": np.float32(0.9),
    }
    assert trained_only(arrays) == {"net/w": 0.0, "net/Adam": 2.0}


def test_slim_names_become_keras_names_and_layouts():
    arrays = {
        "n/c/weights": np.zeros((3, 3, 4, 8)),
        "n/c/BatchNorm/beta": np.zeros(8),
        "n/c/BatchNorm/moving_mean": np.zeros(8),
        "n/dw/depthwise_weights": np.zeros((3, 3, 8, 1)),
        "n/sep/depthwise_weights": np.zeros((3, 3, 8, 2)),
        "n/sep/pointwise_weights": np.zeros((1, 1, 16, 5)),
        "n/sep/biases": np.zeros(5),
        "n/fc/weights": np.zeros((7, 7, 5, 9)),
        "n/named/BatchNorm/gamma": np.zeros(8),
        "n/aux/weights": np.zeros(1),
        "n/other/weights": np.zeros(1),
    }
    layers = {"n/c": "conv", "n/dw": "depthwise", "n/sep": "separable", "n/fc": "logits", "n/named/BatchNorm": "own_bn"}
    found = from_slim(arrays, layers, dense=("logits",), skip=("n/aux/",))
    assert {name: array.shape for name, array in found.items()} == {
        "conv/kernel": (3, 3, 4, 8),
        "conv_bn/beta": (8,),
        "conv_bn/moving_mean": (8,),
        "depthwise/kernel": (3, 3, 8, 1),
        "separable/depthwise_kernel": (3, 3, 8, 2),
        "separable/pointwise_kernel": (1, 1, 16, 5),
        "separable/bias": (5,),
        "logits/kernel": (245, 9),
        "own_bn/gamma": (8,),
        "n/other/weights": (1,),
    }


def test_a_dense_kernel_keeps_the_order_of_places_and_channels():
    kernel = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    [(name, turned)] = from_slim({"fc/weights": kernel}, {"fc": "fc"}, dense=("fc",)).items()
    picture = np.random.default_rng(0).normal(size=(2, 3, 4))
    assert name == "fc/kernel"
    np.testing.assert_allclose(picture.ravel() @ turned, np.einsum("hwc,hwco->o", picture, kernel))


# Through the public API


def test_a_trained_checkpoint_loads_by_its_prefix(tmp_path):
    slim = read_scores("inception_v2_slim")
    shapes = {name: array.shape for name, array in slim.tensors.items()}
    shapes |= {
        "InceptionV2/Logits/Conv2d_1c_1x1/weights": (1, 1, 1024, 1001),
        "InceptionV2/Logits/Conv2d_1c_1x1/biases": (1001,),
    }
    arrays = {name: random_tensor(name, shape) for name, shape in shapes.items()}
    prefix = save(tmp_path / "model.ckpt-90", arrays | {"global_step": np.int64(90)})
    net = dc.load("InceptionV2", weights=prefix)
    expected = inception_v2.from_tf_checkpoint(arrays)
    found = {address: np.asarray(variable) for address, variable in variable_addresses(net.model).items()}
    assert same(found, expected)
    assert net.card.output.first_class == 1
    del arrays["InceptionV2/Mixed_4b/Branch_0/Conv2d_0a_1x1/weights"]
    with pytest.raises(WeightsError, match=r"Mixed_4b_Branch_0_Conv2d_0a_1x1/kernel \(1, 1, 576, 224\)"):
        assign_weights(net.model, inception_v2.from_tf_checkpoint(arrays), origin="model.ckpt-90")
