"""The reference is whole: each public name stands in it, says what it takes, and has an example that is run.

The examples themselves are run by pytest's own collector; see `tests.examples`.
"""

import ast
import dataclasses
import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.validate import validate

import diamond as dc
from tests import examples

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
PATHS = [
    path for page in sorted(REFERENCE.glob("*.md")) for path in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.M)
]
# What numpydoc finds: parameters that are not documented, that no signature has, or in another order; no example.
FAULTS = {"GL08", "PR01", "PR02", "PR03", "EX01"}
# Called by Keras, as its documentation says.
OF_KERAS = {"on_train_begin", "on_epoch_end", "on_train_end"}


def find(path):
    """Follow attributes from the package, as a user does; what it does not have is a module of it."""
    first, *names = path.split(".")
    found, module = importlib.import_module(first), first
    for name in names:
        module = f"{module}.{name}"
        found = getattr(found, name) if hasattr(found, name) else importlib.import_module(module)
    return found


def public_members(owner):
    """Names of a class' own methods, properties and fields."""
    own = {name for name in vars(owner) if not isinstance(vars(owner)[name], type)} | set(
        vars(owner).get("__annotations__", ())
    )
    return sorted(name for name in own if is_told(name))


def is_told(name):
    return not name.startswith("_") and not name.isupper() and name not in OF_KERAS


def examples_of(*objects):
    texts = [inspect.getdoc(thing) or "" for thing in objects]
    return "".join(example.source for text in texts for example in doctest.DocTestParser().get_examples(text))


# Results, and what else is asked for its fields: what stands in a package itself.
CLASSES = [
    path
    for path in PATHS
    if path.split(".")[-1][0].isupper() and path.startswith(("diamond", "modelzoo.")) and path.count(".") == 1
]


def test_every_public_name_stands_once_in_the_reference():
    public = {f"diamond.{name}" for name in dc.__all__} - {
        "diamond.__version__",
        "diamond.callbacks",
        "diamond.samples",
    }
    public |= {f"diamond.callbacks.{name}" for name in dc.callbacks.__all__}
    public |= {f"diamond.samples.{name}" for name in dc.samples.__all__}
    assert sorted(public - set(PATHS)) == []
    assert sorted(path for path in PATHS if PATHS.count(path) > 1) == []


@pytest.mark.parametrize("path", PATHS)
def test_it_says_what_it_takes_and_shows_an_example(path):
    thing = find(path)
    assert examples_of(thing), f"{path} has no example"
    if not inspect.ismodule(thing):
        name = f"{thing.__module__}.{thing.__qualname__}"
        assert [fault for fault in validate(name)["errors"] if fault[0] in faults_of(thing)] == []


def faults_of(thing):
    return FAULTS - {"PR01", "PR02", "PR03"} if inspect.isclass(thing) and dataclasses.is_dataclass(thing) else FAULTS


@pytest.mark.parametrize("path", CLASSES)
def test_every_method_and_field_has_an_example(path):
    owner = find(path)
    shown = examples_of(owner, *(value for value in map(vars(owner).get, public_members(owner)) if value is not None))
    bare = [name for name in public_members(owner) if not re.search(rf"\.{name}\b", shown)]
    assert bare == []


@pytest.mark.parametrize("path", CLASSES)
def test_methods_say_what_they_take(path):
    owner = find(path)
    faults = {}
    for name in public_members(owner):
        method = vars(owner).get(name)
        if inspect.isfunction(method) and len(inspect.signature(method).parameters) > 1 and inspect.getdoc(method):
            found = validate(f"{owner.__module__}.{owner.__qualname__}.{name}")["errors"]
            faults.update((name, told) for told in found if told[0] in {"PR01", "PR02", "PR03"})
    assert faults == {}


def test_the_list_of_slow_examples_names_what_is_there():
    named = set()
    for package in ("diamond", "modelzoo", "spritemaps"):
        for path in (ROOT / package).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    named |= {
                        f"{module}.{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)
                    }
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    named.add(f"{module}.{node.name}")
            named.add(module)
    assert sorted(examples.SLOW - named) == []
