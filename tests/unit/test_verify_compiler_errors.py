"""Each deliberate error of the compiler is refuted, and the code without it proved."""

from __future__ import annotations

import pytest
from compiler_errors import STATED, TABLE, right, wrong
from error_rows import CompilerError
from execution import play, scenarios

from seamir.emulate.machine import Machine
from seamir.ir.leaf import Plan
from seamir.targets import Target
from seamir.verify.prover import prove_object
from seamir.verify.result import Verdict

# What no execution shows, and why.
UNSEEN = {"two fault entries": "the processor of the emulator takes either"}
SHOWN = sorted({(error.shown_by, error.target, error.features) for error in TABLE})


def difference(data: bytes, plan: Plan, target: Target) -> str | None:
    """How an execution departs from the plan, None if none does."""
    machine = Machine(data, target)
    for call in scenarios(plan, seed=1, repeat=4):
        _, _, differences = play(machine, plan, call)
        if differences:
            return f"{call.name}: {differences[0]}"
    return None


def test_the_table_is_one() -> None:
    assert len(TABLE) >= 60
    assert len({error.name for error in TABLE}) == len(TABLE)
    assert {error.name for error in TABLE} >= UNSEEN.keys()


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: " ".join([*shown[:2], *shown[2]]))
def test_right_code_is_proved(shown: tuple[str, str, tuple[str, ...]]) -> None:
    compilation = right(*shown)
    data = compilation.outputs["obj"].data
    (proof,) = prove_object(data, compilation.plans, compilation.target)
    assert proof.verdict is Verdict.PROVED, proof.failures
    assert difference(data, compilation.plans[0], compilation.target) is None


@pytest.mark.parametrize("error", [*TABLE, *STATED], ids=str)
def test_an_error_shows_when_the_code_runs(error: CompilerError) -> None:
    compilation = right(error.shown_by, error.target, error.features)
    found = difference(wrong(error), compilation.plans[0], compilation.target)
    assert (found is None) == (error.name in UNSEEN), found


@pytest.mark.parametrize("error", TABLE, ids=str)
def test_an_error_is_refuted(error: CompilerError) -> None:
    compilation = right(error.shown_by, error.target, error.features)
    (proof,) = prove_object(wrong(error), compilation.plans, compilation.target)
    assert proof.verdict is Verdict.REFUTED, proof.failures
    assert error.told in "\n".join(failure.text for failure in proof.failures)


@pytest.mark.parametrize("error", STATED, ids=str)
def test_an_error_that_callers_can_avoid_is_told(error: CompilerError) -> None:
    compilation = right(error.shown_by, error.target, error.features)
    data, target = compilation.outputs["obj"].data, compilation.target
    (proof,) = prove_object(data, compilation.plans, target)
    assert proof.assumptions == ()
    (proof,) = prove_object(wrong(error), compilation.plans, target)
    assert proof.verdict is Verdict.PROVED
    assert proof.assumptions == (error.told,)
