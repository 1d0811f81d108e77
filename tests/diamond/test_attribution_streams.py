"""Pictures from folders, lists and iterators: streamed, told what was skipped, and in the memory of a few."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diamond as dc
from diamond.attribution.streams import stream
from modelzoo.inputs.pictures import PictureError
from tests import tiny


@pytest.fixture
def net():
    return dc.load(tiny.linear_tail(), input=(0, 1))


def photos(folder: Path, n=5, size=(9, 7)):
    rng = np.random.default_rng(0)
    for i in range(n):
        path = folder / ("one" if i % 2 else "two") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path)
    return folder


def test_a_folder_is_read_with_the_folders_in_it_in_the_order_of_names(net, tmp_path):
    folder = photos(tmp_path / "photos")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"")
    found = dc.channel_attribution(net, folder, "features", positive=0, top=2)
    assert found.images == ("one/1.png", "one/3.png", "two/0.png", "two/2.png", "two/4.png")
    listed = dc.channel_attribution(net, [folder / name for name in found.images], "features", positive=0, top=2)
    np.testing.assert_array_equal(found.all_scores, listed.all_scores)
    assert listed.images == ("1.png", "3.png", "0.png", "2.png", "4.png")
    assert found.skipped == ()


def test_a_broken_file_among_good_ones_is_told_skipped_and_counted(net, tmp_path):
    folder = photos(tmp_path / "photos", 30)
    (folder / "one" / "1.png").write_bytes((folder / "one" / "3.png").read_bytes()[:60])
    (folder / "two" / "0.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"skipped 2 of 30 pictures: one/1.png: .*; two/0.png: empty"):
        found = dc.channel_attribution(net, folder, "features", positive=0)
    assert len(found.images) == len(found.all_scores) == 28
    assert [reason.partition(":")[0] for reason in found.skipped] == ["one/1.png", "two/0.png"]
    assert "2 skipped" in repr(found)
    assert "2 skipped" in found._repr_html_()


def test_the_rows_of_another_input_stay_with_their_pictures_when_one_is_skipped(tmp_path):
    from tests.diamond.test_attribution_identities import two_inputs

    folder = photos(tmp_path / "photos", 3)
    (folder / "one" / "1.png").write_bytes(b"")
    other = np.array([[100, 0], [1, 0], [2, 0]], np.float32)
    net = dc.load(two_inputs(), input=(0, 1))
    with pytest.warns(UserWarning, match="skipped 1 of 3"):
        found = dc.channel_attribution(net, folder, "both", positive=0, given={"other": other})
    np.testing.assert_allclose(found.all_scores[:, 2], [1.0, 2.0])


def test_any_iterable_is_read_as_it_goes(net):
    asked = []

    def source():
        for i in range(40):
            asked.append(i)
            yield np.full((8, 6, 3), i / 40, np.float32)

    reading = iter(stream(net, source()))
    assert next(reading).names[:2] == ("picture 0", "picture 1")
    assert len(asked) == 16
    assert [len(batch.names) for batch in reading] == [16, 8]
    whole = np.stack([np.full((8, 6, 3), i / 40, np.float32) for i in range(40)])
    a, b = (dc.channel_attribution(net, given, "conv", positive=1).all_scores for given in (source(), whole))
    np.testing.assert_array_equal(a, b)


def test_a_list_may_mix_paths_arrays_batches_and_folders(net, tmp_path):
    folder = photos(tmp_path / "photos", 2)
    grey, batch = np.full((5, 5), 0.5), np.zeros((2, 8, 6, 3), np.float32)
    found = dc.channel_attribution(net, [folder, grey, batch, folder / "two" / "0.png"], "conv", positive=0)
    assert found.images == ("one/1.png", "two/0.png", "picture 2", "picture 3", "picture 4", "0.png")


def test_only_the_first_few_pictures_are_kept(net):
    found = dc.channel_attribution(net, np.zeros((20, 8, 6, 3), np.float32), "conv", positive=0)
    assert found.pictures.shape == (6, 8, 6, 3)
    assert found.all_scores.shape == (20, 5)
    assert "and 14 more" in found._repr_html_()


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        ([], PictureError, "the list is empty"),
        (np.zeros((0, 8, 6, 3), np.float32), PictureError, "an empty batch"),
        (iter([]), PictureError, "no picture was given"),
        (None, PictureError, "a NoneType is no picture"),
        ([np.zeros((8, 6, 3)), np.full((8, 6, 3), np.nan)], PictureError, "picture 1: 144 of 144 values are NaN"),
        ("nowhere/cat.jpg", FileNotFoundError, "no file nowhere"),
    ],
)
def test_no_pictures_are_named(net, images, error, words):
    with pytest.raises(error, match=words):
        dc.channel_attribution(net, images, "conv")


def test_a_folder_without_pictures_says_what_is_in_it(net, tmp_path):
    with pytest.raises(PictureError, match="no picture in the folder .*: empty"):
        dc.channel_attribution(net, tmp_path, "conv")
    (tmp_path / "a.csv").write_text("1")
    with pytest.raises(PictureError, match=r"1 files \(.csv\)"):
        dc.channel_attribution(net, tmp_path, "conv")


def test_where_every_file_is_broken_the_reason_is_told(net, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.jpg").write_bytes(b"nothing")
    with pytest.raises(PictureError, match="none of 2 could be read; a.jpg: 7 bytes that are no picture"):
        dc.channel_attribution(net, tmp_path, "conv")


def test_sizes_are_made_alike_where_the_network_has_one_and_refused_where_it_takes_any(net, tmp_path):
    mixed = [np.zeros((8, 6, 3)), np.zeros((30, 40, 3))]
    assert dc.channel_attribution(net, mixed, "conv", positive=0).all_scores.shape == (2, 5)
    import keras
    from keras import layers

    image = keras.Input((None, None, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1, name="conv")(image))
    anysize = dc.load(keras.Model(image, layers.Dense(2, name="logits")(x), name="anysize"), input=(0, 1))
    assert dc.channel_attribution(anysize, mixed[:1], "conv").all_scores.shape == (1, 2)
    with pytest.raises(PictureError, match="picture 1 is 30x40 px, picture 0 is 8x6 px, and anysize takes any size"):
        dc.channel_attribution(anysize, mixed, "conv")


MEMORY = """
import resource, sys
import diamond as dc
net = dc.load("EfficientNetLite0")
few, many = sys.argv[1:]
layers = ["block4_add", "block9_add", "block14_add"]
dc.channel_attribution(net, few, layers, progress=False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = dc.channel_attribution(net, many, layers, progress=False)
print(len(found[0].images), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.slow
def test_two_thousand_pictures_take_less_than_100_mb_more_than_a_hundred(tmp_path):
    import skimage.data

    cat = Image.fromarray(skimage.data.chelsea())
    for folder, n in (("few", 100), ("many", 2000)):
        (tmp_path / folder).mkdir()
        for i in range(n):
            cat.crop((i % 100, i % 50, 300 + i % 100, 220 + i % 50)).save(tmp_path / folder / f"{i:04}.jpg")
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "few"), str(tmp_path / "many")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(said[0]) == 2000
    assert float(said[1]) < 100


def test_each_patch_of_a_sound_counts_as_a_picture():
    net = dc.load("Yamnet256_esc10", weights=None)
    rng = np.random.default_rng(0)
    long, short = ((rng.normal(scale=0.1, size=int(16000 * s)).astype(np.float32), 16000) for s in (2.5, 1.0))
    found = dc.channel_attribution(net, [long, short], net.landmarks[-1], negative="others", top=3)
    assert found.images == ("sound 0 0.00 s", "sound 0 0.72 s", "sound 0 1.44 s", "sound 1 0.00 s")
    alone = dc.channel_attribution(net, short, net.landmarks[-1], negative="others", top=3)
    assert alone.images == ("sound 0 0.00 s",)
    np.testing.assert_allclose(found.all_scores[3], alone.all_scores[0], rtol=1e-3, atol=1e-5)
