"""Every page the library makes, in a real browser: by keyboard, read out, in both grounds, in any script, without JS."""

import html
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diamond.show.pages import _environment, isolated
from diamond.show.result import Result
from modelzoo import lettering
from spritemaps.site import site
from tests.diamond.every_page import HOSTILE, every_page
from tests.spritemaps.sprites import finished

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


def asked(browser, paths):
    """What axe finds on pages, on a light ground and, of contrast, on a dark one."""
    from axe_playwright_python.base import AXE_FILE_PATH

    axe, found = Path(AXE_FILE_PATH).read_text(encoding="utf-8"), {}
    shown = browser.new_context(viewport={"width": 1000, "height": 800}, reduced_motion="reduce").new_page()
    for name, path in paths.items():
        shown.goto(path.as_uri())
        shown.evaluate(axe)
        found[name] = shown.evaluate(ASK, RULES)
        shown.emulate_media(color_scheme="dark")
        found[name] += shown.evaluate(ASK.replace("runOnly: rules", "runOnly: ['color-contrast']"), RULES)
        shown.emulate_media(color_scheme="light")
        assert shown.evaluate("window.broken") is None, name
    return {name: rules for name, rules in found.items() if rules}


def test_axe_finds_nothing_and_no_name_is_run(browser, made):
    assert asked(browser, made[0]) == {}


def test_axe_finds_nothing_on_a_site_of_a_store(browser, tmp_path):
    finished(tmp_path / "store", network=HOSTILE, layer=HOSTILE)
    pages = sorted(site(tmp_path / "store", tmp_path / "site").parent.rglob("*.html"))
    assert len(pages) == 3
    assert asked(browser, {str(path.relative_to(tmp_path)): path for path in pages}) == {}


# What has the keyboard, whether it shows it, and what stands beside it.
FOCUS = """() => { const e = document.activeElement, style = getComputedStyle(e), edge = e.querySelector('rect.edge');
    if (e === document.body) return null;
    // A browser shows itself where it is in a player.
    const ring = e.tagName === 'AUDIO' || style.opacity === '0' || style.outlineStyle !== 'none'
        || style.boxShadow !== 'none' || edge && parseFloat(getComputedStyle(edge).strokeWidth) > 2;
    return [e.tagName + ' ' + (e.getAttribute('aria-label') || e.getAttribute('title') || e.className), ring]; }"""
TIP = "() => { const tip = document.querySelector('body > .tip'); return tip.hidden ? null : tip.textContent; }"


def test_tab_goes_through_every_page_and_shows_where_it_is(browser, made):
    shown = browser.new_context(viewport={"width": 1000, "height": 800}).new_page()
    for name, path in made[0].items():
        shown.goto(path.as_uri())
        stops = []
        while len(stops) < 60:
            shown.keyboard.press("Tab")
            stop = shown.evaluate(FOCUS)
            if stop is None:
                break
            stops.append(stop)
        # The keyboard comes out of a page again, and before it tires.
        assert len(stops) < 60, name
        assert [what for what, ring in stops if not ring] == [], name


def test_a_list_is_one_stop_and_arrows_walk_in_it(browser, made):
    shown = opened(browser, made[0]["exemplars"])
    shown.keyboard.press("Tab")
    first = shown.evaluate("document.activeElement.title")
    assert first.startswith("activation ")
    assert shown.evaluate(TIP) == first
    shown.keyboard.press("ArrowRight")
    second = shown.evaluate("document.activeElement.title")
    assert second != first
    assert shown.evaluate(TIP) == second
    shown.keyboard.press("Escape")
    assert shown.evaluate(TIP) is None
    shown.keyboard.press("Home")
    assert shown.evaluate("document.activeElement.title") == first
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.title") not in (first, second)
    shown.keyboard.press("Shift+Tab")
    assert shown.evaluate("document.activeElement.title") == first


def test_a_unit_of_a_flow_is_read_out_with_its_links(browser, made):
    shown = opened(browser, made[0]["flow"])
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.getAttribute('role')") == "button"
    said = shown.locator("#said").inner_text()
    assert "contributes" in said
    assert "Links: " in said
    shown.keyboard.press("ArrowDown")
    assert shown.locator("#said").inner_text() != said
    shown.keyboard.press("Enter")
    assert shown.locator(".unit[aria-pressed=true]").count() == 1
    shown.keyboard.press("Escape")
    assert shown.locator("#said").inner_text() == ""


def test_pictures_of_an_embedding_by_keyboard_with_their_class_in_letters(browser, made):
    shown = opened(browser, made[0]["embedding"])
    shown.locator(".map button").first.focus()
    shown.keyboard.press("ArrowRight")
    assert shown.locator("#card h2").inner_text() == shown.evaluate("document.activeElement.title")
    marks = shown.eval_on_selector_all(".map button", "all => all.map(b => b.dataset.mark + b.dataset.of)")
    assert set(marks) == {"A0", "B1", "C2"}
    assert shown.locator(".classes b").all_inner_texts() == ["A", "B", "C"]


def test_slices_of_a_volume_by_arrow_keys(browser, made):
    shown = opened(browser, made[0]["volume"])
    shown.locator("#plane2").focus()
    before = shown.locator("#at0").input_value()
    shown.keyboard.press("ArrowUp")
    assert int(shown.locator("#at0").input_value()) == int(before) - 1
    assert shown.locator("#told").inner_text().startswith("row ")


def test_without_a_script_there_is_a_picture_or_a_table(browser, made):
    shown = browser.new_context(viewport={"width": 1000, "height": 800}, java_script_enabled=False).new_page()
    for name, path in made[0].items():
        shown.goto(path.as_uri())
        assert shown.locator("main").inner_text().strip(), name
        drawn = shown.locator("main :is(img, svg, table, button, .tile)")
        assert any(drawn.nth(i).is_visible() for i in range(min(drawn.count(), 20))), name


def test_words_from_the_right_stand_apart(made):
    assert isolated("قط: 0.31") == "\u2068قط\u2069: 0.31"
    assert isolated("for قط صغير (1) against 猫") == "for \u2068قط صغير\u2069 (1) against 猫"
    assert "\u2068قط صغير\u2069" in made[0]["comparison"].read_text(encoding="utf-8")


def test_figures_write_every_script_with_the_fonts_there_are(monkeypatch):
    def ink(word):
        figure = lettering.Figure(figsize=(2, 1), layout="constrained")
        figure.subplots().set(yticks=[0], yticklabels=[word], xticks=[])
        file = io.BytesIO()
        figure.savefig(file, dpi=60)
        return np.asarray(Image.open(file).convert("L"))

    # No warning, which would be an error here; what no font has is an empty box.
    monkeypatch.setattr(lettering, "fallbacks", lambda: ())
    boxes = ink("\u1d81"), ink("\u1d84")
    np.testing.assert_array_equal(*boxes)
    # These two are in a font that comes with matplotlib, and not in its usual one.
    monkeypatch.setattr(lettering, "fallbacks", lambda: ("STIXGeneral",))
    assert (ink("\u1d81") != boxes[0]).any()
    assert (ink("\u1d81") != ink("\u1d84")).any()
