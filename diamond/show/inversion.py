"""Inversions as a page and as a figure: the picture, then what each layer still knows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diamond.show.heat import visible
from diamond.show.pages import page
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.inverted import Inversion

__all__ = ["inversion_figure", "inversion_page"]

# Of a longer row the pictures would be too small to see anything in.
IN_ROW = 5


def inversion_page(found: Inversion) -> str:
    """Give inversions as a whole HTML document."""
    return page("inversion.html", title=str(found), found=found, percent=_percent)


def inversion_figure(found: Inversion) -> Figure:
    """Draw the picture and a column a layer, a row a copy; after five columns the next rows."""
    n, copies = found.errors.shape
    columns = 1 + min(n, IN_ROW)
    bands = -(-n // IN_ROW)
    high, wide = found.picture.shape[:2]
    tall = copies * (2.15 * high / wide + 0.45) + 0.15
    figure = Figure(figsize=(2.15 * columns, 0.3 + bands * tall), layout="constrained")
    panels = figure.subplots(bands * copies, columns, squeeze=False)
    for panel in panels.ravel():
        panel.axis("off")
    panels[0, 0].imshow(visible(found.picture))
    panels[0, 0].set_title(_plain(f"{found.image[:24]}\n{found.answer[:28]}"), fontsize=8)
    for i, layer in enumerate(found.layers):
        band, column = divmod(i, IN_ROW)
        for copy in range(copies):
            panel = panels[band * copies + copy, 1 + column]
            panel.imshow(visible(found.images[i, copy]))
            label = f"\n{found.labels[i][copy][:22]} {found.probabilities[i, copy]:.0%}" if found.labels else ""
            head = f"{layer[-26:]}\n" if copy == 0 else ""
            panel.set_title(_plain(f"{head}code error {_percent(found.errors[i, copy])}{label}"), fontsize=7.5)
    figure.suptitle(_plain(str(found)), fontsize=9, x=0.01, ha="left")
    return figure


def _percent(share: float) -> str:
    """Word a share so that a small one does not read as none."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.01 else f"{share:.2%}"


def _plain(words: str) -> str:
    # A dollar sign in a name is no formula.
    return words.replace("$", r"\$")
