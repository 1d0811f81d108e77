"""The channels of a layer that changed most from one network to another: what they looked for before, and do after.

    found = dc.before_and_after(net, student, "flowers/val", "block9_add")
    found.channels, found.changes
    found.save("block9_add.html")                        # their sprites side by side

How much a channel has changed is measured on the user's own pictures (see `diamond.transfer.shared`); what it has changed
to, its sprites tell. Both of a pair are rendered alike, by one recipe from one seed, so that what differs between them is
the network. Where a store has the sprites of one, the other's are rendered by that recipe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.attribution.streams import sources_of
from diamond.features.recipes import Recipe
from diamond.pregenerate.one_layer import spritemap
from diamond.show.result import Result
from diamond.transfer.samples import Samples
from diamond.transfer.shared import LayerChange, changes, same_layer
from modelzoo import Layer, Network
from spritemaps import Spritemap, Store, find

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["BeforeAfter", "before_and_after"]


@dataclass(frozen=True, eq=False)
class BeforeAfter(Result):
    """A layer of two networks, and its channels that changed most.

    Attributes
    ----------
    names
        What the two are called.
    change
        The layer, with how much every channel of it has changed.
    channels
        ``(top,)`` those that changed most, the most changed first.
    count
        On how many pictures or sounds.
    before, after
        Spritemaps of these channels; None where none were found and none rendered.

    Examples
    --------
    >>> training = dc.train(student, "textures/train", epochs=1, unfreeze=1, fine_epochs=1, progress=False)
    >>> found = dc.before_and_after(net, student, "textures/val", "block4_add", top=4, render=False, progress=False)
    >>> found.names, found.count, found.channels.shape, found.changes.shape, found.change.layer
    (('EfficientNetLite0', 'student'), 12, (4,), (4,), 'block4_add')
    >>> found.before.layer, found.after
    ('block4_add', Spritemap('EfficientNetLite0', 'block4_add': 4 of 40 channels, 96 px, recipe 'texture'))
    >>> len(found.sentence) > 0
    True
    >>> found.to_dataframe().columns.to_list()
    ['channel', 'change']
    >>> found.plot()
    <Figure size ... with 8 Axes>
    >>> found.save("changes.html")
    PosixPath('changes.html')
    """

    names: tuple[str, str]
    change: LayerChange
    channels: np.ndarray
    count: int
    before: Spritemap | None = field(repr=False, default=None)
    after: Spritemap | None = field(repr=False, default=None)

    @property
    def changes(self) -> np.ndarray:
        """``(top,)`` how much those channels have changed, from 0 to 2."""
        found: np.ndarray = self.change.channels[self.channels]
        return found

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if self.change.same:
            return f"{self.change.layer} computes the same in {self.names[0]} and {self.names[1]}: it was frozen."
        return (
            f"From {self.names[0]} to {self.names[1]} the channels of {self.change.layer} changed by "
            f"{self.change.median:.2f} (the median of {len(self.change.channels)}), and channel {self.channels[0]} most, "
            f"by {self.changes[0]:.2f}."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """One row a channel of the layer, the most changed first: channel, change."""
        import pandas as pd

        order = self.change.most(len(self.change.channels))
        return pd.DataFrame({"channel": order, "change": self.change.channels[order]})

    def plot(self) -> Figure:
        """Draw the sprites of the channels that changed most, the one network's over the other's."""
        from diamond.show.before_after import before_after_figure

        return before_after_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        sprites = {"before": self.before, "after": self.after}
        drawn = {name: found.tiles(self.channels.tolist()) for name, found in sprites.items() if found is not None}
        return {"channels": self.channels, "changes": self.change.channels, **drawn}

    def __str__(self) -> str:
        return f"{self.change.layer}: {self.names[0]} and {self.names[1]}"

    def __repr__(self) -> str:
        each = [f"{channel} ({change:.2f})" for channel, change in zip(self.channels, self.changes, strict=True)]
        return f"{self.sentence} {', '.join(each)}"

    def _page(self) -> str:
        from diamond.show.before_after import before_after_page

        return before_after_page(self)


def before_and_after(
    before: Network,
    after: Network,
    images: Any,
    layer: str | Layer,
    *,
    names: tuple[str, str] | None = None,
    top: int = 8,
    render: bool = True,
    recipe: str | Recipe | None = None,
    store: Store | str | Path | None = None,
    batch: int = 16,
    seed: int = 0,
    progress: bool = True,
) -> BeforeAfter:
    """Show the channels of a layer that changed most from one network to another.

    Parameters
    ----------
    before, after
        The networks, such as one and its student after `dc.train`.
    images
        Pictures or sounds to compare their responses on: a folder, a list of paths or arrays, or samples with classes.
    layer
        A layer of `before`; of `after` the one of the same name, in a nested model too.
    names
        What to call the two; their own names where None.
    top
        How many channels.
    render
        Whether to render sprites that no store has; takes a minute or more.
    recipe
        How; where None, as the sprites that are found of one of the two were, else as suits the layer.
    store
        Where to look first for sprites.
    batch
        How many pictures at a time.
    seed
        Of what is rendered, the same for both.
    progress
        Whether to show progress bars.

    Returns
    -------
    BeforeAfter

    Raises
    ------
    UnknownLayerError
        For a layer that `before` does not have, naming the nearest.
    ValueError
        Where `after` does not have it, naming the nearest of both; for `top` below 1; and for responses that are NaN.
    FileNotFoundError, PictureError, SoundError
        For pictures that are not there, and where none can be read.

    Examples
    --------
    >>> training = dc.train(student, "textures/train", epochs=1, unfreeze=1, fine_epochs=1, progress=False)
    >>> found = dc.before_and_after(net, student, "textures/val", "block4_add", top=4, render=False, progress=False)
    >>> found.changes.shape, found.names
    ((4,), ('EfficientNetLite0', 'student'))
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more channels")
    one, other = same_layer(before, after, layer)
    sources = _sources(before, images)
    [found] = changes(before, after, sources, [(one, other)], batch=batch, progress=progress)
    channels = found.most(top)
    sprites = _sprites(before, after, one, other, channels, render, recipe, store, seed, progress)
    called = names or (before.name, after.name if after.name != before.name else f"{after.name} (2)")
    return BeforeAfter(called, found, channels, len(sources), *sprites)


def _sources(net: Network, images: Any) -> list[Any]:
    if isinstance(images, Samples):
        return list(images.sources)
    return [source for _, source in sources_of(net, images)[0]]


def _sprites(
    before: Network,
    after: Network,
    one: Layer,
    other: Layer,
    channels: np.ndarray,
    render: bool,
    recipe: str | Recipe | None,
    store: Store | str | Path | None,
    seed: int,
    progress: bool,
) -> tuple[Spritemap | None, Spritemap | None]:
    """Give the sprites of both, made alike: found, or rendered as those that are found of one were."""
    wanted = channels.tolist()
    places = ((before, one), (after, other))
    found = [None if recipe is not None else find(net.fingerprint(place), store=store) for net, place in places]
    first, second = found
    if first is not None and second is not None and first.manifest.recipe_hash == second.manifest.recipe_hash:
        return first.select(wanted), second.select(wanted)
    model = first or second
    if before.fingerprint(one) == after.fingerprint(other):
        drawn_once = model.select(wanted) if model is not None else None
        if drawn_once is None and render:
            drawn_once = spritemap(
                before, one, channels=wanted, recipe=recipe, seed=seed, store=store, progress=progress
            )
        return drawn_once, drawn_once
    if not render:
        return (None if first is None else first.select(wanted)), (None if second is None else second.select(wanted))
    if model is not None and model.manifest.recipe:
        recipe, seed = Recipe.from_dict(model.manifest.recipe), model.manifest.seed
    drawn = [
        model.select(wanted)
        if model is not None and held is model
        else spritemap(net, place, channels=wanted, recipe=recipe, store=store, seed=seed, progress=progress)
        for held, (net, place) in zip(found, places, strict=True)
    ]
    return drawn[0], drawn[1]
