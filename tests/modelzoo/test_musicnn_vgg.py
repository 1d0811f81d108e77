"""musicnn's VGG: its scores as musicnn's own code gives them, its names, its card."""

import numpy as np
import pytest

import diamond as dc
from modelzoo.architectures import musicnn_vgg
from modelzoo.weights import assign_weights
from tests.modelzoo.seeded_weights import read_scores, relative_difference


@pytest.fixture(scope="module")
def musicnn():
    return read_scores("musicnn_vgg")


def test_it_scores_as_musicnn_does_on_the_same_weights(musicnn):
    import keras

    model = musicnn_vgg.build()
    assign_weights(model, musicnn_vgg.from_tf_checkpoint(musicnn.tensors), origin="fixture")
    found = np.asarray(keras.Model(model.input, model.get_layer("logits").output)(musicnn.pictures[..., None]))
    assert musicnn.logits.shape == (2, 50)
    assert np.abs(musicnn.logits[0] - musicnn.logits[1]).max() > 1
    assert relative_difference(found, musicnn.logits) < 1e-5


def test_what_no_layer_has_keeps_its_name_and_training_is_left_out():
    arrays = dict.fromkeys(
        ["1CNN/kernel", "1CNN/kernel/Adam", "batch_normalization/gamma", "batch_normalization_5/moving_mean",
         "dense/bias", "beta1_power", "6CNN2/kernel"], np.zeros(1)
    )  # fmt: skip
    found = musicnn_vgg.from_tf_checkpoint(arrays)
    assert list(found) == ["conv1/kernel", "input_bn/gamma", "conv5_bn/moving_mean", "logits/bias", "6CNN2/kernel"]


@pytest.mark.parametrize(("name", "tag"), [("MusicnnVGG_MTT", "harpsichord"), ("MusicnnVGG_MSD", "Hip-Hop")])
def test_its_tags_are_probabilities_by_themselves(name, tag):
    net = dc.load(name, weights=None)
    assert net.classes is not None
    assert net.class_label(net.classes.index(tag)) == tag
    sound = np.random.default_rng(0).normal(scale=0.1, size=16000 * 3).astype(np.float32)
    answer = net.predict((sound, 16000))
    assert answer.logits.shape == (1, 50)
    assert answer.probabilities[0].sum() != pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(
        answer.probabilities[0], 1 / (1 + np.exp(-np.sort(answer.logits[0])[::-1][:5])), rtol=1e-4
    )
    assert net.layers[net.landmarks[-1]].output_shape == (None, 11, 6, 128)
