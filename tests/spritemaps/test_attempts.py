"""A channel below the bar is tried again as the job's ladder says, and the best attempt is kept."""

import numpy as np
import pytest

from spritemaps import ChannelRecord, Store, StoreError
from spritemaps.parts import better, next_batches
from tests.spritemaps.sprites import attempted, finished, hashes, record, render, spec, sprite

LADDER = ({"seed": 3}, {"seed": 4}, {"seed": 5})


def test_the_next_attempt_is_known_when_every_batch_of_the_one_before_is_there(tmp_path):
    job = Store(tmp_path).open_job(spec(ladder=LADDER))
    assert job.batches == ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9))
    render(job, [0, 1])
    assert (job.pending, len(job.batches)) == ((2,), 3)
    render(job, [2])
    # Channels 4 and 9 are dead.
    assert job.batches[3:] == ((4, 9),)
    assert (job.pending, job.attempt(2), job.attempt(3)) == ((3,), 1, 2)
    with pytest.raises(StoreError, match=r"1 of 4 batches are still to be rendered \(the first is batch 3\)"):
        job.finish()
    render(job, [3])
    # Channel 4 came to life.
    assert job.batches[4:] == ((9,),)
    render(job, [4])
    assert job.pending == ()
    with pytest.raises(ValueError, match="no batch 5; the job has batches 0 to 4"):
        job.attempt(5)


def test_the_best_attempt_of_each_channel_is_kept_with_its_picture(tmp_path):
    job = Store(tmp_path).open_job(spec(ladder=LADDER))
    render(job)
    spritemap = job.finish()
    records = spritemap.records
    assert [(r.channel, r.alive, r.attempts, r.kept) for r in records if r.attempts > 1] == [
        (4, True, 2, 2),
        (9, False, 3, 1),
    ]
    assert [r.activation for r in records[3:5]] == [3.125, 4.25]
    assert spritemap.manifest.ladder == LADDER
    for channel, attempt in ((4, 2), (9, 1)):
        # WebP is off by some levels where colours meet.
        off = [np.abs(spritemap[channel].astype(int) - sprite(channel, 16, 3 + n)).mean() for n in range(3)]
        assert int(np.argmin(off)) == attempt - 1
    assert [name for name in hashes(tmp_path) if "parts" in name or "job" in name] == []


def test_a_layer_that_has_nothing_below_the_bar_is_done_after_one_attempt(tmp_path):
    job = Store(tmp_path).open_job(spec(channels=4, ladder=LADDER))
    render(job)
    assert (len(job.batches), [r.attempts for r in job.finish().records]) == (1, [1, 1, 1, 1])


def test_a_part_that_is_damaged_after_the_next_attempt_began_is_rendered_again(tmp_path):
    job = Store(tmp_path / "whole").open_job(spec(ladder=LADDER))
    render(job)
    job.finish()
    hurt = Store(tmp_path / "hurt").open_job(spec(ladder=LADDER))
    render(hurt)
    part = hurt.folder / "parts" / "batch-00001.npz"
    part.write_bytes(part.read_bytes()[:-50])
    again = Store(tmp_path / "hurt").open_job(spec(ladder=LADDER))
    assert again.pending == (1,)
    render(again)
    again.finish()
    assert hashes(tmp_path / "hurt") == hashes(tmp_path / "whole")


def test_a_part_of_other_channels_counts_as_not_done(tmp_path):
    job = Store(tmp_path).open_job(spec(ladder=LADDER))
    render(job, [0, 1, 2, 3])
    # The dead channels of another run, on a GPU whose bytes do not repeat, say.
    part = job.folder / "parts" / "batch-00003.npz"
    (job.folder / "parts" / "batch-00002.npz").rename(part)
    render(job, [2])
    assert job.pending == (3,)


def test_the_better_attempt_is_alive_and_then_the_more_robust_and_of_equals_the_first():
    def attempt(number, robust, alive=True):
        return ChannelRecord(0, 9.0 / number, alive, number, number, robust=robust)

    assert better(None, attempt(1, 1.0)) == attempt(1, 1.0)
    assert better(attempt(1, 5.0, alive=False), attempt(2, 1.0)).kept == 2
    assert better(attempt(1, 1.0), attempt(2, 1.5)).kept == 2
    kept = better(attempt(1, 1.0), attempt(2, 1.0))
    assert (kept.kept, kept.attempts) == (1, 2)
    assert better(ChannelRecord(0, 2.0), ChannelRecord(0, 3.0, attempts=2, kept=2)).kept == 2


def test_batches_of_an_attempt_are_as_wide_as_the_first():
    best = {c: attempted(c, 1) for c in range(40)}
    assert next_batches(best, width=3) == ((4, 9, 14), (19, 24, 29), (34, 39))


def test_quality_survives_a_part(tmp_path):
    job = Store(tmp_path).open_job(spec(channels=2))
    measured = ChannelRecord(0, 1.0, True, 1, robust=0.5, photo_best=0.25, photo="ü.JPEG")
    job.write(0, np.zeros((2, 16, 16, 3), np.uint8), [measured, record(1)])
    assert Store(tmp_path).open_job(spec(channels=2)).records == (measured, record(1))
    assert job.finish().records[0] == measured


def test_what_is_rendered_by_now_can_be_looked_at(tmp_path):
    job = Store(tmp_path).open_job(spec(ladder=LADDER))
    with pytest.raises(StoreError, match="no batch of the layer is rendered yet"):
        job.so_far()
    render(job, [1])
    assert job.so_far().channels == (4, 5, 6, 7)
    np.testing.assert_array_equal(job.so_far()[5], sprite(5, 16, 3))
    assert [count for _, count in job.written()] == [4]
    render(job)
    assert len(job.so_far()) == 10
    job.finish()
    assert len(job.so_far()) == 10


def test_a_job_nothing_of_which_is_rendered_can_be_taken_back(tmp_path):
    job = Store(tmp_path).open_job(spec())
    job.withdraw()
    assert hashes(tmp_path) == {}
    begun = Store(tmp_path).open_job(spec())
    render(begun, [2])
    before = hashes(tmp_path)
    begun.withdraw()
    assert hashes(tmp_path) == before
    render(begun)
    begun.finish()
    before = hashes(tmp_path)
    begun.withdraw()
    assert hashes(tmp_path) == before


def test_a_store_of_an_earlier_version_opens_and_gives_the_same_bytes(tmp_path):
    folder = finished(tmp_path).folder
    text = (folder / "manifest.json").read_text()
    assert not any(name in text for name in ("kept", "robust", "photo", "ladder"))
    assert Store(tmp_path).open_job(spec(ladder=LADDER)).pending == ()
