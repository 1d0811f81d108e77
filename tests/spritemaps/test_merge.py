"""One store of two: what is copied, what stays, and what a kill leaves."""

import contextlib
import shutil

import numpy as np
import pytest

from spritemaps import ChannelRecord, Store, StoreError, files
from spritemaps.merge import copy_layer, is_better, mean_quality, merge
from spritemaps.verify import verify
from tests.spritemaps.sprites import FINGERPRINT, finished, hashes, record, render, spec, sprite

PLACE = "Tiny/block%2Fconv/sprite-01234567"


def better(root, **changes):
    """The same layer and recipe by another seed, every channel alive and twice as high."""
    job = Store(root).open_job(spec(seed=9, **changes))
    for batch in job.pending:
        channels = job.spec.batches[batch]
        tiles = np.stack([sprite(c, job.spec.tile_px, 9) for c in channels])
        job.write(batch, tiles, [ChannelRecord(c, 2 * record(c).activation, True) for c in channels])
    return job.finish()


def test_what_the_target_lacks_is_copied_byte_for_byte(tmp_path):
    finished(tmp_path / "a")
    finished(tmp_path / "a", layer="conv2", fingerprint="ab" * 32, channels=3, batches=((0, 1, 2),))
    finished(tmp_path / "b", layer="conv3", fingerprint="cd" * 32)
    done = merge(tmp_path / "a", tmp_path / "b")
    assert (done.copied, done.replaced, done.kept, done.problems) == (2, 0, 0, ())
    assert str(done).startswith("2 layers copied, 0 replaced by better ones, 0 kept; 0.0 MB")
    assert [s.layer for s in Store(tmp_path / "b").layers()] == ["block/conv", "conv2", "conv3"]
    there, source = hashes(tmp_path / "b"), hashes(tmp_path / "a")
    source.pop("index.json")
    assert source.items() <= there.items()
    assert verify(Store(tmp_path / "b")).faults == ()


def test_merging_again_writes_nothing(tmp_path):
    finished(tmp_path / "a")
    merge(tmp_path / "a", tmp_path / "b")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "b").rglob("*")}
    done = merge(tmp_path / "a", tmp_path / "b")
    assert (done.copied, done.replaced, done.kept, done.bytes) == (0, 0, 1, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "b").rglob("*")} == before


def test_a_better_layer_replaces_a_worse_one_and_not_the_other_way(tmp_path):
    worse, good = finished(tmp_path / "worse"), better(tmp_path / "good")
    assert (mean_quality(worse.manifest), mean_quality(good.manifest)) == pytest.approx((0.4, 0.64))
    assert is_better(good.manifest, worse.manifest)
    assert not is_better(worse.manifest, good.manifest)
    said = []
    assert merge(tmp_path / "good", tmp_path / "worse", say=said.append).replaced == 1
    assert said == ["Tiny block/conv: replaced, 0.0 MB"]
    now = Store(tmp_path / "worse").find(FINGERPRINT)
    np.testing.assert_array_equal(now.tiles(), good.tiles())
    assert [page.name for page in sorted(now.folder.iterdir())] == ["atlas-1.webp", "manifest.json"]
    shutil.rmtree(tmp_path / "good")
    finished(tmp_path / "good")
    assert merge(tmp_path / "good", tmp_path / "worse").kept == 1


def test_fewer_dead_channels_are_better_than_a_higher_mean(tmp_path):
    def of(name, records):
        job = Store(tmp_path / name).open_job(spec(channels=2, batches=((0, 1),)))
        job.write(0, np.zeros((2, 16, 16, 3), np.uint8), records)
        return job.finish().manifest

    dead = of("dead", [ChannelRecord(0, 9.0), ChannelRecord(1, 0.0, False)])
    alive = of("alive", [ChannelRecord(0, 2.0), ChannelRecord(1, 1.0)])
    luck = of("luck", [ChannelRecord(0, 2.0), ChannelRecord(1, 1.01)])
    assert is_better(alive, dead)
    assert not is_better(dead, alive)
    assert not is_better(luck, alive)
    assert not is_better(alive, alive)


@pytest.mark.parametrize("write", [0, 1, 2])
def test_killed_between_any_two_files_the_target_is_right_and_merging_again_does_the_rest(tmp_path, monkeypatch, write):
    old, new = finished(tmp_path / "b"), better(tmp_path / "a")
    before = old.tiles()
    kept, written = files.write_file, []

    def killed(path, content):
        if len(written) == write:
            raise KeyboardInterrupt
        written.append(path)
        kept(path, content)

    monkeypatch.setattr(files, "write_file", killed)
    # The index stays as it was, so there is no third file.
    with contextlib.suppress(KeyboardInterrupt):
        merge(tmp_path / "a", tmp_path / "b")
    assert len(written) == write
    monkeypatch.undo()
    there = Store(tmp_path / "b")
    assert verify(there).faults == ()
    assert (there.find(FINGERPRINT).tiles() == (before if write < 2 else new.tiles())).all()
    merge(tmp_path / "a", tmp_path / "b")
    assert (there.find(FINGERPRINT).tiles() == new.tiles()).all()
    assert sorted(hashes(tmp_path / "b")) == sorted(
        ["index.json", "Tiny", "Tiny/block%2Fconv", PLACE, f"{PLACE}/atlas-1.webp", f"{PLACE}/manifest.json"]
    )


def test_a_damaged_layer_of_the_target_is_mended_and_one_of_the_source_left_out(tmp_path):
    finished(tmp_path / "a")
    good = finished(tmp_path / "b").tiles()
    page = tmp_path / "b" / PLACE / "atlas-0.webp"
    content = page.read_bytes()
    page.write_bytes(content[:40] + bytes([content[40] ^ 255]) + content[41:])
    done = merge(tmp_path / "b", tmp_path / "c")
    assert done.copied == 0
    assert done.problems == (f"{page} is damaged: its content is not what the manifest says",)
    assert "1 damaged layer left out" in str(done)
    assert Store(tmp_path / "c").layers() == ()
    assert merge(tmp_path / "a", tmp_path / "b").replaced == 1
    assert (Store(tmp_path / "b").find(FINGERPRINT).tiles() == good).all()
    (tmp_path / "a" / PLACE / "manifest.json").write_text("{}")
    assert "diamond verify tells" in merge(tmp_path / "a", tmp_path / "d").problems[0]


def test_a_layer_that_the_target_has_begun_is_finished_by_the_others(tmp_path):
    whole = finished(tmp_path / "a")
    job = Store(tmp_path / "b").open_job(spec())
    render(job, [0])
    assert merge(tmp_path / "b", tmp_path / "c").unfinished == 1
    assert merge(tmp_path / "a", tmp_path / "b").copied == 1
    assert job.pending == ()
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert (job.finished.tiles() == whole.tiles()).all()


def test_a_manifest_of_a_later_version_is_not_overwritten(tmp_path):
    finished(tmp_path / "a")
    finished(tmp_path / "b")
    manifest = tmp_path / "b" / PLACE / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    (tmp_path / "b" / "index.json").unlink()
    before = manifest.read_bytes()
    with pytest.raises(StoreError, match="schema version 99"):
        merge(tmp_path / "a", tmp_path / "b")
    assert manifest.read_bytes() == before


def test_what_cannot_be_merged_is_told(tmp_path):
    finished(tmp_path / "a")
    with pytest.raises(StoreError, match=r"there is no store at .*nowhere; expected a folder"):
        merge(tmp_path / "nowhere", tmp_path / "b")
    with pytest.raises(StoreError, match="both the source and the target"):
        merge(tmp_path / "a", Store(tmp_path / "a"))
    with pytest.raises(StoreError, match="read only; give another store to merge into"):
        merge(tmp_path / "a", Store(tmp_path / "b", read_only=True))
    with pytest.raises(ValueError, match="is no finished layer"):
        copy_layer(Store(tmp_path / "a").layers()[0].select([1]), Store(tmp_path / "b"))
