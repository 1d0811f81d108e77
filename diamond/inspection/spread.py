"""Codes laid out on a plane: the principal components, and t-SNE of these.

    >>> codes = np.random.default_rng(0).normal(size=(40, 8))
    >>> layout = spread(codes, perplexity=10)
    >>> layout.positions.shape, layout.explained > 0.9, layout.notes
    ((40, 2), True, ())

t-SNE keeps neighbours together and says nothing of anything else: how large a cluster is drawn, and how far it lies from
another one, means nothing (Wattenberg, Viegas and Johnson, "How to Use t-SNE Effectively", Distill 2016). How well
neighbours are kept is measured: the *trustworthiness* of a layout is 1 where the nearest k of each picture on the plane
are among its nearest by code (Venna and Kaski, ICANN 2001), 0.5 for places drawn by lot.

What cannot be laid out so is laid out more simply, and said: one picture, pictures that are all alike, fewer than t-SNE
needs.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

__all__ = ["Layout", "spread", "trust"]

# Fewer pictures than this have too few neighbours for a perplexity of 1.
FEWEST_FOR_TSNE = 5
FEW_FOR_THREADS = 5000
# Pictures that trustworthiness is measured on at most: it needs all distances.
MOST_MEASURED = 3000


@dataclass(frozen=True, eq=False)
class Layout:
    """Places on a plane.

    Attributes
    ----------
    positions
        ``(n, 2)``.
    components
        ``(n, 2)`` the first two principal components.
    reduced
        ``(n, k)`` the components that t-SNE was given.
    explained
        Share of the codes' variance in those.
    perplexity
        As it was used; None where there was no t-SNE.
    notes
        What was done otherwise than asked, in sentences.
    """

    positions: np.ndarray
    components: np.ndarray
    reduced: np.ndarray
    explained: float
    perplexity: float | None
    notes: tuple[str, ...]


def spread(codes: np.ndarray, *, components: int = 50, perplexity: float = 30.0, seed: int = 0) -> Layout:
    """Lay codes out: principal components first, then t-SNE.

    Parameters
    ----------
    codes
        ``(n, values)``, finite.
    components
        How many principal components t-SNE is given.
    perplexity
        About how many neighbours each picture minds; lowered where there are fewer than three times as many pictures.
    seed
        The same seed gives the same layout on the same machine.

    Raises
    ------
    ValueError
        For components or a perplexity below 1.
    """
    if components < 1:
        raise ValueError(f"components is {components}; expected 1 or more")
    if not perplexity >= 1:
        raise ValueError(f"perplexity is {perplexity}; expected 1 or more")
    n = len(codes)
    nowhere = np.zeros((n, 2), np.float32)
    if n == 1:
        note = "One picture has no neighbours: no t-SNE of it, it lies in the middle."
        return Layout(nowhere, nowhere, nowhere, 1.0, None, (note,))
    if np.ptp(codes, axis=0).max() == 0:
        note = f"All {n} pictures have the same code: there is nothing to lay out, they lie in the middle."
        return Layout(nowhere, nowhere, nowhere, 1.0, None, (note,))
    from sklearn.decomposition import PCA

    pca = PCA(min(components, n - 1, codes.shape[1]), random_state=seed)
    reduced = pca.fit_transform(codes.astype(np.float64))
    explained = float(pca.explained_variance_ratio_.sum())
    plane = np.zeros((n, 2))
    plane[:, : min(2, reduced.shape[1])] = reduced[:, :2]
    if n < FEWEST_FOR_TSNE:
        note = f"{n} pictures are too few for t-SNE, which needs {FEWEST_FOR_TSNE}: they lie by their first two components."
        return Layout(plane.astype(np.float32), plane.astype(np.float32), reduced, explained, None, (note,))
    notes = []
    used = min(float(perplexity), (n - 1) / 3)
    if used < perplexity:
        notes.append(
            f"Perplexity {used:.3g} in place of {perplexity:g}: {n} pictures have no more neighbours than that."
        )
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # Begun from the components, so that the large shape is theirs and the seed matters little.
    begin = plane / (plane[:, 0].std() or 1.0) * 1e-4
    # Codes along a line would never leave it.
    begin += np.random.default_rng(seed).normal(0, 1e-6, begin.shape)
    # A thousand rounds of threads that wait for each other take longer, on a busy machine by far, than one that works.
    with threadpool_limits(1) if n <= FEW_FOR_THREADS else nullcontext():
        positions = TSNE(2, perplexity=used, init=begin, random_state=seed).fit_transform(reduced)
    return Layout(positions.astype(np.float32), plane.astype(np.float32), reduced, explained, used, tuple(notes))


def trust(codes: np.ndarray, positions: np.ndarray, *, neighbours: int = 10, seed: int = 0) -> float:
    """Measure how far neighbours on the plane are neighbours by code, from 0 to 1.

    Parameters
    ----------
    codes
        ``(n, values)``.
    positions
        ``(n, 2)``.
    neighbours
        How many nearest of each; fewer where there are fewer than twice as many pictures.
    seed
        Of the pictures that are drawn by lot where there are more than 3000.

    Returns
    -------
    float
        NaN for fewer than four pictures.
    """
    from sklearn.manifold import trustworthiness

    n = len(codes)
    if n > MOST_MEASURED:
        chosen = np.random.default_rng(seed).choice(n, MOST_MEASURED, replace=False)
        codes, positions, n = codes[chosen], positions[chosen], MOST_MEASURED
    k = min(neighbours, (n - 1) // 2)
    return float(trustworthiness(codes, positions, n_neighbors=k)) if k >= 1 and n >= 4 else float("nan")
