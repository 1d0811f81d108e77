"""The compiled step that carries a batch of images uphill.

One step develops the images, moves them, measures them, and lets the optimiser change what they are held in::

        step = compiled_step(question, recipe, bench, colours=3, traces=[])
        bench.lay_out(state, memory)
        step(0, drawn, data)

What a step costs beside the network's own work is kept small: the network runs without batch norms (see
`diamond.features.folding`), the images are developed and moved by functions that are compiled once for all layers, and
redirected gradients are computed only where an image has no other.

What XLA compiles is called from functions that all renderers share: a function that calls it keeps some megabytes for
ever, which for one of each renderer's own would grow with every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from diamond.features.color import coloured
from diamond.features.folding import folded
from diamond.features.images import Parametrisation, Size
from diamond.features.measures import Data, measure
from diamond.features.recipes import Recipe
from diamond.features.relu import redirect, sources_before, unregistered, values_before
from diamond.features.transforms import Transform, apply
from modelzoo import Network
from modelzoo.graph import Node

__all__ = ["Question", "Workbench", "compiled", "compiled_step", "develop"]

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
            What the network sees, in [0, 1].
        data, progress
            As in `measure`.
        replace
            As in `Graph.evaluate`.
        """
        wanted = self.wanted
        found = self.net.forward(self.net.from_canvas(seen), wanted, replace=replace)
        values = dict(zip([n.index for n in wanted], found, strict=True))
        by_layer = {
            key: values_before(self.net.graph, node, values) if key[1] else values[node.index]
            for key, node in self.nodes.items()
        }
        return measure(self.shape, by_layer, pictures, data, progress=progress)


class Workbench(NamedTuple):
    """An optimiser and the variables it works on; what they hold is put there before the first of several steps."""

    optimizer: Any
    variables: list[Any]

    @classmethod
    def of(cls, recipe: Recipe, state: tuple[Any, ...]) -> Workbench:
        """Make the optimiser of a recipe, for states of this shape."""
        variables = [keras.Variable(part) for part in state]
        config = {"learning_rate": recipe.learning_rate, **dict(recipe.optimizer_settings)}
        try:
            optimizer = keras.optimizers.get({"class_name": recipe.optimizer, "config": config})
        except (TypeError, ValueError) as error:
            given = dict(recipe.optimizer_settings)
            hint = f"; its settings {given} go with another: say optimizer_settings=()" if given else ""
            raise ValueError(f"no Keras optimiser {recipe.optimizer!r} with {config}{hint} ({error})") from error
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

    def change(self, gradients: Any) -> None:
        """Let the optimiser take a step."""
        self.optimizer.apply(gradients, self.variables)


@lru_cache(maxsize=32)
def develop(image: Parametrisation, size: Size, *, planes: int, colours: int) -> Callable[[Any], Any]:
    """Give the compiled function from a state to pictures ``(batch, height, width, planes)``, one for all renderers."""

    def developed(state: Any) -> Any:
        return coloured(image.develop(state, size, planes), colours=colours)

    compiled: Callable[[Any], Any] = tf.function(developed, autograph=False, jit_compile=True)
    return compiled


class _Darkroom(NamedTuple):
    """What happens to images before a network sees them, and how a gradient comes back; one for all renderers."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]


@lru_cache(maxsize=32)
def _darkroom(image: Parametrisation, transforms: tuple[Transform, ...], size: Size, planes: int, c: int) -> _Darkroom:
    developed = develop(image, size, planes=planes, colours=c)

    def forward(state: Any, now: dict[str, Any]) -> tuple[Any, Any]:
        pictures = developed(state)
        # Apart from the pictures also where nothing happens to them, so that each has a gradient of its own.
        return pictures, tf.identity(apply(transforms, pictures, now))

    def backward(state: Any, now: dict[str, Any], of_pictures: Any, of_seen: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state)
            pictures, seen = forward(state, now)
        return tape.gradient((pictures, seen), state, output_gradients=(of_pictures, of_seen))

    return _Darkroom(tf.function(forward, autograph=False), tf.function(backward, autograph=False))


def compiled_step(
    question: Question, recipe: Recipe, bench: Workbench, *, colours: int, traces: list[Size]
) -> Callable[..., None]:
    """Give the function that takes one step on the bench.

    Parameters
    ----------
    question
        What is climbed; its network's weights are those of this moment.
    recipe
        How.
    bench
        What it is done on.
    colours
        Of the network's pictures.
    traces
        The canvas is added to it whenever the network is compiled.

    Returns
    -------
    function
        Of the step's number, what was drawn for it ``(batch, ...)`` and the objectives' data.
    """
    room = _darkroom(recipe.image, recipe.transforms, recipe.size, colours + recipe.alpha, colours)
    fold = folded(question.net.graph, question.wanted)

    def one_way(pictures: Any, seen: Any, data: Data, progress: Any, replace: Replace) -> tuple[Any, Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((pictures, seen))
            reached = question.measured(pictures, seen, data, progress=progress, replace=_first_of(fold, replace))
            loss = -tf.reduce_sum(reached)
        return tuple(tape.gradient(loss, (pictures, seen), unconnected_gradients=tf.UnconnectedGradients.ZERO))

    def uphill(pictures: Any, seen: Any, step: Any, data: Data) -> tuple[Any, Any]:
        traces.append(recipe.size)
        progress = tf.cast(step, tf.float32) / recipe.steps
        of_pictures, of_seen = one_way(pictures, seen, data, progress, unregistered)
        if recipe.redirect_steps:
            asks = tf.reduce_any(tf.not_equal(data.weights, 0.0), axis=1)[:, None, None, None]
            blocked = asks & tf.reduce_all(tf.equal(of_seen, 0.0), axis=[1, 2, 3], keepdims=True)
            of_seen = tf.cond(
                (step < recipe.redirect_steps) & tf.reduce_any(blocked),
                lambda: tf.where(blocked, one_way(pictures, seen, data, progress, redirect)[1], of_seen),
                lambda: of_seen,
            )
        return of_pictures, of_seen

    climb, change = compiled(uphill), compiled(bench.change)

    def step(number: int, now: dict[str, np.ndarray], data: Data) -> None:
        drawn = {label: tf.constant(values) for label, values in now.items()}
        state = bench.state
        pictures, seen = room.forward(state, drawn)
        change(room.backward(state, drawn, *climb(pictures, seen, tf.constant(number), data)))

    return step


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that only one renderer calls, with tensors of one shape.

    TensorFlow counts how often each piece of code is traced, and warns from the fifth renderer on; a partial has no code.
    """
    traced: Callable[..., Any] = tf.function(partial(function), autograph=False, reduce_retracing=True)
    return traced


def _first_of(*replacements: Replace) -> Replace:
    return lambda node: next((found for replace in replacements if (found := replace(node)) is not None), None)
