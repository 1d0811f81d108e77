"""Where in a picture a layer finds what speaks for a class.

    >>> where = spatial_attribution(net, "cat.jpg", "head_relu")
    >>> where.heatmap.shape
    (7, 7)

A place's attribution is the contribution of all channels there (see `diamond.attribution.linear`): positive where the
place speaks for the class, negative where against it. Deep layers that end in a nonlinearity are the best to ask: in the
output of a linear bottleneck, such as ``block14_add``, a value below zero says as much as one above it, and setting it to
zero, which attribution is an estimate of, is no removal; its map can be negative on the very object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.attribution.feeding import Given
from diamond.attribution.linear import contributions, method_for
from diamond.attribution.streams import stream
from diamond.attribution.targets import ALL_OTHERS, OTHERS, Target
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
    method
        ``"gradient"``, ``"path"`` or ``"activation"``; of the last the heatmap is the sum of all channels' activations.

    Examples
    --------
    >>> found = dc.spatial_attribution(net, "cat.jpg", "head_relu", positive="tabby")
    >>> found.network, found.layer, found.image, found.method
    ('EfficientNetLite0', 'head_relu', 'cat.jpg', 'gradient')
    >>> found.question, found.positive, found.negative
    ('tabby', 'tabby', None)
    >>> found.heatmap.shape, found.picture.shape
    ((7, 7), (224, 224, 3))
    >>> found.to_dataframe().head(2).round(3)
       row  column  attribution
    0    0       0        0.088
    1    0       1        0.135
    >>> found.plot()
    <Figure size ... with 2 Axes>
    >>> found.save("where.png")
    PosixPath('where.png')
    """

    network: str
    layer: str
    image: str
    heatmap: np.ndarray
    positive: str
    negative: str | None
    picture: np.ndarray = field(repr=False)
    method: str = "gradient"

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

        Parameters
        ----------
        path
            Where to; its suffix says as what.

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
    positive: Target | None = "top1",
    negative: Target | None = None,
    method: str = "gradient",
    given: Given | None = None,
) -> SpatialAttribution:
    """Find where in one picture a layer speaks for a class.

    Parameters
    ----------
    net, image, layer, positive, negative, method, given
        As in `diamond.attribution.channels.channel_attribution`, for one picture.

    Raises
    ------
    UnknownLayerError, ClassError, PictureError
        For what the network does not have, or a picture that cannot be read.
    GraphError
        For a layer that has no height and width, and where no gradient reaches it from the class.
    ValueError
        Where several pictures are given, and for activations that are NaN or infinite, naming the layer.

    Examples
    --------
    >>> found = dc.spatial_attribution(net, "cat.jpg", "head_relu")
    >>> found.heatmap.shape
    (7, 7)
    >>> found.heatmap[3].round(2)
    array([0.16, 0.39, 0.25, 0.17, 0.12, 0.2 , 0.05], dtype=float32)
    """
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    if not place.is_spatial:
        raise GraphError(f"{place.name!r} has the shape {place.output_shape}: no height and width to draw a map of")
    batches = list(stream(net, image, given=given, batch=2))
    n = sum(len(batch.names) for batch in batches)
    if n != 1:
        raise ValueError(f"{n} pictures were given; a heatmap is of one")
    pictures = batches[0].pictures
    [found] = contributions(net, pictures, place, positive=positive, negative=negative, method=method, given=given)
    against = None if found.negative is None else net.class_label(int(found.negative[0]))
    return SpatialAttribution(
        network=net.name,
        layer=place.name,
        image=batches[0].names[0],
        heatmap=found.values[0].sum(axis=-1),
        positive=net.class_label(int(found.positive[0])) if len(found.positive) else "all classes",
        negative=ALL_OTHERS if negative == OTHERS else against,
        picture=pictures[0],
        method=method_for(method, positive, negative),
    )
