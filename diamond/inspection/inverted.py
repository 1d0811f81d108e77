"""Pictures that a layer cannot tell from the one it was shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Inversion"]


@dataclass(frozen=True, eq=False)
class Inversion(Result):
    """For each layer, pictures whose code is that of the picture: what the layer still knows of it.

    Attributes
    ----------
    network, image
        Which network and picture.
    layers
        In the order they were asked for.
    images
        ``(layer, copy, height, width, 3)`` float32 in [0, 1]; of a sound ``(layer, copy, frequency, time, 1)``, from
        silence to about the loudest level.
    errors
        ``(layer, copy)`` length of the difference between the codes, as a share of the length of the picture's code.
    flat_errors
        ``(layer,)`` the same of a flat grey picture, which knows nothing.
    distances
        ``(layer, copy)`` root of the mean squared difference to the picture, a level from 0 to 1.
    labels, probabilities
        ``(layer, copy)`` what the network answers to each; empty where its classifier is not trained.
    answer
        What it answers to the picture itself; empty as well.
    picture
        ``(height, width, 3)`` as the network saw it, in the same units as `images`.
    steps, smoothness, seed
        How they were made.

    Examples
    --------
    >>> found = dc.invert(net, "cat.jpg", "block4_add", copies=2, steps=10, progress=False)
    >>> found.network, found.image, found.layers, found.steps, found.smoothness, found.seed
    ('EfficientNetLite0', 'cat.jpg', ('block4_add',), 10, 0.0, 0)
    >>> found.images.shape, found.picture.shape, found.errors.shape, found.flat_errors.shape, found.distances.shape
    ((1, 2, 224, 224, 3), (224, 224, 3), (1, 2), (1,), (1, 2))
    >>> len(found.labels[0]), found.probabilities.shape, found.answer
    (2, (1, 2), 'tiger cat 38%')
    >>> found.to_dataframe().columns.to_list()
    ['layer', 'copy', 'code_error', 'flat_error', 'distance', 'label', 'probability']
    >>> found.plot()
    <Figure size ... with 4 Axes>
    >>> found.save("inverted.html")
    PosixPath('inverted.html')
    """

    network: str
    image: str
    layers: tuple[str, ...]
    images: np.ndarray = field(repr=False)
    errors: np.ndarray
    flat_errors: np.ndarray
    distances: np.ndarray
    labels: tuple[tuple[str, ...], ...]
    probabilities: np.ndarray
    answer: str
    picture: np.ndarray = field(repr=False)
    steps: int = 0
    smoothness: float = 0.0
    seed: int = 0

    def to_dataframe(self) -> pd.DataFrame:
        """One row a layer and copy: layer, copy, code_error, flat_error, distance, and label and probability if known."""
        import pandas as pd

        n, copies = self.errors.shape
        table = {
            "layer": np.repeat(np.array(self.layers, object), copies),
            "copy": np.tile(np.arange(copies), n),
            "code_error": self.errors.ravel(),
            "flat_error": np.repeat(self.flat_errors, copies),
            "distance": self.distances.ravel(),
        }
        if self.labels:
            table |= {
                "label": np.array([label for row in self.labels for label in row], object),
                "probability": self.probabilities.ravel(),
            }
        return pd.DataFrame(table)

    def plot(self) -> Figure:
        """Draw the picture and then a column a layer, a row a copy."""
        from diamond.show.inversion import inversion_figure

        return inversion_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("images", "errors", "flat_errors", "distances", "probabilities", "picture")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        n = len(self.layers)
        what = self.layers[0] if n == 1 else f"{n} layers"
        return f"{self.network}: what {what} still know{'s' * (n == 1)} of {self.image}"

    def __repr__(self) -> str:
        rows = zip(self.layers, self.errors.min(axis=1), self.flat_errors, strict=True)
        lines = [f"  {layer}: code error {error:.2%}, of flat grey {flat:.0%}" for layer, error, flat in rows]
        return "\n".join([str(self), *lines])

    def _page(self) -> str:
        from diamond.show.inversion import inversion_page

        return inversion_page(self)

    @property
    def _height_px(self) -> int:
        return 620
