"""Files of one's own in a notebook, in Colab and elsewhere."""

import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import diamond as dc
from diamond.notebook import NothingGivenError, in_colab, keep_in, pictures, sounds
from spritemaps import user_store
from tests.modelzoo.loopback import Answer, serving


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))


def png(path, level=128):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(path)
    return path


@pytest.fixture
def colab(monkeypatch):
    """Stand in for the modules that exist on Colab's machines alone: what a user would choose there, and what they did."""
    stand_in = types.SimpleNamespace(chosen={}, mounted=[], refused=None)

    def upload():
        for name, content in stand_in.chosen.items():
            Path(name).write_bytes(content)
        return dict(stand_in.chosen)

    def mount(place):
        if stand_in.refused:
            raise stand_in.refused
        stand_in.mounted.append(place)

    google, module = types.ModuleType("google"), types.ModuleType("google.colab")
    module.files = types.SimpleNamespace(upload=upload)
    module.drive = types.SimpleNamespace(mount=mount)
    google.colab = module
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", module)
    return stand_in


def test_without_anything_of_ones_own_there_are_five_photos_and_a_sound():
    assert [path.name for path in pictures()] == [
        "chelsea.png", "coffee.png", "grace_hopper.jpg", "china.jpg", "flower.jpg",
    ]  # fmt: skip
    assert [dc.image(path).shape for path in pictures()][:2] == [(300, 451, 3), (400, 600, 3)]
    assert [sound.duration_s for sound in sounds()] == [6.0]
    assert pictures(default=["mine.png"]) == ["mine.png"]
    assert not in_colab()


def test_a_folder_gives_its_pictures_in_the_order_of_their_names(tmp_path):
    for name in ("b.png", "in/a.JPG", "c.webp"):
        png(tmp_path / "mine" / name)
    (tmp_path / "mine" / "notes.txt").write_text("no picture")
    assert [path.name for path in pictures(folder="mine")] == ["b.png", "c.webp", "a.JPG"]
    assert pictures(folder=" mine/b.png ") == [Path("mine/b.png")]


def test_a_folder_without_what_is_asked_for_says_what_was_looked_for(tmp_path):
    png(tmp_path / "mine" / "a.png")
    with pytest.raises(NothingGivenError, match=r"no sound in the folder mine \(among 1 files\); looked for .wav"):
        sounds(folder="mine")
    with pytest.raises(FileNotFoundError, match="did you mean 'mine'"):
        pictures(folder="mien")


def test_pictures_are_fetched_from_addresses(tmp_path):
    content = png(tmp_path / "cat.png").read_bytes()
    with serving({"/a/cat.png": Answer(content), "/b/cat.png?size=8": Answer(content)}) as site:
        found = pictures(address=f"{site.address}/a/cat.png  {site.address}/b/cat.png?size=8")
    assert [str(path) for path in found] == [os.path.join("uploads", "cat.png"), os.path.join("uploads", "1_cat.png")]
    assert found[1].read_bytes() == content


def test_an_upload_elsewhere_is_what_lies_in_the_folder_uploads(tmp_path):
    with pytest.raises(NothingGivenError, match="the file picker is Colab's; here put each picture into the folder"):
        pictures(upload=True)
    png(tmp_path / "uploads" / "cat.png")
    assert pictures(upload=True) == [Path("uploads/cat.png")]


def test_an_upload_in_colab_gives_what_was_chosen_now(colab, tmp_path):
    colab.chosen = {"cat.png": png(tmp_path / "there" / "cat.png").read_bytes()}
    assert in_colab()
    assert pictures(upload=True) == [Path("uploads/cat.png")]
    colab.chosen = {"cat.png": b"another", "dog.png": b"a dog"}
    assert [path.read_bytes() for path in pictures(upload=True)] == [b"another", b"a dog"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there", "uploads"]


def test_a_cancelled_upload_says_what_to_do(colab):
    with pytest.raises(NothingGivenError, match="no sound was uploaded; run the cell again and choose one, or untick"):
        sounds(upload=True)


def test_what_is_kept_lies_where_it_was_said(tmp_path):
    assert keep_in() == tmp_path / "cache"
    assert keep_in(folder="kept") == tmp_path / "kept"
    assert user_store().root == tmp_path / "kept" / "spritemaps"


def test_elsewhere_there_is_no_drive_to_mount(capsys, tmp_path):
    assert keep_in(drive=True, folder="kept") == tmp_path / "kept"
    assert capsys.readouterr().out.startswith("Google Drive is mounted in Colab only")


def test_in_colab_everything_is_kept_on_drive(colab, monkeypatch, tmp_path):
    monkeypatch.setattr("diamond.notebook.DRIVE", str(tmp_path / "drive"))
    assert keep_in(drive=True) == tmp_path / "drive" / "MyDrive" / "diamond-cutter"
    assert keep_in(drive=True, folder="work/cats") == tmp_path / "drive" / "MyDrive" / "work" / "cats"
    assert user_store().root == tmp_path / "drive" / "MyDrive" / "work" / "cats" / "spritemaps"
    assert colab.mounted == [str(tmp_path / "drive")] * 2


def test_a_drive_that_is_refused_says_how_to_go_on(colab):
    colab.refused = ValueError("mount failed")
    with pytest.raises(RuntimeError, match=r"not mounted \(mount failed\); run the cell again and allow it, or untick"):
        keep_in(drive=True)
