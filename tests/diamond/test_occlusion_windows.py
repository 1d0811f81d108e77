"""Where pictures are covered and what stands there: literal windows, literal fills, what is refused."""

import numpy as np
import pytest
import tensorflow as tf

import diamond as dc
from diamond.occlusion.averaged import averaged
from diamond.occlusion.cover import Cover, covered
from diamond.occlusion.fills import fill_for
from diamond.occlusion.windows import areas, given_masks, grid, superpixels
from tests import tiny

RAMP = np.arange(5 * 4 * 3, dtype=np.float32).reshape(5, 4, 3) / 60


def every(windows):
    return windows.masks(np.arange(len(windows))).numpy()


def test_windows_start_at_0_and_the_last_is_cut_at_the_edge():
    windows = grid((5, 4), (3, 2), (2, 3))
    assert windows.boxes.tolist() == [[0, 0, 3, 2], [0, 3, 3, 4], [2, 0, 5, 2], [2, 3, 5, 4]]
    windows = grid((5, 4), 2, 2)
    assert windows.boxes.tolist() == [[t, x, min(t + 2, 5), x + 2] for t in (0, 2, 4) for x in (0, 2)]


@pytest.mark.parametrize("size", [(7, 5), (13, 9), (16, 16)])
@pytest.mark.parametrize(("window", "stride"), [(3, 1), (3, 2), ((4, 2), (3, 1)), (5, 5), ((2, 3), (2, 3))])
def test_every_pixel_is_covered(size, window, stride):
    assert every(grid(size, window, stride)).sum(axis=0).min() >= 1


def test_a_disc_is_round_also_where_the_picture_ends():
    windows = grid((6, 6), 5, 5, "disc")
    mask = every(windows)[0, :5, :5]
    assert mask.astype(int).tolist() == [
        [0, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 0],
    ]
    # The last starts at 5: of its five columns only the first is inside.
    assert every(windows)[1, :5, 5].astype(int).tolist() == [0, 1, 1, 1, 0]


def test_areas_and_masks_keep_their_boxes():
    labels = np.array([[7, 7, 2], [7, 2, 2]])
    windows = areas(labels, (2, 3))
    assert windows.boxes.tolist() == [[0, 1, 2, 3], [0, 0, 2, 2]]
    assert every(windows).tolist() == [[[0, 0, 1], [0, 1, 1]], [[1, 1, 0], [1, 0, 0]]]
    half = np.array([[[0, 0.5, 0], [0, 1, 0]]])
    windows = given_masks(half, (2, 3))
    assert windows.boxes.tolist() == [[0, 1, 2, 2]]
    assert every(windows).tolist() == half.tolist()
    assert every(windows.only(np.array([0, 0]))).tolist() == [half[0].tolist()] * 2


def test_superpixels_part_the_picture():
    picture = np.zeros((40, 30, 3), np.float32)
    picture[:, 15:] = (1, 0, 0)
    windows = superpixels(picture, 8)
    masks = every(windows)
    assert (masks.sum(axis=0) == 1).all()
    # None of them lies on both sides of the edge.
    assert all((mask[:, :15].any() + mask[:, 15:].any()) == 1 for mask in masks)


def test_a_covered_picture_is_picture_and_fill_by_the_mask():
    cover = Cover.of(
        RAMP, given_masks(np.stack([np.eye(5, 4), np.full((5, 4), 0.25)]), (5, 4)), np.array([1.0, 0, 0.5])
    )
    one, quarter = cover.pictures([0, 1]).numpy()
    assert one[2, 2].tolist() == [1.0, 0.0, 0.5]
    assert (one[0, 1] == RAMP[0, 1]).all()
    np.testing.assert_allclose(quarter, 0.75 * RAMP + 0.25 * np.array([1.0, 0, 0.5]), atol=1e-7)


def test_outside_keeps_the_window_alone():
    cover = Cover.of(RAMP, grid((5, 4), 2, 2), np.zeros(3), outside=True)
    assert cover.boxes.tolist() == [[0, 0, 5, 4]] * 6
    kept = cover.pictures([3]).numpy()[0]
    assert (kept[2:4, 2:4] == RAMP[2:4, 2:4]).all()
    assert kept.sum() == pytest.approx(RAMP[2:4, 2:4].sum())


@pytest.mark.parametrize("fill", [np.zeros(3), None])
@pytest.mark.parametrize("shape", ["rectangle", "disc"])
def test_the_same_inside_a_compiled_function(fill, shape):
    cover = Cover.of(RAMP, grid((5, 4), 3, 2, shape), fill)
    rows = np.array([3, 0, 1])
    plain = cover.pictures(rows).numpy()
    np.testing.assert_allclose(tf.function(cover.pictures)(tf.constant(rows)).numpy(), plain, atol=1e-7)
    np.testing.assert_allclose(tf.function(covered)(cover.parts(rows)).numpy(), plain, atol=1e-7)


def test_inpainting_goes_on_with_what_is_around():
    # On an even slope across, the pixels left and right of the window tell what is between.
    slope = np.broadcast_to(np.linspace(0, 1, 7, dtype=np.float32)[None, :, None], (5, 7, 3))
    cover = Cover.of(slope, grid((5, 7), (5, 3), (5, 2)), None)
    np.testing.assert_allclose(cover.pictures([1]).numpy()[0], slope, atol=1e-6)
    # At the edge there is one side only.
    np.testing.assert_allclose(cover.pictures([0]).numpy()[0, :, :3], 0.5, atol=1e-6)
    # Over the whole picture there is none.
    whole = Cover.of(slope, grid((5, 7), (5, 7), 1), None)
    np.testing.assert_allclose(whole.pictures([0]).numpy()[0], 0.5, atol=1e-6)


def test_fills_are_what_they_say():
    net = dc.load(tiny.linear_tail(), input=(-1, 1))
    assert fill_for(net, RAMP, "zero").values.tolist() == [0.5, 0.5, 0.5]
    np.testing.assert_allclose(fill_for(net, RAMP, "mean").values, RAMP.mean(axis=(0, 1)))
    shuffled = fill_for(net, RAMP, "shuffled").values
    assert sorted(map(tuple, shuffled.reshape(-1, 3))) == sorted(map(tuple, RAMP.reshape(-1, 3)))
    assert not (shuffled == RAMP).all()
    assert fill_for(net, RAMP, "white").values.tolist() == [1, 1, 1]
    assert fill_for(net, RAMP, "inpaint").values is None
    blurred = fill_for(net, RAMP, "blur", window=(4, 4)).values
    assert 0 < blurred.std() < 0.7 * RAMP.std()
    for fill in ("noise", "shuffled"):
        first, again, other = (fill_for(net, RAMP, fill, seed=seed).values for seed in (1, 1, 2))
        assert (first == again).all()
        assert (first != other).any()


def test_zero_is_zero_after_a_preprocessing_that_turns_colours_around():
    net = dc.load("InceptionV1_caffe", weights=None)
    picture = np.random.default_rng(0).random((224, 224, 3), dtype=np.float32)
    fill = np.broadcast_to(fill_for(net, picture, "zero").values, picture.shape)
    assert np.abs(net.preprocess(fill[None]).numpy()).max() < 1e-3


def test_overlaps_are_averaged():
    windows = grid((3, 3), 2, 1)
    heatmaps, coverage = averaged(windows, np.array([[1.0], [2.0], [3.0], [6.0]]))
    assert heatmaps[0].tolist() == [[1, 1.5, 2], [2, 3, 4], [3, 4.5, 6]]
    assert coverage.tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    # The same windows as masks go another way.
    again, _ = averaged(given_masks(every(windows), (3, 3)), np.array([[1.0], [2.0], [3.0], [6.0]]))
    assert again.tolist() == heatmaps.tolist()
    weighed, _ = averaged(given_masks(np.array([[[1.0, 0.5]], [[0.0, 0.25]]]), (1, 2)), np.array([[3.0], [9.0]]))
    assert weighed.tolist() == [[[3.0, 5.0]]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: grid((5, 4), 5, 1), r"the window is 5 x 5 and the picture 5 x 4 .*; expected at most 5 x 4"),
        (lambda: grid((5, 4), 0, 1), "the window is 0; expected 1 pixel or more"),
        (lambda: grid((5, 4), 2, -1), "the stride is -1; expected 1 pixel or more"),
        (lambda: grid((5, 4), 2.5, 1), "the window is 2.5; expected pixels, one whole number"),
        (lambda: grid((5, 4), 2, 1, "square"), "shape is 'square'; expected 'rectangle', 'disc'"),
        (lambda: given_masks(np.ones((2, 4, 5)), (5, 4)), r"shape \(2, 4, 5\); expected \(n, 5, 4\)"),
        (lambda: given_masks(np.full((1, 5, 4), 2.0), (5, 4)), "run from 2 to 2; expected 0 to 1"),
        (lambda: given_masks(np.zeros((1, 5, 4)), (5, 4)), "mask 0 covers nothing"),
        (lambda: areas(np.zeros((5, 4)), (5, 4)), "float64; expected whole numbers"),
        (lambda: superpixels(RAMP, 1), "count is 1; expected 2 or more areas"),
        (lambda: Cover.of(RAMP, grid((5, 4), 2, 1), np.zeros(2)), r"shape \(2,\); expected one that fits \(5, 4, 3\)"),
        (lambda: Cover.of(RAMP, grid((5, 4), 2, 1), None, outside=True), "cannot be inpainted"),
    ],
)
def test_what_makes_no_windows_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
