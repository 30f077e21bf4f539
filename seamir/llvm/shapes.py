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


def argument_type(argument: Argument, *, for_linking: bool = False) -> ir.Type:
    """The type of an argument of the function; `for_linking`, that which callers give it."""
    if argument.kind is not ArgumentKind.VALUE or argument.type.c_base == "ptr":
        return POINTER
    return I1 if for_linking and argument.type.c_base == "bool" else integer(argument.type)


def return_type(plan: Plan, *, for_linking: bool = False) -> ir.Type:
    """The type that the function returns; `for_linking`, that which callers expect."""
    if plan.returns in (Returns.NOTHING, Returns.NO_STATUS):
        return ir.VoidType()
    if plan.returns is Returns.STATUS_AND_VALUE:
        return ir.LiteralStructType([I64, _value_type(plan, I8) if for_linking else I64])
    if plan.returns is Returns.VALUE and for_linking:
        return _value_type(plan, I1)
    return I64


def _value_type(plan: Plan, of_bool: ir.Type) -> ir.Type:
    """The type of the output that the function returns."""
    kind = plan.returned.type
    return {"bool": of_bool, "ptr": POINTER}.get(kind.c_base) or integer(kind)


def return_extension(plan: Plan) -> str | None:
    """The attribute of a narrow value that callers expect in 32 bits."""
    if plan.returns is not Returns.VALUE or plan.returned.type.width >= 32:
        return None
    return "signext" if plan.returned.type.signed else "zeroext"


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
