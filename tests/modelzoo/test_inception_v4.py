"""Inception V4: the scores of TF-slim and of timm, names and sizes."""

import keras
import numpy as np
import pytest

from modelzoo.architectures import inception_v4
from modelzoo.registry import read_model_card
from modelzoo.weights import WeightsError, assign_weights
from tests.modelzoo.seeded_weights import read_scores, relative_difference


@pytest.fixture(scope="module")
def small():
    # Neither square nor even: a 1 x 7 convolution taken for a 7 x 1 would show.
    return inception_v4.build(input_shape=(107, 139, 3), classes=11)


@pytest.fixture(scope="module")
def timm():
    return read_scores("inception_v4_timm")


def scores(model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    return np.asarray(keras.Model(model.input, model.get_layer("logits").output)(pictures))


def test_it_scores_as_tf_slim_does_on_the_same_weights(small):
    slim = read_scores("inception_v4_slim")
    assign_weights(small, inception_v4.from_tf_checkpoint(slim.tensors), origin="fixture")
    assert slim.logits.shape == (2, 11)
    assert np.abs(slim.logits[0] - slim.logits[1]).max() > 0.05
    assert relative_difference(scores(small, slim.pictures), slim.logits) < 1e-5


def test_it_scores_as_timm_does_on_the_same_weights(small, timm):
    assign_weights(small, inception_v4.from_torch(timm.tensors), origin="fixture")
    found = scores(small, timm.pictures)
    assert timm.logits.shape == (2, 10)
    assert relative_difference(found[:, 1:], timm.logits) < 1e-5
    assert found[:, 0].tolist() == [-100.0, -100.0]


def test_the_output_that_timm_lost_is_put_back_only_where_it_is_lost(timm):
    classifier = {name: timm.tensors[name] for name in ("last_linear.weight", "last_linear.bias")}
    assert inception_v4.from_torch(classifier)["logits/kernel"].shape == (1536, 11)
    assert inception_v4.from_torch(classifier, background=False)["logits/kernel"].shape == (1536, 10)
    whole = {"last_linear.weight": np.zeros((1001, 1536)), "last_linear.bias": np.zeros(1001)}
    assert inception_v4.from_torch(whole)["logits/bias"].shape == (1001,)


def test_a_gamma_of_another_size_is_named(timm):
    wrong = timm.tensors | {"features.6.branch0.bn.weight": np.ones(3)}
    with pytest.raises(
        WeightsError, match=r"gamma of Mixed_5b_Branch_0_Conv2d_0a_1x1 has shape \(3,\); expected \(96,\)"
    ):
        inception_v4.from_torch(wrong)


def test_counters_and_the_auxiliary_classifier_are_left_out_and_nothing_else():
    names = ("InceptionV4/AuxLogits/Aux_logits/weights", "global_step", "InceptionV4/Mixed_9z/weights")
    assert list(inception_v4.from_tf_checkpoint({name: np.zeros(1) for name in names})) == [names[2]]
    torch = ("features.0.bn.num_batches_tracked", "features.30.conv.weight", "features.0.conv.bias")
    assert list(inception_v4.from_torch({name: np.zeros(1) for name in torch})) == list(torch[1:])


def test_its_size_and_depths_are_the_published_ones(timm):
    card = read_model_card("InceptionV4")
    model = inception_v4.build()
    weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    gammas = sum(array.size for name, array in timm.tensors.items() if name.endswith("bn.weight"))
    assert weights == card.parameters == 42_649_769
    # timm states 42,679,816: with gammas, and without the background.
    assert weights + gammas - (1536 + 1) == 42_679_816
    depths = [model.get_layer(ours).output.shape[-1] for ours in card.lucid.values()]
    assert depths == [32, 32, 64, 160, 192, *[384] * 5, *[1024] * 8, *[1536] * 4, 1001]
    assert list(card.lucid.values()) == [*card.landmarks, "probabilities"]
    assert model.get_layer("Mixed_5e").output.shape[1:] == (35, 35, 384)
    assert model.get_layer("Mixed_7d").output.shape[1:] == (8, 8, 1536)
