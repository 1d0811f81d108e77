"""What ships with the package: sprites that a user's own copy of the network finds at once."""

import numpy as np
import pytest

import diamond as dc
from spritemaps import packaged_store
from spritemaps.verify import verify


@pytest.fixture(scope="module")
def net():
    return dc.load("EfficientNetLite0")


@pytest.mark.parametrize(
    ("layer", "recipe", "channels"),
    [
        ("block4_add", "texture", 40),
        ("block9_add", "sprite", 112),
        ("block14_add", "sprite", 192),
        ("head_relu", "sprite", 1280),
    ],
)
def test_shipped_sprites_are_found_by_fingerprint(net, layer, recipe, channels):
    found = packaged_store().find(net.fingerprint(layer))
    assert found is not None
    assert (found.layer, found.manifest.recipe_name, len(found), found.tile_px) == (layer, recipe, channels, 96)
    assert all(record.alive for record in found.records)


@pytest.mark.parametrize("layer", ["block4_add", "block9_add", "block14_add"])
def test_shipped_sprites_excite_their_channel_more_than_any_photo(layer):
    found = next(layer_ for layer_ in packaged_store().layers() if layer_.layer == layer)
    assert all(record.robust > record.photo_best for record in found.records)


def test_every_landmark_of_googlenet_ships_for_whoever_has_its_published_weights(shared_data):
    net = dc.load("InceptionV1_caffe", weights=shared_data / "weights" / "bvlc_googlenet.safetensors")
    assert len(net.layers.landmarks) == 12
    for layer in net.layers.landmarks:
        found = packaged_store().find(net.fingerprint(layer))
        assert found is not None, layer.name
        recipe = "sprite" if layer.name.startswith(("inception_4", "inception_5")) else "texture"
        described = found.layer, found.manifest.recipe_name, len(found), found.tile_px
        assert described == (layer.name, recipe, layer.channels, 96)
        better = np.mean([record.robust > record.photo_best for record in found.records])
        assert better > (0.99 if layer.channels > 64 else 0.8), layer.name


def test_shipped_sprites_are_whole():
    found = verify(packaged_store())
    assert found.faults == ()
    assert found.unfinished == 0


@pytest.mark.parametrize("layer", ["block4_add", "block9_add", "block14_add"])
def test_a_shipped_sprite_excites_its_channel_more_than_any_other_sprite(net, layer):
    sprites = dc.spritemap(net, layer)
    chosen = list(sprites.channels)[::8]
    pictures = np.stack([sprites[c].astype(np.float32) / 255 for c in chosen])
    values = net.forward(pictures, [net.node(layer)])[0].numpy()
    # A texture is a channel everywhere, a sprite the one thing that a channel looks for.
    answers = values.mean(axis=(1, 2)) if layer == "block4_add" else values.max(axis=(1, 2))
    own = answers[np.arange(len(chosen)), chosen]
    others = np.array([np.delete(answers[:, c], i).max() for i, c in enumerate(chosen)])
    assert (own > others).mean() == 1.0
