"""A folder of spritemaps: found by what the layer is, not by what it is called.

    >>> dc.spritemap(net, "block9_add").record(24).alive
    True

Names lie: a retrained layer keeps its name, and the frozen part of a transferred network gets a new one. A store
therefore answers to fingerprints. Its ``index.json`` is a shortcut and no authority: what counts is the manifest beside
the pages, and an index that is missing, broken or behind is mended from the manifests on the way.

The two verbs of this module: a finished spritemap is *found*, a job for an unfinished one is *opened*.

The consequences for a caller: `find` never fails over a damaged layer, it does not find it (`Store.verify` tells why);
`open_job` fails before anything is rendered where the folder cannot be written.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from spritemaps import files
from spritemaps.atlas import Spritemap
from spritemaps.files import StoreError, check_fields, telling
from spritemaps.job import JOB_FILE, MANIFEST_FILE, Job, JobSpec, check_folder, clear_leftovers, read_spec
from spritemaps.manifest import SCHEMA_VERSION, Manifest, ManifestError, NewerSchemaError, parse_schema, read_manifest
from spritemaps.remote import is_remote, place

__all__ = ["Store"]

INDEX_FILE = "index.json"
PREFERRED_RECIPES = ("sprite", "texture")
LONGEST_NAME = 200


@dataclass(frozen=True)
class Store:
    """A folder of spritemaps.

    Attributes
    ----------
    root
        The folder, made when the first job is opened; given as an address (``"gs://..."``), a `RemoteFolder`.
    read_only
        True where nothing may be written, not even a mended index.

    Raises
    ------
    StoreError
        Where `root` is a file.

    Examples
    --------
    >>> report = dc.pregenerate(small, ["parts"], store="sprites", size=32, steps=4, progress=False)
    >>> store = Store("sprites")
    >>> store.address, store.layers(), store.unfinished()
    ('sprites', (Spritemap('small', 'parts': 6 channels, 32 px, recipe 'texture'),), ())
    >>> store.find(small.fingerprint("parts"))
    Spritemap('small', 'parts': 6 channels, 32 px, recipe 'texture')
    """

    root: Path
    read_only: bool = False

    def __init__(self, root: str | Path, *, read_only: bool = False) -> None:
        object.__setattr__(self, "root", place(root))
        object.__setattr__(self, "read_only", read_only)
        if is_remote(self.root):
            return
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"the store {self.root} is a file; expected a folder, or a path where one can be made")

    @property
    def address(self) -> str:
        """Where what is rendered ends up: the folder, or the address."""
        return str(self.root)

    def find(self, fingerprint: str, recipe_hash: str | None = None) -> Spritemap | None:
        """Find the finished spritemap of a layer; None where there is none.

        Parameters
        ----------
        fingerprint
            Of the layer.
        recipe_hash
            Of the recipe; None for any, with ``"sprite"`` before ``"texture"`` before others by name.
        """
        known = self._read_index()
        best = next(iter(_matching(known.values(), fingerprint, recipe_hash)), None)
        # Only a preferred recipe, or the very one, cannot be outdone by a layer that the index does not know yet.
        if best and (recipe_hash is not None or best.recipe_name == PREFERRED_RECIPES[0]):
            found = self._open(best)
            if found is not None:
                return found
        same = {entry.folder for entry in known.values() if entry.fingerprint == fingerprint}
        doubted = () if is_remote(self.root) else same
        for entry in _matching(self._mend(doubted).values(), fingerprint, recipe_hash):
            found = self._open(entry)
            if found is not None:
                return found
        return None

    def layers(self) -> tuple[Spritemap, ...]:
        """List the finished spritemaps, by network, layer and recipe."""
        entries = sorted(self._mend().values(), key=lambda e: (e.network, e.layer, e.recipe_name, e.folder))
        opened = (self._open(entry) for entry in entries)
        return tuple(spritemap for spritemap in opened if spritemap is not None)

    def listed(self) -> dict[str, str]:
        """What the index names, right or wrong: fingerprints by folder; nothing where it is missing or damaged."""
        return {entry.folder: entry.fingerprint for entry in self._read_index().values()}

    def unfinished(self) -> tuple[Job, ...]:
        """List the jobs that are not through; nothing is written for it."""
        jobs = []
        for path in sorted(self.root.glob(f"*/*/*/{JOB_FILE}")):
            with contextlib.suppress(OSError, NewerSchemaError):
                spec = read_spec(path.parent)
                job = spec and self._job(spec, path.parent)
                if job and job.finished is None:
                    jobs.append(job)
        return tuple(jobs)

    def rebuild(self) -> None:
        """Write the index anew from the manifests; what is damaged is left out of it (`verify` names it).

        Raises
        ------
        StoreError
            Where the index cannot be written.
        """
        self._refuse_read_only()
        with telling(self.root):
            self._write_index(self._mend(None))

    def open_job(self, spec: JobSpec) -> Job:
        """Open the job of rendering a layer: a new one, the one begun before, or the one finished before.

        A job begun before comes with the spec that it froze. A finished one has `Job.finished` and nothing pending;
        it may lie under another network's name, for the same fingerprint.

        Parameters
        ----------
        spec
            What to render.

        Raises
        ------
        StoreError
            Where the store cannot be written, or holds the same layer and recipe with another seed or tile size.
        """
        if is_remote(self.root):
            raise StoreError(
                f"{self.root}: a layer is rendered in a folder of this machine, and copied to an address when it is "
                f"finished: give a folder as the store, then diamond merge FOLDER {self.root}"
            )
        found = self.find(spec.fingerprint, spec.recipe_hash)
        if found is not None and found.folder is not None:
            _check_agreement(spec, found.manifest, found.folder, "is finished")
            self._tidy(found.folder)
            return self._job(spec, found.folder)
        self._refuse_read_only()
        with telling(self.root):
            folder = self.folder_for(spec)
            try:
                frozen = self._freeze(spec, folder)
            except NewerSchemaError as error:
                raise StoreError(str(error)) from error
            files.check_writable(folder)
        _check_agreement(spec, frozen, folder, "is begun")
        job = self._job(frozen, folder)
        if job.finished is not None:
            # Another process has finished it since it was looked for.
            self._tidy(folder)
        return job

    def _tidy(self, folder: Path) -> None:
        # A killed job may have left its leavings in a finished layer; a store that may only be read keeps them.
        if not self.read_only:
            with contextlib.suppress(OSError):
                self.enlist(folder)
                clear_leftovers(folder)

    def _freeze(self, spec: JobSpec, folder: Path) -> JobSpec:
        try:
            check_folder(folder)
        except NewerSchemaError:
            raise
        except FileNotFoundError:
            pass
        except (ManifestError, StoreError):
            # Nothing can be read through it, and no layer may look finished while it is rendered.
            files.remove_file(folder / MANIFEST_FILE)
        if (folder / JOB_FILE).exists() and read_spec(folder) is None:
            files.remove_file(folder / JOB_FILE)
        files.create_file(folder / JOB_FILE, spec.to_bytes())
        return read_spec(folder) or spec

    def folder_for(self, spec: JobSpec | Manifest) -> Path:
        """Give the folder of a layer: its own, or the one it would be kept in.

        Parameters
        ----------
        spec
            Of the layer.
        """
        layer = self.root / _encoded(spec.network) / _encoded(spec.layer)
        name = f"{_encoded(spec.recipe_name)}-{spec.fingerprint[:8]}"
        # Two recipes of one name, or of names that a file system takes for one, get folders of their own.
        both = hashlib.sha256(f"{spec.fingerprint} {spec.recipe_hash}".encode()).hexdigest()
        for folder in (layer / name, layer / f"{name}-{both[:8]}"):
            if _occupant(folder) in (None, (spec.fingerprint, spec.recipe_hash)):
                return folder
        return layer / f"{name}-{both}"

    def _job(self, spec: JobSpec, folder: Path) -> Job:
        return Job(spec, folder, partial(self.enlist, folder))

    def enlist(self, folder: Path) -> None:
        """Enter a finished layer in the index, or take out one that is no more.

        Parameters
        ----------
        folder
            Of a finished layer, within the store.
        """
        if self.read_only:
            return
        known = self._mend({self._relative(folder)})
        if self._read_index() != known:
            self._write_index(known)
        files.remove_strays(self.root)

    def _refuse_read_only(self) -> None:
        if self.read_only:
            raise StoreError(f"the store {self.root} was opened to be read only; give another store to render into")

    def _open(self, entry: _Entry) -> Spritemap | None:
        folder = self.root / entry.folder
        try:
            # Far away a look at every page is a request each; a page is checked when it is read.
            manifest = read_manifest(folder / MANIFEST_FILE) if is_remote(folder) else check_folder(folder)
        except (FileNotFoundError, ManifestError):
            return None
        except (OSError, StoreError):
            if is_remote(folder):
                raise
            return None
        return Spritemap(manifest, folder) if _Entry.of(manifest, entry.folder) == entry else None

    def _mend(self, doubted: Collection[str] | None = ()) -> dict[str, _Entry]:
        """Bring the index up to the manifests that are there; those `doubted`, or all where None, are read again."""
        known = self._read_index()
        if is_remote(self.root) and known and doubted == ():
            # Far away looking around is slow, and a web server has no listing at all.
            return known
        mended: dict[str, _Entry] = {}
        for path in sorted(self.root.glob(f"*/*/*/{MANIFEST_FILE}")):
            name = self._relative(path.parent)
            if name in known and doubted is not None and name not in doubted:
                mended[name] = known[name]
                continue
            with contextlib.suppress(OSError, ManifestError):
                mended[name] = _Entry.of(read_manifest(path), name)
        if mended != known and not self.read_only and not is_remote(self.root):
            # The index is a shortcut: who cannot write it reads the manifests each time.
            with contextlib.suppress(OSError):
                self._write_index(mended)
        return mended

    def _relative(self, folder: Path) -> str:
        return folder.relative_to(self.root).as_posix()

    def _read_index(self) -> dict[str, _Entry]:
        path = self.root / INDEX_FILE
        try:
            finished = parse_schema(path.read_bytes(), str(path), {"finished": dict}, ManifestError)["finished"]
            entries = [
                _Entry(**check_fields(entry, _ENTRY_FIELDS, INDEX_FILE, ManifestError), fingerprint=fingerprint)
                for fingerprint, listed in finished.items()
                for entry in listed
            ]
        except (OSError, ManifestError, TypeError):
            return {}
        return {entry.folder: entry for entry in entries if _is_inside(entry.folder)}

    def _write_index(self, entries: Mapping[str, _Entry]) -> None:
        finished: dict[str, list[dict[str, str]]] = {}
        for entry in sorted(entries.values(), key=lambda entry: entry.folder):
            listed = {name: getattr(entry, name) for name in _ENTRY_FIELDS}
            finished.setdefault(entry.fingerprint, []).append(listed)
        content = files.json_bytes({"schema_version": SCHEMA_VERSION, "finished": finished})
        files.write_file(self.root / INDEX_FILE, content)


@dataclass(frozen=True)
class _Entry:
    fingerprint: str
    folder: str
    network: str
    layer: str
    recipe_name: str
    recipe_hash: str

    @classmethod
    def of(cls, manifest: Manifest, folder: str) -> _Entry:
        m = manifest
        return cls(m.fingerprint, folder, m.network, m.layer, m.recipe_name, m.recipe_hash)


_ENTRY_FIELDS = dict.fromkeys(("folder", "network", "layer", "recipe_name", "recipe_hash"), str)


def _matching(entries: Iterable[_Entry], fingerprint: str, recipe_hash: str | None) -> list[_Entry]:
    wanted = (e for e in entries if e.fingerprint == fingerprint and recipe_hash in (None, e.recipe_hash))
    ranks = {name: rank for rank, name in enumerate(PREFERRED_RECIPES)}
    return sorted(wanted, key=lambda e: (ranks.get(e.recipe_name, len(ranks)), e.recipe_name, e.recipe_hash, e.folder))


def _check_agreement(asked: JobSpec, there: JobSpec | Manifest, folder: Path, state: str) -> None:
    for name in ("seed", "tile_px", "channels"):
        if getattr(asked, name) != getattr(there, name):
            raise StoreError(
                f"{folder}: the layer {state} with {name} {getattr(there, name)}, and {getattr(asked, name)} was asked "
                f"for. Ask for {name} {getattr(there, name)}, or delete that folder or give another store"
            )


def _occupant(folder: Path) -> tuple[str, str] | None:
    described: Manifest | JobSpec | None
    try:
        described = read_manifest(folder / MANIFEST_FILE)
    except (FileNotFoundError, ManifestError):
        try:
            described = read_spec(folder)
        except NewerSchemaError:
            return None
    return (described.fingerprint, described.recipe_hash) if described else None


def _folders(root: Path, pattern: str) -> list[Path]:
    return sorted(path for path in root.glob(pattern) if path.is_dir())


def _is_inside(folder: str) -> bool:
    path = PurePosixPath(folder)
    return len(path.parts) == 3 and not path.is_absolute() and ".." not in path.parts and "\\" not in folder


def _encoded(name: str) -> str:
    # "." and ".." are folders already, and some systems drop a dot at the end.
    text = re.sub(r"^\.+|\.+$", lambda dots: "%2E" * len(dots[0]), quote(name, safe=""))
    if len(text) > LONGEST_NAME:
        text = f"{text[: LONGEST_NAME - 20]}~{hashlib.sha256(name.encode('utf-8')).hexdigest()[:16]}"
    return text
