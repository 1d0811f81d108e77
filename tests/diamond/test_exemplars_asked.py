"""Exemplars of the least end and of directions, receptive fields to the pixel, and searches gone on with after a kill."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import diamond as dc
from diamond.inspection import search_progress
from spritemaps import StoreError
from tests.diamond.test_exemplars import colours, pictures
from tests.tiny import constant

NAMES = ("values", "indices", "places", "patches", "marks", "windows", "crops")


def signed():
    """Channel 0 is red less green of each 2 x 2 px, channel 1 is blue."""
    image = keras.Input((8, 12, 3), name="image")
    x = layers.Conv2D(2, 2, strides=2, activation="relu", name="cells")(image)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D(name="mean")(x)))
    kernel = np.zeros((2, 2, 3, 2), np.float32)
    kernel[:, :, 0, 0], kernel[:, :, 1, 0], kernel[:, :, 2, 1] = 0.25, -0.25, 0.25
    return dc.load(constant(model, {"cells/kernel": kernel, "cells/bias": 0.0}), input=(0, 1))


def photos_in(folder, n=40, size=(12, 8)):
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(folder / f"{i:04}.png")
    return folder


def test_the_least_end_rises_from_the_lowest():
    found = dc.exemplars(signed(), pictures(), "cells:linear", 0, top=2, least=2)
    np.testing.assert_allclose(found.values, [[0.4, 0.3]], rtol=1e-5)
    np.testing.assert_allclose(found.least.values, [[-0.5, -0.4]], rtol=1e-5)
    assert found.least.indices.tolist() == [[0, 1]]
    assert found.least.places.tolist() == [[[3, 2], [3, 2]]]
    assert found.notes == ()
    table = found.to_dataframe()
    assert table["end"].tolist() == ["most", "most", "least", "least"]
    assert str(found).endswith("what excites its channels most and least anywhere")


def test_after_a_relu_the_least_end_is_told_to_be_at_rest():
    found = dc.exemplars(signed(), pictures(), "cells", top=2, least=2)
    assert found.least.values.tolist() == [[0, 0], [0, 0]]
    assert found.notes[0].startswith(
        "All 2 channels are at 0 somewhere in every picture at the least end, as after a ReLU"
    )
    assert "cells:linear" in found._page()


def test_a_direction_of_one_channel_gives_that_channel():
    of_channel = dc.exemplars(colours(), pictures(), "cells", 1, top=3)
    of_direction = dc.exemplars(colours(), pictures(), "cells", directions=[0, 5, 0], top=3)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(of_direction, name), getattr(of_channel, name))


def test_a_direction_is_a_dot_product_with_a_vector_of_length_one():
    ways = {"warm": [3, -4, 0], "cold": [-3, 4, 0]}
    found = dc.exemplars(colours(), pictures(), "cells", directions=ways, top=1, least=1)
    np.testing.assert_allclose(found.directions, [[0.6, -0.8, 0], [-0.6, 0.8, 0]], rtol=1e-6)
    # Picture 4 has red 0.4 alone at one cell, picture 0 has green 0.5 alone at another.
    np.testing.assert_allclose(found.values, [[0.24], [0.4]], rtol=1e-5)
    np.testing.assert_allclose(found.least.values, [[-0.4], [-0.24]], rtol=1e-5)
    assert found.indices.tolist() == [[4], [0]]
    assert found.labels == ("warm", "cold")
    assert found.to_dataframe()["direction"].tolist() == ["warm", "cold", "warm", "cold"]
    assert "+0.60" in found._page()
    with pytest.raises(StoreError, match="directions have no sprites"):
        found.keep()


@pytest.mark.parametrize(
    ("directions", "words"),
    [
        ([1, 2], r"'cells' has 3 channels: expected \(3,\) or \(direction, 3\)"),
        ([0, 0, 0], "'direction 0' is all zeros"),
        ({"odd": [1, float("nan"), 0]}, "'odd' is NaN or infinite"),
        ([[1, 2, 3], [1, 2]], "no vectors of one length"),
        ([], "expected"),
    ],
    ids=["length", "zeros", "nan", "ragged", "none"],
)
def test_directions_that_point_nowhere_are_named(directions, words):
    with pytest.raises(ValueError, match=words):
        dc.exemplars(colours(), pictures(), "cells", directions=directions)


def test_channels_and_directions_at_once_are_refused():
    with pytest.raises(ValueError, match="channels and directions are both given"):
        dc.exemplars(colours(), pictures(), "cells", 0, directions=[1, 0, 0])
    with pytest.raises(ValueError, match="least is -1"):
        dc.exemplars(colours(), pictures(), "cells", 0, least=-1)


def strided(side):
    """Three convolutions, stride 2, 1, 2, "same" padding and one pooling: what a cell sees depends on the size."""
    keras.utils.set_random_seed(3)
    image = keras.Input((side, side, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="a")(image)
    x = layers.Conv2D(4, 5, padding="same", name="b")(x)
    x = layers.MaxPooling2D(2, padding="same", name="pool")(x)
    x = layers.Conv2D(1, 3, strides=2, padding="same", name="cells")(x)
    return keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("side", [64, 61])
@pytest.mark.parametrize("open_size", [False, True])
def test_no_pixel_outside_the_window_has_a_say_and_its_edges_have(side, open_size):
    net = dc.load(strided(None if open_size else side), input=(0, 1))
    picture = np.random.default_rng(0).random((side, side, 3), dtype=np.float32)
    for cell in ((0, 0), (3, 4), (5, 2)):
        found = dc.exemplars(net, picture, "cells", 0, cell=cell, top=1)
        top, left, bottom, right = found.windows[0, 0]
        blanked = np.full_like(picture, 0.5)
        blanked[top:bottom, left:right] = picture[top:bottom, left:right]
        again = dc.exemplars(net, blanked, "cells", 0, cell=cell, top=1)
        np.testing.assert_allclose(again.values, found.values, rtol=1e-5)


def test_a_planted_patch_is_found_and_cropped_exactly():
    # 112 px are seen by a cell, as many as a patch is shown with: the crop is the planted picture, pixel for pixel.
    image = keras.Input((400, 300, 3), name="image")
    x = layers.Conv2D(1, 14, strides=14, use_bias=False, name="first")(image)
    x = layers.Conv2D(1, 8, use_bias=False, name="cells")(x)
    model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    net = dc.load(constant(model, {"first/kernel": 1.0, "cells/kernel": 1.0}), input=(0, 1))
    rng = np.random.default_rng(1)
    planted = rng.integers(128, 256, (112, 112, 3), dtype=np.uint8)
    scenes = rng.integers(0, 64, (5, 400, 300, 3), dtype=np.uint8)
    top, left = 14 * 9, 14 * 4
    scenes[3, top : top + 112, left : left + 112] = planted
    found = dc.exemplars(net, scenes.astype(np.float32) / 255, "cells", 0, top=1)
    assert (found.indices[0, 0], found.places[0, 0].tolist()) == (3, [9, 4])
    assert found.windows[0, 0].tolist() == [top, left, top + 112, left + 112]
    assert found.crops[0, 0].tolist() == found.windows[0, 0].tolist()
    np.testing.assert_array_equal(found.patches[0, 0], planted)


def test_at_an_edge_the_window_is_what_lies_in_the_picture_and_the_crop_moves_inward():
    net = dc.load(strided(64), input=(0, 1))
    found = dc.exemplars(net, np.zeros((1, 64, 64, 3), np.float32), "cells", 0, cell=(0, 7), top=1)
    top, left, bottom, right = found.windows[0, 0]
    assert (top, right) == (0, 64)
    above, before, below, after = found.crops[0, 0]
    # A cell sees 3 + 4 * 2 + 2 + 2 * 4 = 21 px; 24 are shown.
    assert (below - above, after - before) == (24, 24)
    assert above <= top
    assert before <= left
    assert below >= bottom
    assert after >= right


def test_layers_with_one_and_with_three_axes_of_places():
    image = keras.Input((8, 12, 3), name="image")
    line = layers.Conv1D(2, 2, strides=2, use_bias=False, name="line")(layers.Reshape((96, 3))(image))
    block = layers.Conv3D(2, 1, use_bias=False, name="block")(layers.Reshape((2, 4, 12, 3))(image))
    together = layers.Concatenate()([layers.GlobalAveragePooling1D()(line), layers.GlobalAveragePooling3D()(block)])
    model = keras.Model(image, layers.Dense(2, name="logits")(together))
    kernel = np.zeros((3, 2), np.float32)
    kernel[0, 0], kernel[1, 1] = 1, 1
    values = {"line/kernel": np.stack([kernel, 0 * kernel]), "block/kernel": kernel[None, None, None]}
    net = dc.load(constant(model, values), input=(0, 1))
    # Red lies at rows 2 and 3, columns 2 i and 2 i + 1 of picture i; green at rows 6 and 7, columns 4 and 5.
    found = dc.exemplars(net, pictures(), "line", top=2)
    np.testing.assert_allclose(found.values, [[0.4, 0.3], [0.5, 0.4]], rtol=1e-5)
    assert found.places[:, 0].tolist() == [[(2 * 12 + 8) // 2, 0], [(6 * 12 + 4) // 2, 0]]
    assert found.marks[0, 0].tolist() == [0.5, 0.5]
    found = dc.exemplars(net, pictures(), "block", top=2)
    np.testing.assert_allclose(found.values, [[0.4, 0.3], [0.5, 0.4]], rtol=1e-5)
    assert found.places[:, 0].tolist() == [[2 * 12 + 8, 0], [6 * 12 + 4, 0]]
    found._page()
    np.testing.assert_allclose(dc.embed(net, pictures(), "block").codes[4], [0.4 / 24, 0.1 / 24], rtol=1e-4)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3, 4])
def test_a_search_that_was_broken_off_goes_on_and_finds_the_same(tmp_path, monkeypatch, after):
    folder, file = photos_in(tmp_path), tmp_path / "state.npz"
    (folder / "0007b.png").write_bytes(b"no picture at all")
    monkeypatch.setattr(search_progress, "EVERY_S", 0.0)
    writing, calls = search_progress.SearchProgress.write, []

    def stop_after(self, state, *, now=False):
        self._pause = 0.0
        writing(self, state, now=now)
        calls.append(1)
        if len(calls) == after:
            raise KilledError

    monkeypatch.setattr(search_progress.SearchProgress, "write", stop_after)
    with pytest.raises(KilledError):
        dc.exemplars(colours(), folder, "cells", top=3, least=2, batch=9, resume=file)
    monkeypatch.setattr(search_progress.SearchProgress, "write", writing)
    with pytest.warns(UserWarning, match="skipped 1 of 41"):
        whole = dc.exemplars(colours(), folder, "cells", top=3, least=2, batch=9)
    read = []
    net = colours()
    original = type(net).read
    monkeypatch.setattr(type(net), "read", lambda self, source: read.append(source) or original(self, source))
    found = dc.exemplars(net, folder, "cells", top=3, least=2, batch=9, resume=file)
    assert len(read) <= 41 - 9 * after + 2
    for name in NAMES:
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
        np.testing.assert_array_equal(getattr(found.least, name), getattr(whole.least, name))
    assert (found.images, found.count) == (whole.images, 40)
    assert [line[:9] for line in found.skipped] == ["0007b.png"]


def test_a_search_that_is_complete_reads_nothing_again(tmp_path):
    folder, file = photos_in(tmp_path, 12), tmp_path / "state.npz"
    first = dc.exemplars(colours(), folder, "cells", top=3, resume=file)
    for path in folder.glob("*.png"):
        path.write_bytes(b"no picture any more")
    again = dc.exemplars(colours(), folder, "cells", top=3, resume=file)
    np.testing.assert_array_equal(again.patches, first.patches)
    assert again.images == first.images
    assert not file.with_name("state.npz.part").exists()


def test_a_file_of_another_search_is_refused(tmp_path):
    folder, file = photos_in(tmp_path, 6), tmp_path / "state.npz"
    dc.exemplars(colours(), folder, "cells", top=3, resume=file)
    with pytest.raises(ValueError, match="of another search: top was 3, is 4"):
        dc.exemplars(colours(), folder, "cells", top=4, resume=file)
    with pytest.raises(ValueError, match="of another search: fingerprint"):
        dc.exemplars(signed(), folder, "cells", top=3, resume=file)
    (folder / "0000.png").rename(folder / "0000a.png")
    with pytest.raises(ValueError, match="has looked at 6 other files than the first of these"):
        dc.exemplars(colours(), folder, "cells", top=3, resume=file)
    file.write_bytes(b"no state")
    with pytest.raises(ValueError, match="holds no progress of a search"):
        dc.exemplars(colours(), folder, "cells", top=3, resume=file)
    with pytest.raises(FileNotFoundError, match="make it first"):
        dc.exemplars(colours(), folder, "cells", top=3, resume=tmp_path / "not" / "there.npz")
    with pytest.raises(ValueError, match="expected a folder or a list of paths, found ndarray"):
        dc.exemplars(colours(), pictures(), "cells", resume=file)


def test_a_sound_of_many_patches_is_gone_on_with_in_its_middle(tmp_path, monkeypatch):
    import soundfile

    net, rng = dc.load("MiniResnet_esc10", weights=None), np.random.default_rng(0)
    for i, seconds in enumerate((4, 9, 3)):
        soundfile.write(tmp_path / f"{i}.wav", rng.normal(0, 0.1, seconds * 16000), 16000)
    layer, file = net.landmarks[0], tmp_path / "state.npz"
    whole = dc.exemplars(net, tmp_path, layer, [0, 1], top=4, batch=3, progress=False)
    monkeypatch.setattr(search_progress, "EVERY_S", 0.0)
    writing, calls = search_progress.SearchProgress.write, []

    def stop_at_second(self, state, *, now=False):
        self._pause = 0.0
        writing(self, state, now=now)
        calls.append(1)
        if len(calls) == 2:
            raise KilledError

    monkeypatch.setattr(search_progress.SearchProgress, "write", stop_at_second)
    with pytest.raises(KilledError):
        dc.exemplars(net, tmp_path, layer, [0, 1], top=4, batch=3, resume=file)
    monkeypatch.setattr(search_progress.SearchProgress, "write", writing)
    found = dc.exemplars(net, tmp_path, layer, [0, 1], top=4, batch=3, resume=file)
    assert (found.images, found.count) == (whole.images, whole.count)
    np.testing.assert_allclose(found.values, whole.values, rtol=1e-5)


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_whole_state(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    photos_in(folder, 3000, size=(96, 96))
    file = tmp_path / "state.npz"
    work = textwrap.dedent(
        f"""
        import diamond as dc
        from diamond.inspection import search_progress
        from tests.diamond.test_exemplars import colours
        search_progress.EVERY_S = 0.0
        dc.exemplars(colours(), {str(folder)!r}, "cells", top=4, batch=8, resume={str(file)!r}, progress=False)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", work], env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    begin = time.monotonic()
    while not file.exists() and process.poll() is None and time.monotonic() - begin < 120:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with np.load(file) as state:
        assert not state["complete"]
        assert 8 <= state["count"] < 3000
    found = dc.exemplars(colours(), folder, "cells", top=4, batch=8, resume=file, progress=False)
    whole = dc.exemplars(colours(), folder, "cells", top=4, batch=8, progress=False)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert (found.images, found.count) == (whole.images, 3000)


@pytest.mark.slow
def test_ten_thousand_pictures_need_less_than_a_hundred_megabytes_more(tmp_path):
    import psutil

    image = keras.Input((128, 128, 3), name="image")
    x = layers.Conv2D(16, 8, strides=8, name="cells")(image)
    net = dc.load(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))), input=(0, 1))
    rng, process, seen = np.random.default_rng(0), psutil.Process(), []

    def many():
        for i in range(10_000):
            if i in (200, 9_999):
                seen.append(process.memory_info().rss)
            yield rng.random((128, 128, 3), dtype=np.float32)

    found = dc.exemplars(net, many(), "cells", top=8, least=4, progress=False)
    assert found.count == 10_000
    # All of them at once would be 1.97 GB.
    assert seen[1] - seen[0] < 100e6
