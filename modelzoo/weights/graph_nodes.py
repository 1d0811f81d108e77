"""The nodes of a frozen graph in the order they compute, and which of them gives the answer.

::

        nodes = read_nodes("mobilenet_v1_frozen.pb")
        nodes["MobilenetV1/Logits/SpatialSqueeze"].inputs
        # ('MobilenetV1/Logits/Conv2d_1c_1x1/BiasAdd',)
        find_output(nodes, known=LAYERS)
        # 'MobilenetV1/Logits/SpatialSqueeze'

A published graph says neither where pictures go in nor where the answer comes out, and holds what training left behind:
control inputs, dropout, auxiliary heads, metrics. Here it is only read, as a table of nodes; nothing of it runs. The two
verbs: nodes are *read*, and those that one node needs are *ordered*.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modelzoo.weights.errors import WeightsError
from modelzoo.weights.frozen_graph import read_graph_def

__all__ = ["GraphNode", "find_output", "ordered", "read_nodes", "source_of"]

PASSES_ON = ("Identity", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot", "Cast")
_ENDS = ("logit", "predict", "prob", "softmax", "output", "score")
MOST_LISTED = 12


@dataclass(frozen=True)
class GraphNode:
    """One node of a graph.

    Attributes
    ----------
    name, op
        ``"conv1/BiasAdd"``, ``"BiasAdd"``.
    inputs
        Names of the nodes it reads, control inputs left out; ``"name:1"`` for an output that is not the first.
    attributes
        As the graph has them, by name.
    passed_over
        What it read in training alone.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(repr=False, hash=False, compare=False)
    passed_over: tuple[str, ...] = ()

    def integers(self, name: str) -> tuple[int, ...]:
        """Give a list of whole numbers; empty where it is not there."""
        return tuple(self.attributes[name].list.i) if name in self.attributes else ()

    def number(self, name: str, otherwise: float) -> float:
        """Give a number."""
        return float(self.attributes[name].f) if name in self.attributes else otherwise

    def integer(self, name: str, otherwise: int) -> int:
        """Give a whole number."""
        return int(self.attributes[name].i) if name in self.attributes else otherwise

    def flag(self, name: str, otherwise: bool = False) -> bool:
        """Give a truth value."""
        return bool(self.attributes[name].b) if name in self.attributes else otherwise

    def text(self, name: str, otherwise: str = "") -> str:
        """Give a text."""
        return self.attributes[name].s.decode("utf-8", "replace") if name in self.attributes else otherwise

    @property
    def shape(self) -> tuple[int | None, ...] | None:
        """The shape a placeholder states; None where it states none, as graphs of 2015 do with an empty one."""
        if "shape" not in self.attributes or self.attributes["shape"].shape.unknown_rank:
            return None
        sizes = tuple(d.size if d.size > 0 else None for d in self.attributes["shape"].shape.dim)
        return sizes or None


def read_nodes(path: str | Path) -> dict[str, GraphNode]:
    """Read a graph's nodes by name, in the file's order, dropout of training already passed over.

    Raises
    ------
    WeightsError
        Where the file is no graph, a name stands twice, or a node reads one that is not there.
    """
    nodes: dict[str, GraphNode] = {}
    for node in read_graph_def(path).node:
        if node.name in nodes:
            raise WeightsError(f"{path}: damaged: two nodes are called {node.name[:200]!r}")
        inputs = tuple(name.removesuffix(":0") for name in node.input if not name.startswith("^"))
        nodes[node.name] = GraphNode(node.name, node.op, inputs, dict(node.attr))
    for node in nodes.values():
        for name in node.inputs:
            if name.partition(":")[0] not in nodes:
                raise WeightsError(
                    f"{path}: damaged: {node.name[:200]!r} reads {name[:200]!r}, which is not in the graph"
                )
    return {name: _without_dropout(node, nodes) for name, node in nodes.items()}


def source_of(name: str, nodes: Mapping[str, GraphNode]) -> GraphNode:
    """Find the node whose value a name gives, behind nodes that only pass on."""
    node = nodes[name.partition(":")[0]]
    for _ in nodes:
        if node.op not in PASSES_ON or not node.inputs:
            return node
        node = nodes[node.inputs[0].partition(":")[0]]
    return node


def ordered(nodes: Mapping[str, GraphNode], end: str, *, path: str | Path, start: str | None = None) -> list[GraphNode]:
    """Give the nodes that `end` needs, each after those it reads; what feeds `start` is left out.

    Raises
    ------
    WeightsError
        For a graph that runs in circles.
    """
    done: dict[str, GraphNode] = {}
    open_: set[str] = set()
    stack = [(end, False)]
    while stack:
        name, read = stack.pop()
        if name in done:
            continue
        if read:
            open_.discard(name)
            done[name] = nodes[name]
            continue
        if name in open_:
            raise WeightsError(f"{path}: {name!r} needs its own value: a graph with loops is no feed-forward network")
        open_.add(name)
        stack.append((name, True))
        inputs = () if name == start else nodes[name].inputs
        needed = [each.partition(":")[0] for each in reversed(inputs)]
        circle = next((each for each in needed if each in open_), None)
        if circle is not None:
            raise WeightsError(f"{path}: {circle!r} needs its own value: a graph with loops is no feed-forward network")
        stack += [(each, False) for each in needed if each not in done]
    return list(done.values())


def find_output(
    nodes: Mapping[str, GraphNode], *, known: Collection[str], path: str | Path, wanted: str | None = None
) -> str:
    """Find the node that gives the network's answer.

    Parameters
    ----------
    nodes
        All of the graph.
    known
        Operations that can be built; what only others read (metrics, top-k) is an end too.
    path
        The file, for errors.
    wanted
        Name of the node, where somebody knows it.

    Returns
    -------
    str
        `wanted`; else, of the nodes that nothing reads, the deepest behind a softmax, or one that looks like class scores.

    Raises
    ------
    WeightsError
        Where `wanted` is not there, no end depends on a picture, or several do and none looks like an answer; with the
        candidates.
    """
    ends = _ends(nodes, known)
    if wanted is not None:
        name = wanted.removesuffix(":0")
        if name in nodes:
            return name
        near = difflib.get_close_matches(name, nodes, n=2, cutoff=0.4)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise WeightsError(f"{path}: no node {wanted!r} to end at{hint} Its ends are {_listed(ends)}")
    if not ends:
        raise WeightsError(
            f"{path}: no node computes anything from a picture: expected a Placeholder and layers after it"
        )
    depth = {name: len(ordered(nodes, name, path=path)) for name in ends}
    likeness = {name: _likeness(name, nodes) for name in ends}
    best = max(likeness.values())
    if best == 0 and len(ends) > 1:
        raise WeightsError(f"{path}: none of its {len(ends)} ends looks like an answer; say which: {_listed(ends)}")
    return max((name for name in ends if likeness[name] == best), key=lambda name: depth[name])


def _listed(names: Collection[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - MOST_LISTED} more" if len(listed) > MOST_LISTED else ""
    return ", ".join(listed[:MOST_LISTED]) + more


def _ends(nodes: Mapping[str, GraphNode], known: Collection[str]) -> list[str]:
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    for node in nodes.values():
        for name in (*node.inputs, *node.passed_over):
            readers[name.partition(":")[0]].append(node.name)
    seen = {name for name, node in nodes.items() if node.op == "PlaceholderWithDefault" or _begins(node)}
    reached = set(seen)
    stack = list(seen)
    while stack:
        for reader in readers[stack.pop()]:
            # A shape is no picture: what is computed from it alone, the noise of dropout, is no answer.
            if reader not in reached and nodes[reader].op != "Shape":
                reached.add(reader)
                stack.append(reader)
    alive = {name for name in reached - seen if nodes[name].op in known}
    return [name for name in nodes if name in alive and not any(reader in alive for reader in readers[name])]


def _begins(node: GraphNode) -> bool:
    return not node.inputs and node.op not in ("Const", "NoOp")


def _likeness(name: str, nodes: Mapping[str, GraphNode]) -> int:
    """Say how much a node looks like class scores: 2 behind a softmax, 1 behind a classifier or by its name, 0."""
    node = nodes[name]
    for _ in range(len(nodes)):
        if node.op in ("Softmax", "Sigmoid"):
            return 2
        if node.op in ("MatMul", "Conv2D"):
            return 1
        if node.op not in (*PASSES_ON, "Reshape", "Squeeze", "BiasAdd", "Add", "AddV2") or not node.inputs:
            break
        node = nodes[node.inputs[0].partition(":")[0]]
    return int(any(word in name.lower().rsplit("/", 1)[-1] for word in _ENDS))


def _without_dropout(node: GraphNode, nodes: Mapping[str, GraphNode]) -> GraphNode:
    """Make the product that drops random values one that passes all of them on.

    It reads ``x / keep`` and the noise rounded to 0 or 1, ``Floor(keep + noise)`` or ``Cast(noise >= rate)``; of late it
    selects ``x / keep`` or 0 by ``noise >= rate``.
    """
    if node.op in ("Select", "SelectV2") and len(node.inputs) == 3 and _is_noise(node.inputs[0], nodes):
        return replace(node, op="Identity", inputs=_unscaled(node.inputs[1], nodes), passed_over=node.inputs)
    if node.op == "Mul" and len(node.inputs) == 2:
        for noise, kept in (node.inputs, node.inputs[::-1]):
            if _is_noise(noise, nodes):
                return replace(node, op="Identity", inputs=_unscaled(kept, nodes), passed_over=node.inputs)
    return node


def _unscaled(name: str, nodes: Mapping[str, GraphNode]) -> tuple[str, ...]:
    scaled = source_of(name, nodes)
    if scaled.op in ("Div", "RealDiv"):
        return scaled.inputs[:1]
    if scaled.op != "Mul":
        return (name,)
    values = [each for each in scaled.inputs if source_of(each, nodes).op not in _NUMBERS]
    return tuple(values[:1] or scaled.inputs[:1])


_NUMBERS = ("Const", "RealDiv", "Div", "Sub")


def _is_noise(name: str, nodes: Mapping[str, GraphNode]) -> bool:
    node = nodes[name.partition(":")[0]]
    if node.op == "Cast" and node.inputs:
        node = nodes[node.inputs[0].partition(":")[0]]
    if node.op not in ("Floor", "GreaterEqual"):
        return False
    stack, steps = [node], 0
    while stack and steps < 32:
        steps += 1
        each = stack.pop()
        if each.op in ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"):
            return True
        stack += [nodes[name.partition(":")[0]] for name in each.inputs]
    return False
