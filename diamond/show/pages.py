"""Pages that carry all they need.

A result's page is one HTML document with its styles, scripts and pictures inside: it opens from a file, from a saved
notebook, in Colab's sandboxed frames and without a network. In a notebook it is *embedded* in an ``<iframe srcdoc>``,
so that neither its styles nor its names meet those of another output::

        document = page("channel_attribution.html", title="Channels", rows=[attribution])
        html = embed(document, title="Channels")

Templates lie in ``diamond/show/templates``; every string is escaped on its way into one, and words in a script that runs
from right to left are isolated, so that the numbers and words around them stay where they are.
"""

from __future__ import annotations

import base64
import html
import io
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from diamond.show.heat import overlay, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["embed", "figure_uri", "page", "picture_uri"]

EMBEDDED_HEIGHT_PX = 520
# From the first to the last letter of Hebrew, Arabic and their neighbours, with what stands between.
_LETTER = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]"
_FROM_THE_RIGHT = re.compile(f"{_LETTER}(?:[^<>\n;,A-Za-z]*{_LETTER})?")


def page(template: str, **content: Any) -> str:
    """Fill a template; give a whole HTML document.

    Parameters
    ----------
    template
        Name of a file in ``diamond/show/templates``.
    content
        What the template asks for.
    """
    return _environment().get_template(template).render(**content)


def embed(document: str, *, title: str, height_px: int = EMBEDDED_HEIGHT_PX) -> str:
    """Put a document into a frame for a notebook.

    Parameters
    ----------
    document
        A whole HTML document.
    title
        Read out by screen readers.
    height_px
        Height of the frame; what is longer scrolls.
    """
    return (
        f'<iframe title="{html.escape(title)}" sandbox="allow-scripts" '
        f'style="width:100%;height:{height_px}px;border:0" srcdoc="{html.escape(document)}"></iframe>'
    )


def picture_uri(picture: np.ndarray, *, most_px: int | None = None) -> str:
    """Give a picture as a data URI.

    Parameters
    ----------
    picture
        ``(height, width, 3)`` in [0, 1] or uint8, or a spectrogram ``(frequency, time, 1)``, as WebP; with four
        channels, the last of them opacity, as PNG.
    most_px
        Shrink it until its longer side is no longer than this.
    """
    picture = visible(picture)
    pixels = picture if picture.dtype == np.uint8 else np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    if most_px is not None:
        image.thumbnail((most_px, most_px), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    kind = "png" if pixels.shape[-1] == 4 else "webp"
    image.save(file, kind, **({"quality": 88, "method": 4} if kind == "webp" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def figure_uri(figure: Figure, *, dpi: int = 130) -> str:
    """Give a matplotlib figure as a data URI, PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def isolated(value: Any) -> Any:
    r"""Put words that run from right to left between Unicode's isolates (UAX 9), in a string that is no markup.

    Examples
    --------
    >>> isolated("قط: 0.31")
    '\u2068قط\u2069: 0.31'
    """
    if not isinstance(value, str) or isinstance(value, Markup) or value.isascii():
        return value
    return _FROM_THE_RIGHT.sub("\u2068\\g<0>\u2069", value)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("diamond.show"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=isolated,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(picture_uri=picture_uri, overlay=overlay)
    return environment
