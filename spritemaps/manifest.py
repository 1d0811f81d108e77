"""What is known of a spritemap besides its pixels.

    >>> manifest = read_manifest(dc.spritemap(net, "block9_add").folder / "manifest.json")
    >>> manifest.network, manifest.layer, manifest.channels
    ('EfficientNetLite0', 'block9_add', 112)
    >>> manifest.records[24].channel, manifest.records[24].alive
    (24, True)

A picture of a channel is worth something only with the answers to: of which weights (the fingerprint), made how (the
recipe), and did it come out (activation, dead or alive). The manifest holds them, and it is the file that makes a
layer *finished*: it comes last. It names no time and no machine, so that a job which was killed and resumed ends with
the same bytes as one that was not.

The two verbs of this module: a manifest is *read* (from JSON, checked field by field) and *dumped* (to the same bytes).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spritemaps.files import check_fields, json_bytes, parse_json
from spritemaps.grid import Block, grid_side

__all__ = ["SCHEMA_VERSION", "ChannelRecord", "Manifest", "ManifestError", "NewerSchemaError", "Page", "read_manifest"]

SCHEMA_VERSION = 1
PAGE_FILE = re.compile(r"atlas-\d+\.webp")
_HEX = re.compile(r"[0-9a-f]+")


class ManifestError(ValueError):
    """A manifest that lacks a field, has one too many, or holds a value that cannot be.

    Examples
    --------
    >>> Manifest.from_bytes(b"{}", origin="manifest.json")
    Traceback (most recent call last):
        ...
    spritemaps.manifest.ManifestError: manifest.json...
    """


class NewerSchemaError(ManifestError):
    """A manifest written by a later version of this package."""


@dataclass(frozen=True)
class ChannelRecord:
    """How the rendering of one channel ended.

    Attributes
    ----------
    channel
        Its number, from 0.
    activation
        Mean activation that its sprite reached; finite.
    alive
        False where no attempt made the channel fire: its picture means nothing.
    attempts
        Number of starts that were tried, 1 or more.
    kept
        Which of them made the sprite, from 1; `Manifest.ladder` tells how.
    robust
        Mean activation under transforms that no optimiser drew; None where it was not measured.
    photo_best, photo
        The most that any of the photos reached of the same, and the name of that photo's file; None without photos.

    Examples
    --------
    >>> record = dc.spritemap(net, "block9_add").record(24)
    >>> record.channel, record.alive, record.attempts, record.below_bar
    (24, True, 1, False)
    """

    channel: int
    activation: float
    alive: bool = True
    attempts: int = 1
    kept: int = field(default=1, repr=False)
    robust: float | None = field(default=None, repr=False)
    photo_best: float | None = field(default=None, repr=False)
    photo: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            channel, attempts, kept = (operator.index(n) for n in (self.channel, self.attempts, self.kept))
            measured = {name: _finite(channel, name, getattr(self, name)) for name in _MEASURED}
        except (TypeError, OverflowError):
            raise ManifestError(
                f"{self!r}: expected whole numbers of channel and attempts, and an activation"
            ) from None
        if channel < 0 or attempts < 1:
            raise ManifestError(f"channel {channel} in {attempts} attempts; expected 0 or more, in 1 or more")
        if not 1 <= kept <= attempts:
            raise ManifestError(f"channel {channel} kept attempt {kept} of {attempts}")
        if measured["activation"] is None:
            raise ManifestError(f"channel {channel} has no activation")
        if self.photo is not None and not isinstance(self.photo, str):
            raise ManifestError(f"channel {channel}: photo is {self.photo!r}; expected the name of a file")
        whole = {"channel": channel, "attempts": attempts, "kept": kept, "alive": bool(self.alive)}
        for name, value in {**whole, **measured}.items():
            object.__setattr__(self, name, value)

    @property
    def below_bar(self) -> bool:
        """Whether another attempt is worth it: the channel is dead, or a photo excites it more than its sprite does."""
        beaten = self.robust is not None and self.photo_best is not None and self.robust < self.photo_best
        return not self.alive or beaten


@dataclass(frozen=True)
class Page:
    """One picture file and the block of the grid that it holds.

    Attributes
    ----------
    file
        Its name beside the manifest: ``"atlas-0.webp"``.
    first_row, rows, first_column, columns
        The block, in cells.
    sha256, bytes
        Of the file.
    """

    file: str
    first_row: int
    rows: int
    first_column: int
    columns: int
    sha256: str
    bytes: int

    @property
    def block(self) -> Block:
        """The cells it holds."""
        return Block(self.first_row, self.rows, self.first_column, self.columns)


@dataclass(frozen=True)
class Manifest:
    """What is known of a spritemap besides its pixels.

    Attributes
    ----------
    network, layer
        Name of the network and address of the layer when it was rendered. They tell a reader where it came from; what
        finds it is the fingerprint.
    channels
        Number of channels of the whole layer.
    tile_px
        Side of one sprite, in pixels.
    recipe_name, recipe, recipe_hash
        How the sprites were rendered: a name, everything that decides it as plain JSON, and the hash of that.
    fingerprint
        Hash of the layer, its weights and everything before it, in lower-case hexadecimal digits (8 or more).
    seed
        Of the random numbers.
    versions
        Of the packages that rendered it: ``{"keras": "3.15.0"}``.
    ladder
        How each attempt at a channel was made, the first first, as plain JSON: its recipe and seed; empty where there
        was one attempt, by `recipe` and `seed`.
    records
        One a channel, in channel order; those of some channels only where the spritemap is a subset.
    pages
        The picture files; none where the sprites are in memory only.

    Examples
    --------
    >>> manifest = dc.spritemap(net, "block9_add").manifest
    >>> manifest.network, manifest.layer, manifest.channels, manifest.tile_px, manifest.recipe_name, manifest.is_complete
    ('EfficientNetLite0', 'block9_add', 112, 96, 'sprite', True)
    """

    network: str
    layer: str
    channels: int
    tile_px: int
    recipe_name: str
    recipe_hash: str
    fingerprint: str
    seed: int
    recipe: Mapping[str, Any] = field(default_factory=dict, repr=False)
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)
    records: tuple[ChannelRecord, ...] = field(default=(), repr=False)
    pages: tuple[Page, ...] = field(default=(), repr=False)
    ladder: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        check_identity(self, ManifestError)
        object.__setattr__(self, "ladder", plain_ladder(self.ladder, ManifestError))
        object.__setattr__(self, "records", tuple(self.records))
        object.__setattr__(self, "pages", tuple(self.pages))
        numbers = [record.channel for record in self.records]
        if numbers != sorted(set(numbers)):
            raise ManifestError("the records are not in channel order, each channel once")
        if numbers and numbers[-1] >= self.channels:
            raise ManifestError(
                f"a record of channel {numbers[-1]}, but the layer has channels 0 to {self.channels - 1}"
            )

    @property
    def is_complete(self) -> bool:
        """True where every channel has a record and every cell of the grid is in exactly one page file."""
        side = grid_side(self.channels)
        area = sum(page.rows * page.columns for page in self.pages)
        files = {page.file for page in self.pages}
        if len(self.records) != self.channels or area != side * side or len(files) != len(self.pages):
            return False
        cells = {
            (row, column)
            for first_row, rows, first_column, columns in (page.block for page in self.pages)
            for row in range(first_row, first_row + rows)
            for column in range(first_column, first_column + columns)
        }
        return cells == {(row, column) for row in range(side) for column in range(side)}

    def to_bytes(self) -> bytes:
        """Dump as JSON; equal manifests give equal bytes."""
        content = asdict(self)
        # What was not known when the format was made is left out where there is none, so that old bytes stay the same.
        content["records"] = [_without_defaults(record) for record in content["records"]]
        if not self.ladder:
            del content["ladder"]
        return json_bytes({**content, "schema_version": SCHEMA_VERSION, "grid_side": grid_side(self.channels)})

    @classmethod
    def from_bytes(cls, content: bytes, *, origin: str = "manifest") -> Manifest:
        """Read the manifest of a finished layer; the inverse of `to_bytes`.

        Raises
        ------
        NewerSchemaError
            Where a later version of this package wrote it.
        ManifestError
            Naming `origin`, the field, what was found and what was expected.
        """
        kinds = {**_FIELDS, "grid_side": int}
        fields = parse_schema(content, origin, kinds, ManifestError, optional={"ladder": list})
        side = fields.pop("grid_side")
        try:
            fields["records"] = tuple(
                ChannelRecord(**_check_record(record, f"records[{i}]")) for i, record in enumerate(fields["records"])
            )
            fields["pages"] = tuple(_page(page, f"pages[{i}]") for i, page in enumerate(fields["pages"]))
            manifest = cls(**fields)
        except ManifestError as error:
            raise ManifestError(f"{origin}: {error}") from None
        if side != grid_side(manifest.channels):
            raise ManifestError(f"{origin}: grid_side is {side}; expected {grid_side(manifest.channels)}")
        if not manifest.is_complete:
            raise ManifestError(
                f"{origin}: {len(manifest.records)} records and {len(manifest.pages)} pages do not make up "
                f"{manifest.channels} channels in a grid of {side} x {side}"
            )
        return manifest


_MEASURED = ("activation", "robust", "photo_best")
_RECORD_FIELDS: dict[str, type] = {"channel": int, "activation": float, "alive": bool, "attempts": int}
_LATER_FIELDS: dict[str, type] = {"kept": int, "robust": float, "photo_best": float, "photo": str}
_PAGE_FIELDS: dict[str, type] = {
    "file": str,
    "first_row": int,
    "rows": int,
    "first_column": int,
    "columns": int,
    "sha256": str,
    "bytes": int,
}
_FIELDS: dict[str, type] = {
    "network": str,
    "layer": str,
    "channels": int,
    "tile_px": int,
    "recipe_name": str,
    "recipe_hash": str,
    "fingerprint": str,
    "seed": int,
    "recipe": dict,
    "versions": dict,
    "records": list,
    "pages": list,
}


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a finished layer.

    Raises
    ------
    OSError
        Where it cannot be read.
    NewerSchemaError
        Where a later version of this package wrote it.
    ManifestError
        Where it is damaged, naming the file.
    """
    return Manifest.from_bytes(path.read_bytes(), origin=str(path))


def parse_schema(
    content: bytes,
    origin: str,
    kinds: Mapping[str, type],
    error: type[Exception],
    *,
    optional: Mapping[str, type] | None = None,
) -> dict[str, Any]:
    """Read the fields of a versioned JSON file, the version itself left out; those that are `optional` may be missing.

    Raises
    ------
    NewerSchemaError
        Where a later version of this package wrote it.
    error
        Naming `origin` and what is wrong with it.
    """
    try:
        parsed = parse_json(content)
    except ValueError as problem:
        raise error(f"{origin}: not a JSON file ({problem})") from None
    version = parsed.get("schema_version") if isinstance(parsed, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"{origin}: written with schema version {version}, and this diamond-cutter reads up to {SCHEMA_VERSION}; "
            "upgrade it (pip install --upgrade diamond-cutter)"
        )
    there = {name: kind for name, kind in (optional or {}).items() if isinstance(parsed, dict) and name in parsed}
    fields = check_fields(parsed, {**kinds, **there, "schema_version": int}, origin, error)
    if fields.pop("schema_version") != SCHEMA_VERSION:
        raise error(f"{origin}: schema_version is {version!r}; expected {SCHEMA_VERSION}")
    return fields


def check_identity(described: Any, error: type[Exception]) -> None:
    """Check what a manifest and a job both say of a layer, and make its mappings plain JSON.

    Raises
    ------
    error
        Naming the field, what was found and what was expected.
    """
    for name in ("network", "layer", "recipe_name", "recipe_hash"):
        value = getattr(described, name)
        if not isinstance(value, str) or not value:
            raise error(f"{name} is {value!r}; expected a string that is not empty")
    fingerprint = described.fingerprint
    if not isinstance(fingerprint, str) or not _HEX.fullmatch(fingerprint) or len(fingerprint) < 8:
        raise error(f"fingerprint is {fingerprint!r}; expected 8 or more of the digits 0-9 and a-f")
    for name, least in (("channels", 1), ("tile_px", 1), ("seed", None)):
        try:
            number = operator.index(getattr(described, name))
        except TypeError:
            raise error(f"{name} is {getattr(described, name)!r}; expected a whole number") from None
        if least is not None and number < least:
            raise error(f"{name} is {number}; expected {least} or more")
        object.__setattr__(described, name, number)
    for name in ("recipe", "versions", "settings"):
        if hasattr(described, name):
            try:
                plain = parse_json(json_bytes(dict(getattr(described, name))))
            except (TypeError, ValueError) as problem:
                raise error(f"{name} is not plain JSON ({problem})") from None
            object.__setattr__(described, name, plain)


def plain_ladder(ladder: Any, error: type[Exception]) -> tuple[Mapping[str, Any], ...]:
    """Give the rungs of a ladder as plain JSON.

    Raises
    ------
    error
        Where they are no list of objects.
    """
    try:
        rungs = tuple(ladder)
        if not all(isinstance(rung, Mapping) for rung in rungs):
            raise TypeError("each rung is an object")
        return tuple(parse_json(json_bytes(dict(rung))) for rung in rungs)
    except (TypeError, ValueError) as problem:
        raise error(f"ladder is not plain JSON ({problem})") from None


def _finite(channel: int, name: str, value: Any) -> float | None:
    number = None if value is None else float(value)
    if number is not None and not math.isfinite(number):
        raise ManifestError(
            f"channel {channel} reached the {name} {number}; expected a finite number (record a channel that went "
            "astray as dead, with the activation 0)"
        )
    return number


def _without_defaults(record: dict[str, Any]) -> dict[str, Any]:
    return {name: v for name, v in record.items() if name in _RECORD_FIELDS or v not in (None, _DEFAULTS.get(name))}


_DEFAULTS = {"kept": 1}


def _check_record(record: Any, where: str) -> dict[str, Any]:
    there = {name: kind for name, kind in _LATER_FIELDS.items() if isinstance(record, Mapping) and name in record}
    return check_fields(record, _RECORD_FIELDS | there, where, ManifestError)


def _page(content: Any, where: str) -> Page:
    page = Page(**check_fields(content, _PAGE_FIELDS, where, ManifestError))
    if not PAGE_FILE.fullmatch(page.file):
        raise ManifestError(f"{where}: file is {page.file!r}; expected a name like 'atlas-0.webp'")
    if min(page.block) < 0 or min(page.rows, page.columns, page.bytes) < 1:
        raise ManifestError(f"{where}: {page.block} of {page.bytes} bytes; expected a block of cells inside the grid")
    return page
