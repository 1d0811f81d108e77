"""The health of layers: planted trouble is found, with the very channels; in memory that does not grow."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import diamond as dc
from diamond.inspection.vitals import vitals
from modelzoo import GraphError, InputSpec, UnknownLayerError
from modelzoo.inputs import PictureError
from tests.tiny import constant, linear_tail, one_filter


def planted():
    """Channel 0 is the red of a pixel times 10; 1 is dead; 2 its copy; 3 is 5 everywhere; 4 green less a half; ReLU6."""
    image = keras.Input((4, 4, 3), name="image")
    x = layers.ReLU(6.0, name="relu")(layers.Conv2D(5, 1, name="conv")(image))
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(image, layers.Dense(2, activation="softmax", name="answer")(x), name="planted")
    kernel = np.zeros((1, 1, 3, 5))
    kernel[0, 0, 0] = [10, -1, 20, 0, 0]
    kernel[0, 0, 1, 4] = 1
    return dc.load(constant(model, {"conv/kernel": kernel, "conv/bias": [0, 0, 0, 5, -0.5]}), input=(0, 1))


def pictures():
    """Four pictures: red 0, 0.1, 0.2 and 0.9 in all pixels, green 1 in the upper half and 0 in the lower."""
    batch = np.zeros((4, 4, 4, 3), np.float32)
    batch[..., 0] = np.array([0, 0.1, 0.2, 0.9])[:, None, None]
    batch[:, :2, :, 1] = 1
    return batch


def test_planted_trouble_is_found_with_the_very_channels():
    found = dc.health(planted(), pictures())
    assert [each.layer for each in found.layers] == ["relu"]
    each = found["relu"]
    assert (each.channels, each.kind, each.filters) == (5, "relu6", "conv")
    assert each.dead.tolist() == [1]
    assert each.idle.tolist() == [3]
    # Zeros: of channels 0 and 2 a quarter each, of 1 all, of 4 half.
    assert each.sparsity == pytest.approx((0.25 + 1 + 0.25 + 0.5) / 5)
    # At 6: of channels 0 and 2 the last picture.
    assert each.saturation == pytest.approx(2 / 4 / 5)
    assert each.flags == ("dead", "idle", "saturated")
    assert found.count == 4


def test_channels_that_are_copies_are_redundant_and_paired():
    x = np.random.default_rng(0).random((6, 4, 4, 3), dtype=np.float32) / 4
    each = dc.health(planted(), x)["relu"]
    assert each.redundant.tolist() == [2]
    assert [pair[:2] for pair in each.twins] == [(0, 2)]
    assert each.twins[0][2] == pytest.approx(1, abs=1e-5)
    # Filter 2 points where 0 does; those of 1 and 4 elsewhere, and 3 nowhere.
    assert each.alike.tolist() == [2]


def test_the_effective_rank_is_that_of_the_values():
    rng = np.random.default_rng(0)
    image = keras.Input((4, 4, 3), name="image")
    x = layers.ReLU(name="relu")(layers.Conv2D(3, 1, name="conv")(image))
    model = keras.Model(image, layers.Dense(2, name="answer")(layers.GlobalAveragePooling2D(name="mean")(x)))
    net = dc.load(constant(model, {"conv/kernel": np.diag([1, 2, 0])[None, None]}), input=(0, 1))
    values = rng.random((9, 4, 4, 3), dtype=np.float32)
    each = dc.health(net, values, batch=2)["relu"]
    flat = (values * np.array([1, 2, 0])).reshape(-1, 3).astype(np.float64)
    singular = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False)[:2]
    shares = singular / singular.sum()
    assert each.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-5)
    assert each.rank_share == pytest.approx(each.effective_rank / 2)
    assert each.samples == 9 * 16


def test_many_channels_of_three_directions_have_a_rank_of_three_at_most():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(256, 1, name="conv")(image)
    model = keras.Model(image, layers.Dense(2, name="answer")(layers.GlobalAveragePooling2D(name="mean")(x)))
    net = dc.load(model, input=(0, 1))
    each = dc.health(net, np.random.default_rng(0).random((8, 8, 8, 3), dtype=np.float32))["conv"]
    assert 2 < each.effective_rank < 3.001
    assert "low rank" in each.flags


@pytest.mark.parametrize("batch", [1, 3, 7, 64])
def test_batches_do_not_change_the_numbers(batch):
    net = dc.load(linear_tail(), input=(0, 1))
    values = np.random.default_rng(1).random((7, 8, 6, 3), dtype=np.float32)
    [found] = vitals(net, values, [net.node("features")], batch=batch).layers
    flat = net.activations(values, "features").reshape(-1, 5).astype(np.float64)
    assert found.places == len(flat) == 7 * 48
    np.testing.assert_allclose(found.zeros, (flat == 0).sum(axis=0))
    np.testing.assert_allclose(found.mean, flat.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.spread, flat.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.high, flat.max(axis=0), rtol=1e-6)
    # All places of 8 x 6 are sampled: up to 8 along each axis.
    assert found.samples == len(flat)
    np.testing.assert_allclose(found.scatter, (flat - flat.mean(0)).T @ (flat - flat.mean(0)), rtol=1e-4, atol=1e-4)


def test_a_small_spread_on_a_large_mean_is_kept():
    image = keras.Input((4, 4, 3), name="image")
    x = layers.Conv2D(3, 1, name="conv")(image)
    model = keras.Model(image, layers.Dense(2, name="answer")(layers.GlobalAveragePooling2D(name="mean")(x)))
    net = dc.load(constant(model, {"conv/kernel": np.eye(3)[None, None], "conv/bias": 1000.0}), input=(0, 1))
    values = np.random.default_rng(2).random((12, 4, 4, 3), dtype=np.float32)
    [found] = vitals(net, values, [net.node("conv")], batch=5).layers
    np.testing.assert_allclose(found.spread, values.reshape(-1, 3).std(axis=0), rtol=2e-3)


def test_which_layers_are_looked_at():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 3, name="conv")(image))
    x = layers.ReLU(name="relu")(x)
    y = layers.BatchNormalization(name="narrow_norm")(layers.Conv2D(4, 1, name="narrow")(x))
    x = layers.Add(name="add")([x, y])
    x = layers.Conv2D(4, 1, activation="tanh", name="tanh_conv")(x)
    x = layers.Flatten(name="flat")(x)
    model = keras.Model(image, layers.Softmax(name="answer")(layers.Dense(2, name="logits")(x)))
    net = dc.load(model, input=(0, 1))
    found = dc.health(net, np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32))
    assert [(each.layer, each.filters) for each in found.layers] == [
        ("relu", "conv"),
        ("narrow_norm", "narrow"),
        ("tanh_conv", "tanh_conv"),
    ]
    some = dc.health(net, np.zeros((2, 8, 8, 3), np.float32), layers=["add", "logits"])
    assert [(each.layer, each.filters) for each in some.layers] == [("add", None), ("logits", "logits")]
    assert "Only 2 pictures" in found.notes[0]


def test_a_network_without_a_classifier_is_looked_at_to_its_end():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, name="conv")(image)
    model = keras.Model(image, layers.ReLU(6.0, name="relu")(layers.BatchNormalization(name="norm")(x)))
    found = dc.health(dc.load(model, input=(0, 1)), np.zeros((2, 8, 8, 3), np.float32))
    assert [each.layer for each in found.layers] == ["relu"]
    assert found["relu"].dead.tolist() == [0, 1, 2, 3]


def test_values_near_the_ends_of_a_sigmoid_are_saturated():
    image = keras.Input((2, 2, 3), name="image")
    x = layers.Conv2D(3, 1, activation="sigmoid", name="gate")(image)
    model = keras.Model(image, layers.Dense(2, name="answer")(layers.Flatten(name="flat")(x)))
    net = dc.load(constant(model, {"gate/kernel": np.eye(3)[None, None], "gate/bias": [-10, 0, 10]}), input=(0, 1))
    each = dc.health(net, np.zeros((1, 2, 2, 3), np.float32))["gate"]
    assert each.saturation == pytest.approx(2 / 3)
    assert "saturated" in each.flags


def test_filters_of_noise_are_flagged_and_smooth_ones_are_not():
    image = keras.Input((12, 12, 3), name="image")
    x = layers.ReLU(name="relu")(layers.Conv2D(32, 5, name="conv")(image))
    model = keras.Model(image, layers.Dense(2, name="answer")(layers.GlobalAveragePooling2D(name="mean")(x)))
    noise = np.random.default_rng(0).normal(size=(5, 5, 3, 32))
    values = np.random.default_rng(1).random((4, 12, 12, 3), dtype=np.float32)
    rough = dc.health(dc.load(constant(model, {"conv/kernel": noise}), input=(0, 1)), values)["relu"]
    assert "noisy" in rough.flags
    assert abs(rough.mean_smoothness) < 0.05
    waves = np.sin(np.arange(5)[:, None, None, None] * 0.8 + np.linspace(0, 6, 32)) * np.ones((5, 5, 3, 32))
    smooth = dc.health(dc.load(constant(model, {"conv/kernel": waves}), input=(0, 1)), values)["relu"]
    assert "noisy" not in smooth.flags
    assert smooth.mean_smoothness > 0.6


KINDS = {
    "depthwise": layers.DepthwiseConv2D(3, activation="relu", name="k"),
    "transposed": layers.Conv2DTranspose(4, 3, activation="relu", name="k"),
    "grouped": layers.Conv2D(6, 3, groups=3, activation="relu", name="k"),
    "dense on a map": layers.Dense(6, activation="relu", name="k"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_is_looked_at(kind):
    image = keras.Input((8, 8, 3), name="image")
    x = type(KINDS[kind]).from_config(KINDS[kind].get_config())(image)
    model = keras.Model(image, layers.Dense(2, name="answer")(layers.Flatten(name="flat")(x)))
    found = dc.health(dc.load(model, input=(0, 1)), np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32))
    assert [each.filters for each in found.layers] == ["k"]


def test_layers_with_one_place_axis_or_none():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv1D(4, 3, activation="relu", name="line")(layers.Reshape((8, 24), name="rows")(image))
    x = layers.Dense(6, activation="relu", name="wide")(layers.Flatten(name="flat")(x))
    model = keras.Model(image, layers.Dense(2, name="answer")(x))
    found = dc.health(dc.load(model, input=(0, 1)), np.random.default_rng(0).random((5, 8, 8, 3), dtype=np.float32))
    assert [(each.layer, each.samples) for each in found.layers] == [("line", 5 * 6), ("wide", 5)]
    assert "Fewer samples than channels in wide" in found.notes[1]


def test_a_folder_with_a_broken_file(tmp_path):
    for i, picture in enumerate(pictures()):
        Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    with pytest.warns(UserWarning, match="skipped 1 of 5 pictures"):
        found = dc.health(planted(), tmp_path)
    assert found.count == 4
    assert found["relu"].dead.tolist() == [1]


def test_wrong_questions_are_named():
    net = planted()
    with pytest.raises(UnknownLayerError, match="did you mean 'relu'"):
        dc.health(net, pictures(), layers=["rely"])
    with pytest.raises(PictureError, match="no pictures"):
        dc.health(net, [])
    with pytest.raises(KeyError, match="no layer 'conv' was looked at; relu"):
        dc.health(net, pictures())["conv"]
    image = keras.Input((4, 4, 3), name="image")
    model = keras.Model(image, layers.Dense(2, name="answer")(layers.Flatten(name="flat")(image)))
    with pytest.raises(GraphError, match="no layer to look at"):
        dc.health(dc.load(model, input=(0, 1)), pictures())
    broken = dc.load(constant(one_filter(), {"sum/bias": np.nan}), input=(0, 1))
    with pytest.raises(ValueError, match="bias of 'sum.*' holds NaN or infinity"):
        dc.health(broken, pictures())
    huge = dc.load(constant(one_filter(), {"sum/kernel": 3e38}), input=(0, 255))
    with pytest.raises(
        ValueError, match="from 'sum.*' on the activations are NaN or infinite, and its weights are finite"
    ):
        dc.health(huge, pictures())


def test_it_draws_itself_and_is_saved(tmp_path):
    found = dc.health(planted(), pictures())
    for suffix in ("png", "html", "csv", "npz"):
        assert found.save(tmp_path / f"health.{suffix}").stat().st_size > 0
    assert found.to_dataframe().dead.tolist() == [1]
    page = found._page()
    assert "they act as a bias" in page
    assert "http" not in page
    assert "1 of 5 channels stay at 0 in all of them, the largest share in relu (1 of 5)" in found.sentence
    with np.load(tmp_path / "health.npz") as arrays:
        assert arrays["relu:dead"].tolist() == [1]


def test_a_network_of_grey_pictures():
    grey = InputSpec(8, 8, channels=1)
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(2, 1, activation="relu", name="conv")(image)
    model = keras.Model(image, layers.Dense(2, name="answer")(layers.GlobalAveragePooling2D(name="mean")(x)))
    net = dc.load(constant(model, {"conv/kernel": [[[[1.0, -1.0]]]]}), input=grey)
    found = dc.health(net, np.random.default_rng(0).random((3, 8, 8, 3), dtype=np.float32))
    assert found["conv"].dead.tolist() == [1]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pictures():
    import psutil

    net = planted()
    read = np.random.default_rng(0).random((16, 4, 4, 3), dtype=np.float32)

    def many(n):
        for _ in range(n // 16):
            yield read

    dc.health(net, many(320))
    process = psutil.Process()
    before = process.memory_info().rss
    assert dc.health(net, many(10_000)).count == 10_000
    assert process.memory_info().rss - before < 100e6


@pytest.mark.slow
def test_trained_networks(shared_data):
    mobilenet = dc.load("MobilenetV1_025", weights=shared_data / "weights" / "mobilenet_v1_0.25_224.h5")
    found = dc.health(mobilenet, shared_data / "photos")
    assert found.count == 200
    assert [len(found[f"conv_dw_{i}_relu"].dead) for i in (1, 2, 3)] == [3, 1, 3]
    assert "dead" in found["conv1_relu"].flags
    # By another way: the activations themselves of some photos.
    photos = sorted((shared_data / "photos").iterdir())[:8]
    values = mobilenet.activations(photos, "conv_dw_1_relu")
    assert set(found["conv_dw_1_relu"].dead) <= set(np.flatnonzero(values.max(axis=(0, 1, 2)) == 0))
