"""Small frozen graphs, written as TensorFlow 1 wrote them, and what TensorFlow computes with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1
SIDE = 12


class Frozen:
    """A graph with random weights in a file, and the session's own answer.

    `build` takes the placeholder ``input`` and gives the tensor of the answer.
    """

    def __init__(self, path: Path, build: Callable[[Any], Any], *, shape: Any = (None, SIDE, SIDE, 3)) -> None:
        self.path = path
        self.graph = tf.Graph()
        with self.graph.as_default(), v1.Session(graph=self.graph) as session:
            v1.set_random_seed(3)
            answer = build(v1.placeholder(tf.float32, shape, name="input"))
            session.run(v1.global_variables_initializer())
            self.end = answer.op.name
            frozen = v1.graph_util.convert_variables_to_constants(session, self.graph.as_graph_def(), [self.end])
        path.write_bytes(frozen.SerializeToString())

    def run(self, pictures: np.ndarray, feeds: dict[str, Any] | None = None) -> np.ndarray:
        graph = tf.Graph()
        with graph.as_default():
            definition = v1.GraphDef.FromString(self.path.read_bytes())
            tf.import_graph_def(definition, name="")
        with v1.Session(graph=graph) as session:
            return session.run(f"{self.end}:0", {"input:0": pictures, **(feeds or {})})


def weight(name: str, *shape: int, low: float = -0.5, high: float = 0.5) -> Any:
    """A random variable as TF-slim reads it: through an Identity called ``read``."""
    return v1.get_variable(name, shape, initializer=v1.random_uniform_initializer(low, high), use_resource=False)


def pictures(n: int = 2, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, side, side, 3)).astype(np.float32)
