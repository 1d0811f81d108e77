"""torchvision's AlexNet: its scores, names and sizes."""

import keras
import numpy as np
import pytest

from modelzoo.architectures import alexnet_torchvision
from modelzoo.registry import load, read_model_card
from modelzoo.weights import WeightsError, assign_weights
from tests.modelzoo.seeded_weights import read_scores, relative_difference


def test_it_scores_as_torchvisions_on_the_same_weights():
    theirs = read_scores("alexnet_torchvision")
    model = alexnet_torchvision.build(classes=11)
    assign_weights(model, alexnet_torchvision.from_torch(theirs.tensors), origin="fixture")
    found = np.asarray(keras.Model(model.input, model.get_layer("fc8").output)(theirs.pictures))
    assert theirs.logits.shape == (2, 11)
    assert relative_difference(found, theirs.logits) < 1e-5


def test_size_and_input_are_the_published_ones():
    card, model = read_model_card("AlexNet_torchvision"), alexnet_torchvision.build()
    assert model.count_params() == card.parameters == 61_100_840
    white = np.sum(card.input.per_channel, axis=1)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(white, (1 - mean) / deviation)
    np.testing.assert_allclose([offset for _, offset in card.input.per_channel], -mean / deviation)
    with pytest.raises(ValueError, match=r"None x 224 pixels; expected a fixed size of at least 63 x 63"):
        alexnet_torchvision.build(input_shape=(None, 224, 3))


def test_flax_convolutions_are_named_and_nothing_else_is_dropped():
    flax = {"AlexNet_0.Conv_1.kernel": np.zeros((5, 5, 64, 192)), "NetLinLayer_0.Conv_0.kernel": np.zeros(1)}
    flax["AlexNet_0.Conv_5.bias"] = np.zeros(1)
    assert list(alexnet_torchvision.from_numpy_dict(flax)) == ["conv2/kernel", "AlexNet_0.Conv_5.bias"]
    assert list(alexnet_torchvision.from_torch({"features.1.weight": np.zeros(1)})) == ["features.1.weight"]


def test_berkeleys_weights_do_not_fit_and_the_error_names_the_tensor(tmp_path):
    arrays = {f"conv{n}": [np.zeros((3, 3, 3, 4), "f4"), np.zeros(4, "f4")] for n in range(1, 6)}
    np.save(tmp_path / "bvlc_alexnet.npy", arrays, allow_pickle=True)
    with pytest.raises(WeightsError, match=r"conv1\.0 \(3, 3, 3, 4\)"):
        load("AlexNet_torchvision", weights=tmp_path / "bvlc_alexnet.npy")
