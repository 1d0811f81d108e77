"""The house: who may import whom, and what must not be imported at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import diamond as dc

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {"diamond": {"modelzoo", "spritemaps"}, "modelzoo": set(), "spritemaps": set()}


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_whom_they_may(package):
    others = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    wrong = {
        path.relative_to(ROOT).as_posix(): found
        for path in (ROOT / package).rglob("*.py*")
        if path.suffix in (".py", ".pyi") and (found := others & set(imported_packages(path)))
    }
    assert wrong == {}


def test_spritemaps_know_no_tensorflow():
    heavy = {"tensorflow", "keras"}
    wrong = [path.name for path in (ROOT / "spritemaps").rglob("*.py") if heavy & set(imported_packages(path))]
    assert wrong == []


def test_no_module_is_longer_than_600_lines():
    modules = [path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")]
    assert len(modules) > 20
    assert [path.name for path in modules if len(path.read_text(encoding="utf-8").splitlines()) > 600] == []


@pytest.mark.parametrize(
    "code",
    [
        "import diamond",
        "import diamond as dc; dc.models()",
        "import spritemaps; spritemaps.find('0' * 64)",
        "from typer.testing import CliRunner; from diamond.cli import app; CliRunner().invoke(app, ['models'])",
    ],
)
def test_what_only_reads_cards_or_a_store_loads_no_tensorflow(code):
    check = f"{code}; import sys; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_public_names_are_there_and_the_stub_lists_them():
    stub = ast.parse((ROOT / "diamond" / "__init__.pyi").read_text(encoding="utf-8"))
    listed = {alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert listed | {"__version__"} == set(dc.__all__)
    assert all(getattr(dc, name) is not None for name in dc.__all__)
