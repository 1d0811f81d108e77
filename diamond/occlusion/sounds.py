"""Cover a part of a sound and see what changes: in time, in frequency, or both.

    found = occlude_sound(net, "rooster.ogg", shape="time", window=0.2)
    found.scores[:3, 0]                                  # logits lost without 0.0 to 0.2 s, 0.1 to 0.3 s ...
    found.alone().samples                                # what spoke for the class, to listen to
    found.save("rooster.html")

The whole sound is covered, as the network hears it, before the logarithm: where decibels count below the loudest place,
covering that place changes all others, as silence there would. Then it is cut into patches, the network is asked again
of those that changed, and the answers are averaged over all patches as `net.predict` does.

On a logarithmic scale 0 is no neutral value: 0 dB is as loud as can be. So the fill is the level of silence, the mean of
each band, what is around the window, or noise as loud as each band.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from diamond.attribution.streams import sources_of
from diamond.attribution.targets import Target, encode
from diamond.occlusion.averaged import probabilities_of
from diamond.occlusion.heard import SoundOcclusion, SoundOcclusions
from diamond.occlusion.strips import Strips, lay_strips
from modelzoo import Network
from modelzoo.inputs.frontends import Heard, energies_of, hear, levels_of
from modelzoo.inputs.sounds import SoundError
from modelzoo.predictions import names_of

__all__ = ["FILLS", "occlude_sound", "occlude_sounds"]

FILLS = ("band_mean", "silence", "local_mean", "noise")
WORDS = {
    "band_mean": "the mean level of each band",
    "silence": "silence",
    "local_mean": "the mean level of each band around the window",
    "noise": "noise of each band's mean and spread",
}
BATCH = 64
FEWEST_WITH_BAR = 64


def occlude_sound(
    net: Network,
    sound: Any,
    *,
    target: Target | Sequence[Target] = "top1",
    shape: str = "patches",
    window: Any = None,
    stride: Any = None,
    fill: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> SoundOcclusion:
    """Cover parts of a sound, one after the other, and see what the class score loses.

    Parameters
    ----------
    net
        A sound network.
    sound
        Path, URL, `Sound`, or ``(samples, rate)``; another rate is resampled, several channels are mixed.
    target
        The class asked about: index, label, or ``"top1"``, ``"top2"`` ... of the whole sound; several in a list.
    shape
        ``"time"``, ``"frequency"``, or ``"patches"``, both at once.
    window, stride
        Seconds for ``"time"``, Hz for ``"frequency"``, ``(hz, seconds)`` for ``"patches"``, either of which may be None:
        an eighth of a patch in time, an eighth of the mel scale in frequency; half a window.
    fill
        ``"band_mean"`` (where not said), ``"silence"``, ``"local_mean"`` or ``"noise"``.
    seed
        Of the noise.
    progress
        Whether to show a progress bar, from 64 windows on.

    Returns
    -------
    SoundOcclusion

    Raises
    ------
    ClassError, SoundError, FileNotFoundError
        For a class the network does not have, and what is no sound, or nothing but silence.
    ValueError
        For a network that takes pictures, windows that do not fit, another shape or fill, and scores that are NaN.
    """
    if net.input.audio is None:
        raise ValueError(f"{net.name} takes pictures; dc.occlude covers those")
    fill = "band_mean" if fill is None else fill
    if fill not in FILLS:
        near = difflib.get_close_matches(str(fill), FILLS, n=1, cutoff=0.0)[0]
        raise ValueError(f"fill is {fill!r}; of a sound there are {', '.join(FILLS)}; did you mean {near!r}?")
    targets: list[Any] = list(target) if isinstance(target, list | tuple) else [target]
    codes = [encode(net, each) for each in targets]
    heard = hear(sound, net.input.audio)
    if not heard.sound.samples.any():
        raise SoundError("the sound is silent: there is nothing to cover")
    strips = lay_strips(heard.frontend, heard.energies.shape[1], shape, window, stride)
    covering = _Covering(net, heard, codes, fill, seed)
    values = covering.lost(strips, progress)
    n = len(covering.classes)
    maps = _averaged(strips, values, heard.energies.shape)
    return SoundOcclusion(
        network=net.name,
        image=names_of(sound, 1, "sound")[0],
        targets=tuple(net.class_label(c) for c in covering.classes),
        heatmaps=maps[:n],
        probability_heatmaps=maps[n:],
        scores=values[:, :n].astype(np.float32),
        probability_scores=values[:, n:].astype(np.float32),
        strips=strips,
        logits=covering.base[:n].astype(np.float32),
        probabilities=covering.base[n:].astype(np.float32),
        levels=levels_of(heard.energies, heard.frontend.log).astype(np.float32),
        heard=heard,
        fill=WORDS[fill],
    )


def occlude_sounds(net: Network, sounds: Any, **asked: Any) -> SoundOcclusions:
    """Cover parts of several sounds; a file that cannot be read is told and left out.

    Parameters
    ----------
    net
        A sound network.
    sounds
        A folder, or a list of what `occlude_sound` takes and of folders.
    asked
        As of `occlude_sound`.

    Raises
    ------
    PictureError
        Where there is none.
    SoundError, FileNotFoundError
        Where none can be read, and for what is no file and no sound.

    Warns
    -----
    UserWarning
        Where files were left out.
    """
    rows, skipped = [], []
    for number, (name, source) in enumerate(sources_of(net, sounds)[0]):
        try:
            found = occlude_sound(net, source, **asked)
        except SoundError as error:
            if name is None:
                raise SoundError(f"sound {number}: {error}") from error
            skipped.append(f"{name}: {str(error).removeprefix(f'{source}: ')}")
            continue
        rows.append(replace(found, image=name or f"sound {number}"))
    if not rows:
        raise SoundError(f"none of {len(skipped)} sounds could be read; {'; '.join(skipped)}")
    if skipped:
        warnings.warn(f"skipped {len(skipped)} sounds: {'; '.join(skipped)}", UserWarning, stacklevel=3)
    return SoundOcclusions(tuple(rows), tuple(skipped))


class _Covering:
    """One sound, and what the network says of it without some of it."""

    def __init__(self, net: Network, heard: Heard, codes: Sequence[int], fill: str, seed: int) -> None:
        self._net, self._heard, self._fill = net, heard, fill
        self._patches = heard.patches()
        logits = self._asked(self._patches)
        # Ranked as `net.predict` ranks them.
        order = np.argsort(-probabilities_of(net, logits).mean(axis=0), kind="stable")
        # A ranked class is told below zero: -1 is the first.
        self.classes = [int(order[-1 - code]) if code < 0 else int(code) for code in codes]
        self._each = self._values(logits)
        self.base = self._each.mean(axis=0)
        levels = levels_of(heard.energies, heard.frontend.log)
        self._levels, self._mean, self._spread = levels, levels.mean(axis=1), levels.std(axis=1)
        self._noise = np.random.default_rng(seed).normal(size=levels.shape)

    def lost(self, strips: Strips, progress: bool) -> np.ndarray:
        """Give what each score loses without each window, ``(n, 2 x target)``: logits, then probabilities."""
        found = np.zeros((len(strips), self._each.shape[1]))
        waiting: list[tuple[int, np.ndarray, np.ndarray]] = []
        hidden = not progress or len(strips) < FEWEST_WITH_BAR
        with tqdm(total=len(strips), unit="window", disable=hidden, leave=False) as bar:
            for number, box in enumerate(strips.boxes):
                changed, patches = self._without(box)
                waiting.append((number, changed, patches))
                if sum(len(rows) for _, rows, _ in waiting) >= BATCH:
                    self._settle(waiting, found)
                    waiting = []
                bar.update()
            self._settle(waiting, found)
        return found

    def _settle(self, waiting: list[tuple[int, np.ndarray, np.ndarray]], found: np.ndarray) -> None:
        if not waiting:
            return
        values = self._values(self._asked(np.concatenate([patches for _, _, patches in waiting])))
        at = 0
        for number, changed, _ in waiting:
            new = values[at : at + len(changed)]
            at += len(changed)
            found[number] = (self._each[changed] - new).sum(axis=0) / len(self._each)

    def _without(self, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the numbers of the patches that change, and the patches themselves."""
        low, begin, high, end = box
        frontend, first = self._heard.frontend, self._heard.first_frames
        energies = self._heard.energies.copy()
        energies[low:high, begin:end] = energies_of(self._filling(box), frontend.log)
        patches = self._heard.patches(energies)
        if frontend.log.kind == "db" and (isinstance(frontend.log.reference, str) or frontend.log.range_db):
            # The loudest place may have gone, and with it what all others are counted from.
            changed = np.flatnonzero((patches != self._patches).any(axis=(1, 2, 3)))
        else:
            changed = np.flatnonzero((first < end) & (first + frontend.patch_frames > begin))
        return changed, patches[changed]

    def _filling(self, box: np.ndarray) -> np.ndarray:
        low, begin, high, end = box
        shape = (high - low, end - begin)
        if self._fill == "silence":
            return np.full(shape, levels_of(np.zeros(1), self._heard.frontend.log)[0])
        mean = self._mean[low:high, None]
        if self._fill == "noise":
            return mean + self._spread[low:high, None] * self._noise[low:high, begin:end]
        if self._fill == "local_mean":
            length = end - begin
            around = np.r_[max(begin - length, 0) : begin, end : min(end + length, self._levels.shape[1])]
            if len(around):
                mean = self._levels[low:high][:, around].mean(axis=1, keepdims=True)
        return np.broadcast_to(mean, shape)

    def _asked(self, patches: np.ndarray) -> np.ndarray:
        if not len(patches):
            return np.zeros((0, self._net.output_size), np.float32)
        parts = [self._net.predict(patches[i : i + BATCH], top=1).logits for i in range(0, len(patches), BATCH)]
        logits = np.concatenate(parts)
        if not np.isfinite(logits).all():
            raise ValueError(f"{self._net.name} answers NaN or infinity to this sound")
        return logits

    def _values(self, logits: np.ndarray) -> np.ndarray:
        if not len(logits):
            return np.zeros((0, 2 * len(self.classes)))
        probabilities = probabilities_of(self._net, logits)
        return np.hstack([logits[:, self.classes], probabilities[:, self.classes]]).astype(np.float64)


def _averaged(strips: Strips, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Average over the windows that cover each place: ``(column, frequency, time)``."""
    total, count = np.zeros((values.shape[1], *shape)), np.zeros(shape)
    for (low, begin, high, end), row in zip(strips.boxes, values, strict=True):
        total[:, low:high, begin:end] += row[:, None, None]
        count[low:high, begin:end] += 1
    found: np.ndarray = (total / np.maximum(count, 1)).astype(np.float32)
    return found
