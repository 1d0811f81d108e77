"""Orders in which what is alike stands side by side.

    >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9]])
    >>> order = by_similarity(vectors)                        # (n, d) rows in any order -> (n,) row numbers, alike together
    >>> vectors[order][:, 0]
    array([0.9, 1. , 0. , 0.1])

The channels of a layer stand in no order: training began from noise. *Seriation* looks for one in which neighbours are
alike, and four ways of looking are here. None can tell a direction: an order and its reverse are equally good, so each
is turned to end with the larger values.

* `along_first_component`: by the place along the direction in which the rows differ most.
* `by_similarity`: by the eigenvector of the second smallest eigenvalue of the Laplacian of the similarities (the Fiedler
  vector). Where similarity falls with distance along some line, this recovers the line: Atkins, Boman and Hendrickson,
  "A Spectral Algorithm for Seriation and the Consecutive Ones Problem" (SIAM J. Comput. 1998), theorem 3.3.
* `by_leaves`: the leaves of a tree of clusters, turned at its forks so that neighbours are as alike as can be: Bar-Joseph,
  Gifford and Jaakkola, "Fast Optimal Leaf Ordering for Hierarchical Clustering" (Bioinformatics 2001).
* `by_clusters`: k-means, the clusters along the first component of their centres, each of them along that of all rows.
"""

from __future__ import annotations

import warnings

import numpy as np

__all__ = ["along_first_component", "by_clusters", "by_leaves", "by_similarity", "correlations", "first_component"]


def correlations(vectors: np.ndarray) -> np.ndarray:
    """Correlate rows ``(n, d)`` with each other, ``(n, n)``, Pearson; 0 for a row whose values are all the same."""
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.square(centred).sum(axis=1, keepdims=True))
    flat = lengths[:, 0] <= 1e-9 * np.abs(vectors).max(axis=1, initial=0.0)
    unit = np.where(flat[:, None], 0.0, centred / np.where(lengths > 0, lengths, 1.0))
    found: np.ndarray = np.clip(unit @ unit.T, -1.0, 1.0)
    return found


def first_component(vectors: np.ndarray) -> np.ndarray:
    """Give where each of the rows ``(n, d)`` lies along their first principal component, ``(n,)``.

    Turned so that larger values lie further on.
    """
    values = np.asarray(vectors, np.float64)
    centred = values - values.mean(axis=0)
    # Of the two Gram matrices the smaller one: 1280 channels of 7 x 7 have 49 directions, not 1280.
    if centred.shape[0] <= centred.shape[1]:
        size, directions = np.linalg.eigh(centred @ centred.T)
        scores = directions[:, -1] * np.sqrt(max(float(size[-1]), 0.0))
    else:
        _, directions = np.linalg.eigh(centred.T @ centred)
        scores = centred @ directions[:, -1]
    along = float(scores @ centred.sum(axis=1))
    if along == 0.0:
        along = float(scores @ np.arange(len(scores)))
    return scores if along >= 0 else -scores


def along_first_component(vectors: np.ndarray) -> np.ndarray:
    """Order rows ``(n, d)`` along their first principal component."""
    return np.argsort(first_component(vectors), kind="stable")


def by_similarity(vectors: np.ndarray) -> np.ndarray:
    """Order rows ``(n, d)`` along the Fiedler vector of their similarities, (1 + correlation) / 2."""
    from scipy.linalg import eigh  # type: ignore[import-untyped]

    n = len(vectors)
    if n < 3:
        return np.arange(n)
    similar = (1.0 + correlations(np.asarray(vectors, np.float64))) / 2.0
    np.fill_diagonal(similar, 0.0)
    laplacian = np.diag(similar.sum(axis=1)) - similar
    _, found = eigh(laplacian, subset_by_index=[1, 1])
    return _turned(np.argsort(found[:, 0], kind="stable"), vectors)


def by_leaves(vectors: np.ndarray) -> np.ndarray:
    """Order rows ``(n, d)`` as the leaves of a tree of average linkage over 1 - correlation, optimally turned."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering  # type: ignore[import-untyped]
    from scipy.spatial.distance import squareform  # type: ignore[import-untyped]

    n = len(vectors)
    if n < 3:
        return np.arange(n)
    apart = 1.0 - correlations(np.asarray(vectors, np.float64))
    apart = (apart + apart.T) / 2
    np.fill_diagonal(apart, 0.0)
    distances = squareform(np.maximum(apart, 0.0), checks=False)
    tree = optimal_leaf_ordering(linkage(distances, "average"), distances)
    return _turned(leaves_list(tree).astype(np.int64), vectors)


def by_clusters(vectors: np.ndarray, clusters: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Order rows ``(n, d)`` by k-means; give the order, and for each row in it the number of its cluster, from 0.

    Parameters
    ----------
    vectors
        The rows.
    clusters
        How many; fewer where fewer rows differ.
    seed
        Of the first centres.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    values = np.asarray(vectors, np.float64)
    k = min(clusters, len(np.unique(values, axis=0)))
    with warnings.catch_warnings():
        # Rows that differ by rounding alone are fewer points than they look.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = KMeans(k, n_init=10, random_state=seed).fit_predict(values)
    along = first_component(values)
    middles = np.array([along[labels == label].mean() if (labels == label).any() else np.inf for label in range(k)])
    rank = np.empty(k, np.int64)
    rank[np.argsort(middles, kind="stable")] = np.arange(k)
    numbers = rank[labels]
    order = np.lexsort((along, numbers))
    return order, numbers[order]


def _turned(order: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Turn an order so that it ends with the larger values."""
    strengths = np.asarray(vectors, np.float64).sum(axis=1)[order]
    lean = float((np.arange(len(order)) - (len(order) - 1) / 2) @ strengths)
    lean = lean if abs(lean) > 1e-9 * np.abs(strengths).sum() else float(order[-1] - order[0])
    return order if lean >= 0 else order[::-1]
