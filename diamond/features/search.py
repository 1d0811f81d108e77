"""The recipe that suits a layer of any network, found by trying.

    found = find_recipe(net, "block9_add", budget_s=120)
    found.recipe, found.gain
    render(net, channel("block9_add", 11), recipe=found.recipe)
    render(net, channel("block9_add", 11), recipe="auto")          # the same, remembered from then on

No recipe is best everywhere: a layer that asks for fine stripes wants other settings than one that asks for faces, and
a network nobody has looked into yet is a guess. So some channels of the layer are rendered by the recipe that suits
most layers, then with one setting changed at a time, and what raises the *robust activation* (see
`diamond.pregenerate.quality`) is kept as long as the pictures stay as rich in fine detail as photos are. At the end the
winner and the first recipe meet on channels that took no part; the winner of that is what is given.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.features.images import Fourier
from diamond.features.recipes import Recipe
from diamond.features.renderer import BATCH, Renderer
from diamond.features.transforms import Jitter, Rotate, Scale, Transform
from diamond.pregenerate.choice import recipe_of
from diamond.pregenerate.quality import Examine, at_rest, examiner, statistic_of
from modelzoo import Layer, Network
from modelzoo.user_cache import user_cache

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["RecipeSearch", "Trial", "auto_recipe", "find_recipe", "fine_detail"]

# Median over 200 ImageNet-style photos at 64 to 224 px, by `fine_detail`.
PHOTO_DETAIL = 0.045
# Half to twice the photos' own: below it pictures are vague, above it they are noise.
NATURAL = (0.5 * PHOTO_DETAIL, 2.0 * PHOTO_DETAIL)
LEAST_GAIN = 1.02
TRIAL_STEPS = 96


@dataclass(frozen=True)
class Trial:
    """One recipe that was tried.

    Attributes
    ----------
    words
        What was changed.
    recipe
        The recipe.
    gain
        Robust activation above flat grey, relative to the first recipe's: geometric mean over the channels tried.
    detail
        Share of spectral energy above half the Nyquist frequency, median over the pictures.
    seconds
        What it took.
    """

    words: str
    recipe: Recipe = field(repr=False)
    gain: float
    detail: float
    seconds: float

    @property
    def natural(self) -> bool:
        """Whether fine detail lies within half to twice that of photos."""
        return NATURAL[0] <= self.detail <= NATURAL[1]


@dataclass(frozen=True)
class RecipeSearch:
    """What was tried for a layer, and what came of it.

    Attributes
    ----------
    network, layer
        Whose recipe this is.
    recipe
        The best, named ``"auto"``; the first recipe itself where nothing beat it.
    gain
        Of the best over the first, on channels that took no part in the search; 1 where that is the first.
    tried
        Every trial in the order made, the first recipe's first.
    channels, held_out
        The channels rendered in the search, and those that took no part in it.

    Examples
    --------
    >>> found = dc.find_recipe(small, "parts", budget_s=10, channels=2)
    >>> found.network, found.layer, len(found.channels), len(found.held_out)
    ('small', 'parts', 2, 2)
    >>> found.recipe.size, found.gain >= 1, found.tried[0].words
    ((128, 128), True, 'as it is')
    >>> found.to_dataframe().columns.to_list()
    ['change', 'gain', 'detail', 'natural', 'seconds']
    >>> found.plot()
    <Figure size ... with 1 Axes>
    """

    network: str
    layer: str
    recipe: Recipe
    gain: float
    tried: tuple[Trial, ...]
    channels: tuple[int, ...]
    held_out: tuple[int, ...]

    def to_dataframe(self) -> pd.DataFrame:
        """One row a trial: what was changed, gain, detail, natural, seconds."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"change": t.words, "gain": t.gain, "detail": t.detail, "natural": t.natural, "seconds": t.seconds}
                for t in self.tried
            ]
        )

    def plot(self) -> Figure:
        """Draw the gain of every trial; those with unnatural detail are hollow."""
        from modelzoo.lettering import Figure

        figure = Figure(figsize=(7, 0.8 + 0.28 * len(self.tried)), layout="constrained")
        axes = figure.subplots()
        rows = np.arange(len(self.tried))[::-1]
        for row, trial in zip(rows, self.tried, strict=True):
            axes.plot(trial.gain, row, "o", color="#b35806", fillstyle="full" if trial.natural else "none")
        axes.axvline(1.0, color="0.6", linewidth=1)
        axes.set_yticks(rows, [trial.words for trial in self.tried], fontsize=8)
        axes.set_xlabel(f"robust activation in {self.layer}, relative to the first recipe")
        return figure


def find_recipe(
    net: Network,
    layer: str | Layer,
    *,
    budget_s: float = 120.0,
    start: str | Recipe | None = None,
    channels: int = 6,
    seed: int = 0,
) -> RecipeSearch:
    """Find the settings under which a layer's pictures are strongest and still natural.

    Parameters
    ----------
    net
        The network, of the zoo or the user's own.
    layer
        A layer with channels, or its address.
    budget_s
        Seconds that may be spent; a trial that would not fit any more is not begun. The first recipe and the last
        comparison are always made.
    start
        Recipe to begin with, a name or a recipe of one's own; the one that suits the layer's depth where None.
    channels
        How many channels are rendered in a trial, spread over the layer; as many others are held out.
    seed
        Of the pictures.

    Raises
    ------
    UnknownLayerError
        For a layer the network does not have.
    RenderError
        For a layer that cannot be rendered at the recipe's size.
    ValueError
        For an unknown recipe, or a budget or a number of channels that is not positive.

    Examples
    --------
    >>> found = dc.find_recipe(small, "parts", budget_s=10, channels=2)
    >>> found.recipe.name in ("auto", "texture"), found.gain >= 1
    (True, True)
    """
    if budget_s <= 0 or channels < 1:
        raise ValueError(f"a search needs a budget and channels; found {budget_s} s and {channels}")
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    first = recipe_of(net, place, start)
    spread = np.unique(np.linspace(0, place.channels - 1, 2 * channels).astype(int))
    tried_on, held_out = tuple(spread[::2].tolist()), tuple(spread[1::2].tolist()) or tuple(spread.tolist())
    deadline = time.monotonic() + budget_s
    look = _look(net, place, seed)
    # What is better after these steps is better at the end, and a trial costs a part.
    base = look(_shortened(first), tried_on)
    best = Trial("as it is", first, 1.0, base.detail, base.seconds)
    trials, seen = [best], {first.hash}
    while (change := _next_change(best.recipe, trials[-1].words, seen)) is not None:
        # The comparison at the end renders twice as many steps at least, twice.
        if time.monotonic() + trials[-1].seconds * (1 + 2 * max(1.0, first.steps / TRIAL_STEPS)) > deadline:
            break
        words, recipe = change
        seen.add(recipe.hash)
        found = look(_shortened(recipe), tried_on)
        trials.append(Trial(words, recipe, _gain(found, base), found.detail, found.seconds))
        if _better(trials[-1], best):
            best = trials[-1]
    gain = _gain(look(best.recipe, held_out), look(first, held_out)) if best is not trials[0] else 1.0
    chosen = replace(best.recipe, name="auto") if gain > 1.0 else first
    return RecipeSearch(net.name, place.name, chosen, max(gain, 1.0), tuple(trials), tried_on, held_out)


def auto_recipe(net: Network, layer: str | Layer, *, budget_s: float = 120.0) -> Recipe:
    """Give the recipe that was found for a layer before, else find it and remember it.

    It is kept in ``$DIAMOND_CACHE/recipes``, or the user's cache folder, under the layer's fingerprint.

    Raises
    ------
    UnknownLayerError, RenderError, ValueError
        As `find_recipe`.
    """
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    file = user_cache("recipes") / f"{net.fingerprint(place)}.json"
    if file.is_file():
        return Recipe.from_dict(json.loads(file.read_text(encoding="utf-8")))
    found = find_recipe(net, place, budget_s=budget_s).recipe
    file.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and moved onto it: what is read is always whole.
    beside = file.with_suffix(f".{os.getpid()}")
    beside.write_text(json.dumps(found.to_dict(), indent=1), encoding="utf-8")
    beside.replace(file)
    return found


def fine_detail(images: np.ndarray) -> np.ndarray:
    """Give the share of spectral energy above half the Nyquist frequency.

    Parameters
    ----------
    images
        ``(n, height, width, colour)``.

    Returns
    -------
    array
        ``(n,)``; photos have about 0.045, whatever their size.
    """
    height, width = images.shape[1:3]
    # Photos do not join up at their edges as Fourier images do; the window makes both alike.
    window = np.hanning(height)[:, None] * np.hanning(width)[None, :]
    grey = images.mean(axis=-1)
    mean = (grey * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    energy = np.abs(np.fft.fft2((grey - mean) * window)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    share: np.ndarray = energy[:, frequency > 0.25].sum(axis=1) / np.maximum(energy.sum(axis=(1, 2)), 1e-12)
    return share


@dataclass(frozen=True, eq=False)
class _Seen:
    """What pictures of some channels came to: ``(channel,)`` robust activation above flat grey; their detail; seconds."""

    above: np.ndarray
    detail: float
    seconds: float


def _look(net: Network, layer: Layer, seed: int) -> Callable[[Recipe, Sequence[int]], _Seen]:
    """Give a function that renders channels by a recipe and measures them; what it compiles for measuring is kept."""
    kept: dict[Any, tuple[Examine, np.ndarray]] = {}

    def look(recipe: Recipe, channels: Sequence[int]) -> _Seen:
        begun = time.monotonic()
        width, statistic = min(BATCH, len(channels)), statistic_of(recipe)
        key = (width, statistic, recipe.size)
        if key not in kept:
            examine = examiner(net, layer, statistic=statistic, width=width, size=recipe.size)
            kept[key] = examine, at_rest(net, layer, statistic=statistic, size=recipe.size)
        examine, grey = kept[key]
        renderer = Renderer(net, recipe.objective(layer, 0).shape, recipe, width=width)
        above, detail = [], []
        for at in range(0, len(channels), width):
            batch = list(channels[at : at + width])
            images = renderer.render([recipe.objective(layer, i) for i in batch], seed=seed).images
            above.append(examine(images, batch) - grey[batch])
            detail.append(fine_detail(images))
        return _Seen(np.concatenate(above), float(np.median(np.concatenate(detail))), time.monotonic() - begun)

    return look


def _shortened(recipe: Recipe) -> Recipe:
    return replace(recipe, steps=min(recipe.steps, TRIAL_STEPS))


def _gain(seen: _Seen, base: _Seen) -> float:
    """Geometric mean over the channels; one that no picture moves counts as hardly alive, not as nothing."""
    least = 1e-3 * max(float(np.abs(base.above).max()), 1e-12)
    ratios = np.maximum(seen.above, least) / np.maximum(base.above, least)
    return float(np.exp(np.log(ratios).mean()))


def _better(trial: Trial, best: Trial) -> bool:
    """Natural detail comes first: strength that is bought with noise or fog is none."""
    if trial.natural != best.natural:
        return trial.natural
    return trial.gain > LEAST_GAIN * best.gain


def _next_change(current: Recipe, last: str, seen: set[str]) -> tuple[str, Recipe] | None:
    """Give the next change of the current recipe, in turn, that was not tried before; None where there is none."""
    names = list(_CHANGES)
    # What helped is tried once more first: its next step is new where the last one was taken.
    after = names.index(last) if last in names else 0
    for name in names[after:] + names[:after]:
        recipe = _CHANGES[name](current)
        if recipe is not None and recipe.hash not in seen:
            return name, recipe
    return None


def _of_image(**changed: Callable[[Any], Any]) -> Callable[[Recipe], Recipe | None]:
    def change(recipe: Recipe) -> Recipe | None:
        if not isinstance(recipe.image, Fourier):
            return None
        values = {name: of(getattr(recipe.image, name)) for name, of in changed.items()}
        return replace(recipe, image=replace(recipe.image, **values))

    return change


def _faster(factor: float) -> Callable[[Recipe], Recipe | None]:
    return lambda recipe: replace(recipe, learning_rate=round(recipe.learning_rate * factor, 5))


def _wilder(factor: float) -> Callable[[Recipe], Recipe | None]:
    def of(transform: Transform) -> Transform:
        match transform:
            case Jitter(px, across):
                return Jitter(px * factor, None if across is None else across * factor)
            case Scale(low, high):
                return Scale(1 - (1 - low) * factor, 1 + (high - 1) * factor)
            case Rotate(degrees):
                return Rotate(degrees * factor)
            case _:
                return transform

    return lambda recipe: replace(recipe, transforms=tuple(of(transform) for transform in recipe.transforms))


def _centred(recipe: Recipe) -> Recipe | None:
    """Ask for the centre alone, where a recipe asks for the centre and the rest."""
    weights = {kind: weight for kind, weight, _, _ in recipe.asks}
    if not {"neuron", "channel"} <= set(weights):
        return None
    whole = weights["neuron"] + weights["channel"]
    kept = ((k, whole if k == "neuron" else w, before, since) for k, w, before, since in recipe.asks)
    return replace(recipe, asks=tuple(ask for ask in kept if ask[0] != "channel"))


# What most layers gain from stands first: a budget may end anywhere.
_CHANGES: dict[str, Callable[[Recipe], Recipe | None]] = {
    "gentler moves": _wilder(0.6),
    "smoother": _of_image(decay=lambda decay: decay + 0.25),
    "faster": _faster(1.6),
    "sharper": _of_image(blur_px=lambda px: max(0.0, round(px - 0.2, 2))),
    "rougher": _of_image(decay=lambda decay: max(0.5, decay - 0.25)),
    "softer": _of_image(blur_px=lambda px: round(px + 0.2, 2)),
    "slower": _faster(0.6),
    "the centre alone": _centred,
    "more detail": _of_image(most_detail=lambda most: None if most is None else round(1.5 * most, 4)),
    "wilder moves": _wilder(1.6),
}
