"""Write docs/command-line.md from the commands themselves: ``python docs/command_line.py``; a test compares the two."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import typer

from diamond.cli import app
from diamond.cli.app import JOURNEYS

PAGE = Path(__file__).with_name("command-line.md")

BEGIN = """\
# Command line

<!-- Written by docs/command_line.py from the help of the commands. -->

`diamond` does from a shell what one does in a notebook: on a cluster, in a script, over night. Installing the package
installs it, and

    diamond demo

tries it in half a minute, with nothing of your own. `diamond COMMAND --help` says what is below, and always fits the
version you have. A network comes first, then files; `--out` says where the result goes, and its suffix as what: a page
(`.html`), a picture (`.png`), a table (`.csv`) or the arrays (`.npz`).
"""

RULES = """\
## What holds for every command

**Exit codes.**

| code | meaning |
|---:|---|
| 0 | well |
| 1 | what was asked cannot be done, or a check found faults; one line on the standard error says why |
| 2 | the command line is not understood; the nearest option or command is named |
| 130 | interrupted by Ctrl-C, or a pregeneration by SIGTERM; a line says how to go on |
| 141 | the reader of the output went away, as in `diamond layers EfficientNetLite0 | head -1` |

`check`, `verify` and `merge` end with 1 where they find something wrong. An error that nobody foresaw ends with 1 too,
and says so; `DIAMOND_DEBUG=1 diamond ...` prints where it came from.

**Output.** Answers go to the standard output, everything else to the standard error. In a terminal there are colours and
progress bars. Piped, there are none: tables are one line a row with tabs between, numbers without separators, nothing
cut.

    diamond models | cut -f1,7
    diamond layers EfficientNetLite0 | awk -F'\\t' '$9 == "yes" {print $2}'

**JSON.** With `--json` a command prints one document in UTF-8. Numbers are numbers, and what is not finite is `null`.
The keys are listed with each command and stay: new ones may come. A file is written all the same, and `written` names
it.

    diamond check EfficientNetLite0 cat.jpg --json | jq -r '.rows[0].label'

**Environment.**

| variable | what it does |
|---|---|
| `DIAMOND_CACHE` | folder for fetched weights, your own networks and rendered sprites, in place of the user's cache |
| `DIAMOND_DEBUG` | `1`: tracebacks, all warnings, and what TensorFlow says as it starts |
| `NO_COLOR` | any value: no colour |
| `COLUMNS` | width of tables and help, where it is not the terminal's |
| `TF_NUM_INTRAOP_THREADS` | threads of TensorFlow; on a shared machine fewer than there are cores |
| `CUDA_VISIBLE_DEVICES` | the GPUs to use; empty for none |

## Completion

    diamond --install-completion

and a new shell: bash, zsh, fish and PowerShell then complete commands, options, networks, the landmarks of the network
that is named, classes and recipes.

    diamond filters EfficientNetLite0 block9<Tab>

`diamond --show-completion` prints what it would install. A class that has a blank is offered with `_` in its place, and
found either way.
"""


def page() -> str:
    """Give the page as Markdown."""
    commands: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    parts = [BEGIN]
    for journey, names in JOURNEYS.items():
        rows = "\n".join(f"| [`{name}`](#diamond-{name}) | {_first(commands[name])} |" for name in names)
        parts.append(f"**{journey}**\n\n| command | what it does |\n|---|---|\n{rows}\n")
    parts.append(RULES)
    parts += [
        f"## {journey}\n\n" + "\n".join(_about(n, commands[n]) for n in names) for journey, names in JOURNEYS.items()
    ]
    return "\n".join(parts)


def _about(name: str, command: Any) -> str:
    paragraphs = [" ".join(each.split()) for each in inspect.cleandoc(command.help).split("\n\n")]
    prose = [_escaped(each) for each in paragraphs if not re.match("Example:|JSON:", each)]
    examples = "\n".join("    " + each.removeprefix("Example: ") for each in paragraphs if each.startswith("Example:"))
    keys = [f"**JSON**: {_escaped(each.removeprefix('JSON: '))}" for each in paragraphs if each.startswith("JSON:")]
    rows = "\n".join(_row(parameter) for parameter in command.params if parameter.name != "help")
    head = "| argument or option | | without it |\n|---|---|---|\n"
    return "\n\n".join([f"### diamond {name}", *prose, examples, head + rows, *keys]) + "\n"


def _row(parameter: Any) -> str:
    words = " ".join(parameter.help.split())
    if parameter.param_type_name == "argument":
        return f"| `{(parameter.metavar or parameter.name).strip('[]')}` | {_escaped(words)} | {_without(parameter)} |"
    flags = ", ".join(f"`{flag}`" for flag in (*parameter.opts, *parameter.secondary_opts))
    value = "" if parameter.is_flag else f" `{parameter.metavar}`"
    return f"| {flags}{value} | {_escaped(words)} | {_without(parameter)} |"


def _without(parameter: Any) -> str:
    if parameter.required:
        return "needed"
    value = parameter.default
    return "" if value is None or isinstance(value, bool) else f"`{value}`"


def _first(command: Any) -> str:
    return _escaped(inspect.cleandoc(command.help).partition("\n")[0])


def _escaped(text: str) -> str:
    # Underscores and stars of names are no emphasis, and a bar ends no cell.
    return re.sub(r"([_*|<>])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
