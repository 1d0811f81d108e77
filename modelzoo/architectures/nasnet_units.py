"""What the searched networks' weights are called, by TF-slim and by timm.

A *unit* is a layer with weights under its three names::

        unit = Unit("cell_0/prev_bn", "cell_0.conv_prev_1x1.bn", "cell_0_prev_bn", "normalisation")
        from_slim_units(arrays, [unit])["cell_0_prev_bn/gamma"]
        from_torch_units(tensors, [unit])["cell_0_prev_bn/gamma"]

NASNet-A and PNASNet-5 were published by the same people and carried to PyTorch by the same hands, so an architecture
only lists its units; how a variable of a unit of each kind is called, and how its array is turned, is said here once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from modelzoo.weights.slim import from_slim
from modelzoo.weights.torch_state import convolution_kernel, dense_kernel, depthwise_kernel

__all__ = ["Unit", "from_slim_units", "from_torch_units"]

# By kind: what follows timm's name of the unit, the variable in Keras, and what turns the array.
TORCH_FIELDS: Mapping[str, tuple[tuple[str, str, Callable[[np.ndarray], np.ndarray]], ...]] = {
    "convolution": ((".weight", "kernel", convolution_kernel),),
    "separable": (
        (".depthwise_conv2d.weight", "depthwise_kernel", depthwise_kernel),
        (".pointwise_conv2d.weight", "pointwise_kernel", convolution_kernel),
    ),
    "normalisation": (
        (".weight", "gamma", np.asarray),
        (".bias", "beta", np.asarray),
        (".running_mean", "moving_mean", np.asarray),
        (".running_var", "moving_variance", np.asarray),
    ),
    "dense": ((".weight", "kernel", dense_kernel), (".bias", "bias", np.asarray)),
}


class Unit(NamedTuple):
    """A layer with weights.

    Attributes
    ----------
    slim, torch, layer
        TF-slim's scope, timm's module, and the layer here.
    kind
        ``"convolution"``, ``"separable"``, ``"normalisation"`` or ``"dense"``.
    """

    slim: str
    torch: str
    layer: str
    kind: str


def from_slim_units(arrays: Mapping[str, np.ndarray], units: Iterable[Unit]) -> dict[str, np.ndarray]:
    """Name the arrays of a TF-slim checkpoint after the layers of `units`.

    The published checkpoints come straight from training: beside each variable stand its moving average and what the
    optimizer kept. The variables themselves are taken, as TF-slim's own evaluation of them does, and the auxiliary head
    is left out.

    Returns
    -------
    dict
        ``{"layer/variable": array}``. An array that no unit has keeps its own name.

    Raises
    ------
    WeightsError
        Where two arrays come to one name.
    """
    return from_slim(arrays, {unit.slim: unit.layer for unit in units}, skip=("aux_",))


def from_torch_units(tensors: Mapping[str, np.ndarray], units: Iterable[Unit]) -> dict[str, np.ndarray]:
    """Name timm's tensors after the layers of `units`, and turn them to Keras' layout.

    Returns
    -------
    dict
        ``{"layer/variable": array}``. A tensor that no unit has keeps its own name; the counters of PyTorch's batch
        normalisation are left out.

    Raises
    ------
    WeightsError
        Where a kernel has not as many axes as its layer's.
    """
    known = {
        unit.torch + suffix: (f"{unit.layer}/{variable}", turn)
        for unit in units
        for suffix, variable, turn in TORCH_FIELDS[unit.kind]
    }
    renamed = {}
    for name, array in tensors.items():
        if name.endswith(".num_batches_tracked"):
            continue
        address, turn = known.get(name, (name, np.asarray))
        renamed[address] = turn(array)
    return renamed
