"""The documentation: it builds, its links lead somewhere, it fetches nothing, and what it says of the library is so."""

import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import diamond as dc
from modelzoo import Network
from tests.examples import write_files

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"
SHELLS = ("bash", "sh", "console")
MOST_PICTURE_BYTES = 4_000_000
MOST_PAGE_BYTES = 600_000
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "reference")
NAMES = [path.relative_to(DOCS).as_posix() for path in PAGES]
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
FENCE = re.compile(r"^```(\w+|\{[^}]*\})\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Page(HTMLParser):
    """What a built page links to, loads, and can be linked at."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded, self.without_words = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loaded.append(given["href"])
        if given.get(LOADS.get(tag)):
            self.loaded.append(given[LOADS[tag]])
        words = given.get("title") if tag == "iframe" else given.get("alt")
        if tag in ("img", "iframe") and not (words or "").strip():
            self.without_words.append(given.get("src"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the documentation is built with mkdocs: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {
        path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
        if path.name != "404.html" and path.parent.name not in ("pictures", "notebooks")
    }


@cache
def snippets(name):
    """Python of a page: ``(source, whether it is run)``."""
    found = FENCE.findall((DOCS / name).read_text(encoding="utf-8"))
    return [(text, "not-run" not in kind) for kind, text in found if "python" in kind]


def test_every_page_of_the_folder_is_on_the_site(pages):
    assert {name.replace(".md", ".html") for name in NAMES} <= set(pages)


def test_every_internal_link_anchor_and_picture_is_there(site, pages):
    lost = []
    for name, page in pages.items():
        for link in (*page.links, *page.loaded):
            to = urlsplit(link)
            if to.scheme or to.netloc:
                continue
            target = (site / name).parent / unquote(to.path) if to.path else site / name
            target = target.resolve() / "index.html" if target.is_dir() else target.resolve()
            there = target.relative_to(site.resolve()).as_posix()
            if not target.is_file() or (
                to.fragment and there in pages and unquote(to.fragment) not in pages[there].anchors
            ):
                lost.append(f"{name}: {link}")
    assert lost == []


def test_every_picture_and_frame_says_what_it_shows(pages):
    assert {name: page.without_words for name, page in pages.items() if page.without_words} == {}


def test_a_page_loads_nothing_from_elsewhere(site, pages):
    fetched = {(name, url) for name, page in pages.items() for url in page.loaded if urlsplit(url).netloc}
    styles = [
        path for path in site.rglob("*.css") if re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text())
    ]
    assert (fetched, styles) == (set(), [])


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_in_the_repository_lead_to_files(name):
    links = re.findall(r"\]\(([^)#\s]+)", (ROOT / name).read_text(encoding="utf-8"))
    assert [link for link in links if not urlsplit(link).scheme and not (ROOT / link).exists()] == []


@pytest.mark.slow
def test_reading_the_site_in_a_browser_asks_no_other_machine(site, pages, browser):
    asked = []
    reader = browser.new_page()
    reader.on("request", lambda request: asked.append(request.url))
    for name in pages:
        reader.goto((site / name).as_uri())
    reader.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_pictures_are_small_and_used_and_made_by_the_program():
    program = (DOCS / "pictures.py").read_text(encoding="utf-8")
    written = "".join(path.read_text(encoding="utf-8") for path in (*PAGES, ROOT / "README.md", ROOT / "mkdocs.yml"))
    sizes = {path.name: path.stat().st_size for path in PICTURES.iterdir()}
    assert sum(sizes.values()) < MOST_PICTURE_BYTES
    assert {name: size for name, size in sizes.items() if name.endswith(".html") and size > MOST_PAGE_BYTES} == {}
    assert [name for name in sizes if f"pictures/{name}" not in written] == []
    others = {"sprites.webp", "cat.webp", "favicon.png"}
    assert [name for name in sizes if name not in others and f"\n    {stem(name)},\n" not in program] == []


def stem(name):
    return name.partition(".")[0].replace("-", "_")


@pytest.mark.parametrize("name", [name for name in NAMES if snippets(name)])
def test_names_and_arguments_in_snippets_exist(name):
    wrong = [told for source, _ in snippets(name) for told in wrong_calls(source)]
    assert wrong == []


def test_names_and_arguments_in_the_readme_exist():
    found = FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    sources = [text for kind, text in found if "python" in kind]
    assert sources
    assert [told for source in sources for told in wrong_calls(source)] == []


def wrong_calls(source):
    """Tell what a snippet takes of ``dc`` and of ``net`` that is not there."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            wanted = ast.unparse(node)
            if wanted.startswith("dc.") and "(" not in wanted and "[" not in wanted and named(wanted) is None:
                yield f"{wanted} does not exist"
            if re.fullmatch(r"net\.\w+", wanted) and node.attr not in (*dir(Network), *Network.__dataclass_fields__):
                yield f"{wanted} does not exist"
        if isinstance(node, ast.Call):
            function = named(ast.unparse(node.func)) if ast.unparse(node.func).startswith("dc.") else None
            if function is None:
                continue
            known = inspect.signature(function).parameters
            for keyword in node.keywords:
                if keyword.arg and keyword.arg not in known and "KeywordArguments" not in str(known):
                    yield f"{ast.unparse(node.func)} takes no {keyword.arg}="


def named(path):
    found = dc
    for part in path.split(".")[1:]:
        found = getattr(found, part, None)
    return found


@pytest.fixture(scope="module")
def in_a_folder_of_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    write_files(folder)
    (folder / "flowers").symlink_to(folder / "textures" / "train")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if any(run for _, run in snippets(name))])
def test_snippets_of_a_page_run_from_top_to_bottom(name, in_a_folder_of_files, monkeypatch, tmp_path):
    monkeypatch.chdir(in_a_folder_of_files)
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path))
    around = {}
    for source, run in snippets(name):
        if run:
            exec(compile(source, name, "exec"), around)
    assert around["dc"] is dc


def test_commands_in_the_documentation_exist():
    import typer

    from diamond.cli import app

    known = typer.main.get_command(app).commands
    wrong = []
    for path in (*PAGES, ROOT / "README.md"):
        text = path.read_text(encoding="utf-8")
        lines = [
            line
            for kind, block in FENCE.findall(text)
            if kind in ("bash", "sh", "console")
            for line in block.splitlines()
        ]
        lines += re.findall(r"^ {4,}(diamond .*)$", text, re.MULTILINE) + re.findall(r"`(diamond [^`]*)`", text)
        for line in lines:
            command, *words = line.split("#")[0].split()[1:] or [""]
            if not line.startswith("diamond ") or command.startswith("-") or command in ("COMMAND", "…"):
                continue
            options = {option for parameter in getattr(known.get(command), "params", ()) for option in parameter.opts}
            missing = [word for word in words if word.startswith("--") and word not in options | {"--help"}]
            if command not in known or missing:
                wrong.append(f"{path.name}: {line}")
    assert wrong == []


def test_every_message_in_troubleshooting_stands_in_the_source():
    quoted = re.findall(r"^### `(.+)`$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    said = "\n".join(messages())
    assert len(quoted) > 40
    assert [message for message in quoted if message not in said] == []


def messages():
    """Give every text of the packages, with … in the place of what is filled in."""
    for package in ("diamond", "modelzoo", "spritemaps"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = ["…" if isinstance(part, ast.FormattedValue) else part.value for part in node.values]
                    yield re.sub("…+", "…", "".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_network_stands_among_the_licences():
    spec = importlib.util.spec_from_file_location("site_hooks", DOCS / "site_hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    rows = hooks.licences().splitlines()
    assert {row.split(" | ")[0].removeprefix("| ") for row in rows[2:]} == set(packaged_names())
    assert sum(row.endswith("| Apache-2.0 |") for row in rows) > 10


def packaged_names():
    from modelzoo.registry import packaged_cards

    return packaged_cards()
