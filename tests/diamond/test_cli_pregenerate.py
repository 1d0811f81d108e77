"""``diamond pregenerate`` and ``diamond status``."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from diamond.cli import app
from diamond.cli.pregenerate import read_duration, read_numbers
from tests.spritemaps.sprites import finished, render, spec


def run(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def test_it_renders_a_layer_and_status_tells(tmp_path):
    store = tmp_path / "sprites"
    how = ("--store", store, "--layers", "stem_relu", "--size", 16, "--steps", 2, "--retries", 0)
    done = run("pregenerate", "EfficientNetLite0", *how)
    assert done.exit_code == 0, done.output
    assert "32 of 32 channels in 1 layer" in done.output
    told = run("status", store)
    assert "EfficientNetLite0: 1 of 1 layers finished; 32 of 32 channels" in told.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--layers", "stem_rel"), "no layer 'stem_rel'; did you mean 'stem_relu'"),
        (("--recipe", "sprit"), "no recipe 'sprit'; did you mean 'sprite'?"),
        (("--budget", "soon"), "a budget of 'soon'; expected something like 45m, 2h or 1h30m"),
        (("--channels", "3-"), "'3-' is no number and no range"),
        (("--shard", "3/2"), "expected i/n with i from 1 to n"),
        (("--photos", "/nowhere"), "no file /nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_1(tmp_path, words, message):
    done = run("pregenerate", "EfficientNetLite0", "--store", tmp_path / "s", *words)
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("1h30m", 5400), ("45m", 2700), ("90s", 90), ("10", 600), ("0.5h", 1800)]
)
def test_a_budget_is_read_as_people_write_it(text, seconds):
    assert read_duration(text) == seconds


def test_channels_are_numbers_and_ranges():
    assert read_numbers("0-3,40,7-7") == [0, 1, 2, 3, 40, 7]


def test_status_counts_what_is_finished_and_what_is_begun(tmp_path):
    from spritemaps import Store

    finished(tmp_path, layer="first", fingerprint="abcdabcd" * 8)
    render(Store(tmp_path).open_job(spec(layer="second")), [0])
    said = json.loads(run("status", tmp_path, "--json").output)
    rows = said["networks"][0]["layers"]
    assert [(r["layer"], r["state"], r["done"], r["channels"], r["dead"]) for r in rows] == [
        ("first", "finished", 10, 10, 2),
        ("second", "unfinished", 4, 10, 0),
    ]
    assert said["idle_s"] < 60


def test_status_of_nothing_says_so(tmp_path):
    assert "nothing is rendered or begun in this store" in run("status", tmp_path).output
    gone = run("status", tmp_path / "nowhere")
    assert (gone.exit_code, f"no store at {tmp_path / 'nowhere'}" in gone.output) == (1, True)


def test_status_does_not_import_tensorflow(tmp_path):
    code = (
        "import sys; from diamond.pregenerate.status import status_of; status_of(sys.argv[1]);"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
