"""What a job freezes when it is begun: everything that decides a byte of a layer's sprites.

    job = store.open_job(spec_of(net, layer, recipe))
    job.spec.settings["threads"], job.spec.ladder[1]["seed"]

The *ladder* says how each attempt at a channel is made. The first is the recipe as asked for; a sprite that stays below
the bar is begun again from another seed, then with twice the steps, then by optimising phases alone, from a photo's
spectrum, which finds something where the others find nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import diamond
from diamond.features.recipes import OF_SOUNDS, Recipe, read_recipe
from diamond.features.renderer import BATCH, RenderError
from diamond.pregenerate.quality import PhotoBests, statistic_of
from modelzoo import Layer, Network
from spritemaps import JobSpec

__all__ = ["MOST_RETRIES", "ladder_of", "obey_threads", "retry_width", "spec_of", "tile_px", "versions", "width_for"]

MOST_RETRIES = 3
LAST_RESORT = "phase"
# What a recipe asks of the picture and not of the channel; an image of phases alone has no alpha channel.
OF_ALPHA = "alpha"


def spec_of(
    net: Network,
    layer: Layer,
    recipe: Recipe,
    *,
    seed: int = 0,
    batch: int = BATCH,
    retries: int = MOST_RETRIES,
    first: Iterable[int] = (),
    photos: PhotoBests | None = None,
) -> JobSpec:
    """Describe the job of rendering a layer.

    Parameters
    ----------
    recipe
        How, on a canvas that the layer can be computed on.
    seed
        Of the first attempt.
    batch
        Most channels at once.
    retries
        Most further attempts at a channel below the bar, 0 to 3.
    first
        Channels to put into the first batches.
    photos
        What photos reach of the recipe's statistic.

    Raises
    ------
    RenderError
        For channels the layer does not have, and a canvas that is not square.
    """
    width = width_for(layer.channels, batch)
    wanted = checked_channels(first, layer)
    kept = set(wanted)
    order = [*wanted, *(channel for channel in range(layer.channels) if channel not in kept)]
    settings: dict[str, Any] = {
        "batch": width,
        "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
        "dtype": "float32",
        "statistic": statistic_of(recipe),
        "threads": _threads(),
        # The steps compile some of their parts with XLA.
        "xla": True,
    }
    if photos is not None:
        settings["photos"] = {
            "best": [float(value) for value in photos.best],
            "names": list(photos.names),
            "which": [int(number) for number in photos.which],
        }
    return JobSpec(
        network=net.name,
        layer=layer.name,
        fingerprint=net.fingerprint(layer),
        channels=layer.channels,
        recipe_name=recipe.name,
        recipe=recipe.to_dict(),
        recipe_hash=recipe.hash,
        tile_px=tile_px(recipe),
        seed=seed,
        batches=tuple(tuple(order[i : i + width]) for i in range(0, len(order), width)),
        settings=settings,
        versions=versions(),
        ladder=ladder_of(recipe, seed=seed, retries=retries),
    )


def ladder_of(recipe: Recipe, *, seed: int, retries: int) -> tuple[dict[str, Any], ...]:
    """Give how each attempt is made: ``{"recipe_name": ..., "recipe": ..., "seed": ...}``, the first first.

    Raises
    ------
    ValueError
        For a number of retries that there is not.
    """
    if not 0 <= retries <= MOST_RETRIES:
        raise ValueError(f"{retries} retries; expected 0 to {MOST_RETRIES}")
    longer = replace(recipe, steps=2 * recipe.steps)
    asks = tuple(ask for ask in recipe.asks if ask[0] != OF_ALPHA)
    phases = replace(read_recipe(LAST_RESORT), size_px=recipe.size_px, steps=recipe.steps, asks=asks)
    ways = [recipe, recipe, longer, longer if recipe.name in (LAST_RESORT, OF_SOUNDS) else phases]
    return tuple(
        {"recipe_name": way.name, "recipe": way.to_dict(), "seed": seed + attempt}
        for attempt, way in enumerate(ways[: 1 + retries])
    )


def width_for(channels: int, most: int = BATCH) -> int:
    """Give the width of the fewest batches of at most `most`, with the least padding: 112 channels in 4 times 28."""
    return -(-channels // -(-channels // most))


def retry_width(n: int, width: int) -> int:
    """Give the width that `n` channels are tried again in: a power of two, so that few differ, and no wider than ever."""
    return min(width, 1 << (n - 1).bit_length())


def checked_channels(channels: Iterable[int], layer: Layer) -> list[int]:
    """Give channel numbers, each once, in the order they came.

    Raises
    ------
    RenderError
        For one that the layer does not have.
    """
    chosen = list(dict.fromkeys(int(i) for i in channels))
    outside = [i for i in chosen if not 0 <= i < layer.channels]
    if outside:
        raise RenderError(
            f"no channel {outside[0]} in {layer.name!r}; its {layer.channels} channels run from 0 to "
            f"{layer.channels - 1}"
        )
    return chosen


def tile_px(recipe: Recipe) -> int:
    """Give the side of a recipe's sprites; a spectrogram is stretched into a square.

    Raises
    ------
    RenderError
        Where its canvas is not square.
    """
    height, width = recipe.size
    if recipe.name == OF_SOUNDS:
        return max(height, width)
    if height != width:
        raise RenderError(f"sprites are square; the recipe {recipe.name!r} has a canvas of {height} x {width} px")
    return height


def versions() -> dict[str, str]:
    """Give the versions of the packages that decide the bytes."""
    return {
        "diamond-cutter": diamond.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "tensorflow": tf.__version__,
    }


def obey_threads(specs: Sequence[JobSpec]) -> int:
    """Let TensorFlow use as many threads as the jobs froze; give that number, 0 where they do not say.

    TensorFlow takes the number only before its first operation; later it keeps the one it began with.
    """
    frozen = {int(spec.settings.get("threads", 0)) for spec in specs}
    threads = max(frozen, default=0)
    with contextlib.suppress(RuntimeError):
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
    return threads


def _threads() -> int:
    asked = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    set_here: int = tf.config.threading.get_intra_op_parallelism_threads()
    return set_here or (int(asked) if asked.isdigit() and int(asked) else 0) or os.cpu_count() or 1
