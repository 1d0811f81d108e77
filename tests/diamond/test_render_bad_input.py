"""What the renderer does with what it cannot render: it says what was found and what would help."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops

import diamond as dc
from diamond.features.images import Pixels
from diamond.features.recipes import Recipe
from diamond.features.render import render
from diamond.features.renderer import Renderer, RenderError
from tests import tiny

PLAIN = Recipe("plain", 8, 8, learning_rate=0.05, image=Pixels(deviation=0.05), redirect_steps=0)
# With it three of four pictures of the network below begin darker than mid-grey, two of them twice.
SEED, RESTARTS = 3, [1, 2, 0, 2]


def rendered(net, objectives, recipe=PLAIN, **options):
    return render(net, objectives, recipe=recipe, progress=False, **options)


def brightness(bend, name):
    """``bend`` of the mean brightness over the picture, in four equal channels."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.GlobalAveragePooling2D(name="mean", keepdims=True)(layers.Conv2D(4, 1, name="grey")(image))
    model = keras.Model(image, layers.Identity(name="bent")(bend(x)), name=name)
    return dc.load(tiny.constant(model, {"grey/kernel": 1 / 3, "grey/bias": 0.0}), input=(0, 1))


@pytest.fixture(scope="module")
def root():
    """No number, and no gradient, for a picture darker than mid-grey: for every second one at the start."""
    return brightness(lambda x: ops.sqrt(x - 0.5), "root")


def test_pictures_that_are_not_finite_are_begun_again_and_counted(root):
    chosen = [dc.channel("bent", i) for i in range(4)]
    done = rendered(root, chosen, seed=SEED)
    assert done.restarts.tolist() == RESTARTS
    assert np.isfinite(done.images).all()
    assert np.isfinite(done.activations).all()
    assert (done.activations > 0.0).all()
    assert done.images.std(axis=(1, 2, 3)).min() > 0.005
    # What was whole at once is what it would have been alone.
    alone = Renderer(root, chosen[2].shape, PLAIN, width=4).render([chosen[2]], seed=SEED)
    np.testing.assert_array_equal(alone.images[0], done.images[2])


def test_copies_that_are_begun_again_stay_different_pictures(root):
    done = rendered(root, [dc.channel("bent", 0)] * 6, seed=SEED)
    assert done.restarts.tolist() == [1, 0, 0, 2, 0, 1]
    assert len({image.tobytes() for image in done.images}) == 6


def test_a_picture_begun_again_in_a_stream_is_counted_once_and_goes_on_from_there(root):
    chosen = [dc.channel("bent", i) for i in range(4)]
    growing = list(rendered(root, chosen, steps=40, seed=SEED, stream=True))
    assert [look.restarts.tolist() for look in growing] == [RESTARTS] * 3
    at_once = rendered(root, chosen, steps=40, seed=SEED)
    np.testing.assert_array_equal(growing[-1].images, at_once.images)
    assert (growing[2].activations > growing[0].activations).all()


def test_a_large_seed_is_a_seed_like_any_other(root):
    assert rendered(root, [dc.channel("bent", i) for i in range(4)], seed=3_000_002).restarts.tolist() == [0, 1, 2, 0]


def test_a_picture_that_stays_broken_from_every_seed_is_named():
    net = brightness(lambda x: ops.sqrt(-1.0 - x), "never")
    with pytest.raises(RenderError, match="the image of bent:2 did not stay finite, from 3 seeds"):
        rendered(net, dc.channel("bent", 2))


def test_a_picture_that_breaks_later_is_told_when_it_does():
    """The brighter, the more; beyond a brightness of 0.6 there is no number."""
    net = brightness(lambda x: x + 0.0 * ops.sqrt(0.6 - x), "edge")
    slow = dataclasses.replace(PLAIN, learning_rate=0.02)
    growing = rendered(net, dc.channel("bent", 0), slow, steps=64, stream=True)
    assert next(growing).restarts.tolist() == [0]
    with pytest.raises(RenderError, match="did not stay finite"):
        list(growing)


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(5)
    image = keras.Input((12, 16, 3), name="image")
    x = layers.Conv2D(6, 5, strides=2, name="first", activation="relu")(image)
    x = layers.Conv2D(4, 3, name="second", activation="relu")(x)
    lines = layers.Reshape((-1, 4), name="lines")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    amount = layers.Lambda(lambda values: ops.sum(values, axis=-1), output_shape=(), name="amount")(x)
    scores = layers.Dense(3, name="scores")(layers.Flatten(name="flat")(lines))
    return dc.load(keras.Model(image, [scores, amount], name="several"), input=(-1, 1))


@pytest.mark.parametrize(
    ("layer", "size", "words"),
    [
        ("first", (4, 16), "first cannot be computed on a canvas of 4 x 16 px; the least is 5 x 5 px"),
        ("second", (8, 9), "second cannot be computed on a canvas of 8 x 9 px; the least is 9 x 9 px"),
        # Behind a flattening only the size it was made for will do.
        ("scores", (20, 20), "the network was made for 12 x 16 px: try that"),
    ],
)
def test_a_canvas_that_does_not_fit_says_what_would(net, layer, size, words):
    with pytest.raises(RenderError, match=words):
        rendered(net, dc.channel(layer, 0), size=size)


def test_the_least_canvas_is_enough(net):
    for layer, size in (("first", (5, 5)), ("second", (9, 9)), ("scores", (12, 16))):
        assert np.isfinite(rendered(net, dc.channel(layer, 0), size=size, steps=1).activations).all()


def test_layers_without_channels_or_places_say_so(net):
    with pytest.raises(RenderError, match=r"'amount' gives \(\) for a picture: it has no channels to look at"):
        rendered(net, dc.channel("amount", 0))
    with pytest.raises(RenderError, match=r"'lines' gives \(8, 4\) for a picture: no places in rows and columns"):
        rendered(net, dc.neuron("lines", 0), size=(12, 16))
    # A channel of it has no need of rows and columns.
    assert rendered(net, dc.channel("lines", 3), size=(12, 16)).images.shape == (1, 12, 16, 3)


def test_a_family_larger_than_a_batch_is_refused(net):
    diverse = dc.channel("second", 0) + dc.diversity("first")
    with pytest.raises(RenderError, match="5 pictures of one family .* one batch, which holds 4: say batch=5"):
        rendered(net, [diverse] * 5, size=(12, 16), batch=4)


def test_families_stay_together_and_do_not_look_at_what_fills_up_a_batch(net):
    recipe = dataclasses.replace(PLAIN, size_px=(12, 16))
    families = [dc.channel("second", 0) + dc.diversity("first", family=i) for i in (0, 1, 0, 1, 0, 1)]
    done = rendered(net, families, recipe=recipe, batch=4)
    renderer = Renderer(net, families[0].shape, recipe, width=4)
    for family in (0, 1):
        places = [family, family + 2, family + 4]
        alone = renderer.render([families[i] for i in places], copies=places)
        np.testing.assert_array_equal(done.images[places], alone.images)
        # Beside one of another family, in the place of what fills up the batch.
        beside = renderer.render([families[i] for i in (*places, 1 - family)], copies=[*places, 9])
        np.testing.assert_array_equal(beside.images[:3], alone.images)
    # A picture alone in its family has nothing to be unlike.
    lonely = renderer.render([dc.channel("second", 0) + dc.diversity("first", family=7)])
    [values] = net.forward(lonely.images, [net.node("second")])
    assert lonely.activations[0] == pytest.approx(float(np.mean(values[..., 0])), rel=1e-4)
