"""A layer's filters as pictures.

    found = filters(net, "stem_conv")                       # in the picture's own colours, largest first
    found.norms[:2], found.sentence
    found.plot()
    filters(net, "block5_expand_conv").strongest(3)         # which channels excite and inhibit filter 3
    filters(net, "block9_add", reads="block7_add", channels=[33, 71])

First filters look at the picture itself and are pictures: each is shown in red, green and blue as the photo has them,
whatever order and scale the network computes in, and with the batch norm after it, which may turn a filter to its negative.
Grey is zero. Deeper filters look at channels, of which only their sprites tell what they are: a filter is the sprites of
the channels that excite it most, and of those that inhibit it most, each with its slice of weights.

Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), section 4.1, on what bad first
filters look like; Voss et al., "Visualizing Weights" (Distill 2021), for weights between channels, with their sprites.
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from diamond.inspection.expanded import expanded
from diamond.inspection.filtered import Filters
from diamond.inspection.first_layer import colours_read
from diamond.inspection.kernels import Kernels, channel_source, next_norm, read_kernels
from diamond.inspection.smoothness import noise_band, smoothness
from modelzoo import Layer, Network
from modelzoo.graph import Node
from spritemaps import Spritemap, Store, find

__all__ = ["Filters", "filters"]

SORTS = ("norm", "order", "smoothness")
SCALES = ("own", "shared")
# A quarter of a gigabyte: of larger layers the first filters are kept, and statistics of all.
MOST_VALUES = 64_000_000
# A filter this much smaller than the layer's median does next to nothing.
FAINT = 0.01


def filters(
    net: Network,
    layer: str | Layer,
    channels: Iterable[int] | int | None = None,
    *,
    sort: str = "norm",
    scale: str = "own",
    batch_norm: bool = True,
    reads: str | Layer | None = None,
    top: int = 5,
    store: Store | str | Path | None = None,
) -> Filters:
    """Show a layer's filters.

    Parameters
    ----------
    net
        The network.
    layer
        A layer with filters, or its address; with `reads`, any layer.
    channels
        Which filters; all by default.
    sort
        ``"norm"``, the largest first; ``"smoothness"``, the smoothest first; ``"order"``, as the network has them.
    scale
        ``"own"``: each filter's largest weight is white or black; ``"shared"``: the largest of all is, so that small
        filters stay grey.
    batch_norm
        Whether to multiply each filter with what a batch norm that alone reads the layer multiplies it by.
    reads
        An earlier layer, to show weights from its channels, with all between taken as linear (expanded weights); by
        default the layer's own weights.
    top
        How many channels to name that excite a filter, and that inhibit it.
    store
        Where to look first for spritemaps, of the layer and of what it reads.

    Returns
    -------
    Filters

    Raises
    ------
    UnknownLayerError
        For a layer that is not there, naming the nearest.
    GraphError
        For a layer without filters, naming the nearest before it that has some; with `reads`, where no way leads from
        there, or one that cannot be taken as linear.
    IndexError
        For a channel that the layer does not have.
    ValueError
        For another word of `sort` or `scale`, a `top` below 1, no channel, and weights that are NaN or infinite.

    Examples
    --------
    >>> found = dc.filters(net, "stem_conv", channels=[0, 7])
    >>> found.weights.shape, found.norms.round(2)
    ((2, 3, 3, 3), array([61.88,  9.96]))

    Of a deeper layer: which channels excite filter 7, and which hold it back.

    >>> deeper = dc.filters(net, "block5_expand_conv", channels=[7], top=2)
    >>> excite, inhibit = deeper.strongest(0)
    >>> [each.channel for each in excite], [each.channel for each in inhibit]
    ([34, 36], [28, 29])
    """
    _check("sort", sort, SORTS)
    _check("scale", scale, SCALES)
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more channels")
    if reads is not None:
        return _expanded(net, layer, channels, sort=sort, scale=scale, reads=reads, top=top, store=store)
    kernels = read_kernels(net, layer)
    values, notes = kernels.values, []
    norm = next_norm(net, kernels.node) if batch_norm else None
    if norm is not None:
        values = values * norm[1].reshape(-1, *[1] * (values.ndim - 1))
    colours = colours_read(net, kernels.source)
    inputs = kernels.inputs
    if colours is not None:
        # One row for each colour of the picture: a filter of a blue that was scaled by 255 counts 255 times a unit of blue.
        values = np.einsum("f...i,cfi->f...c", values, colours[:, inputs])
        inputs = np.broadcast_to(np.arange(len(colours)), (len(values), len(colours)))
    source, sprites = (None, None) if colours is not None else _source(net, kernels, store)
    if source is not None and sprites is None:
        notes += _hint(net, kernels.node, store)
    if kernels.kind == "separable convolution":
        notes.append("The products of its two kernels, which is what it computes with.")
    return _result(
        net,
        kernels.node.address.removesuffix(":linear"),
        values,
        inputs,
        _chosen(channels, np.arange(len(values)), kernels.node.address),
        kind=kernels.kind,
        sort=sort,
        scale=scale,
        top=top,
        batch_norm=None if norm is None else norm[0].address,
        reads=None if source is None else source.address,
        colours=colours is not None and len(colours) == 3,
        sprites=find(net.fingerprint(_answer(net, kernels.node, norm)), store=store),
        read_sprites=sprites,
        notes=notes,
    )


def _expanded(
    net: Network,
    layer: str | Layer,
    channels: Iterable[int] | int | None,
    *,
    sort: str,
    scale: str,
    reads: str | Layer,
    top: int,
    store: Store | str | Path | None,
) -> Filters:
    place, source = net.layers[_name(layer)], net.layers[_name(reads)]
    chosen = _chosen(channels, np.arange(place.channels), place.name)
    values = expanded(net, place, source, channels=chosen)
    return _result(
        net,
        place.name,
        values,
        np.broadcast_to(np.arange(values.shape[-1]), (len(values), values.shape[-1])),
        np.arange(len(values)),
        names=chosen,
        kind="expanded weights",
        sort=sort,
        scale=scale,
        top=top,
        batch_norm=None,
        reads=source.name,
        colours=False,
        sprites=find(net.fingerprint(place), store=store),
        read_sprites=find(net.fingerprint(source), store=store),
        notes=["All layers between are taken as linear: nonlinearities pass their input on, a maximum is a mean."],
    )


def _result(
    net: Network,
    layer: str,
    values: np.ndarray,
    inputs: np.ndarray,
    chosen: np.ndarray,
    *,
    kind: str,
    sort: str,
    scale: str,
    top: int,
    batch_norm: str | None,
    reads: str | None,
    colours: bool,
    sprites: Spritemap | None,
    read_sprites: Spritemap | None,
    notes: list[str],
    names: np.ndarray | None = None,
) -> Filters:
    flat = values.reshape(len(values), -1)
    norms = np.sqrt(np.einsum("ij,ij->i", flat, flat, dtype=np.float64))
    scores = smoothness(values)
    if sort != "order":
        keys = norms if sort == "norm" else np.nan_to_num(scores, nan=-np.inf)
        chosen = chosen[np.argsort(-keys[chosen], kind="stable")]
    kept = chosen[: max(1, MOST_VALUES // max(1, values[0].size))]
    if len(kept) < len(chosen):
        notes.append(f"The weights of the first {len(kept):,} are kept, the numbers of all {len(chosen):,}.")
    faint = int((norms < FAINT * np.median(norms)).sum())
    if faint:
        notes.append(
            f"{faint} of {len(norms)} filters are less than a hundredth of the median: they do next to nothing."
        )
    return Filters(
        network=net.name,
        layer=layer,
        kind=kind,
        channels=(chosen if names is None else names[chosen]),
        weights=values[kept],
        inputs=inputs[kept],
        norms=norms[chosen],
        smoothness=scores[chosen],
        layer_smoothness=scores,
        noise_band=noise_band(values.shape[1:-1], values.shape[-1]),
        colours=colours,
        sort=sort,
        scale=scale,
        top=top,
        batch_norm=batch_norm,
        reads=reads,
        is_sound=net.input.audio is not None,
        notes=tuple(notes),
        sprites=sprites,
        read_sprites=read_sprites,
    )


def _source(net: Network, kernels: Kernels, store: Store | str | Path | None) -> tuple[Node, Spritemap | None]:
    """Find whose channels the filters read: the nearest layer that has sprites, else the nearest."""
    candidates = [each for each in channel_source(net, kernels.source) if not each.is_input]
    for each in candidates:
        sprites = find(net.fingerprint(each.address), store=store)
        if sprites is not None:
            return each, sprites
    return kernels.source, None


def _hint(net: Network, node: Node, store: Store | str | Path | None) -> list[str]:
    """Name the nearest earlier landmark that has sprites, whose channels the filters can be shown by."""
    before = {each.address for each in net.graph.ancestors([node])}
    for name in reversed([name for name in net.landmarks if name in before]):
        if name != node.address and find(net.fingerprint(name), store=store) is not None:
            return [f"{name} before it has sprites: reads={name!r} shows the weights from its channels."]
    return []


def _answer(net: Network, node: Node, norm: tuple[Node, np.ndarray] | None) -> str:
    """Give the address of what a filter's sprite shows: the layer after its norm and its activation, where they follow."""
    at = node if norm is None else norm[0]
    readers = [other for other in net.graph if any(ref.node == at.index for ref in other.inputs)]
    if len(readers) == 1 and readers[0].nonlinearity is not None and len(readers[0].inputs) == 1:
        return readers[0].address
    return at.address


def _chosen(channels: Iterable[int] | int | None, every: np.ndarray, layer: str) -> np.ndarray:
    if channels is None:
        return every
    numbers = [channels] if isinstance(channels, int | np.integer) else list(channels)
    if not numbers:
        raise ValueError(f"no channel of {layer!r} is asked about; leave channels out to ask about all")
    wanted = np.array([operator.index(number) for number in numbers])
    bad = [number for number in numbers if not 0 <= number < len(every)]
    if bad:
        raise IndexError(f"channel {bad[0]} is out of range: {layer!r} has channels 0 to {len(every) - 1}")
    return wanted


def _name(layer: str | Layer) -> str:
    return layer.name if isinstance(layer, Layer) else layer


def _check(what: str, found: str, known: tuple[str, ...]) -> None:
    if found not in known:
        near = difflib.get_close_matches(str(found), known, n=1, cutoff=0.0)[0]
        raise ValueError(f"{what} is {found!r}; expected one of {', '.join(known)}; did you mean {near!r}?")
