"""Explore a network in a notebook.

::

    dc.explore(net)
    dc.explore(net, "cat.jpg", layer="block9_add", positive="tabby")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from diamond.explorer.choices import check_network

if TYPE_CHECKING:
    from diamond.explorer.widget import Explorer
    from modelzoo import Layer, Network
    from spritemaps import Store

__all__ = ["explore"]


def explore(
    net: Network,
    image: Any = None,
    *,
    layer: str | Layer | None = None,
    positive: int | str | None = "top1",
    negative: int | str | None = None,
    store: Store | str | Path | None = None,
) -> Explorer:
    """Open the explorer in a notebook: choose picture, layer and class; see answers, channels, map and occlusion.

    Choose a picture from your files, drag it in, paste it, or type its address; choose another layer or class. What is
    shown follows at once, quickest first. Sprites that no store has are rendered meanwhile; they are kept as long as the
    explorer is, while `diamond.spritemap` keeps those of a whole layer.

    Parameters
    ----------
    net
        A network of pictures.
    image
        The first picture: path, address, or array ``(height, width, 3)`` in [0, 1]; a cat where None.
    layer
        The first layer, or its address; the deepest landmark with height and width where None.
    positive, negative
        The first class asked about, and one held against it: index, label, WordNet id, ``"top1"``, ``"top2"`` ...
    store
        Where to look first for spritemaps.

    Returns
    -------
    Explorer
        A widget. As the last line of a cell it shows itself; ``.close()`` ends it.

    Raises
    ------
    RuntimeError
        Where there is no notebook, with what to do in a terminal.
    UnknownLayerError, ClassError
        For a layer or class the network does not have, naming the nearest.
    ValueError
        For networks of sounds, and of several inputs.

    Examples
    --------
    In a cell of a notebook:

    >>> dc.explore(net, "cat.jpg", layer="block9_add")                                    # doctest: +SKIP
    """
    from diamond.attribution.targets import ask, encode

    check_network(net)
    place = None if layer is None else net.layers[layer if isinstance(layer, str) else layer.name].name
    if positive is None:
        if negative is not None:
            raise ValueError(f"negative={negative!r} is held against no class; say positive too")
    elif net.trained_to is None:
        encode(net, positive)
        ask(net, positive, negative)
    if not _in_notebook():
        raise RuntimeError(
            "dc.explore shows itself in a notebook (Jupyter, Colab, VS Code), and this is none; in a terminal: diamond "
            f"explore {_named(net)}"
        )
    from diamond.explorer.widget import Explorer

    return Explorer(
        lambda: net, picture=image, layer=place, positive=positive, negative=negative, store=store, paths=True
    )


def _in_notebook() -> bool:
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def _named(net: Network) -> str:
    """Give what the command line calls the network; one that only this process has is saved first."""
    from modelzoo.registry import cards

    return net.name if net.name in cards() else 'my_network, after dc.save(net, "my_network")'
