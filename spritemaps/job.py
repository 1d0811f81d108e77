"""The rendering of one layer, kept batch by batch until it is whole.

    job = store.open_job(spec)
    for task in job.todo:                   # and again, until there is nothing to do
        tiles, records = render(job.spec, task.channels, task.attempt)
        job.write(task.batch, tiles, records)
    spritemap = job.finish()

Rendering a layer takes hours, and machines are taken away within seconds. What is rendered is written at once, in a
part a batch; a job that is killed loses the batches in flight, and opened again it goes on with the rest. For the
outcome to be the same, the first opening *freezes* everything that decides a byte in ``job.json``, and later ones obey
it: ``job.spec`` is what to render by, whatever was asked for.

A sprite below the bar (its channel stayed dead, or a photo excites it more) is tried again as the spec's *ladder* says.
Those of a layer are gathered: when every batch of one attempt is there, the batches of the next one follow from its
records, the same in every process, and the best attempt of each channel is kept in the end.

The consequences for a caller: render by ``job.spec`` and not by the spec you opened with; a part that is damaged, or of
another job, counts as not done; several processes may write parts of one job, and any of them may finish it; `todo`
grows when an attempt is complete, so ask it again.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spritemaps import files
from spritemaps.atlas import Spritemap
from spritemaps.files import StoreError, telling
from spritemaps.grid import cut
from spritemaps.manifest import (
    PAGE_FILE,
    SCHEMA_VERSION,
    ChannelRecord,
    Manifest,
    ManifestError,
    check_identity,
    parse_schema,
    plain_ladder,
    read_manifest,
)
from spritemaps.pages import Pixels, check_tiles, pack
from spritemaps.parts import better, next_batches, outdoes, part_bytes, read_part

__all__ = ["JOB_FILE", "MANIFEST_FILE", "Job", "JobSpec", "Todo", "check_folder", "clear_leftovers", "read_spec"]

JOB_FILE = "job.json"
MANIFEST_FILE = "manifest.json"
PARTS_FOLDER = "parts"


@dataclass(frozen=True)
class JobSpec:
    """Everything that decides a byte of a layer's sprites.

    Attributes
    ----------
    network, layer, fingerprint, channels, recipe_name, recipe, recipe_hash, tile_px, seed, versions
        As in `Manifest`.
    batches
        Channel numbers by batch: a partition of all channels. A channel rendered beside others differs in its last
        bits, so the partition is part of the outcome.
    settings
        What else decides a byte, as plain JSON: dtype, XLA, batch width, threads, device.
    ladder
        How each attempt at a channel is made, the first first, as plain JSON; empty for one attempt.

    Examples
    --------
    >>> spec = JobSpec("small", "parts", small.fingerprint("parts"), 6, "texture", "0" * 64, 32, 0, ((0, 1, 2, 3), (4, 5)))
    >>> JobSpec.from_bytes(spec.to_bytes()) == spec
    True
    """

    network: str
    layer: str
    fingerprint: str
    channels: int
    recipe_name: str
    recipe_hash: str
    tile_px: int
    seed: int
    batches: tuple[tuple[int, ...], ...]
    recipe: Mapping[str, Any] = field(default_factory=dict, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)
    ladder: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        check_identity(self, ManifestError)
        object.__setattr__(self, "ladder", plain_ladder(self.ladder, ManifestError))
        try:
            batches = tuple(tuple(operator.index(channel) for channel in batch) for batch in self.batches)
        except TypeError:
            raise ManifestError("batches are no lists of channel numbers") from None
        numbers = sorted(channel for batch in batches for channel in batch)
        if numbers != list(range(self.channels)) or not all(batches):
            raise ManifestError(
                f"batches hold {len(numbers)} channels; expected each of 0 to {self.channels - 1} in one batch, and no "
                "empty batch"
            )
        try:
            cut(self.channels, self.tile_px)
        except ValueError as error:
            raise ManifestError(str(error)) from None
        object.__setattr__(self, "batches", batches)

    def to_bytes(self) -> bytes:
        """Dump as JSON; equal specs give equal bytes."""
        content = {**asdict(self), "schema_version": SCHEMA_VERSION}
        return files.json_bytes({name: value for name, value in content.items() if name != "ladder" or value})

    @classmethod
    def from_bytes(cls, content: bytes, *, origin: str = JOB_FILE) -> JobSpec:
        """Read what a job froze; the inverse of `to_bytes`.

        Raises
        ------
        NewerSchemaError
            Where a later version of this package wrote it.
        ManifestError
            Naming `origin`, the field, what was found and what was expected.
        """
        strings = dict.fromkeys(("network", "layer", "fingerprint", "recipe_name", "recipe_hash"), str)
        numbers = dict.fromkeys(("channels", "tile_px", "seed"), int)
        mappings = dict.fromkeys(("recipe", "settings", "versions"), dict)
        kinds = {**strings, **numbers, **mappings, "batches": list}
        content_fields = parse_schema(content, origin, kinds, ManifestError, optional={"ladder": list})
        try:
            return cls(**content_fields)
        except ManifestError as error:
            raise ManifestError(f"{origin}: {error}") from None


class Todo(NamedTuple):
    """A batch to be rendered: its number, which attempt at its channels it is (from 1), and their numbers."""

    batch: int
    attempt: int
    channels: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Job:
    """The rendering of one layer, as far as it has come.

    Attributes
    ----------
    spec
        What the job froze when it was first opened: what to render by.
    folder
        Where its files lie.

    Examples
    --------
    >>> from spritemaps.store import Store
    >>> spec = JobSpec("small", "parts", small.fingerprint("parts"), 6, "texture", "0" * 64, 32, 0, ((0, 1, 2, 3), (4, 5)))
    >>> job = Store("sprites").open_job(spec)
    >>> job.pending, job.todo[0].channels, job.finished
    ((0, 1), (0, 1, 2, 3), None)
    """

    spec: JobSpec
    folder: Path
    _enlist: Callable[[], None] = field(repr=False)
    _trusted: dict[int, _Trusted] = field(default_factory=dict, repr=False)

    @property
    def finished(self) -> Spritemap | None:
        """The spritemap, where the layer is finished; else None."""
        try:
            manifest = check_folder(self.folder)
        except (OSError, ManifestError, StoreError):
            return None
        same = (manifest.fingerprint, manifest.recipe_hash) == (self.spec.fingerprint, self.spec.recipe_hash)
        return Spritemap(manifest, self.folder) if same else None

    @property
    def batches(self) -> tuple[tuple[int, ...], ...]:
        """Channel numbers by batch: those of the first attempt, then of each later one that is known by now."""
        return tuple(todo.channels for todo, _ in self._seen())

    @property
    def todo(self) -> tuple[Todo, ...]:
        """The batches that have no part yet, or one that cannot be trusted, as far as they are known by now."""
        if self.finished is not None:
            return ()
        found = tuple(todo for todo, records in self._seen() if records is None)
        # Another process may have finished the job, and removed its parts, while they were looked at.
        return () if found and self.finished is not None else found

    @property
    def pending(self) -> tuple[int, ...]:
        """Numbers of the batches in `todo`."""
        return tuple(task.batch for task in self.todo)

    def attempt(self, batch: int) -> int:
        """Tell which attempt at its channels a batch is, from 1.

        Parameters
        ----------
        batch
            Its number.

        Raises
        ------
        ValueError
            Where there is no such batch.
        """
        seen = self._seen()
        if not 0 <= batch < len(seen):
            raise ValueError(f"no batch {batch}; the job has batches 0 to {len(seen) - 1}")
        return seen[batch][0].attempt

    def is_done(self, batch: int) -> bool:
        """Whether a batch has a part that can be trusted; all have in a finished layer.

        Parameters
        ----------
        batch
            Its number.
        """
        if self.finished is not None:
            return True
        seen = self._seen()
        return batch < len(seen) and seen[batch][1] is not None

    @property
    def records(self) -> tuple[ChannelRecord, ...]:
        """The best attempt so far at each channel that was rendered, in channel order."""
        finished = self.finished
        if finished is not None:
            return finished.records
        best: dict[int, ChannelRecord] = {}
        for _, records in self._seen():
            for record in records or ():
                best[record.channel] = better(best.get(record.channel), record)
        return tuple(best[channel] for channel in sorted(best))

    def written(self) -> tuple[tuple[float, int], ...]:
        """When each part of the first attempt was written, in seconds since 1970, and how many channels it holds."""
        found = []
        for batch, channels in enumerate(self.spec.batches):
            with contextlib.suppress(OSError):
                found.append((self._part(batch).stat().st_mtime, len(channels)))
        return tuple(found)

    def withdraw(self) -> None:
        """Take the job back where nothing of it was rendered yet: the store is as if it had not been opened."""
        if self.finished is not None or any(self.is_done(batch) for batch in range(len(self.spec.batches))):
            return
        with contextlib.suppress(OSError):
            files.remove_file(self.folder / JOB_FILE)
            # Folders that hold something stay.
            for folder in (self.folder, *self.folder.parents[:2]):
                folder.rmdir()

    def so_far(self) -> Spritemap:
        """Give the sprites that there are, in memory: all of a finished layer, of another those rendered by now.

        Raises
        ------
        StoreError
            Where there is none yet.
        """
        finished = self.finished
        if finished is not None:
            return finished
        tiles: dict[int, Pixels] = {}
        best: dict[int, ChannelRecord] = {}
        for batch, channels in enumerate(self.batches):
            part = read_part(self._part(batch), self.spec, channels)
            for tile, record in zip(*(part or ((), ())), strict=True):
                _keep_better(best, tiles, tile, record)
        if not best:
            raise StoreError(f"{self.folder}: no batch of the layer is rendered yet")
        channels = tuple(sorted(best))
        shared = {name: value for name, value in self._shared().items() if name not in ("tile_px", "ladder")}
        return Spritemap.from_tiles(np.stack([tiles[c] for c in channels]), [best[c] for c in channels], **shared)

    def write(self, batch: int, tiles: Pixels, records: Sequence[ChannelRecord]) -> None:
        """Keep a rendered batch.

        Parameters
        ----------
        batch
            Its number in `batches`.
        tiles
            uint8 ``(n, tile_px, tile_px, 3)``, RGB, in the order of the batch's channels, padding left out.
        records
            One a channel, in the same order.

        Raises
        ------
        ValueError
            Where there is no such batch, or tiles and records are not those of its channels.
        StoreError
            Where the part cannot be written: the store is not writable, or full. Parts written before stay.
        """
        batches = self.batches
        if self.finished is not None:
            return
        if not 0 <= batch < len(batches):
            raise ValueError(f"no batch {batch}; the job has batches 0 to {len(batches) - 1}")
        channels = batches[batch]
        tiles = check_tiles(tiles, len(channels))
        if tiles.shape[1] != self.spec.tile_px:
            raise ValueError(f"tiles of {tiles.shape[1]} px; the job has tiles of {self.spec.tile_px} px")
        named = tuple(record.channel for record in records)
        if named != channels:
            raise ValueError(f"records of channels {named}; batch {batch} has {channels}")
        content = part_bytes(self.spec, tiles, records)
        try:
            with telling(self.folder):
                files.write_file(self._part(batch), content)
        except StoreError:
            # Another process may have finished the job, and removed the folder of its parts, meanwhile.
            if self.finished is None:
                raise

    def finish(self) -> Spritemap:
        """Make the parts a finished layer: pages, manifest, index, and then the leftovers go.

        Killed between any two steps it can be called again, and ends with the same bytes.

        Raises
        ------
        StoreError
            Where batches are still pending, or a file cannot be written.
        """
        if self.finished is None:
            seen = self._seen()
            missing = [todo.batch for todo, records in seen if records is None]
            # Another process may have finished the job, and removed its parts, while they were read.
            if missing and self.finished is None:
                raise StoreError(
                    f"{self.folder}: {len(missing)} of {len(seen)} batches are still to be rendered (the first is "
                    f"batch {missing[0]}); job.pending lists them"
                )
            if not missing:
                self._publish([todo.channels for todo, _ in seen])
        with telling(self.folder):
            self._enlist()
            clear_leftovers(self.folder)
        return Spritemap(read_manifest(self.folder / MANIFEST_FILE), self.folder)

    def _seen(self) -> list[tuple[Todo, tuple[ChannelRecord, ...] | None]]:
        """Look at every batch that is known, once: what it is, and what its part says, None where there is none.

        An attempt follows from the records of those before it. Other processes write meanwhile: what is concluded must
        be concluded from one look.
        """
        seen: list[tuple[Todo, tuple[ChannelRecord, ...] | None]] = []
        best: dict[int, ChannelRecord] = {}
        batches = self.spec.batches
        for attempt in range(1, max(1, len(self.spec.ladder)) + 1):
            whole = True
            for channels in batches:
                records = self._records(len(seen), channels)
                seen.append((Todo(len(seen), attempt, channels), records))
                whole = whole and records is not None
                for record in records or ():
                    best[record.channel] = better(best.get(record.channel), record)
            if not whole:
                break
            batches = next_batches(best, width=max(map(len, self.spec.batches)))
        return seen

    def _publish(self, batches: Sequence[tuple[int, ...]]) -> None:
        spec = self.spec
        tiles = np.empty((spec.channels, spec.tile_px, spec.tile_px, 3), np.uint8)
        best: dict[int, ChannelRecord] = {}
        for batch, channels in enumerate(batches):
            part = read_part(self._part(batch), spec, channels)
            if part is None:
                if self.finished is not None:
                    return
                raise StoreError(f"{self._part(batch)} was damaged or removed meanwhile; run the same job again")
            for tile, record in zip(*part, strict=True):
                _keep_better(best, tiles, tile, record)
        pages = []
        with telling(self.folder):
            for page, content in pack(tiles):
                files.write_file(self.folder / page.file, content)
                pages.append(page)
            records = tuple(best[channel] for channel in sorted(best))
            manifest = Manifest(**self._shared(), records=records, pages=tuple(pages))
            files.write_file(self.folder / MANIFEST_FILE, manifest.to_bytes())

    def _shared(self) -> dict[str, Any]:
        return {f.name: getattr(self.spec, f.name) for f in fields(Manifest) if hasattr(self.spec, f.name)}

    def _part(self, batch: int) -> Path:
        return self.folder / PARTS_FOLDER / f"batch-{batch:05d}.npz"

    def _records(self, batch: int, channels: tuple[int, ...]) -> tuple[ChannelRecord, ...] | None:
        """What a part says of its channels; None where there is none that can be trusted."""
        path = self._part(batch)
        try:
            status = path.stat()
        except OSError:
            return None
        seen = (status.st_mtime_ns, status.st_size, channels)
        trusted = self._trusted.get(batch)
        if trusted is None or trusted.seen != seen:
            part = read_part(path, self.spec, channels)
            if part is None:
                return None
            self._trusted[batch] = trusted = _Trusted(seen, part[1])
        return trusted.records


class _Trusted(NamedTuple):
    """A part that was read: its time and size and the channels asked of it, and what it says of them."""

    seen: tuple[int, int, tuple[int, ...]]
    records: tuple[ChannelRecord, ...]


def _keep_better(best: dict[int, ChannelRecord], tiles: Any, tile: Pixels, record: ChannelRecord) -> None:
    if outdoes(record, best.get(record.channel)):
        tiles[record.channel] = tile
    best[record.channel] = better(best.get(record.channel), record)


def read_spec(folder: Path) -> JobSpec | None:
    """Read what the job in `folder` froze; None where there is no job, or its file is damaged.

    Raises
    ------
    OSError
        Where the file is there and cannot be read.
    NewerSchemaError
        Where a later version of this package wrote it.
    """
    path = folder / JOB_FILE
    try:
        return JobSpec.from_bytes(path.read_bytes(), origin=str(path))
    except FileNotFoundError:
        return None
    except ManifestError as error:
        if type(error) is not ManifestError:
            raise
        return None


def check_folder(folder: Path) -> Manifest:
    """Read the manifest of a finished layer, and make sure that its pages are there in full length.

    Raises
    ------
    OSError
        Where the manifest is missing or cannot be read.
    NewerSchemaError
        Where a later version of this package wrote it.
    ManifestError
        Where it is damaged, naming the file.
    StoreError
        Where a page is missing or cut short.
    """
    manifest = read_manifest(folder / MANIFEST_FILE)
    for page in manifest.pages:
        path = folder / page.file
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise StoreError(f"{path}: the page is missing; render the layer again") from None
        if size != page.bytes:
            raise StoreError(f"{path}: the page has {size} bytes; expected {page.bytes}; render the layer again")
    return manifest


def clear_leftovers(folder: Path) -> None:
    """Remove from a finished layer what the job left: parts, job.json, strays, and pages that are not its own.

    Raises
    ------
    OSError
        Where something is there and stays.
    """
    own = {page.file for page in read_manifest(folder / MANIFEST_FILE).pages}
    files.remove_folder(folder / PARTS_FOLDER)
    files.remove_file(folder / JOB_FILE)
    for path in folder.iterdir():
        if PAGE_FILE.fullmatch(path.name) and path.name not in own:
            files.remove_file(path)
    files.remove_strays(folder)
