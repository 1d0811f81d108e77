"""Where a picture comes from: a file that was chosen, an address, an example, or an array.

    read(net, Source("cat.jpg", content=Path("cat.jpg").read_bytes())).seen.shape

A picture is *read* once: as the network sees it, and sharper to show. What comes from a page is bytes or an address;
paths are read only where the page is the user's own notebook.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from modelzoo import Network

__all__ = ["EXAMPLES", "Picture", "Source", "examples", "from_address", "read"]

# Photos that scikit-image carries: name, file, what they show.
EXAMPLES = {
    "chelsea": ("chelsea.png", "a cat"),
    "coffee": ("coffee.png", "a cup of coffee"),
    "astronaut": ("astronaut.png", "an astronaut"),
    "rocket": ("rocket.jpg", "a rocket"),
}
THUMBNAIL_PX = 96
# A network that takes pictures of any size is shown no larger ones, so that an answer takes seconds.
MOST_PX = 512
TIMEOUT_S = 10.0
# Twice what is shown of a photo's shorter side.
SPARE_PX = 1200


@dataclass(frozen=True, eq=False)
class Source:
    """Something that may give a picture.

    Attributes
    ----------
    name
        What the picture is called.
    content
        Bytes of a file, an address, a path, or anything that `dc.image` takes.
    """

    name: str
    content: Any = field(repr=False)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that was read.

    Attributes
    ----------
    name
        What it is called.
    seen
        ``(height, width, 3)`` in [0, 1], as the network sees it.
    photo
        The same part of the photo, sharper where there is more to see.
    """

    name: str
    seen: np.ndarray = field(repr=False)
    photo: np.ndarray = field(repr=False)


def read(net: Network, source: Source) -> Picture:
    """Read a picture for a network.

    Raises
    ------
    PictureError, FileNotFoundError
        Where the source gives no picture; in plain words.
    """
    from PIL import Image, UnidentifiedImageError

    from diamond.attribution.semantic import sharper
    from modelzoo import image
    from modelzoo.inputs.pictures import PictureError

    content = source.content
    if isinstance(content, bytes):
        try:
            content = Image.open(io.BytesIO(content))
        except UnidentifiedImageError:
            size = f"{len(source.content):,} bytes" if source.content else "empty"
            raise PictureError(
                f"{source.name} is no picture that can be read here ({size}); expected JPEG, PNG, WebP, GIF, BMP or TIFF"
            ) from None
        except Exception as error:
            raise PictureError(f"{source.name} is damaged ({error})") from error
    try:
        raw = image(content, timeout_s=TIMEOUT_S)
    except PictureError as error:
        raise PictureError(str(error).replace("the PIL image", source.name)) from error
    if net.input.height is None or net.input.width is None:
        raw = _at_most(raw, MOST_PX)
    seen = net.read(raw)[0]
    return Picture(source.name, seen, sharper(net, _thinned(raw), seen))


def from_address(address: str, *, paths: bool = False) -> Source:
    """Give the source behind an address that was typed.

    Parameters
    ----------
    address
        ``http://`` or ``https://``.
    paths
        Whether it may be a path too.

    Raises
    ------
    ValueError
        For anything else.
    """
    address = address.strip()
    if not address:
        raise ValueError("no address was given; expected one that begins with https://")
    if address.lower().startswith(("http://", "https://")):
        return Source(address.split("?")[0].rstrip("/").rsplit("/", 1)[-1] or address, address)
    if paths and ":/" not in address:
        return Source(Path(address).name, address)
    raise ValueError(f"{address!r} is no address of a picture; expected one that begins with https:// or http://")


def examples() -> dict[str, Source]:
    """Give the photos that scikit-image carries, by name; those that are there."""
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    files = {name: folder / file for name, (file, _) in EXAMPLES.items()}
    return {name: Source(name, path) for name, path in files.items() if path.is_file()}


@cache
def thumbnails() -> tuple[dict[str, str], ...]:
    """Give name, what it shows and a small picture of each example, for the page."""
    from diamond.show.pages import picture_uri
    from modelzoo import image

    return tuple(
        {
            "name": name,
            "shows": EXAMPLES[name][1],
            "uri": picture_uri(image(source.content, THUMBNAIL_PX), most_px=THUMBNAIL_PX),
        }
        for name, source in examples().items()
    )


def _thinned(raw: np.ndarray) -> np.ndarray:
    """Leave rows and columns out of a photo of many more than are shown: resizing all of 12 million takes a second."""
    step = max(1, min(raw.shape[:2]) // SPARE_PX)
    return raw[::step, ::step]


def _at_most(raw: np.ndarray, most_px: int) -> np.ndarray:
    from modelzoo import image

    height, width = raw.shape[:2]
    factor = most_px / max(height, width)
    return raw if factor >= 1 else image(raw, (max(1, round(height * factor)), max(1, round(width * factor))))
