import pytest

from spritemaps.grid import Block, cell, channel_at, cut, grid_side


def test_grid_side_is_the_square_root_rounded_up():
    sides = {1: 1, 2: 2, 4: 2, 5: 3, 9: 3, 10: 4, 528: 23, 529: 23, 530: 24, 2048: 46, 10**16 + 1: 10**8 + 1}
    assert {channels: grid_side(channels) for channels in sides} == sides


def test_channels_fill_the_grid_row_by_row():
    assert [cell(channel, 5) for channel in range(5)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert cell(24, 528) == (1, 1)


@pytest.mark.parametrize("channels", [1, 2, 5, 9, 528])
def test_channel_at_is_the_inverse_of_cell(channels):
    assert [channel_at(*cell(channel, channels), channels) for channel in range(channels)] == list(range(channels))


def test_a_grid_needs_a_channel():
    with pytest.raises(ValueError, match="a grid of 0 channels; expected 1 or more"):
        grid_side(0)


def test_channels_and_cells_outside_are_refused():
    with pytest.raises(IndexError, match="channel 5 is out of range: there are channels 0 to 4"):
        cell(5, 5)
    with pytest.raises(IndexError, match="channel -1 is out of range"):
        cell(-1, 5)
    with pytest.raises(IndexError, match=r"cell \(3, 0\) is outside the grid: rows and columns run from 0 to 2"):
        channel_at(3, 0, 5)
    with pytest.raises(IndexError, match=r"cell \(1, 2\) is empty: the last channel, 4, is at \(1, 1\)"):
        channel_at(1, 2, 5)


def test_a_grid_that_fits_is_one_page():
    assert cut(528, 64) == (Block(0, 23, 0, 23),)
    assert cut(1024, 128) == (Block(0, 32, 0, 32),)


def test_a_grid_wider_than_4096_px_is_cut_in_rows_and_columns():
    assert cut(1764, 128) == (Block(0, 32, 0, 32), Block(0, 32, 32, 10), Block(32, 10, 0, 32), Block(32, 10, 32, 10))


def test_a_tile_larger_than_a_page_is_refused():
    with pytest.raises(ValueError, match="tiles of 4097 px; expected 1 to 4096"):
        cut(4, 4097)
