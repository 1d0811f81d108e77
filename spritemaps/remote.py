"""A store somewhere else: a bucket, a web server, whatever fsspec reaches.

    store = Store("gs://our-bucket/spritemaps")
    store.find(fingerprint)[24]              # index, manifest and one page cross the network, and no more

The files of a store are the same everywhere, so nothing else in this package knows where they lie: a `RemoteFolder`
answers to the few names of `pathlib.Path` that reading and writing whole files need. What differs is told here. A file
is one request (on an object store one PUT, whole or not at all, so nothing is renamed); looking around is slow, so who
reads trusts the index; and a bucket that cannot be reached is an error, not an empty store.

The two verbs of this module: an address is *placed* (a plain path stays a path), a remote file is *fetched* or *put*.

The consequences for a caller: a layer is rendered in a folder and then merged into the remote store; most web
servers can be read and not written; ``simplecache::gs://...`` keeps what was fetched on this machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast
from urllib.parse import quote, unquote

from spritemaps.files import StoreError

__all__ = ["RemoteFolder", "is_remote", "place"]

INSTALL = "pip install diamond-cutter[remote]"
# Two letters at least: `C://sprites` is a drive and no protocol.
_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+://")
_SLASH_LOST = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+:)/(?!/)")


def place(root: str | Path) -> Path:
    """Give the place that a text names: a folder of this machine, or a `RemoteFolder` for an address.

    Parameters
    ----------
    root
        A path, or an address such as ``"gs://bucket/sprites"``, ``"s3://..."``, ``"https://..."``, ``"memory://..."``.

    Returns
    -------
    Path
        A `RemoteFolder` stands in for one; `is_remote` tells.

    Raises
    ------
    StoreError
        Where fsspec, or the package that it needs for this kind of address, is not installed.
    """
    if isinstance(root, Path):
        # `Path("gs://bucket")` has lost a slash, and would be a folder called "gs:".
        root = _SLASH_LOST.sub(r"\1//", str(root))
    if not isinstance(root, str):
        return root
    if not _ADDRESS.match(root):
        return Path(root).expanduser()
    if root.startswith("file://"):
        return Path(root.removeprefix("file://"))
    try:
        import fsspec
    except ImportError:
        raise StoreError(
            f"{root} is an address, and reading it needs fsspec, which is not installed: {INSTALL}"
        ) from None
    try:
        system, path = fsspec.core.url_to_fs(root)
    except ImportError as error:
        raise StoreError(f"{root} cannot be reached: {error} ({INSTALL})") from error
    except ValueError as error:
        raise StoreError(f"{root} cannot be reached: {error}") from error
    # It is no `Path`, since those belong to this machine's file system, but has what a store asks of one.
    return cast(Path, RemoteFolder(system, path.rstrip("/"), root.rstrip("/")))


def is_remote(path: Path) -> bool:
    """Tell whether a place is reached through fsspec.

    Parameters
    ----------
    path
        A folder, or an address as ``gs://bucket/sprites``.

    Examples
    --------
    >>> is_remote("gs://bucket/sprites"), is_remote("sprites")
    (False, False)
    """
    return isinstance(path, RemoteFolder)


@dataclass(frozen=True, eq=False)
class RemoteFolder:
    """A folder or file that fsspec reaches, by the names of `pathlib.Path`.

    Attributes
    ----------
    system
        fsspec's file system.
    path
        In it.
    address
        What the user gave, and what errors name.
    """

    system: Any
    path: str
    address: str

    def __truediv__(self, name: object) -> RemoteFolder:
        # Names in a store are percent-encoded, and a web server takes one such layer off.
        part = quote(str(name)) if self._is_web else str(name)
        return RemoteFolder(self.system, f"{self.path}/{part}", f"{self.address}/{part}")

    def __str__(self) -> str:
        return self.address

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteFolder) and self.address == other.address

    def __lt__(self, other: RemoteFolder) -> bool:
        return self.path < other.path

    def __hash__(self) -> int:
        return hash(self.address)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.path).name

    @property
    def parent(self) -> RemoteFolder:
        """The folder it lies in."""
        return RemoteFolder(self.system, self.path.rpartition("/")[0], self.address.rpartition("/")[0])

    @property
    def _is_web(self) -> bool:
        return self.path.startswith(("http://", "https://"))

    def expanduser(self) -> RemoteFolder:
        """Give itself: an address has no home folder."""
        return self

    def relative_to(self, other: RemoteFolder) -> PurePosixPath:
        """Give the way from `other` to it."""
        way = PurePosixPath(self.path).relative_to(PurePosixPath(other.path))
        return PurePosixPath(unquote(str(way))) if self._is_web else way

    def read_bytes(self) -> bytes:
        """Fetch a file, in one request.

        Raises
        ------
        FileNotFoundError
            Where there is none.
        StoreError
            Where it cannot be reached.
        """
        return cast(bytes, self._ask(lambda: self.system.cat_file(self.path)))

    def write_bytes(self, content: bytes) -> int:
        """Put a file, in one request.

        Raises
        ------
        StoreError
            Where it cannot be written.
        """
        self._ask(lambda: self.system.pipe_file(self.path, content), "written")
        return len(content)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove a file.

        Raises
        ------
        FileNotFoundError
            Where there is none, unless `missing_ok`.
        StoreError
            Where it stays.
        """
        try:
            self._ask(lambda: self.system.rm_file(self.path), "removed")
        except FileNotFoundError:
            if not missing_ok:
                raise

    def exists(self) -> bool:
        """Tell whether there is something."""
        return bool(self._ask(lambda: self.system.exists(self.path)))

    def is_dir(self) -> bool:
        """Tell whether it is a folder; on an object store, whether anything lies below it."""
        return bool(self._ask(lambda: self.system.isdir(self.path)))

    def iterdir(self) -> Iterator[RemoteFolder]:
        """List what lies in it."""
        return self.glob("*")

    def glob(self, pattern: str) -> Iterator[RemoteFolder]:
        """List what lies as deep below it as `pattern` has parts, and fits it; a listing is one request a page of it."""
        parts = len(PurePosixPath(pattern).parts)
        found = {way[:parts] for way in self._listed() if len(way) >= parts}
        yield from (self / "/".join(way) for way in sorted(found) if PurePosixPath(*way).match(pattern))

    def _listed(self) -> list[tuple[str, ...]]:
        # All files below in one flat listing: on an object store a request a thousand, where a walk is one a folder.
        root = PurePosixPath(self.path)
        try:
            self.system.invalidate_cache(self.path)
            below = [PurePosixPath(found) for found in self._ask(lambda: self.system.find(self.path))]
        except FileNotFoundError:
            return []
        return [way.relative_to(root).parts for way in below if way.is_relative_to(root)]

    def _ask(self, request: Callable[[], Any], done: str = "read") -> Any:
        try:
            return request()
        except FileNotFoundError:
            raise
        except ImportError as error:
            raise StoreError(f"{self} cannot be {done}: {error} ({INSTALL})") from error
        except NotImplementedError as error:
            raise StoreError(f"{self} cannot be {done}: an address of this kind does not allow it") from error
        except Exception as error:
            # Each service raises errors of its own kind, and none of them may look like an empty store.
            said = str(error) or type(error).__name__
            raise StoreError(
                f"{self} cannot be {done} ({said}); look at the address, the network and your credentials"
            ) from error
