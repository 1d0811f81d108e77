"""What is optimised in place of pixels: shapes, gradients, and what each parametrisation is for."""

import numpy as np
import pytest
import tensorflow as tf

from diamond.features.color import DECORRELATION, coloured
from diamond.features.images import (
    Cppn,
    Fourier,
    Laplacian,
    Phase,
    Pixels,
    Shared,
    amplitudes,
    image_from_dict,
    image_to_dict,
)

EVERY = (
    Fourier(),
    Fourier(decay=1.0, decay_across=0.5),
    Fourier(decay=1.25, blur_px=0.4, most_detail=0.05),
    Phase(),
    Pixels(),
    Laplacian(),
    Cppn(width=8, layers=3),
    Shared(parts=4),
)
# Phases have no faint beginning: their magnitude is a photo's from the first step.
FAINT = tuple(image for image in EVERY if not isinstance(image, Phase))


def streams(n=2, first=0):
    return [np.random.default_rng(first + i) for i in range(n)]


def drawn(image, size, planes, n=2):
    return tuple(tf.constant(part) for part in image.draw(size, planes, streams(n)))


def developed(image, size=(32, 32), planes=3, n=2):
    return np.asarray(image.develop(drawn(image, size, planes, n), size, planes))


@pytest.mark.parametrize("image", EVERY, ids=str)
@pytest.mark.parametrize("size", [(16, 16), (12, 20), (15, 9), (10, 15)])
@pytest.mark.parametrize("planes", [1, 3, 4])
def test_planes_have_the_canvas_size_and_every_number_of_the_state_counts(image, size, planes):
    state = drawn(image, size, planes)
    assert all(part.dtype == tf.float32 and part.shape[0] == 2 for part in state)
    with tf.GradientTape() as tape:
        tape.watch(state)
        out = image.develop(state, size, planes)
        loss = tf.reduce_sum(out * tf.random.stateless_normal(out.shape, seed=(1, 2)))
    assert out.shape == (2, planes, *size)
    assert np.isfinite(out).all()
    for part, gradient in zip(state, tape.gradient(loss, state), strict=True):
        reached = np.asarray(gradient) != 0
        assert np.isfinite(gradient).all()
        # A CPPN begins grey: its last matrix is zero, so at first a gradient reaches that alone.
        blocked = isinstance(image, Cppn) and part is not state[-1]
        assert reached.reshape(2, -1).any(axis=1).all() or blocked


@pytest.mark.parametrize("image", FAINT, ids=str)
def test_an_image_begins_near_grey(image):
    pictures = np.asarray(coloured(developed(image), colours=3))
    assert pictures.min() > 0.3
    assert pictures.max() < 0.7
    assert pictures.mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("image", [image for image in EVERY if not isinstance(image, Cppn)], ids=str)
def test_images_of_one_batch_begin_differently_and_not_by_their_neighbours(image):
    first, second = developed(image)
    assert np.abs(first - second).max() > 0.001
    state = image.draw((32, 32), 3, streams(1, first=1))
    np.testing.assert_array_equal(image.draw((32, 32), 3, streams(2))[0][1], state[0][0])


@pytest.mark.parametrize("image", EVERY, ids=str)
def test_ascent_brings_each_towards_a_picture(image):
    """Every parametrisation can take on a smooth target: a bright spot on one side."""
    rows, columns = np.mgrid[0:16, 0:24] / 16
    target = 2 * np.exp(-((rows - 0.5) ** 2 + (columns - 1.0) ** 2) / 0.05)
    target = tf.constant(np.tile(target - target.mean(), (1, 1, 1, 1)), tf.float32)
    variables = [tf.Variable(part) for part in image.draw((16, 24), 1, streams(1))]

    def likeness():
        out = image.develop(tuple(tf.convert_to_tensor(v) for v in variables), (16, 24), 1)
        return tf.reduce_sum(out * target) / (tf.norm(out) * tf.norm(target) + 1e-6)

    @tf.function(autograph=False)
    def step(gradients, rate):
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_add(rate * gradient / (tf.norm(gradient) + 1e-12))

    for _ in range(30):
        with tf.GradientTape() as tape:
            value = likeness()
        step(tape.gradient(value, variables), 0.05 * tf.sqrt(float(sum(np.prod(v.shape) for v in variables))))
    assert float(likeness()) > 0.5


def test_amplitudes_fall_with_frequency():
    scale = amplitudes((16, 16), 1.0)
    assert scale.shape == (16, 9)
    # sqrt(16 * 16) / frequency: 1 / 16 for the mean and the lowest, 2 / 16 for the next.
    assert scale[0, :3].tolist() == [256.0, 256.0, 128.0]
    assert scale[:3, 0].tolist() == [256.0, 256.0, 128.0]
    assert scale[15, 0] == scale[1, 0]
    assert scale[3, 4] == pytest.approx(16 / np.hypot(3 / 16, 4 / 16))
    assert amplitudes((16, 16), 0.0).tolist() == np.full((16, 9), 16.0).tolist()


def test_amplitudes_of_a_spectrogram_fall_along_each_axis_by_itself():
    scale = amplitudes((16, 8), 1.0, 0.5)
    root = np.sqrt(16 * 8)
    assert scale[0, 0] == pytest.approx(root * 16 * 8**0.5)
    assert scale[4, 0] == pytest.approx(root * 4 * 8**0.5)
    assert scale[0, 4] == pytest.approx(root * 16 * 2**0.5)


def test_a_flat_spectrum_is_mid_grey_and_one_frequency_is_a_wave():
    state = np.zeros((1, 1, 8, 5, 2), np.float32)
    np.testing.assert_array_equal(Fourier().develop((tf.constant(state),), (8, 8), 1), 0.0)
    state[0, 0, 0, 1, 0] = 1.0
    wave = np.asarray(Fourier().develop((tf.constant(state),), (8, 8), 1))[0, 0]
    # The quarter that all pictures begin with, an amplitude of 8 * 8, and 2 / (8 * 8) of the inverse transform.
    np.testing.assert_allclose(wave[3], 0.25 * 64 * 2 / 64 * np.cos(2 * np.pi * np.arange(8) / 8), atol=1e-6)


def test_a_greater_decay_is_smoother():
    def roughness(**settings):
        planes = developed(Fourier(**settings), (64, 64), 1, n=4)[:, 0]
        spread = planes.std()
        return np.abs(np.diff(planes, axis=1)).mean() / spread, np.abs(np.diff(planes, axis=2)).mean() / spread

    down, across = roughness(decay=1.0)
    smoother, _ = roughness(decay=1.5)
    assert smoother < 0.7 * down
    assert down == pytest.approx(across, rel=0.15)
    frequency, time = roughness(decay=2.0, decay_across=0.5)
    assert time > 3 * frequency


def test_the_alpha_channel_can_be_smoother_than_the_colours():
    def roughness(plane):
        return np.abs(np.diff(plane, axis=-1)).mean() / plane.std()

    plain, smooth = (developed(Fourier(alpha_decay=decay), (32, 32), 4) for decay in (0.0, 1.0))
    np.testing.assert_allclose(smooth[:, :3], plain[:, :3], rtol=1e-5, atol=1e-7)
    assert roughness(smooth[:, 3]) < 0.6 * roughness(plain[:, 3])
    # Without an alpha channel there is nothing to smooth.
    np.testing.assert_array_equal(developed(Fourier(alpha_decay=1.0)), developed(Fourier()))


def test_a_blur_over_the_spectrum_takes_what_is_fine_and_leaves_what_is_coarse():
    sharp, blurred = (
        np.fft.rfft2(developed(Fourier(blur_px=deviation), (32, 32), 1)[0, 0]) for deviation in (0.0, 1.0)
    )
    left = np.abs(blurred) / np.abs(sharp)
    # A Gaussian of 1 px: exp(-2 pi^2 f^2) of the frequency f in cycles a pixel.
    assert left[0, 1] == pytest.approx(np.exp(-2 * np.pi**2 / 32**2), rel=1e-3)
    assert left[8, 8] == pytest.approx(np.exp(-2 * np.pi**2 / 8), rel=1e-3)


@pytest.mark.parametrize("size", [(32, 32), (24, 33)])
def test_fine_detail_is_turned_down_to_the_share_it_may_have(size):
    def share(planes):
        energy = np.abs(np.fft.fft2(planes - planes.mean())) ** 2
        fine = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])[None, :]) > 0.25
        return energy[fine].sum() / energy.sum()

    noise, bounded = Fourier(decay=0.0), Fourier(decay=0.0, most_detail=0.1)
    assert share(developed(noise, size, 3)[0, 0]) > 0.7
    assert share(developed(bounded, size, 3)[0, 0]) < 0.2
    # What has less than its share stays as it is, the alpha channel always by the same measure as the colours.
    smooth = Fourier(decay=2.0)
    left = developed(Fourier(decay=2.0, most_detail=0.1), size, 4)
    np.testing.assert_allclose(left, developed(smooth, size, 4), rtol=1e-5, atol=1e-7)


def test_the_magnitude_of_a_phase_image_does_not_depend_on_its_state():
    def magnitude(planes):
        spectrum = np.abs(np.fft.rfft2(planes[:, 0]))
        return spectrum / np.linalg.norm(spectrum, axis=(1, 2), keepdims=True)

    image, size = Phase(), (15, 15)
    first, second = magnitude(developed(image, size, 1))
    state = tf.constant(np.random.default_rng(5).uniform(-9, 9, (1, 1, 15, 8)).astype(np.float32))
    [third] = magnitude(np.asarray(image.develop((state,), size, 1)))
    # The first column is its own mirror image, of which only a part survives the way to real numbers.
    for other in (second, third):
        ratio = first[:, 1:] / other[:, 1:]
        np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-3)
    assert first[0, 1] / first[0, 4] == pytest.approx(4.0, rel=1e-3)


def test_a_phase_image_has_no_mean_and_the_contrast_asked_for():
    planes = developed(Phase(contrast=0.8), (24, 32), 4)
    np.testing.assert_allclose(planes.mean(axis=(2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(planes.std(axis=(2, 3)), [[0.8, 0.4, 0.24, 0.8]] * 2, rtol=1e-3)


def test_a_state_of_phases_keeps_its_picture_when_it_grows():
    state = drawn(Phase(), (16, 16), 1)
    same = Phase().develop((3.0 * state[0] + 2.0,), (16, 16), 1)
    np.testing.assert_allclose(same, Phase().develop(state, (16, 16), 1), atol=1e-3)


def test_pixels_are_the_planes_themselves():
    state = drawn(Pixels(), (5, 7), 3)
    np.testing.assert_array_equal(Pixels().develop(state, (5, 7), 3), state[0])


def test_each_level_of_a_pyramid_is_half_the_size_of_the_last():
    state = Laplacian(levels=5).draw((20, 9), 3, streams(1))
    assert [part.shape[2:] for part in state] == [(20, 9), (10, 4), (5, 2), (2, 1), (1, 1)]
    ones = tuple(tf.ones_like(part) for part in state)
    np.testing.assert_allclose(Laplacian(levels=5).develop(ones, (20, 9), 3), 5 * 0.25)
    coarse = tuple(tf.constant(part * (i == 3)) for i, part in enumerate(state))
    fine = tuple(tf.constant(part * (i == 0)) for i, part in enumerate(state))
    smooth, rough = (np.asarray(Laplacian(levels=5).develop(parts, (20, 9), 3)) for parts in (coarse, fine))
    assert (
        np.abs(np.diff(smooth, axis=2)).mean() / smooth.std()
        < 0.3 * np.abs(np.diff(rough, axis=2)).mean() / rough.std()
    )


def test_a_cppn_looks_the_same_at_twice_the_resolution():
    image = Cppn(width=12, layers=4)
    *hidden, last = image.draw((33, 25), 3, streams(2))
    last = np.random.default_rng(4).normal(size=last.shape).astype(np.float32) * 0.1
    state = tuple(map(tf.constant, (*hidden, last)))
    once, twice = (np.asarray(image.develop(state, size, 3)) for size in ((33, 25), (65, 49)))
    np.testing.assert_allclose(twice[:, :, ::2, ::2], once, atol=1e-3)
    assert once.std() > 0.1
    assert np.abs(once[0] - once[1]).mean() > 0.05


def test_shared_images_agree_in_what_is_coarse():
    def coarse(planes):
        return planes.reshape(2, 3, 4, 8, 4, 8).mean(axis=(3, 5))

    image = Shared(own=Fourier(deviation=0.001), parts=8)
    state = list(image.draw((32, 32), 3, streams()))
    state[1] = state[1] * 1000
    first, second = coarse(np.asarray(image.develop(tuple(map(tf.constant, state)), (32, 32), 3)))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.95
    apart = coarse(developed(Fourier(deviation=0.001)))
    assert np.corrcoef(apart[0].ravel(), apart[1].ravel())[0, 1] < 0.5


def test_what_one_image_adds_to_the_shared_part_all_show():
    image = Shared(parts=4)
    own, share = (tf.zeros_like(part) for part in drawn(image, (16, 16), 3))
    pushed = tf.tensor_scatter_nd_update(share, [[0, 0, 0, 1, 0]], [1.0])
    planes = np.asarray(image.develop((own, pushed), (16, 16), 3))
    assert np.abs(planes[0]).max() > 0.01
    np.testing.assert_array_equal(planes[0], planes[1])


@pytest.mark.parametrize("image", EVERY, ids=str)
def test_a_parametrisation_is_written_and_read(image):
    written = image_to_dict(image)
    assert written["kind"] == type(image).__name__.lower()
    assert image_from_dict(written) == image


def test_a_parametrisation_that_is_not_there_is_named():
    with pytest.raises(
        ValueError, match="no parametrisation of kind 'wavelet'; expected one of fourier, phase, pixels"
    ):
        image_from_dict({"kind": "wavelet"})


def test_zero_is_mid_grey_and_the_first_plane_is_brightness():
    planes = np.zeros((1, 4, 2, 2), np.float32)
    np.testing.assert_array_equal(coloured(planes, colours=3), 0.5)
    planes[0, 0] = 1.0
    planes[0, 3] = 2.0
    pixel = np.asarray(coloured(planes, colours=3))[0, 0, 0]
    sigmoid = 1 / (1 + np.exp(-np.array([*DECORRELATION[:, 0], 2.0])))
    np.testing.assert_allclose(pixel, sigmoid, rtol=1e-5)
    # Brightness moves red, green and blue together; alpha is left as it is.
    assert np.ptp(pixel[:3]) < 0.01
    assert pixel[3] == pytest.approx(0.8808, abs=1e-4)


def test_one_plane_of_a_spectrogram_is_left_without_colour():
    planes = np.full((1, 1, 2, 3), 1.0, np.float32)
    assert coloured(planes, colours=1).shape == (1, 2, 3, 1)
    np.testing.assert_allclose(coloured(planes, colours=1), 0.7311, atol=1e-4)
