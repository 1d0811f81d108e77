"""Figures of sounds: frequency upward on the network's own scale, in Hz; time in seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from diamond.show.heat import AGAINST, FOR, overlay
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.features.sound_rendering import SoundRendering
    from diamond.occlusion.heard import SoundOcclusion

__all__ = ["sound_figure", "spectrogram_figure"]


def sound_figure(rows: Sequence[SoundOcclusion], target: int = 0) -> Figure:
    """Draw spectrograms with their maps over them, the map's mean over the bands below, over the frames beside.

    Parameters
    ----------
    rows
        The occlusions of one or several sounds.
    target
        Which of their targets.
    """
    figure = Figure(figsize=(9, 5 * len(rows)), layout="constrained")
    for part, found in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
        _draw_sound(part, found, target)
    return figure


def _draw_sound(figure: SubFigure, found: SoundOcclusion, target: int) -> None:
    from librosa.display import specshow

    frontend, times, bands = found.heard.frontend, found.times_s, found.bands_hz
    words = f"{found.image}: {found.targets[target]}, in logits"
    figure.suptitle(words.replace("$", r"\$"), fontsize=10, x=0.01, ha="left")
    panels = figure.subplots(2, 2, width_ratios=(5, 1), height_ratios=(3, 1), sharex="col")
    (main, beside), (below, corner) = panels
    corner.axis("off")
    start, end = float(times[0] - frontend.hop_s / 2), float(times[-1] + frontend.hop_s / 2)
    rows = np.arange(len(bands) + 1) - 0.5
    specshow(found.levels, ax=main, cmap="gray", x_coords=times, x_axis="time")
    coloured = overlay(found.heatmaps[target])[::-1]
    main.imshow(coloured, extent=(start, end, rows[0], rows[-1]), aspect="auto", interpolation="bilinear", zorder=2)
    main.set(xlim=(start, end), ylim=(rows[0], rows[-1]), xlabel="", ylabel="Hz")
    _mark_bands(main, bands)
    for panel, positions, values, lying in (
        (below, times, found.over_time(target), True),
        (beside, np.arange(len(bands)), found.over_frequency(target), False),
    ):
        fill = panel.fill_between if lying else panel.fill_betweenx
        fill(positions, 0, np.maximum(values, 0), color=np.array(FOR) / 255)
        fill(positions, 0, np.minimum(values, 0), color=np.array(AGAINST) / 255)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    below.set_xlabel("s", fontsize=8)
    beside.set_ylim(rows[0], rows[-1])
    beside.set_yticks([])
    beside.tick_params(labelbottom=True)


def spectrogram_figure(rendering: SoundRendering) -> Figure:
    """Draw rendered spectrograms, in magma, all on one scale of decibels, with their objectives and what they reach."""
    from librosa.display import specshow

    times, bands = rendering.times_s, rendering.bands_hz
    columns = min(len(rendering), 4)
    rows = math.ceil(len(rendering) / columns)
    figure = Figure(figsize=(1.0 + 2.6 * columns, 0.3 + 2.3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    decibels = rendering.decibels
    low, high = float(decibels.min()), float(decibels.max())
    drawn: Any = None
    for number, panel in enumerate(grid.ravel()):
        if number >= len(rendering):
            panel.axis("off")
            continue
        drawn = specshow(decibels[number], ax=panel, cmap="magma", vmin=low, vmax=high, x_coords=times, x_axis="time")
        panel.set_title(f"{rendering.objectives[number]}\n{rendering.activations[number]:.3g}", fontsize=8)
        panel.set(xlabel="", ylabel="")
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.tick_params(labelsize=8)
    _mark_bands(grid[0, 0], bands)
    figure.supxlabel("s", fontsize=8)
    figure.supylabel("Hz", fontsize=8)
    figure.colorbar(drawn, ax=grid, label="dB", shrink=0.8)
    return figure


def _mark_bands(panel: Axes, bands: np.ndarray) -> None:
    """Write the frequencies of some bands beside them."""
    shown = np.unique(np.linspace(0, len(bands) - 1, 7).round().astype(int))
    panel.set_yticks(shown, [f"{bands[row]:,.0f}" for row in shown], fontsize=8)
