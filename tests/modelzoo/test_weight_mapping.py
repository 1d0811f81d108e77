"""Arrays onto variables: all of them or none, and never a silent skip."""

import keras
import numpy as np
import pytest

from modelzoo.weights import WeightsError, assign_weights
from modelzoo.weights.mapping import variable_addresses


def network() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv1")(inputs)
    x = keras.layers.BatchNormalization(name="norm1")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(x), name="small")


def arrays_of(model: keras.Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {k: rng.normal(size=v.shape) for k, v in variable_addresses(model).items()}


SHAPES = {
    "conv1/kernel": (3, 3, 3, 4),
    "conv1/bias": (4,),
    "norm1/gamma": (4,),
    "norm1/beta": (4,),
    "norm1/moving_mean": (4,),
    "norm1/moving_variance": (4,),
    "logits/kernel": (4, 2),
    "logits/bias": (2,),
}


def test_a_variable_is_addressed_by_its_layer_and_its_own_name():
    assert {k: tuple(v.shape) for k, v in variable_addresses(network()).items()} == SHAPES


def test_every_array_reaches_its_variable():
    model = network()
    arrays = arrays_of(model)
    assign_weights(model, arrays, origin="a file")
    for address, variable in variable_addresses(model).items():
        np.testing.assert_array_equal(np.asarray(variable), arrays[address].astype(np.float32))
    np.testing.assert_array_equal(model.get_layer("conv1").kernel, arrays["conv1/kernel"].astype(np.float32))


def test_what_does_not_fit_is_listed_and_nothing_is_written():
    model = network()
    before = [np.asarray(v) for v in model.weights]
    arrays = arrays_of(model)
    arrays["conv_1/kernel"] = arrays.pop("conv1/kernel")
    arrays["norm1/gamma"] = np.zeros(5)
    arrays["norm1/beta"] = np.full(4, np.nan)
    with pytest.raises(WeightsError) as error:
        assign_weights(model, arrays, origin="file.pth")
    lines = str(error.value).splitlines()
    assert lines == [
        "file.pth: does not fit the model 'small' (7 of 8 variables found; nothing was written)",
        "1 variables without an array:",
        "  conv1/kernel (3, 3, 3, 4) (near: conv_1/kernel)",
        "1 arrays without a variable:",
        "  conv_1/kernel (3, 3, 3, 4) (near: conv1/kernel)",
        "1 arrays of another shape:",
        "  norm1/gamma (5,), expected (4,)",
        "1 arrays without usable numbers:",
        "  norm1/beta: 4 of 4 numbers are NaN or infinite",
    ]
    assert all((np.asarray(v) == old).all() for v, old in zip(model.weights, before, strict=True))


def test_five_of_many_are_listed():
    with pytest.raises(WeightsError, match=r"8 variables without an array:(\n  .*){5}\n  ... and 3 more") as error:
        assign_weights(network(), {}, origin="empty.pth")
    assert "logits/bias" not in str(error.value)


def test_what_is_ignored_may_be_missing_on_either_side():
    model = network()
    kernel = np.asarray(model.get_layer("logits").kernel)
    arrays = {k: v for k, v in arrays_of(model).items() if not k.startswith("logits/")}
    arrays["norm1/num_batches_tracked"] = np.array(7)
    assign_weights(model, arrays, origin="a file", ignore=["*/num_batches_tracked", "logits/*"])
    np.testing.assert_array_equal(model.get_layer("logits").kernel, kernel)
    np.testing.assert_array_equal(model.get_layer("norm1").gamma, arrays["norm1/gamma"].astype(np.float32))
    with pytest.raises(WeightsError, match="expected several"):
        assign_weights(model, arrays, origin="a file", ignore="logits/*")


@pytest.mark.parametrize("array", [np.array(["a"] * 4), np.zeros(4, complex), np.array([None] * 4)])
def test_an_array_of_no_numbers_is_refused(array):
    model = network()
    with pytest.raises(WeightsError, match="conv1/bias: dtype"):
        assign_weights(model, {**arrays_of(model), "conv1/bias": array}, origin="a file")


def test_a_nested_model_prefixes_its_name_and_a_shared_layer_stands_once():
    backbone = network()
    inputs = keras.Input((8, 8, 3))
    shared = keras.layers.Dense(2, name="twice")
    outer = keras.Model(inputs, shared(shared(backbone(inputs))), name="outer")
    assert list(variable_addresses(outer)) == [f"small/{k}" for k in SHAPES] + ["twice/kernel", "twice/bias"]
    arrays = arrays_of(outer)
    assign_weights(outer, arrays, origin="a file")
    np.testing.assert_array_equal(backbone.get_layer("conv1").bias, arrays["small/conv1/bias"].astype(np.float32))


def test_a_layer_made_of_layers_keeps_their_variables_apart():
    inputs = keras.Input((5, 3))
    outputs = keras.layers.Bidirectional(keras.layers.SimpleRNN(2, name="rnn"), name="both")(inputs)
    model = keras.Model(inputs, outputs)
    addresses = variable_addresses(model)
    assert len(addresses) == len(model.weights) == 6
    assert all(address.startswith("both/") for address in addresses)
    assign_weights(model, arrays_of(model), origin="a file")


def test_a_model_without_variables_takes_nothing():
    with pytest.raises(WeightsError, match="has no variables yet"):
        assign_weights(keras.Sequential([keras.layers.Dense(2)]), {}, origin="a file")
