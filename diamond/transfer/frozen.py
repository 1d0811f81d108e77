"""The frozen part of a student, computed once.

    >>> frozen_up_to(student).address
    'head_pool'

Where pictures are the same in every epoch, what the frozen part makes of them is the same too: twenty epochs of a head take
little more than one pass through the network. The tail is a Keras model of its own with the student's own layers, so what
it learns the student has learned.
"""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diamond.transfer.feed import Held, Room
from modelzoo import Network
from modelzoo.attributes import describe
from modelzoo.graph import Node

__all__ = ["frozen_up_to", "given_by", "tail_from"]

BATCH = 32
FEWEST_WITH_BAR = 64


def frozen_up_to(student: Network) -> Node | None:
    """Find the last node that all of the answer depends on and that no training changes; None where there is none."""
    graph = student.graph
    output = graph.nodes[graph.outputs[0].node]
    still: set[int] = set()
    for node in graph.nodes:
        if all(ref.node in still for ref in node.inputs) and (node.is_input or _is_still(node)):
            still.add(node.index)
    for node in reversed(graph.ancestors([output])):
        if node.index in still and not node.is_input and node is not output:
            behind = graph.ancestors([output], stop=[node.index])
            if node in behind and not any(one.is_input for one in behind):
                return node
    return None


def tail_from(student: Network, node: Node) -> keras.Model:
    """Give the student from a node on, as a Keras model with the same layers."""
    graph = student.graph
    values = keras.Input(node.shape[1:], name="frozen")
    [answer] = graph.evaluate({node.index: values}, [graph.nodes[graph.outputs[0].node]])
    return keras.Model(values, answer, name=f"{student.name}.tail")


def given_by(student: Network, node: Node, held: Held, *, most_bytes: int, progress: bool = True) -> Held:
    """Give samples as a node of the student sees them.

    Returns
    -------
    Held
        Its values are the node's, float32.
    """
    is_bytes = held.values.dtype == np.uint8
    run = student.compiled(("frozen", node.address), lambda: lambda shown: student.forward(shown, [node]))
    room = Room(most_bytes)
    hidden = not progress or len(held) < FEWEST_WITH_BAR
    for begin in tqdm(range(0, len(held), BATCH), desc="frozen part", unit="batch", disable=hidden, leave=False):
        values = np.asarray(held.values[begin : begin + BATCH], np.float32)
        room.add(run(tf.constant(values / 255 if is_bytes else values))[0].numpy().astype(np.float32))
    return replace(held, values=room.values())


def _is_still(node: Node) -> bool:
    """Whether a node gives the same for the same, now and after training; of what is not known one cannot say."""
    frozen = not node.weights or not getattr(node.operation, "trainable", False)
    return frozen and describe(node)["op"] not in ("unknown", "identity")
