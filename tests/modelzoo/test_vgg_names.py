"""VGG's weights from PyTorch and Flax: the same answers on the same picture."""

import numpy as np
import pytest
import tensorflow as tf

from modelzoo.architectures.vgg_names import from_numpy_dict, from_torch
from modelzoo.weights import WeightsError
from modelzoo.weights.formats import format_of

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
OFFSET = np.float32([103.939, 116.779, 123.68])
RNG = np.random.default_rng(0)
FIRST = {
    "features.0.weight": RNG.standard_normal((64, 3, 3, 3), dtype=np.float32),
    "features.0.bias": RNG.standard_normal(64, dtype=np.float32),
}
PICTURE = RNG.random((1, 9, 9, 3), dtype=np.float32)


def convolved(x, kernel, bias):
    return np.asarray(tf.nn.conv2d(x, kernel, 1, "SAME") + bias)


def test_the_folded_first_convolution_answers_as_torchvisions():
    ours = from_torch(FIRST, application="VGG16")
    given = convolved(PICTURE[..., ::-1] * 255 - OFFSET, ours["block1_conv1/kernel"], ours["block1_conv1/bias"])
    kernel = FIRST["features.0.weight"].transpose(2, 3, 1, 0)
    expected = convolved((PICTURE - MEAN) / STD, kernel, FIRST["features.0.bias"])
    np.testing.assert_allclose(given[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=2e-5)
    assert np.abs(given - expected).max() < 0.1


def test_flax_and_torch_give_the_same():
    kernel = FIRST["features.0.weight"].transpose(2, 3, 1, 0)
    flax = {
        "VGG16_0.Conv_0.kernel": kernel,
        "VGG16_0.Conv_0.bias": FIRST["features.0.bias"],
        "NetLinLayer_0.Conv_0.kernel": np.zeros((1, 1, 64, 1)),
    }
    ours, theirs = from_numpy_dict(flax, application="VGG16"), from_torch(FIRST, application="VGG16")
    assert set(ours) == set(theirs) == {"block1_conv1/kernel", "block1_conv1/bias"}
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_the_dense_layers_read_places_before_channels():
    features = RNG.random((512, 2, 3), dtype=np.float32)
    weight = RNG.random((4, 512 * 6), dtype=np.float32)
    kernel = from_torch({"classifier.0.weight": weight}, application="VGG16")["fc1/kernel"]
    np.testing.assert_allclose(features.transpose(1, 2, 0).ravel() @ kernel, weight @ features.ravel(), rtol=1e-5)


@pytest.mark.parametrize(
    ("application", "numbers", "last"),
    [
        ("VGG16", [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28], "block5_conv3"),
        ("VGG19", [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34], "block5_conv4"),
    ],
)
def test_torchvisions_numbers_become_blocks(application, numbers, last):
    tensors = {f"features.{n}.bias": np.full(1, n) for n in numbers}
    tensors |= {f"features.{n}.weight": np.zeros((1, 1, 3, 3)) for n in numbers}
    named = from_torch({**tensors, "classifier.6.bias": np.zeros(3)}, application=application)
    assert named[f"{last}/bias"] == numbers[-1]
    assert named["block3_conv3/bias"] == 14
    assert "predictions/bias" in named
    assert not any(name.startswith(("features", "classifier")) for name in named)
    assert "features.99.bias" in from_torch({"features.99.bias": np.zeros(1)}, application=application)


def test_a_first_convolution_that_is_the_preprocessing_is_left_out():
    sequence = {
        "0.weight": 255 * np.eye(3)[::-1, :, None, None],
        "0.bias": -OFFSET,
        "2.weight": FIRST["features.0.weight"],
        "2.bias": FIRST["features.0.bias"],
    }
    named = from_torch(sequence, application="VGG19")
    assert list(named) == ["block1_conv1/kernel", "block1_conv1/bias"]
    np.testing.assert_array_equal(named["block1_conv1/bias"], FIRST["features.0.bias"])
    with pytest.raises(WeightsError, match=r"should be the preprocessing.*it gives 1 the values \[255\.0, 255\.0"):
        from_torch({**sequence, "0.bias": np.zeros(3)}, application="VGG19")
    with pytest.raises(WeightsError, match=r"it has the shape \(64, 3, 3, 3\)"):
        from_torch({**sequence, "0.weight": FIRST["features.0.weight"]}, application="VGG19")


def test_torchvisions_resnet_is_refused_for_what_it_is():
    with pytest.raises(WeightsError, match="no names for such weights of ResNet50.*halve the picture in another"):
        from_torch({"conv1.weight": np.zeros((64, 3, 7, 7))}, application="ResNet50")


def test_a_pickle_called_like_a_checkpoint_is_known_by_its_first_byte(tmp_path):
    path = tmp_path / "vgg16.ckpt"
    assert format_of(path) == "tf_checkpoint"
    path.write_bytes(b"\x80\x03}.")
    assert format_of(path) == "numpy_dict"
