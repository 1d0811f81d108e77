"""Figures of what follows from an attribution: removal, groups, flow and words, drawn with matplotlib."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.show.heat import AGAINST, FOR, visible
from diamond.show.layouts import scatter
from diamond.show.tints import colour_of, tint
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.attribution.ablated import Ablation
    from diamond.attribution.described import Description
    from diamond.attribution.grouped import Groups

__all__ = ["ablation_figure", "groups_figure", "words_figure"]

MOST_PICTURES = 5


def ablation_figure(found: Ablation) -> Figure:
    """Draw the true loss over the estimate with the diagonal, and both as bars side by side."""
    n = len(found.units)
    figure = Figure(figsize=(9.2, max(3.8, 1.2 + 0.3 * n)), layout="constrained")
    _head(figure, f"{found}\n{found.verdict}")
    cloud, bars = figure.subplots(1, 2, width_ratios=(1, 1.25))
    range_ = scatter(found.estimates, found.truths)
    cloud.axline((0, 0), slope=1, color="0.6", linestyle="--", linewidth=0.9)
    cloud.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    cloud.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    cloud.scatter(found.estimates, found.truths, c=[_shade(value) for value in found.truths], s=30)
    cloud.set(xlim=(range_.low, range_.high), ylim=(range_.low, range_.high), aspect="equal", anchor="N")
    cloud.set_xlabel("estimate, logits")
    cloud.set_ylabel("true loss, logits")
    places = np.arange(n)[::-1]
    shades = [_shade(value) for value in found.estimates]
    bars.barh(places + 0.2, found.estimates, 0.36, color="none", edgecolor=shades, linestyle="--", label="estimate")
    bars.barh(places - 0.2, found.truths, 0.36, color=[_shade(value) for value in found.truths], label="true loss")
    bars.axvline(0, color="0.6", linewidth=0.8)
    bars.set_yticks(places, found.labels, fontsize=8)
    bars.set_ylabel(found.kind)
    bars.set_xlabel("dashed: estimate; filled: true loss; logits")
    bars.spines[["top", "right"]].set_visible(False)
    return figure


def groups_figure(found: Groups) -> Figure:
    """Draw a row a group: its picture or its top channels' sprites, its effect, and its map over each picture."""
    n, shown = len(found), min(len(found.pictures), MOST_PICTURES)
    figure = Figure(figsize=(3.2 + 1.5 * shown, 0.7 + 1.55 * n), layout="constrained")
    _head(figure, f"{found}\n{found.summary}")
    panels = figure.subplots(n, 2 + shown, squeeze=False, width_ratios=(1, 0.8, *[1] * shown))
    most = float(np.abs(found.effects).max()) or 1.0
    for g, row in enumerate(panels):
        for panel in (row[0], *row[2:]):
            panel.axis("off")
        face = _face(found, g)
        if face is None:
            words = "channels\n" + "\n".join(map(str, found.top_channels(g)))
            row[0].text(0.5, 0.5, words, ha="center", va="center", fontsize=9, transform=row[0].transAxes)
        else:
            row[0].imshow(face, interpolation="lanczos")
        row[0].set_title(f"group {g + 1}", fontsize=9, color=np.array(colour_of(g)) / 255 * 0.85)
        row[1].barh([0], [found.effects[g]], 0.3, color=_shade(float(found.effects[g])))
        row[1].axvline(0, color="0.6", linewidth=0.8)
        row[1].set(xlim=(-most * min(1.0, float((found.effects < 0).any())), most), ylim=(-0.8, 0.8))
        row[1].set_title(f"{found.effects[g]:+.2f}", fontsize=9)
        row[1].set_axis_off()
        for i, panel in enumerate(row[2:]):
            picture = visible(found.pictures[i])
            strengths = found.maps[i, :, :, g]
            extent = (0, picture.shape[1], picture.shape[0], 0)
            panel.imshow(np.repeat(picture.mean(axis=-1, keepdims=True) * 0.8, 3, axis=-1), extent=extent)
            cells = strengths[::-1] if found.pictures.shape[-1] == 1 else strengths
            panel.imshow(tint(cells, g, float(found.maps[..., g].max())), extent=extent, interpolation="bilinear")
            panel.set_title(f"{found.images[i][:22]}\n" * (g == 0) + f"{found.per_image[i, g]:+.2f}", fontsize=7)
    return figure


def words_figure(described: Description) -> Figure:
    """Draw a row a channel: its sprite, its sentence, and the classes it raises and lowers most."""
    n = len(described)
    figure = Figure(figsize=(9.5, 0.5 + 1.25 * n), layout="constrained")
    _head(figure, described.title)
    panels = figure.subplots(n, 3, squeeze=False, width_ratios=(1, 3.6, 2.6))
    for (face, words, bars), told in zip(panels, described.channels, strict=True):
        face.axis("off")
        words.axis("off")
        if described.sprites is not None and told.channel in described.sprites:
            face.imshow(described.sprites[told.channel], interpolation="lanczos")
        else:
            face.text(0.5, 0.5, str(told.channel), ha="center", va="center", fontsize=14, transform=face.transAxes)
        lines = "\n".join(textwrap.wrap(f"{told.channel}: {told.sentence}", 58))
        words.text(0, 0.5, lines, va="center", fontsize=9, transform=words.transAxes)
        shown = told.shown
        places = np.arange(len(shown))[::-1]
        bars.barh(places, [push for _, push in shown], 0.7, color=[_shade(push) for _, push in shown])
        bars.set_yticks(places, [label[:26] for label, _ in shown], fontsize=7)
        bars.axvline(0, color="0.6", linewidth=0.8)
        bars.tick_params(axis="x", labelsize=7)
        bars.spines[["top", "right"]].set_visible(False)
    return figure


def _face(found: Groups, group: int) -> np.ndarray | None:
    """The picture of a group: rendered, or the sprites of its top channels two by two; None where there are none."""
    if found.rendered is not None:
        face: np.ndarray = found.rendered[group]
        return face
    channels = [c for c in found.top_channels(group) if found.sprites is not None and c in found.sprites]
    if found.sprites is None or not channels:
        return None
    px = found.sprites.tile_px
    face = np.full((2 * px, 2 * px, 3), 128, np.uint8)
    for at, channel in enumerate(channels[:4]):
        row, column = divmod(at, 2)
        face[row * px : (row + 1) * px, column * px : (column + 1) * px] = found.sprites[channel]
    return face


def _head(figure: Figure, words: str) -> None:
    lines = [line for part in words.split("\n") for line in textwrap.wrap(part, int(figure.get_figwidth() * 14))]
    figure.suptitle("\n".join(lines), fontsize=9, x=0.01, ha="left")


def _shade(value: float) -> Any:
    return tuple(np.array(FOR if value >= 0 else AGAINST) / 255)
