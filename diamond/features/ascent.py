"""The compiled steps that carry a batch of images uphill.

One step develops the images, moves them, measures them, and lets the optimiser change what they are held in. Several
steps are one call, with the loop inside the graph::

    >>> climb = compiled_steps(question, recipe, width=32, traces=[])
    >>> state, memory = climb(state, memory, count, first, drawn, data)

What a step costs beside the network's own work is kept small: the network runs without batch norms (see
`diamond.features.folding`), the images are developed and moved by functions that XLA compiles once for all layers, and
redirected gradients are computed only where an image has no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from diamond.features.color import coloured
from diamond.features.folding import folded
from diamond.features.images import Parametrisation, Size
from diamond.features.measures import Data, measure
from diamond.features.recipes import Recipe
from diamond.features.relu import redirect, sources_before, unregistered, values_before
from diamond.features.transforms import apply
from modelzoo import Network
from modelzoo.graph import Node

__all__ = ["Question", "Workbench", "compiled_steps", "develop"]

Replace = Callable[[Node], Callable[..., Any] | None]


class Question(NamedTuple):
    """What is asked of a network: the shape of the objectives, and the nodes that they speak of.

    Attributes
    ----------
    net
        The network.
    shape
        See `Objective.shape`.
    nodes
        By layer, and whether it is looked at before its own nonlinearity.
    """

    net: Network
    shape: tuple[tuple[Any, ...], ...]
    nodes: Mapping[tuple[str, bool], Node]

    @property
    def wanted(self) -> list[Node]:
        """Every node that has to be computed."""
        wanted = {node.index: node for node in self.nodes.values()}
        for (_, before), node in self.nodes.items():
            if before:
                wanted |= {source.index: source for source in sources_before(self.net.graph, node)}
        return list(wanted.values())

    def measured(
        self, pictures: Any, seen: Any, data: Data, *, progress: Any = 1.0, replace: Replace = unregistered
    ) -> Any:
        """Give what each image reaches, ``(batch,)``.

        Parameters
        ----------
        pictures
            What terms on the picture measure; None leaves them out.
        seen
            What the network sees.
        data, progress
            As in `measure`.
        replace
            As in `Graph.evaluate`.
        """
        wanted = self.wanted
        values = dict(zip([n.index for n in wanted], self.net.forward(seen, wanted, replace=replace), strict=True))
        by_layer = {
            key: values_before(self.net.graph, node, values) if key[1] else values[node.index]
            for key, node in self.nodes.items()
        }
        return measure(self.shape, by_layer, pictures, data, progress=progress)


class Workbench(NamedTuple):
    """An optimiser and the variables it works on; what they hold is put there at the start of each call."""

    optimizer: Any
    variables: list[Any]

    @classmethod
    def of(cls, recipe: Recipe, state: tuple[Any, ...]) -> Workbench:
        """Make the optimiser of a recipe, for states of this shape."""
        variables = [keras.Variable(part) for part in state]
        settings = {"class_name": recipe.optimizer, "config": {"learning_rate": recipe.learning_rate}}
        optimizer = keras.optimizers.get(settings)
        optimizer.build(variables)
        # There is one replica. Summing over it registers a gradient for ever, and with it the graph of every renderer.
        optimizer._all_reduce_sum_gradients = lambda pairs: pairs
        return cls(optimizer, variables)

    @property
    def memory(self) -> tuple[Any, ...]:
        """What the optimiser remembers between steps."""
        return tuple(variable.value.read_value() for variable in self.optimizer.variables)

    @property
    def state(self) -> tuple[Any, ...]:
        """What the images are held in."""
        return tuple(variable.value.read_value() for variable in self.variables)

    def lay_out(self, state: tuple[Any, ...], memory: tuple[Any, ...]) -> None:
        """Put a batch on the bench."""
        for variable, value in zip([*self.variables, *self.optimizer.variables], [*state, *memory], strict=True):
            variable.assign(value)


@lru_cache(maxsize=32)
def develop(image: Parametrisation, size: Size, *, planes: int, colours: int) -> Callable[[Any], Any]:
    """Give the compiled function from a state to pictures ``(batch, height, width, planes)``, one for all renderers."""

    def developed(state: Any) -> Any:
        return coloured(image.develop(state, size, planes), colours=colours)

    compiled: Callable[[Any], Any] = tf.function(developed, autograph=False, jit_compile=True)
    return compiled


def compiled_steps(
    question: Question, recipe: Recipe, bench: Workbench, *, colours: int, traces: list[Size]
) -> Callable[..., Any]:
    """Give the function that takes several steps in one call.

    Parameters
    ----------
    question
        What is climbed.
    recipe
        How.
    bench
        What it is done on.
    colours
        Of the network's pictures.
    traces
        The canvas is added to it whenever something is compiled.

    Returns
    -------
    function
        Of state, the optimiser's memory, how many steps, which is the first, what was drawn for them
        ``(step, batch, ...)`` and the objectives' data; gives state and memory.
    """
    developed = develop(recipe.image, recipe.size, planes=colours + recipe.alpha, colours=colours)

    def uphill(pictures: Any, seen: Any, data: Data, progress: Any, replace: Replace) -> tuple[Any, Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((pictures, seen))
            reached = question.measured(pictures, seen, data, progress=progress, replace=replace)
            loss = -tf.reduce_sum(reached)
        of_pictures, of_seen = tape.gradient(loss, (pictures, seen))
        return of_pictures, tf.zeros_like(seen) if of_seen is None else of_seen

    def one(step: Any, now: dict[str, Any], data: Data, plain: Replace, redirected: Replace) -> None:
        progress = tf.cast(step, tf.float32) / recipe.steps
        state = bench.state
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state)
            pictures = developed(state)
            # Apart from the pictures also where nothing happens to them, so that each has a gradient of its own.
            seen = tf.identity(apply(recipe.transforms, pictures, now))
        of_pictures, of_seen = uphill(pictures, seen, data, progress, plain)
        if recipe.redirect_steps:
            asks = tf.reduce_any(tf.not_equal(data.weights, 0.0), axis=1)[:, None, None, None]
            blocked = asks & tf.reduce_all(tf.equal(of_seen, 0.0), axis=[1, 2, 3], keepdims=True)
            of_seen = tf.cond(
                (step < recipe.redirect_steps) & tf.reduce_any(blocked),
                lambda: tf.where(blocked, uphill(pictures, seen, data, progress, redirected)[1], of_seen),
                lambda: of_seen,
            )
        ends = [(pictures, of_pictures), (seen, of_seen)]
        targets, gradients = zip(*[(end, gradient) for end, gradient in ends if gradient is not None], strict=True)
        bench.optimizer.apply(tape.gradient(targets, state, output_gradients=gradients), bench.variables)

    def several(state: Any, memory: Any, count: Any, first: Any, drawn: Any, data: Data) -> Any:
        traces.append(recipe.size)
        bench.lay_out(state, memory)
        fold = folded(question.net.graph, question.wanted)

        def body(i: Any) -> Any:
            now = {label: values[i] for label, values in drawn.items()}
            one(first + i, now, data, _first_of(fold, unregistered), _first_of(fold, redirect))
            return i + 1

        tf.while_loop(lambda i: i < count, body, (tf.constant(0),), parallel_iterations=1)
        return bench.state, bench.memory

    compiled: Callable[..., Any] = tf.function(several, autograph=False, reduce_retracing=True)
    return compiled


def _first_of(*replacements: Replace) -> Replace:
    return lambda node: next((found for replace in replacements if (found := replace(node)) is not None), None)
