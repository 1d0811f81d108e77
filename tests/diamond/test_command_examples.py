"""The examples that the commands' help gives run as they are written, on a real network and real photos."""

import shlex
import shutil
import sys
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

import diamond as dc
from spritemaps import packaged_store
from tests import tiny
from tests.diamond.test_command_line import COMMANDS, RUN, app, examples

# What would take minutes or hours, or until somebody stops it, is given more words here.
MORE = {
    "exemplars": ["--layers", "block9_add"],
    "health": ["--layers", "stem_relu,head_relu"],
    "pregenerate": ["--layers", "stem_relu", "--steps", "2", "--size", "32", "--retries", "0"],
    "explore": None,
}
# What an example leaves behind.
LEFT = {
    "attribute": "attribution.html photos.html",
    "convert": "cache/zoo/MyNet/card.toml",
    "cut": "flowers.html",
    "compare": "comparison.html",
    "demo": "diamond-demo/index.html",
    "embed": "embedding.html",
    "filters": "filters.html",
    "health": "health.html",
    "invert": "inversion.html",
    "map": "map.html",
    "merge": "all-sprites/index.json",
    "occlude": "occlusion.html",
    "render": "rendering.png",
    "saliency": "saliency.html",
    "site": "site/index.html",
    "sprites": "block9.png",
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder as the examples take it to be: a cat, photos, labelled folders, a store, a student."""
    folder = tmp_path_factory.mktemp("desk")
    shown = Path(skimage.data.__file__).parent
    names = ("chelsea.png", "coffee.png", "astronaut.png")
    pictures = {name: Image.open(shown / name).convert("RGB") for name in names if (shown / name).is_file()}
    pictures["chelsea.png"].save(folder / "cat.jpg")
    for place in ("photos", "flowers/roses", "flowers/tulips", "cats/Egyptian cat", "cats/lynx"):
        (folder / place).mkdir(parents=True)
    for name, picture in pictures.items():
        picture.save(folder / "photos" / name)
    for kind, picture in zip(("roses", "tulips"), (pictures["chelsea.png"], pictures["coffee.png"]), strict=True):
        for number in range(6):
            picture.crop((20 * number, 0, 20 * number + 250, 250)).save(folder / "flowers" / kind / f"{number}.png")
    for kind in ("Egyptian cat", "lynx"):
        for number in range(6):
            box = (10 * number, 40 * (kind == "lynx"), 10 * number + 250, 290)
            pictures["chelsea.png"].crop(box).save(folder / "cats" / kind / f"{number}.png")
    shutil.copytree(packaged_store().root, folder / "sprites")
    tiny.linear_tail().save(folder / "net.keras")
    student = dc.attach(dc.load("EfficientNetLite0"), "block2_add", classes=["Egyptian cat", "lynx"])
    dc.save(student, folder / "student")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("line", [example for name in sorted(COMMANDS) for example in examples(name)])
def test_an_example_runs_as_it_is_written(line, desk, monkeypatch):
    _, name, *words = shlex.split(line)
    more = MORE.get(name, [])
    if more is None:
        pytest.skip("it goes on until it is stopped; its own tests drive it")
    monkeypatch.chdir(desk)
    monkeypatch.setenv("DIAMOND_CACHE", str(desk / "cache"))
    done = RUN.invoke(app, [name, *words, *more], prog_name="diamond")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr
    for file in LEFT.get(name, "").split()[: 1 if "--out" not in line else None][-1:]:
        assert (desk / file).is_file()


def test_the_page_of_the_documentation_is_what_the_commands_say():
    docs = Path(__file__).resolve().parents[2] / "docs"
    sys.path.insert(0, str(docs))
    try:
        from command_line import page
    finally:
        sys.path.remove(str(docs))
    # Where it is not: python docs/command_line.py
    assert (docs / "command-line.md").read_text(encoding="utf-8") == page()
