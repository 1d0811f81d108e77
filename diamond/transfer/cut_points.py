"""Where to cut a network for some data: every cut measured, the cheapest that cannot be told from the best recommended.

    report = dc.cut_points(net, "flowers/")                   # a folder for each class
    report.sentence
    report.tied, report.to_dataframe()

The data go through the network once. A linear probe, cross-validated, says for each cut how well its features tell the
classes apart; nearest neighbours, H_alpha and LogME are second opinions. Late layers specialise on what the network was
trained for, so on other data the last cut is often not the best, and it is always the most expensive.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from diamond.transfer.choose import choose
from diamond.transfer.cut_report import Cut, CutReport
from diamond.transfer.cuts import cut_costs, cut_layers, latency_s
from diamond.transfer.samples import Samples, SamplesError, read_samples
from diamond.transfer.scan import Scan, scan
from diamond.transfer.scores import (
    Fold,
    balanced,
    effective_rank,
    folds,
    h_alpha,
    hits,
    knn,
    log_me,
    paired_error,
    probe_answers,
    standard_error,
)
from modelzoo import Layer, Network
from spritemaps import find

__all__ = ["CutReport", "cut_points"]

FOLDS = 5
# With fewer samples than this a class, folds are drawn several times over.
FEW, REPEATS = 200, 4
MOST_CARRYING = 8


def cut_points(
    net: Network,
    inputs: Any,
    labels: Any = None,
    *,
    layers: Iterable[str | Layer] | None = None,
    groups: Any = None,
    latency: bool = True,
    batch: int = 32,
    seed: int = 0,
    progress: bool = True,
) -> CutReport:
    """Measure every cut of a network on some data, and recommend one.

    Parameters
    ----------
    net
        The network.
    inputs
        A folder with a folder for each class; a ``.zip`` or ``.tar`` of one, or its address; a `tf.data.Dataset` of
        ``(picture, label)``; or pictures (sounds) as a list or array, with `labels`.
    labels
        A class for each: words, or whole numbers.
    layers
        Cuts to measure; where None, the landmarks and the last layer with features.
    groups
        What belongs together, one for each sample; never learned from and asked at once.
    latency
        Whether to measure the seconds to each cut, which compiles each.
    batch
        Samples at a time.
    seed
        Of the folds.
    progress
        Whether to show a progress bar.

    Returns
    -------
    CutReport

    Raises
    ------
    FileNotFoundError, SamplesError
        For what gives no samples with two classes or more of two samples.
    UnknownLayerError
        For a layer that is not there.
    ValueError
        For features that are NaN or infinite.

    Examples
    --------
    >>> layers = ["block2_add", "block4_add", "block9_add"]
    >>> report = dc.cut_points(net, "textures/train", layers=layers, latency=False, progress=False)
    >>> report.recommended in report.tied
    True
    """
    samples = read_samples(inputs, labels, groups=groups)
    cuts = cut_layers(net, layers)
    found = scan(net, samples, cuts, batch=batch, progress=progress)
    belongs = None if samples.groups is None else samples.groups[found.rows]
    counts = np.bincount(found.labels, minlength=len(samples.classes))
    few = counts[counts > 0].min() < FEW
    repeats = REPEATS if few else 1
    try:
        parts = folds(found.labels, n=FOLDS, repeats=repeats, groups=belongs, seed=seed)
    except ValueError as error:
        raise SamplesError(f"these samples cannot be split: {error}") from error
    costs = cut_costs(net, cuts)
    seconds = {layer.name: latency_s(net, layer) if latency else None for layer in cuts}
    measured = _side_by_side(
        lambda layer: _measured(net, layer, found, parts, costs[layer.name], seconds[layer.name]), cuts
    )
    choice = choose(
        np.stack([cut.accuracies for cut in measured]),
        [cut.multiply_adds for cut in measured],
        parts,
        chance=1.0 / int((counts > 0).sum()),
        error=lambda one, other: paired_error(measured[one].hits, measured[other].hits, found.labels, belongs),
    )
    return CutReport(
        network=net.name,
        cuts=tuple(measured),
        choice=choice,
        classes=samples.classes,
        counts=tuple(counts.tolist()),
        folds=len(parts) // repeats,
        repeats=repeats,
        skipped=found.skipped,
        notes=_notes(samples, counts, parts, repeats),
        scan_s=found.seconds,
    )


def _side_by_side(measure: Callable[[Layer], Cut], cuts: Sequence[Layer]) -> list[Cut]:
    """Measure cuts at the same time, each in one thread.

    The matrices are small: linear algebra in several threads waits for its own threads most of the time, and on a busy
    machine takes ten times as long.
    """
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(measure, cuts))


def _measured(net: Network, layer: Layer, found: Scan, parts: list[Fold], cost: Any, seconds: float | None) -> Cut:
    features, labels = found.features[layer.name], found.labels
    answers = probe_answers(features, labels, parts)
    accuracies = balanced(labels, answers, parts)
    carrying, weights = _carrying(features, labels)
    return Cut(
        layer=layer.name,
        accuracies=accuracies,
        hits=hits(labels, answers, parts),
        error=standard_error(accuracies, parts),
        knn=float(knn(features, labels, parts).mean()),
        h_alpha=h_alpha(features, labels),
        log_me=log_me(features, labels),
        effective_rank=effective_rank(features),
        channels=layer.channels,
        dead=len(found.dead(layer.name)),
        idle=len(found.idle(layer.name)),
        shape=tuple(layer.output_shape[1:]),
        sees_px=layer.receptive_field_px,
        parameters=cost.parameters,
        multiply_adds=cost.multiply_adds,
        peak_bytes=cost.peak_bytes,
        latency_s=seconds,
        carrying=carrying,
        weights=weights,
        sprites=find(net.fingerprint(layer)),
    )


def _carrying(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the channels that a probe of all samples relies on most, and their shares of all weight."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.preprocessing import StandardScaler

    from diamond.transfer.scores import ALPHAS

    fitted = RidgeClassifierCV(ALPHAS, class_weight="balanced").fit(StandardScaler().fit_transform(features), labels)
    strength = np.abs(np.atleast_2d(fitted.coef_)).sum(axis=0)
    order = np.argsort(-strength, kind="stable")[:MOST_CARRYING]
    return order, strength[order] / max(float(strength.sum()), 1e-12)


def _notes(samples: Samples, counts: np.ndarray, parts: list[Fold], repeats: int) -> tuple[str, ...]:
    said = []
    named = dict(zip(samples.classes, counts.tolist(), strict=True))
    empty = [name for name, n in named.items() if not n]
    if empty:
        said.append(f"No sample of {', '.join(empty)} could be read: left out.")
    n_folds = len(parts) // repeats
    rare = [f"{name} ({n})" for name, n in named.items() if 0 < n < n_folds]
    if rare:
        said.append(f"Fewer samples than folds: {', '.join(rare)}; in some folds they are not asked.")
    if n_folds < FOLDS:
        said.append(f"Only {n_folds} folds: a class has no more samples, or groups.")
    filled = counts[counts > 0]
    if filled.min() < 20:
        said.append(f"As few as {filled.min()} samples of a class: the errors are wide; more would say more.")
    if filled.max() >= 10 * filled.min():
        said.append(f"Unbalanced, {filled.max()} to {filled.min()}: accuracies are balanced over the classes.")
    return tuple(said)
