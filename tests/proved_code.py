"""Code that was written for the prover, with its plan, and what is to come of a proof."""

from __future__ import annotations

from assembled import CALL, KERNEL, assemble, fixup
from plans import (
    edges,
    plan,
    returning,
)

from seamir.ir.leaf import Plan
from seamir.targets import TARGETS, Target
from seamir.verify.prover import prove_object
from seamir.verify.replay import replay
from seamir.verify.result import Proof, Verdict

USER = TARGETS["linux-user"]
BUSY = 0x8000_0200_0000_0000
SIMPLE = plan(on=edges(on_carry=returning(7), on_fault=None))
SIMPLE_CODE = f"mov $29, %eax; {CALL}; jc 1f; ret; 1: mov $7, %eax; ret"


def prove(wrapper: Plan, code: str, target: Target = KERNEL, **options: float) -> Proof:
    """The proof of code, with a row of the fixup table where it has the labels for one."""
    rest = fixup(target) if "772:" in code else ""
    (proof,) = prove_object(assemble(code, rest), [wrapper], target, **options)
    return proof


def refute(
    wrapper: Plan, code: str, text: str, target: Target = KERNEL, *, shown: bool = True
) -> Proof:
    """The proof of code that is wrong; its counterexample goes wrong in the emulator too."""
    proof = prove(wrapper, code, target)
    assert proof.verdict is Verdict.REFUTED, proof.failures
    found = [failure for failure in proof.failures if text in failure.text]
    assert found, [failure.text for failure in proof.failures]
    example = found[0].counterexample
    assert example is not None
    rest = fixup(target) if "772:" in code else ""
    assert bool(replay(assemble(code, rest), wrapper, target, example).differences) == shown
    return proof
