"""A slice of what `fuzz_leaves` and `fuzz_mutants` do in bulk, and what their records say.

Some seeds are always the same, and some are new each time: the head of pytest's report names the
first of those, and SEAMIR_SEED sets it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import fuzz_leaves
import fuzz_mutants
import pytest
from command_line import ROOT
from random_runs import all_constructs

import seamir
from seamir.syntax import ast

DATA = Path(__file__).parents[1] / "data"
DESCRIPTIONS, MUTANTS = 25, 20  # for each test
NEW = int(os.environ["SEAMIR_SEED"])

# Arrays and layouts are assigned by name: the grammar allows any expression, the checker does not.
NEVER_VALID = {"AssignFile.value BinaryExpr", "AssignFile.value LiteralExpr"}


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("first", [0, NEW], ids=["same", "new"])
def test_random_leaves(first: int, part: int) -> None:
    begin = first + part * DESCRIPTIONS
    tally = fuzz_leaves.try_seeds(range(begin, begin + DESCRIPTIONS))
    assert not tally.problems, "\n".join(tally.problems[:20])
    assert tally.leaves > DESCRIPTIONS
    assert tally.functions >= tally.leaves
    assert tally.outcomes["calls"] > tally.functions
    assert tally.compilations.keys() == seamir.TARGETS.keys()


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("first", [0, NEW], ids=["same", "new"])
def test_mutants(first: int, part: int, tmp_path: Path) -> None:
    tally = fuzz_mutants.Tally()
    for seed in range(first + part * MUTANTS, first + (part + 1) * MUTANTS):
        fuzz_mutants.Trial(seed, tmp_path, tally).run()
    assert not tally.problems, "\n".join(tally.problems[:20])
    assert tally.commands["check"] == MUTANTS


def test_the_record_of_random_leaves() -> None:
    runs = json.loads((DATA / "fuzz_leaves.json").read_text())
    assert sum(run["leaves"] for run in runs) >= 20_000
    assert not any(run["problems"] for run in runs)
    for run in runs:
        assert run["compilations"].keys() == seamir.TARGETS.keys()
        assert run["constructs"][ast.LeafItem.__name__] == run["leaves"]
        assert (
            sum(run["compilations"].values()) + sum(run["refused"].values()) == run["descriptions"]
        )
        assert all_constructs() - NEVER_VALID <= run["constructs"].keys()


def test_the_record_of_mutants() -> None:
    run = json.loads((DATA / "fuzz_mutants.json").read_text())
    assert run["mutants"] == run["commands"]["check"]
    assert run["problems"] == 0
    codes = {path.stem for path in (ROOT / "docs/errors").glob("E*.md")}
    assert run["errors"].keys() <= codes | {"W0503", "W0901"}


def test_the_documented_numbers() -> None:
    """docs/robustness.md says what the records say."""
    text = (ROOT / "docs/robustness.md").read_text(encoding="utf-8")
    leaves = json.loads((DATA / "fuzz_leaves.json").read_text())
    mutants = json.loads((DATA / "fuzz_mutants.json").read_text())
    for what in ("leaves", "descriptions", "functions", "calls", "attempts"):
        assert f"| {what} | {sum(run[what] for run in leaves):,} |" in text
    for what in ("mutants", "valid"):
        assert f"| {what} | {mutants[what]:,} |" in text
