"""One store made of two.

    ::

        print(merge("from-the-cluster", "gs://our-bucket/spritemaps"))
        # 12 layers copied, 3 replaced by better ones, 40 kept; 48.2 MB

Layers are rendered on several machines, and one store shows them all. What the target lacks is copied. Where both have
a layer by the same recipe, the target's stays unless the other's is better by a rule that is told: fewer dead channels,
and with as many dead, a mean quality that is 0.5 % higher or more (`is_better`). A damaged layer of the target counts as
none, and one of the source is left out and named.

Each layer is whole or not there: its pages come first, checked against their hashes on the way, under names that no page
of the layer has yet; then the manifest, which makes them count; then the index. Killed at any moment, the target is a
store that is right, and merging again does the rest.

The two verbs of this module: a store is *merged* into another, a finished layer is *copied* into one.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spritemaps import files
from spritemaps.atlas import Spritemap
from spritemaps.companions import copy_companions
from spritemaps.files import StoreError, telling
from spritemaps.job import MANIFEST_FILE, clear_leftovers
from spritemaps.manifest import Manifest, ManifestError, NewerSchemaError, Page, read_manifest
from spritemaps.remote import is_remote
from spritemaps.store import Store

__all__ = ["Merged", "copy_layer", "is_better", "mean_quality", "merge"]

LUCK = 0.005


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Attributes
    ----------
    copied, replaced, kept
        Number of layers that the target lacked, that were better in the source, and that stayed.
    unfinished
        Number of jobs in the source that are not through; they are not copied.
    bytes
        Written to the target.
    problems
        One sentence for each layer of the source that is damaged and was left out.
    """

    copied: int
    replaced: int
    kept: int
    unfinished: int
    bytes: int
    problems: tuple[str, ...]

    def __str__(self) -> str:
        said = f"{_counted(self.copied, 'layer')} copied, {self.replaced} replaced by better ones, {self.kept} kept"
        said += f"; {self.bytes / 1e6:.1f} MB"
        if self.unfinished:
            said += f"; {_counted(self.unfinished, 'unfinished job')} left where they are"
        if self.problems:
            said += f"; {_counted(len(self.problems), 'damaged layer')} left out"
        return said


def merge(
    source: Store | str | Path, target: Store | str | Path, *, say: Callable[[str], None] | None = None
) -> Merged:
    """Copy into a store what it lacks of another.

    Parameters
    ----------
    source
        Read, and never written.
    target
        Written; it is made where it is missing. Either may be an address (``"gs://bucket/spritemaps"``).
    say
        Called with a line for each layer that is written.

    Raises
    ------
    StoreError
        Where the source is not there, the target cannot be written, or one of them cannot be reached.

    Examples
    --------
    >>> report = dc.pregenerate(small, ["parts"], store="rendered-today", size=32, steps=4, progress=False)
    >>> merge("rendered-today", "sprites").copied, merge("rendered-today", "sprites").copied
    (1, 0)
    """
    source, target = _store(source, read_only=True), _store(target)
    if isinstance(source.root, Path) and not source.root.is_dir():
        raise StoreError(f"there is no store at {source.root}; expected a folder with spritemaps, or an address")
    if target.read_only:
        raise StoreError(f"the store {target.root} was opened to be read only; give another store to merge into")
    if source.root == target.root:
        raise StoreError(f"{source.root} is both the source and the target; give two stores")
    copied = replaced = kept = written = 0
    found = source.layers()
    problems = _damaged(source, found)
    there = {(layer.fingerprint, layer.manifest.recipe_hash): layer for layer in target.layers()}
    for layer in found:
        old = there.get((layer.fingerprint, layer.manifest.recipe_hash))
        if old is not None and not is_better(layer.manifest, old.manifest) and _is_whole(old):
            kept += 1
            written += _beside(layer, old)
            continue
        try:
            size = copy_layer(layer, target)
        except _DamagedError as error:
            problems.append(str(error))
            continue
        written += size
        copied, replaced = copied + (old is None), replaced + (old is not None)
        if say is not None:
            say(f"{layer.network} {layer.layer}: {'copied' if old is None else 'replaced'}, {size / 1e6:.1f} MB")
    return Merged(copied, replaced, kept, len(source.unfinished()), written, tuple(problems))


def copy_layer(layer: Spritemap, target: Store) -> int:
    """Copy a finished layer into a store, over what the store has of the same layer and recipe; give the bytes written.

    What is kept beside it (`spritemaps.companions`) is copied too, where the store has none of its kind.

    Raises
    ------
    StoreError
        Where a page of the layer is missing or damaged (nothing in the target has changed then), or the target cannot
        be written.
    ValueError
        Where the layer is held in memory, or a part of one.
    """
    if layer.folder is None or not layer.manifest.is_complete:
        raise ValueError(f"{layer!r} is no finished layer of a store; only those are copied")
    with telling(target.root):
        folder, old = _place(layer, target)
        pages = _renamed(layer.manifest.pages, set() if old is None else {page.file for page in old.pages})
        for page, copied in zip(layer.manifest.pages, pages, strict=True):
            files.write_file(folder / copied.file, _content(layer.folder, page))
        content = replace(layer.manifest, pages=pages).to_bytes()
        files.write_file(folder / MANIFEST_FILE, content)
        target.enlist(folder)
        if is_remote(folder):
            for page in () if old is None else old.pages:
                files.remove_file(folder / page.file)
        else:
            clear_leftovers(folder)
        beside = copy_companions(layer.folder, folder)
    return len(content) + sum(page.bytes for page in pages) + beside


def is_better(new: Manifest, old: Manifest) -> bool:
    """Tell whether a layer came out better than the same one by the same recipe did before.

    It did where it has fewer dead channels; with as many, where its mean quality is higher by 0.5 % or more: less is the
    luck of another seed. Quality is the robust activation where both have it, else the activation.
    """
    dead, before = (sum(not record.alive for record in m.records) for m in (new, old))
    if dead != before:
        return dead < before
    robust = is_measured(new) and is_measured(old)
    quality, was = mean_quality(new, robust=robust), mean_quality(old, robust=robust)
    return quality > was + LUCK * abs(was)


def mean_quality(manifest: Manifest, *, robust: bool = False) -> float:
    """Give the mean activation of a layer's living channels, or their mean robust activation; 0 where there is none."""
    alive = [record for record in manifest.records if record.alive]
    values = [r.robust if robust and r.robust is not None else r.activation for r in alive]
    return math.fsum(values) / len(values) if values else 0.0


def is_measured(manifest: Manifest) -> bool:
    """Tell whether the robust activation of every living channel is known."""
    return all(record.robust is not None for record in manifest.records if record.alive)


class _DamagedError(StoreError):
    pass


def _beside(layer: Spritemap, old: Spritemap) -> int:
    assert layer.folder is not None
    assert old.folder is not None
    with telling(old.folder):
        return copy_companions(layer.folder, old.folder)


def _store(place: Store | str | Path, *, read_only: bool = False) -> Store:
    return place if isinstance(place, Store) else Store(place, read_only=read_only)


def _damaged(source: Store, found: Sequence[Spritemap]) -> list[str]:
    if is_remote(source.root):
        return []
    whole = {layer.folder for layer in found}
    folders = sorted(path.parent for path in source.root.glob(f"*/*/*/{MANIFEST_FILE}"))
    return [f"{folder} is damaged; diamond verify tells what is wrong" for folder in folders if folder not in whole]


def _is_whole(layer: Spritemap) -> bool:
    # Far away it would mean to fetch every page; `diamond verify` does that.
    if layer.folder is None or is_remote(layer.folder):
        return True
    try:
        for page in layer.manifest.pages:
            _content(layer.folder, page)
    except _DamagedError:
        return False
    return True


def _content(folder: Path, page: Page) -> bytes:
    path = folder / page.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _DamagedError(f"{path} cannot be read ({error.strerror or error})") from error
    if len(content) != page.bytes or hashlib.sha256(content).hexdigest() != page.sha256:
        raise _DamagedError(f"{path} is damaged: its content is not what the manifest says")
    return content


def _place(layer: Spritemap, target: Store) -> tuple[Path, Manifest | None]:
    same = target.find(layer.fingerprint, layer.manifest.recipe_hash)
    folder = target.folder_for(layer.manifest) if same is None or same.folder is None else same.folder
    try:
        return folder, read_manifest(folder / MANIFEST_FILE)
    except FileNotFoundError:
        return folder, None
    except NewerSchemaError as error:
        raise StoreError(str(error)) from error
    except ManifestError:
        return folder, None


def _renamed(pages: Sequence[Page], taken: Collection[str]) -> tuple[Page, ...]:
    # A page under a name in use would belie the old manifest until the new one is in place.
    names = (name for name in (f"atlas-{number}.webp" for number in itertools.count()) if name not in taken)
    return tuple(replace(page, file=name) for page, name in zip(pages, names, strict=False))


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
