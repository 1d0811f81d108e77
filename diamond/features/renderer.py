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
from diamond.features.relu import redirect, sources_before, values_before
from diamond.features.transforms import apply, draw, over
from modelzoo import Network
from modelzoo.geometry import least_size
from modelzoo.graph import Node

__all__ = ["RenderError", "RenderedBatch", "Renderer", "random_stream"]

BATCH = 32
STEPS_A_CALL = 8
MOST_RESTARTS = 2


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
        self._nodes = {(layer, before): self._node(layer) for _, layer, before, _ in shape if layer}

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
        data = _constants(data_of(padded))
        restarts = np.zeros(n, np.int64)
        state, drawn = self._begin(labels, seed)
        grey = tuple(tf.zeros_like(part) for part in state)
        step = 0
        memory = self._memory
        for look in looks:
            while step < look:
                redirected = step < self.recipe.redirect_steps
                end = min(step + STEPS_A_CALL, self.recipe.redirect_steps if redirected else look, look)
                advance = self._advance_redirected if redirected else self._advance
                now = {label: tf.constant(values[step:end]) for label, values in drawn.items()}
                try:
                    state, memory = advance(state, memory, tf.constant(end - step), tf.constant(step), now, data)
                except (tf.errors.InvalidArgumentError, ValueError) as error:
                    raise RenderError(self._unreachable(error)) from error
                if on_steps is not None:
                    on_steps((end - step) * n)
                step = end
            pictures, reached = (values.numpy()[:n] for values in self._finish(state, data))
            broken = ~np.isfinite(pictures).all(axis=(1, 2, 3))
            if broken.any():
                pictures, reached, more = self._again(objectives, broken, looks, look, seed, pictures, reached)
                restarts = restarts + more
            at_rest = self._finish(grey, data)[1].numpy()[:n]
            yield RenderedBatch(pictures, reached, at_rest, restarts)

    def _begin(self, labels: Sequence[tuple[Any, ...]], seed: int) -> tuple[Any, dict[str, np.ndarray]]:
        recipe = self.recipe
        noise = [random_stream(seed, *label, "noise") for label in labels]
        state = tuple(tf.constant(part) for part in recipe.image.draw(recipe.size, self._planes, noise))
        moves = [random_stream(seed, *label, "moves") for label in labels]
        return state, draw(recipe.transforms, moves, steps=recipe.steps, size=recipe.size)

    def _again(
        self,
        objectives: Sequence[Objective],
        broken: np.ndarray,
        looks: Sequence[int],
        look: int,
        seed: int,
        pictures: np.ndarray,
        reached: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Render what did not stay finite from other seeds, up to the same look."""
        again = np.flatnonzero(broken)
        named = ", ".join(str(objectives[i]) for i in again[:5])
        if seed >= MOST_RESTARTS * 1_000_003 or not set(looks):
            raise RenderError(f"the image of {named} did not stay finite, from {MOST_RESTARTS + 1} seeds")
        [*_, done] = self.run([objectives[int(i)] for i in again], looks=(look,), seed=seed + 1_000_003)
        pictures, reached = pictures.copy(), reached.copy()
        pictures[again], reached[again] = done.images, done.activations
        more = np.zeros(len(objectives), np.int64)
        more[again] = 1 + done.restarts
        return pictures, reached, more

    def _develop(self, state: Any) -> Any:
        planes = self.recipe.image.develop(state, self.recipe.size, self._planes)
        return coloured(planes, colours=self._colours)

    def _objective(self, pictures: Any, seen: Any, data: Data, *, redirected: bool, progress: Any) -> Any:
        graph = self.net.graph
        wanted = {node.index: node for node in self._nodes.values()}
        for (_, before), node in self._nodes.items():
            if before:
                wanted |= {source.index: source for source in sources_before(graph, node)}
        values = self.net.forward(seen, list(wanted.values()), replace=redirect if redirected else None)
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
    def _finish(self) -> Any:
        def finish(state: Any, data: Data) -> tuple[Any, Any]:
            pictures = self._develop(state)
            # An image with an alpha channel is shown, and measured, over mid-grey.
            shown = over(pictures, tf.constant(0.5)) if self.recipe.alpha else pictures
            return shown, self._objective(None, shown, data, redirected=False, progress=1.0)

        return tf.function(finish, autograph=False)

    def _node(self, layer: str) -> Node:
        return self.net.logits_node if layer == LOGITS else self.net.node(layer)

    def _settled(self, objective: Objective) -> Objective:
        """Look up what only the network knows: the number of a class that was named; check what it cannot have."""
        return Objective(tuple(self._checked(term) for term in objective.terms))

    def _checked(self, term: Term) -> Term:
        if not term.layer:
            return term
        node = self._node(term.layer)
        channels = int(node.shape[-1] or 0)
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
        return term

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
