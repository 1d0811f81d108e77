"""``diamond attribute``: a page about real pictures, its layers chosen, and errors in one line."""

import re
from pathlib import Path

import pytest
import skimage.data
from typer.testing import CliRunner

import diamond as dc
from diamond.attribution.report import landmark_to_map, landmarks_to_show
from diamond.cli import app
from spritemaps import packaged_store
from tests import tiny

RUN = CliRunner()
CAT = Path(skimage.data.__file__).parent / "chelsea.png"


@pytest.fixture
def own(tmp_path):
    """A model file of one's own."""
    path = tmp_path / "own.keras"
    tiny.linear_tail().save(path)
    return str(path)


def test_a_real_photo_becomes_one_page_with_sprites_and_a_map(tmp_path):
    page = tmp_path / "cat.html"
    done = RUN.invoke(app, ["attribute", "EfficientNetLite0", str(CAT), "--negative", "lynx", "--out", str(page)])
    assert done.exit_code == 0, done.stderr
    assert "tiger cat (282)" in done.stdout
    shallow, middle, deep = landmarks_to_show(dc.load("EfficientNetLite0"))
    assert f"{deep}: channels for tiger cat against lynx:" in done.stdout
    assert done.stdout.strip().endswith("cat.html")
    document = page.read_text(encoding="utf-8")
    assert [re.sub("<.*?>", "", each) for each in re.findall("<h2>.*?</h2>", document)] == [
        "What is in it?",
        "Which channels said so?",
        shallow,
        middle,
        deep,
        "Where did it look?",
    ]
    # A photo with the answers, eight sprites for each of two classes in each of three layers, a photo under its map.
    assert document.count("<img") == 1 + 48 + 2
    assert "No store has sprites" not in document
    assert not re.search(r"(src|href)=\"(?!data:)", document)
    assert len(document) < 1_500_000


def test_a_folder_counts_every_picture_and_tells_what_is_broken(own, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.png").write_bytes(CAT.read_bytes())
    (folder / "d.png").write_bytes(CAT.read_bytes()[:2000])
    page = tmp_path / "page.html"
    options = ["--layers", "conv, features", "--positive", "2", "--top", "3", "--out", str(page)]
    done = RUN.invoke(app, ["attribute", own, str(folder), *options])
    assert done.exit_code == 0, done.stderr
    assert "diamond: skipped 1 of 4 pictures: d.png: truncated or damaged" in done.stderr
    assert "linear_tail conv: channels for 2" in done.stdout
    document = page.read_text(encoding="utf-8")
    assert "summed over 3 pictures" in document
    assert "1 skipped: d.png" in document


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--positive", "none"], "channels for all classes"),
        (["--method", "path", "--negative", "others"], "against all others"),
        (["--positive", "1", "--negative", "top1"], "channels for 1 against"),
    ],
)
def test_the_question_can_be_any(own, tmp_path, options, words):
    page = tmp_path / "page.html"
    done = RUN.invoke(app, ["attribute", own, str(CAT), *options, "--out", str(page)])
    assert done.exit_code == 0, done.stderr
    assert words in done.stdout
    assert page.stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--layers", "featurs"], "no layer 'featurs'; did you mean 'features'"),
        (["--positive", "9"], "no class 9; the indices run from 0 to 3"),
        (["--method", "paths"], "did you mean 'path'"),
        (["--out", "page.pdf"], "expected a name that ends in .html"),
        (["--out", "nowhere/page.html"], "no folder nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(own, options, words):
    done = RUN.invoke(app, ["attribute", own, str(CAT), *options])
    assert done.exit_code == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_three_depths_are_shown_and_those_with_sprites_first():
    net = dc.load("EfficientNetLite0")
    chosen = landmarks_to_show(net)
    assert len(chosen) == 3
    assert list(chosen) == sorted(chosen, key=[layer.name for layer in net.layers].index)
    assert all(packaged_store().find(net.fingerprint(name)) is not None for name in chosen)
    # Random weights have no sprites, so all landmarks are spread over.
    assert landmarks_to_show(dc.load("EfficientNetLite0", weights=None)) == ("block2_add", "block10_add", "head_relu")
    assert set(landmarks_to_show(dc.load(tiny.linear_tail()))) <= {"conv", "features"}


def test_the_heatmap_is_of_the_deepest_layer_with_places():
    assert landmark_to_map(dc.load("EfficientNetLite0", weights=None)) == "head_relu"
    assert landmark_to_map(dc.load(tiny.linear_tail())) == "features"


def test_the_command_has_help_with_an_example():
    assert "Example: diamond attribute" in RUN.invoke(app, ["attribute", "--help"]).stdout
