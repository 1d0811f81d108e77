"""Cover a part of a picture and see what changes.

    found = dc.occlude(net, "cat.jpg")                                    # a seventh of the picture at a time
    found.heatmap.shape, found.scores.shape
    dc.occlude(net, "cat.jpg", target=["tabby", "top2"], window=16, stride=4, fill="blur").save("cat.html")
    for found in dc.occlude(net, "cat.jpg", method="drilldown", stream=True):  # a first map at once, then sharper ones
        print(found.errors)

A *window* is covered by a *fill*, the network is asked again, and what the class score lost is the window's score
(Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2). A pixel's value is the
mean over the windows that cover it: above 0 where the part speaks for the class, below where against it. It is no
estimate: each number was seen to happen. But it holds for the fill and the size of the windows, so try others.

With `outside` only the window is left: its score is how much it alone gains over a picture of nothing but the fill.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, overload

from diamond.attribution import streams
from diamond.attribution.feeding import Given
from diamond.attribution.targets import Target
from diamond.occlusion.asked import Asked
from diamond.occlusion.heard import SoundOcclusion, SoundOcclusions
from diamond.occlusion.occluded import OcclusionMap, OcclusionMaps
from diamond.occlusion.sounds import occlude_sound, occlude_sounds
from modelzoo import Layer, Network
from modelzoo.inputs.sounds import is_sound

__all__ = ["occlude"]

# Of a picture whole pixels, of a sound seconds and Hz.
Lengths = float | tuple[float | None, float | None]


@overload
def occlude(
    net: Network,
    inputs: list[Any] | tuple[Any, ...],
    *,
    target: Target | Sequence[Target] = ...,
    window: Lengths | None = ...,
    stride: Lengths | None = ...,
    shape: Any = ...,
    fill: Any = ...,
    outside: bool = ...,
    method: str = ...,
    layer: str | Layer | None = ...,
    given: Given | None = ...,
    share: float | None = ...,
    batch: int | None = ...,
    stream: Literal[False] = ...,
    seed: int = ...,
    progress: bool = ...,
) -> OcclusionMaps:
    """Of several pictures."""


@overload
def occlude(
    net: Network,
    inputs: Any,
    *,
    target: Target | Sequence[Target] = ...,
    window: Lengths | None = ...,
    stride: Lengths | None = ...,
    shape: Any = ...,
    fill: Any = ...,
    outside: bool = ...,
    method: str = ...,
    layer: str | Layer | None = ...,
    given: Given | None = ...,
    share: float | None = ...,
    batch: int | None = ...,
    stream: Literal[False] = ...,
    seed: int = ...,
    progress: bool = ...,
) -> OcclusionMap:
    """Of one picture."""


@overload
def occlude(
    net: Network,
    inputs: Any,
    *,
    target: Target | Sequence[Target] = ...,
    window: Lengths | None = ...,
    stride: Lengths | None = ...,
    shape: Any = ...,
    fill: Any = ...,
    outside: bool = ...,
    method: str = ...,
    layer: str | Layer | None = ...,
    given: Given | None = ...,
    share: float | None = ...,
    batch: int | None = ...,
    stream: Literal[True],
    seed: int = ...,
    progress: bool = ...,
) -> Iterator[OcclusionMap]:
    """Of one picture, as it sharpens."""


def occlude(
    net: Network,
    inputs: Any,
    *,
    target: Target | Sequence[Target] = "top1",
    window: Lengths | None = None,
    stride: Lengths | None = None,
    shape: Any = "rectangle",
    fill: Any = None,
    outside: bool = False,
    method: str = "auto",
    layer: str | Layer | None = None,
    given: Given | None = None,
    share: float | None = None,
    batch: int | None = None,
    stream: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> OcclusionMap | OcclusionMaps | SoundOcclusion | SoundOcclusions | Iterator[OcclusionMap]:
    """Cover parts of a picture or a sound, one after the other, and see what the class score loses.

    Parameters
    ----------
    net
        The network.
    inputs
        A picture: path, URL, or array ``(height, width, 3)`` in [0, 1]; or a list of those and of folders, for a map of
        each. For a sound network the same of sounds: path, URL, `Sound`, or ``(samples, rate)``.
    target
        The class asked about: index, label, WordNet id, or ``"top1"``, ``"top2"`` ...; several in a list, which takes
        no longer.
    window, stride
        Height and width of a window, and the steps down and across, in pixels of the picture as the network sees it
        (in cells of a layer); one number for both. A seventh of the shorter side where not said, and half a window. One
        cell of a layer. The last window of each row and column is cut at the edge, so that all is covered. Of a sound
        seconds, Hz, or ``(hz, seconds)``: see `diamond.occlusion.sounds.occlude_sound`.
    shape
        ``"rectangle"``, ``"disc"``, ``"superpixels"`` (about 60 areas of like colour), ``(height, width)`` whole numbers
        of areas, or ``(n, height, width)`` masks from 0 to 1; ``"channels"`` of a layer. Of a sound ``"patches"`` (where
        not said), ``"time"`` or ``"frequency"``.
    fill
        What stands in a window: ``"mean"`` (where not said), ``"blur"``, ``"noise"``, ``"shuffled"``, ``"inpaint"``,
        ``"zero"``, a colour, or an array; see `diamond.occlusion.fills`. Of a layer ``"zero"`` (where not said),
        ``"mean"`` or numbers. Of a sound ``"band_mean"`` (where not said), ``"silence"``, ``"local_mean"``, ``"noise"``.
    outside
        Whether to cover all but the window: "keep only this".
    method
        ``"full"``: the whole network for every window. ``"incremental"``: the same to rounding, recomputing what a
        window can change. ``"drilldown"``: some windows, more where it matters, the rest made up from those around;
        with an estimate of the error. ``"auto"``: the faster of the first two, by forecast.
    layer
        A layer whose activations are covered in the picture's place.
    given
        Values of the network's other inputs by address, where it has several: one row, or one for each picture.
    share
        Of drilldown: stop when this share of the windows has been measured, from 0 to 1. Where None, when the estimated
        error is below a twentieth of the map's range.
    batch
        How many covered pictures at a time; as many as hold 400 MB, up to 32, where None.
    stream
        Of drilldown: give every map as it sharpens, up to the exact one; stop whenever you like.
    seed
        Of fills that are random, and of what drilldown tries at random.
    progress
        Whether to show a progress bar, from 64 windows on.

    Returns
    -------
    OcclusionMap
        For one picture; `OcclusionMaps` for a list, an iterator of maps with `stream`. `SoundOcclusion` for
        a sound, `SoundOcclusions` for a list or folder of them.

    Raises
    ------
    UnknownLayerError, ClassError, PictureError, FileNotFoundError
        For a layer or class the network does not have, or a picture that cannot be read, naming the nearest.
    GraphError
        For a layer without height and width, or not on the way to the classes, and for inputs that are not filled.
    ValueError
        For windows larger than the picture, an unknown shape, fill or method, several pictures that are no list, and
        scores that are NaN or infinite, naming the layer.

    Warns
    -----
    UserWarning
        Where windows leave pixels uncovered.

    Examples
    --------
    >>> found = dc.occlude(net, "cat.jpg", window=64, stride=32, progress=False)
    >>> found.heatmap.shape, found.scores.shape
    ((224, 224), (36, 1))

    Two classes at once, a blurred photo under the window:

    >>> targets = ["tabby", "tiger cat"]
    >>> found = dc.occlude(net, "cat.jpg", target=targets, window=64, stride=32, fill="blur", progress=False)
    >>> found.targets, found.heatmaps.shape
    (('tabby', 'tiger cat'), (2, 224, 224))
    """
    if net.input.audio is not None and _are_sounds(inputs):
        _refuse_for_sounds(outside=outside, layer=layer, given=given, share=share, stream=stream, method=method)
        of_one = is_sound(inputs) and not (isinstance(inputs, str | Path) and Path(inputs).is_dir())
        cover: Any = occlude_sound if of_one else occlude_sounds
        found: SoundOcclusion | SoundOcclusions = cover(
            net,
            inputs,
            target=target,
            shape="patches" if isinstance(shape, str) and shape == "rectangle" else shape,
            window=window,
            stride=stride,
            fill=fill,
            seed=seed,
            progress=progress,
        )
        return found
    several = isinstance(inputs, list | tuple)
    asked = Asked.of(
        net,
        target,
        window=window,
        stride=stride,
        shape=shape,
        fill=fill,
        outside=outside,
        method=method,
        layer=layer,
        share=1.0 if stream else share,
        batch=batch,
        seed=seed,
        progress=progress,
    )
    if stream and (several or method != "drilldown"):
        raise ValueError(
            "stream=True shows how one picture's map sharpens; expected one picture and method='drilldown'"
        )
    reading = streams.stream(net, inputs, given=given, batch=1, progress=False)
    if several:
        rows = tuple(_last(asked.maps(one)) for one in reading)
        return OcclusionMaps(rows, reading.skipped)
    batches = list(islice(reading, 2))
    if len(batches) > 1:
        raise ValueError("several pictures were found; give them as a list, [...], for a map of each")
    return asked.maps(batches[0]) if stream else _last(asked.maps(batches[0]))


def _are_sounds(inputs: Any) -> bool:
    """Whether this is one sound, a folder, or a list of those; else spectrograms, which are covered as pictures are."""
    return is_sound(inputs) or (isinstance(inputs, list | tuple) and bool(inputs) and all(map(is_sound, inputs)))


def _refuse_for_sounds(*, method: str, **asked: Any) -> None:
    """Of a sound the network is asked as a whole, and only the sound itself is covered."""
    for name, value in asked.items():
        if value not in (None, False):
            raise ValueError(f"{name}={value!r} is of pictures; a sound is covered in time, in frequency, or both")
    if method not in ("auto", "full"):
        raise ValueError(f"method {method!r} is of pictures; of a sound there is 'full'")


def _last(maps: Iterator[OcclusionMap]) -> OcclusionMap:
    *_, last = maps
    return last
