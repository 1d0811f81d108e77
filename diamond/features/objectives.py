"""What an optimised image maximises.

Objectives are values: they add, subtract and scale::

    >>> print(dc.channel("block9_add", 11))
    block9_add:11
    >>> print(dc.channel("block9_add", 11) + 0.5 * dc.channel("block9_add", 24) - 2 * dc.total_variation())
    block9_add:11 + 0.5 block9_add:24 + -2 total variation
    >>> len(dc.interpolate(dc.channel("block9_add", 11), dc.channel("block9_add", 24), 5))
    5

An objective is a sum of *terms*: a weight, a kind of measure (see `diamond.features.measures`), a layer, and the
parameters of the measure. Kinds, layers and the shapes of the parameters decide what is compiled; weights and
parameters are data. So all channels of a layer run through one compiled step, in batches, and only another layer
compiles another.

What each measure reads, drawn on activations of a layer, ``+`` where it looks::

    channel      neuron       direction    direction_neuron
    + + + + +    . . . . .    * * * * *    . . . . .
    + + + + +    . . + . .    * * * * *    . . * . .      + one channel
    + + + + +    . . . . .    * * * * *    . . . . .      * all channels, each with its weight

Where the number of places is even, the centre is the mean of the middle ones, so that the thing stands in the middle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from modelzoo.inventory import Layer

__all__ = [
    "Objective",
    "Term",
    "align",
    "alpha",
    "blur",
    "channel",
    "deepdream",
    "direction",
    "direction_neuron",
    "diversity",
    "group",
    "interpolate",
    "invert_towards",
    "l1",
    "l2",
    "logit",
    "neuron",
    "peak",
    "total_variation",
]

# Where the class scores stand, whatever the network calls the layer that gives them.
LOGITS = ":logits"
CENTRE = -1


@dataclass(frozen=True)
class Term:
    """One summand of an objective.

    Attributes
    ----------
    kind
        The measure: see `diamond.features.measures`.
    layer
        Address of the layer that is measured; empty for a measure of the picture itself.
    weight
        Factor of the measure.
    parameters
        Numbers and arrays the measure needs, by name.
    words
        How the term is written for people.
    before_nonlinearity
        Whether the layer is measured before its own nonlinearity.
    since
        Share of the steps after which the term counts.
    relative
        Whether the weight is in units of what the other terms reach together, layers' activations being of any size.
    """

    kind: str
    layer: str
    weight: float = 1.0
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    words: str = ""
    before_nonlinearity: bool = False
    since: float = 0.0
    relative: bool = False

    def __str__(self) -> str:
        factor = "" if self.weight == 1.0 else f"{self.weight:g} "
        before = " before its nonlinearity" if self.before_nonlinearity else ""
        return factor + (self.words or f"{self.kind}({self.layer})") + before

    @property
    def shape(self) -> tuple[Any, ...]:
        """What is compiled: kind, layer, and the parameters' names and shapes."""
        sizes = tuple((name, self.parameters[name].shape) for name in sorted(self.parameters))
        return (self.kind, self.layer, self.before_nonlinearity, self.relative, sizes)


@dataclass(frozen=True)
class Objective:
    """A weighted sum of measures of a network's activations and of the picture.

    Examples
    --------
    >>> asked = dc.channel("block9_add", 71) + 0.5 * dc.channel("block9_add", 25) - 2 * dc.total_variation()
    >>> print(asked)
    block9_add:71 + 0.5 block9_add:25 + -2 total variation
    >>> len(asked.terms), len(asked.shape), asked.shape == (2 * asked).shape
    (3, 3, True)
    """

    terms: tuple[Term, ...]

    def __add__(self, other: Objective | float) -> Objective:
        if other == 0:
            return self
        if not isinstance(other, Objective):
            return NotImplemented
        return Objective(self.terms + other.terms)

    # So that sum() works on a list of objectives.
    __radd__ = __add__

    def __sub__(self, other: Objective) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return self + -other

    def __neg__(self) -> Objective:
        return self * -1.0

    def __mul__(self, factor: float) -> Objective:
        if not isinstance(factor, int | float | np.number):
            return NotImplemented
        return Objective(tuple(replace(term, weight=term.weight * float(factor)) for term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Objective:
        return self * (1.0 / divisor)

    def __str__(self) -> str:
        return " + ".join(map(str, self.terms))

    @property
    def shape(self) -> tuple[tuple[Any, ...], ...]:
        """Shape of each term: objectives of one shape run in one batch."""
        return tuple(term.shape for term in self.terms)

    def before_nonlinearity(self) -> Objective:
        """Measure each layer before its own nonlinearity, where it has one: a channel that is silent has a gradient.

        Examples
        --------
        >>> print(dc.channel("block4_expand_relu", 3).before_nonlinearity())
        block4_expand_relu:3 before its nonlinearity
        """
        return Objective(tuple(replace(term, before_nonlinearity=bool(term.layer)) for term in self.terms))

    def relative(self) -> Objective:
        """Weigh each term in units of what all terms that are not relative reach together.

        A penalty of a tenth of the objective is then the same on a layer whose activations go to 6 and one where they
        go to 600.

        Examples
        --------
        >>> print(dc.channel("block9_add", 71) - 0.1 * dc.total_variation().relative())
        block9_add:71 + -0.1 total variation
        """
        return Objective(tuple(replace(term, relative=True) for term in self.terms))

    def late(self, since: float) -> Objective:
        """Count only after a share of the steps, from 0 to 1: a penalty that would smother the beginning.

        Parameters
        ----------
        since
            Share of the steps after which it counts, from 0 to 1.

        Examples
        --------
        >>> print(dc.channel("block9_add", 71) - dc.blur().late(0.5))
        block9_add:71 + -1 blur
        """
        if not 0 <= since <= 1:
            raise ValueError(f"since is {since}; expected a share of the steps, from 0 to 1")
        return Objective(tuple(replace(term, since=float(since)) for term in self.terms))


def channel(layer: str | Layer, index: int) -> Objective:
    """Maximise a channel everywhere: its mean over all places.

    Parameters
    ----------
    layer
        A layer or its address.
    index
        The channel, from 0.

    Raises
    ------
    ValueError
        For a negative index; one that is too large is told when the network is known.

    Examples
    --------
    >>> print(dc.channel("block9_add", 71))
    block9_add:71
    >>> dc.render(net, dc.channel("block9_add", 112))
    Traceback (most recent call last):
        ...
    diamond.features.settling.RenderError: no channel 112 in 'block9_add': its 112 channels run from 0 to 111
    """
    name = _address(layer)
    return _one("channel", name, {"index": _counted(index)}, f"{name}:{index}")


def peak(layer: str | Layer, index: int) -> Objective:
    """Maximise a channel where it is strongest: its maximum over all places.

    Parameters
    ----------
    layer
        A layer or its address.
    index
        The channel, from 0.

    Examples
    --------
    >>> print(dc.peak("block9_add", 71))
    block9_add:71 peak
    """
    name = _address(layer)
    return _one("peak", name, {"index": _counted(index)}, f"{name}:{index} peak")


def neuron(layer: str | Layer, index: int, place: tuple[int, int] | None = None) -> Objective:
    """Maximise a channel at one place.

    Parameters
    ----------
    layer, index
        As in `channel`.
    place
        ``(row, column)`` on the layer's grid; the centre where None.

    Examples
    --------
    >>> print(dc.neuron("block9_add", 71), "|", dc.neuron("block9_add", 71, (2, 3)))
    block9_add:71@centre | block9_add:71@2,3
    """
    name = _address(layer)
    return _one("neuron", name, {"index": _counted(index), **_place(place)}, f"{name}:{index}{_at(place)}")


def direction(layer: str | Layer, vector: Sequence[float] | np.ndarray, *, cosine_power: float = 0.0) -> Objective:
    """Maximise a direction in a layer's space of channels, everywhere.

    Parameters
    ----------
    layer
        A layer or its address.
    vector
        ``(channel,)``; its length is of no account.
    cosine_power
        With p > 0 the dot product is multiplied by the p-th power of the cosine of the angle between activations and
        `vector`: what is asked for is then the direction, not only much of it (Carter et al., "Activation Atlas",
        Distill 2019).

    Raises
    ------
    ValueError
        For a vector that is no vector, is all zero, or holds what is not finite.

    Examples
    --------
    >>> cell = net.activations("cat.jpg", "block9_add")[0, 6, 7]
    >>> print(dc.direction("block9_add", cell, cosine_power=2))
    block9_add:direction ...
    """
    name, unit = _address(layer), _unit(vector)
    power = np.asarray(cosine_power, np.float32)
    return _one("direction", name, {"vector": unit, "power": power}, f"{name}:direction {_mark(unit, cosine_power)}")


def direction_neuron(
    layer: str | Layer,
    vector: Sequence[float] | np.ndarray,
    place: tuple[int, int] | None = None,
    *,
    cosine_power: float = 0.0,
) -> Objective:
    """Maximise a direction at one place: `direction` as `neuron` is to `channel`.

    Parameters
    ----------
    layer
        A layer or its address.
    vector
        ``(channel,)``; its length is of no account.
    place
        Row and column of the cell; the one in the middle where None.
    cosine_power
        See `dc.direction`.

    Examples
    --------
    >>> cell = net.activations("cat.jpg", "block9_add")[0, 6, 7]
    >>> print(dc.direction_neuron("block9_add", cell, (6, 7)))
    block9_add:direction ...@6,7
    """
    name, unit = _address(layer), _unit(vector)
    parameters = {"vector": unit, "power": np.asarray(cosine_power, np.float32), **_place(place)}
    words = f"{name}:direction {_mark(unit, cosine_power)}{_at(place)}"
    return _one("direction_neuron", name, parameters, words)


def group(layer: str | Layer, factor: Sequence[float] | np.ndarray) -> Objective:
    """Maximise a group of channels: a non-negative factor of a layer's activations.

    Parameters
    ----------
    layer
        A layer or its address.
    factor
        ``(channel,)`` what the group is made of, as in `Groups.factors`.

    Raises
    ------
    ValueError
        For a factor with negative numbers, and as `direction` does.

    Examples
    --------
    >>> found = dc.groups(net, ["cat.jpg", "coffee.jpg"], "block9_add", k=3, progress=False)
    >>> print(dc.group("block9_add", found.factors[0]))
    block9_add:direction ...
    """
    if np.min(factor, initial=0.0) < 0:
        raise ValueError("a group's factor has negative numbers; a direction may have them: dc.direction")
    return direction(layer, factor)


def logit(target: int | str) -> Objective:
    """Maximise the score of a class before the softmax.

    Parameters
    ----------
    target
        Index of an output, or a class name; a name is looked up when the network is known.

    Examples
    --------
    >>> print(dc.logit("Egyptian cat"))
    logit Egyptian cat
    """
    index = CENTRE if isinstance(target, str) else _counted(target)
    words = f"logit {target}"
    term = Term("channel", LOGITS, 1.0, {"index": np.asarray(index, np.int32)}, words)
    return Objective((term,))


def deepdream(layer: str | Layer) -> Objective:
    """Maximise whatever a layer already says: the mean of its squared activations (Mordvintsev et al. 2015).

    Parameters
    ----------
    layer
        A layer or its address.

    Examples
    --------
    >>> print(dc.deepdream("block9_add"))
    block9_add:deepdream
    """
    name = _address(layer)
    return _one("deepdream", name, {}, f"{name}:deepdream")


def diversity(layer: str | Layer, family: int = 0) -> Objective:
    """Keep the pictures of a family apart in style: subtract the mean cosine between their Gram matrices.

    Added to an objective that is rendered several times, it gives several different pictures of one channel (Olah et
    al. 2017, "Diversity"). It is `relative`: of weight 1, pictures all alike would lose what the rest of the objective
    reaches. All pictures of a family must fit into one batch.

    Parameters
    ----------
    layer
        A layer or its address.
    family
        Number of the family: pictures of one family are kept apart.

    Examples
    --------
    >>> family = [dc.channel("parts", 3) + dc.diversity("parts") for _ in range(3)]
    >>> dc.render(small, family, steps=4, progress=False).images.shape
    (3, 128, 128, 3)
    """
    name = _address(layer)
    return _one("diversity", name, {"family": np.asarray(family, np.int32)}, f"{name}:diversity").relative()


def align(layer: str | Layer, family: int = 0) -> Objective:
    """Keep the pictures of a family alike in place: subtract the mean squared distance between neighbours' activations.

    Added to the steps of `interpolate` it makes them one movement (Mordvintsev et al., "Differentiable Image
    Parameterizations", Distill 2018, "Aligned feature visualization interpolation").

    Parameters
    ----------
    layer
        A layer or its address.
    family
        Number of the family: neighbours within one family are kept alike.

    Examples
    --------
    >>> first, last = dc.channel("block9_add", 71), dc.channel("block9_add", 25)
    >>> for step in dc.interpolate(first, last, 3):
    ...     print(step + dc.align("block9_add"))
    block9_add:71 + 0 block9_add:25 + block9_add:align
    0.5 block9_add:71 + 0.5 block9_add:25 + block9_add:align
    0 block9_add:71 + block9_add:25 + block9_add:align
    """
    name = _address(layer)
    return _one("align", name, {"family": np.asarray(family, np.int32)}, f"{name}:align")


def invert_towards(layer: str | Layer, activations: np.ndarray) -> Objective:
    """Come as close as possible to given activations: minus the squared distance, in units of their squared length.

    Parameters
    ----------
    layer
        A layer or its address.
    activations
        ``(height, width, channel)`` as `Network.activations` gives them for one picture of the canvas' size.
        (Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them", CVPR 2015, equation 1.)

    Examples
    --------
    >>> code = net.activations("cat.jpg", "block9_add")[0]
    >>> print(dc.invert_towards("block9_add", code))
    block9_add:inversion ...
    """
    name, target = _address(layer), np.asarray(activations, np.float32)
    if not np.isfinite(target).all() or not target.any():
        raise ValueError(f"activations to invert, of shape {target.shape}, are all zero or not finite")
    return _one("inversion", name, {"target": target}, f"{name}:inversion {_mark(target)}")


def interpolate(first: Objective, second: Objective, steps: int) -> list[Objective]:
    """Give the objectives on the way from one to another, both ends included.

    Parameters
    ----------
    first, second
        Objectives of one shape: where the way begins and ends.
    steps
        How many objectives, both ends among them.

    Raises
    ------
    ValueError
        For fewer than two steps.

    Examples
    --------
    >>> for step in dc.interpolate(dc.channel("block9_add", 71), dc.channel("block9_add", 25), 3):
    ...     print(step)
    block9_add:71 + 0 block9_add:25
    0.5 block9_add:71 + 0.5 block9_add:25
    0 block9_add:71 + block9_add:25
    """
    if steps < 2:
        raise ValueError(f"{steps} steps from one objective to another; expected 2 or more")
    return [(1 - t) * first + t * second for t in np.linspace(0, 1, steps)]


def total_variation() -> Objective:
    """Measure the picture's roughness: the mean absolute difference of neighbouring pixels. Subtract it.

    Examples
    --------
    >>> print(dc.channel("block9_add", 71) - 0.1 * dc.total_variation())
    block9_add:71 + -0.1 total variation
    """
    return _one("total_variation", "", {}, "total variation")


def l1(centre: float = 0.5) -> Objective:
    """Measure the mean absolute distance of the picture from a grey. Subtract it.

    Parameters
    ----------
    centre
        The level that costs nothing, from 0 to 1.

    Examples
    --------
    >>> print(dc.channel("block9_add", 71) - 0.1 * dc.l1())
    block9_add:71 + -0.1 l1(0.5)
    """
    return _one("l1", "", {"centre": np.asarray(centre, np.float32)}, f"l1({centre:g})")


def l2(centre: float = 0.5) -> Objective:
    """Measure the root mean squared distance of the picture from a grey. Subtract it.

    Parameters
    ----------
    centre
        The level that costs nothing, from 0 to 1.

    Examples
    --------
    >>> print(dc.channel("block9_add", 71) - 0.1 * dc.l2(centre=0.0))
    block9_add:71 + -0.1 l2(0)
    """
    return _one("l2", "", {"centre": np.asarray(centre, np.float32)}, f"l2({centre:g})")


def blur() -> Objective:
    """Measure what a slight blur would take from the picture: the mean squared difference. Subtract it.

    Examples
    --------
    >>> print(dc.channel("block9_add", 71) - 0.1 * dc.blur())
    block9_add:71 + -0.1 blur
    """
    return _one("blur", "", {}, "blur")


def alpha() -> Objective:
    """Measure how much of the background a picture with an alpha channel covers, from 0 to 1. Subtract it.

    Examples
    --------
    >>> print(dc.channel("block9_add", 71) - 0.5 * dc.alpha())
    block9_add:71 + -0.5 alpha
    """
    return _one("alpha", "", {}, "alpha")


def _one(kind: str, layer: str, parameters: Mapping[str, Any], words: str) -> Objective:
    return Objective((Term(kind, layer, 1.0, dict(parameters), words),))


def _address(layer: str | Layer) -> str:
    return layer.name if isinstance(layer, Layer) else layer


def _counted(index: int) -> np.ndarray:
    if index < 0:
        raise ValueError(f"channel {index}: channels are counted from 0")
    return np.asarray(index, np.int32)


def _place(place: tuple[int, int] | None) -> dict[str, np.ndarray]:
    row, column = (CENTRE, CENTRE) if place is None else place
    if place is not None and min(place) < 0:
        raise ValueError(f"place {place}: rows and columns are counted from 0")
    return {"row": np.asarray(row, np.int32), "column": np.asarray(column, np.int32)}


def _unit(vector: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(vector, np.float32)
    length = float(np.linalg.norm(values))
    if values.ndim != 1 or not np.isfinite(values).all() or length == 0.0:
        raise ValueError(f"a direction of shape {values.shape}: expected one finite number a channel, not all zero")
    unit: np.ndarray = values / length
    return unit


def _at(place: tuple[int, int] | None) -> str:
    return "@centre" if place is None else f"@{place[0]},{place[1]}"


def _mark(*values: Any) -> str:
    # Random numbers are drawn by an objective's words, so different vectors must read differently.
    content = b"".join(np.asarray(value, np.float64).tobytes() for value in values if value is not None)
    return hashlib.sha256(content).hexdigest()[:8]
