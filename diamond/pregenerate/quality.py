"""How good a sprite is: what it reaches of its channel when it is moved as no optimiser moved it.

    examine = examiner(net, "block9_add", statistic="max", width=32, size=(128, 128))
    examine(images, [3, 11, 24])             # robust activation of each picture's own channel

A picture can excite a channel by one alignment of its pixels, and shows nothing then. So each is shifted, scaled and
turned a little, 32 times, by draws that no optimiser makes, and the mean counts: the *robust activation*. The statistic
is the spatial mean for a recipe that asks for the channel everywhere, the spatial maximum for one that asks for one
place. The maximum of a ReLU6 is taken without its cap: many a photo reaches the cap, and nothing could be told above it.

What real photos reach of the same, unmoved and at the network's own size, is the bar to compare with.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from diamond.features.recipes import Recipe
from diamond.features.renderer import random_stream
from diamond.features.transforms import Gain, Jitter, Rotate, Scale, apply, draw
from modelzoo import Layer, Network

__all__ = [
    "ALIVE",
    "GREY",
    "STATISTICS",
    "Examine",
    "PhotoBests",
    "at_rest",
    "examiner",
    "measured",
    "photo_bests",
    "photo_files",
    "statistic_of",
]

STATISTICS = ("mean", "max")
TRANSFORMS = 32
# Wide enough to punish what only one alignment of the pixels excites, narrow enough to leave the thing in the picture.
SHIFT, LEAST_SCALE, MOST_SCALE, TURN = 1 / 16, 0.92, 1.08, 8
# Of the range of a spectrogram, either way: about 5 dB.
LOUDER = 0.05
# A living channel's sprite adds at least this share of what the best photo adds to flat grey.
ALIVE = 0.05
GREY = 0.5
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".wav", ".flac", ".ogg", ".mp3")
CHUNK = 32

Examine = Callable[[np.ndarray, Sequence[int]], np.ndarray]


@dataclass(frozen=True, eq=False)
class PhotoBests:
    """What photos reach in a layer.

    Attributes
    ----------
    names
        Names of the photos' files.
    best
        ``(channel,)`` the most that any of them reaches.
    which
        ``(channel,)`` number of that photo.
    """

    names: tuple[str, ...]
    best: np.ndarray
    which: np.ndarray


def statistic_of(recipe: Recipe) -> str:
    """Name the statistic of what a recipe asks: the maximum where it asks for one place, the mean for all."""
    return "max" if any(ask[0] in ("neuron", "peak") for ask in recipe.asks) else "mean"


def measured(net: Network, layer: str | Layer) -> Callable[[Any], Any]:
    """Give a function of tensors: pictures ``(batch, height, width, 3)`` to ``(statistic, batch, channel)``.

    Statistics stand in the order of `STATISTICS`.
    """
    node = net.node(layer)
    capped = node.nonlinearity == "relu6"
    wanted = [node, net.graph.nodes[node.inputs[0].node]] if capped else [node, node]

    def of(pictures: Any) -> Any:
        values, whole = net.forward(pictures, wanted)
        places = list(range(1, values.shape.rank - 1))
        strongest = tf.nn.relu(whole) if capped else whole
        if not places:
            return tf.stack([values, strongest])
        return tf.stack([tf.reduce_mean(values, places), tf.reduce_max(strongest, places)])

    return of


def examiner(net: Network, layer: str | Layer, *, statistic: str, width: int, size: tuple[int, int]) -> Examine:
    """Give a function that measures the robust activation of each picture's own channel.

    Parameters
    ----------
    net, layer
        Whose channels.
    statistic
        ``"mean"`` or ``"max"`` over the layer's places.
    width
        Most pictures a call; fewer are padded, so that the numbers do not depend on how many there are.
    size
        ``(height, width)`` of the pictures.

    Returns
    -------
    function
        Of images, float32 ``(n, height, width, colours)`` in [0, 1], and their ``n`` channel numbers; gives ``(n,)``.
    """
    moves: tuple[Any, ...] = (Jitter(SHIFT * min(size)), Scale(LEAST_SCALE, MOST_SCALE), Rotate(TURN))
    if net.input.audio is not None:
        # Another frequency is another sound.
        moves = (Jitter(1, across_px=SHIFT * size[1]), Gain(LOUDER))
    # Optimisers draw from streams labelled by their objectives, so this one is nobody's.
    drawn = draw(moves, [random_stream(0, "benchmark", "judge")], steps=TRANSFORMS, size=size)
    colours = 1 if net.input.channels == 1 else 3
    of, row = measured(net, layer), STATISTICS.index(statistic)

    def once(pictures: Any, channels: Any, now: Any) -> Any:
        same = {name: tf.repeat(values, width, axis=0) for name, values in now.items()}
        values = of(net.from_canvas(apply(moves, pictures, same)))[row]
        return tf.gather(values, channels, axis=-1, batch_dims=1)

    signature = [
        tf.TensorSpec((width, *size, colours), tf.float32),
        tf.TensorSpec((width,), tf.int32),
        {name: tf.TensorSpec(values.shape[1:], values.dtype) for name, values in drawn.items()},
    ]
    run = tf.function(once, input_signature=signature, autograph=False)

    def examine(images: np.ndarray, channels: Sequence[int]) -> np.ndarray:
        n = len(images)
        if n > width:
            raise ValueError(f"{n} pictures; this examiner takes {width} at once")
        pictures = tf.constant(np.concatenate([images, np.repeat(images[-1:], width - n, axis=0)]), tf.float32)
        numbers = tf.constant([*channels, *[channels[-1]] * (width - n)], tf.int32)
        total = np.zeros(n)
        for step in range(TRANSFORMS):
            now = {name: tf.constant(values[step]) for name, values in drawn.items()}
            total += run(pictures, numbers, now).numpy()[:n]
        return total / TRANSFORMS

    return examine


def at_rest(net: Network, layer: str | Layer, *, statistic: str, size: tuple[int, int]) -> np.ndarray:
    """Measure what flat grey reaches of every channel, ``(channel,)``; it looks the same however it is moved."""
    of, row = measured(net, layer), STATISTICS.index(statistic)
    run = tf.function(lambda pictures: of(pictures)[row], autograph=False)
    grey = np.full((1, *size, 1 if net.input.channels == 1 else 3), GREY, np.float32)
    reached: np.ndarray = run(net.from_canvas(tf.constant(grey))).numpy()[0]
    return reached


def photo_files(folder: str | Path) -> tuple[Path, ...]:
    """List the pictures (or sounds) of a folder and the folders in it, by name.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder, or nothing in it that can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder} with photos")
    found = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES))
    if not found:
        raise FileNotFoundError(f"no photos in {folder}; expected files that end in {', '.join(SUFFIXES)}")
    return found


def photo_bests(
    net: Network, layers: Sequence[Layer], statistics: Sequence[str], files: Sequence[Path]
) -> list[PhotoBests]:
    """Find the most that any photo reaches of each channel, unmoved, at the network's own size.

    Parameters
    ----------
    layers, statistics
        The layers, and for each ``"mean"`` or ``"max"``; all are measured in one pass over the files.
    files
        Of the photos. One that cannot be read is passed over, with a warning.

    Returns
    -------
    list of PhotoBests
        One a layer.
    """
    functions = [measured(net, layer) for layer in layers]
    run = tf.function(lambda pictures: [of(pictures) for of in functions], autograph=False, reduce_retracing=True)
    rows = [STATISTICS.index(statistic) for statistic in statistics]
    reached: list[list[np.ndarray]] = [[] for _ in layers]
    names: list[str] = []
    for start in range(0, len(files), CHUNK):
        pictures, owners = _readable(net, files[start : start + CHUNK])
        if not owners:
            continue
        names += owners
        for kept, row, values in zip(reached, rows, run(tf.constant(pictures)), strict=True):
            kept.append(values[row].numpy())
    if not names:
        raise FileNotFoundError(f"none of {len(files)} photos could be read (the first is {files[0]})")
    found = []
    for kept in reached:
        values = np.concatenate(kept)
        found.append(PhotoBests(tuple(names), values.max(axis=0), values.argmax(axis=0)))
    return found


def _readable(net: Network, files: Sequence[Path]) -> tuple[np.ndarray, list[str]]:
    batches, names = [], []
    for path in files:
        try:
            values = net.read([path])
        except (OSError, ValueError) as error:
            warnings.warn(f"{path} is passed over: {error}", stacklevel=3)
            continue
        batches.append(values)
        # A sound is several patches.
        names += [path.name] * len(values)
    return (np.concatenate(batches), names) if batches else (np.empty(0), names)
