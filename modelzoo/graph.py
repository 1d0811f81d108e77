"""One reading of a Keras network, from which everything else is derived.

A Keras model hides what it does in several places: an ``a + b`` is an operation but no layer, a layer called twice has
one name for two results, a model inside a model shows as a single layer, and the activation of a ``Conv2D`` is an
argument. Here all of it becomes one flat list::

    >>> graph = read_graph(net.model)
    >>> [node.address for node in graph.nodes][:4]
    ['image', 'stem_conv', 'stem_bn', 'stem_relu']
    >>> [values] = graph.evaluate({0: net.preprocess(net.read("cat.jpg"))}, [graph["stem_relu"]])
    >>> np.asarray(values).shape
    (1, 112, 112, 32)

A *node* is one call of one operation. The graph is *read* once and *evaluated* as often as one likes: from its inputs
or from any node in the middle, up to any other, with any operation replaced on the way. What follows from that:

* An address is unique: ``backbone/conv`` is a layer of a nested model, ``conv@2`` the second call of a shared layer.
* An activation that Keras keeps inside a layer is a node of its own. ``block1_conv1:linear`` is the convolution,
  ``block1_conv1`` what the layer gives; both can be looked at.
* The user's model is never touched: no layer is rebuilt, no inbound node is added, no flag is set.
* Nodes stand in topological order, branch after branch, as the network was written.

No other module reads Keras' internals.
"""

from __future__ import annotations

import contextlib
import difflib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras.src.models.functional import Functional
from keras.src.ops.operation import Operation

__all__ = ["Graph", "GraphError", "Node", "Ref", "UnknownLayerError", "read_graph"]

Tensor = Any
Shape = tuple[int | None, ...]
LINEAR = ":linear"
_FUSED = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
    keras.layers.Dense,
    keras.layers.EinsumDense,
)
# A layer's activation is swapped while its linear part runs; two threads must not see each other's swap.
_swapping = threading.RLock()


class GraphError(ValueError):
    """A network that cannot be read as a graph, with the way out.

    Examples
    --------
    >>> dc.semantic_map(net, "cat.jpg", "head_pool")
    Traceback (most recent call last):
        ...
    modelzoo.graph.GraphError: 'head_pool' has the shape (None, 1280): no height and width to draw a map of; ...
    """


class UnknownLayerError(KeyError):
    """A layer that the network does not have.

    Examples
    --------
    >>> net.layers["block99_add"]
    Traceback (most recent call last):
        ...
    modelzoo.graph.UnknownLayerError: no layer 'block99_add'; did you mean ...
    """

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Ref:
    """One tensor of the graph: which node gives it, and which of its outputs it is."""

    node: int
    output: int = 0


@dataclass(frozen=True, eq=False)
class Node:
    """One call of one operation.

    Attributes
    ----------
    index
        Position in the graph's topological order.
    address
        ``backbone/conv``, ``conv@2``, ``conv:linear``; unique in the graph.
    call
        1 for the first call of a shared operation in this graph, 2 for the second ...
    kind
        Class of the operation: ``"Conv2D"``, ``"Add"``, ``"InputLayer"``.
    part
        ``"whole"``, or ``"linear"`` and ``"activation"`` where a layer's own activation stands apart.
    operation
        The Keras operation; shared between the nodes that call it.
    inputs
        The tensors it reads, in the order of its arguments.
    shapes
        Shape of each output, the batch first: ``(None, 28, 28, 40)``.

    Examples
    --------
    >>> node = net.graph["stem_relu"]
    >>> node.index, node.address, node.kind, node.inputs, node.shape, node.nonlinearity, node.is_input
    (3, 'stem_relu', 'ReLU', (Ref(node=2, output=0),), (None, 112, 112, 32), 'relu6', False)
    >>> [weight.name for weight in net.graph["stem_conv"].weights]
    ['kernel']
    """

    index: int
    address: str
    call: int
    kind: str
    part: str
    operation: Operation
    inputs: tuple[Ref, ...]
    shapes: tuple[Shape, ...]
    _arguments: tuple[Any, Any] = field(repr=False)

    @property
    def shape(self) -> Shape:
        """Shape of the first output."""
        return self.shapes[0]

    @property
    def is_input(self) -> bool:
        """Whether the node is an input of the network."""
        return not self.inputs

    @property
    def weights(self) -> tuple[Any, ...]:
        """The Keras variables the node computes with; an activation part has none."""
        if self.part == "activation" or not isinstance(self.operation, keras.Layer):
            return ()
        return tuple(self.operation.weights)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """All arguments of the call, flat: a `Ref` for each tensor of the graph, anything else as it was given."""
        return tuple(keras.tree.flatten(self._arguments))

    @property
    def constants(self) -> tuple[Any, ...]:
        """Arguments that are no tensors of the graph: the 2 of ``x * 2``."""
        return tuple(a for a in self.arguments if not isinstance(a, Ref) and a is not None)

    @property
    def nonlinearity(self) -> str | None:
        """Name of the elementwise nonlinearity or softmax that the node is, or None: ``"relu6"``, ``"silu"``."""
        if self.part == "linear":
            return None
        if self.part == "activation" or isinstance(self.operation, keras.layers.Activation):
            return _activation_name(self.operation.activation)
        if isinstance(self.operation, keras.layers.ReLU):
            return _relu_name(self.operation)
        return _NONLINEAR_KINDS.get(self.kind)

    def compute(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the operation on the tensors it reads, in the order of `inputs`; give its outputs.

        Parameters
        ----------
        *tensors
            One for each of `inputs`.
        """
        if self.part == "activation":
            return (self.operation.activation(tensors[0]),)
        given = iter(tensors)
        args, kwargs = keras.tree.map_structure(lambda a: next(given) if isinstance(a, Ref) else a, self._arguments)
        with _without_activation(self.operation) if self.part == "linear" else contextlib.nullcontext():
            return tuple(keras.tree.flatten(self.operation(*args, **kwargs)))


@dataclass(frozen=True, eq=False)
class Graph:
    """All nodes of a network in topological order, and where it begins and ends.

    Attributes
    ----------
    nodes
        Every node, inputs first.
    inputs, outputs
        The tensors the network takes and gives.
    aliases
        Addresses that stand for another node: a nested model's name for its last node.

    Examples
    --------
    >>> len(net.graph.nodes), net.graph.inputs, net.graph["block9_add"].kind, "nowhere" in net.graph
    (145, (Ref(node=0, output=0),), 'Add', False)
    >>> [node.address for node in net.graph.ancestors([net.graph["stem_relu"]])]
    ['image', 'stem_conv', 'stem_bn', 'stem_relu']
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    aliases: Mapping[str, int]

    def __getitem__(self, address: str) -> Node:
        """Find a node by its address.

        Raises
        ------
        UnknownLayerError
            Naming the nearest address.
        """
        index = self._by_address.get(address, self.aliases.get(address))
        if index is None:
            raise UnknownLayerError(no_such("layer", address, self._by_address))
        return self.nodes[index]

    def __contains__(self, address: object) -> bool:
        return address in self._by_address or address in self.aliases

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def _by_address(self) -> dict[str, int]:
        cached: dict[str, int] | None = self.__dict__.get("_addresses")
        if cached is None:
            cached = {node.address: node.index for node in self.nodes}
            object.__setattr__(self, "_addresses", cached)
        return cached

    def ancestors(self, nodes: Iterable[Node], *, stop: Iterable[int] = ()) -> list[Node]:
        """Give the nodes that `nodes` depend on, themselves included, in topological order.

        The search does not go past the node indices in `stop`; a stopped node is given, what it reads is not.

        Parameters
        ----------
        nodes
            Whose.
        stop
            Indices of nodes that end the way up: they are given, what they read is not.
        """
        stopped = set(stop)
        found: set[int] = set()
        waiting = [node.index for node in nodes]
        while waiting:
            index = waiting.pop()
            if index in found:
                continue
            found.add(index)
            if index not in stopped:
                waiting.extend(ref.node for ref in self.nodes[index].inputs)
        return [self.nodes[index] for index in sorted(found)]

    def evaluate(
        self,
        feeds: Mapping[int, Tensor],
        wanted: Sequence[Node],
        *,
        replace: Callable[[Node], Callable[..., Tensor] | None] | None = None,
    ) -> list[Tensor]:
        """Compute the first output of each wanted node.

        Parameters
        ----------
        feeds
            Values by node index: the network's inputs, or nodes in the middle from which to go on.
        wanted
            Nodes to compute; what they do not need is not computed.
        replace
            Called with each node before it runs; a function it returns runs in the node's place, on the same tensors,
            and gives the first output, or a tuple of all.

        Returns
        -------
        list of tensors
            One for each wanted node.

        Raises
        ------
        GraphError
            Where a wanted node needs an input that is not fed.
        """
        values: dict[int, tuple[Tensor, ...]] = {index: (value,) for index, value in feeds.items()}
        order = self.ancestors(wanted, stop=feeds)
        last_use = {ref.node: node.index for node in order if node.index not in feeds for ref in node.inputs}
        keep = {node.index for node in wanted}
        for node in order:
            if node.index in values:
                continue
            if node.is_input:
                raise GraphError(f"the input {node.address!r} is needed and was not given")
            tensors = [values[ref.node][ref.output] for ref in node.inputs]
            other = replace(node) if replace is not None else None
            given = node.compute(*tensors) if other is None else other(*tensors)
            values[node.index] = given if isinstance(given, tuple) else (given,)
            for ref in node.inputs:
                if last_use.get(ref.node) == node.index and ref.node not in keep:
                    values.pop(ref.node, None)
        return [values[node.index][0] for node in wanted]


def read_graph(model: keras.Model) -> Graph:
    """Read a functional or Sequential Keras model, with every model nested in it, as one flat graph.

    Parameters
    ----------
    model
        A functional or Sequential model.

    Raises
    ------
    GraphError
        For a subclassed model, whose ``call`` is code and no graph, and for a Sequential without an input shape; both
        messages say what to do.

    Examples
    --------
    >>> graph = read_graph(small.model)
    >>> [node.address for node in graph.nodes][1:3]
    ['edges:linear', 'edges']
    """
    if not isinstance(model, keras.Model):
        raise GraphError(f"expected a Keras model, found {type(model).__module__}.{type(model).__qualname__}")
    if not _can_open(model):
        raise GraphError(_way_out(model))
    reading = _Reading()
    inputs = [reading.add_input(tensor) for tensor in model.inputs]
    outputs = reading.open(model, inputs, prefix="")
    return Graph(tuple(reading.nodes), tuple(inputs), tuple(outputs), dict(reading.aliases))


def no_such(thing: str, name: object, known: Iterable[str]) -> str:
    """Word the error for a name that is not there, with the nearest that is."""
    names = [n for n in known if not n.endswith(LINEAR)]
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4)
    tail = [n for n in names if n.rsplit("/", 1)[-1] == str(name)][:3]
    options = list(dict.fromkeys(tail + near))
    hint = f"did you mean {' or '.join(map(repr, options))}? " if options else ""
    return f"no {thing} {str(name)!r}; {hint}net.layers lists all {len(names)}"


class _Reading:
    """The state of one reading: nodes found so far, and how often each address was taken."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.aliases: dict[str, int] = {}
        self._taken: dict[str, int] = {}

    def add_input(self, tensor: Any) -> Ref:
        operation = tensor._keras_history.operation
        address, call = self._address(operation.name)
        self._append(address, call, "whole", operation, (), (tuple(tensor.shape),), ((), {}))
        return Ref(len(self.nodes) - 1)

    def open(self, model: Any, feeds: Sequence[Ref], prefix: str) -> list[Ref]:
        """Add the nodes between a model's inputs, which are `feeds`, and its outputs; give the outputs."""
        found = {id(tensor): ref for tensor, ref in zip(model.inputs, feeds, strict=True)}
        outputs = keras.tree.flatten(model.outputs)
        # Depth first, a call's inputs in the order they were written: branches stay together.
        stack = [_call_of(tensor) for tensor in reversed(outputs) if id(tensor) not in found]
        while stack:
            call = stack[-1]
            if all(id(tensor) in found for tensor in call.outputs):
                stack.pop()
                continue
            missing = [tensor for tensor in call.input_tensors if id(tensor) not in found]
            if missing:
                stack.extend(_call_of(tensor) for tensor in reversed(missing))
                continue
            stack.pop()
            for tensor, ref in zip(call.outputs, self._add(call, found, prefix), strict=True):
                found[id(tensor)] = ref
        return [found[id(tensor)] for tensor in outputs]

    def _add(self, call: Any, found: Mapping[int, Ref], prefix: str) -> list[Ref]:
        operation = call.operation
        address, number = self._address(prefix + operation.name)
        if _can_open(operation):
            outputs = self.open(operation, [found[id(tensor)] for tensor in call.input_tensors], address + "/")
            self.aliases[address] = outputs[0].node
            return outputs
        arguments = keras.tree.map_structure(
            lambda a: found[id(a)] if isinstance(a, keras.KerasTensor) else a,
            (call.arguments.args, call.arguments.kwargs),
        )
        inputs = tuple(a for a in keras.tree.flatten(arguments) if isinstance(a, Ref))
        shapes = tuple(tuple(tensor.shape) for tensor in call.outputs)
        if _has_fused_activation(operation):
            self._append(address + LINEAR, number, "linear", operation, inputs, shapes, arguments)
            before = Ref(len(self.nodes) - 1)
            self._append(address, number, "activation", operation, (before,), shapes, ((before,), {}))
        else:
            self._append(address, number, "whole", operation, inputs, shapes, arguments)
        return [Ref(len(self.nodes) - 1, i) for i in range(len(shapes))]

    def _append(
        self,
        address: str,
        call: int,
        part: str,
        operation: Operation,
        inputs: tuple[Ref, ...],
        shapes: tuple[Shape, ...],
        arguments: Any,
    ) -> None:
        kind = type(operation).__name__
        self.nodes.append(Node(len(self.nodes), address, call, kind, part, operation, inputs, shapes, arguments))

    def _address(self, name: str) -> tuple[str, int]:
        number = self._taken.get(name, 0) + 1
        self._taken[name] = number
        return (name, 1) if number == 1 else (f"{name}@{number}", number)


def _call_of(tensor: Any) -> Any:
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def _can_open(operation: Any) -> bool:
    if isinstance(operation, keras.Sequential):
        return operation.built and getattr(operation, "_functional", None) is not None
    return isinstance(operation, Functional) and type(operation).call is Functional.call


def _way_out(model: keras.Model) -> str:
    name = type(model).__name__
    if isinstance(model, keras.Sequential):
        return (
            f"the Sequential {model.name!r} has no input shape yet, so it has no graph; "
            "call model.build((None, height, width, 3)) first, or begin it with keras.Input((height, width, 3))"
        )
    return (
        f"{name} is a subclassed model: its call() is code, and there is no graph to read. Run that code once on a "
        "symbolic input and load the functional model it gives: image = keras.Input((height, width, 3)); "
        "model = keras.Model(image, your_model.call(image))"
    )


def _has_fused_activation(operation: Any) -> bool:
    return isinstance(operation, _FUSED) and _activation_name(operation.activation) not in (None, "linear")


@contextlib.contextmanager
def _without_activation(layer: Any) -> Iterator[None]:
    with _swapping:
        activation = layer.activation
        layer.activation = keras.activations.linear
        try:
            yield
        finally:
            layer.activation = activation


def _activation_name(activation: Any) -> str | None:
    if activation is None:
        return None
    if isinstance(activation, keras.layers.ReLU):
        return _relu_name(activation)
    if isinstance(activation, keras.Layer):
        return _NONLINEAR_KINDS.get(type(activation).__name__, activation.name)
    name = getattr(activation, "__name__", type(activation).__name__)
    return {"swish": "silu"}.get(name, name)


def _relu_name(layer: Any) -> str:
    negative_slope, threshold = float(layer.negative_slope), float(layer.threshold)
    if negative_slope == 0.0 and threshold == 0.0:
        if layer.max_value is None:
            return "relu"
        if float(layer.max_value) == 6.0:
            return "relu6"
    return "leaky_relu" if negative_slope != 0.0 else "capped_relu"


_NONLINEAR_KINDS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "LeakyReLU": "leaky_relu",
    "LeakyRelu": "leaky_relu",
    "PReLU": "prelu",
    "ELU": "elu",
    "Elu": "elu",
    "Selu": "selu",
    "Gelu": "gelu",
    "Silu": "silu",
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}
