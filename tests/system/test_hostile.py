"""Descriptions that try to exhaust or to fool: an error with a place or success, within limits.

The command runs in a process that may use a bounded amount of memory, processor time, stack and
disk, each far more than any description here needs and far less than a machine has. Bytes, names
and imports that are merely wrong are in tests/unit/test_bad_files.py.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import names_in, run, write

# Python asks for the size of the stack when it starts, so it starts once more.
LIMITS = """
import os, resource
if os.environ.pop("LIMITED", None) is None:
    for what, most in (
        (resource.RLIMIT_AS, 2 << 30),  # bytes
        (resource.RLIMIT_CPU, 60),  # seconds
        (resource.RLIMIT_STACK, 1 << 20),  # bytes
        (resource.RLIMIT_FSIZE, 64 << 20),  # bytes
    ):
        resource.setrlimit(what, (most, most))
    os.environ["LIMITED"] = "yes"
    os.execv(sys.executable, sys.orig_argv)
"""
CONDUIT = """\
statuses s { success bits [63:62] == 0; FINE = 0; BUSY = 0x8000020000000000; }
conduit c { instruction tdcall "66 0f 01 cc"; rax[63:0] = leaf; status rax in s; clobbers rcx; }
"""


def numbered(text: str, count: int, between: str = "\n") -> str:
    """The text again and again, with numbers in place of its braces."""
    return between.join(text.format(i=i, before=max(i - 1, 0)) for i in range(count))


def retries(clauses: int, attempts: int) -> str:
    """A leaf that may attempt (attempts + 1) ** clauses times."""
    codes = numbered("B{i} = 0x80000{i:03x}00000000;", clauses, " ")
    lines = numbered(f"retry {attempts} on B{{i}};", clauses)
    return (
        f"statuses s {{ success bits [63:62] == 0; FINE = 0; {codes} }}\n"
        + CONDUIT.split("\n", 1)[1]
        + f"leaf L = 1 via c () {{ {lines} }}"
    )


# What is accepted.
FINE: dict[str, Callable[[], str]] = {
    "the longest name": lambda: f"const {'A' * 65_000} = 1;\n{CONDUIT}leaf L = 1 via c ();",
    "a leaf with the longest name": lambda: f"{CONDUIT}leaf {'L' * 60_000} = 1 via c ();",
    "the longest note": lambda: f'{CONDUIT}leaf L = 1 via c () {{ note "{"%n" * 32_000}"; }}',
    "2 MiB of remarks": lambda: "// x\n" * (2 << 18) + CONDUIT + "leaf L = 1 via c ();",
    "2 MiB of documentation": lambda: CONDUIT + "/// x\n" * (2 << 17) + "leaf L = 1 via c ();",
    "nested as deep as may be": lambda: (
        f"const A = {'(' * 256}1{')' * 256};\n{CONDUIT}leaf L = 1 via c ();"
    ),
    "as many operators as may be": lambda: (
        f"{CONDUIT}leaf L = 1 via c (a: u64) {{ rcx = a{' + 1' * 256}; }}"
    ),
    "5000 statuses, all in two clauses": lambda: (
        "statuses s { success bits [63:62] == 0; FINE = 0;\n"
        f"{numbered('B{i} = 0x80{i:06x}00000000;', 5000)} }}\n"
        + CONDUIT.split("\n", 1)[1]
        + f"leaf L = 1 via c () {{ retry 3 on {numbered('B{i}', 2500, ',')};\n"
        + f"retry 3 on {', '.join(f'B{i}' for i in range(2500, 5000))}; }}"
    ),
    "250 constants in a union": lambda: (
        numbered("const A{i} = 0xff{i:04x}000000;", 250)
        + f"\ntype t = u64[11:0];\ntype all = t | {numbered('A{i}', 250, ' | ')};\n"
        + CONDUIT
        + "leaf L = 1 via c (a: all) { rcx = a; }"
    ),
    "5000 types, each of the one before": lambda: (
        "type t0 = u64;\n"
        + "\n".join(f"type t{i + 1} = t{i};" for i in range(5000))
        + f"\n{CONDUIT}leaf L = 1 via c (a: t5000) {{ rcx = a; }}"
    ),
    "constants that double 60 times": lambda: (
        "const A0 = 1;\n"
        + "\n".join(f"const A{i + 1} = A{i} + A{i};" for i in range(60))
        + f"\n{CONDUIT}leaf L = 1 via c () {{ rcx = A60; }}"
    ),
    "15 elements": lambda: (
        'conduit c { instruction tdcall "66 0f 01 cc"; status none; clobbers rbx; }\n'
        "leaf L via c (a: u64[15]) { allow rbp;"
        " {rax, rcx, rdx, rbx, rsi, rdi, rbp, r8..r15} = a; }"
    ),
    "250 parameters": lambda: (
        f"{CONDUIT}leaf L = 1 via c ({numbered('p{i}: u64', 250, ',')}) {{ "
        f"rcx = {numbered('p{i}', 250, ' + ')}; }}"
    ),
    "65,535 attempts": lambda: retries(16, 1).replace("retry 1 on B15;", ""),
    "2000 leaves": lambda: CONDUIT + numbered("leaf L{i} = {i} via c ();", 2000),
    "2000 wrappers of a leaf": lambda: (
        CONDUIT + "leaf L = 1 via c ();\n" + numbered("wrapper w{i} = L {{ noinstr; }}", 2000)
    ),
}

# What is not, and the codes that say so.
WRONG: dict[str, tuple[set[str], Callable[[], str]]] = {
    "one byte more than a line may have": (
        {"E0103"},
        lambda: f"const {'A' * (64 * 1024)} = 1;",
    ),
    "more operators than may be": (
        {"E0105"},
        lambda: f"{CONDUIT}leaf L = 1 via c (a: u64) {{ rcx = a{' + 1' * 257}; }}",
    ),
    "nested too deep": ({"E0105"}, lambda: f"const A = {'(' * 257}1{')' * 257};"),
    "nothing but brackets": ({"E0105"}, lambda: "(" * 60_000),
    "65 bits": ({"E0108"}, lambda: f"const A = {1 << 64};"),
    "65,536 attempts": (
        {"E0503"},
        lambda: retries(16, 1),
    ),
    "more attempts than a word counts": (
        {"E0503"},
        lambda: retries(100, 65_535),
    ),
    "16 elements": (
        {"E0312"},
        lambda: f"{CONDUIT}leaf L = 1 via c (a: u64[16]) {{ {{rcx, rdx}} = a; }}",
    ),
    "10,000 unknown names": ({"E0202"}, lambda: numbered("const A{i} = NOTHING_{i};", 10_000)),
    "10,000 errors of syntax": ({"E0106"}, lambda: numbered("const A{i} = ;", 10_000)),
    "10,000 times the same name": ({"E0207"}, lambda: "const A = 1;\n" * 10_000),
    "5000 clauses for one status": (
        {"E0503", "E0506"},
        lambda: CONDUIT + "leaf L = 1 via c () {\n" + "retry 1 on BUSY;\n" * 5000 + "}",
    ),
    "5000 places for one register": (
        {"E0406"},
        lambda: f"{CONDUIT}leaf L = 1 via c (a: u64) {{ {numbered('rcx = a + {i};', 5000)} }}",
    ),
    "a circle of 5000 constants": (
        {"E0211"},
        lambda: "\n".join(f"const A{i} = A{(i + 1) % 5000};" for i in range(5000)),
    ),
    "2 MiB of one byte": ({"E0103"}, lambda: "\0" * (2 << 20)),
    "characters that turn the text around": (
        {"E0104"},
        lambda: f"{CONDUIT}/// \u202e}}{{ tnirp\nleaf L = 1 via c ();",
    ),
    "a terminal's language in a name": ({"E0104"}, lambda: "const A\x1b[2J = 1;"),
    "assembly for an instruction": (
        {"E0701"},
        lambda: 'conduit c { instruction tdcall "66 0f 01 cc\\n.globl x"; status none; }',
    ),
    "assembly for a C type": (
        {"E0209"},
        lambda: 'type t = u64 as "int; .globl x";\n' + CONDUIT + "leaf L = 1 via c ();",
    ),
    "an option for a path": ({"E0109"}, lambda: 'import "-o.seam";'),
    "a path out of here": ({"E0111"}, lambda: 'import "../../etc/passwd";'),
}


def limited(folder: Path, *arguments: str, status: int) -> str:
    """Runs a command within the limits; what it said, which a terminal can show."""
    done = run(*arguments, cwd=folder, before=LIMITS, status=status)
    wrong = {c for c in done.stderr if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert wrong <= {"\n"}
    return done.stdout


@pytest.mark.parametrize("name", FINE)
def test_what_is_large_but_right(tmp_path: Path, name: str) -> None:
    write(tmp_path, "large.seam", FINE[name]())
    limited(tmp_path, "check", "large.seam", status=0)
    kinds = "obj,asm,llvm-ir,header,manifest,docs"
    limited(tmp_path, "compile", "large.seam", "-o", "out", "--emit", kinds, status=0)
    assert len(names_in(tmp_path / "out")) == 6


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong(tmp_path: Path, name: str) -> None:
    codes, make = WRONG[name]
    write(tmp_path, "wrong.seam", make())
    found = json.loads(limited(tmp_path, "check", "wrong.seam", "--json", status=1))
    errors = [entry for entry in found if entry["severity"] == "error"]
    assert {entry["code"] for entry in errors} == codes
    assert all(entry["place"]["file"] == "wrong.seam" for entry in errors)


def test_imports_of_imports(tmp_path: Path) -> None:
    """A fan, and a net in which the number of ways doubles with each file."""
    count = 500
    for i in range(count):
        following = [n for n in (i + 1, i + 2) if n < count]
        text = "".join(f'import "net{n}.seam";\n' for n in following) + f"const A{i} = 1;\n"
        write(tmp_path, f"net{i}.seam", text)
    fan = "".join(f'import "net{i}.seam";\n' for i in range(count))
    write(tmp_path, "fan.seam", f"{fan}{CONDUIT}leaf L = 1 via c () {{ rcx = A0 + A{count - 1}; }}")
    limited(tmp_path, "compile", "fan.seam", status=0)
    write(tmp_path, f"net{count - 1}.seam", 'import "fan.seam";')
    text = limited(tmp_path, "check", "fan.seam", "--json", status=1)
    assert {entry["code"] for entry in json.loads(text)} == {"E0110"}


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    with (tmp_path / "large.seam").open("wb") as stream:
        stream.truncate(1 << 40)  # a hole
    write(tmp_path, "main.seam", 'import "large.seam";')
    for name in ("large.seam", "main.seam"):
        text = limited(tmp_path, "check", name, "--json", status=1)
        assert [entry["code"] for entry in json.loads(text)] == ["E0103"]
