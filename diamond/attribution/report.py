"""One page on what a network saw in pictures: its answers, the channels that said so at three depths, and where.

What ``diamond attribute NAME IMAGE...`` runs.

    write_report(net, "photos/", "page.html", positive="tabby")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diamond.attribution.channels import channel_attribution
from diamond.attribution.ranking import AttributionByLayer
from diamond.attribution.spatial import SpatialAttribution, spatial_attribution
from diamond.attribution.targets import Target
from diamond.show.pages import page
from modelzoo import Layer, Network
from modelzoo.predictions import Predictions
from spritemaps import Store, find

__all__ = ["Report", "landmark_to_map", "landmarks_to_show", "read_report", "write_report"]

DEPTHS = (0.24, 0.6, 1.0)
MOST_MAPS = 6


def landmarks_to_show(net: Network, *, store: Store | str | Path | None = None) -> tuple[str, ...]:
    """Choose a shallow, a middle and a deep layer: of the landmarks that have sprites, where there are three of those.

    Parameters
    ----------
    net
        The network.
    store
        Where to look first for sprites.

    Returns
    -------
    tuple of str
        Up to three addresses in network order; all have height and width where any layer has.
    """
    landmarks = [net.layers[name] for name in net.landmarks]
    candidates: Sequence[Layer] = _spatial(net) or landmarks or [net.layers[net.pre_output_layer]]
    drawn = [layer for layer in candidates if find(net.fingerprint(layer), store=store) is not None]
    chosen = drawn if len(drawn) >= len(DEPTHS) else candidates
    return tuple(dict.fromkeys(chosen[round((len(chosen) - 1) * depth)].name for depth in DEPTHS))


def landmark_to_map(net: Network) -> str | None:
    """Choose the layer whose heatmap says most: the deepest landmark with height and width; None where there is none.

    What comes after it is close to linear, so that its contributions add up to the score, and it mostly ends in a
    nonlinearity: a zero there is an absence. In a layer without one, such as the output of a linear bottleneck, a value
    below zero carries as much as one above, and a map of it can be negative on the very object.
    """
    spatial = _spatial(net)
    return spatial[-1].name if spatial else None


def _spatial(net: Network) -> list[Layer]:
    found = [net.layers[name] for name in net.landmarks if net.layers[name].is_spatial]
    return found or [layer for layer in net.layers if layer.is_spatial]


@dataclass(frozen=True, eq=False)
class Report:
    """What a network saw in pictures.

    Attributes
    ----------
    net
        The network.
    rows
        The channels at each depth, of all pictures.
    answers
        What it names in the first pictures; None for a network without classes of its own.
    maps
        Where it looked in the first pictures.
    """

    net: Network
    rows: AttributionByLayer
    answers: Predictions | None
    maps: tuple[SpatialAttribution, ...]

    def save(self, path: str | Path) -> Path:
        """Write the page.

        Raises
        ------
        ValueError
            Where `path` does not end in ``.html``.
        FileNotFoundError
            Where its folder does not exist.
        """
        path = _checked(path)
        names = self.rows[0].images
        path.write_text(
            page(
                "attribute.html",
                title=f"{self.net.name}: {self.rows[0].question} in {_pictures(names)}",
                said=_pictures(names),
                network=repr(self.net),
                name=self.net.name,
                rows=list(self.rows),
                answers=self.answers,
                maps=list(self.maps),
            ),
            encoding="utf-8",
        )
        return path

    def __repr__(self) -> str:
        return "\n".join(repr(each) for each in (self.answers, *self.rows) if each is not None)


def read_report(
    net: Network,
    images: Any,
    *,
    layers: Sequence[str] | None = None,
    positive: Target | None = "top1",
    negative: Target | None = None,
    method: str = "gradient",
    top: int = 8,
    store: Store | str | Path | None = None,
    render: bool = False,
    progress: bool = True,
) -> Report:
    """Find what speaks for a class in pictures, at three depths, and where.

    Parameters
    ----------
    net, images, positive, negative, method, top, store, render, progress
        As of `diamond.attribution.channels.channel_attribution`.
    layers
        Addresses; by default those of `landmarks_to_show`.

    Returns
    -------
    Report
        With the answers and maps of the first 6 pictures, and the channels of all.

    Raises
    ------
    ValueError
        As `channel_attribution` does.
    """
    asked = list(layers) if layers else list(landmarks_to_show(net, store=store))
    found = channel_attribution(
        net,
        images,
        asked,
        positive=positive,
        negative=negative,
        method=method,
        top=top,
        store=store,
        render=render,
        progress=progress,
    )
    first = found[0]
    shown = list(first.images[: len(first.pictures)])
    answers = None
    if net.trained_to is None:
        answers = replace(net.predict(first.pictures), images=tuple(shown))
    deepest = next((row.layer for row in reversed(found.rows) if net.layers[row.layer].is_spatial), None)
    deepest = deepest if layers else landmark_to_map(net)
    maps: list[SpatialAttribution] = []
    if deepest is not None:
        for name, picture in zip(shown[:MOST_MAPS], first.pictures, strict=False):
            where = spatial_attribution(net, picture, deepest, positive=positive, negative=negative, method=method)
            maps.append(replace(where, image=name))
    return Report(net, found, answers, tuple(maps))


def write_report(
    net: Network, images: Any, path: str | Path, *, say: Callable[[str], object] = print, **asked: Any
) -> Path:
    """Find what speaks for a class in pictures, and write one page about it.

    Parameters
    ----------
    net, images, asked
        As of `read_report`.
    path
        Where the page goes, an ``.html`` file.
    say
        Called with each line for the user.

    Raises
    ------
    ValueError
        Where `path` does not end in ``.html``, and as `read_report` does.
    FileNotFoundError
        Where the page's folder does not exist, told before anything is computed.
    """
    path = _checked(path)
    found = read_report(net, images, **asked)
    say(repr(found))
    found.save(path)
    say(f"{path.resolve()}")
    return path


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".html":
        raise ValueError(f"the page would be {path.name!r}; expected a name that ends in .html")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in; make it first")
    return path


def _pictures(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names):,} pictures"
