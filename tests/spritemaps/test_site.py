"""The site of a store, written and opened from the disk by a real browser."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritemaps import ChannelRecord, Store, StoreError, packaged_store
from spritemaps.site import figure, site
from tests.spritemaps.sprites import finished, hashes, spec, sprite

NASTY = "<script>alert('x')</script>\"&/é"


def layer(root, records=None, **changes):
    """A finished layer whose records are given."""
    job = Store(root).open_job(spec(**changes))
    told = {record.channel: record for record in records or ()}
    for batch in job.pending:
        channels = job.spec.batches[batch]
        tiles = np.stack([sprite(c, job.spec.tile_px) for c in channels])
        job.write(batch, tiles, [told.get(c, ChannelRecord(c, 1.0 + c)) for c in channels])
    return job.finish()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A store of three networks, and its site."""
    root = tmp_path_factory.mktemp("built")
    store, photos = root / "store", root / "photos"
    photos.mkdir()
    Image.fromarray(sprite(3, 200)).save(photos / "beach.png")
    photo = {"photo_best": 8.0, "photo": "beach.png"}
    records = [ChannelRecord(c, 1.0 + c, robust=0.5 + c, **photo) for c in range(30)]
    records[4] = ChannelRecord(4, 0.0, False, 3)
    wide = {"channels": 30, "tile_px": 64, "batches": (tuple(range(30)),)}
    layer(store, records, network="Net", layer="block10", fingerprint="aa" * 32, **wide)
    layer(store, network="Net", layer="block10", fingerprint="aa" * 32, recipe_name="texture", recipe_hash="0b", **wide)
    layer(store, network="Net", layer="block2", fingerprint="bb" * 32)
    layer(store, network=NASTY, layer=NASTY, fingerprint="cc" * 32)
    return store, site(store, root / "site", photos=photos).parent


def opened(browser, path: Path, hash_="", **context):
    context = {"viewport": {"width": 1280, "height": 900}, **context}
    asked, page = [], browser.new_context(**context).new_page()
    failed = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(path.as_uri() + hash_)
    assert failed == []
    return page, [url for url in asked if not url.startswith(("data:", "file://"))]


def pixels(page, selector):
    found = page.locator(selector).first
    found.scroll_into_view_if_needed()
    # The browser paints from whole pixels on; a box may lie between them.
    box = {name: round(value) for name, value in found.bounding_box().items()}
    return np.asarray(Image.open(io.BytesIO(page.screenshot(clip=box))).convert("RGB"))


def test_it_is_the_pages_of_the_atlas_and_a_document_a_layer(built):
    store, out = built
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert names == [
        "Net/block10.sprite.html",
        "Net/block10.sprite/atlas-0.webp",
        "Net/block10.texture.html",
        "Net/block10.texture/atlas-0.webp",
        "Net/block2.html",
        "Net/block2/atlas-0.webp",
        "Net/index.html",
        "assets/site.css",
        "assets/site.js",
        "index.html",
        *[name for name in names if name.startswith("photos/")],
        *[name for name in names if name.startswith("script-alert-")],
        "site.json",
    ]
    assert len([name for name in names if name.startswith("photos/")]) == 1
    kept = next(store.glob("Net/block2/*/atlas-0.webp")).read_bytes()
    assert (out / "Net/block2/atlas-0.webp").read_bytes() == kept


def test_every_page_opens_from_the_disk_and_asks_nothing_of_a_network(browser, built):
    pages = sorted(built[1].rglob("*.html"))
    assert len(pages) == 7
    for path in pages:
        page, outside = opened(browser, path)
        assert outside == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        page.context.close()


def test_from_the_networks_to_a_channel_by_links_alone(browser, built):
    page, _ = opened(browser, built[1] / "index.html")
    assert page.locator("h1").inner_text() == "Spritemaps"
    assert page.locator(".head .facts").inner_text().split("\n") == ["2 networks", "3 layers", "50 channels"]
    page.get_by_role("link", name="Net", exact=True).click()
    assert page.locator("h2").all_inner_texts() == ["block2", "block10", "block10"]
    told = page.locator(".row").nth(1).locator(".facts").inner_text().split("\n")
    # Channels 0 to 29 but the dead 4 reach 1 to 30, moved a little half less, and the best photo 8.
    assert told == ["30 channels", "1 dead", "mean activation 15.9", "192% of the best photos", "recipe sprite"]
    page.locator(".row").nth(1).locator("h2 a").click()
    page.get_by_role("link", name="channel 7, activation 8.00").click()
    assert page.evaluate("location.href").endswith("/Net/block10.sprite.html#7")
    assert page.locator("#panel h2").inner_text() == "Channel 7"


def test_a_tile_is_the_sprite_of_the_atlas_pixel_for_pixel(browser, built):
    page, _ = opened(browser, built[1] / "Net/block10.sprite.html")
    sprites = Store(built[0]).find("aa" * 32)
    page.evaluate("document.getElementById('tiles').style.setProperty('--t', '64px')")
    page.add_style_tag(content="#tiles i { border-radius: 0 !important }")
    for channel in (0, 7, 29):
        seen = pixels(page, f"[id='{channel}'] i")
        assert seen.shape == (64, 64, 3)
        assert np.abs(seen.astype(int) - sprites[channel].astype(int)).max() <= 2
    # Doubled in size it is still this sprite, and no other's edge shows in it.
    page.evaluate("document.getElementById('tiles').style.setProperty('--t', '128px')")
    seen = np.asarray(Image.fromarray(pixels(page, "[id='7'] i")).resize((64, 64), Image.Resampling.BOX), int)
    assert np.abs(seen - sprites[7].astype(int))[2:-2, 2:-2].mean() < 2


def test_sprites_of_a_layer_in_several_pages_come_from_the_right_one(browser, tmp_path):
    # 1764 channels of 100 px are cut into four pages of whole cells, 40 x 40 in the first.
    sprites = finished(tmp_path / "store", channels=1764, tile_px=100, batches=(tuple(range(1764)),))
    page, _ = opened(browser, site(tmp_path / "store", tmp_path / "site").parent / "Tiny/block-conv.html")
    page.evaluate("document.getElementById('tiles').style.setProperty('--t', '100px')")
    page.add_style_tag(content="#tiles i, #portrait { border-radius: 0 !important }")
    for channel in (38, 40, 1680, 1763):
        page.evaluate(f"location.hash = '#{channel}'")
        assert np.abs(pixels(page, f"[id='{channel}'] i").astype(int) - sprites[channel].astype(int)).mean() < 2
        page.evaluate("document.getElementById('portrait').style.setProperty('--t', '100px')")
        assert np.abs(pixels(page, "#portrait").astype(int) - sprites[channel].astype(int)).mean() < 2


def test_the_panel_tells_what_is_known_of_a_channel(browser, built):
    page, _ = opened(browser, built[1] / "Net/block10.sprite.html", "#7")
    names, values = (page.locator(f"#quality {tag}").all_inner_texts() for tag in ("dt", "dd"))
    assert dict(zip(names, values, strict=True)) == {
        "Activation": "8.00",
        "Rank in the layer": "23 of 29",
        "When moved a little": "7.50",
        "Best photo": "8.00",
        "Of the best photo": "94 %",
        "Attempts": "1",
        "Recipe": "sprite",
        "Seed": "3",
        "In the grid": "row 1, column 1",
    }
    assert page.locator("#more figcaption").all_inner_texts() == ["texture", "beach.png"]
    assert page.locator("#more .photo img").evaluate("image => image.naturalWidth") == 200
    assert page.locator("#code").inner_text().endswith('dc.spritemap(net, "block10")[7]')
    assert page.title() == "7 – block10 – Net"
    page.locator("#more .others a").click()
    page.wait_for_url("**/Net/block10.texture.html#7")
    page.evaluate("location.hash = '#29'")
    assert page.locator("#panel h2").inner_text() == "Channel 29"


def test_a_dead_channel_is_told_as_dead(browser, built):
    page, _ = opened(browser, built[1] / "Net/block10.sprite.html", "#4")
    assert page.locator("#quality dd").first.inner_text() == "dead: nothing made it fire"
    assert "3, number 1 kept" in page.locator("#quality").inner_text()
    assert page.locator("#portrait").evaluate("p => getComputedStyle(p).opacity") == "0.38"
    assert page.get_by_role("link", name="channel 4, dead").count() == 1


@pytest.mark.parametrize(
    ("asked", "found"),
    [("2", [2, *range(20, 30)]), ("#17", [17]), ("dead", [4]), ("8-10", [8, 9, 10]), ("3, 5 9", [3, 5, 9]), ("x", [])],
)
def test_search_finds_channels_by_number(browser, built, asked, found):
    page, _ = opened(browser, built[1] / "Net/block10.sprite.html")
    page.locator("#search").fill(asked)
    assert [int(i) for i in page.locator("#tiles a").evaluate_all("all => all.map(a => a.id)")] == found
    assert page.locator("#none").is_visible() == (not found)
    assert page.locator("#count").inner_text() == f"{len(found)} of 30"


def test_the_keyboard_does_it_all(browser, built):
    page, _ = opened(browser, built[1] / "Net/block10.sprite.html")
    press = page.keyboard.press

    def focused():
        return page.evaluate("document.activeElement.id")

    press("/")
    assert focused() == "search"
    page.keyboard.type("12")
    press("Enter")
    assert page.locator("#panel h2").inner_text() == "Channel 12"
    assert page.evaluate("location.hash") == "#12"
    press("Escape")
    assert page.locator("#panel").is_hidden()
    assert page.locator("#tiles a").count() == 1
    press("Escape")
    assert page.locator("#tiles a").count() == 30
    assert focused() == "12"
    columns = page.evaluate("getComputedStyle(document.getElementById('tiles')).gridTemplateColumns.split(' ').length")
    press("ArrowRight")
    press("ArrowDown")
    assert focused() == str(13 + columns)
    press("ArrowUp")
    press("ArrowLeft")
    assert focused() == "12"
    press("Home")
    press("ArrowLeft")
    assert focused() == "0"
    press("Enter")
    assert page.locator("#panel h2").inner_text() == "Channel 0"
    press("ArrowRight")
    assert page.locator("#panel h2").inner_text() == "Channel 1"
    assert page.evaluate("location.hash") == "#1"
    press("Escape")
    assert page.evaluate("location.href.includes('#')") is False
    # One tile of them all takes part in the tab order.
    assert page.locator("#tiles a[tabindex='0']").count() == 1


def test_channels_can_be_ordered_by_strength(browser, built):
    page, _ = opened(browser, built[1] / "Net/block10.sprite.html")
    page.locator("#order").select_option("activation")
    ids = page.locator("#tiles a").evaluate_all("all => all.map(a => Number(a.id))")
    assert ids == [c for c in range(29, -1, -1) if c != 4] + [4]
    page.locator("#order").select_option("robust")
    assert page.locator("#tiles a").first.get_attribute("id") == "29"
    page.locator("#order").select_option("channel")
    assert page.locator("#tiles a").first.get_attribute("id") == "0"


def test_without_javascript_the_grid_stands(browser, built):
    page, _ = opened(browser, built[1] / "Net/block10.sprite.html", "#7", java_script_enabled=False)
    assert page.locator("#tiles a").count() == 30
    assert page.locator("[id='7']").is_visible()
    assert page.locator(".tools").is_hidden()
    assert page.locator("#panel").is_hidden()
    assert len(np.unique(pixels(page, "[id='7'] i").reshape(-1, 3), axis=0)) > 50


def test_in_the_dark_and_on_a_phone(browser, built):
    for path in sorted(built[1].rglob("*.html")):
        page, _ = opened(browser, path, "#7", color_scheme="dark", viewport={"width": 375, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 23)"
        page.context.close()
    page, _ = opened(browser, built[1] / "Net/block10.sprite.html", "#7", viewport={"width": 375, "height": 700})
    box = page.locator("#panel").bounding_box()
    assert (box["x"], box["width"]) == (0, 375)
    assert box["y"] + box["height"] == 700


def test_names_are_escaped_everywhere(browser, built):
    folder = next(path for path in built[1].iterdir() if path.name.startswith("script-alert-"))
    for path in (built[1] / "index.html", *folder.glob("*.html")):
        assert "<script>alert" not in path.read_text(encoding="utf-8")
        page, _ = opened(browser, path, "#2")
        assert NASTY in page.locator("body").inner_text()
        page.context.close()
    page, _ = opened(browser, next(folder.glob("script*.html")), "#2")
    assert json.dumps(NASTY, ensure_ascii=False) in page.locator("#code").inner_text()


def test_layers_stand_in_network_order_where_it_is_known(tmp_path):
    for name, digits in (("stem", "aa"), ("block2", "bb"), ("block10", "cc"), ("aux", "dd")):
        finished(tmp_path / "store", layer=name, fingerprint=digits * 32)

    def order(**how):
        text = (site(tmp_path / "store", tmp_path / "site", **how).parent / "Tiny/index.html").read_text()
        return sorted(("stem", "block2", "block10", "aux"), key=lambda name: text.index(f">{name}</a></h2>"))

    assert order() == ["aux", "block2", "block10", "stem"]
    assert order(orders={"Tiny": ["stem", "block2", "block10"]}) == ["stem", "block2", "block10", "aux"]


def test_writing_again_changes_nothing_and_a_changed_store_leaves_nothing_behind(tmp_path):
    finished(tmp_path / "store")
    site(tmp_path / "store", tmp_path / "site")
    first = hashes(tmp_path / "site")
    site(tmp_path / "store", tmp_path / "site")
    assert hashes(tmp_path / "site") == first
    shutil.rmtree(tmp_path / "store" / "Tiny")
    finished(tmp_path / "store", network="Other")
    site(tmp_path / "store", tmp_path / "site")
    assert [path.name for path in sorted((tmp_path / "site").iterdir())] == [
        "Other",
        "assets",
        "index.html",
        "site.json",
    ]


def test_what_cannot_be_written_is_told(tmp_path):
    finished(tmp_path / "store")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match="mine holds other things than a site"):
        site(tmp_path / "store", tmp_path / "mine")
    with pytest.raises(StoreError, match="lies in the store"):
        site(tmp_path / "store", tmp_path / "store" / "site")
    with pytest.raises(StoreError, match=r"there is no store at .*nowhere"):
        site(tmp_path / "nowhere", tmp_path / "site")
    with pytest.raises(StoreError, match=r"there are no photos at .*nowhere"):
        site(tmp_path / "store", tmp_path / "site", photos=tmp_path / "nowhere")
    page = next((tmp_path / "store").glob("*/*/*/atlas-0.webp"))
    page.write_bytes(page.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="atlas-0.webp is damaged"):
        site(tmp_path / "store", tmp_path / "site")


def test_a_photo_outside_the_folder_is_not_copied(tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(sprite(1, 8)).save(tmp_path / "secret.png")
    layer(tmp_path / "store", [ChannelRecord(0, 1.0, photo_best=1.0, photo="../secret.png")])
    site(tmp_path / "store", tmp_path / "site", photos=tmp_path / "photos")
    assert not (tmp_path / "site" / "photos").exists()


def test_an_empty_store_has_a_page_too(browser, tmp_path):
    (tmp_path / "store").mkdir()
    page, _ = opened(browser, site(tmp_path / "store", tmp_path / "site", title="Ours"))
    assert page.locator("h1").inner_text() == "Ours"
    assert "holds no finished layer yet" in page.locator("main").inner_text()


def test_the_shipped_store_has_a_site(browser, tmp_path):
    page, outside = opened(browser, site(packaged_store(), tmp_path / "site"))
    assert outside == []
    assert "EfficientNetLite0" in page.locator("h2").all_inner_texts()


def test_a_layer_of_two_thousand_channels_opens_at_once(browser, tmp_path):
    layer(tmp_path / "store", channels=2048, tile_px=64, batches=(tuple(range(2048)),))
    path = site(tmp_path / "store", tmp_path / "site").parent / "Tiny/block-conv.html"
    page, _ = opened(browser, path, "#1999")
    painted = page.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
    )
    # Under a second where the machine is free; the tests share theirs.
    assert painted < 6000
    assert page.locator("#tiles a").count() == 2048
    assert page.locator("[id='1999']").is_visible()


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.345, "12.3"), (43, "43.0"), (0.004561, "0.00456"), (12345, "12,300"), (99.99, "100"), (0, "0.00")],
)
def test_figures_are_of_three_digits(value, text):
    assert figure(value) == text
