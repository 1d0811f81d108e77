"""What a layer computes, as a short string that two layers share only if they compute the same.

A spritemap is found by fingerprint. A name would not do: after fine-tuning, ``mixed4d`` is another layer under the same
name, and the frozen trunk of a transferred network is the same layer under another::

    >>> fingerprints(graph, card.input)[graph["block4_add"].index][:8]
    'd3c1f0a2'

A fingerprint is a Merkle hash: of what the operation does (see `modelzoo.attributes`), of its weights, and of the
fingerprints of what it reads; at the root stands how a picture becomes the network's input. What follows:

* A convolution, its batch norm and its ReLU differ; a dropout does nothing and has the fingerprint of what it reads.
* Names, the size of the input and anything after the layer play no part.
* The same arrays give the same fingerprint in every version of Keras and on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import numpy as np

from modelzoo.attributes import describe
from modelzoo.cards import InputSpec
from modelzoo.graph import Graph, Node

__all__ = ["fingerprint", "fingerprints"]

# Raised when the meaning of a description changes, so that old spritemaps are not mistaken for new ones.
SCHEME = 1


def fingerprint(graph: Graph, node: Node, spec: InputSpec) -> str:
    """Give the fingerprint of one node: 64 hexadecimal digits."""
    return fingerprints(graph, spec, [node])[node.index]


def fingerprints(graph: Graph, spec: InputSpec, nodes: Iterable[Node] | None = None) -> dict[int, str]:
    """Give the fingerprints of `nodes` (all, where None) and of everything they depend on, by node index.

    Weights are read anew at every call: a network in training changes its fingerprints.
    """
    found: dict[int, str] = {}
    for node in graph.nodes if nodes is None else graph.ancestors(nodes):
        found[node.index] = _fingerprint_of(node, spec, found)
    return found


def _fingerprint_of(node: Node, spec: InputSpec, found: dict[int, str]) -> str:
    what = describe(node)
    if what["op"] == "identity":
        return found[node.inputs[0].node]
    content = {"scheme": SCHEME, "does": what, "reads": [[found[ref.node], ref.output] for ref in node.inputs]}
    if node.is_input:
        # Only where it is so: the fingerprints of picture networks stay what they were.
        turned = {"time_first": True} if spec.audio is not None and spec.audio.time_first else {}
        content["preprocessing"] = {"order": spec.channel_order, "per_channel": spec.per_channel, **turned}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())
    for variable in node.weights:
        values = np.ascontiguousarray(np.asarray(variable), dtype="<f4")
        digest.update(f"|{variable.name}:{values.shape}|".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
