"""Several different pictures of a channel, kept beside its sprite."""

import dataclasses

import numpy as np
import pytest

import diamond as dc
from diamond.features.recipes import read_recipe
from spritemaps import StoreError
from spritemaps.companions import companions
from tests import tiny

QUICK = dataclasses.replace(read_recipe("texture"), name="quick", size_px=16, steps=4)


@pytest.fixture
def net(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    return dc.load(tiny.nested(), input=(0, 1))


def test_each_channel_has_pictures_that_differ(net, tmp_path):
    sprites = dc.spritemap(net, "backbone/wide", recipe=QUICK, store=tmp_path, progress=False)
    kept = dc.diverse(net, "backbone/wide", [1, 4], count=3, recipe=QUICK, store=tmp_path, progress=False)
    assert kept == companions(sprites.folder)[0]
    assert kept.captions == {1: ("1 of 3", "2 of 3", "3 of 3"), 4: ("1 of 3", "2 of 3", "3 of 3")}
    tiles = kept.tiles()
    assert tiles[1].shape == (3, 16, 16, 3)
    apart = [np.abs(tiles[1][i].astype(int) - tiles[1][j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(apart) > 2
    more = dc.diverse(net, "backbone/wide", [2], count=2, recipe=QUICK, store=tmp_path, progress=False)
    assert list(more.captions) == [1, 2, 4]


def test_bad_input_is_named(net, tmp_path):
    with pytest.raises(StoreError, match="no store has sprites of 'backbone/wide'"):
        dc.diverse(net, "backbone/wide", [1], recipe=QUICK, store=tmp_path)
    with pytest.raises(ValueError, match="count is 1; expected 2 to 16"):
        dc.diverse(net, "backbone/wide", [1], count=1)
    with pytest.raises(dc.RenderError, match="6"):
        dc.diverse(net, "backbone/wide", [6], store=tmp_path)
