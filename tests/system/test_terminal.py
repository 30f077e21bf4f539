"""What a person sees: colour, tables and progress on a terminal, and plain text elsewhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import LEAVES, names_in, run, symbols, write
from pseudo_terminal import Watch, look

import seamir
from seamir import terminal

BAD = "type a = nothing;\nconst B = 1;\nconst B = 2;\n"
TRACK = ("run", "leaves.seam", "TEST.TRACK", "page=4096")
# Commands that print words, each with its exit status.
COMMANDS = [
    (("check", "bad.seam", "many.seam"), 1),
    (("list", "leaves.seam", "many.seam", "--leaf", "TEST.READ"), 0),
    (("list", "many.seam"), 0),
    (("explain", "leaves.seam", "TEST.*"), 0),
    (("explain", "E0304"), 0),
    (("explain", "leaves.seam", "TEST.REED"), 2),
    ((*TRACK, "--script", "BUSY; #UD"), 0),
    (("--version", "--verbose"), 0),
    (("list", "leaves.seam", "--json"), 0),
    (("list", "--help"), 0),
]
IDS = [" ".join(arguments[:2]) for arguments, _ in COMMANDS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a good description, a bad one, and one that gets a warning."""
    write(tmp_path)
    write(tmp_path, "bad.seam", BAD)
    write(tmp_path, "many.seam", LEAVES.replace("retry 9", "retry 20000"))
    return tmp_path


# -- the same words


@pytest.mark.parametrize(("arguments", "status"), COMMANDS, ids=IDS)
def test_a_wide_terminal_shows_the_words_of_a_pipe(
    folder: Path, arguments: tuple[str, ...], status: int
) -> None:
    done = run(*arguments, cwd=folder, env={"COLUMNS": "300"}, status=status)
    seen = look(*arguments, cwd=folder, columns=300, env={"COLUMNS": "300"})
    assert seen.status == status
    assert seen.lines == (done.stderr + done.stdout).rstrip().split("\n")
    assert b"\x1b" not in seen.orders


@pytest.mark.parametrize(("arguments", "status"), COMMANDS, ids=IDS)
def test_a_dumb_terminal_gets_the_bytes_of_a_pipe(
    folder: Path, arguments: tuple[str, ...], status: int
) -> None:
    done = run(*arguments, cwd=folder, status=status)
    seen = look(*arguments, cwd=folder, env={"TERM": "dumb"})
    assert seen.data.decode() == (done.stderr + done.stdout).replace("\n", "\r\n")
    assert seen.data == look(*arguments, cwd=folder, env={"TERM": ""}).data


@pytest.mark.parametrize(("arguments", "status"), COMMANDS, ids=IDS)
def test_no_variable_colours_a_pipe(folder: Path, arguments: tuple[str, ...], status: int) -> None:
    done = run(*arguments, cwd=folder, status=status)
    names = ("FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TTY_COMPATIBLE")
    forced = {"TERM": "xterm-256color", **dict.fromkeys(names, "1")}
    other = run(*arguments, cwd=folder, env=forced, status=status)
    assert (other.stdout, other.stderr) == (done.stdout, done.stderr)
    assert "\x1b" not in done.stdout + done.stderr


def test_each_stream_decides_for_itself(folder: Path) -> None:
    done = run("list", "many.seam", cwd=folder)
    seen = look("list", "many.seam", cwd=folder, piped="stdout")
    assert seen.piped == done.stdout
    assert seen.looks("warning[W0503]:") == {("brown", True)}
    seen = look("list", "many.seam", cwd=folder, piped="stderr")
    assert seen.piped == done.stderr
    assert seen.looks("SYMBOL") == {("default", True)}


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", "leaves.seam"),
        ("check", "many.seam"),
        ("list", "leaves.seam"),
        ("explain", "leaves.seam", "TEST.READ"),
        TRACK,
    ],
)
def test_rich_is_loaded_for_a_terminal_only(folder: Path, arguments: tuple[str, ...]) -> None:
    timing = {"PYTHONPROFILEIMPORTTIME": "1"}
    done = run(*arguments, cwd=folder, env=timing)
    assert "seamir.terminal" in done.stderr
    assert "rich" not in done.stderr
    if arguments[0] != "compile":  # which loads it for progress that lasts
        assert b"rich.text" in look(*arguments, cwd=folder, env=timing).data


# -- colours


def test_the_colours_of_diagnostics(folder: Path) -> None:
    seen = look("check", "bad.seam", "many.seam", cwd=folder)
    red, yellow, cyan = {("red", True)}, {("brown", True)}, {("cyan", True)}
    assert seen.looks("bad.seam:1:10: ") == {("default", True)}
    assert seen.looks("error[E0201]:") == red
    assert seen.looks("^^^^^^^") == red
    assert seen.looks("    1 |") == {("blue", False)}
    assert seen.looks("type a = nothing;") == {("default", False)}
    assert seen.looks("note:") == cyan
    assert seen.looks("warning[W0503]:") == yellow
    assert seen.looks("^" * len("retry 20000 on BUSY;")) == yellow
    notes = [line for line in seen.lines if line.endswith("      ^")]
    assert len(notes) == 2  # of the error, and of its note
    seen = look("check", "bad.seam", "nowhere.seam", cwd=folder)
    assert seen.looks("seamir: ") == {("default", True)}
    assert seen.looks("help:") == {("green", True)}


def test_the_colours_of_an_explanation(folder: Path) -> None:
    seen = look("explain", "leaves.seam", "TEST.REMOVE", cwd=folder, columns=200)
    assert seen.looks("test_remove") == {("default", True)}
    assert seen.looks("Operands and outputs") == {("default", True)}
    assert seen.looks("rax[15:0]") == {("cyan", False), ("default", False)}
    assert seen.looks("0000") == {("brightblack", False)}
    assert seen.looks("leaves.seam:20") == {("brightblack", False)}
    assert seen.looks("rdx[2:0] = level;") == {("green", False)}
    seen = look("explain", "tdx/host.seam", "TDH.MEM.TRACK", cwd=folder)
    assert seen.looks("TDX_SEAMCALL_VMFAILINVALID") == {("magenta", False)}
    seen = look("explain", "E0304", cwd=folder)
    assert seen.looks("# E0304: a value may not fit its bits") == {("default", True)}
    assert seen.looks("    rcx[51:12] = gpa;") == {("green", False)}


def test_the_colours_of_a_run(folder: Path) -> None:
    seen = look(*TRACK, "--script", "BUSY; #UD", cwd=folder)
    assert seen.looks("test_track") == {("default", True)}
    assert seen.looks("attempt 1") == {("default", True)}
    assert seen.looks("rcx") == {("cyan", False)}
    assert seen.looks("an error") == {("brown", True)}
    assert seen.looks("again") == {("cyan", True)}
    assert seen.looks("fault #UD") == {("red", True)}
    assert look(*TRACK, cwd=folder).looks("success") == {("green", False)}


def test_every_group_of_an_expression_has_a_style() -> None:
    kinds = (terminal.DIAGNOSTICS, terminal.EXPLANATION, terminal.RUN, terminal.PAGE)
    used = {name for kind in kinds for one in kind for name in re.compile(one).groupindex}
    assert used | {"symbol"} == set(terminal.STYLES)


def test_no_color(folder: Path) -> None:
    for arguments in (("list", "many.seam"), ("explain", "leaves.seam", "TEST.READ"), TRACK):
        with_colours = look(*arguments, cwd=folder, columns=70, env={"NO_COLOR": ""})
        assert with_colours.has_colours
        for value in ("1", "0"):
            seen = look(*arguments, cwd=folder, columns=70, env={"NO_COLOR": value})
            assert b"\x1b" not in seen.data
            assert seen.lines == with_colours.lines


# -- tables

FOLDED = """\
SYMBOL       LEAF         NUMBER  VERSION  CONDUIT  ATTEMPTS  ARGUMENTS
test_remove  TEST.REMOVE      29        0  call            1  page, level, *first,
                                                              *second
test_read    TEST.READ        11        0  call            1  field, *data
test_track   TEST.TRACK       38        0  call           10  page
"""
PARAGRAPHS = """\
test_remove
    leaf TEST.REMOVE, number 29, version
    0, conduit call, attempts 1
    arguments page, level, *first,
    *second
test_read
    leaf TEST.READ, number 11, version
    0, conduit call, attempts 1
    arguments field, *data
test_track
    leaf TEST.TRACK, number 38, version
    0, conduit call, attempts 10
    arguments page
"""


@pytest.mark.parametrize(("columns", "table"), [(88, FOLDED), (40, PARAGRAPHS)])
def test_a_list_fits_the_terminal(folder: Path, columns: int, table: str) -> None:
    seen = look("list", "leaves.seam", cwd=folder, columns=columns)
    assert seen.lines == table.rstrip().split("\n")
    assert seen.looks("test_read") == {("default", True)}


def test_an_empty_list(folder: Path) -> None:
    arguments = ("list", "leaves.seam", "--effect", "global")
    assert look(*arguments, cwd=folder, columns=100).lines == [LIST_HEAD]
    assert look(*arguments, cwd=folder, columns=30).lines == [""]


LIST_HEAD = "SYMBOL  LEAF  NUMBER  VERSION  CONDUIT  ATTEMPTS  ARGUMENTS"


def cells_of(folder: Path, *arguments: str) -> list[list[str]]:
    """The cells of a list as a pipe gets it, its head first."""
    lines = run(*arguments, cwd=folder).stdout.splitlines()
    return [re.split(" {2,}", line) for line in lines]


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_a_narrow_terminal_loses_nothing(tmp_path: Path, columns: int) -> None:
    head, *rows = cells_of(tmp_path, "list", "tdx/guest.seam")
    seen = look("list", "tdx/guest.seam", cwd=tmp_path, columns=columns)
    assert max(len(line) for line in seen.orders.decode().splitlines()) <= columns
    words = [
        row[0]
        + ",".join(
            f"{name.lower()}{cell}" for name, cell in zip(head[1:-1], row[1:-1], strict=True)
        )
        + f"{head[-1].lower()}{row[-1]}"
        for row in rows
    ]
    assert "".join("".join(seen.lines).split()) == "".join("".join(words).split())


@pytest.mark.parametrize("columns", [122, 140, 400])
def test_a_table_loses_nothing(tmp_path: Path, columns: int) -> None:
    head, *rows = cells_of(tmp_path, "list", "tdx/guest.seam")
    seen = look("list", "tdx/guest.seam", cwd=tmp_path, columns=columns)
    assert max(len(line) for line in seen.orders.decode().splitlines()) <= columns
    start = seen.lines[0].index(head[-1])
    table = "\n".join(seen.lines[1:])
    for row in rows:
        lines = re.findall(rf"(?m)^{row[0]} .*\n(?: .*\n?)*|^{row[0]} .*$", table)[0].splitlines()
        assert lines[0][:start].split() == row[:-1]
        assert " ".join(line[start:].strip() for line in lines) == row[-1]


def test_a_name_wider_than_its_column_is_folded(tmp_path: Path) -> None:
    name = "a_name_that_is_longer_than_the_column"
    write(tmp_path, text=LEAVES.replace("field", name))
    seen = look("list", "leaves.seam", "--leaf", "TEST.READ", cwd=tmp_path, columns=88)
    start = seen.lines[0].index("ARGUMENTS")
    assert "".join(line[start:] for line in seen.lines[1:]) == f"{name}, *data"


def test_a_terminal_that_does_not_say_how_wide_it_is(folder: Path) -> None:
    seen = look("list", "leaves.seam", cwd=folder, columns=0)
    assert seen.data == look("list", "leaves.seam", cwd=folder, columns=80).data


# -- strangers

HOSTILE = "[red]x[/] [link=http://x]y[/link] [bold :smile: \\[b] [/nothing]"


def test_no_description_drives_the_terminal(tmp_path: Path) -> None:
    write(tmp_path, text=LEAVES.replace("Reads a field", f"Reads {HOSTILE}"))
    done = run("explain", "leaves.seam", "TEST.READ", cwd=tmp_path)
    assert "[red]x[/] [link=http://x]y[/link] [bold :smile: \\[b] [/nothing]" in done.stdout
    seen = look("explain", "leaves.seam", "TEST.READ", cwd=tmp_path, columns=300)
    assert seen.lines == done.stdout.rstrip().split("\n")
    assert b"\x1b" not in seen.orders


NAME = "\x1b[31m\x1b]0;title\x07[red]\x9b2J\r.seam"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", f"bad{NAME}"),
        ("check", f"none{NAME}"),
        ("list", f"many{NAME}"),
        ("list", NAME, "--reads", NAME),
        ("explain", NAME, "TEST.READ"),
        ("explain", NAME),
        ("explain", "\x1b[31mX"),
        ("compile", NAME, "-o", f"bad{NAME}"),
        ("compile", NAME, "--leaf", NAME),
        ("run", NAME, "TEST.READ", f"{NAME}=5"),
    ],
)
def test_no_name_drives_the_terminal(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write(tmp_path, NAME)
    write(tmp_path, f"many{NAME}", LEAVES.replace("retry 9", "retry 20000"))
    write(tmp_path, f"bad{NAME}", f"type a = no; // {HOSTILE}\n")
    seen = look(*arguments, cwd=tmp_path, columns=300, env={"MAKELEVEL": "1"})
    assert seen.status in (0, 1, 2)
    text = seen.orders.decode()
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", text)
    assert text.count("\r") == text.count("\n")


def test_no_name_drives_the_terminal_through_progress(tmp_path: Path) -> None:
    write(tmp_path, NAME)

    def watch(data: bytes, _process: subprocess.Popen[bytes], _terminal: int) -> None:
        if b"generating" in data:
            (tmp_path / "go").touch()

    seen = look("compile", NAME, cwd=tmp_path, before=SLOW, watch=watch)
    assert seen.status == 0
    assert "[31m\ufffd]0;title\ufffd[red]\ufffd2J\ufffd.o" in seen.data.decode()
    assert not re.search("[\x07\x9b]", seen.data.decode())
    assert seen.lines == [""]


# -- progress

# Waits in the middle until there is a file `go`; the line comes at once.
SLOW = """
import os, time, seamir.outputs, seamir.progress
seamir.progress.DELAY = 0
module = seamir.outputs.EmitContext.module
def slow(*arguments):
    while not os.path.exists("go"): time.sleep(0.01)
    return module(*arguments)
seamir.outputs.EmitContext.module = slow
"""
LINE = b"generating leaves.o"


def let_go(folder: Path) -> Watch:
    """Lets the compilation go on once the line is there."""

    def watch(data: bytes, _process: subprocess.Popen[bytes], _terminal: int) -> None:
        if LINE in data:
            (folder / "go").touch()

    return watch


def test_progress_is_shown_and_gone_at_the_end(folder: Path) -> None:
    seen = look("compile", "leaves.seam", cwd=folder, before=SLOW, watch=let_go(folder))
    assert seen.status == 0
    assert LINE in seen.data
    assert seen.lines == [""]
    assert (seen.screen.cursor.x, seen.screen.cursor.hidden) == (0, False)
    assert b"\x1b[?25l" not in seen.data  # a killed process could not show the cursor again
    assert symbols(folder / "leaves.o") == ["test_remove", "test_read", "test_track"]


def test_progress_has_no_colours_without_colours(folder: Path) -> None:
    seen = look("compile", "leaves.seam", cwd=folder, before=SLOW, watch=let_go(folder),
                env={"NO_COLOR": "1"})  # fmt: skip
    assert LINE in seen.data
    assert not seen.has_colours
    assert seen.lines == [""]


def test_what_is_said_after_progress_stands_alone(folder: Path) -> None:
    arguments = ("compile", "leaves.seam", "many.seam", "--symbol-prefix", "x")
    done = run(*arguments, cwd=folder, status=1)
    assert "E0208" in done.stderr
    seen = look(*arguments, cwd=folder, before=SLOW, watch=let_go(folder), columns=300)
    assert seen.status == 1
    assert LINE in seen.data
    assert seen.lines == done.stderr.rstrip().split("\n")


def test_an_interrupt_leaves_a_clean_terminal(folder: Path) -> None:
    sent: list[int] = []

    def interrupt(data: bytes, process: subprocess.Popen[bytes], _terminal: int) -> None:
        if LINE in data and not sent:
            sent.append(signal.SIGINT)
            process.send_signal(signal.SIGINT)

    seen = look("compile", "leaves.seam", cwd=folder, before=SLOW, watch=interrupt)
    assert seen.status == 130
    assert seen.lines == ["", "seamir: interrupted"]  # the first line is for the ^C of the terminal
    assert not seen.screen.cursor.hidden
    assert "leaves.o" not in names_in(folder)


def test_a_terminal_that_goes_away_does_not_stop_a_compilation(folder: Path) -> None:
    def close(data: bytes, _process: subprocess.Popen[bytes], terminal: int) -> None:
        if LINE in data:
            os.close(terminal)
            (folder / "go").touch()

    seen = look("compile", "leaves.seam", cwd=folder, before=SLOW, watch=close)
    assert seen.status == 0
    assert symbols(folder / "leaves.o") == ["test_remove", "test_read", "test_track"]


NO_DELAY = SLOW.replace("not os.path.exists", "os.path.exists")


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        (NO_DELAY.replace("DELAY = 0", "DELAY = 1000"), {}),
        (NO_DELAY, {"MAKELEVEL": "1"}),
        (NO_DELAY, {"TERM": "dumb"}),
    ],
)
def test_no_progress(folder: Path, before: str, changes: dict[str, str]) -> None:
    """If it does not take long, under make, and where a line cannot be taken back."""
    seen = look("compile", "leaves.seam", cwd=folder, before=before, env=changes)
    assert (seen.status, seen.data) == (0, b"")


def test_no_progress_in_pipes(folder: Path) -> None:
    assert run("compile", "leaves.seam", cwd=folder, before=NO_DELAY).stderr == ""
    seen = look("compile", "leaves.seam", cwd=folder, before=NO_DELAY, piped="stderr")
    assert (seen.data, seen.piped) == (b"", "")


def test_progress_says_how_many_functions_are_done(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    program = seamir.load(folder / "leaves.seam")
    seamir.compile(program, emit=("header",), progress=lambda *what: told.append(what))
    name = program.main.name
    lowering = [(f"lowering {name}", number, 3) for number in range(3)]
    assert told == [(f"checking {name}", 0, 0), *lowering, ("generating leaves.h", 0, 0)]
