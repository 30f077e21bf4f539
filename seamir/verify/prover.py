"""Proves functions of an object: machine code against plans, whatever they are given.

The way to a proof is in procedure.py. A failure that rests on an invariant, which may know too
little, refutes code only if executing its call shows a difference.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from seamir.diagnostics import SeamError
from seamir.emulate.machine import UNKNOWN_INSTRUCTION
from seamir.emulate.script import MemoryAccessError
from seamir.ir.leaf import Plan
from seamir.source import Span
from seamir.targets import Target
from seamir.verify.code import Code, LaidOut
from seamir.verify.counterexample import with_all_attempts
from seamir.verify.procedure import Procedure
from seamir.verify.replay import replay
from seamir.verify.result import Counterexample, Failure, Proof, Verdict
from seamir.verify.solver import Solver


def prove_object(
    data: bytes, plans: Sequence[Plan], target: Target, *, timeout: float | None = None
) -> tuple[Proof, ...]:
    """Proves the functions of an object, each within `timeout` seconds, None for no limit.

    Raises ObjectError or LinkError if the object cannot be read or laid out.
    """
    laid_out = LaidOut.of(data, target)
    return tuple(prove(laid_out, plan, target, timeout=timeout) for plan in plans)


def prove(laid_out: LaidOut, plan: Plan, target: Target, *, timeout: float | None = None) -> Proof:
    """Proves the function of one plan, within `timeout` seconds, None for no limit."""
    started = time.process_time()
    code = Code.of(laid_out, plan.symbol)
    if code is None:
        failure = Failure(f"the object has no function {plan.symbol}", span=plan.span)
        return Proof(plan.symbol, plan.leaf, Verdict.UNDECIDED, failures=(failure,))
    deadline = None if timeout is None else time.monotonic() + timeout
    procedure = Procedure(plan, code, target, Solver(deadline))
    procedure.run()
    proof = procedure.proof()
    failures = _distinct(_confirmed(one, laid_out.data, plan, target) for one in proof.failures)
    verdict = proof.verdict
    if failures:
        refuted = any(failure.counterexample is not None for failure in failures)
        verdict = Verdict.REFUTED if refuted else Verdict.UNDECIDED
    seconds = time.process_time() - started
    return replace(proof, failures=failures, verdict=verdict, seconds=seconds)


def _distinct(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    """The first failure of each kind: several paths may fail alike."""
    found: dict[tuple[str, Span | None], Failure] = {}
    for failure in failures:
        found.setdefault((failure.text, failure.span), failure)
    return tuple(found.values())


def _confirmed(failure: Failure, data: bytes, plan: Plan, target: Target) -> Failure:
    """The failure, without its counterexample if executing that shows nothing wrong.

    What rests on an invariant begins with attempts that lead to the state which the failure is
    about, if they do. Where the prover is lost, the code may go on and be right.
    """
    example = failure.counterexample
    if example is None or failure.is_certain:
        return failure
    if _is_shown(example, data, plan, target):
        return replace(failure, is_certain=True)
    longer = with_all_attempts(plan, example)
    if longer is not None and _is_shown(longer, data, plan, target):
        return replace(failure, is_certain=True, counterexample=longer, found=None, wanted=None)
    text = failure.text if failure.is_lost else f"{failure.text}; no call was found that shows it"
    return replace(failure, text=text, counterexample=None, found=None, wanted=None)


def _is_shown(example: Counterexample, data: bytes, plan: Plan, target: Target) -> bool:
    """Whether an execution departs from the plan; an instruction nobody knows shows nothing."""
    try:
        shown = replay(data, plan, target, example)
    except (SeamError, MemoryAccessError, ValueError):  # no unicorn, or no memory for that call
        return False
    unknown = any(UNKNOWN_INSTRUCTION in text for text in shown.execution.problems)
    return bool(shown.differences) and not unknown
