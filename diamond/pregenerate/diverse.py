"""Several different sprites of one channel, kept beside its own.

    diverse(net, "block9_add", [33, 71], count=4, store="sprites")
    site("sprites", "site")                                     # each channel's panel shows its four

A channel may look for more than one thing, and a sprite shows the one that was found first. Here several are rendered at
once, and kept apart in style by a penalty on how alike their Gram matrices are (Olah et al., "Feature Visualization",
Distill 2017, "Diversity").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from diamond.features.objectives import diversity
from diamond.features.recipes import Recipe
from diamond.features.render import render
from diamond.features.renderer import BATCH
from diamond.pregenerate.choice import recipe_of
from diamond.pregenerate.freeze import checked_channels
from modelzoo import Layer, Network
from spritemaps import Store, StoreError, find, packaged_store
from spritemaps.companions import Companions, keep

__all__ = ["diverse"]


def diverse(
    net: Network,
    layer: str | Layer,
    channels: Iterable[int],
    *,
    count: int = 4,
    recipe: str | Recipe | None = None,
    store: Store | str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Companions:
    """Render several different pictures of channels, and keep them beside the layer's sprites.

    Parameters
    ----------
    net
        The network.
    layer
        A layer or its address; a store must have its sprites.
    channels
        Which of its channels.
    count
        How many pictures of each, 2 to 16; they are rendered together.
    recipe
        How to render; where None the layer's own.
    store
        Where to look first for the layer's sprites.
    seed
        Of the first; the pictures of a channel begin from different noise.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Companions
        Also of the channels that were rendered before.

    Raises
    ------
    UnknownLayerError, RenderError
        For a layer the network does not have, and channels the layer does not have.
    ValueError
        For a `count` below 2 or above 16.
    StoreError
        Where no store has the layer's sprites, or theirs cannot be written, as those that came with the package.

    Examples
    --------
    >>> report = dc.pregenerate(small, ["parts"], store="sprites", size=32, steps=4, progress=False)
    >>> found = dc.diverse(small, "parts", [2, 3], count=2, store="sprites", progress=False)
    >>> found.kind, sorted(found.tiles())
    ('diverse', [2, 3])
    """
    if not 2 <= count <= BATCH // 2:
        raise ValueError(f"count is {count}; expected 2 to {BATCH // 2} pictures of a channel")
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    chosen = checked_channels(channels, place)
    sprites = find(net.fingerprint(place), store=store)
    if sprites is None:
        raise StoreError(
            f"no store has sprites of {place.name!r} to keep others beside: dc.spritemap(net, {place.name!r}) renders "
            "them"
        )
    if sprites.folder is not None and packaged_store().root in sprites.folder.parents:
        raise StoreError(
            f"the sprites of {place.name!r} that were found came with the package, which is not written to; give a store "
            f"of your own that has them: diamond pregenerate {net.name} --layers {place.name} --store FOLDER"
        )
    settled = replace(recipe_of(net, place, recipe), size_px=sprites.tile_px)
    together = BATCH // count
    found: dict[int, np.ndarray] = {}
    for begin in range(0, len(chosen), together):
        some = chosen[begin : begin + together]
        wanted = [
            settled.objective(place, channel) + diversity(place, family)
            for family, channel in enumerate(some)
            for _ in range(count)
        ]
        done = render(net, wanted, recipe=settled, seed=seed, batch=together * count, progress=progress)
        tiles = (
            np.rint(done.images * 255).clip(0, 255).astype(np.uint8).reshape(len(some), count, *done.images.shape[1:])
        )
        found |= dict(zip(some, tiles, strict=True))
    words = {channel: [f"{number} of {count}" for number in range(1, count + 1)] for channel in chosen}
    return keep(sprites.folder, "diverse", found, words)
