"""What a network says is in a picture or a sound.

    >>> net.predict("cat.jpg", top=3)
    cat.jpg  tiger cat (282) 37.8 %  Egyptian cat (285) 36.7 %  tabby (281) 16.9 %

Values are kept for every class; the names and the order are for reading.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Predictions"]

_DOCUMENT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>:root {{ color-scheme: light dark; }} body {{ font: 15px/1.45 system-ui, sans-serif; }}</style>
<main><h1>{title}</h1>{table}</main></html>
"""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The most probable classes of one or more pictures or sounds.

    Attributes
    ----------
    network
        Name of the network that was asked.
    images
        A word for each picture or sound: its file name, or its number.
    classes
        ``(image, top)`` class indices, the most probable first.
    labels
        Class names in the same order; the index as text where the network has no names.
    probabilities
        ``(image, top)`` of the same.
    logits
        ``(image, class)`` scores of all classes before the softmax.

    Examples
    --------
    >>> found = net.predict(["cat.jpg", "coffee.jpg"], top=2)
    >>> found
    cat.jpg  tiger cat (282) 37.8 %  Egyptian cat (285) 36.7 %
    coffee.jpg  espresso (967) 95.4 %  cup (968) 1.3 %
    >>> found.network, found.images, found.classes.tolist(), found.labels
    ('EfficientNetLite0', ('cat.jpg', 'coffee.jpg'), [[282, 285], [967, 968]], (('tiger cat', 'Egyptian cat'),
     ('espresso', 'cup')))
    >>> found.probabilities.round(2), found.logits.shape
    (array([[0.38, 0.37],
           [0.95, 0.01]], dtype=float32), (2, 1000))
    >>> found.to_dataframe()[["image", "label", "probability"]].round(2)
            image         label  probability
    0     cat.jpg     tiger cat         0.38
    1     cat.jpg  Egyptian cat         0.37
    2  coffee.jpg      espresso         0.95
    3  coffee.jpg           cup         0.01
    >>> found.plot()
    <Figure size 500x272 with 2 Axes>
    >>> found.save("answers.csv")
    PosixPath('answers.csv')
    """

    network: str
    images: tuple[str, ...]
    classes: np.ndarray
    labels: tuple[tuple[str, ...], ...]
    probabilities: np.ndarray
    logits: np.ndarray

    def to_dataframe(self) -> pd.DataFrame:
        """One row a picture and class: image, rank (from 1), class, label, probability, logit."""
        import pandas as pd

        return pd.DataFrame(
            [
                (name, rank + 1, int(c), label, float(p), float(self.logits[i, c]))
                for i, name in enumerate(self.images)
                for rank, (c, label, p) in enumerate(
                    zip(self.classes[i], self.labels[i], self.probabilities[i], strict=True)
                )
            ],
            columns=["image", "rank", "class", "label", "probability", "logit"],
        )

    def __repr__(self) -> str:
        return "\n".join(f"{name}  " + "  ".join(map("".join, self._words(i))) for i, name in enumerate(self.images))

    def _words(self, image: int) -> list[tuple[str, str]]:
        each = zip(self.classes[image], self.labels[image], self.probabilities[image], strict=True)
        return [(label, f" ({c}) {100 * p:.1f} %") for c, label, p in each]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row' dir='auto' style='text-align:left;padding:2px 10px'>{html.escape(name)}</th>"
            + "".join(
                f"<td style='padding:2px 10px'><bdi>{html.escape(label)}</bdi>{html.escape(rest)}</td>"
                for label, rest in self._words(i)
            )
            + "</tr>"
            for i, name in enumerate(self.images)
        )
        return f"<table><caption>{html.escape(self.network)}: the most probable classes</caption>{rows}</table>"

    def plot(self) -> Figure:
        """Draw a bar for each class, one panel a picture.

        Examples
        --------
        >>> net.predict("cat.jpg").plot()
        <Figure size ... with 1 Axes>
        """
        from modelzoo.lettering import Figure

        n = len(self.images)
        figure = Figure(figsize=(5.0, 0.6 + n * (0.5 + 0.28 * self.classes.shape[1])), layout="constrained")
        for i, axes in enumerate(figure.subplots(n, 1, squeeze=False)[:, 0]):
            places = np.arange(len(self.labels[i]))[::-1]
            axes.barh(places, self.probabilities[i], color="#d98324")
            axes.set_yticks(places, self.labels[i])
            axes.set_xlim(0, 1)
            axes.set_title(self.images[i], loc="left", fontsize=10)
            axes.spines[["top", "right"]].set_visible(False)
        figure.supxlabel("probability", fontsize=9)
        return figure

    def save(self, path: str | Path) -> Path:
        """Write as ``.csv``, ``.npz``, ``.png`` or ``.html``, by suffix.

        Parameters
        ----------
        path
            Where to; its suffix says as what.

        Raises
        ------
        ValueError
            For any other suffix.

        Examples
        --------
        >>> net.predict("photos/cat.jpg").save("answers.csv")
        PosixPath('answers.csv')
        """
        path = Path(path)
        if path.suffix == ".csv":
            self.to_dataframe().to_csv(path, index=False)
        elif path.suffix == ".npz":
            np.savez(path, classes=self.classes, probabilities=self.probabilities, logits=self.logits)
        elif path.suffix == ".png":
            self.plot().savefig(path, dpi=150)
        elif path.suffix == ".html":
            path.write_text(
                _DOCUMENT.format(title=html.escape(f"What {self.network} says"), table=self._repr_html_()),
                encoding="utf-8",
            )
        else:
            raise ValueError(f"cannot save predictions as {path.suffix!r}; expected .csv, .npz, .png or .html")
        return path


def names_of(pictures: Any, n: int, noun: str = "picture") -> tuple[str, ...]:
    """Give a word for each of `n` pictures: the file's name where there is a file, else the noun and its number."""
    if isinstance(pictures, str | Path):
        return (_short(pictures),)
    if isinstance(pictures, list | tuple) and len(pictures) == n:
        return tuple(_short(p) if isinstance(p, str | Path) else f"{noun} {i}" for i, p in enumerate(pictures))
    return tuple(f"{noun} {i}" for i in range(n))


def _short(source: str | Path) -> str:
    return str(source).rstrip("/").rsplit("/", 1)[-1]
