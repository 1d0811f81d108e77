"""The explorer in a notebook: a session behind an anywidget.

The page is the same ES module that ``diamond explore`` serves; here its messages travel with the notebook's own.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, ClassVar

import anywidget
import traitlets

from diamond.explorer.answers import Message
from diamond.explorer.session import Session

__all__ = ["Explorer"]


def _file(name: str) -> str:
    return resources.files("diamond.explorer").joinpath("page", name).read_text(encoding="utf-8")


class Explorer(anywidget.AnyWidget):
    """The explorer of one network, as an output of a cell.

    Attributes
    ----------
    session
        What is chosen, and the work under way.
    """

    _esm: ClassVar[str] = _file("explorer.js")
    look = traitlets.Unicode(_file("explorer.css")).tag(sync=True)
    alone = traitlets.Bool(False).tag(sync=True)

    def __init__(self, load: Any, **asked: Any) -> None:
        super().__init__()
        self.session = Session(load, self._tell, **asked)
        self.on_msg(self._hear)
        self.session.start()

    def close(self) -> None:
        """End the work under way, and take the page away."""
        if hasattr(self, "session"):
            self.session.close()
        super().close()

    def _hear(self, _widget: Any, message: Message, _buffers: Any) -> None:
        self.session.receive(message)

    def _tell(self, message: Message) -> None:
        self.send(message)

    def __repr__(self) -> str:
        return "The explorer: run the cell to open it"
