"""The command line: ``diamond models``, ``demo``, ``pregenerate`` and the rest; one module a group of commands."""

from diamond.cli import (
    attribution,
    demonstration,
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
    "features",
    "inspection",
    "occlusion",
    "pregenerate",
    "stores",
    "transfer",
    "zoo",
]
