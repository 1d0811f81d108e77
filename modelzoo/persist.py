"""A network with its card as one folder.

::

    >>> folder = dc.save(small, "small")              # or "gs://bucket/small", or any address that fsspec reaches
    >>> dc.load(folder).layers.names[0]
    'edges'

A folder holds ``model.keras``, the whole model, and ``card.toml``, what is known of it: the values it takes, its classes,
its landmarks, the hash of the model's file. Either may be read without the other; the card needs no TensorFlow. A folder
is *written* beside its place and renamed onto it, so that it is there as a whole or not at all; somewhere else, the card
comes last, and a folder without a card is no network.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelzoo.cards import Card, CardError, WeightSource, read_card
from modelzoo.user_cache import user_cache

if TYPE_CHECKING:
    import keras

    from modelzoo.network import Network

__all__ = ["CARD", "MODEL", "is_saved", "load_saved", "read_folder", "save_network", "write_folder"]

CARD, MODEL = "card.toml", "model.keras"
# Two letters at least: `C://flowers` is a drive and no protocol.
_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+://")
INSTALL = "pip install diamond-cutter[remote]"


def write_folder(
    place: Path, model: keras.Model, card: Card, *, files: Mapping[str, bytes] | None = None, overwrite: bool = False
) -> Path:
    """Write a model and its card into a folder, both or none.

    Parameters
    ----------
    place
        The folder.
    model
        A functional or Sequential model.
    card
        What is known of it; its weight source is set here, and it needs no builder any more.
    files
        What else goes into the folder, by name.
    overwrite
        Whether a folder that is there is replaced.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        Where something is there already.
    CardError
        For a model that holds code, which `load` would not read.
    """
    import tomli_w

    if place.exists() and not overwrite:
        raise FileExistsError(f"{place} is there already; choose another name, or say overwrite=True (--overwrite)")
    _refuse_code(model)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incomplete-", dir=place.parent, ignore_cleanup_errors=True) as beside:
        made = Path(beside) / place.name
        made.mkdir()
        model.save(made / MODEL)
        content = (made / MODEL).read_bytes()
        source = WeightSource(
            kind="file",
            format="keras",
            licence="unknown",
            path=MODEL,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
        )
        for name, data in (files or {}).items():
            (made / name).write_bytes(data)
        whole = replace(card, architecture=None, options={}, weights=(source,))
        (made / CARD).write_text(tomli_w.dumps(whole.to_dict()), encoding="utf-8")
        read_folder(made)
        if place.exists():
            place.rename(Path(beside) / "replaced")
        made.rename(place)
    return place


def read_folder(place: Path) -> Card:
    """Read the card in a network's folder, with the absolute path of its model.

    Raises
    ------
    CardError
        Where it is missing, cannot be read, or names a model outside the folder.
    """
    if not (place / CARD).is_file():
        raise CardError(f"{place}: has no {CARD}; expected one beside {MODEL}")
    card = read_card(place / CARD)
    if len(card.weights) != 1 or card.weights[0].kind != "file" or card.architecture is not None:
        raise CardError(f"{place / CARD}: expected no architecture and one weight source of the kind 'file'")
    inside = place / str(card.weights[0].path)
    if place.resolve() not in inside.resolve().parents:
        raise CardError(f"{place / CARD}: its model {card.weights[0].path!r} lies outside its folder")
    return replace(card, weights=(replace(card.weights[0], path=str(inside)),))


def save_network(
    net: Network, path: str | Path, *, files: Mapping[str, bytes] | None = None, overwrite: bool = False
) -> str:
    """Write a network into a folder, on this machine or elsewhere.

    Parameters
    ----------
    net
        The network.
    path
        The folder, or an address that fsspec reaches: ``"gs://bucket/flowers"``.
    files
        What else goes into the folder, by name.
    overwrite
        Whether a folder that is there is replaced.

    Returns
    -------
    str
        Where it is.

    Raises
    ------
    FileExistsError
        Where something is there already.
    CardError
        For a model that holds code.
    ImportError
        Where an address needs fsspec, or a package for its kind, that is not installed.
    """
    if not is_address(path):
        return str(write_folder(Path(path).expanduser(), net.model, net.card, files=files, overwrite=overwrite))
    system, there = _reached(str(path))
    if system.exists(f"{there}/{CARD}"):
        if not overwrite:
            raise FileExistsError(f"{path} is there already; choose another name, or say overwrite=True")
        system.rm(f"{there}/{CARD}")
    with tempfile.TemporaryDirectory(prefix="diamond-") as near:
        made = write_folder(Path(near) / "network", net.model, net.card, files=files)
        # Whoever finds the card finds the rest.
        for file in sorted(made.iterdir(), key=lambda file: file.name == CARD):
            system.pipe_file(f"{there}/{file.name}", file.read_bytes())
    return str(path).rstrip("/")


def is_saved(path: str | Path) -> bool:
    """Whether a text names a folder with a network, or an address."""
    return is_address(path) or (Path(path).expanduser() / CARD).is_file()


def is_address(path: str | Path) -> bool:
    """Whether a text is an address that fsspec reaches, and no path."""
    return isinstance(path, str) and _ADDRESS.match(path) is not None


def load_saved(path: str | Path) -> Network:
    """Load a network that `save_network` wrote.

    Parameters
    ----------
    path
        Its folder, or an address, from which it is fetched once.

    Raises
    ------
    FileNotFoundError
        Where there is none.
    CardError, WeightsError
        Where the card cannot be read, or the model is not the one that was saved with it.
    """
    from modelzoo.network import Network
    from modelzoo.weights.model_file import read_model
    from modelzoo.weights.sources import check

    place = _fetched(str(path)) if is_address(path) else Path(path).expanduser()
    card = read_folder(place)
    source = card.weights[0]
    model = Path(str(source.path))
    check(model, source)
    return Network.of(read_model(model), card, weights=str(path))


def _fetched(address: str) -> Path:
    """Fetch a folder into the user's cache, where it is not there yet as it is now."""
    system, there = _reached(address)
    try:
        card = system.cat_file(f"{there}/{CARD}")
    except FileNotFoundError:
        raise FileNotFoundError(f"no network at {address}: there is no {CARD}") from None
    place = user_cache("networks") / hashlib.sha256(address.encode() + card).hexdigest()[:24]
    if not place.is_dir():
        part = place.with_name(f"{place.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        (part / CARD).write_bytes(card)
        (part / MODEL).write_bytes(system.cat_file(f"{there}/{MODEL}"))
        part.rename(place)
    return place


def _reached(address: str) -> tuple[Any, str]:
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise ImportError(f"{address} cannot be reached: {error} ({INSTALL})") from error
    return system, str(path).rstrip("/")


def _refuse_code(model: keras.Model) -> None:
    from modelzoo.graph import read_graph

    code = [node.address for node in read_graph(model) if node.kind == "Lambda"]
    if code:
        raise CardError(
            f"{model.name} holds code, in the Lambda layer {code[0]!r}, which no file is trusted with; expected "
            "layers of Keras: a Rescaling, an operation, or a registered layer of your own in its place"
        )
