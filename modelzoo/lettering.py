"""Figures whose words may be of any script: classes called 猫, बिल्ली or 🐕.

Matplotlib writes in one font, which has no letters of Chinese, Japanese, Korean, Hindi or Thai and warns of each. A
`Figure` of this module tries the fonts that the machine has for them, one letter at a time; what none of them has stands
as an empty box, silently, since a box in a figure is seen anyway and the page and the table beside it have the word.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import matplotlib.figure
from matplotlib import font_manager
from matplotlib.text import Text

__all__ = ["FALLBACKS", "Figure", "fallbacks"]

# What Linux, macOS and Windows ship, the wide ones first.
FALLBACKS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo",
    "Yu Gothic", "MS Gothic", "Microsoft YaHei", "SimHei", "Malgun Gothic", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "IPAexGothic", "NanumGothic", "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Devanagari",
    "Nirmala UI", "Kohinoor Devanagari", "Noto Sans Thai", "Leelawadee UI", "Thonburi", "Noto Emoji", "Segoe UI Emoji",
    "Unifont",
)  # fmt: skip


@cache
def fallbacks() -> tuple[str, ...]:
    """Give the fonts of `FALLBACKS` that are installed here."""
    there = set(font_manager.get_font_names())
    return tuple(name for name in FALLBACKS if name in there)


class Figure(matplotlib.figure.Figure):
    """A matplotlib figure that falls back to other fonts where its own lacks a letter."""

    def draw(self, renderer: Any) -> None:
        """Draw, in every script there is a font for."""
        for text in self.findobj(Text):
            assert isinstance(text, Text)
            missing = [name for name in fallbacks() if name not in text.get_fontfamily()]
            if missing:
                text.set_fontfamily([*text.get_fontfamily(), *missing])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
            super().draw(renderer)
