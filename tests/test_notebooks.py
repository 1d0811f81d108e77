"""Every notebook runs from top to bottom, and is kept without what it gave."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
# What stands in a form field is replaced, so that a run takes seconds; a name a notebook does not have is passed over.
QUICK = {
    "samples": 60,
    "epochs": 2,
    "steps": 16,
    "size_px": 32,
    "layer": '"block2_add"',
    "channels": [3, 5],
    "weights": "None",
}
# What takes minutes even so.
SLOW = ("gallery",)


def read(path):
    return nbformat.read(path, as_version=4)


def with_fields(notebook, values):
    """Put other values into a notebook's form fields, ``name = value  #@param``."""
    for cell in notebook.cells:
        for name, value in values.items():
            cell.source = re.sub(rf"(?m)^{name} = .*?(?=  #@param)", f"{name} = {value}", cell.source)
    return notebook


def test_there_are_notebooks():
    assert "rendering" in [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    notebook = read(path)
    nbformat.validate(notebook)
    kept = [cell.id for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
    assert kept == []
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_what_it_is_for_and_installs_what_is_missing(path):
    first, install = read(path).cells[:2]
    assert first.source.startswith("# ")
    assert 'if importlib.util.find_spec("diamond") is None:\n    %pip install -q' in install.source


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW)) for path in NOTEBOOKS],
)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    notebook = with_fields(read(path), QUICK)
    ran = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    told = [output.text for cell in ran.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    asked = [cell for cell in ran.cells if cell.cell_type == "code" and "dc.render(" in cell.source]
    pictured = [cell for cell in asked if any("text/html" in output.get("data", {}) for output in cell.outputs)]
    assert len(pictured) == len(asked)
    # Where Jupyter has no widgets, tqdm says so and draws its bar as text.
    assert [text for text in told if "WARN" in text.upper() and "IProgress" not in text] == []


def test_form_fields_are_replaced_where_they_stand():
    cell = nbformat.v4.new_code_cell('steps = 128  #@param {type: "integer"}\nsteps_more = 1  #@param\nprint(steps)')
    changed = with_fields(nbformat.v4.new_notebook(cells=[cell]), {"steps": 4})
    assert changed.cells[0].source == 'steps = 4  #@param {type: "integer"}\nsteps_more = 1  #@param\nprint(steps)'
