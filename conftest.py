"""Every example in a docstring is run, with what examples take for granted: see `tests.examples`."""

import os

import pytest

from tests import examples

# A program that tests run in a process of its own; imported, it would begin.
collect_ignore = ["tests/spritemaps/processes.py"]


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests out of the user's cache, and what lies there out of the tests."""
    os.environ["DIAMOND_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def _example_files(tmp_path_factory: pytest.TempPathFactory):
    """Give the files that examples read, written once."""
    folder = tmp_path_factory.mktemp("files")
    examples.write_files(folder)
    return folder


@pytest.fixture(autouse=True)
def _example(request: pytest.FixtureRequest) -> None:
    """Run an example in a folder of its own with the files in it, and with the names that it uses."""
    if isinstance(request.node, pytest.DoctestItem):
        folder = request.getfixturevalue("tmp_path")
        examples.lay_out(request.getfixturevalue("_example_files"), folder)
        request.getfixturevalue("monkeypatch").chdir(folder)
        test = request.node.dtest
        test.globs.update(examples.names_used("".join(example.source for example in test.examples)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the examples that take long, all in one place."""
    for item in items:
        if isinstance(item, pytest.DoctestItem) and item.name in examples.SLOW:
            item.add_marker(pytest.mark.slow)
