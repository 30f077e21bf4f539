"""Runs the tools that tests need, and skips the tests where a tool is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

TIME_LIMIT = 600  # seconds; a guard only


def run(
    *command: str | Path,
    cwd: Path | None = None,
    status: int | None = 0,
    env: Mapping[str, str] | None = None,
    data: bytes = b"",
) -> subprocess.CompletedProcess[str]:
    """Runs a command that must end with that status, None: any; `data` is what it reads."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        input=data,
        capture_output=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    output, errors = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    line = " ".join(map(str, command))
    ended = f"{line}: status {done.returncode}\n{output}{errors}"
    assert status is None or done.returncode == status, ended
    return subprocess.CompletedProcess(command, done.returncode, output, errors)


def outside(path: Path | None = None) -> dict[str, str]:
    """The environment of this process without the package in reach, but for one at `path`."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return env if path is None else {**env, "PYTHONPATH": str(path)}


def python(*arguments: str | Path, cwd: Path, path: Path | None = None) -> str:
    """What this Python prints, without the package in reach, but for one at `path`."""
    env = {**outside(path), "PYTHONDONTWRITEBYTECODE": "1"}
    return run(sys.executable, *arguments, cwd=cwd, env=env).stdout


def need(*programs: str) -> None:
    """Skips the test, with the reason, if a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def need_native() -> None:
    """Skips the test, with the reason, where wrappers cannot run natively."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("native execution needs Linux on x86-64")
