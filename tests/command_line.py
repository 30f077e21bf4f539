"""Runs the command `seamir` as a user does: a process of its own, with a list of arguments."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import seamir
from seamir.cli import main_status
from seamir.objects.contents import ObjectFile
from seamir.objects.reading import read_object

ROOT = Path(seamir.__file__).parents[1]

# A description of its own: three leaves, one with two outputs, one with one, one with none.
LEAVES = """\
statuses codes { success bits [63:62] == 0; BUSY = 0x8000020000000000; DOWN = 0x8000FF0000000000; }

type level = u32 in 0..4;

conduit call {
    instruction seamcall "66 0f 01 cf";
    rax[15:0] = leaf;
    rax[23:16] = version;
    status rax in codes;
    clobbers rcx, rdx, r8..r11, memory;
    on carry return DOWN;
    on fault return DOWN | trapnr;
}

/// The same with another selector.
conduit other_call extends call { rax[63] = 1; }

/// Removes a page.
leaf TEST.REMOVE = 29 via call (page: u64, level: level) -> (first: u64 = rcx, second: u64 = rdx) {
    rcx = page;
    rdx[2:0] = level;
}

/// Reads a field.
leaf TEST.READ = 11 via call (field: u64) -> (data: u64 = r8) {
    rdx = field;
}

/// Does it for all.
leaf TEST.TRACK = 38 via call (page: u64) {
    rcx = page;
    retry 9 on BUSY;
}
"""


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process with the package in reach, and changes."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **(changes or {})}


def run(
    *arguments: str | bytes | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    before: str = "",
    status: int = 0,
) -> subprocess.CompletedProcess[str]:
    """Runs `seamir` with arguments in a folder; the exit status must be `status`.

    `before` is Python that runs first in the same process, to plant a defect.
    """
    command: list[str | bytes | Path] = [sys.executable, "-m", "seamir", *arguments]
    if before:
        program = f"import sys\n{before}\nfrom seamir.__main__ import run\nrun()"
        command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
        timeout=100,
    )
    assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def call(*arguments: str, cwd: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    """The same in this process, for what a process of its own would only make slower."""
    with chdir(cwd):
        done = outcome_of(*arguments)
    assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def outcome_of(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command does in this process, whatever its exit status; raises defects."""
    output, errors = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["seamir", *arguments]
    try:
        with redirect_stdout(output), redirect_stderr(errors):
            code = main_status()
    finally:
        sys.argv = argv
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


def write(folder: Path, name: str = "leaves.seam", text: str = LEAVES) -> Path:
    """Puts a description into a folder, which is made if needed."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def names_in(folder: Path) -> list[str]:
    """The names of all files below a folder, as paths relative to it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read(path: Path) -> ObjectFile:
    """An object file."""
    return read_object(path.read_bytes())


def symbols(path: Path) -> list[str]:
    """The functions of an object file, in order."""
    return [function.name for function in read(path).functions]


def code(path: Path, symbol: str) -> bytes:
    """The machine code of a function."""
    function = read(path).function(symbol)
    assert function is not None
    return function.code
