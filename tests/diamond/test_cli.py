"""The command line: answers, JSON, exit codes."""

import json
import resource
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from diamond.cli import app
from modelzoo.readiness import MEANINGS

RUN = CliRunner()


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    # What the machine has fetched before must not change what is said here.
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


def test_models_lists_the_zoo():
    done = RUN.invoke(app, ["models"])
    assert done.exit_code == 0
    assert "EfficientNetLite0" in done.stdout
    assert "ready" in done.stdout


def test_models_as_json():
    rows = json.loads(RUN.invoke(app, ["models", "--json"]).stdout)
    lite = next(row for row in rows if row["name"] == "EfficientNetLite0")
    assert lite["parameters"] == 4652008
    assert lite["weights"] == "ready"


def test_models_says_the_next_step_for_each_network_and_what_each_word_means():
    rows = {row["name"]: row for row in json.loads(RUN.invoke(app, ["models", "--json"]).stdout)}
    assert rows["EfficientNetLite0"]["next"] == "diamond check EfficientNetLite0"
    assert (rows["InceptionV4"]["weights"], rows["InceptionV4"]["next"]) == (
        "convertible",
        "diamond check InceptionV4",
    )
    assert (rows["Yamnet256_esc10"]["weights"], rows["Yamnet256_esc10"]["next"]) == (
        "none",
        "--weights FILE, with any command",
    )
    told = RUN.invoke(app, ["models", "--help"]).stdout
    assert all(f"{word}:" in told for word in MEANINGS)


def test_layers_in_network_order():
    done = RUN.invoke(app, ["layers", "efficientnet-lite0", "--landmarks"])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split("\t")[:4] == ["position", "layer", "kind", "channels"]
    assert lines[1].split("\t")[:4] == ["2", "stem_relu", "ReLU", "32"]
    assert len(lines) == 1 + 11


def test_layers_as_json():
    rows = json.loads(RUN.invoke(app, ["layers", "EfficientNetLite0", "--json"]).stdout)
    assert len(rows) == 144
    assert rows[84]["name"] == "block9_add"
    assert rows[84]["receptive_field_px"] == [275.0, 275.0]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("NasnetLarge", 1041), ("VGG19", 26)], ids=["most layers", "most weights"])
def test_the_layers_of_the_largest_networks_cost_less_than_20_seconds(name, rows):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = f"from diamond.cli import app; app(['layers', '{name}'])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert len(said.splitlines()) == rows
    # Of the processor: a busy machine takes longer by the clock.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20


def test_an_unknown_network_is_one_line_and_exit_code_1():
    done = RUN.invoke(app, ["layers", "Efficient"])
    assert done.exit_code == 1
    assert done.stderr.strip().startswith("diamond: no network 'Efficient' in the zoo")
    assert "Traceback" not in done.stderr
