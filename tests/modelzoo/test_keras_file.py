"""Keras' files of every age: each array reaches its variable, or the error says which does not."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from modelzoo.registry import load
from modelzoo.weights import WeightsError, assign_weights
from modelzoo.weights.keras_file import keras_addresses, read_keras
from modelzoo.weights.mapping import variable_addresses
from tests.modelzoo.photos import right_of_50


def small(prefix="", *, named=True, classes=3):
    """Convolution, batch norm, depthwise, separable convolution, dense: every order of variables that Keras has."""
    keras.utils.set_random_seed(1)

    def name(text):
        return prefix + text if named else None

    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, name=name("conv"), bias_initializer="normal")(image)
    x = layers.BatchNormalization(name=name("bn"))(x)
    x = layers.DepthwiseConv2D(3, name=name("dw"), bias_initializer="normal")(x)
    x = layers.Conv2D(4, 1, name=name("again"), bias_initializer="normal")(x)
    x = layers.SeparableConv2D(5, 3, name=name("sep"), bias_initializer="normal")(x)
    x = layers.Dropout(0.5, name=name("drop"))(layers.GlobalAveragePooling2D(name=name("pool"))(x))
    return keras.Model(image, layers.Dense(classes, name=name("head"))(x), name="small")


def scrambled(model, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.random(weight.shape, dtype=np.float32))
    return model


def loaded(path, model):
    assign_weights(model, keras_addresses(read_keras(path), model, origin=str(path)), origin=str(path))
    return model


def same(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True))


def trained_once(model):
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 3), np.float32), verbose=0)
    return model


# Files that Keras writes today


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5"])
def test_what_keras_writes_is_read_back_exactly(ending, tmp_path):
    path, model = tmp_path / f"small{ending}", trained_once(scrambled(small()))
    model.save_weights(path) if ending == ".weights.h5" else model.save(path)
    assert same(loaded(path, small()), model)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5"])
def test_the_automatic_names_of_another_session_do_not_matter(ending, tmp_path):
    path = tmp_path / f"small{ending}"
    small(named=False)
    model = scrambled(small(named=False))
    model.save_weights(path) if ending == ".weights.h5" else model.save(path)
    assert same(loaded(path, small(prefix="my_")), model)


def test_the_state_of_the_optimiser_is_left_out(tmp_path):
    model = trained_once(small())
    for ending in (".keras", ".h5"):
        model.save(tmp_path / f"small{ending}")
        assert len(read_keras(tmp_path / f"small{ending}")) == len(model.weights) == 15
    with h5py.File(tmp_path / "small.h5") as file:
        assert "optimizer_weights" in file


def test_containers_are_counted_not_spelt(tmp_path):
    x = image = keras.Input((4, 4, 2), name="image")
    for _ in range(12):
        x = layers.Conv2D(2, 1)(x)
    model = scrambled(keras.Model(image, x, name="twelve"))
    model.save_weights(tmp_path / "twelve.weights.h5")
    arrays = read_keras(tmp_path / "twelve.weights.h5")
    assert list(arrays)[:5:2] == ["layers/conv2d/vars/0", "layers/conv2d_1/vars/0", "layers/conv2d_2/vars/0"]
    assert list(arrays)[-1] == "layers/conv2d_11/vars/1"
    addressed = keras_addresses(arrays, model, origin="x")
    assert list(addressed) == list(variable_addresses(model))
    assert all(np.array_equal(addressed[k], v) for k, v in variable_addresses(model).items())


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5"])
def test_a_nested_model_is_read_in_its_own_order(ending, tmp_path):
    def nested():
        image = keras.Input((8, 8, 3), name="image")
        inside = small()
        return keras.Model(image, layers.Dense(2, name="top")(inside(image)), name="outer")

    path, model = tmp_path / f"nested{ending}", scrambled(nested())
    model.save_weights(path) if ending == ".weights.h5" else model.save(path)
    assert same(loaded(path, nested()), model)


# Files as former Keras wrote them


def former(path, groups, *, inside=None):
    """Write ``{layer: {weight name: array}}`` as Keras 1 and 2 did."""
    with h5py.File(path, "w") as file:
        top = file.create_group(inside) if inside else file
        top.attrs["layer_names"] = [layer.encode() for layer in groups]
        for layer, weights in groups.items():
            group = top.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, array in weights.items():
                group[name] = array
    return path


KERNEL, BIAS = np.arange(6, dtype=np.float32).reshape(1, 1, 3, 2), np.array([1, 2], np.float32)


def one_convolution(name="conv"):
    image = keras.Input((4, 4, 3), name="image")
    return keras.Model(image, layers.Conv2D(2, 1, name=name)(image), name="one")


@pytest.mark.parametrize(
    ("groups", "inside", "found"),
    [
        ({"conv": {"conv/kernel:0": KERNEL, "conv/bias:0": BIAS}}, None, "conv"),
        ({"conv": {"conv/kernel:0": KERNEL, "conv/bias:0": BIAS}}, "model_weights", "conv"),
        ({"a/conv": {"a/conv/kernel:0": KERNEL, "a/conv/bias:0": BIAS}}, None, "a/conv"),
        ({"conv": {"conv_W_1:0": KERNEL, "conv_b_1:0": BIAS}}, None, "conv"),
        ({"conv": {"conv_3/kernel:0": KERNEL, "conv_3/bias:0": BIAS}}, None, "conv"),
        ({"input_1": {}, "conv": {"convolution2d_7_W": KERNEL, "convolution2d_7_b": BIAS}}, None, "conv"),
    ],
)
def test_names_of_every_age_become_layer_and_variable(groups, inside, found, tmp_path):
    path = former(tmp_path / "old.h5", groups, inside=inside)
    arrays = read_keras(path)
    assert list(arrays) == [f"{found}/kernel", f"{found}/bias"]
    model = loaded(path, one_convolution())
    np.testing.assert_array_equal(model.get_weights()[0], KERNEL)
    np.testing.assert_array_equal(model.get_weights()[1], BIAS)


def test_a_long_list_of_layers_is_put_together_from_its_parts(tmp_path):
    path = former(tmp_path / "old.h5", {"conv": {"conv/kernel:0": KERNEL, "conv/bias:0": BIAS}})
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"input_1"], [b"conv"]
        file.create_group("input_1").attrs["weight_names"] = []
    assert list(read_keras(path)) == ["conv/kernel", "conv/bias"]


def test_names_come_before_places(tmp_path):
    image = keras.Input((4, 4, 2), name="image")
    model = keras.Model(image, layers.Conv2D(2, 1, name="b")(layers.Conv2D(2, 1, name="a")(image)), name="two")
    kernel = np.ones((1, 1, 2, 2), np.float32)
    weights = {n: {f"{n}/kernel:0": kernel * f, f"{n}/bias:0": BIAS * f} for n, f in (("b", 2), ("a", 1))}
    loaded(former(tmp_path / "two.h5", weights), model)
    assert float(model.get_layer("a").kernel[0, 0, 0, 0]) == 1.0
    assert float(model.get_layer("b").kernel[0, 0, 0, 0]) == 2.0


# Files that do not fit


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"kernel:0": KERNEL}, r"conv/bias \(2,\)"),
        ({"kernel:0": KERNEL, "bias:0": BIAS, "gamma:0": BIAS}, r"1 arrays without a variable:\n  conv/gamma"),
        ({"kernel:0": KERNEL[..., :1], "bias:0": BIAS}, r"conv/kernel \(1, 1, 3, 1\), expected \(1, 1, 3, 2\)"),
        ({"kernel:0": KERNEL, "bias:0": np.float32([1, np.nan])}, "1 of 2 numbers are NaN"),
    ],
)
def test_by_name_every_misfit_is_listed_and_nothing_is_written(weights, told, tmp_path):
    path = former(tmp_path / "x.h5", {"conv": {f"conv/{name}": array for name, array in weights.items()}})
    model = one_convolution()
    before = model.get_weights()
    with pytest.raises(WeightsError, match=told):
        loaded(path, model)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"a:0": KERNEL}, r"holds 1 arrays, the model 'one' has 2 variables; 1 variables without an array: mine/bias"),
        ({"a:0": KERNEL, "b:0": BIAS, "c:0": BIAS}, r"holds 3 arrays.* 1 arrays without a variable: other/c"),
        (
            {"a:0": KERNEL, "b:0": BIAS[:1]},
            r"array 2 of 2 is other/b \(1,\), and in its place the model has mine/bias \(2,\)",
        ),
        ({"b:0": BIAS, "a:0": KERNEL}, r"array 1 of 2 is other/b \(2,\), .* mine/kernel \(1, 1, 3, 2\)"),
    ],
)
def test_by_place_the_first_misfit_is_named(weights, told, tmp_path):
    path = former(tmp_path / "x.h5", {"other": {f"other/{name}": array for name, array in weights.items()}})
    with pytest.raises(WeightsError, match=told):
        loaded(path, one_convolution("mine"))


def test_a_container_too_many_or_too_few_is_named(tmp_path):
    model = one_convolution()
    model.save_weights(tmp_path / "one.weights.h5")
    with pytest.raises(WeightsError, match=r"13 variables without an array:\n  bn/gamma"):
        loaded(tmp_path / "one.weights.h5", small())


# Files that are damaged or attack


def test_what_is_no_keras_file_says_so(tmp_path):
    with pytest.raises(WeightsError, match=r"no file .*none\.h5"):
        read_keras(tmp_path / "none.h5")
    path = tmp_path / "x.h5"
    path.write_bytes(b"PK no")
    with pytest.raises(WeightsError, match="truncated, or no Keras file"):
        read_keras(path)
    scrambled(small()).save_weights(tmp_path / "small.weights.h5")
    path.write_bytes((tmp_path / "small.weights.h5").read_bytes()[:9000])
    with pytest.raises(WeightsError, match="truncated"):
        read_keras(path)
    with h5py.File(path, "w") as file:
        file["numbers"] = np.zeros(3)
    with pytest.raises(WeightsError, match="holds no weights of a Keras network; at its top are numbers"):
        read_keras(path)


def test_an_archive_without_weights_says_what_it_holds(tmp_path):
    import zipfile

    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(WeightsError, match=r"without model\.weights\.h5; it holds config\.json"):
        read_keras(path)


def test_numbers_in_another_file_are_refused(tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(24))
    path = former(tmp_path / "x.h5", {"conv": {"conv/bias:0": BIAS}})
    with h5py.File(path, "a") as file:
        del file["conv/conv/bias:0"]
        file["conv/conv"].create_dataset("bias:0", (2,), "f4", external=[(str(secret), 0, 8)])
    with pytest.raises(WeightsError, match="refused: the numbers of 'conv/bias:0' lie in another file"):
        read_keras(path)
    with h5py.File(path, "a") as file:
        del file["conv/conv/bias:0"]
        file["conv/conv/bias:0"] = h5py.ExternalLink("other.h5", "/bias")
    with pytest.raises(WeightsError, match="refused: 'conv/bias:0' is a link"):
        read_keras(path)
    with h5py.File(path, "a") as file:
        del file["conv/conv/bias:0"]
    with pytest.raises(WeightsError, match="damaged: it lists 'conv/bias:0' and does not hold it"):
        read_keras(path)


def test_arrays_larger_than_any_file_of_this_size_are_refused(tmp_path):
    path = former(tmp_path / "x.h5", {"conv": {"conv/bias:0": BIAS}})
    with h5py.File(path, "a") as file:
        del file["conv/conv/bias:0"]
        file["conv/conv"].create_dataset("bias:0", (2**34,), "f4", chunks=(2**20,))
    with pytest.raises(WeightsError, match="refused: its arrays would take 68,719,476,736 bytes"):
        read_keras(path)


def test_a_group_that_holds_itself_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("layers")
        group["inner"] = group
    with pytest.raises(WeightsError, match="more than 32 deep"):
        read_keras(tmp_path / "x.h5")


# Real weights


def test_the_real_mobilenet_answers_as_stated(shared_data):
    net = load("MobilenetV1_025", weights=shared_data / "weights" / "mobilenet_v1_0.25_224.h5")
    assert right_of_50(net, shared_data) == 32
    assert net.trained_to is None


def test_a_wrong_width_multiplier_says_which_tensor(shared_data):
    with pytest.raises(WeightsError, match=r"conv1/kernel \(3, 3, 3, 8\), expected \(3, 3, 3, 16\)"):
        load("MobilenetV1_050", weights=shared_data / "weights" / "mobilenet_v1_0.25_224.h5")


def test_another_network_says_which_tensor(shared_data):
    with pytest.raises(WeightsError, match="does not fit the model 'efficientnetlite0'"):
        load("EfficientNetLite0", weights=shared_data / "weights" / "mobilenet_v1_0.25_224.h5")


@pytest.mark.parametrize("ending", [".weights.h5", ".h5"])
def test_weights_without_a_classifier_serve_up_to_the_last_features(ending, tmp_path):
    whole = load("MobilenetV1_025", weights=None).model
    trunk = scrambled(keras.Model(whole.input, whole.get_layer("conv_pw_13_relu").output, name="notop"))
    path = tmp_path / f"notop{ending}"
    trunk.save_weights(path) if ending == ".weights.h5" else trunk.save(path)
    net = load("MobilenetV1_025", weights=path)
    assert net.trained_to == "conv_pw_13_relu"
    assert "without classifier: trained up to conv_pw_13_relu" in repr(net)
    np.testing.assert_array_equal(
        net.model.get_layer("conv_pw_13").get_weights()[0], trunk.get_layer("conv_pw_13").kernel
    )
    picture = np.full((1, 224, 224, 3), 0.5, np.float32)
    assert net.activations(picture, "conv_pw_13_relu").shape == (1, 7, 7, 256)
    with pytest.raises(WeightsError, match=r"MobilenetV1_025 \(notop.*have no classifier.*up to 'conv_pw_13_relu'"):
        net.predict(picture)
