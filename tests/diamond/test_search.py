"""The recipe found for a layer: never worse than where the search began, natural, and remembered."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers
from skimage import data

import diamond as dc
from diamond.features.images import Fourier
from diamond.features.recipes import read_recipe
from diamond.features.search import NATURAL, auto_recipe, find_recipe, fine_detail

QUICK = dataclasses.replace(read_recipe("texture"), name="quick", size_px=24, steps=16)


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(3)
    image = keras.Input((24, 24, 3), name="image")
    x = layers.Conv2D(8, 5, strides=2, name="first", activation="relu")(image)
    x = layers.Conv2D(12, 3, name="second", activation="relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return dc.load(keras.Model(image, layers.Dense(4, name="logits")(x), name="small"), input=(-1, 1))


@pytest.mark.slow
def test_a_timid_recipe_is_improved_and_the_winner_proves_itself_on_other_channels(net):
    timid = dataclasses.replace(QUICK, learning_rate=0.002)
    found = find_recipe(net, "second", start=timid, budget_s=40, channels=3)
    assert found.gain > 1.2
    assert found.recipe.name == "auto"
    assert set(found.channels).isdisjoint(found.held_out)
    table = found.to_dataframe()
    assert table["change"][0] == "as it is"
    assert table["gain"][0] == 1.0
    assert len(table) == len(found.tried) > 2
    assert len(found.plot().axes[0].get_yticklabels()) == len(table)


def test_without_time_the_first_recipe_is_given(net):
    found = find_recipe(net, "second", start=QUICK, budget_s=1e-6)
    assert (found.recipe, found.gain, len(found.tried)) == (QUICK, 1.0, 1)


@pytest.mark.slow
def test_strength_bought_with_noise_is_none(net):
    noisy = dataclasses.replace(QUICK, image=Fourier(decay=0.0))
    found = find_recipe(net, "second", start=noisy, budget_s=40, channels=3)
    begun, best = found.tried[0], next(trial for trial in found.tried if trial.recipe.hash == found.recipe.hash)
    assert begun.detail > NATURAL[1]
    assert best.detail < begun.detail


def test_what_was_found_is_remembered(net, tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path))
    first = auto_recipe(net, "first", budget_s=1)
    [file] = (tmp_path / "recipes").iterdir()
    assert file.stem == net.fingerprint("first")
    file.write_text(file.read_text().replace('"steps": 256', '"steps": 7'))
    assert first.steps == 256
    assert auto_recipe(net, "first", budget_s=1).steps == 7
    assert dc.render(net, dc.channel("first", 0), recipe="auto", size=24, progress=False).recipe == "texture"


def test_a_search_for_two_layers_at_once_is_refused(net):
    both = dc.channel("first", 0) + dc.channel("second", 0)
    with pytest.raises(dc.RenderError, match="suits one layer, and the objectives look at 'first', 'second'"):
        dc.render(net, both, recipe="auto")


@pytest.mark.parametrize("wrong", [{"budget_s": 0}, {"channels": 0}])
def test_a_search_without_time_or_channels_is_refused(net, wrong):
    with pytest.raises(ValueError, match="a search needs a budget and channels"):
        find_recipe(net, "second", **wrong)


def test_fine_detail_tells_noise_from_photos_from_fog():
    noise = np.random.default_rng(0).random((2, 64, 64, 3))
    fog = np.ones((1, 64, 64, 3)) * np.sin(np.linspace(0, 6, 64))[:, None, None]
    photo = dc.image(data.chelsea(), 64)[None]
    assert fine_detail(noise).min() > 0.7
    assert fine_detail(fog)[0] < 0.001
    assert NATURAL[0] / 2 < fine_detail(photo)[0] < NATURAL[1]
