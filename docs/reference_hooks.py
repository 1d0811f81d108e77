"""What the reference is made of beside docstrings: the table of all names, and headings as one writes them.

MkDocs calls `on_page_markdown` with every page; `docs/reference/*.md` say which objects stand where, one line each:

    ::: diamond.saliency          is headed dc.saliency
    <!-- public names -->         every public name with the first sentence of its docstring, in the order of the pages

Nothing is imported: names, modules and docstrings are read from the files.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "networks",
    "rendering",
    "sprites",
    "attribution",
    "occlusion",
    "inspection",
    "transfer",
    "explorer",
    "results",
    "modelzoo",
    "spritemaps",
)
OBJECT = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Head each object of a page of the reference as a user writes it, and fill in the table of names."""
    if not page.file.src_uri.startswith("reference/"):
        return markdown
    if "<!-- public names -->" in markdown:
        markdown = markdown.replace("<!-- public names -->", table())
    return re.sub(r"^::: ([\w.]+)\n(?!    options)", headed, markdown + "\n", flags=re.MULTILINE)


def headed(found: re.Match[str]) -> str:
    """Give the line with a heading of its own."""
    name = shown(found[1])
    return f'::: {found[1]}\n    options:\n      heading: "{name}"\n      toc_label: "{name.split(".")[-1]}"\n'


def shown(path: str) -> str:
    """Write a path as a user does: ``dc.saliency``, ``Network``, ``spritemaps.Store``."""
    if path.startswith("diamond."):
        return "dc." + path.removeprefix("diamond.")
    return path.removeprefix("modelzoo.") if path.count(".") == 1 else path


def table() -> str:
    """Give a table of the objects of all pages, each with the first sentence of its docstring."""
    lines = []
    for name in PAGES:
        text = (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
        lines += [f"### {text.splitlines()[0].removeprefix('# ')}", "", "| name | what it is |", "|---|---|"]
        lines += [f"| [`{shown(path)}`][{path}] | {first_sentence(path)} |" for path in OBJECT.findall(text)]
        lines.append("")
    return "\n".join(lines)


def first_sentence(path: str) -> str:
    """Give the first line of what an object's docstring says, without a full stop."""
    module, name = source(path)
    found: Any = ast.parse(module.read_text(encoding="utf-8"))
    if name:
        found = defined(found)[name]
    line = (ast.get_docstring(found) or "").split("\n", 1)[0].rstrip(".")
    return re.sub(r"(?<!`)`(?!`)|``", "`", line).replace("|", "\\|")


def defined(tree: ast.Module) -> dict[str, ast.stmt]:
    """Give the functions and classes of a module by name."""
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def source(path: str) -> tuple[Path, str]:
    """Give the file that defines an object, and its name there; no name for a module."""
    *packages, name = path.split(".")
    folder = ROOT.joinpath(*packages)
    for file in (folder / name / "__init__.py", folder / f"{name}.py"):
        if file.is_file():
            return file, ""
    for file in (folder.with_suffix(".py"), folder / "__init__.pyi", folder / "__init__.py"):
        if file.is_file():
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if name in defined(tree):
                return file, name
            for node in tree.body:
                if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
                    inside = packages if file.stem == "__init__" else packages[:-1]
                    above = inside[: len(inside) - node.level + 1] if node.level else []
                    return source(".".join([*above, *filter(None, [node.module]), name]))
    raise LookupError(f"no {path}; docs/reference names objects by the module or package that has them")
