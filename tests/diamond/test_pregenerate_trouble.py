"""A full disk, a folder that may not be written, damage, two writers at once: the store is never worse than before."""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import diamond as dc
from diamond.features.recipes import read_recipe
from diamond.pregenerate import sprites
from spritemaps import Store, StoreError
from tests import tiny

HERE = Path(__file__).resolve().parents[2]
QUICK = dataclasses.replace(read_recipe("texture"), name="quick", size_px=16, steps=4)


def render(store, layers="backbone/wide", **how):
    net = dc.load(tiny.nested(), input=(0, 1))
    return dc.pregenerate(
        net, layers, store=store, **{"recipe": QUICK, "batch": 2, "retries": 0, "progress": False, **how}
    )


def contents(store):
    return {
        path.relative_to(store).as_posix(): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    render(folder)
    return contents(folder)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 16 kB; one part of two sprites needs 4, job.json another."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_with_more_room_the_same_call_goes_on(small_disk, whole):
    with pytest.raises(StoreError, match=r"no room left for .* run the same job again, and it goes on from there"):
        render(small_disk)
    assert not list(small_disk.rglob("*.tmp"))
    assert Store(small_disk).layers() == ()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert render(small_disk).complete
    assert contents(small_disk) == whole


def test_a_folder_that_may_not_be_written_is_told_before_anything_is_rendered(tmp_path, monkeypatch, whole):
    if os.getuid() == 0:
        # Root may write everywhere but into a file system that is mounted to be read.
        folder = tmp_path / "disk"
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], check=False).returncode:
            pytest.skip("no right to mount a disk that may not be written")
    else:
        folder = tmp_path
        folder.chmod(0o555)
    rendered = []
    monkeypatch.setattr(sprites, "_rendered", lambda *_: rendered.append(1))
    try:
        with pytest.raises(StoreError, match=f"the store {folder} is not writable .* Give another store"):
            render(folder)
    finally:
        if os.getuid() == 0:
            subprocess.run(["umount", str(folder)], check=True)
        else:
            folder.chmod(0o755)
    assert rendered == []


def test_a_part_that_was_cut_short_is_rendered_again(tmp_path, whole):
    render(tmp_path, channels=[0, 1, 2])
    parts = sorted(tmp_path.rglob("batch-*.npz"))
    assert len(parts) == 2
    parts[0].write_bytes(parts[0].read_bytes()[:-40])
    assert render(tmp_path).batches == 2
    assert contents(tmp_path) == whole


def test_a_layer_of_a_newer_version_is_left_as_it_is(tmp_path):
    render(tmp_path)
    [path] = tmp_path.rglob("manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 9}))
    before = contents(tmp_path)
    with pytest.raises(StoreError, match="schema version 9, .* upgrade it"):
        render(tmp_path)
    after = contents(tmp_path)
    # The index forgets what it cannot read; the layer itself stays.
    assert {k: v for k, v in after.items() if k != "index.json"} == {
        k: v for k, v in before.items() if k != "index.json"
    }


def test_other_weights_than_those_a_job_was_begun_with_are_refused(tmp_path):
    net = dc.load(tiny.nested(), input=(0, 1))
    render(tmp_path, channels=[0])
    [job] = Store(tmp_path).unfinished()
    kernel = net.node("backbone/wide").weights[0]
    kernel.assign(kernel + 0.1)
    with pytest.raises(ValueError, match="the weights are not those it was begun with"):
        sprites.sprite_maker(net, job.spec)


def test_an_image_that_never_stays_finite_makes_a_dead_channel_and_harms_no_other(tmp_path):
    net = dc.load(tiny.nested(), input=(0, 1))
    node = net.node("backbone/wide")
    kernel = np.asarray(node.weights[0]).copy()
    kernel[..., 2] = np.nan
    node.weights[0].assign(kernel)
    report = dc.pregenerate(net, ["backbone/wide"], store=tmp_path, recipe=QUICK, batch=6, retries=0, progress=False)
    records = Store(tmp_path).layers()[0].records
    assert report.complete
    assert (records[2].alive, records[2].activation, records[2].robust) == (False, 0.0, None)
    assert [bool(np.isfinite(r.activation)) for r in records] == [True] * 6


BOTH = textwrap.dedent("""
    import sys
    from pathlib import Path
    from tests.diamond.test_pregenerate_trouble import render
    print(render(Path(sys.argv[1])).complete)
""")


@pytest.mark.slow
def test_two_writers_at_once_on_one_layer_end_with_the_bytes_of_one(tmp_path, whole):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BOTH, str(tmp_path)],
            cwd=HERE,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [process.communicate(timeout=300)[0].strip() for process in processes] == ["True", "True"]
    assert contents(tmp_path) == whole


GROWTH = textwrap.dedent("""
    import gc, json, sys
    import keras, psutil
    import diamond as dc
    from diamond.features.recipes import Recipe
    from diamond.features.transforms import Jitter
    memory = []
    recipe = Recipe("quick", size_px=24, steps=4, transforms=(Jitter(2),))
    keras.utils.set_random_seed(0)
    image = keras.Input((24, 24, 3))
    x = image
    for i in range(30):
        x = keras.layers.Conv2D(16, 3, padding="same", activation="relu", name=f"conv{i}")(x)
    net = dc.load(keras.Model(image, keras.layers.GlobalAveragePooling2D()(x), name="deep"), input=(0, 1))
    for turn in range(3):
        for i in range(30):
            dc.pregenerate(net, f"conv{i}", store=f"{sys.argv[1]}-{turn}", recipe=recipe, batch=2, retries=0,
                           progress=False)
            memory.append(psutil.Process().memory_info().rss / 1e6)
    print(json.dumps(memory))
""")


@pytest.mark.slow
def test_memory_grows_by_less_than_100_mb_over_a_long_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(tmp_path / "s")],
        cwd=HERE,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    memory = json.loads(done.stdout.splitlines()[-1])
    # 720 batches of 90 layers; the first layers fill TensorFlow's own pools.
    assert len(memory) == 90
    assert memory[-1] - memory[14] < 100, memory
