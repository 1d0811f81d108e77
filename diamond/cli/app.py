"""What all commands share: the application, in which order it lists its commands, and its version."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from diamond.cli.ending import exit_code_of, said_to_the_user

__all__ = ["JOURNEYS", "Commands", "app", "check_out"]

SUFFIXES = (".html", ".png", ".csv", ".npz")

# In the order in which one meets them.
JOURNEYS: dict[str, tuple[str, ...]] = {
    "Begin": ("demo", "explore"),
    "Look into networks": ("models", "layers", "check", "filters", "health", "convert"),
    "Ask a network": ("attribute", "map", "occlude", "saliency", "invert", "embed"),
    "Pictures of channels": ("render", "sprites", "pregenerate", "status", "exemplars", "diverse"),
    "Stores of spritemaps": ("verify", "merge", "site"),
    "Transfer": ("cut", "compare"),
}
OTHER = "More"


class Commands(TyperGroup):
    """The commands by journey; each run ends as `diamond.cli.ending` says."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the journeys, those of none last."""
        ranks = {name: rank for rank, name in enumerate(name for names in JOURNEYS.values() for name in names)}
        return sorted(self.commands, key=lambda name: ranks.get(name, len(ranks)))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Give a command by its name, and tell it its panel in the help."""
        command: Any = super().get_command(ctx, cmd_name)
        if command is not None:
            command.rich_help_panel = journey_of(cmd_name)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands journey by journey, as plain text."""
        for journey in (*JOURNEYS, OTHER):
            names = [name for name in self.list_commands(ctx) if journey_of(name) == journey]
            shown = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, command.get_short_help_str(limit=120)) for name, command in shown if not command.hidden]
            if rows:
                with formatter.section(journey):
                    formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is meant; of an unknown one the nearest is named, whichever Typer there is."""
        try:
            return super().resolve_command(ctx, args)
        except typer.BadParameter.__mro__[2] as error:  # type: ignore[misc]
            near = difflib.get_close_matches(args[0], list(self.commands), n=1)
            said = str(getattr(error, "message", ""))
            if near and "Did you mean" not in said:
                error.message = f"{said.rstrip('.')}. Did you mean {near[0]!r}?"
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        words = [*getattr(ctx, "_protected_args", ()), *ctx.args]
        with said_to_the_user(words[0] if words else ""):
            return super().invoke(ctx)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and leave with its exit code."""
        # Boxes and colour are for terminals: a pipe or a file gets plain text.
        style = "rich" if sys.stdout.isatty() else None
        for each in (self, *self.commands.values()):
            each.rich_markup_mode = style  # type: ignore[attr-defined]
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # A sign that the terminal's encoding lacks must not end the command.
                stream.reconfigure(errors="replace")
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        inner = super().main
        sys.exit(exit_code_of(lambda: inner(args, prog_name, complete_var, False, windows_expand_args, **extra)))


def journey_of(name: str) -> str:
    """Give the journey that a command belongs to."""
    return next((journey for journey, names in JOURNEYS.items() if name in names), OTHER)


app = typer.Typer(
    name="diamond",
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    epilog="diamond COMMAND --help has an example of each. Tab completes commands, networks, layers and classes after "
    "diamond --install-completion and in a new shell. Exit codes: 0 well, 1 not, 2 not understood, 130 interrupted.",
)


def _print_version(asked: bool) -> None:
    if asked:
        from diamond import __version__

        typer.echo(f"diamond {__version__}")
        raise typer.Exit


@app.callback()
def diamond(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """See what a Keras CNN looks at, what its channels look for, and where to cut it for transfer learning."""


def check_out(out: Path, *also: str) -> None:
    """Refuse a file that a result cannot be saved as, before the minutes that making it takes.

    Raises
    ------
    ValueError
        For a suffix that is neither a result's nor among `also`.
    FileNotFoundError
        Where its folder does not exist.
    """
    allowed = (*SUFFIXES, *also)
    if out.suffix not in allowed:
        raise ValueError(f"cannot save as {out.name!r}; expected a name that ends in {', '.join(allowed)}")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"no folder {out.parent} to save {out.name} in; make it first")
