"""Sprites of sound networks: spectrograms on their own canvas, and made audible as well as can be."""

import numpy as np
import pytest

import diamond as dc
from diamond.samples import sonify
from modelzoo.inputs.frontends import decibels_of, hear
from modelzoo.inputs.sounds import Sound, SoundError
from tests.diamond.test_sound_occlusion import BY_LOUDEST, FRONTEND, burst, ear

QUICK = {"steps": 60, "progress": False}


def tones(*hz, seconds=0.6):
    times = np.arange(int(8000 * seconds)) / 8000
    return Sound(sum(0.2 * np.sin(2 * np.pi * f * times) for f in hz).astype(np.float32), 8000)


@pytest.mark.parametrize("frontend", [FRONTEND, dc.AudioFrontend(**{**vars(FRONTEND), "centred": False})])
def test_what_a_network_heard_sounds_as_it_did(frontend):
    heard = hear(tones(700, 2500), frontend)
    levels = heard.patches()[0]
    made = sonify(levels, frontend)
    assert made.sound.sr == 8000
    assert made.levels.shape == levels.shape[:2]
    # Two tones are hard: nearly all that counts is the skirts of the window.
    assert made.error_db < 4
    spectrum = np.abs(np.fft.rfft(made.sound.samples))
    hz = np.fft.rfftfreq(len(made.sound.samples), 1 / 8000)
    # A band is some hundred Hz wide: the tones are near where they were, and nothing is between them.
    near = sum(spectrum[np.abs(hz - f) < 250].sum() for f in (700, 2500))
    assert near > 0.7 * spectrum.sum()


def test_the_error_is_of_levels_and_not_of_loudness():
    levels = hear(burst(), FRONTEND).patches()[0]
    made = sonify(levels, FRONTEND)
    again = hear(made.sound, FRONTEND).patches()[0][..., 0]
    np.testing.assert_allclose(again, made.levels, atol=1e-5)
    asked, found = decibels_of(levels[..., 0], FRONTEND), decibels_of(again, FRONTEND)
    silence = decibels_of(np.array(FRONTEND.log.floor), FRONTEND)
    counted = asked >= max(asked.max() - 60, silence + 3)
    off = (found - asked)[counted]
    assert made.error_db == pytest.approx(np.abs(off - np.median(off)).mean(), rel=1e-4)


def test_the_same_seed_gives_the_same_sound():
    levels = hear(burst(), FRONTEND).patches()[0]
    first, again, other = (sonify(levels, FRONTEND, iterations=4, seed=seed).sound.samples for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_where_levels_count_from_the_loudest_place_the_sound_is_at_full_scale():
    frontend = dc.AudioFrontend(**{**vars(FRONTEND), "log": BY_LOUDEST})
    made = sonify(hear(burst(), frontend).patches()[0], frontend)
    assert np.abs(made.sound.samples).max() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (np.zeros((12, 24)), r"shape \(12, 24\); expected \(frequency, time\) with 16 mel bands"),
        (np.zeros((16, 0)), "expected"),
        (np.full((16, 24), np.nan), "384 of 384 levels are NaN or infinite"),
    ],
)
def test_levels_that_are_none_are_named(levels, words):
    with pytest.raises(SoundError, match=words):
        sonify(levels, FRONTEND)


def test_silence_stays_silent():
    made = sonify(np.full((16, 24), FRONTEND.log.floor), FRONTEND)
    assert np.abs(made.sound.samples).max() == 0
    assert made.error_db == 0


def test_a_sound_network_is_rendered_on_its_own_canvas_between_silence_and_loudest():
    net = ear()
    made = dc.render(net, [dc.channel("logits", i) for i in range(2)], **QUICK)
    assert isinstance(made, dc.SoundRendering)
    assert made.images.shape == (2, 16, 24, 1)
    assert (made.levels >= FRONTEND.log.floor).all()
    assert (made.levels <= FRONTEND.ceiling).all()
    # Logit 0 is the mean of all levels: what the network says of these levels is what was reached.
    np.testing.assert_allclose(net.predict(made.levels[..., None]).logits[0, 0], made.activations[0], rtol=1e-4)
    assert made.activations[0] > FRONTEND.ceiling / 2
    # Logit 1 is that of the upper half.
    upper, lower = made.levels[1, 8:].mean(), made.levels[1, :8].mean()
    assert upper > lower + 1


def test_what_was_rendered_is_drawn_on_one_scale_and_heard(tmp_path):
    import soundfile

    made = dc.render(ear(), [dc.channel("logits", i) for i in range(2)], **QUICK)
    assert repr(made).startswith("ear: 2 spectrograms, 16 bands x 24 frames, by the recipe 'sound': ")
    figure = made.plot()
    limits = {panel.collections[0].get_clim() for panel in figure.axes[:2]}
    assert limits == {(made.decibels.min(), made.decibels.max())}
    page = made.save(tmp_path / "made.html").read_text()
    assert page.count("<audio") == 2
    assert f"{made.sonified(0).error_db:.1f} dB" in page
    made.save(tmp_path / "made.wav")
    length = sum(len(made.sonified(i).sound.samples) for i in range(2)) + 0.3 * 8000
    assert soundfile.info(tmp_path / "made.wav").frames == length
    assert made.sonified(0) is made.sonified(0)
    with np.load(made.save(tmp_path / "made.npz")) as kept:
        assert kept["levels"].shape == (2, 16, 24)


def test_sprites_of_a_sound_network_are_squares_on_one_scale(tmp_path):
    net = ear()
    recipe = dc.Recipe("sound", size_px=(16, 24), steps=4)
    sprites = dc.spritemap(net, "logits", store=tmp_path, recipe=recipe, progress=False)
    assert sprites[0].shape == (24, 24, 3)
    again = dc.spritemap(net, "logits", store=tmp_path, recipe=recipe, progress=False)
    np.testing.assert_array_equal(sprites[1], again[1])
    assert sprites.records[0].robust is not None
