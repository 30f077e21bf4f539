"""Random leaves in bulk: each is proved for each target, and not against a plan it departs from.

    python tests/fuzz_proofs.py --leaves 300 --seed 0 --jobs 2 --json tests/data/fuzz_proofs.json

The text of a seed: `python tests/random_descriptions.py SEED`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

from fuzz_leaves import versions
from random_proofs import Tally, Trial

import seamir

CHUNK = 5  # seeds that a process tries at a time


def try_seeds(seeds: range, timeout: float) -> Tally:
    """What comes of some descriptions; a defect is a problem like others."""
    trial, begin = Trial(list(seamir.TARGETS.values()), timeout), time.process_time()
    for seed in seeds:
        try:
            trial.run(seed)
        except Exception as error:  # whichever: it is told with its seed
            trial.tally.problems.append(f"seed {seed}: {type(error).__name__}: {error}")
    trial.tally.seconds = time.process_time() - begin
    return trial.tally


def as_json(tally: Tally, first: int, last: int) -> dict[str, object]:
    """The record of a run."""
    return {
        "seeds": f"{first} to {last}",
        "descriptions": tally.descriptions,
        "refused": dict(sorted(tally.refused.items())),
        "leaves": tally.leaves,
        **{f"functions for {text}": number for text, number in sorted(tally.verdicts.items())},
        "paths": tally.paths,
        "obligations": tally.obligations,
        "queries": tally.queries,
        "proofs that took too long": tally.late,
        "longest proof in seconds": round(tally.longest, 1),
        **{f"changed plans: {text}": number for text, number in sorted(tally.pairs.items())},
        "problems": len(tally.problems),
        "versions": {**versions(), "z3-solver": version("z3-solver")},
        "processor seconds": round(tally.seconds),
    }


def main() -> int:
    """Runs seeds until there are as many leaves as asked for; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--leaves", type=int, default=100, help="how many, at least")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--timeout", type=float, default=60, help="seconds of one proof")
    parser.add_argument("--json", type=Path, metavar="FILE", help="a file to add the counts to")
    options = parser.parse_args()
    earlier = []
    if options.json and options.json.exists():
        earlier = json.loads(options.json.read_text(encoding="utf-8"))
    tally, seed = Tally(), options.seed
    with ProcessPoolExecutor(options.jobs) as pool:
        while tally.leaves < options.leaves:
            starts = range(seed, seed + CHUNK * options.jobs, CHUNK)
            chunks = [range(start, start + CHUNK) for start in starts]
            for found in pool.map(try_seeds, chunks, [options.timeout] * len(chunks)):
                tally.add(found)
                print("".join(f"{problem}\n" for problem in found.problems), end="")
            seed = starts.stop
            print(f"seed {seed}: {tally.leaves} leaves, {len(tally.problems)} problems", flush=True)
            text = json.dumps([*earlier, as_json(tally, options.seed, seed - 1)], indent=2) + "\n"
            if options.json:
                options.json.write_text(text, encoding="utf-8")
    print(text, end="")
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
