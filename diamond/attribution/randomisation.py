"""How much of a saliency map stays when the network knows nothing any more.

    dc.saliency(net, photo, method="all").randomisation(net)

A map that explains a network must change when the network does. So the weights of its layers are shuffled, from the
class scores back towards the picture, and each map is compared with that of the trained network, for the same class. What
stays alike while the layers that tell the classes apart are noise is of the picture, not of what was learned. Each array is
shuffled in itself: the weights keep their distribution and lose their meaning. The network itself is not touched.

The measure is Spearman's rank correlation of the absolute maps. Adebayo et al., "Sanity Checks for Saliency Maps"
(NeurIPS 2018), section 3.1, where the weights are drawn anew.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from diamond.attribution.by_method import maps_of
from diamond.attribution.pixels import FEWEST_STEPS
from diamond.attribution.saliency_map import PLAIN, SaliencyMap
from diamond.attribution.streams import Batch
from diamond.features.renderer import random_stream
from diamond.show.result import Result
from modelzoo import Network
from modelzoo.graph import LINEAR

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Randomisation", "randomise"]

MOST_SAMPLES = 8


@dataclass(frozen=True, eq=False)
class Randomisation(Result):
    """How alike maps stay while layers are shuffled, from the class scores back.

    Attributes
    ----------
    network
        Which network.
    methods
        By which the maps are made.
    layers
        For each depth the address of the last layer that is shuffled, counted from the class scores.
    shares
        ``(depth,)`` share of the layers with weights that are shuffled.
    likeness
        ``(method, depth, image)`` rank correlation of the absolute maps, -1 to 1; 0 where a map vanished.
    """

    network: str
    methods: tuple[str, ...]
    layers: tuple[str, ...]
    shares: np.ndarray
    likeness: np.ndarray = field(repr=False)

    @property
    def left(self) -> dict[str, float]:
        """By method what is left of its maps, the mean over depths and pictures; a map that explains is near 0."""
        return {method: float(rows.mean()) for method, rows in zip(self.methods, self.likeness, strict=True)}

    def to_dataframe(self) -> pd.DataFrame:
        """One row a method and depth: method, layer, shuffled (share of the layers), likeness (mean over the pictures)."""
        import pandas as pd

        n, depths, _ = self.likeness.shape
        return pd.DataFrame(
            {
                "method": np.repeat(np.array(self.methods, object), depths),
                "layer": np.tile(np.array(self.layers, object), n),
                "shuffled": np.tile(self.shares, n),
                "likeness": self.likeness.mean(axis=-1).ravel(),
            }
        )

    def plot(self) -> Figure:
        """Draw a line a method: what is left of its maps while more and more layers are shuffled."""
        from diamond.show.saliency import randomisation_figure

        return randomisation_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {"shares": self.shares, "likeness": self.likeness}

    def __str__(self) -> str:
        return f"{self.network}: what is left of its saliency maps when its weights are shuffled"

    def __repr__(self) -> str:
        return "\n".join([str(self), *(f"  {PLAIN[name]}: {left:.2f}" for name, left in self.left.items())])

    def _page(self) -> str:
        from diamond.show.saliency import randomisation_page

        return randomisation_page(self)


def randomise(found: SaliencyMap, net: Network, *, depths: int = 4, seed: int = 0) -> Randomisation:
    """Shuffle the weights of a network layer by layer and compare the maps: see `SaliencyMap.randomisation`.

    Parameters
    ----------
    found
        Maps of the network as it is.
    net
        The network.
    depths
        At how many depths to look, evenly over the layers with weights; the last is all of them.
    seed
        Of the shuffling.

    Raises
    ------
    ValueError
        For a network of another name, fewer than one depth, and a network without weights.
    """
    if net.name != found.network:
        raise ValueError(f"the maps are of {found.network}, the network given is {net.name}")
    if depths < 1:
        raise ValueError(f"depths is {depths}; expected 1 or more")
    nodes = [node for node in net.graph.ancestors([net.logits_node]) if node.weights][::-1]
    if not nodes:
        raise ValueError(f"{net.name} has no weights to shuffle")
    counts = sorted({max(1, round(len(nodes) * (i + 1) / depths)) for i in range(depths)})
    parts = _parts(found)
    # Where nothing is explained a sum that is right within 1 % is of no use, and takes its 512 steps.
    settings = dataclasses.replace(
        found.settings, steps=found.settings.steps or FEWEST_STEPS, samples=min(found.settings.samples, MOST_SAMPLES)
    )
    likeness = np.zeros((len(found.methods), len(counts), len(found.images)))
    for depth, count in enumerate(counts):
        # A network of its own has functions of its own, which are compiled with the shuffled weights.
        other = dataclasses.replace(net, _compiled={})
        shuffled = [
            (weight, _shuffled(weight, random_stream(seed, "shuffle", node.address, i)))
            for node in nodes[:count]
            for i, weight in enumerate(node.weights)
        ]
        begin = 0
        for part in parts:
            rows = slice(begin, begin + len(part.names))
            with keras.StatelessScope(state_mapping=shuffled):
                maps = maps_of(
                    other,
                    settings,
                    part,
                    first=begin,
                    classes=(found.classes[rows], found.opponents[rows]),
                )
            values = tuple(maps.values[method] for method in found.methods)
            noise = dataclasses.replace(found, values=values, pictures=part.pictures)
            for k, method in enumerate(found.methods):
                pairs = zip(found.heatmaps(method)[rows], noise.heatmaps(method), strict=True)
                likeness[k, depth, rows] = [_alike(a, b) for a, b in pairs]
            begin = rows.stop
    return Randomisation(
        network=net.name,
        methods=found.methods,
        layers=tuple(nodes[count - 1].address.removesuffix(LINEAR) for count in counts),
        shares=np.array(counts) / len(nodes),
        likeness=likeness,
    )


def _parts(found: SaliencyMap) -> list[Batch]:
    parts, begin = [], 0
    for given, n in zip(found.given, found.sizes, strict=True):
        rows = slice(begin, begin + n)
        parts.append(Batch(found.pictures[rows], found.images[rows], given, np.arange(begin, begin + n)))
        begin += n
    return parts


def _shuffled(weight: keras.Variable, stream: np.random.Generator) -> tf.Tensor:
    values = np.asarray(weight.value)
    return tf.constant(stream.permutation(values.ravel()).reshape(values.shape))


def _alike(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    first, second = np.abs(first).ravel(), np.abs(second).ravel()
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)
