"""Groups of channels that were found in pictures: factors, maps and effects, and how they are looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from diamond.attribution.targets import in_words
from diamond.show.result import Result
from spritemaps import Spritemap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Groups"]

SHOWN_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Groups(Result):
    """Groups of channels, the one with the largest effect on the class first.

    Attributes
    ----------
    network, layer
        Which network, which layer.
    images
        A word for each picture.
    maps
        ``(image, rows, columns, k)``: how strong each group is at each place, in units of the activation.
    factors
        ``(k, channel)``: of what channels each group is made, each row of length 1.
    effects
        ``(k,)`` what the class score owes each group, in logits: the mean over the pictures.
    per_image
        ``(image, k)`` the same of each picture.
    totals
        ``(image,)`` what it owes the whole layer: gradient times activation, summed.
    explained, clipped
        Shares from 0 to 1: how much of the squares of the activations above zero the groups explain, and how much of
        the activations lay below zero, where no group can be.
    positive, negative
        Class asked about, and class held against it, for each picture; `negative` is empty where there was none.
    logits
        ``(image,)`` the score.
    pictures
        ``(up to 6, height, width, 3)`` the first of them as the network saw them, in [0, 1].
    skipped
        Name and reason of each file that gave no picture.
    sprites
        The layer's spritemap, or None where no store has one.
    rendered
        ``(k, height, width, 3)`` a picture of each group in [0, 1]; None where none was asked for.

    Examples
    --------
    >>> found = dc.groups(net, ["cat.jpg", "coffee.jpg"], "block9_add", k=4, progress=False)
    >>> found.network, found.layer, found.images, found.question
    ('EfficientNetLite0', 'block9_add', ('cat.jpg', 'coffee.jpg'), 'tiger cat / espresso')
    >>> found.positive, found.negative, found.logits.round(1)
    (('tiger cat', 'espresso'), (), array([ 9.2, 11.4], dtype=float32))
    >>> found.maps.shape, found.factors.shape, found.pictures.shape
    ((2, 14, 14, 4), (4, 112), (2, 224, 224, 3))
    >>> found.effects.shape, found.per_image.shape, found.totals.round(1)
    ((4,), (2, 4), array([-1.7, -0.3], dtype=float32))
    >>> round(found.explained, 1), round(found.clipped, 1), found.rendered, found.skipped
    (0.5, 0.5, None, ())
    >>> len(found.top_channels(0)), found.sprites
    (4, Spritemap('EfficientNetLite0', 'block9_add': 112 channels, 96 px, recipe 'sprite'))
    >>> found.summary[:12]
    'They explain'
    >>> found.to_dataframe().columns.to_list()
    ['group', 'effect', 'channels', 'cat.jpg', 'coffee.jpg']
    >>> found.plot()
    <Figure size ... with 16 Axes>
    >>> found.save("groups.npz")
    PosixPath('groups.npz')
    """

    network: str
    layer: str
    images: tuple[str, ...]
    maps: np.ndarray
    factors: np.ndarray
    effects: np.ndarray
    per_image: np.ndarray
    totals: np.ndarray
    explained: float
    clipped: float
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    logits: np.ndarray
    pictures: np.ndarray = field(repr=False)
    sprites: Spritemap | None = field(repr=False, default=None)
    rendered: np.ndarray | None = field(repr=False, default=None)
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.factors)

    @property
    def question(self) -> str:
        """The class or classes asked about, in words."""
        return in_words(self.positive, self.negative)

    def top_channels(self, group: int, n: int = SHOWN_CHANNELS) -> tuple[int, ...]:
        """Give the channels a group is mostly made of, the largest first, those it has none of left out.

        Parameters
        ----------
        group
            Which, from 0.
        n
            How many at most.
        """
        order = np.argsort(-self.factors[group], kind="stable")[:n]
        return tuple(int(channel) for channel in order if self.factors[group, channel] > 0)

    @property
    def summary(self) -> str:
        """How much of the layer the groups carry, in a sentence."""
        above = " that lie above zero" if self.clipped > 0 else ""
        carried = f"They explain {100 * self.explained:.0f} % of the activations{above} (of their squares)"
        owed = f"and carry {self.effects.sum():+.2f} of the layer's {self.totals.mean():+.2f} logits"
        below = ""
        if self.clipped > 0:
            below = f". {100 * self.clipped:.0f} % of the activations lie below zero, where no group can be"
        return f"{carried} {owed}{below}."

    def to_dataframe(self) -> pd.DataFrame:
        """One row a group: group (from 1), effect, channels, then one column a picture."""
        import pandas as pd

        table = pd.DataFrame(
            {
                "group": np.arange(1, len(self) + 1),
                "effect": self.effects,
                "channels": [" ".join(map(str, self.top_channels(i))) for i in range(len(self))],
            }
        )
        for i, name in enumerate(self.images):
            table[name if self.images.count(name) == 1 else f"{name} ({i})"] = self.per_image[i]
        return table

    def plot(self) -> Figure:
        """Draw each group's picture, effect, and map over the pictures."""
        from diamond.show.attribution_figures import groups_figure

        return groups_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("maps", "factors", "effects", "per_image", "totals", "logits", "pictures")
        arrays = {name: getattr(self, name) for name in names}
        if self.rendered is not None:
            arrays["rendered"] = self.rendered
        return arrays

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: {len(self)} groups for {self.question}"

    def __repr__(self) -> str:
        listed = "\n".join(
            f"  group {i + 1}: effect {effect:+.3g}, channels {' '.join(map(str, self.top_channels(i)))}"
            for i, effect in enumerate(self.effects)
        )
        return f"{self}\n{self.summary}\n{listed}"

    def _page(self) -> str:
        from diamond.show.pages import page, picture_uri
        from diamond.show.tints import colour_of, strongest, tint

        # One scale a group for all pictures, so that a faint map is a faint map.
        most = self.maps.max(axis=(0, 1, 2))
        upward = self.maps[:, ::-1] if self.pictures.shape[-1] == 1 else self.maps

        def map_uri(image: int, group: int | None = None) -> str:
            if group is None:
                return picture_uri(strongest(upward[image], most))
            return picture_uri(tint(upward[image, ..., group], group, float(most[group])))

        return page("groups.html", title=str(self), groups=self, map_uri=map_uri, colour_of=colour_of)
