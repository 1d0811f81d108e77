"""The maps of one batch of pictures, method by method.

    settings = Settings(question, ("gradient", "grad_cam"), place="head_relu")
    maps = maps_of(net, settings, batch)
    maps.values["grad_cam"].shape

The settings are the whole of what is asked, so that the same can be asked of the network with other weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution import pixels
from diamond.attribution.broken import what_broke
from diamond.attribution.feeding import given_tensors, picture_input
from diamond.attribution.pixels import Asked
from diamond.attribution.rules import RULES
from diamond.attribution.saliency_map import enlarged
from diamond.attribution.semantic import upright
from diamond.attribution.streams import Batch
from diamond.attribution.targets import Question
from diamond.features.renderer import random_stream
from modelzoo import Network
from modelzoo.graph import Node

__all__ = ["Maps", "Settings", "baseline_of", "maps_of"]


@dataclass(frozen=True, eq=False)
class Settings:
    """What is asked of every batch.

    Attributes
    ----------
    question
        The classes.
    methods
        See `diamond.attribution.saliency_map.METHODS`.
    place
        Address of the layer of Grad-CAM; None without it.
    baseline, steps
        Of integrated gradients.
    samples, noise, seed
        Of SmoothGrad.
    """

    question: Question
    methods: tuple[str, ...]
    place: str | None = None
    baseline: Any = None
    steps: int | None = None
    samples: int = 32
    noise: float = 0.15
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Maps:
    """What a batch gives.

    Attributes
    ----------
    values
        By method, as of `SaliencyMap`.
    asked
        The classes, and their scores.
    changes
        ``(batch,)`` score of the picture less that of the baseline; None without integrated gradients.
    steps
        How many gradients were integrated; 0 without.
    """

    values: dict[str, np.ndarray]
    asked: Asked
    changes: np.ndarray | None
    steps: int


def maps_of(
    net: Network, settings: Settings, part: Batch, *, first: int = 0, classes: tuple[Any, Any] | None = None
) -> Maps:
    """Make the maps of a batch.

    Parameters
    ----------
    net
        The network.
    settings
        What is asked.
    part
        The pictures.
    first
        Number of the first of them, for the noise.
    classes
        ``(batch,)`` class indices asked about and held against, in the place of those the network's answer decides.

    Raises
    ------
    GraphError, ValueError
        As `diamond.attribution.saliency.saliency` does.
    """
    entry = picture_input(net, part.given)
    pictures, n = tf.constant(part.pictures), len(part.pictures)
    given = given_tensors(part.given, 0, n, n)
    asked = pixels.ask_of(net, entry, pictures, given, settings.question)
    if classes is not None:
        asked = asked._replace(of=tf.constant(classes[0]), against=tf.constant(classes[1]))
    found: dict[str, np.ndarray] = {}
    changes, steps = None, 0
    for method in settings.methods:
        if method == "integrated_gradients":
            start = baseline_of(net, settings.baseline, part.pictures.shape[1:])
            values, changes, steps = pixels.integrated(net, entry, pictures, given, asked, start, settings.steps)
        elif method == "smoothgrad":
            values = _smoothed(net, settings, entry, part.pictures, given, asked, first)
        elif method == "grad_cam":
            values = _cells(net, settings, entry, pictures, given, asked)
        elif method == "guided_grad_cam":
            cells = found["grad_cam"] if "grad_cam" in found else _cells(net, settings, entry, pictures, given, asked)
            guided = pixels.gradients(net, entry, pictures, given, asked, rule="guided_backpropagation")
            values = guided * enlarged(cells, part.pictures.shape[1:3])
        else:
            rule = method if method in RULES else None
            values = pixels.gradients(net, entry, pictures, given, asked, rule=rule)
            values = values * part.pictures if method == "gradient_x_input" else values
        if not np.isfinite(values).all():
            raise ValueError(what_broke(net, net.logits_node, entry, pictures, given, values))
        found[method] = values
    return Maps(found, asked, changes, steps)


def _cells(net: Network, settings: Settings, entry: Node, pictures: Any, given: Any, asked: Asked) -> np.ndarray:
    assert settings.place is not None
    cells = pixels.class_activation(net, net.node(settings.place), entry, pictures, given, asked)
    return upright(net, cells[..., None])


def _smoothed(
    net: Network, settings: Settings, entry: Node, pictures: np.ndarray, given: Any, asked: Asked, first: int
) -> np.ndarray:
    total = np.zeros(pictures.shape, np.float64)
    axes = tuple(range(1, pictures.ndim))
    deviation = settings.noise * (pictures.max(axis=axes) - pictures.min(axis=axes))
    for copy in range(settings.samples):
        # Noise goes by the picture's own number, so that batches do not change the answer.
        streams = [random_stream(settings.seed, "smoothgrad", first + i, copy) for i in range(len(pictures))]
        drawn = [
            share * stream.standard_normal(each.shape, np.float32)
            for stream, each, share in zip(streams, pictures, deviation, strict=True)
        ]
        noisy = tf.constant(pictures + np.stack(drawn), tf.float32)
        total += pixels.gradients(net, entry, noisy, given, asked)
    return (total / settings.samples).astype(np.float32)


def baseline_of(net: Network, baseline: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Give the picture from which the way of integrated gradients begins: black, or silence, where None.

    Raises
    ------
    ValueError
        Where it does not fit ``(height, width, channels)``, or holds NaN or infinite values.
    """
    given = np.asarray(net.input.levels[0] if baseline is None else baseline, np.float32)
    try:
        found = np.broadcast_to(given, shape)
    except ValueError:
        raise ValueError(
            f"baseline has the shape {given.shape}; expected a number, or what fits a picture of {shape}"
        ) from None
    if not np.isfinite(found).all():
        raise ValueError("baseline holds NaN or infinite values; expected a picture in [0, 1]")
    return found
