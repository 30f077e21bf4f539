"""Proves the whole library: each file, target, delivery and conduit, before and after `ld -r`.

    python tests/prove_library.py --jobs 2 --record tests/data/proofs.json

`ld -r` puts each object behind another, so that code, fixup table and relocations lie elsewhere.
docs/verification.md has the counts that were recorded.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from tools import run

import seamir
from seamir.compiler import DELIVERIES
from seamir.targets import TARGETS
from seamir.verify.prover import prove_object
from seamir.version import VERSION

FILES = ("host", "guest", "seamldr", "tdvmcall", "resume", "connect_rfc", "linux_compat")
CALLS = ("kvm_spurious_fault",)
CONDUITS: dict[str, dict[str, str]] = {
    "cautious": {},
    "preserving": {"seamcall": "seamcall_preserving"},
}
LINKERS = {"elf": "ld", "coff": "x86_64-w64-mingw32-ld"}
OBJECTS = ("as compiled", "after ld -r")


@dataclass(frozen=True)
class Case:
    """One compilation of a file of the library, and which of its objects is proved."""

    file: str
    target: str
    delivery: str
    conduit: str
    object: str
    features: tuple[str, ...] = ()


@dataclass
class Result:
    """What the proofs of one case came to; `failures` is text, `assumptions` by wrapper."""

    case: Case
    proofs: int = 0
    proved: int = 0
    paths: int = 0
    obligations: int = 0
    queries: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    unreachable: Counter[str] = field(default_factory=Counter)


def cases(targets: Sequence[str], files: Sequence[str] = FILES) -> Iterator[Case]:
    """All cases for some targets; those of a file follow each other."""
    for target in targets:
        for file in files:
            for delivery in DELIVERIES:
                for conduit in CONDUITS:
                    for kind in OBJECTS:
                        yield Case(file, target, delivery, conduit, kind)


@cache
def compiled(
    file: str, target: str, delivery: str, conduit: str, features: tuple[str, ...]
) -> seamir.Compilation:
    """A file of the library with one delivery and conduit."""
    program = seamir.load(f"tdx/{file}.seam", allow_calls=CALLS, conduits=CONDUITS[conduit])
    return seamir.compile(program, target=target, features=features, deliver=delivery)


@cache
def neighbour(target: str, features: tuple[str, ...]) -> bytes:
    """An object with wrappers of other names, to be linked in front of another."""
    program = seamir.load("tdx/seamldr.seam")
    made = seamir.compile(program, target=target, features=features, symbol_prefix="neighbour_")
    return made.outputs["obj"].data


def relinked(data: bytes, target: str, features: tuple[str, ...]) -> bytes:
    """An object linked behind another one into one that can be linked again."""
    linker = LINKERS[TARGETS[target].object_format]
    with tempfile.TemporaryDirectory() as folder:
        inputs = [Path(folder, "neighbour.o"), Path(folder, "this.o")]
        for path, content in zip(inputs, (neighbour(target, features), data), strict=True):
            path.write_bytes(content)
        output = Path(folder, "both.o")
        run(linker, "-r", "-o", output, *inputs)
        return output.read_bytes()


def prove(case: Case) -> Result:
    """Proves all wrappers of a case."""
    made = compiled(case.file, case.target, case.delivery, case.conduit, case.features)
    data = made.outputs["obj"].data
    if case.object == OBJECTS[1]:
        data = relinked(data, case.target, case.features)
    result = Result(case)
    for proof in prove_object(data, made.plans, made.target):
        result.proofs += 1
        result.proved += proof.is_proved
        result.paths += proof.paths
        result.obligations += proof.obligations
        result.queries += proof.queries
        result.seconds += proof.seconds
        result.failures += [f"{proof.symbol}: {one.text}" for one in proof.failures]
        result.assumptions += [f"{proof.symbol}: {one}" for one in proof.assumptions]
        result.unreachable.update(reason for _, reason in proof.unreachable)
    return result


def main() -> int:
    """Proves all cases; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--target", action="append", choices=TARGETS, help="all by default")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--record", type=Path, help="where the counts go, as JSON")
    options = parser.parse_args()
    started = time.monotonic()
    todo = list(cases(options.target or list(TARGETS)))
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for result in pool.map(prove, todo, chunksize=len(DELIVERIES)):
            results.append(result)
            for text in result.failures:
                print(f"{result.case}: {text}", flush=True)
            if len(results) % 20 == 0:
                print(f"{len(results)} of {len(todo)} objects", file=sys.stderr, flush=True)
    text = json.dumps(_record(results, time.monotonic() - started, options.jobs), indent=2) + "\n"
    if options.record:
        options.record.write_text(text, encoding="utf-8")
    print(text, end="")
    return 1 if any(result.failures for result in results) else 0


def _record(results: Sequence[Result], elapsed: float, jobs: int) -> dict[str, object]:
    """The record of a run: sums over all, for each target, and for each file."""
    libraries = ("llvmlite", "iced-x86", "z3-solver")
    versions = [f"seamir {VERSION}", *(f"{name} {version(name)}" for name in libraries)]
    unreachable: Counter[str] = Counter()
    for result in results:
        unreachable.update(result.unreachable)
    return {
        "command": "python tests/prove_library.py",
        "jobs": jobs,
        "versions": [*versions, f"python {python_version()}"],
        "elapsed_seconds": round(elapsed),
        "all": _sums(results),
        "targets": {
            name: _sums([one for one in results if one.case.target == name])
            for name in dict.fromkeys(one.case.target for one in results)
        },
        "files": {
            name: _sums([one for one in results if one.case.file == name])
            for name in dict.fromkeys(one.case.file for one in results)
        },
        "assumptions": sorted({text for one in results for text in one.assumptions}),
        "unreachable": dict(sorted(unreachable.items())),
    }


def _sums(results: Sequence[Result]) -> dict[str, int]:
    return {
        "objects": len(results),
        "wrappers": sum(one.proofs for one in results),
        "proved": sum(one.proved for one in results),
        "paths": sum(one.paths for one in results),
        "obligations": sum(one.obligations for one in results),
        "queries": sum(one.queries for one in results),
        "processor_seconds": round(sum(one.seconds for one in results)),
    }


if __name__ == "__main__":
    sys.exit(main())
