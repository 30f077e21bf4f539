"""The command `seamir verify` as a user runs it."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import LEAVES, call, run, write
from tools import need
from tools import run as run_tool

import seamir

OTHER = LEAVES.replace("TEST.TRACK = 38", "TEST.TRACK = 39")
NO_CACHE = "--no-cache"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a description, its object, and an object with another leaf number."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(tmp_path)
    write(tmp_path, "twin.seam", OTHER)
    call("compile", "leaves.seam", cwd=tmp_path)
    call("compile", "twin.seam", cwd=tmp_path)
    return tmp_path


def rows_of(output: str) -> dict[str, list[str]]:
    """The table of what the command prints: cells by wrapper."""
    lines = output.split("\n")
    assert lines[0].split()[:3] == ["WRAPPER", "VERDICT", "PATHS"]
    rows = [line.split() for line in lines[1:-2]]
    return {row[0]: row[1:] for row in rows}


# -- what it says


def test_what_is_proved(folder: Path) -> None:
    done = run("verify", "leaves.seam", NO_CACHE, cwd=folder)
    assert done.stderr == ""
    rows = rows_of(done.stdout)
    assert list(rows) == ["test_remove", "test_read", "test_track"]
    paths, obligations = (sum(int(row[n]) for row in rows.values()) for n in (1, 2))
    assert all(row[0] == "proved" and len(row) == 5 for row in rows.values())
    last = done.stdout.splitlines()[-1]
    words = rf"3 wrappers proved: {paths} paths, {obligations} obligations, in \d+\.\d s"
    assert re.fullmatch(words, last)


def test_what_was_proved_before(folder: Path) -> None:
    call("verify", "leaves.seam", "--leaf", "TEST.READ", cwd=folder)
    assert len(list((folder / "cache/seamir/proofs").iterdir())) == 1
    done = call("verify", "leaves.seam", cwd=folder)
    rows = rows_of(done.stdout)
    assert [name for name, row in rows.items() if row[-1] == "cache"] == ["test_read"]
    assert "3 wrappers proved (1 from the cache): " in done.stdout
    done = call("verify", "leaves.seam", NO_CACHE, cwd=folder)
    assert "cache" not in done.stdout


def test_without_a_cache_nothing_is_kept(folder: Path) -> None:
    call("verify", "leaves.seam", NO_CACHE, cwd=folder)
    assert not (folder / "cache/seamir/proofs").exists()


def test_what_is_refuted(folder: Path) -> None:
    done = run("verify", "leaves.seam", "--object", "twin.o", NO_CACHE, cwd=folder, status=1)
    assert rows_of(done.stdout)["test_track"][0] == "refuted"
    assert done.stdout.splitlines()[-1].startswith("2 wrappers proved, 1 refuted: ")
    assert re.sub(r"page=0x[0-9a-f]+", "page=?", done.stderr) == (
        "leaves.seam:7:5: error[E0813]: test_track: rax, a selector, at the instruction: 0x27 "
        "instead of 0x26\n"
        "    7 |     rax[15:0] = leaf;\n"
        "      |     ^^^^^^^^^^^^^^^^^\n"
        "  at test_track+0xe: seamcall  (twin.seam:30)\n"
        "  for example test_track(page=?)\n"
        "    attempt 1: completed: 0x0\n"
        "\n"
        "1 error; `seamir explain E0813` says more\n"
    )


def test_the_replay_shows_it(folder: Path) -> None:
    words = ("verify", "leaves.seam", "--object", "twin.o", "--replay", NO_CACHE)
    done = call(*words, cwd=folder, status=1)
    assert "\nattempt 1\n    rax  0x27\n" in done.stderr
    assert "\nrax at attempt 1 is 0x27 instead of 0x26\n" in done.stderr


def test_a_replay_of_several_attempts(folder: Path) -> None:
    """One more attempt than is granted, which shows at the last one only."""
    write(folder, "twin.seam", LEAVES.replace("retry 9", "retry 10"))
    call("compile", "twin.seam", cwd=folder)
    words = ("verify", "leaves.seam", "--object", "twin.o", "--replay", NO_CACHE)
    done = call(*words, "--leaf", "TEST.TRACK", cwd=folder, status=1)
    assert "test_track(page=" in done.stderr
    assert "more than 10 attempts\n" in done.stderr


def test_the_same_as_data(folder: Path) -> None:
    words = ("verify", "leaves.seam", "--object", "twin.o", "--replay", NO_CACHE, "--json")
    done = call(*words, cwd=folder, status=1)
    assert done.stderr == ""
    data = json.loads(done.stdout)
    assert not data["proved"]
    assert [row["verdict"] for row in data["wrappers"]] == ["proved", "proved", "refuted"]
    (failure,) = data["wrappers"][2]["failures"]
    assert (failure["found"], failure["wanted"]) == ("0x27", "0x26")
    assert failure["replay"]["differences"] == ["rax at attempt 1 is 0x27 instead of 0x26"]
    assert failure["counterexample"]["arguments"].keys() == {"page"}


@pytest.mark.parametrize("outcome", ["carry", "fault"])
def test_a_counterexample_without_completion(folder: Path, outcome: str) -> None:
    wrong = {
        "carry": ("on carry return DOWN", "on carry return BUSY"),
        "fault": ("return DOWN | trapnr", "return DOWN"),
    }
    write(folder, "twin.seam", LEAVES.replace(*wrong[outcome]))
    call("compile", "twin.seam", cwd=folder)
    words = ("verify", "leaves.seam", "--object", "twin.o", "--leaf", "TEST.READ", NO_CACHE)
    done = call(*words, cwd=folder, status=1)
    assert f"attempt 1: {outcome}" in done.stderr
    failures = json.loads(call(*words, "--json", cwd=folder, status=1).stdout)["wrappers"][0]
    outcomes = {one["counterexample"]["outcomes"][0]["outcome"] for one in failures["failures"]}
    assert outcomes == {outcome}


# -- objects of others


def test_the_library_in_the_object_and_after_ld(folder: Path) -> None:
    """All wrappers of the host; the second object was linked with another one."""
    call("compile", "tdx/host.seam", cwd=folder)
    done = run("verify", "tdx/host.seam", "--object", "host.o", "--jobs", "2", cwd=folder)
    count = len(seamir.compile(seamir.load("tdx/host.seam"), emit=()).plans)
    assert count > 100
    assert done.stdout.splitlines()[-1].startswith(f"{count} wrappers proved: ")
    need("ld")
    run_tool("ld", "-r", "host.o", "leaves.o", "-o", "both.o", cwd=folder)
    for name in ("tdx/host.seam", "leaves.seam"):
        again = ("verify", name, "--object", "both.o", NO_CACHE)
        assert " proved: " in call(*again, cwd=folder).stdout


def test_another_prototype_is_no_traceback(folder: Path) -> None:
    text = LEAVES.replace("(field: u64) -> (data: u64 = r8)", "(all: u8, field: u64)")
    write(folder, "twin.seam", text.replace("rdx = field;", "rdx = field; rcx = all;"))
    call("compile", "twin.seam", cwd=folder)
    words = ("verify", "leaves.seam", "--object", "twin.o", "--leaf", "TEST.READ", NO_CACHE)
    done = run(*words, "--replay", cwd=folder, status=1)
    assert "error[E0813]: test_read: " in done.stderr
    assert "0 wrappers proved, 1 refuted" in done.stdout


TABLE = '\n.section __ex_table, "a"\n.long 1b - ., 2b - ., 2\n.text\n'
CAREFUL = """
	.globl test_read
	.type test_read, @function
test_read:
	{}
	jz 3f
	mov %rdi, %rdx
	mov $11, %eax
1:	.byte 0x66, 0x0f, 0x01, 0xcf
	jc 3f
	mov %r8, (%rsi)
	ret
2:	mov $0x8000ff0000000000, %rcx
	or %rcx, %rax
	movq $0, (%rsi)
	ret
3:	mov $0x8000ff0000000000, %rax
	movq $0, (%rsi)
	ret
	.size test_read, . - test_read
"""


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("test %rsi, %rsi", "no memory for 8 bytes at 0x0"),
        ("bt $63, %rsi; setnc %al; test %al, %al", "is not within the caller's memory"),
    ],
)
def test_a_replay_that_the_emulator_cannot_do(folder: Path, test: str, reason: str) -> None:
    """The code does something else for pointers to where the emulator has no memory."""
    (folder / "x.o").write_bytes(assembled(CAREFUL.format(test) + TABLE)(b"", folder))
    options = ("--leaf", "TEST.READ", "--feature", "-ibt,-rethunk", "--replay", NO_CACHE)
    words = ("verify", "leaves.seam", "--object", "x.o", *options)
    done = run(*words, cwd=folder, status=1)
    assert "the call cannot be executed here: " in done.stderr
    assert reason in done.stderr
    data = json.loads(call(*words, "--json", cwd=folder, status=1).stdout)
    assert data["wrappers"][0]["failures"][0]["replay"] is None


# -- what it cannot do


def stripped(data: bytes, folder: Path) -> bytes:
    """The object without its symbols."""
    need("strip")
    (folder / "x.o").write_bytes(data)
    run_tool("strip", "--strip-all", "x.o", cwd=folder)
    return (folder / "x.o").read_bytes()


def assembled(text: str) -> Callable[[bytes, Path], bytes]:
    """Makes an object of assembly in place of the one that is given."""

    def make(_data: bytes, folder: Path) -> bytes:
        need("as")
        (folder / "x.s").write_text(text)
        run_tool("as", "x.s", "-o", "x.o", cwd=folder)
        return (folder / "x.o").read_bytes()

    return make


def changed(offset: int, value: int) -> Callable[[bytes, Path], bytes]:
    """Puts a number of 16 bits into the ELF header."""

    def change(data: bytes, _folder: Path) -> bytes:
        found = bytearray(data)
        struct.pack_into("<H", found, offset, value)
        return bytes(found)

    return change


FUNCTION = ".globl {0}\n.type {0}, @function\n{0}: ret\n.size {0}, . - {0}\n"
OTHERS = FUNCTION.format("test_remove") + FUNCTION.format("test_read")
Make = Callable[[bytes, Path], bytes]
BAD: dict[str, tuple[Make, str, str]] = {
    "empty": (lambda _data, _folder: b"", "E0811", "`bad.o` is empty"),
    "truncated": (lambda data, _folder: data[:900], "E0811", "`bad.o` cannot be read: "),
    "short": (lambda data, _folder: data[:5], "E0811", "`bad.o` cannot be read: "),
    "text": (lambda _data, _folder: b"int main;\n" * 20, "E0811", "not a 64-bit little-endian"),
    "archive": (lambda data, _folder: b"!<arch>\n" + data, "E0811", "is an archive of objects"),
    "program": (changed(16, 2), "E0811", "`bad.o` is an executable"),
    "shared": (changed(16, 3), "E0811", "`bad.o` is a shared library or an executable"),
    "pe": (lambda data, _folder: b"MZ" + data, "E0811", "`bad.o` is a linked program"),
    "aarch64": (changed(18, 183), "E0811", "`bad.o` is for AArch64, and linux-kernel is x86-64"),
    "processor": (changed(18, 999), "E0811", "`bad.o` is for processor 999, and "),
    "coff": (
        lambda data, _folder: b"\x64\x86" + data,
        "E0811",
        "`bad.o` is in COFF format, and objects for linux-kernel are ELF",
    ),
    "arm coff": (lambda data, _folder: b"\x64\xaa" + data, "E0811", "is for AArch64, and"),
    "sections": (changed(60, 0xFFFF), "E0811", "the section header table extends past the end"),
    "names": (changed(62, 0xFFFF), "E0811", "describes no section header table"),
    "stripped": (stripped, "E0811", "0 symbol tables where one is needed"),
    "no function": (assembled(".globl a\na: ret\n"), "E0812", "`bad.o` names no function"),
    "bitcode": (
        lambda data, _folder: b"BC\xc0\xde" + data,
        "E0811",
        "`bad.o` is bitcode of LLVM\n  help: it was compiled for LTO: compile it without -flto\n",
    ),
    "lto": (
        assembled('.section .gnu.lto_.inline.1, "e"\na: .byte 1\n'),
        "E0812",
        "`bad.o` names no function\n  help: it was compiled for LTO: compile it without -flto\n",
    ),
    "lacks": (assembled(OTHERS), "E0812", "leaves.seam:30:6: .*has no function `test_track`\n"),
    "lacks all": (
        assembled(FUNCTION.format("test_trick")),
        "E0812",
        "has no function `test_remove`, and 2 others are missing too\n",
    ),
    "data": (
        assembled(OTHERS + ".data\n.globl test_track\ntest_track: .quad 1\n"),
        "E0812",
        "`test_track` in `bad.o` is not a function\n",
    ),
    "no type": (
        assembled(OTHERS + ".globl test_track\ntest_track: ret\n"),
        "E0812",
        "assembly says that it is one by `.type test_track, @function`",
    ),
    "no size": (
        assembled(OTHERS + ".globl test_track\n.type test_track, @function\ntest_track: ret\n"),
        "E0812",
        "does not say how long `test_track` is\n",
    ),
    "undefined": (
        assembled(OTHERS + "call test_track\n"),
        "E0812",
        "`bad.o` calls `test_track`, and does not have it\n",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_object(folder: Path, name: str) -> None:
    make, code, message = BAD[name]
    data = make((folder / "leaves.o").read_bytes(), folder)
    (folder / "bad.o").write_bytes(data)
    done = call("verify", "leaves.seam", "--object", "bad.o", NO_CACHE, cwd=folder, status=1)
    assert done.stdout == ""
    assert f"error[{code}]: " in done.stderr
    assert re.search(message.replace("(", r"\("), done.stderr), done.stderr
    assert done.stderr.count("error[") == 1


def test_two_functions_of_a_name(folder: Path) -> None:
    need("ld", "objcopy")
    call("compile", "twin.seam", "--leaf", "TEST.TRACK", cwd=folder)
    run_tool("objcopy", "--localize-symbol=test_track", "twin.o", "local.o", cwd=folder)
    run_tool("ld", "-r", "leaves.o", "local.o", "-o", "both.o", cwd=folder)
    done = call("verify", "leaves.seam", "--object", "both.o", NO_CACHE, cwd=folder, status=1)
    assert "error[E0812]: `both.o` has 2 functions `test_track`" in done.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.o", "cannot read `nothing.o`: No such file or directory"),
        (".", "cannot read `.`: Is a directory"),
        ("a/b.o", "cannot read `a/b.o`: No such file or directory"),
    ],
)
def test_an_object_that_cannot_be_read(folder: Path, name: str, message: str) -> None:
    done = call("verify", "leaves.seam", "--object", name, NO_CACHE, cwd=folder, status=1)
    assert done.stderr == f"seamir: error[E0101]: {message}\n"


def test_elf_for_a_target_with_coff(folder: Path) -> None:
    words = ("verify", "leaves.seam", "--object", "leaves.o", "--target", "uefi", NO_CACHE)
    done = call(*words, cwd=folder, status=1)
    assert "`leaves.o` is in ELF format, and objects for uefi are COFF" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--leaf", "NOPE.*"], "E0806"),
        (["--target", "moon"], "E0801"),
        (["--timeout", "0"], "E0809"),
        (["--timeout", "-1"], "E0809"),
        (["--timeout", "nan"], "E0809"),
        (["--timeout", "inf"], "E0809"),
        (["--timeout", "soon"], "'soon' is not a valid float"),
        (["--jobs", "0"], "0 is not in the range x>=1"),
        (["--jobs", "many"], "'many' is not a valid integer"),
    ],
)
def test_a_bad_command_line(folder: Path, words: list[str], message: str) -> None:
    done = call("verify", "leaves.seam", *words, NO_CACHE, cwd=folder, status=2)
    assert message in done.stderr
    assert done.stdout == ""


def test_the_time_is_over(folder: Path) -> None:
    words = ("verify", "leaves.seam", "--timeout", "0.001", "--jobs", "1", NO_CACHE)
    done = run(*words, cwd=folder, status=1)
    rows = rows_of(done.stdout)
    assert [row[0] for row in rows.values()] == ["proved", "proved", "undecided"]
    assert "leaves.seam:30:6: error[E0814]: test_track: the time is over\n" in done.stderr
    assert "2 wrappers proved, 1 undecided: " in done.stdout


def test_a_missing_z3_is_one_line(folder: Path) -> None:
    before = "sys.modules['z3'] = None"
    done = run("verify", "leaves.seam", NO_CACHE, cwd=folder, before=before, status=1)
    assert done.stdout == ""
    assert done.stderr == (
        "seamir: error[E0804]: proving needs the extra `seamir[verify]`\n"
        "  help: pip install 'seamir[verify]'\n"
    )
    for words in (["compile"], ["check"], ["list"], ["run", "TEST.READ", "field=1"]):
        command = [words[0], "leaves.seam", *words[1:]]
        run(*command, cwd=folder, before=before)


def test_a_missing_unicorn_is_told_when_it_is_needed(folder: Path) -> None:
    before = "sys.modules['unicorn'] = None"
    words = ("verify", "leaves.seam", "--object", "twin.o", NO_CACHE)
    run("verify", "leaves.seam", "--replay", NO_CACHE, cwd=folder, before=before)
    run(*words, cwd=folder, before=before, status=1)
    done = run(*words, "--replay", cwd=folder, before=before, status=1)
    assert "error[E0804]: running needs the extra `seamir[emulate]`" in done.stderr


def test_a_cache_that_cannot_be_written_is_a_warning(folder: Path) -> None:
    (folder / "cache").touch()
    done = call("verify", "leaves.seam", "--leaf", "TEST.READ", cwd=folder)
    assert "warning[W0811]: proofs are not kept for the next time: " in done.stderr
    assert "1 wrapper proved: " in done.stdout
