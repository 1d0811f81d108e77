"""The page of a semantic map in a real browser: pointer, finger, keyboard, no script, no network, twice on one page."""

import dataclasses
import re

import numpy as np
import pytest

import diamond as dc
from diamond.attribution.semantic import SemanticMap
from diamond.show.packing import gather, pack, pack_measured, pack_shades
from diamond.show.pages import embed
from tests.diamond.test_semantic import HIGH, WIDE, colours, picture
from tests.spritemaps.sprites import finished, sprite

NASTY = "</script><script>document.title = 'broken'</script>\"'<b>"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Orange and blue over 4 x 6 cells, three channels with sprites, two further pictures."""
    store, net = tmp_path_factory.mktemp("store") / "store", colours()
    finished(store, channels=3, fingerprint=net.fingerprint("cells"), tile_px=64, batches=((0, 1, 2),))
    flat = np.full((2 * HIGH, 2 * WIDE, 3), 0.5, np.float32)
    ask = {"positive": 0, "negative": 1, "top": 3, "others": [flat, picture()], "store": store}
    return dc.semantic_map(net, picture(), "cells", **ask)


@pytest.fixture(scope="module")
def path(found, tmp_path_factory):
    return found.save(tmp_path_factory.mktemp("page") / "map.html")


def opened(browser, path, **context):
    asked, wrong = [], []
    shown = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context}).new_page()
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.goto(path.as_uri())
    outside = [url for url in asked if not url.startswith(("data:", "file://", "about:"))]
    assert (wrong, outside) == ([], [])
    return shown


def to(shown, row, column):
    """Middle of a cell on the screen."""
    box = shown.locator(".stage").bounding_box()
    return box["x"] + (column + 0.5) * box["width"] / WIDE, box["y"] + (row + 0.5) * box["height"] / HIGH


def scores(shown):
    return [text.replace("\u2212", "-") for text in shown.locator("[data-score]").all_inner_texts()]


def channels(shown):
    return shown.locator("[data-name]").all_inner_texts()


def test_hovering_a_cell_shows_its_channels(browser, path, found):
    shown = opened(browser, path)
    assert shown.locator("[data-place]").inner_text() == "Whole picture"
    assert channels(shown) == [str(c) for c in found.overall]
    shown.mouse.move(*to(shown, 2, 5))
    assert shown.locator("[data-place]").inner_text() == "Row 2, column 5"
    assert shown.locator("[data-about]").inner_text() == "\u22120.1 logits, for 1"
    # By hand: blue takes 3 * .9 / 24 away, green gives 2 * .1 / 24, red .1 / 24.
    assert channels(shown) == ["2", "1", "0"]
    assert scores(shown) == ["-0.113", "+0.00833", "+0.00417"]
    first = shown.locator(".level i").first
    assert "--against" in first.get_attribute("style")
    widths = shown.eval_on_selector_all(".card .level i", "all => all.map(i => i.getBoundingClientRect().width)")
    assert widths[0] > 10 * widths[1] > 0
    cursor, stage = shown.locator(".cursor").bounding_box(), shown.locator(".stage").bounding_box()
    shown.wait_for_timeout(150)
    cursor = shown.locator(".cursor").bounding_box()
    assert cursor["width"] == pytest.approx(stage["width"] / WIDE, abs=1)
    assert cursor["height"] == pytest.approx(stage["height"] / HIGH, abs=1)
    assert cursor["x"] + cursor["width"] == pytest.approx(stage["x"] + stage["width"], abs=1)


def test_hovering_moves_nothing_on_the_page(browser, path):
    shown = opened(browser, path)
    boxes = "() => [...document.querySelectorAll('.card, .stage, .tools, .unit')].map(e => e.getBoundingClientRect().y)"
    shown.mouse.move(*to(shown, 0, 0))
    before = shown.evaluate(boxes)
    for cell in ((1, 4), (2, 5), (3, 0)):
        shown.mouse.move(*to(shown, *cell))
        assert shown.evaluate(boxes) == before


def test_a_click_keeps_a_cell_and_a_second_lets_go(browser, path):
    shown = opened(browser, path)
    shown.mouse.click(*to(shown, 1, 4))
    shown.mouse.move(*to(shown, 3, 0))
    assert shown.locator("[data-place]").inner_text() == "Row 1, column 4"
    shown.mouse.click(*to(shown, 1, 4))
    shown.mouse.move(*to(shown, 3, 0))
    assert shown.locator("[data-place]").inner_text() == "Row 3, column 0"
    shown.locator("[data-whole]").click()
    assert shown.locator("[data-place]").inner_text() == "Whole picture"


def test_the_keyboard_reaches_everything(browser, path):
    shown = opened(browser, path)
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.className") == "stage"
    shown.keyboard.press("ArrowRight")
    assert shown.locator("[data-place]").inner_text() == "Row 2, column 3"
    for key in ("ArrowUp", "ArrowRight"):
        shown.keyboard.press(key)
    assert shown.locator("[data-place]").inner_text() == "Row 1, column 4"
    assert channels(shown) == ["0", "2", "1"]
    shown.keyboard.press("End")
    shown.keyboard.press("ArrowRight")
    assert shown.locator("[data-place]").inner_text() == "Row 1, column 5"
    shown.wait_for_timeout(500)
    assert shown.locator(".said").inner_text().startswith("Row 1, column 5, ")
    shown.keyboard.press("Tab")
    assert "quiet" in shown.evaluate("document.activeElement.className")
    shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")
    assert shown.locator(".card").first.get_attribute("aria-pressed") == "true"
    assert shown.locator(".sm").get_attribute("data-view") == "channel"
    shown.keyboard.press("Escape")
    assert shown.locator(".sm").get_attribute("data-view") == "heat"
    shown.keyboard.press("Escape")
    assert shown.locator("[data-place]").inner_text() == "Whole picture"


def test_a_finger(browser, path):
    shown = opened(browser, path, has_touch=True, viewport={"width": 375, "height": 780})
    shown.touchscreen.tap(*to(shown, 1, 4))
    assert shown.locator("[data-place]").inner_text() == "Row 1, column 4"
    shown.touchscreen.tap(*to(shown, 3, 0))
    assert shown.locator("[data-place]").inner_text() == "Row 3, column 0"
    assert shown.evaluate("document.documentElement.scrollWidth") <= 375
    shown.locator(".card").first.tap()
    assert shown.evaluate("document.documentElement.scrollWidth") <= 375


def canvas(shown, selector):
    """Opacity of a drawn map at the middle of each of 4 x 6 cells, 0 to 1."""
    drawn = shown.evaluate(
        """selector => { const c = document.querySelector(selector);
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height);
        return { width: c.width, height: c.height, alpha: Array.from(d.data.filter((_, i) => i % 4 === 3)) }; }""",
        selector,
    )
    alpha = np.reshape(drawn["alpha"], (drawn["height"], drawn["width"])) / 255
    middle = [(np.arange(n) + 0.5) * size / n for n, size in ((HIGH, drawn["height"]), (WIDE, drawn["width"]))]
    return alpha[np.ix_(*(m.astype(int) for m in middle))]


def test_a_channel_is_shown_where_else_it_fires_and_in_which_pictures(browser, path):
    shown = opened(browser, path)
    shown.mouse.click(*to(shown, 2, 5))
    shown.locator(".card").first.click()
    assert shown.locator("[data-channel]").inner_text() == "Channel 2"
    assert shown.locator("[data-fires]").inner_text() == "most at row 2, column 5 (0.9); above half of that in 1 cell"
    fires = canvas(shown, ".spot")
    assert fires[2, 5] == pytest.approx(225 / 255, abs=0.02)
    assert fires[0, 0] == pytest.approx(225 / 255 / 9, abs=0.02)
    assert shown.locator("[data-about]").inner_text().endswith("channel 2 0.9")
    assert shown.locator("[data-peak]").all_inner_texts() == ["0.5", "0.9"]
    # The picture where it fires most comes first, whatever its place in the document.
    boxes = [shown.locator(".others li").nth(i).bounding_box()["x"] for i in (0, 1)]
    assert boxes[1] < boxes[0]
    np.testing.assert_allclose(canvas(shown, ".others li:first-child canvas"), 225 / 255 * 0.5 / 0.9, atol=0.04)
    shown.locator("[data-close]").click()
    assert shown.locator(".chosen").is_hidden()


def test_from_photo_to_heatmap_to_sprites(browser, path):
    shown = opened(browser, path)
    opacity = "getComputedStyle(document.querySelector('.heat')).opacity"
    shown.locator(".mix input").fill("0")
    assert shown.evaluate(opacity) == "0"
    shown.locator(".mix input").fill("100")
    assert shown.evaluate(opacity) == "1"
    shown.locator('[value="sprites"]').check(force=True)
    shown.wait_for_function("document.querySelector('.mosaic').width > 300")
    assert shown.locator(".heat").is_hidden()
    pixel = shown.evaluate(
        """() => { const c = document.querySelector('.mosaic'); return Array.from(c.getContext('2d').getImageData(
        Math.round(5.5 * c.width / 6), Math.round(2.5 * c.height / 4), 1, 1).data); }"""
    )
    # The first channel of cell (2, 5) is 2; the middle of its sprite is drawn in full strength.
    assert np.abs(np.array(pixel[:3], int) - sprite(2, 64, 3)[32, 32]).max() < 14
    assert pixel[3] > 240


def test_without_javascript_photo_heatmap_and_top_channels_stand(browser, path, found):
    shown = opened(browser, path, java_script_enabled=False)
    assert shown.locator(".stage img").count() == 2
    assert shown.locator(".heat").is_visible()
    assert shown.locator(".card").count() == 3
    assert channels(shown) == [str(c) for c in found.overall]
    assert shown.locator(".tools").is_hidden()
    assert shown.locator(".hint").is_hidden()
    assert shown.locator(".key-heat").is_visible()


def test_light_and_dark(browser, path):
    grounds = [
        opened(browser, path, color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert grounds == ["rgb(255, 255, 255)", "rgb(22, 24, 27)"]


def test_framed_twice_in_a_sandbox(browser, found, tmp_path):
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html><meta charset=utf-8>{found._repr_html_() * 2}", encoding="utf-8")
    assert 'sandbox="allow-scripts"' in notebook.read_text(encoding="utf-8")
    shown = opened(browser, notebook)
    frames = [frame for frame in shown.frames if frame.parent_frame is not None]
    assert len(frames) == 2
    for frame in frames:
        frame.locator(".stage").hover(position={"x": 10, "y": 10})
        assert frame.locator("[data-place]").inner_text() == "Row 0, column 0"
        frame.locator(".card").first.click()
        assert frame.locator(".chosen").is_visible()


def test_two_maps_in_one_document_do_not_meet(browser, found, tmp_path):
    document = found._page()
    body = document[document.index("<main>") : document.index("</main>")]
    both = tmp_path / "both.html"
    both.write_text(document.replace("</main>", body.replace("<main>", "") + "</main>"), encoding="utf-8")
    shown = opened(browser, both)
    maps = shown.locator(".sm")
    assert maps.count() == 2
    maps.nth(1).locator(".stage").hover(position={"x": 10, "y": 10})
    assert maps.nth(1).locator("[data-place]").inner_text() == "Row 0, column 0"
    assert maps.nth(0).locator("[data-place]").inner_text() == "Whole picture"
    maps.nth(1).locator('[value="sprites"]').check(force=True)
    assert maps.nth(0).locator('[value="heat"]').is_checked()


def test_names_with_scripts_and_quotes_in_them_are_only_names(browser, found, tmp_path):
    names = {"positive": NASTY, "negative": NASTY, "image": NASTY, "layer": NASTY, "network": NASTY}
    nasty = dataclasses.replace(found, **names, others=(NASTY, NASTY))
    shown = opened(browser, nasty.save(tmp_path / "nasty.html"))
    assert shown.title() == str(nasty)
    assert NASTY in shown.locator("h1").inner_text()
    shown.mouse.move(*to(shown, 2, 5))
    assert shown.locator("[data-about]").inner_text() == f"\u22120.1 logits, for {NASTY}"
    framed = embed(nasty._page(), title=str(nasty))
    assert "<script" not in framed


def test_equal_input_gives_equal_bytes(found, path):
    again = dc.semantic_map(
        colours(), picture(), "cells", positive=0, negative=1, top=3, others=[found.other_pictures[0], picture()]
    )
    again = dataclasses.replace(again, sprites=found.sprites)
    assert again._page() == path.read_text(encoding="utf-8")


def test_without_sprites_the_photo_shows_what_excites_a_channel(browser, found, tmp_path):
    bare = dataclasses.replace(found, sprites=None).save(tmp_path / "bare.html")
    still = opened(browser, bare, java_script_enabled=False)
    assert still.locator(".tile").all_inner_texts() == [str(c) for c in found.overall]
    shown = opened(browser, bare)
    shown.mouse.move(*to(shown, 2, 5))
    # Channel 2 comes first there; it fires most at that cell: the lower right corner of the photo.
    style = shown.locator(".tile").first.evaluate("tile => tile.style.backgroundPosition")
    assert style == "100% 100%"
    assert shown.locator('[value="sprites"]').count() == 0
    assert 'dc.spritemap(net, "cells")' in shown.locator(".right").inner_text()


def large(cells=56, of=512, top=10):
    """A map as large as they get, of noise, which packs worst."""
    rng = np.random.default_rng(0)
    activations = rng.random((cells, cells, of), np.float32)
    order = np.argsort(-activations, axis=-1)[..., :top]
    return SemanticMap(
        network="Net",
        layer="conv",
        image="noise",
        heatmap=activations.sum(axis=-1),
        channels=order,
        scores=np.take_along_axis(activations, order, axis=-1),
        overall=np.arange(top),
        overall_scores=activations.max(axis=(0, 1))[:top],
        activations=activations,
        positive=None,
        negative=None,
        logit=None,
        stride_px=(4.0, 4.0),
        picture=rng.random((224, 224, 3), np.float32),
        photo=np.kron(rng.random((56, 56, 3), np.float32), np.ones((8, 8, 1), np.float32)),
    )


def test_a_large_map_stays_small(browser, tmp_path):
    from spritemaps import ChannelRecord, Spritemap

    rng = np.random.default_rng(1)
    noise = np.kron(rng.integers(0, 255, (512, 24, 24, 3), np.uint8), np.ones((1, 4, 4, 1), np.uint8))
    records = [ChannelRecord(c, 1.0) for c in range(512)]
    facts = {"network": "Net", "layer": "conv", "channels": 512, "fingerprint": "0" * 64, "recipe_name": "sprite"}
    sprites = Spritemap.from_tiles(noise, records, recipe_hash="feedbeef", **facts)
    path = dataclasses.replace(large(), sprites=sprites).save(tmp_path / "large.html")
    assert path.stat().st_size < 1_500_000
    shown = opened(browser, path)
    assert shown.locator(".card").count() == 10
    # A hundred cells under the pointer in less than a second and a half: fifteen milliseconds each.
    spent = shown.evaluate(
        """() => { const stage = document.querySelector('.stage'), box = stage.getBoundingClientRect();
        const begin = performance.now();
        for (let i = 0; i < 100; i++) stage.dispatchEvent(new PointerEvent('pointermove',
          { clientX: box.left + box.width * (i + .5) / 100, clientY: box.top + box.height * (i % 7 + .5) / 7 }));
        return performance.now() - begin; }"""
    )
    assert spent < 1500


def test_packing_by_hand():
    assert pack(np.array([[3, 1], [2, 5]], np.uint16)) == {"type": "Uint16Array", "data": "AwABAAIABQA="}
    assert pack_shades(np.array([0.0, 1.0, 1 / 15]), 4) == {"type": "Uint8Array", "bits": 4, "data": "8AE="}
    assert pack_shades(np.array([0.0, 1.0]), 8)["data"] == "AP8="
    measured = pack_measured(np.array([-2.0, 1.0, 0.0]))
    assert measured["step"] == pytest.approx(2 / 32767)
    assert pack_measured(np.zeros(3))["step"] == 1.0
    with pytest.raises(TypeError, match="cannot pack float64"):
        pack(np.zeros(3))
    with pytest.raises(ValueError, match="5 bits"):
        pack_shades(np.zeros(3), 5)
    with pytest.raises(ValueError, match="no sprites"):
        gather([])


def test_sprites_shrink_until_they_fit():
    noise = np.random.default_rng(0).integers(0, 255, (9, 96, 96, 3), np.uint8)
    whole, small = gather(noise), gather(noise, most_bytes=30_000)
    assert (whole.columns, whole.rows, whole.tile_px) == (3, 3, 96)
    assert small.tile_px < 96
    assert len(small.uri) < 30_000 * 4 / 3 + 30


def test_a_sprite_stands_once_on_the_page(found, path):
    assert len(re.findall("data:image/webp", path.read_text(encoding="utf-8"))) == 3 + len(found.others)
