"""What channel attribution finds: the channels of a layer in order, and the same for several layers.

    found = channel_attribution(net, "photos/", ["block4_add", "block14_add"], positive="tabby", negative="tiger cat")
    found["block14_add"].channels, found["block14_add"].scores     # most for the tabby
    found["block14_add"].opposed                                   # most for the tiger cat
    found.save("cats.html")

Of thousands of pictures the numbers of each are kept, and the first few pictures themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.attribution.targets import in_words
from diamond.show.result import Result
from spritemaps import Spritemap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["AttributionByLayer", "ChannelAttribution"]

MOST_LISTED = 12
MANY_COLUMNS = 100


@dataclass(frozen=True, eq=False)
class ChannelAttribution(Result):
    """The channels of a layer that speak most for a class.

    Attributes
    ----------
    network, layer
        Which network, which layer.
    images
        A word for each picture.
    channels
        ``(top,)`` channel numbers, the highest score first.
    scores
        ``(top,)`` their attributions, summed over the pictures: in units of the logit, or, where no class was asked
        about, the mean activation over all places.
    per_image
        ``(image, top)`` the same of each picture.
    all_scores
        ``(image, channel)`` of every channel of the layer.
    positive, negative
        Class asked about, and class held against it, for each picture; empty where there was none.
    logits
        ``(image,)`` the score that is explained: the logit, the difference of two, or the log odds against all others.
        NaN where no class was asked about.
    pictures
        ``(up to 6, height, width, 3)`` the first of them as the network saw them, in [0, 1].
    sprites
        The layer's spritemap, or None where no store has one.
    method
        ``"gradient"``, ``"path"`` or ``"activation"``.
    changes
        ``(image,)`` by how much the score falls when the whole layer is set to zero, which all channels together add up
        to; only along the path, else None.
    skipped
        Name and reason of each file that gave no picture.

    Examples
    --------
    >>> photos = ["cat.jpg", "coffee.jpg"]
    >>> found = dc.channel_attribution(net, photos, "block9_add", positive="tabby", negative="tiger cat", top=3)
    >>> found.network, found.layer, found.images, found.method
    ('EfficientNetLite0', 'block9_add', ('cat.jpg', 'coffee.jpg'), 'gradient')
    >>> found.question, found.opponent, found.measure
    ('tabby against tiger cat', 'tiger cat', 'gradient x activation, in logits, summed over 2 pictures')
    >>> found.positive, found.negative, found.logits.round(1)
    (('tabby', 'tabby'), ('tiger cat', 'tiger cat'), array([-0.8, -0.5], dtype=float32))
    >>> found.channels, found.scores.round(2), round(found.strongest, 2), found.opposed
    (array([ 4, 30,  0]), array([0.5 , 0.3 , 0.24], dtype=float32), 0.5, array([96, 38, 18]))
    >>> found.per_image.shape, found.all_scores.shape, found.totals.shape, found.means.shape, found.spreads.shape
    ((2, 3), (2, 112), (112,), (112,), (112,))
    >>> found.changes, found.skipped, found.pictures.shape
    (None, (), (2, 224, 224, 3))
    >>> found.sprites
    Spritemap('EfficientNetLite0', 'block9_add': 112 channels, 96 px, recipe 'sprite')
    >>> found.to_dataframe().iloc[:2, :3].round(2)
       channel  score  mean
    0        4    0.5  0.25
    1       30    0.3  0.15
    >>> found.plot()
    <Figure size ... with 14 Axes>
    >>> found.save("cat.html")
    PosixPath('cat.html')
    """

    network: str
    layer: str
    images: tuple[str, ...]
    channels: np.ndarray
    scores: np.ndarray
    per_image: np.ndarray
    all_scores: np.ndarray
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    logits: np.ndarray
    pictures: np.ndarray = field(repr=False)
    sprites: Spritemap | None = field(repr=False, default=None)
    method: str = "gradient"
    changes: np.ndarray | None = None
    skipped: tuple[str, ...] = ()

    @cached_property
    def totals(self) -> np.ndarray:
        """``(channel,)`` score of every channel, summed over the pictures."""
        return np.asarray(self.all_scores.sum(axis=0, dtype=np.float64), np.float32)

    @cached_property
    def means(self) -> np.ndarray:
        """``(channel,)`` mean score of every channel over the pictures."""
        return np.asarray(self.all_scores.mean(axis=0, dtype=np.float64), np.float32)

    @cached_property
    def spreads(self) -> np.ndarray:
        """``(channel,)`` standard deviation of every channel's score over the pictures (n - 1); 0 for one picture."""
        if len(self.all_scores) < 2:
            return np.zeros_like(self.means)
        return np.asarray(self.all_scores.std(axis=0, ddof=1, dtype=np.float64), np.float32)

    @cached_property
    def opposed(self) -> np.ndarray:
        """``(up to top,)`` channels that speak most for the class held against, lowest score first; empty without one."""
        if not self.negative:
            return np.zeros(0, self.channels.dtype)
        order = np.argsort(self.totals, kind="stable")[: len(self.channels)]
        return order[self.totals[order] < 0]

    @property
    def strongest(self) -> float:
        """How far from zero the scores of the named channels reach."""
        return float(np.abs(self.totals[np.concatenate([self.channels, self.opposed])]).max())

    @property
    def question(self) -> str:
        """The class or classes asked about, in words."""
        return in_words(self.positive, self.negative)

    @property
    def opponent(self) -> str:
        """What the class is held against, in words; empty without one."""
        return in_words(self.negative, ()) if self.negative else ""

    @property
    def measure(self) -> str:
        """What a score is, in words."""
        words = {
            "gradient": "gradient x activation, in logits",
            "path": "gradients along the path from zero x activation, in logits",
            "activation": "mean activation over all places",
        }[self.method]
        return words if len(self.images) == 1 else f"{words}, summed over {len(self.images):,} pictures"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a channel: channel, score, mean, spread (of one picture's score), then one column a picture.

        The channels that speak for the class held against follow, lowest first. Beyond 100 pictures their columns are
        left out; `per_image` has them.
        """
        import pandas as pd

        rows = np.concatenate([self.channels, [c for c in self.opposed if c not in set(self.channels.tolist())]])
        rows = rows.astype(int)
        columns = {
            "channel": rows,
            "score": self.totals[rows],
            "mean": self.means[rows],
            "spread": self.spreads[rows],
        }
        if len(self.images) <= MANY_COLUMNS:
            for i, name in enumerate(self.images):
                label = name if self.images.count(name) == 1 else f"{name} ({i})"
                columns[label] = self.all_scores[i, rows]
        return pd.DataFrame(columns)

    def plot(self) -> Figure:
        """Draw the pictures and the top channels' sprites with their scores."""
        from diamond.show.figures import channel_figure

        return channel_figure([self])

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: channels for {self.question}"

    def __repr__(self) -> str:
        def listed(channels: np.ndarray) -> str:
            return ", ".join(f"{c} ({self.totals[c]:.3g})" for c in channels[:MOST_LISTED])

        against = f"; against: {listed(self.opposed)}" if len(self.opposed) else ""
        skipped = f"; {len(self.skipped)} skipped" if self.skipped else ""
        return f"{self}: {listed(self.channels)}{against}{skipped}"

    def _page(self) -> str:
        from diamond.show.pages import page

        return page("channel_attribution.html", title=str(self), rows=[self])

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("channels", "scores", "per_image", "all_scores", "logits", "pictures", "opposed", "means", "spreads")
        changes = {} if self.changes is None else {"changes": self.changes}
        return {name: getattr(self, name) for name in names} | changes


@dataclass(frozen=True, eq=False)
class AttributionByLayer(Result):
    """The channels that speak most for a class, layer by layer, for the same pictures.

    ``found["block9_add"]`` or ``found[1]`` gives a layer's `ChannelAttribution`; iterating gives them in order.

    Attributes
    ----------
    rows
        One a layer, in the order asked for.

    Examples
    --------
    >>> found = dc.channel_attribution(net, "cat.jpg", ["block4_add", "block9_add"], top=3)
    >>> found.layers, [row.channels.tolist() for row in found.rows]
    (('block4_add', 'block9_add'), [[4, 23, 27], [48, 96, 71]])
    >>> found["block9_add"].channels
    array([48, 96, 71])
    >>> found.to_dataframe().iloc[[0, 3], :3].round(2)
            layer  channel  score
    0  block4_add        4   0.39
    3  block9_add       48   0.45
    >>> found.plot()
    <Figure size ... with 13 Axes>
    >>> found.save("cat.csv")
    PosixPath('cat.csv')
    """

    rows: tuple[ChannelAttribution, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ChannelAttribution]:
        return iter(self.rows)

    def __getitem__(self, layer: str | int) -> ChannelAttribution:
        """Give one layer's.

        Raises
        ------
        KeyError
            For a layer that is not among them, naming those that are.
        """
        if not isinstance(layer, str):
            return self.rows[layer]
        for row in self.rows:
            if row.layer == layer:
                return row
        raise KeyError(f"no layer {layer!r} was asked about; those were: {', '.join(self.layers)}")

    @property
    def layers(self) -> tuple[str, ...]:
        """Addresses of the layers."""
        return tuple(row.layer for row in self.rows)

    def to_dataframe(self) -> pd.DataFrame:
        """The tables of the layers below each other, with the layer in a first column."""
        import pandas as pd

        tables = [row.to_dataframe() for row in self.rows]
        for row, table in zip(self.rows, tables, strict=True):
            table.insert(0, "layer", row.layer)
        return pd.concat(tables, ignore_index=True)

    def plot(self) -> Figure:
        """Draw the pictures and, a row a layer, the top channels' sprites with their scores."""
        from diamond.show.figures import channel_figure

        return channel_figure(self.rows)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays: dict[str, Any] = {"pictures": self.rows[0].pictures}
        for row in self.rows:
            arrays |= {f"{row.layer}:{name}": value for name, value in row._arrays().items() if name != "pictures"}
        return arrays

    def __str__(self) -> str:
        first = self.rows[0]
        return f"{first.network}: channels of {len(self)} layers for {first.question}"

    def __repr__(self) -> str:
        return "\n".join(repr(row) for row in self.rows)

    def _page(self) -> str:
        from diamond.show.pages import page

        return page("channel_attribution.html", title=str(self), rows=list(self.rows))
