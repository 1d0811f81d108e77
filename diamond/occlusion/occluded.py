"""What was found when parts of a picture were covered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from diamond.occlusion.windows import Windows
from diamond.show.heat import visible
from diamond.show.result import Result
from diamond.show.several import Several

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["OcclusionMap", "OcclusionMaps"]


@dataclass(frozen=True, eq=False)
class OcclusionMap(Result):
    """What the score of each target loses where a picture is covered: orange where the part speaks for the class.

    Attributes
    ----------
    network, image
        Which network and picture.
    targets
        The class asked about, or several.
    heatmaps, probability_heatmaps
        ``(target, height, width)`` in units of the logit, and of probability: the mean over all windows that cover a
        pixel of how much the score falls when they do. 0 where none does. In pixels of `picture`; of a layer in its
        cells.
    scores, probability_scores
        ``(n, target)`` the same of each window, or each channel. Of windows that `measured` does not name, what was
        made up from those around them.
    windows
        Where they lie; None where channels were covered.
    logits, probabilities
        ``(target,)`` with nothing covered.
    coverage
        ``(height, width)`` how many windows cover each pixel.
    measured
        ``(n,)`` of which windows the network was asked.
    picture
        ``(height, width, channels)`` as the network saw it, in [0, 1].
    fill
        What stood in the windows, in words.
    outside
        Whether all but the window was covered; the scores are then what the window alone gains over the whole fill.
    layer
        Address of the layer whose cells or channels were covered; None where it was the picture.
    method, why
        ``"full"``, ``"incremental"`` or ``"drilldown"``, and why it was taken.
    errors
        ``(target,)`` in logits: the estimated root of the mean square of the heatmap's error; None where it is exact.
    by_boxes, saved
        Of the incremental way: share of all multiply-adds that lies where only boxes are computed, and share that is
        saved by it, from 0 to 1.
    seconds
        How long it took, compiling included.
    batch, batch_bytes
        How many covered pictures at a time, and what the layers hold for them at most, by count.

    Examples
    --------
    >>> targets = ["tabby", "tiger cat"]
    >>> found = dc.occlude(net, "cat.jpg", target=targets, window=64, stride=32, method="incremental", progress=False)
    >>> found.network, found.image, found.targets, found.question, found.fill, found.outside, found.layer
    ('EfficientNetLite0', 'cat.jpg', ('tabby', 'tiger cat'), 'tabby / tiger cat', "the picture's mean colour", False, None)
    >>> found.heatmap.shape, found.heatmaps.shape, found.probability_heatmaps.shape, found.picture.shape
    ((224, 224), (2, 224, 224), (2, 224, 224), (224, 224, 3))
    >>> found.scores.shape, found.probability_scores.shape, found.logits.round(1), found.probabilities.round(2)
    ((36, 2), (36, 2), array([8.4, 9.2], dtype=float32), array([0.17, 0.38], dtype=float32))
    >>> len(found.windows), found.noun, found.nouns, int(found.coverage.max()), found.gap, bool(found.measured.all())
    (36, 'window', 'windows', 4, 0.0, True)
    >>> found.strongest(count=3), found.place(0), found.part(0).shape
    (array([16, 23, 10]), 'rows 0 to 63, columns 0 to 63', (64, 64, 4))
    >>> found.method, found.errors, round(found.by_boxes, 2), float(round(found.saved, 2)), found.why != ""
    ('incremental', None, 0.37, 0.26, True)
    >>> found.seconds > 0, found.batch > 0, found.batch_bytes > 0, len(found.facts)
    (True, True, True, 2)
    >>> found.to_dataframe().iloc[:2, -4:].round(2)
          target  logit  probability  measured
    0      tabby  -0.09        -0.01      True
    1  tiger cat   0.23         0.08      True
    >>> found.plot()
    <Figure size ... with 5 Axes>
    >>> found.save("occlusion.html")
    PosixPath('occlusion.html')
    """

    network: str
    image: str
    targets: tuple[str, ...]
    heatmaps: np.ndarray = field(repr=False)
    probability_heatmaps: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    probability_scores: np.ndarray = field(repr=False)
    windows: Windows | None
    logits: np.ndarray
    probabilities: np.ndarray
    coverage: np.ndarray = field(repr=False)
    measured: np.ndarray = field(repr=False)
    picture: np.ndarray = field(repr=False)
    fill: str
    outside: bool = False
    layer: str | None = None
    method: str = "full"
    why: str = ""
    errors: np.ndarray | None = None
    by_boxes: float = 0.0
    saved: float = 0.0
    seconds: float = 0.0
    batch: int = 1
    batch_bytes: int = 0

    @property
    def heatmap(self) -> np.ndarray:
        """``(height, width)`` the first target's, in units of the logit."""
        found: np.ndarray = self.heatmaps[0]
        return found

    @property
    def noun(self) -> str:
        """What was covered: ``"window"``, ``"disc"``, ``"area"``, ``"mask"`` or ``"channel"``."""
        if self.windows is None:
            return "channel"
        return {"area": "area", "mask": "mask", "disc": "disc"}.get(self.windows.shape, "window")

    @property
    def question(self) -> str:
        """The class or classes asked about, in words."""
        return " / ".join(self.targets)

    @property
    def gap(self) -> float:
        """Share of the pixels that no window covers."""
        return float((self.coverage <= 0).mean())

    def strongest(self, target: int = 0, count: int = 6) -> np.ndarray:
        """Give the numbers of the windows that change a target's logit most, either way, of those measured.

        Parameters
        ----------
        target
            Which target, from 0.
        count
            How many at most.
        """
        order = np.argsort(-np.abs(self.scores[:, target]), kind="stable")
        found: np.ndarray = order[self.measured[order]][:count]
        return found

    @property
    def nouns(self) -> str:
        """What was covered, more than one of it."""
        return f"{self.noun}s"

    def place(self, number: int) -> str:
        """Where a window lies, in words.

        Parameters
        ----------
        number
            Which window or channel, from 0.
        """
        if self.windows is None:
            return f"channel {number}"
        top, left, bottom, right = self.windows.boxes[number]
        return f"rows {top} to {bottom - 1}, columns {left} to {right - 1}"

    def part(self, number: int) -> np.ndarray:
        """Give the part of the picture that a window covers, ``(height, width, 4)``, opacity last.

        Parameters
        ----------
        number
            Which window, from 0.

        Raises
        ------
        ValueError
            Where it was a layer that was covered.
        """
        if self.windows is None or self.layer is not None:
            raise ValueError(f"parts of {self.layer!r} were covered: they show no part of the picture")
        top, left, bottom, right = self.windows.boxes[number]
        mask = self.windows.masks([number]).numpy()[0, top:bottom, left:right, None]
        upward = slice(None, None, -1) if self.picture.shape[-1] == 1 else slice(None)
        return np.concatenate([visible(self.picture[top:bottom, left:right]), mask[upward]], axis=-1)

    @property
    def facts(self) -> tuple[str, ...]:
        """How it was made, in sentences."""
        n, asked = len(self.measured), int(self.measured.sum())
        laid = ""
        if self.windows is not None and self.windows.window is not None and self.windows.stride is not None:
            unit = "px" if self.layer is None else "cells"
            (high, wide), (down, across) = self.windows.window, self.windows.stride
            laid = f" of {high} x {wide} {unit}, every {down} x {across}"
        kept = "all but the window covered; " if self.outside else ""
        nouns = self.noun if n == 1 else self.nouns
        facts = [f"{n:,} {nouns}{laid}; {kept}fill: {self.fill}."]
        facts.append(
            f"Method {self.method}{': ' if self.why else ''}{self.why}; {self.seconds:.1f} s, {self.batch} at a time."
        )
        if self.errors is not None:
            told = ", ".join(f"{error:.2g}" for error in self.errors)
            facts.append(f"{asked:,} of {n:,} measured; estimated error of the map: {told} logits (root mean square).")
        if self.gap > 0:
            facts.append(f"{self.gap:.1%} of the pixels are covered by none: the map is 0 there.")
        return tuple(facts)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a window (or channel) and target: where it lies, its logit and probability, whether it was measured."""
        import pandas as pd

        n, many = self.scores.shape
        table = (
            {}
            if self.windows is None
            else dict(zip(_EDGES, np.repeat(self.windows.boxes, many, axis=0).T, strict=True))
        )
        return pd.DataFrame(
            {
                "channel" if self.windows is None else "window": np.repeat(np.arange(n), many),
                **table,
                "target": np.tile(np.array(self.targets, object), n),
                "logit": self.scores.ravel(),
                "probability": self.probability_scores.ravel(),
                "measured": np.repeat(self.measured, many),
            }
        )

    def plot(self) -> Figure:
        """Draw the picture, and over it the heatmap of each target by logit and by probability."""
        from diamond.show.occlusion_figures import occlusion_figure

        return occlusion_figure([self])

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("heatmaps", "probability_heatmaps", "scores", "probability_scores", "logits", "probabilities")
        arrays = {name: getattr(self, name) for name in (*names, "coverage", "measured", "picture")}
        if self.windows is not None:
            arrays["boxes"] = self.windows.boxes
        return arrays if self.errors is None else {**arrays, "errors": self.errors}

    def __str__(self) -> str:
        where = "" if self.layer is None else f" {self.layer}"
        verb = "gains from each part alone" if self.outside else "loses where it is covered"
        return f"{self.network}{where}: what {self.question} {verb} in {self.image}"

    def __repr__(self) -> str:
        said = [
            f"  {name}: logit {logit:.3f}, probability {probability:.3f}; the map runs from {low:+.3g} to {high:+.3g}"
            for name, logit, probability, low, high in zip(
                self.targets,
                self.logits,
                self.probabilities,
                self.heatmaps.min(axis=(1, 2)),
                self.heatmaps.max(axis=(1, 2)),
                strict=True,
            )
        ]
        return "\n".join([str(self), *self.facts, *said])

    def _page(self) -> str:
        from diamond.show.pages import page

        return page("occlusion.html", title=str(self), maps=[self], skipped=())


@dataclass(frozen=True, eq=False, repr=False)
class OcclusionMaps(Several[OcclusionMap]):
    """The occlusion maps of several pictures; ``found[0]`` gives one, iterating gives them in order.

    Examples
    --------
    >>> found = dc.occlude(net, ["cat.jpg", "coffee.jpg"], window=64, stride=64, progress=False)
    >>> len(found.rows), found[1].image, found.skipped
    (2, 'coffee.jpg', ())
    >>> found.to_dataframe().columns.to_list()
    ['image', 'window', 'top', 'left', 'bottom', 'right', 'target', 'logit', 'probability', 'measured']
    >>> found.plot()
    <Figure size ... with 6 Axes>
    >>> found.save("two.csv")
    PosixPath('two.csv')
    """

    def plot(self) -> Figure:
        """Draw a row a picture."""
        from diamond.show.occlusion_figures import occlusion_figure

        return occlusion_figure(self.rows)

    def __str__(self) -> str:
        return f"{self.rows[0].network}: occlusion of {len(self)} picture{'s' * (len(self) != 1)}"

    def _page(self) -> str:
        from diamond.show.pages import page

        return page("occlusion.html", title=str(self), maps=list(self.rows), skipped=self.skipped)


_EDGES = ("top", "left", "bottom", "right")
