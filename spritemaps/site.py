"""A store as a static microscope: networks, their layers, their channels.

    >>> report = dc.pregenerate(small, ["parts"], store="sprites", size=32, steps=4, progress=False)
    >>> site("sprites", "site")                       # then open site/index.html; no server, no network
    PosixPath('site/index.html')

A store is made for programs. A site is the same pixels for people: the pages of each atlas are copied as they are, and
every thumbnail is a window onto one of them, so a layer of 2,000 channels is one or two pictures and a list of links. It
can be opened from a disk, put on any web server, or zipped and mailed. Each channel has an address of its own
(``mixed4d.html#24``); without JavaScript the grid stands, and only search, order and the channel's panel are missing.

The two verbs of this module: a layer is *described* (what its page says), a site is *written*.

The consequences for a caller: writing again over a site brings it up to date and removes what it no longer needs; a
folder that holds other things is refused.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as packaged_files
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from spritemaps import files
from spritemaps.atlas import Spritemap
from spritemaps.companions import KINDS, Companions, companions
from spritemaps.files import StoreError, telling
from spritemaps.grid import cell, grid_side
from spritemaps.manifest import ChannelRecord, Page
from spritemaps.merge import mean_quality
from spritemaps.store import Store

if TYPE_CHECKING:
    import jinja2

__all__ = ["site"]

TITLE = "Spritemaps"
LISTING = "site.json"
BINS = 32
PHOTO_PX = 480
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
ASSETS = ("site.css", "site.js")


def site(
    store: Store | str | Path,
    out: str | Path,
    *,
    title: str = TITLE,
    photos: str | Path | None = None,
    orders: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write a static site of a store's finished layers.

    Parameters
    ----------
    store
        A store, its folder, or an address.
    out
        Folder for the site; it is made where it is missing, and brought up to date where it is there.
    title
        Of its first page.
    photos
        Folder of the photos that the layers were compared with; the best one of a channel is shown beside it.
    orders
        Names of layers in network order, by network. What is not named comes after, numbers in names in their order.

    Returns
    -------
    Path
        The first page.

    Raises
    ------
    StoreError
        Where there is no store, a page of it is damaged, or `out` holds other things or cannot be written.

    Examples
    --------
    >>> report = dc.pregenerate(small, ["parts"], store="sprites", size=32, steps=4, progress=False)
    >>> site("sprites", "site", title="Our networks")
    PosixPath('site/index.html')
    """
    store = store if isinstance(store, Store) else Store(store, read_only=True)
    out = Path(out).expanduser()
    if isinstance(store.root, Path) and not store.root.is_dir():
        raise StoreError(f"there is no store at {store.root}; expected a folder with spritemaps, or an address")
    known = _listing(out, store)
    pictures = Path(photos).expanduser() if photos is not None else None
    if pictures is not None and not pictures.is_dir():
        raise StoreError(f"there are no photos at {pictures}; expected the folder that was given to pregenerate")
    networks = _networks(store.layers(), orders or {})
    wanted: set[str] = set()
    with telling(out):

        def write(name: str, content: bytes) -> None:
            wanted.add(name)
            if not _holds(out / name, content):
                files.write_file(out / name, content)

        # An interrupted site is known for one by this file.
        files.write_file(out / LISTING, files.json_bytes({"files": sorted(known)}))
        for name in ASSETS:
            write(f"assets/{name}", packaged_files("spritemaps").joinpath("templates", name).read_bytes())
        for network in networks:
            for layer in network.layers:
                for page in layer.pages:
                    write(f"{layer.folder}/{page.file}", _page_content(layer.spritemap, page))
                for each in layer.companions:
                    for page in each.pages:
                        write(f"{layer.folder}/{each.kind}/{page.file}", _checked_content(each.folder, page))
            used = _copy_photos(network, pictures, write)
            for i, layer in enumerate(network.layers):
                write(layer.page, _layer_page(network, i, used, title))
            write(network.page, _rendered("network.html", title=network.name, root="../", site=title, network=network))
        # The first page comes last: an interrupted site keeps the one it had.
        write(
            "index.html", _rendered("index.html", title=title, root="", networks=networks, facts=_store_facts(networks))
        )
        files.write_file(out / LISTING, files.json_bytes({"files": sorted(wanted)}))
        _remove(out, known - wanted)
    return out / "index.html"


class Place(NamedTuple):
    """Where a sprite is cut out: number, file, columns and rows of its page, and its column and row in that."""

    number: int
    file: str
    columns: int
    rows: int
    x: int
    y: int


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer as its page tells it; `slug` is its name in addresses."""

    spritemap: Spritemap
    network_slug: str
    slug: str
    told_apart: bool

    @property
    def name(self) -> str:
        return self.spritemap.layer

    @property
    def network(self) -> str:
        return self.spritemap.network

    @property
    def recipe_name(self) -> str:
        return self.spritemap.manifest.recipe_name

    @property
    def tile_px(self) -> int:
        return self.spritemap.tile_px

    @property
    def page(self) -> str:
        return f"{self.network_slug}/{self.slug}.html"

    @property
    def folder(self) -> str:
        return f"{self.network_slug}/{self.slug}"

    @property
    def base(self) -> str:
        return self.slug

    @property
    def channels(self) -> int:
        return self.spritemap.manifest.channels

    @property
    def side(self) -> int:
        return grid_side(self.channels)

    @property
    def outline(self) -> str:
        """The polygon, in CSS, of the cells that hold a channel: a map shows no empty ones."""
        rows, rest = divmod(self.channels, self.side)
        full, end, over = (f"{100 * n / self.side:.4g}%" for n in (rows, rows + (rest > 0), rest))
        return (
            f"0 0,100% 0,100% {full},{over} {full},{over} {end},0 {end}" if rest else f"0 0,100% 0,100% {full},0 {full}"
        )

    @property
    def pages(self) -> tuple[Page, ...]:
        return self.spritemap.manifest.pages

    @property
    def records(self) -> tuple[ChannelRecord, ...]:
        return self.spritemap.records

    @property
    def companions(self) -> tuple[Companions, ...]:
        return companions(self.spritemap.folder)

    @property
    def alive(self) -> list[ChannelRecord]:
        return [record for record in self.records if record.alive]

    @property
    def facts(self) -> list[str]:
        dead = self.channels - len(self.alive)
        said = [counted(self.channels, "channel")]
        said += [f"{dead:,} dead"] if dead else []
        said += [f"mean activation {figure(mean_quality(self.spritemap.manifest))}"] if self.alive else []
        share = share_of_photos(self.records)
        said += [] if share is None else [f"{share:.0%} of the best photos"]
        return [*said, f"recipe {self.recipe_name}"]

    @property
    def about(self) -> list[tuple[str, str]]:
        manifest = self.spritemap.manifest
        told = [
            ("Channels", f"{self.channels:,}"),
            ("Dead", f"{self.channels - len(self.alive):,}"),
            ("Tried more than once", f"{sum(record.attempts > 1 for record in self.records):,}"),
            ("Sprite", f"{self.tile_px} px"),
            ("Recipe", manifest.recipe_name),
            ("Hash of the recipe", manifest.recipe_hash[:12]),
            ("Seed", str(manifest.seed)),
            ("Fingerprint", manifest.fingerprint[:12]),
        ]
        return told + [(name, version) for name, version in sorted(manifest.versions.items())]

    @property
    def recipe_text(self) -> str:
        recipe = dict(self.spritemap.manifest.recipe)
        return json.dumps(recipe, indent=1, ensure_ascii=False) if recipe else self.recipe_name

    @property
    def least(self) -> str:
        return figure(min(record.activation for record in self.alive))

    @property
    def most(self) -> str:
        return figure(max(record.activation for record in self.alive))

    @property
    def bins(self) -> list[float]:
        """Heights in [0, 1] of the histogram of activations; none where there is nothing to tell apart."""
        values = [record.activation for record in self.alive]
        if len(values) < 2 or max(values) <= min(values):
            return []
        least, span = min(values), max(values) - min(values)
        counts = [0] * BINS
        for value in values:
            counts[min(BINS - 1, math.floor((value - least) / span * BINS))] += 1
        return [count / max(counts) for count in counts]

    def place(self, channel: int) -> Place:
        row, column = cell(channel, self.channels)
        for number, page in enumerate(self.pages):
            x, y = column - page.first_column, row - page.first_row
            if 0 <= x < page.columns and 0 <= y < page.rows:
                return Place(number, page.file, page.columns, page.rows, x, y)
        raise StoreError(f"{self.spritemap.folder}: no page holds channel {channel}")

    def strongest(self, n: int) -> list[int]:
        """The `n` living channels with the highest activation, strongest first."""
        ranked = sorted(self.alive or self.records, key=lambda record: (-record.activation, record.channel))
        return [record.channel for record in ranked[:n]]

    def figure(self, record: ChannelRecord) -> str:
        return figure(record.activation) if record.alive else "dead"

    def said(self, record: ChannelRecord) -> str:
        return f"activation {figure(record.activation)}" if record.alive else "dead"


@dataclass(frozen=True, eq=False)
class _Network:
    name: str
    slug: str
    layers: tuple[_Layer, ...]

    @property
    def page(self) -> str:
        return f"{self.slug}/index.html"

    @property
    def shown(self) -> _Layer:
        """The layer that stands for the network: its deepest one, by its first recipe."""
        return next(layer for layer in self.layers if layer.name == self.layers[-1].name)

    @property
    def facts(self) -> list[str]:
        first = {layer.name: layer for layer in reversed(self.layers)}
        dead = sum(layer.channels - len(layer.alive) for layer in first.values())
        recipes = sorted({layer.recipe_name for layer in self.layers})
        said = [
            counted(len(first), "layer"),
            counted(_channels(self.layers), "channel"),
        ]
        said += [f"{dead:,} dead"] if dead else []
        return [*said, f"recipe{'s' * (len(recipes) > 1)} {', '.join(recipes)}"]


def figure(value: float) -> str:
    """Give a number in three figures: ``12.3``, ``43.0``, ``0.00456``, ``12,300``."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:#.3g}"


def counted(n: int, what: str) -> str:
    """Give ``"1 layer"`` or ``"2,000 layers"``."""
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def share_of_photos(records: Iterable[ChannelRecord]) -> float | None:
    """Give the mean share of their best photo that living channels' sprites reach; None where no photos were given."""
    shares = [
        record.robust / record.photo_best
        for record in records
        if record.alive and record.robust is not None and record.photo_best is not None and record.photo_best > 0
    ]
    return math.fsum(shares) / len(shares) if shares else None


def _channels(layers: Iterable[_Layer]) -> int:
    return sum({layer.name: layer.channels for layer in layers}.values())


def _store_facts(networks: Sequence[_Network]) -> list[str]:
    layers = sum(len({layer.name for layer in network.layers}) for network in networks)
    channels = sum(_channels(network.layers) for network in networks)
    return [counted(len(networks), "network"), counted(layers, "layer"), counted(channels, "channel")]


def _networks(found: Sequence[Spritemap], orders: Mapping[str, Sequence[str]]) -> tuple[_Network, ...]:
    names = sorted({spritemap.network for spritemap in found}, key=_natural)
    slugs = _slugs(names, taken={"assets", "photos"})
    networks = []
    for name in names:
        ranks = {layer: rank for rank, layer in enumerate(orders.get(name, ()))}
        mine = [spritemap for spritemap in found if spritemap.network == name]
        mine.sort(key=lambda s: (ranks.get(s.layer, len(ranks)), _natural(s.layer), s.manifest.recipe_name))
        twice = {s.layer for s in mine if sum(other.layer == s.layer for other in mine) > 1}
        labels = [f"{s.layer}.{s.manifest.recipe_name}" if s.layer in twice else s.layer for s in mine]
        layers = [
            _Layer(spritemap, slugs[names.index(name)], slug, spritemap.layer in twice)
            for spritemap, slug in zip(mine, _slugs(labels, taken={"index"}), strict=True)
        ]
        networks.append(_Network(name, slugs[names.index(name)], tuple(layers)))
    return tuple(networks)


def _natural(name: str) -> list[tuple[int, int, str]]:
    # `block4` comes before `block14`.
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.lower()) for part in parts]


def _slugs(names: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """Names that need no escaping in an address or on any disk, each once whatever the disk thinks of capitals."""
    used, slugs = set(taken), []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80] or "layer"
        slug, count = plain, 1
        while slug.lower() in used:
            count += 1
            slug = f"{plain}-{count}"
        used.add(slug.lower())
        slugs.append(slug)
    return slugs


def _layer_page(network: _Network, i: int, photos: Mapping[str, str], title: str) -> bytes:
    layer = network.layers[i]
    others = [other for other in network.layers if other.name == layer.name and other is not layer]
    apart = [other for other in network.layers if other.name != layer.name or other is layer]
    at = apart.index(layer)
    keys = [("activation", "strongest first")]
    if any(record.robust is not None for record in layer.records):
        keys.append(("robust", "most robust first"))
    return _rendered(
        "layer.html",
        title=f"{layer.name} – {layer.network}",
        root="../",
        site=title,
        layer=layer,
        data=_data(layer, others, photos, f"{layer.name} – {layer.network}"),
        others=others,
        orders=keys,
        before=apart[at - 1] if at else None,
        after=apart[at + 1] if at + 1 < len(apart) else None,
    )


def _data(layer: _Layer, others: Sequence[_Layer], photos: Mapping[str, str], title: str) -> dict[str, Any]:
    """What the script of a layer's page needs to know, as plain JSON."""
    values = [record.activation for record in layer.alive]

    def column(name: str) -> list[Any] | None:
        found = [getattr(record, name) for record in layer.records]
        return found if any(value is not None for value in found) else None

    names = column("photo")
    return {
        "title": title,
        "network": layer.network,
        "layer": layer.name,
        "recipe": layer.recipe_name,
        "seed": layer.spritemap.manifest.seed,
        "least": min(values, default=0.0),
        "most": max(values, default=0.0),
        "activation": [float(f"{record.activation:.6g}") for record in layer.records],
        "alive": [int(record.alive) for record in layer.records],
        "attempts": [record.attempts for record in layer.records],
        "kept": [record.kept for record in layer.records],
        "ladder": [[rung["recipe_name"], rung["seed"]] for rung in layer.spritemap.manifest.ladder],
        "robust": column("robust"),
        "photo_best": column("photo_best"),
        "photo": names and [name and [name, photos.get(name)] for name in names],
        **_cuts(layer),
        "companions": [_beside(layer, each) for each in layer.companions],
        "others": [
            {"recipe": other.recipe_name, "page": f"{other.slug}.html", **_cuts(other)}
            for other in others
            if other.spritemap.fingerprint == layer.spritemap.fingerprint and other.channels == layer.channels
        ],
    }


def _beside(layer: _Layer, each: Companions) -> dict[str, Any]:
    """More pictures of channels: where each channel's lie among them, and a word for each."""
    starts = itertools.accumulate((len(words) for words in each.captions.values()), initial=0)
    return {
        "kind": each.kind,
        "title": KINDS[each.kind],
        "side": each.side,
        "pages": [[f"{layer.slug}/{each.kind}/{page.file}", *page.block] for page in each.pages],
        "of": {
            channel: [start, list(words)]
            for (channel, words), start in zip(each.captions.items(), starts, strict=False)
        },
    }


def _cuts(layer: _Layer) -> dict[str, Any]:
    pages = [[f"{layer.slug}/{page.file}", *page.block] for page in layer.pages]
    return {"side": layer.side, "pages": pages}


def _copy_photos(network: _Network, folder: Path | None, write: Any) -> dict[str, str]:
    """Copy the photos that some channel likes best, small enough for a page; give their addresses by name."""
    from PIL import Image, ImageOps

    names = sorted({record.photo for layer in network.layers for record in layer.records if record.photo is not None})
    copied: dict[str, str] = {}
    if folder is None:
        return {}
    for name in names:
        path = (folder / name).resolve()
        # A manifest may come from anywhere, and must not name files outside the folder.
        if not path.is_relative_to(folder.resolve()) or path.suffix.lower() not in PICTURES or not path.is_file():
            continue
        with Image.open(path) as picture:
            small = ImageOps.exif_transpose(picture).convert("RGB")
        small.thumbnail((PHOTO_PX, PHOTO_PX))
        file = io.BytesIO()
        small.save(file, format="WEBP", quality=85, method=4)
        place = f"photos/{hashlib.sha256(file.getvalue()).hexdigest()[:16]}.webp"
        write(place, file.getvalue())
        copied[name] = f"../{place}"
    return copied


def _page_content(spritemap: Spritemap, page: Page) -> bytes:
    if spritemap.folder is None:
        raise StoreError(f"{spritemap!r} is held in memory; a site shows the finished layers of a store")
    return _checked_content(spritemap.folder, page)


def _checked_content(folder: Path, page: Page) -> bytes:
    path = folder / page.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror or error}); diamond verify tells more") from error
    if len(content) != page.bytes or hashlib.sha256(content).hexdigest() != page.sha256:
        raise StoreError(f"{path} is damaged: its content is not what the manifest says; diamond verify tells more")
    return content


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _listing(out: Path, store: Store) -> set[str]:
    """The files that an earlier site wrote in `out`; an error where the folder is something else."""
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file; expected a folder for the site, or a path where one can be made")
    if isinstance(store.root, Path) and out.resolve().is_relative_to(store.root.resolve()):
        raise StoreError(f"{out} lies in the store {store.root}; give a folder beside it for the site")
    if not out.is_dir() or not any(out.iterdir()):
        return set()
    try:
        named = json.loads((out / LISTING).read_text(encoding="utf-8"))["files"]
        return {
            name for name in named if ".." not in PurePosixPath(name).parts and not PurePosixPath(name).is_absolute()
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise StoreError(
            f"{out} holds other things than a site; give an empty folder, or one that is not there"
        ) from None


def _remove(out: Path, names: Iterable[str]) -> None:
    for name in names:
        path = out / name
        files.remove_file(path)
        for folder in path.parents:
            if folder == out or any(folder.iterdir()):
                break
            folder.rmdir()


def _rendered(template: str, **content: Any) -> bytes:
    return _environment().get_template(template).render(**content).encode("utf-8")


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("spritemaps"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
