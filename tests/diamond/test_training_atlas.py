"""A training watched from inside: what the atlas logs of filters, channels, maps and sprites, epoch by epoch."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import diamond as dc
from diamond.inspection.selectivity import class_means, class_selectivity
from diamond.show.mosaic import mosaic
from modelzoo import GraphError, UnknownLayerError
from tests.tiny import constant, subclassed

NAMES = ("red", "green", "blue")


def seeing_colours(rate=0.0):
    """Channels: red, green, blue, all alike, and one that is always 0; a rate of 0 learns nothing."""
    image = keras.Input((8, 12, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="conv")(image)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(image, layers.Dense(3, activation="softmax", name="answer")(x), name="seeing_colours")
    kernel = np.zeros((3, 3, 3, 5), np.float32)
    kernel[1, 1, range(3), range(3)] = 1.0
    kernel[1, 1, :, 3] = 1.0
    constant(model, {"conv/kernel": kernel, "conv/bias": [0, 0, 0, 0, -1]})
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def colours(each=4):
    pictures = np.zeros((3 * each, 8, 12, 3), np.float32)
    for c in range(3):
        pictures[c * each : (c + 1) * each, ..., c] = 0.5
    return pictures, np.repeat(np.arange(3), each)


def trained(model=None, epochs=2, **settings):
    pictures, labels = colours()
    atlas = dc.callbacks.TrainingAtlas(pictures, labels, **settings)
    (model or seeing_colours()).fit(pictures, labels, epochs=epochs, verbose=0, callbacks=[atlas])
    return atlas


def test_selectivity_by_hand():
    means = np.array([[4.0, 1.0, 3.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    # The third: 3 against the mean of 1 and 0, (3 - 0.5) / (3 + 0.5).
    np.testing.assert_allclose(class_selectivity(means), [1.0, 0.0, 5 / 7, np.nan])
    np.testing.assert_allclose(class_means(np.array([[1.0], [3.0], [5.0]]), np.array([7, 7, 9])), [[2.0], [5.0]])
    with pytest.raises(ValueError, match="1 class; selectivity is between two"):
        class_selectivity(means[:1])
    with pytest.raises(ValueError, match="below 0"):
        class_selectivity(-means)


def test_channels_of_one_class_of_none_and_dead_ones_are_told():
    atlas = trained(layers=["conv"])
    first = atlas.history.snapshots[0].layers[0]
    np.testing.assert_allclose(first.selectivity, [1, 1, 1, 0, np.nan], atol=1e-6)
    assert first.dead == 1
    assert first.mean_selectivity == pytest.approx(0.75)
    np.testing.assert_allclose(first.peaks, [0.5, 0.5, 0.5, 0.5, 0])
    # A kernel of a single weight in its middle: no neighbours share anything.
    np.testing.assert_allclose(first.smoothness[:4], 0)


def test_there_is_a_look_before_the_first_epoch_and_after_each():
    atlas = trained(epochs=3)
    assert atlas.history.epochs.tolist() == [0, 1, 2, 3]
    assert atlas.history.layers[0] == "conv"
    table = atlas.to_dataframe()
    assert list(table.columns[:6]) == ["epoch", "layer", "channels", "dead", "selectivity", "smoothness"]
    assert {"loss", "accuracy"} <= set(table.columns)
    assert np.isnan(table["loss"].iloc[0])
    assert np.isfinite(table["loss"].iloc[-1])


def test_every_and_sprites_every_and_a_second_training():
    pictures, labels = colours()
    model = seeing_colours()
    atlas = dc.callbacks.TrainingAtlas(
        pictures, labels, layers=["conv"], channels={"conv": [0, 2]}, every=2, sprites_every=4, steps=2, size=16
    )
    model.fit(pictures, labels, epochs=4, verbose=0, callbacks=[atlas])
    assert atlas.history.epochs.tolist() == [0, 2, 4]
    drawn = [snapshot.layers[0].sprites for snapshot in atlas.history.snapshots]
    assert [sprites is None for sprites in drawn] == [False, True, False]
    assert drawn[0].shape == (2, 16, 16, 3)
    assert atlas.history.snapshots[0].layers[0].sprite_channels == (0, 2)
    assert atlas.history.snapshots[1].layers[0].maps.shape == (2, 40, 40)
    model.fit(pictures, labels, epochs=2, verbose=0, callbacks=[atlas])
    assert atlas.history.epochs.tolist() == [0, 2, 4, 6]


def test_what_is_logged_is_the_network_of_that_moment():
    atlas = trained(seeing_colours(rate=0.5), epochs=2, layers=["conv"])
    before, after = (atlas.history.snapshots[i].layers[0] for i in (0, -1))
    assert np.abs(before.peaks - after.peaks).max() > 1e-3
    model = seeing_colours(rate=0.5)
    pictures, labels = colours()
    model.fit(pictures, labels, epochs=1, verbose=0)
    again = dc.callbacks.TrainingAtlas(pictures, labels, layers=["conv"])
    model.fit(pictures, labels, epochs=1, verbose=0, callbacks=[again])
    by_hand = dc.load(seeing_colours(), input=(0, 1))
    np.testing.assert_allclose(before.peaks, by_hand.activations(pictures, "conv").max(axis=(0, 1, 2)), rtol=1e-5)


def test_the_value_range_of_the_model_is_minded():
    image = keras.Input((8, 12, 3), name="image")
    x = layers.AveragePooling2D(2, name="cells")(image)
    model = keras.Model(image, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    pictures, labels = colours()
    atlas = dc.callbacks.TrainingAtlas(pictures, labels, layers=["cells"], input=(0, 255))
    model.fit(pictures * 255, labels, verbose=0, callbacks=[atlas])
    np.testing.assert_allclose(atlas.history.snapshots[0].layers[0].peaks, 127.5, rtol=1e-5)
    assert np.isnan(atlas.history.snapshots[0].layers[0].median_smoothness)


def test_weights_that_become_nan_are_told_and_do_not_end_the_training():
    class Breaks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.model.get_layer("conv").kernel.assign(np.full((3, 3, 3, 5), np.nan, np.float32))

    pictures, labels = colours()
    atlas = dc.callbacks.TrainingAtlas(pictures, labels, layers=["conv"], channels={"conv": [0]}, steps=2, size=16)
    seeing_colours().fit(pictures, labels, epochs=2, verbose=0, callbacks=[Breaks(), atlas])
    assert atlas.history.epochs.tolist() == [0, 1, 2]
    assert "epoch 1: conv gives NaN or infinity" in atlas.history.notes
    assert "epoch 1: 135 of 135 weights of 'conv:linear' are NaN or infinite" in atlas.history.notes
    assert np.isnan(atlas.history.snapshots[1].layers[0].mean_selectivity)
    atlas.history._page()


def test_a_folder_a_class_and_a_photo(tmp_path):
    pictures, labels = colours(2)
    for i, picture in enumerate(pictures):
        (tmp_path / NAMES[labels[i]]).mkdir(exist_ok=True)
        Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(tmp_path / NAMES[labels[i]] / f"{i}.png")
    atlas = dc.callbacks.TrainingAtlas(tmp_path, layers=["conv"], photo=tmp_path / "green" / "2.png")
    seeing_colours().fit(pictures, labels, verbose=0, callbacks=[atlas])
    assert atlas.history.classes == ("blue", "green", "red")
    np.testing.assert_allclose(atlas.history.photo[0, 0], [0, 0.5, 0], atol=0.01)


def test_without_classes_there_is_no_selectivity():
    pictures, labels = colours()
    atlas = dc.callbacks.TrainingAtlas(pictures, layers=["conv", "mean"])
    seeing_colours().fit(pictures, labels, verbose=0, callbacks=[atlas])
    assert np.isnan(atlas.to_dataframe()["selectivity"]).all()
    assert atlas.history.snapshots[0].layers[1].maps is None
    atlas.plot()
    one = dc.callbacks.TrainingAtlas(pictures, [0] * 12, layers=["conv"])
    with pytest.warns(UserWarning, match="pictures of one class alone"):
        seeing_colours().fit(pictures, labels, verbose=0, callbacks=[one])


def test_layers_without_filters_and_those_of_one_pixel():
    pictures, labels = colours()
    model = keras.Sequential(
        [
            keras.Input((8, 12, 3)),
            layers.Conv2D(4, 1, name="one"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="softmax", name="answer"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    names = ["one", "norm", "relu", "depthwise", "flat", "answer"]
    atlas = dc.callbacks.TrainingAtlas(pictures, labels, layers=names)
    model.fit(pictures, labels, verbose=0, callbacks=[atlas])
    assert atlas.history.layers == tuple(names)
    found = dict(zip(names, atlas.history.snapshots[-1].layers, strict=True))
    assert [name for name in names if np.isfinite(found[name].median_smoothness)] == ["depthwise", "answer"]
    assert [name for name in names if found[name].maps is not None] == ["one", "norm", "relu", "depthwise"]
    atlas.history._page()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"layers": ["con"]}, UnknownLayerError, "did you mean 'conv'"),
        ({"layers": []}, ValueError, "no layer to watch"),
        ({"channels": {"conv": [5]}}, ValueError, "channel 5 is out of range: 'conv' has channels 0 to 4"),
        ({"every": 0}, ValueError, "every is 0; expected 1 or more"),
        ({"save_to": "/nowhere/at/all/log.html"}, FileNotFoundError, "make it first"),
    ],
    ids=["layer", "none", "channel", "every", "folder"],
)
def test_bad_input_is_named(settings, error, words):
    with pytest.raises(error, match=words):
        trained(**settings)


def test_what_cannot_be_looked_at_is_told_at_the_beginning():
    pictures, labels = colours()
    model = subclassed()
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(GraphError):
        model.fit(pictures, labels, verbose=0, callbacks=[dc.callbacks.TrainingAtlas(pictures, labels)])
    unbuilt = keras.Sequential([layers.Flatten(), layers.Dense(3, activation="softmax")])
    unbuilt.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(GraphError, match="begin it with keras.Input"):
        unbuilt.fit(pictures, labels, verbose=0, callbacks=[dc.callbacks.TrainingAtlas(pictures, labels)])
    with pytest.raises(RuntimeError, match="nothing was looked at yet"):
        _ = dc.callbacks.TrainingAtlas(pictures, labels).history


def test_tensorboard_summaries_are_written(tmp_path):
    import tensorflow as tf

    trained(epochs=1, layers=["conv"], channels={"conv": [0]}, steps=2, size=16, log_dir=tmp_path / "logs")
    [file] = (tmp_path / "logs").glob("events.out.tfevents.*")
    written = {}
    for record in tf.data.TFRecordDataset(str(file)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            written[value.tag, event.step] = value
    tags = {tag for tag, _ in written}
    assert tags == {
        f"atlas/conv/{name}"
        for name in ("dead", "selectivity", "selectivities", "smoothnesses", "smoothness", "filters", "sprites", "maps")
    }
    dead = written["atlas/conv/dead", 1]
    assert dead.metadata.plugin_data.plugin_name == "scalars"
    assert float(tf.make_ndarray(dead.tensor)) == 1.0
    width, height, content = tf.make_ndarray(written["atlas/conv/filters", 0].tensor)
    assert tf.io.decode_png(content).shape == (int(height), int(width), 3)
    histogram = tf.make_ndarray(written["atlas/conv/selectivities", 0].tensor)
    assert histogram.shape == (20, 3)
    # One channel answers to all classes, three to one each; the dead one is left out.
    assert histogram[:, 2].tolist() == [1] + [0] * 18 + [3]


def test_the_log_saves_itself_while_the_training_runs(tmp_path):
    atlas = trained(epochs=2, layers=["conv"], save_to=tmp_path / "log.csv")
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert atlas.save(tmp_path / f"x{suffix}").stat().st_size > 100
    document = (tmp_path / "x.html").read_text()
    assert "http" not in document.replace("http://www.w3.org", "")
    assert "before" in document
    assert "after 2" in document
    assert "iframe" in atlas.history._repr_html_()
    with np.load(tmp_path / "x.npz") as file:
        assert file["conv selectivity"].shape == (3, 5)
        assert file["conv filters"].shape == (3, 5, 3, 3, 3)
    assert repr(atlas.history).startswith(
        "seeing_colours: 2 epochs of training, seen in 1 layers\nIn 2 epochs the filters"
    )


def test_the_page_in_a_browser_on_a_phone_without_a_network(browser, tmp_path):
    path, asked = trained(layers=["conv"]).save(tmp_path / "x.html"), []
    shown = browser.new_context(viewport={"width": 375, "height": 780}, java_script_enabled=False).new_page()
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(path.as_uri())
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert shown.locator("h1").inner_text() == "2 epochs of training, from inside"
    assert shown.locator(".strip").count() == 2
    assert shown.locator(".strip").first.locator("img").count() == 3
    assert shown.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_mosaic_by_hand():
    tiles = np.array([[[1]], [[2]], [[3]]], np.uint8)
    assert mosaic(tiles)[..., 0].tolist() == [[1, 255, 2], [255, 255, 255], [3, 255, 255]]
    assert mosaic(tiles, columns=3, gap=0, least_px=2)[..., 0].tolist() == [[1, 1, 2, 2, 3, 3]] * 2


@pytest.mark.slow
def test_filters_leave_noise_and_channels_take_sides_while_a_network_learns_digits():
    from sklearn.datasets import load_digits

    keras.utils.set_random_seed(0)
    digits = load_digits()
    grey = (digits.images / 16).astype(np.float32).repeat(4, axis=1).repeat(4, axis=2)
    pictures = np.repeat(grey[..., None], 3, axis=-1)
    image = keras.Input((32, 32, 3))
    decay = keras.regularizers.L2(2e-3)
    x = layers.Conv2D(16, 7, padding="same", activation="relu", kernel_regularizer=decay, name="conv1")(image)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(name="pool2")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="conv3")(x)
    answer = layers.Dense(10, activation="softmax", name="answer")(layers.GlobalAveragePooling2D(name="mean")(x))
    model = keras.Model(image, answer)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    atlas = dc.callbacks.TrainingAtlas(
        pictures[1500:], digits.target[1500:], layers=["conv1", "conv2", "conv3"], every=3
    )
    model.fit(pictures[:1500], digits.target[:1500], epochs=12, batch_size=64, verbose=0, callbacks=[atlas])
    log = atlas.history
    assert log.epochs.tolist() == [0, 3, 6, 9, 12]
    smooth = log.of("conv1", "median_smoothness")
    # A filter of 7 x 7 x 3 noise stays within 0.13 of 0.
    assert abs(smooth[0]) < 0.13
    assert smooth[-1] > 0.3
    assert (np.diff(smooth) > 0).all()
    selective = log.of("conv3", "mean_selectivity")
    assert selective[-1] > 1.4 * selective[0]
    assert log.snapshots[-1].logs["accuracy"] > 0.7
