"""What each channel of a layer answers to a picture, as maps.

    found = activation_maps(net, "cat.jpg", "block9_add", over="photos/")
    found.maps.shape, found.layers[0].sparsity, found.layers[0].dead
    strip = activation_maps(net, "cat.jpg", channels=[0, 1, 2, 3])        # through all convolutions
    strip.sparsity()

A *map* is one channel of a layer's output, ``(rows, columns)``: where the channel fires, and how strongly. A layer's
maps stand in a grid, cell by cell as they are or smoothed over the photo; several layers stand below one another as a
*strip*, which shows the picture being taken apart.

Of a layer with a ReLU most values of most maps are exactly 0: its *sparsity* is their share. A channel that is 0
everywhere in one picture is *silent* there; one that stays so over many is called *dead*, with their number.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014); Yosinski et al., "Understanding
Neural Networks Through Deep Visualization" (ICML DL workshop 2015), figure 2, for whole layers as grids of maps.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diamond.attribution.feeding import Given
from diamond.attribution.linear import contributions_at
from diamond.attribution.semantic import upright
from diamond.attribution.streams import stream
from diamond.inspection.firing import firing
from diamond.inspection.mapped import ActivationMaps, LayerMaps
from modelzoo import GraphError, Layer, Network
from modelzoo.attributes import describe
from modelzoo.graph import Node
from modelzoo.inputs.frontends import cell_edges
from spritemaps import Store, find

__all__ = ["activation_maps", "convolution_outputs", "one_picture"]

LIVELIEST = 8
_CONVOLUTIONS = {"convolution", "transposed_convolution"}
_KEEPS_PLACE = {"affine", "normalise", "nonlinearity", "identity"}


def activation_maps(
    net: Network,
    image: Any,
    layer: str | Layer | Sequence[str | Layer] | None = None,
    channels: Iterable[int] | int | None = None,
    *,
    over: Any = None,
    batch: int = 16,
    progress: bool = True,
    given: Given | None = None,
    store: Store | str | Path | None = None,
) -> ActivationMaps:
    """Give what the channels of a layer, or of several, answer to a picture.

    Parameters
    ----------
    net
        The network.
    image
        One picture: path, URL, array ``(height, width, 3)`` in [0, 1]; or a spectrogram patch for a sound network.
    layer
        A layer or its address; several; or None for all convolutions, each with the batch norm and the activation that
        follow it. A layer without height and width has one row, or one value, a channel.
    channels
        Which channels. By default all of one layer; of several the eight that vary most over this picture. Of
        several layers, those that a layer does not have are left out of its row.
    over
        Many pictures: a folder of any size, a list or any iterable. A channel that stays 0 in all of them, and in
        `image`, is dead.
    batch
        How many of them at a time.
    progress
        Whether to show a progress bar, from 64 pictures on.
    given
        Values of the network's other inputs by address, where it has several: one row each, for all pictures.
    store
        Where to look first for spritemaps.

    Returns
    -------
    ActivationMaps

    Raises
    ------
    UnknownLayerError, PictureError, FileNotFoundError
        For a layer that is not there, naming the nearest, and a picture that cannot be read.
    GraphError
        For a layer with three axes of space, which `diamond.volume` shows; where the network has no convolution; for
        inputs that are not filled.
    IndexError
        For a channel that the layer, or none of several, has.
    ValueError
        Where several pictures are given as `image`, no layer or channel is asked about, or activations are NaN or
        infinite, naming the layer.

    Warns
    -----
    UserWarning
        Where files among `over` were skipped since they are no pictures.

    Examples
    --------
    >>> found = dc.activation_maps(net, "cat.jpg", "block9_add", over="photos/", progress=False)
    >>> found.maps.shape, found.layers[0].dead, found.count
    ((14, 14, 112), array([], dtype=int64), 8)

    Some channels through several layers:

    >>> dc.activation_maps(net, "cat.jpg", ["block2_add", "block4_add"], channels=[0, 1, 2]).sparsity()[["layer", "silent"]]
            layer  silent
    0  block2_add       0
    1  block4_add       0
    """
    several = layer is None or not isinstance(layer, str | Layer)
    nodes, notes = _nodes(net, layer)
    wanted = _wanted(channels)
    if wanted is not None:
        _check(wanted, nodes, several)
    picture, name = one_picture(net, image, given)
    addresses = [node.address for node in nodes]
    [values] = contributions_at(net, picture, addresses, positive=None, given=given)
    many = None if over is None else firing(net, over, nodes, given=given, batch=batch, progress=progress)
    layers = []
    for number, node in enumerate(nodes):
        grid = as_grid(net, values[number].activations)
        flat = grid.reshape(-1, grid.shape[-1])
        means, n = flat.mean(axis=0), grid.shape[-1]
        shown = np.arange(n) if wanted is None else wanted[wanted < n]
        if several and wanted is None:
            shown = np.lexsort((-means, -flat.std(axis=0)))[:LIVELIEST]
        audio = net.input.audio
        hz, s = (None, None) if audio is None or len(node.shape) != 4 else cell_edges(audio, *grid.shape[:2])
        layers.append(
            LayerMaps(
                layer=node.address,
                channels=shown,
                maps=grid[..., shown],
                highest=flat.max(axis=0),
                means=means,
                zeros=(flat == 0).mean(axis=0),
                fired=None if many is None else many[number].pictures,
                peaks=None if many is None else many[number].peaks,
                edges_hz=hz,
                edges_s=s,
                sprites=find(net.fingerprint(node.address), store=store),
            )
        )
    if several and wanted is None:
        notes.append(f"Of each layer the {LIVELIEST} channels that vary most over this picture.")
    return ActivationMaps(
        network=net.name,
        image=name,
        layers=tuple(layers),
        picture=picture[0],
        count=0 if many is None else many[0].count,
        chosen=wanted is not None,
        skipped=() if many is None else many[0].skipped,
        notes=tuple(notes),
    )


def convolution_outputs(net: Network) -> list[Node]:
    """Find where each convolution's answer is ready: after the batch norm and the activation that follow it alone."""
    readers: dict[int, list[Node]] = {}
    for node in net.graph:
        for ref in node.inputs:
            readers.setdefault(ref.node, []).append(node)
    found: list[Node] = []
    for node in net.graph:
        if describe(node)["op"] not in _CONVOLUTIONS:
            continue
        last = node
        while len(after := readers.get(last.index, [])) == 1 and describe(after[0])["op"] in _KEEPS_PLACE:
            last = after[0]
            if describe(last)["op"] == "nonlinearity":
                break
        found.append(last)
    return list(dict.fromkeys(found))


def one_picture(net: Network, image: Any, given: Given | None = None) -> tuple[np.ndarray, str]:
    """Read one picture as the network sees it, ``(1, height, width, 3)``, and its name.

    Raises
    ------
    ValueError
        Where several are given, or a sound is longer than a patch.
    """
    batches = list(stream(net, image, given=given, batch=2, progress=False))
    n = sum(len(batch.names) for batch in batches)
    if n != 1:
        patches = net.input.audio is not None
        hint = "one patch of the sound, net.patches(sound).values[0]" if patches else "one, as images[0]"
        raise ValueError(f"{n} {'patches' if patches else 'pictures'} were given; expected {hint}")
    return batches[0].pictures, batches[0].names[0]


def as_grid(net: Network, activations: np.ndarray) -> np.ndarray:
    """Give the answer to one picture, ``(1, ..., channel)``, as ``(rows, columns, channel)``, frequency first."""
    if activations.ndim == 4:
        return np.asarray(upright(net, activations)[0])
    return activations.reshape(1, -1, activations.shape[-1])


def _nodes(net: Network, layer: Any) -> tuple[list[Node], list[str]]:
    notes: list[str] = []
    if layer is not None:
        asked = [layer] if isinstance(layer, str | Layer) else list(layer)
        if not asked:
            raise ValueError("no layer is asked about; leave layer out for all convolutions")
        nodes = sorted((net.node(each) for each in asked), key=lambda node: node.index)
        for node in nodes:
            if len(node.shape) == 5:
                raise GraphError(
                    f"{node.address!r} has the shape {node.shape}: three axes of space, and a map has two; "
                    f"dc.volume(net, image, {node.address!r}, channels=0) shows one channel of it"
                )
            if not 2 <= len(node.shape) <= 4:
                raise GraphError(
                    f"{node.address!r} has the shape {node.shape}; expected (batch, height, width, channel)"
                )
        return list(dict.fromkeys(nodes)), notes
    every = convolution_outputs(net)
    nodes = [node for node in every if len(node.shape) in (3, 4)]
    if len(nodes) < len(every):
        notes.append(f"{len(every) - len(nodes)} convolutions with three axes of space are left out.")
    if not nodes:
        raise GraphError(
            f"{net.name} has no convolution with maps; name a layer: net.layers lists all {len(net.layers)}"
        )
    return nodes, notes


def _wanted(channels: Iterable[int] | int | None) -> np.ndarray | None:
    if channels is None:
        return None
    numbers = [channels] if isinstance(channels, int | np.integer) else list(channels)
    if not numbers:
        raise ValueError("no channel is asked about; leave channels out to ask about all")
    return np.array([operator.index(number) for number in numbers])


def _check(wanted: np.ndarray, nodes: Sequence[Node], several: bool) -> None:
    widest = max(nodes, key=lambda node: node.shape[-1] or 1)
    most = widest.shape[-1] or 1
    bad = wanted[(wanted < 0) | (wanted >= most)]
    if len(bad):
        of = f"{widest.address!r}, the widest layer," if several else repr(widest.address)
        raise IndexError(f"channel {bad[0]} is out of range: {of} has channels 0 to {most - 1}")
