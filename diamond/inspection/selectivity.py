"""How far channels are of one class alone.

    >>> class_selectivity(np.array([[4.0, 1.0], [0.0, 1.0], [0.0, 1.0]]))       # (class, channel)
    array([1., 0.])

A channel that answers to one class and to no other has the index 1, one that answers to all alike 0. Networks that
generalise have *low* selectivity in most layers, and taking selective channels out harms no more than taking others: the
index says how a network divides its work, not how good it is.

Morcos, Barrett, Rabinowitz and Botvinick, "On the importance of single directions for generalization" (ICLR 2018),
section 2.3.
"""

from __future__ import annotations

import numpy as np

__all__ = ["class_means", "class_selectivity"]


def class_means(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Give the mean of each channel over the pictures of each class.

    Parameters
    ----------
    answers
        ``(picture, channel)`` the mean of each channel over places, values below 0 counted as 0.
    labels
        ``(picture,)`` class numbers.

    Returns
    -------
    float64 array
        ``(class, channel)``, of the classes that there are pictures of.
    """
    return np.stack([answers[labels == label].mean(axis=0, dtype=np.float64) for label in np.unique(labels)])


def class_selectivity(means: np.ndarray) -> np.ndarray:
    """Give the selectivity index of channels: the highest class mean and the mean of the others, apart over together.

    Parameters
    ----------
    means
        ``(class, channel)``, 0 or more, of two classes or more.

    Returns
    -------
    float64 array
        ``(channel,)`` from 0 to 1; NaN for channels that are 0 for every class.

    Raises
    ------
    ValueError
        For fewer than two classes, and means below 0.
    """
    if len(means) < 2:
        raise ValueError(f"{len(means)} class; selectivity is between two classes or more")
    if (means < 0).any():
        raise ValueError("class means below 0; expected those of rectified activations")
    most = means.max(axis=0)
    rest = (means.sum(axis=0) - most) / (len(means) - 1)
    together = most + rest
    found: np.ndarray = np.divide(most - rest, together, out=np.full(len(most), np.nan), where=together > 0)
    return found
