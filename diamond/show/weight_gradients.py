"""Gradients of weights as a page and as a figure: a row a filter, a column a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from diamond.show.filter_tiles import tile
from diamond.show.filters import gathered
from diamond.show.pages import page, picture_uri
from modelzoo.lettering import Figure

if TYPE_CHECKING:
    from diamond.inspection.differentiated import WeightGradients

__all__ = ["gradient_figure", "gradient_page"]

ON_PAGE = 24
IN_FIGURE = 6
# The side view of the volume: filters down, weights across.
MOST_DOWN, MOST_ACROSS = 96, 480


def gradient_page(found: WeightGradients) -> str:
    """Give gradients as a whole HTML document: two dozen filters with the largest."""
    order = found.order[:ON_PAGE]
    own, own_at = gathered(found.sprites, [int(found.channels[i]) for i in order])
    most = float(found.norms.max())
    rows = [
        {
            "channel": int(found.channels[i]),
            "filter": picture_uri(_drawn(found, found.weights[i], None)),
            "classes": [
                {
                    "mean": picture_uri(_drawn(found, found.gradients[k, i], _reach(found, found.gradients[:, i]))),
                    "spread": picture_uri(_drawn(found, found.deviations[k, i], _reach(found, found.deviations[:, i]))),
                    "norm": float(found.norms[k, i]),
                    "agreement": float(found.agreement[k, i]),
                }
                for k in range(len(found.classes))
            ],
        }
        for i in order
    ]
    return page(
        "weight_gradients.html",
        title=str(found),
        found=found,
        rows=rows,
        own=own,
        own_at=own_at,
        most=most,
        sides=[picture_uri(_signed(side)) for side in _sides(found)],
        across="weights" if found.gradients.shape[-1] * _places(found) <= MOST_ACROSS else "input channels",
        down=min(len(found.channels), MOST_DOWN),
    )


def gradient_figure(found: WeightGradients) -> Figure:
    """Draw the filters with the largest gradients: each itself, then gradient and deviation for each class."""
    shown, classes = min(len(found.channels), IN_FIGURE), len(found.classes)
    figure = Figure(figsize=(2.3 * classes + 1.4, 1.13 * shown + 1.0), layout="constrained")
    columns = 1 + 2 * classes
    panels = figure.subplots(shown, columns, squeeze=False)
    for row, i in enumerate(found.order[:shown]):
        reach, widest = _reach(found, found.gradients[:, i]), _reach(found, found.deviations[:, i])
        _show(panels[row, 0], _drawn(found, found.weights[i], None), "the filter" if not row else "")
        panels[row, 0].text(
            -0.08, 0.5, str(found.channels[i]), transform=panels[row, 0].transAxes, ha="right", va="center", fontsize=8
        )
        for k in range(classes):
            label = found.labels[k] if len(found.labels[k]) < 22 else found.labels[k][:20] + "\N{HORIZONTAL ELLIPSIS}"
            head = f"{label}\n{found.roles[k]}" if not row else ""
            _show(panels[row, 1 + 2 * k], _drawn(found, found.gradients[k, i], reach), head)
            _show(
                panels[row, 2 + 2 * k],
                _drawn(found, found.deviations[k, i], widest),
                "\n\N{PLUS-MINUS SIGN}" if not row else "",
            )
            words = f"{found.norms[k, i]:.2g}, {found.agreement[k, i]:.0%} shared"
            panels[row, 1 + 2 * k].text(
                0, -0.05, words, transform=panels[row, 1 + 2 * k].transAxes, va="top", fontsize=6.5, color="0.35"
            )
    figure.suptitle(
        f"{found.network} {found.layer}: what would raise each class, over {len(found.images)}; grey is zero".replace(
            "$", r"\$"
        ),
        fontsize=8.5,
    )
    return figure


def _show(panel: Any, picture: np.ndarray, title: str) -> None:
    panel.axis("off")
    panel.imshow(picture, interpolation="nearest")
    if title:
        panel.set_title(title.replace("$", r"\$"), fontsize=7.5, pad=4)


def _drawn(found: WeightGradients, weights: np.ndarray, reach: float | None) -> np.ndarray:
    """Draw ``(*places, input)``; of a first layer what the change does to the picture's own colours."""
    values = weights if found.colours is None else _in_colours(found, weights)
    most = float(np.abs(values).max()) if reach is None else reach
    return tile(values, most=most, colours=found.colours is not None, is_sound=found.is_sound)


def _in_colours(found: WeightGradients, weights: np.ndarray) -> np.ndarray:
    if found.colours is None or weights.shape[-1] != found.colours.shape[1]:
        return np.repeat(weights, 3, axis=-1)[..., :3]
    return np.einsum("...i,ci->...c", weights, found.colours / np.abs(found.colours).max())


def _reach(found: WeightGradients, values: np.ndarray) -> float:
    """Give the weight that is white for a filter: the largest of all classes, so that they can be held side by side."""
    return float(np.abs(values if found.colours is None else _in_colours(found, values)).max())


def _places(found: WeightGradients) -> int:
    return int(np.prod(found.gradients.shape[2:-1]))


def _sides(found: WeightGradients) -> list[np.ndarray]:
    """Give each class's volume laid flat, ``(filter, weights)``, on one scale from -1 to 1; wide ones summed by place."""
    flat = found.gradients[:, :MOST_DOWN]
    if flat.shape[-1] * _places(found) > MOST_ACROSS:
        flat = flat.reshape(*flat.shape[:2], -1, flat.shape[-1]).sum(axis=2)
    flat = flat.reshape(*flat.shape[:2], -1)[..., : 2 * MOST_ACROSS]
    most = float(np.quantile(np.abs(flat), 0.995)) or 1.0
    return [np.clip(side / most, -1, 1) for side in flat]


def _signed(values: np.ndarray) -> np.ndarray:
    from diamond.show.heat import AGAINST, FOR

    coloured = np.where(values[..., None] >= 0, np.array(FOR), np.array(AGAINST))
    opacity = np.round(np.abs(values)[..., None] ** 0.7 * 255)
    return np.concatenate([coloured, opacity], axis=-1).astype(np.uint8)
