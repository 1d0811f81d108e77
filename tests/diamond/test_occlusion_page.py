"""What a user looks at: the page in a real browser, the figure, and ``diamond occlude``."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import diamond as dc
from diamond.cli import app
from tests import tiny

RUN = CliRunner()
NASTY = "<script>document.title='broken'</script>\"'&.png"
PICTURE = np.random.default_rng(0).random((8, 6, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def found():
    net = dc.load(tiny.linear_tail(), input=(0, 1))
    return dc.occlude(net, PICTURE, target=[0, 1], window=3, stride=2)


@pytest.fixture
def own(tmp_path):
    """A model file of one's own, and a photo."""
    path = tmp_path / "own.keras"
    tiny.linear_tail().save(path)
    Image.fromarray((PICTURE * 255).astype(np.uint8)).save(tmp_path / "photo.png")
    return str(path), str(tmp_path / "photo.png")


def test_a_page_shows_each_target_by_logit_and_probability(browser, found, tmp_path):
    nasty = dataclasses.replace(found, image=NASTY, targets=(NASTY, "b"), network=NASTY, fill=NASTY, why=NASTY)
    asked, shown = [], browser.new_context(viewport={"width": 375, "height": 700}, color_scheme="dark").new_page()
    shown.on("request", lambda request: asked.append(request.url))
    path = nasty.save(tmp_path / "map.html")
    shown.goto(path.as_uri())
    assert [url for url in asked if not url.startswith(("data:", path.as_uri()))] == []
    assert shown.locator(".stack").count() == 4
    assert shown.locator(".sprite img").count() == 12
    assert shown.evaluate("document.documentElement.scrollWidth") <= 375
    assert shown.locator("main script").count() == 0
    assert shown.title() != "broken"
    sizes = shown.eval_on_selector_all("img", "all => all.map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
    assert all(natural > 0 and width > 20 for natural, width in sizes)
    # The heatmap lies on its picture.
    for stack in shown.locator(".stack").all():
        under, over = (stack.locator(part).bounding_box() for part in (".under", ".over"))
        assert over == pytest.approx(under, abs=1)


def test_a_notebook_gets_a_frame_and_a_paper_a_figure(found):
    assert found._repr_html_().startswith("<iframe")
    panels = [panel for panel in found.plot().axes if panel.images]
    assert len(panels) == 5
    channels = dc.occlude(dc.load(tiny.linear_tail(), input=(0, 1)), PICTURE, layer="features", shape="channels")
    assert "channel" in channels._page()
    assert len([panel for panel in channels.plot().axes if panel.images]) == 3


def test_the_command_writes_a_page_and_says_what_it_did(own, tmp_path):
    model, photo = own
    options = ["--window", "3x2", "--stride", "2", "--target", "1; top1", "--fill", "white", "--method", "full"]
    done = RUN.invoke(app, ["occlude", model, photo, *options, "--out", str(tmp_path / "map.html")])
    assert done.exit_code == 0, done.stderr
    assert "linear_tail: what 1 / " in done.stdout
    assert "windows of 3 x 2 px, every 2 x 2; fill: white." in done.stdout
    assert "logit" in (tmp_path / "map.html").read_text(encoding="utf-8")
    done = RUN.invoke(app, ["occlude", model, photo, photo, "--window", "3", "--out", str(tmp_path / "map.csv")])
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "map.csv").read_text(encoding="utf-8").startswith("image,window,top,left,bottom,right,target")


def test_a_folder_tells_what_is_broken(own, tmp_path):
    model, photo = own
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.png").write_bytes(Path(photo).read_bytes())
    (folder / "c.png").write_bytes(Path(photo).read_bytes()[:60])
    done = RUN.invoke(app, ["occlude", model, str(folder), "--window", "4", "--out", str(tmp_path / "maps.html")])
    assert done.exit_code == 0, done.stderr
    assert "diamond: skipped 1 of 3 pictures: c.png" in done.stderr
    page = (tmp_path / "maps.html").read_text(encoding="utf-8")
    assert re.findall(r"<h2>([ab]\.png)</h2>", page) == ["a.png", "b.png"]
    assert "1 skipped: c.png" in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--window", "3by2"], "the window is '3by2'; expected pixels, as 32 or 40x24"),
        (["--window", "9"], "expected at most 8 x 6"),
        (["--target", "9"], "no class 9; the indices run from 0 to 3"),
        (["--method", "fast"], "method is 'fast'; did you mean"),
        (["--fill", "blurr"], "did you mean 'blur'"),
        (["--out", "map.pdf"], "expected a name that ends in .html"),
        (["--out", "nowhere/map.html"], "no folder nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(own, options, words):
    done = RUN.invoke(app, ["occlude", *own, *options])
    assert done.exit_code == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
