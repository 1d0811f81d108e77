import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest

from spritemaps import ManifestError, Store, StoreError
from spritemaps.files import _HOST
from spritemaps.parts import read_part
from spritemaps.verify import verify
from tests.spritemaps.sprites import FINGERPRINT, finished, hashes, record, render, spec, sprite

OTHER = "89abcdef" * 8
REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_layer_is_found_by_its_fingerprint_once_it_is_finished(tmp_path):
    store = Store(tmp_path)
    job = store.open_job(spec())
    assert (job.pending, job.finished, store.find(FINGERPRINT)) == ((0, 1, 2), None, None)
    render(job, [0, 2])
    assert job.pending == (1,)
    with pytest.raises(StoreError, match=r"1 of 3 batches are still to be rendered \(the first is batch 1\)"):
        job.finish()
    render(job)
    assert store.find(FINGERPRINT) is None
    assert job.finish().channels == tuple(range(10))
    assert (job.pending, len(job.finished)) == ((), 10)
    assert store.find(FINGERPRINT).layer == "block/conv"
    assert store.find(FINGERPRINT, "feedbeef").manifest.seed == 3
    assert store.find(FINGERPRINT, "00000000") is None
    assert store.find(OTHER) is None


def test_a_finished_store_holds_pages_manifest_and_index_and_nothing_else(tmp_path):
    finished(tmp_path)
    assert [name for name, kind in hashes(tmp_path).items() if kind != "folder"] == [
        "Tiny/block%2Fconv/sprite-01234567/atlas-0.webp",
        "Tiny/block%2Fconv/sprite-01234567/manifest.json",
        "index.json",
    ]


def test_a_finished_layer_opens_finished(tmp_path):
    finished(tmp_path)
    before = hashes(tmp_path)
    job = Store(tmp_path).open_job(spec(network="Transferred", layer="renamed"))
    assert (job.pending, job.finished.network) == ((), "Tiny")
    job.write(0, np.stack([sprite(c, 16, 3) for c in range(4)]), [record(c) for c in range(4)])
    job.finish()
    assert hashes(tmp_path) == before


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(("name", "value"), [("seed", 4), ("tile_px", 32)])
def test_another_seed_or_tile_size_is_refused_with_the_ways_out(tmp_path, done, name, value):
    if done:
        finished(tmp_path)
    else:
        Store(tmp_path).open_job(spec())
    there = {"seed": 3, "tile_px": 16}[name]
    message = (
        f"with {name} {there}, and {value} was asked for. Ask for {name} {there}, or delete that folder or give another"
    )
    with pytest.raises(StoreError, match=message):
        Store(tmp_path).open_job(spec(**{name: value}))


def test_a_job_opened_again_obeys_what_it_froze(tmp_path):
    first = Store(tmp_path).open_job(spec())
    render(first, [1])
    asked = spec(batches=((*range(10),),), settings={"dtype": "float16"}, versions={"keras": "9.9"})
    again = Store(tmp_path).open_job(asked)
    assert again.spec == first.spec
    assert again.spec.batches == ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9))
    assert again.spec.settings == {"dtype": "float32", "threads": 2}
    assert again.pending == (0, 2)
    render(again)
    assert again.finish().manifest.versions == {"keras": "3.15.0"}


def test_unfinished_jobs_are_listed(tmp_path):
    finished(tmp_path)
    job = Store(tmp_path).open_job(spec(layer="next", fingerprint=OTHER))
    render(job, [1])
    (listed,) = Store(tmp_path).unfinished()
    assert (listed.spec.layer, listed.pending) == ("next", (0, 2))


def test_a_batch_is_written_as_the_job_has_it(tmp_path):
    job = Store(tmp_path).open_job(spec())
    tiles, records = np.zeros((4, 16, 16, 3), np.uint8), [record(c) for c in range(4)]
    with pytest.raises(ValueError, match="no batch 3; the job has batches 0 to 2"):
        job.write(3, tiles, records)
    with pytest.raises(ValueError, match=r"records of channels \(0, 1, 2, 3\); batch 1 has \(4, 5, 6, 7\)"):
        job.write(1, tiles, records)
    with pytest.raises(ValueError, match="tiles of 8 px; the job has tiles of 16 px"):
        job.write(0, tiles[:, :8, :8], records)
    with pytest.raises(ValueError, match="expected uint8"):
        job.write(0, tiles.astype(np.float32), records)


@pytest.mark.parametrize("batches", [((0, 1),), ((0, 1, 2), (2,)), ((0, 1, 2), ()), ((0, 1.0, 2),), 7])
def test_batches_are_a_partition_of_the_channels(batches):
    with pytest.raises(ManifestError, match="batches"):
        spec(channels=3, batches=batches)


def test_tiles_larger_than_a_page_are_refused_before_they_are_rendered():
    with pytest.raises(ManifestError, match="tiles of 5000 px; expected 1 to 4096"):
        spec(tile_px=5000)


def damage_truncate(part):
    part.write_bytes(part.read_bytes()[:-100])


def damage_flip(part):
    content = bytearray(part.read_bytes())
    content[1500] ^= 1
    part.write_bytes(content)


def damage_empty(part):
    part.write_bytes(b"")


def damage_of_another_batch(part):
    part.write_bytes(part.with_name("batch-00001.npz").read_bytes())


def damage_dtype(part):
    with np.load(part) as arrays:
        content = dict(arrays)
    np.savez(part, **{**content, "tiles": content["tiles"].astype(np.int16)})


def damage_of_another_job(part):
    with np.load(part) as arrays:
        content = dict(arrays)
    np.savez(part, **{**content, "job": np.array("0" * 64)})


def damage_pickle(part):
    with np.load(part) as arrays:
        content = dict(arrays)
    np.savez(part, **{**content, "alive": np.array([None] * 4, object)})


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_flip,
        damage_empty,
        damage_of_another_batch,
        damage_dtype,
        damage_of_another_job,
        damage_pickle,
    ],
)
def test_a_damaged_part_is_rendered_again(tmp_path, damage):
    finished(tmp_path / "whole")
    job = Store(tmp_path / "hurt").open_job(spec())
    render(job)
    assert job.pending == ()
    damage(job.folder / "parts" / "batch-00000.npz")
    again = Store(tmp_path / "hurt").open_job(spec())
    assert (job.pending, again.pending) == ((0,), (0,))
    render(again)
    again.finish()
    assert hashes(tmp_path / "hurt") == hashes(tmp_path / "whole")


def test_no_flipped_byte_of_a_part_gets_through(tmp_path):
    job = Store(tmp_path).open_job(spec(channels=2, tile_px=4))
    render(job)
    part = job.folder / "parts" / "batch-00000.npz"
    whole = part.read_bytes()
    sound = read_part(part, job.spec, job.spec.batches[0])
    for place in range(0, len(whole), 3):
        part.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        read = read_part(part, job.spec, job.spec.batches[0])
        assert read is None or (np.array_equal(read[0], sound[0]) and read[1] == sound[1])


def test_a_damaged_job_starts_anew(tmp_path):
    job = Store(tmp_path).open_job(spec())
    render(job, [0])
    (job.folder / "job.json").write_text("{")
    anew = Store(tmp_path).open_job(spec(seed=4))
    assert (anew.spec.seed, anew.pending) == (4, (0, 1, 2))


def test_sprite_is_preferred_to_texture_and_texture_to_others(tmp_path):
    store = Store(tmp_path)
    found = []
    for name, recipe_hash in (("zebra", "0a"), ("alpha", "0b"), ("texture", "0c"), ("sprite", "0d")):
        finished(tmp_path, recipe_name=name, recipe_hash=recipe_hash)
        # Without its index a store answers alike.
        (tmp_path / "index.json").unlink()
        found.append((store.find(FINGERPRINT).manifest.recipe_name, store.find(FINGERPRINT).manifest.recipe_hash))
    assert found == [("zebra", "0a"), ("alpha", "0b"), ("texture", "0c"), ("sprite", "0d")]
    assert store.find(FINGERPRINT, "0b").manifest.recipe_name == "alpha"


def test_two_recipes_of_one_name_live_side_by_side(tmp_path):
    finished(tmp_path, recipe_hash="0a", seed=1)
    finished(tmp_path, recipe_hash="0b", seed=2)
    store = Store(tmp_path)
    assert [store.find(FINGERPRINT, recipe_hash).manifest.seed for recipe_hash in ("0a", "0b")] == [1, 2]
    assert len(store.layers()) == 2


def test_layers_are_listed_by_name(tmp_path):
    finished(tmp_path, layer="mixed4d", fingerprint=OTHER)
    finished(tmp_path, layer="mixed3a")
    assert [layer.layer for layer in Store(tmp_path).layers()] == ["mixed3a", "mixed4d"]
    assert Store(tmp_path / "nowhere").layers() == ()


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"finished": {}, "schema_version": 1}', b'{"finished": 3}'])
def test_an_index_that_is_missing_broken_or_behind_is_mended(tmp_path, content):
    finished(tmp_path)
    index = tmp_path / "index.json"
    whole = index.read_bytes()
    index.unlink() if content is None else index.write_bytes(content)
    assert Store(tmp_path).find(FINGERPRINT).layer == "block/conv"
    assert index.read_bytes() == whole


def test_an_index_that_promises_too_much_is_mended(tmp_path):
    finished(tmp_path)
    gone = finished(tmp_path, layer="gone", fingerprint=OTHER)
    (gone.folder / "manifest.json").unlink()
    store = Store(tmp_path)
    assert OTHER in (tmp_path / "index.json").read_text()
    assert store.find(OTHER) is None
    assert OTHER not in (tmp_path / "index.json").read_text()


def test_an_index_cannot_lead_out_of_the_store(tmp_path):
    finished(tmp_path / "elsewhere", network="x", layer="y")
    finished(tmp_path / "store", fingerprint=OTHER)
    index = tmp_path / "store" / "index.json"
    index.write_bytes((tmp_path / "elsewhere" / "index.json").read_bytes().replace(b'"x/', b'"../elsewhere/x/'))
    assert Store(tmp_path / "store").find(FINGERPRINT) is None


def test_a_damaged_manifest_is_not_found_but_named_and_can_be_rendered_again(tmp_path):
    whole = hashes(finished(tmp_path).folder.parents[2])
    store = Store(tmp_path)
    path = store.find(FINGERPRINT).folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:-30])
    assert store.find(FINGERPRINT) is None
    assert store.layers() == ()
    (fault,) = verify(store).faults
    assert str(tmp_path / fault.where) == str(path)
    assert fault.way_out.startswith("delete the folder and render the layer again")
    job = store.open_job(spec())
    assert job.pending == (0, 1, 2)
    render(job)
    job.finish()
    assert hashes(tmp_path) == whole


def test_a_layer_whose_page_is_gone_is_not_found_and_can_be_rendered_again(tmp_path):
    spritemap = finished(tmp_path)
    whole = hashes(tmp_path)
    (spritemap.folder / "atlas-0.webp").unlink()
    assert Store(tmp_path).find(FINGERPRINT) is None
    job = Store(tmp_path).open_job(spec())
    render(job)
    job.finish()
    assert hashes(tmp_path) == whole


def test_a_layer_of_a_newer_version_is_left_alone(tmp_path):
    path = finished(tmp_path).folder / "manifest.json"
    content = {**json.loads(path.read_text()), "schema_version": 2}
    path.write_text(json.dumps(content))
    assert Store(tmp_path).find(FINGERPRINT) is None
    with pytest.raises(StoreError, match="schema version 2, and this diamond-cutter reads up to 1; upgrade it"):
        Store(tmp_path).open_job(spec())
    assert json.loads(path.read_text()) == content


def test_verify_counts_and_names(tmp_path):
    folder = finished(tmp_path).folder
    finished(tmp_path, layer="next", fingerprint=OTHER)
    Store(tmp_path).open_job(spec(layer="third", fingerprint="abcdabcd"))
    report = verify(Store(tmp_path))
    assert (report.layers, report.pages, report.unfinished, report.faults) == (2, 2, 1, ())
    page = folder / "atlas-0.webp"
    page.write_bytes(page.read_bytes()[:-1] + b"!")
    report = verify(Store(tmp_path))
    assert (report.layers, report.pages) == (1, 1)
    assert [str(tmp_path / fault.where) for fault in report.faults] == [str(page)]


@pytest.mark.parametrize("name", [".", "..", "../../out", "/etc", "a\\b", "C:", "..x", "x..", "ü" * 300, "%2F"])
def test_no_name_leads_out_of_the_store(tmp_path, name):
    root = tmp_path / "store"
    found = finished(root, network=name, layer=name, recipe_name=name)
    assert (found.network, found.layer) == (name, name)
    assert len(found.folder.relative_to(root).parts) == 3
    assert found.folder.resolve().is_relative_to(root.resolve())
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert Store(root).find(FINGERPRINT).layer == name


def test_strays_of_dead_writers_go_and_those_of_live_ones_stay(tmp_path):
    job = Store(tmp_path).open_job(spec())
    render(job)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    parent = os.getppid()
    strays = {
        f".manifest.json.{_HOST}.{dead.pid}.0a0b0c0d-1.tmp": False,
        f".manifest.json.{_HOST}.{os.getpid()}.0a0b0c0d-1.tmp": False,
        f".manifest.json.{_HOST}.{parent}.0a0b0c0d-1.tmp": True,
        ".manifest.json.another-machine.1.0a0b0c0d-1.tmp": True,
        ".notes.tmp": True,
    }
    for name in strays:
        (job.folder / name).write_bytes(b"half")
    old = job.folder / ".manifest.json.another-machine.2.0a0b0c0d-1.tmp"
    old.write_bytes(b"half")
    os.utime(old, (1, 1))
    job.finish()
    assert {name: (job.folder / name).exists() for name in strays} == strays
    assert not old.exists()


def test_a_store_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file is a file; expected a folder"):
        Store(tmp_path / "file")
    with pytest.raises(StoreError, match=r"a file stands where the store .* needs a folder"):
        Store(tmp_path / "file" / "below").open_job(spec())


def test_a_store_opened_to_be_read_is_not_written(tmp_path):
    finished(tmp_path)
    (tmp_path / "index.json").unlink()
    before = hashes(tmp_path)
    store = Store(str(tmp_path), read_only=True)
    assert store.find(FINGERPRINT).layer == "block/conv"
    assert store.open_job(spec()).pending == ()
    with pytest.raises(StoreError, match="was opened to be read only; give another store"):
        store.open_job(spec(fingerprint=OTHER))
    with pytest.raises(StoreError, match="was opened to be read only"):
        store.rebuild()
    assert hashes(tmp_path) == before
    Store(tmp_path).rebuild()
    assert (tmp_path / "index.json").exists()


def run(code, folder, *, bound=True):
    """Run code in a process of its own; where `bound`, as a user whom the permissions bind."""
    setup = f"""
        import os, resource, sys
        sys.path.insert(0, {str(REPOSITORY)!r})
        from spritemaps import Store, StoreError
        from spritemaps.verify import verify
        from tests.spritemaps.sprites import FINGERPRINT, finished, hashes, render, spec
        import ast, zipfile, PIL.WebPImagePlugin
        folder = {str(folder)!r}
        if {bound} and os.getuid() == 0:
            os.setgid(65534), os.setuid(65534)
    """
    script = textwrap.dedent(setup) + textwrap.dedent(code)
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_a_store_that_may_not_be_written_says_so_before_anything_is_rendered_and_can_be_read():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        finished(folder)
        (Path(folder) / "index.json").unlink()
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        said = run(
            """
            store = Store(folder)
            print(len(store.find(FINGERPRINT)), store.open_job(spec()).pending, verify(store).layers)
            try:
                store.open_job(spec(fingerprint="abcdabcd"))
            except StoreError as error:
                print(error)
            """,
            folder,
        )
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o755)
    first, second = said.splitlines()
    assert first == "10 () 1"
    assert f"the store {folder} is not writable (Permission denied" in second
    assert "Give another store, or make the folder writable; what is finished in it can still be read" in second


def test_a_begun_job_whose_store_became_read_only_says_so_when_it_is_opened():
    with tempfile.TemporaryDirectory() as folder:
        job = Store(folder).open_job(spec())
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        said = run(
            """
            try:
                Store(folder).open_job(spec())
            except StoreError as error:
                print(error)
            """,
            folder,
        )
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o755)
    assert job.spec == spec()
    assert f"the store {folder} is not writable (Permission denied" in said


def test_a_full_disk_keeps_the_parts_and_leaves_no_half_file(tmp_path):
    said = run(
        """
        job = Store(folder).open_job(spec())
        render(job, [2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        try:
            render(job, [0])
        except StoreError as error:
            print(error)
        print(job.pending, Store(folder).open_job(spec()).pending, [p.name for p in (job.folder / "parts").iterdir()])
        """,
        tmp_path,
        bound=False,
    )
    first, second = said.splitlines()
    assert first.startswith(f"no room left for {tmp_path}")
    assert "free some space and run the same job again, and it goes on from there" in first
    assert second == "(0, 1) (0, 1) ['batch-00002.npz']"
