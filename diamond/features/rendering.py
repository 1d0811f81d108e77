"""The pictures that came out of the renderer, and how they are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Rendering"]


@dataclass(frozen=True, eq=False)
class Rendering(Result):
    """One picture for each objective.

    Attributes
    ----------
    network
        Name of the network.
    objectives
        What each picture maximises, in words.
    images
        ``(n, height, width, 3)`` float32 in [0, 1].
    activations
        ``(n,)`` the objective that each finished picture reaches.
    recipe, seed
        How they were rendered.
    restarts
        ``(n,)`` how often a picture was begun again from another seed because it did not stay finite.

    Examples
    --------
    >>> found = dc.render(net, [dc.channel("block9_add", i) for i in (71, 25)], size=64, steps=16, progress=False)
    >>> found.network, found.objectives, found.recipe, found.seed
    ('EfficientNetLite0', ('block9_add:71', 'block9_add:25'), 'texture', 0)
    >>> found.images.shape, found.activations.shape, found.restarts
    ((2, 64, 64, 3), (2,), array([0, 0]))
    >>> found.to_dataframe().columns.to_list()
    ['objective', 'activation']
    >>> found.plot()
    <Figure size ... with 2 Axes>
    >>> found.save("two.png")
    PosixPath('two.png')
    """

    network: str
    objectives: tuple[str, ...]
    images: np.ndarray
    activations: np.ndarray
    recipe: str
    seed: int
    restarts: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.images)

    def __str__(self) -> str:
        n, height, width, _ = self.images.shape
        return f"{self.network}: {n} picture{'s' * (n != 1)}, {height} x {width} px, by the recipe {self.recipe!r}"

    def __repr__(self) -> str:
        return f"{self}: {', '.join(self.objectives[:4])}{' ...' if len(self) > 4 else ''}"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a picture: objective, activation."""
        import pandas as pd

        return pd.DataFrame({"objective": self.objectives, "activation": self.activations})

    def plot(self) -> Figure:
        """Draw the pictures side by side with their objectives and activations."""
        from modelzoo.lettering import Figure

        columns = min(len(self), 6)
        rows = math.ceil(len(self) / columns)
        figure = Figure(figsize=(2.0 * columns, 2.3 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel in panels:
            panel.axis("off")
        for panel, image, words, value in zip(panels, self.images, self.objectives, self.activations, strict=False):
            panel.imshow(image, interpolation="lanczos")
            panel.set_title(f"{words}\n{value:.3g}", fontsize=8)
        return figure

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"images": self.images, "activations": self.activations}

    @property
    def _height_px(self) -> int:
        # As the page lays them out in a notebook: five in a row, each with two lines below.
        rows = math.ceil(len(self) / 5)
        return 110 + rows * round(150 * self.images.shape[1] / self.images.shape[2] + 78)

    def _page(self) -> str:
        from diamond.show.pages import page

        return page("rendering.html", title=str(self), rendering=self)
