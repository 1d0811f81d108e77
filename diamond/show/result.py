"""What every result can do: be saved by suffix, and draw itself in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.saving import save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Result"]


class Result(ABC):
    """A result that has a table, a figure, a page and arrays.

    Examples
    --------
    >>> found = dc.channel_attribution(net, "cat.jpg", "block9_add", top=3)
    >>> found.title
    'EfficientNetLite0 block9_add: channels for tiger cat'
    >>> found.to_dataframe()[["channel", "score"]].round(2)
       channel  score
    0       48   0.45
    1       96   0.35
    2       71   0.33
    >>> found.plot()
    <Figure size ... with 7 Axes>
    >>> [found.save(f"cat.{suffix}").name for suffix in ("html", "png", "csv", "npz")]
    ['cat.html', 'cat.png', 'cat.csv', 'cat.npz']
    """

    FRAME_PX: ClassVar[int] = 520

    @abstractmethod
    def to_dataframe(self) -> pd.DataFrame:
        """Give the result as a table."""

    @abstractmethod
    def plot(self) -> Figure:
        """Draw the result with matplotlib."""

    @abstractmethod
    def _page(self) -> str:
        """Give the result as a whole HTML document."""

    @abstractmethod
    def _arrays(self) -> dict[str, np.ndarray]:
        """Give the arrays that ``.npz`` keeps, by name."""

    @property
    def _height_px(self) -> int:
        return self.FRAME_PX

    @property
    def title(self) -> str:
        """What a frame and a window around the page are called."""
        return str(self)

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
        FileNotFoundError
            Where the folder does not exist.
        """
        return save(path, page=self._page, figure=self.plot, table=self.to_dataframe, arrays=self._arrays())

    def _repr_html_(self) -> str:
        from diamond.show.pages import embed

        return embed(self._page(), title=self.title, height_px=self._height_px)
