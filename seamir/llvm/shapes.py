"""Shapes that follow from a plan: LLVM types of its function, and what a loop of attempts keeps."""

from __future__ import annotations

from llvmlite import ir

from seamir.ir.leaf import Argument, ArgumentKind, CarryRegister, Plan, Returns
from seamir.model.types import Type

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
POINTER = ir.PointerType()


def integer(kind: Type) -> ir.IntType:
    """The integer type of a value in memory or as an argument."""
    return {8: I8, 32: I32, 64: I64}.get(kind.width) or ir.IntType(kind.width)


def argument_type(argument: Argument) -> ir.Type:
    """The type of an argument of the function."""
    if argument.kind is not ArgumentKind.VALUE or argument.type.c_base == "ptr":
        return POINTER
    return integer(argument.type)


def return_type(plan: Plan) -> ir.Type:
    """The type that the function returns."""
    if plan.returns in (Returns.NOTHING, Returns.NO_STATUS):
        return ir.VoidType()
    if plan.returns is Returns.STATUS_AND_VALUE:
        return ir.LiteralStructType([I64, I64])
    return I64


def changing(plan: Plan) -> list[str]:
    """Registers whose operand changes between attempts, in the order of the loads."""
    changed = {
        step.register if isinstance(step, CarryRegister) else step.place.register
        for clause in plan.again
        for step in clause.steps
    }
    return [load.register for load in plan.loads if load.register in changed]


def counters(plan: Plan) -> list[tuple[int, int]]:
    """Low bit and width of each clause's count of granted attempts, within 32 bits.

    They fit: the attempts multiply to at most 65,535, so the widths add up to less than 32.
    """
    places, low = [], 0
    for clause in plan.again:
        width = clause.attempts.bit_length()
        places.append((low, width))
        low += width
    return places
