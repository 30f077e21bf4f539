"""Which register takes the carry flag where it is an output, and what uses RBP because of it.

One rule for all who ask: the assembly of the call, what is parked during it, and inlining.
"""

from __future__ import annotations

from collections.abc import Collection

from seamir.ir.leaf import Plan
from seamir.model.registers import REGISTERS

# The order in which registers are tried that callers do not expect back.
SCRATCH = ("rsi", "rdi", "r8", "r9", "r10", "r11", "rcx", "rdx")

# Registers of which LLVM may find none for the carry flag, though the call leaves them alone.
FEW = 3


def vector_register(plan: Plan) -> set[str]:
    """The register in which the fixup of a fault leaves the vector, whatever the call changes."""
    return {"rax"} if plan.catches_faults else set()


def registers_left(plan: Plan) -> set[str]:
    """The registers, RBP apart, that neither the call nor a fault at it changes."""
    return REGISTERS.keys() - plan.destroyed - vector_register(plan) - {"rsp", "rbp"}


def flag_register(plan: Plan, parked: Collection[str] = ()) -> str | None:
    """The register that the carry flag is moved into; None leaves the choice to LLVM.

    `parked` are registers where pointers wait. LLVM chooses among registers that the call leaves
    alone, and ends the process if it finds none, as it may where only one or two are left. Then
    it is one of those; and if there is none, one that comes back with nothing that anybody uses.
    """
    left = registers_left(plan) - set(parked)
    if len(left) > FEW:
        return None
    loaded = {load.register for load in plan.loads}
    choices = left - loaded or left or plan.destroyed - plan.needed - vector_register(plan)
    return next((name for name in (*SCRATCH, *REGISTERS) if name in choices), None)


def uses_rbp(plan: Plan) -> bool:
    """Whether RBP is read or changed, if only by the carry flag for which nothing else is left."""
    if "rbp" in plan.destroyed or plan.load("rbp") is not None:
        return True
    return plan.returns_carry and not registers_left(plan) and flag_register(plan) is None
