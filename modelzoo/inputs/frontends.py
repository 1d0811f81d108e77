"""From a sound to the spectrogram patches that a network takes.

::

    >>> frontend = ear.input.audio
    >>> patches = read_patches(["song.wav", "song.wav"], frontend)
    >>> patches.values.shape, patches.owner
    ((6, 64, 96, 1), array([0, 0, 0, 1, 1, 1]))

A network hears about a second at a time, so a sound becomes one *spectrogram* and that is cut into *patches*. Their
axes are kept with them, in seconds of the original sound and in Hz: without them a picture of a patch is mislabelled as
soon as the silence before the sound is trimmed or the hop is not a drawing library's own.

What follows:

* A spectrogram is ``(frequency, time)`` with the lowest band first; who draws it turns it over.
* A sound shorter than a patch is repeated or followed by silence, as the card says; a rest at the end is left out.
* Silence has the frontend's floor, also where decibels are counted below the loudest place and there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelzoo.audio_cards import AudioFrontend, LogScale
from modelzoo.inputs.sounds import Sound, SoundError, is_sound, load_sound

__all__ = [
    "Heard",
    "Patches",
    "band_centres_hz",
    "cell_edges",
    "decibels_of",
    "energies_of",
    "frame_times_s",
    "hear",
    "levels_of",
    "read_patches",
    "spectrogram",
]

# librosa's own frames for finding silence, which the published networks were trained with.
TRIM_FRAME, TRIM_HOP = 2048, 512


@dataclass(frozen=True, eq=False)
class Patches:
    """Spectrogram patches of one or more sounds.

    Attributes
    ----------
    values
        float32 ``(patch, frequency, time, 1)``, lowest band first.
    owner
        ``(patch,)``: the number of the sound that each is from.
    start_s
        ``(patch,)``: where the patch begins, in seconds of that sound as it was given, its silence included; 0 for a
        spectrogram that was given as such.
    """

    values: npt.NDArray[np.float32]
    owner: npt.NDArray[np.intp]
    start_s: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def mean_by_sound(self, values: np.ndarray) -> np.ndarray:
        """Average what a network says of each patch, ``(patch, ...)``, to one answer a sound."""
        return np.stack([values[self.owner == i].mean(axis=0) for i in range(int(self.owner[-1]) + 1)])


def read_patches(sounds: Any, frontend: AudioFrontend) -> Patches:
    """Read one or many sounds, or spectrograms, as patches.

    Parameters
    ----------
    sounds
        A path, an address, a `Sound`, ``(samples, rate)``, or a list of those; an array ``(frequency, time)``,
        ``(frequency, time, 1)`` or ``(patch, frequency, time, 1)`` is taken for spectrogram patches as they are, each
        a sound of its own.
    frontend
        The network's frontend.

    Raises
    ------
    FileNotFoundError, SoundError
        As `modelzoo.inputs.sounds.load_sound` does, with the place of the source that broke; also for an empty list
        and for spectrograms of another shape or with values that are not finite.
    """
    many = isinstance(sounds, list) or (isinstance(sounds, tuple) and not is_sound(sounds))
    if not many:
        return _joined([_patches_of(sounds, frontend)])
    if not len(sounds):
        raise SoundError("no sound: the list of sources is empty")
    parts = []
    for i, source in enumerate(sounds):
        name = f" ({source})" if isinstance(source, str) else ""
        try:
            parts.append(_patches_of(source, frontend))
        except SoundError as error:
            raise SoundError(f"sound {i} of {len(sounds)}{name}: {error}") from error
        except FileNotFoundError as error:
            raise FileNotFoundError(f"sound {i} of {len(sounds)}{name}: {error}") from error
    return _joined(parts)


def spectrogram(sound: Sound, frontend: AudioFrontend) -> npt.NDArray[np.float32]:
    """Compute the spectrogram of a whole sound, nothing trimmed.

    Parameters
    ----------
    sound
        Resampled where its rate is not the frontend's, and made as long as one patch where it is shorter.
    frontend
        A frontend; decibels below the loudest place of a patch are here counted below that of the sound.

    Returns
    -------
    numpy.ndarray
        float32 ``(frequency, time)`` in the network's units, lowest band first.
    """
    return _logarithm(_energies(_long_enough(load_sound(sound, frontend.sr).samples, frontend), frontend), frontend.log)


def levels_of(energies: np.ndarray, log: LogScale) -> np.ndarray:
    """Give levels on a frontend's logarithmic scale, decibels above 1 where it counts them from the loudest place."""
    if log.kind == "db":
        reference = 1.0 if isinstance(log.reference, str) else log.reference
        levels: np.ndarray = 10 * np.log10(np.maximum(energies, log.smallest) / reference)
        return levels
    logarithm = np.log if log.kind == "ln" else np.log10
    found: np.ndarray = logarithm(log.offset + log.gain * energies)
    return found


def energies_of(levels: np.ndarray, log: LogScale) -> np.ndarray:
    """Give the energies of levels, none below 0; the inverse of `levels_of`."""
    if log.kind == "db":
        found: np.ndarray = (1.0 if isinstance(log.reference, str) else log.reference) * 10 ** (levels / 10)
        return found
    powers = np.exp(levels) if log.kind == "ln" else 10.0**levels
    energies: np.ndarray = np.maximum((powers - log.offset) / log.gain, 0)
    return energies


def decibels_of(levels: np.ndarray, frontend: AudioFrontend) -> np.ndarray:
    """Give levels of any frontend on one scale, in decibels of power, silence at the frontend's own floor.

    Levels of a frontend that counts from the loudest place stay relative to that.
    """
    log = frontend.log
    if log.kind == "db":
        return np.asarray(levels, np.float64)
    # What the offset adds is there in silence too: below it nothing can be told.
    powers = np.exp(levels) if log.kind == "ln" else 10.0**levels
    found: np.ndarray = 20 / frontend.power * np.log10(powers / log.gain)
    return found


def band_centres_hz(frontend: AudioFrontend) -> npt.NDArray[np.float64]:
    """Give the frequency in the middle of each mel band, ``(frequency,)`` in Hz."""
    import librosa

    edges = librosa.mel_frequencies(
        n_mels=frontend.n_mels + 2, fmin=frontend.fmin_hz, fmax=frontend.fmax_hz, htk=frontend.mel_scale == "htk"
    )
    return np.asarray(edges[1:-1], dtype=np.float64)


def frame_times_s(frontend: AudioFrontend, n: int | None = None) -> npt.NDArray[np.float64]:
    """Give the middle of each of the first `n` frames (by default: of a patch), ``(time,)`` in seconds."""
    first = 0.0 if frontend.centred else frontend.n_fft / 2
    return (first + frontend.hop_samples * np.arange(frontend.patch_frames if n is None else n)) / frontend.sr


def cell_edges(frontend: AudioFrontend, rows: int, columns: int) -> tuple[npt.NDArray[np.float64], ...]:
    """Give where the cells of a layer's grid over a patch begin and end: frequencies in Hz, seconds from its start.

    Returns
    -------
    tuple
        ``(rows + 1,)`` in Hz, lowest first, and ``(columns + 1,)`` in seconds. A band reaches half way to its
        neighbours, and so does a frame.
    """
    import librosa

    peaks = librosa.mel_frequencies(
        n_mels=frontend.n_mels + 2, fmin=frontend.fmin_hz, fmax=frontend.fmax_hz, htk=frontend.mel_scale == "htk"
    )
    bands, frames = (np.linspace(0, n, k + 1) for n, k in ((frontend.n_mels, rows), (frontend.patch_frames, columns)))
    # Band 0 peaks at the second of the points that the filters stand on, and begins half way from the first.
    seconds = frame_times_s(frontend, 1)[0] + (frames - 0.5) * frontend.hop_s
    return np.interp(bands + 0.5, np.arange(len(peaks)), peaks), np.maximum(seconds, 0.0)


@dataclass(frozen=True, eq=False)
class Heard:
    """A sound on its way to patches, where the logarithm is still to come: what is changed here is heard as if it were so.

    Attributes
    ----------
    sound
        What is left of it after its silence is trimmed and its rate is the frontend's; as long as a patch at least.
    start_s
        Where that begins in the sound as it was given.
    energies
        ``(frequency, time)`` mel magnitudes or powers, lowest band first.
    frontend
        How it is heard.
    """

    sound: Sound
    start_s: float
    energies: npt.NDArray[np.float32]
    frontend: AudioFrontend

    @property
    def first_frames(self) -> npt.NDArray[np.intp]:
        """Frame at which each patch begins, ``(patch,)``."""
        frames = self.frontend.patch_frames
        return np.arange(0, self.energies.shape[1] - frames + 1, self.frontend.patch_step_frames)

    def patches(self, energies: np.ndarray | None = None) -> npt.NDArray[np.float32]:
        """Give float32 ``(patch, frequency, time, 1)``, of other energies of the same shape where they are given."""
        values, log, frames = (
            self.energies if energies is None else energies,
            self.frontend.log,
            self.frontend.patch_frames,
        )
        if log.reference == "patch_max":
            parts = [_logarithm(values[:, i : i + frames], log) for i in self.first_frames]
        else:
            whole = _logarithm(values, log)
            parts = [whole[:, i : i + frames] for i in self.first_frames]
        return np.stack(parts)[..., None]


def hear(sound: Any, frontend: AudioFrontend) -> Heard:
    """Hear one sound, up to the logarithm.

    Parameters
    ----------
    sound
        A path, an address, a `Sound`, or ``(samples, rate)``.
    frontend
        The network's frontend.

    Raises
    ------
    FileNotFoundError, SoundError
        As `modelzoo.inputs.sounds.load_sound` does.
    """
    given = load_sound(sound, frontend.sr)
    samples, start = _trimmed(given.samples, frontend)
    samples = _long_enough(samples, frontend)
    return Heard(Sound(samples, frontend.sr), start / frontend.sr, _energies(samples, frontend), frontend)


def _patches_of(source: Any, frontend: AudioFrontend) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Give patches, how many each sound has, and where each begins."""
    if not is_sound(source):
        given = _given(source, frontend)
        return given, [1] * len(given), np.zeros(len(given))
    heard = hear(source, frontend)
    patches = heard.patches()
    return patches, [len(patches)], heard.start_s + heard.first_frames * frontend.hop_s


def _joined(parts: Sequence[tuple[np.ndarray, list[int], np.ndarray]]) -> Patches:
    counts = [count for _, each, _ in parts for count in each]
    return Patches(
        values=np.concatenate([values for values, _, _ in parts]),
        owner=np.repeat(np.arange(len(counts)), counts),
        start_s=np.concatenate([starts for _, _, starts in parts]),
    )


def _given(source: Any, frontend: AudioFrontend) -> npt.NDArray[np.float32]:
    array = np.asarray(source)
    size = (frontend.n_mels, frontend.patch_frames)
    if array.shape in (size, (*size, 1)):
        array = array.reshape(1, *size, 1)
    if array.dtype.kind not in "iuf" or array.shape[1:] != (*size, 1) or not len(array):
        found = f"an array of shape {array.shape}" if array.ndim else f"a {type(source).__name__}"
        raise SoundError(
            f"{found}; expected a path, load_sound(samples, sr=RATE), or spectrograms of shape (patch, {size[0]}, "
            f"{size[1]}, 1): frequency, then time"
        )
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise SoundError(f"{bad} of {array.size} values of the spectrogram are NaN or infinite")
    return array.astype(np.float32)


def _trimmed(samples: np.ndarray, frontend: AudioFrontend) -> tuple[np.ndarray, int]:
    if frontend.trim_db is None:
        return samples, 0
    from librosa.effects import trim

    kept, (start, _) = trim(samples, top_db=frontend.trim_db, frame_length=TRIM_FRAME, hop_length=TRIM_HOP)
    return kept, int(start)


def _long_enough(samples: np.ndarray, frontend: AudioFrontend) -> np.ndarray:
    needed = frontend.patch_samples
    if len(samples) >= needed:
        return samples
    return np.resize(samples, needed) if frontend.short == "repeat" else np.pad(samples, (0, needed - len(samples)))


def _energies(samples: np.ndarray, frontend: AudioFrontend) -> np.ndarray:
    import librosa

    mel: np.ndarray = librosa.feature.melspectrogram(
        y=samples,
        sr=frontend.sr,
        n_fft=frontend.n_fft,
        win_length=frontend.window_samples,
        hop_length=frontend.hop_samples,
        window="hann",
        center=frontend.centred,
        power=float(frontend.power),
        n_mels=frontend.n_mels,
        fmin=frontend.fmin_hz,
        fmax=frontend.fmax_hz,
        htk=frontend.mel_scale == "htk",
        norm=None if frontend.norm == "none" else frontend.norm,
    )
    return mel


def _logarithm(energies: np.ndarray, log: LogScale) -> npt.NDArray[np.float32]:
    if log.kind != "db":
        logarithm = np.log if log.kind == "ln" else np.log10
        return logarithm(log.offset + log.gain * energies).astype(np.float32)
    if isinstance(log.reference, str) and energies.max() <= log.smallest:
        return np.full(energies.shape, log.floor, dtype=np.float32)
    import librosa

    reference = np.max if isinstance(log.reference, str) else log.reference
    decibels = librosa.power_to_db(energies, ref=reference, amin=log.smallest, top_db=log.range_db)
    return np.asarray(decibels, dtype=np.float32)
