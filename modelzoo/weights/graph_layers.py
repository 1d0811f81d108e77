"""Which Keras layer computes the same as a node of a TensorFlow graph.

::

        tensor = LAYERS["Conv2D"](work, node)

Each function here takes the *construction* under way and one node, calls a Keras layer on what the node reads, and puts
the node's constants among the construction's arrays under ``layer/variable``. Convolutions and products wait for the bias
or the sum that follows them where nothing else reads them: together they are one layer in Keras.

Padding, pooling at the border and batch normalisation are TensorFlow's on both sides. What Keras has no layer for, or
only with channels first, is refused with the node's name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from modelzoo.architectures.local_response import LocalResponseNormalization
from modelzoo.weights.graph_constants import BATCH
from modelzoo.weights.graph_construction import Construction
from modelzoo.weights.graph_nodes import GraphNode, source_of

__all__ = ["LAYERS", "completes", "computed_later"]

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_SUMS = ("BiasAdd", "Add", "AddV2", "Sub")
_PRODUCTS = ("Mul", "Div", "RealDiv")


def computed_later(work: Construction, node: GraphNode) -> bool:
    """Whether a node is built together with the one that reads it."""
    return completes(work, node) is not None


def completes(work: Construction, node: GraphNode) -> GraphNode | None:
    """Find the bias or sum with which a convolution, dense layer or product is one layer; None where it stands alone."""
    readers = work.readers.get(node.name, [])
    waits = node.op in (*_CONVOLUTIONS, "MatMul") or (node.op in _PRODUCTS and _affine_parts(work, node) is not None)
    if not waits or node.name == work.end or len(readers) != 1 or readers[0].op not in _SUMS:
        return None
    reader = readers[0]
    others = [name for name in reader.inputs if name != node.name]
    if len(others) != 1 or others[0] not in work.constants:
        return None
    if node.op in _PRODUCTS:
        return reader
    # "c - convolution" turns its sign and is no bias.
    turned = reader.op == "Sub" and reader.inputs[1] == node.name
    channels = _channels_of(work, node)
    return reader if not turned and _vector(work.constants[others[0]]).size in (1, channels) else None


def _channels_of(work: Construction, node: GraphNode) -> int:
    kernel = work.constant(node, 1, "kernel")
    if node.op == "MatMul":
        return int(kernel.shape[0 if node.flag("transpose_b") else -1])
    return int(math.prod(kernel.shape[2:]) if node.op == "DepthwiseConv2dNative" else kernel.shape[-1])


def _vector(array: np.ndarray) -> np.ndarray:
    """Give one number, or one a channel, as a vector; anything else as it is."""
    return array.reshape(-1) if array.size == max((1, *array.shape[-1:])) else array


def _weighted(work: Construction, node: GraphNode, *, named: str, bias: np.ndarray | None) -> Any:
    x = work.tensors.get(node.inputs[0])
    if x is None:
        raise work.refuse(node, "its input is a constant; expected it to depend on the picture")
    make = {"MatMul": _dense, "Conv2D": _convolution, "DepthwiseConv2dNative": _depthwise}[node.op]
    layer, x, kernel = make(work, node, x, work.named(named), bias is not None)
    arrays = {"kernel": kernel}
    if bias is not None:
        arrays["bias"] = np.broadcast_to(bias, (_channels_of(work, node),))
    return work.call(layer, x, **arrays)


def _alone(work: Construction, node: GraphNode) -> Any:
    return _weighted(work, node, named=node.name, bias=None)


def _dense(work: Construction, node: GraphNode, x: Any, name: str, bias: bool) -> tuple[Any, Any, np.ndarray]:
    kernel = work.constant(node, 1, "matrix")
    kernel = kernel.T if node.flag("transpose_b") else kernel
    if node.flag("transpose_a") or len(x.shape) != 2 or kernel.ndim != 2 or x.shape[-1] not in (None, kernel.shape[0]):
        raise work.refuse(
            node,
            f"of {tuple(x.shape)} and {kernel.shape}; expected (batch, n) and (n, m): another input_size fits, perhaps",
        )
    return keras.layers.Dense(kernel.shape[1], use_bias=bias, name=name), x, kernel


def _convolution(work: Construction, node: GraphNode, x: Any, name: str, bias: bool) -> tuple[Any, Any, np.ndarray]:
    kernel = _kernel(work, node)
    inside, filters = kernel.shape[2:]
    if inside == 0 or x.shape[-1] % inside:
        raise work.refuse(node, f"{x.shape[-1]} channels for a kernel {kernel.shape}")
    x, padding = _padded(work, node, x)
    layer = keras.layers.Conv2D(
        filters,
        kernel.shape[:2],
        strides=_spatial(work, node, "strides"),
        padding=padding,
        dilation_rate=_spatial(work, node, "dilations"),
        groups=x.shape[-1] // inside,
        use_bias=bias,
        name=name,
    )
    return layer, x, kernel


def _depthwise(work: Construction, node: GraphNode, x: Any, name: str, bias: bool) -> tuple[Any, Any, np.ndarray]:
    kernel = _kernel(work, node)
    if x.shape[-1] != kernel.shape[2]:
        raise work.refuse(node, f"{x.shape[-1]} channels for a kernel {kernel.shape}")
    x, padding = _padded(work, node, x)
    layer = keras.layers.DepthwiseConv2D(
        kernel.shape[:2],
        strides=_spatial(work, node, "strides"),
        padding=padding,
        depth_multiplier=kernel.shape[3],
        dilation_rate=_spatial(work, node, "dilations"),
        use_bias=bias,
        name=name,
    )
    return layer, x, kernel


def _kernel(work: Construction, node: GraphNode) -> np.ndarray:
    _channels_last(work, node)
    kernel = work.constant(node, 1, "kernel")
    if kernel.ndim != 4:
        raise work.refuse(node, f"its kernel has the shape {kernel.shape}; expected (height, width, in, out)")
    return kernel


def _channels_last(work: Construction, node: GraphNode) -> None:
    found = node.text("data_format") or "NHWC"
    if found != "NHWC":
        raise work.refuse(node, f"data format {found}; expected NHWC, channels last: freeze the graph built for a CPU")


def _spatial(work: Construction, node: GraphNode, name: str) -> tuple[int, int]:
    sizes = node.integers(name) or (1, 1, 1, 1)
    if len(sizes) != 4 or sizes[0] != 1 or sizes[3] != 1:
        raise work.refuse(node, f"{name} {list(sizes)}; expected [1, height, width, 1]")
    return sizes[1], sizes[2]


def _padded(work: Construction, node: GraphNode, x: Any) -> tuple[Any, str]:
    padding = node.text("padding", "VALID")
    if padding != "EXPLICIT":
        return x, padding.lower()
    ends = node.integers("explicit_paddings")
    sides = [(ends[i], ends[i + 1]) for i in range(0, len(ends), 2)]
    return _zeros_around(work, node, x, sides, work.named(f"{node.name}/padding")), "valid"


def _zeros_around(work: Construction, node: GraphNode, x: Any, sides: Sequence[Sequence[int]], name: str) -> Any:
    sides = [(int(low), int(high)) for low, high in sides]
    if len(sides) != 4 or sides[0] != (0, 0) or sides[3] != (0, 0):
        raise work.refuse(node, f"pads {sides}; expected height and width alone, as [(0, 0), h, w, (0, 0)]")
    return work.call(keras.layers.ZeroPadding2D((sides[1], sides[2]), name=name), x)


def _pad(work: Construction, node: GraphNode) -> Any:
    value = work.constant(node, 2, "value") if len(node.inputs) > 2 else np.zeros(())
    if value.size != 1 or float(value.reshape(-1)[0]) != 0.0:
        raise work.refuse(node, f"pads with {value.reshape(-1)[:3].tolist()}; expected zeros")
    x = work.tensors[node.inputs[0]]
    return _zeros_around(work, node, x, work.constant(node, 1, "padding").tolist(), work.named(node.name))


def _pooling(kind: Any) -> Callable[[Construction, GraphNode], Any]:
    def build(work: Construction, node: GraphNode) -> Any:
        _channels_last(work, node)
        x, padding = _padded(work, node, work.tensors[node.inputs[0]])
        if node.text("padding") == "EXPLICIT":
            raise work.refuse(node, "explicit padding; expected SAME or VALID")
        layer = kind(
            _spatial(work, node, "ksize"),
            strides=_spatial(work, node, "strides"),
            padding=padding,
            name=work.named(node.name),
        )
        return work.call(layer, x)

    return build


def _fused_batch_norm(work: Construction, node: GraphNode) -> Any:
    _channels_last(work, node)
    if node.flag("is_training", True):
        raise work.refuse(node, "normalises by the batch, as in training; expected is_training=False")
    gamma, beta, mean, variance = (
        work.constant(node, place, what) for place, what in enumerate(("scale", "offset", "mean", "variance"), 1)
    )
    layer = keras.layers.BatchNormalization(epsilon=node.number("epsilon", 1e-4), name=work.named(node.name))
    x = work.tensors[node.inputs[0]]
    return work.call(layer, x, gamma=gamma, beta=beta, moving_mean=mean, moving_variance=variance)


def _sum(work: Construction, node: GraphNode) -> Any:
    if node.op == "BiasAdd":
        _channels_last(work, node)
    places = [place for place, name in enumerate(node.inputs) if name in work.constants]
    if not places:
        kind = keras.layers.Subtract if node.op == "Sub" else keras.layers.Add
        return work.call(kind(name=work.named(node.name)), [work.tensors[name] for name in node.inputs])
    read = work.nodes[node.inputs[1 - places[0]]]
    if read.name in work.tensors:
        return _affine(work, node, work.tensors[read.name], *_parts(work, node))
    scale, offset = _parts(work, node)
    if read.op not in _PRODUCTS:
        return _weighted(work, read, named=node.name, bias=offset)
    x = work.tensors[_picture_input(work, read)]
    statistics = _statistics(work, read, node)
    if statistics is not None:
        return _unfused_batch_norm(work, node, x, *statistics)
    factor, _ = _parts(work, read)
    return _affine(work, node, x, scale * factor, offset)


def _product(work: Construction, node: GraphNode) -> Any:
    if not any(name in work.constants for name in node.inputs):
        if node.op != "Mul":
            raise work.refuse(node, "divides by a value that depends on the picture; expected a constant")
        tensors = [work.tensors[name] for name in node.inputs]
        return work.call(keras.layers.Multiply(name=work.named(node.name)), tensors)
    return _affine(work, node, work.tensors[_picture_input(work, node)], *_parts(work, node))


def _picture_input(work: Construction, node: GraphNode) -> str:
    return next(name for name in node.inputs if name not in work.constants)


def _parts(work: Construction, node: GraphNode) -> tuple[np.ndarray, np.ndarray]:
    parts = _affine_parts(work, node)
    if parts is None:
        raise work.refuse(node, "of a constant that is neither one number nor one a channel")
    return parts


def _affine_parts(work: Construction, node: GraphNode) -> tuple[np.ndarray, np.ndarray] | None:
    """Give scale and offset of a sum or product with a constant, as vectors; None where it is none."""
    places = [place for place, name in enumerate(node.inputs) if name in work.constants]
    if len(node.inputs) != 2 or len(places) != 1:
        return None
    value = _vector(np.asarray(work.constants[node.inputs[places[0]]], np.float32))
    if value.ndim != 1:
        return None
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    if node.op == "Sub":
        return (one, -value) if places[0] == 1 else (-one, value)
    if node.op in ("Div", "RealDiv"):
        return (1 / value, zero) if places[0] == 1 and value.all() else None
    return (value, zero) if node.op == "Mul" else (one, value)


def _affine(work: Construction, node: GraphNode, x: Any, scale: np.ndarray, offset: np.ndarray) -> Any:
    name, channels = work.named(node.name), x.shape[-1]
    if scale.size == offset.size == 1:
        return work.call(keras.layers.Rescaling(float(scale[0]), float(offset[0]), name=name), x)
    if {scale.size, offset.size} - {1, channels}:
        raise work.refuse(node, f"of {max(scale.size, offset.size)} numbers and {channels} channels")
    gamma, beta = np.broadcast_to(scale, (channels,)), np.broadcast_to(offset, (channels,))
    return _unfused_batch_norm(work, node, x, gamma, beta, np.zeros(channels), np.ones(channels), 0.0)


def _unfused_batch_norm(
    work: Construction,
    node: GraphNode,
    x: Any,
    gamma: np.ndarray | None,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    epsilon: float,
) -> Any:
    layer = keras.layers.BatchNormalization(epsilon=epsilon, scale=gamma is not None, name=work.named(node.name))
    arrays = {"beta": beta, "moving_mean": mean, "moving_variance": variance}
    return work.call(layer, x, **(arrays if gamma is None else {"gamma": gamma, **arrays}))


def _statistics(
    work: Construction, product: GraphNode, total: GraphNode
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, np.ndarray, float] | None:
    """Recognise ``x * m + (beta - mean * m)`` with ``m = gamma * rsqrt(variance + epsilon)``.

    Returns
    -------
    tuple or None
        gamma (None where there is none), beta, mean, variance, epsilon; None for any other product and sum.
    """
    nodes = work.nodes
    factor = source_of(next(name for name in product.inputs if name in work.constants), nodes)
    offset = source_of(next(name for name in total.inputs if name in work.constants), nodes)
    if product.op != "Mul" or total.op not in ("Add", "AddV2") or offset.op != "Sub":
        return None
    roots = [factor] if factor.op == "Rsqrt" else [source_of(name, nodes) for name in factor.inputs]
    root = next((node for node in roots if node.op == "Rsqrt"), None)
    shift = source_of(offset.inputs[1], nodes)
    if root is None or factor.op not in ("Mul", "Rsqrt") or shift.op != "Mul":
        return None
    summed = source_of(root.inputs[0], nodes)
    terms = [source_of(name, nodes).name for name in summed.inputs]
    means = [source_of(name, nodes).name for name in shift.inputs]
    if summed.op not in ("Add", "AddV2") or factor.name not in means:
        return None
    gammas = [node.name for node in roots if node is not root]
    found = [work.constants.get(name) for name in (*terms, *means, *gammas, offset.inputs[0])]
    if any(array is None for array in found):
        return None
    variance, epsilon = sorted((work.constants[name] for name in terms), key=lambda array: -array.size)
    mean = work.constants[next((name for name in means if name != factor.name), means[0])]
    gamma = work.constants[gammas[0]] if gammas else None
    vectors = [variance, mean, work.constants[offset.inputs[0]], *([] if gamma is None else [gamma])]
    if epsilon.size != 1 or any(array.shape != variance.shape or array.ndim != 1 for array in vectors):
        return None
    return gamma, work.constants[offset.inputs[0]], mean, variance, float(epsilon.reshape(-1)[0])


def _one(make: Callable[[GraphNode, str], keras.Layer]) -> Callable[[Construction, GraphNode], Any]:
    return lambda work, node: work.call(make(node, work.named(node.name)), work.tensors[node.inputs[0]])


def _local_response(work: Construction, node: GraphNode) -> Any:
    layer = LocalResponseNormalization(
        node.integer("depth_radius", 5),
        alpha=node.number("alpha", 1.0),
        beta=node.number("beta", 0.5),
        bias=node.number("bias", 1.0),
        name=work.named(node.name),
    )
    return work.call(layer, work.tensors[node.inputs[0]])


def _concatenate(work: Construction, node: GraphNode) -> Any:
    first = node.op == "Concat"
    axis = int(work.constant(node, 0 if first else len(node.inputs) - 1, "axis"))
    parts = node.inputs[1:] if first else node.inputs[:-1]
    constant = next((name for name in parts if name in work.constants), None)
    if constant is not None:
        raise work.refuse(node, f"joins the constant {constant!r}; expected values that depend on the picture")
    tensors = [work.tensors[name] for name in parts]
    if axis % len(tensors[0].shape) == 0:
        raise work.refuse(node, "joins along the batch; expected channels, height or width")
    if len(tensors) == 1:
        return work.call(keras.layers.Identity(name=work.named(node.name)), tensors[0])
    return work.call(keras.layers.Concatenate(axis=axis, name=work.named(node.name)), tensors)


def _global(kind: Any) -> Callable[[Construction, GraphNode], Any]:
    def build(work: Construction, node: GraphNode) -> Any:
        x = work.tensors[node.inputs[0]]
        axes = sorted(int(axis) % len(x.shape) for axis in np.atleast_1d(work.constant(node, 1, "axes")))
        if axes != [1, 2] or len(x.shape) != 4:
            raise work.refuse(node, f"over the axes {axes} of {tuple(x.shape)}; expected [1, 2], height and width")
        return work.call(kind(keepdims=node.flag("keep_dims"), name=work.named(node.name)), x)

    return build


def _reshape(work: Construction, node: GraphNode) -> Any:
    x = work.tensors[node.inputs[0]]
    asked = [int(size) for size in np.atleast_1d(work.constant(node, 1, "shape"))]
    before = tuple(x.shape[1:])
    if None in before:
        raise work.refuse(node, "needs the size of the pictures: say it with input_size=PIXELS")
    n, rest = math.prod(before), asked[1:]
    known = math.prod(size for size in rest if size != -1)
    if rest.count(-1) == 1 and asked[0] != -1 and known > 0 and n % known == 0:
        rest[rest.index(-1)] = n // known
    # A placeholder for pictures one at a time has its 1 written into every shape.
    batch = asked[0] in (-1, BATCH, 1) or any(node.shape and node.shape[0] == asked[0] for node in work.nodes.values())
    if not rest or not batch or math.prod(rest) != n or min(rest) < 1:
        found = ["batch" if size == BATCH else size for size in asked]
        raise work.refuse(
            node, f"from {before} to {found}, which mixes pictures of a batch: another input_size fits, perhaps"
        )
    return _shaped(work, node, x, tuple(rest))


def _shaped(work: Construction, node: GraphNode, x: Any, shape: tuple[int, ...]) -> Any:
    name = work.named(node.name)
    if len(shape) == 1:
        return work.call(keras.layers.Flatten(name=name), x)
    return work.call(keras.layers.Reshape(shape, name=name), x)


def _squeeze(work: Construction, node: GraphNode) -> Any:
    x = work.tensors[node.inputs[0]]
    rank = len(x.shape)
    axes = [axis % rank for axis in node.integers("squeeze_dims") or node.integers("axis")]
    axes = [axis for axis in axes if axis > 0] or [axis for axis in range(1, rank) if x.shape[axis] == 1]
    wrong = [axis for axis in axes if x.shape[axis] != 1]
    if wrong:
        raise work.refuse(
            node, f"drops axis {wrong[0]} of {tuple(x.shape)}, which is not 1: another input_size fits, perhaps"
        )
    return _shaped(work, node, x, tuple(size for axis, size in enumerate(x.shape) if axis and axis not in axes))


def _expand(work: Construction, node: GraphNode) -> Any:
    x = work.tensors[node.inputs[0]]
    axis = int(work.constant(node, 1, "axis")) % (len(x.shape) + 1)
    if axis == 0:
        raise work.refuse(node, "adds an axis before the batch; expected one after it")
    sizes = list(x.shape)
    sizes.insert(axis, 1)
    return work.call(keras.layers.Reshape(tuple(sizes[1:]), name=work.named(node.name)), x)


LAYERS: Mapping[str, Callable[[Construction, GraphNode], Any]] = {
    "Conv2D": _alone,
    "DepthwiseConv2dNative": _alone,
    "MatMul": _alone,
    "BiasAdd": _sum,
    "Add": _sum,
    "AddV2": _sum,
    "Sub": _sum,
    "Mul": _product,
    "Div": _product,
    "RealDiv": _product,
    "FusedBatchNorm": _fused_batch_norm,
    "FusedBatchNormV2": _fused_batch_norm,
    "FusedBatchNormV3": _fused_batch_norm,
    "LRN": _local_response,
    "Relu": _one(lambda node, name: keras.layers.ReLU(name=name)),
    "Relu6": _one(lambda node, name: keras.layers.ReLU(max_value=6.0, name=name)),
    "Sigmoid": _one(lambda node, name: keras.layers.Activation("sigmoid", name=name)),
    "Tanh": _one(lambda node, name: keras.layers.Activation("tanh", name=name)),
    "Softmax": _one(lambda node, name: keras.layers.Softmax(name=name)),
    "MaxPool": _pooling(keras.layers.MaxPooling2D),
    "AvgPool": _pooling(keras.layers.AveragePooling2D),
    "Mean": _global(keras.layers.GlobalAveragePooling2D),
    "Max": _global(keras.layers.GlobalMaxPooling2D),
    "ConcatV2": _concatenate,
    "Concat": _concatenate,
    "Pad": _pad,
    "PadV2": _pad,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "ExpandDims": _expand,
}
