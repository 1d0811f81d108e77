"""How healthy a network's layers are, and what is worth a look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["FEW_PICTURES", "MEANINGS", "Health", "LayerHealth", "flags_of"]

FEW_PICTURES = 100
# From so large a share on a layer is flagged.
DEAD = IDLE = 0.05
SPARSE = 0.95
SATURATED = REDUNDANT = 0.1
LOW_RANK = 0.1
ROUGH = 0.1

MEANINGS = {
    "dead": (
        f"{DEAD:.0%} or more of the channels stay at 0 everywhere in all pictures. Usually a learning rate that was too "
        "high early on, a bias or batch norm pushed below zero, or a network wider than its task; they cost time and can "
        "be cut out. If these pictures are unlike those it learned from, the channels may be waiting for others."
    ),
    "idle": (
        f"{IDLE:.0%} or more of the channels are not 0 and hardly vary: they act as a bias. Usually a batch norm whose "
        "scale went to zero under weight decay, or an input that is the same in all pictures."
    ),
    "sparse": (
        f"{SPARSE:.0%} or more of all values are 0. Late layers that name things are sparse by nature; early ones that are "
        "have lost most of the picture, often from a wrong value range of the input."
    ),
    "saturated": (
        f"{SATURATED:.0%} or more of the values lie at the cap of the nonlinearity (the 6 of a ReLU6, the ends of a "
        "sigmoid), where no gradient passes. Usually an input on too large a scale, or activations that grew without "
        "normalisation."
    ),
    "low rank": (
        f"The channels use less than {LOW_RANK:.0%} of the directions they could. Usually a bottleneck before the layer, "
        "far more channels than the task needs, or features that collapsed onto a few."
    ),
    "noisy": (
        f"The smoothness of the filters averages below {ROUGH:g}, as that of noise does. Usually too little training or "
        "too little weight decay, or weights that were never loaded."
    ),
    "redundant": (
        f"{REDUNDANT:.0%} or more of the channels vary as an earlier one does (correlation of 0.95 or more, of either "
        "sign). Such layers can be pruned at little cost."
    ),
    "alike": (
        f"{REDUNDANT:.0%} or more of the filters point where an earlier one points (cosine of 0.95 or more). Usually too "
        "many filters, or an initialisation that did not tell them apart."
    ),
}


@dataclass(frozen=True, eq=False)
class LayerHealth:
    """One layer over all pictures. What cannot be said is NaN.

    Attributes
    ----------
    layer, kind
        Its address, and the nonlinearity or operation that gives its values.
    filters
        Address of the layer whose filters make it; None where none does alone.
    channels
        How many there are.
    dead
        Numbers of the channels that are 0 everywhere in all pictures.
    idle
        Numbers of those that are not dead, and whose standard deviation is under a hundredth of the layer's median.
    sparsity
        Share of values that are exactly 0, of all channels.
    saturation
        Share of values at the cap of the nonlinearity.
    effective_rank
        How many directions the channels use: e to the entropy of the singular values' shares.
    redundant
        Numbers of the channels that correlate with an earlier one by 0.95 or more, of either sign.
    twins
        ``(first, second, correlation)`` of the pairs that go together most, the closest first.
    smoothness
        ``(filter,)`` from -1 to 1: see `diamond.inspection.smoothness`.
    alike
        Numbers of the filters that point where an earlier one points, by a cosine of 0.95 or more; None where filters
        cannot be compared (depthwise ones read a channel each).
    samples
        At how many places of all pictures rank and correlations were taken.
    flags
        What is worth a look, in words of `MEANINGS`.
    """

    layer: str
    kind: str
    filters: str | None
    channels: int
    dead: np.ndarray = field(repr=False)
    idle: np.ndarray = field(repr=False)
    sparsity: float
    saturation: float
    effective_rank: float
    redundant: np.ndarray | None = field(repr=False)
    twins: tuple[tuple[int, int, float], ...] = field(repr=False)
    smoothness: np.ndarray = field(repr=False)
    alike: np.ndarray | None = field(repr=False)
    samples: int
    flags: tuple[str, ...]

    @property
    def mean_smoothness(self) -> float:
        """Mean over the filters; NaN where none has neighbours."""
        known = self.smoothness[np.isfinite(self.smoothness)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def rank_share(self) -> float:
        """The effective rank as a share of the channels that are not dead."""
        return self.effective_rank / max(self.channels - len(self.dead), 1)


def flags_of(
    *,
    channels: int,
    dead: int,
    idle: int,
    sparsity: float,
    saturation: float,
    rank_share: float,
    redundant: int,
    smoothness: float,
    alike: int,
) -> tuple[str, ...]:
    """Say what of a layer is worth a look; NaN flags nothing."""
    found = {
        "dead": dead >= max(1, DEAD * channels),
        "idle": idle >= max(1, IDLE * channels),
        "sparse": sparsity >= SPARSE,
        "saturated": saturation >= SATURATED,
        "low rank": rank_share < LOW_RANK,
        "noisy": smoothness < ROUGH,
        "redundant": redundant >= max(2, REDUNDANT * channels),
        "alike": alike >= max(2, REDUNDANT * channels),
    }
    return tuple(name for name, is_so in found.items() if is_so)


@dataclass(frozen=True, eq=False)
class Health(Result):
    """All layers of a network over some pictures.

    Attributes
    ----------
    network
        Its name.
    layers
        In the network's order.
    count
        How many pictures were looked at; of sounds, patches.
    noun
        ``"pictures"`` or ``"patches of sound"``.
    skipped
        Name and reason of each file that gave none.
    notes
        What to know, in sentences.

    Examples
    --------
    >>> found = dc.health(net, "photos/", layers=["stem_relu", "block4_add"], progress=False)
    >>> found.network, found.count, found.noun, found.skipped, found.notes
    ('EfficientNetLite0', 8, 'pictures', (), ('Only 8 pictures: a channel that stays at 0 in all of them may fire
     for others.',))
    >>> found.layers[0].layer, len(found["stem_relu"].dead), found.flagged
    ('stem_relu', 4, {'dead': ('stem_relu',), 'redundant': ('stem_relu',)})
    >>> print(found.sentence)
    2 layers over 8 pictures: 4 of 72 channels stay at 0 in all of them,
     the largest share in stem_relu (4 of 32). Flagged layers: dead 1, redundant 1.
    >>> found.to_dataframe().columns.to_list()
    ['layer', 'kind', 'filters', 'channels', 'dead', 'idle', 'sparsity', 'saturation', 'effective_rank',
     'smoothness', 'redundant', 'alike', 'samples', 'flags']
    >>> found.plot()
    <Figure size ... with 6 Axes>
    >>> found.save("health.html")
    PosixPath('health.html')
    """

    FRAME_PX: ClassVar[int] = 820

    network: str
    layers: tuple[LayerHealth, ...]
    count: int
    noun: str = "pictures"
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __getitem__(self, layer: str) -> LayerHealth:
        """Find a layer by its address.

        Raises
        ------
        KeyError
            Naming the layers that were looked at.
        """
        for each in self.layers:
            if each.layer == layer:
                return each
        raise KeyError(
            f"no layer {layer!r} was looked at; {', '.join(each.layer for each in self.layers[:8])} ... were"
        )

    @property
    def flagged(self) -> dict[str, tuple[str, ...]]:
        """The layers of each flag that stands anywhere, and `MEANINGS` says what it usually means."""
        found = {name: tuple(each.layer for each in self.layers if name in each.flags) for name in MEANINGS}
        return {name: layers for name, layers in found.items() if layers}

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        dead, channels = sum(len(each.dead) for each in self.layers), sum(each.channels for each in self.layers)
        begin = f"{len(self.layers)} {'layer' if len(self.layers) == 1 else 'layers'} over {self.count:,} {self.noun}"
        if not dead:
            said = f"none of {channels:,} channels is dead"
        else:
            worst = max(self.layers, key=lambda each: len(each.dead) / each.channels)
            said = (
                f"{dead:,} of {channels:,} channels stay at 0 in all of them, the largest share in {worst.layer} "
                f"({len(worst.dead)} of {worst.channels})"
            )
        flags = [f"{name} {len(layers)}" for name, layers in self.flagged.items()]
        return f"{begin}: {said}. " + (f"Flagged layers: {', '.join(flags)}." if flags else "Nothing is flagged.")

    def to_dataframe(self) -> pd.DataFrame:
        """One row a layer, in the network's order."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "layer": each.layer,
                    "kind": each.kind,
                    "filters": each.filters,
                    "channels": each.channels,
                    "dead": len(each.dead),
                    "idle": len(each.idle),
                    "sparsity": each.sparsity,
                    "saturation": each.saturation,
                    "effective_rank": each.effective_rank,
                    "smoothness": each.mean_smoothness,
                    "redundant": np.nan if each.redundant is None else len(each.redundant),
                    "alike": np.nan if each.alike is None else len(each.alike),
                    "samples": each.samples,
                    "flags": ", ".join(each.flags),
                }
                for each in self.layers
            ]
        )

    def plot(self) -> Figure:
        """Draw a row a layer: dead and idle channels, zeros, values at the cap, rank, smoothness, redundancy."""
        from diamond.show.health import health_figure

        return health_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        table = self.to_dataframe()
        arrays = {str(name): table[name].to_numpy() for name in table if table[name].dtype.kind in "if"}
        parts = {f"{each.layer}:dead": each.dead for each in self.layers} | {
            f"{each.layer}:idle": each.idle for each in self.layers
        }
        return {**arrays, "layer": np.array([each.layer for each in self.layers]), **parts}

    def __str__(self) -> str:
        return f"{self.network}: the health of its layers over {self.count:,} {self.noun}"

    def __repr__(self) -> str:
        rows = [f"  {each.layer:<32} {', '.join(each.flags)}" for each in self.layers if each.flags]
        return "\n".join([str(self), self.sentence, *rows, *self.notes])

    def _page(self) -> str:
        from diamond.show.health import health_page

        return health_page(self)
