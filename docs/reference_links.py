"""A Griffe extension: public names that docstrings put in backticks become links to where they are documented."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from griffe import Extension, Object

sys.path.insert(0, str(Path(__file__).parent))
from reference_hooks import OBJECT, PAGES, ROOT

NAME = re.compile(r"(?<![`\[\w])`((?:dc\.|diamond\.|modelzoo\.|spritemaps\.)?[A-Za-z_][\w.]*)`(?!`)")


def documented() -> dict[str, str]:
    """Give the path of every documented object by each way to write it."""
    paths = {}
    for page in PAGES:
        for path in OBJECT.findall((ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")):
            last = path.rsplit(".", 1)[-1]
            for name in (path, last, path.replace("diamond.", "dc.", 1)):
                paths.setdefault(name, path)
    return paths


class References(Extension):
    """Turn single backticks around a documented name into a link."""

    def __init__(self) -> None:
        super().__init__()
        self.paths = documented()

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object; its own name is no link."""
        if obj.docstring is None or obj.is_module:
            return
        obj.docstring.value = NAME.sub(
            lambda found: (
                f"[`{found[1]}`][{self.paths[found[1]]}]"
                if found[1] in self.paths and self.paths[found[1]].rsplit(".", 1)[-1] != obj.name
                else found[0]
            ),
            obj.docstring.value,
        )
