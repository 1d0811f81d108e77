"""Sounds as float samples with their rate, from wherever they are.

::

    >>> sound = load_sound("song.wav")
    >>> sound.sr, sound.duration_s
    (16000, 3.0)
    >>> load_sound("song.wav", sr=8000).samples.shape
    (24000,)

A sound without its rate is no sound: samples taken at 44,100 a second and read at 16,000 are a slow, low growl, and no
network complains. So a sound here is always samples *and* rate. Like a picture, a source is first *opened* (path,
address, array), then *converted* (one channel, float32, full scale = 1) and, where another rate is asked for,
*resampled*.
"""

from __future__ import annotations

import io
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modelzoo.inputs.paths import existing_file
from modelzoo.inputs.urls import UrlError, is_url, read_url

__all__ = ["Sound", "SoundError", "is_sound", "load_sound"]

MOST_CHANNELS = 8
MOST_OVER_FULL_SCALE = 16.0
MOST_SAMPLES = 2**30
EXPECTED = "a path, an address, a Sound, (samples, rate), or an array of samples with sr"


class SoundError(ValueError):
    """A source that gives no sound, or one whose values leave a doubt.

    Examples
    --------
    >>> dc.load_sound((np.array([0.0, np.nan], np.float32), 16000))
    Traceback (most recent call last):
        ...
    modelzoo.inputs.sounds.SoundError: 1 of 2 samples are NaN or infinite
    """


@dataclass(frozen=True, eq=False)
class Sound:
    """One sound.

    Attributes
    ----------
    samples
        float32 ``(sample,)``, full scale at -1 and 1.
    sr
        Samples a second.

    Examples
    --------
    >>> sound = dc.load_sound("song.wav")
    >>> sound.samples.shape, sound.samples.dtype, sound.sr, sound.duration_s
    ((48000,), dtype('float32'), 16000, 3.0)
    """

    samples: npt.NDArray[np.float32]
    sr: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sr

    def __repr__(self) -> str:
        return f"Sound of {self.duration_s:g} s: {len(self.samples):,} samples at {self.sr} Hz"


def load_sound(path_or_array: Any, sr: int | None = None) -> Sound:
    """Read one sound.

    Parameters
    ----------
    path_or_array
        Path or ``http(s)://`` address of a WAV, OGG, FLAC, MP3 or other file that libsndfile reads; a `Sound`;
        ``(samples, rate)``; or an array of samples whose rate is then `sr`. Samples are ``(sample,)``, ``(sample,
        channel)`` or ``(channel, sample)`` with up to eight channels, which are mixed to one by their mean. Integers
        (uint8, int16, int32) count to the full scale of their type, floats to 1.
    sr
        Samples a second to resample to; None keeps those of the source. For a bare array: those it has.

    Returns
    -------
    Sound

    Raises
    ------
    FileNotFoundError
        Where there is no such file; it names the nearest one in that folder.
    SoundError
        Where the source is no sound, is empty, has no rate or another shape, or holds values that are not finite or
        far beyond full scale.

    Examples
    --------
    >>> sound = dc.load_sound("song.wav")
    >>> sound
    Sound of 3 s: 48,000 samples at 16000 Hz
    >>> dc.load_sound("song.wav", sr=8000).samples.shape
    (24000,)
    >>> dc.load_sound((np.zeros(22050, np.float32), 22050)).duration_s
    1.0
    """
    wanted = None if sr is None else _checked_rate(sr)
    sound = _opened(path_or_array, wanted)
    return sound if wanted in (None, sound.sr) else _resampled(sound, wanted)


def is_sound(source: Any) -> bool:
    """Whether a source is one sound by its kind: a path, a `Sound`, or ``(samples, rate)``; not whether it can be read."""
    pair = isinstance(source, tuple) and len(source) == 2 and np.ndim(source[0]) >= 1 and np.ndim(source[1]) == 0
    return isinstance(source, str | Path | Sound) or (pair and not isinstance(source[1], str))


def _opened(source: Any, sr: int | None) -> Sound:
    if isinstance(source, Sound):
        return Sound(_converted(np.asarray(source.samples)), _checked_rate(source.sr))
    if isinstance(source, str) and is_url(source):
        try:
            return _decoded(io.BytesIO(read_url(source).content), source)
        except UrlError as error:
            raise SoundError(str(error)) from error
    if isinstance(source, str | Path):
        path = existing_file(source, error=SoundError, remedy="pass one of its files, or a list", expected=EXPECTED)
        return _decoded(path, str(source))
    if is_sound(source):
        samples, rate = source
        return Sound(_converted(np.asarray(samples)), _checked_rate(rate))
    array = np.asarray(source)
    if array.dtype.kind not in "iuf" or not array.ndim:
        raise SoundError(f"a {type(source).__name__} was given as a sound; expected {EXPECTED}")
    if sr is None:
        raise SoundError(
            f"an array of shape {array.shape} without its rate; say how many samples a second it has: "
            "load_sound(array, sr=16000)"
        )
    return Sound(_converted(array), sr)


def _decoded(file: Path | io.BytesIO, name: str) -> Sound:
    import soundfile

    size = len(file.getvalue()) if isinstance(file, io.BytesIO) else file.stat().st_size
    if not size:
        raise SoundError(f"{name}: empty (0 bytes)")
    try:
        with soundfile.SoundFile(file) as opened:
            if opened.frames > MOST_SAMPLES:
                raise SoundError(f"{name}: {opened.frames:,} samples; at most {MOST_SAMPLES:,} are read")
            samples, rate = opened.read(dtype="float32", always_2d=True), opened.samplerate
    except soundfile.SoundFileError as error:
        raise SoundError(
            f"{name}: {size:,} bytes that are no sound libsndfile can read (WAV, OGG, FLAC, MP3 ...), or damaged ones: "
            f"{error}"
        ) from None
    try:
        # A file says which axis is which, so as many channels as it likes.
        return Sound(_in_range(samples).mean(axis=1, dtype=np.float32), rate)
    except SoundError as error:
        raise SoundError(f"{name}: {error}") from None


def _converted(array: np.ndarray) -> npt.NDArray[np.float32]:
    if array.ndim == 1:
        return _in_range(array)
    if array.ndim != 2:
        raise SoundError(f"samples of shape {array.shape}; expected (sample,), (sample, channel) or (channel, sample)")
    if array.size and min(array.shape) > MOST_CHANNELS:
        raise SoundError(
            f"samples of shape {array.shape}; expected (sample, channel) or (channel, sample), at most {MOST_CHANNELS} "
            "channels"
        )
    mono: npt.NDArray[np.float32] = _in_range(array).mean(axis=int(np.argmin(array.shape)), dtype=np.float32)
    return mono


def _in_range(array: np.ndarray) -> npt.NDArray[np.float32]:
    if not array.size:
        raise SoundError(f"a sound without samples, of shape {array.shape}")
    if array.dtype == np.uint8:
        return ((array.astype(np.float32) - 128) / 128).astype(np.float32)
    if array.dtype in (np.int16, np.int32):
        return (array / -float(np.iinfo(array.dtype).min)).astype(np.float32)
    if array.dtype.kind != "f":
        raise SoundError(f"samples of the type {array.dtype}; expected floats in [-1, 1], int16, int32 or uint8")
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise SoundError(f"{bad} of {array.size} samples are NaN or infinite")
    loudest = float(np.abs(array).max())
    if loudest > MOST_OVER_FULL_SCALE:
        raise SoundError(f"samples up to {loudest:g}; expected floats in [-1, 1]: divide by 32768, or pass int16")
    return array.astype(np.float32)


def _checked_rate(rate: Any) -> int:
    try:
        number = operator.index(rate) if not isinstance(rate, float) or rate != int(rate) else int(rate)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if isinstance(rate, bool) or number < 1:
        raise SoundError(f"a rate of {rate!r}; expected samples a second, such as 16000")
    return number


def _resampled(sound: Sound, sr: int) -> Sound:
    # librosa takes a second to import; pictures should not wait for it.
    import librosa

    return Sound(librosa.resample(sound.samples, orig_sr=sound.sr, target_sr=sr, res_type="soxr_hq"), sr)
