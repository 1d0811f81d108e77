"""What happens to the image before the network sees it: each transform alone, composed, and drawn for every image."""

import numpy as np
import pytest

from diamond.features.transforms import (
    Background,
    Blur,
    Boxes,
    Gain,
    Jitter,
    Noise,
    Pad,
    Rotate,
    Scale,
    apply,
    draw,
    transform_from_dict,
    transform_to_dict,
    warp,
)

RANDOM = (
    Jitter(4),
    Jitter(0, across_px=4),
    Scale(0.6, 1.4),
    Rotate(45),
    Boxes(0.6, 0.3),
    Noise(0.1),
    Gain(0.2),
    Background(),
)
FIXED = (Pad(4), Blur(2.0, 1.0))
EVERY = (*RANDOM, *FIXED)


def streams(n=3, first=0):
    return [np.random.default_rng(first + i) for i in range(n)]


def pictures(n=3, size=(20, 24), channels=4):
    """The same picture n times; half transparent where it has an alpha channel."""
    one = np.random.default_rng(9).random((1, *size, channels), dtype=np.float32)
    one[..., 3:] = 0.5
    return np.tile(one, (n, 1, 1, 1))


def seen(transforms, before, *, rngs=None, steps=5, step=2):
    drawn = draw(transforms, rngs or streams(len(before)), steps=steps, size=before.shape[1:3])
    return np.asarray(apply(transforms, before, {name: values[step] for name, values in drawn.items()}))


def dot(size=(9, 9), row=4, column=4):
    picture = np.full((1, *size, 1), 0.5, np.float32)
    picture[0, row, column] = 1.0
    return picture


def brightest(moved):
    flat = np.asarray(moved)[0, ..., 0]
    return tuple(int(i) for i in np.unravel_index(flat.argmax(), flat.shape))


def by(transform, uniform, size=(9, 9), progress=0.0):
    matrix = transform.matrices(np.array([uniform], float), np.array([progress]), size)
    return matrix.reshape(1, 9)[:, :8].astype(np.float32)


@pytest.mark.parametrize("transform", RANDOM, ids=str)
def test_every_image_is_treated_in_its_own_way_and_anew_at_each_step(transform):
    before = pictures()
    first, second = (seen((transform,), before, step=step) for step in (1, 2))
    for i in range(3):
        assert np.abs(first[i] - before[i, ..., : first.shape[-1]]).mean() > 0.003
        assert np.abs(first[i] - first[(i + 1) % 3]).mean() > 0.003
        assert np.abs(first[i] - second[i]).mean() > 0.003


@pytest.mark.parametrize("transform", FIXED, ids=str)
def test_padding_and_blur_treat_all_images_alike(transform):
    before = pictures()
    after = seen((transform,), before)
    assert np.abs(after - before).mean() > 0.05
    np.testing.assert_array_equal(after[0], after[1])


@pytest.mark.parametrize("transform", EVERY, ids=str)
def test_what_an_image_undergoes_does_not_depend_on_its_neighbours(transform):
    together = seen((transform,), pictures(3))
    alone = seen((transform,), pictures(1), rngs=streams()[1:2])
    np.testing.assert_array_equal(together[1], alone[0])


@pytest.mark.parametrize("transform", [Jitter(8), Scale(0.9, 1.1), Rotate(10), Boxes(0.3, 0.3), Noise(0.1), Gain(0.1)])
def test_a_longer_run_begins_as_a_shorter_one(transform):
    short, long = (draw((transform,), streams(), steps=steps, size=(32, 32))["stage0"] for steps in (4, 9))
    assert short.shape[:2] == (4, 3)
    np.testing.assert_array_equal(long[:4], short)
    assert len({tuple(row) for row in short.reshape(12, -1).tolist()}) == 12


def test_padding_shows_the_picture_smaller_within_grey():
    # A 12 px canvas with 6 px more at each side: the picture is shown at half its size.
    moved = np.asarray(warp(np.ones((1, 12, 12, 1), np.float32), by(Pad(6), (), size=(12, 12))))[0, ..., 0]
    assert moved[3:9, 3:9].tolist() == np.ones((6, 6)).tolist()
    assert np.count_nonzero(moved == 0.5) == 144 - 36
    assert brightest(warp(dot(row=8, column=0), by(Pad(4.5), ()))) == (6, 2)


def test_jitter_shifts():
    # Taken from two to the right and one up in the source: the dot moves left and down.
    assert brightest(warp(dot(), by(Jitter(4), (0.75, 0.375)))) == (5, 2)


def test_jitter_across_moves_time_and_leaves_frequency():
    assert brightest(warp(dot(), by(Jitter(0, across_px=4), (1.0, 1.0)))) == (4, 0)
    assert brightest(warp(dot(), by(Jitter(2, across_px=0), (1.0, 1.0)))) == (2, 4)
    shifts = draw((Jitter(1, across_px=8),), streams(), steps=200, size=(32, 32))["stage0"]
    assert 7.5 < np.abs(shifts[..., 2]).max() <= 8
    assert 0.9 < np.abs(shifts[..., 5]).max() <= 1


def test_scale_enlarges_about_the_centre():
    assert brightest(warp(dot(row=4, column=5), by(Scale(3.0, 3.0), (0.5,)))) == (4, 7)
    assert brightest(warp(dot(), by(Scale(2.0, 2.0), (0.5,)))) == (4, 4)
    assert by(Scale(0.5, 2.0), (0.0,))[0, 0] == 2.0
    assert by(Scale(0.5, 2.0), (1.0,))[0, 0] == 0.5


def test_rotate_turns_about_the_centre():
    assert brightest(warp(dot(row=4, column=7), by(Rotate(90), (1.0,)))) == (1, 4)
    assert brightest(warp(dot(row=4, column=7), by(Rotate(90), (0.0,)))) == (7, 4)
    # On a canvas that is not square, too.
    size = (5, 11)
    assert brightest(warp(dot(size, row=2, column=6), by(Rotate(90), (1.0,), size=size))) == (1, 5)


def test_boxes_stay_within_the_picture_and_shrink_to_the_last():
    boxes = draw((Boxes(0.5, 0.1),), streams(), steps=300, size=(40, 80))["stage0"]
    side, left, top = boxes[..., 0], boxes[..., 2], boxes[..., 5]
    assert 0.45 <= side[0].min() <= side[0].max() <= 0.55
    assert 0.09 <= side[-1].min() <= side[-1].max() <= 0.11
    assert left.min() >= 0
    assert top.min() >= 0
    assert (left + side * 79).max() <= 79
    assert (top + side * 39).max() <= 39
    assert np.ptp(left) > 60
    assert np.ptp(top) > 30


def test_a_box_is_enlarged_to_the_canvas():
    # The lower right half of a side: from (4, 4) on, twice as large.
    assert brightest(warp(dot(row=6, column=7), by(Boxes(0.5, 0.5), (0.5, 1.0, 1.0)))) == (4, 6)


def test_noise_has_its_deviation_and_no_mean():
    grey = np.full((2, 64, 64, 3), 0.5, np.float32)
    noise = seen((Noise(0.1),), grey) - 0.5
    assert noise.std() == pytest.approx(0.1, rel=0.03)
    assert abs(noise.mean()) < 0.003
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05


def test_gain_makes_a_whole_spectrogram_louder_or_softer():
    grey = np.full((2, 4, 6, 1), 0.5, np.float32)
    after = np.asarray(apply((Gain(0.2),), grey, {"stage0": np.array([[0.75], [0.0]], np.float32)}))
    np.testing.assert_allclose(after[0], 0.6, rtol=1e-6)
    np.testing.assert_allclose(after[1], 0.3, rtol=1e-6)


def test_blur_spreads_a_dot_as_a_gaussian_does_and_fades():
    point = np.zeros((1, 21, 21, 2), np.float32)
    point[0, 10, 10] = 1.0
    first, middle, last = (seen((Blur(2.0),), point, steps=5, step=step)[0, ..., 1] for step in (0, 2, 4))
    # 1 / (2 pi sigma**2) in the middle of a Gaussian of deviation 2, then of 1.
    assert first[10, 10] == pytest.approx(0.0398, rel=0.02)
    assert first[10, 12] / first[10, 10] == pytest.approx(np.exp(-0.5), rel=1e-4)
    assert middle[10, 10] == pytest.approx(0.1592, rel=0.02)
    assert first.sum() == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_allclose(last, point[0, ..., 1], atol=1e-6)


def test_blur_leaves_a_plain_picture_to_its_edges():
    np.testing.assert_allclose(seen((Blur(2.0),), np.full((1, 9, 7, 3), 0.3, np.float32), step=0), 0.3, rtol=1e-5)


def test_a_background_shows_through_where_the_picture_is_transparent():
    before = pictures()
    before[..., 3] = 0.0
    before[:, :, :12, 3] = 1.0
    after = seen((Background(),), before)
    assert after.shape == (3, 20, 24, 3)
    np.testing.assert_array_equal(after[:, :, :12], before[:, :, :12, :3])
    ground = after[:, :, 12:]
    assert 0.0 <= ground.min() <= ground.max() <= 1.0
    assert ground.std(axis=(1, 2)).min() > 0.03
    # Soft: neighbours are closer to one another than pixels far away are.
    assert np.abs(np.diff(ground, axis=1)).mean() < 0.5 * np.abs(ground[:, :10] - ground[:, 10:]).mean()


def test_half_transparent_is_half_the_background():
    white = np.ones((1, 8, 8, 4), np.float32)
    ground = np.full((1, 3 * 36), 0.2, np.float32)
    white[..., 3] = 0.25
    np.testing.assert_allclose(apply((Background(6),), white, {"stage0": ground}), 0.25 + 0.75 * 0.2, rtol=1e-5)


def test_beyond_the_edge_is_grey():
    moved = np.asarray(warp(np.ones((1, 9, 9, 3), np.float32), by(Jitter(4), (1.0, 1.0))))
    assert moved[0, -1, -1].tolist() == [0.5, 0.5, 0.5]
    assert moved[0, 0, 0].tolist() == [1.0, 1.0, 1.0]


def test_neighbouring_movements_become_one_warp_and_changes_stand_alone():
    transforms = (Jitter(3), Scale(0.8, 1.2), Rotate(20), Noise(0.1), Jitter(2), Pad(2), Gain(0.1))
    drawn = draw(transforms, streams(), steps=4, size=(32, 32))
    assert {name: values.shape for name, values in drawn.items()} == {
        "stage0": (4, 3, 8),
        "stage1": (4, 3, 1),
        "stage2": (4, 3, 8),
        "stage3": (4, 3, 1),
    }


def test_composed_movements_are_their_matrices_multiplied():
    transforms = (Jitter(3), Scale(0.8, 1.2), Rotate(20))
    drawn = draw(transforms, streams(1), steps=1, size=(9, 9))["stage0"][0, 0]
    uniform = np.random.default_rng(0).random((1, 4))
    progress = np.zeros(1)
    shift = transforms[0].matrices(uniform[:, :2], progress, (9, 9))[0]
    scale = transforms[1].matrices(uniform[:, 2:3], progress, (9, 9))[0]
    turn = transforms[2].matrices(uniform[:, 3:], progress, (9, 9))[0]
    np.testing.assert_allclose([*drawn, 1.0], (shift @ scale @ turn).ravel(), rtol=1e-6)


def test_one_warp_does_what_its_movements_do_one_after_the_other():
    shift, turn = Jitter(2), Rotate(90)
    both = shift.matrices(np.array([[1.0, 0.5]]), np.zeros(1), (9, 9)) @ turn.matrices(np.ones((1, 1)), [0.0], (9, 9))
    at_once = warp(dot(row=3, column=4), both.reshape(1, 9)[:, :8].astype(np.float32))
    one_by_one = warp(warp(dot(row=3, column=4), by(shift, (1.0, 0.5))), by(turn, (1.0,)))
    # Two to the left, then a quarter turn against the clock; the other way round it would lie elsewhere.
    assert brightest(at_once) == brightest(one_by_one) == (6, 3)
    assert brightest(warp(warp(dot(row=3, column=4), by(turn, (1.0,))), by(shift, (1.0, 0.5)))) == (4, 1)


def test_draws_stay_in_their_range():
    shifts = draw((Jitter(8),), streams(), steps=200, size=(32, 32))["stage0"][..., [2, 5]]
    assert -8 <= shifts.min() < -7.5
    assert 7.5 < shifts.max() <= 8


@pytest.mark.parametrize("transform", EVERY, ids=str)
def test_a_transform_is_written_and_read(transform):
    written = transform_to_dict(transform)
    assert written["kind"] == type(transform).__name__.lower()
    assert transform_from_dict(written) == transform


def test_a_transform_that_is_not_there_is_named():
    with pytest.raises(
        ValueError, match="no transform of kind 'flip'; expected one of pad, jitter, scale, rotate, box"
    ):
        transform_from_dict({"kind": "flip"})
