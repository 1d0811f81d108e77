"""Embeddings: codes of pictures, t-SNE that keeps clusters apart, grids without overlaps, neighbours by code."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import diamond as dc
from diamond.inspection.embedded import distances
from diamond.inspection.spread import spread, trust
from diamond.show.gridding import grid_shape, to_grid
from diamond.transfer.samples import SamplesError, read_samples
from modelzoo.inputs import PictureError

NAMES = ("red", "green", "blue")


def colours():
    """4 x 6 cells of 2 px, each the mean colour there; channels red, green, blue."""
    image = keras.Input((8, 12, 3), name="image")
    x = layers.AveragePooling2D(2, name="cells")(image)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D(name="mean")(x)))
    return dc.load(model, input=(0, 1))


def coloured(each=12, seed=0):
    """So many noisy pictures of each of three colours, one colour after the other."""
    rng = np.random.default_rng(seed)
    pictures = rng.uniform(0, 0.3, (3 * each, 8, 12, 3)).astype(np.float32)
    for c in range(3):
        pictures[c * each : (c + 1) * each, ..., c] += 0.6
    return pictures, np.repeat(NAMES, each).tolist()


def test_known_clusters_stay_apart():
    pictures, labels = coloured()
    found = dc.embed(colours(), list(pictures), "cells", labels=labels, seed=3)
    assert found.classes == ("blue", "green", "red")
    middles = np.stack([found.positions[found.labels == c].mean(axis=0) for c in range(3)])
    radius = max(np.linalg.norm(found.positions[found.labels == c] - middles[c], axis=1).max() for c in range(3))
    between = min(np.linalg.norm(middles[a] - middles[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert between > 2 * radius
    assert found.agreement == 1.0
    # Within a colour the codes are noise of three values, which no plane keeps whole.
    assert found.trustworthiness["tsne"] > 0.9
    assert found.trustworthiness["grid"] > 0.85


def test_codes_are_means_highest_values_or_everything():
    pictures, _ = coloured(2)
    cells = pictures.reshape(6, 4, 2, 6, 2, 3).mean(axis=(2, 4))
    net = colours()
    np.testing.assert_allclose(dc.embed(net, pictures, "cells").codes, cells.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(dc.embed(net, pictures, "cells", pool="max").codes, cells.max(axis=(1, 2)), rtol=1e-5)
    flat = dc.embed(net, pictures, "cells", pool="flatten").codes
    np.testing.assert_allclose(flat, cells.reshape(6, 72), rtol=1e-5)
    assert dc.embed(net, pictures).layer == "mean"


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_batches_do_not_change_the_codes(batch):
    pictures, _ = coloured(4)
    np.testing.assert_allclose(
        dc.embed(colours(), pictures, "cells", batch=batch).codes,
        dc.embed(colours(), pictures, "cells").codes,
        rtol=1e-5,
    )


def test_the_same_seed_gives_the_same_layout():
    pictures, _ = coloured(5)
    first, again = (dc.embed(colours(), pictures, "cells", seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.positions, again.positions)
    np.testing.assert_array_equal(first.cells, again.cells)


def test_one_picture_lies_in_the_middle_and_it_is_told():
    found = dc.embed(colours(), coloured(1)[0][0], "cells")
    assert found.positions.tolist() == [[0, 0]]
    assert found.notes == ("One picture has no neighbours: no t-SNE of it, it lies in the middle.",)
    assert (found.perplexity, found.grid, found.cells.tolist()) == (None, (1, 1), [[0, 0]])
    assert "One picture has no neighbours" in found._page()
    assert len(found.neighbours(0).images) == 0
    found.plot()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_too_few_for_t_sne_lie_by_their_components(n):
    pictures, _ = coloured(2)
    found = dc.embed(colours(), pictures[:n], "cells")
    assert (
        found.notes[0] == f"{n} pictures are too few for t-SNE, which needs 5: they lie by their first two components."
    )
    np.testing.assert_array_equal(found.positions, found.components)
    found._page()


def test_fewer_pictures_than_the_perplexity_lower_it_and_it_is_told():
    found = dc.embed(colours(), coloured(3)[0], "cells")
    assert found.perplexity == pytest.approx(8 / 3)
    assert found.notes == ("Perplexity 2.67 in place of 30: 9 pictures have no more neighbours than that.",)


def test_pictures_that_are_all_alike_lie_in_the_middle_of_the_map_and_apart_in_the_grid():
    found = dc.embed(colours(), np.full((7, 8, 12, 3), 0.5, np.float32), "cells")
    assert found.positions.tolist() == [[0, 0]] * 7
    assert "All 7 pictures have the same code" in found.notes[0]
    assert len({tuple(cell) for cell in found.cells.tolist()}) == 7


def test_codes_of_one_number_leave_the_line():
    layout = spread(np.arange(20, dtype=np.float32)[:, None])
    assert np.ptp(layout.positions[:, 1]) > 0.01
    assert trust(np.arange(20)[:, None], layout.positions) > 0.9


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("n", [1, 2, 7, 30, 90])
def test_each_has_a_cell_of_its_own(n, exact):
    rng = np.random.default_rng(n)
    cells = to_grid(rng.normal(size=(n, 2)), (9, 10), exact=exact)
    assert len({tuple(cell) for cell in cells.tolist()}) == n
    assert (cells >= 0).all()
    assert (cells < (9, 10)).all()


@pytest.mark.parametrize("exact", [True, False])
def test_points_that_stand_in_a_grid_already_stay(exact):
    row, column = np.divmod(np.arange(35), 7)
    order = np.random.default_rng(0).permutation(35)
    positions = np.stack([column, -row], axis=-1)[order]
    assert to_grid(positions, (5, 7), exact=exact).tolist() == np.stack([row, column], axis=-1)[order].tolist()


def test_halving_costs_little_more_than_the_best_assignment():
    positions = np.random.default_rng(0).normal(size=(400, 2))
    low, high = positions.min(axis=0), positions.max(axis=0)
    scaled = (positions - low) / (high - low)
    wanted = np.stack([(1 - scaled[:, 1]) * 19, scaled[:, 0] * 19], axis=-1)
    best, halved = (((to_grid(positions, (20, 20), exact=e) - wanted) ** 2).sum() for e in (True, False))
    assert best < halved < 1.6 * best


def test_a_grid_too_small_is_refused():
    assert grid_shape(200) == (14, 15)
    with pytest.raises(ValueError, match="a grid of 2 x 3 has no cell for each of 7"):
        to_grid(np.zeros((7, 2)), (2, 3))


def test_neighbours_by_number_by_name_and_of_another_photo(tmp_path):
    pictures, labels = coloured(6)
    for i, picture in enumerate(pictures):
        (tmp_path / labels[i]).mkdir(exist_ok=True)
        Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(tmp_path / labels[i] / f"{i:02}.png")
    found = dc.embed(colours(), tmp_path, "cells")
    assert found.classes == ("blue", "green", "red")
    assert found.images[0] == "blue/12.png"
    near = found.neighbours("red/03.png", k=5)
    assert near.labels == ("red",) * 5
    assert "red/03.png" not in near.images
    number = found.images.index("red/03.png")
    assert near.indices.tolist() == found.neighbours(number, k=5).indices.tolist()
    assert (np.diff(near.distances) >= 0).all()
    same = found.neighbours(tmp_path / "red" / "03.png", k=1)
    assert same.images == ("red/03.png",)
    assert same.distances[0] == pytest.approx(0, abs=1e-6)
    other = found.neighbours(coloured(1, seed=9)[0][1], k=6, metric="euclidean")
    assert other.labels == ("green",) * 6
    assert list(other.to_dataframe().columns) == ["rank", "image", "index", "distance", "label"]
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert other.save(tmp_path / f"near{suffix}").stat().st_size > 100
    with pytest.raises(IndexError, match="numbered from 0 to 17"):
        found.neighbours(18)
    with pytest.raises(FileNotFoundError, match="did you mean 'red/03.png'"):
        found.neighbours("red/03.pngg")
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        found.neighbours(0, metric="cosinus")
    with pytest.raises(ValueError, match="expected 1 or more neighbours"):
        found.neighbours(0, k=0)
    with pytest.raises(ValueError, match="2 photos were given"):
        found.neighbours(pictures[:2])


def test_distances_by_hand():
    codes = np.array([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(distances(codes, codes[:1], "cosine")[:, 0], [0, 0.2, 1], atol=1e-6)
    np.testing.assert_allclose(distances(codes, codes[:1], "euclidean")[:, 0], [0, 13**0.5, 5], rtol=1e-6)


def test_labels_of_a_list_of_samples_and_of_a_data_set_are_the_same():
    import tensorflow as tf

    pictures, labels = coloured(3)
    net = colours()
    of_list = dc.embed(net, list(pictures), "cells", labels=labels)
    of_samples = dc.embed(net, read_samples(list(pictures), labels), "cells")
    numbers = [NAMES.index(label) for label in labels]
    data = tf.data.Dataset.from_tensor_slices((pictures, numbers)).batch(4)
    of_data = dc.embed(net, data, "cells")
    assert of_list.labels.tolist() == of_samples.labels.tolist() == [2] * 3 + [1] * 3 + [0] * 3
    assert of_data.labels.tolist() == numbers
    assert of_data.classes == ("0", "1", "2")
    np.testing.assert_allclose(of_data.codes, of_list.codes, rtol=1e-5)


def test_folders_need_not_be_classes_and_broken_files_are_told(tmp_path):
    pictures, _ = coloured(2)
    for i, picture in enumerate(pictures):
        Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "2b.png").write_bytes(b"no picture at all")
    with pytest.warns(UserWarning, match="skipped 1 of 7"):
        found = dc.embed(colours(), tmp_path, "cells")
    assert (found.labels, found.classes, len(found.images)) == (None, (), 6)
    assert np.isnan(found.agreement)
    assert found.skipped[0].startswith("2b.png: ")
    assert dc.embed(colours(), sorted(tmp_path.glob("[0-9].png")), "cells").images[0] == "0.png"


class OddLayer(keras.layers.Layer):
    """Gives NaN where it is bright."""

    def call(self, x):
        return keras.ops.sqrt(0.5 - x)


def test_bad_input_is_named():
    net, (pictures, labels) = colours(), coloured(2)
    with pytest.raises(PictureError, match="no picture"):
        dc.embed(net, [], "cells")
    with pytest.raises(KeyError, match="did you mean 'cells'"):
        dc.embed(net, pictures, "cell")
    with pytest.raises(SamplesError, match="6 inputs and 5 labels"):
        dc.embed(net, list(pictures), "cells", labels=labels[:-1])
    with pytest.raises(ValueError, match="no pool 'maen'.*did you mean 'mean'"):
        dc.embed(net, pictures, "cells", pool="maen")
    with pytest.raises(ValueError, match="perplexity is 0"):
        dc.embed(net, pictures, "cells", perplexity=0)
    with pytest.raises(ValueError, match="components is 0"):
        dc.embed(net, pictures, "cells", components=0)
    image = keras.Input((8, 12, 3), name="image")
    x = OddLayer(name="odd")(image)
    odd = dc.load(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))), input=(0, 1))
    with pytest.raises(ValueError, match="'odd' gives NaN or infinity for picture 0"):
        dc.embed(odd, pictures, "odd")


def test_a_sound_has_one_code(tmp_path):
    import soundfile

    net, rng = dc.load("MiniResnet_esc10", weights=None), np.random.default_rng(0)
    for i, seconds in enumerate((4, 9, 3)):
        soundfile.write(tmp_path / f"{i}.wav", rng.normal(0, 0.1, seconds * 16000), 16000)
    found = dc.embed(net, tmp_path, net.landmarks[0])
    assert found.images == ("0.wav", "1.wav", "2.wav")
    patches = net.patches(tmp_path / "1.wav").values
    by_hand = net.activations(tmp_path / "1.wav", net.landmarks[0]).mean(axis=(1, 2)).mean(axis=0)
    assert len(patches) > 1
    np.testing.assert_allclose(found.codes[1], by_hand, rtol=1e-4, atol=1e-6)


def test_the_table_and_the_files(tmp_path):
    pictures, labels = coloured(3)
    found = dc.embed(colours(), list(pictures), "cells", labels=labels)
    table = found.to_dataframe()
    assert list(table.columns) == ["image", "label", "x", "y", "row", "column", "pca_1", "pca_2"]
    assert table["label"].tolist() == labels
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"x{suffix}").stat().st_size > 100
    document = (tmp_path / "x.html").read_text()
    # One picture holds all thumbnails.
    assert document.count("data:image/webp") == 1
    assert "http" not in document.replace("http://www.w3.org", "")
    assert "iframe" in found._repr_html_()


def test_of_many_pictures_some_are_shown_and_the_grid_is_filled_by_halving(monkeypatch):
    from diamond.inspection import embed
    from diamond.show import embedding

    monkeypatch.setattr(embedding, "ON_PAGE", 10)
    monkeypatch.setattr(embedding, "IN_FIGURE", 10)
    monkeypatch.setattr(embed, "MOST_EXACT", 20)
    found = dc.embed(colours(), coloured(8)[0], "cells")
    assert found.notes[-1] == "The grid of 24 pictures was filled by halving; the best assignment is found up to 20."
    assert len({tuple(cell) for cell in found.cells.tolist()}) == 24
    page = found._page()
    assert page.count('<button type="button" title=') == 8
    assert "8 of them are shown, evenly taken; the table has all." in page
    assert found.plot().get_suptitle().endswith("(8 of 24 shown)")


def test_names_on_the_page_are_escaped():
    import dataclasses

    pictures, _ = coloured(2)
    found = dc.embed(colours(), list(pictures), "cells", labels=["a", "b"] * 3)
    nasty = "</script><script>alert('x')</script>\""
    page = dataclasses.replace(found, images=(nasty,) * 6, classes=(nasty, "b"), layer=nasty)._page()
    assert "<script>alert" not in page
    assert "alert('x')" not in page


def test_the_page_by_mouse_and_by_keys_without_a_network(browser, tmp_path):
    pictures, labels = coloured(5)
    found = dc.embed(colours(), list(pictures), "cells", labels=labels)
    path, asked, errors = found.save(tmp_path / "x.html"), [], []
    shown = browser.new_context(viewport={"width": 1100, "height": 900}, reduced_motion="reduce").new_page()
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("pageerror", lambda error: errors.append(str(error)))
    shown.goto(path.as_uri())
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert shown.locator("h1").inner_text() == "15 pictures by their codes"
    assert shown.locator(".map button").count() == 15
    shown.locator(".map button").nth(4).dispatch_event("mouseover", {"bubbles": True})
    assert shown.locator("#card h2").inner_text() == "sample 4"
    assert shown.locator("#card ol li").count() == 8
    # From the switch of views one Tab, past the three classes, leads to the first picture; arrows go on from there.
    shown.locator("#as-map").focus()
    for _ in range(4):
        shown.keyboard.press("Tab")
    assert shown.locator("#card h2").inner_text() == "sample 0"
    shown.locator("label[for=as-grid]").click()
    assert shown.locator("#as-grid").is_checked()
    places = found.cells.tolist()
    start = next(i for i in range(15) if places[i] == [1, 1])
    shown.locator(".map button").nth(start).focus()
    shown.keyboard.press("ArrowRight")
    right = next(i for i in range(15) if places[i] == [1, 2])
    assert shown.locator("#card h2").inner_text() == f"sample {right}"
    boxes = [shown.locator(".map button").nth(i).bounding_box() for i in range(15) if i != right]
    for a in range(len(boxes)):
        for b in range(a):
            apart = (
                boxes[a]["x"] >= boxes[b]["x"] + boxes[b]["width"] - 0.5
                or boxes[b]["x"] >= boxes[a]["x"] + boxes[a]["width"] - 0.5
                or boxes[a]["y"] >= boxes[b]["y"] + boxes[b]["height"] - 0.5
                or boxes[b]["y"] >= boxes[a]["y"] + boxes[a]["height"] - 0.5
            )
            assert apart
    shown.locator(".classes button").first.click()
    assert shown.locator(".map.some button.on").count() == 5
    assert errors == []


def test_the_page_on_a_phone_without_script(browser, tmp_path):
    path = dc.embed(colours(), coloured(5)[0], "cells").save(tmp_path / "x.html")
    shown = browser.new_context(viewport={"width": 375, "height": 780}, java_script_enabled=False).new_page()
    shown.goto(path.as_uri())
    boxes = [shown.locator(".map button").nth(i).bounding_box() for i in range(15)]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 375 for box in boxes)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 375


@pytest.mark.slow
def test_flowers_of_a_kind_lie_together(shared_data):
    found = dc.embed(dc.load("EfficientNetLite0"), shared_data / "flowers5" / "val", progress=False)
    assert found.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert found.agreement > 0.6
    assert found.trustworthiness["tsne"] > 0.8
    assert found.trustworthiness["tsne"] > found.trustworthiness["pca"]
