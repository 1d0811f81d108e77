"""Sounds covered in time and in frequency: in seconds and Hz, found where they are, and to be listened to."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.occlusion.sounds import occlude_sound
from diamond.occlusion.strips import lay_strips
from modelzoo.inputs.frontends import band_centres_hz, energies_of, hear, levels_of
from modelzoo.inputs.sounds import Sound, SoundError
from modelzoo.registry import packaged_cards
from tests import tiny

FRONTEND = dc.AudioFrontend(
    sr=8000, n_fft=256, window_samples=256, hop_samples=80, n_mels=16, fmin_hz=50, fmax_hz=4000, mel_scale="htk",
    norm="none", power=2, centred=True, log=dc.LogScale("log10", gain=1e4, offset=1.0), patch_frames=24, ceiling=5.0,
)  # fmt: skip
BY_LOUDEST = dc.LogScale("db", reference="clip_max", range_db=80)


def ear(frontend=FRONTEND):
    """Logit 0 is the mean level, logit 1 that of the upper half of the bands."""
    heard = keras.Input((16, 24, 1), name="heard")
    upper = layers.Cropping2D(((8, 0), (0, 0)), name="upper")(heard)
    both = [layers.GlobalAveragePooling2D()(x) for x in (heard, upper)]
    model = keras.Model(heard, layers.Concatenate(name="logits")(both), name="ear")
    return dc.load(model, input=dc.InputSpec(16, 24, channels=1, audio=frontend))


def burst(seconds=1.2, hz=1500.0, begin=0.5, end=0.6, noise=0.002, seed=0):
    """A tone in noise."""
    times = np.arange(int(8000 * seconds)) / 8000
    tone = 0.5 * np.sin(2 * np.pi * hz * times) * ((times >= begin) & (times < end))
    return Sound((tone + np.random.default_rng(seed).normal(scale=noise, size=len(times))).astype(np.float32), 8000)


def test_windows_are_seconds_and_hertz():
    strips = lay_strips(FRONTEND, 100, "time", 0.2, 0.1)
    # 10 ms a frame: 20 frames every 10; ceil((100 - 20) / 10) + 1 of them.
    assert strips.boxes.tolist() == [[0, i, 16, i + 20] for i in range(0, 81, 10)]
    assert strips.words(1) == "0.10 to 0.30 s" or strips.edges[1, [1, 3]] == pytest.approx([0.095, 0.295])
    ragged = lay_strips(FRONTEND, 95, "time", 0.2, 0.1)
    assert ragged.boxes[-1].tolist() == [0, 80, 16, 95]
    centres = band_centres_hz(FRONTEND)
    bands = lay_strips(FRONTEND, 100, "frequency", 1000, 500)
    for (low, _, high, _), begin in zip(bands.boxes, 50 + 500 * np.arange(7), strict=False):
        inside = np.flatnonzero((centres >= begin) & (centres < begin + 1000))
        assert (low, high) == (inside[0], inside[-1] + 1)
    both = lay_strips(FRONTEND, 100, "patches", (1000, 0.2), (500, 0.1))
    assert len(both) == len(bands) * len(strips)
    usual = lay_strips(FRONTEND, 100)
    assert usual.boxes[0].tolist() == [0, 0, 2, 3]


@pytest.mark.parametrize("log", [dc.LogScale("ln", offset=1e-3), FRONTEND.log, BY_LOUDEST], ids=lambda log: log.kind)
def test_levels_and_energies_are_each_others_inverse(log):
    energies = np.array([[1e-6, 0.01, 1.0], [3.0, 40.0, 500.0]])
    np.testing.assert_allclose(energies_of(levels_of(energies, log), log), energies, rtol=1e-6)


def test_what_is_lost_is_what_the_network_says_of_the_covered_sound():
    net, sound = ear(), burst()
    found = occlude_sound(net, sound, shape="time", window=0.2, stride=0.1, target=[0, 1], fill="silence")
    heard = hear(sound, FRONTEND)
    base = net.predict(sound).logits[0]
    np.testing.assert_allclose(found.logits, base, rtol=1e-5)
    for number, (_, begin, _, end) in enumerate(found.strips.boxes):
        energies = heard.energies.copy()
        energies[:, begin:end] = 0
        without = net.predict(heard.patches(energies)).logits.mean(axis=0)
        np.testing.assert_allclose(found.scores[number], base - without, rtol=1e-4, atol=1e-6)
    # Each place: the mean over the windows that cover it.
    at = 35
    over = [i for i, box in enumerate(found.strips.boxes) if box[1] <= at < box[3]]
    np.testing.assert_allclose(found.heatmaps[:, 3, at], found.scores[over].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("log", [FRONTEND.log, BY_LOUDEST], ids=["from zero", "below the loudest"])
def test_a_burst_is_found_in_time_and_in_frequency(log):
    net, sound = ear(dataclasses.replace(FRONTEND, log=log)), burst(hz=1500, begin=0.5, end=0.6)
    # The upper half of the bands: the tone is there.
    asked = {"target": 1, "progress": False}
    in_time = occlude_sound(net, sound, shape="time", window=0.1, stride=0.05, **asked)
    if log is FRONTEND.log:
        best = in_time.strips.edges[in_time.scores[:, 0].argmax()]
        assert best[1] < 0.56
        assert best[3] > 0.54
    else:
        # Without the loudest place all others come nearer to it: the score grows, and most there.
        best = in_time.strips.edges[np.abs(in_time.scores[:, 0]).argmax()]
        assert 0.4 <= best[1] <= 0.6
    in_frequency = occlude_sound(net, sound, shape="frequency", window=400, stride=200, **asked)
    low, _, high, _ = in_frequency.strips.edges[np.abs(in_frequency.scores[:, 0]).argmax()]
    assert low - 100 < 1500 < high + 100
    both = occlude_sound(net, sound, shape="patches", window=(400, 0.1), stride=(200, 0.05), **asked)
    low, begin, high, end = both.strips.edges[np.abs(both.scores[:, 0]).argmax()]
    assert low - 100 < 1500 < high + 100
    assert begin < 0.6
    assert end > 0.5


def test_each_fill_is_what_it_says():
    net, sound = ear(), burst()
    maps = {
        fill: occlude_sound(net, sound, shape="time", window=0.1, target=0, fill=fill).scores[:, 0]
        for fill in ("silence", "band_mean", "local_mean", "noise")
    }
    # Silence takes all; the mean of the bands brings in some of the burst elsewhere.
    assert maps["silence"].min() > 0
    assert maps["band_mean"].min() < 0
    assert abs(maps["band_mean"].mean()) < abs(maps["silence"].mean())
    for one in maps:
        assert all(one == other or np.abs(maps[one] - maps[other]).max() > 1e-3 for other in maps)
    again = occlude_sound(net, sound, shape="time", window=0.1, target=0, fill="noise", seed=0).scores[:, 0]
    np.testing.assert_array_equal(again, maps["noise"])


def test_alone_and_removed_are_the_sound_again_and_alone_is_the_burst():
    net, sound = ear(), burst()
    found = occlude_sound(net, sound, shape="patches", window=(500, 0.1), stride=(250, 0.05), target=1)
    alone, removed = found.alone(), found.removed()
    np.testing.assert_allclose(alone.samples + removed.samples, sound.samples, atol=1e-4)

    def energy(heard, begin, end):
        return float(np.square(heard.samples[int(8000 * begin) : int(8000 * end)]).sum())

    assert energy(alone, 0.48, 0.62) > 0.6 * energy(sound, 0.48, 0.62)
    assert energy(alone, 0.0, 0.3) < 0.3 * energy(sound, 0.0, 0.3)


def test_it_draws_and_saves_itself(tmp_path):
    import soundfile

    found = occlude_sound(ear(), burst(), shape="time", window=0.2, target=[0, 1])
    assert found.plot().axes[0].get_ylabel() == "Hz"
    for suffix in (".html", ".png", ".csv", ".npz", ".wav"):
        assert found.save(tmp_path / f"found{suffix}").stat().st_size > 100
    assert soundfile.info(tmp_path / "found.wav").samplerate == 8000
    table = found.to_dataframe()
    assert list(table.columns) == ["window", "low_hz", "from_s", "high_hz", "to_s", "target", "logit", "probability"]
    assert len(table) == 2 * len(found.strips)
    assert "most from" in repr(found)
    assert found._repr_html_().startswith("<iframe")


@pytest.mark.parametrize(
    ("sound", "how", "error", "words"),
    [
        ((np.zeros(9000, np.float32), 8000), {}, SoundError, "the sound is silent"),
        (None, {"fill": "mean"}, ValueError, "fill is 'mean'; of a sound there are band_mean, silence.*did you mean"),
        (None, {"shape": "tim"}, ValueError, "did you mean 'time'"),
        (None, {"shape": "time", "window": 3}, ValueError, r"the window is 3 s and the sound 1\.2"),
        (None, {"shape": "time", "window": 0}, ValueError, "the window is 0; expected seconds, above 0"),
        (None, {"shape": "patches", "window": 0.2}, ValueError, r"expected \(hz, seconds\)"),
        (None, {"shape": "frequency", "window": 5000}, ValueError, "the network hears 3950 Hz"),
        (
            None,
            {"shape": "frequency", "window": 5, "stride": 3000},
            ValueError,
            "no window of 5 Hz every 3000 Hz holds",
        ),
        (None, {"target": "dog"}, ValueError, "dog"),
        ("nowhere.ogg", {}, FileNotFoundError, "nowhere.ogg"),
    ],
)
def test_bad_input_is_named(sound, how, error, words):
    with pytest.raises(error, match=words):
        occlude_sound(ear(), burst() if sound is None else sound, **how)


@pytest.mark.parametrize(
    "how", [{"shape": "frequency", "window": 300, "stride": 900}, {"shape": "time", "window": 0.1, "stride": 0.3}]
)
def test_gaps_are_told(how):
    with pytest.warns(UserWarning, match=r"\d+\.\d% of the sound is covered by no window; the map is 0 there"):
        found = occlude_sound(ear(), burst(), **how)
    assert (found.heatmap == 0).any()


def test_a_network_of_pictures_is_refused():
    with pytest.raises(ValueError, match="takes pictures"):
        occlude_sound(dc.load(tiny.linear_tail(), input=(0, 1)), burst())


def test_real_cards_hear_what_predict_hears():
    for name in ("Yamnet256_esc10", "MiniResnet_esc10"):
        net = dc.load(name, weights=None)
        assert packaged_cards()[name].input.audio is not None
        found = occlude_sound(net, burst(2.0), shape="time")
        np.testing.assert_allclose(found.logits[0], net.predict(burst(2.0)).logits[0].max(), rtol=1e-4)


def test_occlude_takes_a_sound_and_refuses_what_is_of_pictures():
    net, sound = ear(), burst()
    found = dc.occlude(net, sound, target=1, shape="time", window=0.2, fill="silence")
    by_itself = occlude_sound(net, sound, target=1, shape="time", window=0.2, fill="silence")
    np.testing.assert_array_equal(found.scores, by_itself.scores)
    assert isinstance(dc.occlude(net, (sound.samples, 8000)), dc.SoundOcclusion)
    for how in ({"outside": True}, {"layer": "upper"}, {"method": "drilldown"}, {"share": 0.5}):
        with pytest.raises(ValueError, match="of pictures"):
            dc.occlude(net, sound, **how)


def test_several_sounds_and_a_folder_give_a_map_each(tmp_path):
    import soundfile

    net, how = ear(), {"target": 1, "shape": "time", "window": 0.2}
    for name, begin in (("early", 0.2), ("late", 0.8)):
        soundfile.write(tmp_path / f"{name}.wav", burst(begin=begin, end=begin + 0.1).samples, 8000)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    with pytest.warns(UserWarning, match=r"skipped 1 sounds: broken.wav: 8 bytes that are no sound"):
        found = dc.occlude(net, str(tmp_path), **how)
    assert [row.image for row in found] == ["early.wav", "late.wav"]
    assert repr(found) == f"{found[0]!r}\n{found[1]!r}"
    one = dc.occlude(net, tmp_path / "late.wav", **how)
    np.testing.assert_array_equal(found[1].scores, one.scores)
    assert found.to_dataframe()["image"].tolist() == ["early.wav"] * len(one.scores) + ["late.wav"] * len(one.scores)
    page = found.save(tmp_path / "found.html").read_text()
    assert page.count("<audio") == 6
    assert "broken.wav" in page
    assert soundfile.info(found.save(tmp_path / "found.wav")).duration == pytest.approx(2.7, abs=0.01)
    assert len(found.plot().subfigs) == 2
    pairs = dc.occlude(net, [burst(), (burst().samples, 8000)], **how)
    np.testing.assert_array_equal(pairs[0].scores, pairs[1].scores)
    (tmp_path / "found.wav").unlink()
    (tmp_path / "early.wav").unlink()
    (tmp_path / "late.wav").unlink()
    with pytest.raises(SoundError, match=r"none of 1 sounds could be read; broken.wav"):
        dc.occlude(net, str(tmp_path), **how)


@pytest.mark.parametrize("suffix", [".html", ".wav"])
def test_the_command_covers_a_sound(tmp_path, suffix):
    import soundfile
    from typer.testing import CliRunner

    from diamond.cli import app

    sound = burst(2.0)
    soundfile.write(tmp_path / "burst.wav", sound.samples, 8000)
    keras.utils.set_random_seed(0)
    net = dc.load("MiniResnet_esc10", weights=None)
    net.model.save_weights(tmp_path / "mini.weights.h5")
    out = tmp_path / f"found{suffix}"
    done = CliRunner().invoke(
        app,
        ["occlude", "MiniResnet_esc10", str(tmp_path / "burst.wav"), "--weights", str(tmp_path / "mini.weights.h5"),
         "--shape", "patches", "--window", "2000x0.4", "--out", str(out)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "most from" in done.output
    assert out.stat().st_size > 1000


def test_a_sound_plays_to_its_end(tmp_path, browser):
    found = occlude_sound(ear(), burst(), shape="time", window=0.2)
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(found.save(tmp_path / "found.html").as_uri())
    players = page.locator("audio")
    assert players.count() == 3
    for i in range(3):
        ended = players.nth(i).evaluate(
            "(audio) => new Promise((done) => { audio.muted = true; audio.playbackRate = 4;"
            " audio.onended = () => done(audio.duration); audio.onerror = () => done(-1); audio.play(); })"
        )
        assert ended == pytest.approx(1.2, abs=0.01)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    page.close()
