"""Where in a picture a layer finds what speaks for a class.

    >>> where = spatial_attribution(net, "cat.jpg", "block14_add")
    >>> where.heatmap.shape
    (7, 7)

A place's attribution is the contribution of all channels there (see `diamond.attribution.linear`): positive where the
place speaks for the class, negative where against it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.attribution.linear import contributions
from diamond.attribution.targets import Target
from modelzoo import GraphError, Layer, Network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["SpatialAttribution", "spatial_attribution"]


@dataclass(frozen=True, eq=False)
class SpatialAttribution:
    """A heatmap of one picture.

    Attributes
    ----------
    network, layer, image
        Which network, layer and picture.
    heatmap
        ``(cells high, cells wide)`` contributions to the class score, in units of the logit.
    positive, negative
        Class asked about, and class held against it; None where there was none.
    picture
        ``(height, width, 3)`` as the network saw it, in [0, 1].
    """

    network: str
    layer: str
    image: str
    heatmap: np.ndarray
    positive: str
    negative: str | None
    picture: np.ndarray = field(repr=False)

    @property
    def question(self) -> str:
        """The class or classes asked about, in words."""
        return self.positive if self.negative is None else f"{self.positive} against {self.negative}"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a cell: row, column, attribution."""
        import pandas as pd

        row, column = np.indices(self.heatmap.shape)
        return pd.DataFrame({"row": row.ravel(), "column": column.ravel(), "attribution": self.heatmap.ravel()})

    def plot(self) -> Figure:
        """Draw the heatmap over the picture."""
        from diamond.show.figures import heatmap_figure

        return heatmap_figure(self)

    def save(self, path: str | Path) -> Path:
        """Write as ``.html``, ``.png``, ``.csv`` or ``.npz``, by suffix.

        Raises
        ------
        ValueError
            For any other suffix.
        """
        from diamond.show.pages import page
        from diamond.show.saving import save

        return save(
            path,
            page=lambda: page("heatmap.html", title=str(self), heatmap=self),
            figure=self.plot,
            table=self.to_dataframe,
            arrays={"heatmap": self.heatmap, "picture": self.picture},
        )

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: where {self.image} speaks for {self.question}"

    def _repr_html_(self) -> str:
        from diamond.show.pages import embed, page

        return embed(page("heatmap.html", title=str(self), heatmap=self), title=str(self))


def spatial_attribution(
    net: Network,
    image: Any,
    layer: str | Layer,
    *,
    positive: Target = "top1",
    negative: Target | None = None,
) -> SpatialAttribution:
    """Find where in one picture a layer speaks for a class.

    Parameters
    ----------
    net, image, layer, positive, negative
        As in `diamond.attribution.channels.channel_attribution`, for one picture.

    Raises
    ------
    UnknownLayerError, ClassError, PictureError
        For what the network does not have, or a picture that cannot be read.
    GraphError
        For a layer that has no height and width.
    ValueError
        Where several pictures are given.
    """
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    if not place.is_spatial:
        raise GraphError(f"{place.name!r} has the shape {place.output_shape}: no height and width to draw a map of")
    pictures, names = net.read_named(image)
    if len(pictures) != 1:
        raise ValueError(f"{len(pictures)} pictures were given; a heatmap is of one")
    [found] = contributions(net, pictures, place, positive=positive, negative=negative)
    return SpatialAttribution(
        network=net.name,
        layer=place.name,
        image=names[0],
        heatmap=found.values[0].sum(axis=-1),
        positive=net.class_label(int(found.positive[0])),
        negative=None if found.negative is None else net.class_label(int(found.negative[0])),
        picture=pictures[0],
    )
