"""Results of the same kind, one a picture or sound, as one result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Several"]


class OfOne(Protocol):
    """The result of one picture or sound."""

    @property
    def image(self) -> str:
        """Its name."""
        ...

    def to_dataframe(self) -> pd.DataFrame:
        """Its table."""
        ...

    def _arrays(self) -> dict[str, np.ndarray]: ...


Row = TypeVar("Row", bound=OfOne)


@dataclass(frozen=True, eq=False)
class Several(Result, Generic[Row]):
    """The results of several pictures or sounds; ``found[0]`` gives one, iterating gives them in order.

    Attributes
    ----------
    rows
        One each.
    skipped
        Name and reason of each file that gave none.

    Examples
    --------
    >>> found = dc.occlude(net, ["cat.jpg", "coffee.jpg"], window=64, stride=64, progress=False)
    >>> len(found), [each.image for each in found], found.rows[0].image, found.skipped
    (2, ['cat.jpg', 'coffee.jpg'], 'cat.jpg', ())
    >>> found.to_dataframe()["image"].unique().tolist()
    ['cat.jpg', 'coffee.jpg']
    """

    rows: tuple[Row, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def to_dataframe(self) -> pd.DataFrame:
        """The tables of all below each other, with the name of the picture or sound in a first column."""
        import pandas as pd

        tables = [row.to_dataframe() for row in self.rows]
        for row, table in zip(self.rows, tables, strict=True):
            table.insert(0, "image", row.image)
        return pd.concat(tables, ignore_index=True)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {f"{i}:{name}": value for i, row in enumerate(self.rows) for name, value in row._arrays().items()}

    def __repr__(self) -> str:
        return "\n".join(repr(row) for row in self.rows)
