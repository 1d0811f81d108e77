"""Run the notebooks with their defaults and keep what they show as pages.

    python docs/notebooks.py                      # all; those that are as they were when last run are left
    python docs/notebooks.py attribution gallery  # these alone
    python docs/notebooks.py --again              # all, whatever is there

Into ``docs/notebooks`` come one page a notebook, ``<name>.html``, a small picture of each, ``<name>.webp``, and an
``index.html``. A page carries all it needs: pictures and the interactive results are inside, and nothing is fetched from
anywhere. It stands for the notebook with the library as they were when it was made, and is made anew when either
has changed. A notebook that fails leaves the page it had, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import io
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import jinja2
import nbconvert
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image
from pygments.formatters import HtmlFormatter

import diamond
from modelzoo.user_cache import user_cache

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent / "notebooks"
OUT = HERE / "notebooks"
ORDER = (
    "networks",
    "rendering",
    "pregeneration",
    "attribution",
    "occlusion",
    "sounds",
    "transfer",
    "health",
    "gallery",
)
COVER_PX = (480, 300)
LONGEST_CELL_S = 1800
WIDGET = "application/vnd.jupyter.widget-view+json"
LINK = re.compile(r'href="(\w+)\.ipynb"')
BADGE = re.compile(r"<img[^>]*colab-badge[^>]*>")
FRAME = re.compile(r'(<iframe[^>]*?sandbox=")')
KERAS_BAR = re.compile("[\\b\u2501]|^Epoch [0-9]+/[0-9]+$", re.MULTILINE)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Shown(NamedTuple):
    """A notebook as the index tells of it."""

    name: str
    title: str
    text: str
    seconds: float


def made_from(path: Path) -> str:
    """Give a digest of all that a page is made from: the notebook, the library's version, and this program."""
    parts = (path.read_bytes(), diamond.__version__.encode(), Path(__file__).read_bytes(), TEMPLATE.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run a notebook from top to bottom in a folder; what its cells give stands in it then.

    Raises
    ------
    CellExecutionError
        Where a cell fails.
    """
    NotebookClient(notebook, timeout=LONGEST_CELL_S, resources={"metadata": {"path": str(folder)}}).execute()


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Fold the forms without a story, leave out progress bars, and give every picture a description."""
    said = ""
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            said = re.split(r"(?<=[.?!])\s", re.sub(r"[#*`|\n]", " ", cell.source).strip())[0]
            continue
        cell.outputs = [each for each in cell.outputs if not is_passing(each)]
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.metadata["image/png"] = {**output.metadata.get("image/png", {}), "alt": said or "a figure"}
        title = cell.source.split("\n")[0].removeprefix("#@title ")
        cell.source = without_form(cell.source)
        if cell.metadata.get("cellView") == "form":
            folded = f"<details><summary>{html.escape(title)}</summary>\n\n```python\n{cell.source}\n```\n\n</details>"
            notebook.cells[i] = nbformat.v4.new_markdown_cell(folded, id=cell.id)


def without_form(source: str) -> str:
    """Give a cell's code with what a form says as plain comments, and without the lists to choose from."""
    return re.sub(r"(?m)^#@(title|markdown) ", "# ", re.sub(r"(?m)  #@param.*$", "", source))


def is_passing(output: nbformat.NotebookNode) -> bool:
    """Whether an output says nothing once the cell is done: a progress bar, what a library warns of."""
    is_bar = output.get("name") == "stdout" and KERAS_BAR.search(output.text) is not None
    return output.get("name") == "stderr" or is_bar or WIDGET in output.get("data", {})


def page(notebook: nbformat.NotebookNode, *, title: str, digest: str, seconds: float) -> str:
    """Give a notebook that was run as one HTML document."""
    exporter = nbconvert.HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(notebook)
    # The results are ours: with the page's own origin their height can be read, and no frame scrolls inside the page.
    body = FRAME.sub(r"\1allow-same-origin ", body)
    # Whoever reads the page has other folders.
    for folder, shown in ((user_cache(""), "~/.cache/diamond-cutter"), (Path.home(), "~")):
        if len(folder.parts) > 1:
            body = body.replace(str(folder), shown)
    body = BADGE.sub("Open in Colab", LINK.sub(r'href="\1.html"', body))
    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    return (
        jinja2.Environment(autoescape=True)
        .from_string(TEMPLATE)
        .render(
            title=title,
            digest=digest,
            seconds=f"{seconds:.1f}",
            version=diamond.__version__,
            body=jinja2.utils.markupsafe.Markup(body),
            light=light,
            dark=dark,
        )
    )


def cover(notebook: nbformat.NotebookNode) -> bytes | None:
    """Give the picture of the cell tagged ``cover``, or the last one there is, small, as WebP; None where there is none."""
    pictures = {
        "cover" in cell.metadata.get("tags", []): output.data["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    }
    if not pictures:
        return None
    with Image.open(io.BytesIO(base64.b64decode(pictures[max(pictures)]))) as picture:
        small = Image.new("RGB", picture.size, "white")
        small.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    wide, high = COVER_PX
    scale = wide / small.width
    small = small.resize((wide, max(1, round(small.height * scale))), Image.Resampling.LANCZOS)
    kept = io.BytesIO()
    small.crop((0, 0, wide, min(high, small.height))).save(kept, "WEBP", quality=85)
    return kept.getvalue()


def render(path: Path, out: Path) -> None:
    """Run one notebook and write its page and its picture."""
    notebook = nbformat.read(path, as_version=4)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run(notebook, Path(folder))
    seconds = time.monotonic() - start
    tidy(notebook)
    out.mkdir(parents=True, exist_ok=True)
    small = cover(notebook)
    if small is not None:
        (out / f"{path.stem}.webp").write_bytes(small)
    title = notebook.cells[0].source.split("\n")[0].removeprefix("# ")
    (out / f"{path.stem}.html").write_text(
        page(notebook, title=title, digest=made_from(path), seconds=seconds), encoding="utf-8"
    )


def is_current(path: Path, out: Path) -> bool:
    """Whether the notebook's page is there and made from what is there now."""
    made = out / f"{path.stem}.html"
    return made.is_file() and f'content="{made_from(path)}"' in made.read_text(encoding="utf-8")[:2000]


def small_picture(name: str, out: Path) -> str:
    """Give the element of a notebook's small picture; nothing where it has none."""
    return f'<img src="{name}.webp" alt="" loading="lazy">' if (out / f"{name}.webp").is_file() else ""


def write_index(notebooks: list[Path], out: Path) -> Path:
    """Write the index of the pages that are there."""
    shown = []
    for path in notebooks:
        made = out / f"{path.stem}.html"
        if made.is_file():
            first = nbformat.read(path, as_version=4).cells[0].source.split("\n\n")
            took = re.search(r'name="seconds" content="([\d.]+)"', made.read_text(encoding="utf-8")[:2000])
            shown.append(
                Shown(path.stem, first[0].removeprefix("# "), " ".join(first[2].split()), float(took[1]) if took else 0)
            )
    cards = "\n".join(
        f'<a class="card" href="{each.name}.html">{small_picture(each.name, out)}'
        f"<strong>{html.escape(each.title)}</strong><span>{html.escape(each.text)}</span></a>"
        for each in shown
    )
    body = f'<h1>Notebooks</h1><p>Each as it runs with its defaults.</p><div class="cards">{cards}</div>'
    document = (
        jinja2.Environment(autoescape=True)
        .from_string(TEMPLATE)
        .render(
            title="Notebooks",
            digest="",
            seconds="0",
            version=diamond.__version__,
            body=jinja2.utils.markupsafe.Markup(body),
        )
    )
    (out / "index.html").write_text(document, encoding="utf-8")
    return out / "index.html"


def in_order(notebooks: list[Path]) -> list[Path]:
    """Put notebooks into the order of the journeys; those that no journey names come last."""
    return sorted(notebooks, key=lambda path: (ORDER.index(path.stem) if path.stem in ORDER else len(ORDER), path.stem))


def main() -> None:
    """Run what is asked for, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="notebooks; all without")
    parser.add_argument("--again", action="store_true", help="run them even where nothing has changed")
    parser.add_argument("--from", dest="source", type=Path, default=NOTEBOOKS, help="folder of the notebooks")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the pages")
    given = parser.parse_args()
    notebooks = in_order(list(given.source.glob("*.ipynb")))
    unknown = set(given.names) - {path.stem for path in notebooks}
    if unknown:
        parser.error(
            f"no notebook {', '.join(sorted(unknown))}; there are {', '.join(path.stem for path in notebooks)}"
        )
    failed = []
    for path in notebooks:
        if given.names and path.stem not in given.names:
            continue
        if not given.again and is_current(path, given.out):
            print(f"{path.stem}: as it was")
            continue
        start = time.monotonic()
        try:
            render(path, given.out)
        except CellExecutionError as error:
            failed.append(path.stem)
            print(f"{path.stem}: failed\n{ANSI.sub('', str(error))}", file=sys.stderr)
            continue
        print(f"{path.stem}: {time.monotonic() - start:.0f} s", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    print(write_index(notebooks, given.out))
    sys.exit(1 if failed else 0)


TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="made-from" content="{{ digest }}">
<meta name="seconds" content="{{ seconds }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }} - Diamond Cutter</title>
<style>
{{ light|safe }}
@media (prefers-color-scheme: dark) {
{{ dark|safe }}
}
:root { --ground: #fff; --text: #1b1f24; --soft: #57606a; --line: #d8dee4; --code: #f6f8fa; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171a; --text: #e6e8ea; --soft: #9aa4ae; --line: #343a41; --code: #1d2126; --link: #74b3f5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 1.5rem 1rem 4rem; background: var(--ground); color: var(--text);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
a { color: var(--link); } .anchor-link, .prompt { display: none; }
pre, code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
p code, li code, td code { background: var(--code); padding: .1em .3em; border-radius: 4px; }
.highlight, .output_stream { background: var(--code); border-radius: 6px; }
.highlight pre, .output_stream pre { margin: 0; padding: .7rem .9rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.output_stream { margin: .5rem 0; border-left: 3px solid var(--line); background: none; }
.output_text pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.code_cell { margin: .8rem 0 1.4rem; } .output_area { margin: .6rem 0; overflow-x: auto; }
.output_png img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
iframe { width: 100%; border: 0; }
details { margin: .5rem 0; } details > summary { cursor: pointer; color: var(--soft); }
table { border: 0; border-collapse: collapse; font-size: 14px; display: block; overflow-x: auto; }
th, td { border: 0; padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.output_area td, .output_area th { white-space: nowrap; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 1.2rem; }
.card { display: flex; flex-direction: column; gap: .4rem; border: 1px solid var(--line); border-radius: 8px;
  overflow: hidden; color: inherit; text-decoration: none; padding-bottom: .8rem; }
.card img { width: 100%; aspect-ratio: 8 / 5; object-fit: cover; object-position: top; background: #fff; }
.card strong, .card span { padding: 0 .9rem; } .card span { color: var(--soft); font-size: 14px; }
footer { margin-top: 3rem; color: var(--soft); font-size: 14px; }
</style>
</head>
<body>
<main>{{ body }}</main>
<footer>Diamond Cutter {{ version }}{% if digest %}; <a href="index.html">all notebooks</a>{% endif %}</footer>
<script>
// A frame is as high as what is in it, up to a limit, so that little scrolls inside the page.
const most = 1600;
const fit = frame => {
  const inside = frame.contentDocument && frame.contentDocument.body;
  if (!inside) return;
  const high = inside.getBoundingClientRect().bottom + frame.contentWindow.scrollY + 16;
  frame.style.height = Math.min(most, Math.ceil(high)) + "px";
};
const follow = frame => {
  fit(frame);
  const inside = frame.contentDocument && frame.contentDocument.body;
  if (inside) new ResizeObserver(() => fit(frame)).observe(inside);
};
for (const frame of document.querySelectorAll("iframe")) {
  frame.addEventListener("load", () => follow(frame));
  if (frame.contentDocument && frame.contentDocument.readyState === "complete") follow(frame);
}
</script>
</body>
</html>
"""


if __name__ == "__main__":
    main()
