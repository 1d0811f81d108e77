"""More pictures beside a layer's sprites: what excites its channels in photos, and other sprites of the same channel.

    keep(sprites, "exemplars", {24: patches}, {24: ("cat.jpg, 21.8", "dog.jpg, 20.3")})
    [each.kind for each in companions(sprites.folder)]
    # ['exemplars']

A sprite is one answer to what a channel looks for. Its *companions* are others, *kept* in a folder of their own beside
the atlas: a picture file as the atlas is, and ``pictures.json``, which says which cells belong to which channel, and a
word for each. They are no part of the spritemap: a layer is finished without them, and finished once they are damaged.

As with a layer, the pictures come first and ``pictures.json`` last, so that a job which is killed leaves what was there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spritemaps import files
from spritemaps.files import StoreError, check_fields, telling
from spritemaps.grid import cell, grid_side
from spritemaps.manifest import SCHEMA_VERSION, ManifestError, Page, parse_schema
from spritemaps.pages import Pixels, check_tiles, pack, read_page

__all__ = ["KINDS", "Companions", "companions", "copy_companions", "keep"]

# By folder: what they are called where they are shown.
KINDS = {"exemplars": "Pictures that excite it most", "diverse": "Other pictures of it"}
LISTING = "pictures.json"
MOST_A_CHANNEL = 64


@dataclass(frozen=True)
class Companions:
    """Pictures of some channels, several each.

    Attributes
    ----------
    folder
        Where they lie.
    kind
        One of `KINDS`.
    tile_px
        Side of one, in pixels.
    captions
        A word for each picture of each channel.
    pages
        The picture files.
    """

    folder: Path
    kind: str
    tile_px: int
    captions: Mapping[int, tuple[str, ...]]
    pages: tuple[Page, ...]

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return sum(len(words) for words in self.captions.values())

    @property
    def side(self) -> int:
        """Of the grid in which they lie, channel after channel, in cells."""
        return grid_side(self.count)

    def first(self, channel: int) -> int:
        """Give the running number of a channel's first picture."""
        return sum(len(words) for other, words in self.captions.items() if other < channel)

    def tiles(self) -> dict[int, Pixels]:
        """Read all pictures, uint8 ``(n, tile_px, tile_px, 3)`` by channel.

        Raises
        ------
        StoreError
            Where a file is missing or damaged.
        """
        px = self.tile_px
        found = np.zeros((self.count, px, px, 3), np.uint8)
        for page in self.pages:
            pixels = read_page(self.folder, page, px)
            for i in range(self.count):
                row, column = cell(i, self.count)
                y, x = row - page.first_row, column - page.first_column
                if 0 <= y < page.rows and 0 <= x < page.columns:
                    found[i] = pixels[y * px : (y + 1) * px, x * px : (x + 1) * px]
        return {
            channel: found[self.first(channel) : self.first(channel) + len(words)]
            for channel, words in self.captions.items()
        }


def companions(folder: Path | None) -> tuple[Companions, ...]:
    """List what is kept beside the layer in `folder`; what cannot be read is left out."""
    found = []
    for kind in KINDS if folder is not None else ():
        assert folder is not None
        try:
            found.append(_read(folder / kind, kind))
        except (OSError, ManifestError):
            continue
    return tuple(found)


def keep(
    folder: Path | None, kind: str, pictures: Mapping[int, Pixels], captions: Mapping[int, Sequence[str]]
) -> Companions:
    """Keep pictures beside a layer; those kept before for other channels stay, where they have the same size.

    Parameters
    ----------
    folder
        Of the finished layer in its store.
    kind
        One of `KINDS`.
    pictures
        uint8 ``(n, tile_px, tile_px, 3)`` by channel, all of one size.
    captions
        A word for each.

    Raises
    ------
    ValueError
        For another kind, pictures of several shapes, more than 64 of one channel, and captions that do not fit them.
    StoreError
        Where the layer is held in memory, or its folder cannot be written.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of pictures {kind!r}; expected one of {', '.join(KINDS)}")
    if folder is None:
        raise StoreError("the layer's sprites are held in memory; pictures are kept beside those of a store")
    if not pictures:
        raise ValueError("no pictures to keep")
    whole = {int(channel): check_tiles(tiles, len(tiles)) for channel, tiles in pictures.items()}
    words = {int(channel): tuple(map(str, captions[channel])) for channel in pictures}
    sizes = {tiles.shape[1] for tiles in whole.values()}
    if len(sizes) > 1:
        raise ValueError(f"pictures of {', '.join(map(str, sorted(sizes)))} px; expected one size")
    for channel, tiles in whole.items():
        if not 1 <= len(tiles) <= MOST_A_CHANNEL or len(tiles) != len(words[channel]):
            raise ValueError(
                f"channel {channel} has {len(tiles)} pictures and {len(words[channel])} captions; expected as many of "
                f"both, 1 to {MOST_A_CHANNEL}"
            )
    with telling(folder):
        old = next((each for each in companions(folder) if each.kind == kind), None)
        if old is not None and old.tile_px in sizes:
            whole, words = {**old.tiles(), **whole}, {**old.captions, **words}
        order = sorted(whole)
        packed = list(pack(np.concatenate([whole[channel] for channel in order])))
        pages = _renamed([page for page, _ in packed], set() if old is None else {page.file for page in old.pages})
        made = Companions(folder / kind, kind, sizes.pop(), {channel: words[channel] for channel in order}, pages)
        _write(made, [content for _, content in packed])
        for page in () if old is None else old.pages:
            files.remove_file(folder / kind / page.file)
    return made


def copy_companions(source: Path, target: Path) -> int:
    """Copy what is kept beside one layer beside the same layer in another store, where that has none; give the bytes."""
    there = {each.kind for each in companions(target)}
    size = 0
    for each in companions(source):
        if each.kind not in there:
            contents = [(source / each.kind / page.file).read_bytes() for page in each.pages]
            size += _write(replace(each, folder=target / each.kind), contents)
    return size


def _write(made: Companions, contents: Sequence[bytes]) -> int:
    for page, content in zip(made.pages, contents, strict=True):
        files.write_file(made.folder / page.file, content)
    listing = files.json_bytes(
        {
            "schema_version": SCHEMA_VERSION,
            "tile_px": made.tile_px,
            "captions": {str(channel): list(words) for channel, words in made.captions.items()},
            "pages": [asdict(page) for page in made.pages],
        }
    )
    files.write_file(made.folder / LISTING, listing)
    return len(listing) + sum(map(len, contents))


def _read(folder: Path, kind: str) -> Companions:
    path = folder / LISTING
    kinds = {"tile_px": int, "captions": dict, "pages": list}
    content = parse_schema(path.read_bytes(), str(path), kinds, ManifestError)
    pages = tuple(Page(**check_fields(page, _PAGE, str(path), ManifestError)) for page in content["pages"])
    try:
        captions = {int(channel): tuple(map(str, words)) for channel, words in content["captions"].items()}
    except (TypeError, ValueError) as error:
        raise ManifestError(f"{path}: captions are {error}; expected words by channel number") from error
    if any(Path(page.file).name != page.file for page in pages):
        raise ManifestError(f"{path} names files elsewhere")
    return Companions(folder, kind, content["tile_px"], dict(sorted(captions.items())), pages)


_PAGE: dict[str, Any] = {
    **dict.fromkeys(("first_row", "rows", "first_column", "columns", "bytes"), int),
    **dict.fromkeys(("file", "sha256"), str),
}


def _renamed(pages: Sequence[Page], taken: set[str]) -> tuple[Page, ...]:
    names = (name for name in (f"atlas-{number}.webp" for number in itertools.count()) if name not in taken)
    return tuple(replace(page, file=name) for page, name in zip(pages, names, strict=False))
