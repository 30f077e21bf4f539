"""Completion in shells: what is offered at each place, and the scripts in the shells themselves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import tools
from command_line import LEAVES, ROOT, environment, run, write

from seamir.completion.shells import SHELLS

LIBRARY = sorted(f"tdx/{path.name}" for path in (ROOT / "seamir/leaves/tdx").glob("*.seam"))
CONDUITS = """\
conduit left { instruction seamcall "66 0f 01 cf"; }
conduit leftmost extends left { }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two descriptions, some other files, and a folder for -I."""
    write(tmp_path)
    write(tmp_path, "lower/more of it.seam", CONDUITS)
    write(tmp_path, "vendor/maker/special.seam", LEAVES)
    write(tmp_path, ".hidden.seam", LEAVES)
    write(tmp_path, "leaves.c", "")
    return tmp_path


def protocol(shell: str, words: list[str]) -> dict[str, str]:
    """The environment in which a shell's script asks for the last word."""
    current = words[-1] if shell == "fish" else str(len(words) - 1)
    line = "\n".join(words)
    return {"_SEAMIR_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_CWORD": current}


def offered(*words: str, cwd: Path, before: str = "") -> list[str]:
    """What is offered for the last word, which may be empty; nothing may be said besides."""
    done = run(cwd=cwd, env=protocol("bash", ["seamir", *words]), before=before)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


# -- what is offered


def test_files_of_the_folder_and_of_the_library(folder: Path) -> None:
    assert offered("compile", "", cwd=folder) == ["leaves.seam", "lower/", "vendor/", "tdx/"]
    assert offered("check", "le", cwd=folder) == ["leaves.seam"]
    assert offered("list", "tdx/", cwd=folder) == LIBRARY
    assert offered("explain", "tdx/ho", cwd=folder) == ["tdx/host.seam"]
    assert offered("run", "leaves.seam/", cwd=folder) == []
    assert offered("compile", "lower/", cwd=folder) == ["lower/more of it.seam"]
    assert offered("compile", f"{folder}/lo", cwd=folder) == [f"{folder}/lower/"]
    assert offered("compile", ".h", cwd=folder) == [".hidden.seam"]
    assert offered("compile", "./l", cwd=folder) == ["./leaves.seam", "./lower/"]
    assert offered("compile", "../", cwd=folder / "lower") == [
        "../leaves.seam",
        "../lower/",
        "../vendor/",
    ]
    assert offered("compile", "-I", "vendor", "ma", cwd=folder) == ["maker/"]
    assert offered("compile", "-I", "vendor", "maker/", cwd=folder) == ["maker/special.seam"]


def test_objects(folder: Path) -> None:
    for name in ("one.o", "two.obj", "three.txt"):
        (folder / name).touch()
    assert offered("verify", "--object", "o", cwd=folder) == ["one.o"]
    assert offered("verify", "--object", "t", cwd=folder) == ["two.obj"]


def test_files_of_the_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert offered("check", "~/lea", cwd=folder / "lower") == ["~/leaves.seam"]


def test_a_second_file_of_the_same_name_is_offered_once(folder: Path) -> None:
    write(folder, "tdx/host.seam")
    assert offered("check", "tdx/ho", cwd=folder) == ["tdx/host.seam"]


def test_codes(folder: Path) -> None:
    codes = offered("explain", "E030", cwd=folder)
    assert codes == sorted(codes)
    assert "E0304" in codes
    assert all((ROOT / f"docs/errors/{code}.md").exists() for code in codes)
    warnings = sorted(path.stem for path in (ROOT / "docs/errors").glob("W*.md"))
    assert offered("explain", "W", cwd=folder) == warnings
    assert offered("check", "E030", cwd=folder) == []


def test_leaves_and_symbols(folder: Path) -> None:
    leaves = ["TEST.REMOVE", "TEST.READ", "TEST.TRACK"]
    assert offered("explain", "leaves.seam", "", cwd=folder) == leaves
    assert offered("explain", "leaves.seam", "test_re", cwd=folder) == ["test_remove", "test_read"]
    assert offered("run", "tdx/host.seam", "TDH.MEM.T", cwd=folder) == ["TDH.MEM.TRACK"]
    assert offered("list", "leaves.seam", "--leaf", "TEST.T", cwd=folder) == ["TEST.TRACK"]
    compat = offered("run", "tdx/linux_compat.seam", "tdh_mem_page_rem", cwd=folder)
    assert compat == ["tdh_mem_page_remove"]
    assert offered("explain", "nothing.seam", "", cwd=folder) == []


def test_leaves_of_a_file_in_the_middle_of_a_change(folder: Path) -> None:
    write(folder, "begun.seam", LEAVES + "leaf TEST.NEXT = via (")
    assert offered("explain", "begun.seam", "TEST.N", cwd=folder) == ["TEST.NEXT"]


def test_values_for_run(folder: Path) -> None:
    words = ["run", "leaves.seam", "TEST.REMOVE"]
    assert offered(*words, "", cwd=folder) == ["page=", "level="]
    assert offered(*words, "page=1", "", cwd=folder) == ["level="]
    assert offered(*words, "l", cwd=folder) == ["level="]
    write(folder, text="leaf")
    assert offered(*words, "", cwd=folder) == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["comp"], ["compile", "completion"]),
        (["--ver"], ["--version", "--verbose"]),
        (["compile", "--sym"], ["--symbol-prefix"]),
        (["compile", "--target", "linux-k"], ["linux-kernel"]),
        (["explain", "--target", "=", "linux-u"], ["linux-user"]),
        (["compile", "--emit", "obj,ma"], ["obj,manifest"]),
        (["compile", "--emit", "header,h"], []),
        (["compile", "--feature", "+ib"], ["+ibt"]),
        (["compile", "--feature", "+ibt,-re"], ["+ibt,-rethunk", "+ibt,-redzone"]),
        (["compile", "--asm-style", ""], ["gnu", "linux"]),
        (["compile", "--deliver", ""], ["pointers", "struct", "register"]),
        (["compile", "--conduit", "seamcall_"], ["seamcall_preserving="]),
        (["compile", "lower/more of it.seam", "--conduit", "lef"], ["left=", "leftmost="]),
        (["compile", "--conduit", "seamcall", "=", "seamcall_"], ["seamcall_preserving"]),
        (["list", "--via", "pse"], ["pseamldr"]),
        (["list", "--reads", "r1"], ["r10", "r11", "r12", "r13", "r14", "r15"]),
        (["list", "--effect", "n"], ["none"]),
        (["ver"], ["verify"]),
        (["verify", "--ti"], ["--timeout"]),
        (["verify", "--target", "ue"], ["uefi"]),
        (["completion", ""], list(SHELLS)),
    ],
)
def test_words(folder: Path, words: list[str], found: list[str]) -> None:
    quoted = [f"'{word}'" if " " in word else word for word in words]
    assert offered(*quoted, cwd=folder) == found


@pytest.mark.parametrize(
    "words",
    [
        ["bogus", ""],
        ["compile", "--bogus", "x", "tdx/ho"],
        ["compile", "no/such/folder/"],
        ["compile", "--target", "nonsense"],
        ["explain", "lower", "X"],
        ["explain", "/dev/null", "X"],
        ["explain", "E9999", "X"],
        ["run", "leaves.seam", "NOTHING", ""],
        ["compile", "'an open quote"],
        ["compile", "\udcff"],
    ],
)
def test_it_never_complains(folder: Path, words: list[str]) -> None:
    offered(*words, cwd=folder)


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.seam")
    assert offered("explain", "pipe.seam", "", cwd=folder) == []


def test_it_does_not_load_llvm(folder: Path) -> None:
    without = "sys.modules.update({'llvmlite': None, 'iced_x86': None, 'elftools': None})"
    assert offered("compile", "tdx/ho", cwd=folder, before=without) == ["tdx/host.seam"]
    words = ["run", "leaves.seam", "TEST.READ", ""]
    assert offered(*words, cwd=folder, before=without) == ["field="]
    assert run("completion", "bash", cwd=folder, before=without).stdout.startswith("# Completion")


# -- the scripts


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script(tmp_path: Path, shell: str) -> None:
    script = (ROOT / f"seamir/completion/seamir.{shell}").read_text(encoding="utf-8")
    assert run("completion", shell, cwd=tmp_path).stdout == script
    asked = {"_SEAMIR_COMPLETE": f"{shell}_source"}
    assert run(cwd=tmp_path, env=asked).stdout.rstrip() == script.rstrip()


def test_another_shell(tmp_path: Path) -> None:
    assert "'tcsh' is not one of" in run("completion", "tcsh", cwd=tmp_path, status=2).stderr
    assert run(cwd=tmp_path, env={"_SEAMIR_COMPLETE": "tcsh_complete"}, status=1).stdout == ""


@pytest.fixture
def command(folder: Path) -> Path:
    """The folder, with a command `seamir` in it."""
    path = folder / "seamir"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seamir "$@"\n')
    path.chmod(0o755)
    return folder


def shell_says(shell: str, program: str, *words: str, cwd: Path) -> list[str]:
    """The lines that a program in a shell's language prints; skips where there is no such shell."""
    tools.need(shell)
    options = {"bash": ["--norc", "-c"], "zsh": ["-f", "-c"], "fish": ["--no-config", "-c"]}
    arguments = [*options[shell], program, *(["shell"] if shell != "fish" else []), *words]
    env = environment({"PATH": f"{cwd}:{os.environ['PATH']}"})
    done = tools.run(shell, *arguments, cwd=cwd, env=env)
    assert done.stderr == ""
    return done.stdout.splitlines()


# What bash itself does with the words: the function is called as for a tabulator. compopt works
# in a completion only, so it is replaced.
BASH = """
source <(seamir completion bash)
complete -p seamir
compopt() { echo "$1" "$2"; }
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_seamir_completion seamir
printf '[%s]\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["compile", "tdx/ho"], ["-o filenames", "[tdx/host.seam]"]),
        (["compile", "lo"], ["-o filenames", "-o nospace", "[lower/]"]),
        (["compile", "lower/"], ["-o filenames", "[lower/more of it.seam]"]),
        (["compile", "--emit", "obj,he"], ["[obj,header]"]),
        (["compile", "--conduit", "seamcall_"], ["-o nospace", "[seamcall_preserving=]"]),
        (["compile", "--conduit", "seamcall", "=", "tdc"], ["[tdcall]"]),
        (["compile", "--conduit", "tdvmcall_raw", "="], None),
        (["compile", "-o", ""], ["-o dirnames", "[]"]),
        (["compile", "--depfile", ""], ["-o default", "[]"]),
        (["explain", "leaves.seam", "TEST.R"], ["[TEST.REMOVE]", "[TEST.READ]"]),
        (["list", "--since", "1"], ["[]"]),
    ],
)
def test_bash(command: Path, words: list[str], lines: list[str] | None) -> None:
    registered, *found = shell_says("bash", BASH, "seamir", *words, cwd=command)
    assert registered == "complete -o nosort -F _seamir_completion seamir"
    if lines is None:  # what may follow NAME=
        assert {"[seamcall]", "[tdvmcall]"} < set(found)
    else:
        assert found == lines


# The same for zsh, whose compadd and _path_files work in a completion only.
ZSH = """
compdef() { print -r -- "compdef $*" }
compadd() { print -r -- "$*"; print -rl -- "${(P@)@[-1]}" }
_path_files() { print -r -- "files $*" }
source <(seamir completion zsh)
words=("$@") CURRENT=$#
_seamir
true
"""
WHOLE = "-U -V seamir -l -d shown -a whole"
BEGUN = "-U -S  -a begun"


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["compile", "tdx/ho"], [WHOLE, "tdx/host.seam"]),
        (["compile", "l"], [BEGUN, "lower/", WHOLE, "leaves.seam"]),
        (["compile", "--emit", "obj,he"], [WHOLE, "obj,header"]),
        (["compile", "--conduit", "seamcall=tdc"], [WHOLE, "seamcall=tdcall"]),
        (["compile", "-o", ""], ["files -/"]),
        (["compile", "--depfile", ""], ["files "]),
        (["explain", "leaves.seam", "TEST.R"], [WHOLE, "TEST.REMOVE", "TEST.READ"]),
        (["list", "--since", "1"], []),
    ],
)
def test_zsh(command: Path, words: list[str], lines: list[str]) -> None:
    assert shell_says("zsh", ZSH, "seamir", *words, cwd=command) == [
        "compdef _seamir seamir",
        *lines,
    ]


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("compile tdx/ho", ["tdx/host.seam"]),
        ("compile l", ["leaves.seam", "lower/"]),
        ("compile --emit obj,he", ["obj,header"]),
        ("compile --conduit seamcall=tdc", ["seamcall=tdcall"]),
        ("compile -o lo", ["lower/\tDirectory"]),
        ("compile --depfile leaves.c", ["leaves.c"]),
        ("explain leaves.seam TEST.T", ["TEST.TRACK"]),
        ("comple", ["completion\tPrint the script that makes SHELL complete..."]),
        ("list --since 1", []),
    ],
)
def test_fish(command: Path, line: str, lines: list[str]) -> None:
    program = f"seamir completion fish | source; complete --do-complete 'seamir {line}'"
    assert shell_says("fish", program, cwd=command) == lines
