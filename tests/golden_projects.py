"""Projects with golden tests, for tests of the plugin for pytest."""

from __future__ import annotations

import re
from itertools import takewhile

import pytest
from command_line import LEAVES

import seamir
from seamir.golden.texts import texts_of
from seamir.llvm.emit import llvm_version

MADE_BY = f"made by seamir {seamir.__version__} with LLVM {llvm_version()}"
UPDATE = "--seamir-update-golden"
ALONE = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")  # the latter only costs time
TEST = """
def test_leaves(seamir_golden):
    seamir_golden("leaves.seam")
"""
KEPT = "golden/leaves.linux-kernel.lst"


def listing() -> str:
    """What is kept of the leaves."""
    return texts_of(seamir.compile(seamir.load_text(LEAVES)), "listing", "a")["a.linux-kernel.lst"]


def start(project: pytest.Pytester) -> None:
    """Puts a description and a test that keeps it into a project; nothing is kept yet."""
    listing()  # pytester forgets modules that are first imported within
    project.makepyfile(test_leaves=TEST)
    (project.path / "leaves.seam").write_text(LEAVES, encoding="utf-8")


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Runs pytest in the project, with warnings as errors."""
    return project.runpytest("-W", "error", *ALONE, *arguments)


def failure(result: pytest.RunResult) -> list[str]:
    """What the only failure says, from below its title to what the run says at its end."""
    lines = result.outlines
    start = next(n for n, line in enumerate(lines) if re.fullmatch("_+ test_\\S+ _+", line)) + 1
    return list(takewhile(lambda line: not line.startswith("===="), lines[start:]))


def section(result: pytest.RunResult) -> list[str]:
    """What the plugin says at the end of a run."""
    lines = iter(result.outlines)
    for line in lines:
        if line.strip("= ") == "seamir golden files":
            break
    return [line for line in lines if line and not line.startswith("=")]


def kept(project: pytest.Pytester) -> list[str]:
    """The files kept in the project."""
    return sorted(str(p.relative_to(project.path)) for p in project.path.glob("**/golden/*"))
