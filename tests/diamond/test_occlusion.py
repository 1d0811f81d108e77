"""Occlusion of pictures and of layers: scores worked out by hand, the same for every batch, and bad input."""

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.occlusion.full import MOST_BYTES, batch_for, bytes_of_one
from modelzoo import GraphError
from modelzoo.labels import ClassError
from tests import tiny

PICTURE = np.random.default_rng(0).random((8, 6, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def net():
    return dc.load(tiny.linear_tail(), input=(0, 1))


def planted_pixel():
    """A network that gives the largest red of a 9 x 14 picture, times 2, and the same against it."""
    image = keras.Input((9, 14, 3), name="image")
    x = layers.Conv2D(1, 1, use_bias=False, name="red")(image)
    x = layers.GlobalMaxPooling2D(name="peak")(x)
    model = keras.Model(image, layers.Dense(2, name="answer", use_bias=False)(x), name="peak")
    return tiny.constant(model, {"red/kernel": [[[[1.0], [0.0], [0.0]]]], "answer/kernel": [[2.0, -2.0]]})


def test_scores_by_hand():
    # Every pixel is 1 but four of 0.5 at the top left: sums of 3 - 1 = 2 and 1.5 - 1 = 0.5; the mean of 16 is
    # (12 * 2 + 4 * 0.5) / 16 = 1.625; the logits are twice that and minus that.
    picture = np.ones((4, 4, 3), np.float32)
    picture[:2, :2] = 0.5
    found = dc.occlude(
        dc.load(tiny.one_filter(), input=(0, 1)), picture, target=[0, 1], window=2, stride=2, fill=0, method="full"
    )
    assert found.logits.tolist() == [3.25, -1.625]
    # Four pixels black give ReLU(-1) = 0: at the top left the mean falls by 4 * 0.5 / 16, elsewhere by 4 * 2 / 16.
    assert found.scores.tolist() == [[0.25, -0.125], [1.0, -0.5], [1.0, -0.5], [1.0, -0.5]]
    assert found.heatmaps[0].tolist() == [[0.25, 0.25, 1, 1]] * 2 + [[1, 1, 1, 1]] * 2
    p = 1 / (1 + np.exp(-4.875))
    without = 1 / (1 + np.exp(-(3.0 + 1.5)))
    assert found.probabilities == pytest.approx([p, 1 - p], abs=1e-6)
    assert found.probability_scores[0] == pytest.approx([p - without, without - p], abs=1e-6)


def test_keep_only_this_by_hand():
    picture = np.ones((4, 4, 3), np.float32)
    net = dc.load(tiny.one_filter(), input=(0, 1))
    found = dc.occlude(net, picture, target=0, window=2, stride=2, fill=0, outside=True)
    # Nothing but black has the logit 0; four white pixels alone give 2 * 4 * 2 / 16.
    assert found.scores.tolist() == [[1.0]] * 4
    assert "all but the window covered" in " ".join(found.facts)


@pytest.mark.parametrize("method", ["full", "incremental"])
@pytest.mark.parametrize("place", [(0, 0), (8, 13), (2, 11), (7, 1)])
def test_a_planted_pixel_is_found_where_it_is(place, method):
    picture = np.zeros((9, 14, 3), np.float32)
    picture[place] = (1, 0, 0)
    found = dc.occlude(
        dc.load(planted_pixel(), input=(0, 1)), picture, target=0, window=1, stride=1, fill=0, method=method
    )
    wanted = np.zeros((9, 14))
    wanted[place] = 2.0
    assert found.heatmap.tolist() == wanted.tolist()
    wide = dc.occlude(
        dc.load(planted_pixel(), input=(0, 1)), picture, target=[0, 1], window=(3, 5), stride=(2, 3), fill=0
    )
    assert wide.heatmap[place] == 2.0
    assert (wide.heatmaps[1] == -wide.heatmaps[0]).all()
    assert [i for i, (t, x, b, r) in enumerate(wide.windows.boxes) if t <= place[0] < b and x <= place[1] < r] == list(
        np.flatnonzero(wide.scores[:, 0])
    )


@pytest.mark.parametrize(
    "options",
    [
        {"window": (3, 2), "stride": 1, "fill": "inpaint"},
        {"window": 4, "stride": 2, "shape": "disc", "fill": "shuffled"},
        {"shape": np.arange(48).reshape(8, 6) % 5},
        {"layer": "features", "window": 2},
        {"layer": "features", "shape": "channels", "fill": 0.1},
        {"window": 3, "stride": 2, "outside": True, "fill": "blur"},
    ],
)
@pytest.mark.filterwarnings("ignore:.* covered by no window")
def test_the_map_does_not_depend_on_the_batch(net, options):
    found = [dc.occlude(net, PICTURE, target=[0, 3], method="full", batch=n, **options) for n in (1, 5, 64)]
    assert np.abs(found[0].heatmaps).max() > 1e-3
    for other in found[1:]:
        np.testing.assert_allclose(other.heatmaps, found[0].heatmaps, atol=1e-6)
        np.testing.assert_allclose(other.scores, found[0].scores, atol=1e-6)
        np.testing.assert_allclose(other.probability_heatmaps, found[0].probability_heatmaps, atol=1e-6)


@pytest.mark.parametrize("fill", ["mean", "blur", "noise", "shuffled", "inpaint", "zero", "white", 0.2, PICTURE[::-1]])
def test_a_windows_score_is_what_the_covered_picture_loses(net, fill):
    from diamond.occlusion.cover import Cover
    from diamond.occlusion.fills import fill_for

    found = dc.occlude(net, PICTURE, target=2, window=(3, 2), stride=(3, 2), fill=fill, method="full")
    made = fill_for(net, PICTURE, fill, window=(3, 2)).values
    covered = Cover.of(PICTURE, found.windows, made).pictures(np.arange(len(found.windows))).numpy()
    # Noise and the like may leave [0, 1] by rounding, which the reading of pictures refuses.
    wanted = net.predict(PICTURE).logits[0, 2] - net.predict(covered.clip(0, 1)).logits[:, 2]
    np.testing.assert_allclose(found.scores[:, 0], wanted, atol=1e-6)
    chances = net.predict(PICTURE, top=4), net.predict(covered.clip(0, 1), top=4)
    first, rest = (np.take_along_axis(p.probabilities, np.argsort(p.classes, axis=1), axis=1) for p in chances)
    np.testing.assert_allclose(found.probability_scores[:, 0], first[0, 2] - rest[:, 2], atol=1e-6)


def test_cells_of_a_layer_are_its_spatial_attribution_where_all_after_it_is_linear(net):
    found = dc.occlude(net, PICTURE, target=1, layer="features", window=1, stride=1)
    linear = dc.spatial_attribution(net, PICTURE, "features", positive=1)
    np.testing.assert_allclose(found.heatmap, linear.heatmap, atol=1e-6)


def test_channels_of_a_layer_are_its_channel_attribution_where_all_after_it_is_linear(net):
    found = dc.occlude(net, PICTURE, target=1, layer="features", shape="channels")
    linear = dc.channel_attribution(net, PICTURE, "features", positive=1)
    np.testing.assert_allclose(found.scores[:, 0], linear.all_scores[0], atol=1e-6)
    # Laid where the channels are active, which is the attribution of the place again.
    np.testing.assert_allclose(
        found.heatmap, dc.spatial_attribution(net, PICTURE, "features", positive=1).heatmap, atol=1e-6
    )
    assert list(found.to_dataframe().columns) == ["channel", "target", "logit", "probability", "measured"]


def test_ways_around_a_layer_stay_open():
    shared = dc.load(tiny.shared(), input=(0, 1))
    picture = np.ones((6, 6, 3), np.float32)
    found = dc.occlude(shared, picture, target=0, layer="c@2", window=6, stride=6)
    # c(c(x)) + 2 c(x) = 9 + 6: without the second call the 6 remain.
    assert found.scores.tolist() == [[9.0]]


def test_targets_are_asked_in_one_pass_and_named(net):
    both = dc.occlude(net, PICTURE, target=["top1", "top2", 0], window=3)
    order = np.argsort(-net.predict(PICTURE).logits[0])
    assert both.targets == (str(order[0]), str(order[1]), "0")
    alone = dc.occlude(net, PICTURE, target="top2", window=3)
    np.testing.assert_allclose(both.heatmaps[1], alone.heatmap, atol=1e-7)


def test_a_list_gives_a_map_of_each_picture(net):
    found = dc.occlude(net, [PICTURE, PICTURE[::-1]], window=4)
    assert len(found) == 2
    np.testing.assert_allclose(found[1].heatmap, dc.occlude(net, PICTURE[::-1], window=4).heatmap, atol=1e-6)
    assert len(found.to_dataframe()) == 2 * len(found[0].scores)
    assert len(dc.occlude(net, [PICTURE], window=4)) == 1


def test_the_table_has_a_row_a_window_and_target(net):
    table = dc.occlude(net, PICTURE, target=[0, 1], window=(4, 3), stride=(4, 3)).to_dataframe()
    assert table[["top", "left", "bottom", "right"]].drop_duplicates().to_numpy().tolist() == [
        [0, 0, 4, 3],
        [0, 3, 4, 6],
        [4, 0, 8, 3],
        [4, 3, 8, 6],
    ]
    assert table["target"].tolist() == ["0", "1"] * 4


def test_arrays_are_kept(net, tmp_path):
    found = dc.occlude(net, PICTURE, window=3)
    with np.load(found.save(tmp_path / "map.npz")) as file:
        assert (file["heatmaps"] == found.heatmaps).all()
        assert (file["boxes"] == found.windows.boxes).all()


def test_memory_is_bounded_whatever_the_stride():
    for name in ("EfficientNetLite0", "VGG16"):
        big = dc.load(name, weights=None)
        one, batch = bytes_of_one(big, (224, 224)), batch_for(big, (224, 224))
        assert 1 <= batch <= 32
        assert batch * one <= MOST_BYTES
    # VGG16's first two layers are 64 channels of 224 x 224 float32 each: two of them are held at once, and a copy.
    assert one > 2 * 2 * 224 * 224 * 64 * 4
    assert batch_for(big, (224, 224), most_bytes=1) == 1


def test_strides_that_leave_gaps_are_told(net):
    with pytest.warns(
        UserWarning, match=r"picture 0: 75.0% of the pixels are covered by no window; the map is 0 there"
    ):
        found = dc.occlude(net, PICTURE, window=(2, 3), stride=(4, 6))
    assert found.gap == 0.75
    assert (found.heatmap[2:4] == 0).all()
    assert "75.0% of the pixels" in found.facts[-1]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"window": 7}, ValueError, r"the window is 7 x 7 and the picture 8 x 6 .*expected at most 7 x 6"),
        ({"target": 9}, ClassError, "no class 9; the indices run from 0 to 3"),
        ({"target": []}, ValueError, "no target was given"),
        ({"method": "incremetal"}, ValueError, "did you mean 'incremental'"),
        ({"fill": "blurr"}, ValueError, "did you mean 'blur'"),
        ({"fill": (1, 2)}, ValueError, r"the fill is \(2,\); expected one number, 3"),
        ({"fill": np.nan}, ValueError, "NaN or infinite"),
        ({"layer": "featurs"}, KeyError, "did you mean 'features'"),
        ({"layer": "pool"}, GraphError, "no height and width"),
        ({"layer": "features", "fill": "blur"}, ValueError, "expected 'zero', 'mean' or numbers"),
        ({"layer": "features", "method": "incremental"}, ValueError, "starts at the picture"),
        ({"layer": "features", "shape": "superpixels"}, ValueError, "superpixels are of a picture"),
        (
            {"layer": "features", "shape": "channels", "method": "drilldown"},
            ValueError,
            "needs windows on a grid, and the shape is 'channels'",
        ),
        ({"shape": "channels"}, ValueError, "channels are of a layer"),
        ({"shape": "superpixels", "method": "drilldown"}, ValueError, "needs windows on a grid"),
        ({"outside": True, "fill": "inpaint"}, ValueError, "cannot be inpainted"),
        ({"outside": True, "method": "incremental"}, ValueError, "take method 'full'"),
        ({"share": 1.5}, ValueError, "share is 1.5"),
        ({"batch": 0}, ValueError, "batch is 0"),
        ({"stream": True}, ValueError, "method='drilldown'"),
    ],
)
def test_what_cannot_be_asked_is_told(net, options, error, words):
    with pytest.raises(error, match=words):
        dc.occlude(net, PICTURE, **options)


def test_several_pictures_in_one_array_are_no_list(net):
    with pytest.raises(ValueError, match="give them as a list"):
        dc.occlude(net, np.stack([PICTURE, PICTURE]))


@pytest.mark.parametrize("method", ["full", "incremental"])
def test_scores_that_are_no_numbers_are_told_with_their_layer(method):
    broken = tiny.linear_tail()
    broken.get_layer("logits").bias.assign([0.0, np.nan, 0.0, 0.0])
    with pytest.raises(ValueError, match="'logits' on the activations are NaN or infinite, and its weights"):
        dc.occlude(dc.load(broken, input=(0, 1)), PICTURE, method=method)


def test_a_window_that_breaks_the_scores_is_told():
    # The logarithm of the mean is finite until a fill of zeros leaves nothing.
    image = keras.Input((4, 4, 3), name="image")
    x = layers.GlobalAveragePooling2D(name="mean")(image)
    net = dc.load(keras.Model(image, keras.ops.log(x), name="logs"), input=(0, 1))
    with pytest.raises(ValueError, match="NaN or infinite"):
        dc.occlude(net, np.ones((4, 4, 3), np.float32), window=4, stride=4, fill=0, method="full")
