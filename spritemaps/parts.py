"""What a job keeps of one rendered batch, and what follows from it.

    write_file(path, part_bytes(spec, tiles, records))
    tiles, records = read_part(path, spec, spec.batches[0])

A part is trusted only as long as it is whole, of the very job that asks, and of the channels asked for; any other is as
good as none, and the batch is rendered again.

The two verbs of this module: a part is *read*, the *better* of two attempts is chosen.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spritemaps.manifest import ChannelRecord
from spritemaps.pages import Pixels

if TYPE_CHECKING:
    from spritemaps.job import JobSpec

__all__ = ["better", "next_batches", "outdoes", "part_bytes", "read_part"]


def outdoes(after: ChannelRecord, before: ChannelRecord | None) -> bool:
    """Whether a new attempt is better than the best before it; a living channel is better than a dead one.

    Living or dead, what counts is the robust activation, and the bare one where it was not measured; of equals the
    first is kept.
    """
    return before is None or _rank(after) > _rank(before)


def better(before: ChannelRecord | None, after: ChannelRecord) -> ChannelRecord:
    """Give the better of what was best of the attempts before and a new one; its record counts all attempts."""
    if before is None:
        return after
    return replace(after if outdoes(after, before) else before, attempts=max(before.attempts, after.attempts))


def next_batches(best: Mapping[int, ChannelRecord], *, width: int) -> tuple[tuple[int, ...], ...]:
    """Give the batches of the next attempt: the channels below the bar, in channel order, `width` a batch."""
    wanting = [channel for channel in sorted(best) if best[channel].below_bar]
    return tuple(tuple(wanting[i : i + width]) for i in range(0, len(wanting), width))


def part_bytes(spec: JobSpec, tiles: Pixels, records: Sequence[ChannelRecord]) -> bytes:
    """Give a batch as the content of its part."""
    file = io.BytesIO()
    np.savez(
        file,
        job=np.array(_digest(spec)),
        tiles=tiles,
        channel=np.array([record.channel for record in records], np.int64),
        activation=np.array([record.activation for record in records], np.float64),
        alive=np.array([record.alive for record in records], np.bool_),
        attempts=np.array([record.attempts for record in records], np.int64),
        kept=np.array([record.kept for record in records], np.int64),
        robust=_numbers([record.robust for record in records]),
        photo_best=_numbers([record.photo_best for record in records]),
        photo=np.array([record.photo or "" for record in records], np.str_),
    )
    return file.getvalue()


def read_part(path: Path, spec: JobSpec, channels: tuple[int, ...]) -> tuple[Pixels, tuple[ChannelRecord, ...]] | None:
    """Read a part: uint8 ``(n, tile_px, tile_px, 3)`` and one record a channel; None where it cannot be trusted."""
    shapes = {
        "tiles": ("uint8", (len(channels), spec.tile_px, spec.tile_px, 3)),
        "channel": ("int64", (len(channels),)),
        "activation": ("float64", (len(channels),)),
        "alive": ("bool", (len(channels),)),
        "attempts": ("int64", (len(channels),)),
        "kept": ("int64", (len(channels),)),
        "robust": ("float64", (len(channels),)),
        "photo_best": ("float64", (len(channels),)),
    }
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as part:
            columns = {name: part[name] for name in shapes}
            photos = [str(name) or None for name in part["photo"]]
            job = str(part["job"])
        fits = all((str(columns[name].dtype), columns[name].shape) == shapes[name] for name in shapes)
        if not fits or job != _digest(spec) or tuple(columns["channel"].tolist()) != channels:
            return None
        whole = (columns[name].tolist() for name in ("channel", "activation", "alive", "attempts", "kept"))
        measured = ([_number(value) for value in columns[name].tolist()] for name in ("robust", "photo_best"))
        rows = zip(*whole, *measured, photos, strict=True)
        return columns["tiles"], tuple(ChannelRecord(*row) for row in rows)
    except ImportError:
        # The Python installation's fault, and none of the part's.
        raise
    except Exception:
        # A damaged archive raises almost anything on its way through zip and NumPy; all of it means "render again".
        return None


def _rank(record: ChannelRecord) -> tuple[bool, float]:
    return record.alive, record.activation if record.robust is None else record.robust


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    """Numbers as an array, nan for what was not measured: a record has no other nan."""
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _digest(spec: JobSpec) -> str:
    return hashlib.sha256(spec.to_bytes()).hexdigest()
