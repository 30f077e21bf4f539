"""A wrapper in gdb: where a process stopped, what called it, its variables and its source."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from command_line import ROOT, call
from descriptions import LIBRARY
from documented_examples import code_blocks
from tools import need, run

import seamir
from seamir.syntax.files import library_folder

DESCRIPTION = """\
import "tdx/conduits.seam";
import "tdx/types.seam";

leaf TDH.MEM.PAGE.REMOVE = 29 via seamcall
    (tdr: hpa, gpa: gpa, level: sept_level)
    -> (ext_err1: u64 = rcx, ext_err2: u64 = rdx)
{
    rcx = gpa | level;
    rdx = tdr;
}
wrapper remove_page = TDH.MEM.PAGE.REMOVE {
    retry 9  on TDX_RND_NO_ENTROPY;
    retry 16 on TDX_OPERAND_BUSY(SEPT_TREE);
    deliver struct removed_page;
}
wrapper remove_once = TDH.MEM.PAGE.REMOVE { }
"""
PROGRAM = """\
#include "pages.h"

int main(int count, char **words)
{
	struct removed_page removed = {0};
	u64 first = 0, second = 0;

	(void)words;
	if (count > 1)
		return (int)remove_page(0x1000, 0x2000, 1, &removed) + (int)removed.ext_err1;
	return (int)remove_once(0x1000, 0x2000, 1, &first, &second) + (int)first;
}
"""
CALLED = DESCRIPTION.split("\n").index("wrapper remove_once = TDH.MEM.PAGE.REMOVE { }") + 1
RETRIED = DESCRIPTION.split("\n").index("wrapper remove_page = TDH.MEM.PAGE.REMOVE {") + 1
# Steps over the instruction as if it had returned, with values in the output registers.
ANSWER = (
    "handle SIGILL SIGSEGV nopass",
    "set var $rax = 0",
    "set var $rcx = 0x11",
    "set var $rdx = 0x22",
    "set var $eflags = $eflags & ~1",
    "set var $pc = $pc + 4",
    "stepi",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that calls the wrappers, beside its sources."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "pages.seam").write_text(DESCRIPTION)
    (folder / "main.c").write_text(PROGRAM)
    build(folder)
    return folder


def build(folder: Path, *options: str) -> None:
    need("gcc")
    call(
        "compile",
        "pages.seam",
        "--target",
        "linux-user",
        "--emit",
        "obj,header",
        *options,
        cwd=folder,
    )
    run("gcc", "-g", "-O2", "main.c", "pages.o", "-o", "main", cwd=folder)


def gdb(folder: Path, *commands: str, arguments: tuple[str, ...] = ()) -> str:
    """What gdb says to some commands about the program."""
    need("gdb")
    line = ["gdb", "-batch", "-nx", "-ex", "set width 0", "-ex", "set debuginfod enabled off"]
    for command in commands:
        line += ["-ex", command]
    made = run(*line, "--args", "./main", *arguments, cwd=folder)
    assert "warning" not in made.stderr, made.stderr
    return made.stdout + made.stderr


def test_a_process_stopped_at_the_instruction(folder: Path) -> None:
    text = gdb(folder, "run", "bt", "info args", "x/i $pc")
    assert re.search("received signal SIG(ILL|SEGV)", text)
    arguments = r"\(tdr=.*4096, gpa=.*8192, level=.*1, ext_err1=.*0x\w+, ext_err2=.*0x\w+\)"
    assert re.search(rf"#0 .* remove_once {arguments} at pages\.seam:{CALLED}\n", text)
    assert re.search(r"#1 .* main \(.*\) at main\.c:11\n", text)
    assert re.search(r"^tdr = 4096\ngpa = 8192\nlevel = 1\next_err1 = 0x\w+\n", text, re.MULTILINE)
    assert re.search(r"=> .*<remove_once\+\d+>:\tseamcall", text)


def test_in_a_loop_of_attempts_callee_saved_registers_are_found(folder: Path) -> None:
    text = gdb(folder, "run", "bt", "info locals", "up", "info frame", arguments=("again",))
    assert re.search(rf"#0 .* remove_page \(.*out=.*0x\w+\) at pages\.seam:{RETRIED}\n", text)
    assert re.search(r"#1 .* main \(.*\) at main\.c:10\n", text)
    assert "retries_1 = 0\nretries_2 = 0\n" in text


def test_list_shows_the_description(folder: Path) -> None:
    text = gdb(folder, "run", "list", "list remove_page")
    lines = DESCRIPTION.split("\n")
    for number in (CALLED, RETRIED):
        assert f"{number}\t{lines[number - 1]}\n" in text


def test_the_scope_lists_all_variables(folder: Path) -> None:
    text = gdb(folder, "info scope remove_page", "info scope remove_once")
    retried, _, once = text.partition("Scope for remove_once")
    found = re.findall(r"^Symbol (\w+) is ", retried, re.MULTILINE)
    arguments = ["tdr", "gpa", "level", "out"]
    assert found[:4] == arguments
    assert set(found[4:]) == {
        "status", "trapnr", "ext_err1", "ext_err2", "retries_1", "retries_2",
    }  # fmt: skip
    found = re.findall(r"^Symbol (\w+) is ", once, re.MULTILINE)
    assert found[:5] == ["tdr", "gpa", "level", "ext_err1", "ext_err2"]
    assert set(found[5:]) == {"status", "trapnr", "ext_err1_value", "ext_err2_value"}
    assert "optimized out" not in text
    assert re.search(r"Symbol tdr is .*\$rdi", text)


def test_outputs_are_in_their_registers_after_the_call(folder: Path) -> None:
    text = gdb(folder, "run", *ANSWER, "info locals", "print *ext_err1", "finish")
    assert "status = 0\n" in text
    assert "ext_err1_value = 17\next_err2_value = 34\n" in text
    assert "Value returned is $2 = 0\n" in text


def test_types_are_those_of_the_header(folder: Path) -> None:
    text = gdb(
        folder,
        "whatis remove_page",
        "list remove_page",
        "ptype struct removed_page",
        "whatis hpa_t",
        "ptype hpa_t",
    )
    assert "type = u64 (hpa_t, gpa_t, u32, struct removed_page *)\n" in text
    assert "type = struct removed_page {\n    u64 ext_err1;\n    u64 ext_err2;\n}\n" in text
    assert "type = u64\ntype = unsigned long\n" in text


def test_a_breakpoint_at_a_line(folder: Path) -> None:
    text = gdb(folder, f"break pages.seam:{CALLED}", "run", "bt", "info breakpoints")
    assert re.search(rf"^Breakpoint 1, .*remove_once .* at pages\.seam:{CALLED}\n", text, re.M)
    assert "breakpoint already hit 1 time" in text
    # A clause, and the carry edge of both, in a file of the library.
    text = gdb(folder, f"break pages.seam:{RETRIED + 1}", "break tdx/conduits.seam:21")
    assert re.search(rf"Breakpoint 1 at 0x\w+: file pages\.seam, line {RETRIED + 1}\.", text)
    assert re.search(r"Breakpoint 2 at 0x\w+: tdx/conduits\.seam:21\. \(2 locations\)", text)


# -- names of files


def strings_of(data: bytes) -> list[bytes]:
    return re.findall(rb"[\x20-\x7e]{4,}", data)


@pytest.mark.parametrize("name", LIBRARY)
def test_no_object_has_an_absolute_path(name: str) -> None:
    program = seamir.load(name, allow_calls=["kvm_spurious_fault"])
    data = seamir.compile(program).outputs["obj"].data
    assert not [text for text in strings_of(data) if text.startswith(b"/")]
    assert bytes(library_folder()) not in data


def test_an_object_of_a_named_path_has_no_absolute_path(folder: Path) -> None:
    program = seamir.load(folder / "pages.seam")
    data = seamir.compile(program).outputs["obj"].data
    assert bytes(folder) not in data
    assert b"pages.seam" in data


def test_mapped_names_are_found_from_anywhere(folder: Path, tmp_path: Path) -> None:
    for file in ("pages.seam", "main.c"):
        shutil.copy(folder / file, tmp_path)
    library = f"tdx={library_folder() / 'tdx'}"
    build(tmp_path, "--debug-prefix-map", f"={folder}/", "--debug-prefix-map", library)
    (tmp_path / "pages.seam").unlink()
    text = gdb(tmp_path, "list remove_page", f"list {library_folder()}/tdx/conduits.seam:21")
    assert f"{RETRIED}\t{DESCRIPTION.splitlines()[RETRIED - 1]}\n" in text
    conduits = (library_folder() / "tdx" / "conduits.seam").read_text().splitlines()
    assert f"21\t{conduits[20]}\n" in text


def test_the_library_is_found_by_its_folder(folder: Path) -> None:
    text = gdb(folder, f"directory {library_folder()}", "list conduits.seam:21")
    conduits = (library_folder() / "tdx" / "conduits.seam").read_text().splitlines()
    assert f"21\t{conduits[20]}\n" in text


# -- the session in the documentation

PAGE = ROOT / "docs" / "debugging.md"


def test_the_session_of_the_documentation(tmp_path: Path) -> None:
    """Every line that it shows is there, in that order; addresses differ."""
    (tmp_path / "pages.seam").write_text(code_blocks(PAGE, "seam")[0])
    (tmp_path / "main.c").write_text(code_blocks(PAGE, "c")[0])
    build(tmp_path)
    page = PAGE.read_text()
    session = page[page.index("(gdb) run") : page.index("## Variables")]
    commands = re.findall(r"^\(gdb\) (.*)$", session, re.MULTILINE)
    assert len(commands) > 10
    text = re.sub("0x[0-9a-f]+", "0x", gdb(tmp_path, *commands)).splitlines()
    for line in re.findall(
        r"^(?:[#\d]|tdr|ext|retries|status|Symbol|  Range|Value).*$", session, re.M
    ):
        wanted = re.sub("0x[0-9a-f]+", "0x", line)
        assert wanted in text, wanted
        del text[: text.index(wanted) + 1]
