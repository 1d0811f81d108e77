"""What attribution has to add up to, whatever the method, the layers asked for, the inputs or the batch size."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.attribution.linear import contributions
from modelzoo import GraphError
from modelzoo.labels import ClassError
from tests import tiny


def pictures(n=5, size=(8, 6), seed=7):
    return np.random.default_rng(seed).random((n, *size, 3), dtype=np.float32)


def bent(seed=0, activation="silu"):
    """A 12 x 8 network that bends after every layer, with a way around the layer ``inner``."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((12, 8, 3), name="image")
    start = {"kernel_initializer": "he_normal", "bias_initializer": keras.initializers.RandomNormal(stddev=0.3)}
    x = layers.Conv2D(6, 3, padding="same", activation=activation, name="outer", **start)(image)
    x = layers.MaxPooling2D(2, name="pool")(x)
    y = layers.Conv2D(6, 3, padding="same", activation=activation, name="inner", **start)(x)
    y = layers.Conv2D(6, 3, padding="same", activation=activation, name="last", **start)(y)
    x = layers.GlobalAveragePooling2D(name="mean")(x + y)
    return keras.Model(image, layers.Dense(4, activation="softmax", name="answer", **start)(x), name="bent")


def two_inputs(seed=0):
    """Logits of class 0 are the mean of a picture's channel 0 plus the other input; of class 1, three times that less."""
    image, other = keras.Input((8, 6, 3), name="image"), keras.Input((2,), name="other")
    x = layers.GlobalAveragePooling2D(name="mean")(layers.Conv2D(2, 1, name="conv", use_bias=False)(image))
    x = layers.Concatenate(name="both")([x, other])
    model = keras.Model([image, other], layers.Dense(2, name="logits")(x), name="two_inputs")
    kernel = np.zeros((1, 1, 3, 2))
    kernel[0, 0, 0, 0] = kernel[0, 0, 1, 1] = 1.0
    return tiny.constant(
        model, {"conv/kernel": kernel, "logits/kernel": [[1, 0], [0, 3], [1, 0], [0, -1]], "logits/bias": 0.0}
    )


@pytest.mark.parametrize("activation", ["relu", "silu", "gelu", "relu6"])
@pytest.mark.parametrize("negative", [None, "top2", "others"])
def test_along_the_path_all_channels_add_up_to_the_change_of_the_score(activation, negative):
    net, shown = dc.load(bent(activation=activation), input=(0, 1)), pictures(4, (12, 8))
    for layer in ("outer", "last"):
        found = dc.channel_attribution(net, shown, layer, negative=negative, method="path")
        np.testing.assert_allclose(found.all_scores.sum(axis=1), found.changes, rtol=0.01)
        assert np.abs(found.changes).min() > 0.01


def test_the_path_begins_where_the_layer_is_zero_and_what_goes_around_it_stays():
    """The change is that of a network in which the layer gives zero, computed apart."""
    model, shown = bent(), pictures(3, (12, 8))
    net = dc.load(model, input=(0, 1))
    found = dc.channel_attribution(net, shown, "last", positive=2, method="path")
    without = keras.models.clone_model(model)
    without.set_weights(model.get_weights())
    for variable in without.get_layer("last").weights:
        variable.assign(np.zeros(variable.shape))
    silent = dc.load(without, input=(0, 1)).predict(shown).logits[:, 2]
    np.testing.assert_allclose(found.changes, net.predict(shown).logits[:, 2] - silent, rtol=1e-4, atol=1e-5)


def test_on_a_linear_tail_path_and_gradient_agree():
    net, shown = dc.load(tiny.linear_tail(), input=(0, 1)), pictures()
    straight, path = (
        dc.channel_attribution(net, shown, "features", positive=1, method=method).all_scores
        for method in ("gradient", "path")
    )
    np.testing.assert_allclose(straight, path, rtol=1e-4, atol=1e-6)


def test_where_the_network_saturates_the_path_sees_what_the_gradient_misses():
    """A cap at 6 that is reached: the gradient is zero, the path gives all six back."""
    image = keras.Input((2, 3, 1), name="image")
    x = layers.Conv2D(1, 1, use_bias=False, name="times9")(image)
    x = layers.Dense(1, name="logits", use_bias=False)(layers.GlobalAveragePooling2D()(layers.ReLU(6.0, name="cap")(x)))
    model = tiny.constant(keras.Model(image, x, name="capped"), {"times9/kernel": 9.0, "logits/kernel": 1.0})
    net = dc.load(model, input=(0, 1))
    white = np.ones((2, 3, 3), np.float32)
    assert dc.channel_attribution(net, white, "times9", method="gradient").scores.tolist() == [0.0]
    np.testing.assert_allclose(dc.channel_attribution(net, white, "times9", method="path").scores, [6.0], rtol=0.01)


def test_against_all_others_the_score_is_the_log_odds():
    net, shown = dc.load(tiny.linear_tail(), input=(0, 1)), pictures()
    found = dc.channel_attribution(net, shown, "features", positive="top1", negative="others")
    p = net.predict(shown).probabilities[:, 0]
    np.testing.assert_allclose(found.logits, np.log(p / (1 - p)), rtol=1e-4)
    assert found.question.endswith("against all others")
    # The gradient of a log-sum-exp is the mean over the other classes, by their probability.
    weights = np.delete(np.exp(net.predict(shown[:1]).logits[0]), 2)
    weights /= weights.sum()
    each = [dc.channel_attribution(net, shown[:1], "features", positive=c).all_scores[0] for c in range(4)]
    expected = each[2] - sum(w * e for w, e in zip(weights, np.delete(each, 2, axis=0), strict=True))
    against = dc.channel_attribution(net, shown[:1], "features", positive=2, negative="others").all_scores[0]
    np.testing.assert_allclose(against, expected, rtol=1e-4, atol=1e-6)


def test_channels_for_the_other_class_are_told_lowest_first():
    net, shown = dc.load(tiny.linear_tail(), input=(0, 1)), pictures()
    found = dc.channel_attribution(net, shown, "conv", positive=0, negative=1, top=3)
    back = dc.channel_attribution(net, shown, "conv", positive=1, negative=0, top=3)
    lowest = [c for c in back.channels if back.totals[c] > 0]
    assert found.opposed.tolist() == lowest
    assert (found.totals[found.opposed] < 0).all()
    assert dc.channel_attribution(net, shown, "conv", positive=0).opposed.tolist() == []


def test_without_a_class_the_scores_are_mean_activations():
    net, shown = dc.load(tiny.linear_tail(), input=(0, 1)), pictures()
    expected = net.activations(shown, "features").mean(axis=(1, 2))
    for question in ({"positive": None}, {"method": "activation"}):
        found = dc.channel_attribution(net, shown, "features", **question)
        np.testing.assert_allclose(found.all_scores, expected, rtol=1e-5)
        assert (found.question, found.method) == ("all classes", "activation")
    where = dc.spatial_attribution(net, shown[0], "features", positive=None)
    np.testing.assert_allclose(where.heatmap, net.activations(shown[:1], "features")[0].sum(axis=-1), rtol=1e-5)


def test_several_layers_in_one_pass_give_what_each_gives_alone():
    net, shown = dc.load(bent(), input=(0, 1)), pictures(20, (12, 8))
    names = ["last", "outer", "inner"]
    together = dc.channel_attribution(net, shown, names, positive="top1", negative="top2", top=4)
    assert (together.layers, len(together)) == (tuple(names), 3)
    for name, row in zip(names, together, strict=True):
        alone = dc.channel_attribution(net, shown, name, positive="top1", negative="top2", top=4)
        np.testing.assert_allclose(row.all_scores, alone.all_scores, rtol=1e-4, atol=1e-6)
        assert together[name] is row
    assert together.to_dataframe()["layer"].unique().tolist() == names
    with pytest.raises(KeyError, match="those were: last, outer, inner"):
        together["first"]


def test_several_layers_are_drawn_and_saved_as_one(tmp_path):
    net = dc.load(bent(), input=(0, 1))
    found = dc.channel_attribution(net, pictures(2, (12, 8)), ["outer", "last"], positive=0, negative=1, top=3)
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"x{suffix}").stat().st_size > 100
    document = (tmp_path / "x.html").read_text()
    assert document.count("<h2>") == 2
    assert "--for" in document
    with np.load(tmp_path / "x.npz") as kept:
        np.testing.assert_array_equal(kept["last:scores"], found["last"].scores)
    assert found._repr_html_().startswith("<iframe")


@pytest.mark.parametrize("method", ["gradient", "path", "activation"])
def test_the_number_of_pictures_changes_nothing(method):
    net, shown = dc.load(bent(), input=(0, 1)), pictures(19, (12, 8))
    of = {"positive": None} if method == "activation" else {"positive": 1, "negative": "others"}
    every = dc.channel_attribution(net, shown, "inner", method=method, **of)
    for i in (0, 15, 16, 18):
        alone = dc.channel_attribution(net, shown[i], "inner", method=method, **of)
        np.testing.assert_allclose(every.all_scores[i], alone.all_scores[0], rtol=2e-4, atol=1e-6)


def test_mean_and_spread_are_those_of_the_pictures():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    found = dc.channel_attribution(net, pictures(6), "features", positive=0, top=2)
    np.testing.assert_allclose(found.means, found.all_scores.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.spreads, found.all_scores.std(axis=0, ddof=1), rtol=1e-5)
    np.testing.assert_allclose(found.scores, 6 * found.means[found.channels], rtol=1e-5)
    alone = dc.channel_attribution(net, pictures(1), "features", positive=0)
    assert alone.spreads.tolist() == [0.0] * 5


def test_a_network_of_two_inputs_is_told_the_other_one():
    net = dc.load(two_inputs(), input=(0, 1))
    shown = np.full((3, 8, 6, 3), (0.5, 0.25, 0.0), np.float32)
    other = np.array([[0, 0], [1, 0], [0, 9]], np.float32)
    found = dc.channel_attribution(net, shown, "conv", positive=0, given={"other": other})
    np.testing.assert_allclose(found.logits, [0.5, 1.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(found.all_scores, [[0.5, 0.0]] * 3, rtol=1e-5)
    one = dc.channel_attribution(net, shown, "conv", positive=1, given={"other": other[2:]})
    np.testing.assert_allclose(one.logits, [0.75 - 9.0] * 3, rtol=1e-6)
    merged = dc.channel_attribution(net, shown, "both", positive=1, given={"other": other})
    np.testing.assert_allclose(merged.all_scores[2], [0, 0.75, 0, -9.0], rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, r"2 inputs \(image, other\); pictures fill only one.*given=\{'other': array\}"),
        ({"othr": np.zeros((1, 2))}, "no input 'othr'; did you mean 'other'"),
        ({"image": np.zeros((1, 8, 6, 3)), "other": np.zeros((1, 2))}, "none is left for the pictures"),
        ({"other": np.zeros((2, 2))}, "2 rows of the input 'other' are given for 3 pictures"),
    ],
)
def test_inputs_that_are_not_filled_are_named(given, words):
    net = dc.load(two_inputs(), input=(0, 1))
    with pytest.raises(ValueError, match=words):
        dc.channel_attribution(net, pictures(3), "conv", given=given)


def test_a_network_without_softmax_and_a_sequential_one_are_explained_by_their_logits():
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((8, 6, 3)),
            layers.Conv2D(4, 3, activation="gelu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="head"),
        ]
    )
    bare = dc.channel_attribution(dc.load(model, input=(0, 1)), pictures(), "conv", positive=1)
    model.add(layers.Softmax())
    headed = dc.channel_attribution(dc.load(model, input=(0, 1)), pictures(), "conv", positive=1)
    np.testing.assert_allclose(bare.all_scores, headed.all_scores, rtol=1e-5, atol=1e-7)


def test_infinite_weights_are_named():
    model = bent()
    kernel, bias = model.get_layer("inner").get_weights()
    model.get_layer("inner").set_weights([np.full_like(kernel, np.nan), bias])
    net = dc.load(model, input=(0, 1))
    words = "from 'inner:linear' on the activations are NaN or infinite, and its weights hold such values"
    with pytest.raises(ValueError, match=f"the values of 'last' cannot be told for 2 of 2 pictures: {words}"):
        dc.channel_attribution(net, pictures(2, (12, 8)), "last")
    with pytest.raises(ValueError, match=f"{words}; it lies after 'outer'"):
        dc.channel_attribution(net, pictures(2, (12, 8)), "outer")
    # No class is asked about, and nothing on the way is broken.
    assert np.isfinite(dc.channel_attribution(net, pictures(2, (12, 8)), "outer", positive=None).scores).all()


def test_a_gradient_that_the_network_stops_is_refused():
    image = keras.Input((8, 6, 3), name="image")
    x = layers.Conv2D(2, 1, name="before")(image)
    x = layers.GlobalAveragePooling2D()(keras.ops.stop_gradient(x))
    net = dc.load(keras.Model(image, layers.Dense(2, name="logits")(x), name="stopped"), input=(0, 1))
    for method in ("gradient", "path"):
        with pytest.raises(GraphError, match="no gradient reaches 'before'"):
            dc.channel_attribution(net, pictures(1), "before", method=method)


@pytest.mark.parametrize(
    ("question", "error", "words"),
    [
        ({"method": "gradients"}, ValueError, "did you mean 'gradient'"),
        ({"positive": None, "negative": 1}, ValueError, "give a positive class too"),
        ({"positive": None, "method": "path"}, ValueError, "leads to the score of a class"),
        ({"positive": "others"}, ClassError, 'expected one class, which negative="others"'),
        ({"negative": "top9"}, ClassError, "indices run from 0 to 3"),
        ({"positive": "tabbby"}, ClassError, "no class 'tabbby'"),
    ],
)
def test_a_question_that_cannot_be_asked_is_named(question, error, words):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    with pytest.raises(error, match=words):
        dc.channel_attribution(net, pictures(1), "features", **question)


def test_an_unknown_class_of_a_real_network_names_the_nearest():
    net = dc.load("EfficientNetLite0", weights=None)
    with pytest.raises(ClassError, match="no class 'tigr cat' among 1000; did you mean 'tiger cat'"):
        dc.channel_attribution(net, pictures(1), "block9_add", positive="tigr cat")


def test_random_weights_give_another_map_and_other_channels():
    import skimage.data

    trained, random = dc.load("EfficientNetLite0"), dc.load("EfficientNetLite0", weights=None)
    photo = skimage.data.chelsea()

    def ranks(values):
        return np.argsort(np.argsort(values.ravel()))

    for layer in ("block9_add", "block14_add"):
        maps = [dc.spatial_attribution(net, photo, layer, positive=282).heatmap for net in (trained, random)]
        assert abs(np.corrcoef(*map(ranks, maps))[0, 1]) < 0.3
        scores = [dc.channel_attribution(net, photo, layer, positive=282).all_scores for net in (trained, random)]
        assert abs(np.corrcoef(*map(ranks, scores))[0, 1]) < 0.3


def test_the_same_weights_and_seed_give_the_same_page_byte_for_byte(tmp_path):
    def written(name):
        net = dc.load(tiny.linear_tail(seed=4), input=(0, 1))
        found = dc.channel_attribution(net, pictures(3), ["conv", "features"], negative="others", top=4)
        return found.save(tmp_path / name).read_bytes()

    assert written("a.html") == written("b.html")
    assert dc.channel_attribution(
        dc.load(tiny.linear_tail(seed=5), input=(0, 1)), pictures(3), ["conv", "features"], negative="others", top=4
    ).save(tmp_path / "c.html").read_bytes() != written("d.html")


def test_contributions_of_one_layer_keep_its_shape():
    net = dc.load(bent(), input=(0, 1))
    [first, second] = contributions(net, pictures(17, (12, 8)), "inner")
    assert (first.values.shape, second.values.shape) == ((16, 6, 4, 6), (1, 6, 4, 6))
    assert first.activations.shape == first.values.shape
    assert first.negative is None


@pytest.mark.parametrize("method", ["gradient", "path"])
@pytest.mark.parametrize("place", [(0, 0), (4, 8), (5, 1), (2, 9)])
@pytest.mark.parametrize("channel", [0, 2])
def test_one_channel_at_one_place_that_decides_the_class_comes_first(method, place, channel):
    """The class is the highest value of one colour, on a picture of 6 x 10 px; all else is loud in other colours."""
    image = keras.Input((6, 10, 3), name="image")
    x = layers.Conv2D(3, 1, name="colours", activation="relu", use_bias=False)(image)
    logits = layers.Dense(2, name="logits", use_bias=False)(layers.GlobalMaxPooling2D()(x))
    kernel = np.zeros((3, 2))
    kernel[channel, 1] = 5.0
    model = tiny.constant(
        keras.Model(image, logits, name="planted"), {"colours/kernel": np.eye(3), "logits/kernel": kernel}
    )
    net = dc.load(model, input=(0, 1))
    shown = np.random.default_rng(1).uniform(0.5, 1.0, (3, 6, 10, 3)).astype(np.float32)
    shown[..., channel] = 0.1
    shown[1][place] = np.eye(3)[channel]
    found = dc.channel_attribution(net, shown, "colours", positive=1, method=method, top=3)
    assert found.channels[0] == channel
    np.testing.assert_allclose(found.per_image[1], [5.0, 0.0, 0.0], atol=1e-5)
    heatmap = dc.spatial_attribution(net, shown[1], "colours", positive=1, method=method).heatmap
    assert heatmap.shape == (6, 10)
    assert np.argwhere(heatmap > 1e-5).tolist() == [list(place)]


def test_the_frozen_part_of_a_transferred_network_has_its_sprites_and_the_new_layer_none():
    lite = dc.load("EfficientNetLite0")
    trunk = lite.model.get_layer("block4_add").output
    keras.utils.set_random_seed(0)
    x = layers.Conv2D(8, 1, activation="relu", name="new")(trunk)
    x = layers.Dense(2, activation="softmax", name="answer")(layers.GlobalAveragePooling2D()(x))
    net = dc.load(keras.Model(lite.model.inputs, x, name="transferred"), input=lite.input)
    found = dc.channel_attribution(net, pictures(1, (224, 224)), ["block4_add", "new"], top=2)
    assert found["block4_add"].sprites is not None
    assert found["new"].sprites is None
    assert 'dc.spritemap(net, "new")' in found._page()


def test_sprites_that_no_store_has_are_rendered_on_demand_for_the_channels_shown():
    net, shown = dc.load(tiny.linear_tail(), input=(0, 1)), pictures(2)
    found = dc.channel_attribution(net, shown, "features", top=1, negative="top2", render=True, progress=False)
    assert sorted(found.sprites) == sorted({*found.channels.tolist(), *found.opposed.tolist()})
    assert "No store has sprites" not in found._page()
    assert dc.channel_attribution(net, shown, "features", top=2).sprites is None
