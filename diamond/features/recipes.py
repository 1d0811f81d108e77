"""Everything that decides how a sprite is rendered, under one name and one hash.

    >>> import dataclasses
    >>> recipe = read_recipe("texture")
    >>> recipe.steps, len(recipe.hash)
    (256, 64)
    >>> quick = dataclasses.replace(recipe, steps=64)

``texture`` asks for a channel everywhere and fills the picture; ``sprite`` asks for the one thing in its centre, on a
quiet ground; ``phase`` moves no magnitudes, only phases, and looks most like a photo. ``sound`` draws spectrograms, whose
axes are no lengths: they move in time and in loudness, hardly in frequency, and are not turned. Two sprites with the
same recipe hash can be laid side by side; a spritemap's manifest keeps both.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from diamond.features import objectives
from diamond.features.images import Fourier, Parametrisation, Phase, image_from_dict, image_to_dict
from diamond.features.objectives import Objective
from diamond.features.transforms import (
    Background,
    Blur,
    Gain,
    Jitter,
    Noise,
    Rotate,
    Scale,
    Transform,
    transform_from_dict,
    transform_to_dict,
)
from modelzoo.cards import InputSpec
from modelzoo.inventory import Layer

__all__ = ["OF_SOUNDS", "Recipe", "read_recipe", "recipe_names", "recipe_on"]

# What a recipe asks of a channel: kind of objective, weight, before its nonlinearity, since which share of the steps.
# What is asked of the picture (alpha, total_variation ...) has its weight in units of what is asked of the channel.
Ask = tuple[str, float, bool, float]


@dataclass(frozen=True)
class Recipe:
    """How an image is optimised.

    Attributes
    ----------
    name
        ``"texture"``, ``"sprite"``, or a name of one's own.
    size_px
        Side of the square canvas, or ``(height, width)``.
    steps
        Steps of the optimiser.
    optimizer, learning_rate, optimizer_settings
        Name of a Keras optimiser, its rate, and its other settings by name.
    image
        Parametrisation of the image.
    alpha
        Whether the image has an alpha channel; one of the transforms must then be a `Background`.
    transforms
        What happens to the image before the network sees it, first to last.
    asks
        What is asked of a channel, where an objective is made from a channel number: see `Recipe.objective`.
    redirect_steps
        For how many steps at the start blocked gradients pass: see `diamond.features.relu`.

    Examples
    --------
    >>> import dataclasses
    >>> from diamond.features.recipes import read_recipe
    >>> recipe = read_recipe("sprite")
    >>> recipe.name, recipe.size_px, recipe.size, recipe.steps, recipe.redirect_steps
    ('sprite', 128, (128, 128), 256, 16)
    >>> recipe.optimizer, recipe.learning_rate, recipe.optimizer_settings
    ('nadam', 0.05, (('beta_1', 0.5), ('beta_2', 0.99)))
    >>> recipe.image.decay, recipe.alpha, len(recipe.asks), len(recipe.transforms)
    (1.25, True, 3, 7)
    >>> quick = dataclasses.replace(recipe, name="quick", steps=32)
    >>> len(quick.hash), quick.hash == recipe.hash
    (64, False)
    """

    name: str
    size_px: int | tuple[int, int] = 128
    steps: int = 256
    optimizer: str = "adam"
    learning_rate: float = 0.05
    image: Parametrisation = field(default_factory=Fourier)
    alpha: bool = False
    transforms: tuple[Transform, ...] = ()
    asks: tuple[Ask, ...] = (("channel", 1.0, False, 0.0),)
    redirect_steps: int = 16
    optimizer_settings: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if min(self.size) < 1 or self.steps < 1:
            raise ValueError(f"a recipe needs a size and steps of 1 or more; found {self.size_px} px, {self.steps}")
        if self.alpha and not any(isinstance(transform, Background) for transform in self.transforms):
            raise ValueError("an image with an alpha channel needs a Background among the transforms to lie over")

    @property
    def size(self) -> tuple[int, int]:
        """``(height, width)`` of the canvas in pixels."""
        return (self.size_px, self.size_px) if isinstance(self.size_px, int) else self.size_px

    def objective(self, layer: str | Layer, index: int) -> Objective:
        """Make the objective this recipe asks of a channel.

        Parameters
        ----------
        layer
            A layer or its address.
        index
            The channel, from 0.

        Examples
        --------
        >>> from diamond.features.recipes import read_recipe
        >>> print(read_recipe("sprite").objective("block9_add", 71))
        0.75 block9_add:71@centre before its nonlinearity + 0.25 block9_add:71 + -1 alpha
        """
        parts = []
        for kind, weight, before, since in self.asks:
            if kind in ("channel", "neuron", "peak"):
                asked = getattr(objectives, kind)(layer, index)
                parts.append(weight * (asked.before_nonlinearity() if before else asked).late(since))
            else:
                parts.append(weight * getattr(objectives, kind)().relative().late(since))
        return sum(parts[1:], parts[0])

    def to_dict(self) -> dict[str, Any]:
        """Give the recipe as plain values.

        Examples
        --------
        >>> from diamond.features.recipes import read_recipe
        >>> read_recipe("texture").to_dict()["steps"]
        256
        """
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = {
            "image": image_to_dict(self.image),
            "transforms": [transform_to_dict(transform) for transform in self.transforms],
            "asks": [list(ask) for ask in self.asks],
            "size_px": self.size_px if isinstance(self.size_px, int) else list(self.size_px),
            "optimizer_settings": dict(self.optimizer_settings),
        }
        return content | plain

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Recipe:
        """Read a recipe as `to_dict` writes it.

        Raises
        ------
        ValueError
            For a field that no recipe has.

        Examples
        --------
        >>> from diamond.features.recipes import read_recipe
        >>> dc.Recipe.from_dict(read_recipe("texture").to_dict()) == read_recipe("texture")
        True
        """
        known = {f.name for f in fields(cls)}
        surplus = set(content) - known
        if surplus:
            raise ValueError(f"no recipe field {sorted(surplus)[0]!r}; expected {', '.join(sorted(known))}")
        read = dict(content)
        if "image" in read:
            read["image"] = image_from_dict(read["image"])
        read["transforms"] = tuple(transform_from_dict(dict(t)) for t in read.get("transforms", ()))
        if "asks" in read:
            read["asks"] = tuple((str(k), float(w), bool(b), float(s)) for k, w, b, s in read["asks"])
        if "optimizer_settings" in read:
            read["optimizer_settings"] = tuple((str(k), float(v)) for k, v in dict(read["optimizer_settings"]).items())
        if isinstance(read.get("size_px"), list):
            read["size_px"] = tuple(read["size_px"])
        return cls(**read)

    @property
    def hash(self) -> str:
        """64 hexadecimal digits that change with everything but the name.

        What is at its default is left out, so that a recipe keeps its hash when recipes learn something new.
        """
        usual, image = Recipe("").to_dict(), image_to_dict(type(self.image)())
        content = {key: value for key, value in self.to_dict().items() if key != "name" and value != usual[key]}
        content["image"] = {k: v for k, v in image_to_dict(self.image).items() if k == "kind" or v != image[k]}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# With these the finished pictures have as much fine detail as photos have; networks ask for more of it than is natural.
_NATURAL = Fourier(decay=1.25, blur_px=0.4, most_detail=0.04)
_SMALL_MOVES = (Jitter(8), Scale(0.9, 1.1), Rotate(10), Jitter(4))
# Every step sees the image moved another way, and what many steps agree on is what is wanted; a long memory on top of that
# only delays. With half of Adam's usual momentum pictures are in 64 steps where they were in 100.
_BRISK: dict[str, Any] = {"optimizer": "nadam", "optimizer_settings": (("beta_1", 0.5), ("beta_2", 0.99))}

OF_SOUNDS = "sound"
_RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("texture", image=_NATURAL, transforms=_SMALL_MOVES, **_BRISK),
        Recipe(
            "sprite",
            image=replace(_NATURAL, alpha_decay=1.0),
            alpha=True,
            transforms=(
                Blur(1.0, 0.0),
                Jitter(2),
                Jitter(4),
                Jitter(4),
                Scale(0.94, 1.06),
                Rotate(12),
                Background(),
            ),
            asks=(("neuron", 0.75, True, 0.0), ("channel", 0.25, False, 0.0), ("alpha", -1.0, False, 0.4)),
            **_BRISK,
        ),
        Recipe("phase", image=Phase(decay=1.25, contrast=1.5), learning_rate=0.3, transforms=_SMALL_MOVES),
        Recipe(
            OF_SOUNDS,
            size_px=(64, 96),
            steps=128,
            # Faster, and levels run to both ends of the scale, where nothing is left to see.
            learning_rate=0.02,
            image=Fourier(decay=0.75, decay_across=0.5, blur_px=0.5),
            # Of a range of about 100 dB, 3 dB.
            transforms=(Jitter(1, across_px=12), Gain(0.03), Noise(0.02)),
            **_BRISK,
        ),
    )
}


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with the package, the default first."""
    return tuple(_RECIPES)


def recipe_on(recipe: str | Recipe | None, spec: InputSpec, *, size: Any = None, steps: int | None = None) -> Recipe:
    """Settle a recipe for a network: size and steps asked for, else its own; of sounds the network's own canvas.

    Parameters
    ----------
    recipe
        A recipe or its name; where None ``"texture"``, or ``"sound"``.
    spec
        What the network takes.
    size, steps
        Instead of the recipe's own.

    Raises
    ------
    ValueError
        For an unknown name, naming the nearest.
    """
    hears = spec.audio is not None
    settled = read_recipe(OF_SOUNDS if recipe is None and hears else recipe)
    if size is None and hears and spec.height and spec.width:
        # Bands have their frequencies: a canvas of another height would be of other sounds.
        size = (spec.height, spec.width)
    return replace(settled, size_px=size or settled.size_px, steps=steps or settled.steps)


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
