"""Everything that decides how a sprite is rendered, under one name and one hash.

    >>> recipe = read_recipe("texture")
    >>> recipe.hash[:8], recipe.steps
    >>> quick = dataclasses.replace(recipe, steps=64)

Two sprites with the same recipe hash can be laid side by side; a spritemap's manifest keeps both recipe and hash.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from diamond.features.transforms import Jitter, Rotate, Scale, Transform, transform_from_dict, transform_to_dict

__all__ = ["Recipe", "read_recipe"]


@dataclass(frozen=True)
class Recipe:
    """How an image is optimised.

    Attributes
    ----------
    name
        ``"texture"``, or a name of one's own.
    size_px
        Side of the square canvas.
    steps
        Steps of the optimiser.
    learning_rate
        Of Adam (Kingma and Ba, 2015), with its usual decay rates .9 and .999.
    deviation, decay
        Of the Fourier parametrisation: see `diamond.features.images`.
    transforms
        Movements before the network sees the image, first to last.
    redirect_steps
        For how many steps at the start blocked gradients pass: see `diamond.features.relu`.
    """

    name: str
    size_px: int = 128
    steps: int = 256
    learning_rate: float = 0.05
    deviation: float = 0.01
    decay: float = 1.0
    transforms: tuple[Transform, ...] = ()
    redirect_steps: int = 16

    def __post_init__(self) -> None:
        if self.size_px < 1 or self.steps < 1:
            raise ValueError(f"a recipe needs a size and steps of 1 or more; found {self.size_px} px, {self.steps}")

    def to_dict(self) -> dict[str, Any]:
        """Give the recipe as plain values."""
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        return content | {"transforms": [transform_to_dict(transform) for transform in self.transforms]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Recipe:
        """Read a recipe as `to_dict` writes it.

        Raises
        ------
        ValueError
            For a field that no recipe has.
        """
        known = {f.name for f in fields(cls)}
        surplus = set(content) - known
        if surplus:
            raise ValueError(f"no recipe field {sorted(surplus)[0]!r}; expected {', '.join(sorted(known))}")
        transforms = tuple(transform_from_dict(dict(transform)) for transform in content.get("transforms", ()))
        return cls(**{**content, "transforms": transforms})

    @property
    def hash(self) -> str:
        """64 hexadecimal digits that change with everything but the name."""
        content = {key: value for key, value in self.to_dict().items() if key != "name"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


_RECIPES = {
    recipe.name: recipe
    for recipe in (Recipe("texture", transforms=(Jitter(8), Scale(0.9, 1.1), Rotate(10), Jitter(4))),)
}


def read_recipe(recipe: str | Recipe | None) -> Recipe:
    """Find a recipe by name; None for the default; a recipe is given back as it is.

    Raises
    ------
    ValueError
        For an unknown name, naming the nearest.
    """
    if isinstance(recipe, Recipe):
        return recipe
    name = "texture" if recipe is None else recipe
    if name not in _RECIPES:
        near = difflib.get_close_matches(name, _RECIPES, n=1) or list(_RECIPES)
        raise ValueError(f"no recipe {name!r}; did you mean {' or '.join(map(repr, near))}?")
    return _RECIPES[name]
