"""Channels told in words: the sentence, and the numbers it was made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from diamond.show.result import Result
from spritemaps import Spritemap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["ChannelWords", "Description", "Pushed", "plural"]

NAMED = 3
MOSTLY = 0.7
# Kinds that are many already, or have no plural.
MANY: tuple[str, ...] = (
    *("armor", "attire", "bedclothes", "brass", "cattle", "clothing", "crockery", "cutlery", "fish"),
    *("food", "footwear", "fruit", "furnishing", "furniture", "game", "grain", "handwear", "headdress"),
    *("hosiery", "jewelry", "media", "neckwear", "nightwear", "outerwear", "paper", "produce", "seed"),
    *("sheep", "swine", "tableware", "transport", "ware", "goods"),
)
IRREGULAR = {"wolf": "wolves", "knife": "knives", "loaf of bread": "loaves of bread", "fox": "foxes", "goose": "geese"}


@dataclass(frozen=True)
class Pushed:
    """The classes a channel pushes one way.

    Attributes
    ----------
    classes
        ``(class, push)``, the strongest first; pushes in logits, above 0.
    kind
        What most or many of them are, such as ``"hunting dog"``; None where no kind covers enough.
    share
        How much of the push the kind covers, from 0 to 1.
    members
        Those of the classes that are of the kind.
    """

    classes: tuple[tuple[str, float], ...]
    kind: str | None
    share: float
    members: tuple[str, ...]

    def told(self, verb: str) -> str:
        """``"pushes mostly hunting dogs (beagle, bluetick, Walker hound)"``."""
        if not self.classes:
            return f"{verb} no class above the others"
        if self.kind is not None:
            much = "mostly" if self.share >= MOSTLY else "partly"
            return f"{verb} {much} {plural(self.kind)} ({', '.join(self.members[:NAMED])})"
        labels = [label for label, _ in self.classes[:NAMED]]
        listed = labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
        return f"{verb} {listed}"


@dataclass(frozen=True)
class ChannelWords:
    """What one channel does.

    Attributes
    ----------
    channel
        Its number.
    towards, away
        The classes it raises most against the mean class, and those it lowers most.
    where
        ``"in the middle"``, ``"at the edges"``, ``"everywhere"``, ``"in no fixed place"``, ``"nowhere"``; empty for a
        layer without height and width.
    share
        Of the cells, where it fires at all: at half its largest value or more.
    fires_in, pictures
        In how many of how many pictures it fires.
    most_in
        The pictures it fires in most, three at most.

    Examples
    --------
    >>> words = dc.describe(net, "photos/", "block14_add", channels=[170], classes=5, progress=False).channels[0]
    >>> words.channel, words.sentence
    (170, 'pushes espresso, coffee mug and matchstick; fires in no fixed place, in 8 of 8 pictures')
    >>> words.towards.classes[0][0], words.away.classes[0][0], len(words.shown)
    ('espresso', 'Petri dish', 6)
    >>> words.does, words.holds_back
    ('pushes espresso, coffee mug and matchstick', 'holds back Petri dish, sea anemone and Dutch oven')
    >>> words.where, words.place, round(words.share, 2), words.fires_in, words.pictures
    ('in no fixed place', 'in no fixed place, in 8 of 8 pictures', 0.16, 8, 8)
    >>> words.most_in
    ('astronaut.jpg', 'rocket.jpg', 'flower.jpg')
    """

    channel: int
    towards: Pushed
    away: Pushed
    where: str
    share: float
    fires_in: int
    pictures: int
    most_in: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What it pushes and where it fires."""
        if not self.fires_in:
            return "is silent in these pictures"
        return f"{self.does}; fires {self.place}"

    @property
    def does(self) -> str:
        """What it raises, in words."""
        return self.towards.told("pushes")

    @property
    def holds_back(self) -> str:
        """The same of the classes it lowers."""
        return self.away.told("holds back")

    @property
    def shown(self) -> tuple[tuple[str, float], ...]:
        """Four classes it raises and two it lowers, those with pushes below 0."""
        return self.towards.classes[:4] + tuple((label, -push) for label, push in self.away.classes[:2])

    @property
    def place(self) -> str:
        """``"in the middle, in 14 of 20 pictures"``."""
        count = f"in {self.fires_in} of {self.pictures} picture{'s' * (self.pictures != 1)}"
        return f"{self.where}, {count}" if self.where else count


@dataclass(frozen=True, eq=False)
class Description(Result):
    """Channels of a layer in words.

    Attributes
    ----------
    network, layer
        Which network, which layer.
    images
        A word for each picture.
    channels
        What each does.
    pushes
        ``(channel, class)`` how much more each class is raised than the mean class, in logits: the mean over the
        pictures.
    pictures
        ``(up to 6, height, width, 3)`` the first of them as the network saw them, in [0, 1].
    sprites
        The layer's spritemap, or None where no store has one.
    skipped
        Name and reason of each file that gave no picture.

    Examples
    --------
    >>> found = dc.describe(net, "photos/", "block14_add", channels=[125, 170], classes=5, progress=False)
    >>> found.network, found.layer, len(found.images), found.skipped
    ('EfficientNetLite0', 'block14_add', 8, ())
    >>> found.channels[0].sentence
    'pushes dock, Crock Pot and sewing machine; fires in the middle, in 3 of 8 pictures'
    >>> found.pushes.shape, found.pictures.shape, found.sprites.layer, found.title
    ((2, 1000), (6, 224, 224, 3), 'block14_add', 'EfficientNetLite0 block14_add: channels in words, from 8 pictures')
    >>> found.to_dataframe()["channel"].to_list()
    [125, 170]
    >>> found.plot()
    <Figure size ... with 6 Axes>
    >>> found.save("words.html")
    PosixPath('words.html')
    """

    network: str
    layer: str
    images: tuple[str, ...]
    channels: tuple[ChannelWords, ...]
    pushes: np.ndarray
    pictures: np.ndarray = field(repr=False)
    sprites: Spritemap | None = field(repr=False, default=None)
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.channels)

    def __getitem__(self, channel: int) -> str:
        """Give the sentence of a channel.

        Raises
        ------
        KeyError
            For a channel that is not described, naming those that are.
        """
        for told in self.channels:
            if told.channel == channel:
                return told.sentence
        described = ", ".join(str(told.channel) for told in self.channels)
        raise KeyError(f"channel {channel} is not described here; {described} are")

    def to_dataframe(self) -> pd.DataFrame:
        """One row a channel: channel, sentence, kind, classes, push of the first, kind and classes held back, place."""
        import pandas as pd

        rows = [
            {
                "channel": told.channel,
                "sentence": told.sentence,
                "kind": told.towards.kind,
                "classes": ", ".join(label for label, _ in told.towards.classes),
                "push": told.towards.classes[0][1] if told.towards.classes else 0.0,
                "kind_held_back": told.away.kind,
                "classes_held_back": ", ".join(label for label, _ in told.away.classes),
                "where": told.where,
                "share_of_cells": told.share,
                "fires_in": told.fires_in,
                "most_in": ", ".join(told.most_in),
            }
            for told in self.channels
        ]
        return pd.DataFrame(rows)

    def plot(self) -> Figure:
        """Draw each channel's sprite, its sentence, and its strongest pushes as bars."""
        from diamond.show.attribution_figures import words_figure

        return words_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {
            "channels": np.array([told.channel for told in self.channels]),
            "pushes": self.pushes,
            "pictures": self.pictures,
        }

    def __str__(self) -> str:
        wide = max(len(str(told.channel)) for told in self.channels)
        return "\n".join(f"channel {told.channel:>{wide}}: {told.sentence}" for told in self.channels)

    def __repr__(self) -> str:
        return f"{self.title}\n{self}"

    @property
    def title(self) -> str:
        """Network, layer and how many pictures."""
        n = len(self.images)
        return f"{self.network} {self.layer}: channels in words, from {n} picture{'s' * (n != 1)}"

    def _page(self) -> str:
        from diamond.show.pages import page

        return page("words.html", title=self.title, described=self)


def plural(kind: str) -> str:
    """Give the plural of a kind: ``"hunting dog"`` -> ``"hunting dogs"``, ``"fish"`` -> ``"fish"``."""
    for word, many in IRREGULAR.items():
        if kind == word or kind.endswith(f" {word}"):
            return kind[: -len(word)] + many
    if kind.endswith(MANY):
        return kind
    if " of " in kind:
        head, tail = kind.split(" of ", 1)
        return f"{plural(head)} of {tail}"
    if kind.endswith("y") and kind[-2] not in "aeiou":
        return kind[:-1] + "ies"
    if kind.endswith(("s", "x", "ch", "sh")):
        return kind + "es"
    return kind + "s"
