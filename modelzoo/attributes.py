"""What an operation does, in words of our own.

Keras describes a layer by its configuration, which names things differently from one version to the next and says the
same thing in several ways (``Conv2D`` with one group a channel is a ``DepthwiseConv2D``). A receptive field or a
fingerprint must not depend on that::

    >>> described = describe(net.graph["stem_conv"])
    >>> described["op"], described["kernel"], described["stride"], described["padding"], described["groups"]
    ('convolution', (3, 3), (2, 2), 'same', 1)

A *description* is a dictionary of plain values whose ``op`` says how to read the rest. An operation that is not known
here is described as ``unknown``, by its class and its own plain attributes: distances through it cannot be computed,
its fingerprint still tells it from others.
"""

from __future__ import annotations

from typing import Any

import keras

from modelzoo.graph import Node, Ref

__all__ = ["IDENTITIES", "describe"]

Description = dict[str, Any]

IDENTITIES = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
    keras.layers.ActivityRegularization,
    keras.layers.Identity,
)
# Classes that Keras' own applications define for themselves: named, since they cannot be imported from a public place.
_INNER_IDENTITIES = {"StochasticDepth"}
_INNER_POINTWISE = {"LayerScale"}
_MERGES = {
    "Add": "add",
    "Subtract": "subtract",
    "Multiply": "multiply",
    "Divide": "divide",
    "TrueDivide": "divide",
    "Average": "average",
    "Maximum": "maximum",
    "Minimum": "minimum",
}
_ELEMENTWISE = {"Abs", "Negative", "Exp", "Log", "Sqrt", "Rsqrt", "Square", "Power", "Clip", "Sign", "Cast", "Tanh"}
_REDUCTIONS = {"Mean", "Max", "Sum", "Min", "Var", "Std"}


def describe(node: Node) -> Description:
    """Describe a node: ``op`` and the attributes that decide what it computes, besides its weights.

    Parameters
    ----------
    node
        Whose operation.

    Returns
    -------
    dict
        Plain values only (strings, numbers, booleans, None, tuples of these). ``op`` is one of input, identity,
        convolution, transposed_convolution, dense, pooling, global_pooling, pad, crop, upsample, normalise,
        nonlinearity, affine, merge, concatenate, elementwise, reduce, slice, pad_all, flatten, reshape, unknown.

    Examples
    --------
    >>> described = describe(net.graph["stem_conv"])
    >>> described["op"], described["kernel"], described["stride"], described["padding"]
    ('convolution', (3, 3), (2, 2), 'same')
    """
    if node.is_input:
        return {"op": "input"}
    layer: Any = node.operation
    if node.part != "linear" and node.nonlinearity is not None:
        return _nonlinearity(node, layer)
    if isinstance(layer, IDENTITIES) or node.kind in _INNER_IDENTITIES:
        return {"op": "identity"}
    for kinds, words in _LAYERS:
        if isinstance(layer, kinds):
            return words(layer)
    return _operation(node, layer)


def _nonlinearity(node: Node, layer: Any) -> Description:
    name = str(node.nonlinearity)
    if name == "linear":
        return {"op": "identity"}
    described: Description = {"op": "nonlinearity", "name": name}
    parameters = {
        "leaky_relu": ("negative_slope", "alpha", "max_value", "threshold"),
        "capped_relu": ("max_value", "threshold"),
        "elu": ("alpha",),
        "softmax": ("axis",),
        "log_softmax": ("axis",),
        "gelu": ("approximate",),
    }
    for parameter in parameters.get(name, ()):
        value = getattr(layer, parameter, None)
        if isinstance(value, bool | int | float):
            described[parameter] = value
    return described


def _convolution(layer: Any) -> Description:
    depthwise = isinstance(layer, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D)
    separable = isinstance(layer, keras.layers.SeparableConv1D | keras.layers.SeparableConv2D)
    return {
        "op": "convolution",
        "kernel": tuple(layer.kernel_size),
        "stride": tuple(layer.strides),
        "dilation": tuple(layer.dilation_rate),
        "padding": layer.padding,
        "groups": "depthwise" if depthwise else "separable" if separable else int(layer.groups),
        "bias": bool(layer.use_bias),
    }


def _transposed(layer: Any) -> Description:
    output_padding = layer.output_padding
    rank = len(layer.kernel_size)
    return {
        "op": "transposed_convolution",
        "kernel": tuple(layer.kernel_size),
        "stride": tuple(layer.strides),
        "dilation": tuple(layer.dilation_rate),
        "padding": layer.padding,
        "output_padding": None if output_padding is None else _per_axis(output_padding, rank),
        "bias": bool(layer.use_bias),
    }


def _pooling(layer: Any) -> Description:
    mode = "max" if "Max" in type(layer).__name__ else "average"
    rank = 1 if "1D" in type(layer).__name__ else 2
    return {
        "op": "pooling",
        "mode": mode,
        "kernel": _per_axis(layer.pool_size, rank),
        "stride": _per_axis(layer.strides, rank),
        "dilation": (1,) * rank,
        "padding": layer.padding,
    }


def _global_pooling(layer: Any) -> Description:
    mode = "max" if "Max" in type(layer).__name__ else "average"
    return {"op": "global_pooling", "mode": mode, "keepdims": bool(layer.keepdims)}


def _normalise(layer: Any) -> Description:
    axis = layer.axis
    described: Description = {
        "op": "normalise",
        "by": type(layer).__name__,
        "axis": tuple(axis) if isinstance(axis, list | tuple) else axis,
        "epsilon": float(getattr(layer, "epsilon", 0.0)),
    }
    if isinstance(layer, keras.layers.GroupNormalization):
        described["groups"] = int(layer.groups)
    if isinstance(layer, keras.layers.BatchNormalization):
        described |= {"center": bool(layer.center), "scale": bool(layer.scale)}
    return described


def _upsample(layer: Any) -> Description:
    rank = 1 if "1D" in type(layer).__name__ else 2
    return {
        "op": "upsample",
        "factor": _per_axis(layer.size, rank),
        "interpolation": getattr(layer, "interpolation", "nearest"),
    }


def _sides(amount: Any) -> tuple[tuple[int, int], ...]:
    if isinstance(amount, int):
        return ((amount, amount),)
    if all(isinstance(side, int) for side in amount):
        return ((int(amount[0]), int(amount[1])),)
    return tuple((int(low), int(high)) for low, high in amount)


def _affine(layer: Any) -> Description:
    return {"op": "affine", "scale": _plain(layer.scale), "offset": _plain(layer.offset)}


def _standardisation(layer: Any) -> Description:
    # Mean and variance are weights where they were adapted, and plain arguments where they were given.
    given = {name: _plain(getattr(layer, "input_" + name, None)) for name in ("mean", "variance")}
    return {"op": "affine", "by": "Normalization", "axis": _plain(layer.axis), "invert": bool(layer.invert), **given}


_LAYERS: tuple[tuple[Any, Any], ...] = (
    (
        (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose),
        _transposed,
    ),
    (
        (
            keras.layers.Conv1D,
            keras.layers.Conv2D,
            keras.layers.DepthwiseConv1D,
            keras.layers.DepthwiseConv2D,
            keras.layers.SeparableConv1D,
            keras.layers.SeparableConv2D,
        ),
        _convolution,
    ),
    (
        (
            keras.layers.MaxPooling1D,
            keras.layers.MaxPooling2D,
            keras.layers.AveragePooling1D,
            keras.layers.AveragePooling2D,
        ),
        _pooling,
    ),
    (
        (
            keras.layers.GlobalMaxPooling1D,
            keras.layers.GlobalMaxPooling2D,
            keras.layers.GlobalAveragePooling1D,
            keras.layers.GlobalAveragePooling2D,
        ),
        _global_pooling,
    ),
    (
        (keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.GroupNormalization),
        _normalise,
    ),
    (
        (keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D),
        lambda layer: {"op": "pad", "sides": _sides(layer.padding)},
    ),
    (
        (keras.layers.Cropping1D, keras.layers.Cropping2D),
        lambda layer: {"op": "crop", "sides": _sides(layer.cropping)},
    ),
    ((keras.layers.UpSampling1D, keras.layers.UpSampling2D), _upsample),
    (keras.layers.Dense, lambda layer: {"op": "dense", "bias": bool(layer.use_bias)}),
    (keras.layers.Concatenate, lambda layer: {"op": "concatenate", "axis": int(layer.axis)}),
    (keras.layers.Flatten, lambda layer: {"op": "flatten"}),
    (keras.layers.Reshape, lambda layer: {"op": "reshape", "shape": tuple(layer.target_shape)}),
    (keras.layers.Rescaling, _affine),
    (keras.layers.Normalization, _standardisation),
)


def _operation(node: Node, operation: Any) -> Description:
    kind = node.kind
    constants = tuple(_plain(constant) for constant in node.constants)
    if kind in _MERGES:
        return {"op": "merge", "how": _MERGES[kind], "constants": constants, "order": _order(node)}
    if kind == "CustomScaleLayer":
        return {"op": "merge", "how": "add", "scale": float(operation.scale), "constants": (), "order": _order(node)}
    if kind == "Concatenate":
        return {"op": "concatenate", "axis": int(operation.axis)}
    if kind in _ELEMENTWISE:
        return {"op": "elementwise", "how": kind, "constants": constants, **_plain_attributes(operation)}
    if kind in _REDUCTIONS:
        axis = operation.axis
        return {
            "op": "reduce",
            "how": kind,
            "axis": tuple(axis) if isinstance(axis, list | tuple) else axis,
            "keepdims": bool(operation.keepdims),
        }
    if kind == "Pad":
        return {"op": "pad_all", "sides": _plain(operation.pad_width), "mode": operation.mode, "constants": constants}
    if kind == "GetItem":
        return {"op": "slice", "key": _plain(node.arguments[1:])}
    described: Description = {"op": "unknown", "class": kind, "constants": constants}
    if isinstance(operation, keras.Layer):
        described["class"] = f"{type(operation).__module__}.{type(operation).__qualname__}"
    # A layer written outside Keras may say that it works on each place by itself, as local response normalisation does.
    if getattr(operation, "pointwise", None) is True or kind in _INNER_POINTWISE:
        described["pointwise"] = True
    return described | _plain_attributes(operation)


def _order(node: Node) -> tuple[str, ...]:
    return tuple("tensor" if isinstance(a, Ref) else "constant" for a in node.arguments if a is not None)


def _plain_attributes(operation: Any) -> Description:
    known = vars(operation)
    return {
        name: _plain(value)
        for name, value in sorted(known.items())
        if not name.startswith("_") and name not in _BOOKKEEPING and _is_plain(value)
    }


_BOOKKEEPING = {
    "name",
    "built",
    "supports_masking",
    "supports_jit",
    "autocast",
    "input_spec",
    "dtype_policy",
    "trainable",
}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, bool | int | float | str)


def _plain(value: Any) -> Any:
    if isinstance(value, slice):
        return ("slice", _plain(value.start), _plain(value.stop), _plain(value.step))
    if value is Ellipsis:
        return "..."
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if hasattr(value, "numpy"):
        return _plain(value.numpy().tolist())
    return str(value)


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return (int(value),) * rank if isinstance(value, int) else tuple(int(v) for v in value)
