"""Pictures: whatever a user has becomes float32 RGB in [0, 1], or an error that says what to do."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_image

from modelzoo.inputs import PictureError, image, images, pictures, urls
from tests.modelzoo.loopback import Answer, serving

RED_GREEN = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def saved(picture: Image.Image, path: Path, **options) -> Path:
    picture.save(path, **options)
    return path


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG")
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IDAT"


# What becomes of the values


@pytest.mark.parametrize("read", [skimage.data.chelsea, lambda: load_sample_image("china.jpg")])
def test_a_sample_photo_comes_as_float_rgb(read):
    photo = read()
    picture = image(photo)
    assert picture.dtype == np.float32
    assert picture.shape == photo.shape
    np.testing.assert_array_equal(picture, photo.astype(np.float32) / np.float32(255))


def test_a_photo_from_a_file_is_the_photo_as_an_array():
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        path = Path(file.name)
    picture = image(path)
    assert picture.shape == (600, 512, 3)
    np.testing.assert_array_equal(picture, image(str(path)))
    np.testing.assert_array_equal(picture, image(Image.open(path)))
    np.testing.assert_array_equal(picture, image(np.asarray(Image.open(path))))


@pytest.mark.parametrize(
    ("array", "first_pixel"),
    [
        (np.array([[0, 255]], np.uint8), [0, 0, 0]),
        (np.array([[51]], np.uint8), [0.2, 0.2, 0.2]),
        (np.array([[[51]]], np.uint8), [0.2, 0.2, 0.2]),
        (np.array([[13107]], np.uint16), [0.2, 0.2, 0.2]),
        (np.array([[True]]), [1, 1, 1]),
        (np.array([[51]], np.int64), [0.2, 0.2, 0.2]),
        (np.array([[0.2]], np.float64), [0.2, 0.2, 0.2]),
        (np.array([[[51, 0]]], np.uint8), [1, 1, 1]),
        (np.array([[[0, 51]]], np.uint8), [0.8, 0.8, 0.8]),
        (np.array([[[1.0, 0, 0, 0.5]]]), [1, 0.5, 0.5]),
        (np.array([[[255, 0, 0, 0]]], np.uint8), [1, 1, 1]),
        (np.array([[[1.0009, -0.0009, 0.5]]]), [1, 0, 0.5]),
        ([[51, 255]], [0.2, 0.2, 0.2]),
        (tf.constant([[[0.2, 0.4, 0.6]]]), [0.2, 0.4, 0.6]),
        (tf.constant([[[0.25, 0.5, 1.0]]], tf.bfloat16), [0.25, 0.5, 1.0]),
    ],
)
def test_every_kind_of_array_becomes_rgb_over_white(array, first_pixel):
    picture = image(array)
    assert picture.dtype == np.float32
    np.testing.assert_allclose(picture[0, 0], first_pixel, atol=1e-6)


def palette_with_a_hole() -> Image.Image:
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putdata([0, 1])
    return picture


@pytest.mark.parametrize(
    ("picture", "suffix", "options", "pixels"),
    [
        (Image.fromarray(RED_GREEN), ".png", {}, [[1, 0, 0], [0, 1, 0]]),
        (Image.fromarray(np.array([[0, 51]], np.uint8)), ".png", {}, [[0, 0, 0], [0.2, 0.2, 0.2]]),
        (Image.fromarray(np.array([[13107, 65535]], np.uint16)), ".png", {}, [[0.2, 0.2, 0.2], [1, 1, 1]]),
        (Image.fromarray(np.array([[13107, 65535]], np.uint16)), ".tif", {}, [[0.2, 0.2, 0.2], [1, 1, 1]]),
        (Image.fromarray(np.array([[False, True]])), ".png", {}, [[0, 0, 0], [1, 1, 1]]),
        (palette_with_a_hole(), ".png", {}, [[1, 0, 0], [0, 1, 0]]),
        (palette_with_a_hole(), ".png", {"transparency": 1}, [[1, 0, 0], [1, 1, 1]]),
        (palette_with_a_hole(), ".png", {"transparency": b"\xff\x00"}, [[1, 0, 0], [1, 1, 1]]),
        (palette_with_a_hole(), ".gif", {"transparency": 0}, [[1, 1, 1], [0, 1, 0]]),
        (Image.fromarray(RED_GREEN), ".png", {"transparency": (0, 255, 0)}, [[1, 0, 0], [1, 1, 1]]),
        (Image.fromarray(RED_GREEN).convert("CMYK"), ".tif", {}, [[1, 0, 0], [0, 1, 0]]),
        (Image.new("RGBA", (2, 1), (255, 0, 0, 0)), ".png", {}, [[1, 1, 1], [1, 1, 1]]),
        (Image.new("LA", (2, 1), (0, 51)), ".png", {}, [[0.8, 0.8, 0.8], [0.8, 0.8, 0.8]]),
        (Image.fromarray(np.array([[0.2, 1]], np.float32)), ".tif", {}, [[0.2, 0.2, 0.2], [1, 1, 1]]),
        (Image.fromarray(np.array([[13107, 65535]], np.int32)), ".tif", {}, [[0.2, 0.2, 0.2], [1, 1, 1]]),
    ],
)
def test_every_kind_of_file_becomes_rgb_over_white(picture, suffix, options, pixels, tmp_path):
    read = image(saved(picture, tmp_path / f"picture{suffix}", **options))
    np.testing.assert_allclose(read, [pixels], atol=1e-6)
    if not options:
        np.testing.assert_array_equal(image(picture), read)


@pytest.mark.parametrize(
    ("orientation", "shape", "red"), [(1, (1, 2), (0, 0)), (3, (1, 2), (0, 1)), (6, (2, 1), (0, 0))]
)
def test_a_photo_stands_upright_as_its_camera_wrote(orientation, shape, red, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = image(saved(Image.fromarray(RED_GREEN), tmp_path / "turned.png", exif=exif))
    assert picture.shape[:2] == shape
    np.testing.assert_array_equal(picture[red], [1, 0, 0])


def test_damaged_exif_data_leaves_the_picture_as_it_lies(tmp_path):
    path = saved(Image.fromarray(RED_GREEN), tmp_path / "odd.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x01\x02")
    assert image(path).shape == (1, 2, 3)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_of_an_animation_comes_the_first_frame(suffix, tmp_path):
    red, green = (Image.new("RGB", (4, 4), colour) for colour in ("red", "lime"))
    path = saved(red, tmp_path / f"moving{suffix}", save_all=True, append_images=[green], lossless=True)
    np.testing.assert_array_equal(image(path), np.broadcast_to([1.0, 0, 0], (4, 4, 3)))


def test_a_picture_is_a_copy_of_its_source():
    source = np.zeros((2, 2, 3), np.float32)
    image(source)[:] = 1
    assert source.max() == 0
    pil = Image.fromarray(RED_GREEN)
    image(pil, 7)
    assert pil.size == (2, 1)


# What becomes of the size


def test_an_int_is_both_sides_and_a_pair_is_height_and_width():
    coffee = skimage.data.coffee()
    assert image(coffee).shape == (400, 600, 3)
    assert image(coffee, 224).shape == (224, 224, 3)
    assert image(coffee, (100, 300)).shape == (100, 300, 3)
    assert image(coffee, np.int64(64)).shape == (64, 64, 3)
    assert image(np.zeros((1, 1)), 5).shape == (5, 5, 3)
    assert image(np.zeros((1, 4000)), 8).shape == (8, 8, 3)


def test_a_crop_keeps_the_middle_of_the_shorter_side():
    picture = np.arange(8 * 10, dtype=np.uint8).reshape(8, 10)
    np.testing.assert_array_equal(image(picture, 4, crop=0.5)[:, :, 0] * 255, picture[2:6, 3:7])
    np.testing.assert_array_equal(images([picture], 4, crop=0.5)[0], image(picture, 4, crop=0.5))
    # What has the size already is not cut again.
    np.testing.assert_array_equal(image(picture, (8, 10), crop=0.5)[:, :, 0] * 255, picture)
    for crop in (0, -1, 1.5):
        with pytest.raises(PictureError, match=rf"crop is {crop}; expected a fraction of the shorter side"):
            image(picture, 4, crop=crop)


def test_a_photo_of_8_bits_keeps_8_bits_however_it_is_given():
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    expected = Image.fromarray(photo).resize((12, 8), Image.Resampling.BILINEAR)
    for source in (photo, photo / 255, Image.fromarray(photo)):
        np.testing.assert_array_equal(image(source, (8, 12)), np.asarray(expected, np.float32) / 255)


def test_the_centre_is_kept_and_the_sides_are_cropped():
    picture = np.zeros((10, 30), np.float32)
    picture[:, 10:20] = 1
    np.testing.assert_array_equal(image(picture, 10), np.ones((10, 10, 3)))
    np.testing.assert_array_equal(image(picture.T, 10), np.ones((10, 10, 3)))
    assert image(picture, 100)[:, 10:-10].min() == 1


def test_the_same_size_changes_nothing():
    coffee = skimage.data.coffee()
    np.testing.assert_array_equal(image(coffee, (400, 600)), image(coffee))


def test_a_fine_chessboard_shrinks_to_grey_and_not_to_stripes():
    board = np.indices((256, 256)).sum(axis=0) % 2
    small = image(board * 255, 32)
    np.testing.assert_allclose(small, 0.5, atol=0.01)


def test_resizing_stays_within_zero_and_one():
    step = np.zeros((8, 8))
    step[:, 4:] = 1
    large = image(step, 64)
    assert (large.min(), large.max()) == (0, 1)


@pytest.mark.parametrize("size", [0, -1, 2.5, (2, 0), (1, 2, 3), "224", True, (224, None), 10**9])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(PictureError, match="size is"):
        image(RED_GREEN, size)


# Arrays that are no picture


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((0, 4, 3)), r"empty array of shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 0)), "empty array"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.float32(0.5), r"shape \(\)"),
        (np.zeros((1, 4, 4, 3)), r"a batch of shape \(1, 4, 4, 3\) was given; pass one picture"),
        (np.zeros((4, 4, 5)), "5 channels"),
        (np.zeros((3, 8, 8)), "channels stand first"),
        (np.array([[np.nan, 1]]), "1 of 2 values are NaN or infinite"),
        (np.array([[np.inf, 1]]), "1 of 2 values are NaN or infinite"),
        (np.array([[0, 254.5]]), r"\[0, 254.5\].*divide by 255, or pass uint8"),
        (np.array([[-1, 1.0]]), r"\[-1, 1\].*\(x \+ 1\) / 2"),
        (np.array([[-120.5, 130]]), r"\[-120.5, 130\].*scale them first"),
        (np.array([[0, 1.002]]), "divide by 255"),
        (np.array([[0, 256]]), r"int64 values in \[0, 256\]; expected integers from 0 to 255"),
        (np.array([[-1, 3]]), r"\[-1, 3\]"),
        (np.array([["a"]]), "dtype <U1"),
        (np.array([[1j]]), "dtype complex128"),
        (None, "a NoneType is no picture"),
        (b"\x89PNG", "BytesIO"),
        ([[1, 2], [3]], "gives no array"),
        (object(), "a object of dtype object"),
    ],
)
def test_an_array_that_is_no_picture_says_why(array, told):
    with pytest.raises(PictureError, match=told):
        image(array)


def test_values_of_a_file_out_of_range_are_named(tmp_path):
    floats = saved(Image.fromarray(np.array([[0, 200.0]], np.float32)), tmp_path / "f.tif")
    with pytest.raises(PictureError, match=r"\[0, 200\].*divide by 255"):
        image(floats)
    integers = saved(Image.fromarray(np.array([[0, 70000]], np.int32)), tmp_path / "i.tif")
    with pytest.raises(PictureError, match=r"\[0, 70000\]; expected 0 to 65535"):
        image(integers)


# Files that are no picture


def test_a_missing_file_names_the_nearest(tmp_path):
    saved(Image.fromarray(RED_GREEN), tmp_path / "Kitten.PNG")
    with pytest.raises(FileNotFoundError, match=r"did you mean 'Kitten.PNG'\?"):
        image(tmp_path / "kiten.png")
    with pytest.raises(FileNotFoundError, match="1 other files"):
        image(str(tmp_path / "0123456789"))
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        image(tmp_path / "photos" / "kitten.png")


@pytest.mark.parametrize("path", ["", " ", "a\0b", "x" * 5000])
def test_a_text_that_is_no_path_is_refused(path):
    with pytest.raises(PictureError, match="path"):
        image(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(PictureError, match="is a folder"):
        image(tmp_path)


@pytest.mark.parametrize(("content", "told"), [(b"", r"empty \(0 bytes\)"), (b"hello", "5 bytes that are no picture")])
def test_a_file_that_is_no_picture_says_so(content, told, tmp_path):
    (tmp_path / "cat.jpg").write_bytes(content)
    with pytest.raises(PictureError, match=told):
        image(tmp_path / "cat.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".tif", ".bmp"])
def test_a_file_cut_anywhere_is_refused_or_whole(suffix, tmp_path):
    whole = saved(Image.fromarray(skimage.data.chelsea()[:40, :40]), tmp_path / f"whole{suffix}")
    content = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    refused = 0
    for share in range(1, 20):
        cut.write_bytes(content[: len(content) * share // 20])
        try:
            assert image(cut).shape == (40, 40, 3)
        except PictureError:
            refused += 1
    assert refused >= 18


def test_a_picture_that_unpacks_to_gigabytes_is_refused_unopened(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(30_000, 30_000))
    with pytest.raises(PictureError, match="too large"):
        image(path)
    path.write_bytes(png_header(10_000, 10_000))
    with pytest.raises(PictureError, match="10000x10000 px; at most 89,478,485 pixels"):
        image(path)
    monkeypatch.setattr(pictures, "MOST_PIXELS", 3)
    with pytest.raises(PictureError, match="at most 3 pixels"):
        image(Image.new("L", (2, 2)))


# Addresses


def test_a_picture_from_the_web_is_the_picture_of_the_file():
    with serving({"/cat%20one.png": Answer(png(RED_GREEN), "image/png")}) as site:
        np.testing.assert_array_equal(image(f"{site.address}/cat one.png"), image(RED_GREEN))
        assert image(f"{site.address}/cat%20one.png", 8).shape == (8, 8, 3)
    assert site.asked[0][1].startswith("diamond-cutter")


@pytest.mark.parametrize("content_type", ["application/octet-stream", None, "text/plain"])
def test_the_bytes_decide_and_not_what_the_server_calls_them(content_type):
    with serving({"/cat": Answer(png(RED_GREEN), content_type)}) as site:
        np.testing.assert_array_equal(image(f"{site.address}/cat"), image(RED_GREEN))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer(b"<html>sign in</html>", "text/html; charset=utf-8"), "no picture.*the server calls it text/html"),
        (Answer(b"", "image/png"), r"empty \(0 bytes\).*image/png"),
        (Answer(png(RED_GREEN)[:40], "image/png"), "40 bytes that are no picture"),
        (Answer(png(skimage.data.chelsea())[:5000], "image/png"), "truncated or damaged"),
        (Answer(png(RED_GREEN), "image/png", announced=500), "broke off after .* of 500 bytes"),
        (Answer(b"", "text/plain", status=500), "answered 500"),
        (Answer(b"", "image/png", announced=10**9), "1000 MB; at most 105 MB"),
        (Answer(b"", status=302, location="file:///etc/passwd"), "cat"),
        (Answer(b"", status=302, location="ftp://127.0.0.1/cat"), "ftp"),
        (Answer(b"", status=302, location="/cat"), "302"),
    ],
)
def test_an_address_without_a_picture_says_what_it_gave(answer, told):
    with serving({"/cat": answer}) as site, pytest.raises(PictureError, match=told):
        image(f"{site.address}/cat")


def test_a_redirection_is_followed():
    with serving({"/a": Answer(status=301, location="/b"), "/b": Answer(png(RED_GREEN), "image/png")}) as site:
        assert image(f"{site.address}/a").shape == (1, 2, 3)


def test_an_address_that_is_not_there_says_404():
    with serving({}) as site, pytest.raises(PictureError, match=r"/none\.png: the server answered 404 Not Found"):
        image(f"{site.address}/none.png")
    with pytest.raises(PictureError, match="cannot be reached"):
        image(f"{site.address}/none.png")


def test_a_server_that_does_not_answer_is_given_up():
    with serving({"/slow": Answer(wait_s=0.5)}) as site, pytest.raises(PictureError, match=r"no answer within 0.1 s"):
        image(f"{site.address}/slow", timeout_s=0.1)
    assert urls.TIMEOUT_S == 20


def test_a_size_that_was_not_announced_is_bounded_too(monkeypatch):
    monkeypatch.setattr(urls, "MOST_BYTES", 50)
    with (
        serving({"/cat": Answer(png(RED_GREEN), "image/png", announced=-1)}) as site,
        pytest.raises(PictureError, match="over 5e-05 MB"),
    ):
        image(f"{site.address}/cat")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/cat.png", "gs://bucket/cat.png", "data:image/png;base64,AA"]
)
def test_only_http_is_read(url):
    with pytest.raises(PictureError, match="expected http or https"):
        image(url)


@pytest.mark.parametrize(
    "url", ["http://", "http:///cat.png", "http://[::1/cat", "http://127.0.0.1:99999/", "http://a b/c"]
)
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(PictureError, match="http"):
        image(url, timeout_s=1)


# Batches


def test_many_sources_become_one_batch(tmp_path):
    path = saved(Image.fromarray(RED_GREEN), tmp_path / "a.png")
    assert images(path, 4).shape == (1, 4, 4, 3)
    assert images(RED_GREEN, 4).shape == (1, 4, 4, 3)
    assert images(np.zeros((3, 5, 5, 3)), 4).shape == (3, 4, 4, 3)
    assert images(np.zeros((3, 5, 5, 1))).shape == (3, 5, 5, 3)
    batch = images([path, str(path), RED_GREEN, np.zeros((2, 5, 5, 3)), Image.fromarray(RED_GREEN)], 4)
    assert batch.shape == (6, 4, 4, 3)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch[0], batch[2])
    np.testing.assert_array_equal(batch[0], image(path, 4))
    assert images((path, path)).shape == (2, 1, 2, 3)


def test_a_batch_names_the_source_that_broke(tmp_path):
    path = saved(Image.fromarray(RED_GREEN), tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match=r"picture 1 of 2 \(.*b.png\): no file"):
        images([path, tmp_path / "b.png"], 4)
    with pytest.raises(PictureError, match=r"picture 2 of 3: an empty array"):
        images([path, RED_GREEN, np.zeros((0, 1))], 4)
    with pytest.raises(PictureError, match=r"picture 0 of 1: picture 1 of the batch of 2: .*255"):
        images([np.stack([np.zeros((2, 2)), np.full((2, 2), 9.0)])[..., None]], 4)
    with pytest.raises(PictureError, match=r"picture 1 of 2 is 3x3 px, picture 0 is 1x2; give a size"):
        images([RED_GREEN, np.zeros((3, 3))])
    with pytest.raises(PictureError, match="the list of sources is empty"):
        images([], 4)
    with pytest.raises(PictureError, match="an empty batch"):
        images(np.zeros((0, 4, 4, 3)), 4)
    with pytest.raises(PictureError, match="picture 1 of 2: a list inside the list"):
        images([path, [path]], 4)


def test_reading_pictures_needs_no_tensorflow():
    code = "import sys, modelzoo.inputs; print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
