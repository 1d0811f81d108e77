"""One pass over the data, and what every cut makes of it.

    >>> from diamond.transfer.samples import read_samples
    >>> from diamond.transfer.cuts import cut_layers
    >>> found = scan(net, read_samples("textures/val"), cut_layers(net)[:2])
    >>> found.features["stem_relu"].shape                     # means over places
    (12, 32)
    >>> found.labels.shape, found.skipped
    ((12,), ())

Pictures are read once and go through the network once, which gives all cuts together: a scan of twelve cuts takes little
more than one forward pass. Of each cut only the means over places are kept, in memory, or on disk where they are many.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diamond.attribution.streams import stream
from diamond.transfer.samples import Samples
from modelzoo import Layer, Network
from modelzoo.graph import Node

__all__ = ["Scan", "scan"]

BATCH = 32
# More than so many bytes of features go to the disk.
MOST_BYTES = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Scan:
    """What the cuts of a network give for samples.

    Attributes
    ----------
    features
        By the layers' addresses, in order: ``(n, channel)`` float32, the mean over places; of a sound over its patches.
    largest
        By the layers' addresses ``(channel,)``: the largest absolute value anywhere in all samples.
    labels
        ``(n,)`` classes of the samples that could be read.
    rows
        ``(n,)`` their numbers among all samples.
    skipped
        Name and reason of each that could not.
    seconds
        How long the pass took, reading and compiling included.
    """

    features: Mapping[str, np.ndarray] = field(repr=False)
    largest: Mapping[str, np.ndarray] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)
    skipped: tuple[str, ...]
    seconds: float

    def dead(self, layer: str) -> np.ndarray:
        """Numbers of the channels that are 0 everywhere, in all samples."""
        found: np.ndarray = np.flatnonzero(self.largest[layer] == 0)
        return found

    def idle(self, layer: str) -> np.ndarray:
        """Numbers of the channels that are not dead, and whose mean is the same for all samples."""
        spread = self.features[layer].std(axis=0)
        alive = self.largest[layer] > 0
        found: np.ndarray = np.flatnonzero(alive & (spread <= 1e-6 * np.maximum(self.largest[layer], 1e-12)))
        return found


def scan(
    net: Network,
    samples: Samples,
    cuts: Sequence[Layer],
    *,
    batch: int = BATCH,
    most_bytes: int = MOST_BYTES,
    progress: bool = True,
) -> Scan:
    """Run samples through a network once, and keep what each cut gives.

    Parameters
    ----------
    net
        The network.
    samples
        Pictures or sounds with classes.
    cuts
        Layers of maps or vectors.
    batch
        How many at a time.
    most_bytes
        What features may take in memory; more is kept in a temporary file, which goes with the result.
    progress
        Whether to show a progress bar.

    Raises
    ------
    PictureError, SoundError
        Where none can be read.
    ValueError
        For features that are NaN or infinite, naming the layer.

    Warns
    -----
    UserWarning
        Where some could not be read.
    """
    begin = time.perf_counter()
    nodes = [net.node(layer) for layer in cuts]
    run = net.compiled(("scan", *(node.address for node in nodes)), lambda: _pooled(net, nodes))
    names = [layer.name for layer in cuts]
    sums = {layer.name: _room(len(samples), layer.channels, len(samples) * _width(cuts), most_bytes) for layer in cuts}
    largest = {layer.name: np.zeros(layer.channels, np.float32) for layer in cuts}
    counts = np.zeros(len(samples), np.int64)
    reading = stream(net, list(samples.sources), batch=batch, progress=False)
    with tqdm(total=len(samples), unit="sample", desc="scan", disable=not progress) as bar:
        for one in reading:
            n = len(one.pictures)
            # A short last batch is filled up: another length would be compiled anew.
            filled = np.concatenate([one.pictures, np.repeat(one.pictures[-1:], batch - n, axis=0)])
            for name, (means, most) in zip(names, run(tf.constant(filled)), strict=True):
                values = means.numpy()[:n]
                if not np.isfinite(values).all():
                    raise ValueError(f"{name!r} gives NaN or infinity for {one.names[0]} or one after it")
                np.add.at(sums[name], one.places, values)
                largest[name] = np.maximum(largest[name], most.numpy())
            bar.update(len(set(one.places.tolist()) - set(np.flatnonzero(counts).tolist())))
            np.add.at(counts, one.places, 1)
    rows = np.flatnonzero(counts)
    features = {name: _means(values, counts, rows) for name, values in sums.items()}
    seconds = time.perf_counter() - begin
    return Scan(features, largest, samples.labels[rows], rows, reading.skipped, seconds)


def _pooled(net: Network, nodes: Sequence[Node]) -> Any:
    def compute(pictures: Any) -> list[tuple[Any, Any]]:
        found = []
        for values in net.forward(pictures, nodes):
            places = list(range(1, values.shape.rank - 1))
            means = tf.reduce_mean(values, places) if places else values
            found.append((tf.cast(means, tf.float32), tf.reduce_max(tf.abs(values), [0, *places])))
        return found

    return compute


def _width(cuts: Sequence[Layer]) -> int:
    return 4 * sum(layer.channels for layer in cuts)


def _room(n: int, channels: int, total: int, most_bytes: int) -> np.ndarray:
    if total <= most_bytes:
        return np.zeros((n, channels), np.float32)
    with tempfile.TemporaryFile(prefix="diamond-scan-") as file:
        # The file has no name any more, and goes with the array.
        return np.memmap(file, np.float32, "w+", shape=(n, channels))


def _means(sums: np.ndarray, counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Divide by the number of patches, in place where all could be read, so that a file stays a file."""
    if len(rows) == len(sums):
        if (counts > 1).any():
            sums /= counts[:, None]
        return sums
    found: np.ndarray = sums[rows] / counts[rows, None]
    return found.astype(np.float32)
