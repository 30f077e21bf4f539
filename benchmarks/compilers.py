"""The C compilers of this machine, and the flags that compile a twin as the kernel is compiled."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

NAMES = ("clang", "clang-19", "gcc")

_FLAGS = (
    *("-O2", "-std=gnu11", "-ffreestanding", "-fno-pic", "-mcmodel=kernel", "-mno-red-zone"),
    *("-mno-sse", "-mno-mmx", "-mno-80387", "-fcf-protection=branch", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-fno-strict-aliasing", "-fomit-frame-pointer"),
)
# Not every compiler has these.
_OPTIONAL_FLAGS = ("-mfunction-return=thunk-extern", "-mharden-sls=all", "-fno-jump-tables")


def available() -> tuple[str, ...]:
    """The compilers that are installed."""
    return tuple(name for name in NAMES if shutil.which(name) is not None)


def version(compiler: str) -> str:
    """Such as "14.0.6"."""
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return found.group() if found else "?"


def major(compiler: str) -> int:
    """The first number of the version."""
    return int(version(compiler).split(".")[0])


def command(compiler: str, source: Path, output: Path, *, debug: bool = False) -> list[str]:
    """The command that compiles a file of C for the kernel, with DWARF if `debug`."""
    return [*command_for_all(compiler, [source], debug=debug), "-o", str(output)]


def command_for_all(compiler: str, sources: Sequence[Path], *, debug: bool = False) -> list[str]:
    """The same for several files, each to an object in the present folder."""
    flags = [*flags_of(compiler), *(["-g"] if debug else [])]
    return [compiler, *flags, "-c", *map(str, sources)]


@cache
def flags_of(compiler: str) -> tuple[str, ...]:
    """The flags that this compiler knows."""
    return (*_FLAGS, *(flag for flag in _OPTIONAL_FLAGS if _knows(compiler, flag)))


@cache
def scrubs(compiler: str) -> bool:
    """Whether the compiler has functions that leave no value in registers."""
    return _knows(compiler, "-fzero-call-used-regs=all-gpr")


def _knows(compiler: str, flag: str) -> bool:
    done = subprocess.run(
        [compiler, "-Werror", flag, "-x", "c", "-c", "-o", "/dev/null", "-"],
        input="int x;\n",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0
