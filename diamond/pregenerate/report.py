"""What a pregeneration has done, or will cost, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spritemaps import ChannelRecord

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["LayerReport", "PregenerationReport", "duration", "quality_of"]

STATES = ("planned", "unfinished", "finished")


@dataclass(frozen=True)
class LayerReport:
    """One layer of a pregeneration.

    Attributes
    ----------
    layer, recipe, tile_px, channels
        Which layer, how it is rendered, the side of its sprites, its channels.
    state
        ``"planned"``, ``"unfinished"`` or ``"finished"``.
    done, dead, retried
        Channels that have a sprite; those of them that stayed dead; those that were tried more than once.
    quality
        Mean over the living channels of robust activation as a share of the best photo's; None without photos.
    image_steps
        Steps of the optimiser times pictures: those left, in a plan; else those taken in this run.
    forecast_s, forecast_bytes
        Time and disk that what was left was forecast to take; None where nobody asked.
    took_s
        Time this run spent on it.
    """

    layer: str
    recipe: str
    tile_px: int
    channels: int
    state: str
    done: int = 0
    dead: int = 0
    retried: int = 0
    quality: float | None = None
    image_steps: int = 0
    forecast_s: float | None = None
    forecast_bytes: int | None = None
    took_s: float = 0.0


@dataclass(frozen=True, repr=False)
class PregenerationReport:
    """What a pregeneration has done, or will cost.

    Attributes
    ----------
    network
        Name of the network.
    store
        Where its spritemaps lie.
    layers
        One row a layer, in the order in which they are rendered.
    took_s
        Time the whole run took.
    batches
        Batches rendered in this run.
    stopped
        Why it ended before everything was done; empty where it did not.
    notes
        What a user should know: jobs that go on as they were begun, and the like.

    Examples
    --------
    >>> report = dc.pregenerate(small, ["parts"], store="sprites", size=32, steps=4, progress=False)
    >>> report.network, str(report.store), report.complete, report.batches > 0, report.stopped, report.notes
    ('small', 'sprites', True, True, '', ())
    >>> report.layers[0].layer, report.took_s > 0, report.forecast_s, report.forecast_bytes
    ('parts', True, None, None)
    >>> report.summary[:26]
    '6 of 6 channels in 1 layer'
    >>> report.to_dataframe().columns.to_list()
    ['layer', 'recipe', 'tile_px', 'channels', 'state', 'done', 'dead', 'retried', 'quality', 'image_steps',
     'forecast_s', 'forecast_bytes', 'took_s']
    >>> report.plot()
    <Figure size ... with 1 Axes>
    >>> report.save("report.html")
    PosixPath('report.html')
    """

    network: str
    store: str
    layers: tuple[LayerReport, ...]
    took_s: float = 0.0
    batches: int = 0
    stopped: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def complete(self) -> bool:
        """Whether every layer is finished."""
        return all(row.state == "finished" for row in self.layers)

    @property
    def forecast_s(self) -> float | None:
        """Time that what was left was forecast to take; None where nobody asked."""
        return _sum([row.forecast_s for row in self.layers])

    @property
    def forecast_bytes(self) -> int | None:
        """Disk that what was left was forecast to take; None where nobody asked."""
        total = _sum([row.forecast_bytes for row in self.layers])
        return None if total is None else int(total)

    def to_dataframe(self) -> pd.DataFrame:
        """One row a layer."""
        import pandas as pd

        return pd.DataFrame([vars(row) for row in self.layers])

    def plot(self) -> Figure:
        """Draw how much of each layer is done, and of that how much is dead."""
        from modelzoo.lettering import Figure

        figure = Figure(figsize=(8, 1.2 + 0.3 * len(self.layers)), layout="constrained")
        axes = figure.add_subplot()
        names = [row.layer.replace("$", r"\$") for row in self.layers]
        for label, values, colour in (
            ("channels", [row.channels for row in self.layers], "0.88"),
            ("with a sprite", [row.done for row in self.layers], "tab:blue"),
            ("dead", [row.dead for row in self.layers], "tab:red"),
        ):
            axes.barh(range(len(names)), values, color=colour, label=label)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("channels")
        axes.legend(loc="lower right")
        axes.set_title(f"{self.network}: {self.summary}".replace("$", r"\$"), fontsize=10)
        return figure

    def save(self, path: str | Path) -> Path:
        """Write as ``.html``, ``.png``, ``.csv`` or ``.npz``, by suffix.

        Parameters
        ----------
        path
            Where to; its suffix says as what.

        Raises
        ------
        ValueError
            For any other suffix.
        """
        from diamond.show.pages import page
        from diamond.show.saving import save

        table = self.to_dataframe()
        arrays = {str(name): _plain(table[name].to_list()) for name in table.columns}
        return save(
            path,
            page=lambda: page("pregeneration.html", title=f"Pregeneration of {self.network}", report=self),
            figure=self.plot,
            table=lambda: table,
            arrays=arrays,
        )

    @property
    def summary(self) -> str:
        """The whole in one sentence."""
        channels, done = (sum(getattr(row, name) for row in self.layers) for name in ("channels", "done"))
        dead, retried = (sum(getattr(row, name) for row in self.layers) for name in ("dead", "retried"))
        layers = f"{len(self.layers)} layer{'s' * (len(self.layers) != 1)}"
        words = f"{done:,} of {channels:,} channels in {layers}, {dead:,} dead, {retried:,} retried"
        forecast, size = self.forecast_s, self.forecast_bytes
        if forecast is not None and size is not None:
            words += f"; {duration(forecast)} and {size / 1e6:,.0f} MB to come"
        return words + (f"; {self.stopped}" if self.stopped else "")

    def __repr__(self) -> str:
        heads = ("layer", "recipe", "px", "channels", "done", "dead", "retried", "quality", "steps", "forecast", "took")
        rows = [heads, *(_cells(row) for row in self.layers)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
        lines = [
            "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        ]
        return "\n".join([*(line.rstrip() for line in lines), self.summary, *self.notes])

    def _repr_html_(self) -> str:
        from diamond.show.pages import embed, page

        title = f"Pregeneration of {self.network}"
        return embed(page("pregeneration.html", title=title, report=self), title=title, height_px=320)


def quality_of(records: Sequence[ChannelRecord]) -> float | None:
    """Give the mean over living channels of robust activation as a share of the best photo's; None without photos."""
    shares = [
        record.robust / record.photo_best
        for record in records
        if record.alive and record.robust is not None and record.photo_best is not None and record.photo_best > 0
    ]
    return float(np.mean(shares)) if shares else None


def duration(seconds: float) -> str:
    """Give seconds as people say them: ``"3 h 20 min"``, ``"4 min 5 s"``."""
    whole = round(seconds)
    days, hours, minutes = whole // 86400, whole % 86400 // 3600, whole % 3600 // 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def _cells(row: LayerReport) -> tuple[str, ...]:
    return (
        row.layer,
        row.recipe,
        str(row.tile_px),
        f"{row.channels:,}",
        f"{row.done:,}",
        f"{row.dead:,}",
        f"{row.retried:,}",
        "" if row.quality is None else f"{row.quality:.2f}",
        f"{row.image_steps:,}",
        "" if row.forecast_s is None else duration(row.forecast_s),
        duration(row.took_s) if row.took_s else "",
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _plain(values: list[object]) -> np.ndarray:
    # What is not known becomes nan: an array of objects could not be read without pickle.
    if any(value is None for value in values):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return np.array(values)
