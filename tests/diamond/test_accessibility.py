"""Every page the library makes, in a real browser: by keyboard, read out, in both grounds, in any script, without JS."""

import html
import re
from pathlib import Path

import pytest

from diamond.show.pages import _environment
from diamond.show.result import Result
from tests.diamond.every_page import every_page

# What axe-core checks: WCAG 2.2 to level AA, and what its authors hold for good practice beyond.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ASK = """(rules) => axe.run(document, {runOnly: rules, resultTypes: ['violations']}).then((found) => found.violations.map(
    (rule) => rule.id + ': ' + rule.nodes.map((node) => node.html.slice(0, 120)).join(' | ')))"""
# Made by others than pages: parts of a page, and the frame around all of them.
PIECES = {"base.html", "parts.html", "pictures.html", "semantic_parts.html"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Each page's file by its name, the kinds of results, and the templates that took part."""
    _environment().cache.clear()
    folder = tmp_path_factory.mktemp("pages")
    files, kinds = {}, set()
    for name, thing in every_page(tmp_path_factory.mktemp("made")):
        kinds.add(type(thing))
        files[name] = folder / f"{name}.html"
        files[name].write_text(document(thing), encoding="utf-8")
    return files, kinds, {key[1] for key in _environment().cache.keys()}  # noqa: SIM118


def document(thing):
    """The document within a notebook's frame; what stands in no frame, in a page of ours."""
    if isinstance(thing, str):
        return thing
    shown = thing._repr_html_()
    framed = re.fullmatch(r'<iframe [^>]*title="[^"]+"[^>]*srcdoc="(.*)"></iframe>', shown, re.DOTALL)
    if framed:
        return html.unescape(framed[1])
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title><main><h1>page</h1>{shown}</main>'


def kinds_of(base):
    """Every result class that can be made."""
    for kind in base.__subclasses__():
        if not kind.__abstractmethods__ and kind.__module__.startswith("diamond."):
            yield kind
        yield from kinds_of(kind)


def test_no_kind_of_page_is_left_out(made):
    _, kinds, templates = made
    assert set(kinds_of(Result)) - kinds == set()
    assert set(_environment().list_templates()) - templates == set()


def opened(browser, path: Path, **context):
    shown = browser.new_context(**{"viewport": {"width": 1000, "height": 800}, **context}).new_page()
    wrong = []
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.goto(path.as_uri())
    assert wrong == []
    return shown


def test_axe_finds_nothing_and_no_name_is_run(browser, made):
    from axe_playwright_python.base import AXE_FILE_PATH

    axe, found = Path(AXE_FILE_PATH).read_text(encoding="utf-8"), {}
    shown = browser.new_context(viewport={"width": 1000, "height": 800}, reduced_motion="reduce").new_page()
    for name, path in made[0].items():
        shown.goto(path.as_uri())
        shown.evaluate(axe)
        found[name] = shown.evaluate(ASK, RULES)
        shown.emulate_media(color_scheme="dark")
        found[name] += shown.evaluate(ASK.replace("runOnly: rules", "runOnly: ['color-contrast']"), RULES)
        shown.emulate_media(color_scheme="light")
        assert shown.evaluate("window.broken") is None, name
    assert {name: rules for name, rules in found.items() if rules} == {}
