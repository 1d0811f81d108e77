"""One pass over the data: features as the network itself gives them, of every place it can be cut at."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.transfer.cuts import cut_costs, cut_layers, latency_s
from diamond.transfer.samples import read_samples
from diamond.transfer.scan import scan
from modelzoo import UnknownLayerError
from tests.diamond.test_sound_occlusion import FRONTEND, burst


def residual():
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 10, 3), name="image")
    stem = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(image)
    inside = layers.Conv2D(4, 3, padding="same", activation="relu", name="inside")(stem)
    x = layers.Add(name="sum")([stem, inside])
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return dc.load(keras.Model(image, layers.Dense(3, name="answer")(x), name="residual"), input=(0, 1))


CUTS = ("stem", "sum", "last", "pool")


def pictures(n=7, seed=0):
    return list(np.random.default_rng(seed).random((n, 12, 10, 3), dtype=np.float32))


def test_a_network_is_cut_at_its_landmarks_or_wherever_one_says():
    net = residual()
    assert [layer.name for layer in cut_layers(net)] == ["sum", "last"]
    assert [layer.name for layer in cut_layers(net, ["last", "inside"])] == ["last", "inside"]
    with pytest.raises(UnknownLayerError, match="no layer 'insid'; did you mean 'inside'"):
        cut_layers(net, ["insid"])


def test_costs_are_those_up_to_the_cut():
    net = residual()
    costs = cut_costs(net, cut_layers(net, CUTS))
    stem, block, last = 3 * 9 * 4 + 4, 4 * 9 * 4 + 4, 4 * 9 * 6 + 6
    assert [cost.parameters for cost in costs.values()] == [stem, stem + block, *[stem + block + last] * 2]
    assert costs["stem"].multiply_adds == 120 * 3 * 9 * 4
    assert costs["sum"].multiply_adds == 120 * (3 * 9 * 4 + 4 * 9 * 4)
    # A convolution and its ReLU; stem, and a convolution and its ReLU.
    assert costs["stem"].peak_bytes == 4 * 120 * (4 + 4)
    assert costs["sum"].peak_bytes == 4 * 120 * (4 + 4 + 4)
    assert latency_s(net, net.layers["last"], rounds=3) > 0


@pytest.mark.parametrize("most_bytes", [1_000_000_000, 1])
def test_features_are_the_means_over_places_whatever_the_batch_and_wherever_they_are(most_bytes):
    net, shown = residual(), pictures()
    samples = read_samples(shown, [0, 1, 0, 1, 0, 1, 1])
    found = scan(net, samples, cut_layers(net, CUTS), batch=3, most_bytes=most_bytes, progress=False)
    for name in ("stem", "sum", "last"):
        expected = net.activations(np.stack(shown), name)
        np.testing.assert_allclose(found.features[name], expected.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.largest[name], np.abs(expected).max(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found.features["pool"], found.features["last"], rtol=1e-5)
    assert isinstance(found.features["stem"], np.memmap) == (most_bytes == 1)
    assert found.labels.tolist() == [0, 1, 0, 1, 0, 1, 1]


def test_dead_and_idle_channels_are_told_apart():
    net = residual()
    stem = net.model.get_layer("stem")
    kernel, bias = (np.array(values) for values in stem.get_weights())
    kernel[..., :2], bias[:2] = 0, (-1, 0.5)
    stem.set_weights([kernel, bias])
    found = scan(net, read_samples(pictures(), [0] * 7), cut_layers(net, ["stem"]), progress=False)
    assert (found.dead("stem").tolist(), found.idle("stem").tolist()) == ([0], [1])


def test_a_file_that_cannot_be_read_takes_its_label_with_it(tmp_path):
    from PIL import Image

    for name, grey in (("a", 0), ("a2", 100), ("b", 250)):
        (tmp_path / name[0]).mkdir(exist_ok=True)
        Image.new("RGB", (10, 12), (grey,) * 3).save(tmp_path / name[0] / f"{name}.png")
    (tmp_path / "a" / "a1.png").write_bytes(b"no picture")
    net = residual()
    with pytest.warns(UserWarning, match="skipped 1 of 4 pictures: a1.png"):
        found = scan(net, read_samples(tmp_path), cut_layers(net, CUTS), progress=False)
    assert (found.labels.tolist(), found.rows.tolist()) == ([0, 0, 1], [0, 2, 3])
    assert found.skipped[0].startswith("a1.png")
    alone = net.activations(np.full((1, 12, 10, 3), 250 / 255, np.float32), "stem").mean(axis=(1, 2))
    np.testing.assert_allclose(found.features["stem"][2], alone[0], rtol=1e-4)


def test_a_sounds_features_are_the_mean_over_its_patches():
    heard = keras.Input((16, 24, 1), name="heard")
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(heard)
    model = keras.Model(heard, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    net = dc.load(model, input=dc.InputSpec(16, 24, channels=1, audio=FRONTEND))
    sounds = [burst(1.2), burst(0.5, seed=1)]
    found = scan(net, read_samples(sounds, ["long", "short"]), cut_layers(net, ["conv"]), batch=2, progress=False)
    for sound, row in zip(sounds, found.features["conv"], strict=True):
        expected = net.activations(net.patches(sound).values, "conv").mean(axis=(0, 1, 2))
        np.testing.assert_allclose(row, expected, rtol=1e-4)
