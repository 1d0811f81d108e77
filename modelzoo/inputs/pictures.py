"""Pictures as the networks take them, from wherever they are.

::

    >>> image("cat.jpg").shape
    (300, 451, 3)
    >>> images([photo, "cat.jpg"], size=224).shape
    (2, 224, 224, 3)

Every network of the zoo takes float32 RGB in [0, 1] and scales it by itself. A picture that comes otherwise gives no
error but a wrong answer: 0..255 saturates every unit, a palette's indices look like dark noise, a photo lies on its
side because its camera wrote so in the EXIF data, a transparent background turns black. So a source is first *opened*
(path, address, array, PIL image), then *converted* (whatever it stores becomes RGB in [0, 1]), then *fitted* (resized
until it covers the size, its centre cropped). A source that leaves a doubt about its range is refused, with a way out.

How much of a photo a network is shown decides what it answers: most were judged on the middle of each picture, so
`crop` leaves the rest out, and a network's card says how much. Resizing is Pillow's bilinear filter, which widens with
the reduction and so does not alias; a photo of 8 bits keeps 8 bits. So the published answers were counted.
"""

from __future__ import annotations

import io
import operator
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from modelzoo.inputs.paths import existing_file
from modelzoo.inputs.urls import UrlError, is_url, read_url

__all__ = ["Picture", "PictureError", "image", "images"]

MOST_PIXELS = 2**30 // 12  # a float32 RGB picture of 1 GiB
ROUNDING = 1e-3
LEVEL_ROUNDING = 1e-3
EXIF_ORIENTATION = 0x0112

Picture = npt.NDArray[np.float32]
Size = int | tuple[int, int]


class PictureError(ValueError):
    """A source that gives no picture, or one whose values leave a doubt."""


def image(source: Any, size: Size | None = None, *, crop: float = 1.0, timeout_s: float | None = None) -> Picture:
    """Read one picture.

    Parameters
    ----------
    source
        A path, an ``http(s)://`` address, a PIL image, or an array (also a tensor, or nested lists) of shape
        ``(height, width)``, ``(height, width, 1)`` grey, ``(height, width, 2)`` grey with alpha,
        ``(height, width, 3)`` RGB or ``(height, width, 4)`` RGB with alpha. Integers count from 0 to 255 (uint16: to
        65535), floats from 0 to 1. Transparent parts are laid over white; of an animation comes the first frame.
    size
        ``(height, width)`` in pixels, or one number for both; None keeps the picture's own size. The picture is resized
        until it covers the size, then its centre is cropped.
    crop
        Fraction of the shorter side that is kept, for a size in the picture's own proportions: 0.875 shows the middle
        seven eighths. A picture that has the size already is kept whole.
    timeout_s
        For an address: longest wait for the server, in seconds (20 by default).

    Returns
    -------
    numpy.ndarray
        float32 ``(height, width, 3)``, RGB, in [0, 1].

    Raises
    ------
    FileNotFoundError
        Where there is no such file; it names the nearest one in that folder.
    PictureError
        Where the source is no picture, is truncated, empty or too large, has another shape, values that are not finite
        or out of range, or an address does not answer with a picture.

    Examples
    --------
    >>> dc.image("cat.jpg").shape
    (300, 451, 3)
    >>> dc.image("cat.jpg", size=224).shape, dc.image("cat.jpg", size=(100, 300), crop=0.875).shape
    ((224, 224, 3), (100, 300, 3))
    >>> dc.image(np.full((40, 60), 51, np.uint8))[0, 0]
    array([0.2, 0.2, 0.2], dtype=float32)
    >>> dc.image("photos/cta.jpg")
    Traceback (most recent call last):
        ...
    FileNotFoundError: no file photos/cta.jpg; did you mean 'cat.jpg'?
    """
    height_width = None if size is None else _checked_size(size)
    if not 0 < crop <= 1:
        raise PictureError(f"crop is {crop!r}; expected a fraction of the shorter side, above 0 and up to 1")
    picture = _opened(source, timeout_s)
    return picture if height_width is None else _fitted(picture, height_width, crop)


def images(sources: Any, size: Size | None = None, *, crop: float = 1.0, timeout_s: float | None = None) -> Picture:
    """Read one or many pictures into a batch.

    Parameters
    ----------
    sources
        Anything that `image` takes, a batch ``(batch, height, width, channels)`` of them, or a list or tuple of both.
    size
        As for `image`; None where all pictures have the same size already.
    crop, timeout_s
        As for `image`.

    Returns
    -------
    numpy.ndarray
        float32 ``(batch, height, width, 3)``, RGB, in [0, 1].

    Raises
    ------
    FileNotFoundError, PictureError
        As `image` does, with the place and the name of the source that broke; also where there is no source, or, with
        `size` None, where two pictures differ in size.
    """
    if isinstance(sources, list | tuple):
        if not sources:
            raise PictureError("no picture: the list of sources is empty")
        batches = []
        for i, source in enumerate(sources):
            where = f"picture {i} of {len(sources)}{_label(source)}"
            try:
                if isinstance(source, list | tuple):
                    raise PictureError("a list inside the list; expected a path, an address, an array or a PIL image")
                batches.append(_batch(source, size, crop, timeout_s))
            except PictureError as error:
                raise PictureError(f"{where}: {error}") from error
            except FileNotFoundError as error:
                raise FileNotFoundError(f"{where}: {error}") from error
            if batches[i].shape[1:] != batches[0].shape[1:]:
                first, found = ("{}x{}".format(*batch.shape[1:3]) for batch in (batches[0], batches[i]))
                raise PictureError(f"{where} is {found} px, picture 0 is {first}; give a size to make them alike")
        return np.concatenate(batches)
    return _batch(sources, size, crop, timeout_s)


def _batch(source: Any, size: Size | None, crop: float, timeout_s: float | None) -> Picture:
    if isinstance(source, str | Path | bytes | Image.Image):
        return image(source, size, crop=crop, timeout_s=timeout_s)[None]
    array = _array(source)
    if array.ndim != 4:
        return image(array, size, crop=crop)[None]
    if not len(array):
        raise PictureError(f"an empty batch of shape {array.shape}")
    pictures = []
    for i, picture in enumerate(array):
        try:
            pictures.append(image(picture, size, crop=crop))
        except PictureError as error:
            raise PictureError(f"picture {i} of the batch of {len(array)}: {error}") from error
    return np.stack(pictures)


def _opened(source: Any, timeout_s: float | None) -> Picture:
    if isinstance(source, str) and is_url(source):
        try:
            answer = read_url(source, timeout_s=timeout_s)
        except UrlError as error:
            raise PictureError(str(error)) from error
        kind = answer.content_type or "no content type"
        return _decoded(io.BytesIO(answer.content), source, f" (the server calls it {kind})")
    if isinstance(source, str | Path):
        path = existing_file(
            source,
            error=PictureError,
            remedy="pass one of its files, or several as images([...])",
            expected="a path, an address, an array or a PIL image",
        )
        return _decoded(path, str(source), "")
    if isinstance(source, Image.Image):
        return _from_pil(source, "the PIL image")
    return _from_array(_array(source))


def _decoded(file: Path | io.BytesIO, name: str, remark: str) -> Picture:
    try:
        # Pillow's own warning comes at a size of its choosing; _from_pil has the limit that holds here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(file)
        with opened:
            return _from_pil(opened, name)
    except PictureError:
        raise
    except UnidentifiedImageError:
        size = len(file.getvalue()) if isinstance(file, io.BytesIO) else file.stat().st_size
        found = f"{size:,} bytes that are no picture Pillow knows, or less than one" if size else "empty (0 bytes)"
        raise PictureError(f"{name}: {found}{remark}") from None
    except Image.DecompressionBombError as error:
        raise PictureError(f"{name}: too large to open ({error})") from None
    except PermissionError as error:
        raise PictureError(f"{name}: {error.strerror}") from None
    except Exception as error:
        # Pillow's readers meet broken files with errors of many kinds: OSError, SyntaxError, struct.error ...
        raise PictureError(f"{name}: truncated or damaged ({type(error).__name__}: {error}){remark}") from error


def _from_pil(picture: Image.Image, name: str) -> Picture:
    width, height = picture.size
    if not width or not height:
        raise PictureError(f"{name}: an empty picture of {height}x{width} px")
    if width * height > MOST_PIXELS:
        raise PictureError(
            f"{name}: {height}x{width} px; at most {MOST_PIXELS:,} pixels are opened, so make it smaller"
        )
    try:
        picture.load()
    except Exception as error:
        raise PictureError(f"{name}: truncated or damaged ({type(error).__name__}: {error})") from error
    if _orientation(picture) != 1:
        picture = ImageOps.exif_transpose(picture)
    mode = picture.mode
    if mode.startswith("I;16"):
        return _from_array(np.asarray(picture).astype(np.uint16))
    if mode == "I":
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            found = f"[{values.min()}, {values.max()}]"
            raise PictureError(
                f"{name}: 32-bit values in {found}; expected 0 to 65535: scale the array to [0, 1] first"
            )
        return _from_array(values.astype(np.uint16))
    if mode == "F":
        return _from_array(np.asarray(picture))
    if mode in ("RGBA", "LA", "PA", "La", "RGBa") or picture.has_transparency_data:
        return _from_array(np.asarray(picture.convert("RGBA")))
    try:
        return _from_array(np.asarray(picture.convert("RGB")))
    except ValueError as error:
        raise PictureError(f"{name}: cannot turn mode {mode} into RGB ({error})") from error


def _orientation(picture: Image.Image) -> int:
    # A damaged EXIF block says nothing about the pixels, so the picture stays as it lies.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(picture.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:
        return 1


def _array(source: Any) -> np.ndarray:
    what = "a path, an http(s) address, an array or a PIL image"
    if source is None or isinstance(source, bytes | dict | set):
        hint = "; for bytes: PIL.Image.open(io.BytesIO(...))" if isinstance(source, bytes) else ""
        raise PictureError(f"a {type(source).__name__} is no picture; expected {what}{hint}")
    try:
        array = np.asarray(source)
    except Exception as error:
        raise PictureError(f"a {type(source).__name__} that gives no array ({error}); expected {what}") from error
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "buif":
        raise PictureError(f"a {type(source).__name__} of dtype {array.dtype}; expected {what}")
    return array


def _from_array(array: np.ndarray) -> Picture:
    shape = array.shape
    if array.ndim == 4:
        raise PictureError(f"a batch of shape {shape} was given; pass one picture, as batch[0], or use images(batch)")
    if array.ndim not in (2, 3):
        raise PictureError(f"an array of shape {shape}; expected (height, width) or (height, width, 1 to 4 channels)")
    if not array.size:
        raise PictureError(f"an empty array of shape {shape}; expected at least one pixel")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.shape[2] > 4:
        hint = "; channels stand first, so np.moveaxis(array, 0, -1)" if shape[0] <= 4 else ""
        raise PictureError(f"an array of shape {shape}, so of {shape[2]} channels; expected 1, 2, 3 or 4, last{hint}")
    values = _unit_range(array)
    if values.shape[2] in (2, 4):
        alpha = values[:, :, -1:]
        values = values[:, :, :-1] * alpha + (1 - alpha)
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)), order="C")


def _unit_range(array: np.ndarray) -> Picture:
    if array.dtype == np.bool_:
        return array.astype(np.float32)
    low, high = array.min(), array.max()
    found = f"{array.dtype} values in [{low:g}, {high:g}]"
    if array.dtype.kind in "ui":
        top = 65535 if array.dtype == np.uint16 else 255
        if low < 0 or high > top:
            raise PictureError(f"{found}; expected integers from 0 to {top}, or floats in [0, 1]: scale them first")
        return array.astype(np.float32) / np.float32(top)
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int((~np.isfinite(array)).sum())
        raise PictureError(f"{bad} of {array.size} values are NaN or infinite; expected floats in [0, 1]")
    if low < -ROUNDING or high > 1 + ROUNDING:
        remedy = "divide by 255, or pass uint8" if low >= 0 and high <= 255 else "scale them first"
        remedy = "scale back with (x + 1) / 2" if -1 - ROUNDING <= low < 0 and high <= 1 + ROUNDING else remedy
        raise PictureError(f"{found}; expected floats in [0, 1]: {remedy}")
    return np.clip(array, 0, 1).astype(np.float32)


def _checked_size(size: Size) -> tuple[int, int]:
    pair = size if isinstance(size, tuple | list) else (size, size)
    try:
        numbers = [operator.index(n) for n in pair if not isinstance(n, bool)]
    except TypeError:
        numbers = []
    if len(numbers) != 2 or len(pair) != 2 or min(numbers) < 1:
        raise PictureError(f"size is {size!r}; expected pixels, 1 or more, as one number or as (height, width)")
    if numbers[0] * numbers[1] > MOST_PIXELS:
        raise PictureError(f"size is {size!r}; at most {MOST_PIXELS:,} pixels are made")
    return numbers[0], numbers[1]


def _fitted(picture: Picture, size: tuple[int, int], crop: float) -> Picture:
    height, width = picture.shape[:2]
    if (height, width) == size:
        return picture
    # As everybody counts answers: the whole picture is resized to whole pixels, then whole pixels are cut off. The
    # resize's own box does both at once.
    factor = max(round(side / crop) / own for side, own in zip(size, (height, width), strict=True))
    whole = [max(side, round(own * factor)) for side, own in zip(size, (height, width), strict=True)]
    top, left = ((full - side) // 2 for full, side in zip(whole, size, strict=True))
    down, across = height / whole[0], width / whole[1]
    box = (left * across, top * down, min(width, (left + size[1]) * across), min(height, (top + size[0]) * down))
    levels = np.rint(picture * 255)
    # A photo of 8 bits stays one, as it does for everybody; two answers in a hundred hang on that.
    if np.abs(picture * 255 - levels).max() < LEVEL_ROUNDING:
        resized = Image.fromarray(levels.astype(np.uint8)).resize(size[::-1], Image.Resampling.BILINEAR, box)
        return np.asarray(resized, np.float32) / np.float32(255)
    channels = [
        Image.fromarray(np.ascontiguousarray(picture[:, :, c])).resize(size[::-1], Image.Resampling.BILINEAR, box)
        for c in range(3)
    ]
    return np.clip(np.stack([np.asarray(channel) for channel in channels], axis=-1), 0, 1)


def _label(source: Any) -> str:
    return f" ({source})" if isinstance(source, str | Path) else ""
