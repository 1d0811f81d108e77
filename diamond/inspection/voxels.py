"""Maps, weights or gradients stacked as a volume."""

from __future__ import annotations

import dataclasses
import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from diamond.inspection.volume_files import nifti_bytes, write_metaimage
from diamond.show.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as Scene

__all__ = ["Axis", "Volume"]


@dataclass(frozen=True, eq=False)
class Axis:
    """What one axis of a volume counts.

    Attributes
    ----------
    name
        ``"row"``, ``"column"``, ``"channel"``, ``"frequency"``, ``"time"`` ...
    places
        ``(n,)`` the number, frequency or time of each cell, in its middle.
    unit
        ``"Hz"``, ``"s"``, or nothing for numbers.
    """

    name: str
    places: np.ndarray = field(repr=False)
    unit: str = ""

    @classmethod
    def counted(cls, name: str, n: int) -> Axis:
        """Give an axis of cells numbered from 0."""
        return cls(name, np.arange(n))

    @property
    def label(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def plural(self) -> str:
        """Name of many cells."""
        return f"{self.name[:-1]}ies" if self.name.endswith("cy") else f"{self.name}s"

    def word(self, index: int) -> str:
        """Give a cell in words: ``"channel 33"``, ``"1,450 Hz"``, ``"0.35 s"``."""
        place = self.places[index]
        if self.unit == "Hz":
            return f"{place:,.0f} Hz"
        return f"{place:.2f} s" if self.unit == "s" else f"{self.name} {int(place)}"


@dataclass(frozen=True, eq=False)
class Volume(Result):
    """A stack of maps, weights or gradients.

    Attributes
    ----------
    name
        What it is of.
    values
        float32 ``(rows, columns, depth)``; of a layer's maps the depth is its channels. Of sounds row 0 is the lowest
        band.
    axes
        What rows, columns and depth count.
    threshold
        From where on a voxel belongs to the binary volume.
    upward
        Whether row 0 lies at the bottom of a picture: so it does for frequencies.
    notes
        What to know of it, in sentences.

    Examples
    --------
    >>> stack = dc.volume(net, "cat.jpg", "block4_add")
    >>> stack.name, stack.axes, stack.size, stack.upward, stack.notes
    ('EfficientNetLite0 block4_add, cat.jpg', (Axis(name='row', unit=''), Axis(name='column', unit=''),
     Axis(name='channel', unit='')), '28 rows x 28 columns x 40 channels', False, ())
    >>> stack.values.shape, stack.binary.shape, round(stack.share, 2), round(float(stack.threshold), 1)
    ((28, 28, 40), (28, 28, 40), 0.05, 11.9)
    >>> stack.to_dataframe().columns.to_list()
    ['channel', 'highest', 'lowest', 'mean', 'above']
    >>> stack.plot()
    <Figure size ... with 33 Axes>
    """

    FRAME_PX: ClassVar[int] = 900

    name: str
    values: np.ndarray = field(repr=False)
    axes: tuple[Axis, Axis, Axis]
    threshold: float
    upward: bool = False
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> str:
        """How many cells it has along each axis, in words."""
        pairs = zip(self.values.shape, self.axes, strict=True)
        return " x ".join(f"{n:,} {axis.name if n == 1 else axis.plural}" for n, axis in pairs)

    @property
    def binary(self) -> np.ndarray:
        """Bool ``(rows, columns, depth)``: where the value reaches the threshold."""
        return np.asarray(self.values >= self.threshold)

    @property
    def share(self) -> float:
        """Share of the voxels that reach the threshold."""
        return float(self.binary.mean())

    def at(self, threshold: float) -> Volume:
        """Give the same volume with another threshold.

        Parameters
        ----------
        threshold
            The new threshold, in the units of `values`.

        Raises
        ------
        ValueError
            For one that is no number.

        Examples
        --------
        >>> stack = dc.volume(net, "cat.jpg", "block4_add").at(10.0)
        >>> stack.threshold
        10.0
        """
        if not np.isfinite(threshold):
            raise ValueError(f"threshold is {threshold}; expected a number")
        return dataclasses.replace(self, threshold=float(threshold))

    def slice(self, axis: int, index: int, *, binary: bool = False) -> np.ndarray:
        """Give one slice across an axis: 0 for a row, 1 for a column, 2 (the depth) for one map as it is.

        Parameters
        ----------
        axis
            0 for rows, 1 for columns, 2 for the depth: the axis that the slice has no more.
        index
            Which slice along that axis, from 0.
        binary
            Whether of the binary volume.

        Returns
        -------
        array
            ``(rows, columns)``, ``(columns, depth)`` or ``(rows, depth)``, the axes that are left in their order.

        Raises
        ------
        IndexError
            For an axis or a slice that is not there.

        Examples
        --------
        >>> dc.volume(net, "cat.jpg", "block4_add").slice(2, 17).shape
        (28, 28)
        """
        if axis not in (0, 1, 2):
            raise IndexError(f"axis {axis}; expected 0 ({self.axes[0].name}), 1 ({self.axes[1].name}) or 2 (depth)")
        n = self.values.shape[axis]
        if not 0 <= index < n:
            raise IndexError(f"slice {index} is out of range: the axis {self.axes[axis].name!r} has 0 to {n - 1}")
        return np.take(self.binary if binary else self.values, index, axis=axis)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a slice along the depth: its place, highest, lowest, mean, and the share at or above the threshold."""
        import pandas as pd

        over = (0, 1)
        return pd.DataFrame(
            {
                self.axes[2].name: self.axes[2].places,
                "highest": self.values.max(axis=over),
                "lowest": self.values.min(axis=over),
                "mean": self.values.mean(axis=over),
                "above": self.binary.mean(axis=over),
            }
        )

    def plot(self) -> Figure:
        """Draw a slice across each axis, the same of the binary volume, the highest along each axis, and maps."""
        from diamond.show.volume import volume_figure

        return volume_figure(self)

    def scene(self) -> Scene:
        """Give the volume in three dimensions, as a plotly figure with a slider each for threshold and slice.

        Raises
        ------
        ModuleNotFoundError
            Where plotly is not installed, naming what installs it.

        Examples
        --------
        >>> scene = dc.volume(net, "cat.jpg", "block4_add").scene()
        >>> scene.write_html("volume.html")
        """
        from diamond.show.volume_scene import scene

        return scene(self)

    def save(self, path: str | Path, *, binary: bool = False) -> Path:
        """Write as ``.nii``, ``.nii.gz`` or ``.mhd`` for outside viewers, or as ``.html``, ``.png``, ``.csv``, ``.npz``.

        Parameters
        ----------
        path
            Where to. A ``.mhd`` is a header; its numbers lie in a ``.raw`` file beside it.
        binary
            Whether to write the binary volume, as bytes 0 and 1, to a viewer's file.

        Raises
        ------
        ValueError
            For any other suffix; for `binary` of what is no viewer's file; where an axis is too long for NIfTI.
        FileNotFoundError
            Where the folder does not exist.

        Examples
        --------
        >>> dc.volume(net, "cat.jpg", "block4_add").save("bodies.mhd", binary=True)
        PosixPath('bodies.mhd')
        """
        path = Path(path)
        kind = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
        if kind not in (".nii", ".nii.gz", ".mhd"):
            if binary:
                raise ValueError(f"cannot save a binary volume as {kind!r}; expected .nii, .nii.gz or .mhd")
            if kind not in (".html", ".png", ".csv", ".npz"):
                expected = ".nii, .nii.gz or .mhd for viewers, .html, .png, .csv or .npz"
                raise ValueError(f"cannot save a volume as {kind!r}; expected {expected}")
            return super().save(path)
        if not path.parent.is_dir():
            raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in; make it first")
        values = self.binary.astype(np.uint8) if binary else self.values
        if kind == ".mhd":
            return write_metaimage(path, values, upward=self.upward)
        content = nifti_bytes(values, name=self.name, upward=self.upward)
        # Without the time of writing in it: equal volumes are equal files.
        path.write_bytes(gzip.compress(content, mtime=0) if kind == ".nii.gz" else content)
        return path

    def _arrays(self) -> dict[str, np.ndarray]:
        places = {
            f"{name}_places": axis.places for name, axis in zip(("row", "column", "depth"), self.axes, strict=True)
        }
        return {"values": self.values, "threshold": np.array(self.threshold), **places}

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{self.name}: {self.size}, {self.share:.1%} of the voxels are {self.threshold:.4g} or more"

    def _page(self) -> str:
        from diamond.show.volume import volume_page

        return volume_page(self)
