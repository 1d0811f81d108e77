"""Saliency by hand: gradients of networks that can be computed on paper, rules, completeness, and what is refused."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from modelzoo import GraphError
from modelzoo.inputs import PictureError
from modelzoo.labels import ClassError
from tests.tiny import constant, linear_tail, nested, one_filter


def loaded(model):
    return dc.load(model, input=(0, 1))


def chain(first, second, activation="relu"):
    """A 1 x 1 picture whose red goes through two weights with a rectifier after each, and into logits (y, -y)."""
    image = keras.Input((1, 1, 3), name="image")
    x = layers.Conv2D(1, 1, activation=activation, use_bias=False, name="first")(image)
    x = layers.Activation(activation, name="second")(layers.Conv2D(1, 1, use_bias=False, name="conv")(x))
    x = layers.Dense(2, use_bias=False, name="logits")(layers.Flatten(name="flat")(x))
    model = constant(
        keras.Model(image, x, name="chain"),
        {
            "first/kernel": np.reshape([first, 0, 0], (1, 1, 3, 1)),
            "conv/kernel": second,
            "logits/kernel": [[1.0, -1.0]],
        },
    )
    return loaded(model)


RED = np.full((1, 1, 3), 0.5, np.float32)


def test_the_gradient_of_one_filter_by_hand():
    # Each pixel gives 3 * 0.5 - 1 = 0.5, open; 2 times the mean over 16 places: each colour counts 2 / 16.
    picture = np.full((4, 4, 3), 0.5, np.float32)
    picture[0, 0] = 0.1
    found = dc.saliency(loaded(one_filter()), picture, target=0, method=["gradient", "gradient_x_input", "grad_cam"])
    expected = np.full((4, 4, 3), 0.125)
    expected[0, 0] = 0
    np.testing.assert_allclose(found["gradient"][0], expected, rtol=1e-6)
    np.testing.assert_allclose(found["gradient_x_input"][0], expected * picture, rtol=1e-6)
    # Grad-CAM: weight 2 / 16, activation 0.5 where open.
    np.testing.assert_allclose(found["grad_cam"][0, :, :, 0], 0.5 * expected[..., 0], rtol=1e-5)
    assert found.layer == "sum"
    np.testing.assert_allclose(found.scores, [2 * 0.5 * 15 / 16], rtol=1e-6)
    np.testing.assert_allclose(found.heatmaps("gradient_x_input")[0, 1, 1], 3 * 0.125 * 0.5, rtol=1e-6)
    np.testing.assert_allclose(found.heatmap[1, 1], 0.125, rtol=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "target", "gradient", "guided", "deconvolved"),
    [
        (2.0, 3.0, 0, 6.0, 6.0, 6.0),
        (2.0, 3.0, 1, -6.0, 0.0, 0.0),
        (-2.0, 3.0, 0, 0.0, 0.0, -6.0),
        (2.0, -3.0, 0, 0.0, 0.0, 0.0),
        (2.0, -3.0, 1, 0.0, 0.0, 0.0),
    ],
)
def test_the_rules_by_hand(first, second, target, gradient, guided, deconvolved):
    found = dc.saliency(
        chain(first, second), RED, target=target, method=["gradient", "guided_backpropagation", "deconvnet"]
    )
    for method, expected in (
        ("gradient", gradient),
        ("guided_backpropagation", guided),
        ("deconvnet", deconvolved),
    ):
        np.testing.assert_allclose(found[method][0, 0, 0], [expected, 0, 0], rtol=1e-6, err_msg=method)


@pytest.mark.parametrize(("first", "expected"), [(8.0, 4.0), (16.0, 0.0)])
def test_a_relu6_is_met_and_keeps_its_cap(first, expected):
    # Half a red through a weight of 8 is 4, below the cap of 6; through one of 16 it is 8, above.
    net = chain(first, 0.5, "relu6")
    found = dc.saliency(net, RED, target=0, method=["guided_backpropagation", "deconvnet"])
    np.testing.assert_allclose(found["guided_backpropagation"][0, 0, 0, 0], expected)
    np.testing.assert_allclose(found["deconvnet"][0, 0, 0, 0], expected)


def test_a_relu_that_ends_anywhere_keeps_its_end_and_its_threshold():
    image = keras.Input((1, 3, 3), name="image")
    x = layers.ReLU(max_value=2.0, threshold=0.25, name="capped")(layers.Rescaling(4.0, name="four")(image))
    x = layers.Dense(1, use_bias=False, name="logit")(layers.Flatten()(x))
    net = loaded(constant(keras.Model(image, x, name="ends"), {"logit/kernel": 1.0}))
    picture = np.zeros((1, 3, 3), np.float32)
    picture[0, :, 0] = 0.05, 0.3, 0.9
    found = dc.saliency(net, picture, target=0, method=["gradient", "guided_backpropagation", "deconvnet"])
    for method, expected in (("gradient", [0, 4, 0]), ("guided_backpropagation", [0, 4, 0]), ("deconvnet", [4, 4, 0])):
        np.testing.assert_allclose(found[method][0, 0, :, 0], expected, err_msg=method)


def test_integrated_gradients_are_complete_and_smoothgrad_of_a_straight_line_is_its_gradient():
    net = loaded(linear_tail())
    pictures = np.random.default_rng(0).random((3, 8, 6, 3), np.float32)
    found = dc.saliency(net, pictures, target=2, method=["integrated_gradients"], baseline=0.5)
    logits = net.predict(np.concatenate([pictures, np.full((1, 8, 6, 3), 0.5, np.float32)])).logits[:, 2]
    np.testing.assert_allclose(found.changes, logits[:3] - logits[3], atol=1e-5)
    np.testing.assert_allclose(found["integrated_gradients"].sum(axis=(1, 2, 3)), found.changes, rtol=0.01, atol=1e-4)
    straight = chain(2.0, 3.0, "linear")
    smooth = dc.saliency(straight, RED, target=0, method="smoothgrad", samples=3)
    np.testing.assert_allclose(smooth["smoothgrad"][0, 0, 0], [6, 0, 0])


def test_smoothgrad_at_a_kink_is_half_of_each_side():
    # Red lies on the kink: about half of the noisy copies see a slope of 2, the others none.
    image = keras.Input((1, 1, 3), name="image")
    x = layers.ReLU(name="relu")(layers.Rescaling(1.0, -0.5, name="shift")(image))
    x = layers.Dense(1, use_bias=False, name="logit")(layers.Flatten()(x))
    net = loaded(constant(keras.Model(image, x, name="kink"), {"logit/kernel": [[2.0], [0.0], [0.0]]}))
    picture = np.array([[[0.5, 0.0, 1.0]]], np.float32)
    found = dc.saliency(net, picture, target=0, method="smoothgrad", samples=400)
    assert 0.85 < found["smoothgrad"][0, 0, 0, 0] < 1.15
    again = dc.saliency(net, picture, target=0, method="smoothgrad", samples=400)
    np.testing.assert_array_equal(found["smoothgrad"], again["smoothgrad"])


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_batches_do_not_change_the_answer(batch):
    net = loaded(linear_tail())
    pictures = np.random.default_rng(1).random((5, 8, 6, 3), np.float32)
    whole = dc.saliency(net, pictures, method="all", samples=4, batch=8, steps=8)
    found = dc.saliency(net, pictures, method="all", samples=4, batch=batch, steps=8)
    assert found.targets == whole.targets
    assert len(found.methods) == 8
    for method in found.methods:
        np.testing.assert_allclose(found[method], whole[method], atol=1e-6, err_msg=method)


def test_a_class_against_another_is_the_difference_of_their_gradients():
    net = loaded(linear_tail())
    picture = np.random.default_rng(2).random((8, 6, 3), np.float32)
    one, other = (dc.saliency(net, picture, target=t)["gradient"] for t in (0, 3))
    found = dc.saliency(net, picture, target=0, negative=3)
    np.testing.assert_allclose(found["gradient"], one - other, atol=1e-6)
    assert found.targets == ("0 against 3",)
    assert dc.saliency(net, picture, target=0, negative="others").targets == ("0 against all others",)


def test_a_planted_pixel_of_a_picture_that_is_no_square_is_found_where_it_lies():
    image = keras.Input((6, 9, 3), name="image")
    x = layers.Cropping2D(((2, 3), (7, 1)), name="cut")(image)
    net = loaded(keras.Model(image, layers.Dense(1, use_bias=False, name="logit")(layers.Flatten()(x)), name="planted"))
    found = dc.saliency(net, np.full((6, 9, 3), 0.5, np.float32), target=0)
    assert np.argwhere(found.heatmap > 0).tolist() == [[2, 7]]
    row = found.to_dataframe().iloc[0]
    assert (row["row"], row["column"]) == (2, 7)


def test_a_network_in_a_network_is_met():
    found = dc.saliency(loaded(nested()), np.full((16, 12, 3), 0.9, np.float32), target=0, method="all", samples=2)
    assert found.layer == "backbone/wide"
    assert "Rules act on 1 ReLU." in found.notes
    assert any("failed the randomisation test" in note for note in found.notes)


@pytest.mark.parametrize("activation", ["silu", "gelu", "leaky_relu"])
def test_a_rule_that_would_do_nothing_is_refused(activation):
    net = chain(1.0, 1.0, activation)
    for method in ("guided_backpropagation", "deconvnet", "guided_grad_cam"):
        with pytest.raises(ValueError, match=f"bends by {activation} at 'first' and at 1 more place;"):
            dc.saliency(net, RED, method=method)
    assert dc.saliency(net, RED, method="all", samples=1).methods == (
        "gradient",
        "gradient_x_input",
        "integrated_gradients",
        "smoothgrad",
    )


def test_no_relu_at_all_and_one_written_out_are_refused():
    with pytest.raises(ValueError, match="has no ReLU before its class scores"):
        dc.saliency(chain(1.0, 1.0, "linear"), RED, method="deconvnet")
    image = keras.Input((2, 2, 3), name="image")
    x = keras.ops.maximum(layers.Conv2D(2, 1, name="conv")(image), 0.0)
    net = loaded(keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(x), name="written"))
    with pytest.raises(ValueError, match="bends by Maximum"):
        dc.saliency(net, np.zeros((2, 2, 3), np.float32), method="guided_backpropagation")


def test_what_cannot_be_asked_is_told():
    net = loaded(linear_tail())
    picture = np.random.default_rng(0).random((8, 6, 3), np.float32)
    with pytest.raises(ValueError, match="no method 'guided'; .* did you mean 'guided_grad_cam'"):
        dc.saliency(net, picture, method="guided")
    with pytest.raises(ValueError, match="layer goes with grad_cam"):
        dc.saliency(net, picture, layer="conv")
    with pytest.raises(GraphError, match="no height and width .* nearest layers with them: 'features'"):
        dc.saliency(net, picture, method="grad_cam", layer="pool")
    with pytest.raises(ValueError, match=r"baseline has the shape \(3, 2\); expected a number"):
        dc.saliency(net, picture, method="integrated_gradients", baseline=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="steps is 0"):
        dc.saliency(net, picture, method="integrated_gradients", steps=0)
    with pytest.raises(ClassError):
        dc.saliency(net, picture, target=4)
    with pytest.raises(PictureError, match="no pictures"):
        dc.saliency(net, [])
    with pytest.raises(ValueError, match="no method was asked for"):
        dc.saliency(net, picture, method=[])
    with pytest.raises(KeyError, match="'grad_cam' was not asked for; there are gradient"):
        dc.saliency(net, picture)["grad_cam"]
    broken = linear_tail()
    broken.get_layer("conv").kernel.assign(np.full((3, 3, 3, 5), np.inf))
    with pytest.raises(ValueError, match="from 'conv' on the activations are NaN or infinite"):
        dc.saliency(loaded(broken), picture)


def test_a_network_without_places_has_no_grad_cam():
    image = keras.Input((2, 2, 3), name="image")
    x = layers.Dense(3, name="logits")(layers.Dense(4, activation="relu", name="dense")(layers.Flatten()(image)))
    net = loaded(keras.Model(image, x, name="dense_only"))
    with pytest.raises(GraphError, match="no layer of dense_only before its class scores has height and width"):
        dc.saliency(net, np.zeros((2, 2, 3), np.float32), method="grad_cam")
    assert dc.saliency(net, np.ones((2, 2, 3), np.float32), target=0).heatmap.shape == (2, 2)


def test_shuffled_weights_change_the_maps_and_not_the_network():
    net = loaded(linear_tail())
    pictures = np.random.default_rng(3).random((3, 8, 6, 3), np.float32)
    found = dc.saliency(net, pictures, method=["gradient", "grad_cam"], batch=2)
    check = found.randomisation(net, depths=2)
    assert check.layers == ("logits", "conv")
    assert check.shares.tolist() == [0.5, 1.0]
    assert check.likeness.shape == (2, 2, 3)
    assert np.abs(check.likeness).max() < 1
    assert set(check.left) == {"gradient", "grad_cam"}
    assert check.to_dataframe()["layer"].tolist() == ["logits", "conv"] * 2
    np.testing.assert_array_equal(found["gradient"], dc.saliency(net, pictures, batch=2)["gradient"])
    with pytest.raises(ValueError, match="depths is 0"):
        found.randomisation(net, depths=0)
    with pytest.raises(ValueError, match="the maps are of linear_tail, the network given is chain"):
        found.randomisation(chain(1.0, 1.0))


def test_maps_are_a_table_a_figure_a_page_and_arrays(tmp_path):
    net = loaded(linear_tail())
    pictures = np.random.default_rng(4).random((14, 8, 6, 3), np.float32)
    found = dc.saliency(net, pictures, method="all", samples=2)
    table = found.to_dataframe()
    assert len(table) == 14 * 8
    sums = table[table["method"] == "integrated_gradients"]["sum"]
    np.testing.assert_allclose(sums, found.changes, rtol=0.01, atol=1e-4)
    page = found.save(tmp_path / "maps.html").read_text()
    assert page.count("<figure>") == 5 * 9
    assert "and 9 more pictures" in page
    assert "failed the randomisation test" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    for suffix in (".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"maps{suffix}").stat().st_size > 100
    assert len(found.plot().axes) == 8 * 9
    assert "linear_tail" in repr(found)
    check = dc.saliency(net, pictures[:2]).randomisation(net, depths=1)
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert check.save(tmp_path / f"check{suffix}").stat().st_size > 50
    assert "srcdoc" in found._repr_html_()


def test_a_network_of_two_inputs_is_told_the_other():
    image, gain = keras.Input((2, 2, 3), name="image"), keras.Input((1,), name="gain")
    x = layers.Conv2D(2, 1, name="conv")(image)
    y = layers.Multiply(name="product")([layers.GlobalAveragePooling2D(name="mean")(x), gain])
    net = loaded(keras.Model([image, gain], [layers.Dense(2, name="logits")(y)], name="two"))
    picture = np.full((2, 2, 3), 0.5, np.float32)
    once, twice = (dc.saliency(net, picture, target=0, given={"gain": [[g]]})["gradient"] for g in (1.0, 2.0))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)
    assert np.abs(once).max() > 0
    with pytest.raises(GraphError, match="has 2 inputs"):
        dc.saliency(net, picture, target=0)


def test_spectrograms_of_a_network_that_takes_time_first():
    net = dc.load("Yamnet256_esc10", weights=None)
    patch = np.random.default_rng(5).uniform(-9, 5, (64, 96, 1)).astype(np.float32)
    found = dc.saliency(net, patch, target=0, method=["gradient", "grad_cam", "integrated_gradients"], steps=4)
    assert found["gradient"].shape == (1, 64, 96, 1)
    assert found["grad_cam"].shape == (1, 8, 12, 1)
    assert "from silence" in found.notes[0]
    assert found.plot() is not None


@pytest.mark.slow
def test_what_adebayo_found_is_found_here(shared_data):
    net = dc.load("EfficientNetLite0")
    photo = shared_data / "photos" / "015_n01558993_robin.JPEG"
    found = dc.saliency(net, photo, method=["gradient", "grad_cam", "guided_backpropagation"])
    check = found.randomisation(net, depths=4)
    # A quarter of the layers, all that tell classes apart, is noise, and the picture by the rule is the same.
    assert check.likeness[2, 0, 0] > 0.8
    assert check.likeness[0, 0, 0] < 0.5
    assert abs(check.likeness[1, 0, 0]) < 0.5
