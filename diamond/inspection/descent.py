"""Down to a picture whose code is a given one.

The code of a layer is matched in the least squares sense, over the spectrum of the picture, by a quasi-Newton method
(L-BFGS, Liu and Nocedal 1989): nothing is drawn at random on the way, so it comes far closer than the steps that render
a channel, in as many evaluations.

A layer that ends in a ReLU hides most of its values: where it answers 0 it has no gradient, and a picture that begins as
a faint noise never wakes the channels it should. So a value that should be above 0 is measured before its ReLU, and one
that should be 0 after it; one that should be at the cap of a ReLU6 only has to reach it. That is 0 for the very pictures
for which the distance after the ReLU is, and uses nothing but the code.

Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them" (CVPR 2015), equations 1 and 2; its
penalty on roughness is the total variation of section 3.2, squared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from diamond.features.ascent import compiled
from diamond.features.color import coloured
from diamond.features.folding import folded
from diamond.features.images import Fourier
from diamond.features.relu import sources_before, values_before
from modelzoo import GraphError, Network
from modelzoo.attributes import describe
from modelzoo.graph import Graph, Node

__all__ = ["Descent", "Found"]

# With amplitudes that fall as in photos fine detail comes last: of an early layer, which keeps all of it, twice as far off
# after as many steps.
IMAGE = Fourier(decay=0.75)
# How many steps back L-BFGS remembers.
MEMORY = 10


class Found(NamedTuple):
    """A picture, and how far its code is.

    Attributes
    ----------
    canvas
        ``(height, width, colours)`` in [0, 1].
    error
        Length of the difference of the codes, as a share of the length of the code asked for.
    """

    canvas: np.ndarray
    error: float


class Descent:
    """One layer's way down, for any number of beginnings.

    Parameters
    ----------
    net
        The network.
    node
        The layer.
    code
        What it should answer, ``(height, width, channel)`` or whatever shape it has.
    size
        ``(height, width)`` of the canvas.
    smoothness
        Weight of the mean squared difference of neighbouring pixels, against the squared relative error of the code.

    Raises
    ------
    ValueError
        For a code that is all zero, NaN or infinite.
    """

    def __init__(self, net: Network, node: Node, code: np.ndarray, size: tuple[int, int], smoothness: float) -> None:
        code = np.asarray(code, np.float32)
        if not np.isfinite(code).all():
            raise ValueError(f"the code of the picture at {node.address!r} holds NaN or infinite values")
        if not code.any():
            raise ValueError(f"the code of the picture at {node.address!r} is all zero: there is nothing to match")
        self.net, self.node, self.size = net, node, size
        self.code = tf.constant(code[None])
        self.length = float(np.sum(np.square(code, dtype=np.float64)))
        self.colours = 3 if net.input.channels != 1 else 1
        self._value = compiled(self._build(smoothness))
        self._errors = compiled(self._error)

    def down(self, stream: np.random.Generator, steps: int, on_step: Callable[[], object] | None = None) -> Found:
        """Go down from a faint noise.

        Parameters
        ----------
        stream
            Of the noise.
        steps
            At most so many steps.
        on_step
            Called after each.

        Raises
        ------
        GraphError
            Where no gradient of the layer reaches the picture.
        ValueError
            Where the picture did not stay finite.
        """
        from scipy.optimize import minimize  # type: ignore[import-untyped]

        [begin] = IMAGE.draw(self.size, self.colours, [stream])

        def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = self._value(tf.constant(flat.reshape(begin.shape), tf.float32))
            return float(loss), gradient.numpy().ravel().astype(np.float64)

        done = minimize(
            value,
            begin.ravel().astype(np.float64),
            jac=True,
            method="L-BFGS-B",
            callback=None if on_step is None else lambda _: on_step(),
            # It ends by its steps; the loss may fall by a thousandth of itself for long.
            options={"maxiter": steps, "maxfun": 2 * steps + 20, "maxcor": MEMORY, "ftol": 0.0, "gtol": 0.0},
        )
        canvas = self._developed(tf.constant(done.x.reshape(begin.shape), tf.float32)).numpy()
        if not np.isfinite(canvas).all():
            raise ValueError(f"the picture for {self.node.address!r} did not stay finite")
        return Found(canvas[0], self.error(canvas[0]))

    def error(self, canvas: np.ndarray) -> float:
        """How far the code of a canvas ``(height, width, colours)`` is, as a share of the length of the code."""
        return math.sqrt(float(self._errors(tf.constant(canvas[None], tf.float32))) / self.length)

    def _developed(self, state: Any) -> Any:
        return coloured(IMAGE.develop((state,), self.size, self.colours), colours=self.colours)

    def _error(self, canvas: Any) -> Any:
        [found] = self.net.forward(self.net.from_canvas(canvas), [self.node])
        return tf.reduce_sum(tf.square(tf.cast(found, tf.float32) - self.code))

    def _build(self, smoothness: float) -> Callable[[Any], Any]:
        cap = _cap(self.net.graph, self.node)
        sources = [self.node] if cap is None else sources_before(self.net.graph, self.node)
        fold = folded(self.net.graph, sources)

        def measured(canvas: Any) -> Any:
            found = self.net.forward(self.net.from_canvas(canvas), sources, replace=fold)
            if cap is None:
                return tf.cast(found[0], tf.float32) - self.code
            by_index = {source.index: values for source, values in zip(sources, found, strict=True)}
            before = tf.cast(values_before(self.net.graph, self.node, by_index), tf.float32)
            missing = tf.where(self.code > 0, before - self.code, tf.nn.relu(before))
            return tf.where(self.code >= cap, tf.nn.relu(cap - before), missing)

        def value(state: Any) -> tuple[Any, Any]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(state)
                canvas = self._developed(state)
                loss = tf.reduce_sum(tf.square(measured(canvas))) / self.length + smoothness * _roughness(canvas)
            gradient = tape.gradient(loss, state)
            if gradient is None:
                raise GraphError(f"no gradient of {self.node.address!r} reaches the picture")
            return loss, gradient

        return value


def _roughness(canvas: Any) -> Any:
    down = tf.reduce_mean(tf.square(canvas[:, 1:] - canvas[:, :-1]))
    return down + tf.reduce_mean(tf.square(canvas[:, :, 1:] - canvas[:, :, :-1]))


def _cap(graph: Graph, node: Node) -> float | None:
    """Where the ReLUs end whose values a layer is made of; infinite where they do not, None where they are no ReLUs."""
    if node.nonlinearity not in (None, "linear"):
        return {"relu": math.inf, "relu6": 6.0}.get(str(node.nonlinearity))
    if describe(node)["op"] not in ("concatenate", "identity"):
        return None
    caps = {_cap(graph, graph.nodes[ref.node]) for ref in node.inputs}
    return caps.pop() if len(caps) == 1 else None
