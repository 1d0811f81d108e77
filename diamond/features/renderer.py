"""The compiled loop that turns a batch of objectives into pictures.

    >>> renderer = Renderer(net, channel("block9_add", 0).shape, read_recipe("texture"), width=32)
    >>> done = renderer.render([channel("block9_add", i) for i in range(32)])

Rendering one channel at a time spends most of its time on overhead; rendering all in one graph compiles for ever. Here
one step is compiled for a network, a shape of objectives and a batch width, and any number of batches run through it:
channel numbers are data, the network is cut after the last layer asked for, gradients of weights are never computed,
and every random number is drawn beforehand.

What a caller meets: an image depends on its objective, the seed, the recipe and the batch width, and not on its
neighbours in the batch (unless the objective asks about them) or on which batch it is in. A short batch is padded to
the width. An image that does not stay finite is begun again from another seed, and that is told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from diamond.features.color import coloured
from diamond.features.measures import Data, data_of, measure
from diamond.features.objectives import CENTRE, LOGITS, Objective, Term
from diamond.features.recipes import Recipe
from diamond.features.relu import redirect, sources_before, unregistered, values_before
from diamond.features.transforms import apply, draw, over
from modelzoo import Network
from modelzoo.geometry import least_size
from modelzoo.graph import Node

__all__ = ["RenderError", "RenderedBatch", "Renderer", "random_stream"]

BATCH = 32
STEPS_A_CALL = 8
MOST_RESTARTS = 2
GROUND = 0.9


class RenderError(RuntimeError):
    """Objectives that a network cannot be rendered for, or images that did not stay finite."""


class RenderedBatch(NamedTuple):
    """What one batch gives.

    Attributes
    ----------
    images
        ``(n, height, width, 3)`` float32 in [0, 1]; 1 for 3 where the network takes spectrograms.
    activations
        ``(n,)`` what the finished image, not moved, reaches of its objective, penalties on the picture left out.
    at_rest
        ``(n,)`` the same of a flat grey picture: what an image that found nothing would reach.
    restarts
        ``(n,)`` how often the image was begun again because it did not stay finite.
    """

    images: np.ndarray
    activations: np.ndarray
    at_rest: np.ndarray
    restarts: np.ndarray


def random_stream(seed: int, *labels: object) -> np.random.Generator:
    """Give a stream of random numbers that depends on the seed and the labels alone.

    The same call gives the same numbers in every process and on every machine, whatever was drawn before.
    """
    words = "|".join(map(str, (seed, *labels)))
    key = np.frombuffer(hashlib.sha256(words.encode()).digest()[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


class _Run(NamedTuple):
    """How far a batch is: steps done, what the optimiser changes and remembers, and all that was drawn beforehand."""

    step: int
    state: tuple[Any, ...]
    memory: tuple[Any, ...]
    drawn: dict[str, np.ndarray]


class Renderer:
    """One compiled step for a network, a shape of objectives, a recipe and a batch width.

    Parameters
    ----------
    net
        The network.
    shape
        Shape of the objectives: see `Objective.shape`.
    recipe
        How to render.
    width
        Images a batch.

    Raises
    ------
    UnknownLayerError
        For a layer the network does not have.
    """

    def __init__(self, net: Network, shape: tuple[tuple[Any, ...], ...], recipe: Recipe, *, width: int) -> None:
        self.net = net
        self.shape = shape
        self.recipe = recipe
        self.width = width
        self.traces = 0
        self._colours = 1 if net.input.channels == 1 else 3
        self._planes = self._colours + recipe.alpha
        self._nodes = {(layer, before): self._node(layer) for _, layer, before, _, _ in shape if layer}

    def render(
        self,
        objectives: Sequence[Objective],
        *,
        seed: int = 0,
        copies: Sequence[int] | None = None,
        on_steps: Callable[[int], object] | None = None,
    ) -> RenderedBatch:
        """Render up to `width` objectives; the parameters are those of `run`."""
        [done] = self.run(objectives, seed=seed, copies=copies, looks=(self.recipe.steps,), on_steps=on_steps)
        return done

    def run(
        self,
        objectives: Sequence[Objective],
        *,
        looks: Sequence[int],
        seed: int = 0,
        copies: Sequence[int] | None = None,
        on_steps: Callable[[int], object] | None = None,
    ) -> Iterator[RenderedBatch]:
        """Render up to `width` objectives, and look at the pictures after so many steps each.

        Parameters
        ----------
        objectives
            All of this renderer's shape.
        looks
            Numbers of steps, rising; the last is where it ends.
        seed
            See `diamond.features.render.render`.
        copies
            For each objective which copy of it this is; copies differ in their random numbers.
        on_steps
            Called with the number of image-steps done since its last call.

        Raises
        ------
        RenderError
            For a channel out of range, a layer that cannot be reached, and images that did not stay finite.
        """
        n = len(objectives)
        settled = [self._settled(objective) for objective in objectives]
        padded = [*settled, *[settled[-1]] * (self.width - n)]
        numbers = [*(copies or [0] * n), *[0] * (self.width - n)]
        labels = [(str(o), copy) if copy else (str(o),) for o, copy in zip(padded, numbers, strict=True)]
        data = _constants(_apart(data_of(padded), n))
        restarts = np.zeros(self.width, np.int64)
        run = self._begin(labels, seed, restarts)
        grey = tf.fill([self.width, *self.recipe.size, self._colours], 0.5)
        for look in looks:
            run = self._advanced(run, look, data, None if on_steps is None else lambda steps: on_steps(steps * n))
            pictures, reached = self._seen(run, data)
            while (broken := _broken(pictures, reached, n)).any():
                if restarts[broken].max() == MOST_RESTARTS:
                    named = ", ".join(str(objectives[i]) for i in np.flatnonzero(broken)[:5])
                    raise RenderError(f"the image of {named} did not stay finite, from {MOST_RESTARTS + 1} seeds")
                restarts = restarts + broken
                # The whole batch runs again, since images of one family look at each other; what is whole is kept.
                other = self._advanced(self._begin(labels, seed, restarts), look, data, None)
                run = _joined(broken, other, run)
                pictures, reached = self._seen(run, data)
            at_rest = self._reached(grey, data).numpy()
            yield RenderedBatch(pictures[:n], reached[:n], at_rest[:n], restarts[:n])

    def _begin(self, labels: Sequence[tuple[Any, ...]], seed: int, restarts: np.ndarray) -> _Run:
        recipe = self.recipe
        streams = [(*label, "restart", k) if k else label for label, k in zip(labels, restarts.tolist(), strict=True)]
        noise = [random_stream(seed, *stream, "noise") for stream in streams]
        state = tuple(tf.constant(part) for part in recipe.image.draw(recipe.size, self._planes, noise))
        moves = [random_stream(seed, *stream, "moves") for stream in streams]
        drawn = draw(recipe.transforms, moves, steps=recipe.steps, size=recipe.size)
        return _Run(0, state, self._memory, drawn)

    def _advanced(self, run: _Run, look: int, data: Data, on_steps: Callable[[int], object] | None) -> _Run:
        step, state, memory, drawn = run
        while step < look:
            redirected = step < self.recipe.redirect_steps
            end = min(step + STEPS_A_CALL, self.recipe.redirect_steps if redirected else look, look)
            advance = self._advance_redirected if redirected else self._advance
            now = {label: tf.constant(_whole(values[step:end])) for label, values in drawn.items()}
            try:
                state, memory = advance(state, memory, tf.constant(end - step), tf.constant(step), now, data)
            except (tf.errors.InvalidArgumentError, ValueError) as error:
                raise RenderError(self._unreachable(error)) from error
            if on_steps is not None:
                on_steps(end - step)
            step = end
        return _Run(step, state, memory, drawn)

    def _seen(self, run: _Run, data: Data) -> tuple[np.ndarray, np.ndarray]:
        pictures = self._shown(run.state)
        return pictures.numpy(), self._reached(pictures, data).numpy()

    def _develop(self, state: Any) -> Any:
        planes = self.recipe.image.develop(state, self.recipe.size, self._planes)
        return coloured(planes, colours=self._colours)

    def _objective(self, pictures: Any, seen: Any, data: Data, *, redirected: bool, progress: Any) -> Any:
        graph = self.net.graph
        wanted = {node.index: node for node in self._nodes.values()}
        for (_, before), node in self._nodes.items():
            if before:
                wanted |= {source.index: source for source in sources_before(graph, node)}
        values = self.net.forward(seen, list(wanted.values()), replace=redirect if redirected else unregistered)
        by_index = dict(zip(wanted, values, strict=True))
        by_layer = {
            key: values_before(graph, node, by_index) if key[1] else by_index[node.index]
            for key, node in self._nodes.items()
        }
        return measure(self.shape, by_layer, pictures, data, progress=progress)

    @cached_property
    def _bench(self) -> tuple[Any, list[Any]]:
        """The optimiser and the variables it works on; what they hold is put there at the start of each call."""
        example = self.recipe.image.draw(self.recipe.size, self._planes, [random_stream(0)] * self.width)
        variables = [keras.Variable(part) for part in example]
        optimizer = keras.optimizers.get(
            {"class_name": self.recipe.optimizer, "config": {"learning_rate": self.recipe.learning_rate}}
        )
        optimizer.build(variables)
        # There is one replica. Summing over it registers a gradient for ever, and with it the graph of every renderer.
        optimizer._all_reduce_sum_gradients = lambda pairs: pairs
        return optimizer, variables

    @cached_property
    def _memory(self) -> tuple[Any, ...]:
        """What the optimiser remembers between steps, as it is at the start."""
        return tuple(tf.identity(variable.value) for variable in self._bench[0].variables)

    @cached_property
    def _advance(self) -> Any:
        return self._compiled_steps(redirected=False)

    @cached_property
    def _advance_redirected(self) -> Any:
        return self._compiled_steps(redirected=True)

    def _compiled_steps(self, *, redirected: bool) -> Any:
        recipe = self.recipe

        optimizer, variables = self._bench

        def one(i: Any, first: Any, drawn: Any, data: Data) -> None:
            progress = tf.cast(first + i, tf.float32) / recipe.steps
            state = tuple(variable.value for variable in variables)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(state)
                pictures = self._develop(tuple(tf.convert_to_tensor(part) for part in state))
                now = {label: values[i] for label, values in drawn.items()}
                seen = apply(recipe.transforms, pictures, now)
                asked = self._objective(pictures, seen, data, redirected=redirected, progress=progress)
                loss = -tf.reduce_sum(asked)
            optimizer.apply(tape.gradient(loss, state), variables)

        def several(state: Any, memory: Any, count: Any, first: Any, drawn: Any, data: Data) -> Any:
            self.traces += 1
            for variable, value in zip([*variables, *optimizer.variables], [*state, *memory], strict=True):
                variable.assign(value)

            def body(i: Any) -> Any:
                one(i, first, drawn, data)
                return i + 1

            tf.while_loop(lambda i: i < count, body, (tf.constant(0),), parallel_iterations=1)
            return tuple(v.value.read_value() for v in variables), tuple(
                v.value.read_value() for v in optimizer.variables
            )

        return tf.function(several, autograph=False, reduce_retracing=True)

    @cached_property
    def _shown(self) -> Any:
        def shown(state: Any) -> Any:
            pictures = self._develop(state)
            # An image with an alpha channel is shown, and measured, over a light ground.
            return over(pictures, tf.constant(GROUND)) if self.recipe.alpha else pictures

        return tf.function(shown, autograph=False)

    @cached_property
    def _reached(self) -> Any:
        def reached(pictures: Any, data: Data) -> Any:
            return self._objective(None, pictures, data, redirected=False, progress=1.0)

        return tf.function(reached, autograph=False)

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of what each layer gives for one image of this canvas."""
        layers = {layer: node for (layer, _), node in self._nodes.items()}
        traced = tf.function(lambda pictures: self.net.forward(pictures, list(layers.values())), autograph=False)
        picture = tf.TensorSpec((1, *self.recipe.size, self._colours), tf.float32)
        try:
            found = traced.get_concrete_function(picture).structured_outputs
        except ValueError as error:
            raise RenderError(self._unreachable(error)) from error
        return {layer: tuple(value.shape[1:]) for layer, value in zip(layers, found, strict=True)}

    def _node(self, layer: str) -> Node:
        return self.net.logits_node if layer == LOGITS else self.net.node(layer)

    def _settled(self, objective: Objective) -> Objective:
        """Look up what only the network knows: the number of a class that was named; check what it cannot have."""
        return Objective(tuple(self._checked(term) for term in objective.terms))

    def _checked(self, term: Term) -> Term:
        if not term.layer:
            return term
        node = self._node(term.layer)
        if len(node.shape) < 2 or node.shape[-1] is None:
            raise RenderError(f"{node.address!r} gives {node.shape[1:]} for a picture: it has no channels to look at")
        if "row" in term.parameters and len(node.shape) == 3:
            raise RenderError(f"{node.address!r} gives {node.shape[1:]} for a picture: no places in rows and columns")
        channels = int(node.shape[-1])
        index = term.parameters.get("index")
        if index is not None and index == CENTRE:
            label = term.words.removeprefix("logit ")
            index = np.asarray(self.net.class_index(label), np.int32)
            term = replace(term, parameters={**term.parameters, "index": index})
        if index is not None and index >= channels:
            raise RenderError(
                f"no channel {index} in {node.address!r}: its {channels} channels run from 0 to {channels - 1}"
            )
        vector = term.parameters.get("vector")
        if vector is not None and len(vector) != channels:
            raise RenderError(
                f"a direction of {len(vector)} numbers in {node.address!r}, which has {channels} channels"
            )
        self._check_places(term, node)
        return term

    def _check_places(self, term: Term, node: Node) -> None:
        row, column, target = (term.parameters.get(name) for name in ("row", "column", "target"))
        canvas = " x ".join(map(str, self.recipe.size))
        if target is not None and target.shape != self._shapes[term.layer]:
            raise RenderError(
                f"activations of shape {target.shape} to come close to in {node.address!r}, which gives "
                f"{self._shapes[term.layer]} on a canvas of {canvas} px: take them from one picture of that size"
            )
        if row is None or column is None or row == CENTRE:
            return
        grid = self._shapes[term.layer][:-1]
        if len(grid) == 2 and (row >= grid[0] or column >= grid[1]):
            raise RenderError(
                f"no place ({row}, {column}) in {node.address!r}: on a canvas of {canvas} px it has {grid[0]} rows and "
                f"{grid[1]} columns, counted from 0"
            )

    def _unreachable(self, error: Exception) -> str:
        layers = ", ".join(dict.fromkeys(layer for layer, _ in self._nodes))
        spec, (height, width) = self.net.input, self.recipe.size
        sizes = [least_size(self.net.graph, node) for node in self._nodes.values()]
        least = max(size[0] for size in sizes), max(size[1] for size in sizes)
        hint = f"; the network was made for {spec.height} x {spec.width} px: try that" if spec.height else ""
        if height < least[0] or width < least[1]:
            hint = f"; the least is {least[0]} x {least[1]} px"
        first = str(error).strip().splitlines()[0]
        return f"{layers} cannot be computed on a canvas of {height} x {width} px{hint} ({first})"


def _constants(data: Data) -> Data:
    parameters = tuple({name: tf.constant(value) for name, value in of.items()} for of in data.parameters)
    return Data(tf.constant(data.weights), tf.constant(data.since), parameters)


def _whole(numbers: np.ndarray) -> np.ndarray:
    """Fill up what was drawn for the steps of one call, so that all calls have one shape and one compilation."""
    return np.pad(numbers, [(0, STEPS_A_CALL - len(numbers)), *[(0, 0)] * (numbers.ndim - 1)])


def _apart(data: Data, n: int) -> Data:
    """Put the images that fill up a batch into a family of their own, so that nobody looks at them."""
    for of in data.parameters:
        if "family" in of:
            of["family"][n:] = np.iinfo(np.int32).min
    return data


def _broken(pictures: np.ndarray, reached: np.ndarray, n: int) -> np.ndarray:
    """Say of each image whether it, or what it reaches, is not finite; of those that fill up the batch no."""
    whole = np.isfinite(pictures).all(axis=(1, 2, 3)) & np.isfinite(reached)
    broken: np.ndarray = ~whole & (np.arange(len(whole)) < n)
    return broken


def _joined(rows: np.ndarray, other: _Run, run: _Run) -> _Run:
    """Take some images from another run, which is as far."""

    def of_rows(new: Any, old: Any) -> Any:
        # The optimiser's count of steps and the like have no rows, and are the same in both.
        return old if new.shape.rank == 0 else tf.where(rows.reshape(-1, *[1] * (new.shape.rank - 1)), new, old)

    state = tuple(map(of_rows, other.state, run.state))
    memory = tuple(map(of_rows, other.memory, run.memory))
    drawn = {
        label: np.where(rows.reshape(-1, *[1] * (old.ndim - 2)), other.drawn[label], old)
        for label, old in run.drawn.items()
    }
    return _Run(run.step, state, memory, drawn)
