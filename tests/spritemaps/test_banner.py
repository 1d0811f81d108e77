import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spritemaps import packaged_store
from spritemaps.banner import banner, write_banner
from tests.spritemaps.sprites import sprite

ROOT = Path(__file__).resolve().parents[2]


def test_sprites_stand_side_by_side_with_clear_gaps():
    picture = banner([sprite(c, 32) for c in range(5)], columns=3, tile_px=32, gap_px=4, round_px=0)
    assert picture.shape == (68, 104, 4)
    np.testing.assert_array_equal(picture[36:68, 36:68, :3], sprite(4, 32))
    assert (picture[..., 3] == 255).sum() == 5 * 32 * 32
    assert picture[:, 32:36, 3].max() == picture[32:36, :, 3].max() == 0


def test_corners_are_round_and_smooth():
    opacity = banner([sprite(0, 64)], columns=8, tile_px=64, round_px=16)[..., 3]
    assert opacity.shape == (64, 64)
    assert (opacity[0, 0], opacity[0, 32], opacity[32, 32]) == (0, 255, 255)
    assert 0 < opacity[4, 5] < 255 or 0 < opacity[4, 4] < 255


def test_sprites_of_several_sizes_become_one():
    assert banner([sprite(0, 16), sprite(1, 48)], columns=2, tile_px=24, gap_px=2).shape == (24, 50, 4)


def test_what_cannot_be_laid_out_is_told(tmp_path):
    with pytest.raises(ValueError, match="no sprites; give one or more"):
        banner([], columns=3)
    with pytest.raises(ValueError, match="columns 0, tile_px 128"):
        banner([sprite(0, 8)], columns=0)
    with pytest.raises(ValueError, match=r"no banner of kind '.gif' .*; expected .webp or .png"):
        write_banner([sprite(0, 8)], tmp_path / "banner.gif", columns=1)


def test_the_script_of_the_docs_makes_one_from_what_ships(tmp_path):
    layer = packaged_store().layers()[0]
    name = f"{layer.network}/{layer.layer}"
    command = [sys.executable, "docs/banner.py", str(tmp_path / "banner.png")]
    ran = subprocess.run(
        [*command, f"{name}:3,1", "--columns", "2", "--tile", str(layer.tile_px), "--round", "0"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == str(tmp_path / "banner.png")
    picture = np.array(Image.open(tmp_path / "banner.png"))
    np.testing.assert_array_equal(picture[:, : layer.tile_px, :3], layer[3])
    failed = subprocess.run([*command, "Net/no:1"], cwd=ROOT, capture_output=True, text=True)
    assert failed.returncode == 2
    assert f"no layer 'Net/no' in the store; it has {name}" in failed.stderr
