"""The command line: ``diamond models``, ``layers``, ``check``, ``convert``, ``demo``; one module a group of commands."""

from diamond.cli import demonstration, zoo
from diamond.cli.app import app

__all__ = ["app", "demonstration", "zoo"]
