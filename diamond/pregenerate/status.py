"""How far a pregeneration is, read from its store alone: for another shell, and without TensorFlow.

    >>> report = dc.pregenerate(small, ["parts"], store="sprites", size=32, steps=4, progress=False)
    >>> print(status_of("sprites"))
    small: 1 of 1 layers finished; 6 of 6 channels in 1 layer...
      parts                            texture  finished       6 of     6 channels...

What is there speaks for itself: the manifests of finished layers, and of each begun layer what its job froze and the
parts that are done. When each part was written tells how fast it goes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diamond.pregenerate.report import LayerReport, PregenerationReport, duration, quality_of
from spritemaps import Job, Store

__all__ = ["StoreStatus", "status_of"]

# A run that has written nothing for so long does not go on.
QUIET_S = 3600.0


@dataclass(frozen=True)
class StoreStatus:
    """What is in a store.

    Attributes
    ----------
    networks
        A report for each network.
    per_hour
        Channels that were rendered an hour lately, first attempts only; None where nothing was.
    left_s
        Time to the end of the layers that are begun, at that pace; None where it is not known.
    idle_s
        Since the last batch; None where none was written.
    """

    networks: tuple[PregenerationReport, ...]
    per_hour: float | None
    left_s: float | None
    idle_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values, for JSON."""
        return {
            "networks": [
                {"network": report.network, "layers": [vars(row) for row in report.layers]} for report in self.networks
            ],
            "per_hour": self.per_hour,
            "left_s": self.left_s,
            "idle_s": self.idle_s,
        }

    def __str__(self) -> str:
        if not self.networks:
            return "nothing is rendered or begun in this store"
        lines = []
        for report in self.networks:
            finished = sum(row.state == "finished" for row in report.layers)
            lines.append(f"{report.network}: {finished} of {len(report.layers)} layers finished; {report.summary}")
            for row in report.layers:
                quality = "" if row.quality is None else f", {row.quality:.2f} of the best photo"
                lines.append(
                    f"  {row.layer:32} {row.recipe:8} {row.state:10} {row.done:5,} of {row.channels:5,} channels, "
                    f"{row.dead:,} dead, {row.retried:,} retried{quality}"
                )
        if self.idle_s is not None and self.idle_s > QUIET_S:
            lines.append(f"nothing was written for {duration(self.idle_s)}; the command that began it goes on with it")
        elif self.per_hour:
            left = f", {duration(self.left_s)} left" if self.left_s is not None else ""
            lines.append(f"{self.per_hour:,.0f} channels an hour{left}")
        return "\n".join(lines)


def status_of(store: Store | str | Path) -> StoreStatus:
    """Read how far a store is.

    Raises
    ------
    FileNotFoundError
        Where there is no such folder.
    """
    keep = store if isinstance(store, Store) else Store(store, read_only=True)
    if not keep.root.is_dir():
        raise FileNotFoundError(f"no store at {keep.root}")
    rows: dict[str, list[LayerReport]] = {}
    for layer in keep.layers():
        m = layer.manifest
        row = _row(m.layer, m.recipe_name, m.tile_px, m.channels, "finished", layer.records)
        rows.setdefault(m.network, []).append(row)
    jobs = keep.unfinished()
    for job in jobs:
        s = job.spec
        rows.setdefault(s.network, []).append(
            _row(s.layer, s.recipe_name, s.tile_px, s.channels, "unfinished", job.records)
        )
    per_hour, idle_s = _pace(jobs)
    left = sum(row.channels - row.done for network in rows.values() for row in network if row.state == "unfinished")
    return StoreStatus(
        tuple(PregenerationReport(name, str(keep.root), tuple(found)) for name, found in sorted(rows.items())),
        per_hour,
        3600 * left / per_hour if per_hour else None,
        idle_s,
    )


def _row(layer: str, recipe: str, tile_px: int, channels: int, state: str, records: Any) -> LayerReport:
    return LayerReport(
        layer=layer,
        recipe=recipe,
        tile_px=tile_px,
        channels=channels,
        state=state,
        done=len(records),
        dead=sum(not record.alive for record in records),
        retried=sum(record.attempts > 1 for record in records),
        quality=quality_of(records),
    )


def _pace(jobs: tuple[Job, ...]) -> tuple[float | None, float | None]:
    written = sorted(entry for job in jobs for entry in job.written())
    if not written:
        return None, None
    idle_s = max(0.0, time.time() - written[-1][0])
    # The first of the times is when counting begins; what it brought was rendered before.
    recent = [entry for entry in written if entry[0] > written[-1][0] - QUIET_S]
    span = recent[-1][0] - recent[0][0]
    channels = sum(n for _, n in recent[1:])
    return (3600 * channels / span if span > 0 else None), idle_s
