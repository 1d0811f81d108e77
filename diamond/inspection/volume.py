"""The maps of a layer, its weights, or gradients, stacked as a volume.

    stack = volume(net, "cat.jpg", "block6_expand_relu")
    stack.values.shape, stack.threshold, stack.share
    stack.save("maps.nii.gz")                                       # for ITK-SNAP, 3D Slicer, Fiji
    volume(order_maps(activation_maps(net, "cat.jpg", "block6_expand_relu"))).scene()

A layer's answer to a picture is a block of numbers, ``(rows, columns, channels)``, and can be looked at as medicine looks
at a scan: slice by slice along any axis, as the surface where values reach a threshold, or in a viewer made for scans. In
the order of training the third axis is noise; put the maps in order first (`diamond.order_maps`), and bodies appear.

*Activations* are the maps themselves. *Gradients* are those of a class's logit with respect to them: what would change
the answer, and which way. *Weights* are filters: of one filter its slices, an input channel each; of a layer whose
filters look at one channel each, all of them; of any other ``(filter, input channel, place in the kernel)``.
"""

from __future__ import annotations

import difflib
import math
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.attribution.feeding import Given, feeds_of, given_tensors, picture_input
from diamond.attribution.semantic import upright
from diamond.attribution.targets import Target, ask, choose
from diamond.inspection.activations import activation_maps, one_picture
from diamond.inspection.kernels import read_kernels
from diamond.inspection.mapped import ActivationMaps
from diamond.inspection.order import stacked
from diamond.inspection.ordered import OrderedMaps
from diamond.inspection.voxels import Axis, Volume
from modelzoo import GraphError, Layer, Network

__all__ = ["KINDS", "volume"]

KINDS = ("activations", "gradients", "weights")
# A surface around the highest twentieth shows where a layer fires without hiding everything behind it.
HIGHEST = 0.95


def volume(
    source: Network | ActivationMaps | OrderedMaps | np.ndarray,
    image: Any = None,
    layer: str | Layer | None = None,
    *,
    of: str = "activations",
    channels: Any = None,
    target: Target = "top1",
    threshold: float | None = None,
    own_scale: bool = False,
    given: Given | None = None,
) -> Volume:
    """Stack a layer's maps, gradients or weights as a volume.

    Parameters
    ----------
    source
        A network; what `diamond.activation_maps` or `diamond.order_maps` gave; or any array ``(rows, columns, depth)``:
        the gradients of one filter, ``dc.weight_gradients(...).gradients[0, 3]``.
    image
        Of a network: the picture, as `diamond.activation_maps` takes it; weights need none.
    layer
        Of a network: the layer or its address. Of activation maps of several layers: which of them.
    of
        ``"activations"``, ``"gradients"`` or ``"weights"`` of a network.
    channels
        Which maps to stack; all by default. Of a layer with three axes of space: the one channel to show. Of weights: the
        one filter to show.
    target
        Of gradients: the class, as an index, label, WordNet id or rank.
    threshold
        From where on a voxel belongs to the binary volume; by default what 5 % of the voxels reach.
    own_scale
        Whether to divide each slice of the depth by its own largest size, so that weak maps have bodies too.
    given
        Values of the network's other inputs by address, where it has several.

    Returns
    -------
    Volume

    Raises
    ------
    UnknownLayerError, ClassError, PictureError
        For a layer or class that is not there, naming the nearest, and a picture that cannot be read.
    GraphError
        For a layer without weights; where no gradient reaches the layer.
    ValueError
        For another kind, naming the nearest; for arrays that have not three axes or hold no numbers; where picture or
        layer are missing; for several channels where one is shown; for a threshold that is no number.
    IndexError
        For a channel or filter that the layer does not have.

    Examples
    --------
    >>> stack = dc.volume(net, "cat.jpg", "block4_add")
    >>> stack.values.shape
    (28, 28, 40)
    >>> stack.save("maps.nii.gz")
    PosixPath('maps.nii.gz')
    """
    if of not in KINDS:
        near = difflib.get_close_matches(str(of), KINDS, n=1, cutoff=0.0)
        raise ValueError(f"no volume of {of!r}; expected one of {', '.join(KINDS)}; did you mean {near[0]!r}?")
    if isinstance(source, Network):
        name, values, axes, upward = _of_network(source, image, layer, of, channels, target, given)
    else:
        if image is not None or of != "activations" or channels is not None:
            raise ValueError(
                "image, of and channels say what to compute of a network; maps and arrays are taken as they are"
            )
        name, values, axes, upward = _of_maps(source, None if layer is None else str(getattr(layer, "name", layer)))
    values = np.asarray(values, np.float32)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise ValueError(f"{bad:,} of {values.size:,} voxels of {name} are NaN or infinite; expected numbers")
    if threshold is not None and not math.isfinite(threshold):
        raise ValueError(f"threshold is {threshold}; expected a number")
    notes = ("All voxels have one value.",) if np.ptp(values) == 0 else ()
    if own_scale:
        most = np.abs(values).max(axis=(0, 1))
        values = values / np.where(most > 0, most, np.float32(1))
        notes = (*notes, f"Each {axes[2].name} in units of its own largest size.")
    return Volume(
        name=name,
        values=values,
        axes=axes,
        threshold=_usual(values) if threshold is None else float(threshold),
        upward=upward,
        notes=notes,
    )


Stack = tuple[str, np.ndarray, tuple[Axis, Axis, Axis], bool]


def _usual(values: np.ndarray) -> float:
    """Give what a twentieth of the voxels reach; where that is nothing, of those that are something."""
    high = float(np.quantile(values, HIGHEST))
    above = values[values > 0]
    return high if high > 0 or not above.size else float(np.quantile(above, 0.5))


def _of_maps(source: Any, layer: str | None) -> Stack:
    if isinstance(source, OrderedMaps):
        places = np.arange(len(source.channels)) if source.by_row else source.order
        depth = Axis("place" if source.by_row else "channel", places)
        values, axes = source.ordered, _plane(source.maps, source.edges_hz, source.edges_s, depth)
        return str(source), values, axes, source.heard
    if isinstance(source, ActivationMaps):
        values, channels, name, (hz, s) = stacked(source, layer)
        return name, values, _plane(values, hz, s, Axis("channel", channels)), hz is not None
    values = np.asarray(source)
    if values.ndim != 3 or values.dtype.kind not in "biuf" or not values.size:
        found = f"shape {values.shape}" if values.dtype.kind in "biuf" else type(source).__name__
        raise ValueError(f"expected a network, maps, or numbers (rows, columns, depth), found {found}")
    return "array", values, _plane(values, None, None, Axis.counted("slice", values.shape[2])), False


def _of_network(
    net: Network, image: Any, layer: str | Layer | None, of: str, channels: Any, target: Target, given: Given | None
) -> Stack:
    if layer is None:
        raise ValueError(f"which layer of {net.name}? Say layer=; net.layers lists all {len(net.layers)}")
    if of == "weights":
        return _of_weights(net, layer, channels)
    if image is None:
        raise ValueError(f"{of} are of a picture: say image=; of='weights' needs none")
    node = net.node(layer)
    if len(node.shape) == 5:
        return _of_space(net, image, node.address, of, channels, target, given)
    found = activation_maps(net, image, layer, channels, given=given)
    name, values, axes, heard = _of_maps(found, None)
    if of == "gradients":
        gradients, label = _gradients(net, image, node.address, target, given)
        grid = upright(net, gradients)[0] if gradients.ndim == 4 else gradients.reshape(1, -1, gradients.shape[-1])
        values, name = grid[..., found.layers[0].channels], f"{name}: gradient of {label}"
    return name, values, axes, heard


def _of_space(
    net: Network, image: Any, address: str, of: str, channels: Any, target: Target, given: Given | None
) -> Stack:
    """Stack one channel of a layer with three axes of space, ``(batch, depth, height, width, channel)``."""
    n = int(net.node(address).shape[-1] or 1)
    which = _one(channels, n, address, "channel")
    picture, name = one_picture(net, image, given)
    if of == "gradients":
        values, label = _gradients(net, image, address, target, given)
        name = f"{name}: gradient of {label}"
    else:
        entry = picture_input(net, given)
        [found] = net.graph.evaluate(
            feeds_of(net, entry, tf.constant(picture), given_tensors(given, 0, 1, 1)), [net.node(address)]
        )
        values = np.asarray(found)
    block = np.moveaxis(values[0, ..., which], 0, -1)
    axes = (Axis.counted("row", block.shape[0]), Axis.counted("column", block.shape[1]))
    return f"{net.name} {address} channel {which}, {name}", block, (*axes, Axis.counted("depth", block.shape[2])), False


def _of_weights(net: Network, layer: str | Layer, channels: Any) -> Stack:
    kernels = read_kernels(net, layer)
    values, address = kernels.values, kernels.node.address.removesuffix(":linear")
    n = len(values)
    # (filter, height, width, input channel), whatever places the filter has: a line is one row, a point one cell.
    if values.ndim < 4:
        values = values.reshape(n, 1, -1, values.shape[-1])
    name = f"{net.name} {address}, weights"
    heard = net.input.audio is not None
    if values.ndim == 5:
        which = _one(channels, n, address, "filter")
        block = np.moveaxis(values[which].sum(axis=-1), 0, -1)
        axes = (Axis.counted("row", block.shape[0]), Axis.counted("column", block.shape[1]))
        return (
            f"{name} of filter {which}, its inputs summed",
            block,
            (*axes, Axis.counted("depth", block.shape[2])),
            False,
        )
    if channels is not None:
        which = _one(channels, n, address, "filter")
        block, depth = values[which], Axis("input channel", kernels.inputs[which])
        return f"{name} of filter {which}", block, _plane(block, None, None, depth), heard
    if values.shape[-1] == 1:
        block = np.moveaxis(values[..., 0], 0, -1)
        return name, block, _plane(block, None, None, Axis.counted("filter", n)), heard
    block = np.moveaxis(values.reshape(n, -1, values.shape[-1]), 1, -1)
    axes = (Axis.counted("filter", n), Axis.counted("input channel", block.shape[1]))
    return name, block, (*axes, Axis.counted("kernel place", block.shape[2])), False


def _gradients(net: Network, image: Any, address: str, target: Target, given: Given | None) -> tuple[np.ndarray, str]:
    """Give the gradient of a class's logit with respect to a layer, of the layer's shape, and the class's name."""
    question = ask(net, target)
    picture, _ = one_picture(net, image, given)
    node, entry = net.node(address), picture_input(net, given)
    feeds = feeds_of(net, entry, tf.constant(picture), given_tensors(given, 0, 1, 1))
    [values] = net.graph.evaluate(feeds, [node])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        [answer] = net.graph.evaluate({**feeds, node.index: values}, [net.logits_node])
        logits = tf.reshape(tf.cast(answer, tf.float32), [1, -1])
        of = choose(tf.constant(question.plus), logits)
        asked = tf.gather(logits, of, batch_dims=1)
    found = tape.gradient(asked, values)
    if found is None:
        raise GraphError(f"no gradient reaches {address!r} from the class score: it is not on the way there")
    return np.asarray(tf.cast(found, tf.float32)), net.class_label(int(of[0]))


def _plane(values: np.ndarray, hz: np.ndarray | None, s: np.ndarray | None, depth: Axis) -> tuple[Axis, Axis, Axis]:
    high, wide = values.shape[:2]
    if hz is None or s is None:
        return Axis.counted("row", high), Axis.counted("column", wide), depth
    return Axis("frequency", (hz[1:] + hz[:-1]) / 2, "Hz"), Axis("time", (s[1:] + s[:-1]) / 2, "s"), depth


def _one(channels: Any, n: int, address: str, noun: str) -> int:
    """Give the one channel or filter that is asked about."""
    numbers = [] if channels is None else [channels] if isinstance(channels, int | np.integer) else list(channels)
    if len(numbers) != 1:
        asked = f"{len(numbers)} are asked about" if numbers else "none is said"
        raise ValueError(f"a volume of {address!r} shows one {noun}: {asked}; say channels=0, of 0 to {n - 1}")
    if not 0 <= numbers[0] < n:
        raise IndexError(f"{noun} {numbers[0]} is out of range: {address!r} has {noun}s 0 to {n - 1}")
    return int(numbers[0])
