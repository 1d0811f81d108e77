"""Channels before and after as a page and as a figure: the one network's sprites over the other's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diamond.show.pages import page
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.transfer.before_after import BeforeAfter

__all__ = ["before_after_figure", "before_after_page"]

IN_FIGURE = 10


def before_after_page(found: BeforeAfter) -> str:
    """Give the channels that changed most as a whole HTML document."""
    return page("before_after.html", title=str(found), found=found, most=float(found.changes.max(initial=0.0)) or 1.0)


def before_after_figure(found: BeforeAfter) -> Figure:
    """Draw the first ten channels: a column each, before above and after below."""
    shown = found.channels[:IN_FIGURE].tolist()
    figure = Figure(figsize=(max(4.2, 1.2 * len(shown) + 0.6), 3.2), layout="constrained")
    panels = figure.subplots(2, len(shown), squeeze=False)
    for k, channel in enumerate(shown):
        for panel, sprites in zip(panels[:, k], (found.before, found.after), strict=True):
            panel.set(xticks=[], yticks=[])
            for spine in panel.spines.values():
                spine.set_visible(False)
            if sprites is not None and channel in sprites:
                panel.imshow(sprites[channel], interpolation="lanczos")
            else:
                panel.text(0.5, 0.5, str(channel), ha="center", va="center", transform=panel.transAxes, fontsize=12)
        panels[0, k].set_title(f"{channel}  ({found.changes[k]:.2f})", fontsize=8, pad=3)
    for panel, name in zip(panels[:, 0], found.names, strict=True):
        panel.set_ylabel(name.replace("$", r"\$"), fontsize=8)
    words = "the same in both" if found.change.same else f"channels that changed most, of {found.count:,} samples"
    figure.suptitle(f"{found.change.layer}: {words}".replace("$", r"\$"), fontsize=9)
    return figure
