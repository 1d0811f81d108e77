"""What is found wrong with a store, and by the command that tells it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from diamond.cli import app
from spritemaps import Store, StoreError, packaged_store
from spritemaps.verify import verify
from tests.spritemaps.sprites import finished, hashes, render, spec

PLACE = "Tiny/block%2Fconv/sprite-01234567"


def faults(root):
    return [(fault.where, fault.what) for fault in verify(Store(root, read_only=True)).faults]


def test_a_store_that_is_well_is_told_so(tmp_path):
    finished(tmp_path)
    render(Store(tmp_path).open_job(spec(layer="conv2", fingerprint="ab" * 32)), [0])
    before = hashes(tmp_path)
    found = verify(Store(tmp_path))
    assert (found.layers, found.pages, found.unfinished, found.faults) == (1, 1, 1, ())
    assert str(found) == "1 layer, 1 page, 1 unfinished: all is well"
    assert hashes(tmp_path) == before
    assert verify(packaged_store()).faults == ()


def test_a_flipped_bit_and_a_lost_page_are_found(tmp_path):
    finished(tmp_path)
    page = tmp_path / PLACE / "atlas-0.webp"
    content = bytearray(page.read_bytes())
    content[50] ^= 1
    page.write_bytes(content)
    found = verify(Store(tmp_path))
    assert (found.layers, found.pages) == (0, 0)
    assert [(f.where, f.what) for f in found.faults] == [
        (f"{PLACE}/atlas-0.webp", "atlas-0.webp is damaged: its content is not what the manifest says")
    ]
    assert "render the layer again" in found.faults[0].way_out
    page.unlink()
    assert faults(tmp_path) == [(f"{PLACE}/atlas-0.webp", "atlas-0.webp cannot be read (No such file or directory)")]


def test_a_count_that_does_not_fit_is_found(tmp_path):
    finished(tmp_path)
    manifest = tmp_path / PLACE / "manifest.json"
    told = json.loads(manifest.read_text())
    del told["records"][3]
    manifest.write_text(json.dumps(told))
    (first, index) = faults(tmp_path)
    assert first[0] == f"{PLACE}/manifest.json"
    assert "9 records and 1 pages do not make up 10 channels" in first[1]
    assert index == ("index.json", f"names {PLACE}, which holds no finished layer")


def test_a_page_of_another_size_is_found(tmp_path):
    import hashlib

    finished(tmp_path)
    page, manifest = tmp_path / PLACE / "atlas-0.webp", tmp_path / PLACE / "manifest.json"
    Image.new("RGB", (64, 32)).save(page, "WEBP")
    told = json.loads(manifest.read_text())
    told["pages"][0] |= {"bytes": page.stat().st_size, "sha256": hashlib.sha256(page.read_bytes()).hexdigest()}
    manifest.write_text(json.dumps(told))
    assert faults(tmp_path) == [(f"{PLACE}/atlas-0.webp", "atlas-0.webp measures (64, 32) px; expected (64, 64)")]


def test_a_fingerprint_that_does_not_fit_is_found(tmp_path):
    finished(tmp_path)
    manifest = tmp_path / PLACE / "manifest.json"
    manifest.write_text(manifest.read_text().replace("0123456789abcdef" * 4, "ef" * 32))
    assert faults(tmp_path) == [
        (PLACE, "the folder's name does not hold the fingerprint efefefef of its manifest"),
        ("index.json", f"gives {PLACE} the fingerprint 01234567; its manifest says efefefef"),
    ]


def test_an_index_that_is_behind_is_found(tmp_path):
    finished(tmp_path)
    (tmp_path / "index.json").unlink()
    assert faults(tmp_path) == [("index.json", "missing, damaged or empty")]
    finished(tmp_path, layer="conv2", fingerprint="ab" * 32)
    index = (tmp_path / "index.json").read_bytes()
    finished(tmp_path, layer="conv3", fingerprint="cd" * 32)
    (tmp_path / "index.json").write_bytes(index)
    assert faults(tmp_path) == [("index.json", "does not name Tiny/conv3/sprite-cdcdcdcd")]
    (tmp_path / "Tiny" / "conv3" / "stray").mkdir()
    (tmp_path / "Tiny" / "conv3" / "stray" / "notes.txt").write_text("")
    assert ("Tiny/conv3/stray", "neither manifest.json nor job.json") in faults(tmp_path)


def test_the_command_ends_with_1_and_a_table_where_something_is_wrong(tmp_path):
    finished(tmp_path)
    assert CliRunner().invoke(app, ["verify", str(tmp_path)]).output == "1 layer, 1 page: all is well\n"
    (tmp_path / PLACE / "atlas-0.webp").unlink()
    said = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert said.exit_code == 1
    assert said.output.startswith("where\twhat\tway_out\n" + PLACE)
    assert "0 layers, 0 pages: 1 fault" in said.output
    said = CliRunner().invoke(app, ["verify", str(tmp_path), "--json"])
    assert said.exit_code == 1
    assert json.loads(said.output)["faults"][0]["where"] == f"{PLACE}/atlas-0.webp"
    said = CliRunner().invoke(app, ["verify", str(tmp_path / "nowhere")])
    assert said.exit_code == 1
    assert "there is no store at" in said.stderr
    with pytest.raises(StoreError, match="there is no store at"):
        verify(Store(tmp_path / "nowhere"))


def test_the_commands_merge_and_make_a_site(tmp_path):
    finished(tmp_path / "a")
    said = CliRunner().invoke(app, ["merge", str(tmp_path / "a"), str(tmp_path / "b")])
    assert said.output.splitlines()[0] == "Tiny block/conv: copied, 0.0 MB"
    assert said.output.splitlines()[1].startswith("1 layer copied, 0 replaced by better ones, 0 kept")
    said = CliRunner().invoke(app, ["site", str(tmp_path / "b"), str(tmp_path / "site"), "--title", "Ours"])
    assert said.output.strip().endswith("index.html")
    assert "<title>Ours</title>" in (tmp_path / "site" / "index.html").read_text()
    (tmp_path / "a" / PLACE / "atlas-0.webp").unlink()
    said = CliRunner().invoke(app, ["merge", str(tmp_path / "a"), str(tmp_path / "c")])
    assert said.exit_code == 1
    assert "1 damaged layer left out" in said.output


def test_no_command_about_stores_brings_in_tensorflow(tmp_path):
    finished(tmp_path / "a")
    commands = [["verify", "a"], ["merge", "a", "b"], ["site", "a", "out"]]
    code = (
        "import sys; from diamond.cli import app\n"
        f"for command in {commands!r}:\n"
        "    app(command, standalone_mode=False)\n"
        "print(sorted({'tensorflow', 'keras', 'fsspec'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    began = os.times().children_user
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert said.stdout.splitlines()[-1] == "[]"
    assert os.times().children_user - began < 5
