import base64
import html
import io
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from spritemaps import ChannelRecord, Spritemap, Store, StoreError
from spritemaps.pages import check_tiles
from tests.spritemaps.sprites import FINGERPRINT, finished, record, sprite


def subset(channels, px=16, total=10, network="Tiny", layer="block/conv"):
    tiles = np.stack([sprite(c, px) for c in channels])
    return Spritemap.from_tiles(
        tiles,
        [record(c) for c in channels],
        network=network,
        layer=layer,
        channels=total,
        fingerprint=FINGERPRINT,
        recipe_name="sprite",
        recipe_hash="feedbeef",
    )


def error(found, expected):
    return float(np.abs(found.astype(int) - expected.astype(int)).mean())


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("store"))


def test_a_stored_sprite_is_the_one_put_in_but_for_the_compression(stored):
    assert stored.tiles().shape == (10, 16, 16, 3)
    assert stored[7].dtype == np.uint8
    for channel in range(10):
        assert error(stored[channel], sprite(channel, 16, seed=3)) < 6
        assert error(stored[channel], sprite((channel + 1) % 10, 16, seed=3)) > 12


def test_it_knows_what_it_holds(stored):
    assert (stored.network, stored.layer, stored.tile_px, len(stored)) == ("Tiny", "block/conv", 16, 10)
    assert stored.fingerprint == FINGERPRINT
    assert list(stored) == list(stored.channels) == list(range(10))
    assert 9 in stored
    assert 10 not in stored
    assert "9" not in stored
    assert stored.record(4) == ChannelRecord(4, 0.0, False, 3)
    assert repr(stored) == "Spritemap('Tiny', 'block/conv': 10 channels, 16 px, recipe 'sprite')"


def test_its_image_is_the_grid_with_grey_where_no_channel_is(stored):
    image = stored.image()
    assert image.shape == (64, 64, 3)
    np.testing.assert_array_equal(image[16:32, 32:48], stored[6])
    assert abs(int(image[56, 56, 0]) - 128) < 3


def test_tiles_come_in_the_order_asked_for(stored):
    np.testing.assert_array_equal(stored.tiles([5, np.int64(2), 5])[1:], np.stack([stored[2], stored[5]]))
    assert stored.tiles([]).shape == (0, 16, 16, 3)


def test_a_sprite_can_be_painted_over_without_harm(stored):
    stored[3][:] = 0
    assert stored[3].max() > 0


@pytest.mark.parametrize("channel", [-1, 10])
def test_a_channel_out_of_range_is_told_the_range(stored, channel):
    with pytest.raises(IndexError, match=f"channel {channel} is out of range: 'block/conv' has channels 0 to 9"):
        stored[channel]


def test_a_large_layer_is_cut_into_pages_of_4096_px_and_read_back(tmp_path):
    # 1764 channels of 100 px: 42 x 42 cells, 40 of them a page.
    spritemap = finished(tmp_path, channels=1764, tile_px=100, batches=(tuple(range(1764)),))
    blocks = [(page.file, *page.block) for page in spritemap.manifest.pages]
    assert blocks == [
        ("atlas-0.webp", 0, 40, 0, 40),
        ("atlas-1.webp", 0, 40, 40, 2),
        ("atlas-2.webp", 40, 2, 0, 40),
        ("atlas-3.webp", 40, 2, 40, 2),
    ]
    with Image.open(spritemap.folder / "atlas-0.webp") as picture:
        assert picture.size == (4000, 4000)
    # In the corners of every page.
    for channel in (0, 39, 40, 41, 1638, 1640, 1679, 1680, 1719, 1720, 1722, 1763):
        assert error(spritemap[channel], sprite(channel, 100, seed=3)) < 2
    assert spritemap.image().shape == (4200, 4200, 3)
    assert len(spritemap._repr_html_()) < 1_500_000


def test_a_subset_knows_which_channels_it_has():
    spritemap = subset((7, 2, 4))
    assert (spritemap.channels, len(spritemap), 7 in spritemap, 3 in spritemap) == ((2, 4, 7), 3, True, False)
    np.testing.assert_array_equal(spritemap[7], sprite(7, 16))
    assert spritemap.image().shape == (32, 32, 3)
    np.testing.assert_array_equal(spritemap.image()[16:, :16], sprite(7, 16))
    assert repr(spritemap) == "Spritemap('Tiny', 'block/conv': 3 of 10 channels, 16 px, recipe 'sprite')"
    with pytest.raises(IndexError, match="channel 3 is not in this subset of 'block/conv'; it has 2, 4, 7"):
        spritemap[3]
    with pytest.raises(IndexError, match="channel 10 is out of range"):
        spritemap[10]


def test_select_gives_a_subset(stored):
    chosen = stored.select([8, 1, 8])
    assert chosen.channels == (1, 8)
    np.testing.assert_array_equal(chosen.tiles(), stored.tiles([1, 8]))


def test_tiles_of_another_shape_are_refused():
    with pytest.raises(
        ValueError, match=r"tiles are float64 \(2, 8, 8, 3\); expected uint8 \(2, tile_px, tile_px, 3\)"
    ):
        check_tiles(np.zeros((2, 8, 8, 3)), 2)
    with pytest.raises(ValueError, match=r"tiles are uint8 \(2, 8, 8, 3\); expected uint8 \(3,"):
        check_tiles(np.zeros((2, 8, 8, 3), np.uint8), 3)
    with pytest.raises(ValueError, match="tiles of 8 x 9 px; expected squares"):
        check_tiles(np.zeros((2, 8, 9, 3), np.uint8), 2)


def test_a_data_uri_is_the_sprite_as_a_picture(stored):
    uri = stored.data_uri(6)
    assert uri.startswith("data:image/webp;base64,")
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))
    assert error(picture, stored[6]) < 6


def test_its_table_has_a_row_a_channel():
    table = subset((7, 2, 4)).to_dataframe()
    assert list(table.columns) == ["channel", "row", "column", "activation", "alive", "attempts"]
    assert table.iloc[1].tolist() == [4, 1, 0, 0.0, False, 3]
    assert table["row"].tolist() == [0, 1, 1]
    assert len(subset((7, 2, 4)).select([]).to_dataframe()) == 0


def test_its_plot_is_a_figure_with_dead_channels_crossed_out():
    spritemap = subset(range(10))
    figure = spritemap.plot()
    assert isinstance(figure, Figure)
    drawn = figure.axes[0].get_images()[0].get_array()
    np.testing.assert_array_equal(drawn[:16, :16], spritemap[0])
    assert drawn[16, 0].tolist() == [200, 30, 30]
    assert figure.axes[0].get_title() == "Tiny block/conv"
    figure.savefig(io.BytesIO(), format="png")
    subset((1,), layer="a$b_$").plot().savefig(io.BytesIO(), format="png")


def test_it_saves_itself_by_suffix(tmp_path):
    spritemap = subset((7, 2, 4))
    np.testing.assert_array_equal(np.array(Image.open(spritemap.save(tmp_path / "grid.PNG"))), spritemap.image())
    webp = np.array(Image.open(spritemap.save(tmp_path / "grid.webp")).convert("RGB"))
    assert error(webp, spritemap.image()) < 3
    with np.load(spritemap.save(str(tmp_path / "grid.npz"))) as arrays:
        assert arrays["channels"].tolist() == [2, 4, 7]
        assert arrays["alive"].tolist() == [True, False, True]
        np.testing.assert_array_equal(arrays["tiles"], spritemap.tiles())
    pd.testing.assert_frame_equal(pd.read_csv(spritemap.save(tmp_path / "grid.csv")), spritemap.to_dataframe())
    page = spritemap.save(tmp_path / "grid.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "grid.PNG",
        "grid.csv",
        "grid.html",
        "grid.npz",
        "grid.webp",
    ]
    with pytest.raises(ValueError, match=r"no file of kind '.gif' .*; expected one of .png, .webp, .npz, .csv, .html"):
        spritemap.save(tmp_path / "grid.gif")


def page_of(spritemap):
    frame = spritemap._repr_html_()
    return html.unescape(
        re.fullmatch(r'<iframe sandbox title="[^"]*" style="[^"]*" srcdoc="([^"]*)"></iframe>', frame)[1]
    )


def test_its_page_names_every_square():
    page = page_of(subset((7, 2, 4)))
    titles = re.findall(r"<input type=radio name=c aria-label='channel \d+' title='([^']*)'>", page)
    assert titles == ["channel 2, activation 0.2", "channel 4, dead after 3 attempts", "channel 7, activation 0.7"]
    assert "3 of 10 channels, 1 dead, recipe sprite" in page
    assert page.count("src='data:image/webp;base64,") == 1


def test_its_page_asks_nothing_of_the_network_and_runs_nothing():
    page = page_of(subset(range(10)))
    assert "http" not in page
    assert "<script" not in page
    assert " on" not in re.sub(r"<p>.*?</p>", "", page)


def test_names_are_escaped_in_its_page():
    spritemap = subset((1,), network="<script>alert('x')</script>", layer="\"><img src=x onerror='y'>")
    frame, page = spritemap._repr_html_(), page_of(spritemap)
    assert "<script" not in frame + page
    assert "<img src=x" not in frame + page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page


@pytest.mark.parametrize("n", [2048, 5500])
def test_a_page_of_noise_stays_small(n):
    tiles = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), np.uint8)
    spritemap = Spritemap.from_tiles(
        tiles,
        [ChannelRecord(c, 123.456) for c in range(n)],
        network="Tiny",
        layer="noise",
        channels=n,
        fingerprint=FINGERPRINT,
        recipe_name="sprite",
        recipe_hash="feedbeef",
    )
    assert len(spritemap._repr_html_()) < 1_200_000


def test_a_damaged_page_is_named_when_it_is_read(tmp_path):
    spritemap = finished(tmp_path)
    page = spritemap.folder / "atlas-0.webp"
    content = bytearray(page.read_bytes())
    content[len(content) // 2] ^= 255
    page.write_bytes(content)
    again = Store(tmp_path).find(FINGERPRINT)
    with pytest.raises(StoreError, match=r"atlas-0.webp is damaged: .*; delete its folder and render the layer again"):
        again[0]
    page.unlink()
    with pytest.raises(StoreError, match=r"atlas-0.webp cannot be read"):
        again[0]
