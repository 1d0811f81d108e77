"""A flow from layer to layer to the class, and how it is looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.result import Result
from spritemaps import Spritemap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Flow"]


@dataclass(frozen=True, eq=False)
class Flow(Result):
    """How channels or groups of some layers carry to each other and to a class.

    Attributes
    ----------
    network, image
        Which network, which picture.
    layers
        In network order.
    by
        ``"channels"`` or ``"groups"``.
    units
        For each layer its units, the largest contribution first: each the channels it is made of, of a group the
        largest few.
    effects
        For each layer ``(unit,)`` contributions to the class, in logits.
    totals
        ``(layer,)`` contributions of the whole layer, what is shown and what is not.
    links
        For each layer but the last ``(unit, unit of the next layer)``: what of the later unit's contribution the earlier
        one carried, in logits.
    maps
        For each layer ``(rows, columns, unit)`` contributions by place; None for a layer without height and width.
    positive, negative
        Class asked about, and class held against it; None where there was none.
    logit
        The score.
    picture
        ``(height, width, 3)`` as the network saw it, in [0, 1].
    sprites
        For each layer its spritemap, or None where no store has one.

    Examples
    --------
    >>> found = dc.flow(net, "cat.jpg", ["block9_add", "block14_add"], top=3)
    >>> found.network, found.image, found.layers, found.by
    ('EfficientNetLite0', 'cat.jpg', ('block9_add', 'block14_add'), 'channels')
    >>> found.question, found.positive, found.negative, round(float(found.logit), 1)
    ('tiger cat', 'tiger cat', None, 9.2)
    >>> found.units[0], found.label(0, 0), found.effects[0].round(2), found.totals.round(1)
    (((48,), (107,), (97,)), '48', array([ 0.45, -0.35, -0.36], dtype=float32), array([-1.7,  1.4]))
    >>> found.links[0].shape, found.maps[0].shape, found.picture.shape, found.sprites[0].layer
    ((3, 3), (14, 14, 3), (224, 224, 3), 'block9_add')
    >>> found.to_dataframe().columns.to_list()
    ['from_layer', 'from', 'to_layer', 'to', 'weight']
    >>> found.plot()
    <Figure size ... with 2 Axes>
    >>> found.save("flow.html")
    PosixPath('flow.html')
    """

    FRAME_PX: ClassVar[int] = 640

    network: str
    image: str
    layers: tuple[str, ...]
    by: str
    units: tuple[tuple[tuple[int, ...], ...], ...]
    effects: tuple[np.ndarray, ...]
    totals: np.ndarray
    links: tuple[np.ndarray, ...]
    maps: tuple[np.ndarray | None, ...] = field(repr=False)
    positive: str
    negative: str | None
    logit: float
    picture: np.ndarray = field(repr=False)
    sprites: tuple[Spritemap | None, ...] = field(repr=False)

    @property
    def question(self) -> str:
        """The class or classes asked about, in words."""
        return self.positive if self.negative is None else f"{self.positive} against {self.negative}"

    def label(self, layer: int, unit: int) -> str:
        """Name a unit: the channel's number, or ``group 1`` ... from 1.

        Parameters
        ----------
        layer, unit
            Which layer and which of its units, both from 0.
        """
        return f"group {unit + 1}" if self.by == "groups" else str(self.units[layer][unit][0])

    def to_dataframe(self) -> pd.DataFrame:
        """One row a link: from layer and unit, to layer and unit, weight; the class is the last layer's end."""
        import pandas as pd

        rows = []
        for i, weights in enumerate(self.links):
            rows += [
                (self.layers[i], self.label(i, u), self.layers[i + 1], self.label(i + 1, v), float(weights[u, v]))
                for u in range(weights.shape[0])
                for v in range(weights.shape[1])
            ]
        last = len(self.layers) - 1
        rows += [
            (self.layers[last], self.label(last, u), "class", self.question, float(effect))
            for u, effect in enumerate(self.effects[last])
        ]
        return pd.DataFrame(rows, columns=["from_layer", "from", "to_layer", "to", "weight"])

    def plot(self) -> Figure:
        """Draw the layers as columns of sprites, and the links between them as wide as they weigh."""
        from diamond.show.flow_figure import flow_figure

        return flow_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"totals": self.totals, "picture": self.picture}
        for i in range(len(self.layers)):
            arrays |= {f"units_{i}": np.array(self.units[i]), f"effects_{i}": self.effects[i]}
            arrays |= {f"links_{i}": self.links[i]} if i < len(self.links) else {}
        return arrays

    def __str__(self) -> str:
        return f"{self.network}: how {self.by} of {', '.join(self.layers)} carry to {self.question} in {self.image}"

    def __repr__(self) -> str:
        listed = [
            f"  {name}: "
            + ", ".join(f"{self.label(i, u)} ({effect:+.3g})" for u, effect in enumerate(self.effects[i]))
            + f" of {self.totals[i]:+.3g}"
            for i, name in enumerate(self.layers)
        ]
        return "\n".join([str(self), *listed])

    def _page(self) -> str:
        from diamond.show.heat import overlay
        from diamond.show.layouts import lay_out_flow
        from diamond.show.pages import page, picture_uri

        def map_uri(layer: int, unit: int) -> str | None:
            maps = self.maps[layer]
            if maps is None:
                return None
            values = maps[..., unit]
            return picture_uri(overlay(values[::-1] if self.picture.shape[-1] == 1 else values))

        layout = lay_out_flow(self.effects, self.links)
        return page("flow.html", title=str(self), flow=self, layout=layout, map_uri=map_uri)
