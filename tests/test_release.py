"""The release: what is in the wheel, that it works where nothing else is, and whose licences it names."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import diamond as dc
from modelzoo.cards import read_card

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("diamond", "modelzoo", "spritemaps")
CARDS = sorted((ROOT / "modelzoo" / "cards").glob("*.toml"))
# In an environment that has the wheel and nothing else, from an empty folder: shipped sprites, a photo, the answer, why.
FIRST_CELL = """
import skimage.data
import diamond as dc
net = dc.load("EfficientNetLite0")
photo = skimage.data.chelsea()
print(net.predict(photo, top=1).to_dataframe()["label"].iloc[0])
why = dc.channel_attribution(net, photo, "block9_add")
why.save("why.html")
print(dc.spritemap(net, "block9_add").manifest.recipe_name)
"""


def tracked():
    """Every file of the three packages that git keeps; without git there is nothing to compare with."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git checkout: what a release holds is what git keeps")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built by the command a release is built with, from nothing but the files git keeps."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    done = subprocess.run([sys.executable, "-m", "build", "--outdir", built, source], capture_output=True, text=True)
    if done.returncode and "Could not find a version that satisfies the requirement setuptools" in done.stdout:
        pytest.skip("no package registry here: a build needs setuptools from it")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(built.glob("*.tar.gz"))) == 1
    return next(built.glob("*.whl"))


def licences_in_notice():
    """The networks NOTICE lists under each licence of weights."""
    told = (ROOT / "NOTICE").read_text(encoding="utf-8").split("Weights that it fetches when asked")[1]
    found: dict[str, set[str]] = {}
    licence = ""
    for line in told.splitlines():
        if line.startswith("  "):
            found[licence] |= set(re.findall(r"\w+", line))
        elif "," in line:
            licence = line.split(",")[0]
            found.setdefault(licence, set())
    return found


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_the_notice_names_every_network_under_the_licences_of_its_weights(path):
    card = read_card(path)
    notice = licences_in_notice()
    told = {source.licence.split(" (")[0] for source in card.weights} or {"No licence is stated"}
    assert {licence for licence, networks in notice.items() if card.name in networks} == told


def test_networks_whose_sprites_ship_are_named_in_the_notice():
    ships = (ROOT / "NOTICE").read_text(encoding="utf-8").split("Weights that it fetches when asked")[0]
    networks = [path.name for path in (ROOT / "spritemaps" / "data").iterdir() if path.is_dir()]
    assert len(networks) >= 2
    assert [name for name in networks if name not in ships] == []


def test_the_version_is_told_alike_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"(?m)^version: (.+)$", citation)[1] == dc.__version__
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8") or dc.__version__ in citation


@pytest.mark.slow
def test_the_wheel_holds_what_git_keeps_of_the_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {info.filename: info.file_size for info in archive.infolist()}
    held = {name for name in inside if ".dist-info/" not in name}
    assert held == {name for name in tracked() if name.split("/")[0] in PACKAGES}
    assert sorted(Path(name).name for name in inside if "/licenses/" in name) == ["LICENSE", "NOTICE"]
    large = [name for name, size in inside.items() if size > 200_000 and not name.startswith("spritemaps/data/")]
    assert large == []
    assert wheel.stat().st_size < 60e6


@pytest.mark.slow
def test_the_wheel_works_in_a_clean_environment(wheel, tmp_path):
    clean = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", clean], check=True)
    python = clean / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "install", "--quiet", wheel], capture_output=True, text=True)
    if done.returncode and "No matching distribution found" in done.stderr:
        pytest.skip("no package registry here: " + done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    subprocess.run([*pip, "check"], check=True)

    empty = tmp_path / "empty"
    empty.mkdir()
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DIAMOND_"))}
    surroundings |= {"DIAMOND_CACHE": str(tmp_path / "cache"), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def told(*command):
        done = subprocess.run(command, cwd=empty, env=surroundings, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "EfficientNetLite0" in told(clean / "bin" / "diamond", "models")
    assert told(python, "-c", FIRST_CELL).splitlines() == ["tiger cat", "sprite"]
    assert (empty / "why.html").stat().st_size > 20_000
    told(clean / "bin" / "diamond", "demo")
    assert (empty / "diamond-demo" / "index.html").stat().st_size > 100_000
