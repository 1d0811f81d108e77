"""The renderer: real ascent, one compilation a layer, the same numbers from the same seed."""

import dataclasses
import gc
import weakref

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.func_graph import FuncGraph

import diamond as dc
from diamond.features import relu
from diamond.features.images import Fourier, Phase, Shared
from diamond.features.recipes import Recipe, read_recipe
from diamond.features.render import render
from diamond.features.renderer import Renderer, RenderError, random_stream
from diamond.features.transforms import Background, Gain, Jitter, Noise
from tests import tiny

QUICK = dataclasses.replace(read_recipe("texture"), name="quick", size_px=24, steps=24)


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(3)
    image = keras.Input((24, 24, 3), name="image")
    x = layers.Conv2D(8, 5, strides=2, name="first", activation="relu")(image)
    x = layers.Conv2D(12, 3, name="second")(x)
    x = layers.ReLU(6.0, name="capped")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return dc.load(keras.Model(image, layers.Dense(4, name="logits")(x), name="small"), input=(-1, 1))


def test_a_picture_excites_its_channel_more_than_noise_does(net):
    chosen = [dc.channel("second", i) for i in range(6)]
    done = render(net, chosen, recipe=QUICK, progress=False)
    assert done.images.shape == (6, 24, 24, 3)
    assert done.images.dtype == np.float32
    assert done.images.min() >= 0.0
    assert done.images.max() <= 1.0
    noise = np.random.default_rng(0).random((16, 24, 24, 3), dtype=np.float32)
    of_noise = net.activations(noise, "second").mean(axis=(1, 2))[:, :6].max(axis=0)
    assert (done.activations > of_noise).all()


def test_activations_are_those_of_the_finished_pictures(net):
    done = render(net, [dc.channel("second", 2), dc.channel("second", 5)], recipe=QUICK, progress=False)
    measured = net.activations(done.images, "second").mean(axis=(1, 2))
    np.testing.assert_allclose(done.activations, [measured[0, 2], measured[1, 5]], rtol=1e-4)


def test_the_same_seed_gives_the_same_pictures_and_another_seed_others(net):
    first, again, other = (
        render(net, dc.channel("second", 1), recipe=QUICK, seed=seed, progress=False).images for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02


def test_a_picture_does_not_depend_on_its_neighbours_in_the_batch(net):
    renderer = Renderer(net, dc.channel("second", 0).shape, QUICK, width=3)
    beside = renderer.render([dc.channel("second", i) for i in (4, 5, 6)]).images
    elsewhere = renderer.render([dc.channel("second", i) for i in (9, 4)]).images
    np.testing.assert_array_equal(beside[0], elsewhere[1])


def test_one_compilation_serves_all_batches_of_a_layer(net):
    renderer = Renderer(net, dc.channel("second", 0).shape, QUICK, width=4)
    for begin in (0, 4, 8):
        renderer.render([dc.channel("second", i) for i in range(begin, begin + 4)])
    assert renderer.traces == [(24, 24)]
    # Neither do short batches, other seeds, or looks in between compile anything anew.
    renderer.render([dc.channel("second", 0)], seed=3)
    assert len(list(renderer.run([dc.channel("second", 1), dc.channel("second", 7)], looks=(3, 7, 20)))) == 3
    assert renderer.traces == [(24, 24)]


def test_a_stream_grows_clearer_and_ends_in_the_very_picture_one_gets_without_it(net):
    recipe = dataclasses.replace(QUICK, steps=80)
    chosen = [dc.channel("second", i) for i in range(2)] + [dc.channel("first", 3)]
    growing = list(render(net, chosen, recipe=recipe, stream=True, progress=False))
    # Nothing of what was drawn for a step depends on how many there are.
    same = render(net, chosen, recipe=recipe, steps=32, progress=False)
    np.testing.assert_array_equal(growing[1].images, same.images)
    assert len(growing) == 4
    at_once = render(net, chosen, recipe=recipe, progress=False)
    np.testing.assert_array_equal(growing[-1].images, at_once.images)
    np.testing.assert_array_equal(growing[-1].activations, at_once.activations)
    assert (growing[-1].activations > growing[0].activations).all()


def test_a_stream_of_fewer_than_sixteen_steps_is_one_picture(net):
    assert len(list(render(net, dc.channel("second", 0), recipe=QUICK, steps=9, stream=True, progress=False))) == 1


def test_copies_of_one_objective_are_different_pictures(net):
    chosen = [dc.channel("second", 1), dc.channel("second", 2), *[dc.channel("second", 1)] * 2]
    images = render(net, chosen, recipe=QUICK, batch=2, progress=False).images
    for i, j in ((0, 2), (0, 3), (2, 3)):
        assert np.abs(images[i] - images[j]).mean() > 0.02


def test_a_canvas_need_not_be_square(net):
    done = render(net, [dc.channel("second", i) for i in (1, 5)], recipe=QUICK, size=(18, 31), progress=False)
    assert done.images.shape == (2, 18, 31, 3)
    assert "18 x 31 px" in repr(done)
    noise = np.random.default_rng(0).random((16, 18, 31, 3), dtype=np.float32)
    [of_noise] = net.forward(noise, [net.node("second")])
    assert (done.activations > np.asarray(of_noise).mean(axis=(1, 2))[:, [1, 5]].max(axis=0)).all()


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 20.0), ("nadam", 0.05), ("rmsprop", 0.05)])
def test_any_optimiser_of_keras_climbs(net, optimizer, rate):
    recipe = dataclasses.replace(QUICK, optimizer=optimizer, learning_rate=rate, optimizer_settings=())
    growing = list(render(net, dc.channel("second", 1), recipe=recipe, stream=True, progress=False))
    longer = render(net, dc.channel("second", 1), recipe=recipe, steps=1, progress=False)
    assert growing[-1].activations[0] > longer.activations[0] + 0.02
    again = render(net, dc.channel("second", 1), recipe=recipe, progress=False)
    np.testing.assert_array_equal(growing[-1].images, again.images)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": "sgd"}, "no Keras optimiser 'sgd' .* say optimizer_settings=\\(\\)"),
        ({"optimizer": "adem", "optimizer_settings": ()}, "no Keras optimiser 'adem'"),
    ],
)
def test_settings_of_another_optimiser_and_unknown_ones_are_refused(net, changes, words):
    with pytest.raises(ValueError, match=words):
        render(net, dc.channel("second", 1), recipe=dataclasses.replace(QUICK, **changes), progress=False)


def test_settings_reach_the_optimiser(net):
    slow = dataclasses.replace(QUICK, optimizer="adam", optimizer_settings=(("beta_1", 0.99),))
    asked, without = dc.channel("second", 1), dataclasses.replace(slow, optimizer_settings=())
    images = [render(net, asked, recipe=recipe, progress=False).images for recipe in (slow, without)]
    assert not np.array_equal(*images)
    assert dc.Recipe.from_dict(slow.to_dict()) == slow
    assert slow.hash != without.hash


def test_an_alpha_channel_leaves_out_what_the_network_does_not_need(net):
    """Of a neuron that sees thirteen pixels each way, the rest of the canvas becomes ground."""
    recipe = Recipe("cut out", 48, 64, learning_rate=0.2, alpha=True, transforms=(Jitter(1), Background(3)))
    asked = dc.neuron("second", 1).before_nonlinearity() - 2 * dc.alpha()
    [picture] = render(net, asked, recipe=recipe, progress=False).images
    assert picture.shape == (48, 48, 3)
    middle = np.zeros((48, 48), bool)
    middle[17:31, 17:31] = True
    ground = np.median(picture[~middle], axis=0)
    away = np.abs(picture - ground).mean(axis=-1)
    assert away[middle].mean() > 3 * away[~middle].mean()


def test_an_alpha_channel_needs_a_background():
    with pytest.raises(ValueError, match="needs a Background among the transforms"):
        Recipe("bare", alpha=True)


def test_what_flat_grey_reaches_is_told_whatever_the_parametrisation(net):
    grey = net.activations(np.full((1, 24, 24, 3), 0.5, np.float32), "second").mean(axis=(1, 2))[0]
    for image in (Fourier(), Phase()):
        recipe = dataclasses.replace(QUICK, steps=1, image=image)
        done = Renderer(net, dc.channel("second", 0).shape, recipe, width=2).render([dc.channel("second", 3)])
        np.testing.assert_allclose(done.at_rest, grey[[3]], rtol=1e-5)


def test_a_network_of_one_channel_is_shown_spectrograms():
    keras.utils.set_random_seed(1)
    spectrogram = keras.Input((20, 32, 1), name="spectrogram")
    x = layers.Conv2D(4, (3, 5), activation="relu", name="onsets")(spectrogram)
    net = dc.load(keras.Model(spectrogram, layers.GlobalAveragePooling2D(name="pool")(x)), input=(-1, 1))
    recipe = Recipe(
        "sound",
        (20, 32),
        steps=24,
        learning_rate=0.2,
        image=Fourier(decay=1.0, decay_across=0.5),
        transforms=(Jitter(1, across_px=6), Gain(0.05), Noise(0.02)),
    )
    done = render(net, [dc.channel("onsets", i) for i in range(4)], recipe=recipe, progress=False)
    assert done.images.shape == (4, 20, 32, 1)
    noise = np.random.default_rng(0).random((16, 20, 32, 1), dtype=np.float32)
    [of_noise] = net.forward(noise, [net.node("onsets")])
    assert (done.activations > np.asarray(of_noise).mean(axis=(1, 2)).max(axis=0)).all()
    assert done.plot().axes


def test_memory_stays_flat_over_many_layers(net):
    """Thirty layers, each with a renderer of its own; what the first three take is not counted."""
    image = keras.Input((16, 16, 3), name="image")
    every = [layers.Conv2D(4, 3, activation="relu", name=f"layer{i}")(image) for i in range(30)]
    wide = dc.load(keras.Model(image, layers.GlobalAveragePooling2D()(layers.Add()(every)), name="wide"), input=(-1, 1))
    recipe = Recipe("two steps", 16, 2, redirect_steps=1)
    process, taken = psutil.Process(), []
    for i in range(30):
        render(wide, [dc.channel(f"layer{i}", 0)], recipe=recipe, progress=False)
        taken.append(process.memory_info().rss)
    gc.collect()
    assert process.memory_info().rss - taken[2] < 100 * 2**20
    assert max(taken) - taken[2] < 200 * 2**20


def graphs_kept():
    gc.collect()
    # By type: a weak proxy of something gone cannot be asked for its class.
    return sum(issubclass(type(thing), FuncGraph) for thing in gc.get_objects())


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_a_renderer_that_is_done_leaves_no_graph_behind(activation):
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(4, 3, activation=activation, name="conv")(image)
    x = layers.Conv2D(4, 3, activation=activation, name="again")(x)
    net = dc.load(keras.Model(image, layers.GlobalAveragePooling2D()(x), name="small"), input=(-1, 1))
    recipe = Recipe("two steps", 16, 2, redirect_steps=1)
    render(net, dc.channel("again", 0), recipe=recipe, progress=False)
    before = graphs_kept()
    for i in range(3):
        render(net, dc.channel("again", i), recipe=recipe, progress=False)
    assert graphs_kept() == before


def test_nothing_after_the_layer_is_computed(net):
    renderer = Renderer(net, dc.channel("first", 0).shape, QUICK, width=1)
    ran = []
    renderer.net.forward(
        np.zeros((1, 24, 24, 3), np.float32), [net.node("first")], replace=lambda n: ran.append(n.address)
    )
    assert ran == ["first:linear", "first"]


def test_objectives_of_different_shapes_come_back_in_order(net):
    asked = [dc.channel("second", 3), dc.channel("first", 2), dc.channel("second", 3) + dc.channel("first", 2)]
    done = render(net, asked, recipe=QUICK, progress=False)
    first = net.activations(done.images, "first").mean(axis=(1, 2))
    second = net.activations(done.images, "second").mean(axis=(1, 2))
    expected = [second[0, 3], first[1, 2], second[2, 3] + first[2, 2]]
    np.testing.assert_allclose(done.activations, expected, rtol=1e-4)


def test_minus_an_objective_goes_down(net):
    up, down = render(net, [dc.channel("second", 0), -dc.channel("second", 0)], recipe=QUICK, progress=False).images
    values = net.activations(np.stack([up, down]), "second").mean(axis=(1, 2))[:, 0]
    assert values[0] > values[1]


def silent(max_value):
    """A network whose channels are silent on grey: the bias holds them far below zero."""
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(4, 3, name="conv")(image)
    model = keras.Model(image, layers.ReLU(max_value, name="relu")(x), name="silent")
    signs = np.random.default_rng(0).choice([-0.2, 0.2], size=(1, 1, 3, 4))
    return dc.load(tiny.constant(model, {"conv/kernel": signs, "conv/bias": -0.4}), input=(-1, 1))


@pytest.mark.parametrize("max_value", [None, 6.0])
def test_a_silent_channel_comes_alive_through_redirected_gradients(max_value):
    net = silent(max_value)
    chosen = [dc.channel("relu", i) for i in range(4)]
    recipe = dataclasses.replace(QUICK, size_px=16, steps=48)
    redirected = render(net, chosen, recipe=recipe, progress=False)
    plain = render(net, chosen, recipe=dataclasses.replace(recipe, redirect_steps=0), progress=False)
    assert (plain.activations == 0.0).all()
    assert (redirected.activations > 0.0).all()


def test_redirection_keeps_true_gradients_where_there_are_any():
    x = tf.constant([[-1.0, 2.0, -3.0], [-1.0, -2.0, -3.0]])
    upstream = tf.constant([[-1.0, -2.0, 3.0], [-1.0, 2.0, -4.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = relu._relu(x)
    # First image: a gradient passes, so only the true one does. Second: all is blocked, so what pushes up passes.
    assert tape.gradient(y, x, upstream).numpy().tolist() == [[0.0, -2.0, 0.0], [-1.0, 0.0, -4.0]]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = relu._relu6(tf.constant([[9.0, -1.0]]) + 0.0 * x[:1, :2])
    assert y.numpy().tolist() == [[6.0, 0.0]]


def test_silu_written_out_is_silu():
    x = tf.linspace(-8.0, 8.0, 33)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        ours, theirs = relu._silu(x), tf.nn.silu(x)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(tape.gradient(ours, x), tape.gradient(theirs, x), rtol=1e-4, atol=1e-6)


def test_relu6_is_freed_at_both_ends():
    x = tf.constant([[9.0, 9.0, -1.0, -1.0]])
    upstream = tf.constant([[1.0, -1.0, 1.0, -1.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = relu._relu6(x)
    assert tape.gradient(y, x, upstream).numpy().tolist() == [[1.0, 0.0, 0.0, -1.0]]


def test_streams_depend_on_seed_and_labels_alone():
    assert random_stream(0, "a").random() == random_stream(0, "a").random()
    assert random_stream(0, "a").random() != random_stream(1, "a").random()
    assert random_stream(0, "a").random() != random_stream(0, "b").random()
    assert round(float(random_stream(0, "a").random()), 6) == LITERAL


LITERAL = 0.210009


def test_recipes_have_a_hash_that_changes_with_everything_but_the_name():
    texture = read_recipe(None)
    assert texture.name == "texture"
    assert dataclasses.replace(texture, name="mine").hash == texture.hash
    assert dataclasses.replace(texture, steps=255).hash != texture.hash
    assert dataclasses.replace(texture, transforms=texture.transforms[:2]).hash != texture.hash
    assert dataclasses.replace(texture, image=Fourier()).hash != dataclasses.replace(texture, image=Phase()).hash
    # Written out, so that spritemaps that were rendered yesterday are found tomorrow.
    assert Recipe("plain").hash[:8] == "f84f911c"
    assert dc.Recipe.from_dict(texture.to_dict()) == texture


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda net: render(net, dc.channel("secnd", 0)), KeyError, "no layer 'secnd'; did you mean 'second'"),
        (lambda net: render(net, dc.channel("second", 12)), RenderError, "its 12 channels run from 0 to 11"),
        (lambda net: dc.channel("second", -1), ValueError, "counted from 0"),
        (lambda net: render(net, []), RenderError, "no objective"),
        (lambda net: render(net, dc.channel("second", 0), recipe="textur"), ValueError, "did you mean 'texture'"),
        (
            lambda net: render(net, dc.channel("second", 0), size=3, steps=1),
            RenderError,
            "3 x 3 px; the least is 9 x 9",
        ),
        (lambda net: dc.Recipe("x", steps=0), ValueError, "steps of 1 or more"),
        (lambda net: dc.Recipe.from_dict({"name": "x", "stps": 3}), ValueError, "no recipe field 'stps'"),
    ],
)
def test_bad_input_is_named(net, ask, error, words):
    with pytest.raises(error, match=words):
        ask(net)


def test_a_rendering_draws_itself_and_saves(net, tmp_path):
    done = render(net, [dc.channel("second", i) for i in range(2)], recipe=QUICK, progress=False)
    assert list(done.to_dataframe()["objective"]) == ["second:0", "second:1"]
    for suffix in (".png", ".html", ".csv", ".npz"):
        assert done.save(tmp_path / f"r{suffix}").stat().st_size > 50
    with pytest.raises(ValueError, match=r"cannot save as '.gif'; expected .html, .png, .csv or .npz"):
        done.save(tmp_path / "r.gif")
    assert "srcdoc" in done._repr_html_()


def test_images_that_fill_up_a_batch_have_no_say_in_what_all_share(net):
    recipe = dataclasses.replace(QUICK, image=Shared(parts=2))
    chosen = [dc.channel("second", 4), dc.channel("second", 5)]
    exact, wide = (Renderer(net, chosen[0].shape, recipe, width=width).render(chosen) for width in (2, 16))
    # Fourteen copies of the second would pull the common part its way, and the first would lose a sixth.
    assert wide.activations[0] > 0.92 * exact.activations[0]


def test_a_renderer_is_freed_as_soon_as_nobody_holds_it(net):
    renderer = Renderer(net, dc.channel("second", 0).shape, QUICK, width=1)
    renderer.render([dc.channel("second", 0)])
    gone = weakref.ref(renderer)
    gc.disable()
    try:
        del renderer
        assert gone() is None
    finally:
        gc.enable()
