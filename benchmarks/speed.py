"""Compile time: seamir against C compilers on twins of the same wrappers.

    python -m benchmarks.speed [--runs N] [--leaves N] [--record]

Processor time, user and system, of whole processes, which other programs on the machine disturb
less than time of day. The processes run in turn (seamir, compiler, seamir, compiler ...), so that a
machine whose speed drifts does not favour one: what counts is the median of the ratios of
neighbours. One run of each before the first that counts fills caches: bytecode, and seamir's parse
tables. `--record` writes the tables into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import seamir
from benchmarks import compilers
from benchmarks.made_up import description
from benchmarks.record import record, table
from benchmarks.twins import sayable, write_joined, write_twins
from seamir.llvm.emit import llvm_version, llvmlite_version

_ROOT = Path(__file__).parents[1]

# All files of the library with leaves but two, whose functions have names that host.seam has too:
# connect_rfc.seam and linux_compat.seam are not compiled together with it.
LIBRARY = tuple(f"tdx/{name}.seam" for name in ("host", "guest", "tdvmcall", "resume", "seamldr"))
STYLES = ("struct", "flags")  # what kernels do, and what is right with every compiler


@dataclass(frozen=True)
class Usage:
    """What a process took: seconds of processor time, and its peak memory in MB."""

    seconds: float
    megabytes: float


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


HEADINGS = ["whole library", "seamir, s", "min", "other, s", "min", "ratio"]
LARGE_HEADINGS = ["made-up leaves", "s", "ms a leaf", "peak, MB", "seamir to this"]


def compare(
    name: str, ours: Sequence[str], theirs: Sequence[str], folder: Path, runs: int
) -> Comparison:
    """Times two commands in turn, after one run of each that does not count."""
    commands = (ours, theirs)
    pairs = [[measure(c, folder).seconds for c in commands] for _ in range(runs + 1)][1:]
    return Comparison(name, tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def measure(command: Sequence[str], folder: Path) -> Usage:
    """Runs a command in a folder, and says what it and its children took."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(_ROOT)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, cwd=folder
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


def seamir_command(command: str, files: Sequence[str], folder: Path) -> list[str]:
    """The command that checks descriptions, or compiles them to objects with a line table."""
    output = ["--emit", "obj", "-o", str(folder)] if command == "compile" else []
    return [sys.executable, "-m", "seamir", command, *files, *output]


# -- the whole library


def measure_library(folder: Path, runs: int) -> str:
    """The library against each style and compiler; what is not in the twins, and `check`."""
    programs = [seamir.load(name) for name in LIBRARY]
    joined = write_joined(programs, folder, STYLES, "library")
    apart = [write_twins(program, folder, STYLES) for program in programs]
    ours = seamir_command("compile", LIBRARY, folder / "out")
    rows = []
    for compiler in compilers.available():
        for style, source in zip(STYLES, joined, strict=True):
            theirs = compilers.command(compiler, source, folder / "twin.o", debug=True)
            rows.append(compare(f"{compiler} -O2 -g, {style}", ours, theirs, folder, runs))
    compiler = compilers.available()[0]
    for style, sources in zip(STYLES, zip(*apart, strict=True), strict=True):
        theirs = compilers.command_for_all(compiler, sources, debug=True)
        name = f"{compiler} -O2 -g, {style}, a file each"
        rows.append(compare(name, ours, theirs, folder, runs))
    check = seamir_command("check", LIBRARY, folder)
    taken = [measure(check, folder).seconds for _ in range(runs + 1)][1:]
    seconds = f"{statistics.median(taken):.3f} s, minimum {min(taken):.3f} s"
    return (
        f"{table(HEADINGS, [row.row() for row in rows])}\n\n{_left_out(programs)}\n\n"
        f"`seamir check` of the same files: {seconds}."
    )


def _left_out(programs: Sequence[seamir.Program]) -> str:
    compilations = [seamir.compile(program, emit=()) for program in programs]
    plans = [plan for compilation in compilations for plan in compilation.plans]
    said, reasons = sayable(plans, compilations[0].target, STYLES)
    names = ", ".join(f"`{reason.split(':')[0]}`" for reason in reasons)
    return f"{len(plans)} wrappers, {len(said)} of them in the twins: not {names}."


# -- a large file


def measure_many(folder: Path, leaves: int) -> str:
    """A file of many leaves and one of half as many, and the twins of the first; once each."""
    usages: list[tuple[str, Usage]] = []
    for count in (leaves // 2, leaves):
        file = folder / f"made_up_{count}.seam"
        file.write_text(description(count))
        for command in ("check", "compile"):
            usage = measure(seamir_command(command, [str(file)], folder / "out"), folder)
            usages.append((f"seamir {command}, {count:,}", usage))
    # In a process of its own: the peak of a child is never less than what its parent had.
    made = [sys.executable, "-m", "benchmarks.twins", str(file), "-o", str(folder)]
    measure([*made, *(word for style in STYLES for word in ("--style", style))], folder)
    ours, compiler = usages[-1][1], compilers.available()[0]
    for style in STYLES:
        source = folder / f"made_up_{leaves}_{style}.c"
        usage = measure(compilers.command(compiler, source, folder / "twin.o", debug=True), folder)
        usages.append((f"{compiler} -O2 -g, {style}, {leaves:,}", usage))
    return table(LARGE_HEADINGS, [_large_row(name, usage, ours) for name, usage in usages])


def _large_row(name: str, usage: Usage, ours: Usage) -> list[str]:
    leaves = int(name.rsplit(maxsplit=1)[-1].replace(",", ""))
    ratio = "" if name.startswith("seamir") else f"{ours.seconds / usage.seconds:.2f}"
    milliseconds = 1000 * usage.seconds / leaves
    return [name, f"{usage.seconds:.1f}", f"{milliseconds:.2f}", f"{usage.megabytes:.0f}", ratio]


def machine() -> str:
    """What was measured with, in a line."""
    versions = [f"{name} {compilers.version(name)}" for name in compilers.available()]
    llvm = f"LLVM {llvm_version()} in llvmlite {llvmlite_version()}"
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores; Python {platform.python_version()}, {llvm}; {', '.join(versions)}."


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time seamir against C compilers.")
    parser.add_argument("--runs", type=int, default=7, help="on the library; default 7")
    parser.add_argument("--leaves", type=int, default=10_000, help="of the large file; 0: none")
    parser.add_argument("--record", action="store_true", help="write the tables into README.md")
    arguments = parser.parse_args()
    if not compilers.available():
        sys.exit("no C compiler is installed to compare with")
    with tempfile.TemporaryDirectory() as name:
        parts = [machine(), measure_library(Path(name), arguments.runs)]
        if arguments.leaves:
            parts.append(measure_many(Path(name), arguments.leaves))
    text = "\n\n".join(parts)
    print(text)
    if arguments.record:
        record("speed", text)


if __name__ == "__main__":
    main()
