"""What was found of the gradients of a layer's weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.show.result import Result
from spritemaps import Spritemap

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["WeightGradients"]


@dataclass(frozen=True, eq=False)
class WeightGradients(Result):
    """Gradients of class scores with respect to a layer's filters, over pictures of one class.

    Attributes
    ----------
    network, layer, kind
        Which network, which layer, and what its filters are.
    classes, labels, roles
        ``(class,)`` index and name of each class asked about, and what it is to the first: ``"itself"``, ``"similar"``,
        ``"dissimilar"``.
    channels
        ``(filter,)`` channel numbers.
    weights
        ``(filter, *places, input)`` the filters themselves, in the network's own units and channel order.
    inputs
        ``(filter, input)`` which channels each filter reads.
    gradients
        ``(class, filter, *places, input)``: logit by unit of weight, the mean over the pictures.
    deviations
        The same shape: standard deviations among the pictures.
    image_norms
        ``(picture, class)`` size of each picture's own gradient, of the kept filters.
    images
        ``(picture,)`` their names.
    reads
        Address of the layer that is read; None where it is the picture.
    colours
        ``(3, input)`` what red, green and blue of the picture are to the channels that are read; None for deeper layers.
    is_sound
        Whether places are frequency and time.
    skipped
        Name and reason of each file that gave no picture.
    notes
        What to know, in sentences.
    sprites
        The layer's spritemap, or None where no store has one.

    Examples
    --------
    >>> found = dc.weight_gradients(net, "cats/", "stem_conv", "tabby", progress=False)
    >>> found.network, found.layer, found.kind, found.images, found.skipped, found.notes
    ('EfficientNetLite0', 'stem_conv', 'convolution', ('cat.0.jpg', 'cat.1.jpg', 'cat.2.jpg'), (),
     ('None of 3 is answered with tabby: are they of it?',))
    >>> found.classes, found.labels, found.roles
    (array([281, 282, 647]), ('tabby', 'tiger cat', 'measuring cup'), ('itself', 'similar', 'dissimilar'))
    >>> found.channels.shape, found.weights.shape, found.inputs.shape, found.gradients.shape, found.deviations.shape
    ((32,), (32, 3, 3, 3), (32, 3), (3, 32, 3, 3, 3), (3, 32, 3, 3, 3))
    >>> found.image_norms.shape, found.norms.shape, found.agreement.shape, found.alike.shape, found.order.shape
    ((3, 3), (3, 32), (3, 32), (3, 3), (32,))
    >>> found.reads, found.colours.shape, found.is_sound, found.sprites
    (None, (3, 3), False, None)
    >>> print(found.sentence)
    Over 3 pictures, the gradient of tabby has a cosine of 0.63 with that of tiger cat (similar) and of −0.50
     with that of measuring cup (dissimilar). The pictures share 49% of their gradients (33% if they had nothing
     in common).
    >>> found.to_dataframe().columns.to_list()
    ['class', 'role', 'channel', 'norm', 'agreement', 'deviation']
    >>> found.plot()
    <Figure size ... with 42 Axes>
    >>> found.save("gradients.html")
    PosixPath('gradients.html')
    """

    FRAME_PX: ClassVar[int] = 820

    network: str
    layer: str
    kind: str
    classes: np.ndarray
    labels: tuple[str, ...]
    roles: tuple[str, ...]
    channels: np.ndarray
    weights: np.ndarray = field(repr=False)
    inputs: np.ndarray = field(repr=False)
    gradients: np.ndarray = field(repr=False)
    deviations: np.ndarray = field(repr=False)
    image_norms: np.ndarray = field(repr=False)
    images: tuple[str, ...] = field(repr=False)
    reads: str | None = None
    colours: np.ndarray | None = field(repr=False, default=None)
    is_sound: bool = False
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sprites: Spritemap | None = field(repr=False, default=None)

    @property
    def norms(self) -> np.ndarray:
        """``(class, filter)`` sizes of the mean gradients."""
        return np.sqrt(self._squares(self.gradients))

    @property
    def agreement(self) -> np.ndarray:
        """``(class, filter)`` how much of the pictures' gradients they share, from 0 to 1.

        The square of the mean over the mean of the squares: 1 where all pictures have the same gradient; of n pictures
        that have nothing in common, about 1 / n.
        """
        shared, varied = self._squares(self.gradients), self._squares(self.deviations)
        return shared / np.maximum(shared + varied, 1e-300)

    @property
    def alike(self) -> np.ndarray:
        """``(class, class)`` cosines of the classes' mean gradients, over all filters together."""
        flat = self.gradients.reshape(len(self.classes), -1).astype(np.float64)
        sizes = np.sqrt((flat**2).sum(axis=1))
        return flat @ flat.T / np.maximum(np.outer(sizes, sizes), 1e-300)

    @property
    def order(self) -> np.ndarray:
        """``(filter,)`` positions of the filters, the one with the largest gradient of the class itself first."""
        return np.argsort(-self.norms[0], kind="stable")

    def volume(self, label: str | int = 0) -> np.ndarray:
        """Give the gradients of a class as a volume, for `diamond.volume`: a slice for each filter and input channel.

        Parameters
        ----------
        label
            One of `labels` or `roles`, or a number from 0.

        Returns
        -------
        float32 array
            ``(height, width, slice)``, filter after filter; of filters without places a single slice
            ``(filter, input, 1)``.

        Raises
        ------
        KeyError
            For a class that was not asked about.

        Examples
        --------
        >>> found = dc.weight_gradients(net, "cats/", "stem_conv", "tabby", progress=False)
        >>> dc.volume(found.volume("tabby")).values.shape
        (3, 3, 96)
        """
        values = self.gradients[self._position(label)]
        if int(np.prod(values.shape[1:-1])) == 1:
            return values.reshape(len(values), -1, 1)
        slices = np.moveaxis(values, -1, 1)
        height = slices.shape[-2] if slices.ndim > 3 else 1
        return np.moveaxis(slices.reshape(-1, height, slices.shape[-1]), 0, -1)

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        n = len(self.images)
        said = f"Over {n:,} {self._noun if n == 1 else self._nouns}, the gradient of {self.labels[0]}"
        if len(self.labels) > 1:
            cosines = [
                f"{self.alike[0, k]:.2f} with that of {self.labels[k]} ({self.roles[k]})"
                for k in range(1, len(self.labels))
            ]
            said = f"{said} has a cosine of {' and of '.join(cosines)}.".replace(" -", " \N{MINUS SIGN}")
        else:
            said = f"{said}, the only class."
        if n < 2:
            return f"{said} One {self._noun} says nothing of how much they agree."
        shared, varied = self._squares(self.gradients)[0].sum(), self._squares(self.deviations)[0].sum()
        share = shared / max(shared + varied, 1e-300)
        return f"{said} The {self._nouns} share {share:.0%} of their gradients ({1 / n:.0%} if they had nothing in common)."

    @property
    def _noun(self) -> str:
        return "patch of sound" if self.is_sound else "picture"

    @property
    def _nouns(self) -> str:
        return "patches of sound" if self.is_sound else "pictures"

    def to_dataframe(self) -> pd.DataFrame:
        """One row a class and filter: class, role, channel, norm, agreement, and the mean deviation of a weight."""
        import pandas as pd

        k, n = self.norms.shape
        spread = self.deviations.reshape(k, n, -1).mean(axis=2)
        return pd.DataFrame(
            {
                "class": np.repeat(self.labels, n),
                "role": np.repeat(self.roles, n),
                "channel": np.tile(self.channels, k),
                "norm": self.norms.ravel(),
                "agreement": self.agreement.ravel(),
                "deviation": spread.ravel(),
            }
        )

    def plot(self) -> Figure:
        """Draw the filters with the largest gradients: each itself, then its gradient and its variation for each class."""
        from diamond.show.weight_gradients import gradient_figure

        return gradient_figure(self)

    def _position(self, label: str | int) -> int:
        if isinstance(label, int) and 0 <= label < len(self.labels):
            return label
        for known in (self.labels, self.roles):
            if label in known:
                return known.index(str(label))
        raise KeyError(f"no class {label!r} was asked about; expected one of {', '.join((*self.labels, *self.roles))}")

    def _squares(self, values: np.ndarray) -> np.ndarray:
        flat = values.reshape(*values.shape[:2], -1).astype(np.float64)
        found: np.ndarray = (flat**2).sum(axis=2)
        return found

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("classes", "channels", "weights", "inputs", "gradients", "deviations", "image_norms")
        arrays = {name: getattr(self, name) for name in names}
        return {**arrays, "labels": np.array(self.labels), "images": np.array(self.images)}

    def __str__(self) -> str:
        return f"{self.network} {self.layer}: gradients of its weights for {' / '.join(self.labels)}"

    def __repr__(self) -> str:
        return "\n".join([str(self), self.sentence, *self.notes])

    def _page(self) -> str:
        from diamond.show.weight_gradients import gradient_page

        return gradient_page(self)
