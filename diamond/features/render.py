"""From objectives to pictures: what `dc.render` does.

    rendering = render(net, [channel("block9_add", i) for i in range(8)])
    rendering.images.shape
    for rendering in render(net, channel("block9_add", 11), stream=True):     # after 16, 32, 64 ... steps
        show(rendering)

The work is done by a `diamond.features.renderer.Renderer`, one for each shape of objectives; here objectives are sorted
by shape, cut into batches, and put together again in the order they came in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal, overload

import numpy as np
from tqdm.auto import tqdm

from diamond.features.objectives import LOGITS, Objective
from diamond.features.recipes import Recipe, recipe_on
from diamond.features.renderer import BATCH, Renderer, RenderError
from diamond.features.rendering import Rendering
from diamond.features.sound_rendering import SoundRendering
from modelzoo import Network

__all__ = ["render"]

FIRST_LOOK = 16
AUTO = "auto"


@overload
def render(
    net: Network,
    objective: Objective | Sequence[Objective],
    *,
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    recipe: str | Recipe | None = None,
    stream: Literal[False] = False,
    batch: int = BATCH,
    progress: bool = True,
) -> Rendering:
    """Give the finished pictures."""


@overload
def render(
    net: Network,
    objective: Objective | Sequence[Objective],
    *,
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    recipe: str | Recipe | None = None,
    stream: Literal[True],
    batch: int = BATCH,
    progress: bool = True,
) -> Iterator[Rendering]:
    """Give the pictures as they grow clearer."""


def render(
    net: Network,
    objective: Objective | Sequence[Objective],
    *,
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    recipe: str | Recipe | None = None,
    stream: bool = False,
    batch: int = BATCH,
    progress: bool = True,
) -> Rendering | Iterator[Rendering]:
    """Render one picture for each objective.

    Parameters
    ----------
    net
        The network.
    objective
        One objective or several; the same one several times gives several pictures.
    size
        Side of the square canvas in pixels, or ``(height, width)``; the recipe's where None.
    steps
        Steps of the optimiser; the recipe's where None.
    seed
        The same seed gives the same pictures on the same machine.
    recipe
        A recipe or its name; where None ``"texture"``, of a sound network ``"sound"``. ``"auto"`` searches for the
        settings that suit the layer (see `diamond.features.search.find_recipe`), and remembers them.
    stream
        Give an iterator of renderings that grow clearer, after 16, 32, 64 ... steps, instead of the last alone.
    batch
        At most so many images at once. Objectives that look at each other (`diversity`, `align`) must fit into one.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Rendering, or an iterator of them
        Of a sound network `SoundRendering`: spectrograms, with what they sound like.

    Raises
    ------
    UnknownLayerError
        For a layer the network does not have.
    RenderError
        For a channel out of range, a layer that cannot be reached at this size, and images that did not stay finite.

    Examples
    --------
    >>> found = dc.render(net, [dc.channel("block9_add", i) for i in (71, 25)], size=64, steps=16, progress=False)
    >>> found.images.shape, found.activations.shape
    ((2, 64, 64, 3), (2,))

    One picture as it comes to be, after 16, 32 and 40 steps:

    >>> for made in dc.render(small, dc.channel("parts", 3), steps=40, stream=True, progress=False):
    ...     print(made.images.shape)
    (1, 128, 128, 3)
    (1, 128, 128, 3)
    (1, 128, 128, 3)
    """
    objectives = [objective] if isinstance(objective, Objective) else list(objective)
    if not objectives:
        raise RenderError("no objective to render: give one, or a list with at least one")
    settled = recipe_on(_found(net, objectives) if recipe == AUTO else recipe, net.input, size=size, steps=steps)
    looks = _looks(settled.steps) if stream else (settled.steps,)
    growing = _rendered(net, objectives, settled, looks, seed=seed, batch=batch, progress=progress)
    return growing if stream else list(growing)[-1]


def _rendered(
    net: Network,
    objectives: Sequence[Objective],
    recipe: Recipe,
    looks: Sequence[int],
    *,
    seed: int,
    batch: int,
    progress: bool,
) -> Iterator[Rendering]:
    copies = _copies(objectives)
    shapes = list(dict.fromkeys(o.shape for o in objectives))
    groups = []
    for shape in shapes:
        places = [i for i, o in enumerate(objectives) if o.shape == shape]
        renderer = Renderer(net, shape, recipe, width=min(batch, len(places)))
        groups += [(renderer, together) for together in _batches(objectives, places, renderer.width)]
    channels = 3 if net.input.channels != 1 else 1
    audio = net.input.audio
    kind = Rendering if audio is None else partial(SoundRendering, frontend=audio)
    images = np.full((len(objectives), *recipe.size, channels), 0.5, np.float32)
    activations = np.zeros(len(objectives), np.float32)
    restarts = np.zeros(len(objectives), np.int64)
    with tqdm(total=len(objectives) * recipe.steps, unit="step", disable=not progress, desc="render") as bar:
        runs = [
            renderer.run(
                [objectives[i] for i in places],
                copies=[copies[i] for i in places],
                seed=seed,
                looks=looks,
                on_steps=bar.update,
            )
            for renderer, places in groups
        ]
        # Every group takes a look before any goes on to the next, so that all pictures sharpen together.
        for _ in looks:
            for run, (_, places) in zip(runs, groups, strict=True):
                done = next(run)
                images[places], activations[places], restarts[places] = done.images, done.activations, done.restarts
            yield kind(
                network=net.name,
                objectives=tuple(map(str, objectives)),
                images=images.copy(),
                activations=activations.copy(),
                recipe=recipe.name,
                seed=seed,
                restarts=restarts.copy(),
            )


def _batches(objectives: Sequence[Objective], places: Sequence[int], width: int) -> list[list[int]]:
    """Cut into batches; the pictures of a family, which look at each other, stay together."""
    families: list[tuple[set[tuple[int, int]], list[int]]] = []
    for place in places:
        terms = enumerate(objectives[place].terms)
        numbers = {(i, int(term.parameters["family"])) for i, term in terms if "family" in term.parameters}
        related = [family for family in families if family[0] & numbers]
        families = [family for family in families if not family[0] & numbers]
        families.append((numbers.union(*[n for n, _ in related]), sorted([place, *[i for _, p in related for i in p]])))
    largest = max(len(members) for _, members in families)
    if largest > width:
        raise RenderError(
            f"{largest} pictures of one family look at each other and must fit into one batch, which holds {width}: "
            f"say batch={largest}, or give them families of their own (family=0, 1, ...)"
        )
    batches: list[list[int]] = [[]]
    for _, members in families:
        if len(batches[-1]) + len(members) > width:
            batches.append([])
        batches[-1] += members
    return batches


def _found(net: Network, objectives: Sequence[Objective]) -> Recipe:
    from diamond.features.search import auto_recipe

    layers = sorted({term.layer for objective in objectives for term in objective.terms if term.layer})
    if len(layers) != 1:
        named = ", ".join(map(repr, layers)) or "none"
        raise RenderError(f'recipe="auto" suits one layer, and the objectives look at {named}: name a recipe')
    return auto_recipe(net, net.logits_node.address if layers[0] == LOGITS else layers[0])


def _looks(steps: int) -> tuple[int, ...]:
    looks, at = [], FIRST_LOOK
    while at < steps:
        looks.append(at)
        at *= 2
    return (*looks, steps)


def _copies(objectives: Sequence[Objective]) -> list[int]:
    """Number the copies of equal objectives, so that each begins from noise of its own."""
    seen: Counter[str] = Counter()
    numbers = []
    for objective in map(str, objectives):
        numbers.append(seen[objective])
        seen[objective] += 1
    return numbers
