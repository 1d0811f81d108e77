"""What ships with the package: sprites that a user's own copy of the network finds at once."""

import numpy as np
import pytest

import diamond as dc
from spritemaps import packaged_store
from spritemaps.verify import verify


@pytest.fixture(scope="module")
def net():
    return dc.load("EfficientNetLite0")


@pytest.mark.parametrize(("layer", "channels"), [("block4_add", 40), ("block9_add", 112), ("block14_add", 192)])
def test_shipped_sprites_are_found_by_fingerprint(net, layer, channels):
    found = packaged_store().find(net.fingerprint(layer))
    assert found is not None
    assert (found.layer, len(found), found.tile_px) == (layer, channels, 128)
    assert all(record.alive for record in found.records)


def test_shipped_sprites_are_whole():
    found = verify(packaged_store())
    assert found.faults == ()
    assert found.unfinished == 0


@pytest.mark.parametrize("layer", ["block4_add", "block9_add", "block14_add"])
def test_a_shipped_sprite_excites_its_channel_more_than_any_other_sprite_on_the_whole(net, layer):
    sprites = dc.spritemap(net, layer)
    chosen = list(sprites.channels)[::16]
    pictures = [sprites[c].astype(np.float32) / 255 for c in chosen]
    answers = np.stack([net.forward(p[None], [net.node(layer)])[0].numpy().mean(axis=(0, 1, 2)) for p in pictures])
    own = answers[np.arange(len(chosen)), chosen]
    others = np.array([np.delete(answers[:, c], i).max() for i, c in enumerate(chosen)])
    assert (own > others).mean() == 1.0
