"""Compile time: seamir against C compilers on twins of the same wrappers.

    python -m benchmarks.speed [--runs N] [--leaves N] [--record]

Whole processes, in turn (seamir, compiler, seamir, compiler ...), so that a machine whose speed
drifts does not favour one: what counts is the median of the ratios of neighbours. One run of each
before the first that counts fills caches: bytecode, and seamir's parse tables. `--record` writes
the table into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import seamir
from benchmarks import compilers
from benchmarks.made_up import description
from benchmarks.record import record, table
from benchmarks.twins import STYLES, write_twins
from seamir.llvm.emit import llvm_version, llvmlite_version

_ROOT = Path(__file__).parents[1]
LIBRARY = "tdx/host.seam"


@dataclass(frozen=True)
class Comparison:
    """Seconds of two commands, run in turn, and the ratios of neighbours."""

    name: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    def row(self) -> list[str]:
        """A row of the table."""
        ratios = [a / b for a, b in zip(self.ours, self.theirs, strict=True)]
        return [
            self.name,
            f"{statistics.median(self.ours):.3f}",
            f"{min(self.ours):.3f}",
            f"{statistics.median(self.theirs):.3f}",
            f"{min(self.theirs):.3f}",
            f"{statistics.median(ratios):.2f}",
        ]


HEADINGS = ["case", "seamir, s", "min", "other, s", "min", "ratio"]


def compare(name: str, ours: Sequence[str], theirs: Sequence[str], runs: int) -> Comparison:
    """Times two commands in turn, after one run of each that does not count."""
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(runs + 1)][1:]
    return Comparison(name, tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def _seconds(command: Sequence[str]) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(_ROOT)
    start = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def seamir_command(file: str, folder: Path, *, debug: bool) -> list[str]:
    """The command that compiles a description to an object."""
    command = [sys.executable, "-m", "seamir", "compile", file, "--emit", "obj", "-o", str(folder)]
    return command if debug else [*command, "--no-debug"]


def measure_library(folder: Path, runs: int) -> list[Comparison]:
    """The library's host leaves against each style, compiler and choice of debug data."""
    sources = write_twins(seamir.load(LIBRARY), folder)
    rows = []
    for compiler in compilers.available():
        for style, source in zip(STYLES, sources, strict=True):
            for debug in (True, False):
                name = f"{compiler} -O2{' -g' if debug else ''}, {style}"
                theirs = compilers.command(compiler, source, folder / "twin.o", debug=debug)
                ours = seamir_command(LIBRARY, folder / "out", debug=debug)
                rows.append(compare(name, ours, theirs, runs))
    return rows


def measure_many(folder: Path, leaves: int, runs: int) -> list[Comparison]:
    """A file of many leaves against its twin, and against a tenth of it."""
    rows = []
    files = {}
    for count in (leaves // 10, leaves):
        files[count] = folder / f"made_up_{count}.seam"
        files[count].write_text(description(count))
    compiler = compilers.available()[0]
    (source,) = write_twins(seamir.load(files[leaves]), folder, ["flags"])
    theirs = compilers.command(compiler, source, folder / "twin.o", debug=True)
    ours = seamir_command(str(files[leaves]), folder / "out", debug=True)
    rows.append(compare(f"{leaves} leaves, {compiler} -O2 -g, flags", ours, theirs, runs))
    tenth = seamir_command(str(files[leaves // 10]), folder / "out", debug=True)
    name = f"{leaves} leaves, seamir on {leaves // 10}"
    rows.append(compare(name, ours, tenth, runs))
    check = [sys.executable, "-m", "seamir", "check", str(files[leaves])]
    rows.append(compare(f"`check` of {leaves} leaves, `compile`", check, ours, runs))
    return rows


def machine() -> str:
    """What was measured with, in a line."""
    versions = [f"{name} {compilers.version(name)}" for name in compilers.available()]
    llvm = f"LLVM {llvm_version()} in llvmlite {llvmlite_version()}"
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores; Python {platform.python_version()}, {llvm}; {', '.join(versions)}."


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time seamir against C compilers.")
    parser.add_argument("--runs", type=int, default=15, help="of each command; default 15")
    parser.add_argument("--leaves", type=int, default=1000, help="of the large file; 0: none")
    parser.add_argument("--record", action="store_true", help="write the table into README.md")
    arguments = parser.parse_args()
    if not compilers.available():
        sys.exit("no C compiler is installed to compare with")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = measure_library(folder, arguments.runs)
        if arguments.leaves:
            rows += measure_many(folder, arguments.leaves, max(1, arguments.runs // 5))
    text = f"{machine()}\n\n{table(HEADINGS, [row.row() for row in rows])}"
    print(text)
    if arguments.record:
        record("speed", text)


if __name__ == "__main__":
    main()
