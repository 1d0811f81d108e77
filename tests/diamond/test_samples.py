"""Pictures and sounds changed on purpose: each change does what it says, and nothing else."""

import numpy as np
import pytest

from diamond.samples import pictures, sounds
from modelzoo.inputs.sounds import Sound, SoundError

SR = 8000


@pytest.fixture
def picture():
    return np.random.default_rng(0).random((20, 30, 3), dtype=np.float32)


def tone(*hz, seconds=1.0):
    times = np.arange(int(SR * seconds)) / SR
    return Sound(sum(0.3 * np.sin(2 * np.pi * f * times) for f in hz).astype(np.float32), SR)


def power_at(sound, hz):
    spectrum = np.abs(np.fft.rfft(sound.samples * np.hanning(len(sound.samples))))
    return float(spectrum[round(hz * len(sound.samples) / sound.sr)])


@pytest.mark.parametrize("fill", ["mean", "blur", "noise", "shuffled", 0.25, (0.1, 0.2, 0.3)])
def test_only_the_box_is_covered(picture, fill):
    before = picture.copy()
    found = pictures.cover(picture, (4, 6, 10, 16), fill)
    outside = np.ones((20, 30), bool)
    outside[4:10, 6:16] = False
    np.testing.assert_array_equal(found[outside], picture[outside])
    assert np.abs(found[4:10, 6:16] - picture[4:10, 6:16]).mean() > 0.1
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(found, pictures.cover(picture, (4, 6, 10, 16), fill))


def test_what_covers_is_what_was_asked_for(picture):
    inside = (slice(4, 10), slice(6, 16))
    box = (4, 6, 10, 16)
    np.testing.assert_allclose(pictures.cover(picture, box)[inside], np.broadcast_to(picture.mean((0, 1)), (6, 10, 3)))
    np.testing.assert_allclose(pictures.cover(picture, box, (0.1, 0.2, 0.3))[5, 7], [0.1, 0.2, 0.3], rtol=1e-6)
    assert pictures.cover(picture, box, "blur")[inside].std() < 0.5 * picture.std()
    own = {tuple(pixel) for pixel in picture.reshape(-1, 3)}
    assert {tuple(pixel) for pixel in pictures.cover(picture, box, "shuffled")[inside].reshape(-1, 3)} <= own
    one, other = (pictures.cover(picture, box, "noise", seed=seed)[inside] for seed in (0, 1))
    assert np.abs(one - other).mean() > 0.1


def test_blurring_keeps_the_mean_and_takes_the_detail(picture):
    found = pictures.blur(picture, 2)
    assert found.std() < 0.4 * picture.std()
    assert found.mean() == pytest.approx(picture.mean(), abs=0.02)
    np.testing.assert_array_equal(pictures.blur(picture, 0), picture)


def test_a_shift_moves_down_and_right(picture):
    found = pictures.shift(picture, 3, 5)
    np.testing.assert_array_equal(found[3:, 5:], picture[:-3, :-5])
    np.testing.assert_array_equal(found[:3, 5:], picture[:3][::-1, :-5])
    back = pictures.shift(picture, -3, -5, border="grey")
    np.testing.assert_array_equal(back[:-3, :-5], picture[3:, 5:])
    assert (back[-3:] == 0.5).all()
    np.testing.assert_array_equal(pictures.shift(picture, 3, 5, border="wrap"), np.roll(picture, (3, 5), (0, 1)))


def test_noise_has_the_deviation_asked_for():
    grey = np.full((64, 64, 3), 0.5, np.float32)
    found = pictures.add_noise(grey, 0.1, seed=3)
    assert found.std() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(found, pictures.add_noise(grey, 0.1, seed=3))
    assert pictures.add_noise(grey, 2.0).max() == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: pictures.cover(p, (4, 6, 4, 16)), r"the box is \(4, 6, 4, 16\); expected .* a picture of 20x30 px"),
        (lambda p: pictures.cover(p, (0, 0, 21, 5)), "the box is"),
        (lambda p: pictures.cover(p, (0, 0, 2, 5), "gray"), "fill is 'gray'; expected one of mean, blur, noise"),
        (lambda p: pictures.cover(p, (0, 0, 2, 5), 128), "fill is 128; expected a number or 3 of them from 0 to 1"),
        (lambda p: pictures.blur(p, -1), "sigma_px is -1"),
        (lambda p: pictures.shift(p, 20, 0), "leaves nothing of a picture of 20x30 px"),
        (lambda p: pictures.shift(p, 1, 0, border="black"), "expected one of mirror, wrap, grey"),
        (lambda p: pictures.add_noise(p, -0.1), "deviation is -0.1"),
    ],
)
def test_bad_pictures_are_named(picture, change, words):
    with pytest.raises(ValueError, match=words):
        change(picture)


def test_a_stretch_of_time_is_silent_and_the_rest_as_it_was():
    sound = tone(440)
    found = sounds.time_mask(sound, 0.25, 0.5)
    inside = slice(int(0.25 * SR), int(0.5 * SR))
    assert np.abs(found.samples[inside]).max() == 0
    before, after = slice(0, int(0.244 * SR)), slice(int(0.506 * SR), None)
    np.testing.assert_array_equal(found.samples[before], sound.samples[before])
    np.testing.assert_array_equal(found.samples[after], sound.samples[after])
    noisy = sounds.time_mask(sound, 0.25, 0.5, fill="noise", seed=1)
    assert noisy.samples[inside].std() == pytest.approx(sound.samples.std(), rel=0.1)
    assert found.sr == SR


def test_a_band_is_taken_out_and_the_others_stay():
    sound = tone(300, 1000, 3000)
    found = sounds.band_stop(sound, 700, 1500)
    assert power_at(found, 1000) < 1e-3 * power_at(sound, 1000)
    for hz in (300, 3000):
        assert power_at(found, hz) == pytest.approx(power_at(sound, hz), rel=0.01)
    assert power_at(sounds.band_stop(sound, 0, 600), 300) < 1e-3 * power_at(sound, 300)
    assert power_at(sounds.band_stop(sound, 2000, SR / 2), 3000) < 1e-3 * power_at(sound, 3000)
    assert np.abs(sounds.band_stop(sound, 0, SR / 2).samples).max() == 0


def test_noise_lies_as_far_below_the_sound_as_asked():
    sound = tone(440)
    for snr_db in (20.0, 0.0, -6.0):
        noise = sounds.add_noise(sound, snr_db, seed=2).samples - sound.samples
        found = 20 * np.log10(sound.samples.std() / noise.std())
        assert found == pytest.approx(snr_db, abs=0.3)


def test_a_shift_in_time():
    sound = tone(440)
    later = sounds.shift(sound, 0.1)
    np.testing.assert_array_equal(later.samples[800:], sound.samples[:-800])
    assert not later.samples[:800].any()
    earlier = sounds.shift(sound, -0.1)
    np.testing.assert_array_equal(earlier.samples[:-800], sound.samples[800:])
    assert not earlier.samples[-800:].any()
    np.testing.assert_array_equal(sounds.shift(sound, 0.1, border="wrap").samples, np.roll(sound.samples, 800))


def test_pitch_changes_the_frequency_and_speed_the_length():
    sound = tone(440)
    higher = sounds.pitch(sound, 12)
    assert len(higher.samples) == len(sound.samples)
    assert power_at(higher, 880) > 10 * power_at(higher, 440)
    faster = sounds.speed(sound, 2.0)
    assert faster.duration_s == pytest.approx(0.5, rel=0.01)
    assert power_at(faster, 440) > 10 * power_at(faster, 880)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: sounds.time_mask(s, 0.5, 0.25), SoundError, "from 0.5 to 0.25 s of a sound of 1 s"),
        (lambda s: sounds.time_mask(s, 2, 3), SoundError, "expected a stretch of it"),
        (lambda s: sounds.time_mask(s, 0, 1, fill="mean"), ValueError, "expected 'silence' or 'noise'"),
        (lambda s: sounds.band_stop(s, 100, 5000), SoundError, "expected 0 <= low < high <= 4000, half of sr"),
        (lambda s: sounds.band_stop((s.samples[:20], SR), 100, 500), SoundError, "too short to filter"),
        (lambda s: sounds.add_noise((np.zeros(10), SR), 3), SoundError, "the sound is silent"),
        (lambda s: sounds.shift(s, 1, border="mirror"), ValueError, "expected 'silence' or 'wrap'"),
        (lambda s: sounds.speed(s, 0), ValueError, "factor is 0"),
    ],
)
def test_bad_sounds_are_named(change, error, words):
    with pytest.raises(error, match=words):
        change(tone(440))
