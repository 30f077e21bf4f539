"""Code for values: expressions, bits of registers, tests of statuses and of promises.

Each function appends to the builder's block and returns the value; all values have 64 bits, and
the results of tests have one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llvmlite import ir

from seamir.model.entities import Bits
from seamir.model.expressions import (
    Constant,
    Expression,
    ParameterValue,
    RefusalValue,
    TrapNumber,
)
from seamir.model.registers import ALL_BITS, CARRY_FLAG, slice_mask
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import Type, extend

I1, I32, I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
SIGN = 1 << 63


def expression(
    builder: ir.IRBuilder,
    value: Expression,
    parameters: Mapping[str, ir.Value],
    edge_value: ir.Value | None = None,
) -> ir.Value:
    """The value of an expression; `edge_value` is what the edge knows, such as the vector."""
    if isinstance(value, Constant):
        return ir.Constant(I64, value.value)
    if isinstance(value, ParameterValue):
        return parameters[value.name]
    if isinstance(value, TrapNumber | RefusalValue):
        return edge_value
    left = expression(builder, value.left, parameters, edge_value)
    right = expression(builder, value.right, parameters, edge_value)
    make = {
        "|": builder.or_,
        "+": builder.add,
        "-": builder.sub,
        "<<": builder.shl,
        ">>": builder.lshr,
    }
    return make[value.operator](left, right)


# -- bits


def take_bits(
    builder: ir.IRBuilder, value: ir.Value, place: Bits, *, signed: bool = False
) -> ir.Value:
    """The bits of a place, from the whole register, extended to 64 bits."""
    low, high = place.low, place.high
    if (low, high) == (0, 63):
        return value
    if signed:
        moved = builder.shl(value, ir.Constant(I64, 63 - high)) if high != 63 else value
        return builder.ashr(moved, ir.Constant(I64, 63 - high + low))
    moved = builder.lshr(value, ir.Constant(I64, low)) if low else value
    if high == 63 or place.register == CARRY_FLAG:  # the flag comes as 0 or 1
        return moved
    return builder.and_(moved, ir.Constant(I64, slice_mask(0, high - low)))


def put_bits(builder: ir.IRBuilder, before: ir.Value, place: Bits, value: ir.Value) -> ir.Value:
    """The register's value with that of a place replaced."""
    mask = slice_mask(place.low, place.high)
    if mask == ALL_BITS:
        return value
    if place.low:
        value = builder.shl(value, ir.Constant(I64, place.low))
    return builder.or_(builder.and_(before, ir.Constant(I64, ALL_BITS & ~mask)), value)


# -- statuses


def matches(builder: ir.IRBuilder, status: ir.Value, accepted: Sequence[Match]) -> ir.Value:
    """Whether any of the matches accepts the status."""
    result: ir.Value | None = None
    for match in accepted:
        if (match.mask, match.value) == (SIGN, SIGN):
            test = builder.icmp_signed("<", status, ir.Constant(I64, 0))
        else:
            masked = status
            if match.mask != ALL_BITS:
                masked = builder.and_(status, ir.Constant(I64, match.mask))
            test = builder.icmp_unsigned("==", masked, ir.Constant(I64, match.value))
        result = test if result is None else builder.or_(result, test)
    return ir.Constant(I1, 0) if result is None else result


def matches_in_halves(
    builder: ir.IRBuilder, status: ir.Value, accepted: Sequence[Match], *, hidden: bool = False
) -> ir.Value:
    """The same, in 32-bit halves: their constants are part of the comparing instructions.

    A 64-bit constant would be loaded into a register, and LLVM would move that out of the loop, to
    the path that everybody pays for. Linkers would join the halves again: `hidden`, they cannot.
    """
    high = builder.trunc(builder.lshr(status, ir.Constant(I64, 32)), I32)
    low = builder.trunc(status, I32)
    if hidden:
        high, low = _hide(builder, high), _hide(builder, low)
    result: ir.Value | None = None
    for match in accepted:
        test: ir.Value | None = None
        for half, shift in ((high, 32), (low, 0)):
            mask = match.mask >> shift & 0xFFFF_FFFF
            if not mask:
                continue
            masked = half
            if mask != 0xFFFF_FFFF:
                masked = builder.and_(half, ir.Constant(I32, mask))
            value = ir.Constant(I32, match.value >> shift & 0xFFFF_FFFF)
            part = builder.icmp_unsigned("==", masked, value)
            test = part if test is None else builder.and_(test, part)
        if test is not None:
            result = test if result is None else builder.or_(result, test)
    return ir.Constant(I1, 1) if result is None else result


def _hide(builder: ir.IRBuilder, half: ir.Value) -> ir.Value:
    """The same value, by way of assembly without instructions that LLVM does not see through."""
    same = ir.InlineAsm(ir.FunctionType(I32, [I32]), "", "=r,0", side_effect=False)
    return builder.call(same, [half])


def passes_guard(builder: ir.IRBuilder, status: ir.Value, guard: Match) -> ir.Value:
    """Whether another attempt is possible, by a test whose constants need no register."""
    if guard.mask & 0xFFFF_FFFF == 0 and guard.mask != SIGN:
        return matches_in_halves(builder, status, (guard,))
    return matches(builder, status, (guard,))


def holds(builder: ir.IRBuilder, status: ir.Value, test: StatusTest) -> ir.Value:
    """Whether the condition of an output holds."""
    result = matches(builder, status, test.any_of)
    if test.inverted:
        result = builder.not_(result)
    if test.or_any_of:
        result = builder.or_(result, matches(builder, status, test.or_any_of))
    if test.none_of:
        result = builder.and_(result, builder.not_(matches(builder, status, test.none_of)))
    return result


# -- promises


def breaks_promise(builder: ir.IRBuilder, value: ir.Value, given: Type, promise: Type) -> ir.Value:
    """Whether a value of C type `given`, extended, is none that `promise` allows.

    What the extension rules out is not tested: the bits above an unsigned type, or a bound at
    the end of its range.
    """
    lowest, highest = _representable(given)
    tests = []
    outside = 0
    if not promise.signed:
        within = ALL_BITS if given.signed else slice_mask(0, given.width - 1)
        outside = ~promise.bits & within
    if (promise.low, promise.high) != (0, promise.bits):
        tests += _outside_range(builder, value, promise, lowest, highest)
        if tests and promise.low >= 0:  # the range has tested the bits above it
            outside &= slice_mask(0, max(promise.high.bit_length(), 1) - 1)
    if outside:
        masked = builder.and_(value, ir.Constant(I64, outside))
        tests.append(builder.icmp_unsigned("!=", masked, ir.Constant(I64, 0)))
    bad = tests[0] if tests else ir.Constant(I1, 0)
    for test in tests[1:]:
        bad = builder.or_(bad, test)
    for constant in promise.constants:
        allowed = ir.Constant(I64, extend(constant, promise.width, promise.signed))
        bad = builder.and_(bad, builder.icmp_unsigned("!=", value, allowed))
    return bad


def _representable(kind: Type) -> tuple[int, int]:
    """The least and the greatest number that the C type has."""
    if kind.signed:
        return -(1 << kind.width - 1), (1 << kind.width - 1) - 1
    return 0, (1 << kind.width) - 1


def _outside_range(
    builder: ir.IRBuilder, value: ir.Value, promise: Type, lowest: int, highest: int
) -> list[ir.Value]:
    """One comparison that is true outside the promised range, or none if nothing is outside."""
    low, high = promise.low, promise.high
    compare = builder.icmp_signed if lowest < 0 else builder.icmp_unsigned
    if low <= lowest and high >= highest:
        return []
    if high >= highest:
        return [compare("<", value, ir.Constant(I64, low))]
    if low <= lowest:
        return [compare(">", value, ir.Constant(I64, high))]
    moved = builder.sub(value, ir.Constant(I64, low)) if low else value
    return [builder.icmp_unsigned(">", moved, ir.Constant(I64, high - low))]
