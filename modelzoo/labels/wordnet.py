"""What kind of thing a class is: its ancestors in WordNet, from the nearest to the most general.

    >>> [kind.name for kind in ancestors("n02088364")][:4]                # beagle
    ['hound', 'hunting dog', 'dog', 'canine']

A list of class names does not know that a beagle and a bluetick are both hounds. WordNet does: here is the one chain of
ancestors of each of ImageNet's 1000 classes (Miller, "WordNet: A Lexical Database for English", Communications of the
ACM 38, 1995). The table is read once, and is a few tens of kilobytes.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import NamedTuple

from modelzoo.labels.classes import ClassError

__all__ = ["Ancestor", "ancestors", "has_ancestors"]


class Ancestor(NamedTuple):
    """A kind of thing.

    Attributes
    ----------
    wordnet_id
        ``"n02084071"``; two kinds may have the same name.
    name
        ``"dog"``.
    """

    wordnet_id: str
    name: str


def ancestors(wordnet_id: str) -> tuple[Ancestor, ...]:
    """Give the ancestors of a class or of another ancestor, the nearest first; the last is ``entity``.

    Parameters
    ----------
    wordnet_id
        ``"n02088364"``.

    Raises
    ------
    ClassError
        For an id that is neither a class of ImageNet's 1000 nor an ancestor of one.
    """
    table = _table()
    if wordnet_id not in table:
        raise ClassError(
            f"no WordNet id {wordnet_id!r} among ImageNet's classes and their ancestors; such as 'n02084071'"
        )
    chain, at = [], table[wordnet_id][0]
    while at:
        parent, name = table[at]
        chain.append(Ancestor(at, name))
        at = parent
    return tuple(chain)


def has_ancestors(wordnet_id: str) -> bool:
    """Tell whether `ancestors` knows an id."""
    return wordnet_id in _table()


@cache
def _table() -> dict[str, tuple[str, str]]:
    """Parent ('' for the root) and name ('' for a class, which has its own) by id."""
    text = (resources.files("modelzoo") / "labels" / "wordnet.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return {row[0]: (row[1], row[2] if len(row) > 2 else "") for row in rows}
