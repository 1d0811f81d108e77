"""What Tab offers after ``diamond``: networks, layers of the network that is named, classes, recipes.

Everything is read from cards and label files, so that TensorFlow is not imported: of a network's layers the landmarks are
offered, which its card lists. Where nothing fits, the shell offers files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

__all__ = ["classes", "layers", "layers_by_commas", "networks", "recipes"]

RECIPES = ("texture", "sprite", "phase", "sound")
MOST = 200


def networks(ctx: Any, args: list[str], incomplete: str) -> list[tuple[str, str]]:
    """Offer the networks of the zoo, in any case of letters."""
    from modelzoo.registry import cards

    folded = incomplete.casefold()
    found = [(name, card.title) for name, card in cards().items() if name.casefold().startswith(folded)]
    # A shell puts the word in the place of what was typed only where it begins the same way.
    return [(name, title) for name, title in found if name.startswith(incomplete)] or found


def layers(ctx: Any, args: list[str], incomplete: str) -> list[str]:
    """Offer the landmarks of the network that is named before."""
    card = _card(ctx)
    return [name for name in (card.landmarks if card else ()) if name.startswith(incomplete)]


def layers_by_commas(ctx: Any, args: list[str], incomplete: str) -> list[str]:
    """Offer landmarks for the word after the last comma."""
    before, comma, begun = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in layers(ctx, args, begun) if name not in before.split(",")]


def classes(ctx: Any, args: list[str], incomplete: str) -> list[str]:
    """Offer ``top1``, and the labels of the network that is named before."""
    card = _card(ctx)
    named: Iterable[str] = ()
    if card and card.output.classes:
        from modelzoo.labels.classes import read_classes

        named = read_classes(card.output.classes).names
    # A shell splits words at blanks; a class is found with either.
    words = ["top1", "top2", *(name.replace(" ", "_") for name in named)]
    return [word for word in words if word.startswith(incomplete) and "'" not in word][:MOST]


def recipes(ctx: Any, args: list[str], incomplete: str) -> list[str]:
    """Offer the recipes that sprites are rendered by."""
    return [name for name in RECIPES if name.startswith(incomplete)]


def _first_argument() -> str | None:
    """Give the first word after the command, where an option that waits for its value kept it from being read."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    return next((word for word in line.split()[2:] if not word.startswith("-")), None)


def _card(ctx: Any) -> Any:
    name = ctx.params.get("name") or _first_argument()
    if not isinstance(name, str):
        return None
    from modelzoo.registry import UnknownModelError, read_model_card

    try:
        return read_model_card(name)
    except UnknownModelError:
        return None
