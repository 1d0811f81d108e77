"""A bucket as the store: layers are rendered near by, and each is sent when it is finished."""

import dataclasses

import numpy as np
import pytest

import diamond as dc
from diamond.features.recipes import read_recipe
from spritemaps import Store, StoreError
from tests import tiny
from tests.diamond.test_pregenerate import render
from tests.spritemaps.test_remote import bucket  # noqa: F401 (a fixture)

fsspec = pytest.importorskip("fsspec")
LAYERS = ["backbone/block/conv", "backbone/wide"]
QUICK = dataclasses.replace(read_recipe("texture"), name="quick", size_px=16, steps=4)


@pytest.fixture
def net(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    return dc.load(tiny.nested(), input=(0, 1))


def test_what_is_rendered_ends_up_there_and_is_not_rendered_again(net, bucket, tmp_path):  # noqa: F811
    report = render(net, bucket, layers=LAYERS[:1], batch=3)
    assert (report.complete, report.store) == (True, bucket)
    assert [layer.layer for layer in Store(bucket).layers()] == LAYERS[:1]
    # Another machine has nothing near by.
    near = tmp_path / "cache" / "spritemaps"
    assert near.is_dir()
    near.rename(tmp_path / "gone")
    again = render(net, bucket, layers=LAYERS, batch=3)
    assert "1 of 2 layers are there already" in again.notes
    assert [row.layer for row in again.layers] == LAYERS[1:]
    assert [layer.layer for layer in Store(bucket).layers()] == LAYERS
    everything = render(net, bucket, layers=LAYERS, batch=3)
    assert (everything.batches, everything.layers) == (0, ())
    assert "2 of 2 layers are there already" in str(everything)


def test_a_layer_that_could_not_be_sent_stays_near_by_and_is_sent_later(net, bucket, monkeypatch):  # noqa: F811
    from spritemaps import outpost

    def fails(layer, target):
        raise StoreError("no way to the bucket")

    with monkeypatch.context() as broken:
        broken.setattr(outpost, "copy_layer", fails)
        with pytest.raises(StoreError, match="no way to the bucket"):
            render(net, bucket, layers=LAYERS[:1], batch=3)
    assert Store(bucket).layers() == ()
    report = render(net, bucket, layers=LAYERS[:1], batch=3)
    assert (report.batches, report.complete) == (0, True)
    [sent] = Store(bucket).layers()
    near = dc.spritemap(net, LAYERS[0], recipe=QUICK)
    np.testing.assert_array_equal(sent.tiles(), near.tiles())


def test_shards_meet_in_a_folder(net, bucket):  # noqa: F811
    with pytest.raises(ValueError, match="the processes of a batch system meet in a folder that they share"):
        render(net, bucket, layers=LAYERS, shard="1/2")
