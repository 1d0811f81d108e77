"""Exemplars: the strongest pictures of each channel, streamed, with the place and the patch the cell sees."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import diamond as dc
from modelzoo import GraphError
from modelzoo.inputs import PictureError
from spritemaps import StoreError
from tests.spritemaps.sprites import finished

SIZE = (8, 12)


def colours():
    """4 x 6 cells of 2 px, each the mean colour there; channels red, green, blue."""
    image = keras.Input((*SIZE, 3), name="image")
    x = layers.AveragePooling2D(2, name="cells")(image)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D(name="mean")(x)))
    return dc.load(model, input=(0, 1))


def pictures(n=5):
    """Picture i is black but for red i / 10 at cell (1, i), and green .5 - i / 10 at cell (3, 2)."""
    batch = np.zeros((n, *SIZE, 3), np.float32)
    for i in range(n):
        batch[i, 2:4, 2 * i : 2 * i + 2, 0] = i / 10
        batch[i, 6:8, 4:6, 1] = 0.5 - i / 10
    return batch


def test_the_strongest_come_first_with_their_place():
    found = dc.exemplars(colours(), pictures(), "cells", [0, 1], top=3)
    np.testing.assert_allclose(found.values, [[0.4, 0.3, 0.2], [0.5, 0.4, 0.3]], rtol=1e-5)
    assert found.indices.tolist() == [[4, 3, 2], [0, 1, 2]]
    assert found.places.tolist() == [[[1, 4], [1, 3], [1, 2]], [[3, 2]] * 3]
    assert found.images[0] == ("picture 4", "picture 3", "picture 2")
    assert (found.count, found.skipped, found.cell) == (5, (), None)


def test_at_one_cell_only_that_cell_counts():
    found = dc.exemplars(colours(), pictures(), "cells", 0, cell=(1, 2), top=2)
    assert found.indices[0, 0] == 2
    np.testing.assert_allclose(found.values, [[0.2, 0.0]], rtol=1e-5)
    assert found.places.tolist() == [[[1, 2], [1, 2]]]


@pytest.mark.parametrize("batch", [1, 2, 3, 64])
def test_batches_do_not_change_the_answer(batch):
    values = np.random.default_rng(0).random((23, *SIZE, 3), dtype=np.float32)
    whole = dc.exemplars(colours(), values, "cells", top=4, batch=23)
    found = dc.exemplars(colours(), values, "cells", top=4, batch=batch)
    for name in ("values", "indices", "places", "patches", "marks"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    by_hand = values.reshape(23, 4, 2, 6, 2, 3).mean(axis=(2, 4)).max(axis=(1, 2))
    np.testing.assert_allclose(found.values, -np.sort(-by_hand, axis=0)[:4].T, rtol=1e-5)


def test_of_equals_the_first_read_comes_first_and_fewer_pictures_give_fewer():
    same = np.repeat(pictures()[3:4], 3, axis=0)
    found = dc.exemplars(colours(), same, "cells", 0, top=8)
    assert found.indices.tolist() == [[0, 1, 2]]
    assert found.patches.shape[:2] == (1, 3)


def test_the_patch_is_what_the_cell_sees():
    image = keras.Input((96, 144, 3), name="image")
    x = layers.AveragePooling2D(48, name="cells")(image)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)))
    picture = np.zeros((96, 144, 3), np.float32)
    picture[48:, 96:] = (0.2, 0.8, 0.4)
    found = dc.exemplars(dc.load(model, input=(0, 1)), picture, "cells", 1, top=1)
    assert found.places.tolist() == [[[1, 2]]]
    assert np.abs(found.patches[0, 0].astype(int) - [51, 204, 102]).max() <= 1
    np.testing.assert_allclose(found.marks[0, 0], [0.5, 0.5])


def test_a_patch_at_the_edge_stays_in_the_picture_and_its_mark_says_where():
    found = dc.exemplars(colours(), pictures(), "cells", 0, top=1)
    # A cell sees 2 px; at least 24 are shown, which is more than the 8 x 12 there are: all of the picture.
    assert found.patches.shape[2:] == (75, 112, 3)
    np.testing.assert_allclose(found.marks[0, 0], [3 / 8, 9 / 12])


def test_a_layer_without_space_has_one_value_a_picture():
    found = dc.exemplars(colours(), pictures(), "mean", 0, top=2)
    assert found.indices.tolist() == [[4, 3]]
    np.testing.assert_allclose(found.values, [[0.4 / 24, 0.3 / 24]], rtol=1e-5)


def test_a_folder_with_a_broken_file_is_told_and_counted(tmp_path):
    for i, picture in enumerate(pictures()):
        Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "2b.png").write_bytes(b"no picture at all")
    with pytest.warns(UserWarning, match="skipped 1 of 6 pictures: 2b.png"):
        found = dc.exemplars(colours(), tmp_path, "cells", 0, top=2)
    assert found.images == (("4.png", "3.png"),)
    assert found.count == 5
    assert found.skipped[0].startswith("2b.png: ")
    assert "1 skipped" in repr(found)


def test_a_data_set_of_pictures_and_labels_is_streamed():
    asked = []

    def batches():
        for i in range(0, 5, 2):
            asked.append(i)
            yield pictures()[i : i + 2], np.zeros(2)

    found = dc.exemplars(colours(), batches(), "cells", 0, top=2)
    assert found.indices.tolist() == [[4, 3]]
    assert asked == [0, 2, 4]


def test_a_tensorflow_data_set():
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((pictures(), [0, 1, 2, 3, 4])).batch(2)
    found = dc.exemplars(colours(), data, "cells", 0, top=2)
    assert found.indices.tolist() == [[4, 3]]


def test_two_thousand_pictures_need_the_memory_of_a_few():
    import psutil

    image = keras.Input((128, 128, 3), name="image")
    x = layers.Conv2D(8, 8, strides=8, name="cells")(image)
    net = dc.load(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))), input=(0, 1))
    rng, process = np.random.default_rng(0), psutil.Process()
    seen = []

    def many():
        for i in range(2000):
            if i in (200, 1999):
                seen.append(process.memory_info().rss)
            yield rng.random((128, 128, 3), dtype=np.float32)

    found = dc.exemplars(net, many(), "cells", top=8, progress=False)
    assert found.count == 2000
    # All of them at once would be 393 MB.
    assert seen[1] - seen[0] < 100e6


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda net: dc.exemplars(net, [], "cells"), PictureError, "no picture"),
        (lambda net: dc.exemplars(net, pictures(), "cell"), KeyError, "did you mean 'cells'"),
        (lambda net: dc.exemplars(net, pictures(), "cells", 3), IndexError, "channels 0 to 2"),
        (lambda net: dc.exemplars(net, pictures(), "cells", []), ValueError, "no channel"),
        (lambda net: dc.exemplars(net, pictures(), "cells", cell=(4, 0)), IndexError, "rows 0 to 3 and columns 0 to 5"),
        (
            lambda net: dc.exemplars(net, pictures(), "mean", cell=(0, 0)),
            GraphError,
            "nearest layers with them: 'cells'",
        ),
        (lambda net: dc.exemplars(net, pictures(), "cells", top=0), ValueError, "expected 1 or more"),
    ],
)
def test_bad_input_is_named(ask, error, words):
    with pytest.raises(error, match=words):
        ask(colours())


def test_the_table_the_files_and_the_page(tmp_path):
    net = colours()
    finished(tmp_path / "store", channels=3, fingerprint=net.fingerprint("cells"), batches=((0, 1, 2),))
    found = dc.exemplars(net, pictures(), "cells", top=2, store=tmp_path / "store")
    table = found.to_dataframe()
    assert list(table.columns) == ["channel", "rank", "image", "index", "activation", "row", "column", "end"]
    assert table.iloc[0].to_dict() | {"activation": 0.4} == {
        "channel": 0, "rank": 1, "image": "picture 4", "index": 4, "activation": 0.4, "row": 1, "column": 4,
        "end": "most",
    }  # fmt: skip
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"x{suffix}").stat().st_size > 100
    document = (tmp_path / "x.html").read_text()
    assert document.count("data:image/webp") == 2
    assert "picture 4, row 1, column 4" in document
    assert "http" not in document.replace("http://www.w3.org", "")


def test_the_page_in_a_browser_without_script_or_network_on_a_phone(browser, tmp_path):
    values = np.random.default_rng(0).random((9, *SIZE, 3), dtype=np.float32)
    path = dc.exemplars(colours(), values, "cells", top=8, cell=(2, 3)).save(tmp_path / "x.html")
    asked = []
    shown = browser.new_context(viewport={"width": 375, "height": 780}, java_script_enabled=False).new_page()
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(path.as_uri())
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert shown.locator("h1").inner_text() == "What excites these channels most at row 2, column 3"
    assert shown.locator(".patch").count() == 24
    boxes = [shown.locator(".patch").nth(i).bounding_box() for i in range(24)]
    assert all(box["width"] > 50 and box["x"] + box["width"] <= 375 for box in boxes)
    assert all(box["width"] / box["height"] == pytest.approx(1.5, abs=0.05) for box in boxes)
    # The frame lies where the cell does: of 4 x 6 cells, row 2 and column 3, in a patch that is the whole picture.
    ring, patch = shown.locator(".patch b").first.bounding_box(), boxes[0]
    assert (ring["y"] + ring["height"] / 2 - patch["y"]) / patch["height"] == pytest.approx(2.5 / 4, abs=0.03)
    assert (ring["x"] + ring["width"] / 2 - patch["x"]) / patch["width"] == pytest.approx(3.5 / 6, abs=0.03)


def test_names_on_the_page_are_escaped():
    import dataclasses

    nasty = "<script>alert('x')</script>\""
    found = dc.exemplars(colours(), pictures(), "cells", 0, top=1)
    document = dataclasses.replace(found, images=((nasty,),), layer=nasty, network=nasty)._page()
    assert "<script>alert" not in document


@pytest.mark.slow
def test_real_photos(shared_data):
    found = dc.exemplars(dc.load("EfficientNetLite0"), shared_data / "flowers5" / "val", "block9_add", [33], top=4)
    assert found.values.shape == (1, 4)
    assert (np.diff(found.values) <= 0).all()
    assert found.count == len(list((shared_data / "flowers5" / "val").rglob("*.jpg")))


def test_patches_are_kept_beside_the_sprites_that_a_store_has(tmp_path):
    net = colours()
    alone = dc.exemplars(net, pictures(), "cells", [0, 1], top=3, store=tmp_path)
    with pytest.raises(StoreError, match="no store has sprites of 'cells' to keep pictures beside"):
        alone.keep()
    layer = finished(tmp_path, network=net.name, layer="cells", channels=3, fingerprint=net.fingerprint("cells"))
    found = dc.exemplars(net, pictures(), "cells", [0, 1], top=3, store=tmp_path)
    kept = found.keep()
    assert kept.folder == layer.folder / "exemplars"
    assert kept.captions[0] == ("picture 4, 0.4", "picture 3, 0.3", "picture 2, 0.2")
    tiles = kept.tiles()[0]
    side = max(found.patches.shape[2:4])
    assert tiles.shape == (3, side, side, 3)
    top = (side - found.patches.shape[2]) // 2
    middle = tiles[:, top : top + found.patches.shape[2]].astype(int)
    assert np.abs(middle - found.patches[0]).mean() < 3
