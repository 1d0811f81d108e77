"""The command line: ``diamond models``, ``demo``, ``pregenerate`` and the rest; one module a group of commands."""

from diamond.cli import (
    attribution,
    demonstration,
    explore,
    features,
    inspection,
    occlusion,
    pregenerate,
    stores,
    transfer,
    zoo,
)
from diamond.cli.app import app

__all__ = [
    "app",
    "attribution",
    "demonstration",
    "explore",
    "features",
    "inspection",
    "occlusion",
    "pregenerate",
    "stores",
    "transfer",
    "zoo",
]
