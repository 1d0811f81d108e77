"""From what each window did to what each pixel did: overlaps averaged.

    >>> from diamond.occlusion.windows import grid
    >>> windows = grid((224, 224), 32, 16)
    >>> heatmaps, covered = averaged(windows, np.ones((len(windows), 2)))             # (n, 2) drops of two targets
    >>> heatmaps.shape, covered.min()
    ((2, 224, 224), np.float32(1.0))

A pixel's value is the mean over the windows that cover it, each by how much of it they cover:
``sum_j m_j d_j / sum_j m_j``, as in captum's ``Occlusion``. Rectangles are summed by their four corners, in time that
does not grow with their area.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from diamond.occlusion.windows import Windows
from modelzoo import Network

__all__ = ["averaged", "probabilities_of"]

HELD_BYTES = 64_000_000


def averaged(windows: Windows, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the values of windows over each pixel.

    Parameters
    ----------
    windows
        Where they lie.
    values
        ``(n, column)``: one row a window.

    Returns
    -------
    heatmaps
        ``(column, height, width)`` float32; 0 where no window covers the pixel.
    coverage
        ``(height, width)`` float32: the sum of all masks.
    """
    columns = np.hstack([np.asarray(values, np.float64), np.ones((len(windows), 1))])
    sums = _by_corners(windows, columns) if windows.shape == "rectangle" else _by_masks(windows, columns)
    coverage = sums[-1]
    there = coverage > 1e-9
    heatmaps = np.where(there, sums[:-1] / np.where(there, coverage, 1.0), 0.0)
    return heatmaps.astype(np.float32), coverage.astype(np.float32)


def probabilities_of(net: Network, logits: np.ndarray) -> np.ndarray:
    """Give the probabilities that logits mean, ``(n, class)``: by the network's own last step, else by a softmax."""
    output = net.graph.nodes[net.graph.outputs[0].node]
    if output is net.logits_node:
        found: np.ndarray = tf.nn.softmax(logits).numpy()
        return found
    shape = [len(logits), *(-1 if n is None else n for n in net.logits_node.shape[1:])]
    [answer] = net.graph.evaluate({net.logits_node.index: tf.reshape(logits, shape)}, [output])
    values = np.asarray(tf.cast(answer, tf.float32)).reshape(len(logits), -1)
    return np.exp(values) if output.nonlinearity == "log_softmax" else values


def _by_corners(windows: Windows, columns: np.ndarray) -> np.ndarray:
    height, width = windows.size
    steps = np.zeros((columns.shape[1], height + 1, width + 1))
    top, left, bottom, right = windows.boxes.T
    for row, column, sign in ((top, left, 1), (bottom, right, 1), (top, right, -1), (bottom, left, -1)):
        for each, values in zip(steps, columns.T, strict=True):
            np.add.at(each, (row, column), sign * values)
    return steps.cumsum(axis=1).cumsum(axis=2)[:, :height, :width]


def _by_masks(windows: Windows, columns: np.ndarray) -> np.ndarray:
    height, width = windows.size
    total = np.zeros((columns.shape[1], height, width))
    batch = max(1, HELD_BYTES // (8 * height * width))
    for begin in range(0, len(windows), batch):
        rows = np.arange(begin, min(begin + batch, len(windows)))
        masks = windows.masks(rows).numpy().astype(np.float64)
        total += np.tensordot(columns[rows].T, masks, axes=1)
    return total
