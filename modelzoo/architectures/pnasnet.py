"""PNASNet-5: one cell, found by a progressive search, repeated from the stem to the classifier.

    >>> model = build(input_shape=(224, 224, 3), filters=54, cells=9, stem=32)   # large: 216, 12, 96
    >>> model.get_layer("cell_stem_0_concat").output.shape, model.get_layer("cell_8_concat").output.shape
    ((None, 56, 56, 65), (None, 7, 7, 1080))

A cell has two *states* to begin with, what the cell before gave (state 0) and what the one before that gave (state 1),
both brought to the cell's own width. Five times two states are put through an operation each and added, which makes a
new state; the five sums are concatenated. There is no cell of another kind: where the picture shrinks, the same cell
works with stride 2 on its first two states.

Layers are called as the variables of the published checkpoints, ``_`` for ``/``:
``cell_0_comb_iter_3_left_separable_3x3_1`` is the first convolution of the fourth sum's left half in the first cell,
``cell_0_comb_iter_3_add`` that sum and ``cell_0_concat`` what the cell gives.

The auxiliary head, which helped in training and answers nothing, is not built; paths are not dropped.

Liu et al., "Progressive Neural Architecture Search" (ECCV 2018), figure 1 and section 4.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from modelzoo.architectures.nasnet_units import Unit, from_slim_units, from_torch_units

__all__ = ["build", "from_tf_checkpoint", "from_torch"]

REDUCTIONS = 2
IMAGENET = 1000
# Far below any score of a trained network: after softmax nothing of it is left in float32.
NEVER = -100.0


class _Half(NamedTuple):
    """One operation of a cell and the state it reads."""

    kind: str
    size: int
    state: int


class _Cell(NamedTuple):
    name: str
    filters: int
    stride: int
    # What stands between the cell before the last and state 1: "nothing", "projection" or "reduction".
    previous: str


SUMS: tuple[tuple[_Half, _Half], ...] = (
    (_Half("separable", 5, 1), _Half("pool", 3, 1)),
    (_Half("separable", 7, 0), _Half("pool", 3, 0)),
    (_Half("separable", 5, 0), _Half("separable", 3, 0)),
    (_Half("separable", 3, 4), _Half("pool", 3, 0)),
    (_Half("separable", 3, 1), _Half("identity", 1, 0)),
)
SIDES = ("left", "right")


def build(
    *,
    filters: int = 216,
    cells: int = 12,
    stem: int = 96,
    dropout: float = 0.5,
    input_shape: tuple[int | None, int | None, int] = (331, 331, 3),
    classes: int = 1001,
    name: str = "pnasnet",
) -> keras.Model:
    """Build a PNASNet-5 with random weights.

    Parameters
    ----------
    filters
        Channels of a state in the first cells, doubled at each of the two reductions: 216 for the large network, 54
        for the mobile one.
    cells
        Number of cells behind the two of the stem: 12 for the large network, 9 for the mobile one.
    stem
        Channels of the first convolution: 96 and 32.
    dropout
        Rate before the classifier.
    input_shape
        ``(height, width, 3)`` of images already scaled to (-1, 1).
    classes
        Number of outputs; the published networks have 1001, of which the first is "background".
    name
        Name of the Keras model.

    Returns
    -------
    keras.Model
        Functional; gives ``(batch, classes)`` probabilities, its logits are the layer ``"logits"``.

    Raises
    ------
    ValueError
        Where there are fewer than three cells, so that the reductions have no cells to stand in.
    """
    if cells <= REDUCTIONS:
        raise ValueError(f"cells is {cells}; expected {REDUCTIONS + 1} or more, for {REDUCTIONS} of them reduce")
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(stem, 3, 2, use_bias=False, name="conv0")(image)
    before, x = None, _normalised(x, "conv0_bn")
    for cell in _cells(filters, cells):
        before, x = x, _cell(cell, before, x)
    x = layers.ReLU(name="final_relu")(x)
    x = layers.GlobalAveragePooling2D(name="final_pool")(x)
    x = layers.Dropout(dropout, name="final_dropout")(x)
    logits = layers.Dense(classes, name="logits")(x)
    return keras.Model(image, layers.Softmax(name="probabilities")(logits), name=name)


def from_tf_checkpoint(
    arrays: Mapping[str, np.ndarray], *, filters: int = 216, cells: int = 12, **options: Any
) -> dict[str, np.ndarray]:
    """Name the arrays of a TF-slim checkpoint as `build` names its weights.

    Parameters
    ----------
    arrays
        ``{"cell_0/1x1/weights": array, ...}``.
    filters, cells, options
        As given to `build`.

    Returns
    -------
    dict
        ``{"cell_0_1x1/kernel": array, ...}``. An array that no layer has keeps its own name; those of the auxiliary
        head are left out.

    Raises
    ------
    WeightsError
        Where two arrays come to one name.
    """
    return from_slim_units(arrays, _units(filters, cells))


def from_torch(
    tensors: Mapping[str, np.ndarray], *, filters: int = 216, cells: int = 12, **options: Any
) -> dict[str, np.ndarray]:
    """Name a PyTorch state dict of timm's ``pnasnet5large`` as `build` names its weights, and turn its layout.

    Timm's published weights have 1000 outputs. The "background" that was cut off is put back as output 0: it scores
    -100 for any picture, so that it takes no probability. Any other number of outputs is left as it is.

    Parameters
    ----------
    tensors
        Arrays under timm's names (``conv_0.conv.weight``, ``cell_0.comb_iter_4_left.bn_sep_1.running_mean``).
    filters, cells, options
        As given to `build`.

    Returns
    -------
    dict
        ``{"conv0/kernel": array, ...}``. A tensor that no layer has keeps its own name.

    Raises
    ------
    WeightsError
        Where a kernel has not as many axes as its layer's.
    """
    return _with_background(from_torch_units(tensors, _units(filters, cells)))


def _with_background(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    kernel, bias = arrays.get("logits/kernel"), arrays.get("logits/bias")
    if kernel is None or bias is None or (kernel.shape[-1], *bias.shape) != (IMAGENET, IMAGENET):
        return arrays
    return arrays | {
        "logits/kernel": np.pad(kernel, ((0, 0), (1, 0))),
        "logits/bias": np.pad(bias, (1, 0), constant_values=NEVER),
    }


def _cells(filters: int, cells: int) -> Iterator[_Cell]:
    reducing = {cells * number // (REDUCTIONS + 1) for number in range(1, REDUCTIONS + 1)}
    plan = [("cell_stem_0", filters // 4, 2), ("cell_stem_1", filters // 2, 2)]
    scale = 1
    for number in range(cells):
        stride = 2 if number in reducing else 1
        scale *= stride
        plan.append((f"cell_{number}", filters * scale, stride))
    previous = "nothing"
    for name, width, stride in plan:
        yield _Cell(name, width, stride, previous)
        previous = "reduction" if stride == 2 else "projection"


def _cell(cell: _Cell, before: Any, x: Any) -> Any:
    name = cell.name
    # The stem's first cell has nothing before it: the picture's first convolution serves as both states.
    state = x if cell.previous == "nothing" else _previous(cell, before)
    x = layers.ReLU(name=f"{name}_relu")(x)
    states = [_convolved(x, cell.filters, f"{name}_1x1", f"{name}_beginning_bn"), state]
    for number, halves in enumerate(SUMS):
        both = [
            _half(half, states[half.state], cell, f"{name}_comb_iter_{number}_{side}")
            for side, half in zip(SIDES, halves, strict=True)
        ]
        states.append(layers.Add(name=f"{name}_comb_iter_{number}_add")(both))
    return layers.Concatenate(name=f"{name}_concat")(states[2:])


def _previous(cell: _Cell, x: Any) -> Any:
    name = cell.name
    x = layers.ReLU(name=f"{name}_prev_relu")(x)
    if cell.previous == "projection":
        return _convolved(x, cell.filters, f"{name}_prev_1x1", f"{name}_prev_bn")
    half = cell.filters // 2
    even = layers.Conv2D(half, 1, 2, use_bias=False, name=f"{name}_path1_conv")(x)
    # The second path sees the places the first one steps over: one further to the right and down.
    shifted = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_path2_pad")(x)
    shifted = layers.Cropping2D(((1, 0), (1, 0)), name=f"{name}_path2_crop")(shifted)
    odd = layers.Conv2D(cell.filters - half, 1, 2, use_bias=False, name=f"{name}_path2_conv")(shifted)
    return _normalised(layers.Concatenate(name=f"{name}_path_concat")([even, odd]), f"{name}_final_path_bn")


def _half(half: _Half, x: Any, cell: _Cell, name: str) -> Any:
    # Only the cell's first two states have the size from before the cell.
    stride = cell.stride if half.state < 2 else 1
    if half.kind == "separable":
        return _separable_twice(x, cell.filters, half.size, stride, name)
    if half.kind == "pool":
        x = layers.MaxPooling2D(half.size, stride, padding="same", name=f"{name}_max_pool")(x)
        return _convolved(x, cell.filters, f"{name}_1x1", f"{name}_bn_1") if _is_foreign(half, cell) else x
    if stride == 1:
        return x
    return _convolved(layers.ReLU(name=f"{name}_relu")(x), cell.filters, f"{name}_1x1", f"{name}_bn_1", stride)


def _is_foreign(half: _Half, cell: _Cell) -> bool:
    """Whether the state is not of the cell's own width: in the stem's first cell, state 1 is the first convolution."""
    return half.state == 1 and cell.previous == "nothing"


def _separable_twice(x: Any, filters: int, size: int, stride: int, name: str) -> Any:
    for number, step in ((1, stride), (2, 1)):
        kind = f"{size}x{size}_{number}"
        x = layers.ReLU(name=f"{name}_relu_{number}")(x)
        convolution = layers.SeparableConv2D(
            filters, size, step, padding="same", use_bias=False, name=f"{name}_separable_{kind}"
        )
        x = _normalised(convolution(x), f"{name}_bn_sep_{kind}")
    return x


def _convolved(x: Any, filters: int, name: str, bn: str, stride: int = 1) -> Any:
    return _normalised(layers.Conv2D(filters, 1, stride, use_bias=False, name=name)(x), bn)


def _normalised(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.9997, name=name)(x)


def _units(filters: int, cells: int) -> Iterator[Unit]:
    yield _unit("conv0", "conv_0.conv", "convolution")
    yield _unit("conv0_bn", "conv_0.bn", "normalisation")
    for cell in _cells(filters, cells):
        yield from _cell_units(cell)
    yield Unit("final_layer/FC", "last_linear", "logits", "dense")


def _unit(slim: str, torch: str, kind: str) -> Unit:
    return Unit(slim, torch, slim.replace("/", "_"), kind)


def _cell_units(cell: _Cell) -> Iterator[Unit]:
    name = cell.name
    yield _unit(f"{name}/1x1", f"{name}.conv_1x1.conv", "convolution")
    yield _unit(f"{name}/beginning_bn", f"{name}.conv_1x1.bn", "normalisation")
    if cell.previous == "projection":
        yield _unit(f"{name}/prev_1x1", f"{name}.conv_prev_1x1.conv", "convolution")
        yield _unit(f"{name}/prev_bn", f"{name}.conv_prev_1x1.bn", "normalisation")
    if cell.previous == "reduction":
        yield _unit(f"{name}/path1_conv", f"{name}.conv_prev_1x1.path_1.conv", "convolution")
        yield _unit(f"{name}/path2_conv", f"{name}.conv_prev_1x1.path_2.conv", "convolution")
        yield _unit(f"{name}/final_path_bn", f"{name}.conv_prev_1x1.final_path_bn", "normalisation")
    for number, halves in enumerate(SUMS):
        for side, half in zip(SIDES, halves, strict=True):
            slim, torch = f"{name}/comb_iter_{number}/{side}", f"{name}.comb_iter_{number}_{side}"
            if half.kind == "separable":
                for step in (1, 2):
                    window = f"{half.size}x{half.size}_{step}"
                    yield _unit(f"{slim}/separable_{window}", f"{torch}.separable_{step}", "separable")
                    yield _unit(f"{slim}/bn_sep_{window}", f"{torch}.bn_sep_{step}", "normalisation")
            elif _is_foreign(half, cell) or (half.kind == "identity" and cell.stride == 2):
                yield _unit(f"{slim}/1x1", f"{torch}.conv", "convolution")
                yield _unit(f"{slim}/bn_1", f"{torch}.bn", "normalisation")
