"""One look at a network in training: what its layers' filters and channels are like at this moment."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from diamond.callbacks.training_log import LayerState, Snapshot
from diamond.features.objectives import channel as channel_objective
from diamond.features.render import render
from diamond.features.renderer import RenderError
from diamond.inspection.kernels import read_kernels
from diamond.inspection.selectivity import class_means, class_selectivity
from diamond.inspection.smoothness import smoothness
from diamond.show.heat import visible
from modelzoo import GraphError, Layer, Network

__all__ = ["Question", "look"]

BATCH = 64
MOST_FILTERS, MOST_MAPS = 64, 16
MAP_PX, SPRITE_PX = 40, 96


@dataclass(frozen=True, eq=False)
class Question:
    """What is looked at each time.

    Attributes
    ----------
    net
        The network in training.
    layers
        The layers watched.
    pictures, labels, classes
        ``(n, height, width, 3)`` as the network sees them, their classes or None, and those classes' names.
    photo
        ``(height, width, 3)`` whose activation maps are kept.
    channels
        Whose sprites are rendered, by layer.
    steps, size, seed
        Of the sprites.
    """

    net: Network
    layers: tuple[Layer, ...]
    pictures: np.ndarray = field(repr=False)
    labels: np.ndarray | None = field(repr=False)
    classes: tuple[str, ...]
    photo: np.ndarray = field(repr=False)
    channels: Mapping[str, list[int]]
    steps: int
    size: int | None
    seed: int


def look(asked: Question, *, epoch: int, logs: Mapping[str, float], sprites: bool) -> Snapshot:
    """Look at a network.

    Parameters
    ----------
    asked
        What is looked at.
    epoch
        How many epochs are done.
    logs
        What Keras told of the last.
    sprites
        Whether to render, too.
    """
    notes: list[str] = []
    answers, peaks = _answers(asked)
    maps = _maps(asked)
    states = []
    broken = _broken_layers(asked)
    for number, layer in enumerate(asked.layers):
        if layer.name in broken:
            # A ReLU may make 0 of NaN: such a channel is broken, and not dead.
            peaks[number] = np.full_like(peaks[number], np.nan)
        finite = bool(np.isfinite(peaks[number]).all())
        if not finite:
            notes.append(f"epoch {epoch}: {layer.name} gives NaN or infinity")
        selective = np.full(layer.channels, np.nan)
        if asked.labels is not None and finite:
            selective = class_selectivity(class_means(answers[number], asked.labels))
        kernels = _kernels(asked.net, layer, notes, epoch)
        chosen = asked.channels.get(layer.name, list(range(min(layer.channels, MOST_MAPS))))
        drawn = _sprites(asked, layer, notes, epoch) if sprites and finite else None
        states.append(
            LayerState(
                layer=layer.name,
                selectivity=selective,
                peaks=peaks[number],
                smoothness=None if kernels is None else smoothness(kernels),
                filters=None if kernels is None else _drawn(kernels),
                channels=tuple(chosen[:MOST_MAPS]),
                maps=_tiles(maps[number], chosen[:MOST_MAPS]),
                sprites=drawn,
                sprite_channels=tuple(asked.channels.get(layer.name, [])) if drawn is not None else (),
            )
        )
    picture = np.rint(np.clip(visible(asked.photo), 0, 1) * 255).astype(np.uint8)
    return Snapshot(epoch, dict(logs), tuple(states), tuple(notes), picture)


def _answers(asked: Question) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give of each layer the rectified means ``(picture, channel)`` over places, and the largest size of each channel."""
    net = asked.net
    nodes = [net.node(layer) for layer in asked.layers]

    def build() -> Any:
        def compute(pictures: Any) -> Any:
            found = []
            for values in net.forward(pictures, nodes):
                flat = tf.reshape(tf.cast(values, tf.float32), [tf.shape(values)[0], -1, values.shape[-1]])
                # A sum passes NaN on where a maximum may not.
                broken = tf.reduce_any(~tf.math.is_finite(flat), axis=(0, 1))
                most = tf.where(broken, np.float32(np.nan), tf.reduce_max(tf.abs(flat), axis=(0, 1)))
                found.append((tf.reduce_mean(tf.nn.relu(flat), axis=1), most))
            return found

        return compute

    run = net.compiled(("training atlas", *(node.address for node in nodes)), build)
    parts = [run(tf.constant(asked.pictures[i : i + BATCH])) for i in range(0, len(asked.pictures), BATCH)]
    means = [np.concatenate([part[k][0].numpy() for part in parts]) for k in range(len(nodes))]
    peaks = [np.stack([part[k][1].numpy() for part in parts]).max(axis=0) for k in range(len(nodes))]
    return means, peaks


def _broken_layers(asked: Question) -> set[str]:
    """Name the layers on whose way some weight is NaN or infinite."""
    graph, whole = asked.net.graph, {}
    for node in graph:
        held = [] if node.is_input else getattr(node.operation, "weights", [])
        weights = [weight for weight in held if keras.backend.is_float_dtype(weight.dtype)]
        if id(node.operation) not in whole:
            whole[id(node.operation)] = all(bool(tf.reduce_all(tf.math.is_finite(weight))) for weight in weights)
    return {
        layer.name
        for layer in asked.layers
        if not all(whole[id(node.operation)] for node in graph.ancestors([asked.net.node(layer)]))
    }


def _maps(asked: Question) -> list[np.ndarray | None]:
    """Give ``(height, width, channel)`` of each layer for the photo; None for one without height and width."""
    nodes = [asked.net.node(layer) for layer in asked.layers]
    run = asked.net.compiled(
        ("training atlas maps", *(node.address for node in nodes)), lambda: lambda x: asked.net.forward(x, nodes)
    )
    values = [value.numpy()[0] for value in run(tf.constant(asked.photo[None]))]
    return [value if value.ndim == 3 else None for value in values]


def _kernels(net: Network, layer: Layer, notes: list[str], epoch: int) -> np.ndarray | None:
    try:
        return read_kernels(net, layer).values
    except GraphError:
        return None
    except ValueError as error:
        notes.append(f"epoch {epoch}: {error}")
        return None


def _drawn(kernels: np.ndarray) -> np.ndarray | None:
    """Draw filters on colour pictures, each on its own scale with zero grey: uint8 ``(filter, height, width, 3)``."""
    if kernels.ndim != 4 or kernels.shape[-1] not in (1, 3) or max(kernels.shape[1:3]) < 2:
        return None
    some = kernels[:MOST_FILTERS]
    most = np.abs(some).max(axis=(1, 2, 3), keepdims=True)
    levels = 0.5 + 0.5 * some / np.where(most > 0, most, 1.0)
    return np.broadcast_to(np.rint(levels * 255).astype(np.uint8), (*some.shape[:3], 3)).copy()


def _tiles(values: np.ndarray | None, channels: list[int]) -> np.ndarray | None:
    """Draw maps, each on its own scale from its lowest to its highest value: uint8 ``(channel, side, side)``."""
    if values is None:
        return None
    tiles = []
    for number in channels:
        one = np.nan_to_num(values[..., number].astype(np.float32), posinf=0.0, neginf=0.0)
        low, high = float(one.min()), float(one.max())
        level = np.rint((one - low) / ((high - low) or 1.0) * 255).astype(np.uint8)
        tiles.append(np.asarray(Image.fromarray(level).resize((MAP_PX, MAP_PX), Image.Resampling.NEAREST)))
    return np.stack(tiles)


def _sprites(asked: Question, layer: Layer, notes: list[str], epoch: int) -> np.ndarray | None:
    wanted = asked.channels.get(layer.name)
    if not wanted:
        return None
    objectives = [channel_objective(layer.name, number) for number in wanted]
    size = asked.size or min(max(asked.photo.shape[:2]), 128)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = render(asked.net, objectives, size=size, steps=asked.steps, seed=asked.seed, progress=False)
    except (RenderError, GraphError, ValueError) as error:
        notes.append(f"epoch {epoch}: no sprites of {layer.name}: {error}")
        return None
    pictures = [np.rint(np.clip(visible(image), 0, 1) * 255).astype(np.uint8) for image in found.images]
    small = (min(SPRITE_PX, pictures[0].shape[1]), min(SPRITE_PX, pictures[0].shape[0]))
    return np.stack([np.asarray(Image.fromarray(one).resize(small, Image.Resampling.LANCZOS)) for one in pictures])
