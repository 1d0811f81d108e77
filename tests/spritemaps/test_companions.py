"""More pictures beside a layer's sprites: kept, read, merged, verified and shown."""

import numpy as np
import pytest

from spritemaps import Store, StoreError
from spritemaps.companions import companions, keep
from spritemaps.merge import merge
from spritemaps.site import site
from spritemaps.verify import verify
from tests.spritemaps.sprites import finished, sprite
from tests.spritemaps.test_site import opened


def pictures(channel, n=3, px=24):
    return np.stack([sprite(10 * channel + i, px) for i in range(n)])


def words(n=3):
    return [f"<b>cat {i}</b>.jpg, {i}.5" for i in range(n)]


@pytest.fixture
def layer(tmp_path):
    return finished(tmp_path / "store")


def test_what_is_kept_is_read_again_channel_by_channel(layer):
    keep(layer.folder, "exemplars", {7: pictures(7), 2: pictures(2, 1)}, {7: words(), 2: words(1)})
    [found] = companions(layer.folder)
    assert (found.kind, found.tile_px, found.count) == ("exemplars", 24, 4)
    assert found.captions == {2: tuple(words(1)), 7: tuple(words())}
    tiles = found.tiles()
    # WebP is lossy, the most where neighbouring pictures differ.
    assert np.abs(tiles[7].astype(int) - pictures(7)).mean() < 4
    assert np.abs(tiles[2].astype(int) - pictures(2, 1)).mean() < 4
    assert Store(layer.folder.parents[2]).find(layer.fingerprint) is not None


def test_other_channels_stay_and_the_same_are_replaced(layer):
    keep(layer.folder, "diverse", {1: pictures(1), 2: pictures(2)}, {1: words(), 2: words()})
    keep(layer.folder, "diverse", {2: pictures(5, 2)}, {2: words(2)})
    [found] = companions(layer.folder)
    assert {channel: len(of) for channel, of in found.captions.items()} == {1: 3, 2: 2}
    assert np.abs(found.tiles()[2].astype(int) - pictures(5, 2)).mean() < 3
    assert sorted(path.name for path in found.folder.iterdir()) == [
        *sorted(p.file for p in found.pages),
        "pictures.json",
    ]
    keep(layer.folder, "diverse", {3: pictures(3, px=32)}, {3: words()})
    assert list(companions(layer.folder)[0].captions) == [3]


@pytest.mark.parametrize(
    ("kind", "tiles", "captions", "error"),
    [
        ("photos", pictures(1), words(), "no kind of pictures 'photos'; expected one of exemplars, diverse"),
        ("diverse", pictures(1), words(2), "channel 1 has 3 pictures and 2 captions"),
        ("diverse", pictures(1)[:, :9], words(), "expected squares"),
        ("diverse", pictures(1) / 255, words(), "expected uint8"),
    ],
)
def test_what_does_not_fit_is_refused(layer, kind, tiles, captions, error):
    with pytest.raises(ValueError, match=error):
        keep(layer.folder, kind, {1: tiles}, {1: captions})
    assert companions(layer.folder) == ()


def test_they_need_a_folder(layer):
    with pytest.raises(StoreError, match="held in memory"):
        keep(None, "diverse", {1: pictures(1)}, {1: words()})


def test_a_merge_takes_them_along_also_to_a_layer_that_is_there(layer, tmp_path):
    merge(tmp_path / "store", tmp_path / "other")
    keep(layer.folder, "exemplars", {7: pictures(7)}, {7: words()})
    merge(tmp_path / "store", tmp_path / "third")
    done = merge(tmp_path / "store", tmp_path / "other")
    assert (done.copied, done.kept) == (0, 1)
    for name in ("other", "third"):
        [copied] = Store(tmp_path / name).layers()
        [found] = companions(copied.folder)
        np.testing.assert_array_equal(found.tiles()[7], companions(layer.folder)[0].tiles()[7])


def test_damage_is_found_and_does_not_touch_the_layer(layer, tmp_path):
    made = keep(layer.folder, "exemplars", {7: pictures(7)}, {7: words()})
    page = made.folder / made.pages[0].file
    page.write_bytes(page.read_bytes()[:-1] + b"x")
    found = verify(Store(tmp_path / "store"))
    assert [fault.where.rsplit("/", 2)[-2:] for fault in found.faults] == [["exemplars", "atlas-0.webp"]]
    assert "delete the folder exemplars and make its pictures again" in found.faults[0].way_out
    (made.folder / "pictures.json").write_text("{")
    assert companions(layer.folder) == ()
    assert Store(tmp_path / "store").find(layer.fingerprint) is not None


def test_the_site_shows_them_in_the_panel_of_their_channel(layer, tmp_path, browser):
    keep(layer.folder, "exemplars", {7: pictures(7)}, {7: words()})
    keep(layer.folder, "diverse", {7: pictures(8, 2)}, {7: ("1 of 2", "2 of 2")})
    out = site(tmp_path / "store", tmp_path / "site").parent
    [page] = [path for path in out.rglob("*.html") if path.name != "index.html"]
    tab, asked = opened(browser, page, "#7")
    assert asked == []
    panel = tab.locator("#more")
    assert panel.locator("h3").all_text_contents() == ["Pictures that excite it most", "Other pictures of it"]
    assert panel.locator("figcaption").all_text_contents() == [*words(), "1 of 2", "2 of 2"]
    assert panel.locator("b").count() == 0
    tile = panel.locator("i").nth(4)
    import io

    from PIL import Image

    shown = np.asarray(Image.open(io.BytesIO(tile.screenshot())).convert("RGB").resize((24, 24)), int)
    assert np.abs(shown - pictures(8, 2)[1])[4:-4, 4:-4].mean() < 6
    tab.goto(page.as_uri() + "#3")
    assert panel.locator("h3").count() == 0
