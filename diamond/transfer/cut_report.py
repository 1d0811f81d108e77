"""What was found where a network can be cut for some data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.result import Result
from diamond.transfer.choose import Choice
from spritemaps import Spritemap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Cut", "CutReport"]


@dataclass(frozen=True, eq=False)
class Cut:
    """One place to cut a network, and how well its features tell the classes apart.

    Attributes
    ----------
    layer
        Address of the last layer that is kept.
    accuracies
        ``(fold,)`` balanced accuracy of a linear probe on unseen rows.
    hits
        ``(n,)`` how often the probe answered each sample rightly, of the times it was asked.
    error
        Standard error of the accuracies' mean.
    knn
        Balanced accuracy of the five nearest neighbours, the mean over the folds.
    h_alpha, log_me
        Scores in closed form: see `diamond.transfer.scores`.
    effective_rank
        How many directions the features really use.
    channels, dead, idle
        How many channels there are, how many are 0 everywhere, and how many the same for all samples.
    shape
        Of the layer's output for one picture.
    sees_px
        Sides of its receptive field in pixels; None where it is not known.
    parameters, multiply_adds, peak_bytes
        What the network takes up to here, for one picture.
    latency_s
        Seconds from one picture to here, measured; None where it was not.
    carrying
        ``(up to 8,)`` the channels that the probe relies on most.
    weights
        ``(up to 8,)`` how much, as shares of all channels' weight.
    sprites
        The layer's spritemap, or None where no store has one.
    """

    layer: str
    accuracies: np.ndarray = field(repr=False)
    hits: np.ndarray = field(repr=False)
    error: float
    knn: float
    h_alpha: float
    log_me: float
    effective_rank: float
    channels: int
    dead: int
    idle: int
    shape: tuple[int | None, ...]
    sees_px: tuple[float, ...] | None
    parameters: int
    multiply_adds: float
    peak_bytes: int
    latency_s: float | None
    carrying: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    sprites: Spritemap | None = field(repr=False, default=None)

    @property
    def accuracy(self) -> float:
        """Balanced accuracy of the probe, the mean over the folds."""
        return float(self.accuracies.mean())


@dataclass(frozen=True, eq=False)
class CutReport(Result):
    """Every cut of a network, measured on some data, and which of them is recommended.

    Attributes
    ----------
    network
        Its name.
    cuts
        In the order of the network.
    choice
        Which is best, which cannot be told from it, which is recommended, by number.
    classes, counts
        The classes' names, and how many samples of each were read.
    folds, repeats
        How the probes were asked.
    skipped
        Name and reason of each sample that could not be read.
    notes
        What to know about these data, in sentences.
    scan_s
        Seconds of the one pass over the data.

    Examples
    --------
    >>> report = dc.cut_points(net, "textures/train", layers=["block2_add", "block4_add"], latency=False, progress=False)
    >>> report.network, report.classes, report.counts, report.folds, report.repeats, report.skipped
    ('EfficientNetLite0', ('brick', 'grass', 'gravel'), (12, 12, 12), 5, 4, ())
    >>> report.recommended in report.tied, report.best in report.tied, round(report.chance, 2)
    (True, True, 0.33)
    >>> [cut.layer for cut in report.cuts], report.choice.recommended in (0, 1), report.scan_s > 0, len(report.notes)
    (['block2_add', 'block4_add'], True, True, 1)
    >>> report.sentence[:28]
    'Cut EfficientNetLite0 at blo'
    >>> report.to_dataframe().columns.to_list()
    ['layer', 'accuracy', 'standard_error', 'below_best', 'tied', 'recommended', 'knn', 'h_alpha', 'log_me',
     'channels', 'dead', 'idle', 'effective_rank', 'shape', 'sees_px', 'parameters', 'multiply_adds',
     'peak_bytes', 'latency_s']
    >>> report.plot()
    <Figure size ... with 1 Axes>
    >>> report.save("cuts.html")
    PosixPath('cuts.html')
    """

    FRAME_PX: ClassVar[int] = 900

    network: str
    cuts: tuple[Cut, ...]
    choice: Choice
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    folds: int
    repeats: int
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    scan_s: float = 0.0

    @property
    def recommended(self) -> str | None:
        """Address of the recommended cut; None where no cut tells the classes better than guessing."""
        return None if self.choice.recommended is None else self.cuts[self.choice.recommended].layer

    @property
    def tied(self) -> tuple[str, ...]:
        """Addresses of the cuts that cannot be told from the best."""
        return tuple(self.cuts[number].layer for number in self.choice.tied)

    @property
    def best(self) -> str:
        """Address of the most accurate cut."""
        return self.cuts[self.choice.best].layer

    @property
    def chance(self) -> float:
        """Balanced accuracy of guessing."""
        return 1.0 / sum(n > 0 for n in self.counts)

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        n, best = sum(self.counts), self.cuts[self.choice.best]
        if self.choice.recommended is None:
            return (
                f"No cut of {self.network} tells these {n:,} samples' classes better than guessing ({self.chance:.0%}): "
                "the cuts are indistinguishable, and none is recommended."
            )
        found = self.cuts[self.choice.recommended]
        share = found.multiply_adds / max(cut.multiply_adds for cut in self.cuts)
        begin = f"Cut {self.network} at {found.layer}: {found.accuracy:.1%} ± {found.error:.1%} of {n:,} samples"
        costs = f"{share:.0%} of the work and {found.parameters:,} parameters"
        if self.choice.is_tie and len(self.cuts) > 1:
            return f"{begin}, at {costs}; all {len(self.cuts)} cuts are indistinguishable, and it is the cheapest."
        if len(self.tied) == 1:
            return f"{begin}, at {costs}; no other cut is as good."
        ahead = "" if found is best else f" ({best.layer} has {best.accuracy:.1%})"
        return f"{begin}, at {costs}; it is the cheapest of {len(self.tied)} that cannot be told from the best{ahead}."

    def to_dataframe(self) -> pd.DataFrame:
        """One row a cut, in the order of the network."""
        import pandas as pd

        chosen, tied = self.choice.recommended, set(self.choice.tied)
        return pd.DataFrame(
            [
                {
                    "layer": cut.layer,
                    "accuracy": cut.accuracy,
                    "standard_error": cut.error,
                    "below_best": self.choice.differences[number],
                    "tied": number in tied,
                    "recommended": number == chosen,
                    "knn": cut.knn,
                    "h_alpha": cut.h_alpha,
                    "log_me": cut.log_me,
                    "channels": cut.channels,
                    "dead": cut.dead,
                    "idle": cut.idle,
                    "effective_rank": cut.effective_rank,
                    "shape": " x ".join(str(extent) for extent in cut.shape),
                    "sees_px": None if cut.sees_px is None else max(cut.sees_px),
                    "parameters": cut.parameters,
                    "multiply_adds": cut.multiply_adds,
                    "peak_bytes": cut.peak_bytes,
                    "latency_s": cut.latency_s,
                }
                for number, cut in enumerate(self.cuts)
            ]
        )

    def plot(self) -> Figure:
        """Draw accuracy against multiply-adds, with error bars; the tied region shaded, the recommended cut marked."""
        from diamond.show.cut_figure import cut_figure

        return cut_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        table = self.to_dataframe()
        arrays = {str(name): table[name].to_numpy() for name in table if table[name].dtype != object}
        names = np.array([cut.layer for cut in self.cuts])
        return {**arrays, "layer": names, "accuracies": np.stack([cut.accuracies for cut in self.cuts])}

    def __str__(self) -> str:
        return f"{self.network}: where to cut it for {len(self.classes)} classes, {sum(self.counts):,} samples"

    def __repr__(self) -> str:
        rows = [
            f"  {'>' if number == self.choice.recommended else '=' if number in self.choice.tied else ' '} "
            f"{cut.layer:<28} {cut.accuracy:6.1%} ± {cut.error:.1%}  {cut.multiply_adds / 1e6:10,.0f} M"
            for number, cut in enumerate(self.cuts)
        ]
        return "\n".join([str(self), *rows, self.sentence, *self.notes])

    def _page(self) -> str:
        from diamond.show.pages import figure_uri, page

        return page("cut_report.html", title=str(self), report=self, figure=figure_uri(self.plot()))
