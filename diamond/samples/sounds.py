"""Changes of sounds: silenced for a time, without a band, noisy, moved, higher, faster.

    >>> song = dc.load_sound("song.wav", sr=16000)
    >>> band_stop(song, 500, 2000), time_mask(song, 1.0, 1.5)
    (Sound of 3 s: 48,000 samples at 16000 Hz, Sound of 3 s: 48,000 samples at 16000 Hz)

Each function takes one sound as `dc.load_sound` does, and gives a new `Sound` of the same rate; what it was given never
changes. Times are in seconds, frequencies in Hz. What is random takes a seed, and the same seed gives the same sound.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelzoo import load_sound
from modelzoo.inputs.sounds import Sound, SoundError

__all__ = ["add_noise", "band_stop", "pitch", "shift", "speed", "time_mask"]

# Edges of what is masked fade this long: a cut in a wave is a click, which networks hear.
FADE_S = 0.005
BAND_ORDER = 8


def time_mask(sound: Any, start_s: float, end_s: float, *, fill: str = "silence", seed: int = 0) -> Sound:
    """Silence a stretch of time, or fill it with noise as loud as the sound.

    Parameters
    ----------
    sound
        Path, URL, `Sound`, or ``(samples, rate)``.
    start_s, end_s
        From when to when; it fades within 5 ms at both ends.
    fill
        ``"silence"`` or ``"noise"``.
    seed
        Of the noise.

    Raises
    ------
    SoundError
        Where that is no stretch of the sound.
    ValueError
        For another fill.

    Examples
    --------
    >>> silent = dc.samples.sounds.time_mask("song.wav", 1.0, 1.5)
    >>> float(abs(silent.samples[17000:23000]).max())
    0.0
    """
    given = load_sound(sound)
    if not 0 <= start_s < end_s or start_s >= given.duration_s:
        raise SoundError(
            f"from {start_s:g} to {end_s:g} s of a sound of {given.duration_s:g} s; expected a stretch of it"
        )
    if fill not in ("silence", "noise"):
        raise ValueError(f"fill is {fill!r}; expected 'silence' or 'noise'")
    times = np.arange(len(given.samples)) / given.sr
    inside = np.clip(np.minimum(times - start_s, end_s - times) / FADE_S + 1, 0, 1)
    filling: Any = 0.0
    if fill == "noise":
        filling = np.random.default_rng(seed).normal(scale=_loudness(given), size=len(times))
    return _sound(given.samples * (1 - inside) + filling * inside, given.sr)


def band_stop(sound: Any, low_hz: float, high_hz: float) -> Sound:
    """Take out a band of frequencies, by a Butterworth filter forwards and backwards, so that nothing moves in time.

    Parameters
    ----------
    sound
        Path, URL, `Sound`, or ``(samples, rate)``.
    low_hz, high_hz
        The band. At its edges half of the amplitude is left.

    Raises
    ------
    SoundError
        Where that is no band below half the rate, or the sound is too short to filter.

    Examples
    --------
    >>> dc.samples.sounds.band_stop("song.wav", 500, 2000)
    Sound of 3 s: 48,000 samples at 16000 Hz
    """
    from scipy.signal import butter, sosfiltfilt  # type: ignore[import-untyped]

    given = load_sound(sound)
    highest = given.sr / 2
    if not 0 <= low_hz < high_hz <= highest:
        raise SoundError(
            f"a band from {low_hz:g} to {high_hz:g} Hz; expected 0 <= low < high <= {highest:g}, half of sr"
        )
    if low_hz == 0 and high_hz == highest:
        return _sound(np.zeros_like(given.samples), given.sr)
    kind = "highpass" if low_hz == 0 else "lowpass" if high_hz == highest else "bandstop"
    edges = high_hz if low_hz == 0 else low_hz if high_hz == highest else (low_hz, high_hz)
    filters = butter(BAND_ORDER, edges, kind, fs=given.sr, output="sos")
    try:
        return _sound(sosfiltfilt(filters, given.samples), given.sr)
    except ValueError as error:
        raise SoundError(f"a sound of {len(given.samples)} samples is too short to filter: {error}") from error


def add_noise(sound: Any, snr_db: float, *, seed: int = 0) -> Sound:
    """Add white noise.

    Parameters
    ----------
    sound
        Path, URL, `Sound`, or ``(samples, rate)``.
    snr_db
        How far the noise lies below the sound, in decibels of power; below 0 the noise is louder.
    seed
        Of the noise.

    Raises
    ------
    SoundError
        Where the sound is silent: nothing lies below it.

    Examples
    --------
    >>> dc.samples.sounds.add_noise("song.wav", snr_db=20)
    Sound of 3 s: 48,000 samples at 16000 Hz
    """
    given = load_sound(sound)
    if _loudness(given) == 0:
        raise SoundError("the sound is silent; a ratio of signal to noise says nothing of it")
    noise = np.random.default_rng(seed).normal(scale=_loudness(given) * 10 ** (-snr_db / 20), size=len(given.samples))
    return _sound(given.samples + noise, given.sr)


def shift(sound: Any, seconds: float, *, border: str = "silence") -> Sound:
    """Move the sound in time; its length stays.

    Parameters
    ----------
    sound
        Path, URL, `Sound`, or ``(samples, rate)``.
    seconds
        How much later; below 0 earlier.
    border
        What comes in at the other end: ``"silence"``, or ``"wrap"``, what left.

    Raises
    ------
    ValueError
        For another border.

    Examples
    --------
    >>> dc.samples.sounds.shift("song.wav", 0.5).duration_s
    3.0
    """
    given = load_sound(sound)
    if border not in ("silence", "wrap"):
        raise ValueError(f"border is {border!r}; expected 'silence' or 'wrap'")
    steps = round(seconds * given.sr)
    moved = np.roll(given.samples, steps)
    if border == "silence":
        if steps >= 0:
            moved[:steps] = 0
        else:
            moved[steps:] = 0
    return _sound(moved, given.sr)


def pitch(sound: Any, semitones: float) -> Sound:
    """Make it higher, or lower below 0, and keep its length (librosa's phase vocoder).

    Parameters
    ----------
    sound
        Path, URL, `Sound`, or ``(samples, rate)``.
    semitones
        Twelve are an octave.

    Examples
    --------
    >>> dc.samples.sounds.pitch("song.wav", -5).duration_s
    3.0
    """
    from librosa.effects import pitch_shift

    given = load_sound(sound)
    return _sound(pitch_shift(given.samples, sr=given.sr, n_steps=semitones), given.sr)


def speed(sound: Any, factor: float) -> Sound:
    """Make it faster, or slower below 1, and keep its pitch (librosa's phase vocoder).

    Parameters
    ----------
    sound
        Path, URL, `Sound`, or ``(samples, rate)``.
    factor
        2 makes it half as long.

    Raises
    ------
    ValueError
        For a factor that is not above 0.

    Examples
    --------
    >>> dc.samples.sounds.speed("song.wav", 2.0).duration_s
    1.5
    """
    from librosa.effects import time_stretch

    if not factor > 0:
        raise ValueError(f"factor is {factor!r}; expected more than 0")
    given = load_sound(sound)
    return _sound(time_stretch(given.samples, rate=factor), given.sr)


def _loudness(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound.samples, dtype=np.float64))))


def _sound(samples: Any, sr: int) -> Sound:
    return Sound(np.ascontiguousarray(samples, np.float32), sr)
