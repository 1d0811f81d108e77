"""Semantic maps, computed by hand on a network that passes the colours through; pictures wider than high."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from modelzoo import GraphError
from modelzoo.inputs.frontends import band_centres_hz
from modelzoo.labels import ClassError
from tests import tiny
from tests.spritemaps.sprites import finished

HIGH, WIDE = 4, 6


def colours():
    """4 x 6 cells of 2 px: ``cells`` is the mean colour of a cell; logits are ``r + 2 g`` and ``3 b``, averaged."""
    image = keras.Input((2 * HIGH, 2 * WIDE, 3), name="image")
    x = layers.AveragePooling2D(2, name="cells")(image)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(image, layers.Dense(2, name="logits")(x), name="colours")
    tiny.constant(model, {"logits/kernel": [[1, 0], [2, 0], [0, 3]], "logits/bias": 0.0})
    return dc.load(model, input=(0, 1))


def picture():
    """Grey .1; red at cell (1, 4), green at (3, 0), blue at (2, 5)."""
    values = np.full((2 * HIGH, 2 * WIDE, 3), 0.1, np.float32)
    for (row, column), colour in {(1, 4): 0, (3, 0): 1, (2, 5): 2}.items():
        values[2 * row : 2 * row + 2, 2 * column : 2 * column + 2, colour] = 0.9
    return values


def test_one_class_by_hand():
    found = dc.semantic_map(colours(), picture(), "cells", positive=0, top=3)
    n = HIGH * WIDE
    assert found.heatmap.shape == (HIGH, WIDE)
    assert found.channels.shape == found.scores.shape == (HIGH, WIDE, 3)
    # A cell contributes (r + 2 g) / 24: .3 / 24 where it is grey, 1.1 / 24 where red, 1.9 / 24 where green.
    np.testing.assert_allclose(found.heatmap * n, [
        [0.3, 0.3, 0.3, 0.3, 0.3, 0.3],
        [0.3, 0.3, 0.3, 0.3, 1.1, 0.3],
        [0.3, 0.3, 0.3, 0.3, 0.3, 0.3],
        [1.9, 0.3, 0.3, 0.3, 0.3, 0.3],
    ], rtol=1e-5)  # fmt: skip
    assert found.channels[1, 4].tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.scores[1, 4] * n, [0.9, 0.2, 0.0], rtol=1e-5)
    assert found.channels[3, 0].tolist() == [1, 0, 2]
    np.testing.assert_allclose(found.logit, found.heatmap.sum(), rtol=1e-5)
    assert found.overall.tolist() == [1, 0, 2]
    np.testing.assert_allclose(found.overall_scores * n, [2 * (2.4 + 0.8), 2.4 + 0.8, 0], rtol=1e-5)
    assert (found.question, found.unit, found.stride_px) == ("0", "logits", (2.0, 2.0))


def test_two_classes_have_both_their_say_in_a_cell():
    found = dc.semantic_map(colours(), picture(), "cells", positive=0, negative=1, top=2)
    n = HIGH * WIDE
    # At the blue cell r + 2 g - 3 b = .1 + .2 - 2.7, and blue comes first by its size.
    assert found.channels[2, 5].tolist() == [2, 1]
    np.testing.assert_allclose(found.scores[2, 5] * n, [-2.7, 0.2], rtol=1e-5)
    np.testing.assert_allclose(found.heatmap[2, 5] * n, -2.4, rtol=1e-5)
    assert found.question == "0 against 1"


def test_no_class_asks_what_is_active():
    found = dc.semantic_map(colours(), picture(), "cells", positive=None, top=1)
    assert found.channels[1, 4, 0] == 0
    assert found.channels[2, 5, 0] == 2
    np.testing.assert_allclose(found.scores[2, 5], [0.9], rtol=1e-5)
    np.testing.assert_allclose(found.heatmap[2, 5], (0.1**2 + 0.1**2 + 0.9**2) ** 0.5, rtol=1e-5)
    np.testing.assert_allclose(found.overall_scores, [0.9], rtol=1e-5)
    assert (found.positive, found.negative, found.logit, found.unit) == (None, None, None, "activation")
    assert found.question == "all classes"


def test_all_other_classes_held_against_one():
    found = dc.semantic_map(colours(), picture(), "cells", positive=0, negative="others")
    both = dc.semantic_map(colours(), picture(), "cells", positive=0, negative=1)
    # Of two classes the others are the other one.
    np.testing.assert_allclose(found.scores, both.scores, rtol=1e-5)
    assert found.negative == "all others"


def test_it_agrees_with_spatial_and_channel_attribution():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    values = np.random.default_rng(3).random((8, 6, 3), dtype=np.float32)
    found = dc.semantic_map(net, values, "features", positive=2, top=5)
    np.testing.assert_allclose(found.heatmap, dc.spatial_attribution(net, values, "features", positive=2).heatmap)
    channels = dc.channel_attribution(net, values, "features", positive=2, top=5)
    assert found.overall.tolist() == channels.channels.tolist()
    np.testing.assert_allclose(found.overall_scores, channels.scores, rtol=1e-5)
    np.testing.assert_allclose(found.scores.sum(axis=-1), found.heatmap, rtol=1e-4, atol=1e-6)


def test_other_weights_give_another_map():
    values = np.random.default_rng(3).random((8, 6, 3), dtype=np.float32)
    one, other = (
        dc.semantic_map(dc.load(tiny.linear_tail(seed), input=(0, 1)), values, "features", positive=0).heatmap.ravel()
        for seed in (0, 1)
    )
    ranks = [np.argsort(np.argsort(values)) for values in (one, other)]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 0.3


def test_others_are_kept_with_what_the_layer_answers():
    bright = np.full((2 * HIGH, 2 * WIDE, 3), 0.5, np.float32)
    found = dc.semantic_map(colours(), picture(), "cells", positive=0, others=[bright, picture()])
    assert found.others == ("picture 0", "picture 1")
    assert found.other_activations.shape == (2, HIGH, WIDE, 3)
    np.testing.assert_allclose(found.other_activations[0], 0.5)
    np.testing.assert_allclose(found.other_activations[1], found.activations)


def test_a_photo_is_shown_sharper_than_the_network_saw_it_and_is_the_same_part(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (10, 14, 3), np.uint8)).resize((700, 500), Image.Resampling.BICUBIC)
    coarse.save(tmp_path / "photo.png")
    net = dc.load("EfficientNetLite0")
    found = dc.semantic_map(net, tmp_path / "photo.png", "block14_add")
    assert found.image == "photo.png"
    assert found.picture.shape == (224, 224, 3)
    assert found.photo.shape[0] > 400
    small = Image.fromarray((found.photo * 255).astype(np.uint8)).resize((224, 224), Image.Resampling.BOX)
    assert np.abs(np.asarray(small) / 255 - found.picture).mean() < 0.01
    np.testing.assert_array_equal(found.picture, net.read(tmp_path / "photo.png")[0])


def test_the_sprites_of_the_layer_are_found(tmp_path):
    net = colours()
    finished(tmp_path / "store", channels=3, fingerprint=net.fingerprint("cells"), batches=((0, 1, 2),))
    assert dc.semantic_map(net, picture(), "cells").sprites is None
    found = dc.semantic_map(net, picture(), "cells", store=tmp_path / "store")
    assert found.sprites.channels == (0, 1, 2)
    assert len(found.plot("sprites").axes) == 2 + 10


def test_a_network_of_two_inputs_is_told_the_other_one():
    image, age = keras.Input((4, 6, 3), name="image"), keras.Input((1,), name="age")
    x = layers.GlobalAveragePooling2D(name="mean")(layers.Identity(name="cells")(image))
    logits = layers.Dense(2, name="logits", use_bias=False)(layers.Concatenate(name="joined")([x, age]))
    model = keras.Model([image, age], logits, name="two")
    tiny.constant(model, {"logits/kernel": [[1, 0], [2, 0], [0, 3], [1, 0]]})
    net = dc.load(model, input=(0, 1))
    values = np.full((4, 6, 3), 0.5, np.float32)
    told = {"age": np.array([[2.0]], np.float32)}
    found = dc.semantic_map(net, values, "cells", positive=0, top=1, given=told, others=values)
    assert found.logit == pytest.approx(0.5 + 1.0 + 2.0)
    np.testing.assert_allclose(found.heatmap, 1.5 / 24, rtol=1e-5)
    assert found.other_activations.shape == (1, 4, 6, 3)
    with pytest.raises(GraphError, match="2 inputs"):
        dc.semantic_map(net, values, "cells", positive=0)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda net: dc.semantic_map(net, picture(), "mean"), GraphError, "no height and width.*nearest.*'cells'"),
        (lambda net: dc.semantic_map(net, picture(), "cell"), KeyError, "did you mean 'cells'"),
        (lambda net: dc.semantic_map(net, picture(), "cells", positive=7), ClassError, "indices run from 0 to 1"),
        (lambda net: dc.semantic_map(net, picture(), "cells", top=0), ValueError, "expected 1 or more"),
        (lambda net: dc.semantic_map(net, picture(), "cells", positive=None, negative=1), ValueError, "say positive"),
        (lambda net: dc.semantic_map(net, [picture()] * 2, "cells"), ValueError, "2 pictures were given"),
        (lambda net: dc.semantic_map(net, [], "cells"), ValueError, "no picture"),
        (lambda net: dc.semantic_map(net, picture() * np.nan, "cells"), ValueError, "NaN"),
        (lambda net: dc.semantic_map(net, "absent.jpg", "cells"), FileNotFoundError, "absent.jpg"),
        (lambda net: dc.semantic_map(net, picture(), "cells").plot("cells"), ValueError, "'heatmap' or 'sprites'"),
        (lambda net: dc.semantic_map(net, picture(), "cells").plot("sprites"), ValueError, "no store has sprites"),
    ],
)
def test_bad_input_is_named(ask, error, words):
    with pytest.raises(error, match=words):
        ask(colours())


def test_weights_that_are_no_numbers_are_named():
    image = keras.Input((4, 4, 3), name="image")
    x = layers.Conv2D(2, 1, name="broken")(image)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)), name="nan")
    tiny.constant(model, {"broken/kernel": np.nan})
    with pytest.raises(ValueError, match="'broken'.*NaN or infinite"):
        dc.semantic_map(dc.load(model, input=(0, 1)), np.ones((4, 4, 3), np.float32), "broken", positive=None)


def test_the_table_and_the_files(tmp_path):
    found = dc.semantic_map(colours(), picture(), "cells", positive=0, top=2)
    table = found.to_dataframe()
    assert list(table.columns) == ["row", "column", "cell", "rank", "channel", "score", "activation"]
    first = table.query("row == 1 and column == 4 and rank == 1").iloc[0]
    assert first.channel == 0
    assert first.activation == pytest.approx(0.9)
    assert first.score == pytest.approx(0.9 / 24)
    assert len(table) == HIGH * WIDE * 2
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"x{suffix}").stat().st_size > 500
    with np.load(tmp_path / "x.npz") as kept:
        np.testing.assert_array_equal(kept["channels"], found.channels)
    with pytest.raises(ValueError, match=r"expected \.html"):
        found.save(tmp_path / "x.pdf")
    assert found._repr_html_().startswith("<iframe")
    assert repr(found) == (
        "colours cells: what picture 0 shows for 0: 4 x 6 cells, 2 channels each; overall 1 (0.267), 0 (0.133)"
    )


def test_a_sound_is_a_map_of_frequency_and_time():
    frontend = dc.AudioFrontend(
        sr=8000, n_fft=256, window_samples=256, hop_samples=80, n_mels=16, fmin_hz=50, fmax_hz=4000, mel_scale="htk",
        norm="none", power=2, centred=True, log=dc.LogScale("db", range_db=80.0), patch_frames=24, time_first=True,
        ceiling=1.0,
    )  # fmt: skip
    heard = keras.Input((24, 16, 1), name="heard")
    x = layers.AveragePooling2D(4, name="cells")(heard)
    x = layers.Concatenate(name="both")([x, layers.Rescaling(-1.0, name="turned")(x)])
    model = keras.Model(heard, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)), name="ear")
    net = dc.load(model, input=dc.InputSpec(16, 24, channels=1, audio=frontend))
    patch = np.zeros((16, 24, 1), np.float32)
    patch[12:16, 4:8] = 5.0
    found = dc.semantic_map(net, patch, "both", positive=None, top=1)
    # Frequency first, as in the picture: the tone is in the fourth row of four, the second column of six.
    assert found.heatmap.shape == (4, 6)
    assert np.argwhere(found.heatmap > 1).tolist() == [[3, 1]]
    # Bands of 8 Hz-to-mel steps between 50 and 4,000 Hz; frames of 10 ms around multiples of it.
    table = found.to_dataframe().set_index(["row", "column"])
    assert table.loc[(3, 1), ["from_s", "to_s"]].tolist() == pytest.approx([0.035, 0.075])
    low, high = table.loc[(3, 1), ["low_hz", "high_hz"]]
    centres = band_centres_hz(frontend)
    assert centres[11] < low < centres[12]
    assert centres[15] < high < 4000
    assert table["low_hz"].min() > 50
    assert table.loc[(0, 0), "from_s"] == 0
    assert '"edgesHz": [' in found._page()
    assert "4 bands × 0.04 s" in found._page()
    assert [panel.get_ylabel() for panel in found.plot().axes[:2]] == ["kHz", "kHz"]
