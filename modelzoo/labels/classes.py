"""The classes a network tells apart: from an index to a name, and from what a person would type to an index.

::

    >>> classes = read_classes("imagenet")
    >>> classes[285]
    'Egyptian cat'
    >>> classes.index("egyptian_cat"), classes.index("n02124075"), classes.index(285)
    (285, 285, 285)

Written with a plain list of names, a question about "crane" is silently answered for the bird, although the machine
has the same name: ``list.index`` gives the first of two. Here such a name is refused, with both indices to choose from.

The two verbs of this module: a label set is *read* (by its name, from ``modelzoo/labels``), and a class is *asked for*
(by index, name or WordNet id). Names compare with ``_``, ``-`` and blanks taken as the same. A spelling that fits
exactly goes before one that fits but for upper and lower case: "Cardigan" is a dog, "cardigan" a piece of clothing,
"CARDIGAN" an error.
"""

from __future__ import annotations

import difflib
import json
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import SupportsIndex

__all__ = ["ClassError", "Classes", "label_sets", "read_classes"]


class ClassError(ValueError, LookupError):
    """A class that is not there, or a name that does not say which class is meant."""


@dataclass(frozen=True)
class Classes:
    """A label set; a class' place in it is its index.

    Attributes
    ----------
    names
        One readable name a class, with blanks: ``"Egyptian cat"``. Two classes may have the same name.
    wordnet_ids
        One WordNet id a class (``"n02124075"``), or empty where there are none.

    Raises
    ------
    ClassError
        Where there is no class, a name is empty or no text, or names and WordNet ids differ in number.
    """

    names: tuple[str, ...]
    wordnet_ids: tuple[str, ...] = ()
    _exact: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _folded: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.names:
            raise ClassError("a label set without a name; expected one name a class")
        for i, name in enumerate(self.names):
            if not isinstance(name, str) or not name.strip():
                raise ClassError(f"the name of class {i} is {name!r}; expected a text that is not empty")
        if self.wordnet_ids and len(self.wordnet_ids) != len(self.names):
            raise ClassError(f"{len(self.wordnet_ids)} WordNet ids for {len(self.names)} names; expected one a class")
        object.__setattr__(self, "names", tuple(" ".join(name.replace("_", " ").split()) for name in self.names))
        object.__setattr__(self, "wordnet_ids", tuple(self.wordnet_ids))
        exact: dict[str, tuple[int, ...]] = {}
        folded: dict[str, tuple[int, ...]] = {}
        for i, name in enumerate(self.names):
            for label in (name, *self.wordnet_ids[i : i + 1]):
                spelling = _spelling(label)
                exact[spelling] = (*exact.get(spelling, ()), i)
                folded[spelling.casefold()] = (*folded.get(spelling.casefold(), ()), i)
        object.__setattr__(self, "_exact", exact)
        object.__setattr__(self, "_folded", folded)

    @classmethod
    def from_names(cls, names: Iterable[str]) -> Classes:
        """Make a label set of a user's own class names, in the order of the network's outputs.

        Raises
        ------
        ClassError
            Where there is no name, one is empty or no text, or one text was given in place of many.
        """
        if isinstance(names, str):
            raise ClassError(f"names is the one text {names!r}; expected a list of names, as [{names!r}]")
        return cls(tuple(names))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, index: SupportsIndex) -> str:
        return self.names[self.index(operator.index(index))]

    def index(self, label_or_index: str | SupportsIndex) -> int:
        """Index of the class that is meant.

        Parameters
        ----------
        label_or_index
            A name in any of its spellings, a WordNet id, or an index from 0 (which is checked and given back).

        Raises
        ------
        ClassError
            Where no class has that name (with the nearest names), two have it (with both indices), or the index is
            out of range (with the range).
        """
        if isinstance(label_or_index, str):
            return self._index_of_label(label_or_index)
        if isinstance(label_or_index, bool):
            raise ClassError(f"{label_or_index} was given as a class; expected an index, a name or a WordNet id")
        try:
            index = operator.index(label_or_index)
        except TypeError:
            kind = type(label_or_index).__name__
            raise ClassError(f"a {kind} was given as a class; expected an index, a name or a WordNet id") from None
        if not 0 <= index < len(self):
            raise ClassError(f"no class {index}; the indices run from 0 to {len(self) - 1}")
        return index

    def describe(self, index: SupportsIndex) -> str:
        """Give index, name and WordNet id in one text: ``"134 'crane' (n02012849)"``."""
        i = self.index(index)
        return f"{i} {self.names[i]!r}" + (f" ({self.wordnet_ids[i]})" if self.wordnet_ids else "")

    def _index_of_label(self, label: str) -> int:
        spelling = _spelling(label)
        found = self._exact.get(spelling) or self._folded.get(spelling.casefold()) or ()
        if len(found) == 1:
            return found[0]
        if found:
            by = "its index or its WordNet id" if self.wordnet_ids else "its index"
            listed = " and ".join(self.describe(i) for i in found)
            raise ClassError(f"{label!r} names {len(found)} classes: {listed}; ask for one by {by}")
        if spelling.lstrip("-").isdigit():
            raise ClassError(f"no class is called {label!r}; to ask by index give the number {spelling}, not a text")
        word = spelling.casefold()
        near = [key for key in self._folded if word and word in key.split()][:2]
        near += [key for key in difflib.get_close_matches(word, self._folded, n=4) if key not in near]
        labels = [key if key in self.wordnet_ids else self.names[self._folded[key][0]] for key in near[:4]]
        hint = f"did you mean {' or '.join(map(repr, labels))}?" if near else f"names are such as {self.names[0]!r}"
        raise ClassError(f"no class {label!r} among {len(self)}; {hint}")


def label_sets() -> tuple[str, ...]:
    """Names of the label sets that come with the package, in alphabetical order."""
    return tuple(sorted(path.stem for path in _folder().glob("*.json")))


@cache
def read_classes(name: str) -> Classes:
    """Read a label set that comes with the package.

    Parameters
    ----------
    name
        ``"imagenet"``: the 1000 classes of the ImageNet challenge of 2012, in its customary order, by WordNet id
        (Russakovsky et al., 2015, https://arxiv.org/abs/1409.0575). ``"imagenet_devkit"``: the same classes in the
        order of the challenge's development kit, which Google's first networks answer in. ``"esc10"``: the ten sounds
        of ESC-10, in alphabetical order (Piczak, 2015, https://doi.org/10.1145/2733373.2806390).

    Raises
    ------
    ClassError
        Where there is no such label set; it names those that are.
    """
    if name not in label_sets():
        raise ClassError(f"no label set {name!r}; there is {', '.join(map(repr, label_sets()))}")
    entries = json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))
    if isinstance(entries[0], str):
        return Classes.from_names(entries)
    wordnet_ids, names = zip(*entries, strict=True)
    return Classes(names=names, wordnet_ids=wordnet_ids)


def _folder() -> Path:
    return Path(str(resources.files("modelzoo"))) / "labels"


def _spelling(label: str) -> str:
    return " ".join(label.replace("_", " ").replace("-", " ").split())
