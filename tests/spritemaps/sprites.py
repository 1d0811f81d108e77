"""Sprites that need no network: a smooth picture a channel, and jobs that render them."""

import hashlib
from pathlib import Path

import numpy as np

from spritemaps import ChannelRecord, Job, JobSpec, Store

FINGERPRINT = "0123456789abcdef" * 4


def sprite(channel, px, seed=0):
    """A smooth uint8 (px, px, 3) picture that differs from channel to channel."""
    y, x = np.mgrid[0:px, 0:px] / px
    colour = np.random.default_rng((seed, channel)).uniform(60, 200, 3)
    return np.clip(colour + 30 * np.sin(3 * x + channel)[..., None] + 20 * y[..., None], 0, 255).astype(np.uint8)


def record(channel):
    """Every fifth channel is dead."""
    alive = channel % 5 != 4
    return ChannelRecord(channel, float(np.float32(channel * 0.1)) if alive else 0.0, alive, 1 if alive else 3)


def spec(**changes):
    """A layer of 10 channels in batches of 4, 4 and 2."""
    channels = changes.get("channels", 10)
    described = {
        "network": "Tiny",
        "layer": "block/conv",
        "fingerprint": FINGERPRINT,
        "channels": channels,
        "recipe_name": "sprite",
        "recipe": {"steps": 8, "rates": [0.05, 0.1]},
        "recipe_hash": "feedbeef",
        "tile_px": 16,
        "seed": 3,
        "batches": tuple(tuple(range(i, min(i + 4, channels))) for i in range(0, channels, 4)),
        "settings": {"dtype": "float32", "threads": 2},
        "versions": {"keras": "3.15.0"},
    }
    return JobSpec(**{**described, **changes})


def attempted(channel, attempt):
    """Every fifth channel is dead at first; channel 4 comes to life at the second attempt, 9 never does."""
    alive = channel % 5 != 4 or (channel == 4 and attempt >= 2)
    return ChannelRecord(channel, float(channel + attempt / 8) if alive else 0.0, alive, attempt, attempt)


def render(job: Job, batches=None):
    """Render the pending batches, or those named; what a ladder adds too."""
    while todo := [task for task in job.todo if batches is None or task.batch in batches]:
        for task in todo:
            tiles = np.stack([sprite(c, job.spec.tile_px, job.spec.seed + task.attempt - 1) for c in task.channels])
            told = [attempted(c, task.attempt) if job.spec.ladder else record(c) for c in task.channels]
            job.write(task.batch, tiles, told)


def finished(root, **changes):
    """Render and store a whole layer."""
    job = Store(root).open_job(spec(**changes))
    render(job)
    return job.finish()


def hashes(root: Path):
    """Every file and folder under `root`, with the hash of its content."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(root.rglob("*"))
    }
