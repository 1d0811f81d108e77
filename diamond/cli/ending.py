"""How a command ends: its exit code, and what the user reads where it did not end well.

========  ===========================================================================================
0         well
1         what was asked cannot be done, or a check found faults: one line on the standard error says why
2         the command line is not understood; the nearest option or command is named
130       interrupted, by Ctrl-C or (of a pregeneration) by a batch system
141       who read the output has gone, as in ``diamond layers NAME | head -1``
========  ===========================================================================================

An error that Diamond or the system meant for the user is its sentence. One that nobody foresaw says so, and how to see
where it came from: ``DIAMOND_DEBUG=1`` prints the traceback of any error.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import typer

from diamond.cli.printing import tell

__all__ = ["ERROR", "GONE", "INTERRUPTED", "USAGE", "exit_code_of", "said_to_the_user"]

ERROR, USAGE, INTERRUPTED, GONE = 1, 2, 130, 141
OURS = frozenset({"diamond", "modelzoo", "spritemaps"})
LONGEST = 400

# Newer Typers carry Click with them and older ones import it; the class is there in both.
ClickException: Any = typer.BadParameter.__mro__[2]

# What goes on where it stopped, when the same command is given again.
_RESUMES = "what is finished is kept, the same command goes on"
_AFTER = {
    "pregenerate": _RESUMES,
    "merge": _RESUMES,
    "models": "",
    "layers": "",
    "status": "",
    "verify": "",
    "explore": "",
}


def is_debugging() -> bool:
    """Whether the user wants tracebacks and every warning: ``DIAMOND_DEBUG=1``."""
    return os.environ.get("DIAMOND_DEBUG", "") not in ("", "0")


def exit_code_of(run: Callable[[], Any]) -> int:
    """Run a whole command line and give its exit code; wrong usage is told in plain lines."""
    try:
        code = run()
    except ClickException as error:
        return _told_usage(error)
    except typer.Abort:
        tell("stopped")
        return ERROR
    return code if isinstance(code, int) else 0


@contextlib.contextmanager
def said_to_the_user(command: str) -> Iterator[None]:
    """Turn what a command raises into a line and an exit code, and its warnings into lines."""
    with warnings.catch_warnings():
        if not is_debugging():
            # To whoever uses the command line, the place in our code means nothing.
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _warned
        try:
            yield
            sys.stdout.flush()
        except (typer.Exit, typer.Abort, ClickException):
            raise
        except BrokenPipeError:
            _let_go_of_stdout()
            raise typer.Exit(GONE) from None
        except KeyboardInterrupt:
            how = _AFTER.get(command, "the same command begins again")
            tell(f"interrupted; {how}" if how else "interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if is_debugging():
                traceback.print_exc()
            tell(_sentence(error), wrong=True)
            raise typer.Exit(ERROR) from None


def _sentence(error: Exception) -> str:
    said = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if _is_meant(error, said):
        return said
    first = said.strip().partition("\n")[0][:LONGEST]
    return (
        f"an unexpected {type(error).__name__}{f': {first}' if first else ''}\n"
        "DIAMOND_DEBUG=1 before the command shows where it came from"
    )


def _is_meant(error: Exception, said: str) -> bool:
    """Whether somebody wrote the sentence for a user: our own code, or the system that tells of a file."""
    if type(error).__module__.partition(".")[0] in OURS:
        return True
    if isinstance(error, OSError | ImportError):
        return True
    # A bare key or number is no sentence.
    return isinstance(error, LookupError | ValueError | RuntimeError) and " " in said and _is_raised_by_us(error)


def _is_raised_by_us(error: Exception) -> bool:
    last: TracebackType | None = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and str(last.tb_frame.f_globals.get("__name__")).partition(".")[0] in OURS


def _told_usage(error: Any) -> int:
    context: Any = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        # The whole help was asked for in this way.
        typer.echo(context.get_help(), err=True)
        return USAGE
    tell(error.format_message().strip(), wrong=True)
    if context is not None:
        typer.echo(context.get_usage(), err=True)
        typer.echo(f"{context.command_path} --help says more", err=True)
    return int(error.exit_code)


def _warned(message: Warning | str, *_: Any, **__: Any) -> None:
    tell(str(message))


def _let_go_of_stdout() -> None:
    # The interpreter flushes the stream once more as it ends, and would complain.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
