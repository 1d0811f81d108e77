"""Attribution, computed by hand on small networks and held to its identities on random ones."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from modelzoo.labels import ClassError
from tests import tiny


def white(n=1, size=(4, 4)):
    return np.ones((n, *size, 3), np.float32)


def hand():
    """``sum`` adds the colours less one, so white gives 2 at 16 places; mean 2; logits 4 and -2."""
    return dc.load(tiny.one_filter(), input=(0, 1))


def random_pictures(n=5, size=(8, 6)):
    return np.random.default_rng(7).random((n, *size, 3), dtype=np.float32)


def test_a_network_computed_by_hand():
    found = dc.channel_attribution(hand(), white(), "sum")
    # Gradient of the first logit: 2 / 16 a place; times activation 2, over 16 places: 4.
    assert found.channels.tolist() == [0]
    assert found.scores.tolist() == [4.0]
    assert found.logits.tolist() == [4.0]


def test_the_negative_class_is_taken_away():
    found = dc.channel_attribution(hand(), white(), "sum", positive=0, negative=1)
    assert found.scores.tolist() == [6.0]
    assert found.logits.tolist() == [6.0]
    assert found.question == "0 against 1"
    against = dc.channel_attribution(hand(), white(), "sum", positive="top2")
    assert against.scores.tolist() == [-2.0]


def test_before_the_softmax_not_after_it():
    logit = float(hand().predict(white()).logits[0, 0])
    assert logit == 4.0


@pytest.mark.parametrize("n", [1, 2, 5, 17])
def test_where_all_that_follows_is_linear_attributions_and_bias_are_the_logit(n):
    model = tiny.linear_tail()
    net = dc.load(model, input=(0, 1))
    bias = model.get_layer("logits").bias.numpy()
    pictures = random_pictures(n)
    for target in range(4):
        found = dc.channel_attribution(net, pictures, "features", positive=target)
        np.testing.assert_allclose(found.all_scores.sum(axis=1) + bias[target], found.logits, rtol=1e-4, atol=1e-5)


def test_a_minus_b_is_the_difference_of_the_attributions():
    net, pictures = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures()
    a, b = (dc.channel_attribution(net, pictures, "conv", positive=c).all_scores for c in (1, 3))
    both = dc.channel_attribution(net, pictures, "conv", positive=1, negative=3).all_scores
    np.testing.assert_allclose(both, a - b, rtol=1e-4, atol=1e-6)


def test_channels_and_places_add_up_to_the_same():
    net, pictures = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures(1)
    channels = dc.channel_attribution(net, pictures, "conv", positive=2)
    places = dc.spatial_attribution(net, pictures[0], "conv", positive=2)
    assert places.heatmap.shape == (8, 6)
    np.testing.assert_allclose(places.heatmap.sum(), channels.all_scores.sum(), rtol=1e-5)


def test_scores_are_summed_over_pictures_and_kept_for_each():
    net, pictures = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures(3)
    together = dc.channel_attribution(net, pictures, "features", positive=0, top=5)
    for i in range(3):
        alone = dc.channel_attribution(net, pictures[i], "features", positive=0, top=5)
        np.testing.assert_allclose(together.all_scores[i], alone.all_scores[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(together.scores, together.per_image.sum(axis=0), rtol=1e-5)
    assert (np.diff(together.scores) <= 0).all()


def test_a_planted_object_is_found():
    """Only red counts, only in channel 1, and only one place is red: channel and place come first."""
    image = keras.Input((6, 10, 3), name="image")
    x = layers.Conv2D(3, 1, name="colours", activation="relu", use_bias=False)(image)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalMaxPooling2D()(x)), name="planted")
    tiny.constant(model, {"colours/kernel": np.eye(3)[[1, 0, 2]], "logits/kernel": [[0, 0], [5, 0], [0, 0]]})
    net = dc.load(model, input=(0, 1))
    picture = np.full((6, 10, 3), (0.0, 0.6, 0.6), np.float32)
    picture[4, 8] = (1.0, 0.0, 0.0)
    channels = dc.channel_attribution(net, picture, "colours", positive=0, top=3)
    assert channels.channels[0] == 1
    assert channels.scores.tolist() == [5.0, 0.0, 0.0]
    heatmap = dc.spatial_attribution(net, picture, "colours", positive=0).heatmap
    assert np.argwhere(heatmap != 0).tolist() == [[4, 8]]


def test_top1_is_each_pictures_own_answer():
    net = hand()
    black_and_white = np.stack([np.zeros((4, 4, 3), np.float32), np.ones((4, 4, 3), np.float32)])
    found = dc.channel_attribution(net, black_and_white, "sum", positive="top1", negative="top2")
    assert found.logits.tolist() == [0.0, 6.0]


def test_nested_layers_are_reached():
    net = dc.load(tiny.nested(), input=(0, 1))
    found = dc.channel_attribution(net, random_pictures(2, (16, 12)), "backbone/block/conv", top=4)
    assert sorted(found.channels.tolist()) == [0, 1, 2, 3]
    assert np.abs(found.scores).max() > 0


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda net: dc.channel_attribution(net, white(), "summ"), KeyError, "did you mean 'sum'"),
        (lambda net: dc.channel_attribution(net, white(), "sum", positive=2), ClassError, "indices run from 0 to 1"),
        (lambda net: dc.channel_attribution(net, white(), "sum", positive="cat"), ClassError, "no class 'cat'"),
        (lambda net: dc.channel_attribution(net, white(), "sum", top=0), ValueError, "expected 1 or more"),
        (lambda net: dc.channel_attribution(net, white() * np.nan, "sum"), ValueError, "NaN|nan|finite"),
        (lambda net: dc.spatial_attribution(net, white(), "mean"), ValueError, "no height and width"),
        (lambda net: dc.spatial_attribution(net, white(2), "sum"), ValueError, "2 pictures were given"),
    ],
)
def test_bad_input_is_named(ask, error, words):
    with pytest.raises(error, match=words):
        ask(hand())


def test_a_layer_that_does_not_lead_to_the_class_is_refused():
    image = keras.Input((4, 4, 3), name="image")
    side = layers.Conv2D(2, 1, name="side")(image)
    main = layers.Dense(2, name="logits")(layers.Flatten()(layers.Conv2D(2, 1, name="main")(image)))
    net = dc.load(keras.Model(image, [main, side], name="two_ways"), input=(0, 1))
    with pytest.raises(ValueError, match="no gradient reaches 'side'"):
        dc.channel_attribution(net, white(), "side")


def test_results_draw_themselves_and_save(tmp_path):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    found = dc.channel_attribution(net, random_pictures(2), "features", top=3)
    assert list(found.to_dataframe().columns) == ["channel", "score", "mean", "spread", "picture 0", "picture 1"]
    where = dc.spatial_attribution(net, random_pictures(1), "features")
    assert where.to_dataframe().shape == (48, 3)
    for result in (found, where):
        for suffix in (".html", ".png", ".csv", ".npz"):
            assert result.save(tmp_path / f"x{suffix}").stat().st_size > 100
        assert result._repr_html_().startswith("<iframe")
    with pytest.raises(FileNotFoundError, match="make it first"):
        found.save(tmp_path / "absent" / "x.html")
