"""Emitted objects with mistakes: what behaves otherwise than its plan must not be proved.

    python tests/fuzz_code_mutants.py --seed 0 --count 1520 --jobs 2 --json FILE

Each mutant is executed in all outcome classes, and the prover is asked. `--show` tells all about
one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from code_mutants import CHUNK, KINDS, mutant
from fuzz_leaves import versions
from mutant_verdicts import ASSUMED, PROVED, REFUSED, REFUTED, UNDECIDED, Judged, judge
from object_places import Places

from seamir.objects.disassembly import listing

ALL = 80 * CHUNK  # mutants in a full run


def judge_all(seeds: range) -> tuple[list[Judged], float]:
    """What comes of some mutants, and the seconds of the processor that it took."""
    begin = time.process_time()
    return [judge(mutant(seed)) for seed in seeds], time.process_time() - begin


def chunks(first: int, count: int) -> list[range]:
    """The seeds, those together that are of one object."""
    end = first + count
    starts = range(first // CHUNK * CHUNK, end, CHUNK)
    return [range(max(start, first), min(start + CHUNK, end)) for start in starts]


def as_json(found: Sequence[Judged], seconds: float) -> dict[str, object]:
    """The record of a run."""
    same = [one for one in found if not one.differs]
    return {
        "seeds": f"{found[0].seed} to {found[-1].seed}",
        "mutants": len(found),
        "objects": len({one.subject for one in found}),
        "behave differently": _verdicts(one for one in found if one.differs),
        "survive execution": _verdicts(same),
        "counterexamples shown": sum(one.is_shown for one in found),
        "calls": sum(one.behaviour.calls for one in found),
        "problems": sum(len(list(one.problems())) for one in found),
        "versions": {**versions(), "z3-solver": version("z3-solver")},
        "processor seconds": round(seconds),
        "kinds": {kind: _kind([one for one in found if one.kind == kind]) for kind in KINDS},
        "equivalent": [
            {"mutant": one.text, "reason": one.reason} for one in same if one.verdict == PROVED
        ],
        "found by proof alone": [
            {
                "mutant": one.text,
                "verdict": one.verdict,
                "failure": one.failure,
                "shown": one.is_shown,
            }
            for one in same
            if one.verdict != PROVED
        ],
        "undecided": _failures(one for one in found if one.verdict == UNDECIDED),
        "refuted and not shown": _failures(
            one for one in found if one.verdict == REFUTED and not one.is_shown
        ),
    }


def _kind(found: Sequence[Judged]) -> dict[str, dict[str, int]]:
    return {
        "behave differently": _verdicts(one for one in found if one.differs),
        "survive execution": _verdicts(one for one in found if not one.differs),
    }


def _verdicts(found: Iterable[Judged]) -> dict[str, int]:
    return dict(sorted(Counter(one.verdict for one in found).items()))


def _failures(found: Iterable[Judged]) -> list[dict[str, str]]:
    return [{"mutant": one.text, "failure": one.failure} for one in found]


def table(record: dict[str, Any]) -> str:
    """A record as a table in Markdown: what became of each kind of mistake."""
    lines = [
        "| mistake | behave differently | refuted | undecided | no object | only assumed "
        "| behave the same | proved |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind, row in [*record["kinds"].items(), ("all", record)]:
        differing, same = row["behave differently"], row["survive execution"]
        verdicts = [differing.get(verdict, 0) for verdict in (REFUTED, UNDECIDED, REFUSED, ASSUMED)]
        numbers = [sum(differing.values()), *verdicts, sum(same.values()), same.get(PROVED, 0)]
        lines.append(f"| {kind} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    return "\n".join(lines) + "\n"


def show(seed: int) -> None:
    """Prints a mutant, how it behaves, what the prover says, and its code."""
    made = mutant(seed)
    one = judge(made)
    print(f"{one.text}\n{one.subject}\nbehaves differently: {one.behaviour.difference}")
    print(f"{one.verdict} {one.failure}{one.reason}; {one.of_original} without the change")
    print(f"a counterexample was executed and goes wrong: {one.is_shown}")
    places = Places(made.data, made.target)
    function = places.contents.function(made.plan.symbol)
    if function is not None and not one.behaviour.is_refused:
        print(listing(function, places.contents.fixups(made.target.fixup_section)), end="")


def main() -> int:
    """Runs the mutants; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=ALL, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--json", type=Path, help="where the record goes")
    parser.add_argument("--show", type=int, metavar="SEED", help="tell about this one, and no more")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print this record as Markdown")
    options = parser.parse_args()
    if options.table is not None:
        print(table(json.loads(options.table.read_text(encoding="utf-8"))), end="")
        return 0
    if options.show is not None:
        show(options.show)
        return 0
    found: list[Judged] = []
    total, problems = 0.0, 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for some, seconds in pool.map(judge_all, chunks(options.seed, options.count)):
            found += some
            total += seconds
            wrong = [text for one in some for text in one.problems()]
            problems += len(wrong)
            print("".join(f"{text}\n" for text in wrong), end="")
            print(f"{len(found)} mutants, {problems} problems", flush=True)
    text = json.dumps(as_json(found, total), indent=2) + "\n"
    if options.json:
        options.json.write_text(text, encoding="utf-8")
    print(text, end="")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
