"""Spectrograms made audible: from the levels that a network would hear to a sound.

    >>> levels = ear.patches("song.wav").values[0]
    >>> made = sonify(levels, ear.input.audio)
    >>> made.sound, made.error_db < 6
    (Sound of 0.982 s: 15,712 samples at 16000 Hz, True)

A spectrogram that was optimised, or averaged, is no recording: nobody knows its phases, and a mel band is the sum of many
frequencies. So the logarithm is undone, a spectrum is found for each frame whose bands are as they should be (Richardson,
"Bayesian-Based Iterative Method of Image Restoration", JOSA 1972), and phases that fit together (Griffin & Lim, "Signal
Estimation from Modified Short-Time Fourier Transform", IEEE TASSP 1984; its fast form by Perraudin et al., WASPAA 2013).

What the sound then really has of what was asked for is measured: it is heard again by the same frontend, and `error_db`
says how far the levels lie apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from modelzoo import AudioFrontend
from modelzoo.inputs.frontends import decibels_of, energies_of, spectrogram
from modelzoo.inputs.sounds import Sound, SoundError

__all__ = ["Sonified", "sonify"]

ITERATIONS = 64
ROUNDS = 100
TINY = 1e-12
# What lies further below the loudest place of a sound is hardly heard, and does not count in the error.
HEARD_DB = 60.0
# Nor does what the frontend hardly tells from silence.
OVER_SILENCE_DB = 3.0


@dataclass(frozen=True, eq=False)
class Sonified:
    """A sound made from a spectrogram.

    Attributes
    ----------
    sound
        It.
    levels
        ``(frequency, time)`` what the frontend hears of it, on its own logarithmic scale.
    error_db
        How far these are from what was asked for: the mean absolute difference in decibels, over all places that are no
        more than 60 dB below the loudest, and told from silence, after both are brought to the same loudness.

    Examples
    --------
    >>> made = dc.samples.sonify(ear.patches("song.wav").values[0], ear.input.audio)
    >>> made.sound, made.levels.shape, made.error_db < 6
    (Sound of 0.982 s: 15,712 samples at 16000 Hz, (64, 96), True)
    """

    sound: Sound
    levels: np.ndarray = field(repr=False)
    error_db: float


def sonify(levels: np.ndarray, frontend: AudioFrontend, *, iterations: int = ITERATIONS, seed: int = 0) -> Sonified:
    """Make a sound from a spectrogram.

    Parameters
    ----------
    levels
        ``(frequency, time)`` or ``(frequency, time, 1)`` on the frontend's logarithmic scale, lowest band first.
    frontend
        How a sound becomes such a spectrogram.
    iterations
        Of Griffin and Lim's algorithm.
    seed
        Of the phases it begins with: the same seed gives the same sound.

    Returns
    -------
    Sonified
        No louder than full scale; where a frontend counts from the loudest place, at full scale.

    Raises
    ------
    SoundError
        For levels of another shape, and such as are not finite.

    Examples
    --------
    >>> levels = ear.patches("song.wav").values[0]
    >>> made = dc.samples.sonify(levels, ear.input.audio)
    >>> made.sound.duration_s
    0.982
    """
    import librosa

    wanted = np.asarray(levels, np.float64)
    wanted = wanted[..., 0] if wanted.ndim == 3 and wanted.shape[-1] == 1 else wanted
    if wanted.ndim != 2 or wanted.shape[0] != frontend.n_mels or not wanted.shape[1]:
        raise SoundError(
            f"levels of shape {np.shape(levels)}; expected (frequency, time) with {frontend.n_mels} mel bands"
        )
    if not np.isfinite(wanted).all():
        raise SoundError(f"{(~np.isfinite(wanted)).sum():,} of {wanted.size:,} levels are NaN or infinite")
    magnitudes = _spectrum(energies_of(wanted, frontend.log), frontend)
    # Frames lie around their samples here; for one that begins with them, half a frame goes before the first.
    around = 0 if frontend.centred else -(-frontend.n_fft // (2 * frontend.hop_samples))
    samples = librosa.griffinlim(
        np.pad(magnitudes, ((0, 0), (around, around)), mode="edge"),
        n_iter=iterations,
        hop_length=frontend.hop_samples,
        win_length=frontend.window_samples,
        n_fft=frontend.n_fft,
        random_state=seed,
    )
    if around:
        begin = around * frontend.hop_samples - frontend.n_fft // 2
        samples = samples[begin : begin + (wanted.shape[1] - 1) * frontend.hop_samples + frontend.n_fft]
    loudest = float(np.abs(samples).max(initial=0.0))
    relative = frontend.log.kind == "db" and isinstance(frontend.log.reference, str)
    scale = 1.0 / loudest if loudest > 1 or (relative and loudest > 0) else 1.0
    sound = Sound(np.asarray(samples * scale, np.float32), frontend.sr)
    again = spectrogram(sound, frontend)[:, : wanted.shape[1]]
    return Sonified(sound, again, _error_db(wanted, again, frontend))


def _spectrum(energies: np.ndarray, frontend: AudioFrontend) -> np.ndarray:
    """Find magnitudes ``(frequency, time)`` whose mel bands are as given, by Richardson and Lucy's iteration.

    It keeps to ratios, as ears do, and ends; least squares over a hundred decibels do not.
    """
    from librosa.filters import mel

    bands = mel(
        sr=frontend.sr,
        n_fft=frontend.n_fft,
        n_mels=frontend.n_mels,
        fmin=frontend.fmin_hz,
        fmax=frontend.fmax_hz,
        htk=frontend.mel_scale == "htk",
        norm=None if frontend.norm == "none" else frontend.norm,
        dtype=np.float64,
    )
    weight = np.maximum(bands.sum(axis=0), TINY)[:, None]
    spectrum = bands.T @ (energies / np.maximum(bands.sum(axis=1), TINY)[:, None]) / weight
    for _ in range(ROUNDS):
        spectrum *= bands.T @ (energies / np.maximum(bands @ spectrum, TINY)) / weight
    found: np.ndarray = spectrum ** (1 / frontend.power)
    return found


def _error_db(wanted: np.ndarray, heard: np.ndarray, frontend: AudioFrontend) -> float:
    asked, found = decibels_of(wanted, frontend), decibels_of(heard, frontend)
    silence = float(decibels_of(np.array(frontend.log.floor), frontend))
    counted = asked >= max(asked.max() - HEARD_DB, silence + OVER_SILENCE_DB)
    if not counted.any():
        return 0.0
    off = (found - asked)[counted]
    return float(np.abs(off - np.median(off)).mean())
