"""Where a sound is covered: stretches of time, bands of frequency, or both at once, said in seconds and Hz.

    >>> strips = lay_strips(ear.input.audio, frames=498, shape="time", window=0.2, stride=0.1)
    >>> strips.words(0)
    '0.01 to 0.21 s'

A network hears bands and frames, and no two networks the same ones; nobody thinks in them. So a window is a length in
seconds, a band in Hz, and what it covers are the frames and bands whose middle lies in it. On a mel scale a band of
500 Hz is many bands at the bottom and one at the top: where none is said, bands are as wide as the ear has them, an
eighth of the scale each.

As with pictures, windows start at the beginning and every stride on, and the last is cut at the end: all is covered.
"""

from __future__ import annotations

import difflib
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelzoo.audio_cards import AudioFrontend
from modelzoo.inputs.frontends import cell_edges, frame_times_s

__all__ = ["SHAPES", "Strips", "lay_strips"]

SHAPES = ("patches", "time", "frequency")
# Of a patch in time, and of the mel scale in frequency.
USUAL_PART = 8


@dataclass(frozen=True, eq=False)
class Strips:
    """Windows over the spectrogram of a sound.

    Attributes
    ----------
    shape
        ``"time"``, ``"frequency"`` or ``"patches"``.
    boxes
        ``(n, 4)`` first band, first frame, and the first of both that is not covered.
    edges
        ``(n, 4)`` the same as Hz and seconds from the start: low, from, high, to.
    """

    shape: str
    boxes: np.ndarray
    edges: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def words(self, number: int) -> str:
        """Where a window lies: ``"0.10 to 0.30 s, 500 to 900 Hz"``."""
        low, begin, high, end = self.edges[number]
        said = {"time": f"{begin:.2f} to {end:.2f} s", "frequency": f"{low:,.0f} to {high:,.0f} Hz"}
        return said.get(self.shape, f"{said['time']}, {said['frequency']}")


def lay_strips(
    frontend: AudioFrontend, frames: int, shape: str = "patches", window: Any = None, stride: Any = None
) -> Strips:
    """Lay windows over the spectrogram of a sound.

    Parameters
    ----------
    frontend
        How the network hears.
    frames
        How many frames the sound has.
    shape
        ``"time"``, ``"frequency"``, or ``"patches"``, both at once.
    window, stride
        Seconds for ``"time"``, Hz for ``"frequency"``, ``(hz, seconds)`` for ``"patches"``. Where None, an eighth of a
        patch in time and an eighth of the mel scale in frequency; half a window.

    Raises
    ------
    ValueError
        For another shape, lengths that are not above 0, windows longer than the sound or its frequencies.

    Warns
    -----
    UserWarning
        Where windows leave some of the sound uncovered.
    """
    if shape not in SHAPES:
        near = difflib.get_close_matches(str(shape), SHAPES, n=1, cutoff=0.0)[0]
        raise ValueError(f"shape is {shape!r}; of a sound there are {', '.join(SHAPES)}; did you mean {near!r}?")
    bands, times = _pairs(shape, window, "window"), _pairs(shape, stride, "stride")
    rows = np.array([[0, frontend.n_mels]]) if shape == "time" else _bands(frontend, bands[0], times[0])
    columns = np.array([[0, frames]]) if shape == "frequency" else _frames(frontend, frames, bands[1], times[1])
    boxes = np.array([(low, begin, high, end) for low, high in rows for begin, end in columns])
    gap = 1.0 - _share(rows, frontend.n_mels) * _share(columns, frames)
    if gap > 1e-9:
        warnings.warn(f"{gap:.1%} of the sound is covered by no window; the map is 0 there", UserWarning, stacklevel=3)
    hz = cell_edges(frontend, frontend.n_mels, frontend.patch_frames)[0]
    seconds = np.maximum(frame_times_s(frontend, 1)[0] + (np.arange(frames + 1) - 0.5) * frontend.hop_s, 0.0)
    edges = np.stack([hz[boxes[:, 0]], seconds[boxes[:, 1]], hz[boxes[:, 2]], seconds[boxes[:, 3]]], axis=1)
    return Strips(shape, boxes, edges)


def _pairs(shape: str, value: Any, name: str) -> tuple[float | None, float | None]:
    """Give what is said in Hz and in seconds."""
    if value is None:
        return None, None
    pair = value if isinstance(value, tuple | list) else (value, value)
    numbers = [each for each in pair if each is not None]
    single = not isinstance(value, tuple | list)
    if len(pair) != 2 or (single and shape == "patches") or not all(_is_length(each) for each in numbers):
        expected = {"time": "seconds", "frequency": "Hz", "patches": "(hz, seconds)"}[shape]
        raise ValueError(f"the {name} is {value!r}; expected {expected}, above 0")
    return pair[0], pair[1]


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _frames(frontend: AudioFrontend, frames: int, window_s: float | None, stride_s: float | None) -> np.ndarray:
    window = max(1, frontend.patch_frames // USUAL_PART) if window_s is None else round(window_s / frontend.hop_s)
    window = max(1, window)
    if window > frames:
        raise ValueError(
            f"the window is {window_s:g} s and the sound {frames * frontend.hop_s:.2f} s; expected a shorter window"
        )
    stride = max(1, window // 2 if stride_s is None else round(stride_s / frontend.hop_s))
    return _cut(frames, window, stride)


def _bands(frontend: AudioFrontend, window_hz: float | None, stride_hz: float | None) -> np.ndarray:
    if window_hz is None:
        window = max(1, frontend.n_mels // USUAL_PART)
        return _cut(frontend.n_mels, window, max(1, window // 2))
    from modelzoo.inputs.frontends import band_centres_hz

    reach = frontend.fmax_hz - frontend.fmin_hz
    if window_hz > reach:
        raise ValueError(f"the window is {window_hz:g} Hz and the network hears {reach:g} Hz; expected a narrower one")
    stride_hz = window_hz / 2 if stride_hz is None else stride_hz
    lows = frontend.fmin_hz + stride_hz * np.arange(math.ceil((reach - window_hz) / stride_hz) + 1)
    centres = band_centres_hz(frontend)
    found = np.stack([np.searchsorted(centres, lows), np.searchsorted(centres, lows + window_hz)], axis=1)
    # Far up the scale a narrow window may lie between two bands; each kind of window once.
    found = np.unique(found[found[:, 1] > found[:, 0]], axis=0)
    if not len(found):
        widest = float(np.diff(centres).max())
        raise ValueError(
            f"no window of {window_hz:g} Hz every {stride_hz:g} Hz holds a band; they lie up to {widest:.0f} Hz apart"
        )
    return found


def _share(pairs: np.ndarray, size: int) -> float:
    covered = np.zeros(size, bool)
    for low, high in pairs:
        covered[low:high] = True
    return float(covered.mean())


def _cut(size: int, window: int, stride: int) -> np.ndarray:
    starts = np.arange(-(-(size - window) // stride) + 1) * stride
    starts = starts[starts < size]
    return np.stack([starts, np.minimum(starts + window, size)], axis=1)
