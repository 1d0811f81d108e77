"""Volumes: literal numbers, the bytes of the files and what nibabel reads of them, and the page in a real browser."""

import dataclasses
import gzip
import importlib.util
import json
import shutil
import struct

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.inspection.volume_files import nifti_bytes
from diamond.show import volume as volume_page
from diamond.show import volume_scene
from modelzoo import GraphError
from modelzoo.graph import UnknownLayerError
from tests import tiny

PICTURE = np.random.default_rng(0).random((8, 6, 3), dtype=np.float32)
NASTY = "<script>document.title='broken'</script></script>\"'&"
STACK = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.fixture(scope="module")
def net():
    return dc.load(tiny.linear_tail(), input=(0, 1))


@pytest.fixture(scope="module")
def webgl():
    """Chromium that draws three dimensions in software."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium on this machine: pages cannot be looked at")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--enable-unsafe-swiftshader", "--disable-quic", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=chromium, args=options)
        yield started
        started.close()


def ball() -> np.ndarray:
    """A ball of radius 3 in the middle of 9 x 8 x 7, and a dent below zero beside it."""
    row, column, depth = np.indices((9, 8, 7))
    away = np.sqrt(np.square(row - 4) + np.square(column - 3) + np.square(depth - 3))
    return (np.maximum(4 - away, 0) - 5.0 * ((row == 0) & (column == 7))).astype(np.float32)


def test_an_array_is_taken_as_it_is():
    found = dc.volume(STACK, threshold=20)
    assert found.values.tolist() == STACK.tolist()
    assert found.binary.sum() == 4
    assert found.share == 4 / 24
    assert found.at(23).binary.sum() == 1
    assert found.slice(0, 1).tolist() == STACK[1].tolist()
    assert found.slice(1, 2).tolist() == STACK[:, 2].tolist()
    assert found.slice(2, 3, binary=True).sum() == 1
    assert repr(found) == "array: 2 rows x 3 columns x 4 slices, 16.7% of the voxels are 20 or more"
    assert found.to_dataframe().to_dict("list") == {
        "slice": [0, 1, 2, 3],
        "highest": [20.0, 21.0, 22.0, 23.0],
        "lowest": [0.0, 1.0, 2.0, 3.0],
        "mean": [10.0, 11.0, 12.0, 13.0],
        "above": [1 / 6] * 4,
    }


def test_the_usual_threshold_is_reached_by_a_twentieth():
    values = np.random.default_rng(1).random((10, 10, 20), dtype=np.float32)
    assert dc.volume(values).share == pytest.approx(0.05, abs=0.001)
    sparse = np.zeros((10, 10, 10), np.float32)
    sparse[0, 0] = np.arange(1, 11)
    assert dc.volume(sparse).threshold == 5.5


def test_maps_weights_and_gradients_of_a_network(net):
    maps = dc.volume(net, PICTURE, "features")
    assert maps.values == pytest.approx(net.activations(PICTURE, "features")[0], abs=1e-6)
    assert [axis.name for axis in maps.axes] == ["row", "column", "channel"]
    some = dc.volume(net, PICTURE, "features", channels=[3, 1])
    assert some.axes[2].places.tolist() == [3, 1]
    # Behind the mean of 48 places lies one dense layer: the gradient is its weight over 48, everywhere.
    gradient = dc.volume(net, PICTURE, "features", of="gradients", target=2)
    weights = net.model.get_layer("logits").kernel.numpy()[:, 2]
    assert gradient.values == pytest.approx(np.broadcast_to(weights / 48, (8, 6, 5)), abs=1e-7)
    assert "gradient of 2" in gradient.name
    one = dc.volume(net, layer="conv", of="weights", channels=4)
    assert one.values == pytest.approx(net.model.get_layer("conv").kernel.numpy()[..., 4])
    assert one.axes[2].label == "input channel"
    every = dc.volume(net, layer="conv", of="weights")
    assert every.values.shape == (5, 3, 9)
    assert every.values[4, 2] == pytest.approx(net.model.get_layer("conv").kernel.numpy()[..., 2, 4].ravel())
    dense = dc.volume(net, layer="logits", of="weights")
    assert dense.values.shape == (4, 5, 1)
    assert dense.values[..., 0] == pytest.approx(net.model.get_layer("logits").kernel.numpy().T)


def test_filters_of_one_channel_each_are_stacked_as_they_are():
    image = keras.Input((6, 6, 3), name="image")
    x = layers.DepthwiseConv2D(3, name="depthwise")(image)
    model = keras.Model(image, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D(name="mean")(x)))
    net = dc.load(model, input=(0, 1))
    found = dc.volume(net, layer="depthwise", of="weights")
    assert found.values == pytest.approx(model.get_layer("depthwise").kernel.numpy()[..., 0])
    assert found.axes[2].name == "filter"
    points = keras.Model(image, layers.Conv2D(4, 1, name="points")(image))
    assert dc.volume(dc.load(points, input=(0, 1)), layer="points", of="weights").values.shape == (4, 3, 1)


def test_three_axes_of_space_show_one_channel_and_a_line_one_row():
    flat = keras.Input((8, 8, 3), name="flat")
    deep = layers.Conv3D(2, (3, 3, 2), name="deep")(layers.Reshape((8, 8, 3, 1), name="turned")(flat))
    model = keras.Model(flat, layers.Dense(2, name="head")(layers.Flatten(name="all")(deep)))
    net = dc.load(model, input=(0, 1))
    picture = np.random.default_rng(0).random((8, 8, 3), dtype=np.float32)
    found = dc.volume(net, picture, "deep", channels=1)
    expected = model.get_layer("deep")(picture[None, ..., None]).numpy()[0, ..., 1]
    assert found.values == pytest.approx(np.moveaxis(expected, 0, -1), abs=1e-5)
    assert dc.volume(net, picture, "deep", of="gradients", channels=[0], target=0).values.shape == found.values.shape
    assert dc.volume(net, layer="deep", of="weights", channels=0).values.shape == (3, 2, 3)
    with pytest.raises(
        ValueError, match="a volume of 'deep' shows one channel: none is said; say channels=0, of 0 to 1"
    ):
        dc.volume(net, picture, "deep")
    line = keras.Input((8, 8, 3), name="line")
    x = layers.Conv1D(4, 3, name="along")(layers.Reshape((64, 3), name="rows")(line))
    sequence = dc.load(keras.Model(line, layers.Dense(2, name="end")(layers.Flatten(name="all")(x))), input=(0, 1))
    assert dc.volume(sequence, np.ones((8, 8, 3), np.float32), "along").values.shape == (1, 62, 4)
    assert dc.volume(sequence, layer="along", of="weights", channels=2).values.shape == (1, 3, 3)


def test_ordered_maps_keep_their_numbers(net):
    maps = dc.activation_maps(net, PICTURE, "features")
    ordered = dc.order_maps(maps)
    found = dc.volume(ordered)
    assert found.values.tolist() == ordered.ordered.tolist()
    assert found.axes[2].places.tolist() == ordered.order.tolist()
    assert found.axes[2].word(0) == f"channel {ordered.order[0]}"
    assert dc.volume(dc.order_maps(maps, method="pca_rows")).axes[2].name == "place"
    assert dc.volume(maps).values.tolist() == maps.maps.tolist()
    own = dc.volume(maps, own_scale=True)
    assert np.abs(own.values).max(axis=(0, 1)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"layer": "features", "of": "activation"}, ValueError, "did you mean 'activations'"),
        ({"image": PICTURE}, ValueError, "which layer of linear_tail"),
        ({"layer": "features"}, ValueError, "activations are of a picture: say image="),
        ({"layer": "featurs", "image": PICTURE}, UnknownLayerError, "did you mean 'features'"),
        ({"layer": "features", "of": "weights"}, GraphError, "has no"),
        (
            {"layer": "conv", "of": "weights", "channels": 9},
            IndexError,
            "filter 9 is out of range: 'conv' has filters 0 to 4",
        ),
        ({"layer": "conv", "of": "weights", "channels": [0, 1]}, ValueError, "2 are asked about"),
        ({"layer": "features", "image": PICTURE, "threshold": np.nan}, ValueError, "threshold is nan"),
    ],
    ids=["kind", "layer", "image", "unknown", "weightless", "filter", "filters", "threshold"],
)
def test_what_cannot_be_stacked_is_told(net, arguments, error, words):
    with pytest.raises(error, match=words):
        dc.volume(net, **arguments)


def test_what_is_no_volume_is_told(net):
    with pytest.raises(ValueError, match=r"expected a network, maps, or numbers .*, found shape \(2, 3\)"):
        dc.volume(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="found str"):
        dc.volume("maps.npz")
    with pytest.raises(ValueError, match="1 of 8 voxels of array are NaN or infinite"):
        dc.volume(np.array([np.nan, *range(7)]).reshape(2, 2, 2))
    with pytest.raises(ValueError, match="say what to compute of a network"):
        dc.volume(STACK, of="weights")
    with pytest.raises(IndexError, match="slice 4 is out of range: the axis 'slice' has 0 to 3"):
        dc.volume(STACK).slice(2, 4)
    with pytest.raises(IndexError, match="axis 3; expected 0"):
        dc.volume(STACK).slice(3, 0)


def test_a_nifti_file_is_what_the_standard_says():
    content = nifti_bytes(STACK, name="maps")
    assert len(content) == 352 + 24 * 4
    assert struct.unpack_from("<i", content, 0) == (348,)
    assert struct.unpack_from("<8h", content, 40) == (3, 3, 2, 4, 1, 1, 1, 1)
    assert struct.unpack_from("<2h", content, 70) == (16, 32)
    assert struct.unpack_from("<f", content, 108) == (352.0,)
    assert content[344:348] == b"n+1\0"
    assert content[148:152] == b"maps"
    # Columns run fastest, then rows, then the depth.
    assert struct.unpack_from("<6f", content, 352) == (0.0, 4.0, 8.0, 12.0, 16.0, 20.0)
    with pytest.raises(ValueError, match="an axis has 40,000 cells; NIfTI-1 holds 32,767"):
        nifti_bytes(np.zeros((1, 1, 40_000), np.float32))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nibabel_reads_what_was_written(tmp_path, suffix):
    nibabel = pytest.importorskip("nibabel")
    found = dc.volume(STACK, threshold=20)
    read = nibabel.load(found.save(tmp_path / f"maps{suffix}"))
    assert np.asarray(read.dataobj).tolist() == STACK.transpose(1, 0, 2).tolist()
    # Columns to the left side and rows to the back, which viewers show on the right and below.
    assert read.affine.tolist() == [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert nibabel.aff2axcodes(read.affine) == ("L", "P", "S")
    mask = nibabel.load(found.save(tmp_path / f"mask{suffix}", binary=True))
    assert mask.get_data_dtype() == np.uint8
    assert np.asarray(mask.dataobj).sum() == 4


def test_equal_volumes_are_equal_files(tmp_path):
    first, second = (dc.volume(STACK).save(tmp_path / name).read_bytes() for name in ("a.nii.gz", "b.nii.gz"))
    assert first == second
    assert gzip.decompress(first)[344:347] == b"n+1"


def test_a_metaimage_is_a_header_beside_its_numbers(tmp_path):
    path = dc.volume(STACK).save(tmp_path / "maps.mhd")
    header = dict(line.split(" = ") for line in path.read_text(encoding="utf-8").splitlines())
    assert header["DimSize"] == "3 2 4"
    assert header["ElementType"] == "MET_FLOAT"
    assert header["ElementDataFile"] == "maps.raw"
    assert list(header)[-1] == "ElementDataFile"
    raw = np.fromfile(tmp_path / "maps.raw", "<f4").reshape(4, 2, 3)
    assert raw.transpose(1, 2, 0).tolist() == STACK.tolist()


def test_results_are_saved_by_suffix(tmp_path):
    found = dc.volume(ball())
    for suffix in (".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"ball{suffix}").stat().st_size > 0
    assert np.load(tmp_path / "ball.npz")["values"].shape == (9, 8, 7)
    with pytest.raises(ValueError, match=r"cannot save a volume as '.vtk'; expected .nii, .nii.gz or .mhd for viewers"):
        found.save(tmp_path / "ball.vtk")
    with pytest.raises(ValueError, match=r"cannot save a binary volume as '.png'"):
        found.save(tmp_path / "ball.png", binary=True)
    with pytest.raises(FileNotFoundError, match="make it first"):
        found.save(tmp_path / "none" / "ball.nii")


def test_a_large_volume_is_thinned_for_the_eye_and_whole_in_files(tmp_path):
    values = np.ones((48, 48, 200), np.float32)
    small = volume_scene.thinned(values)
    assert small.values.size <= volume_scene.MOST_VOXELS
    assert small.factors == (2, 2, 1)
    assert small.note == "For the view in three dimensions 2 x 2 cells of a map averaged into one; files have all."
    deep = volume_scene.thinned(np.ones((7, 7, 5000), np.float32))
    assert deep.factors == (1, 1, 3)
    assert "every 3. slice taken" in deep.note
    assert volume_scene.thinned(np.ones((1, 1, 4), np.float32)).values.shape == (2, 2, 4)
    assert dc.volume(values).save(tmp_path / "all.nii").stat().st_size == 352 + 4 * values.size


def test_without_plotly_a_page_has_slices_and_a_scene_says_what_to_install(monkeypatch, net):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "plotly" else real(name, *rest)
    )
    found = dc.volume(net, PICTURE, "features")
    with pytest.raises(ModuleNotFoundError, match=r'not installed; pip install "diamond-cutter\[volume\]"'):
        found.scene()
    page = found._page()
    assert "needs plotly" in page
    assert len(page) < 400_000
    assert found._repr_html_().startswith("<iframe")


def test_a_scene_has_a_surface_above_one_below_and_a_slice():
    pytest.importorskip("plotly")
    made = dc.volume(ball(), threshold=2).scene()
    assert [trace.type for trace in made.data] == ["isosurface"] * 3
    above, below, cut = made.data
    assert (above.isomin, above.isomax) == (2, 5)
    assert (below.isomin, below.isomax) == (-5, -2)
    assert list(cut.slices.x.locations) == [3]
    assert len(made.layout.sliders) == 2
    only = dc.volume(np.maximum(ball(), 0)).scene()
    assert len(only.data) == 2
    same = dc.volume(np.zeros((3, 3, 3), np.float32))
    assert same.notes == ("All voxels have one value.",)
    assert same.scene() is not None
    assert same.plot() is not None


def opened(webgl, tmp_path, found):
    """Open a volume's page; give it, what it asked of the world, and what went wrong in it."""
    asked, wrong = [], []
    shown = webgl.new_context(viewport={"width": 390, "height": 900}, color_scheme="dark").new_page()
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    path = found.save(tmp_path / "ball.html")
    shown.goto(path.as_uri())
    return shown, asked, wrong


def moved(shown, control, value):
    """Move a slider, and tell the page."""
    shown.evaluate(
        "([id, value]) => { const s = document.getElementById(id); s.value = value;"
        " s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); }",
        [control, value],
    )


def pixel(shown, canvas, x, y):
    """Give red, green and blue of one cell of a slice."""
    script = "([id, x, y]) => Array.from(document.getElementById(id).getContext('2d').getImageData(x, y, 1, 1).data)"
    return shown.evaluate(script, [canvas, x, y])[:3]


def test_the_page_turns_slices_without_a_network(webgl, tmp_path, monkeypatch):
    monkeypatch.setattr(volume_page, "has_plotly", lambda: False)
    found = dataclasses.replace(dc.volume(ball(), threshold=2), name=NASTY)
    shown, asked, wrong = opened(webgl, tmp_path, found)
    assert shown.inner_text("#word2") == "slice 3"
    assert shown.inner_text("#said") == f"2 ({100 * found.share:.1f} % reach it)"
    assert shown.title() != "broken"
    # Row 4, column 3 of slice 3 is the middle of the ball, 4 of at most 5: between orange and white.
    assert pixel(shown, "plane2", 3, 4) == [236, 180, 124]
    assert pixel(shown, "plane2", 0, 0) == [14, 15, 18]
    assert pixel(shown, "plane2", 7, 0) == [232, 242, 255]
    shown.check("#binary")
    assert pixel(shown, "plane2", 3, 4) == [255, 214, 160]
    assert pixel(shown, "plane2", 7, 0) == [14, 15, 18]
    moved(shown, "threshold", 1000)
    assert pixel(shown, "plane2", 3, 2) == [14, 15, 18]
    moved(shown, "at2", 0)
    assert shown.inner_text("#word2") == "slice 0"
    shown.click("#plane2", position={"x": 4, "y": 4})
    assert (shown.inner_text("#word0"), shown.inner_text("#word1")) == ("row 0", "column 0")
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    assert "needs plotly" in shown.inner_text("article")
    assert wrong == []
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []


@pytest.mark.slow
def test_the_page_draws_three_dimensions_without_a_network(webgl, tmp_path):
    pytest.importorskip("plotly")
    shown, asked, wrong = opened(webgl, tmp_path, dataclasses.replace(dc.volume(ball(), threshold=2), name=NASTY))
    shown.wait_for_function("document.getElementById('scene').dataset.drawn === '3'", timeout=60_000)
    moved(shown, "threshold", 900)
    moved(shown, "at2", 5)
    bounds = shown.evaluate("document.getElementById('scene').data.map(trace => [trace.isomin, trace.isomax])")
    # From -5 to 4: nine tenths of the way lie at 3.1.
    assert np.array(bounds) == pytest.approx(np.array([[3.1, 5], [-5, -3.1], [-5, 5]]), abs=1e-3)
    assert shown.evaluate("document.getElementById('scene').data[2].slices.x.locations") == [5]
    assert shown.locator("#scene canvas").count() >= 1
    assert wrong == []
    assert [url for url in asked if not url.startswith(("data:", "blob:", "file:"))] == []
    assert (tmp_path / "ball.html").stat().st_size < 3_000_000


@pytest.mark.slow
def test_three_dimensions_are_drawn_in_a_notebooks_sandboxed_frame(webgl):
    pytest.importorskip("plotly")
    shown = webgl.new_page(viewport={"width": 900, "height": 950})
    shown.set_content(dc.volume(np.maximum(ball(), 0), threshold=2)._repr_html_())
    [frame] = shown.frames[1:]
    frame.wait_for_function("document.getElementById('scene').dataset.drawn === '2'", timeout=60_000)
    assert frame.evaluate("window.origin") == "null"


def test_frequencies_run_upward(tmp_path):
    frontend_like = dc.load("MiniResnet_esc10", weights=None)
    patch = np.random.default_rng(0).random((64, 50, 1), dtype=np.float32)
    found = dc.volume(frontend_like, patch, "conv1_relu", channels=range(6))
    assert found.upward
    assert [axis.unit for axis in found.axes] == ["Hz", "s", ""]
    assert found.axes[0].places[0] < found.axes[0].places[-1]
    assert found.axes[0].word(0).endswith(" Hz")
    assert found.axes[1].word(0).endswith(" s")
    content = found.save(tmp_path / "sound.nii").read_bytes()
    assert struct.unpack_from("<4f", content, 296) == (0.0, 1.0, 0.0, 1.0 - found.values.shape[0])
    data = found._page().split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["upward"] is True
