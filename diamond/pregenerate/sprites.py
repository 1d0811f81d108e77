"""One batch of a job, rendered as the job froze it.

    make = sprite_maker(net, job.spec)
    tiles, records = make(job.batches[0], job.attempt(0))

Which process does this, and after what, must not show in the outcome: everything here depends on the network, the spec,
the channels and the attempt alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from diamond.features.recipes import Recipe
from diamond.features.renderer import BATCH, Renderer, RenderError
from diamond.pregenerate.freeze import retry_width
from diamond.pregenerate.quality import ALIVE, GREY, Examine, at_rest, examiner, statistic_of
from diamond.show.heat import loudness_colours
from modelzoo import Network
from spritemaps import ChannelRecord, JobSpec

__all__ = ["Made", "Make", "sprite_maker"]


class Made(NamedTuple):
    """Sprites, uint8 ``(n, tile, tile, 3)``, and one record each."""

    tiles: np.ndarray
    records: tuple[ChannelRecord, ...]


Make = Callable[..., Made]


def sprite_maker(net: Network, spec: JobSpec) -> Make:
    """Give a function of channel numbers and attempt (from 1) that renders and measures them.

    The function takes `on_steps` too, called with the number of image-steps done since its last call. It keeps what it
    compiled: let go of it when the layer is done.

    Raises
    ------
    ValueError
        Where the network is not the one the job was begun with.
    """
    found = net.fingerprint(spec.layer)
    if found != spec.fingerprint:
        raise ValueError(
            f"{net.name} {spec.layer!r} has the fingerprint {found[:8]}, and the job is of {spec.fingerprint[:8]}: "
            "the weights are not those it was begun with"
        )
    layer = net.layers[spec.layer]
    width = int(spec.settings.get("batch", BATCH))
    rungs: Sequence[Any] = spec.ladder or ({"recipe": spec.recipe, "seed": spec.seed},)
    statistic = str(spec.settings.get("statistic") or statistic_of(Recipe.from_dict(spec.recipe)))
    resting: dict[tuple[int, int], np.ndarray] = {}

    @cache
    def renderer_of(recipe: Recipe, of_width: int) -> Renderer:
        return Renderer(net, recipe.objective(layer, 0).shape, recipe, width=of_width)

    @cache
    def examiner_of(of_width: int, size: tuple[int, int]) -> Examine:
        return examiner(net, layer, statistic=statistic, width=of_width, size=size)

    def make(channels: Sequence[int], attempt: int = 1, *, on_steps: Callable[[int], object] | None = None) -> Made:
        rung = rungs[attempt - 1]
        recipe, seed = Recipe.from_dict(rung["recipe"]), int(rung["seed"])
        of_width = width if attempt == 1 else retry_width(len(channels), width)
        images, activations = _rendered(renderer_of(recipe, of_width), recipe, layer, channels, seed, on_steps)
        robust = examiner_of(of_width, recipe.size)(images, channels)
        if recipe.size not in resting:
            resting[recipe.size] = at_rest(net, layer, statistic=statistic, size=recipe.size)
        records = _records(spec, channels, attempt, activations, robust, resting[recipe.size][list(channels)])
        hears = net.input.audio is not None
        return Made(_spectrograms(images, spec.tile_px) if hears else _tiles(images), records)

    return make


def _rendered(
    renderer: Renderer,
    recipe: Recipe,
    layer: Any,
    channels: Sequence[int],
    seed: int,
    on_steps: Callable[[int], object] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Render channels; those whose images stay finite from no seed come out grey and reach nothing."""
    try:
        done = renderer.render([recipe.objective(layer, i) for i in channels], seed=seed, on_steps=on_steps)
        return done.images, done.activations
    except RenderError as error:
        if "stay finite" not in str(error):
            raise
    if len(channels) == 1:
        colours = 1 if renderer.net.input.channels == 1 else 3
        return np.full((1, *recipe.size, colours), GREY, np.float32), np.zeros(1, np.float32)
    middle = len(channels) // 2
    halves = [_rendered(renderer, recipe, layer, part, seed, None) for part in (channels[:middle], channels[middle:])]
    return np.concatenate([images for images, _ in halves]), np.concatenate([reached for _, reached in halves])


def _records(
    spec: JobSpec,
    channels: Sequence[int],
    attempt: int,
    activations: np.ndarray,
    robust: np.ndarray,
    resting: np.ndarray,
) -> tuple[ChannelRecord, ...]:
    """One record a sprite; a channel is dead where its picture, moved, excites it no more than flat grey does."""
    photos = spec.settings.get("photos")
    records = []
    for i, activation, reached, rest in zip(
        channels, activations.tolist(), robust.tolist(), resting.tolist(), strict=True
    ):
        best = float(photos["best"][i]) if photos else None
        least = ALIVE * abs(best - rest) if best is not None else 0.0
        measured = bool(np.isfinite(reached))
        records.append(
            ChannelRecord(
                channel=i,
                activation=activation,
                alive=measured and reached - rest > max(least, 1e-6 * max(1.0, abs(rest))),
                attempts=attempt,
                kept=attempt,
                robust=reached if measured else None,
                photo_best=best,
                photo=photos["names"][photos["which"][i]] if photos else None,
            )
        )
    return tuple(records)


def _tiles(images: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.round(images * 255).astype(np.uint8)
    return rounded if rounded.shape[-1] == 3 else np.repeat(rounded, 3, axis=-1)


def _spectrograms(images: np.ndarray, side: int) -> np.ndarray:
    """Draw spectrograms in the colours of loudness, all on one scale, high bands at the top, stretched into squares."""
    drawn = [Image.fromarray(np.round(loudness_colours(image[..., 0]) * 255).astype(np.uint8)) for image in images]
    return np.stack([np.asarray(image.resize((side, side), Image.Resampling.BILINEAR)) for image in drawn])
