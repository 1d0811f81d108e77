"""Channels in words: by hand on small networks, and the kinds of WordNet on lists written out."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import diamond as dc
from diamond.attribution.described import Pushed, plural
from diamond.attribution.every_class import effects_on_classes
from diamond.attribution.words import kind_of
from modelzoo.labels import ClassError, ancestors, read_classes
from tests import tiny


def random_pictures(n=5, size=(8, 6)):
    return np.random.default_rng(7).random((n, *size, 3), dtype=np.float32)


def coloured(classes=3):
    """4 x 6 picture; a channel a colour; mean; red for class 0 by 2, green for class 1 by 4 and against 2 by 2."""
    image = keras.Input((4, 6, 3), name="image")
    x = layers.Conv2D(3, 1, name="colours", use_bias=False)(image)
    x = layers.Dense(classes, name="logits", use_bias=False)(layers.GlobalAveragePooling2D(name="mean")(x))
    weights = np.zeros((3, classes), np.float32)
    weights[0, 0], weights[1, 1], weights[1, 2] = 2.0, 4.0, -2.0
    model = keras.Model(image, x, name="coloured")
    return tiny.constant(model, {"colours/kernel": np.eye(3)[None, None], "logits/kernel": weights})


def spot(colour, rows, columns):
    picture = np.zeros((4, 6, 3), np.float32)
    picture[rows, columns, colour] = 1.0
    return picture


def test_pushes_computed_by_hand():
    # One of 24 places is red: mean 1/24, logits 2/24, 0, 0; less their mean 2/72. Half of it over two pictures.
    net = dc.load(coloured(), input=(0, 1))
    pictures = np.stack([spot(0, 1, 2), spot(1, 0, 0)])
    told = dc.describe(net, pictures, "colours", [0, 1])
    np.testing.assert_allclose(told.pushes[0], np.array([4, -2, -2]) / 72 / 2, atol=1e-7)
    np.testing.assert_allclose(told.pushes[1], np.array([-2, 10, -8]) / 72 / 2, atol=1e-7)
    assert told[0] == "pushes 0; fires in the middle, in 1 of 2 pictures"
    assert told[1] == "pushes 1; fires at the edges, in 1 of 2 pictures"
    assert told.channels[1].holds_back == "holds back 2 and 0"
    assert told.channels[0].most_in == ("picture 0",)


@pytest.mark.parametrize(
    ("rows", "columns", "where", "share"),
    [
        (slice(1, 3), slice(1, 5), "in the middle", 8 / 24),
        (0, slice(None), "at the edges", 6 / 24),
        (slice(None), slice(None), "everywhere", 1.0),
        (slice(0, 2), 2, "in no fixed place", 2 / 24),
    ],
)
def test_where_a_channel_fires(rows, columns, where, share):
    told = dc.describe(dc.load(coloured(), input=(0, 1)), spot(0, rows, columns), "colours", [0, 2])
    assert told.channels[0].where == where
    assert told.channels[0].share == pytest.approx(share)
    assert told[2] == "is silent in these pictures"


def test_one_pass_for_all_classes_gives_what_one_pass_a_class_gives():
    net, pictures = dc.load(tiny.nested(), input=(0, 1)), random_pictures(3, (16, 12))
    place = net.layers["backbone/block/conv"]
    activations = net.activations(pictures, place)
    few = effects_on_classes(net, pictures, place, activations, np.array([2, 0]), 3)
    every = np.stack(
        [dc.channel_attribution(net, pictures, place, positive=c).all_scores.mean(axis=0) for c in range(3)], axis=1
    )
    np.testing.assert_allclose(few, every[[2, 0]], rtol=1e-4, atol=1e-6)
    many = effects_on_classes(net, pictures, place, activations, np.array([3, 2, 1, 0]), 3)
    np.testing.assert_allclose(many, every[::-1], rtol=1e-4, atol=1e-6)


def test_through_max_pooling_and_response_normalisation_the_same():
    from modelzoo.architectures.local_response import LocalResponseNormalization

    keras.utils.set_random_seed(3)
    image = keras.Input((9, 7, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(image)
    x = LocalResponseNormalization(2, alpha=0.1, beta=0.75, name="norm")(x)
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool")(x)
    x = layers.Conv2D(8, 3, activation="relu", name="wide")(x)
    logits = layers.Dense(12, name="logits")(layers.GlobalMaxPooling2D()(x))
    net, pictures = dc.load(keras.Model(image, logits, name="pooled"), input=(0, 1)), random_pictures(4, (9, 7))
    told = dc.describe(net, pictures, "conv", [0, 4])
    every = np.stack(
        [dc.channel_attribution(net, pictures, "conv", positive=c).all_scores.mean(axis=0) for c in range(12)], axis=1
    )[[0, 4]]
    np.testing.assert_allclose(told.pushes, every - every.mean(axis=1, keepdims=True), rtol=1e-4, atol=1e-6)
    assert np.array_equal(told.pushes, dc.describe(net, pictures, "conv", [0, 4]).pushes)


def test_ancestors_run_from_near_to_far():
    beagle = ancestors("n02088364")
    assert [kind.name for kind in beagle[:4]] == ["hound", "hunting dog", "dog", "canine"]
    assert beagle[-1].name == "entity"
    assert all(ancestors(wordnet_id) for wordnet_id in read_classes("imagenet").wordnet_ids)
    with pytest.raises(ClassError, match="no WordNet id 'n0'"):
        ancestors("n0")


def kinds_of_imagenet():
    return {i: tuple(k.name for k in ancestors(w)) for i, w in enumerate(read_classes("imagenet").wordnet_ids)}


def pushed(**classes):
    return [(read_classes("imagenet").index(name.replace("_", " ")), push) for name, push in classes.items()]


def test_the_most_specific_kind_that_covers_most_is_named():
    kinds = kinds_of_imagenet()
    hounds = pushed(beagle=3.0, bluetick=2.0, Walker_hound=2.0)
    assert kind_of(hounds, kinds) == ("hound", 1.0)
    assert kind_of([*hounds, *pushed(golden_retriever=2.0, vizsla=2.0)], kinds) == ("hunting dog", 1.0)
    kind, share = kind_of([*hounds, *pushed(laptop=1.0)], kinds)
    assert (kind, share) == ("hound", pytest.approx(7 / 8))
    # Two fifths of a kind are told as a part; one class alone makes no kind; half of all classes say nothing.
    assert kind_of([*pushed(tench=2.0, goldfish=2.0), *pushed(laptop=3.0, banjo=2.0)], kinds) == ("cyprinid", 4 / 9)
    assert kind_of(pushed(beagle=1.0), kinds) is None
    assert kind_of(pushed(laptop=1.0, banjo=1.0, velvet=1.0), kinds) is None


def test_words_of_a_real_network_name_kinds(shared_data):
    net = dc.load("InceptionV1_caffe", weights=shared_data / "weights" / "bvlc_googlenet.safetensors")
    photos = sorted((shared_data / "photos").glob("*.JPEG"))
    hounds = [p for p in photos if "Afghan" in p.name or "husky" in p.name]
    told = dc.describe(net, hounds, "inception_5a_output", [736])
    assert told.channels[0].towards.kind in ("hunting dog", "hound", "dog", "sporting dog")
    assert "dogs (" in told[736] or "hounds (" in told[736]


@pytest.mark.parametrize(
    ("kind", "many"),
    [
        ("hunting dog", "hunting dogs"),
        ("bony fish", "bony fish"),
        ("fox", "foxes"),
        ("consumer goods", "consumer goods"),
        ("bird of prey", "birds of prey"),
        ("butterfly", "butterflies"),
        ("monkey", "monkeys"),
        ("brush", "brushes"),
        ("loaf of bread", "loaves of bread"),
        ("wolf", "wolves"),
    ],
)
def test_plurals(kind, many):
    assert plural(kind) == many


def test_sentences():
    dogs = Pushed((("beagle", 2.0), ("laptop", 1.0), ("bluetick", 1.0)), "hound", 0.75, ("beagle", "bluetick"))
    assert dogs.told("pushes") == "pushes mostly hounds (beagle, bluetick)"
    assert dataclasses.replace(dogs, share=0.5).told("pushes") == "pushes partly hounds (beagle, bluetick)"
    assert dataclasses.replace(dogs, kind=None).told("pushes") == "pushes beagle, laptop and bluetick"


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"layer": "featurs"}, KeyError, "did you mean 'features'"),
        ({"layer": "answer"}, ValueError, "no gradient reaches 'answer'"),
        ({"channels": [5]}, ValueError, "no channel 5 in 'features'; it has 0 to 4"),
        ({"channels": []}, ValueError, "no channels were given"),
        ({"top": 0}, ValueError, "expected 1 or more"),
        ({"images": []}, ValueError, "picture|image"),
    ],
)
def test_bad_input_is_named(asked, error, words):
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    given = {"images": random_pictures(1), "layer": "features", **asked}
    with pytest.raises(error, match=words):
        dc.describe(net, given.pop("images"), given.pop("layer"), **given)


def test_a_channel_that_is_not_described_is_named():
    told = dc.describe(dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures(1), "features", [1, 3])
    with pytest.raises(KeyError, match="channel 2 is not described here; 1, 3 are"):
        told[2]


def test_results_draw_themselves_save_and_escape(tmp_path):
    net, pictures = dc.load(tiny.linear_tail(), input=(0, 1)), random_pictures(2)
    told = dc.describe(net, pictures, "features")
    assert len(told.to_dataframe()) == 5
    for suffix in (".html", ".png", ".csv", ".npz"):
        assert told.save(tmp_path / f"x{suffix}").stat().st_size > 100
    nasty = "<script>'\""
    first = dataclasses.replace(
        told.channels[0], towards=Pushed(((nasty, 1.0),), nasty, 1.0, (nasty,)), most_in=(nasty,)
    )
    page = dataclasses.replace(told, channels=(first,), images=(nasty, "b"), layer=nasty)._repr_html_()
    assert "<script>'" not in page
    assert told._page() == dc.describe(net, pictures, "features")._page()
