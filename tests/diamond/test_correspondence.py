"""Places of two pictures matched by code: by hand, with a rival, and in shifted, mirrored and scaled copies of photos."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import diamond as dc
from modelzoo import GraphError, UnknownLayerError
from modelzoo.inputs import PictureError

SIZE = (8, 12)


def colours():
    """4 x 6 cells of 2 px, each the mean colour there."""
    image = keras.Input((*SIZE, 3), name="image")
    x = layers.AveragePooling2D(2, name="cells")(image)
    whole = layers.GlobalAveragePooling2D(keepdims=True, name="whole")(x)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.Flatten(name="flat")(whole)), name="colours")
    return dc.load(model, input=(0, 1))


def spots(**cells):
    """A black picture with cells in colours: ``r11`` is (1, 1)."""
    picture = np.zeros((*SIZE, 3), np.float32)
    for name, colour in cells.items():
        row, column = int(name[1]), int(name[2])
        picture[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = colour
    return picture


RED, GREEN, PINK = (1.0, 0.0, 0.0), (0.0, 0.5, 0.0), (1.0, 0.5, 0.0)


def test_cells_of_one_colour_are_matched_wherever_they_lie():
    found = dc.correspond(colours(), spots(c11=RED, c25=GREEN), spots(c32=RED, c00=GREEN), "cells")
    assert found.grids == ((4, 6), (4, 6))
    pairs = sorted(zip(found.cells_a.tolist(), found.cells_b.tolist(), strict=True))
    assert pairs == [([1, 1], [3, 2]), ([2, 5], [0, 0])]
    np.testing.assert_allclose(found.similarities, [1, 1])
    row = found.to_dataframe().query("row_a == 1").iloc[0]
    assert (row["down_a_px"], row["across_a_px"]) == (3, 3)
    assert (row["down_b_px"], row["across_b_px"]) == (7, 5)
    # The other 22 cells are black: they have no code, and no match.
    assert len(found) == 2
    assert found.share == 2 / 24


def test_the_ratio_tells_of_a_rival_and_leaves_it_out():
    a = spots(c11=RED, c20=GREEN)
    b = spots(c32=RED, c25=PINK, c00=GREEN)
    found = dc.correspond(colours(), a, b, "cells")
    # Red's own twin is at distance 0; pink (1, .5, 0) has a cosine of 1 / sqrt(1.25) with red, farther.
    assert found.ratios.max() < 1e-3
    near = dc.correspond(colours(), spots(c11=(1.0, 0.25, 0.0)), spots(c32=RED, c25=PINK), "cells")
    cosines = [1 / np.sqrt(1.0625), (1 + 0.125) / np.sqrt(1.0625 * 1.25)]
    assert near.cells_b.tolist() == [[2, 5]]
    np.testing.assert_allclose(near.similarities, [max(cosines)], rtol=1e-6)
    np.testing.assert_allclose(near.ratios, [np.sqrt((1 - cosines[1]) / (1 - cosines[0]))], rtol=1e-3)
    assert len(dc.correspond(colours(), spots(c11=(1.0, 0.25, 0.0)), spots(c32=RED, c25=PINK), "cells", ratio=0.8)) == 0
    assert (
        len(dc.correspond(colours(), spots(c11=(1.0, 0.25, 0.0)), spots(c32=RED, c25=PINK), "cells", least=0.99)) == 0
    )


def test_only_each_others_best_count_unless_one_asks_for_all():
    a, b = spots(c11=RED, c13=PINK), spots(c22=RED)
    assert dc.correspond(colours(), a, b, "cells").cells_a.tolist() == [[1, 1]]
    every = dc.correspond(colours(), a, b, "cells", mutual=False)
    assert every.cells_a.tolist() == [[1, 1], [1, 3]]
    assert every.cells_b.tolist() == [[2, 2], [2, 2]]


def test_a_table_of_cosines_in_parts_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.random((2, *SIZE, 3), np.float32)
    whole = dc.correspond(colours(), a, b, "cells")
    monkeypatch.setattr("diamond.inspection.correspondence.MOST_AT_ONCE", 24 * 5)
    found = dc.correspond(colours(), a, b, "cells")
    for name in ("cells_a", "cells_b", "similarities", "ratios"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-5, atol=1e-5)
    assert len(found) > 5


def test_what_cannot_be_matched_is_told():
    net, picture = colours(), spots(c11=RED)
    with pytest.raises(UnknownLayerError, match="did you mean 'cells'"):
        dc.correspond(net, picture, picture, "cell")
    with pytest.raises(GraphError, match="no height and width"):
        dc.correspond(net, picture, picture, "logits")
    with pytest.raises(GraphError, match="'whole' has a single cell"):
        dc.correspond(net, picture, picture, "whole")
    with pytest.raises(ValueError, match="2 pictures were given as the second"):
        dc.correspond(net, picture, np.stack([picture, picture]), "cells")
    with pytest.raises(ValueError, match="ratio is 1.5"):
        dc.correspond(net, picture, picture, "cells", ratio=1.5)
    with pytest.raises(ValueError, match="least is 2"):
        dc.correspond(net, picture, picture, "cells", least=2)
    with pytest.raises(ValueError, match="no view 'line'"):
        dc.correspond(net, picture, picture, "cells").plot("line")
    with pytest.raises(PictureError, match="not finite|NaN"):
        dc.correspond(net, np.full((*SIZE, 3), np.nan), picture, "cells")


def test_matches_are_a_table_a_figure_a_page_and_arrays(tmp_path):
    rng = np.random.default_rng(1)
    a = rng.random((*SIZE, 3)).astype(np.float32)
    found = dc.correspond(colours(), a, a[:, ::-1], "cells")
    assert len(found) == 24
    np.testing.assert_allclose(found.points_a[:, 1] + found.points_b[:, 1], 12)
    chosen = found.spread(6)
    assert len(set(chosen.tolist())) == 6
    page = found.save(tmp_path / "found.html").read_text()
    assert page.count("<title>cosine") == 24
    assert "each other's nearest" in page or "each other&#39;s nearest" in page
    for suffix in (".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"found{suffix}").stat().st_size > 100
    assert len(found.plot(count=5).artists) == 10
    assert len(found.plot("colours").axes[0].images) == 2
    none = dc.correspond(colours(), np.zeros_like(a), a, "cells")
    assert (len(none), repr(none).endswith("none")) == (0, True)
    assert "No pair was found" in none.save(tmp_path / "none.html").read_text()
    assert none.plot() is not None


def test_a_spectrogram_is_matched_in_frequency_and_time():
    net = dc.load("Yamnet256_esc10", weights=None)
    patch = np.random.default_rng(5).uniform(-9, 5, (64, 96, 1)).astype(np.float32)
    found = dc.correspond(net, patch, patch, "layer2.depthwise_conv")
    assert found.grids[0][0] < found.grids[0][1]
    np.testing.assert_array_equal(found.cells_a, found.cells_b)
    assert found.images == ("the first sound", "the second sound")
    assert "<svg" in found._page()


def copies(path):
    """The middle of a photo, and copies of it with the place where a point of the photo lies in each."""
    with Image.open(path) as file:
        photo = file.convert("RGB")
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    photo = photo.crop((left, top, left + side, top + side)).resize((320, 320), Image.Resampling.BICUBIC)
    large = np.asarray(photo.resize((400, 400), Image.Resampling.BICUBIC), np.float32) / 255
    photo = np.asarray(photo, np.float32) / 255
    middle = photo[48:272, 48:272]
    return middle, {
        "shifted": (photo[69:293, 21:245], lambda at: np.add(at, (-21, 27))),
        "mirrored": (middle[:, ::-1], lambda at: np.stack([at[:, 0], 224 - at[:, 1]], axis=-1)),
        "scaled": (large[88:312, 88:312], lambda at: (at + 48) * 1.25 - 88),
    }


@pytest.mark.slow
def test_the_same_place_is_found_in_shifted_mirrored_and_scaled_copies_of_photos(shared_data):
    net = dc.load("EfficientNetLite0")
    shares = {}
    for path in sorted((shared_data / "photos").iterdir())[::20]:
        photo, others = copies(path)
        for kind, (copy, to) in others.items():
            found = dc.correspond(net, photo, copy, "block9_add")
            off = np.abs(found.points_b - to(found.points_a)).max(axis=1)
            # A cell is 16 px.
            shares.setdefault(kind, []).append(((off <= 16.01).mean(), len(found) / 196))
    for kind, each in shares.items():
        right, matched = np.mean(each, axis=0)
        assert right >= 0.8, (kind, right)
        assert matched >= 0.5, (kind, matched)
