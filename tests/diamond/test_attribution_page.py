"""The pages of channel attribution in a real browser: narrow, dark, escaped, offline, without JavaScript."""

import dataclasses

import numpy as np
import pytest

import diamond as dc
from diamond.attribution.report import write_report
from tests import tiny

NASTY = "<script>document.title='broken'</script>\"'&.png"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page of two layers with nasty names, and a report of three real photos."""
    import skimage.data

    folder = tmp_path_factory.mktemp("pages")
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    shown = np.random.default_rng(0).random((3, 8, 6, 3), dtype=np.float32)
    found = dc.channel_attribution(net, shown, ["conv", "features"], positive=0, negative=1, top=4)
    rows = tuple(
        dataclasses.replace(row, images=(NASTY,) * 3, positive=(NASTY,) * 3, negative=(NASTY,) * 3, layer=NASTY)
        for row in found
    )
    nasty = dataclasses.replace(found, rows=rows).save(folder / "nasty.html")
    photos = [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.rocket()]
    report = write_report(
        dc.load("EfficientNetLite0"), photos, folder / "report.html", negative="top2", say=lambda _: None
    )
    return {"nasty": nasty, "report": report}


def opened(browser, path, **context):
    asked, shown = [], browser.new_context(**context).new_page()
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(path.as_uri())
    assert [url for url in asked if not url.startswith(("data:", path.as_uri()))] == []
    return shown


@pytest.mark.parametrize("name", ["nasty", "report"])
def test_a_phone_scrolls_down_only(browser, pages, name):
    shown = opened(browser, pages[name], viewport={"width": 375, "height": 700}, has_touch=True)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 375
    sizes = shown.eval_on_selector_all(".sprite", "all => all.map(e => e.getBoundingClientRect().width)")
    assert min(sizes) > 60


def test_names_are_text_whatever_they_hold(browser, pages):
    shown = opened(browser, pages["nasty"])
    assert shown.locator("main script").count() == 0
    assert shown.title() != "broken"
    assert "<script>" in shown.locator("h2").first.inner_text()


def test_both_signs_stand_apart_in_orange_and_blue_dark_and_without_javascript(browser, pages):
    shown = opened(browser, pages["report"], java_script_enabled=False, color_scheme="dark")
    # Three layers, eight channels for each of both classes.
    assert shown.locator(".sprite img").count() == 48
    colours = shown.eval_on_selector_all(".bar", "all => all.map(e => getComputedStyle(e).backgroundColor)")
    red, blue = ([[int(c) for c in text[5:].split(",")[:3]][i] for text in colours] for i in (0, 2))
    assert [r > b for r, b in zip(red, blue, strict=True)] == ([True] * 8 + [False] * 8) * 3


def test_the_bar_is_as_long_and_as_dark_as_the_score(browser, pages):
    shown = opened(browser, pages["report"])
    bars = shown.locator("ul").first.locator(".bar")
    lengths = bars.evaluate_all("all => all.map(e => e.getBoundingClientRect().width)")
    assert lengths == sorted(lengths, reverse=True)
    shades = bars.evaluate_all(
        "all => all.map(e => parseFloat(getComputedStyle(e).backgroundColor.split(',')[3] || 1))"
    )
    assert shades == sorted(shades, reverse=True)
    assert shades[0] > 2 * shades[-1]


def test_every_picture_of_the_report_is_drawn(browser, pages):
    shown = opened(browser, pages["report"], viewport={"width": 1200, "height": 900})
    sizes = shown.eval_on_selector_all("img", "all => all.map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
    assert len(sizes) == 3 + 48 + 6
    assert all(natural > 0 and width > 20 for natural, width in sizes)
