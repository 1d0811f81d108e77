"""What can be chosen of a network, and whether a choice is one.

>>> described(net, Asked("head_relu"))["layers"][0]
{'name': 'stem_conv', 'channels': 32, 'cells': '112 × 112', 'landmark': False}
>>> checked_class(net, "tabby", "positive")
281
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diamond.explorer.answers import Asked, Message

if TYPE_CHECKING:
    from modelzoo import Network

__all__ = ["check_network", "checked_class", "described", "first_layer"]


def check_network(net: Network) -> None:
    """Refuse a network that a picture alone does not fill.

    Raises
    ------
    ValueError
        For networks of sounds, and of several inputs.
    """
    if net.input.audio is not None:
        raise ValueError(
            f"{net.name} takes sounds, and the explorer shows pictures; dc.occlude(net, sound) and "
            "dc.channel_attribution(net, sound, layer) take sounds"
        )
    if len(net.graph.inputs) != 1:
        raise ValueError(
            f"{net.name} has {len(net.graph.inputs)} inputs, and the explorer fills one with a picture; "
            "dc.channel_attribution and dc.semantic_map take the others as given={...}"
        )


def described(net: Network, asked: Asked) -> Message:
    """Give the network as a message: its facts, layers and classes, and the layer asked about first."""
    spec = net.input
    size = "pictures of any size" if spec.height is None else f"{spec.height} × {spec.width} px"
    return {
        "say": "network",
        "name": net.name,
        "facts": f"{size}, {len(net.layers)} layers, {net.output_size:,} classes",
        "layer": asked.layer,
        "layers": [
            {
                "name": layer.name,
                "channels": layer.channels,
                "cells": " × ".join("?" if side is None else str(side) for side in layer.output_shape[1:-1]),
                "landmark": layer.landmark,
            }
            for layer in net.layers
            if not net.node(layer).is_input
        ],
        "classes": [] if net.trained_to is not None else [net.class_label(i) for i in range(net.output_size)],
    }


def first_layer(net: Network) -> str:
    """Choose the layer to begin with: the deepest landmark with height and width, else the last with features."""
    from diamond.attribution.report import landmark_to_map

    return landmark_to_map(net) or net.pre_output_layer


def checked_class(net: Network, target: Any, which: str) -> int | str | None:
    """Give a class that was chosen, or typed, as an index; ``"top1"`` and ``"others"`` as they are.

    Parameters
    ----------
    net
        The network.
    target
        A label, WordNet id, index (a number or its digits), ``"top1"`` ...; nothing, or an empty text, for no class.
    which
        ``"positive"`` or ``"negative"``, which may be ``"others"``.

    Raises
    ------
    ClassError, ValueError
        For a class the network does not have, naming the nearest, and for what names no class.
    """
    from diamond.attribution.targets import OTHERS, encode

    if target is None or (isinstance(target, str) and not target.strip()):
        return None
    if target == OTHERS and which == "negative":
        return OTHERS
    if isinstance(target, bool) or not isinstance(target, int | str):
        raise ValueError(f"{target!r} is no class; expected a name or an index")
    words = target.strip() if isinstance(target, str) else target
    code = encode(net, int(words) if isinstance(words, str) and words.isascii() and words.isdigit() else words)
    return words if code < 0 else code
