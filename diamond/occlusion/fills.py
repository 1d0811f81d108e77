"""What stands where a picture is covered.

    >>> fill_for(net, net.read("cat.jpg")[0], "blur").values.shape
    (224, 224, 3)

No fill is neutral: grey is a colour that a network may look for, and a black square has edges. So there are several, and
a map that holds for one only says more of the fill than of the picture. Each is made once for a picture; `"inpaint"`
alone differs from window to window, and is made on the device (see `diamond.occlusion.cover`).

- ``"mean"``: the picture's mean colour.
- ``"blur"``: the picture, blurred by a Gaussian of half a window.
- ``"noise"``: normal noise of the picture's mean and spread, channel by channel.
- ``"shuffled"``: the picture's own pixels in another order.
- ``"inpaint"``: made up from the pixels around the window.
- ``"zero"``: what the network's preprocessing turns into 0, the mean of its training pictures for most.
- a colour: ``"white"``, ``"#808080"``, a number, one number a channel; or a whole picture.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelzoo import Network

__all__ = ["FILLS", "Fill", "fill_for", "fill_for_layer"]

FILLS = ("mean", "blur", "noise", "shuffled", "inpaint", "zero")


@dataclass(frozen=True, eq=False)
class Fill:
    """What stands in a window.

    Attributes
    ----------
    words
        For people: ``"the picture blurred"``.
    values
        ``(height, width, channels)`` or what broadcasts to it; None where it is made up from around each window.
    """

    words: str
    values: np.ndarray | None = field(repr=False)


def fill_for(
    net: Network, picture: np.ndarray, fill: Any, *, window: tuple[int, int] | None = None, seed: int = 0
) -> Fill:
    """Make the fill of a picture.

    Parameters
    ----------
    net
        The network, whose preprocessing says what ``"zero"`` is.
    picture
        ``(height, width, channels)`` as the network takes it before its preprocessing.
    fill
        One of `FILLS`; a colour by name or as ``#rrggbb``; a number, one a channel, or ``(height, width, channels)``.
    window
        Height and width of the windows in pixels, where they have one size: how much is blurred follows it.
    seed
        Of noise and of the order of shuffled pixels.

    Raises
    ------
    ValueError
        For words that are no fill, naming the nearest, arrays of another shape, and values that are no numbers.
    """
    if not isinstance(fill, str):
        return _given(picture, fill)
    rng = np.random.default_rng(seed)
    if fill == "mean":
        return Fill("the picture's mean colour", picture.mean(axis=(0, 1)))
    if fill == "blur":
        from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

        sigma = (max(window) if window is not None else min(picture.shape[:2]) / 5) / 2
        blurred = gaussian_filter(picture, (sigma, sigma, 0), mode="nearest")
        return Fill(f"the picture blurred by {sigma:g} px", blurred)
    if fill == "noise":
        noise = rng.normal(picture.mean(axis=(0, 1)), picture.std(axis=(0, 1)), picture.shape)
        low, high = min(0.0, float(picture.min())), max(1.0, float(picture.max()))
        return Fill("noise of the picture's mean and spread", noise.clip(low, high).astype(np.float32))
    if fill == "shuffled":
        order = rng.permutation(picture.shape[0] * picture.shape[1])
        return Fill(
            "the picture's own pixels, shuffled", picture.reshape(-1, picture.shape[2])[order].reshape(picture.shape)
        )
    if fill == "inpaint":
        return Fill("made up from the pixels around it", None)
    if fill == "zero":
        return Fill("zero in the network's own input", _zero(net, picture.shape[2]))
    return Fill(fill, _colour(fill, picture.shape[2]))


def fill_for_layer(activations: np.ndarray, fill: Any) -> Fill:
    """Make the fill of a layer's activations: ``"zero"``, ``"mean"`` of each channel over all places, or numbers.

    Parameters
    ----------
    activations
        ``(height, width, channels)`` of one picture.
    fill
        As said; numbers as of `fill_for`.

    Raises
    ------
    ValueError
        For anything else.
    """
    if not isinstance(fill, str):
        return _given(activations, fill)
    if fill == "zero":
        return Fill("zero", np.zeros(activations.shape[-1], np.float32))
    if fill == "mean":
        return Fill("each channel's mean", activations.mean(axis=(0, 1)))
    raise ValueError(
        f"fill is {fill!r}; expected 'zero', 'mean' or numbers in a layer (the other fills are of pictures)"
    )


def _given(picture: np.ndarray, fill: Any) -> Fill:
    try:
        values = np.asarray(fill, np.float32)
        np.broadcast_to(values, picture.shape)
    except (TypeError, ValueError):
        shape = np.shape(fill) if isinstance(fill, list | tuple | np.ndarray) else type(fill).__name__
        raise ValueError(
            f"the fill is {shape}; expected one number, {picture.shape[2]} (one a channel), or an array {picture.shape}"
        ) from None
    if not np.isfinite(values).all():
        raise ValueError("the fill holds NaN or infinite values; expected numbers")
    if values.ndim == 3:
        return Fill("a picture that was given", values)
    return Fill("colour " + ", ".join(f"{value:g}" for value in values.ravel()), values)


def _zero(net: Network, channels: int) -> np.ndarray:
    """The picture values that preprocessing turns into 0."""
    spec = net.card.input
    values = np.array([-offset / scale if scale else 0.0 for scale, offset in spec.per_channel], np.float32)
    if spec.channel_order == "BGR":
        values = values[::-1]
    # A network of one channel is given the luminance: a grey.
    return np.repeat(values, channels) if len(values) == 1 else values


def _colour(word: str, channels: int) -> np.ndarray:
    from matplotlib.colors import is_color_like, to_rgb

    if not is_color_like(word):
        near = difflib.get_close_matches(word, FILLS, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"no fill {word!r}; did you mean {near!r}? There are {', '.join(FILLS)}, and colours: 'white', '#808080'"
        )
    colour = np.array(to_rgb(word), np.float32)
    return colour if channels == 3 else colour.mean(keepdims=True)
