"""Random leaves in bulk: each compiles for a target, executes, and does what its plan says.

    python tests/fuzz_leaves.py --leaves 20000 --record tests/data/fuzz_leaves.json

The text of a seed: `python tests/random_descriptions.py SEED`.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from random import Random

from random_runs import constructs_of, load, problems_of

import seamir
from seamir.compiler import DELIVERIES
from seamir.syntax import ast

CALLS = 8  # of each function
CHUNK = 25  # seeds that a process tries at a time


@dataclass
class Tally:
    """What came of some seeds; `constructs` are those of the descriptions that were executed."""

    descriptions: int = 0
    leaves: int = 0
    functions: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    compilations: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    constructs: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0  # of the processor

    def add(self, other: Tally) -> None:
        """Adds what came of other seeds."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


def try_seed(seed: int, tally: Tally, calls: int = CALLS) -> None:
    """Adds what comes of one description to the tally; targets take turns."""
    tally.descriptions += 1
    random = Random(f"options {seed}")
    target = list(seamir.TARGETS.values())[seed % len(seamir.TARGETS)]
    try:
        program = load(seed)
        compilation = seamir.compile(
            program,
            target=target,
            features=list(switched(target, random)),
            deliver=random.choice(DELIVERIES),
            emit=("obj",),
            debug=random.random() < 0.2,
        )
    except seamir.SeamError as error:
        errors = [entry for entry in error.diagnostics if entry.severity == "error"]
        tally.refused[errors[0].code] += 1
        nowhere = [entry for entry in errors if entry.span is None]
        tally.problems += [f"seed {seed}: no place: {entry.render()}" for entry in nowhere]
        return
    constructs = constructs_of(program)
    tally.constructs += constructs
    tally.leaves += constructs[ast.LeafItem.__name__]
    tally.compilations[target.name] += 1
    tally.functions += len(compilation.plans)
    found = problems_of(compilation, seed, calls, tally.outcomes)
    tally.problems += [f"seed {seed}, {compilation.target}: {text}" for text in found]


def switched(target: seamir.Target, random: Random) -> Iterator[str]:
    """Some features of a target switched, of those that it can have and lack."""
    fixed = dict(target.fixed)
    for feature in seamir.FEATURES:
        if random.random() < 0.15 and feature not in fixed:
            yield f"{'-' if feature in target.features else '+'}{feature}"


def versions() -> dict[str, str]:
    """Of what took part."""
    return {
        "seamir": seamir.__version__,
        "llvmlite": version("llvmlite"),
        "unicorn": version("unicorn"),
        "python": platform.python_version(),
    }


def as_json(tally: Tally, first: int, last: int) -> dict[str, object]:
    """The record of a run."""
    return {
        "seeds": f"{first} to {last}",
        "descriptions": tally.descriptions,
        "refused": dict(sorted(tally.refused.items())),
        "leaves": tally.leaves,
        "functions": tally.functions,
        "compilations": dict(tally.compilations),
        **dict(sorted(tally.outcomes.items())),
        "problems": len(tally.problems),
        "versions": versions(),
        "processor seconds": round(tally.seconds),
        "constructs": dict(sorted(tally.constructs.items())),
    }


def try_seeds(seeds: range) -> Tally:
    """What comes of some descriptions; a defect is a problem like others."""
    tally, begin = Tally(), time.process_time()
    for seed in seeds:
        try:
            try_seed(seed, tally)
        except Exception as error:  # whichever: it is told with its seed
            tally.problems.append(f"seed {seed}: {type(error).__name__}: {error}")
    tally.seconds = time.process_time() - begin
    return tally


def main() -> int:
    """Runs seeds until there are as many leaves as asked for; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--leaves", type=int, default=1000, help="how many, at least")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--record", type=Path, help="JSON to add the counts to")
    options = parser.parse_args()
    earlier = []
    if options.record and options.record.exists():
        earlier = json.loads(options.record.read_text(encoding="utf-8"))
    tally, seed = Tally(), options.seed
    with ProcessPoolExecutor(options.jobs) as pool:
        while tally.leaves < options.leaves:
            starts = range(seed, seed + CHUNK * options.jobs, CHUNK)
            for found in pool.map(try_seeds, [range(s, s + CHUNK) for s in starts]):
                tally.add(found)
                print("".join(f"{problem}\n" for problem in found.problems), end="")
            seed = starts.stop
            print(f"seed {seed}: {tally.leaves} leaves, {len(tally.problems)} problems", flush=True)
            text = json.dumps([*earlier, as_json(tally, options.seed, seed - 1)], indent=2) + "\n"
            if options.record:
                options.record.write_text(text, encoding="utf-8")
    print(text, end="")
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
