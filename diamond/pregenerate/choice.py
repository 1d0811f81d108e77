"""Which layers are worth rendering, and by which recipe.

>>> [layer.name for layer in chosen_layers(net)][:3]          # the landmarks, in network order
['stem_relu', 'block0_project_bn', 'block2_add']
>>> recipe_for(net.layers["block4_add"], net.input), recipe_for(net.layers["block9_add"], net.input)
('texture', 'sprite')
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import tensorflow as tf

from diamond.features.recipes import OF_SOUNDS, Recipe, recipe_on
from modelzoo import InputSpec, Layer, Network

__all__ = ["canvas_for", "chosen_layers", "recipe_for", "recipe_of"]

# A value that sees less of the input than this share of its side knows patterns, and no things with a shape of their own.
SHALLOW = 0.5
# What a network of no fixed size is taken to have been made for.
USUAL_PX = 224


def recipe_for(layer: Layer, spec: InputSpec) -> str:
    """Name the recipe that suits a layer: ``"texture"`` where it is shallow, ``"sprite"`` where it knows whole things.

    Of a sound network ``"sound"``.

    Parameters
    ----------
    layer
        Its receptive field decides; one that is unknown counts as large.
    spec
        What the network takes.
    """
    if spec.audio is not None:
        return OF_SOUNDS
    side = min(spec.height or USUAL_PX, spec.width or USUAL_PX)
    seen = max(layer.receptive_field_px) if layer.receptive_field_px else float("inf")
    return "texture" if seen < SHALLOW * side else "sprite"


def recipe_of(
    net: Network, layer: Layer, recipe: str | Recipe | None, *, size: int | None = None, steps: int | None = None
) -> Recipe:
    """Settle how a layer is rendered: the recipe asked for or the one that suits it, on a canvas it can be computed on.

    Raises
    ------
    ValueError
        For a recipe that is not there.
    """
    asked = recipe_for(layer, net.input) if recipe is None else recipe
    settled = recipe_on(asked, net.input, size=size, steps=steps)
    return replace(settled, size_px=canvas_for(net, layer, settled.size))


def canvas_for(net: Network, layer: Layer, size: tuple[int, int]) -> int | tuple[int, int]:
    """Give the canvas asked for where the layer can be computed on it, else the network's own size.

    A dense layer that reads a flattened picture takes one size only.
    """
    node = net.node(layer)
    colours = 1 if net.input.channels == 1 else 3
    traced = tf.function(lambda pictures: net.forward(pictures, [node]), autograph=False)
    wanted = size[0] if size[0] == size[1] else size
    try:
        traced.get_concrete_function(tf.TensorSpec((1, *size, colours), tf.float32))
    except ValueError:
        spec = net.input
        if spec.height is not None and spec.height == spec.width:
            return spec.height
    return wanted


def chosen_layers(
    net: Network, layers: Iterable[str | Layer] | None = None, *, all_layers: bool = False
) -> tuple[Layer, ...]:
    """Give the layers to render: those named, or the landmarks, or the landmarks first and then all others.

    A layer whose picture is another's (a dropout, an identity) is left out where all are asked for.

    Raises
    ------
    UnknownLayerError
        For a layer the network does not have, naming the nearest.
    ValueError
        Where the network has no landmarks and no layer is named.
    """
    if layers is not None:
        named = [layers] if isinstance(layers, str | Layer) else list(layers)
        found = (net.layers[layer.name if isinstance(layer, Layer) else layer] for layer in named)
        return tuple(dict.fromkeys(found))
    landmarks = net.layers.landmarks
    if not all_layers:
        if not landmarks:
            raise ValueError(f"{net.name} names no landmarks; say which layers, or that all are wanted")
        return landmarks
    names = {layer.name for layer in landmarks}
    rest = (layer for layer in net.layers if layer.name not in names and _has_pictures(net, layer))
    seen = {net.fingerprint(layer) for layer in landmarks}
    return (*landmarks, *_apart(net, rest, seen))


def _apart(net: Network, layers: Iterable[Layer], seen: set[str]) -> list[Layer]:
    apart = []
    for layer in layers:
        fingerprint = net.fingerprint(layer)
        if fingerprint not in seen:
            seen.add(fingerprint)
            apart.append(layer)
    return apart


def _has_pictures(net: Network, layer: Layer) -> bool:
    node = net.node(layer)
    return not node.is_input and len(layer.output_shape) in (2, 4) and layer.output_shape[-1] is not None
