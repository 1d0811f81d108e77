"""Samples with classes, from folders, archives, lists and data sets; what gives none is named."""

import tarfile
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from diamond.transfer.samples import SamplesError, read_samples


@pytest.fixture
def folder(tmp_path):
    for name, n in (("daisy", 3), ("rose", 2), ("empty", 0)):
        (tmp_path / "flowers" / name).mkdir(parents=True)
        for i in range(n):
            Image.new("RGB", (4, 4)).save(tmp_path / "flowers" / name / f"{i}.png")
    (tmp_path / "flowers" / "rose" / "notes.txt").write_text("no picture")
    return tmp_path / "flowers"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))


def test_each_folder_is_a_class_and_an_empty_one_is_kept(folder):
    samples = read_samples(folder)
    assert samples.classes == ("daisy", "empty", "rose")
    assert samples.labels.tolist() == [0, 0, 0, 2, 2]
    assert samples.counts == {"daisy": 3, "empty": 0, "rose": 2}
    assert samples.names[3] == "rose/0.png"
    some = samples.only([4, 0])
    assert (some.names, some.labels.tolist()) == (("rose/1.png", "daisy/0.png"), [2, 0])


def test_a_folder_around_the_classes_is_passed_through(folder):
    assert read_samples(folder.parent).classes == ("daisy", "empty", "rose")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_unpacked_once(folder, tmp_path, kind):
    archive = tmp_path / f"flowers.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for path in folder.rglob("*"):
                opened.write(path, path.relative_to(folder.parent))
    else:
        with tarfile.open(archive, "w:gz") as opened:
            opened.add(folder, "flowers")
    first = read_samples(archive)
    assert first.counts == {"daisy": 3, "empty": 0, "rose": 2}
    first.sources[0].unlink()
    assert len(read_samples(archive)) == 4


def test_an_archive_that_writes_elsewhere_is_refused(tmp_path):
    archive = tmp_path / "evil.tar"
    (tmp_path / "x.png").write_bytes(b"x")
    with tarfile.open(archive, "w") as opened:
        opened.add(tmp_path / "x.png", "../../outside.png")
    with pytest.raises(tarfile.FilterError):
        read_samples(archive)


def test_an_address_is_fetched_once(folder, tmp_path, httpserver_of):
    archive = tmp_path / "served" / "flowers.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as opened:
        for path in folder.rglob("*.png"):
            opened.write(path, path.relative_to(folder))
    address, asked = httpserver_of(archive.parent)
    for _ in range(2):
        assert read_samples(f"{address}/flowers.zip").counts == {"daisy": 3, "rose": 2}
    assert asked == ["/flowers.zip"]


@pytest.fixture
def httpserver_of():
    """Serve a folder, and keep what was asked."""
    import functools
    import http.server
    import threading

    servers = []

    def serve(folder):
        asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                super().do_GET()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("labels", [["b", "a", "b"], [7, 3, 7], np.array([[0, 1], [1, 0], [0, 1]]), [1.0, 0.0, 1.0]])
def test_labels_are_words_numbers_or_one_hot(labels):
    samples = read_samples([np.zeros((4, 4, 3))] * 3, labels)
    assert samples.labels.tolist() == [1, 0, 1]
    assert len(samples.classes) == 2


def test_a_data_set_brings_its_labels():
    pictures, labels = np.zeros((5, 4, 4, 3), np.float32), np.array([0, 1, 1, 0, 2])
    data = tf.data.Dataset.from_tensor_slices((pictures, labels))
    for given in (data, data.batch(2)):
        samples = read_samples(given)
        assert samples.labels.tolist() == [0, 1, 1, 0, 2]
        assert samples.sources[0].shape == (4, 4, 3)


def test_groups_are_numbered():
    samples = read_samples([np.zeros((4, 4, 3))] * 3, [0, 1, 0], groups=["film b", "film a", "film b"])
    assert samples.groups.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("inputs", "labels", "error", "words"),
    [
        ("nowhere", None, FileNotFoundError, "no folder or archive nowhere"),
        ([np.zeros((4, 4, 3))], ["a", "b"], SamplesError, "1 inputs and 2 labels"),
        ([], [], SamplesError, "the list is empty"),
        ([np.zeros((4, 4, 3))], None, SamplesError, "labels are missing"),
        (np.zeros((2, 4, 4, 3)), None, SamplesError, "labels are missing"),
        ([np.zeros((4, 4, 3))] * 2, [0.5, 1.0], SamplesError, "labels are fractions"),
        ([np.zeros((4, 4, 3))] * 2, [[1, 2], [3, 4]], SamplesError, "one class for each"),
    ],
)
def test_what_gives_no_samples_is_named(inputs, labels, error, words):
    with pytest.raises(error, match=words):
        read_samples(inputs, labels)


def test_folders_that_are_no_classes_are_named(folder, tmp_path):
    with pytest.raises(SamplesError, match=r"has 0 folders with pictures or sounds \(none\); expected one a class"):
        read_samples(folder / "rose")
    for part in ("train", "validation"):
        (tmp_path / "parts" / part).mkdir(parents=True)
    with pytest.raises(SamplesError, match=r"holds train, validation: parts of the data, no classes; give one of them"):
        read_samples(tmp_path / "parts")
    (tmp_path / "no.zip").write_bytes(b"nothing")
    with pytest.raises(SamplesError, match="is no folder and no archive"):
        read_samples(tmp_path / "no.zip")
    with pytest.raises(SamplesError, match="expected labels=None"):
        read_samples(folder, ["a"])
