"""What a layer still knows of a picture: another picture that has the same code.

    dc.invert(net, "cat.jpg", "block4_add")
    dc.invert(net, "cat.jpg", ["stem_relu", "block4_add", "block9_add", "head_relu"]).plot()   # layer by layer
    dc.invert(net, "cat.jpg", "block9_add", copies=3)                       # what they share is what the layer knows

A picture is searched, from noise, until the layer answers to it as it does to the photo (see `diamond.inspection.descent`).
What it shows and the photo shows, the layer has kept; what is missing, the layer has thrown away: first fine detail, then
colour, then place. What several copies share is known, where they differ the layer does not care. Two numbers go with
each: how far the codes are apart, and how far those of a flat grey picture are, for what the first is worth.

Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them" (CVPR 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from diamond.attribution.streams import stream
from diamond.features.renderer import random_stream
from diamond.inspection.descent import Descent
from diamond.inspection.inverted import Inversion
from modelzoo import Layer, Network

__all__ = ["invert"]


def invert(
    net: Network,
    image: Any,
    layer: str | Layer | Sequence[str | Layer],
    *,
    copies: int = 1,
    steps: int = 200,
    smoothness: float = 0.0,
    seed: int = 0,
    progress: bool = True,
) -> Inversion:
    """Search for pictures that a layer cannot tell from the one it was shown.

    Parameters
    ----------
    net
        The network.
    image
        One picture: path, URL, array ``(height, width, 3)`` in [0, 1]; or a spectrogram patch for a sound network.
    layer
        A layer or its address, of any shape; several in a list, for a row of them.
    copies
        How many pictures for each layer, from noise of their own.
    steps
        At most so many steps for each.
    smoothness
        How much a rough picture costs: weight of the mean squared difference of neighbouring pixels, against the squared
        relative error of the code. 0 leaves the picture free; 10 quiets what deep layers leave open, at the cost of the
        code.
    seed
        Of the noise: the same seed gives the same pictures on the same machine.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Inversion

    Raises
    ------
    UnknownLayerError, PictureError
        For a layer the network does not have, naming the nearest, or a picture that cannot be read.
    GraphError
        Where no gradient of the layer reaches the picture, and for a network of several inputs.
    ValueError
        For several pictures, no layer, fewer than one copy or step, and a code that is all zero, NaN or infinite.

    Examples
    --------
    >>> found = dc.invert(net, "cat.jpg", ["block2_add", "block9_add"], steps=10, progress=False)
    >>> found.images.shape, found.errors.shape
    ((2, 1, 224, 224, 3), (2, 1))
    """
    layers = [layer] if isinstance(layer, str | Layer) else list(layer)
    if not layers:
        raise ValueError("no layer to invert: give one, or a list of them")
    if copies < 1 or steps < 1:
        raise ValueError(f"copies is {copies}, steps {steps}; expected 1 or more of each")
    if not (np.isfinite(smoothness) and smoothness >= 0):
        raise ValueError(f"smoothness is {smoothness}; expected 0 or more")
    nodes = [net.node(one) for one in layers]
    picture, name = _one(net, image)
    low, high = net.input.levels
    canvas = (picture - low) / (high - low)
    flat = np.full((*picture.shape[:2], 3 if net.input.channels != 1 else 1), 0.5, np.float32)
    pictures: list[np.ndarray] = []
    errors, flat_errors = [], []
    with tqdm(total=len(nodes) * copies * steps, unit="step", disable=not progress, desc="invert") as bar:
        for node in nodes:
            [code] = net.activations(picture[None], node.address)
            descent = Descent(net, node, code, picture.shape[:2], smoothness)
            flat_errors.append(descent.error(flat))
            for copy in range(copies):
                found = descent.down(random_stream(seed, "inversion", node.address, copy), steps, bar.update)
                # It may arrive in fewer.
                bar.update(len(pictures) * steps + steps - bar.n)
                pictures.append(found.canvas)
                errors.append(found.error)
    shape = (len(nodes), copies)
    images = np.stack(pictures)
    if images.shape[-1] != canvas.shape[-1]:
        # A network of grey pictures, which are shown as colour pictures are.
        images = np.repeat(images, 3, axis=-1)
    images = images.reshape(*shape, *images.shape[1:])
    labels, probabilities, answer = _answers(net, images, canvas)
    return Inversion(
        network=net.name,
        image=name,
        layers=tuple(node.address for node in nodes),
        images=images,
        errors=np.array(errors).reshape(shape),
        flat_errors=np.array(flat_errors),
        distances=np.sqrt(np.square(images - canvas).mean(axis=(2, 3, 4))),
        labels=labels,
        probabilities=probabilities,
        answer=answer,
        picture=canvas,
        steps=steps,
        smoothness=smoothness,
        seed=seed,
    )


def _one(net: Network, image: Any) -> tuple[np.ndarray, str]:
    batches = list(stream(net, image, batch=2, progress=False))
    n = sum(len(batch.names) for batch in batches)
    if n != 1:
        hint = "; give one patch of the sound, net.patches(sound).values[0]" if net.input.audio is not None else ""
        raise ValueError(f"{n} pictures were given; an inversion is of one{hint}")
    return batches[0].pictures[0], batches[0].names[0]


def _answers(
    net: Network, images: np.ndarray, canvas: np.ndarray
) -> tuple[tuple[tuple[str, ...], ...], np.ndarray, str]:
    """Give what the network says to each picture, and to the one it was shown."""
    if net.trained_to is not None:
        return (), np.zeros(0), ""
    every = np.concatenate([images.reshape(-1, *canvas.shape), canvas[None]]).astype(np.float32)
    low, high = net.input.levels
    said = net.predict(low + (high - low) * every, top=1)
    names = [row[0] for row in said.labels]
    n, copies = images.shape[:2]
    labels = tuple(tuple(names[i * copies : (i + 1) * copies]) for i in range(n))
    return labels, said.probabilities[:-1, 0].reshape(n, copies), f"{names[-1]} {said.probabilities[-1, 0]:.0%}"
