"""All sprites of a layer, as pixels and as numbers.

    >>> sprites = dc.spritemap(net, "block9_add")
    >>> sprites[24].shape, sprites[24].dtype
    ((96, 96, 3), dtype('uint8'))
    >>> sprites.record(24).alive
    True

A layer of 2,048 channels in files of their own is 2,048 requests to a disk, a drive or a browser, and none of them
knows the others. A spritemap is a few large pages and one manifest; its pages are read when a sprite of theirs is first
asked for. Sprites that were rendered but not stored, or of some channels only, answer to the same names from memory.

The two verbs of this module: sprites are *selected* by channel, and a spritemap *draws* itself (in a notebook, as a
figure, as a file).
"""

from __future__ import annotations

import base64
import io
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from spritemaps import drawing
from spritemaps.files import StoreError, write_file
from spritemaps.grid import Block, cell, grid_side
from spritemaps.manifest import ChannelRecord, Manifest, Page
from spritemaps.pages import NEUTRAL_GREY, Pixels, check_tiles, compose, encode, read_page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Spritemap"]

SUFFIXES = (".png", ".webp", ".npz", ".csv", ".html")


@dataclass(frozen=True, eq=False, repr=False)
class Spritemap:
    """The sprites of a layer, or of some of its channels.

    ``spritemap[24]`` gives the sprite of channel 24, uint8 ``(tile_px, tile_px, 3)``, RGB; ``24 in spritemap`` tells
    whether it is there; iterating gives the channel numbers, in order.

    Attributes
    ----------
    manifest
        What is known besides the pixels.
    folder
        Where the pages lie; None where the sprites are in memory.

    Examples
    --------
    >>> sprites = dc.spritemap(net, "block9_add")
    >>> sprites
    Spritemap('EfficientNetLite0', 'block9_add': 112 channels, 96 px, recipe 'sprite')
    >>> sprites.network, sprites.layer, sprites.tile_px, len(sprites.channels), sprites.fingerprint[:8]
    ('EfficientNetLite0', 'block9_add', 96, 112, 'b3997ec4')
    >>> sprites[24].shape, sprites.tiles([3, 24]).shape, sprites.image().shape
    ((96, 96, 3), (2, 96, 96, 3), (1056, 1056, 3))
    >>> sprites.record(24).alive, len(sprites.records), sprites.manifest.recipe_name, sprites.folder.name[:7]
    (True, 112, 'sprite', 'sprite-')
    >>> sprites.data_uri(24)[:15]
    'data:image/webp'
    >>> sprites.select([3, 24]).channels
    (3, 24)
    >>> sprites.to_dataframe().columns.to_list()
    ['channel', 'row', 'column', 'activation', 'alive', 'attempts']
    >>> sprites.plot()
    <Figure size ... with 1 Axes>
    >>> sprites.save("block9.png")
    PosixPath('block9.png')
    """

    manifest: Manifest
    folder: Path | None = None
    _tiles: Pixels | None = None
    _pages: dict[str, Pixels] = field(default_factory=dict)

    @classmethod
    def from_tiles(
        cls,
        tiles: Pixels,
        records: Sequence[ChannelRecord],
        *,
        network: str,
        layer: str,
        channels: int,
        fingerprint: str,
        recipe_name: str,
        recipe_hash: str,
        recipe: Mapping[str, Any] | None = None,
        seed: int = 0,
        versions: Mapping[str, str] | None = None,
    ) -> Spritemap:
        """Make a spritemap of sprites that are in memory.

        Parameters
        ----------
        tiles
            uint8 ``(n, tile_px, tile_px, 3)``, RGB.
        records
            One a sprite, in the order of `tiles`; their channels may be any of the layer's, in any order.
        channels
            Number of channels of the whole layer.
        network, layer, fingerprint, recipe_name, recipe_hash, recipe, seed, versions
            As in `Manifest`.

        Raises
        ------
        ValueError
            Where the array is not of that shape and type, or the records do not fit it.
        """
        tiles = check_tiles(tiles, len(records))
        order = sorted(range(len(records)), key=lambda i: records[i].channel)
        manifest = Manifest(
            network=network,
            layer=layer,
            channels=channels,
            tile_px=tiles.shape[1],
            recipe_name=recipe_name,
            recipe_hash=recipe_hash,
            fingerprint=fingerprint,
            seed=seed,
            recipe=recipe or {},
            versions=versions or {},
            records=tuple(records[i] for i in order),
        )
        return cls(manifest, None, tiles[order])

    @property
    def network(self) -> str:
        """Name of the network it was rendered from."""
        return self.manifest.network

    @property
    def layer(self) -> str:
        """Address of the layer."""
        return self.manifest.layer

    @property
    def tile_px(self) -> int:
        """Side of one sprite, in pixels."""
        return self.manifest.tile_px

    @property
    def fingerprint(self) -> str:
        """Hash of the layer, its weights and everything before it."""
        return self.manifest.fingerprint

    @property
    def records(self) -> tuple[ChannelRecord, ...]:
        """How the rendering of each of its channels ended, in channel order."""
        return self.manifest.records

    @property
    def channels(self) -> tuple[int, ...]:
        """The channels it has sprites of, in order."""
        return tuple(record.channel for record in self.manifest.records)

    def __len__(self) -> int:
        return len(self.manifest.records)

    def __iter__(self) -> Iterator[int]:
        return iter(self.channels)

    def __contains__(self, channel: object) -> bool:
        return channel in self.channels

    def __repr__(self) -> str:
        of = "" if len(self) == self.manifest.channels else f" of {self.manifest.channels}"
        return (
            f"Spritemap({self.network!r}, {self.layer!r}: {len(self)}{of} channels, {self.tile_px} px, "
            f"recipe {self.manifest.recipe_name!r})"
        )

    def __getitem__(self, channel: int) -> Pixels:
        """Give the sprite of one channel, uint8 ``(tile_px, tile_px, 3)``, RGB.

        Raises
        ------
        IndexError
            Where the layer has no such channel, or this subset has not.
        StoreError
            Where its page is missing or damaged.
        """
        position = self._position(channel)
        if self._tiles is not None:
            return self._tiles[position].copy()
        row, column = cell(position, self.manifest.channels)
        for page in self.manifest.pages:
            y, x = row - page.first_row, column - page.first_column
            if 0 <= y < page.rows and 0 <= x < page.columns:
                px = self.tile_px
                return self._page(page)[y * px : (y + 1) * px, x * px : (x + 1) * px].copy()
        raise StoreError(
            f"{self.folder}: no page holds channel {channel}; delete the folder and render the layer again"
        )

    def record(self, channel: int) -> ChannelRecord:
        """Tell how the rendering of one channel ended.

        Parameters
        ----------
        channel
            Its number.

        Raises
        ------
        IndexError
            Where the layer has no such channel, or this subset has not.
        """
        return self.manifest.records[self._position(channel)]

    def tiles(self, channels: Iterable[int] | None = None) -> Pixels:
        """Give sprites as uint8 ``(n, tile_px, tile_px, 3)``, RGB, in the order asked for; all of them by default.

        Parameters
        ----------
        channels
            Their numbers, in the order wanted; all where None.

        Raises
        ------
        IndexError
            Where the layer has no such channel, or this subset has not.
        StoreError
            Where a page is missing or damaged.
        """
        wanted = self.channels if channels is None else tuple(channels)
        found = np.empty((len(wanted), self.tile_px, self.tile_px, 3), np.uint8)
        for i, channel in enumerate(wanted):
            found[i] = self[channel]
        return found

    def select(self, channels: Iterable[int]) -> Spritemap:
        """Give the spritemap of some of the channels, held in memory.

        Parameters
        ----------
        channels
            Their numbers, in the order wanted.

        Raises
        ------
        IndexError
            Where the layer has no such channel, or this subset has not.
        """
        wanted = sorted({operator.index(channel) for channel in channels})
        records = tuple(self.record(channel) for channel in wanted)
        return Spritemap(replace(self.manifest, records=records, pages=()), None, self.tiles(wanted))

    def image(self) -> Pixels:
        """Give the grid as one picture, uint8 ``(side * tile_px, side * tile_px, 3)``, RGB; empty cells are grey.

        The grid of a subset holds the channels that are there, close together, in channel order.

        Raises
        ------
        StoreError
            Where a page is missing or damaged.
        """
        side, px = grid_side(max(len(self), 1)), self.tile_px
        if self._tiles is not None:
            return compose(self._tiles, side, Block(0, side, 0, side))
        picture = np.full((side * px, side * px, 3), NEUTRAL_GREY, np.uint8)
        for page in self.manifest.pages:
            y, x = page.first_row * px, page.first_column * px
            picture[y : y + page.rows * px, x : x + page.columns * px] = self._page(page)
        return picture

    def data_uri(self, channel: int) -> str:
        """Give one sprite as a WebP data URI, for the ``src`` of a picture in a page.

        Parameters
        ----------
        channel
            Its number.

        Raises
        ------
        IndexError
            Where the layer has no such channel, or this subset has not.
        """
        return "data:image/webp;base64," + base64.b64encode(encode(self[channel])).decode("ascii")

    def to_dataframe(self) -> pd.DataFrame:
        """Give a table of the channels: number, row and column in the layer's grid, activation, alive, attempts."""
        import pandas as pd

        places = [cell(channel, self.manifest.channels) for channel in self.channels]
        return pd.DataFrame(
            {
                "channel": np.array(self.channels, np.int64),
                "row": np.array([row for row, _ in places], np.int64),
                "column": np.array([column for _, column in places], np.int64),
                "activation": np.array([record.activation for record in self.records], np.float64),
                "alive": np.array([record.alive for record in self.records], np.bool_),
                "attempts": np.array([record.attempts for record in self.records], np.int64),
            }
        )

    def plot(self) -> Figure:
        """Draw the grid as a matplotlib figure; dead channels are dimmed and crossed out."""
        return drawing.figure(self.image(), self.manifest)

    def save(self, path: str | Path) -> Path:
        """Write a file of the kind that the suffix names, and give its path.

        ``.png`` holds the grid, pixel for pixel; ``.webp`` holds it as a page of a store does; ``.npz`` the arrays
        tiles, channels, activation, alive and attempts; ``.csv`` the table of `to_dataframe`; ``.html`` a self-contained
        page.

        Parameters
        ----------
        path
            Where to; its suffix says as what.

        Raises
        ------
        ValueError
            Where the suffix is another.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(f"no file of kind {path.suffix!r} ({path}); expected one of {', '.join(SUFFIXES)}")
        if suffix == ".html":
            content = drawing.page(self.image(), self.manifest).encode("utf-8")
        elif suffix == ".csv":
            content = self.to_dataframe().to_csv(index=False, lineterminator="\n").encode("utf-8")
        elif suffix == ".webp":
            content = encode(self.image())
        else:
            file = io.BytesIO()
            if suffix == ".png":
                Image.fromarray(self.image()).save(file, format="PNG")
            else:
                np.savez_compressed(
                    file,
                    tiles=self.tiles(),
                    channels=np.array(self.channels, np.int64),
                    activation=np.array([record.activation for record in self.records], np.float64),
                    alive=np.array([record.alive for record in self.records], np.bool_),
                    attempts=np.array([record.attempts for record in self.records], np.int64),
                )
            content = file.getvalue()
        write_file(path, content)
        return path

    def _repr_html_(self) -> str:
        return drawing.frame(self.image(), self.manifest)

    def _position(self, channel: int) -> int:
        number = operator.index(channel)
        last = self.manifest.channels - 1
        if not 0 <= number <= last:
            raise IndexError(f"channel {number} is out of range: {self.layer!r} has channels 0 to {last}")
        if len(self) == last + 1:
            return number
        there = self.channels
        if number not in there:
            named = ", ".join(map(str, there[:20])) + (f" ... ({len(there)} of {last + 1})" if len(there) > 20 else "")
            raise IndexError(f"channel {number} is not in this subset of {self.layer!r}; it has {named or 'none'}")
        return there.index(number)

    def _page(self, page: Page) -> Pixels:
        if page.file not in self._pages:
            self._pages[page.file] = read_page(self.folder or Path("."), page, self.tile_px)
        return self._pages[page.file]
