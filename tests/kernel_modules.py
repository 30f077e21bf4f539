"""Builds kernel modules, and tells what the build complained about."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kernels import Kernel
from tools import TIME_LIMIT, need

# What a build may print. Whatever else it prints is a complaint: warnings of objtool and modpost
# have no common form, and those of compilers have several lines.
_ALLOWED = re.compile(
    "|".join(
        (
            r"  [A-Z]+( \[M\])? +\S+",  # a step, such as "  CC [M]  /tmp/module/main.o"
            r"make(\[\d+\])?: (Entering|Leaving) directory .*",
            # Distributions build the kernel with one version of a compiler, and offer another; and
            # pahole, which newer kernels ask for, is not needed here.
            r"warning: (the compiler|pahole version) differs from the one used to build the kernel",
            r"  (The kernel was built (by|with)|You are using): .*",
            # Type information for BPF needs vmlinux, which packages do not have.
            r"Skipping BTF generation for .*",
        )
    )
)


@dataclass(frozen=True)
class Built:
    """What a build printed, and its exit status."""

    status: int
    output: str

    @property
    def complaints(self) -> list[str]:
        """Every line that a silent build does not print; empty if it succeeded without a word."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        return [line for line in lines if not _ALLOWED.fullmatch(line)]


def build_modules(kernel: Kernel, folder: Path, *variables: str) -> Built:
    """Builds the modules of the Kbuild file in a folder; `variables` are NAME=VALUE for make.

    Skips the test, with the reason, if make or a compiler is missing.
    """
    return run_make("-C", kernel.headers, f"M={folder}", *variables, "modules")


def run_make(*arguments: str | Path) -> Built:
    """Runs make, with as many jobs as there are processors, for what builds modules.

    Skips the test, with the reason, if make or a compiler is missing.
    """
    need("make", "gcc")
    # Make tells its own options to makes below it; this one is not of the one that runs the tests.
    ours = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}
    env = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        # -O: no line of two programs. Type information for BPF needs vmlinux and pahole.
        ("make", f"-j{os.cpu_count() or 1}", "-O", "CONFIG_DEBUG_INFO_BTF_MODULES=", *arguments),
        env={**env, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=TIME_LIMIT,
        check=False,
    )
    return Built(done.returncode, done.stdout)
