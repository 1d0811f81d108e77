"""A frozen TensorFlow 1 graph as a Keras functional network, without running it.

::

        model, names = build_from_frozen_graph("mobilenet_v1_1.0_224_frozen.pb", input_size=224)
        names["MobilenetV1/MobilenetV1/Conv2d_0/Relu6"]
        # 'MobilenetV1.MobilenetV1.Conv2d_0.Relu6'

TensorFlow would import the graph and hand back a function: no layers, no weights, nothing to cut. So each node is *built*
as the Keras layer that computes the same (see `modelzoo.weights.graph_layers` for which), and its constants become the
layer's weights. What follows:

- A layer is called as its node, "/" written as ".", since Keras refuses it; `names` has the original.
- Two nodes that are one layer in Keras (convolution and bias, the product and the sum of an unfused batch
  normalisation) become one, under the name of the last.
- Identity, casts and the dropout of training are passed over; their names lead to the layer they read.
- An array that two nodes share becomes two weights of the same value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.frozen_graph import read_constants
from modelzoo.weights.graph_constants import BATCH, FOLDED, fold
from modelzoo.weights.graph_construction import Construction
from modelzoo.weights.graph_layers import LAYERS, computed_later
from modelzoo.weights.graph_nodes import PASSES_ON, GraphNode, find_output, ordered, read_nodes
from modelzoo.weights.mapping import assign_weights

if TYPE_CHECKING:
    import keras

__all__ = ["build_from_frozen_graph"]

_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_KNOWN = {*LAYERS, *PASSES_ON, *FOLDED, *_PLACEHOLDERS, "Const", "Shape"}
_WAY_OUT = {
    "Switch": "the graph still decides between training and use while it runs; freeze it built for use (is_training=False)",
    "Merge": "the graph still decides between training and use while it runs; freeze it built for use (is_training=False)",
    "VariableV2": "the graph is not frozen: its weights are in a checkpoint",
    "VarHandleOp": "the graph is not frozen: its weights are in a checkpoint",
    "PartitionedCall": "the graph calls functions; inline them when freezing",
    "StatefulPartitionedCall": "the graph calls functions; inline them when freezing",
    "DecodeJpeg": "say with input=NODE where pictures are decoded and resized already",
    "ResizeBilinear": "say with input=NODE where pictures are decoded and resized already",
}


def build_from_frozen_graph(
    path: str | Path,
    *,
    output: str | None = None,
    input_size: int | tuple[int, int] | None = None,
    input: str | None = None,
    name: str | None = None,
) -> tuple[keras.Model, dict[str, str]]:
    """Build the network that a frozen graph describes.

    Parameters
    ----------
    path
        A binary ``.pb`` file with a ``GraphDef`` of a feed-forward network, channels last (NHWC).
    output
        Node that gives the answer; by default the last that looks like one (see `find_output`).
    input_size
        Side, or ``(height, width)``, of the pictures in pixels; by default as the graph's placeholder says, or open.
    input
        Node whose value pictures take the place of, where that is not the placeholder: what comes before it (decoding,
        resizing) is left out.
    name
        Name of the Keras model; by default the file's.

    Returns
    -------
    model : keras.Model
        Functional, with weights.
    names : dict
        ``{the graph's name: address of the layer}`` in network order.

    Raises
    ------
    WeightsError
        Where the file is no frozen graph; operations are not known here (all are listed, and where they stand); it is not
        channels last; it has several inputs; or the input size does not fit.
    """
    import keras

    nodes = read_nodes(path)
    constants = read_constants(path)
    start = None if input is None else find_output(nodes, known=_KNOWN, path=path, wanted=input)
    end = find_output(nodes, known={*LAYERS, *PASSES_ON}, path=path, wanted=output)
    order = ordered(nodes, end, path=path, start=start)
    constants.update(_defaults(order, constants))
    picture = _picture([node for node in order if node.name not in constants], path, start)
    _refuse_unknown(order, path, picture)
    order = _with_constants(order, constants, picture, path)
    shape = _input_shape(picture, order, constants, input_size, path)
    work = Construction(where=str(path), nodes=nodes, constants=constants, end=end, order=tuple(order))
    inputs = work.open(picture, shape)
    for node in order:
        if node.name != picture.name and node.name not in constants:
            _build(work, node)
    answer = work.tensors.get(end)
    if answer is None or answer is inputs:
        raise WeightsError(f"{path}: {end!r} computes nothing from {picture.name!r}; expected a network's answer")
    model = keras.Model(inputs, answer, name=(name or Path(path).stem).replace("/", "."))
    if work.arrays:
        assign_weights(model, work.arrays, origin=str(path))
    return model, dict(work.names)


def _defaults(order: Sequence[GraphNode], constants: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Take switches that somebody may set, the share that dropout keeps among them, as they are by default."""
    found = {}
    for node in order:
        default = constants.get(node.inputs[0]) if node.op == "PlaceholderWithDefault" else None
        if default is not None and default.ndim == 0:
            found[node.name] = default
    return found


def _picture(order: Sequence[GraphNode], path: str | Path, start: str | None) -> GraphNode:
    if start is not None:
        found = next((node for node in order if node.name == start), None)
        if found is None:
            raise WeightsError(f"{path}: the answer {order[-1].name!r} does not depend on {start!r}")
        return found
    places = [node for node in order if node.op in _PLACEHOLDERS]
    if len(places) != 1:
        listed = ", ".join(repr(node.name) for node in places) or "none"
        raise WeightsError(
            f"{path}: {order[-1].name!r} needs {len(places)} inputs ({listed}); expected one, for pictures: say with "
            "input=NODE where they enter"
        )
    return places[0]


def _refuse_unknown(order: Sequence[GraphNode], path: str | Path, picture: GraphNode) -> None:
    unknown: dict[str, list[str]] = {}
    for node in order:
        if node is not picture and node.op not in _KNOWN:
            unknown.setdefault(node.op, []).append(node.name)
    if not unknown:
        return
    lines = []
    for op, places in unknown.items():
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        hint = f": {_WAY_OUT[op]}" if op in _WAY_OUT else ""
        lines.append(f"  {op} ({', '.join(places[:3])}{more}){hint}")
    raise WeightsError(
        f"{path}: {len(unknown)} operations are not known here:\n"
        + "\n".join(lines)
        + f"\nKnown are {', '.join(LAYERS)}"
    )


def _with_constants(
    order: Sequence[GraphNode], constants: dict[str, np.ndarray], picture: GraphNode, path: str | Path
) -> list[GraphNode]:
    """Fold what needs constants alone, so that what reads a node can look at its other inputs."""
    for node in order:
        ready = node.inputs and all(name in constants for name in node.inputs)
        if ready and node is not picture and node.op in FOLDED:
            constants[node.name] = fold(node, [constants[name] for name in node.inputs], where=str(path))
    return [node for node in order if node.name not in constants]


def _input_shape(
    picture: GraphNode,
    order: Sequence[GraphNode],
    constants: Mapping[str, np.ndarray],
    input_size: int | tuple[int, int] | None,
    path: str | Path,
) -> tuple[int | None, int | None, int]:
    stated = picture.shape
    if stated is not None and len(stated) != 4:
        raise WeightsError(
            f"{path}: {picture.name!r} takes the shape {stated}; expected (batch, height, width, channel): say with "
            "input=NODE where pictures have that shape"
        )
    _, height, width, channels = stated or (None, None, None, None)
    if input_size is not None:
        height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
    if channels is None:
        kernels = [constants.get(node.inputs[1]) for node in order if node.op == "Conv2D"]
        channels = next((int(k.shape[2]) for k in kernels if k is not None and k.ndim == 4), 3)
    if channels > 4:
        raise WeightsError(
            f"{path}: {picture.name!r} has {channels} channels; expected pictures with channels last (NHWC)"
        )
    return height, width, channels


def _build(work: Construction, node: GraphNode) -> None:
    split = next((name for name in node.inputs if ":" in name), None)
    if split is not None:
        raise WeightsError(f"{work.where}: {node.name!r} reads {split!r}; expected first outputs alone")
    if node.op == "Shape":
        sizes = work.tensors[node.inputs[0]].shape[1:]
        if None in sizes:
            raise WeightsError(
                f"{work.where}: {node.name!r} needs the size of the pictures: say it with input_size=PIXELS"
            )
        work.constants[node.name] = np.array([BATCH, *sizes])
        return
    if node.inputs and all(name in work.constants for name in node.inputs) and node.op in FOLDED:
        values = [work.constants[name] for name in node.inputs]
        work.constants[node.name] = fold(node, values, where=work.where)
        return
    if node.op in PASSES_ON:
        work.tensors[node.name] = work.tensors[node.inputs[0]]
        work.names.setdefault(node.name, work.address_of(work.tensors[node.name]))
        return
    if node.op not in LAYERS:
        raise WeightsError(f"{work.where}: {node.op} {node.name!r} of a value that depends on the picture")
    if computed_later(work, node):
        return
    tensor = LAYERS[node.op](work, node)
    work.tensors[node.name] = tensor
    work.names.setdefault(node.name, work.address_of(tensor))
