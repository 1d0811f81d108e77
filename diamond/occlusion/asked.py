"""A question about covered pictures, checked before any is read, and answered for one after the other.

What `diamond.occlusion.occlude.occlude` is asked goes through here in four steps: the windows are laid and the fill made
(*covered*), a way of computing is chosen, the windows are *measured*, and the scores are averaged into a map (*found*).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from diamond.attribution.broken import what_broke
from diamond.attribution.feeding import Given, picture_input
from diamond.attribution.streams import Batch
from diamond.attribution.tail import logits_from
from diamond.attribution.targets import Target, encode
from diamond.attribution.targets import choose as class_of
from diamond.occlusion import features
from diamond.occlusion.averaged import averaged, probabilities_of
from diamond.occlusion.choose import Ask, Choice, checked_method, choose, choose_in_layer
from diamond.occlusion.cover import Cover
from diamond.occlusion.drilldown import sharpened
from diamond.occlusion.fills import Fill, fill_for, fill_for_layer
from diamond.occlusion.full import batch_for, bytes_of_one
from diamond.occlusion.occluded import OcclusionMap
from diamond.occlusion.windows import Windows, areas, given_masks, grid, superpixels
from modelzoo import Layer, Network

__all__ = ["Asked"]

# Of the shorter side where nothing is said: 32 px of 224, every 16.
USUAL_SHARE = 7
FEWEST_WITH_BAR = 64
LAYER_BATCH = 16
CHANNELS = "channels"

Measure = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Asked:
    """What `occlude` was asked.

    Attributes
    ----------
    codes
        The targets, encoded.
    layer
        None where the picture itself is covered.
    The rest
        As `diamond.occlusion.occlude.occlude` takes it.
    """

    net: Network
    codes: tuple[int, ...]
    layer: Layer | None
    window: int | tuple[int, int] | None
    stride: int | tuple[int, int] | None
    shape: Any
    fill: Any
    outside: bool
    method: str
    share: float | None
    batch: int | None
    seed: int
    progress: bool

    @classmethod
    def of(cls, net: Network, target: Target | Any, *, layer: str | Layer | None, method: str, **rest: Any) -> Asked:
        """Check a question.

        Raises
        ------
        UnknownLayerError, ClassError
            For a layer or class the network does not have.
        ValueError
            For no target, a method that does not exist or does not go with the rest, and numbers out of range.
        """
        targets = target if isinstance(target, list | tuple) else [target]
        if not targets:
            raise ValueError('no target was given; expected a class or several, such as "top1"')
        share, batch, channels = rest["share"], rest["batch"], _is_channels(rest["shape"])
        if share is not None and not 0 < share <= 1:
            raise ValueError(f"share is {share!r}; expected a number above 0, up to 1")
        if batch is not None and batch < 1:
            raise ValueError(f"batch is {batch}; expected 1 or more")
        place = None if layer is None else net.layers[layer.name if isinstance(layer, Layer) else layer]
        if channels and place is None:
            raise ValueError("channels are of a layer; name it, as layer=..., or choose another shape")
        if channels and rest["outside"]:
            raise ValueError("channels are covered one at a time; expected outside=False")
        checked_method(method, shape=rest["shape"], in_layer=place is not None)
        return cls(net, tuple(encode(net, each) for each in targets), place, method=method, **rest)

    def maps(self, one: Batch) -> Iterator[OcclusionMap]:
        """Give the map of one picture; of drilldown each as it sharpens."""
        asking = _Asking.of(self, one)
        if _is_channels(self.shape):
            yield asking.channels()
            return
        cover, fill = self._covered(asking)
        batch = self.batch or (LAYER_BATCH if self.layer else batch_for(self.net, asking.size))
        chosen = asking.chosen(cover, batch)
        measure = asking.measure(cover, chosen.begin())
        told = {
            "fill": fill.words,
            "method": chosen.method,
            "why": chosen.why,
            "batch": batch,
        }
        if chosen.forecast is not None:
            told |= {"by_boxes": chosen.forecast.by_boxes, "saved": chosen.forecast.saved}
        if chosen.method == "drilldown":
            for stage in sharpened(measure, cover.windows, batch=batch, share=self.share, seed=self.seed):
                yield asking.found(
                    stage.values, stage.measured, cover.windows, None, errors=stage.errors[: len(self.codes)], **told
                )
            return
        found = asking.found(measure(np.arange(len(cover))), np.ones(len(cover), bool), cover.windows, None, **told)
        _tell(found)
        yield found

    def _covered(self, asking: _Asking) -> tuple[Cover, Fill]:
        if self.layer is None:
            windows = self._windows(asking.picture, asking.size)
            fill = "mean" if self.fill is None else self.fill
            made = fill_for(self.net, asking.picture, fill, window=windows.window, seed=self.seed)
            return Cover.of(asking.picture, windows, made.values, outside=self.outside), made
        values = asking.activations
        made = fill_for_layer(values, "zero" if self.fill is None else self.fill)
        windows = self._windows(values, (values.shape[0], values.shape[1]))
        return Cover.of(values, windows, made.values, outside=self.outside), made

    def _windows(self, shown: np.ndarray, size: tuple[int, int]) -> Windows:
        if not isinstance(self.shape, str):
            return given_masks(self.shape, size) if np.ndim(self.shape) == 3 else areas(self.shape, size)
        if self.shape == "superpixels":
            if self.layer is not None:
                raise ValueError("superpixels are of a picture; in a layer there are rectangles, discs and channels")
            return superpixels(shown)
        usual = 1 if self.layer is not None else max(1, min(size) // USUAL_SHARE)
        window = usual if self.window is None else self.window
        down, across = window if isinstance(window, tuple) else (window, window)
        stride = self.stride if self.stride is not None else (_half(down), _half(across))
        return grid(size, window, stride, self.shape)


@dataclass(frozen=True, eq=False)
class _Asking:
    """A question about one picture."""

    asked: Asked
    picture: np.ndarray
    image: str
    given: Given
    activations: Any
    logits: np.ndarray
    classes: tuple[int, ...]
    began: float

    @classmethod
    def of(cls, asked: Asked, one: Batch) -> _Asking:
        began, net = time.perf_counter(), asked.net
        activations, logits = features.start(net, one.pictures[0], asked.layer, one.given)
        if not np.isfinite(logits).all():
            entry = picture_input(net, one.given)
            broken = what_broke(net, net.logits_node, entry, tf.constant(one.pictures), one.given, logits[None])
            raise ValueError(broken)
        classes = tuple(int(class_of(code, logits[None])[0]) for code in asked.codes)
        return cls(asked, one.pictures[0], one.names[0], one.given, activations, logits, classes, began)

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.shape[0], self.picture.shape[1]

    def values(self, logits: np.ndarray) -> np.ndarray:
        """Give ``(k, 2 targets)``: the targets' logits, then their probabilities."""
        of = list(self.classes)
        return np.hstack([logits[:, of], probabilities_of(self.asked.net, logits)[:, of]]).astype(np.float64)

    def chosen(self, cover: Cover, batch: int) -> Choice:
        """Choose the way of computing."""
        asked = self.asked
        if asked.layer is None:
            return choose(asked.net, cover, asked.method, batch=batch, given=self.given)
        return choose_in_layer(asked.net, asked.layer, self.picture, cover, asked.method, batch=batch, given=self.given)

    def measure(self, cover: Cover, ask: Ask) -> Measure:
        """Give what measures windows by their numbers: ``(k, 2 targets)`` what the scores lose, or gain alone."""
        # A window alone is held against nothing but the fill.
        outside = self.asked.outside
        base = self.values(self._of_fill(cover) if outside else self.logits[None])
        sign = -1.0 if outside else 1.0
        return lambda rows: sign * (base - self._all(ask(rows), rows, cover.windows.shape))

    def channels(self) -> OcclusionMap:
        """Cover the channels of a layer, one at a time."""
        asked, layer = self.asked, self.asked.layer
        assert layer is not None
        fill = fill_for_layer(self.activations, "zero" if asked.fill is None else asked.fill)
        assert fill.values is not None
        cover = features.Channels.of(self.activations, fill.values)
        batch = asked.batch or LAYER_BATCH
        runs = features.logits_without(asked.net, layer, self.picture, cover, batch=batch, given=self.given)
        values = self.values(self.logits[None]) - self._all(runs, np.arange(len(cover)), "channel")
        laid, coverage = cover.laid(values), np.ones(self.activations.shape[:2], np.float32)
        why = "the network from the layer on, for every channel"
        told: dict[str, Any] = {"fill": fill.words, "method": "full", "why": why, "batch": batch}
        return self.found(values, np.ones(len(cover), bool), None, (laid, coverage), **told)

    def found(
        self,
        values: np.ndarray,
        measured: np.ndarray,
        windows: Windows | None,
        laid: tuple[np.ndarray, np.ndarray] | None,
        **told: Any,
    ) -> OcclusionMap:
        """Average the values of windows into maps; `laid` are maps that are made already."""
        asked, n = self.asked, len(self.classes)
        if laid is None:
            assert windows is not None
            laid = averaged(windows, values)
        start = self.values(self.logits[None])[0]
        layer = None if asked.layer is None else asked.layer.name
        return OcclusionMap(
            network=asked.net.name,
            image=self.image,
            targets=tuple(asked.net.class_label(c) for c in self.classes),
            heatmaps=laid[0][:n],
            probability_heatmaps=laid[0][n:],
            scores=values[:, :n].astype(np.float32),
            probability_scores=values[:, n:].astype(np.float32),
            windows=windows,
            logits=start[:n].astype(np.float32),
            probabilities=start[n:].astype(np.float32),
            coverage=laid[1],
            measured=measured,
            picture=self.picture,
            outside=asked.outside,
            layer=layer,
            batch_bytes=told["batch"] * bytes_of_one(asked.net, self.size),
            seconds=time.perf_counter() - self.began,
            **told,
        )

    def _all(self, runs: Iterator[tuple[np.ndarray, np.ndarray]], wanted: np.ndarray, unit: str) -> np.ndarray:
        """Give the values of some windows, ``(n, 2 targets)``, in the order of their numbers `wanted`, which ascend."""
        found = np.zeros((len(wanted), 2 * len(self.classes)))
        hidden = not self.asked.progress or len(wanted) < FEWEST_WITH_BAR
        with tqdm(total=len(wanted), unit={"rectangle": "window"}.get(unit, unit), disable=hidden, leave=False) as bar:
            for rows, logits in runs:
                if not np.isfinite(logits).all():
                    bad = int(rows[np.flatnonzero(~np.isfinite(logits).all(axis=1))[0]])
                    raise ValueError(
                        f"the class scores without {bar.unit} {bad} are NaN or infinite; method='full' names the layer"
                    )
                found[np.searchsorted(wanted, rows)] = self.values(logits)
                bar.update(len(rows))
        return found

    def _of_fill(self, cover: Cover) -> np.ndarray:
        """The logits of nothing but the fill."""
        net, layer = self.asked.net, self.asked.layer
        assert cover.fill is not None
        if layer is None:
            return features.start(net, cover.fill, None, self.given)[1][None]
        return logits_from(net, self.picture[None], layer, cover.fill[None], self.given)


def _tell(found: OcclusionMap) -> None:
    if found.gap > 0:
        words = f"{found.image}: {found.gap:.1%} of the pixels are covered by no window; the map is 0 there"
        warnings.warn(words, UserWarning, stacklevel=5)


def _half(window: Any) -> Any:
    # What is no number is told by the grid.
    return max(1, window // 2) if isinstance(window, int) else window


def _is_channels(shape: Any) -> bool:
    return isinstance(shape, str) and shape == CHANNELS
