"""The compiled loop that turns objectives into pictures.

    >>> rendering = render(net, [channel("block9_add", i) for i in range(8)])
    >>> rendering.images.shape
    (8, 128, 128, 3)

Rendering one channel at a time spends most of its time on overhead; rendering all in one graph compiles for ever. Here
a `Renderer` compiles one step for a network, a shape of objectives and a batch width, and any number of batches run
through it: channel numbers are data, the network is cut after the last layer asked for, gradients of weights are never
computed, and every random number is drawn beforehand.

What a caller meets: an image depends on its objective, the seed, the recipe and the batch width, and not on its
neighbours in the batch or on which batch it is in. A short batch is padded to the width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diamond.features.images import fourier_noise, fourier_pictures
from diamond.features.objectives import Objective, measure
from diamond.features.recipes import Recipe, read_recipe
from diamond.features.relu import redirect
from diamond.features.rendering import Rendering
from diamond.features.transforms import draw, warp
from modelzoo import Network

__all__ = ["RenderError", "RenderedBatch", "Renderer", "render", "stream"]

BATCH = 32
STEPS_A_CALL = 8
ADAM_MEAN, ADAM_SQUARE, ADAM_EPSILON = 0.9, 0.999, 1e-8


class RenderError(RuntimeError):
    """Objectives that a network cannot be rendered for, or images that did not stay finite."""


def stream(seed: int, *labels: object) -> np.random.Generator:
    """Give a stream of random numbers that depends on the seed and the labels alone.

    The same call gives the same numbers in every process and on every machine, whatever was drawn before.
    """
    words = "|".join(map(str, (seed, *labels)))
    key = np.frombuffer(hashlib.sha256(words.encode()).digest()[:16], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def render(
    net: Network,
    objective: Objective | Sequence[Objective],
    *,
    size: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    recipe: str | Recipe | None = None,
    batch: int = BATCH,
    progress: bool = True,
) -> Rendering:
    """Render one picture for each objective.

    Parameters
    ----------
    net
        The network.
    objective
        One objective or several.
    size, steps
        Side of the square canvas in pixels, and steps of the optimiser; the recipe's where None.
    seed
        The same seed gives the same pictures on the same machine.
    recipe
        A recipe or its name; ``"texture"`` where None.
    batch
        At most so many images at once.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Rendering

    Raises
    ------
    UnknownLayerError
        For a layer the network does not have.
    RenderError
        For a channel out of range, a layer that cannot be reached at this size, and images that did not stay finite.
    """
    objectives = [objective] if isinstance(objective, Objective) else list(objective)
    if not objectives:
        raise RenderError("no objective to render: give one, or a list with at least one")
    settled = read_recipe(recipe)
    settled = replace(settled, size_px=size or settled.size_px, steps=steps or settled.steps)
    images = np.empty((len(objectives), settled.size_px, settled.size_px, 3), np.float32)
    activations = np.empty(len(objectives), np.float32)
    shapes = list(dict.fromkeys(o.shape for o in objectives))
    with tqdm(total=len(objectives) * settled.steps, unit="step", disable=not progress, desc="render") as bar:
        for shape in shapes:
            places = [i for i, o in enumerate(objectives) if o.shape == shape]
            renderer = Renderer(net, shape, settled, width=min(batch, len(places)))
            for begin in range(0, len(places), renderer.width):
                chosen = places[begin : begin + renderer.width]
                done = renderer.render([objectives[i] for i in chosen], seed=seed, on_steps=bar.update)
                images[chosen], activations[chosen] = done.images, done.activations
    return Rendering(net.name, tuple(map(str, objectives)), images, activations, settled.name, seed)


class RenderedBatch(NamedTuple):
    """What one batch gives.

    Attributes
    ----------
    images
        ``(n, size, size, 3)`` float32 in [0, 1].
    activations
        ``(n,)`` the objective that each finished image reaches, not moved.
    at_rest
        ``(n,)`` the same of a flat grey picture: what an image that found nothing would reach.
    """

    images: np.ndarray
    activations: np.ndarray
    at_rest: np.ndarray


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

    def __init__(self, net: Network, shape: tuple[tuple[str, str], ...], recipe: Recipe, *, width: int) -> None:
        self.net = net
        self.shape = shape
        self.recipe = recipe
        self.width = width
        self.traces = 0
        self._nodes = {layer: net.node(layer) for _, layer in shape}

    def render(
        self, objectives: Sequence[Objective], *, seed: int = 0, on_steps: Callable[[int], object] | None = None
    ) -> RenderedBatch:
        """Render up to `width` objectives.

        Parameters
        ----------
        objectives
            All of this renderer's shape.
        seed
            See `render`.
        on_steps
            Called with the number of image-steps done since its last call.

        Raises
        ------
        RenderError
            For a channel out of range, a layer that cannot be reached, and images that did not stay finite.
        """
        n, recipe, size = len(objectives), self.recipe, (self.recipe.size_px,) * 2
        self._check(objectives)
        padded = [*objectives, *[objectives[-1]] * (self.width - n)]
        indices = tf.constant([[term.index for term in o.terms] for o in padded], tf.int32)
        weights = tf.constant([[term.weight for term in o.terms] for o in padded], tf.float32)
        noise = [stream(seed, o, "noise") for o in padded]
        spectrum = tf.constant(fourier_noise(size, noise, deviation=recipe.deviation))
        moves = [stream(seed, o, "moves") for o in padded]
        warps = draw(recipe.transforms, moves, steps=recipe.steps, size=size)
        state = (spectrum, tf.zeros_like(spectrum), tf.zeros_like(spectrum))
        step = 0
        while step < recipe.steps:
            redirected = step < recipe.redirect_steps
            end = min(step + STEPS_A_CALL, recipe.redirect_steps if redirected else recipe.steps, recipe.steps)
            advance = self._advance_redirected if redirected else self._advance
            try:
                state = advance(state, tf.constant(step), tf.constant(warps[step:end]), indices, weights)
            except (tf.errors.InvalidArgumentError, ValueError) as error:
                raise RenderError(self._unreachable(error)) from error
            if on_steps is not None:
                on_steps((end - step) * n)
            step = end
        pictures, reached = (values.numpy()[:n] for values in self._finish(state[0], indices, weights))
        at_rest = self._finish(tf.zeros_like(spectrum), indices, weights)[1].numpy()[:n]
        broken = [str(o) for o, image in zip(objectives, pictures, strict=True) if not np.isfinite(image).all()]
        if broken:
            raise RenderError(f"the image of {', '.join(broken[:5])} did not stay finite; try another seed")
        return RenderedBatch(pictures, reached, at_rest)

    def _objective(self, pictures: Any, indices: Any, weights: Any, *, redirected: bool) -> Any:
        wanted = list(self._nodes.values())
        values = self.net.forward(pictures, wanted, replace=redirect if redirected else None)
        return measure(self.shape, dict(zip(self._nodes, values, strict=True)), indices, weights)

    def _develop(self, spectrum: Any) -> Any:
        return fourier_pictures(spectrum, (self.recipe.size_px,) * 2, decay=self.recipe.decay)

    @cached_property
    def _advance(self) -> Any:
        return self._compiled_steps(redirected=False)

    @cached_property
    def _advance_redirected(self) -> Any:
        return self._compiled_steps(redirected=True)

    def _compiled_steps(self, *, redirected: bool) -> Any:
        def one(i: Any, first: Any, state: Any, warps: Any, indices: Any, weights: Any) -> Any:
            spectrum, mean, square = state
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(spectrum)
                moved = warp(self._develop(spectrum), warps[i]) if self.recipe.transforms else self._develop(spectrum)
                loss = -tf.reduce_sum(self._objective(moved, indices, weights, redirected=redirected))
            gradient = tape.gradient(loss, spectrum)
            return _adam(
                spectrum, mean, square, gradient, tf.cast(first + i + 1, tf.float32), self.recipe.learning_rate
            )

        def several(state: Any, first: Any, warps: Any, indices: Any, weights: Any) -> Any:
            self.traces += 1
            return tf.while_loop(
                lambda i, _: i < tf.shape(warps)[0],
                lambda i, now: (i + 1, one(i, first, now, warps, indices, weights)),
                (tf.constant(0), state),
                maximum_iterations=STEPS_A_CALL,
            )[1]

        size = self.recipe.size_px
        spectrum = tf.TensorSpec((self.width, 3, size, size // 2 + 1, 2), tf.float32)
        terms = (self.width, len(self.shape))
        return tf.function(
            several,
            input_signature=[
                (spectrum, spectrum, spectrum),
                tf.TensorSpec((), tf.int32),
                tf.TensorSpec((None, self.width, 8), tf.float32),
                tf.TensorSpec(terms, tf.int32),
                tf.TensorSpec(terms, tf.float32),
            ],
            autograph=False,
        )

    @cached_property
    def _finish(self) -> Any:
        def finish(spectrum: Any, indices: Any, weights: Any) -> tuple[Any, Any]:
            pictures = self._develop(spectrum)
            return pictures, self._objective(pictures, indices, weights, redirected=False)

        return tf.function(finish, autograph=False)

    def _check(self, objectives: Sequence[Objective]) -> None:
        for term in (term for o in objectives for term in o.terms):
            layer = self.net.layers[term.layer.removesuffix(":linear")]
            if term.index >= layer.channels:
                raise RenderError(
                    f"no channel {term.index} in {layer.name!r}: its {layer.channels} channels run from 0 to "
                    f"{layer.channels - 1}"
                )

    def _unreachable(self, error: Exception) -> str:
        layers = ", ".join(self._nodes)
        spec = self.net.input
        hint = f"; the network was made for {spec.height} px: try size={spec.height}" if spec.height else ""
        first = str(error).strip().splitlines()[0]
        return f"{layers} cannot be computed on a canvas of {self.recipe.size_px} px{hint} ({first})"


def _adam(x: Any, mean: Any, square: Any, gradient: Any, step: Any, rate: float) -> tuple[Any, Any, Any]:
    """Do one step of Adam: Kingma and Ba, "Adam" (ICLR 2015), algorithm 1 with the corrections in the rate."""
    mean = ADAM_MEAN * mean + (1 - ADAM_MEAN) * gradient
    square = ADAM_SQUARE * square + (1 - ADAM_SQUARE) * gradient * gradient
    rate = rate * tf.sqrt(1 - ADAM_SQUARE**step) / (1 - ADAM_MEAN**step)
    return x - rate * mean / (tf.sqrt(square) + ADAM_EPSILON), mean, square
