"""The pieces TF-slim's Inception networks are made of, under TF-slim's own names.

A block is written down as data, a tuple of branches, each a tuple of steps::

        BLOCK = (
            (Convolution("Conv2d_0a_1x1", 64),),
            (Pool("AvgPool_0a_3x3"), Convolution("Conv2d_0b_1x1", 32)),
        )
        x = mixed(x, "Mixed_3b", BLOCK)             # 64 + 32 channels, the layer "Mixed_3b"
        [layer for _, layer in block_scopes("Mixed_3b", BLOCK)]
        # ['Mixed_3b_Branch_0_Conv2d_0a_1x1', 'Mixed_3b_Branch_1_Conv2d_0b_1x1']

From one table follow the network, the names in TF-slim's checkpoints and those in files of other makers; written three
times they would drift apart. Two conventions hold:

* A layer is called as its TF-slim scope with ``_`` for ``/``, which Keras refuses in names. A *unit* is the convolution
  under that name, its batch normalisation with ``_bn`` and its ReLU with ``_relu`` after it; a block's concatenation
  is called as the block.
* TF-slim writes the size of a window at the end of its name, height first: ``Conv2d_0b_1x7``. It is read from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import layers

from modelzoo.weights.slim import from_slim

__all__ = ["Block", "Convolution", "Fork", "Pool", "block_scopes", "from_slim_blocks", "mixed", "pool", "unit"]

EPSILON = 1e-3
MOMENTUM = 0.9997


class Convolution(NamedTuple):
    """A convolution with batch normalisation and ReLU; `name` as TF-slim's, ending in height x width."""

    name: str
    channels: int
    stride: int = 1
    padding: str = "same"


class Pool(NamedTuple):
    """A pooling; `name` as TF-slim's, ``MaxPool_...`` or ``AvgPool_...``, ending in height x width."""

    name: str
    stride: int = 1
    padding: str = "same"


class Fork(NamedTuple):
    """Two convolutions that both read the step before: the end of a branch."""

    first: Convolution
    second: Convolution


Step = Convolution | Pool | Fork
Block = tuple[tuple[Step, ...], ...]


def window(name: str) -> tuple[int, int]:
    """Height and width that a TF-slim name ends in: ``(1, 7)`` for ``"Conv2d_0b_1x7"``."""
    height, _, width = name.rpartition("_")[2].partition("x")
    return int(height), int(width)


def unit(x: Any, name: str, channels: int, *, stride: int = 1, padding: str = "same") -> Any:
    """Convolution without bias, batch normalisation without gamma, ReLU; the window as the name ends."""
    x = layers.Conv2D(channels, window(name), stride, padding=padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(scale=False, epsilon=EPSILON, momentum=MOMENTUM, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def pool(x: Any, name: str, *, stride: int = 1, padding: str = "same") -> Any:
    """Pooling over a window as the name ends; the average leaves padding out of the count."""
    kind = layers.MaxPooling2D if "MaxPool" in name else layers.AveragePooling2D
    return kind(window(name), stride, padding=padding, name=name)(x)


def mixed(x: Any, name: str, block: Block) -> Any:
    """Run the branches of a block side by side and join their channels in a layer called as the block."""
    ends: list[Any] = []
    for number, branch in enumerate(block):
        scope, y = f"{name}_Branch_{number}", x
        for step in branch:
            if isinstance(step, Fork):
                ends.append(unit(y, f"{scope}_{step.first.name}", step.first.channels))
                y = unit(y, f"{scope}_{step.second.name}", step.second.channels)
            elif isinstance(step, Pool):
                y = pool(y, f"{scope}_{step.name}", stride=step.stride, padding=step.padding)
            else:
                y = unit(y, f"{scope}_{step.name}", step.channels, stride=step.stride, padding=step.padding)
        ends.append(y)
    return layers.Concatenate(name=name)(ends)


def block_scopes(name: str, block: Block) -> Iterator[tuple[str, str]]:
    """Give ``(TF-slim scope, layer here)`` of every convolution of a block, in network order."""
    for number, branch in enumerate(block):
        for step in branch:
            if isinstance(step, Pool):
                continue
            for part in step if isinstance(step, Fork) else (step,):
                scope = f"{name}/Branch_{number}/{part.name}"
                yield scope, scope.replace("/", "_")


def from_slim_blocks(
    arrays: Mapping[str, np.ndarray],
    network: str,
    stem: Sequence[str],
    blocks: Mapping[str, Block],
    *,
    logits: str,
    skip: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Name the TF-slim checkpoint of a network of blocks as Keras does.

    Parameters
    ----------
    arrays
        Arrays under TF-slim's names.
    network
        Scope of the whole network.
    stem, blocks
        Its convolutions before the first block, and its blocks by name.
    logits
        Scope of its classifier, which is the dense layer ``"logits"`` here.
    skip
        Scopes that are left out on purpose.

    Returns
    -------
    dict
        ``{"Mixed_3b_Branch_0_Conv2d_0a_1x1/kernel": array, ...}``. An array no layer has keeps its own name.
    """
    scopes = {name: name for name in stem}
    for block, branches in blocks.items():
        scopes |= dict(block_scopes(block, branches))
    known = {f"{network}/{scope}": layer for scope, layer in {**scopes, logits: "logits"}.items()}
    return from_slim(arrays, known, dense=("logits",), skip=[f"{network}/{scope}/" for scope in skip])
