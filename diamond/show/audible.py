"""Results that can be heard: saved as a sound too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from diamond.show.result import Result
from diamond.show.saving import save_sound
from modelzoo.inputs.sounds import Sound

__all__ = ["Audible"]


class Audible(Result):
    """A result that has sounds."""

    @abstractmethod
    def _sounds(self) -> Sequence[Sound]:
        """Give the sounds that ``.wav`` keeps, one after the other."""

    def save(self, path: str | Path) -> Path:
        """Write as ``.html``, ``.png``, ``.csv``, ``.npz``, or ``.wav``: its sounds, one after the other.

        Raises
        ------
        ValueError
            For any other suffix.
        FileNotFoundError
            Where the folder does not exist.
        """
        return save_sound(path, self._sounds()) if Path(path).suffix == ".wav" else super().save(path)
