"""TensorFlow.js layers models: a manifest, its shards, and nothing beside them."""

import json

import keras
import numpy as np
import pytest

from modelzoo.weights import WeightsError, assign_weights
from modelzoo.weights.tfjs import read_tfjs

KERNEL = np.arange(6, dtype="<f4").reshape(2, 3)
BIAS = np.array([0.5, -1.5, 2.5], "<f4")
CONTENT = KERNEL.tobytes() + BIAS.tobytes()
ENTRIES = [
    {"name": "head/kernel", "shape": [2, 3], "dtype": "float32"},
    {"name": "head/bias", "shape": [3], "dtype": "float32"},
]


def written(folder, entries=ENTRIES, shards=None, **more):
    """A ``model.json`` of one group, and its shards."""
    shards = {"a.bin": CONTENT} if shards is None else shards
    for name, content in shards.items():
        (folder / name).write_bytes(content)
    manifest = {"format": "layers-model", "weightsManifest": [{"paths": list(shards), "weights": entries}], **more}
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder / "model.json"


def test_weights_lie_one_after_another_through_shards_cut_anywhere(tmp_path):
    path = written(tmp_path, shards={"a.bin": CONTENT[:5], "b.bin": CONTENT[5:26], "c.bin": CONTENT[26:]})
    arrays = read_tfjs(path)
    assert list(arrays) == ["head/kernel", "head/bias"]
    np.testing.assert_array_equal(arrays["head/kernel"], KERNEL)
    np.testing.assert_array_equal(arrays["head/bias"], BIAS)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="head")])
    assign_weights(model, arrays, origin=str(path))
    np.testing.assert_array_equal(model.predict(np.float32([[1, 1]]), verbose=0), [[3.5, 3.5, 9.5]])


def test_every_group_has_its_own_shards(tmp_path):
    (tmp_path / "b.bin").write_bytes(BIAS.tobytes())
    path = written(tmp_path, ENTRIES[:1], {"a.bin": KERNEL.tobytes()})
    manifest = json.loads(path.read_text())
    manifest["weightsManifest"].append({"paths": ["b.bin"], "weights": ENTRIES[1:]})
    path.write_text(json.dumps(manifest))
    np.testing.assert_array_equal(read_tfjs(path)["head/bias"], BIAS)


@pytest.mark.parametrize(
    ("stored", "quantisation", "dtype", "given"),
    [
        (np.array([0, 1, 255], "u1"), {"dtype": "uint8", "scale": 0.5, "min": -1.0}, "float32", [-1.0, -0.5, 126.5]),
        (np.array([0, 2, 65535], "<u2"), {"dtype": "uint16", "scale": 0.25, "min": 2}, "float32", [2, 2.5, 16385.75]),
        (np.array([0.5, -2, 3], "<f2"), {"dtype": "float16"}, "float32", [0.5, -2, 3]),
        (np.array([0, 1, 2], "u1"), {"dtype": "uint8", "scale": 2, "min": -1}, "int32", [-1, 1, 3]),
    ],
)
def test_quantised_weights_are_given_back_as_numbers(stored, quantisation, dtype, given, tmp_path):
    entry = {"name": "w", "shape": [3], "dtype": dtype, "quantization": quantisation}
    array = read_tfjs(written(tmp_path, [entry], {"a.bin": stored.tobytes()}))["w"]
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, np.array(given, dtype))


@pytest.mark.parametrize("name", ["../a.bin", "/etc/passwd", "x/../../a.bin", "..\\a.bin", "c:a.bin", "a\0.bin"])
def test_a_shard_elsewhere_is_refused(name, tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text().replace('"a.bin"', json.dumps(name)))
    with pytest.raises(WeightsError, match="refused: the shard .* lies outside the manifest's folder"):
        read_tfjs(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(CONTENT)
    path = written(folder, shards={})
    (folder / "a.bin").symlink_to(tmp_path / "outside.bin")
    path.write_text(path.read_text().replace('"paths": []', '"paths": ["a.bin"]'))
    with pytest.raises(WeightsError, match="is a link out of the manifest's folder"):
        read_tfjs(path)


@pytest.mark.parametrize(
    ("entries", "shards", "told"),
    [
        (ENTRIES, {"a.bin": CONTENT[:-1]}, r"truncated: head/bias \(3,\) ends at byte 36, they have 35"),
        (ENTRIES[:1], {"a.bin": CONTENT}, "shards have 36 bytes; its weights take 24"),
        ([*ENTRIES[:1], ENTRIES[0]], {"a.bin": 2 * KERNEL.tobytes()}, "'head/kernel' stands twice"),
        ([{"name": "w", "shape": [1]}], None, "not described by name, shape and dtype"),
        ([{"name": "w", "shape": [-1], "dtype": "float32"}], None, r"shape \[-1\]"),
        ([{"name": "w", "shape": [2**62] * 2, "dtype": "float32"}], None, "shape"),
        (
            [{"name": "w", "shape": [1], "dtype": "string"}],
            None,
            "dtype 'string'; expected one of float32, int32, bool",
        ),
        ([{**ENTRIES[1], "quantization": {"dtype": "int4"}}], None, "quantised as 'int4'"),
        ([{**ENTRIES[1], "quantization": {"dtype": "uint8"}}], {"a.bin": b"abc"}, "scale None and min None"),
        ([], {}, "lists no weights"),
    ],
)
def test_a_manifest_that_cannot_be_says_where(entries, shards, told, tmp_path):
    with pytest.raises(WeightsError, match=told):
        read_tfjs(written(tmp_path, entries, shards))


def test_what_is_no_layers_model_says_so(tmp_path):
    with pytest.raises(WeightsError, match="no file"):
        read_tfjs(tmp_path / "model.json")
    path = tmp_path / "model.json"
    for text, told in (("{", "not JSON"), ("[]", "no list 'weightsManifest'"), ('{"a": 1}', "no list")):
        path.write_text(text)
        with pytest.raises(WeightsError, match=told):
            read_tfjs(path)
    with pytest.raises(WeightsError, match="a graph model"):
        read_tfjs(written(tmp_path, format="graph-model"))
    path = written(tmp_path)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(WeightsError, match=r"the shard a\.bin is missing beside model\.json; expected it at"):
        read_tfjs(path)
