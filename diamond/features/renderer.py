"""The compiled loop that turns a batch of objectives into pictures.

    renderer = Renderer(net, channel("block9_add", 0).shape, read_recipe("texture"), width=32)
    done = renderer.render([channel("block9_add", i) for i in range(32)])

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
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from diamond.features.ascent import Question, Workbench, compiled, compiled_step, develop
from diamond.features.measures import Data, data_of
from diamond.features.objectives import Objective
from diamond.features.recipes import Recipe
from diamond.features.settling import RenderError, layer_shapes, node_of, settle, unreachable
from diamond.features.transforms import draw, over
from modelzoo import Network

__all__ = ["RenderError", "RenderedBatch", "Renderer", "random_stream"]

BATCH = 32
MOST_RESTARTS = 2
GROUND = 0.9


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
        self.traces: list[tuple[int, int]] = []
        self._colours = 1 if net.input.channels == 1 else 3
        self._planes = self._colours + recipe.alpha
        nodes = {(layer, before): node_of(net, layer) for _, layer, before, _, _ in shape if layer}
        self._question = Question(net, shape, nodes)

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
        recipe, question = self.recipe, self._question
        settled = [settle(question, one, shapes=lambda: self._shapes, size=recipe.size) for one in objectives]
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
        bench = self._bench
        bench.lay_out(run.state, run.memory)
        for number in range(run.step, look):
            now = {label: values[number] for label, values in run.drawn.items()}
            try:
                self._step(number, now, data)
            except (tf.errors.InvalidArgumentError, ValueError) as error:
                raise RenderError(unreachable(self._question, self.recipe.size, error)) from error
            if on_steps is not None:
                on_steps(1)
        return _Run(look, bench.state, bench.memory, run.drawn)

    def _seen(self, run: _Run, data: Data) -> tuple[np.ndarray, np.ndarray]:
        pictures = self._shown(run.state)
        return pictures.numpy(), self._reached(pictures, data).numpy()

    @cached_property
    def _bench(self) -> Workbench:
        return Workbench.of(
            self.recipe, self.recipe.image.draw(self.recipe.size, self._planes, [random_stream(0)] * self.width)
        )

    @cached_property
    def _memory(self) -> tuple[Any, ...]:
        """What the optimiser remembers between steps, as it is at the start."""
        return self._bench.memory

    @cached_property
    def _step(self) -> Any:
        return compiled_step(self._question, self.recipe, self._bench, colours=self._colours, traces=self.traces)

    @cached_property
    def _shown(self) -> Any:
        developed = develop(self.recipe.image, self.recipe.size, planes=self._planes, colours=self._colours)
        # An image with an alpha channel is shown, and measured, over a light ground.
        return (lambda state: over(developed(state), tf.constant(GROUND))) if self.recipe.alpha else developed

    @cached_property
    def _reached(self) -> Any:
        question = self._question
        return compiled(lambda pictures, data: question.measured(None, pictures, data))

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return layer_shapes(self._question, self.recipe.size, self._colours)


def _constants(data: Data) -> Data:
    parameters = tuple({name: tf.constant(value) for name, value in of.items()} for of in data.parameters)
    return Data(tf.constant(data.weights), tf.constant(data.since), parameters)


def _apart(data: Data, n: int) -> Data:
    """Let the images that fill up a batch ask for nothing, in a family of their own, so that nobody looks at them."""
    data.weights[n:] = 0.0
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
