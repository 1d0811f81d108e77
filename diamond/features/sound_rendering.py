"""Spectrograms that came out of the renderer: looked at in seconds and Hz on one scale of decibels, and listened to.

    made = dc.render(ear, [dc.channel("layer6.pointwise_conv.relu", i) for i in range(6)])
    made.levels.shape, made.bands_hz[[0, -1]]
    made.sonified(3).error_db                        # what the sound has of the picture
    made.save("made.html")                           # pictures and players

What a channel asks for is no recording, and no sound need have that spectrogram: `diamond.samples.sonify` comes as close
as it can, and says how close.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from diamond.features.rendering import Rendering
from diamond.show.audible import Audible
from modelzoo import AudioFrontend
from modelzoo.inputs.frontends import band_centres_hz, decibels_of, frame_times_s
from modelzoo.inputs.sounds import Sound

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from diamond.samples.sonify import Sonified

__all__ = ["SoundRendering"]


@dataclass(frozen=True, eq=False, repr=False)
class SoundRendering(Audible, Rendering):
    """One spectrogram for each objective.

    Attributes
    ----------
    images
        ``(n, frequency, time, 1)`` float32 from 0, silence, to 1, about the loudest level; lowest band first.
    frontend
        How the network hears.

    Examples
    --------
    >>> found = dc.render(ear, [dc.channel("layer6.pointwise_conv.relu", i) for i in (0, 1)], steps=4, progress=False)
    >>> found.images.shape, found.levels.shape, found.decibels.shape, found.frontend.sr
    ((2, 64, 96, 1), (2, 64, 96), (2, 64, 96), 16000)
    >>> found.bands_hz[[0, -1]].round(), found.times_s[[0, -1]].round(2)
    (array([ 155., 7215.]), array([0.02, 0.97]))
    >>> found.sonified(1).sound.duration_s
    0.982
    >>> found.plot()
    <Figure size ... with 3 Axes>
    """

    frontend: AudioFrontend = field(kw_only=True, repr=False)

    @cached_property
    def levels(self) -> np.ndarray:
        """``(n, frequency, time)`` on the network's own logarithmic scale."""
        low, high = self.frontend.log.floor, self.frontend.ceiling
        found: np.ndarray = low + (high - low) * self.images[..., 0]
        return found

    @property
    def decibels(self) -> np.ndarray:
        """``(n, frequency, time)`` decibels of power, all on one scale."""
        return decibels_of(self.levels, self.frontend)

    @property
    def bands_hz(self) -> np.ndarray:
        """``(frequency,)`` the middle of each band."""
        return band_centres_hz(self.frontend)

    @property
    def times_s(self) -> np.ndarray:
        """``(time,)`` the middle of each frame."""
        return frame_times_s(self.frontend, self.images.shape[2])

    def sonified(self, number: int = 0) -> Sonified:
        """Make a spectrogram audible (`diamond.samples.sonify`), and say how far the sound is from it; made once.

        Parameters
        ----------
        number
            Which of the spectrograms, from 0.
        """
        if number not in self._made:
            from diamond.samples.sonify import sonify

            self._made[number] = sonify(self.levels[number], self.frontend, seed=self.seed)
        return self._made[number]

    def plot(self) -> Figure:
        """Draw the spectrograms in seconds and Hz, on one scale of decibels, with what each reaches."""
        from diamond.show.sound_figures import spectrogram_figure

        return spectrogram_figure(self)

    def _sounds(self) -> list[Sound]:
        return [self.sonified(i).sound for i in range(len(self))]

    @cached_property
    def _made(self) -> dict[int, Sonified]:
        return {}

    def __str__(self) -> str:
        n, bands, frames = self.images.shape[:3]
        words = f"{n} spectrogram{'s' * (n != 1)}, {bands} bands x {frames} frames"
        return f"{self.network}: {words}, by the recipe {self.recipe!r}"

    def _arrays(self) -> dict[str, np.ndarray]:
        return {**super()._arrays(), "levels": self.levels, "bands_hz": self.bands_hz, "times_s": self.times_s}

    @property
    def _height_px(self) -> int:
        return 130 + math.ceil(len(self) / 3) * 300

    def _page(self) -> str:
        from diamond.show.heat import loudness_colours
        from diamond.show.pages import page
        from diamond.show.saving import wav_uri

        made = [self.sonified(i) for i in range(len(self))]
        return page(
            "sound_rendering.html",
            title=str(self),
            rendering=self,
            pictures=[loudness_colours(image[..., 0]) for image in self.images],
            players=[wav_uri(one.sound) for one in made],
            errors_db=[one.error_db for one in made],
            seconds=self.images.shape[2] * self.frontend.hop_s,
            decibels=decibels_of(np.array([self.frontend.log.floor, self.frontend.ceiling]), self.frontend),
        )
