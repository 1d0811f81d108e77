"""What was found when channels, cells or groups were removed: estimate beside truth, and how far to trust the first."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from diamond.attribution.targets import in_words
from diamond.show.result import Result
from spritemaps import Spritemap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Ablation", "rank_correlation"]

# Ranks of two units agree or disagree, no more.
FEWEST = 3
# Truths closer than this, in units of the largest logit, differ by rounding alone.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Ablation(Result):
    """What the class score loses without each of some units, beside the linear estimate of it.

    Attributes
    ----------
    network, layer
        Which network, which layer.
    images
        A word for each picture.
    kind
        ``"channel"``, ``"cell"`` or ``"group"``.
    units
        ``(n,)`` channel or group numbers, or ``(n, 2)`` rows and columns of cells.
    estimates, truths
        ``(n,)`` in units of the logit, the mean over the pictures: gradient times what was removed, and by how much the
        score fell when it was. Positive where the unit speaks for the class.
    per_image_estimates, per_image_truths
        ``(image, n)`` the same of each picture.
    fill
        What stood in its place: ``"zero"`` or ``"mean"``.
    positive, negative
        Class asked about, and class held against it, for each picture; `negative` is empty where there was none.
    logits
        ``(image,)`` the score with nothing removed.
    pictures
        ``(up to 6, height, width, 3)`` the first of them as the network saw them, in [0, 1].
    skipped
        Name and reason of each file that gave no picture.
    sprites
        The layer's spritemap, or None where no store has one, and for cells and groups.

    Examples
    --------
    >>> found = dc.ablate(net, "cat.jpg", "block9_add", channels=[71, 25, 96], fill="mean", progress=False)
    >>> found.network, found.layer, found.images, found.kind, found.fill
    ('EfficientNetLite0', 'block9_add', ('cat.jpg',), 'channel', 'mean')
    >>> found.question, found.positive, found.negative, found.logits.round(1)
    ('tiger cat', ('tiger cat',), (), array([9.2], dtype=float32))
    >>> found.units, found.labels, found.estimates.round(2), found.truths.round(2)
    (array([71, 25, 96]), ('71', '25', '96'), array([ 0.34, -0.24, -0.08], dtype=float32), array([ 0.27, -0.21,
     -0.1 ], dtype=float32))
    >>> found.per_image_estimates.shape, found.per_image_truths.shape, found.pictures.shape
    ((1, 3), (1, 3), (1, 224, 224, 3))
    >>> found.same_sign, round(found.trust, 1), found.skipped, found.sprites.layer
    (3, 1.0, (), 'block9_add')
    >>> print(found.verdict)
    The estimate puts them nearly in their true order: rank correlation 1.00 over 3 channels; the same sign for 3 of 3.
    >>> found.to_dataframe().round(2)
       channel  estimate  truth
    0       71      0.34   0.27
    1       25     -0.24  -0.21
    2       96     -0.08  -0.10
    >>> found.plot()
    <Figure size ... with 2 Axes>
    >>> found.save("ablation.html")
    PosixPath('ablation.html')
    """

    network: str
    layer: str
    images: tuple[str, ...]
    kind: str
    units: np.ndarray
    estimates: np.ndarray
    truths: np.ndarray
    per_image_estimates: np.ndarray
    per_image_truths: np.ndarray
    fill: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    logits: np.ndarray
    pictures: np.ndarray = field(repr=False)
    sprites: Spritemap | None = field(repr=False, default=None)
    skipped: tuple[str, ...] = ()

    @cached_property
    def trust(self) -> float | None:
        """Spearman's rank correlation of estimates and truths over the units, from -1 to 1.

        None for fewer than three units, and where all estimates or all truths are the same: there is no order then.
        """
        rounding = ROUNDING * max(1.0, float(np.abs(self.logits).max()))
        return rank_correlation(self.estimates, self.truths, rounding)

    @property
    def same_sign(self) -> int:
        """For how many units estimate and truth point the same way."""
        return int((np.sign(self.estimates) == np.sign(self.truths)).sum())

    @property
    def labels(self) -> tuple[str, ...]:
        """A word for each unit: the channel's number, ``row, column`` of a cell, ``group 1`` ... from 1."""
        if self.kind == "cell":
            return tuple(f"{row}, {column}" for row, column in self.units)
        return tuple(f"group {unit + 1}" if self.kind == "group" else str(unit) for unit in self.units)

    @property
    def question(self) -> str:
        """The class or classes asked about, in words."""
        return in_words(self.positive, self.negative)

    @property
    def verdict(self) -> str:
        """How far the estimate can be trusted, in a sentence."""
        n = len(self.units)
        if self.trust is None:
            return f"{n} {self.kind}{'s' * (n != 1)}: too few or too alike to say how far the estimate can be trusted."
        if self.trust >= 0.8:
            words = "The estimate puts them nearly in their true order"
        elif self.trust >= 0.5:
            words = "The estimate puts them roughly in their true order"
        else:
            words = "Do not trust the estimate's order here: read the true loss"
        return (
            f"{words}: rank correlation {self.trust:.2f} over {n} {self.kind}s; "
            f"the same sign for {self.same_sign} of {n}."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a unit: channel, group, or row and column; estimate; truth."""
        import pandas as pd

        names = (
            {"row": self.units[:, 0], "column": self.units[:, 1]} if self.kind == "cell" else {self.kind: self.units}
        )
        return pd.DataFrame({**names, "estimate": self.estimates, "truth": self.truths})

    def plot(self) -> Figure:
        """Draw truth over estimate with the diagonal, and both as bars side by side."""
        from diamond.show.attribution_figures import ablation_figure

        return ablation_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("units", "estimates", "truths", "per_image_estimates", "per_image_truths", "logits", "pictures")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: what {self.question} loses without each {self.kind}"

    def __repr__(self) -> str:
        each = zip(self.labels, self.estimates, self.truths, strict=True)
        listed = "\n".join(f"  {label}: estimate {e:+.3g}, truth {t:+.3g}" for label, e, t in each)
        return f"{self}\n{self.verdict}\n{listed}"

    def _page(self) -> str:
        from diamond.show.layouts import scatter
        from diamond.show.pages import page

        points = scatter(self.estimates, self.truths)
        return page("ablation.html", title=str(self), ablation=self, points=points)


def rank_correlation(first: np.ndarray, second: np.ndarray, rounding: float = 0.0) -> float | None:
    """Give Spearman's rank correlation; None for fewer than three pairs, and where one side is all the same.

    Parameters
    ----------
    first, second
        ``(n,)`` values, paired.
    rounding
        How far apart values may lie and still be the same.
    """
    if len(first) < FEWEST or min(np.ptp(first), np.ptp(second)) <= rounding:
        return None
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    return float(spearmanr(first, second).statistic)
