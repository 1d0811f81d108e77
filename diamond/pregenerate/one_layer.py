"""A layer's spritemap: found where somebody rendered it before, else rendered here and kept.

    sprites = spritemap(net, "block9_add")                     # found in the package: at once
    sprites = spritemap(net, "block9_add", channels=[3, 11])   # only these, in memory
    sprites = spritemap(my_net, "conv_7", store="sprites")     # rendered once, kept in ./sprites

A layer is looked for by its fingerprint, so the frozen trunk of a transferred network finds the sprites of the network
it came from, and a retrained layer is never shown with pictures of its former self.

A job can be killed at any moment. Its first file freezes everything that decides the bytes (recipe, seed, batch width,
partition, device, threads), each finished batch is a file, and running the same call again does what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from diamond.features.recipes import Recipe
from diamond.features.renderer import BATCH, RenderError
from diamond.pregenerate.choice import recipe_of
from diamond.pregenerate.freeze import checked_channels, spec_of
from diamond.pregenerate.run import run_jobs
from diamond.pregenerate.sprites import sprite_maker
from modelzoo import Layer, Network
from spritemaps import ChannelRecord, JobSpec, Outpost, Spritemap, Store, find, is_remote, user_store

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
        How to render; where None, a spritemap of any recipe will do, and if there is none the one that suits the layer
        is rendered (`diamond.pregenerate.choice.recipe_for`).
    store
        Where to look first and to keep what is rendered; the user's own store where None. An address such as
        ``"gs://bucket/sprites"`` is read page by page, and given what is finished.
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

    Examples
    --------
    >>> sprites = dc.spritemap(net, "block9_add")
    >>> sprites
    Spritemap('EfficientNetLite0', 'block9_add': 112 channels, 96 px, recipe 'sprite')
    >>> sprites[71].shape
    (96, 96, 3)
    """
    place = net.layers[layer.name if isinstance(layer, Layer) else layer]
    chosen = None if channels is None else checked_channels(channels, place)
    if chosen == []:
        raise RenderError(f"no channels were asked for; {place.name!r} has {place.channels}, from 0")
    fingerprint = net.fingerprint(place)
    settled = None if recipe is None else recipe_of(net, place, recipe)
    found = find(fingerprint, recipe_hash=None if settled is None else settled.hash, store=store)
    if found is not None:
        return found if chosen is None else found.select(chosen)
    settled = settled or recipe_of(net, place, None)
    if chosen is not None:
        spec = spec_of(net, place, settled, seed=seed, batch=min(BATCH, len(chosen)), retries=0)
        return _in_memory(net, spec, chosen, progress)
    keep = user_store() if store is None else store if isinstance(store, Store) else Store(store)
    spec = spec_of(net, place, settled, seed=seed)
    return _in_store(spec, net, Outpost(user_store(), keep) if is_remote(keep.root) else keep, progress)


def _in_store(spec: JobSpec, net: Network, store: Store, progress: bool) -> Spritemap:
    job = store.open_job(spec)
    if job.finished is None:
        report = run_jobs(net, [job], store=store, progress=progress)
        if report.stopped:
            raise KeyboardInterrupt(report.stopped)
    return job.finished or job.finish()


def _in_memory(net: Network, spec: JobSpec, chosen: Sequence[int], progress: bool) -> Spritemap:
    width = int(spec.settings["batch"])
    make = sprite_maker(net, spec)
    tiles: list[np.ndarray] = []
    records: list[ChannelRecord] = []
    with tqdm(total=len(chosen) * int(spec.recipe["steps"]), unit="step", desc=spec.layer, disable=not progress) as bar:
        for start in range(0, len(chosen), width):
            made = make(chosen[start : start + width], on_steps=bar.update)
            tiles.append(made.tiles)
            records.extend(made.records)
    return Spritemap.from_tiles(
        np.concatenate(tiles),
        records,
        network=net.name,
        layer=spec.layer,
        channels=spec.channels,
        fingerprint=spec.fingerprint,
        recipe_name=spec.recipe_name,
        recipe=spec.recipe,
        recipe_hash=spec.recipe_hash,
        seed=spec.seed,
        versions=spec.versions,
    )
