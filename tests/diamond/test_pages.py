"""Pages: whole without a network, escaped, and drawn by a real browser as they should be."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diamond as dc
from diamond import demo
from diamond.show.heat import overlay
from diamond.show.pages import embed, page, picture_uri
from tests import tiny


def attribution(name="features", images=("a",)):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    pictures = np.random.default_rng(0).random((len(images), 8, 6, 3), dtype=np.float32)
    return dc.channel_attribution(net, pictures, name, top=3)


def test_strings_are_escaped():
    import dataclasses

    nasty = "<script>alert('x')</script>\""
    found = dataclasses.replace(attribution(), images=(nasty,), positive=(nasty,), layer=nasty)
    document = page("channel_attribution.html", title=nasty, rows=[found])
    assert "<script>alert" not in document
    assert "&lt;script&gt;alert" in document
    framed = embed(document, title=nasty)
    assert "<script" not in framed
    assert framed.count("<iframe") == 1


def test_an_overlay_is_orange_for_and_blue_against():
    coloured = overlay(np.array([[2.0, -1.0, 0.0]]))
    assert coloured[0, 0].tolist() == [217, 116, 20, 209]
    assert coloured[0, 1].tolist() == [38, 104, 196, 105]
    assert coloured[0, 2, 3] == 0
    assert overlay(np.zeros((2, 3)))[..., 3].max() == 0
    assert overlay(np.ones((2, 3)), (8, 12)).shape == (8, 12, 4)


def test_pictures_become_data_uris():
    assert picture_uri(np.zeros((4, 4, 3), np.float32)).startswith("data:image/webp;base64,")
    assert picture_uri(overlay(np.ones((4, 4)))).startswith("data:image/png;base64,")


@pytest.fixture(scope="module")
def demo_page(tmp_path_factory):
    said = []
    path = demo.run(tmp_path_factory.mktemp("demo"), say=said.append)
    return path, "\n".join(said)


def opened(browser, path: Path, **context):
    asked, page_ = [], browser.new_context(viewport={"width": 1200, "height": 1400}, **context).new_page()
    page_.on("request", lambda request: asked.append(request.url))
    page_.goto(path.as_uri())
    outside = [url for url in asked if not url.startswith(("data:", path.as_uri()))]
    return page_, outside


def test_the_demo_names_the_photo_and_writes_one_page(demo_page):
    path, said = demo_page
    assert "tiger cat (282)" in said
    assert "block14_add: channels for tiger cat" in said
    assert path.name == "index.html"
    assert [p.name for p in path.parent.iterdir()] == ["index.html"]
    document = path.read_text(encoding="utf-8")
    assert "No store has sprites" not in document
    assert len(document) < 1_500_000


def test_the_demo_page_asks_nothing_of_a_network_and_shows_every_picture(browser, demo_page):
    shown, outside = opened(browser, demo_page[0])
    assert outside == []
    sizes = shown.eval_on_selector_all("img", "all => all.map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
    # A photo, 3 rows of 8 sprites, a photo under its heatmap, 3 fresh pictures.
    assert len(sizes) == 1 + 24 + 2 + 3
    assert all(natural > 0 and width > 20 for natural, width in sizes)
    assert shown.title() == "Diamond Cutter: EfficientNetLite0 on a photo"


def test_the_page_stands_without_javascript_in_the_dark_and_on_a_phone(browser, demo_page):
    dark, _ = opened(browser, demo_page[0], java_script_enabled=False, color_scheme="dark")
    assert dark.locator("img").count() == 30
    ground = dark.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert ground == "rgb(22, 24, 27)"
    phone = browser.new_context(viewport={"width": 375, "height": 700}).new_page()
    phone.goto(demo_page[0].as_uri())
    assert phone.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_sprite_on_the_page_is_the_sprite_of_the_atlas(browser, demo_page, tmp_path):
    shown, _ = opened(browser, demo_page[0])
    net = dc.load("EfficientNetLite0")
    sprites = dc.spritemap(net, "block4_add")
    caption = shown.locator(".sprite").first
    channel = int(caption.locator("figcaption span").first.inner_text())
    pixels = tmp_path / "sprite.png"
    caption.locator("img").screenshot(path=pixels)
    seen = np.asarray(Image.open(pixels).convert("RGB").resize((32, 32), Image.Resampling.BOX), float)
    kept = np.asarray(Image.fromarray(sprites[channel]).resize((32, 32), Image.Resampling.BOX), float)
    inner = (slice(4, -4), slice(4, -4))
    assert np.abs(seen[inner] - kept[inner]).mean() < 12


def test_results_in_a_sandboxed_frame_twice_on_one_page(browser, tmp_path):
    found = attribution()
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html><meta charset=utf-8>{found._repr_html_()}{found._repr_html_()}")
    shown, outside = opened(browser, notebook)
    frames = [frame for frame in shown.frames if frame.parent_frame is not None]
    assert [url for url in outside if not url.startswith("about:")] == []
    assert len(frames) == 2
    assert all(frame.locator(".sprite").count() == 3 for frame in frames)
