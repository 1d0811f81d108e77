"""The Ray engine: a real cluster of two workers on this machine gives the local engine's bytes."""

import dataclasses
import os
import threading
import time

import keras
import numpy as np
import pytest

import diamond as dc
from diamond.features.recipes import read_recipe
from spritemaps import Store
from spritemaps.verify import verify

pytestmark = [
    pytest.mark.slow,
    # Ray's own threads and sockets outlive the test that used them.
    pytest.mark.filterwarnings("ignore"),
]
QUICK = dataclasses.replace(read_recipe("texture"), name="quick", size_px=12, steps=24)
HOW = {"layers": ["conv", "alive"], "recipe": QUICK, "batch": 2, "retries": 1, "progress": False}


@pytest.fixture(scope="module")
def cluster():
    """Ray with room for two tasks at a time, one CPU each."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'diamond-cutter[ray]'")
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()
    os.environ.pop("TF_NUM_INTRAOP_THREADS")
    if threads is not None:
        os.environ["TF_NUM_INTRAOP_THREADS"] = threads


def network():
    """Two layers of ten channels; every third of the second is dead, the others alive wherever one looks."""
    keras.utils.set_random_seed(0)
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(10, 3, name="conv")(image)
    x = keras.layers.Conv2D(10, 3, name="deep")(keras.layers.ReLU()(x))
    alive = keras.layers.ReLU(name="alive")(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(alive), name="victim")
    model.get_layer("deep").bias.assign(np.where(np.arange(10) % 3 == 1, -1000.0, 10.0))
    return dc.load(model, input=(0, 1))


def contents(store):
    return {
        path.relative_to(store).as_posix(): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def local(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    report = dc.pregenerate(network(), store=folder, **HOW)
    assert (report.batches, report.complete) == (12, True)
    return contents(folder)


def test_two_workers_of_a_cluster_make_the_bytes_of_the_local_engine(cluster, local, tmp_path):
    report = dc.pregenerate(network(), store=tmp_path, engine="ray", workers=2, **HOW)
    assert (report.batches, report.complete) == (12, True)
    assert [row.dead for row in report.layers] == [0, 3]
    assert contents(tmp_path) == local


def test_the_batches_of_a_worker_that_is_killed_run_elsewhere(cluster, local, tmp_path):
    import psutil

    killed = []

    def kill_one():
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and not killed:
            if list(tmp_path.rglob("batch-*.npz")):
                busy = [p for p in psutil.process_iter(["cmdline"]) if "ray::" in " ".join(p.info["cmdline"] or [])]
                ours = [p for p in busy if "_rendered" in " ".join(p.info["cmdline"])]
                if ours:
                    ours[0].kill()
                    killed.append(ours[0].pid)
            time.sleep(0.002)

    thread = threading.Thread(target=kill_one)
    thread.start()
    report = dc.pregenerate(network(), store=tmp_path, engine="ray", workers=2, **HOW)
    thread.join()
    assert len(killed) == 1
    assert (report.batches, report.complete) == (12, True)
    assert contents(tmp_path) == local
    assert verify(Store(tmp_path)).faults == ()
