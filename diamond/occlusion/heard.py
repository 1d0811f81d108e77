"""What was found when parts of a sound were covered, to look at and to listen to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.occlusion.strips import Strips
from diamond.show.audible import Audible
from diamond.show.several import Several
from modelzoo.inputs.frontends import Heard, band_centres_hz, frame_times_s
from modelzoo.inputs.sounds import Sound

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["SoundOcclusion", "SoundOcclusions"]

STRONGEST = 6


@dataclass(frozen=True, eq=False)
class SoundOcclusion(Audible):
    """What the score of each target loses where a sound is covered.

    Attributes
    ----------
    network, image
        Which network, and a word for the sound.
    targets
        The class asked about, or several.
    heatmaps, probability_heatmaps
        ``(target, frequency, time)`` in logits and in probability: the mean over all windows that cover a place of how
        much the score falls when they do. Bands and frames of the network, lowest band first; see `bands_hz`, `times_s`.
    scores, probability_scores
        ``(n, target)`` the same of each window.
    strips
        Where the windows lie, in seconds and Hz.
    logits, probabilities
        ``(target,)`` with nothing covered: the mean over all patches.
    levels
        ``(frequency, time)`` what the network hears, on its own logarithmic scale.
    heard
        The sound itself: samples, mel energies, frontend.
    fill
        What stood in the windows, in words.

    Examples
    --------
    >>> found = dc.occlude(ear, "song.wav", shape="time", window=0.5, stride=0.25, progress=False)
    >>> found.network, found.image, len(found.targets), found.question == found.targets[0], found.fill
    ('Yamnet256_esc10', 'song.wav', 1, True, 'the mean level of each band')
    >>> found.heatmap.shape, found.heatmaps.shape, found.probability_heatmaps.shape, found.levels.shape
    ((64, 297), (1, 64, 297), (1, 64, 297), (64, 297))
    >>> found.scores.shape, found.probability_scores.shape, found.logits.shape, found.probabilities.shape
    ((11, 1), (11, 1), (1,), (1,))
    >>> len(found.strips), found.strips.words(0), found.heard.sound.sr
    (11, '0.01 to 0.51 s', 16000)
    >>> found.bands_hz.shape, found.times_s.shape, found.over_time().shape, found.over_frequency().shape
    ((64,), (297,), (297,), (64,))
    >>> len(found.strongest), len(found.players)
    (6, 3)
    >>> found.alone(), found.removed().duration_s
    (Sound of 3 s: 48,000 samples at 16000 Hz, 3.0)
    >>> found.to_dataframe().columns.to_list()
    ['window', 'low_hz', 'from_s', 'high_hz', 'to_s', 'target', 'logit', 'probability']
    >>> found.plot()
    <Figure size ... with 4 Axes>
    >>> found.save("song.html")
    PosixPath('song.html')
    """

    FRAME_PX: ClassVar[int] = 860

    network: str
    image: str
    targets: tuple[str, ...]
    heatmaps: np.ndarray = field(repr=False)
    probability_heatmaps: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    probability_scores: np.ndarray = field(repr=False)
    strips: Strips
    logits: np.ndarray
    probabilities: np.ndarray
    levels: np.ndarray = field(repr=False)
    heard: Heard = field(repr=False)
    fill: str

    @property
    def heatmap(self) -> np.ndarray:
        """``(frequency, time)`` the first target's, in logits."""
        found: np.ndarray = self.heatmaps[0]
        return found

    @property
    def question(self) -> str:
        """The class or classes asked about, in words."""
        return " / ".join(self.targets)

    @property
    def bands_hz(self) -> np.ndarray:
        """``(frequency,)`` the middle of each band."""
        return band_centres_hz(self.heard.frontend)

    @property
    def times_s(self) -> np.ndarray:
        """``(time,)`` the middle of each frame, from the start of what was heard."""
        return frame_times_s(self.heard.frontend, self.levels.shape[1])

    def over_time(self, target: int = 0) -> np.ndarray:
        """``(time,)`` mean of the heatmap over all bands.

        Parameters
        ----------
        target
            Which target, from 0.
        """
        profile: np.ndarray = self.heatmaps[target].mean(axis=0)
        return profile

    def over_frequency(self, target: int = 0) -> np.ndarray:
        """``(frequency,)`` mean of the heatmap over all frames.

        Parameters
        ----------
        target
            Which target, from 0.
        """
        profile: np.ndarray = self.heatmaps[target].mean(axis=1)
        return profile

    def alone(self, target: int = 0) -> Sound:
        """Give the sound where it speaks for the class, and silence elsewhere: as loud as the map is strong.

        The map weighs the spectrum of the sound itself, phases and all, so that what is left sounds as it did.

        Parameters
        ----------
        target
            Which target, from 0.
        """
        return self._weighted(self._strength(target))

    def removed(self, target: int = 0) -> Sound:
        """Give the sound without what speaks for the class; both together are the sound again.

        Parameters
        ----------
        target
            Which target, from 0.
        """
        return self._weighted(1.0 - self._strength(target))

    def _strength(self, target: int) -> np.ndarray:
        positive = np.maximum(self.heatmaps[target], 0)
        most = float(positive.max())
        strength: np.ndarray = positive / most if most > 0 else positive
        return strength

    def _weighted(self, strength: np.ndarray) -> Sound:
        import librosa

        frontend, samples = self.heard.frontend, self.heard.sound.samples
        how = {"hop_length": frontend.hop_samples, "win_length": frontend.window_samples}
        spectrum = librosa.stft(samples, n_fft=frontend.n_fft, **how)
        times = np.arange(spectrum.shape[1]) * frontend.hop_s
        hz = librosa.fft_frequencies(sr=frontend.sr, n_fft=frontend.n_fft)
        by_time = np.stack([np.interp(times, self.times_s, band) for band in strength])
        weights = np.stack([np.interp(hz, self.bands_hz, frame) for frame in by_time.T], axis=1)
        heard = librosa.istft(spectrum * weights, n_fft=frontend.n_fft, length=len(samples), **how)
        return Sound(np.asarray(heard, np.float32), frontend.sr)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a window and target: low_hz, from_s, high_hz, to_s, target, logit, probability."""
        import pandas as pd

        n, many = self.scores.shape
        edges = np.repeat(self.strips.edges, many, axis=0).T
        return pd.DataFrame(
            {
                "window": np.repeat(np.arange(n), many),
                **dict(zip(("low_hz", "from_s", "high_hz", "to_s"), edges, strict=True)),
                "target": np.tile(np.array(self.targets, object), n),
                "logit": self.scores.ravel(),
                "probability": self.probability_scores.ravel(),
            }
        )

    def plot(self, target: int = 0) -> Figure:
        """Draw what the network hears with the map over it, the profile over time below, over frequency beside.

        Parameters
        ----------
        target
            Which target, from 0.
        """
        from diamond.show.sound_figures import sound_figure

        return sound_figure([self], target)

    def _sounds(self) -> list[Sound]:
        return [self.alone()]

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("heatmaps", "probability_heatmaps", "scores", "probability_scores", "logits", "probabilities")
        arrays = {name: getattr(self, name) for name in (*names, "levels", "bands_hz", "times_s")}
        return {**arrays, "edges": self.strips.edges}

    def __str__(self) -> str:
        return f"{self.network}: what {self.question} loses where {self.image} is covered"

    def __repr__(self) -> str:
        said = [f"{self}; {len(self.strips):,} windows, fill: {self.fill}"]
        for i, name in enumerate(self.targets):
            best = int(np.argmax(self.scores[:, i]))
            said.append(
                f"  {name}: logit {self.logits[i]:.3f}, probability {self.probabilities[i]:.3f}; most from "
                f"{self.strips.words(best)} ({self.scores[best, i]:+.3g})"
            )
        return "\n".join(said)

    @property
    def strongest(self) -> list[int]:
        """Numbers of the windows that change the first target's logit most, either way."""
        found: list[int] = np.argsort(-np.abs(self.scores[:, 0]), kind="stable")[:STRONGEST].tolist()
        return found

    @property
    def players(self) -> list[tuple[str, Sound]]:
        """The sound, what speaks for the first target, and what is left without it, with a word for each."""
        alone = f"What speaks for {self.targets[0]}, alone"
        return [("The sound", self.heard.sound), (alone, self.alone()), ("Without it", self.removed())]

    def _page(self) -> str:
        return _page_of(str(self), [self], ())


@dataclass(frozen=True, eq=False, repr=False)
class SoundOcclusions(Audible, Several[SoundOcclusion]):
    """What was found in several sounds; ``found[0]`` gives one, iterating gives them in order.

    Examples
    --------
    >>> found = dc.occlude(ear, ["song.wav", "song.wav"], shape="time", window=0.5, stride=0.5, progress=False)
    >>> len(found), found[0].image
    (2, 'song.wav')
    >>> found.to_dataframe().columns.to_list()
    ['image', 'window', 'low_hz', 'from_s', 'high_hz', 'to_s', 'target', 'logit', 'probability']
    >>> found.plot()
    <Figure size ... with 8 Axes>
    >>> found.save("songs.csv")
    PosixPath('songs.csv')
    """

    def plot(self) -> Figure:
        """Draw the figures of all below each other."""
        from diamond.show.sound_figures import sound_figure

        return sound_figure(self.rows)

    def _sounds(self) -> list[Sound]:
        return [row.alone() for row in self.rows]

    def __str__(self) -> str:
        return f"{self.rows[0].network}: occlusion of {len(self)} sound{'s' * (len(self) != 1)}"

    def _page(self) -> str:
        return _page_of(str(self), self.rows, self.skipped)


def _page_of(title: str, rows: Sequence[SoundOcclusion], skipped: Sequence[str]) -> str:
    from diamond.show.pages import figure_uri, page
    from diamond.show.saving import wav_uri

    return page(
        "sound_occlusion.html",
        title=title,
        sounds=rows,
        figures=[figure_uri(row.plot()) for row in rows],
        players=[[(words, wav_uri(sound)) for words, sound in row.players] for row in rows],
        skipped=skipped,
    )
