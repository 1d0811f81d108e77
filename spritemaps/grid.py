"""Where a channel stands in the grid of its layer, and how a grid is cut into pages.

    >>> grid_side(528)
    23
    >>> cell(24, 528)
    (1, 1)
    >>> channel_at(1, 1, 528)
    24

A spritemap is one picture, and everything that points into it (a table, a tooltip, a page of its own) needs the same
answer to "which square is channel 24?". The answer is row-major in channel order, in a square grid just large enough.

The two verbs of this module: a channel is *placed* in the grid, a grid is *cut* into blocks of cells, its pages.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["PAGE_LIMIT_PX", "Block", "cell", "channel_at", "cut", "grid_side"]

PAGE_LIMIT_PX = 4096


class Block(NamedTuple):
    """A rectangle of cells: its first row, number of rows, first column and number of columns."""

    first_row: int
    rows: int
    first_column: int
    columns: int


def grid_side(channels: int) -> int:
    """Give the side of the smallest square grid that holds `channels` cells: the square root, rounded up.

    Parameters
    ----------
    channels
        How many.

    Raises
    ------
    ValueError
        Where there is not at least one channel.

    Examples
    --------
    >>> grid_side(528)
    23
    """
    if channels < 1:
        raise ValueError(f"a grid of {channels} channels; expected 1 or more")
    return math.isqrt(channels - 1) + 1


def cell(channel: int, channels: int) -> tuple[int, int]:
    """Give the (row, column) of a channel among `channels`, both from 0.

    Parameters
    ----------
    channel
        Its number, from 0.
    channels
        How many the layer has.

    Raises
    ------
    IndexError
        Where there is no such channel.

    Examples
    --------
    >>> cell(24, 528)
    (1, 1)
    """
    side = grid_side(channels)
    if not 0 <= channel < channels:
        raise IndexError(f"channel {channel} is out of range: there are channels 0 to {channels - 1}")
    return divmod(channel, side)


def channel_at(row: int, column: int, channels: int) -> int:
    """Give the channel that stands at (row, column); the inverse of `cell`.

    Parameters
    ----------
    row, column
        Of the cell, from 0.
    channels
        How many the layer has.

    Raises
    ------
    IndexError
        Where the cell lies outside the grid, or no channel fills it.

    Examples
    --------
    >>> channel_at(1, 1, 528), channel_at(22, 21, 528)
    (24, 527)
    """
    side = grid_side(channels)
    if not (0 <= row < side and 0 <= column < side):
        raise IndexError(f"cell ({row}, {column}) is outside the grid: rows and columns run from 0 to {side - 1}")
    channel = row * side + column
    if channel >= channels:
        raise IndexError(
            f"cell ({row}, {column}) is empty: the last channel, {channels - 1}, is at {cell(channels - 1, channels)}"
        )
    return channel


def cut(channels: int, tile_px: int, limit_px: int = PAGE_LIMIT_PX) -> tuple[Block, ...]:
    """Cut the grid into blocks of whole cells no larger than `limit_px` a side, in reading order.

    A block holds whole rows of the grid where a row fits in `limit_px`; else it is cut in columns too.

    Raises
    ------
    ValueError
        Where one cell alone is larger than `limit_px`, or smaller than one pixel.
    """
    if not 1 <= tile_px <= limit_px:
        raise ValueError(f"tiles of {tile_px} px; expected 1 to {limit_px}, the side of a page")
    side, most = grid_side(channels), limit_px // tile_px
    starts = range(0, side, most)
    return tuple(
        Block(row, min(most, side - row), column, min(most, side - column)) for row in starts for column in starts
    )
