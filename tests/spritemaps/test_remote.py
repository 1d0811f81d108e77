"""Stores far away: what crosses the network, what is written, and what is said where it fails."""

import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from spritemaps import Store, StoreError, find
from spritemaps.merge import merge
from spritemaps.remote import is_remote, place
from spritemaps.verify import verify
from tests.spritemaps.sprites import FINGERPRINT, finished, hashes, spec

fsspec = pytest.importorskip("fsspec")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bucket(request):
    """An address of its own in fsspec's memory."""
    address = f"memory://{request.node.name}/sprites"
    yield address
    system = fsspec.filesystem("memory")
    if system.exists(f"/{request.node.name}"):
        system.rm(f"/{request.node.name}", recursive=True)


@pytest.fixture
def served(tmp_path):
    """A folder behind a web server on this machine; gives the folder, its address and the requests so far."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(f"{self.command} {self.path}")

        def list_directory(self, path):
            self.send_error(404)

    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_told_from_a_path(tmp_path, bucket):
    assert place("~/sprites") == Path.home() / "sprites"
    assert place(tmp_path) == tmp_path
    assert place(f"file://{tmp_path}") == tmp_path
    assert not is_remote(place("C:/sprites"))
    assert str(place(Path(bucket))) == bucket
    far = place(bucket + "/")
    assert is_remote(far)
    assert str(far / "index.json") == f"{bucket}/index.json"
    assert (far / "a" / "b").relative_to(far).as_posix() == "a/b"
    assert (far / "a" / "b").parent == far / "a"


def test_a_spritemap_on_a_web_server_costs_its_manifest_and_the_pages_it_shows(served):
    folder, address, asked = served
    # 1764 channels of 100 px are cut into four pages; channels 0 and 1 lie on the first.
    near = finished(folder, channels=1764, tile_px=100, batches=(tuple(range(1764)),))
    far = Store(address).find(FINGERPRINT, "feedbeef")
    way = "/Tiny/block%252Fconv/sprite-01234567"
    assert asked == ["GET /index.json", f"GET {way}/manifest.json"]
    assert len(far) == 1764
    assert asked[2:] == []
    np.testing.assert_array_equal(far[0], near[0])
    np.testing.assert_array_equal(far[1], near[1])
    assert asked[2:] == [f"GET {way}/atlas-0.webp"]
    far[1763]
    assert asked[3:] == [f"GET {way}/atlas-3.webp"]
    assert far.select([0]).channels == (0,)
    assert asked[4:] == []


def test_a_web_server_without_listings_can_be_looked_through_and_not_written(served, tmp_path):
    folder, address, _ = served
    finished(folder)
    assert [s.layer for s in Store(address).layers()] == ["block/conv"]
    finished(tmp_path / "other", network="Other", layer="conv2", fingerprint="ab" * 32)
    with pytest.raises(StoreError, match=r"atlas-0.webp cannot be written .501, "):
        merge(tmp_path / "other", address)


def test_a_store_that_cannot_be_reached_is_an_error_and_not_an_empty_store():
    with pytest.raises(StoreError, match=r"http://127.0.0.1:9/index.json cannot be read .*network and your cred"):
        Store("http://127.0.0.1:9").find(FINGERPRINT)
    with pytest.raises(StoreError, match="nonsense://x cannot be reached: Protocol not known"):
        Store("nonsense://x")


def test_an_empty_address_is_an_empty_store(bucket):
    store = Store(bucket)
    assert store.find(FINGERPRINT) is None
    assert store.layers() == store.unfinished() == ()
    assert verify(store).faults == ()


def test_a_finished_layer_is_put_with_one_request_a_file_and_its_manifest_last(bucket, tmp_path, monkeypatch):
    near = finished(tmp_path, channels=1764, tile_px=100, batches=(tuple(range(1764)),))
    system = type(fsspec.filesystem("memory"))
    put, kept = [], system.pipe_file
    monkeypatch.setattr(
        system, "pipe_file", lambda self, path, *rest, **more: (put.append(path), kept(self, path, *rest, **more))[1]
    )
    assert merge(tmp_path, bucket).copied == 1
    assert [path.rpartition("/")[2] for path in put] == [
        "atlas-0.webp",
        "atlas-1.webp",
        "atlas-2.webp",
        "atlas-3.webp",
        "manifest.json",
        "index.json",
    ]
    far = find(FINGERPRINT, store=bucket)
    assert str(far.folder) == f"{bucket}/Tiny/block%2Fconv/sprite-01234567"
    np.testing.assert_array_equal(far[1763], near[1763])
    assert verify(Store(bucket)).layers == 1
    del put[:]
    assert merge(tmp_path, bucket).copied == 0
    assert put == []


def test_a_copy_back_from_an_address_is_the_store_it_came_from(bucket, tmp_path):
    finished(tmp_path / "a")
    merge(tmp_path / "a", bucket)
    merge(bucket, tmp_path / "b")
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_a_page_damaged_far_away_is_named(bucket, tmp_path):
    finished(tmp_path)
    merge(tmp_path, bucket)
    page = place(bucket) / "Tiny" / "block%2Fconv" / "sprite-01234567" / "atlas-0.webp"
    page.write_bytes(page.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"memory://.*/atlas-0.webp is damaged"):
        find(FINGERPRINT, store=bucket)[0]
    (fault,) = verify(Store(bucket)).faults
    assert fault.where.endswith("atlas-0.webp")
    assert "is damaged" in fault.what


def test_a_remote_index_that_is_lost_is_rebuilt(bucket, tmp_path):
    finished(tmp_path)
    merge(tmp_path, bucket)
    index = place(bucket) / "index.json"
    content = index.read_bytes()
    index.unlink()
    assert len(Store(bucket).layers()) == 1
    Store(bucket).rebuild()
    assert index.read_bytes() == content


def test_a_layer_is_rendered_in_a_folder_and_merged_from_there(bucket):
    with pytest.raises(StoreError, match=r"then diamond merge FOLDER memory://"):
        Store(bucket).open_job(spec())


def test_what_was_fetched_can_be_kept_on_this_machine(served):
    folder, address, asked = served
    near = finished(folder)
    store = f"simplecache::{address}"
    np.testing.assert_array_equal(Store(store).find(FINGERPRINT)[3], near[3])
    assert any("atlas-0.webp" in line for line in asked)


def test_a_plain_path_does_not_import_fsspec_and_its_absence_names_the_extra(tmp_path):
    finished(tmp_path)
    code = (
        "import sys; from spritemaps import Store, StoreError\n"
        f"assert len(Store({str(tmp_path)!r}).layers()) == 1\n"
        "assert 'fsspec' not in sys.modules\n"
        "sys.modules['fsspec'] = None\n"
        "try: Store('gs://bucket/sprites')\n"
        "except StoreError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert said.strip() == (
        "gs://bucket/sprites is an address, and reading it needs fsspec, which is not installed: "
        "pip install diamond-cutter[remote]"
    )


@pytest.mark.slow
def test_spritemap_reads_an_address_and_keeps_there_what_it_renders(bucket, tmp_path, monkeypatch):
    import diamond as dc
    from tests import tiny

    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    recipe = dc.Recipe("quick", steps=2, size_px=16, transforms=())
    made = dc.spritemap(net, "features", recipe=recipe, store=bucket, progress=False)
    assert isinstance(made.folder, Path)
    again = dc.spritemap(net, "features", recipe=recipe, store=bucket, progress=False)
    assert is_remote(again.folder)
    np.testing.assert_array_equal(again.tiles(), made.tiles())
