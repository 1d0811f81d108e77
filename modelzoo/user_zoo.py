"""The networks a user has added to the zoo, each one folder.

::

        write_network("MyMobilenet", model, card)
        # PosixPath('/home/me/.local/share/diamond-cutter/zoo/MyMobilenet')
        user_cards()["MyMobilenet"].input.height
        # 224

A folder holds ``model.keras``, the whole model, and ``card.toml``, what is known of it; either may be edited, moved or
deleted by hand. The zoo is ``$DIAMOND_CACHE/zoo``, or the user's data folder where the variable is not set. A network is
*written* beside its place and renamed onto it, so that it is there as a whole or not at all; a card that cannot be read
spoils no other.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelzoo.cards import Card, CardError
from modelzoo.persist import CARD, read_folder, write_folder

if TYPE_CHECKING:
    import keras

__all__ = ["check_name", "read_user_card", "user_cards", "write_network", "zoo_folder"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FILE_SUFFIXES = (".keras", ".h5", ".hdf5", ".pb", ".json")


def zoo_folder() -> Path:
    """Folder of the user's networks: ``$DIAMOND_CACHE/zoo``, or the user's data folder."""
    chosen = os.environ.get("DIAMOND_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "zoo"
    import platformdirs

    return Path(platformdirs.user_data_dir("diamond-cutter")) / "zoo"


def user_cards(folder: Path | None = None) -> dict[str, Card | CardError]:
    """Read the cards of the user's networks.

    Parameters
    ----------
    folder
        The zoo; by default `zoo_folder`.

    Returns
    -------
    dict
        By name, in alphabetical order: the card, with the absolute path of its model, or what is wrong with it.
    """
    folder = zoo_folder() if folder is None else folder
    if not folder.is_dir():
        return {}
    places = sorted((p for p in folder.iterdir() if p.is_dir() and p.name[0] != "."), key=lambda p: p.name.lower())
    found: dict[str, Card | CardError] = {}
    for place in places:
        try:
            found[place.name] = read_user_card(place)
        except (CardError, OSError, TypeError) as error:
            found[place.name] = error if isinstance(error, CardError) else CardError(f"{place / CARD}: {error}")
    return found


def check_name(name: str) -> str:
    """Give back a name that a network may have.

    Raises
    ------
    CardError
        For a name that would leave the zoo's folder or be taken for a file.
    """
    if not _NAME.fullmatch(name) or name.endswith((".", *_FILE_SUFFIXES)):
        raise CardError(
            f"cannot call a network {name!r}: expected up to 64 letters, digits, '_', '-' and '.', a letter or digit "
            f"first, and no ending of a file ({', '.join(_FILE_SUFFIXES)})"
        )
    return name


def write_network(
    name: str, model: keras.Model, card: Card, *, folder: Path | None = None, overwrite: bool = False
) -> Path:
    """Write a model and its card into the user's zoo, both or none.

    Parameters
    ----------
    name
        Of the network and its folder.
    model
        A functional or Sequential model.
    card
        What is known of it; name and weight source are set here.
    folder
        The zoo; by default `zoo_folder`.
    overwrite
        Whether a network of this name is replaced.

    Returns
    -------
    Path
        The network's folder.

    Raises
    ------
    CardError
        For a name that cannot be.
    FileExistsError
        Where there is a network of this name.
    """
    folder = zoo_folder() if folder is None else Path(folder).expanduser()
    return write_folder(folder / check_name(name), model, replace(card, name=name), overwrite=overwrite)


def read_user_card(place: Path) -> Card:
    """Read the card in a network's folder, with the absolute path of its model.

    Raises
    ------
    CardError
        Where it is missing, cannot be read, has another name than the folder, or names a model outside it.
    """
    card = read_folder(place)
    if card.name != place.name:
        raise CardError(f"{place / CARD}: is called {card.name!r}; expected {place.name!r}, as its folder")
    return card
