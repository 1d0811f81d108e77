"""From sound to spectrogram: against formulas, and numbers counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from modelzoo.audio_cards import AudioFrontend, LogScale, read_frontend
from modelzoo.cards import Card, CardError, InputSpec
from modelzoo.inputs.frontends import band_centres_hz, frame_times_s, read_patches, spectrogram
from modelzoo.inputs.sounds import Sound, SoundError
from modelzoo.registry import packaged_cards

YAMNET = packaged_cards()["Yamnet256_esc10"].input.audio
MINI = packaged_cards()["MiniResnet_esc10"].input.audio
# As published; no weights of theirs are in the zoo.
MUSICNN = AudioFrontend(
    sr=16000,
    n_fft=512,
    window_samples=512,
    hop_samples=256,
    n_mels=96,
    fmin_hz=0,
    fmax_hz=8000,
    mel_scale="slaney",
    norm="slaney",
    power=2,
    centred=True,
    log=LogScale("log10", gain=1e4, offset=1),
    patch_frames=187,
    ceiling=6,
)
VGGISH = replace(YAMNET, log=LogScale("ln", offset=1e-2), trim_db=None, overlap=0.0)
OPENL3 = replace(
    MINI, sr=48000, hop_samples=242, n_fft=2048, window_samples=2048, fmax_hz=24000, fmin_hz=0, patch_frames=197
)
OPENL3 = replace(OPENL3, power=1, n_mels=128, log=LogScale("db", reference="patch_max", range_db=80))
EVERY = {"YAMNet": YAMNET, "MiniResNet": MINI, "musicnn": MUSICNN, "VGGish": VGGISH, "OpenL3": OPENL3}


def tone(hz, sr, seconds=2.0, amplitude=1.0):
    return Sound((amplitude * np.sin(2 * np.pi * hz * np.arange(round(sr * seconds)) / sr)).astype(np.float32), sr)


def silence(sr, seconds=2.0):
    return Sound(np.zeros(round(sr * seconds), np.float32), sr)


@pytest.mark.parametrize("name", EVERY)
def test_a_pure_tone_is_loudest_in_the_band_around_it(name):
    frontend = EVERY[name]
    centres = band_centres_hz(frontend)
    # Low bands are narrower than a bin of the Fourier transform and cannot be told apart.
    clear = np.flatnonzero(np.gradient(centres) > 1.2 * frontend.sr / frontend.n_fft)
    for band in clear[:: len(clear) // 6]:
        values = spectrogram(tone(centres[band], frontend.sr), frontend)
        assert int(values.mean(axis=1).argmax()) == band


def test_band_centres_are_even_on_the_mel_scale():
    def mel(hz):
        return 2595 * np.log10(1 + np.asarray(hz) / 700)

    step = (mel(7500) - mel(125)) / 65
    np.testing.assert_allclose(mel(band_centres_hz(YAMNET)), mel(125) + step * np.arange(1, 65), rtol=1e-9)
    # Below 1 kHz Slaney's scale is linear: 3 mel are 200 Hz.
    top = 15 + 27 * np.log(7500 / 1000) / np.log(6.4)
    assert band_centres_hz(MINI)[0] == pytest.approx(20 + (top - 20 * 3 / 200) / 65 * 200 / 3)


@pytest.mark.parametrize(
    ("name", "floor"),
    [("YAMNet", np.log(1e-4)), ("VGGish", np.log(1e-2)), ("musicnn", 0), ("MiniResNet", -80), ("OpenL3", -80)],
)
def test_silence_has_the_value_of_the_floor(name, floor):
    frontend = EVERY[name]
    assert frontend.log.floor == pytest.approx(floor)
    assert {float(v) for v in spectrogram(silence(frontend.sr), frontend).flat} == {float(np.float32(floor))}
    np.testing.assert_allclose(read_patches(silence(frontend.sr), frontend).values, np.float32(floor))


def test_decibels_below_a_number_have_their_floor_at_the_smallest_energy():
    log = LogScale("db", reference=1e-2, smallest=1e-10)
    assert log.floor == pytest.approx(-80)
    loud = spectrogram(tone(1000, 16000), replace(MINI, log=log, ceiling=60))
    louder = spectrogram(tone(1000, 16000, amplitude=10), replace(MINI, log=log, ceiling=60))
    assert float(louder.max() - loud.max()) == pytest.approx(20, abs=1e-3)


def test_decibels_count_below_the_loudest_place():
    values = spectrogram(tone(1000, 16000, amplitude=0.01), MINI)
    assert float(values.max()) == 0
    assert float(values.min()) == -80
    # Ten times quieter are 20 dB, and the reference is the loudest of the sound or of the patch.
    falling = np.concatenate([tone(1000, 16000, 4).samples, tone(1000, 16000, 4, amplitude=0.1).samples])
    by_clip = read_patches(Sound(falling, 16000), MINI).values.max(axis=(1, 2, 3))
    assert (by_clip[0], by_clip[-1]) == (0, pytest.approx(-20, abs=0.01))
    by_patch = replace(MINI, log=replace(MINI.log, reference="patch_max"))
    assert read_patches(Sound(falling, 16000), by_patch).values.max(axis=(1, 2, 3)).tolist() == [0] * len(by_clip)


def test_a_full_scale_tone_of_yamnet_is_near_the_ceiling():
    # A Hann window of 400 samples sums to 200; half is the magnitude of a sine: ln(100) = 4.6 in one bin of the band.
    loudest = max(float(spectrogram(tone(hz, 16000), YAMNET).max()) for hz in band_centres_hz(YAMNET)[::9])
    assert np.log(100) < loudest < YAMNET.ceiling == 5.5


@pytest.mark.parametrize(
    ("frontend", "seconds", "frames", "patches"),
    [
        # (80000 - 512) // 160 + 1 frames; a patch of 96 every 72.
        (replace(YAMNET, trim_db=None), 5, 497, (497 - 96) // 72 + 1),
        # 1 + 80000 // 320 frames; a patch of 50 every 37.
        (MINI, 5, 251, (251 - 50) // 37 + 1),
        (VGGISH, 5, 497, 497 // 96),
        (MUSICNN, 5, 313, 1),
    ],
)
def test_frames_and_patches_are_as_many_as_counted_by_hand(frontend, seconds, frames, patches):
    sound = tone(440, frontend.sr, seconds)
    assert spectrogram(sound, frontend).shape == (frontend.n_mels, frames)
    found = read_patches(sound, frontend)
    assert found.values.shape == (patches, frontend.n_mels, frontend.patch_frames, 1)
    assert found.values.dtype == np.float32
    starts = np.arange(patches) * frontend.patch_step_frames * frontend.hop_samples / frontend.sr
    np.testing.assert_allclose(found.start_s, starts)
    whole = spectrogram(sound, frontend)
    step, n = frontend.patch_step_frames, frontend.patch_frames
    np.testing.assert_array_equal(found.values[-1, :, :, 0], whole[:, (patches - 1) * step : (patches - 1) * step + n])


def test_a_click_stands_at_its_time():
    samples = np.zeros(16000, np.float32)
    samples[8000] = 1
    for frontend in (replace(YAMNET, trim_db=None), replace(MINI, patch_frames=40)):
        loudness = spectrogram(Sound(samples, 16000), frontend).mean(axis=0)
        times = frame_times_s(frontend, len(loudness))
        assert times[int(loudness.argmax())] == pytest.approx(0.5, abs=0.75 * frontend.hop_s)
    assert frame_times_s(YAMNET)[:2].tolist() == [0.016, 0.026]
    assert frame_times_s(MINI)[:2].tolist() == [0.0, 0.02]
    assert (YAMNET.patch_s, MINI.patch_s) == (0.96, 1.0)


def test_trimming_keeps_the_seconds_of_the_original():
    samples = np.concatenate([silence(16000, 1.0).samples, tone(440, 16000, 2.0).samples, silence(16000, 1.0).samples])
    found = read_patches(Sound(samples, 16000), YAMNET)
    assert found.start_s[0] == pytest.approx(1.0, abs=0.1)
    assert len(found) == 2
    assert len(read_patches(Sound(samples, 16000), replace(YAMNET, trim_db=None))) == 5


def test_a_sound_shorter_than_a_patch_is_repeated_or_followed_by_silence():
    short = Sound(tone(1000, 16000, 0.2).samples, 16000)
    repeated = read_patches(short, YAMNET).values[0, :, :, 0]
    padded = read_patches(short, replace(YAMNET, short="silence")).values[0, :, :, 0]
    assert repeated.shape == padded.shape == (64, 96)
    # 0.2 s are 3200 samples; the last frame with any of them begins at sample 3040, frame 19.
    assert (padded[:, 20:] == np.float32(np.log(1e-4))).all()
    assert repeated[:, 20:].max(axis=0).min() > 3
    one = read_patches(Sound(np.array([0.5], np.float32), 16000), YAMNET)
    assert one.values.shape == (1, 64, 96, 1)


def test_another_rate_is_resampled():
    values = read_patches(tone(1000, 44100, 1.0), YAMNET).values
    expected = read_patches(tone(1000, 16000, 1.0), YAMNET).values
    assert values.shape == expected.shape == (1, 64, 96, 1)
    assert int(values.mean(axis=(0, 2, 3)).argmax()) == int(expected.mean(axis=(0, 2, 3)).argmax())


def test_patches_know_their_sound_and_average_over_it():
    found = read_patches([tone(440, 16000, 2.0), (tone(880, 16000, 1.0).samples, 16000)], replace(YAMNET, trim_db=None))
    # 197 and 97 frames.
    assert found.owner.tolist() == [0, 0, 1]
    scores = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 1.0]])
    assert found.mean_by_sound(scores).tolist() == [[2, 0], [5, 1]]


def test_spectrograms_pass_as_they_are():
    for shape in ((64, 96), (64, 96, 1), (3, 64, 96, 1)):
        values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        found = read_patches(values, YAMNET)
        np.testing.assert_array_equal(found.values, values.reshape(-1, 64, 96, 1))
        assert found.owner.tolist() == list(range(len(found)))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (np.zeros((96, 64)), r"shape \(96, 64\); expected .* \(patch, 64, 96, 1\): frequency, then time"),
        (np.zeros(16000), r"shape \(16000,\); expected a path, load_sound\(samples, sr=RATE\)"),
        (np.full((64, 96), np.nan), "6144 of 6144 values of the spectrogram are NaN"),
        ([], "no sound: the list of sources is empty"),
        ([Sound(np.zeros(8, np.float32), 8000), (np.zeros(0), 8000)], "sound 1 of 2: a sound without samples"),
        (None, "a NoneType; expected a path"),
    ],
)
def test_what_gives_no_patches_is_refused(source, said):
    with pytest.raises(SoundError, match=said):
        read_patches(source, YAMNET)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mel_scale": "bark"}, "mel_scale is 'bark'; expected 'htk' or 'slaney'"),
        ({"power": 3}, "power is 3; expected 1 or 2"),
        ({"fmax_hz": 9000}, "half of sr"),
        ({"hop_samples": 0}, "hop_samples is 0; expected a whole number"),
        ({"window_samples": 1024}, "longer than n_fft, 512"),
        ({"overlap": 1}, "overlap is 1; expected a fraction"),
        ({"ceiling": -20}, "more than the value of silence, -9.21034"),
        ({"log": {"kind": "ln"}}, "offset 0.0; expected both above 0"),
        ({"log": {"kind": "bel"}}, "log kind is 'bel'; expected one of ln, log10, db"),
        ({"log": {"kind": "db", "reference": "clip_max"}}, "needs range_db"),
        (
            {"log": {"kind": "db", "reference": "max", "range_db": 80}},
            "log reference is 'max'; .* clip_max or patch_max",
        ),
        (
            {"log": {"kind": "ln", "ofset": 1}},
            "no field 'input.audio.log.ofset'; did you mean 'input.audio.log.offset'",
        ),
        ({"hops": 3}, "no field 'input.audio.hops'"),
    ],
)
def test_a_frontend_that_cannot_be_is_refused(change, said):
    content = packaged_cards()["Yamnet256_esc10"].to_dict()["input"]["audio"]
    with pytest.raises(CardError, match=said):
        read_frontend({**content, **change}, "input.audio")


def test_the_input_of_a_card_must_be_what_its_frontend_makes():
    with pytest.raises(CardError, match="the input is 96 x 64 x 1; expected 64 mel bands x 96 frames x 1"):
        InputSpec(height=96, width=64, channels=1, audio=YAMNET)
    spec = InputSpec(height=64, width=96, channels=1, audio=YAMNET)
    assert (spec.shape, replace(spec, audio=replace(YAMNET, time_first=False)).shape) == ((96, 64, 1), (64, 96, 1))
    assert spec.value_range == (pytest.approx(np.log(1e-4)), 5.5)


def test_a_card_with_a_frontend_is_read_back_as_it_was_written():
    for name in ("Yamnet256_esc10", "MiniResnet_esc10"):
        card = packaged_cards()[name]
        assert Card.from_dict(card.to_dict()) == card
