"""Whether a network answers as a trained one does, and is shown its pictures as it was in training.

::

    >>> check_network(net, ["cat.jpg", "coffee.jpg"]).looks_trained
    True

Weights that were never loaded, or loaded into the wrong layers, and pictures with red and blue exchanged give no error,
only bad answers. What speaks for it is *weighed* as in `modelzoo.value_range`, for the card's own range and for the
customary ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelzoo.inputs.sample_pictures import sample_pictures
from modelzoo.value_range import RANGES, Evidence, best_of, unsurprising, weigh_ranges

if TYPE_CHECKING:
    from modelzoo.network import Network
    from modelzoo.predictions import Predictions

__all__ = ["Check", "check_network"]

OWN = "the card's own values"
SHOWN = ("chelsea", "coffee", "grace_hopper")
# Below this the difference between two ranges is one of photos, not of networks.
MUCH_SURER = 0.03


@dataclass(frozen=True)
class Check:
    """What a network says of known photos, and how far to trust it.

    Attributes
    ----------
    predictions
        Its five most probable classes for each picture.
    own
        What speaks for the card's range of values.
    others
        What speaks for each other range.
    better
        Another range with which the answers are much surer; None where there is none.
    """

    predictions: Predictions
    own: Evidence
    others: tuple[Evidence, ...]
    better: Evidence | None

    @property
    def looks_trained(self) -> bool:
        """Whether the answers depend on the picture as those of trained weights do."""
        return not self.own.looks_random

    @property
    def verdict(self) -> str:
        """The finding in one or two sentences."""
        own = self.own
        if self.looks_trained:
            words = (
                "The weights look trained: two views of one photo get like answers, two photos do not (separation "
                f"{own.separation:.2f} of 1, mean probability of the first class {100 * own.confidence:.0f} %)."
            )
        else:
            words = (
                "These look random: the answers hardly depend on the photo (separation "
                f"{own.separation:.2f} of 1, entropy {100 * own.entropy:.0f} % of that of a blind guess)."
            )
        if self.better is None:
            return words
        return f"{words}\n{self._comparison(self.better)}: is the card's range right?"

    def _comparison(self, better: Evidence) -> str:
        low, high = self.own.spec.value_range
        shown = f"{self.own.spec.channel_order}, {low:.4g} .. {high:.4g}"
        if better.score > self.own.score:
            return (
                f"The answers are much surer with {better.label} than with {shown} (score {better.score:.2f} against "
                f"{self.own.score:.2f})"
            )
        return (
            f"Its batch normalisations remember values as {better.label} gives them, not as {shown} does (surprise "
            f"{better.surprise:.3f} against {self.own.surprise:.3f} nats)"
        )

    def __repr__(self) -> str:
        return f"{self.predictions!r}\n{self.verdict}"


def check_network(net: Network, pictures: Any = None) -> Check:
    """Ask a network about known photos and judge by its answers whether it is trained and rightly fed.

    Parameters
    ----------
    net
        A network that tells classes of colour pictures apart.
    pictures
        What to name in `predictions`, as `Network.read` takes it; by default three photos everyone has. The judgement
        is by five known photos in any case.

    Raises
    ------
    RangeError
        For a network that does not take colour pictures or has a single output.
    WeightsError
        Where its classifier is not trained.

    Examples
    --------
    >>> check_network(net, ["cat.jpg", "coffee.jpg"]).looks_trained
    True
    """
    own, *others = weigh_ranges(net, {OWN: net.input, **RANGES})
    own = replace(own, spec=net.input)
    best = best_of([own, *others])
    surprised = own not in unsurprising([own, *others])
    better = best if best is not own and (surprised or best.score > own.score + MUCH_SURER) else None
    if best.looks_random:
        better = None
    return Check(_named(net, pictures), own, tuple(others), better)


def _named(net: Network, pictures: Any) -> Predictions:
    if pictures is not None:
        return net.predict(pictures)
    photos = sample_pictures()
    # Their subjects reach to the edges, so they are shown whole.
    batch = np.concatenate([net.read(photos[name], crop=1.0) for name in SHOWN])
    return replace(net.predict(batch), images=SHOWN)
