"""Which channels of a layer speak for a class, over one picture or many.

    >>> found = channel_attribution(net, "cat.jpg", "block9_add")
    >>> found.channels[:3], found.scores[:3]
    (array([71, 25, 96]), array([0.61, 0.44, 0.41], dtype=float32))
    >>> found.save("cat.html")

A channel's attribution is its contribution to the class score (see `diamond.attribution.linear`), summed over all
places and then over the pictures; the values of each picture are kept. Channels come in the order of that sum, with the
sprites that somebody rendered for the layer, where a store has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.attribution.linear import contributions
from diamond.attribution.targets import Target
from modelzoo import Layer, Network
from spritemaps import Spritemap, Store, find

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["ChannelAttribution", "channel_attribution"]


@dataclass(frozen=True, eq=False)
class ChannelAttribution:
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
        ``(top,)`` their attributions, in units of the logit, summed over the pictures.
    per_image
        ``(image, top)`` the same of each picture.
    all_scores
        ``(image, channel)`` of every channel of the layer.
    positive, negative
        Class asked about, and class held against it, for each picture; `negative` is empty where there was none.
    logits
        ``(image,)`` the score that is explained: the logit, or the difference of two.
    pictures
        ``(image, height, width, 3)`` as the network saw them, in [0, 1].
    sprites
        The layer's spritemap, or None where no store has one.
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

    @property
    def question(self) -> str:
        """The class or classes asked about, in words."""
        plus, minus = (" / ".join(dict.fromkeys(labels)) for labels in (self.positive, self.negative))
        return f"{plus} against {minus}" if minus else plus

    def to_dataframe(self) -> pd.DataFrame:
        """One row a channel: channel, score, then one column a picture."""
        import pandas as pd

        table = pd.DataFrame({"channel": self.channels, "score": self.scores})
        for i, name in enumerate(self.images):
            label = name if self.images.count(name) == 1 else f"{name} ({i})"
            table[label] = self.per_image[i]
        return table

    def plot(self) -> Figure:
        """Draw the pictures and the top channels' sprites with their scores."""
        from diamond.show.figures import channel_figure

        return channel_figure([self])

    def save(self, path: str | Path) -> Path:
        """Write as ``.html``, ``.png``, ``.csv`` or ``.npz``, by suffix.

        Raises
        ------
        ValueError
            For any other suffix.
        """
        from diamond.show.pages import page
        from diamond.show.saving import save

        arrays = {
            name: getattr(self, name)
            for name in ("channels", "scores", "per_image", "all_scores", "logits", "pictures")
        }
        return save(
            path,
            page=lambda: page("channel_attribution.html", title=str(self), rows=[self]),
            figure=self.plot,
            table=self.to_dataframe,
            arrays=arrays,
        )

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: channels for {self.question}"

    def __repr__(self) -> str:
        listed = ", ".join(f"{c} ({s:.3g})" for c, s in zip(self.channels, self.scores, strict=True))
        return f"{self}: {listed}"

    def _repr_html_(self) -> str:
        from diamond.show.pages import embed, page

        return embed(page("channel_attribution.html", title=str(self), rows=[self]), title=str(self))


def channel_attribution(
    net: Network,
    images: Any,
    layer: str | Layer,
    *,
    positive: Target = "top1",
    negative: Target | None = None,
    top: int = 10,
    store: Store | str | Path | None = None,
) -> ChannelAttribution:
    """Find the channels of a layer that speak most for a class.

    Parameters
    ----------
    net
        The network.
    images
        One or many pictures: path, URL, array ``(height, width, 3)`` or ``(batch, height, width, 3)`` in [0, 1], or a
        list of those; sounds for a sound network, each of whose patches then counts as a picture.
    layer
        A layer or its address.
    positive, negative
        Index, label, WordNet id, or ``"top1"``, ``"top2"`` ...: the class asked about, and one held against it.
    top
        How many channels to name.
    store
        Where to look first for the layer's spritemap.

    Returns
    -------
    ChannelAttribution

    Raises
    ------
    UnknownLayerError, ClassError, PictureError
        For a layer or class the network does not have, or a picture that cannot be read, naming the nearest.
    ValueError
        Where `top` is less than 1.
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more channels")
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    pictures, names = net.read_named(images)
    parts = list(contributions(net, pictures, place, positive=positive, negative=negative))
    values = np.concatenate([_over_space(part.values) for part in parts])
    logits = np.concatenate([part.logits for part in parts])
    plus = np.concatenate([part.positive for part in parts])
    minus = [part.negative for part in parts if part.negative is not None]
    against = np.concatenate(minus) if minus else None
    rows = np.arange(len(pictures))
    totals = values.sum(axis=0)
    order = np.argsort(-totals, kind="stable")[:top]
    return ChannelAttribution(
        network=net.name,
        layer=place.name,
        images=names,
        channels=order,
        scores=totals[order],
        per_image=values[:, order],
        all_scores=values,
        positive=_labels(net, plus),
        negative=() if against is None else _labels(net, against),
        logits=logits[rows, plus] - (0.0 if against is None else logits[rows, against]),
        pictures=pictures,
        sprites=find(net.fingerprint(place), store=store),
    )


def _over_space(values: np.ndarray) -> np.ndarray:
    summed: np.ndarray = values.reshape(len(values), -1, values.shape[-1]).sum(axis=1)
    return summed


def _labels(net: Network, classes: Sequence[int] | np.ndarray) -> tuple[str, ...]:
    return tuple(net.class_label(int(c)) for c in classes)
