import subprocess
import sys
from pathlib import Path

import pytest

from spritemaps import Store, StoreError, find, library, packaged_store, user_store
from spritemaps.verify import verify
from tests.spritemaps.sprites import FINGERPRINT, finished, hashes


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A cache and a packaged store of our own."""
    monkeypatch.setenv("DIAMOND_CACHE", str(tmp_path / "cache"))
    packaged = Store(tmp_path / "packaged", read_only=True)
    monkeypatch.setattr(library, "packaged_store", lambda: packaged)
    return tmp_path


def test_the_given_store_comes_before_the_users_and_that_before_the_packaged_one(places):
    found = [find(FINGERPRINT, store=places / "given")]
    for network, folder in (("Packaged", "packaged"), ("Mine", "cache/spritemaps"), ("Given", "given")):
        finished(places / folder, network=network)
        found.append(find(FINGERPRINT, store=places / "given").network)
    assert found == [None, "Packaged", "Mine", "Given"]
    assert find(FINGERPRINT).network == "Mine"
    assert find(FINGERPRINT, store=Store(places / "given")).network == "Given"


def test_a_store_without_the_recipe_is_passed_over(places):
    finished(places / "given", recipe_hash="0a")
    finished(places / "packaged", recipe_hash="0b", network="Packaged")
    assert find(FINGERPRINT, store=places / "given", recipe_hash="0b").network == "Packaged"
    assert find(FINGERPRINT, store=places / "given", recipe_hash="0c") is None


def test_looking_writes_nothing_where_nothing_is(places):
    assert find(FINGERPRINT) is None
    assert hashes(places) == {}


def test_the_users_store_lies_in_the_cache(places, monkeypatch):
    assert user_store().root == places / "cache" / "spritemaps"
    monkeypatch.delenv("DIAMOND_CACHE")
    assert user_store().root.parts[-2:] == ("diamond-cutter", "spritemaps")


def test_a_cache_that_is_a_file_is_named(places):
    (places / "cache").mkdir()
    (places / "cache" / "spritemaps").write_text("")
    with pytest.raises(StoreError, match="spritemaps is a file; expected a folder"):
        find(FINGERPRINT)


def test_the_packaged_store_is_read_only():
    store = packaged_store()
    assert store.read_only
    assert store.root.parts[-2:] == ("spritemaps", "data")
    assert verify(store).faults == ()


def test_importing_spritemaps_brings_in_nothing_heavy():
    heavy = "{'tensorflow', 'keras', 'pandas', 'matplotlib', 'modelzoo', 'diamond'}"
    code = f"import spritemaps, sys; print(sorted({heavy} & set(sys.modules)))"
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    assert said.strip() == "[]"
