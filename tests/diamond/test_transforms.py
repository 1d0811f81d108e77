"""Movements: each alone, composed, and drawn anew for every image."""

import numpy as np
import pytest

from diamond.features.images import amplitudes, fourier_noise, fourier_pictures
from diamond.features.transforms import Jitter, Rotate, Scale, draw, transform_from_dict, transform_to_dict, warp


def streams(n=3):
    return [np.random.default_rng(i) for i in range(n)]


def dot(size=9, row=4, column=4):
    picture = np.full((1, size, size, 1), 0.5, np.float32)
    picture[0, row, column] = 1.0
    return picture


def brightest(pictures):
    flat = np.asarray(pictures)[0, ..., 0]
    return np.unravel_index(flat.argmax(), flat.shape)


def by(transform, uniform, size=(9, 9)):
    return transform.matrices(np.array([uniform], float), size).reshape(1, 9)[:, :8].astype(np.float32)


def test_jitter_shifts():
    # Taken from two to the right and one up in the source: the dot moves left and down.
    moved = warp(dot(), by(Jitter(4), (0.75, 0.375)))
    assert brightest(moved) == (5, 2)


def test_scale_enlarges_about_the_centre():
    assert brightest(warp(dot(row=4, column=5), by(Scale(3.0, 3.0), (0.5,)))) == (4, 7)
    assert brightest(warp(dot(), by(Scale(2.0, 2.0), (0.5,)))) == (4, 4)


def test_rotate_turns_about_the_centre():
    moved = warp(dot(row=4, column=7), by(Rotate(90), (1.0,)))
    assert brightest(moved) in ((1, 4), (7, 4))
    assert brightest(warp(dot(), by(Rotate(90), (0.9,)))) == (4, 4)


def test_beyond_the_edge_is_grey():
    moved = np.asarray(warp(np.ones((1, 9, 9, 3), np.float32), by(Jitter(4), (1.0, 1.0))))
    assert moved[0, -1, -1].tolist() == [0.5, 0.5, 0.5]
    assert moved[0, 0, 0].tolist() == [1.0, 1.0, 1.0]


def test_composed_movements_are_one_after_the_other():
    shift, turn = Jitter(2), Rotate(90)
    both = np.linalg.multi_dot(
        [shift.matrices(np.array([[1.0, 0.5]]), (9, 9))[0], turn.matrices(np.array([[1.0]]), (9, 9))[0], np.eye(3)]
    )
    at_once = warp(dot(), both.reshape(1, 9)[:, :8].astype(np.float32))
    one_by_one = warp(warp(dot(), by(shift, (1.0, 0.5))), by(turn, (1.0,)))
    assert brightest(at_once) == brightest(one_by_one)


def test_every_image_has_its_own_draw_and_a_longer_run_begins_as_a_shorter_one():
    transforms = (Jitter(8), Scale(0.9, 1.1), Rotate(10))
    short, long = (draw(transforms, streams(), steps=steps, size=(32, 32)) for steps in (4, 9))
    assert short.shape == (4, 3, 8)
    np.testing.assert_array_equal(long[:4], short)
    assert len({tuple(row) for row in short.reshape(-1, 8).tolist()}) == 12
    alone = draw(transforms, streams()[1:2], steps=4, size=(32, 32))
    np.testing.assert_array_equal(alone[:, 0], short[:, 1])


def test_draws_stay_in_their_range():
    shifts = draw((Jitter(8),), streams(), steps=200, size=(32, 32))[..., [2, 5]]
    assert -8 <= shifts.min() < -7.5
    assert 7.5 < shifts.max() <= 8


def test_transforms_are_written_and_read():
    for transform in (Jitter(4), Scale(0.9, 1.2), Rotate(5)):
        assert transform_from_dict(transform_to_dict(transform)) == transform
    with pytest.raises(ValueError, match="no transform of kind 'flip'; expected one of jitter, scale, rotate"):
        transform_from_dict({"kind": "flip"})


def test_a_flat_spectrum_is_mid_grey():
    spectrum = np.zeros((1, 3, 8, 5, 2), np.float32)
    np.testing.assert_allclose(fourier_pictures(spectrum, (8, 8), decay=1.0), 0.5)


def test_noise_is_faint_and_differs_between_images():
    pictures = np.asarray(fourier_pictures(fourier_noise((32, 32), streams()), (32, 32), decay=1.0))
    assert pictures.shape == (3, 32, 32, 3)
    assert 0.001 < pictures.std() < 0.1
    assert np.abs(pictures[0] - pictures[1]).mean() > 0.001


def test_amplitudes_fall_with_frequency():
    scale = amplitudes((16, 16), 1.0)
    assert scale.shape == (16, 9)
    assert scale[0, 0] == pytest.approx(16 * 16)
    assert scale[0, 2] == pytest.approx(scale[0, 1] / 2)
    assert amplitudes((16, 16), 0.0).tolist() == np.full((16, 9), 16.0).tolist()


def test_pictures_need_not_be_square_nor_even():
    assert np.asarray(fourier_pictures(fourier_noise((10, 15), streams()), (10, 15), decay=1.0)).shape == (3, 10, 15, 3)
