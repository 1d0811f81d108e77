"""The codes of pictures: what a layer makes of each, as one vector a picture, with a thumbnail to know it by.

    >>> found = read_codes(net, "textures/val", net.layers["head_relu"])
    >>> found.codes.shape, found.thumbnails.shape, found.classes
    ((12, 1280), (12, 72, 72, 3), ('brick', 'grass', 'gravel'))

Pictures are streamed: of each only its code and its thumbnail stay in memory. A code is *pooled*, the mean or the
highest over places, which says what is in a picture, or *flat*, every place with its own numbers, which says where too
and is as many times longer. Of a sound, whose patches are coded one by one, the code is their mean.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from diamond.attribution.feeding import Given, feeds_of, picture_input
from diamond.attribution.streams import sources_of, stream
from diamond.show.heat import visible
from diamond.transfer.samples import Samples, SamplesError, read_samples
from modelzoo import Layer, Network

__all__ = ["POOLS", "Codes", "code_of", "read_codes"]

POOLS = ("mean", "max", "flatten")
THUMBNAIL_PX = 72
MOST_BYTES = 2_000_000_000


@dataclass(frozen=True, eq=False)
class Codes:
    """Pictures with their codes.

    Attributes
    ----------
    codes
        ``(n, values)`` float32.
    thumbnails
        ``(n, height, width, 3)`` uint8.
    names
        A word for each.
    labels, classes
        ``(n,)`` number of each one's class, and the classes' names; None and nothing where they have none.
    skipped
        Name and reason of each that could not be read.
    """

    codes: np.ndarray = field(repr=False)
    thumbnails: np.ndarray = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    labels: np.ndarray | None
    classes: tuple[str, ...]
    skipped: tuple[str, ...]


def read_codes(
    net: Network,
    images: Any,
    layer: Layer,
    labels: Any = None,
    *,
    pool: str = "mean",
    given: Given | None = None,
    batch: int = 32,
    progress: bool = True,
) -> Codes:
    """Run pictures through a network once, and keep the code of each.

    Parameters
    ----------
    net, layer
        The network and its layer.
    images, labels
        As `diamond.inspection.embed.embed` takes them.
    pool
        ``"mean"``, ``"max"`` or ``"flatten"``.
    given
        Values of the network's other inputs by address, where it has several.
    batch
        How many pictures at a time.
    progress
        Whether to show a progress bar, from 64 pictures on.

    Raises
    ------
    PictureError, SoundError, SamplesError
        Where nothing can be read, and for labels that do not fit.
    ValueError
        For another pool, codes that are NaN or infinite, and codes too large for memory.
    """
    if pool not in POOLS:
        near = difflib.get_close_matches(str(pool), POOLS, n=1, cutoff=0.0)
        raise ValueError(f"no pool {pool!r}; expected one of {', '.join(POOLS)}; did you mean {near[0]!r}?")
    samples, sources = _labelled(net, images, labels)
    told: list[list[Any]] = []
    if samples is None:
        sources = _taken_apart(sources, told)
    of_patches = net.input.audio is not None
    codes: list[np.ndarray] = []
    thumbnails: list[np.ndarray] = []
    names: list[str] = []
    places: list[int] = []
    held = 0
    reading = stream(net, sources, given=given, batch=batch, progress=progress)
    for part in reading:
        values = code_of(net, part.pictures, layer, pool=pool, given=part.given)
        for row, code in enumerate(values):
            if not np.isfinite(code).all():
                raise ValueError(f"{layer.name!r} gives NaN or infinity for {part.names[row]}")
        held += values.nbytes
        if held > MOST_BYTES:
            hint = "; pool='mean' needs far less" if pool == "flatten" else "; give fewer pictures, or another layer"
            raise ValueError(
                f"codes of {values.shape[1]:,} values a picture take more than {MOST_BYTES / 1e9:g} GB from picture "
                f"{len(codes) + 1:,} on{hint}"
            )
        codes.extend(values)
        names.extend(part.names)
        places.extend(part.places.tolist())
        thumbnails.extend(_thumbnail(picture) for picture in part.pictures)
    first = _first_rows(places) if of_patches else np.arange(len(codes))
    matrix = np.stack(codes)
    if of_patches:
        # The patches of a sound come one after the other.
        counts = np.diff(np.append(first, len(places)))
        matrix = np.add.reduceat(matrix, first, axis=0) / counts[:, None].astype(np.float32)
        names = [name.rsplit(" ", 2)[0] for name in names]
    owners = [places[i] for i in first]
    numbers: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    words = tuple(names[i] for i in first)
    if samples is not None:
        numbers, classes = samples.labels[owners], samples.classes
        words = tuple(samples.names[i] for i in owners)
    elif any(told):
        of = read_samples(list(range(len(owners))), _labels_of(told, owners))
        numbers, classes = of.labels, of.classes
    return Codes(matrix, np.stack([thumbnails[i] for i in first]), words, numbers, classes, reading.skipped)


def code_of(
    net: Network, pictures: np.ndarray, layer: str | Layer, *, pool: str, given: Given | None = None
) -> np.ndarray:
    """Give the codes ``(batch, values)`` of ``(batch, height, width, 3)``, the network's other inputs given."""
    node, entry = net.node(layer), picture_input(net, given)

    def build() -> Any:
        def compute(batch: Any, others: Any) -> Any:
            [values] = net.graph.evaluate(feeds_of(net, entry, batch, others), [node])
            values = tf.cast(values, tf.float32)
            places = list(range(1, values.shape.rank - 1))
            if pool == "flatten" or not places:
                return tf.reshape(values, [tf.shape(values)[0], -1])
            return (tf.reduce_mean if pool == "mean" else tf.reduce_max)(values, places)

        return compute

    run = net.compiled(("codes", pool, entry.address, node.address), build)
    rows = {name: np.repeat(v, len(pictures), axis=0) if len(v) == 1 else v for name, v in (given or {}).items()}
    found: np.ndarray = run(tf.constant(pictures), {name: tf.constant(v) for name, v in rows.items()}).numpy()
    return found


def _labelled(net: Network, images: Any, labels: Any) -> tuple[Samples | None, Any]:
    """Find classes where they are given beside pictures, or are the folders of a folder."""
    if isinstance(images, Samples):
        return images, list(images.sources)
    is_list = isinstance(images, list | tuple) or hasattr(images, "__array__")
    if labels is not None and labels is not False:
        sources = images
        if not is_list:
            sources = [source for _, source in sources_of(net, images)[0]]
        samples = read_samples(sources, labels)
        return samples, list(samples.sources)
    is_path = isinstance(images, str | Path)
    if is_path and labels is None and (Path(images).expanduser().is_dir() or str(images).endswith(_ARCHIVES)):
        try:
            samples = read_samples(images)
        except SamplesError:
            if not Path(images).expanduser().is_dir():
                raise
            return None, images
        return samples, list(samples.sources)
    return None, images


_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


def _taken_apart(images: Any, told: list[list[Any]]) -> Any:
    """Take the labels of a data set's ``(pictures, labels)`` down while its pictures are read."""
    one = isinstance(images, str | Path | list | tuple | Image.Image | np.ndarray) or not isinstance(images, Iterable)
    if one or hasattr(images, "__array__"):
        return images

    def pictures() -> Iterator[Any]:
        for element in images:
            told.append(_each_label(element) if isinstance(element, tuple) else [])
            yield element[0] if isinstance(element, tuple) else element

    return pictures()


def _each_label(element: tuple[Any, ...]) -> list[Any]:
    batched = len(np.shape(element[0])) == 4
    labels = np.asarray(element[1])
    return list(labels) if batched else [labels]


def _labels_of(told: list[list[Any]], owners: list[int]) -> list[Any]:
    """Give the label of each row by the source it is from; a source may be a batch."""
    given: list[Any] = []
    seen: dict[int, int] = {}
    for owner in owners:
        row = seen.get(owner, 0)
        seen[owner] = row + 1
        if row >= len(told[owner]):
            raise SamplesError(
                f"{len(told[owner])} labels beside source {owner}, which holds more; expected one for each"
            )
        given.append(told[owner][row])
    return given


def _first_rows(places: list[int]) -> np.ndarray:
    """Give the first row of each source."""
    found: np.ndarray = np.flatnonzero(np.diff(np.array(places), prepend=-1))
    return found


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    pixels = np.rint(np.clip(visible(picture), 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    return np.asarray(image)
