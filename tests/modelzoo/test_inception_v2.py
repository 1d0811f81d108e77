"""Inception V2: TF-slim's scores, names and sizes."""

import keras
import numpy as np
import pytest

from modelzoo.architectures import inception_v2
from modelzoo.registry import read_model_card
from modelzoo.weights import WeightsError, assign_weights
from tests.modelzoo.seeded_weights import read_scores, relative_difference


@pytest.fixture(scope="module")
def published():
    return inception_v2.build()


def test_it_scores_as_tf_slim_does_on_the_same_weights():
    slim = read_scores("inception_v2_slim")
    model = inception_v2.build(input_shape=slim.pictures.shape[1:], classes=11)
    assign_weights(model, inception_v2.from_tf_checkpoint(slim.tensors), origin="fixture")
    scores = keras.Model(model.input, model.get_layer("logits").output)(slim.pictures)
    assert slim.logits.shape == (2, 11)
    assert np.abs(slim.logits[0] - slim.logits[1]).max() > 0.1
    assert relative_difference(np.asarray(scores), slim.logits) < 1e-5


def test_it_has_as_many_parameters_as_tf_slim_says(published):
    weights = sum(int(np.prod(weight.shape)) for weight in published.trainable_weights)
    assert weights == read_model_card("InceptionV2").parameters == 11_179_361
    # TF-slim's own test counts everything before the classifier, moving statistics included.
    assert published.count_params() - (1024 * 1001 + 1001) == 10_173_112


def test_its_layers_are_as_deep_as_lucids(published):
    card = read_model_card("InceptionV2")
    depths = [published.get_layer(ours).output.shape[-1] for ours in card.lucid.values()]
    assert depths == [64, 64, 192, 256, 320, 576, 576, 576, 576, 576, 1024, 1024, 1024, 1001]
    assert list(card.lucid.values()) == [*card.landmarks, "probabilities"]
    assert card.lucid["InceptionV2/InceptionV2/Mixed_4c/concat"] == "Mixed_4c"
    assert card.input.value_range == (-1.0, 1.0)


def test_its_shapes_are_tf_slims(published):
    shapes = {name: published.get_layer(name).output.shape[1:] for name in ("Conv2d_1a_7x7", "Mixed_3c", "Mixed_5a")}
    assert shapes == {"Conv2d_1a_7x7": (112, 112, 64), "Mixed_3c": (28, 28, 320), "Mixed_5a": (7, 7, 1024)}


def test_the_first_convolution_has_a_bias_and_no_normalisation(published):
    first = published.get_layer("Conv2d_1a_7x7")
    assert [tuple(weight.shape) for weight in first.weights] == [(7, 7, 3, 8), (1, 1, 24, 64), (64,)]
    assert "Conv2d_1a_7x7_bn" not in {layer.name for layer in published.layers}


def test_a_checkpoint_of_another_network_is_refused():
    slim = read_scores("inception_v2_slim")
    model = inception_v2.build(input_shape=(64, 64, 3), classes=11)
    renamed = {name.replace("InceptionV2", "InceptionV3"): array for name, array in slim.tensors.items()}
    with pytest.raises(WeightsError, match=r"277 variables without an array.*(\n.*)+277 arrays without a variable"):
        assign_weights(model, inception_v2.from_tf_checkpoint(renamed), origin="inception_v3.ckpt")


def test_another_number_of_classes_is_named():
    slim = read_scores("inception_v2_slim")
    model = inception_v2.build(input_shape=(64, 64, 3), classes=12)
    with pytest.raises(WeightsError, match=r"logits/kernel \(1024, 11\), expected \(1024, 12\)"):
        assign_weights(model, inception_v2.from_tf_checkpoint(slim.tensors), origin="mine.ckpt")
