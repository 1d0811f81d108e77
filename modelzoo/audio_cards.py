"""What a sound network was trained to hear: how a waveform becomes the spectrogram it takes.

::

    >>> yamnet = AudioFrontend(
    ...     sr=16000, n_fft=512, window_samples=400, hop_samples=160, n_mels=64, fmin_hz=125, fmax_hz=7500,
    ...     mel_scale="htk", norm="none", power=1, centred=False, log=LogScale("ln", offset=1e-3), patch_frames=96,
    ... )
    >>> yamnet.patch_s
    0.96

A sound network is worth nothing without its frontend, and no two agree: YAMNet takes the logarithm of magnitudes,
musicnn of powers, OpenL3 decibels below the loudest place of each second. A spectrogram of the wrong kind gives no error
but a wrong answer. So the card *describes* the frontend, in full and without a default for anything that networks
differ in; `modelzoo.inputs.frontends` computes it. Like the cards themselves this module needs no TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelzoo.card_fields import CardError, checked

__all__ = ["AudioFrontend", "LogScale", "read_frontend"]

LOG_KINDS = ("ln", "log10", "db")
LOUDEST = ("clip_max", "patch_max")
CHOICES = {"mel_scale": ("htk", "slaney"), "norm": ("none", "slaney"), "power": (1, 2), "short": ("repeat", "silence")}
COUNTS = ("sr", "n_fft", "window_samples", "hop_samples", "n_mels", "patch_frames")


@dataclass(frozen=True)
class LogScale:
    """How mel energies ``x`` become what the network takes.

    Attributes
    ----------
    kind
        ``"ln"`` and ``"log10"``: the logarithm of ``offset + gain * x``. ``"db"``: ``10 log10(max(x, smallest) /
        reference)``, cut off `range_db` below its loudest place.
    gain, offset
        Of ``"ln"`` and ``"log10"``.
    reference
        Of ``"db"``: the energy that is 0 dB; ``"clip_max"`` for the largest of the whole sound, ``"patch_max"`` for
        the largest of each patch.
    smallest, range_db
        Of ``"db"``: the least energy told from silence, and the depth below the loudest place; None for no cut-off.

    Examples
    --------
    >>> scale = dc.LogScale("ln", offset=0.001)
    >>> scale.kind, scale.gain, scale.offset, round(scale.floor, 2)
    ('ln', 1.0, 0.001, -6.91)
    >>> decibels = dc.LogScale("db", reference=1.0, smallest=1e-10, range_db=80.0)
    >>> decibels.reference, decibels.smallest, decibels.range_db
    (1.0, 1e-10, 80.0)
    """

    kind: str
    gain: float = 1.0
    offset: float = 0.0
    reference: float | str = 1.0
    smallest: float = 1e-10
    range_db: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in LOG_KINDS:
            raise CardError(f"log kind is {self.kind!r}; expected one of {', '.join(LOG_KINDS)}")
        if self.kind != "db" and not (self.offset > 0 and self.gain > 0):
            raise CardError(
                f"log has gain {self.gain!r} and offset {self.offset!r}; expected both above 0, for silence to be finite"
            )
        if self.reference not in LOUDEST if isinstance(self.reference, str) else not self.reference > 0:
            raise CardError(f"log reference is {self.reference!r}; expected a number above 0, {' or '.join(LOUDEST)}")
        if not self.smallest > 0 or (self.range_db is not None and not self.range_db > 0):
            raise CardError("log smallest and range_db must be above 0")
        if isinstance(self.reference, str) and self.range_db is None:
            raise CardError(f"log with the reference {self.reference!r} needs range_db: silence would have no value")

    @property
    def floor(self) -> float:
        """Value of silence: the smallest one that a spectrogram holds."""
        if self.kind == "db":
            if isinstance(self.reference, str):
                return -float(self.range_db or 0)
            return 10 * math.log10(self.smallest / self.reference)
        return math.log(self.offset) if self.kind == "ln" else math.log10(self.offset)


@dataclass(frozen=True)
class AudioFrontend:
    """How a sound becomes spectrogram patches ``(frequency, time, 1)``, lowest band first.

    Attributes
    ----------
    sr
        Samples a second the sound is resampled to.
    n_fft, window_samples, hop_samples
        Length of the Fourier transform, of the Hann window in its middle, and the step between frames, in samples.
    n_mels, fmin_hz, fmax_hz
        Number of mel bands, and where the first begins and the last ends.
    mel_scale
        ``"htk"`` or ``"slaney"``: the formula of the mel scale.
    norm
        ``"none"``: each band's filter has the height 1. ``"slaney"``: the area 1.
    power
        1 for magnitudes, 2 for powers.
    centred
        Whether frame ``t`` lies around sample ``t * hop_samples``, with silence before the sound, or begins there.
    log
        See `LogScale`.
    patch_frames
        Frames of one patch: what the network takes at a time.
    overlap
        Fraction of a patch that the next one shares. A rest shorter than a patch at the end of a sound is left out.
    trim_db
        Silence before and after the sound is cut where it lies this far below the loudest place; None to keep it.
    short
        What fills a sound that is shorter than one patch: ``"repeat"`` itself, or ``"silence"``.
    time_first
        Whether the network itself takes ``(time, frequency)``; it is turned in the graph.
    ceiling
        Value about as large as a spectrogram gets: for drawing, and for rendering what a channel looks for.

    Examples
    --------
    >>> net = dc.load("Yamnet256_esc10", weights=None)
    >>> front = net.input.audio
    >>> front.sr, front.n_fft, front.window_samples, front.hop_samples, front.n_mels, front.fmin_hz, front.fmax_hz
    (16000, 512, 400, 160, 64, 125, 7500)
    >>> front.mel_scale, front.norm, front.power, front.centred, front.log.kind
    ('htk', 'none', 1, False, 'ln')
    >>> front.patch_frames, front.overlap, front.trim_db, front.short, front.time_first, front.ceiling
    (96, 0.25, 60, 'repeat', True, 5.5)
    >>> front.hop_s, front.patch_s, front.patch_step_frames, front.patch_samples
    (0.01, 0.96, 72, 15712)
    """

    sr: int
    n_fft: int
    window_samples: int
    hop_samples: int
    n_mels: int
    fmin_hz: float
    fmax_hz: float
    mel_scale: str
    norm: str
    power: int
    centred: bool
    log: LogScale
    patch_frames: int
    overlap: float = 0.0
    trim_db: float | None = None
    short: str = "repeat"
    time_first: bool = False
    ceiling: float = 0.0

    def __post_init__(self) -> None:
        for name in COUNTS:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise CardError(f"{name} is {value!r}; expected a whole number, 1 or more")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                listed = " or ".join(map(repr, choices))
                raise CardError(f"{name} is {getattr(self, name)!r}; expected {listed}")
        if self.window_samples > self.n_fft:
            raise CardError(f"the window of {self.window_samples} samples is longer than n_fft, {self.n_fft}")
        if not 0 <= self.fmin_hz < self.fmax_hz <= self.sr / 2:
            raise CardError(
                f"bands from {self.fmin_hz!r} to {self.fmax_hz!r} Hz; expected 0 <= fmin_hz < fmax_hz <= {self.sr / 2:g}, "
                f"half of sr"
            )
        if not 0 <= self.overlap < 1:
            raise CardError(f"overlap is {self.overlap!r}; expected a fraction from 0 to below 1")
        if self.trim_db is not None and not self.trim_db > 0:
            raise CardError(f"trim_db is {self.trim_db!r}; expected decibels above 0, or none")
        if not self.ceiling > self.log.floor:
            raise CardError(f"ceiling is {self.ceiling!r}; expected more than the value of silence, {self.log.floor:g}")

    @property
    def hop_s(self) -> float:
        """Seconds from frame to frame."""
        return self.hop_samples / self.sr

    @property
    def patch_s(self) -> float:
        """Seconds of one patch, from its first frame to the first of a patch that follows without overlap."""
        return self.patch_frames * self.hop_samples / self.sr

    @property
    def patch_step_frames(self) -> int:
        """Frames from the start of one patch to the start of the next."""
        return max(1, int(self.patch_frames * (1 - self.overlap)))

    @property
    def patch_samples(self) -> int:
        """Samples that one patch needs."""
        reach = (self.patch_frames - 1) * self.hop_samples
        return max(reach, self.n_fft) if self.centred else reach + self.n_fft


def read_frontend(content: Mapping[str, Any], where: str) -> AudioFrontend:
    """Make an `AudioFrontend` of plain dictionaries, as a card's ``[input.audio]`` gives them.

    Raises
    ------
    CardError
        Naming the field, what was found and what was expected.
    """
    parts = dict(content)
    if isinstance(parts.get("log"), Mapping):
        parts["log"] = checked(LogScale, parts["log"], f"{where}.log")
    frontend: AudioFrontend = checked(AudioFrontend, parts, where)
    return frontend
