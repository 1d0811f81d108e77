"""A pregeneration that is killed, and run again: the same bytes, and nothing rendered twice but what was in hand."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
# Two layers of ten channels in batches of two, and a ladder: a third of the channels of the second layer are dead.
WORK = textwrap.dedent("""
    import dataclasses, json, os, sys, time
    import keras, numpy as np
    import diamond as dc
    from diamond.features.recipes import read_recipe
    from diamond.features.renderer import Renderer
    begun = Renderer.render

    def counted(self, objectives, **how):
        with open(sys.argv[2], "a") as log:
            log.write(json.dumps([str(o) for o in objectives] + [how["seed"], self.recipe.steps]) + "\\n")
        return begun(self, objectives, **how)

    Renderer.render = counted
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(10, 3, name="conv")(image)
    x = keras.layers.Conv2D(10, 3, name="deep")(keras.layers.ReLU()(x))
    alive = keras.layers.ReLU(name="alive")(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(alive), name="victim")
    model.get_layer("deep").bias.assign(np.where(np.arange(10) % 3 == 1, -1000.0, 10.0))
    recipe = dataclasses.replace(read_recipe("texture"), name="quick", size_px=12, steps=40)
    report = dc.pregenerate(
        dc.load(model, input=(0, 1)), ["conv", "alive"], store=sys.argv[1], recipe=recipe, batch=2, retries=2,
        workers=int(sys.argv[3]), progress=False,
    )
    print(json.dumps([report.batches, report.complete]))
""")


def work(store, log, workers=1):
    return subprocess.Popen(
        [sys.executable, "-c", WORK, str(store), str(log), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(HERE)},
        cwd=HERE,
        text=True,
    )


def finish(process):
    said, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    return json.loads(said.splitlines()[-1])


def contents(store):
    return {
        path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupts: its files, how often it rendered, and how long it took."""
    folder = tmp_path_factory.mktemp("whole")
    begin = time.monotonic()
    # Ten batches of first attempts, then three dead channels in two batches, twice.
    assert finish(work(folder / "store", folder / "log")) == [14, True]
    took_s = time.monotonic() - begin
    rendered = (folder / "log").read_text().splitlines()
    assert len(rendered) == len(set(rendered)) == 14
    return contents(folder / "store"), took_s


def test_killed_once_and_run_again_it_ends_with_the_bytes_of_an_uninterrupted_run(tmp_path, whole):
    store, log = tmp_path / "store", tmp_path / "log"
    process = work(store, log)
    deadline = time.monotonic() + 120
    while len(list(store.rglob("batch-*.npz"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    kill(process)
    begun = len(log.read_text().splitlines())
    assert finish(work(store, log))[1] is True
    assert contents(store) == whole[0]
    assert begun < 14
    assert len(log.read_text().splitlines()) <= 14 + 1


@pytest.mark.slow
def test_twenty_kills_at_random_moments_end_with_the_same_bytes_and_nothing_is_rendered_twice(tmp_path, whole):
    files, took_s = whole
    rng = random.Random(0)
    kills = turn = twice = 0
    while kills < 20:
        store, log = tmp_path / f"store-{turn}", tmp_path / f"log-{turn}"
        mine = 0
        while mine < 5 and kills < 20:
            process = work(store, log)
            try:
                process.communicate(timeout=rng.uniform(0.3, 1.0) * took_s)
                break
            except subprocess.TimeoutExpired:
                kill(process)
                mine, kills = mine + 1, kills + 1
        assert finish(work(store, log))[1] is True
        assert contents(store) == files
        rendered = log.read_text().splitlines()
        assert len(set(rendered)) == 14
        # One batch was in hand at each kill.
        assert len(rendered) - 14 <= mine
        twice += len(rendered) - 14
        turn += 1
    print(f"{kills} kills in {turn} jobs: {twice} batches rendered twice")


@pytest.mark.slow
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_told_to_stop_the_command_keeps_what_it_has_and_the_same_command_goes_on(tmp_path, told):
    store = tmp_path / "store"
    command = [sys.executable, "-c", "from diamond.cli import app; app()", "pregenerate", "EfficientNetLite0"]
    command += ["--store", str(store)]
    command += ["--layers", "stem_relu", "--size", "16", "--steps", "48", "--batch", "2", "--retries", "0"]
    run = {"env": os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, "cwd": HERE, "text": True}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **run)
    deadline = time.monotonic() + 120
    while not list(store.rglob("batch-*.npz")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(told)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; the same call goes on" in said
    kept = len(list(store.rglob("batch-*.npz")))
    assert 1 <= kept < 16
    again = subprocess.run(command, capture_output=True, check=False, timeout=300, **run)
    assert again.returncode == 0, again.stderr
    assert "32 of 32 channels in 1 layer" in again.stdout


@pytest.mark.slow
def test_two_workers_make_the_bytes_of_one_and_a_worker_that_is_killed_is_started_anew(tmp_path, whole):
    import psutil

    store = tmp_path / "store"
    process = work(store, tmp_path / "log", workers=2)
    deadline = time.monotonic() + 240
    killed = False
    while process.poll() is None and time.monotonic() < deadline:
        if not killed and list(store.rglob("batch-*.npz")):
            workers = [p for p in psutil.Process(process.pid).children() if "worker" in " ".join(p.cmdline())]
            workers[0].kill()
            killed = True
        time.sleep(0.01)
    assert killed
    assert finish(process) == [14, True]
    assert contents(store) == whole[0]
