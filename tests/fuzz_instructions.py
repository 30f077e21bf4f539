"""Each instruction of the prover's model on random states, held against a processor.

    python tests/fuzz_instructions.py --states 10000 --json tests/data/fuzz_instructions.json

The processor is unicorn's. A difference is told with the instruction, its bytes and the registers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from instruction_encodings import CODE_NAMES
from instruction_forms import Bench, FormResult, compare_form

from seamir.verify.instructions import FORMS


def main() -> int:
    """Runs all forms; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--states", type=int, default=200, help="how many for each form")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--form", action="append", help="only forms whose name begins so")
    parser.add_argument("--json", type=Path, help="where the counts go")
    options = parser.parse_args()
    bench, results = Bench(), []
    prefixes = tuple(options.form or ("",))
    for code in sorted(FORMS, key=lambda one: CODE_NAMES[one]):
        if CODE_NAMES[code].startswith(prefixes):
            results.append(compare_form(bench, code, options.states, options.seed))
            for text in results[-1].differences[:5]:
                print(f"{results[-1].name}: {text}", flush=True)
    record = _record(results, options.states, options.seed)
    text = json.dumps(record, indent=2) + "\n"
    if options.json:
        options.json.write_text(text, encoding="utf-8")
    print(text, end="")
    return 1 if record["differences"] else 0


def _record(results: list[FormResult], states: int, seed: int) -> dict[str, object]:
    return {
        "forms": len(results),
        "states of each form": states,
        "states": sum(one.states for one in results),
        "encodings": sum(one.encodings for one in results),
        "differences": sum(len(one.differences) for one in results),
        "seed": seed,
        "versions": {name: version(name) for name in ("iced-x86", "unicorn")},
        "processor seconds": round(time.process_time()),
        "by form": {one.name: len(one.differences) for one in results if one.differences},
    }


if __name__ == "__main__":
    sys.exit(main())
