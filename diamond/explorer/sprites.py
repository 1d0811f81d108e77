"""Sprites that no store has, rendered while one looks at the rest.

    for look in growing(net, "my_conv", [3, 11, 24], stop=lambda: False):
        print(look.done, look.of, sorted(look.tiles))

Four channels at a time, after 32, 64, 128 ... steps: the first pictures come in seconds, and whoever asks for something
else meanwhile waits for no more than a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from modelzoo import Network
    from spritemaps import Spritemap

__all__ = ["Look", "as_spritemap", "growing"]

TOGETHER = 4
FIRST_LOOK = 32
TILE_PX = 128


@dataclass(frozen=True, eq=False)
class Look:
    """How far the rendering is.

    Attributes
    ----------
    tiles
        uint8 ``(px, px, 3)`` of the channels that were worked on, by channel.
    is_final
        Whether these are finished.
    done, of
        Channels that are finished, and all that were asked for.
    """

    tiles: Mapping[int, np.ndarray] = field(repr=False)
    is_final: bool
    done: int
    of: int


class _StoppedError(Exception):
    """Somebody asked for something else."""


def growing(net: Network, layer: str, channels: Sequence[int], *, stop: Callable[[], bool]) -> Iterator[Look]:
    """Render channels, a few at a time, and show them as they grow clearer.

    Parameters
    ----------
    net, layer, channels
        What to render, in which order.
    stop
        Asked after every step; once it says True, the iterator ends.

    Raises
    ------
    RenderError
        For a layer that cannot be reached, and images that did not stay finite.
    """
    from diamond.features.renderer import Renderer
    from diamond.pregenerate.choice import recipe_of

    place = net.layers[layer]
    recipe = recipe_of(net, place, None)
    width = min(TOGETHER, len(channels))
    renderer = Renderer(net, recipe.objective(place, 0).shape, recipe, width=width)

    def check(_steps: int) -> None:
        if stop():
            raise _StoppedError

    try:
        for start in range(0, len(channels), width):
            group = list(channels[start : start + width])
            objectives = [recipe.objective(place, channel) for channel in group]
            looks = _looks(recipe.steps)
            for steps, made in zip(looks, renderer.run(objectives, looks=looks, on_steps=check), strict=True):
                final = steps == recipe.steps
                tiles = {channel: _tile(image) for channel, image in zip(group, made.images, strict=True)}
                yield Look(tiles, final, start + (len(group) if final else 0), len(channels))
                check(0)
    except _StoppedError:
        return


def as_spritemap(net: Network, layer: str, tiles: Mapping[int, np.ndarray]) -> Spritemap | None:
    """Give rendered tiles as the spritemap of some channels; None where there are none."""
    from diamond.pregenerate.choice import recipe_of
    from spritemaps import ChannelRecord, Spritemap

    if not tiles:
        return None
    place = net.layers[layer]
    recipe = recipe_of(net, place, None)
    order = sorted(tiles)
    return Spritemap.from_tiles(
        np.stack([tiles[channel] for channel in order]),
        [ChannelRecord(channel, 0.0) for channel in order],
        network=net.name,
        layer=layer,
        channels=place.channels,
        fingerprint=net.fingerprint(place),
        recipe_name=recipe.name,
        recipe_hash=recipe.hash,
        recipe=recipe.to_dict(),
    )


def _looks(steps: int) -> list[int]:
    looks, at = [], FIRST_LOOK
    while at < steps:
        looks.append(at)
        at *= 2
    return [*looks, steps]


def _tile(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    from diamond.show.heat import visible

    pixels = np.round(np.clip(visible(np.repeat(image, 3, -1) if image.shape[-1] == 1 else image), 0, 1) * 255)
    drawn = Image.fromarray(pixels.astype(np.uint8)).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
    return np.asarray(drawn)
