"""Each instruction of the prover's model on random states, held against a processor.

    python tests/fuzz_instructions.py --states 10000 --json tests/data/fuzz_instructions.json

The processor is unicorn's. A difference is told with the instruction, its bytes and the registers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path

from instruction_encodings import CODE_NAMES
from instruction_forms import Bench, FormResult, compare_form

from seamir.verify.instructions import FORMS

_SHOWN = 5  # differences of one form

bench = cache(Bench)  # one in each process


def compare(code: int, states: int, seed: int) -> FormResult:
    """Runs one form in a process of its own."""
    return compare_form(bench(), code, states, seed)


def main() -> int:
    """Runs all forms; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--states", type=int, default=200, help="how many for each form")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--form", action="append", help="only forms whose name begins so")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--json", type=Path, help="where the counts go")
    options = parser.parse_args()
    prefixes = tuple(options.form or ("",))
    codes = [code for code in FORMS if CODE_NAMES[code].startswith(prefixes)]
    count, results, begin = len(codes), [], time.monotonic()
    with ProcessPoolExecutor(options.jobs) as pool:
        for result in pool.map(compare, codes, [options.states] * count, [options.seed] * count):
            results.append(result)
            for text in result.differences[:_SHOWN]:
                print(f"{result.name}: {text}", flush=True)
            if len(results) % 50 == 0:
                print(f"{len(results)} of {count} forms", flush=True)
    record = _record(results, options.states, options.seed)
    record |= {"jobs": options.jobs, "seconds": round(time.monotonic() - begin)}
    text = json.dumps(record, indent=2) + "\n"
    if options.json:
        options.json.write_text(text, encoding="utf-8")
    print(text, end="")
    return 1 if any(result.differences for result in results) else 0


def _record(results: list[FormResult], states: int, seed: int) -> dict[str, object]:
    return {
        "forms": len(results),
        "states of each form": states,
        "states": sum(result.states for result in results),
        "encodings": sum(result.encodings for result in results),
        "seed": seed,
        "versions": {name: version(name) for name in ("iced-x86", "unicorn")},
        "differences": sum(len(result.differences) for result in results),
        "forms with differences": [result.name for result in results if result.differences],
    }


if __name__ == "__main__":
    sys.exit(main())
