"""The rendering of one layer, kept batch by batch until it is whole.

    >>> job = store.open_job(spec)
    >>> for batch in job.pending:
    ...     tiles, records = render(job.spec, job.spec.batches[batch])
    ...     job.write(batch, tiles, records)
    >>> spritemap = job.finish()

Rendering a layer takes hours, and machines are taken away within seconds. What is rendered is written at once, in a
part a batch; a job that is killed loses the batches in flight, and opened again it goes on with the rest. For the
outcome to be the same, the first opening *freezes* everything that decides a byte in ``job.json``, and later ones obey
it: ``job.spec`` is what to render by, whatever was asked for.

The consequences for a caller: render by ``job.spec`` and not by the spec you opened with; a part that is damaged, or of
another job, counts as not done; several processes may write parts of one job, and any of them may finish it.
"""

from __future__ import annotations

import hashlib
import io
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

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
    read_manifest,
)
from spritemaps.pages import Pixels, check_tiles, pack

__all__ = ["JOB_FILE", "MANIFEST_FILE", "Job", "JobSpec", "check_folder", "clear_leftovers", "read_spec"]

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

    def __post_init__(self) -> None:
        check_identity(self, ManifestError)
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
        return files.json_bytes({**asdict(self), "schema_version": SCHEMA_VERSION})

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
        content_fields = parse_schema(
            content, origin, {**strings, **numbers, **mappings, "batches": list}, ManifestError
        )
        try:
            return cls(**content_fields)
        except ManifestError as error:
            raise ManifestError(f"{origin}: {error}") from None


@dataclass(frozen=True, eq=False)
class Job:
    """The rendering of one layer, as far as it has come.

    Attributes
    ----------
    spec
        What the job froze when it was first opened: what to render by.
    folder
        Where its files lie.
    """

    spec: JobSpec
    folder: Path
    _enlist: Callable[[], None] = field(repr=False)
    _trusted: dict[int, tuple[int, int]] = field(default_factory=dict, repr=False)

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
    def pending(self) -> tuple[int, ...]:
        """Numbers of the batches that have no part yet, or one that cannot be trusted."""
        if self.finished is not None:
            return ()
        return tuple(batch for batch in range(len(self.spec.batches)) if not self._is_done(batch))

    def write(self, batch: int, tiles: Pixels, records: Sequence[ChannelRecord]) -> None:
        """Keep a rendered batch.

        Parameters
        ----------
        batch
            Its number in ``spec.batches``.
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
        if not 0 <= batch < len(self.spec.batches):
            raise ValueError(f"no batch {batch}; the job has batches 0 to {len(self.spec.batches) - 1}")
        channels = self.spec.batches[batch]
        tiles = check_tiles(tiles, len(channels))
        if tiles.shape[1] != self.spec.tile_px:
            raise ValueError(f"tiles of {tiles.shape[1]} px; the job has tiles of {self.spec.tile_px} px")
        named = tuple(record.channel for record in records)
        if named != channels:
            raise ValueError(f"records of channels {named}; batch {batch} has {channels}")
        if self.finished is not None:
            return
        content = _part_bytes(self.spec, tiles, records)
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
        parts: list[tuple[Pixels, tuple[ChannelRecord, ...]]] = []
        if self.finished is None:
            read = [(batch, _read_part(self._part(batch), self.spec, batch)) for batch in range(len(self.spec.batches))]
            parts = [part for _, part in read if part is not None]
            missing = [batch for batch, part in read if part is None]
            # Another process may have finished the job, and removed its parts, while they were read.
            if missing and self.finished is None:
                raise StoreError(
                    f"{self.folder}: {len(missing)} of {len(read)} batches are still to be rendered (the first is "
                    f"batch {missing[0]}); job.pending lists them"
                )
            if not missing:
                self._publish(parts)
        with telling(self.folder):
            self._enlist()
            clear_leftovers(self.folder)
        return Spritemap(read_manifest(self.folder / MANIFEST_FILE), self.folder)

    def _publish(self, parts: Sequence[tuple[Pixels, tuple[ChannelRecord, ...]]]) -> None:
        spec = self.spec
        records = sorted((record for _, part in parts for record in part), key=lambda record: record.channel)
        tiles = np.empty((spec.channels, spec.tile_px, spec.tile_px, 3), np.uint8)
        for channels, (part, _) in zip(spec.batches, parts, strict=True):
            tiles[list(channels)] = part
        pages = []
        with telling(self.folder):
            for page, content in pack(tiles):
                files.write_file(self.folder / page.file, content)
                pages.append(page)
            shared = {f.name: getattr(spec, f.name) for f in fields(Manifest) if hasattr(spec, f.name)}
            manifest = Manifest(**shared, records=tuple(records), pages=tuple(pages))
            files.write_file(self.folder / MANIFEST_FILE, manifest.to_bytes())

    def _part(self, batch: int) -> Path:
        return self.folder / PARTS_FOLDER / f"batch-{batch:05d}.npz"

    def _is_done(self, batch: int) -> bool:
        path = self._part(batch)
        try:
            status = path.stat()
        except OSError:
            return False
        seen = (status.st_mtime_ns, status.st_size)
        if self._trusted.get(batch) != seen:
            if _read_part(path, self.spec, batch) is None:
                return False
            self._trusted[batch] = seen
        return True


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


def _part_bytes(spec: JobSpec, tiles: Pixels, records: Sequence[ChannelRecord]) -> bytes:
    file = io.BytesIO()
    np.savez(
        file,
        job=np.array(_digest(spec)),
        tiles=tiles,
        channel=np.array([record.channel for record in records], np.int64),
        activation=np.array([record.activation for record in records], np.float64),
        alive=np.array([record.alive for record in records], np.bool_),
        attempts=np.array([record.attempts for record in records], np.int64),
    )
    return file.getvalue()


def _read_part(path: Path, spec: JobSpec, batch: int) -> tuple[Pixels, tuple[ChannelRecord, ...]] | None:
    channels = spec.batches[batch]
    shapes = {
        "tiles": ("uint8", (len(channels), spec.tile_px, spec.tile_px, 3)),
        "channel": ("int64", (len(channels),)),
        "activation": ("float64", (len(channels),)),
        "alive": ("bool", (len(channels),)),
        "attempts": ("int64", (len(channels),)),
    }
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as part:
            columns = {name: part[name] for name in shapes}
            job = str(part["job"])
        fits = all((str(columns[name].dtype), columns[name].shape) == shapes[name] for name in shapes)
        if not fits or job != _digest(spec) or tuple(columns["channel"].tolist()) != channels:
            return None
        names = ("channel", "activation", "alive", "attempts")
        rows = zip(*(columns[name].tolist() for name in names), strict=True)
        return columns["tiles"], tuple(ChannelRecord(*row) for row in rows)
    except ImportError:
        # The Python installation's fault, and none of the part's.
        raise
    except Exception:
        # A damaged archive raises almost anything on its way through zip and NumPy; all of it means "render again".
        return None


def _digest(spec: JobSpec) -> str:
    return hashlib.sha256(spec.to_bytes()).hexdigest()
