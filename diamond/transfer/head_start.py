"""A head that begins as the probe it was chosen by.

    >>> from diamond.transfer.feed import hold
    >>> from diamond.transfer.samples import read_samples
    >>> held = hold(student, read_samples("textures/train"))
    >>> start_head(student, held)                  # its head was linear and had not learned
    True

A head on frozen features is a linear classifier, and the best one for few samples is known without a step of descent: the
ridge classifier that `cut_points` measures cuts with. Begun there, a student is as good as the probe before its first
epoch, and the blocks that are unfrozen later are not torn about by a head that knows nothing.

Kumar, Raghunathan, Jones, Ma and Liang, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution"
(ICLR 2022), https://arxiv.org/abs/2202.10054: a linear probe first, then the rest. The ridge classifier's scores become
logits by one temperature (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.2), found on folds.
"""

from __future__ import annotations

import keras
import numpy as np

from diamond.transfer.feed import MOST_BYTES, Held
from diamond.transfer.frozen import given_by
from diamond.transfer.scores import ALPHAS
from modelzoo import Network
from modelzoo.graph import Node

__all__ = ["start_head"]

FOLDS = 5
TEMPERATURES = np.logspace(-1, 2, 31)
# A ridge classifier of more samples than these takes longer than it is worth; that many say enough.
MOST_SAMPLES = 5_000
# As Keras' batch norm has it.
EPSILON = 1e-3


def start_head(student: Network, held: Held, *, seed: int = 0, progress: bool = True) -> bool:
    """Fit a student's head in closed form, where it is linear, has not learned yet, and all below it is frozen.

    A head has learned where its bias is not 0 any more.

    Parameters
    ----------
    student
        It is changed: the kernel and bias of its last dense layer, and the means of the batch norm before it.
    held
        What it is to learn.
    seed
        Of the samples that are taken where they are many.
    progress
        Whether to show a progress bar.

    Returns
    -------
    bool
        Whether there was such a head; another is left as it is.
    """
    dense = student.logits_node.operation
    learns = {weight.path for weight in student.model.trainable_weights}
    classes = np.unique(held.labels)
    if not isinstance(dense, keras.layers.Dense) or learns != {weight.path for weight in dense.trainable_weights}:
        return False
    if dense.bias is None or np.any(np.asarray(dense.bias)):
        return False
    if len(classes) < student.output_size or np.bincount(held.labels).min() < 2:
        return False
    node, norm = _features(student)
    if len(node.shape) != 2:
        return False
    rows = np.sort(np.random.default_rng(seed).permutation(len(held))[:MOST_SAMPLES])
    values = given_by(student, node, held, most_bytes=MOST_BYTES, progress=progress).values[rows]
    mean, variance = values.mean(axis=0), values.var(axis=0)
    scale = np.sqrt(variance + (EPSILON if norm is None else norm.epsilon))
    kernel, bias = _fitted((values - mean) / scale, held.labels[rows])
    if norm is None:
        kernel = kernel / scale[:, None]
        bias = bias - mean @ kernel
    else:
        norm.moving_mean.assign(mean)
        norm.moving_variance.assign(variance)
    dense.kernel.assign(kernel)
    dense.bias.assign(bias)
    return True


def _features(student: Network) -> tuple[Node, keras.layers.BatchNormalization | None]:
    """Find what the head reads: before the batch norm that standardises it, where there is one without a scale."""
    graph = student.graph
    node = graph.nodes[student.logits_node.inputs[0].node]
    while node.kind == "Dropout":
        node = graph.nodes[node.inputs[0].node]
    norm = node.operation
    plain = isinstance(norm, keras.layers.BatchNormalization) and not (norm.center or norm.scale)
    return (graph.nodes[node.inputs[0].node], norm) if plain else (node, None)


def _fitted(values: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give kernel ``(d, classes)`` and bias of a ridge classifier, scaled to be logits."""
    from sklearn.linear_model import RidgeClassifier, RidgeClassifierCV
    from sklearn.metrics import log_loss
    from sklearn.model_selection import cross_val_predict
    from threadpoolctl import threadpool_limits

    # Small matrices: several threads would wait for one another.
    with threadpool_limits(1):
        found = RidgeClassifierCV(ALPHAS, class_weight="balanced").fit(values, labels)
        again = RidgeClassifier(found.alpha_, class_weight="balanced")
        folds = max(2, min(FOLDS, int(np.bincount(labels)[np.unique(labels)].min())))
        unseen = cross_val_predict(again, values, labels, cv=folds, method="decision_function")
    kernel, bias, scores = np.atleast_2d(found.coef_).T, np.atleast_1d(found.intercept_), unseen
    if scores.ndim == 1:
        # Of two classes there is one score, for the second.
        scores = scores[:, None]
        kernel, bias, scores = (np.concatenate([-each, each], axis=-1) for each in (kernel, bias, scores))
    losses = [log_loss(labels, _softmax(factor * scores)) for factor in TEMPERATURES]
    factor = float(TEMPERATURES[int(np.argmin(losses))])
    return factor * kernel, factor * bias


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return found
