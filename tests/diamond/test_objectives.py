"""What each objective measures, by numbers worked out by hand, and what it does to a picture."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import diamond as dc
from diamond.features.images import Fourier, Pixels
from diamond.features.measures import data_of, measure
from diamond.features.recipes import Recipe
from diamond.features.render import render
from diamond.features.renderer import RenderError
from diamond.features.transforms import Background, Jitter

# Two pictures' activations, 2 x 3 places of two channels; the second picture's are ten times the first's.
RISING = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
CORNER = np.array([[0, 0, 0], [0, 0, 12]], np.float32)
VALUES = np.stack([np.stack([RISING, CORNER], -1), 10 * np.stack([RISING, CORNER], -1)])
STEPS = 24
PLAIN = Recipe("plain", size_px=20, steps=STEPS, learning_rate=0.2, image=Fourier(), transforms=())


def measured(objectives, values=VALUES, pictures=None, progress=1.0, before=False):
    """Measure one objective for each image; one alone is measured on all."""
    listed = objectives if isinstance(objectives, list) else [objectives] * len(values)
    return np.asarray(
        measure(listed[0].shape, {("mixed", before): tf.constant(values)}, pictures, data_of(listed), progress=progress)
    )


def alone(objective):
    """The bare measure of a relative objective, which is 0 of nothing else."""
    return dc.Objective(tuple(dataclasses.replace(term, relative=False) for term in objective.terms))


def of_picture(objective, *pictures):
    stacked = np.stack([np.asarray(picture, np.float32) for picture in pictures])
    return measured([objective] * len(pictures), np.zeros((len(pictures), 1, 1, 1), np.float32), stacked)


def grey_planes(values):
    """A picture of three equal colours."""
    return np.repeat(np.asarray(values, np.float32)[..., None], 3, axis=-1)


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(5)
    image = keras.Input((20, 20, 3), name="image")
    x = layers.Conv2D(6, 5, strides=2, name="first", activation="relu")(image)
    x = layers.Conv2D(8, 3, name="second", activation="relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return dc.load(keras.Model(image, layers.Dense(4, name="scores", activation="softmax")(x)), input=(-1, 1))


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).random((16, 20, 20, 3), dtype=np.float32)


def rendered(net, objectives, recipe=PLAIN, **options):
    return render(net, objectives, recipe=recipe, progress=False, **options)


@pytest.mark.parametrize(
    ("objective", "first"),
    [
        (dc.channel("mixed", 0), 3.5),
        (dc.channel("mixed", 1), 2.0),
        (dc.peak("mixed", 0), 6.0),
        (dc.peak("mixed", 1), 12.0),
        # Two rows have their centre between them, three columns in the second.
        (dc.neuron("mixed", 0), 3.5),
        (dc.neuron("mixed", 1), 0.0),
        (dc.neuron("mixed", 0, (1, 2)), 6.0),
        (dc.neuron("mixed", 1, (1, 2)), 12.0),
        (dc.neuron("mixed", 0, (0, 1)), 2.0),
        # (3, 4) has length 5: 0.6 of 3.5 and 0.8 of 2.
        (dc.direction("mixed", [3, 4]), 3.7),
        (dc.direction("mixed", [0, -7]), -2.0),
        (dc.group("mixed", [3, 4]), 3.7),
        (dc.direction_neuron("mixed", [3, 4]), 2.1),
        (dc.direction_neuron("mixed", [3, 4], (1, 2)), 13.2),
        # (6, 12) against (0.6, 0.8): 13.2 times the square of the cosine 13.2 / sqrt(180).
        (dc.direction_neuron("mixed", [3, 4], (1, 2), cosine_power=2), 13.2 * 13.2**2 / 180),
        # Where the cosine is below a tenth it counts as a tenth.
        (dc.direction_neuron("mixed", [-1, 0], (1, 2), cosine_power=1), -0.6),
        # Everywhere: five places point along the first channel, the corner does not quite.
        (dc.direction("mixed", [1, 0], cosine_power=1), (1 + 2 + 3 + 4 + 5 + 6 * 6 / 180**0.5) / 6),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_a_layer_is_measured(objective, first):
    np.testing.assert_allclose(measured(objective), [first, 10 * first], rtol=1e-5)


def test_deepdream_is_the_mean_square():
    # 1 + 4 + 9 + 16 + 25 + 36 and 12 squared, over twelve numbers.
    np.testing.assert_allclose(measured(dc.deepdream("mixed")), [235 / 12, 23500 / 12], rtol=1e-6)


def test_every_image_of_a_batch_is_asked_for_its_own():
    values = np.stack([VALUES[0]] * 3)
    asked = [dc.neuron("mixed", 0, (0, 0)), dc.neuron("mixed", 0), dc.neuron("mixed", 1, (1, 2))]
    np.testing.assert_allclose(measured(asked, values), [1.0, 3.5, 12.0])
    asked = [2 * dc.channel("mixed", 0), dc.channel("mixed", 1), -dc.channel("mixed", 0)]
    np.testing.assert_allclose(measured(asked, values), [7.0, 2.0, -3.5])
    asked = [
        dc.direction("mixed", [1, 0]),
        dc.direction("mixed", [0, 1]),
        dc.direction("mixed", [0, 1], cosine_power=1),
    ]
    np.testing.assert_allclose(measured(asked, values), [3.5, 2.0, 12 * 12 / 180**0.5 / 6], rtol=1e-5)


def test_layers_without_places_are_measured_too():
    values = np.array([[1.0, -4.0]], np.float32)
    for kind in (dc.channel, dc.neuron, dc.peak):
        np.testing.assert_allclose(measured(kind("mixed", 1), values), [-4.0])
    for kind in (dc.direction, dc.direction_neuron):
        np.testing.assert_allclose(measured(kind("mixed", [3, 4]), values), [-2.6], rtol=1e-6)
    np.testing.assert_allclose(measured(dc.deepdream("mixed"), values), [8.5])


def test_diversity_is_minus_the_likeness_of_style_within_a_family():
    along, across, between = ([[[1.0, 0.0]]], [[[0.0, 2.0]]], [[[3.0, 3.0]]])
    values = np.array([along, across, between], np.float32)
    # Gram matrices (1, 0, 0, 0), (0, 0, 0, 1) and (1, 1, 1, 1) / 2: cosines 0 and a half.
    np.testing.assert_allclose(measured(alone(dc.diversity("mixed")), values), [-0.25, -0.25, -0.5], rtol=1e-6)
    families = [alone(dc.diversity("mixed", family=family)) for family in (0, 1, 0)]
    np.testing.assert_allclose(measured(families, values), [-0.5, 0.0, -0.5], rtol=1e-6)
    # In units of the rest: here each channel's mean, 1 / 2, 0 and 3.
    both = dc.channel("mixed", 0) + dc.diversity("mixed")
    np.testing.assert_allclose(measured(both, values), [1 * 0.75, 0.0, 3 * 0.5], rtol=1e-6)


def test_alignment_is_minus_the_distance_to_the_next_of_the_family():
    values = np.array([[1, 2], [1, 4], [5, 4]], np.float32).reshape(3, 1, 1, 2)
    np.testing.assert_allclose(measured(dc.align("mixed"), values), [-2.0, -8.0, 0.0])
    families = [dc.align("mixed"), dc.align("mixed", family=1), dc.align("mixed", family=1)]
    np.testing.assert_allclose(measured(families, values), [0.0, -8.0, 0.0])


def test_inversion_is_minus_the_distance_in_units_of_the_target():
    target = VALUES[0]
    values = np.stack([target, 0 * target, 3 * target])
    np.testing.assert_allclose(measured(dc.invert_towards("mixed", target), values), [0.0, -1.0, -4.0], rtol=1e-6)


STRIPES, CHECKS = grey_planes([[0, 1], [0, 1]]), grey_planes([[0, 1], [1, 0]])
SPOT = grey_planes(np.pad([[9.0]], 1))


@pytest.mark.parametrize(
    ("objective", "picture", "expected"),
    [
        (dc.total_variation(), STRIPES, 1.0),
        (dc.total_variation(), CHECKS, 2.0),
        (dc.total_variation(), grey_planes([[0.7, 0.7], [0.7, 0.7]]), 0.0),
        (dc.l1(), grey_planes([[0.1, 0.9], [0.5, 0.5]]), 0.2),
        (dc.l1(0.2), grey_planes([[0.1, 0.9], [0.5, 0.5]]), 0.35),
        (dc.l2(), grey_planes([[0.1, 0.9], [0.5, 0.5]]), 0.08**0.5),
        (dc.l2(0.0), grey_planes([[0.6, 0.6], [0.6, 0.6]]), 0.6),
        # 9 less its neighbours' mean 1; at four edges 9 / 6; at four corners 9 / 4.
        (dc.blur(), SPOT, (8**2 + 4 * 1.5**2 + 4 * 2.25**2) / 9),
        (dc.alpha(), np.array([[[0, 0, 0, 1], [1, 1, 1, 0.5]]]), 0.75),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_a_picture_is_measured(objective, picture, expected):
    other = np.full_like(picture, 0.5)
    first, second = of_picture(objective, picture, other)
    assert first == pytest.approx(expected, rel=1e-5)
    assert second != pytest.approx(expected, rel=1e-5, abs=1e-5) or expected == 0.0


def test_objectives_add_subtract_and_scale():
    a, b = dc.channel("mixed", 0), dc.neuron("mixed", 1, (1, 2))
    for objective, expected in [
        (a + b, 15.5),
        (a - b, -8.5),
        (2 * a, 7.0),
        (a * 2, 7.0),
        (a / 2, 1.75),
        (-a, -3.5),
        (sum([a, b, 0.5 * b]), 21.5),
        (np.float32(3) * a - b / 4, 7.5),
        (2 * (a + 3 * b), 79.0),
    ]:
        assert measured(objective)[0] == pytest.approx(expected)


def test_objectives_read_as_they_were_written():
    assert str(dc.channel("mixed", 3) + 0.5 * dc.neuron("mixed", 1)) == "mixed:3 + 0.5 mixed:1@centre"
    assert str(dc.neuron("mixed", 1, (2, 3)) - dc.total_variation()) == "mixed:1@2,3 + -1 total variation"
    assert str(dc.channel("mixed", 3).before_nonlinearity()) == "mixed:3 before its nonlinearity"


def test_different_parameters_read_differently():
    """Random numbers are drawn by an objective's words."""
    vectors = [
        dc.direction("mixed", [1, 0]),
        dc.direction("mixed", [0, 1]),
        dc.direction("mixed", [1, 0], cosine_power=1),
    ]
    places = [dc.direction_neuron("mixed", [1, 0], place) for place in (None, (0, 0), (0, 1))]
    targets = [dc.invert_towards("mixed", VALUES[0]), dc.invert_towards("mixed", VALUES[1])]
    words = [str(objective) for objective in (*vectors, *places, *targets)]
    assert len(set(words)) == 8


def test_what_is_late_counts_from_its_share_of_the_steps_on():
    objective = dc.channel("mixed", 0) - dc.channel("mixed", 1).late(0.5)
    assert measured(objective, progress=0.49)[0] == pytest.approx(3.5)
    assert measured(objective, progress=0.5)[0] == pytest.approx(1.5)


def test_what_is_relative_is_in_units_of_the_rest():
    picture = grey_planes([[0.1, 0.9], [0.5, 0.5]])
    objective = dc.channel("mixed", 0) - 0.1 * dc.l1().relative()
    values = measured(objective, pictures=np.stack([picture, picture]))
    np.testing.assert_allclose(values, [3.5 * (1 - 0.1 * 0.2), 35 * (1 - 0.1 * 0.2)], rtol=1e-6)


def test_before_its_nonlinearity_another_value_is_measured():
    objective = dc.channel("mixed", 0).before_nonlinearity()
    assert measured(objective, before=True)[0] == pytest.approx(3.5)
    assert objective.shape != dc.channel("mixed", 0).shape
    assert dc.total_variation().before_nonlinearity().shape == dc.total_variation().shape


def test_interpolation_goes_from_one_end_to_the_other():
    way = dc.interpolate(dc.channel("mixed", 0), dc.channel("mixed", 1), 4)
    assert [measured(objective)[0] for objective in way] == pytest.approx([3.5, 3.0, 2.5, 2.0])


UNIT = np.array([1, -1, 2, 0, 0, 1, 0, -2], np.float32) / 11**0.5
FACTOR = np.array([1, 0, 2, 0, 0, 2, 0, 0], np.float32) / 3


@pytest.mark.parametrize(
    ("objective", "layer", "by_hand"),
    [
        (dc.channel("second", 2), "second", lambda v: v.mean((1, 2))[:, 2]),
        (dc.peak("second", 2), "second", lambda v: v.max((1, 2))[:, 2]),
        (dc.neuron("second", 2), "second", lambda v: v[:, 2:4, 2:4, 2].mean((1, 2))),
        (dc.neuron("second", 2, (0, 5)), "second", lambda v: v[:, 0, 5, 2]),
        (dc.direction("second", UNIT), "second", lambda v: (v @ UNIT).mean((1, 2))),
        (dc.direction_neuron("second", UNIT, (5, 1)), "second", lambda v: v[:, 5, 1] @ UNIT),
        (dc.group("second", FACTOR), "second", lambda v: (v @ FACTOR).mean((1, 2))),
        (dc.logit(3), "scores:linear", lambda v: v[:, 3]),
        (dc.logit("3"), "scores:linear", lambda v: v[:, 3]),
        (dc.deepdream("second"), "second", lambda v: (v**2).mean((1, 2, 3))),
        (dc.channel("first", 1) + 2 * dc.channel("first", 4), "first", lambda v: v.mean((1, 2)) @ [0, 1, 0, 0, 2, 0]),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_a_picture_reaches_more_of_what_is_asked_than_noise_does(net, noise, objective, layer, by_hand):
    done = rendered(net, objective)
    [reached] = by_hand(net.activations(done.images, layer))
    assert done.activations[0] == pytest.approx(reached, rel=1e-4)
    assert reached > by_hand(net.activations(noise, layer)).max()


def test_a_neuron_changes_only_the_pixels_it_sees(net):
    recipe = dataclasses.replace(PLAIN, image=Pixels(deviation=0.0), redirect_steps=0)
    [picture] = rendered(net, dc.neuron("first", 2, (0, 1)).before_nonlinearity(), recipe=recipe).images
    # Place (0, 1) sees five pixels each way, from row 0 and column 2.
    seen = np.zeros((20, 20), bool)
    seen[0:5, 2:7] = True
    assert (picture[~seen] == 0.5).all()
    assert np.abs(picture[seen] - 0.5).mean() > 0.1


def test_the_power_of_the_cosine_asks_for_the_direction_not_for_much_of_it(net, noise):
    vector = net.activations(noise[:1], "second")[0, 3, 3]

    # The power is data, so both run in one batch.
    asked = [dc.direction_neuron("second", vector, (3, 3), cosine_power=power) for power in (0.0, 4.0)]
    values = net.activations(rendered(net, asked, steps=48).images, "second")[:, 3, 3]
    without, with_it = values @ vector / np.linalg.norm(vector) / np.linalg.norm(values, axis=1)
    assert with_it > without + 0.02


def test_diversity_makes_copies_differ_more(net):
    def likeness(objective):
        values = net.activations(rendered(net, [objective] * 3).images, "first").reshape(3, -1, 6)
        grams = np.einsum("npc,npd->ncd", values, values).reshape(3, -1)
        grams /= np.linalg.norm(grams, axis=1, keepdims=True)
        return (np.sum(grams @ grams.T) - 3) / 6

    channel = dc.channel("second", 2)
    assert likeness(channel + 5 * dc.diversity("first")) < likeness(channel) - 0.02


def test_alignment_brings_the_steps_of_an_interpolation_together(net):
    def strides(weight):
        way = dc.interpolate(dc.channel("second", 2), dc.channel("second", 5), 4)
        values = net.activations(rendered(net, [o + weight * dc.align("first") for o in way]).images, "first")
        return (np.diff(values, axis=0) ** 2).mean()

    assert strides(10.0) < 0.5 * strides(0.0)


def test_an_interpolation_gives_one_up_for_the_other(net):
    done = rendered(net, dc.interpolate(dc.channel("second", 2), dc.channel("second", 5), 5))
    values = net.activations(done.images, "second").mean((1, 2))
    assert values[0, 2] > values[2, 2] > values[4, 2]
    assert values[0, 5] < values[2, 5] < values[4, 5]


def test_inversion_comes_close_to_a_picture(net):
    rows, columns = np.mgrid[0:20, 0:20] / 20
    photo = np.stack([rows, columns, 1 - rows], -1).astype(np.float32)[None]
    target = net.activations(photo, "first")[0]
    done = rendered(net, dc.invert_towards("first", target), steps=96)
    apart = np.sum((net.activations(done.images, "first")[0] - target) ** 2) / np.sum(target**2)
    grey = np.sum((net.activations(np.full_like(photo, 0.5), "first")[0] - target) ** 2) / np.sum(target**2)
    assert done.activations[0] == pytest.approx(-apart, rel=1e-3)
    assert apart < 0.2 * grey


def roughness(pictures):
    return np.abs(np.diff(pictures, axis=1)).mean() + np.abs(np.diff(pictures, axis=2)).mean()


def unlike_its_blur(pictures):
    around = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    size = pictures.shape[1]
    mean = sum(around[:, i : i + size, j : j + size] for i in range(3) for j in range(3)) / 9
    return ((pictures - mean) ** 2).mean()


@pytest.mark.parametrize(
    ("penalty", "weight", "by_hand"),
    [
        (dc.total_variation(), 5.0, roughness),
        (dc.l1(), 10.0, lambda pictures: np.abs(pictures - 0.5).mean()),
        (dc.l2(0.8), 10.0, lambda pictures: ((pictures - 0.8) ** 2).mean() ** 0.5),
        (dc.blur(), 50.0, unlike_its_blur),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_a_penalty_lowers_what_it_measures(net, penalty, weight, by_hand):
    # Late at the very end it never counts; the noise that the picture begins from is the same.
    counts, counts_not = (dc.channel("second", 2) - weight * penalty.late(since) for since in (0.0, 1.0))
    with_it, without = (by_hand(rendered(net, objective).images) for objective in (counts, counts_not))
    assert with_it < 0.5 * without


def test_a_late_penalty_leaves_the_beginning_as_it_was(net):
    late, never = (dc.channel("second", 2) - 5 * dc.total_variation().late(since) for since in (0.75, 1.0))
    first, last = ([*rendered(net, objective, stream=True)] for objective in (late, never))
    np.testing.assert_array_equal(first[0].images, last[0].images)
    assert roughness(first[1].images) < 0.9 * roughness(last[1].images)


def test_a_penalty_on_alpha_uncovers_the_ground(net):
    recipe = dataclasses.replace(PLAIN, alpha=True, transforms=(Jitter(1), Background(2)))
    covering, uncovering = (dc.channel("second", 2) - 5 * dc.alpha().late(since) for since in (1.0, 0.0))
    covered, uncovered = (rendered(net, objective, recipe=recipe).images for objective in (covering, uncovering))
    # What shows through is one colour.
    assert uncovered.std() < 0.7 * covered.std()


def concatenated():
    """Two branches with a ReLU each, joined, and silent on grey: the biases hold them far below zero."""
    keras.utils.set_random_seed(2)
    image = keras.Input((16, 16, 3), name="image")
    bias = keras.initializers.Constant(-3.0)
    a = layers.Conv2D(3, 3, activation="relu", bias_initializer=bias, name="a")(image)
    b = layers.ReLU(name="b")(layers.Conv2D(2, 3, bias_initializer=bias, name="b_conv")(image))
    return dc.load(keras.Model(image, layers.Concatenate(name="both")([a, b])), input=(-1, 1))


@pytest.mark.parametrize(("index", "source", "at"), [(1, "a:linear", 1), (4, "b_conv", 1)])
def test_before_the_nonlinearities_of_a_concatenation_silent_channels_have_a_gradient(index, source, at):
    net = concatenated()
    recipe = dataclasses.replace(PLAIN, size_px=16, redirect_steps=0)
    after, before = dc.channel("both", index), dc.channel("both", index).before_nonlinearity()
    silent, lively = (rendered(net, objective, recipe=recipe) for objective in (after, before))
    assert silent.activations[0] == 0.0
    value = net.activations(lively.images, source).mean((1, 2))[0, at]
    assert lively.activations[0] == pytest.approx(value, rel=1e-4)
    assert value > net.activations(silent.images, source).mean((1, 2))[0, at] + 0.3


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: dc.channel("mixed", -1), ValueError, "channel -1: channels are counted from 0"),
        (lambda: dc.neuron("mixed", 0, (-1, 2)), ValueError, r"place \(-1, 2\): rows and columns are counted from 0"),
        (lambda: dc.direction("mixed", [0.0, 0.0]), ValueError, "not all zero"),
        (lambda: dc.direction("mixed", [1.0, np.nan]), ValueError, "one finite number a channel"),
        (lambda: dc.direction("mixed", np.eye(2)), ValueError, r"a direction of shape \(2, 2\)"),
        (lambda: dc.group("mixed", [1.0, -1.0]), ValueError, "a direction may have them: dc.direction"),
        (lambda: dc.logit(-1), ValueError, "counted from 0"),
        (lambda: dc.invert_towards("mixed", np.zeros((1, 1, 2))), ValueError, "all zero or not finite"),
        (lambda: dc.interpolate(dc.blur(), dc.alpha(), 1), ValueError, "1 steps .* expected 2 or more"),
        (lambda: dc.blur().late(1.5), ValueError, "since is 1.5; expected a share of the steps, from 0 to 1"),
        (lambda: dc.channel("mixed", 0) + 1, TypeError, "unsupported operand"),
        (lambda: dc.channel("mixed", 0) - 1, TypeError, "unsupported operand"),
        (lambda: dc.channel("mixed", 0) * dc.blur(), TypeError, "unsupported operand"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("objective", "error", "words"),
    [
        (dc.channel("second", 8), RenderError, "no channel 8 in 'second': its 8 channels run from 0 to 7"),
        (dc.neuron("first", 6), RenderError, "no channel 6 in 'first': its 6 channels run from 0 to 5"),
        (dc.logit(4), RenderError, "no channel 4 in 'scores:linear': its 4 channels run from 0 to 3"),
        (dc.logit("tabby"), ValueError, "tabby"),
        (dc.direction("second", [1, 2]), RenderError, "a direction of 2 numbers in 'second', which has 8 channels"),
        (dc.neuron("second", 0, (6, 0)), RenderError, r"no place \(6, 0\) in 'second': .* has 6 rows and 6 columns"),
        (dc.direction_neuron("second", UNIT, (0, 9)), RenderError, r"no place \(0, 9\)"),
        (dc.invert_towards("second", np.ones((7, 7, 8))), RenderError, r"\(7, 7, 8\) .* gives \(6, 6, 8\) on a canvas"),
        (dc.channel("second", 1) + dc.channel("mixed4d", 1), KeyError, "no layer 'mixed4d'"),
    ],
    ids=lambda value: None if callable(value) else str(value),
)
def test_what_a_network_does_not_have_is_named(net, objective, error, words):
    with pytest.raises(error, match=words):
        rendered(net, objective)
