"""The pictures at either end of what units answer, found in one pass, with no more in memory than is kept.

    most = Extremes(units=2, keep=8, sight=sight)
    for part in batches:
        most.add(values, shown, names, before=count)      # (batch, cells high, cells wide, unit)
    most.values.shape, most.patches.shape

A *unit* is a channel or a direction. With ``sign=-1`` the lowest values are kept, rising.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from diamond.inspection.receptive import Sight

__all__ = ["Extremes"]

_ARRAYS = ("values", "indices", "places", "patches", "marks", "windows", "crops", "names")


class Extremes:
    """The best pictures of each unit so far.

    Parameters
    ----------
    units, keep
        How many units there are, and how many pictures of each are kept.
    sight
        What a cell sees.
    cell
        The only cell whose values count; all where None.
    sign
        1 to keep the highest values, -1 the lowest.

    Attributes
    ----------
    filled
        How many pictures each unit has so far; the rest of the arrays is empty.
    values, indices, places, patches, marks, windows, crops, names
        ``(unit, keep, ...)``, as in `diamond.inspection.exemplified.Exemplars`.
    """

    def __init__(
        self, units: int, keep: int, sight: Sight, *, cell: tuple[int, int] | None = None, sign: int = 1
    ) -> None:
        shape = (units, keep)
        self.sight, self.cell, self.sign = sight, cell, sign
        self.filled = 0
        self.values = np.full(shape, -sign * np.inf, np.float32)
        self.indices = np.zeros(shape, np.int64)
        self.places = np.zeros((*shape, 2), np.int64)
        self.patches = np.zeros((*shape, *sight.patch_size, 3), np.uint8)
        self.marks = np.zeros((*shape, 2), np.float32)
        self.windows = np.zeros((*shape, 4), np.int32)
        self.crops = np.zeros((*shape, 4), np.int32)
        self.names = np.zeros(shape, object)

    def add(
        self, answers: np.ndarray, shown: Callable[[int], np.ndarray], names: Sequence[str], *, before: int
    ) -> None:
        """Take in a batch.

        Parameters
        ----------
        answers
            ``(batch, cells high, cells wide, unit)``.
        shown
            Gives the picture of a row, ``(height, width, 3)`` uint8, as it is shown.
        names
            A word for each picture.
        before
            How many pictures came before these.
        """
        n, high, wide, units = answers.shape
        flat = self.sign * answers.reshape(n, high * wide, units)
        cells = flat.argmax(axis=1) if self.cell is None else np.full((n, units), self.cell[0] * wide + self.cell[1])
        values = np.take_along_axis(flat, cells[:, None], axis=1)[:, 0]
        keep = self.values.shape[1]
        self.filled = min(self.filled + n, keep)
        for i in np.flatnonzero((values > self.sign * self.values[:, -1]).any(axis=0)).tolist():
            together = np.concatenate([self.sign * self.values[i], values[:, i]])
            # A stable order: of two pictures that are alike the one that was read first stays first.
            order = np.argsort(-together, kind="stable")[:keep]
            order = order[np.isfinite(together[order])]
            held = {name: getattr(self, name)[i][order[order < keep]].copy() for name in _ARRAYS}
            old = 0
            for slot, source in enumerate(order.tolist()):
                if source < keep:
                    for name in _ARRAYS:
                        getattr(self, name)[i, slot] = held[name][old]
                    old += 1
                else:
                    row = source - keep
                    self._fill(i, slot, divmod(int(cells[row, i]), wide), shown(row))
                    self.values[i, slot] = self.sign * values[row, i]
                    self.indices[i, slot] = before + row
                    self.names[i, slot] = names[row]

    def state(self) -> dict[str, np.ndarray]:
        """Give all that was found so far as arrays that a file can hold."""
        found = {name: getattr(self, name) for name in _ARRAYS}
        return {**found, "names": self.names.astype(str), "filled": np.array(self.filled)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave."""
        for name in _ARRAYS:
            setattr(self, name, state[name].astype(object) if name == "names" else state[name])
        self.filled = int(state["filled"])

    def _fill(self, unit: int, slot: int, cell: tuple[int, int], picture: np.ndarray) -> None:
        self.places[unit, slot] = cell
        self.windows[unit, slot], self.crops[unit, slot] = self.sight.window(cell), self.sight.crop(cell)
        self.marks[unit, slot] = self.sight.mark(cell)
        self.patches[unit, slot] = self.sight.cut(picture, cell)
