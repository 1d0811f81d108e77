"""TF-slim's checkpoints in Keras' applications: the same scores, or a refusal."""

import keras
import numpy as np
import pytest

from modelzoo.architectures import keras_applications
from modelzoo.architectures.inception_names import NETWORKS
from modelzoo.architectures.keras_applications_names import from_tf_checkpoint
from modelzoo.weights import WeightsError, assign_weights
from tests.modelzoo.seeded_weights import read_scores, relative_difference


def probabilities(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_mobilenet_scores_as_tf_slims_without_its_background():
    slim = read_scores("mobilenet_025_slim")
    model = keras_applications.build(
        application="MobileNet", alpha=0.25, input_shape=slim.pictures.shape[1:], classes=1000
    )
    assign_weights(model, from_tf_checkpoint(slim.tensors, application="MobileNet", alpha=0.25), origin="fixture")
    logits = keras.Model(model.inputs, model.get_layer("conv_preds").output)([slim.pictures])
    assert slim.logits.shape == (2, 1001)
    assert relative_difference(np.asarray(logits).reshape(2, 1000), slim.logits[:, 1:]) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("application", ["VGG16", "VGG19"])
def test_a_vgg_scores_as_tf_slims_once_the_colours_are_turned(application):
    slim = read_scores(f"{application.lower()}_slim")
    model = keras_applications.build(application=application, classes=11)
    assign_weights(model, from_tf_checkpoint(slim.tensors, application=application), origin="fixture")
    found = np.asarray(model(slim.pictures[..., ::-1]))
    assert relative_difference(found, probabilities(slim.logits)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("application", "fixture", "arrays"),
    [("InceptionV3", "inception_v3_slim", 388), ("InceptionResNetV2", "inception_resnet_v2_slim", 908)],
)
def test_an_inception_scores_as_tf_slims_though_keras_counts_its_layers(application, fixture, arrays):
    slim = read_scores(fixture)
    assert len(slim.tensors) == arrays
    model = keras_applications.build(application=application, input_shape=slim.pictures.shape[1:], classes=11)
    assign_weights(model, from_tf_checkpoint(slim.tensors, application=application), origin="fixture")
    assert relative_difference(np.asarray(model(slim.pictures)), probabilities(slim.logits)) < 1e-5


@pytest.mark.parametrize(
    ("application", "scope"), [("InceptionV3", "Logits/Conv2d_1c_1x1"), ("InceptionResNetV2", "Logits/Logits")]
)
def test_an_inceptions_background_and_its_auxiliary_classifier_are_left_out(application, scope):
    network = NETWORKS[application][0]
    arrays = {f"{network}/{scope}/biases": np.arange(1001.0), f"{network}/AuxLogits/Conv2d_1b_1x1/weights": np.zeros(1)}
    arrays[f"{network}/Mixed_9z/weights"] = np.zeros(1)
    found = from_tf_checkpoint(arrays, application=application)
    assert list(found) == ["predictions/bias", f"{network}/Mixed_9z/weights"]
    assert found["predictions/bias"].tolist() == list(range(1, 1001))


@pytest.mark.parametrize(("application", "scope", "last"), [("VGG16", "vgg_16", "3_3"), ("VGG19", "vgg_19", "3_4")])
def test_a_vggs_layers_are_found_and_its_first_kernel_turned(application, scope, last):
    kernel = np.arange(3 * 3 * 3 * 2.0).reshape(3, 3, 3, 2)
    arrays = {
        f"{scope}/conv1/conv1_1/weights": kernel,
        f"{scope}/conv3/conv{last}/biases": np.zeros(256),
        f"{scope}/fc6/weights": np.zeros((7, 7, 512, 3)),
        f"{scope}/fc8/weights": np.zeros((1, 1, 4096, 1000)),
        f"{scope}/conv6/conv6_1/biases": np.zeros(1),
        "global_step": np.zeros(()),
    }
    found = from_tf_checkpoint(arrays, application=application)
    assert {name: array.shape for name, array in found.items()} == {
        "block1_conv1/kernel": (3, 3, 3, 2),
        f"block3_conv{last[-1]}/bias": (256,),
        "fc1/kernel": (25088, 3),
        "predictions/kernel": (4096, 1000),
        f"{scope}/conv6/conv6_1/biases": (1,),
    }
    np.testing.assert_array_equal(found["block1_conv1/kernel"][:, :, 0], kernel[:, :, 2])


def test_a_nasnets_names_are_found():
    arrays = {"cell_4/1x1/weights": np.zeros((1, 1, 8, 8)), "aux_7/aux_logits/FC/biases": np.zeros(1001)}
    assert list(from_tf_checkpoint(arrays, application="NASNetMobile")) == ["normal_conv_1_5/kernel"]


def test_networks_that_only_look_alike_are_refused():
    for depth in (50, 101, 152):
        words = rf"does not fit Keras' ResNet{depth}: .* load\('ResnetV1_{depth}_slim', weights=\.\.\.\)"
        with pytest.raises(WeightsError, match=words):
            from_tf_checkpoint({}, application=f"ResNet{depth}")
    with pytest.raises(WeightsError, match=r"of ResNet18; expected one of VGG16, VGG19, MobileNet, InceptionV3, Inc"):
        from_tf_checkpoint({}, application="ResNet18")
