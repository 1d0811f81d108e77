"""A page of filters: their tiles, how smooth they are, and which channels they listen to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.show.filter_tiles import signed_tile, tile
from diamond.show.packing import Sheet, gather
from diamond.show.pages import page, picture_uri

if TYPE_CHECKING:
    from diamond.inspection.filtered import Connection, Filters
    from spritemaps import Spritemap

__all__ = ["bars", "filter_page", "gathered"]

MOST_TILES = 256
MOST_ROWS = 24
TILE_BYTES = 700_000
BINS = 40


def filter_page(found: Filters) -> str:
    """Give filters as a whole HTML document: the first 256 as tiles, of two dozen their connections."""
    tiles, used = [], 0
    most = float(np.abs(found.weights).max())
    for weights in found.weights[:MOST_TILES]:
        reach = most if found.scale == "shared" else float(np.abs(weights).max())
        tiles.append(picture_uri(tile(weights, most=reach, colours=found.colours, is_sound=found.is_sound)))
        used += len(tiles[-1])
        if used > TILE_BYTES:
            break
    rows = [found.strongest(i) for i in range(min(len(found.weights), MOST_ROWS))] if found.has_connections else []
    own, own_at = gathered(found.sprites, [int(channel) for channel in found.channels[: len(rows)]])
    named = [one.channel for pair in rows for side in pair for one in side]
    read, read_at = gathered(found.read_sprites, named)
    return page(
        "filters.html",
        title=str(found),
        found=found,
        tiles=tiles,
        tile_px=_tile_px(found),
        most=float(found.norms.max()),
        rows=[tuple([_card(found, one, i) for one in side] for side in pair) for i, pair in enumerate(rows)],
        own=own,
        own_at=own_at,
        read=read,
        read_at=read_at,
        bars=bars(found.layer_smoothness),
        band=found.noise_band if np.isfinite(found.noise_band) else None,
    )


def bars(scores: np.ndarray) -> list[tuple[float, float]]:
    """Give a histogram of scores from -1 to 1 as places and heights from 0 to 1; nothing where there are no scores."""
    known = scores[np.isfinite(scores)]
    counts, edges = np.histogram(known, bins=BINS, range=(-1.0, 1.0))
    return [((a + 1) / 2, n / counts.max()) for n, a in zip(counts.tolist(), edges.tolist(), strict=False) if n]


def gathered(sprites: Spritemap | None, channels: Sequence[int]) -> tuple[Sheet | None, dict[int, int]]:
    """Gather the sprites of channels into one picture; give it, and the place in it of each channel that has one."""
    held = set() if sprites is None else set(sprites.channels)
    there = [channel for channel in dict.fromkeys(channels) if channel in held]
    if sprites is None or not there:
        return None, {}
    return gather(sprites.tiles(there)), {channel: i for i, channel in enumerate(there)}


def _tile_px(found: Filters) -> int:
    """Give how wide a tile is shown: a filter of many slices needs more."""
    if found.colours or found.weights.shape[-1] == 1:
        return 64
    return 96 if found.weights.shape[-1] <= 64 else 148


def _card(found: Filters, one: Connection, position: int) -> dict[str, Any]:
    most = float(np.abs(found.weights[position]).max())
    return {
        "channel": one.channel,
        "weight": one.weight,
        "slice": picture_uri(signed_tile(one.slice, most=most, is_sound=found.is_sound)),
    }
