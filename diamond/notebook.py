"""Files of one's own in a notebook: uploaded, from the web, from a folder; and a place that outlives the machine.

    from diamond.notebook import keep_in, pictures, sounds

    keep_in(drive=True)                    # in Colab: sprites, weights and networks of one's own are kept on Drive
    photos = pictures(upload=True)         # Colab's file picker; elsewhere what lies in the folder `uploads`
    photos = pictures(address="https://example.org/cat.jpg https://example.org/dog.jpg")
    photos = pictures(folder="my_photos")  # with the folders in it
    photos = pictures()                    # nothing of one's own: photos that every installation has
    clips = sounds(folder="my_sounds")

A Colab machine is gone when its tab is closed, and what was rendered for an hour with it; its file picker exists nowhere
else, and a notebook that imports it stops on every other machine. So each of the three ways to *take in* files is here
for everywhere, and so is the place to *keep* things. Everything is optional: a notebook asks with what its form fields
say, and gets a list of paths that every function of `diamond` takes.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import tempfile
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

__all__ = ["NothingGivenError", "in_colab", "keep_in", "pictures", "sounds"]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".au")
UPLOADS = "uploads"
DRIVE = "/content/drive"
ON_DRIVE = "diamond-cutter"
VARIABLE = "DIAMOND_CACHE"


class NothingGivenError(FileNotFoundError):
    """Files were asked for, and there are none: no upload, an empty folder."""


def in_colab() -> bool:
    """Whether this runs in Google Colab."""
    return "google.colab" in sys.modules


def pictures(
    *, upload: bool = False, address: str = "", folder: str | Path = "", default: Iterable[Any] | None = None
) -> list[Any]:
    """Take in pictures: uploaded ones, else from addresses, else from a folder, else the default.

    Parameters
    ----------
    upload
        In Colab, open its file picker. Elsewhere, what lies in the folder ``uploads`` of the working directory: put the
        files there, in Jupyter by dragging them into its list of files.
    address
        One or several ``http(s)://`` addresses with blanks between them; each is fetched into ``uploads``.
    folder
        Every picture in it and in the folders within, in the order of their names.
    default
        What to give where nothing is asked for; None for five photos that come with scikit-image, scikit-learn and
        matplotlib.

    Returns
    -------
    list
        Paths, or what `default` holds; whatever takes pictures takes it.

    Raises
    ------
    NothingGivenError
        Where the upload was cancelled, or a folder holds no picture; it says what to do.
    UrlError
        For an address that does not answer.

    Examples
    --------
    >>> from diamond.notebook import pictures
    >>> len(pictures())
    5
    """
    found = _own_files(upload, address, folder, PICTURE_SUFFIXES, "picture")
    if found is not None:
        return found
    return _carried_photos() if default is None else list(default)


def sounds(
    *, upload: bool = False, address: str = "", folder: str | Path = "", default: Iterable[Any] | None = None
) -> list[Any]:
    """Take in sounds, as `pictures` takes in pictures.

    Parameters
    ----------
    upload, address, folder
        As for `pictures`.
    default
        What to give where nothing is asked for; None for a sound made here, strings plucked for three seconds and then
        three seconds of beats of noise.

    Returns
    -------
    list
        Paths, or what `default` holds; `diamond.load_sound` reads each.

    Raises
    ------
    NothingGivenError, UrlError
        As for `pictures`.

    Examples
    --------
    >>> from diamond.notebook import sounds
    >>> sounds()[0].duration_s
    6.0
    """
    found = _own_files(upload, address, folder, SOUND_SUFFIXES, "sound")
    if found is not None:
        return found
    if default is not None:
        return list(default)
    from modelzoo.inputs.sample_sounds import plucked_then_beaten

    return [plucked_then_beaten()]


def keep_in(*, drive: bool = False, folder: str | Path = "") -> Path:
    """Choose the folder where sprites, weights, recipes and networks of one's own are kept and looked for.

    It is what ``DIAMOND_CACHE`` names from now on, in this process and in those it starts.

    Parameters
    ----------
    drive
        In Colab, mount Google Drive (it asks for permission) and keep everything there. Elsewhere there is nothing to
        mount; it says so, and `folder` may name the place where Drive is synchronised to.
    folder
        A folder; on Drive one below ``MyDrive``, ``diamond-cutter`` where it is empty. Elsewhere, where it is empty,
        what holds already: ``DIAMOND_CACHE``, or the user's cache folder.

    Returns
    -------
    pathlib.Path
        The folder, which exists now. Its ``spritemaps`` is the store that all functions look into.

    Raises
    ------
    RuntimeError
        Where Drive was not mounted.

    Examples
    --------
    >>> from diamond.notebook import keep_in
    >>> keep_in(folder="kept").name
    'kept'
    """
    from modelzoo.user_cache import user_cache

    if drive and in_colab():
        place = _mounted_drive() / (str(folder) or ON_DRIVE)
    else:
        if drive:
            print("Google Drive is mounted in Colab only; here everything is kept on this machine.")
        place = Path(folder).expanduser().absolute() if str(folder) else user_cache("spritemaps").parent
    place.mkdir(parents=True, exist_ok=True)
    if drive or str(folder):
        os.environ[VARIABLE] = str(place)
    return place


def _own_files(upload: bool, address: str, folder: str | Path, suffixes: Sequence[str], what: str) -> list[Any] | None:
    if upload:
        return _uploaded(what) if in_colab() else _put_here(suffixes, what)
    if address.strip():
        return _fetched(address.split())
    if str(folder).strip():
        return _files_in(Path(str(folder).strip()).expanduser(), suffixes, what)
    return None


def _uploaded(what: str) -> list[Path]:
    from google.colab import files

    # Colab also writes what it was given into the working directory, renamed where the name is taken.
    with tempfile.TemporaryDirectory() as passing, contextlib.chdir(passing):
        given = files.upload()
    if not given:
        raise NothingGivenError(f"no {what} was uploaded; run the cell again and choose one, or untick `upload`")
    return [_written(name, content) for name, content in given.items()]


def _put_here(suffixes: Sequence[str], what: str) -> list[Path]:
    place = Path(UPLOADS)
    place.mkdir(exist_ok=True)
    try:
        return _files_in(place, suffixes, what)
    except NothingGivenError:
        raise NothingGivenError(
            f"the file picker is Colab's; here put each {what} into the folder {place.resolve()} and run the cell again, "
            "or name a folder or an address"
        ) from None


def _files_in(folder: Path, suffixes: Sequence[str], what: str) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        beside = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        near = difflib.get_close_matches(folder.name, beside, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the working directory is {Path.cwd()}"
        raise NothingGivenError(f"no folder {folder}; {hint}")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not found:
        others = sum(path.is_file() for path in folder.rglob("*"))
        raise NothingGivenError(
            f"no {what} in the folder {folder} (among {others} files); looked for {' '.join(suffixes)}"
        )
    return found


def _fetched(addresses: Sequence[str]) -> list[Path]:
    from modelzoo.inputs.urls import read_url

    written: list[Path] = []
    for i, address in enumerate(addresses):
        name = PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(address).path)).name or "download"
        taken = any(path.name == name for path in written)
        written.append(_written(f"{i}_{name}" if taken else name, read_url(address).content))
    return written


def _written(name: str, content: bytes) -> Path:
    place = Path(UPLOADS)
    place.mkdir(exist_ok=True)
    path = place / Path(name).name
    path.write_bytes(content)
    return path


def _mounted_drive() -> Path:
    from google.colab import drive

    try:
        drive.mount(DRIVE)
    except Exception as error:
        raise RuntimeError(
            f"Google Drive was not mounted ({error or type(error).__name__}); run the cell again and allow it, or untick "
            "`drive` and everything is kept on this machine, until it is gone"
        ) from error
    return Path(DRIVE) / "MyDrive"


def _carried_photos() -> list[Path]:
    import matplotlib.cbook
    import skimage.data
    import sklearn.datasets

    pictured = Path(skimage.data.__file__).parent
    sampled = Path(sklearn.datasets.__file__).parent / "images"
    officer = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    return [pictured / "chelsea.png", pictured / "coffee.png", Path(str(officer))] + [
        sampled / name for name in ("china.jpg", "flower.jpg")
    ]
