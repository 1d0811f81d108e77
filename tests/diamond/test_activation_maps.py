"""Activation maps: literal numbers of networks computed by hand, dead channels planted and found, both views as pages."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import diamond as dc
from diamond.inspection.activations import convolution_outputs
from diamond.show.map_tiles import enlarged, over_photo_tiles, plain_tiles, signed_colours
from modelzoo import GraphError
from modelzoo.graph import UnknownLayerError
from tests import tiny

PICTURE = np.random.default_rng(0).random((8, 6, 3), dtype=np.float32)


def by_hand() -> dc.ActivationMaps:
    return dc.activation_maps(dc.load(tiny.one_filter(), input=(0, 1)), half_white(), "sum")


def half_white() -> np.ndarray:
    """4 x 4, the upper half white, the lower black: the sum of the colours less one is 2 above and 0 below."""
    picture = np.zeros((4, 4, 3), np.float32)
    picture[:2] = 1.0
    return picture


def with_dead_channels() -> keras.Model:
    """Four channels: red, always 0 (bias -9), blue less 0.5, and never 0; each behind a ReLU."""
    image = keras.Input((4, 4, 3), name="image")
    x = layers.Conv2D(4, 1, name="conv")(image)
    x = layers.ReLU(name="features")(x)
    model = keras.Model(image, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D(name="mean")(x)))
    kernel = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]])
    return tiny.constant(
        model,
        {
            "conv/kernel": kernel[None, None],
            "conv/bias": [0.0, -9.0, -0.5, 1.0],
            "head/kernel": 1.0,
            "head/bias": 0.0,
        },
    )


def test_maps_are_what_the_layer_answers():
    found = by_hand()
    assert found.maps[..., 0].tolist() == [[2.0] * 4, [2.0] * 4, [0.0] * 4, [0.0] * 4]
    assert found.layers[0].sparsity == 0.5
    assert found.layers[0].highest.tolist() == [2.0]
    assert found.layers[0].silent.tolist() == []
    assert found.layers[0].dead is None
    assert found.to_dataframe().to_dict("records") == [
        {"layer": "sum", "channel": 0, "highest": 2.0, "mean": 1.0, "sparsity": 0.5}
    ]
    assert repr(found) == "one_filter: the maps of sum for picture 0: 1 map, 50% of the values are 0"


def test_maps_over_the_photo_have_its_size():
    maps = np.zeros((2, 2, 1), np.float32)
    maps[0, 0] = 4.0
    large = enlarged(maps, (4, 4))[..., 0]
    assert large[0].tolist() == [4.0, 3.0, 1.0, 0.0]
    found = dc.activation_maps(dc.load(tiny.nested(), input=(0, 1)), np.ones((16, 12, 3), np.float32), "backbone/wide")
    assert found.maps.shape == (6, 4, 6)
    assert found.over_photo().shape == (16, 12, 6)


def test_a_dead_channel_is_found_and_says_of_how_many_pictures(tmp_path):
    net = dc.load(with_dead_channels(), input=(0, 1))
    for number in range(9):
        levels = np.full((4, 4, 3), [250, 0, 250 if number == 4 else 20], np.uint8)
        Image.fromarray(levels).save(tmp_path / f"{number}.png")
    black = np.zeros((4, 4, 3), np.float32)
    [one] = (found := dc.activation_maps(net, black, "features", over=tmp_path, batch=2)).layers
    assert one.silent.tolist() == [0, 1, 2]
    assert one.fired.tolist() == [9, 0, 1, 9]
    assert one.dead.tolist() == [1]
    assert one.peaks == pytest.approx([0.980, 0.0, 0.480, 1.0], abs=1e-3)
    assert found.count == 9
    assert found.bound == pytest.approx(1 / 3)
    assert found.to_dataframe()["dead"].tolist() == [False, True, False, False]
    assert "1 is dead</b>: 0 in all of 9 pictures" in found._page()
    assert found.sparsity()["dead"].tolist() == [1]


def test_a_channel_that_fires_in_the_picture_alone_is_not_dead():
    net = dc.load(with_dead_channels(), input=(0, 1))
    red = np.zeros((4, 4, 3), np.float32)
    red[..., 0] = 1.0
    [one] = dc.activation_maps(net, red, "features", over=np.zeros((3, 4, 4, 3), np.float32)).layers
    assert one.fired.tolist() == [0, 0, 0, 3]
    assert one.dead.tolist() == [1, 2]


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_the_batch_changes_no_count(batch):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    pictures = np.random.default_rng(1).random((7, 8, 6, 3), dtype=np.float32)
    [one] = dc.activation_maps(net, PICTURE, "features", over=pictures, batch=batch).layers
    whole = net.activations(pictures, "features")
    assert one.fired.tolist() == (whole != 0).any(axis=(1, 2)).sum(axis=0).tolist()
    assert one.peaks == pytest.approx(np.abs(whole).max(axis=(0, 1, 2)), rel=1e-5)


def test_a_strip_goes_through_all_convolutions_after_batch_norm_and_activation():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, name="one", activation="relu")(image)
    x = layers.Conv2D(5, 3, name="two")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    y = layers.Conv2D(5, 1, name="three")(x)
    x = layers.Add(name="add")([x, y])
    net = dc.load(
        keras.Model(image, layers.Dense(2, name="head")(layers.GlobalMaxPooling2D(name="max")(x))), input=(0, 1)
    )
    assert [node.address for node in convolution_outputs(net)] == ["one", "relu", "three"]
    found = dc.activation_maps(net, np.ones((8, 8, 3), np.float32), channels=[0, 4])
    assert [(one.layer, one.channels.tolist()) for one in found.layers] == [
        ("one", [0]),
        ("relu", [0, 4]),
        ("three", [0, 4]),
    ]
    assert found["relu"].maps.shape == (4, 4, 2)
    every = dc.activation_maps(net, np.ones((8, 8, 3), np.float32), ["relu", "one"])
    assert [one.layer for one in every.layers] == ["one", "relu"]
    with pytest.raises(ValueError, match="maps of 2 layers are here; say which"):
        _ = every.maps
    with pytest.raises(KeyError, match="expected one of one, relu"):
        every["two"]


def test_layers_without_height_and_width_have_one_row():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    assert dc.activation_maps(net, PICTURE, "logits").maps.shape == (1, 1, 4)
    image = keras.Input((8, 8, 3), name="image")
    sequence = layers.Conv1D(4, 3, name="along")(layers.Reshape((64, 3), name="rows")(image))
    one = dc.load(keras.Model(image, layers.Dense(2, name="head")(layers.Flatten()(sequence))), input=(0, 1))
    found = dc.activation_maps(one, np.ones((8, 8, 3), np.float32))
    assert found.layers[0].maps.shape == (1, 62, 4)
    assert found.plot() is not None
    assert "1 x 62" in found._page()


def test_a_network_of_two_inputs_is_told_the_other():
    photo, age = keras.Input((4, 4, 3), name="photo"), keras.Input((1,), name="age")
    x = layers.GlobalMaxPooling2D(name="most")(layers.Conv2D(1, 1, name="sum", activation="relu")(photo))
    model = keras.Model([photo, age], layers.Concatenate(name="both")([x, age]))
    net = dc.load(tiny.constant(model, {"sum/kernel": 1.0, "sum/bias": 0.0}), input=(0, 1))
    [one] = dc.activation_maps(net, half_white(), "both", over=[half_white()] * 3, given={"age": [[7.0]]}).layers
    assert one.maps.tolist() == [[[3.0, 7.0]]]
    assert one.fired.tolist() == [3, 3]
    with pytest.raises(GraphError, match="has 2 inputs"):
        dc.activation_maps(net, half_white(), "both")


def test_three_axes_of_space_are_refused_by_name():
    flat = keras.Input((8, 8, 3), name="flat")
    deep = layers.Conv3D(2, (3, 3, 2), name="deep")(layers.Reshape((8, 8, 3, 1), name="turned")(flat))
    model = keras.Model(flat, layers.Dense(2, name="head")(layers.Flatten(name="all")(deep)))
    net = dc.load(model, input=(0, 1))
    with pytest.raises(GraphError, match="three axes of space, and a map has two; dc.volume"):
        dc.activation_maps(net, np.zeros((8, 8, 3), np.float32), "deep")
    with pytest.raises(GraphError, match="no convolution with maps"):
        dc.activation_maps(net, np.zeros((8, 8, 3), np.float32))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"layer": "featurs"}, UnknownLayerError, "did you mean 'features'"),
        (
            {"layer": "features", "channels": [5]},
            IndexError,
            "channel 5 is out of range: 'features' has channels 0 to 4",
        ),
        ({"channels": [7]}, IndexError, "'features', the widest layer, has channels 0 to 4"),
        ({"layer": "features", "channels": []}, ValueError, "no channel is asked about"),
        ({"layer": []}, ValueError, "no layer is asked about"),
        ({"layer": "features", "over": []}, ValueError, "no pictures: the list is empty"),
    ],
    ids=["layer", "channel", "widest", "no-channel", "no-layer", "no-images"],
)
def test_what_cannot_be_asked_is_told(arguments, error, words):
    with pytest.raises(error, match=words):
        dc.activation_maps(dc.load(tiny.linear_tail(), input=(0, 1)), PICTURE, **arguments)


def test_one_picture_at_a_time():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    with pytest.raises(ValueError, match="2 pictures were given; expected one, as images"):
        dc.activation_maps(net, np.stack([PICTURE, PICTURE]), "features")


def test_values_that_are_no_numbers_name_their_layer():
    model = tiny.linear_tail()
    net = dc.load(tiny.constant(model, {"conv/bias": np.nan}), input=(0, 1))
    with pytest.raises(ValueError, match="from 'conv' on the activations are NaN or infinite"):
        dc.activation_maps(net, PICTURE, "conv")
    good = dc.load(tiny.one_filter(), input=(0, 1))
    many = [half_white(), half_white()]
    tiny.constant(good.model, {"sum/bias": np.inf})
    with pytest.raises(ValueError, match="NaN or infinite"):
        dc.activation_maps(good, half_white(), "sum", over=many)


def test_a_broken_file_among_many_is_skipped_with_a_warning(tmp_path):
    Image.fromarray((PICTURE * 255).astype(np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    with pytest.warns(UserWarning, match="skipped 1 of 2 pictures: bad.png"):
        found = dc.activation_maps(net, PICTURE, "features", over=tmp_path)
    assert found.count == 1
    assert "1 skipped: bad.png" in found._page()


def test_zero_is_black_and_each_sign_has_its_colour():
    black, orange, blue = signed_colours(np.array([0.0, 0.6, -0.6]))
    assert (black.tolist(), orange.tolist(), blue.tolist()) == ([14, 15, 18], [217, 116, 20], [38, 104, 196])
    tiles = plain_tiles(np.array([[[1.0], [0.0]], [[-1.0], [0.0]]]), heard=False)
    assert tiles.shape == (1, 96, 96, 3)
    assert tiles[0, 10, 10].tolist() == [255, 244, 228]
    assert tiles[0, 80, 10].tolist() == [232, 242, 255]
    assert plain_tiles(np.array([[[1.0]], [[0.0]]]), heard=True)[0, 10, 10].tolist() == [14, 15, 18]
    assert over_photo_tiles(np.zeros((2, 2, 3)), np.ones((8, 8, 3)), heard=False)[0, 0, 0].tolist() == [140, 140, 140]


def test_a_layer_of_many_channels_is_shown_in_parts():
    image = keras.Input((2, 2, 3), name="image")
    x = layers.Conv2D(300, 1, name="wide", activation="relu")(image)
    net = dc.load(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))), input=(0, 1))
    found = dc.activation_maps(net, np.ones((2, 2, 3), np.float32), "wide")
    assert "Channels 0 to 239 of 300 are shown; channels=range(240, 300) gives the next." in found._page()
    panels = [panel for panel in found.plot(first=200).axes if panel.images]
    assert len(panels) == 1 + 100
    with pytest.raises(IndexError, match="first is 300; 'wide' has maps 0 to 299"):
        found.plot(first=300)


def test_the_page_shows_both_views_without_a_script(browser, tmp_path):
    nasty = "<script>document.title='broken'</script>\"'&.png"
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    single = dataclasses.replace(
        dc.activation_maps(net, PICTURE, "features", over=[PICTURE]), image=nasty, network=nasty
    )
    strip = dataclasses.replace(dc.activation_maps(net, PICTURE, over=[PICTURE]), image=nasty)
    asked, shown = [], browser.new_context(viewport={"width": 375, "height": 700}, color_scheme="dark").new_page()
    shown.on("request", lambda request: asked.append(request.url))
    for name, found in (("single", single), ("strip", strip)):
        path = found.save(tmp_path / f"{name}.html")
        shown.goto(path.as_uri())
        assert shown.title() != "broken"
        assert shown.locator("main script").count() == 0
        assert shown.evaluate("document.documentElement.scrollWidth") <= 375
        assert shown.locator(".plain:visible").count() == 5
        assert shown.locator(".over:visible").count() == 0
        shown.check("#view-over")
        assert shown.locator(".plain:visible").count() == 0
        assert shown.locator(".over:visible").count() == 5
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert single._repr_html_().startswith("<iframe")


def test_results_are_saved_by_suffix(tmp_path):
    found = by_hand()
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert found.save(tmp_path / f"maps{suffix}").stat().st_size > 0
    held = np.load(tmp_path / "maps.npz")
    assert held["maps"].shape == (4, 4, 1)
    assert held["layer"].tolist() == ["sum"]


@pytest.mark.slow
def test_ten_thousand_pictures_need_the_memory_of_a_few():
    import psutil

    image = keras.Input((64, 64, 3), name="image")
    x = layers.Conv2D(8, 8, strides=8, name="cells", activation="relu")(image)
    net = dc.load(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))), input=(0, 1))
    rng, process, seen = np.random.default_rng(0), psutil.Process(), []

    def many():
        for i in range(10_000):
            if i in (500, 9_999):
                seen.append(process.memory_info().rss)
            yield rng.random((64, 64, 3), dtype=np.float32)

    found = dc.activation_maps(net, np.zeros((64, 64, 3), np.float32), "cells", over=many(), progress=False)
    assert found.count == 10_000
    # All of them at once would be 492 MB.
    assert seen[1] - seen[0] < 100e6


@pytest.mark.slow
def test_real_weights_have_dead_channels_only_where_a_relu_is(shared_data):
    net = dc.load("EfficientNetLite0")
    found = dc.activation_maps(
        net, next((shared_data / "photos").iterdir()), over=shared_data / "photos", progress=False
    )
    assert len(found.layers) == 49
    assert found.count == 200
    table = found.sparsity().set_index("layer")
    assert (table[table.index.str.endswith("project_bn")]["sparsity"] < 1e-4).all()
    assert table.loc["stem_relu", "dead"] == 4
    assert table.loc["head_relu", "sparsity"] > 0.8


@pytest.mark.slow
def test_maps_of_sounds_stand_upright_in_hertz_and_seconds(shared_data):
    net = dc.load("MiniResnet_esc10", weights=shared_data / "weights" / "miniresnet_1stacks_64x50_esc10.h5")
    sound = next(path for path in sorted((shared_data / "esc10").rglob("*.ogg")))
    patch = net.patches(sound).values[0]
    found = dc.activation_maps(net, patch)
    first = found.layers[0]
    assert first.edges_hz[0] < first.edges_hz[-1]
    assert len(first.edges_hz) == first.grid[0] + 1
    assert len(first.edges_s) == first.grid[1] + 1
    assert "frequency goes up" in found._page()
    with pytest.raises(ValueError, match=r"net.patches\(sound\)"):
        dc.activation_maps(net, np.stack([patch, patch]), first.layer)
