"""What was found when the gradient of a class score was followed back to the picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from diamond.attribution.randomisation import Randomisation
    from modelzoo import Network

__all__ = ["DOUBTED", "METHODS", "PLAIN", "SIGNED", "SaliencyMap", "enlarged"]

METHODS = (
    "gradient",
    "gradient_x_input",
    "guided_backpropagation",
    "deconvnet",
    "integrated_gradients",
    "smoothgrad",
    "grad_cam",
    "guided_grad_cam",
)
# In units of the score, so that a sum over colours says for or against; of the others the strongest colour counts.
SIGNED = ("gradient_x_input", "integrated_gradients")
DOUBTED = {
    "guided_backpropagation": "failed the randomisation test of Adebayo et al. (2018): it shows edges more than the class",
    "deconvnet": "comes close to recovering the picture whatever the class (Nie et al. 2018), as guided backpropagation "
    "does, which failed the randomisation test",
    "guided_grad_cam": "failed the randomisation test of Adebayo et al. (2018): its fine lines are guided backpropagation",
}
PLAIN = {
    "gradient": "gradient",
    "gradient_x_input": "gradient × input",
    "guided_backpropagation": "guided backpropagation",
    "deconvnet": "deconvnet",
    "integrated_gradients": "integrated gradients",
    "smoothgrad": "SmoothGrad",
    "grad_cam": "Grad-CAM",
    "guided_grad_cam": "guided Grad-CAM",
}


@dataclass(frozen=True, eq=False)
class SaliencyMap(Result):
    """Maps of one or several pictures, by one or several methods.

    Attributes
    ----------
    network, images
        Which network, and a word for each picture.
    methods
        By which the maps were made: see `METHODS`.
    targets
        The class each picture was asked about, and what it was held against.
    classes
        ``(image,)`` index of that class.
    scores
        ``(image,)`` what is explained: the logit of that class, or its difference to what it is held against.
    values
        For each method ``(image, height, width, 3)``: of a gradient logits per unit of the picture, of ``gradient_x_input``
        and ``integrated_gradients`` logits. Of ``grad_cam`` ``(image, cells high, cells wide, 1)``, 0 or more.
    pictures
        ``(image, height, width, 3)`` as the network saw them, in [0, 1]; of sounds ``(image, frequency, time, 1)``.
    layer
        The layer of ``grad_cam`` and ``guided_grad_cam``; None where neither was asked for.
    changes
        ``(image,)`` by how much the score differs from the baseline's; None without ``integrated_gradients``.
    notes
        How it was made and how far to trust it, in sentences.
    skipped
        Name and reason of each file that gave no picture.
    settings, opponents, given, sizes
        What was asked, so that `randomisation` can ask it again: the settings, ``(image,)`` the class held against each,
        and for each batch the values of other inputs and how many pictures it has.

    Examples
    --------
    >>> found = dc.saliency(net, ["cat.jpg", "coffee.jpg"], method=["gradient", "grad_cam"], progress=False)
    >>> found.network, found.images, found.methods, found.targets, found.layer
    ('EfficientNetLite0', ('cat.jpg', 'coffee.jpg'), ('gradient', 'grad_cam'), ('tiger cat', 'espresso'), 'head_relu')
    >>> found.classes, found.scores.round(1), found.opponents, found.changes
    (array([282, 967], dtype=int32), array([ 9.2, 11.4], dtype=float32), array([282, 967], dtype=int32), None)
    >>> found["grad_cam"].shape, found.values[0].shape, found.pictures.shape, found.heatmap.shape
    ((2, 7, 7, 1), (2, 224, 224, 3), (2, 224, 224, 3), (224, 224))
    >>> found.in_words("grad_cam"), len(found.notes), found.skipped
    ('Grad-CAM', 1, ())
    >>> found.settings.methods, found.given, found.sizes
    (('gradient', 'grad_cam'), ({},), (2,))
    >>> found.to_dataframe().columns.to_list()
    ['image', 'target', 'score', 'method', 'row', 'column', 'sum']
    >>> found.plot()
    <Figure size ... with 6 Axes>
    >>> found.save("saliency.html")
    PosixPath('saliency.html')
    """

    network: str
    images: tuple[str, ...]
    methods: tuple[str, ...]
    targets: tuple[str, ...]
    classes: np.ndarray
    scores: np.ndarray
    values: tuple[np.ndarray, ...] = field(repr=False)
    pictures: np.ndarray = field(repr=False)
    layer: str | None = None
    changes: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    settings: Any = field(repr=False, default=None)
    opponents: Any = field(repr=False, default=None)
    given: tuple[Any, ...] = field(repr=False, default=())
    sizes: tuple[int, ...] = field(repr=False, default=())

    def __getitem__(self, method: str) -> np.ndarray:
        """Give the values of a method, ``(image, height, width, 3)``.

        Raises
        ------
        KeyError
            For a method that was not asked for, naming those that were.
        """
        if method not in self.methods:
            raise KeyError(f"{method!r} was not asked for; there are {', '.join(self.methods)}")
        return self.values[self.methods.index(method)]

    @property
    def heatmap(self) -> np.ndarray:
        """``(height, width)`` the first method's map of the first picture."""
        found: np.ndarray = self.heatmaps(self.methods[0])[0]
        return found

    def heatmaps(self, method: str) -> np.ndarray:
        """Give one number for each pixel, ``(image, height, width)``: where the method looks.

        Of ``gradient_x_input`` and ``integrated_gradients`` the sum over colours, for and against the class; of
        ``grad_cam`` its map, enlarged by the cells between; of all others the largest absolute value of a colour
        (Simonyan, Vedaldi and Zisserman 2014, section 3.1).

        Parameters
        ----------
        method
            One of `methods`.

        Raises
        ------
        KeyError
            For a method that was not asked for.

        Examples
        --------
        >>> dc.saliency(net, ["cat.jpg", "coffee.jpg"], progress=False).heatmaps("gradient").shape
        (2, 224, 224)
        """
        values = self[method]
        if method == "grad_cam":
            return enlarged(values, self.pictures.shape[1:3])[..., 0]
        reduced: np.ndarray = values.sum(axis=-1) if method in SIGNED else np.abs(values).max(axis=-1)
        return reduced

    def in_words(self, method: str) -> str:
        """What a method is called in print.

        Parameters
        ----------
        method
            One of `methods`.
        """
        return PLAIN[method]

    def randomisation(self, net: Network, *, depths: int = 4, seed: int = 0) -> Randomisation:
        """Measure how much of these maps stays when the network's weights are shuffled, layer after layer from the end.

        Parameters
        ----------
        net
            The network that the maps are of.
        depths
            At how many depths to look, the last of them with all layers shuffled.
        seed
            Of the shuffling.

        Raises
        ------
        ValueError
            For another network than that of the maps, and for fewer than one depth.

        Examples
        --------
        >>> found = dc.saliency(net, "cat.jpg", method="grad_cam")
        >>> left = found.randomisation(net, depths=1)
        >>> left.to_dataframe().columns.to_list()
        ['method', 'layer', 'shuffled', 'likeness']
        """
        from diamond.attribution.randomisation import randomise

        return randomise(self, net, depths=depths, seed=seed)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a picture and method: image, target, score, method, where the map is strongest, and its sum.

        The sum of ``gradient_x_input`` and ``integrated_gradients`` is in units of the score.
        """
        import pandas as pd

        rows = []
        for method in self.methods:
            for i, heatmap in enumerate(self.heatmaps(method)):
                row, column = np.unravel_index(int(np.abs(heatmap).argmax()), heatmap.shape)
                total = float(self[method][i].sum())
                rows.append((self.images[i], self.targets[i], self.scores[i], method, int(row), int(column), total))
        return pd.DataFrame(rows, columns=["image", "target", "score", "method", "row", "column", "sum"])

    def plot(self) -> Figure:
        """Draw a row a picture, the first eight: the picture, then its map by each method."""
        from diamond.show.saliency import saliency_figure

        return saliency_figure(self)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"pictures": self.pictures, "scores": self.scores, **dict(zip(self.methods, self.values, strict=True))}
        return arrays if self.changes is None else {**arrays, "changes": self.changes}

    def __str__(self) -> str:
        n = len(self.images)
        which = self.images[0] if n == 1 else f"{n:,} pictures"
        return f"{self.network}: {', '.join(map(self.in_words, self.methods))} of {which}"

    def __repr__(self) -> str:
        each = zip(self.images[:8], self.targets, self.scores, strict=False)
        return "\n".join(
            [str(self), *(f"  {name}: {target}, {score:.3f}" for name, target, score in each), *self.notes]
        )

    def _page(self) -> str:
        from diamond.show.saliency import saliency_page

        return saliency_page(self)

    @property
    def _height_px(self) -> int:
        return 800


def enlarged(maps: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Enlarge ``(image, cells high, cells wide, channel)`` to pixels, linearly between the middles of the cells."""
    weights = []
    for cells, pixels in zip(maps.shape[1:3], size, strict=True):
        at = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
        weights.append(np.maximum(0.0, 1 - np.abs(at[:, None] - np.arange(cells))).astype(np.float32))
    found: np.ndarray = np.einsum("yr,xc,irck->iyxk", *weights, maps, optimize=True)
    return found
