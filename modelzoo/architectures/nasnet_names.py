"""NASNet-A: from TF-slim's and timm's names to those of ``keras.applications``.

    arrays = read_tf_checkpoint("nasnet-a_mobile_04_10_2017/model.ckpt")
    sorted(from_tf_checkpoint(arrays, application="NASNetMobile"))[:2]
    # ['adjust_bn_0/beta', 'adjust_bn_0/gamma']

It is one network under two ways to count. TF-slim numbers the normal cells from 0 to the end and the reductions
apart, ``cell_4`` comes after ``reduction_cell_0``; Keras lets a reduction take a number of the normal cells' as well,
so that ``cell_4`` is ``normal_..._5``. TF-slim calls the five sums of a cell 0 to 4, Keras 1 to 5, but for the last one
of a reduction, whose left half is Keras' ``left4``.

Keras' classifier has no output for "background", TF-slim's output 0.

Keras' reductions are not quite TF-slim's. Where a window of 3 x 3 hangs over the border, Keras puts zeros there before
it takes the greatest or the mean; TF-slim leaves those places out. With random weights the logits differ by 3 per cent
of the largest, the activations at a border by more; with TF-slim's poolings in their place they are equal.

Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition" (CVPR 2018), figure 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from modelzoo.architectures.nasnet_units import Unit, from_slim_units, from_torch_units

__all__ = ["BLOCKS", "from_tf_checkpoint", "from_torch"]

# Normal cells between two reductions, by the application's name.
BLOCKS: Mapping[str, int] = {"NASNetLarge": 6, "NASNetMobile": 4}
BACKGROUND_AND_CLASSES = 1001

# Which halves of which sums are separable convolutions: TF-slim's place, its window, Keras' place.
SEPARABLE: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "normal": (
        ("comb_iter_0/left", "5x5", "left1"),
        ("comb_iter_0/right", "3x3", "right1"),
        ("comb_iter_1/left", "5x5", "left2"),
        ("comb_iter_1/right", "3x3", "right2"),
        ("comb_iter_4/left", "3x3", "left5"),
    ),
    "reduction": (
        ("comb_iter_0/left", "5x5", "left1"),
        ("comb_iter_0/right", "7x7", "right1"),
        ("comb_iter_1/right", "7x7", "right2"),
        ("comb_iter_2/right", "5x5", "right3"),
        ("comb_iter_4/left", "3x3", "left4"),
    ),
}
# How the cell before the last is brought to this one's shape: TF-slim's scope, timm's module, Keras' layer, the kind.
PREVIOUS: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "nothing": (),
    "projection": (
        ("prev_1x1", "conv_prev_1x1.conv", "adjust_conv_projection", "convolution"),
        ("prev_bn", "conv_prev_1x1.bn", "adjust_bn", "normalisation"),
    ),
    "reduction": (
        ("path1_conv", "path_1.conv", "adjust_conv_1", "convolution"),
        ("path2_conv", "path_2.conv", "adjust_conv_2", "convolution"),
        ("final_path_bn", "final_path_bn", "adjust_bn", "normalisation"),
    ),
}
BEGINNING = (
    ("1x1", "conv_1x1.conv", "conv_1", "convolution"),
    ("beginning_bn", "conv_1x1.bn", "bn_1", "normalisation"),
)


class _Cell(NamedTuple):
    slim: str
    kind: str
    number: str
    previous: str


def from_tf_checkpoint(arrays: Mapping[str, np.ndarray], *, application: str, **options: Any) -> dict[str, np.ndarray]:
    """Name the arrays of a TF-slim checkpoint of a NASNet-A as the network of ``keras.applications`` names its weights.

    Parameters
    ----------
    arrays
        ``{"cell_0/1x1/weights": array, ...}``.
    application
        One of `BLOCKS`.
    options
        Further arguments of the builder; they play no part.

    Returns
    -------
    dict
        ``{"normal_conv_1_0/kernel": array, ...}``. An array that no layer has keeps its own name; those of the
        auxiliary head are left out, and of 1001 outputs the first.

    Raises
    ------
    ValueError
        For an application that is no NASNet.
    WeightsError
        Where two arrays come to one name.
    """
    renamed = from_slim_units(arrays, _units(application))
    for address in ("predictions/kernel", "predictions/bias"):
        if address in renamed and renamed[address].shape[-1] == BACKGROUND_AND_CLASSES:
            renamed[address] = renamed[address][..., 1:]
    return renamed


def from_torch(tensors: Mapping[str, np.ndarray], *, application: str, **options: Any) -> dict[str, np.ndarray]:
    """Name a PyTorch state dict of timm's ``nasnetalarge`` as `from_tf_checkpoint` does, and turn its layout.

    Parameters
    ----------
    tensors
        Arrays under timm's names (``conv0.conv.weight``, ``cell_0.comb_iter_0_left.separable_1...``).
    application, options
        As for `from_tf_checkpoint`.

    Returns
    -------
    dict
        ``{"normal_conv_1_0/kernel": array, ...}``. A tensor that no layer has keeps its own name.

    Raises
    ------
    ValueError
        For an application that is no NASNet.
    WeightsError
        Where a kernel has not as many axes as its layer's.
    """
    return from_torch_units(tensors, _units(application))


def _units(application: str) -> Iterator[Unit]:
    if application not in BLOCKS:
        raise ValueError(f"no NASNet-A {application!r}; expected one of {', '.join(BLOCKS)}")
    yield Unit("conv0", "conv0.conv", "stem_conv1", "convolution")
    yield Unit("conv0_bn", "conv0.bn", "stem_bn1", "normalisation")
    for cell in _cells(BLOCKS[application]):
        yield from _cell_units(cell)
    yield Unit("final_layer/FC", "last_linear", "predictions", "dense")


def _cells(blocks: int) -> Iterator[_Cell]:
    yield _Cell("cell_stem_0", "reduction", "stem_1", "nothing")
    yield _Cell("cell_stem_1", "reduction", "stem_2", "reduction")
    for stack in range(3):
        if stack:
            yield _Cell(f"reduction_cell_{stack - 1}", "reduction", f"reduce_{stack * blocks}", "projection")
        for place in range(blocks):
            number = stack * blocks + place
            previous = "projection" if place else "reduction"
            yield _Cell(f"cell_{number}", "normal", str(number + 1 if stack else number), previous)


def _cell_units(cell: _Cell) -> Iterator[Unit]:
    name, kind, number = cell.slim, cell.kind, cell.number
    for slim, torch, layer, what in BEGINNING:
        yield Unit(f"{name}/{slim}", f"{name}.{torch}", f"{kind}_{layer}_{number}", what)
    for slim, torch, layer, what in PREVIOUS[cell.previous]:
        yield Unit(f"{name}/{slim}", f"{name}.{torch}", f"{layer}_{number}", what)
    for half, window, place in SEPARABLE[kind]:
        slim, torch, ours = f"{name}/{half}", f"{name}.{half.replace('/', '_')}", f"{kind}_{place}_{number}"
        for step in (1, 2):
            layer = f"separable_conv_{step}"
            yield Unit(f"{slim}/separable_{window}_{step}", f"{torch}.separable_{step}", f"{layer}_{ours}", "separable")
            yield Unit(
                f"{slim}/bn_sep_{window}_{step}", f"{torch}.bn_sep_{step}", f"{layer}_bn_{ours}", "normalisation"
            )
