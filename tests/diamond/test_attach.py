"""A student: the original's beginning, frozen for good, with a head of its own."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from modelzoo import GraphError, UnknownLayerError


def nested():
    """A network with a model in it, a shared layer, a plain operation, dropout and a batch norm."""
    keras.utils.set_random_seed(1)
    inner_input = keras.Input((12, 10, 3))
    inner = layers.Conv2D(4, 3, padding="same", name="conv")(inner_input)
    inner = layers.BatchNormalization(name="bn")(inner)
    inner = layers.ReLU(max_value=6, name="relu")(inner)
    backbone = keras.Model(inner_input, inner, name="backbone")
    image = keras.Input((12, 10, 3), name="image")
    x = backbone(image)
    shared = layers.Conv2D(4, 1, activation="relu", name="shared")
    x = layers.Add(name="add")([shared(shared(x)) * 2, x])
    x = layers.Dropout(0.5, name="drop")(x)
    x = layers.Conv2D(5, 3, activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="answer")(x), name="nested")
    model.get_layer("backbone").get_layer("bn").set_weights([np.array(v, "f4") for v in
        ([1, 2, 1, 1], [0, 0, 1, 0], [0.1, 0.2, 0.3, 0.4], [1, 1, 2, 1])])  # fmt: skip
    return dc.load(model, input=(-1, 1))


def pictures(n=6):
    return np.random.default_rng(0).random((n, 12, 10, 3), dtype=np.float32)


@pytest.mark.parametrize("cut", ["backbone", "backbone/bn", "shared@2", "add", "drop", "last", "last:linear", "pool"])
def test_a_student_computes_what_the_original_does_up_to_the_cut(cut):
    net = nested()
    student = dc.attach(net, cut, classes=2)
    kept = student.pre_output_layer
    np.testing.assert_array_equal(student.activations(pictures(), kept), net.activations(pictures(), cut))
    assert student.fingerprint(kept) == net.fingerprint(cut)
    assert student.output_size == 2
    assert student.input == net.input
    np.testing.assert_allclose(student.predict(pictures()).probabilities.sum(axis=1), 1, rtol=1e-5)


def test_layers_of_nested_models_carry_their_address_in_their_name():
    student = dc.attach(nested(), "last", classes=2, convolutions=(6,), dropout=0.3)
    names = tuple("scale" if name.startswith("multiply") else name for name in student.layers.names)
    assert names == (
        "backbone.conv", "backbone.bn", "backbone.relu", "shared", "shared@2", "scale", "add", "last",
        "head_conv1", "head_bn1", "head_relu1", "head_pool", "head_norm", "head_dropout",
        "head_logits", "head_probabilities",
    )  # fmt: skip
    assert student.pre_output_layer == "head_relu1"
    assert student.landmarks[-1] == "head_relu1"


def test_training_a_student_moves_its_head_and_nothing_else():
    net = nested()
    before = [np.array(values) for values in net.model.get_weights()]
    student = dc.attach(net, "last", classes=2, convolutions=(6,))
    kept = [np.array(weight) for layer in student.model.layers[:-7] for weight in layer.weights]
    bn = student.model.get_layer("backbone.bn")
    means, new_means = np.array(bn.moving_mean), np.array(student.model.get_layer("head_bn1").moving_mean)
    student.model.compile("sgd", "sparse_categorical_crossentropy")
    student.model.fit(pictures() * 3 + 5, np.arange(6) % 2, epochs=3, verbose=0)
    np.testing.assert_array_equal(np.array(bn.moving_mean), means)
    after = [np.array(weight) for layer in student.model.layers[:-7] for weight in layer.weights]
    assert all(np.array_equal(a, b) for a, b in zip(kept, after, strict=True))
    assert len(kept) == 4 + 2 + 2 + 2
    for values, same in zip(net.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(values, same)
    assert all(layer.trainable for layer in net.model.layers)
    assert not np.array_equal(np.array(student.model.get_layer("head_bn1").moving_mean), new_means)


def test_classes_have_names_by_which_they_are_asked_for():
    student = dc.attach(nested(), "last", classes=["cat", "dog"])
    assert student.class_index("dog") == 1
    assert student.predict(pictures(), top=2).labels[0] in (("cat", "dog"), ("dog", "cat"))
    assert dc.channel_attribution(student, pictures(2), "last", positive="dog").channels.shape == (5,)


def test_a_student_of_a_student_has_another_head():
    student = dc.attach(dc.attach(nested(), "last", classes=2, convolutions=(6,)), "head_relu1", classes=4)
    assert student.output_layer == "head2_probabilities"
    assert "head_relu1" in student.layers


def test_the_head_is_as_one_asks():
    net = nested()
    flat = dc.attach(net, "add", classes=3, pooling="flatten")
    assert flat.model.get_layer("head_logits").kernel.shape == (12 * 10 * 4, 3)
    own = dc.attach(
        net, "add", classes=3, convolutions=(layers.Conv2D(7, 5, strides=2, activation="relu", name="mine"),)
    )
    assert own.layers["mine"].channels == 7
    assert own.pre_output_layer == "mine"
    one, same, other = (dc.attach(net, "add", classes=3, convolutions=(4,), seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.predict(pictures()).logits, same.predict(pictures()).logits)
    assert not np.array_equal(one.predict(pictures()).logits, other.predict(pictures()).logits)


def test_a_lambda_is_taken_along():
    image = keras.Input((8, 8, 3))
    x = layers.Lambda(lambda values: values * 2, name="twice")(image)
    x = layers.Conv2D(2, 3, name="conv")(x)
    net = dc.load(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)), name="with_code"))
    shown = pictures()[:, :8, :8]
    student = dc.attach(net, "conv", classes=2)
    np.testing.assert_array_equal(student.activations(shown, "conv"), net.activations(shown, "conv"))


@pytest.mark.parametrize(
    ("cut", "said", "error", "message"),
    [
        ("lost", {}, UnknownLayerError, "no layer 'lost'; did you mean 'last'"),
        ("last", {"classes": 1}, ValueError, "1 classes; expected 2 or more"),
        ("last", {"classes": "cat"}, ValueError, "classes is 'cat'; expected how many, or a list of names"),
        ("last", {"classes": ["a", "b", "a"]}, ValueError, "the class 'a' stands twice among 3 names"),
        ("last", {"pooling": "mean"}, ValueError, "no pooling 'mean'; expected average, max, flatten"),
        ("last", {"dropout": 1.0}, ValueError, "dropout is 1.0; expected a share"),
        ("pool", {"convolutions": (8,)}, ValueError, "without places to convolve over; cut before its pooling"),
        ("last", {"convolutions": (0,)}, ValueError, "a convolution of 0 channels"),
        ("last", {"name": "a/b"}, ValueError, "cannot call a network 'a/b'"),
    ],
)
def test_what_cannot_be_attached_is_told(cut, said, error, message):
    with pytest.raises(error, match=message):
        dc.attach(nested(), cut, **{"classes": 2, **said})


def test_a_layer_that_cannot_be_made_again_is_told():
    class Odd(layers.Layer):
        def __init__(self, secret):
            super().__init__(name="odd")
            self.secret = secret

        def call(self, values):
            return values + self.secret

    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 3, name="conv")(Odd(3)(image))
    net = dc.load(keras.Model(image, layers.Dense(2)(layers.Flatten()(x)), name="odd_network"))
    with pytest.raises(GraphError, match="'odd', a .*Odd, cannot be made again"):
        dc.attach(net, "conv", classes=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cut"),
    [("NasnetMobile", "normal_concat_3"), ("InceptionV3", "mixed7"), ("ResnetV1_50", None), ("PnasnetMobile", None)],
)
def test_networks_of_the_zoo_are_cut_anywhere(name, cut):
    net = dc.load(name, weights=None)
    cut = cut or net.landmarks[len(net.landmarks) // 2]
    student = dc.attach(net, cut, classes=2)
    assert student.fingerprint(student.pre_output_layer) == net.fingerprint(cut)


def test_the_frozen_part_of_a_student_finds_the_original_s_sprites():
    net = dc.load("EfficientNetLite0")
    student = dc.attach(net, "block4_add", classes=["one", "two"], convolutions=(8,))
    assert dc.spritemap(student, "block4_add").manifest.recipe_name == "texture"
