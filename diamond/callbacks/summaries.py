"""What a look finds, as summaries for TensorBoard.

    summaries = Summaries(Path("logs/run1"))
    summaries.write(snapshot)                 # atlas/conv1/selectivity, atlas/conv1/filters, ...

``tf.summary.scalar`` and its like are TensorBoard's own code and raise where it is not installed; a training machine
needs no viewer. So the tensors and the few words of metadata that TensorBoard reads are written here with
``tf.summary.write``, which is TensorFlow's.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from diamond.callbacks.training_log import LayerState, Snapshot
from diamond.show.mosaic import mosaic

__all__ = ["Summaries"]

BINS = 20


class Summaries:
    """A folder of TensorBoard's that snapshots are written to.

    Parameters
    ----------
    folder
        Made at the first writing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: Any = None

    def write(self, snapshot: Snapshot) -> None:
        """Write the numbers, their distributions and the pictures of one look, at the step of its epoch."""
        if self._open is None:
            self._open = tf.summary.create_file_writer(str(self.folder))
        with self._open.as_default(step=snapshot.epoch):
            for state in snapshot.layers:
                _write(state)
        self._open.flush()

    def flush(self) -> None:
        """Write out what is left."""
        if self._open is not None:
            self._open.flush()


def _write(state: LayerState) -> None:
    tag = f"atlas/{state.layer}"
    _scalar(f"{tag}/dead", state.dead)
    _scalar(f"{tag}/selectivity", state.mean_selectivity)
    _scalar(f"{tag}/smoothness", state.median_smoothness)
    _histogram(f"{tag}/selectivities", state.selectivity, (0.0, 1.0))
    if state.smoothness is not None:
        _histogram(f"{tag}/smoothnesses", state.smoothness, (-1.0, 1.0))
    for name in ("filters", "sprites", "maps"):
        tiles = getattr(state, name)
        if tiles is not None:
            _picture(f"{tag}/{name}", mosaic(tiles, least_px=28))


def _scalar(tag: str, value: float) -> None:
    if np.isfinite(value):
        _put(tag, tf.constant(value, tf.float32), "scalars", "DATA_CLASS_SCALAR")


def _histogram(tag: str, values: np.ndarray, span: tuple[float, float]) -> None:
    """Write ``(bin, 3)``: where it begins, where it ends, how many values it has."""
    finite = values[np.isfinite(values)]
    counts, edges = np.histogram(finite, BINS, span)
    bins = np.stack([edges[:-1], edges[1:], counts], axis=-1)
    _put(tag, tf.constant(bins, tf.float64), "histograms", "DATA_CLASS_TENSOR")


def _picture(tag: str, picture: np.ndarray) -> None:
    """Write width and height as text, then the picture as PNG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    parts = [str(picture.shape[1]).encode(), str(picture.shape[0]).encode(), file.getvalue()]
    _put(tag, tf.constant(parts), "images", "DATA_CLASS_BLOB_SEQUENCE")


def _put(tag: str, tensor: Any, plugin: str, data_class: str) -> None:
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = plugin
    metadata.data_class = (
        type(metadata).DESCRIPTOR.fields_by_name["data_class"].enum_type.values_by_name[data_class].number
    )
    tf.summary.write(tag, tensor, metadata=metadata)
