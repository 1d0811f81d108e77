"""A layer's spritemap: found or rendered, and kept."""

import dataclasses

import keras
import numpy as np
import pytest

import diamond as dc
from diamond.features.recipes import read_recipe
from spritemaps import Store
from tests import tiny

QUICK = dataclasses.replace(read_recipe("texture"), name="quick", size_px=16, steps=8)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))


def small():
    return dc.load(tiny.nested(), input=(0, 1))


def test_it_is_rendered_once_and_found_afterwards(tmp_path):
    net = small()
    first = dc.spritemap(net, "backbone/block/conv", recipe=QUICK, store=tmp_path / "s", progress=False)
    assert first.channels == (0, 1, 2, 3)
    assert first[3].shape == (16, 16, 3)
    written = sorted(p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*"))
    again = dc.spritemap(net, "backbone/block/conv", recipe=QUICK, store=tmp_path / "s", progress=False)
    np.testing.assert_array_equal(first.image(), again.image())
    assert sorted(p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*")) == written


def test_without_a_store_it_is_kept_in_the_users_own(tmp_path):
    dc.spritemap(small(), "backbone/wide", recipe=QUICK, progress=False)
    assert [s.layer for s in Store(tmp_path / "cache" / "spritemaps").layers()] == ["backbone/wide"]


def test_a_few_channels_are_rendered_in_memory(tmp_path):
    some = dc.spritemap(small(), "backbone/wide", channels=[4, 1], recipe=QUICK, progress=False)
    assert some.channels == (1, 4)
    assert not (tmp_path / "cache").exists()


def test_a_transferred_network_finds_the_original_sprites(tmp_path):
    net = small()
    dc.spritemap(net, "backbone/wide", recipe=QUICK, store=tmp_path / "s", progress=False)
    trunk = net.model.get_layer("backbone")
    image = keras.Input((16, 12, 3))
    scaled = net.model.get_layer("rescale")(image)
    head = keras.layers.Dense(7)(keras.layers.GlobalMaxPooling2D()(trunk(scaled)))
    other = dc.load(keras.Model(image, head, name="transferred"), input=(0, 1))
    found = dc.spritemap(other, "backbone/wide", store=tmp_path / "s", progress=False)
    assert found.network == "nested"


def test_a_retrained_layer_is_never_shown_its_former_self(tmp_path):
    net = small()
    before = dc.spritemap(net, "backbone/wide", recipe=QUICK, store=tmp_path / "s", progress=False)
    kernel = net.node("backbone/wide").weights[0]
    kernel.assign(kernel + 0.1)
    after = dc.spritemap(net, "backbone/wide", recipe=QUICK, store=tmp_path / "s", progress=False)
    assert before.fingerprint != after.fingerprint
    assert np.abs(before.image().astype(int) - after.image().astype(int)).mean() > 1


def test_attribution_shows_the_sprites_of_a_store(tmp_path):
    net = small()
    pictures = np.random.default_rng(0).random((1, 16, 12, 3), dtype=np.float32)
    assert dc.channel_attribution(net, pictures, "backbone/wide", store=tmp_path / "s").sprites is None
    dc.spritemap(net, "backbone/wide", recipe=QUICK, store=tmp_path / "s", progress=False)
    found = dc.channel_attribution(net, pictures, "backbone/wide", store=tmp_path / "s")
    assert found.sprites is not None
    assert found.sprites.data_uri(3) in found.save(tmp_path / "a.html").read_text()


def test_a_dead_channel_is_marked(tmp_path):
    model = tiny.one_filter()
    tiny.constant(model, {"sum/bias": -50.0})
    sprites = dc.spritemap(dc.load(model, input=(0, 1)), "sum", recipe=QUICK, store=tmp_path, progress=False)
    assert [record.alive for record in sprites.records] == [False]


@pytest.mark.parametrize(
    ("channels", "words"),
    [([6], "no channel 6 in 'backbone/wide'; its 6 channels run from 0 to 5"), ([], "no channels")],
)
def test_channels_that_are_not_there_are_named(channels, words):
    with pytest.raises(RuntimeError, match=words):
        dc.spritemap(small(), "backbone/wide", channels=channels, recipe=QUICK)
