"""How a store's files come to be: whole or not at all.

    >>> write_file(Path("manifest.json"), json_bytes({"network": "small"}))
    >>> Path("manifest.json").read_text().split()
    ['{', '"network":', '"small"', '}']

A job that is killed while it writes leaves half a file behind, and half a file looks like a file. So every file is
written under a temporary name beside its place, flushed to the disk, and renamed onto it; who reads meets the old file
or the new one. The temporary name says which process wrote it, so that the leavings of a dead one can be told from the
work of a live one.

The two verbs of this module: a file is *written* (whole), and JSON is *checked* (field by field, as it is read).
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import itertools
import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "StoreError",
    "check_fields",
    "check_writable",
    "create_file",
    "json_bytes",
    "parse_json",
    "remove_file",
    "remove_folder",
    "remove_strays",
    "telling",
    "write_file",
]

STALE_S = 3600.0
REMOVALS = 5
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL)

_HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "host"
_TOKEN = secrets.token_hex(4)
_COUNT = itertools.count()
_TEMPORARY = re.compile(r"\..+\.(?P<host>[A-Za-z0-9-]+)\.(?P<pid>\d+)\.(?P<token>[0-9a-f]{8})-\d+\.tmp")


class StoreError(RuntimeError):
    """A store that cannot be read or written as asked, with the way out.

    Examples
    --------
    >>> from spritemaps.merge import merge
    >>> merge("nowhere", "sprites")
    Traceback (most recent call last):
        ...
    spritemaps.files.StoreError: there is no store at nowhere; expected a folder with spritemaps, or an address
    """


def write_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, over whatever was there; its folder is made where it is missing.

    On an object store it is one PUT, which is whole or nothing by itself.

    Raises
    ------
    OSError
        As the file system raises it; nothing is left behind then.
    """
    if not isinstance(path, Path):
        path.write_bytes(content)
        return
    for last in (False, True):
        temporary = _write_beside(path, content)
        try:
            os.replace(temporary, path)
        except FileNotFoundError:
            # Another machine may have taken the temporary file for a dead writer's.
            if last:
                raise
        except OSError:
            remove_file(temporary)
            raise
        else:
            return


def create_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, unless there is one already: of two writers the first wins.

    Raises
    ------
    OSError
        As the file system raises it; nothing is left behind then.
    """
    temporary = _write_beside(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Drives without hard links (FAT, mounted cloud drives) cannot tell who was first; the last one wins there.
        os.replace(temporary, path)
    finally:
        remove_file(temporary)


def check_writable(folder: Path) -> None:
    """Make sure that files can be written in `folder`, made where it is missing, by writing one.

    Raises
    ------
    OSError
        Where they cannot.
    """
    remove_file(_write_beside(folder / "probe", b"probe"))


def remove_file(path: Path) -> None:
    """Remove a file that may be there.

    Raises
    ------
    OSError
        Where it is there and stays.
    """
    path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder that may be there, with all that is in it.

    Raises
    ------
    OSError
        Where it is there and stays.
    """
    # Other processes may write into the folder, or remove it too, while it is emptied.
    for _ in range(REMOVALS):
        with contextlib.suppress(FileNotFoundError):
            try:
                shutil.rmtree(folder)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
        if not folder.exists():
            return
    shutil.rmtree(folder)


def remove_strays(folder: Path) -> None:
    """Remove the temporary files that dead writers left in `folder`; those of live ones stay."""
    if not isinstance(folder, Path):
        return
    for path in folder.glob(".*.tmp"):
        if _is_stray(path):
            remove_file(path)


@contextlib.contextmanager
def telling(root: Path) -> Iterator[None]:
    """Turn what the file system raises while it writes into a `StoreError` that says what to do.

    Raises
    ------
    StoreError
        For every `OSError` inside.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or root
        reason = error.strerror or str(error)
        if error.errno in NOT_WRITABLE:
            raise StoreError(
                f"the store {root} is not writable ({reason}: {place}). Give another store, or make the folder "
                "writable; what is finished in it can still be read"
            ) from error
        if error.errno in NO_ROOM:
            raise StoreError(
                f"no room left for {place} ({reason}). Batches finished so far are kept: free some space and run "
                "the same job again, and it goes on from there"
            ) from error
        if isinstance(error, NotADirectoryError | FileExistsError):
            raise StoreError(
                f"{place}: a file stands where the store {root} needs a folder; give another store"
            ) from error
        raise StoreError(f"the store {root} failed at {place}: {reason}") from error


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Give `content` as JSON whose bytes depend on nothing but `content`: sorted keys, shortest floats, UTF-8.

    Raises
    ------
    ValueError
        Where it holds a number that is not finite.
    TypeError
        Where it holds something that is not JSON.
    """
    text = json.dumps(content, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    return (text + "\n").encode("utf-8")


def parse_json(content: bytes) -> Any:
    """Read JSON; the inverse of `json_bytes`.

    Raises
    ------
    ValueError
        Where it is no JSON, or holds a number that is not finite.
    """
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def check_fields(content: Any, kinds: Mapping[str, type], where: str, error: type[Exception]) -> dict[str, Any]:
    """Check that `content` is a JSON object with exactly the fields `kinds`, each of its kind.

    A whole number passes for a float; a truth value passes for no number.

    Raises
    ------
    error
        Naming `where`, the field, what was found and what was expected.
    """
    if not isinstance(content, Mapping):
        raise error(f"{where} is {_named(content)}; expected a JSON object with {', '.join(kinds)}")
    for name in content:
        if name not in kinds:
            near = difflib.get_close_matches(str(name), kinds, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(kinds)}"
            raise error(f"{where} has an unknown field {name!r}; {hint}")
    checked: dict[str, Any] = {}
    for name, kind in kinds.items():
        if name not in content:
            raise error(f"{where} lacks the field {name!r}")
        value = content[name]
        fits = isinstance(value, int | float if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise error(f"{where}: {name} is {_named(value)}; expected {_KIND_NAMES[kind]}")
        checked[name] = value
    return checked


_KIND_NAMES: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _named(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _write_beside(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.{_TOKEN}-{next(_COUNT)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            remove_file(temporary)
        error.filename = error.filename or str(path)
        raise
    return temporary


def _is_stray(path: Path) -> bool:
    match = _TEMPORARY.fullmatch(path.name)
    if match is None:
        return False
    pid = int(match["pid"])
    if match["host"] == _HOST and os.name == "posix":
        if pid == os.getpid():
            # A restarted container hands out the same process number again; the token tells the two apart.
            return match["token"] != _TOKEN
        if not _is_alive(pid):
            return True
    try:
        return time.time() - path.stat().st_mtime > STALE_S
    except OSError:
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
