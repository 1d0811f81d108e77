"""Every notebook runs from top to bottom, is kept without what it gave, and its forms say what the library has."""

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from modelzoo.registry import packaged_cards

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
REPOSITORY = "diamond-cutter/diamond-cutter"
JOURNEYS = {
    "What is in this network?": ("networks",),
    "What do its channels look for?": ("rendering", "pregeneration"),
    "What did my images activate?": ("attribution",),
    "Where does it look?": ("occlusion", "sounds"),
    "Where do I cut it for my data?": ("transfer",),
    "Is the network healthy?": ("health",),
}
# What stands in a form field is replaced, so that a run takes seconds; a name a notebook does not have is passed over.
QUICK = {
    "samples": 60,
    "epochs": 2,
    "steps": 16,
    "size_px": 32,
    "layer": '"block2_add"',
    "early_layer": '"block0_project_bn"',
    "later_layer": '"block4_add"',
    "channels": [3, 5],
    "weights": "None",
    "budget_s": 1,
}
# What takes minutes even so.
SLOW = ("gallery", "health")
FIELD = re.compile(r"^(\w+) = (.+?)  #@param ?(\[.*?\])? ?(\{.*\})?$")
KINDS = {"string": str, "integer": int, "number": float, "boolean": bool, "raw": object, "slider": (int, float)}


def program(name):
    """Import a program of the docs folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path):
    return nbformat.read(path, as_version=4)


def code_of(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def with_fields(notebook, values):
    """Put other values into a notebook's form fields, ``name = value  #@param``."""
    for cell in notebook.cells:
        for name, value in values.items():
            cell.source = re.sub(rf"(?m)^{name} = .*?(?=  #@param)", f"{name} = {value}", cell.source)
    return notebook


def fields(notebook):
    """The form fields as ``(name, value, options, settings)``; a line that looks like one and is none raises."""
    for source in code_of(notebook):
        for line in source.splitlines():
            if "#@param" in line:
                found = FIELD.match(line)
                assert found is not None, f"no form field in Colab's grammar: {line}"
                name, value, options, settings = found.groups()
                keyed = re.sub(r"([\w-]+):", r'"\1":', settings) if settings else "{}"
                yield name, ast.literal_eval(value), json.loads(options) if options else None, json.loads(keyed)


every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_is_a_notebook_for_every_journey_and_a_gallery():
    named = {name for names in JOURNEYS.values() for name in names} | {"gallery"}
    assert {path.stem for path in NOTEBOOKS} == named
    in_order = [name for names in JOURNEYS.values() for name in names]
    assert list(program("notebooks").ORDER) == [*in_order, "gallery"]


def test_every_function_is_shown_in_a_notebook():
    stub = ast.parse((ROOT / "diamond" / "__init__.pyi").read_text(encoding="utf-8"))
    modules = [node for node in stub.body if isinstance(node, ast.ImportFrom) and node.module is not None]
    public = [alias.name for node in modules if "objectives" not in node.module for alias in node.names]
    sources = "\n".join(source for path in NOTEBOOKS for source in code_of(read(path)))
    assert [name for name in public if name[0].islower() and not re.search(rf"\bdc\.{name}\b", sources)] == []


@every_notebook
def test_a_notebook_is_kept_without_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    kept = [cell.id for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
    assert kept == []
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert [word for word in ("/tmp/", "/work/", "/home/", "/root/") if word in path.read_text(encoding="utf-8")] == []


@every_notebook
def test_a_notebook_begins_with_what_it_is_for_and_installs_what_is_missing(path):
    first, install = read(path).cells[:2]
    assert first.source.startswith("# ")
    opens = f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/notebooks/{path.name}"
    assert f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({opens})" in first.source
    assert "\n|---|---|\n" in first.source
    assert f'source = "git+https://github.com/{REPOSITORY}"' in install.source
    assert 'if importlib.util.find_spec("diamond") is None:\n    %pip install -q $source' in install.source


@every_notebook
def test_a_form_is_in_colabs_grammar_and_its_values_are_what_it_says(path):
    for name, value, options, settings in fields(read(path)):
        if options is not None:
            assert value in options, name
            assert settings in ({}, {"allow-input": True})
        else:
            assert isinstance(value, KINDS[settings["type"]]), name
        if settings.get("type") == "slider":
            assert settings["min"] <= value <= settings["max"]
            assert (value - settings["min"]) % settings["step"] == 0


@every_notebook
def test_a_field_is_used(path):
    notebook = read(path)
    source = "\n".join(re.sub(r"(?m)^(\s*)%.*\$(\w+)", r"\1\2", each) for each in code_of(notebook))
    used = {
        node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert [name for name, *_ in fields(notebook) if name not in used] == []


@every_notebook
def test_drop_downs_list_what_the_library_gives(path):
    text = path.read_text(encoding="utf-8")
    assert program("notebook_forms").filled_notebook(text) == text, "run python docs/notebook_forms.py"


def test_the_lists_of_the_forms():
    choices = program("notebook_forms").choices
    assert choices("layer")[:2] == ["stem_relu", "block0_project_bn"]
    assert choices("network") == [name for name, card in packaged_cards().items() if card.input.audio is None]
    assert choices("network", "YAMNet")[-1] == "Yamnet256_esc10"
    assert choices("tag", "MusicnnVGG_MTT")[:4] == ["top1", "top2", "top3", "guitar"]
    known = set(program("notebook_forms").read_classes("imagenet"))
    assert [label for label in choices("class_name") if label not in known] == []
    with pytest.raises(KeyError, match="no list for a field 'colour'"):
        choices("colour")


def test_a_stale_list_is_filled():
    filled = program("notebook_forms").filled
    assert filled('sound_layer = "c"  #@param ["old"] {allow-input: true}', "YAMNet").startswith(
        'sound_layer = "c"  #@param ["layer1.relu"'
    )
    assert filled("steps = 1  #@param") == "steps = 1  #@param"


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW)) for path in NOTEBOOKS],
)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    notebook = with_fields(read(path), QUICK)
    ran = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [(cell, output) for cell in ran.cells for output in cell.get("outputs", [])]
    told = [output.text for _, output in outputs if output.get("name") == "stderr"]
    # Where Jupyter has no widgets, tqdm says so and draws its bar as text.
    assert [text for text in told if "WARN" in text.upper() and "IProgress" not in text] == []
    shown = {cell.id for cell, output in outputs if set(output.get("data", {})) & {"text/html", "image/png"}}
    asked = [
        cell
        for cell in ran.cells
        if cell.cell_type == "code" and re.search(r"(?m)^dc\.(render|\w+_map)\(", cell.source)
    ]
    assert [cell.id for cell in asked if cell.id not in shown] == []
    drawn = [output.data for _, output in outputs if output.get("data", {}).get("text/plain", "").startswith("<Figure")]
    assert [data for data in drawn if "image/png" not in data] == []


def test_form_fields_are_replaced_where_they_stand():
    cell = nbformat.v4.new_code_cell('steps = 128  #@param {type: "integer"}\nsteps_more = 1  #@param\nprint(steps)')
    changed = with_fields(nbformat.v4.new_notebook(cells=[cell]), {"steps": 4})
    assert changed.cells[0].source == 'steps = 4  #@param {type: "integer"}\nsteps_more = 1  #@param\nprint(steps)'


@pytest.mark.parametrize("name", ["networks", "attribution", "occlusion"])
def test_a_wrong_name_in_a_form_is_answered_by_the_library(name):
    choose = next(cell.source for cell in read(ROOT / "notebooks" / f"{name}.ipynb").cells if cell.id == "choose")
    assert re.search(r"(?m)^net\.layers\[layer\]|^net\.predict", choose)


def tiny_notebook(path, fails=False):
    new = nbformat.v4
    cells = [
        new.new_markdown_cell(
            "# Tiny\n\n[![Open in Colab](colab-badge.svg)](x)\n\nOne [more](networks.ipynb).", id="a"
        ),
        new.new_code_cell("#@title Install\nx = 2", id="b", metadata={"cellView": "form"}),
        new.new_code_cell("import sys\nprint('shown', x)\nprint('passing', file=sys.stderr)", id="c"),
        new.new_markdown_cell("A square. It is small.", id="d"),
        new.new_code_cell(
            "import matplotlib.pyplot as plt\nfigure, _ = plt.subplots(figsize=(4, 4))\nplt.close()\nfigure", id="e"
        ),
    ]
    if fails:
        cells.append(new.new_code_cell("1 / 0", id="f"))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(new.new_notebook(cells=cells, metadata=kernel), path)


def test_a_notebook_is_rendered_as_a_page_that_needs_nothing(tmp_path, monkeypatch, capsys):
    rendered = program("notebooks")
    source, out = tmp_path / "from", tmp_path / "out"
    source.mkdir()
    tiny_notebook(source / "tiny.ipynb")
    tiny_notebook(source / "broken.ipynb", fails=True)
    monkeypatch.setattr(sys, "argv", ["notebooks.py", "--from", str(source), "--out", str(out)])
    with pytest.raises(SystemExit, match="1"):
        rendered.main()
    told = capsys.readouterr()
    assert "broken: failed" in told.err
    assert "ZeroDivisionError" in told.err
    page = (out / "tiny.html").read_text(encoding="utf-8")
    assert "shown 2" in page
    assert "passing</pre>" not in page
    assert '<a href="networks.html">more</a>' in page
    assert "<summary>Install</summary>" in page
    assert 'alt="A square."' in page
    assert re.findall(r"(?:src|href)=.https?://[^\"']*", page) == []
    assert (out / "tiny.webp").read_bytes()[8:12] == b"WEBP"
    assert 'href="tiny.html"' in (out / "index.html").read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["notebooks.py", "tiny", "--from", str(source), "--out", str(out)])
    with pytest.raises(SystemExit, match="0"):
        rendered.main()
    assert "tiny: as it was" in capsys.readouterr().out
