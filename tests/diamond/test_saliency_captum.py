"""Gradient methods beside captum 0.9, of ReLU and of ReLU6, on the same weights; its values lie in the fixture."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from tests.diamond.captum_network import read

KINDS = ("relu", "relu6")
METHODS = (
    "gradient",
    "gradient_x_input",
    "guided_backpropagation",
    "deconvnet",
    "integrated_gradients",
    "grad_cam",
    "guided_grad_cam",
)


@pytest.fixture(scope="module")
def kept():
    return read("captum_saliency.npz")


@pytest.fixture(scope="module")
def nets(kept):
    return {kind: network(kept, kind) for kind in KINDS}


def network(kept, kind):
    """Its rectifiers stand in three places: in a convolution, in a nested network, and by themselves."""
    cap = 6.0 if kind == "relu6" else None
    inside = keras.Input((7, 5, 6), name="inside")
    y = layers.ReLU(cap, name="rectifier")(layers.Conv2D(8, 3, padding="same", name="conv")(inside))
    block = keras.Model(inside, y, name="block")
    image = keras.Input((14, 10, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", activation=kind, name="first")(image)
    x = block(layers.MaxPooling2D(2, name="pool")(x))
    y = layers.Activation(kind, name="third")(layers.Conv2D(8, 3, padding="same", name="conv3")(x))
    x = layers.GlobalAveragePooling2D(name="mean")(y + x)
    model = keras.Model(image, layers.Dense(5, activation="softmax", name="answer")(x), name=kind)
    named = {"conv1": model.get_layer("first"), "conv2": block.get_layer("conv")}
    named |= {"conv3": model.get_layer("conv3"), "dense": model.get_layer("answer")}
    for name, layer in named.items():
        layer.set_weights([kept[f"weight:{name}.weight"], kept[f"weight:{name}.bias"]])
    return dc.load(model, input=(0, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", [1, 3])
def test_every_method_is_captums(nets, kept, kind, target):
    found = dc.saliency(
        nets[kind], kept["pictures"], target=target, method=METHODS, layer="block/rectifier", baseline=0.25, steps=32
    )
    np.testing.assert_allclose(found.scores, kept[f"{kind}:logits"][:, target], rtol=1e-5)
    for method in METHODS:
        theirs = kept[f"{kind}:{method}:{target}"]
        assert found[method].shape == theirs.shape
        most = np.abs(theirs).max()
        assert np.abs(found[method] - theirs).max() <= 1e-5 * most, method


def test_the_cap_is_felt_and_the_rules_are_not_the_gradient(kept):
    for method in METHODS:
        differences = [np.abs(kept[f"relu:{method}:{t}"] - kept[f"relu6:{method}:{t}"]).max() for t in (1, 3)]
        assert max(differences) > 0.01, method
    for kind in KINDS:
        for rule in ("guided_backpropagation", "deconvnet"):
            assert np.abs(kept[f"{kind}:{rule}:1"] - kept[f"{kind}:gradient:1"]).max() > 0.1


def test_the_models_are_not_touched(nets, kept):
    before = [np.array(weight) for weight in nets["relu6"].model.get_weights()]
    dc.saliency(nets["relu6"], kept["pictures"], method="all", samples=2, steps=2).randomisation(
        nets["relu6"], depths=2
    )
    for one, other in zip(before, nets["relu6"].model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    after = dc.saliency(nets["relu6"], kept["pictures"], target=1)
    assert np.abs(after["gradient"] - kept["relu6:gradient:1"]).max() <= 1e-5 * np.abs(kept["relu6:gradient:1"]).max()
