"""TF-slim's variable conventions: from the names and layouts of its checkpoints to those of Keras.

::

        arrays = read_tf_checkpoint(Path("inception_v2.ckpt"))
        sorted(n for n in arrays if n.startswith("InceptionV2/Conv2d_2b_1x1"))[-1]
        # 'InceptionV2/Conv2d_2b_1x1/weights'
        from_slim(arrays, {"InceptionV2/Conv2d_2b_1x1": "Conv2d_2b_1x1"})["Conv2d_2b_1x1/kernel"].shape
        # (1, 1, 64, 64)

TF-slim names a variable by the scope of its layer and one of eight fields, and all its networks share them. So an
architecture only says which *scope* is which of its layers; the fields and layouts are turned here:

* ``weights`` is a kernel of height, width, input, output, as in Keras. TF-slim ends many networks in a convolution over
  the whole picture where Keras has a dense layer: its kernel is flattened for the layers named in `dense`.
* ``depthwise_weights`` is the kernel of a ``DepthwiseConv2D``; beside ``pointwise_weights`` in one scope it is the first
  kernel of a ``SeparableConv2D``.
* ``BatchNorm`` below a scope is the layer ``<layer>_bn``, unless the map names that scope itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from modelzoo.weights.errors import WeightsError

__all__ = ["from_slim", "trained_only"]

# What TensorFlow 1 keeps beside each variable: an optimizer's slots, and the average over the steps of training.
BESIDE = (
    *("Adadelta", "Adagrad", "Adam", "Adam_1", "Ftrl", "Ftrl_1", "Momentum", "RMSProp", "RMSProp_1", "RMSProp_2"),
    "ExponentialMovingAverage",
)
COUNTERS = ("global_step", "beta1_power", "beta2_power", "train_op/beta1_power", "train_op/beta2_power")
NORMALISATION = "BatchNorm"
NORMALISATION_FIELDS = ("beta", "gamma", "moving_mean", "moving_variance")


def trained_only(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Leave out what training keeps beside the weights, by name.

    Parameters
    ----------
    arrays
        A checkpoint's arrays by name.

    Returns
    -------
    dict
        The arrays without step counters, optimizer slots and moving averages, in their order.
    """
    kept = {}
    for name, array in arrays.items():
        variable, _, last = name.rpartition("/")
        # A slot or average stands below the variable it belongs to; a layer may be called "Adam" all the same.
        if name in COUNTERS or (last in BESIDE and variable in arrays):
            continue
        kept[name] = array
    return kept


def from_slim(
    arrays: Mapping[str, np.ndarray],
    layers: Mapping[str, str],
    *,
    dense: Collection[str] = (),
    skip: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Name a TF-slim checkpoint's arrays as Keras does, and turn their layout.

    Parameters
    ----------
    arrays
        The checkpoint's arrays by name.
    layers
        ``{scope: layer}``: ``{"InceptionV2/Conv2d_2b_1x1": "Conv2d_2b_1x1"}``. A scope that ends in ``/BatchNorm`` may
        be given too, for a network whose normalisation is not called ``<layer>_bn``.
    dense
        Layers that are dense in Keras: ``(height, width, input, output)`` becomes ``(height * width * input, output)``.
    skip
        Beginnings of names that the network leaves out on purpose, such as ``"InceptionV4/AuxLogits/"``.

    Returns
    -------
    dict
        ``{"Conv2d_2b_1x1/kernel": array, ...}``. An array that belongs to no layer keeps its own name, so that it is
        found. Step counters, optimizer slots and moving averages are left out.

    Raises
    ------
    WeightsError
        Where two arrays come to one name, or the kernel of a dense layer has no two axes to make of it.
    """
    trained = trained_only(arrays)
    renamed: dict[str, np.ndarray] = {}
    for name, array in trained.items():
        if name.startswith(tuple(skip)):
            continue
        scope, _, field = name.rpartition("/")
        separable = f"{scope}/depthwise_weights" in trained and f"{scope}/pointwise_weights" in trained
        address = _address(scope, field, layers, separable=separable) or name
        layer = address.rpartition("/")[0]
        if layer in dense and field == "weights":
            if array.ndim < 2:
                raise WeightsError(f"{name} has shape {array.shape}; expected the kernel of a dense layer, 2 or 4 axes")
            array = array.reshape(-1, array.shape[-1])
        if address in renamed:
            raise WeightsError(f"{name} would be the second array called {address}; the checkpoint names it twice")
        renamed[address] = array
    return renamed


def _address(scope: str, field: str, layers: Mapping[str, str], *, separable: bool) -> str | None:
    if field in NORMALISATION_FIELDS:
        layer = layers.get(scope)
        parent, _, last = scope.rpartition("/")
        if layer is None and last == NORMALISATION and parent in layers:
            layer = f"{layers[parent]}_bn"
        return None if layer is None else f"{layer}/{field}"
    fields = {
        "weights": "kernel",
        "biases": "bias",
        "depthwise_weights": "depthwise_kernel" if separable else "kernel",
        "pointwise_weights": "pointwise_kernel",
    }
    layer = layers.get(scope)
    return None if layer is None or field not in fields else f"{layer}/{fields[field]}"
