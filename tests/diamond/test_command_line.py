"""What holds of every command, whichever there are: help, examples, JSON, exit codes, quiet pipes, completion.

The commands are read from the application, so that a new one is tested without a word here; what it needs to be tried
with (a line that works on a small network, a line that cannot work) is asked for by a test that fails without it.
"""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import skimage.data
import typer
from PIL import Image
from typer.testing import CliRunner

from diamond.cli import app
from diamond.cli.app import JOURNEYS, Commands
from diamond.cli.ending import said_to_the_user
from tests import tiny

RUN = CliRunner()
ROOT = typer.main.get_command(app)
COMMANDS = dict(ROOT.commands)
WIDEST = 80
# These write pages for people, and have no table to give.
WITHOUT_JSON = {"demo", "explore", "site"}
BOXES = re.compile("[\u2500-\u259f]")

# These take seconds even of a small network.
SLOW = {"cut", "diverse", "render"}

# Of each command a line that works on small networks: own.keras, and `store` with sprites of its layer `conv`.
WORKS = {
    "models": "models",
    "layers": "layers own.keras",
    "check": "check own.keras",
    "filters": "filters own.keras conv",
    "health": "health own.keras photos",
    "convert": "convert own.keras --name Mine --value-range 0 1 --overwrite",
    "attribute": "attribute own.keras a.png --positive 1 --layers conv",
    "map": "map own.keras a.png features",
    "occlude": "occlude own.keras a.png --window 4 --stride 4",
    "saliency": "saliency own.keras a.png",
    "invert": "invert own.keras a.png conv --steps 2",
    "embed": "embed own.keras classes features",
    "render": "render own.keras conv 0 2-3 --size 16 --steps 2",
    "sprites": "sprites own.keras conv --store store --channels 0,1",
    "pregenerate": "pregenerate own.keras --store store --layers conv --size 16 --steps 2 --retries 0",
    "status": "status store",
    "exemplars": "exemplars own.keras photos --store store",
    "diverse": "diverse own.keras conv 0 --store store --count 2",
    "verify": "verify store",
    "merge": "merge store other",
    "site": "site store site",
    "cut": "cut own.keras classes --no-latency",
    "compare": "compare own.keras own.keras --data labelled --no-latency",
}
# Of each command a line that cannot work, and words of what it says.
FAILS = {
    "models": None,
    "demo": ("demo --folder a.png", "a.png"),
    "explore": ("explore EfficientNetLite9", "did you mean EfficientNetLite"),
    "layers": ("layers EfficientNetLite9", "did you mean EfficientNetLite"),
    "check": ("check own.keras b.png", "no file b.png; did you mean 'a.png'?"),
    "filters": ("filters own.keras cnv", "did you mean 'conv'"),
    "health": ("health own.keras nowhere", "nowhere"),
    "convert": ("convert nowhere.keras --name Other", "nowhere.keras"),
    "attribute": ("attribute own.keras a.png --layers featurs", "did you mean 'features'"),
    "map": ("map own.keras a.png pool", "'features'"),
    "occlude": ("occlude own.keras a.png --window big", "expected pixels, as 32 or 40x24"),
    "saliency": ("saliency own.keras a.png --method gradent", "did you mean 'gradient'"),
    "invert": ("invert own.keras a.png cnv", "did you mean 'conv'"),
    "embed": ("embed own.keras nowhere", "nowhere"),
    "render": ("render own.keras conv 5", "5"),
    "sprites": ("sprites own.keras conv --out conv.pdf", ".html, .png, .csv, .npz, .webp"),
    "pregenerate": ("pregenerate own.keras --store s --budget soon", "expected something like 45m, 2h or 1h30m"),
    "status": ("status nowhere", "no store at nowhere"),
    "exemplars": ("exemplars own.keras photos --store empty", "diamond pregenerate renders them"),
    "diverse": ("diverse own.keras features 0 --store store", "no store has sprites of 'features'"),
    "verify": ("verify nowhere", "no store at nowhere"),
    "merge": ("merge nowhere other", "no store at nowhere"),
    "site": ("site nowhere site", "nowhere"),
    "cut": ("cut own.keras nowhere", "nowhere"),
    "compare": ("compare own.keras own.keras --data nowhere", "nowhere"),
}


def each_command():
    return pytest.mark.parametrize("name", sorted(COMMANDS))


def some_take_long(name):
    return pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])


def help_of(name):
    return inspect.cleandoc(COMMANDS[name].help or "")


def paragraphs(name, begin):
    joined = (" ".join(part.split()) for part in help_of(name).split("\n\n"))
    return [part.removeprefix(begin).strip() for part in joined if part.startswith(begin)]


def examples(name):
    return paragraphs(name, "Example:")


def said_keys(name):
    """What the help lists as keys of the document, and of each of its rows; of a list only those of the rows."""
    words = paragraphs(name, "JSON:")[0].rstrip(".")
    if words.startswith("a list of "):
        return None, words.removeprefix("a list of ").split(", ")
    rows = re.search(r"rows \((.*?)\)", words)
    return re.sub(r" \(.*?\)", "", words).split(", "), rows[1].split(", ") if rows else []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small networks and pictures, and a store with sprites of one layer."""
    folder = tmp_path_factory.mktemp("desk")
    tiny.linear_tail().save(folder / "own.keras")
    cat = Image.open(Path(skimage.data.__file__).parent / "chelsea.png").convert("RGB")
    for place in ("photos", "classes/a", "classes/b", "labelled/0", "labelled/1", "empty"):
        (folder / place).mkdir(parents=True)
    cat.resize((12, 16)).save(folder / "a.png")
    for place in ("photos", "classes/a", "classes/b", "labelled/0", "labelled/1"):
        for number in range(6):
            cat.crop((40 * number, 30 * (place[-1] in "b1"), 40 * number + 120, 150)).save(
                folder / place / f"{number}.png"
            )
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert RUN.invoke(app, WORKS["pregenerate"].split()).exit_code == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def desk(folder, monkeypatch):
    monkeypatch.chdir(folder)
    # What a command adds to the user's zoo is no business of other tests.
    monkeypatch.setenv("DIAMOND_CACHE", str(folder / "cache"))
    return folder


@each_command()
def test_the_help_says_what_it_does_what_each_word_means_and_how_it_is_used(name):
    command = COMMANDS[name]
    first = help_of(name).partition("\n")[0]
    assert first.endswith(".")
    assert len(first) <= 90
    assert [p.name for p in command.params if not getattr(p, "help", None)] == []
    assert examples(name)
    assert all(example.startswith(f"diamond {name}") for example in examples(name))
    assert sum(name in names for names in JOURNEYS.values()) == 1


@each_command()
def test_the_help_is_plain_text_of_80_columns_and_no_example_is_broken(name):
    done = RUN.invoke(app, [name, "--help"], env={"COLUMNS": str(WIDEST)}, prog_name="diamond")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= WIDEST
    assert not BOXES.search(done.stdout)
    assert "\x1b" not in done.stdout
    assert [line.strip() for line in lines if line.strip().startswith("Example:")] == [
        f"Example: {example}" for example in examples(name)
    ]


def test_commands_are_listed_by_journey():
    done = RUN.invoke(app, ["--help"], prog_name="diamond")
    heads = [line.rstrip(":") for line in done.stdout.splitlines() if re.fullmatch(r"[A-Z][\w ]+:", line)]
    assert heads == ["Options", *JOURNEYS]
    assert list(COMMANDS) != ROOT.list_commands(None) == [name for names in JOURNEYS.values() for name in names]
    assert isinstance(ROOT, Commands)


def test_the_version():
    from diamond import __version__

    assert RUN.invoke(app, ["--version"]).stdout == f"diamond {__version__}\n"


@each_command()
def test_a_command_whose_answer_a_program_would_read_has_json_and_says_its_keys(name):
    flags = {flag for parameter in COMMANDS[name].params for flag in parameter.opts}
    assert ("--json" in flags) == (name not in WITHOUT_JSON) == bool(paragraphs(name, "JSON:"))


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_written_small(name):
    """Typer 0.27, which Colab has, takes the word that stands for a value as the option's name where they are alike."""
    flags = [
        flag for parameter in COMMANDS[name].params if parameter.param_type_name == "option" for flag in parameter.opts
    ]
    assert [flag for flag in flags if flag != flag.lower()] == []


@pytest.mark.parametrize("name", [some_take_long(name) for name in sorted(set(COMMANDS) - WITHOUT_JSON)])
def test_json_is_one_document_with_the_keys_that_the_help_says(name, desk):
    done = RUN.invoke(app, [*WORKS[name].split(), "--json"])
    # Random weights are what `check` is there to find.
    assert done.exit_code == (1 if name == "check" else 0), done.stderr

    def refuse(constant):
        raise AssertionError(constant)

    told = json.loads(done.stdout_bytes.decode("utf-8"), parse_constant=refuse)
    document, rows = said_keys(name)
    if document is None:
        assert list(told[0]) == rows
        return
    assert list(told) == document
    if rows:
        assert told["rows"]
        assert set(told["rows"][0]) <= set(rows)
    if "written" in told:
        assert Path(told["written"]).exists()


@pytest.mark.parametrize("name", [some_take_long(name) for name in sorted(WORKS)])
def test_piped_output_has_no_colour_box_or_bar(name, desk):
    done = RUN.invoke(app, WORKS[name].split())
    assert done.exit_code == (1 if name == "check" else 0), done.stderr
    assert not BOXES.search(done.output)
    assert not re.search("[\x1b\r]", done.output)
    assert done.stdout.strip()
    if name != "pregenerate":
        assert [line for line in done.stderr.splitlines() if not line.startswith("diamond: ")] == []


@each_command()
def test_what_cannot_be_done_is_told_in_one_line_with_exit_code_1(name, desk):
    if FAILS[name] is None:
        pytest.skip("nothing is asked of it that could fail")
    line, words = FAILS[name]
    done = RUN.invoke(app, line.split())
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("diamond: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


@each_command()
def test_a_wrong_option_is_exit_code_2_and_the_nearest_is_named(name):
    done = RUN.invoke(app, [name, "--hepl"], prog_name="diamond")
    assert done.exit_code == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("diamond: No such option: --hepl")
    assert "--help" in lines[0]
    assert lines[1].startswith(f"Usage: diamond {name}")
    assert not BOXES.search(done.stderr)


def test_a_wrong_command_is_exit_code_2_and_the_nearest_is_named():
    done = RUN.invoke(app, ["layer", "EfficientNetLite0"], prog_name="diamond")
    assert done.exit_code == 2
    assert done.stderr.startswith("diamond: No such command 'layer'. Did you mean 'layers'?\n")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TypeError("3 is no map"), "diamond: an unexpected TypeError: 3 is no map\nDIAMOND_DEBUG=1 before the command"),
        (KeyError("conv"), "diamond: an unexpected KeyError: conv\n"),
        (ValueError("line one\nline two"), "diamond: an unexpected ValueError: line one\n"),
        (PermissionError(13, "Permission denied", "cat.jpg"), "diamond: [Errno 13] Permission denied: 'cat.jpg'\n"),
    ],
    ids=["type", "key", "lines", "file"],
)
def test_what_nobody_foresaw_is_told_as_such(error, told, capfd):
    with pytest.raises(typer.Exit) as ended, said_to_the_user("check"):
        raise error
    assert ended.value.exit_code == 1
    assert capfd.readouterr().err.startswith(told)


def test_debugging_shows_where_an_error_came_from(capfd, monkeypatch):
    monkeypatch.setenv("DIAMOND_DEBUG", "1")
    with pytest.raises(typer.Exit), said_to_the_user("check"):
        raise TypeError("3 is no map")
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("command", "how"),
    [("merge", "what is finished is kept, the same command goes on"), ("cut", "the same command begins again")],
)
def test_ctrl_c_is_exit_code_130_and_says_how_to_go_on(command, how, capfd):
    with pytest.raises(typer.Exit) as ended, said_to_the_user(command):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capfd.readouterr().err == f"diamond: interrupted; {how}\n"


def shell(*words, **options):
    """Run as from a shell, in a process of its own."""
    code = "import sys; from diamond.cli import app; sys.argv[0] = 'diamond'; app(prog_name='diamond')"
    return subprocess.run([sys.executable, "-c", code, *words], text=True, check=False, **options)


def test_a_reader_that_goes_away_ends_the_command_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    done = shell("models", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_terminal_that_knows_no_unicode_ends_no_command():
    done = shell("models", "--json", capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["name"] == "AlexNet"


def in_a_terminal(*words, **environment):
    """What a command shows in a terminal of 80 columns."""
    import pty

    code = "import sys; from diamond.cli import app; app(sys.argv[1:], prog_name='diamond')"
    inside, outside = pty.openpty()
    own = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=outside,
        stdout=outside,
        stderr=outside,
        env={**own, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **environment},
    ) as running:
        os.close(outside)
        shown = b""
        while True:
            try:
                read = os.read(inside, 65536)
            except OSError:
                break
            if not read:
                break
            shown += read
    os.close(inside)
    return running.returncode, shown.decode("utf-8")


COLOUR = re.compile("\x1b\\[[0-9;]*3[0-9][0-9;]*m")


def test_a_terminal_gets_colour_unless_it_is_not_wanted():
    code, coloured = in_a_terminal("layers", "--help")
    assert code == 0
    assert COLOUR.search(coloured)
    assert BOXES.search(coloured)
    plain = re.sub("\x1b\\[[0-9;]*m", "", coloured)
    assert all(example in plain for example in examples("layers"))
    code, bare = in_a_terminal("layers", "--help", NO_COLOR="1")
    assert code == 0
    assert not COLOUR.search(bare)


@pytest.mark.parametrize("no_color", ["", "1"], ids=["colour", "NO_COLOR"])
def test_an_error_is_red_in_a_terminal_unless_colour_is_not_wanted(no_color):
    code, shown = in_a_terminal("status", "nowhere", NO_COLOR=no_color)
    assert code == 1
    assert "diamond: no store at nowhere" in shown
    assert bool(COLOUR.search(shown)) == (not no_color)


def test_a_table_is_no_wider_than_the_terminal_and_piped_it_is_cut_at_tabs():
    _, shown = in_a_terminal("models", COLUMNS="80")
    table = re.sub("\x1b\\[[0-9;]*m", "", shown[: shown.index("A wider terminal also shows: input")])
    assert max(map(len, table.splitlines())) <= 80
    assert re.search("AlexNet_torchvision +convertible +diamond check AlexNet_torchvision", table)
    rows = [line.split("\t") for line in RUN.invoke(app, ["models"]).stdout.splitlines()]
    assert len({len(row) for row in rows}) == 1
    lite = next(row for row in rows if row[0] == "EfficientNetLite0")
    assert dict(zip(rows[0], lite, strict=True))["parameters"] == "4652008"


def test_help_and_completion_take_a_second_and_no_tensorflow():
    code = (
        "import sys, resource; from typer.testing import CliRunner; from diamond.cli import app\n"
        "run = CliRunner()\n"
        "def used(): u = resource.getrusage(resource.RUSAGE_SELF); return u.ru_utime + u.ru_stime\n"
        "run.invoke(app, ['--help'])\n"
        "env = {'_DIAMOND_COMPLETE': 'complete_bash', 'COMP_WORDS': 'diamond layers Eff', 'COMP_CWORD': '2'}\n"
        "said = run.invoke(app, [], env=env, prog_name='diamond').stdout\n"
        "took = used()\n"
        f"for name in {sorted(COMMANDS)!r}: assert run.invoke(app, [name, '--help']).exit_code == 0\n"
        "print(said.split()[0], took, sorted({'tensorflow', 'keras', 'matplotlib', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, took, imported = done.stdout.split(maxsplit=2)
    assert said == "EfficientNetLite0"
    assert imported.strip() == "[]"
    # Seconds of the processor, half as many on a quiet machine.
    assert float(took) < 2.0


def completed(line, shell_name="bash"):
    """What a shell is offered for the last word of a line."""
    words = line.split(" ")
    protocol = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        "powershell": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_WORD_TO_COMPLETE": words[-1]},
    }[shell_name]
    return RUN.invoke(
        app, [], env={"_DIAMOND_COMPLETE": f"complete_{shell_name}", **protocol}, prog_name="diamond"
    ).stdout


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish", "powershell"])
def test_every_shell_completes_networks(shell_name):
    told = completed("diamond layers EfficientNetL", shell_name)
    assert [f"EfficientNetLite{n}" in told for n in (0, 1, 2)] == [True, True, True]
    assert "AlexNet" not in told


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("diamond lay", ["layers"]),
        ("diamond layers --land", ["--landmarks"]),
        ("diamond check VGG1", ["VGG16", "VGG19"]),
        ("diamond filters EfficientNetLite0 block9", ["block9_add"]),
        ("diamond filters efficientnet-lite0 block9", ["block9_add"]),
        ("diamond cut EfficientNetLite0 data --layers block9_add,block10", ["block9_add,block10_add"]),
        ("diamond attribute EfficientNetLite0 cat.jpg --positive tiger_c", ["tiger_cat"]),
        ("diamond saliency EfficientNetLite0 cat.jpg --target top", ["top1", "top2"]),
        ("diamond render EfficientNetLite0 block9_add 0 --recipe te", ["texture"]),
        ("diamond filters nothing bl", []),
        ("diamond layers own", []),
    ],
)
def test_bash_is_offered(line, offered):
    found = completed(line).split()
    assert found[: len(offered)] == offered
    assert len(found) == len(offered)


def test_a_completed_class_is_one_that_the_network_knows():
    from modelzoo.labels.classes import read_classes

    assert read_classes("imagenet").names[282] == "tiger cat"
    assert read_classes("imagenet").index("tiger_cat") == 282


def test_a_real_bash_completes(tmp_path):
    bash = shutil.which("bash")
    program = Path(sys.executable).with_name("diamond")
    if bash is None or not program.is_file():
        pytest.skip("no bash, or diamond is not installed beside this Python")
    script = (
        'eval "$(_DIAMOND_COMPLETE=source_bash diamond)"\n'
        "COMP_WORDS=(diamond filters EfficientNetLite0 block9); COMP_CWORD=3; COMP_LINE='diamond filters "
        "EfficientNetLite0 block9'\n"
        "$(complete -p diamond | sed 's/.*-F \\([^ ]*\\) .*/\\1/') diamond\n"
        'echo "${COMPREPLY[@]}"'
    )
    own = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run([bash, "--norc", "-c", script], capture_output=True, text=True, env=own, check=False)
    assert (done.stdout, done.stderr) == ("block9_add\n", "")
