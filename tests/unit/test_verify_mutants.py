"""A tenth of the mutants of `fuzz_code_mutants`, and what the record of all says.

Each mutant is an emitted object with one mistake. What behaves otherwise than its plan must not be
proved, and the object as it was emitted must be.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import mutant_verdicts
import pytest
from code_mutants import KINDS, Mutant, Subject, edits, mutant
from fuzz_code_mutants import ALL, as_json, chunks, judge_all
from mutant_verdicts import ASSUMED, DEFECT, PROVED, REFUSED, UNDECIDED, Judged, judge
from object_places import Places

import seamir
from seamir.verify.result import Failure, Proof, Verdict

DATA = Path(__file__).parents[1] / "data"
TENTH = chunks(0, ALL)[::10]
MOST = 13  # of the 19 mutants of an object, more or less, behave differently


@pytest.mark.parametrize("seeds", TENTH, ids=[f"from {seeds.start}" for seeds in TENTH])
def test_what_behaves_differently_is_not_proved(seeds: range) -> None:
    found, seconds = judge_all(seeds)
    problems = [text for one in found for text in one.problems()]
    assert not problems, "\n".join(problems)
    record = as_json(found, seconds)
    assert record["mutants"] == len(seeds)
    assert sum(one.differs for one in found) >= MOST
    refused = [one for one in found if one.behaviour.is_refused]
    assert all(one.verdict == REFUSED for one in refused)
    assert all(one.failure for one in found if one.verdict != PROVED)
    assert all(one.reason for one in found if one.verdict == PROVED)


def test_the_tenth_is_large_enough_and_has_every_kind() -> None:
    assert len(TENTH) * MOST >= 100
    assert {mutant(seed).kind for seeds in TENTH for seed in seeds} == set(KINDS)


def answer(verdict: Verdict, *assumptions: str) -> Callable[..., tuple[Proof, ...]]:
    """A prover that says the same of everything."""
    failures = () if verdict is Verdict.PROVED else (Failure("it is wrong"),)
    proof = Proof("wrapper", "LEAF", verdict, failures=failures, assumptions=assumptions)
    return lambda *_arguments, **_options: (proof,)


def judged(monkeypatch: pytest.MonkeyPatch, prover: Callable[..., tuple[Proof, ...]]) -> Judged:
    """What is said of a mutant that behaves differently, with another prover."""
    monkeypatch.setattr(mutant_verdicts, "prove_object", prover)
    monkeypatch.setattr(mutant_verdicts, "_originals", {})
    found = judge(mutant(0))
    assert found.differs
    return found


def test_a_prover_that_proves_everything_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged(monkeypatch, answer(Verdict.PROVED))
    (problem,) = found.problems()
    assert found.verdict == PROVED and f"PROVED, and {found.behaviour.difference}" in problem


def test_a_prover_that_proves_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = judged(monkeypatch, answer(Verdict.UNDECIDED))
    (problem,) = found.problems()
    assert (found.verdict, found.failure) == (UNDECIDED, "it is wrong")
    assert "UNDECIDED without the change" in problem


def test_an_assumption_excuses_only_the_calls_that_break_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = judged(monkeypatch, answer(Verdict.PROVED, "a and b do not overlap"))
    assert found.behaviour == found.under_assumptions
    assert any(" and " in problem for problem in found.problems())


def test_a_prover_that_breaks_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> tuple[Proof, ...]:
        raise ValueError("no such thing")

    found = judged(monkeypatch, broken)
    assert found.verdict == DEFECT
    assert "ValueError: no such thing" in next(found.problems())


def test_stores_in_another_order_are_proved_only_for_outputs_that_do_not_overlap() -> None:
    program = seamir.load("tdx/host.seam", leaves=["TDH.MEM.PAGE.REMOVE"])
    made = seamir.compile(program, target="freestanding", emit=("obj",))
    (plan,), kind = made.plans, "instructions exchanged"
    places = Places(made.outputs["obj"].data, made.target)
    groups = edits(kind, places, plan.symbol, Random(0))
    edit = next(e for group in groups for e in group if e.before.count("mov [r") == 2)
    subject = Subject("tdx/host.seam", ("freestanding",), "pointers")
    found = judge(Mutant(0, kind, subject, plan, places, edit))
    assert found.differs and found.under_assumptions.difference is None
    assert found.verdict == ASSUMED
    assert found.failure == "only if ext_err1 and ext_err2 do not overlap"
    assert not list(found.problems())


def test_the_record_of_all() -> None:
    record = json.loads((DATA / "code_mutants.json").read_text())
    differing, same = record["behave differently"], record["survive execution"]
    assert sum(differing.values()) >= 1000
    assert PROVED not in differing and record["problems"] == 0
    assert sum(differing.values()) + sum(same.values()) == record["mutants"] == ALL
    assert len(record["equivalent"]) == same[PROVED]
    assert len(record["equivalent"]) + len(record["found by proof alone"]) == sum(same.values())
    assert record["kinds"].keys() == set(KINDS)
    assert all(kind["behave differently"] for kind in record["kinds"].values())
