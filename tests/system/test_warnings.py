"""Every command with all of Python's warnings as errors, and in its development mode."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from command_line import environment, write
from tools import run

COMMANDS = {
    "compile": "compile leaves.seam --emit obj,asm,llvm-ir,header,manifest,docs --depfile d",
    "check": "check leaves.seam --json",
    "list": "list leaves.seam --json",
    "explain": "explain leaves.seam TEST.REMOVE",
    "explain code": "explain E0304",
    "run": "run leaves.seam TEST.REMOVE page=1 level=1 --script #UD",
    "version": "--version --verbose",
    "help": "compile --help",
    "an error": "check wrong.seam",
    "no file": "compile nothing.seam",
    "a bad option": "compile leaves.seam --target nothing",
}
STATUS = {"an error": 1, "no file": 1, "a bad option": 2}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_warning(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    write(tmp_path, "wrong.seam", "const A = B;")
    strict = (sys.executable, "-X", "dev", "-W", "error", "-m", "seamir")
    status = STATUS.get(name, 0)
    done = run(*strict, *COMMANDS[name].split(), cwd=tmp_path, env=environment(), status=status)
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == (name in STATUS), done.stderr
