"""The command line: ``diamond models``, ``demo``, ``pregenerate`` and the rest; one module a group of commands."""

from diamond.cli import demonstration, pregenerate, stores, zoo
from diamond.cli.app import app

__all__ = ["app", "demonstration", "pregenerate", "stores", "zoo"]
