"""Whether a store is what it says it is.

    >>> report = dc.pregenerate(small, ["parts"], store="sprites", size=32, steps=4, progress=False)
    >>> print(verify(Store("sprites")))
    1 layer, 1 page: all is well

Disks rot, copies stop half way, and people rename folders. Each layer's manifest is read and checked field by field,
each page against its hash and its size in pixels, the counts of records and cells against the layer, the folder's name
against the fingerprint, and the index against the manifests. The store is only read.

The verb of this module: a store is *verified*, and each *fault* says where it is, what it is, and the way out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spritemaps.companions import companions
from spritemaps.files import StoreError
from spritemaps.job import JOB_FILE, MANIFEST_FILE
from spritemaps.manifest import Manifest, ManifestError, NewerSchemaError, read_manifest
from spritemaps.pages import read_page
from spritemaps.store import INDEX_FILE, Store

__all__ = ["Fault", "Verified", "verify"]

RENDER_AGAIN = "delete the folder and render the layer again, or merge it from another store"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes
    ----------
    where
        The file or folder, from the store's root.
    what
        What was found, and what was expected.
    way_out
        What to do.
    """

    where: str
    what: str
    way_out: str


@dataclass(frozen=True)
class Verified:
    """What a store holds, and what is wrong with it.

    Attributes
    ----------
    layers, pages
        Number of layers and pages that are as their manifests say.
    unfinished
        Number of layers that a job is not through with.
    faults
        None where all is well.
    """

    layers: int
    pages: int
    unfinished: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        said = f"{self.layers:,} layer{'s' * (self.layers != 1)}, {self.pages:,} page{'s' * (self.pages != 1)}"
        if self.unfinished:
            said += f", {self.unfinished:,} unfinished"
        n = len(self.faults)
        return f"{said}: {f'{n:,} fault' + 's' * (n != 1) if n else 'all is well'}"


def verify(store: Store) -> Verified:
    """Check every manifest, every page against its hash, folder names against fingerprints, and the index.

    Parameters
    ----------
    store
        Whose files are looked at.

    Raises
    ------
    StoreError
        Where there is no store, or it cannot be reached.

    Examples
    --------
    >>> verify(Store("nowhere"))
    Traceback (most recent call last):
        ...
    spritemaps.files.StoreError: there is no store at nowhere; expected a folder with spritemaps, or an address
    """
    root = store.root
    if isinstance(root, Path) and not root.is_dir():
        raise StoreError(f"there is no store at {root}; expected a folder with spritemaps, or an address")
    layers = pages = 0
    faults: list[Fault] = []
    there: dict[str, Manifest] = {}
    for folder in _folders(store):
        name = folder.relative_to(root).as_posix()
        try:
            manifest = read_manifest(folder / MANIFEST_FILE)
        except FileNotFoundError:
            if not (folder / JOB_FILE).exists():
                faults.append(Fault(name, f"neither {MANIFEST_FILE} nor {JOB_FILE}", RENDER_AGAIN))
            continue
        except NewerSchemaError as error:
            way_out = "pip install --upgrade diamond-cutter"
            faults.append(Fault(f"{name}/{MANIFEST_FILE}", _short(error, folder), way_out))
            continue
        except (OSError, ManifestError) as error:
            faults.append(Fault(f"{name}/{MANIFEST_FILE}", _short(error, folder), RENDER_AGAIN))
            continue
        there[name] = manifest
        found = list(_faults(folder, name, manifest))
        faults += found
        pages += len(manifest.pages) - sum(fault.where != name for fault in found)
        layers += not found
    faults += _index_faults(store, there)
    return Verified(layers, pages, len(store.unfinished()), tuple(faults))


def _folders(store: Store) -> list[Path]:
    if isinstance(store.root, Path):
        found = sorted(path for path in store.root.glob("*/*/*") if path.is_dir())
        return [path for path in found if any(path.iterdir())]
    # Where nothing can be listed, the index names what there is.
    return sorted(set(store.root.glob("*/*/*"))) or [layer.folder for layer in store.layers() if layer.folder]


def _faults(folder: Path, name: str, manifest: Manifest) -> Iterator[Fault]:
    if manifest.fingerprint[:8] not in folder.name:
        yield Fault(
            name,
            f"the folder's name does not hold the fingerprint {manifest.fingerprint[:8]} of its manifest",
            "give the folder back its name, or delete it",
        )
    for page in manifest.pages:
        try:
            read_page(folder, page, manifest.tile_px)
        except StoreError as error:
            yield Fault(f"{name}/{page.file}", _short(error, folder), RENDER_AGAIN)
    for each in companions(folder):
        for page in each.pages:
            try:
                read_page(each.folder, page, each.tile_px)
            except StoreError as error:
                way_out = f"delete the folder {each.kind} and make its pictures again"
                yield Fault(f"{name}/{each.kind}/{page.file}", _short(error, folder), way_out)


def _index_faults(store: Store, there: dict[str, Manifest]) -> Iterator[Fault]:
    way_out = "the next job or merge mends it, or Store(...).rebuild()"
    listed = store.listed()
    if there and not listed:
        yield Fault(INDEX_FILE, "missing, damaged or empty", way_out)
        return
    for folder in sorted(listed.keys() - there.keys()):
        yield Fault(INDEX_FILE, f"names {folder}, which holds no finished layer", way_out)
    for folder in sorted(there.keys() - listed.keys()):
        yield Fault(INDEX_FILE, f"does not name {folder}", way_out)
    for folder in sorted(there.keys() & listed.keys()):
        if listed[folder] != there[folder].fingerprint:
            found, expected = listed[folder][:8], there[folder].fingerprint[:8]
            yield Fault(INDEX_FILE, f"gives {folder} the fingerprint {found}; its manifest says {expected}", way_out)


def _short(error: Exception, folder: Path) -> str:
    """The message without the path and the way out, which stand beside it."""
    text = str(error).partition("; delete its folder")[0]
    return text.replace(f"{folder}/", "")
