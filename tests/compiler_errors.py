"""The table of deliberate errors in the compiler's own passes, and code with and without them.

    python tests/compiler_errors.py

prints it, for documents.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import code_errors
import outcome_errors
import plan_errors
from error_rows import CompilerError

import seamir

TABLE = (*plan_errors.ERRORS, *code_errors.ERRORS, *outcome_errors.ERRORS)
STATED = plan_errors.STATED
DESCRIPTION = Path(__file__).parent / "data" / "compiler_errors.seam"


@cache
def right(symbol: str, target: str, features: tuple[str, ...]) -> seamir.Compilation:
    """The function as the compiler makes it: its plan is right, and so is its code."""
    return _compile(symbol, target, features)


def wrong(error: CompilerError) -> bytes:
    """The object that the compiler makes with an error of the function that shows it."""
    with error.made():
        made = _compile(error.shown_by, error.target, error.features)
    return made.outputs["obj"].data


def _compile(symbol: str, target: str, features: tuple[str, ...]) -> seamir.Compilation:
    program = seamir.load(DESCRIPTION, leaves=[symbol], allow_calls=["helper", "panic"])
    return seamir.compile(program, target=target, features=features, debug=False)


def main() -> None:
    """Prints the table."""
    print("| error | what is wrong |\n|---|---|")
    for error in TABLE:
        print(f"| {error.name} | {error.wrong} |")


if __name__ == "__main__":
    main()
