"""A layer's spritemap: found where somebody rendered it before, else rendered here and kept.

    >>> sprites = spritemap(net, "block9_add")                     # found in the package: at once
    >>> sprites = spritemap(net, "block9_add", channels=[3, 11])   # only these, in memory
    >>> sprites = spritemap(my_net, "conv_7", store="sprites")     # rendered once, kept in ./sprites

A layer is looked for by its fingerprint, so the frozen trunk of a transferred network finds the sprites of the network
it came from, and a retrained layer is never shown with pictures of its former self.

A job can be killed at any moment. Its first file freezes everything that decides the bytes (recipe, seed, batch width,
partition, device, threads), each finished batch is a file, and running the same call again does what is left.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diamond.features.recipes import Recipe, read_recipe
from diamond.features.renderer import BATCH, RenderedBatch, Renderer, RenderError
from modelzoo import Layer, Network
from spritemaps import ChannelRecord, JobSpec, Spritemap, Store, find, user_store

__all__ = ["spritemap"]


def spritemap(
    net: Network,
    layer: str | Layer,
    *,
    channels: Iterable[int] | None = None,
    recipe: str | Recipe | None = None,
    store: Store | str | Path | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Spritemap:
    """Give the sprites of a layer: found, else rendered.

    Parameters
    ----------
    net
        The network.
    layer
        A layer or its address.
    channels
        Only these. What is not found of them is rendered for this call alone and not kept.
    recipe
        How to render; where None, a spritemap of any recipe will do, and ``"texture"`` is rendered if there is none.
    store
        Where to look first and to keep what is rendered; the user's own store where None.
    seed
        Of what is rendered.
    progress
        Whether to show a progress bar while rendering.

    Returns
    -------
    Spritemap
        uint8 sprites by channel number: ``sprites[11]`` is ``(tile, tile, 3)``.

    Raises
    ------
    UnknownLayerError
        For a layer the network does not have.
    RenderError
        For channels the layer does not have, and images that did not stay finite.
    StoreError
        For a store that cannot be written, told before anything is rendered.
    """
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    chosen = None if channels is None else _checked(channels, place)
    fingerprint = net.fingerprint(place)
    settled = read_recipe(recipe)
    found = find(fingerprint, recipe_hash=None if recipe is None else settled.hash, store=store)
    if found is not None:
        return found if chosen is None else found.select(chosen)
    if chosen is not None:
        return _in_memory(net, place, chosen, settled, fingerprint, seed, progress)
    keep = user_store() if store is None else store if isinstance(store, Store) else Store(store)
    return _in_store(net, place, settled, fingerprint, seed, keep, progress)


def _in_store(
    net: Network, layer: Layer, recipe: Recipe, fingerprint: str, seed: int, store: Store, progress: bool
) -> Spritemap:
    job = store.open_job(
        JobSpec(
            network=net.name,
            layer=layer.name,
            fingerprint=fingerprint,
            channels=layer.channels,
            recipe_name=recipe.name,
            recipe=recipe.to_dict(),
            recipe_hash=recipe.hash,
            tile_px=_tile_px(recipe),
            seed=seed,
            batches=_partition(range(layer.channels), min(BATCH, layer.channels)),
            settings=_settings(min(BATCH, layer.channels)),
            versions=_versions(),
        )
    )
    if job.finished is not None:
        return job.finished
    spec = job.spec
    _obey(int(spec.settings.get("threads", 0)))
    width = int(spec.settings.get("batch", BATCH))
    frozen = Recipe.from_dict(spec.recipe)
    renderer = Renderer(net, frozen.objective(layer, 0).shape, frozen, width=width)
    total = spec.channels * recipe.steps
    pending = job.pending
    left = sum(len(spec.batches[batch]) for batch in pending) * recipe.steps
    with _bar(total, total - left, layer, progress) as update:
        for batch in pending:
            numbers = spec.batches[batch]
            done = renderer.render([frozen.objective(layer, i) for i in numbers], seed=spec.seed, on_steps=update)
            job.write(batch, _tiles(done), _records(numbers, done))
    return job.finish()


def _in_memory(
    net: Network, layer: Layer, chosen: Sequence[int], recipe: Recipe, fingerprint: str, seed: int, progress: bool
) -> Spritemap:
    width = min(BATCH, len(chosen))
    renderer = Renderer(net, recipe.objective(layer, 0).shape, recipe, width=width)
    tiles, records = [], []
    with _bar(len(chosen) * recipe.steps, 0, layer, progress) as update:
        for numbers in _partition(chosen, width):
            done = renderer.render([recipe.objective(layer, i) for i in numbers], seed=seed, on_steps=update)
            tiles.append(_tiles(done))
            records.extend(_records(numbers, done))
    return Spritemap.from_tiles(
        np.concatenate(tiles),
        records,
        network=net.name,
        layer=layer.name,
        channels=layer.channels,
        fingerprint=fingerprint,
        recipe_name=recipe.name,
        recipe=recipe.to_dict(),
        recipe_hash=recipe.hash,
        seed=seed,
        versions=_versions(),
    )


def _checked(channels: Iterable[int], layer: Layer) -> list[int]:
    chosen = list(dict.fromkeys(int(i) for i in channels))
    outside = [i for i in chosen if not 0 <= i < layer.channels]
    if outside or not chosen:
        named = f"no channel {outside[0]} in {layer.name!r}" if outside else "no channels were asked for"
        raise RenderError(f"{named}; its {layer.channels} channels run from 0 to {layer.channels - 1}")
    return chosen


def _partition(channels: Sequence[int], width: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(channels[i : i + width]) for i in range(0, len(channels), width))


def _tile_px(recipe: Recipe) -> int:
    height, width = recipe.size
    if height != width:
        raise RenderError(f"sprites are square; the recipe {recipe.name!r} has a canvas of {height} x {width} px")
    return height


def _tiles(done: RenderedBatch) -> np.ndarray:
    rounded: np.ndarray = np.round(done.images * 255).astype(np.uint8)
    return rounded if rounded.shape[-1] == 3 else np.repeat(rounded, 3, axis=-1)


def _records(numbers: Sequence[int], done: RenderedBatch) -> list[ChannelRecord]:
    """One record a sprite; a channel is dead where its picture excites it no more than flat grey does."""
    return [
        ChannelRecord(channel=i, activation=float(reached), alive=bool(reached > rest + 1e-6 * max(1.0, abs(rest))))
        for i, reached, rest in zip(numbers, done.activations, done.at_rest, strict=True)
    ]


def _settings(width: int) -> dict[str, object]:
    gpus = tf.config.list_physical_devices("GPU")
    return {
        "batch": width,
        "device": "GPU" if gpus else "CPU",
        "dtype": "float32",
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1,
        "xla": False,
    }


def _obey(threads: int) -> None:
    # TensorFlow takes the number only before its first operation; later it keeps the number it began with.
    with contextlib.suppress(RuntimeError):
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)


def _versions() -> dict[str, str]:
    return {"keras": keras.__version__, "numpy": np.__version__, "tensorflow": tf.__version__}


@contextlib.contextmanager
def _bar(total: int, done: int, layer: Layer, progress: bool):  # type: ignore[no-untyped-def]
    with tqdm(total=total, initial=done, unit="step", desc=f"render {layer.name}", disable=not progress) as bar:
        update: Callable[[int], object] = bar.update
        yield update
