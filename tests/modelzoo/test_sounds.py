"""Sounds from files and arrays: what comes out, and what is said where nothing can."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

import diamond as dc
from modelzoo.inputs.sounds import Sound, SoundError, load_sound


def tone(hz, sr, seconds=1.0, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(sr * seconds)) / sr)).astype(np.float32)


@pytest.mark.parametrize(("ending", "most_off"), [("wav", 1e-4), ("flac", 1e-4), ("ogg", 0.05), ("mp3", 0.05)])
def test_a_file_gives_its_samples_and_its_rate(ending, most_off, tmp_path):
    samples = tone(440, 22050)
    soundfile.write(tmp_path / f"a.{ending}", samples, 22050)
    sound = dc.load_sound(tmp_path / f"a.{ending}")
    assert (sound.sr, sound.samples.dtype) == (22050, np.float32)
    # MP3 pads to whole frames of 1152 samples.
    assert 22050 <= len(sound.samples) <= 22050 + 2 * 1152
    assert np.abs(sound.samples[:22050] - samples).max() < most_off
    assert dc.load_sound(str(tmp_path / f"a.{ending}")).samples.tolist() == sound.samples.tolist()


def test_channels_are_mixed_by_their_mean(tmp_path):
    left, right = np.full(100, 0.5, np.float32), np.full(100, -0.25, np.float32)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], axis=1), 8000, subtype="FLOAT")
    np.testing.assert_array_equal(load_sound(tmp_path / "two.wav").samples, np.full(100, 0.125))
    for array in (np.stack([left, right]), np.stack([left, right], axis=1)):
        np.testing.assert_array_equal(load_sound(array, sr=8000).samples, np.full(100, 0.125))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
        (np.array([0, 128, 192], np.uint8), [-1, 0, 0.5]),
        (np.array([-1, 0, 0.5], np.float64), [-1, 0, 0.5]),
    ],
)
def test_integers_count_to_the_full_scale_of_their_type(values, expected):
    for source in (values, (values, 16000)):
        sound = load_sound(source, sr=16000)
        assert sound.samples.dtype == np.float32
        assert sound.samples.tolist() == expected


def test_resampling_keeps_the_pitch_and_the_length():
    sound = load_sound((tone(1000, 44100, seconds=2), 44100), sr=16000)
    assert (sound.sr, len(sound.samples), sound.duration_s) == (16000, 32000, 2.0)
    spectrum = np.abs(np.fft.rfft(sound.samples))
    assert int(spectrum.argmax()) / sound.duration_s == 1000
    assert np.abs(sound.samples[1000:-1000]).max() == pytest.approx(0.5, abs=0.005)


def test_a_sound_passes_through_and_can_be_resampled():
    sound = load_sound(tone(100, 8000), sr=8000)
    assert repr(sound) == "Sound of 1 s: 8,000 samples at 8000 Hz"
    assert load_sound(sound).samples.tolist() == sound.samples.tolist()
    assert len(load_sound(sound, sr=4000).samples) == 4000


def test_silence_is_a_sound():
    assert load_sound(np.zeros(10), sr=8000).samples.tolist() == [0] * 10


def test_a_missing_file_names_the_nearest(tmp_path):
    soundfile.write(tmp_path / "rooster.wav", tone(440, 8000), 8000)
    with pytest.raises(FileNotFoundError, match=r"did you mean 'rooster.wav'\?"):
        load_sound(tmp_path / "roster.wav")
    with pytest.raises(SoundError, match="is a folder; pass one of its files"):
        load_sound(tmp_path)


def test_a_file_that_is_no_sound_says_so(tmp_path):
    (tmp_path / "text.wav").write_text("not a sound at all")
    (tmp_path / "nothing.wav").write_bytes(b"")
    soundfile.write(tmp_path / "without.wav", np.zeros(0, np.float32), 8000)
    with pytest.raises(SoundError, match=r"text\.wav: 18 bytes that are no sound libsndfile can read"):
        load_sound(tmp_path / "text.wav")
    with pytest.raises(SoundError, match=r"nothing\.wav: empty \(0 bytes\)"):
        load_sound(tmp_path / "nothing.wav")
    with pytest.raises(SoundError, match=r"without\.wav: a sound without samples"):
        load_sound(tmp_path / "without.wav")


@pytest.mark.parametrize(
    ("source", "sr", "said"),
    [
        (np.zeros(10), None, r"without its rate; .* load_sound\(array, sr=16000\)"),
        (np.zeros(0), 8000, r"without samples, of shape \(0,\)"),
        (np.array([0, np.nan, np.inf]), 8000, "2 of 3 samples are NaN or infinite"),
        (np.array([0.0, 20000.0]), 8000, r"samples up to 20000; .* divide by 32768, or pass int16"),
        (np.zeros((2, 3, 4)), 8000, r"shape \(2, 3, 4\); expected \(sample,\), \(sample, channel\)"),
        (np.zeros((64, 96)), 8000, r"shape \(64, 96\); .* at most 8 channels"),
        (np.zeros(4, np.int64), 8000, "type int64; expected floats in .*int16, int32 or uint8"),
        (np.zeros(4), 0, "a rate of 0; expected samples a second"),
        ((np.zeros(4), 44100.5), None, "a rate of 44100.5"),
        ({"a": 1}, 8000, "a dict was given as a sound; expected a path"),
        ("", None, "'' is no path; expected a path, an address, a Sound"),
        ("ftp://example.org/a.wav", None, "ftp"),
    ],
)
def test_what_is_no_sound_is_refused_with_a_reason(source, sr, said):
    with pytest.raises(SoundError, match=said):
        load_sound(source, sr=sr)


def test_a_sound_made_by_hand_is_checked_when_it_is_used():
    with pytest.raises(SoundError, match="1 of 2 samples"):
        load_sound(Sound(np.array([0, np.nan], np.float32), 8000))


def test_importing_the_reader_does_not_wait_for_librosa():
    code = (
        "import sys, diamond, modelzoo.inputs.sounds as s; print('librosa' in sys.modules, 'soundfile' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
