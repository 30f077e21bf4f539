"""Shifts, rotations and tests of single bits.

Intel SDM volume 2, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD", "SHRD" and "BT". A count is taken
modulo 64 for operands of 64 bits and modulo 32 for others; a count of 0 changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from iced_x86 import Mnemonic, OpKind

from seamir.verify.flags import set_result
from seamir.verify.operands import Operands, UnknownInstructionError
from seamir.verify.terms import (
    Word,
    bit_and,
    bit_not,
    bit_or,
    bit_xor,
    concat,
    equal,
    extract,
    if_else,
    mask,
    shift_left,
    shift_right,
    shift_right_signed,
    subtract,
    zero_extend,
)

Shift: TypeAlias = Callable[[Word, Word, int], Word]


def _count(at: Operands, index: int) -> Word:
    """The count of a shift, as wide as the first operand."""
    width = at.width(0)
    value = at.read(index)
    if isinstance(value, int):
        return value & (63 if width == 64 else 31)
    count = bit_and(extract(value, 0, 8), 63 if width == 64 else 31, 8)
    return zero_extend(count, 8, width) if width > 8 else count


def _set_flags(
    at: Operands, count: Word, value: Word, result: Word, carry: Word, overflow: Word
) -> None:
    """All flags after a shift; those before it if the count is 0.

    OF is defined for a count of 1 only, and AF never.
    """
    state, width = at.state, at.width(0)
    before = dict(state.flags)
    set_result(state, result, width)
    by_one = equal(count, 1, width)
    state.flags["cf"] = carry
    state.flags["of"] = if_else(by_one, overflow, state.anything(1), 1)
    state.flags["af"] = state.anything(1)
    is_zero = equal(count, 0, width)
    for name, flag in before.items():
        state.flags[name] = if_else(is_zero, flag, state.flags[name], 1)
    at.write(0, if_else(is_zero, value, result, width))


def _shift(operation: Shift, kind: str) -> Callable[[Operands], None]:
    def run(at: Operands) -> None:
        width, value, count = at.width(0), at.read(0), _count(at, 1)
        result = operation(value, count, width)
        previous = operation(value, subtract(count, 1, width), width)
        top, low = extract(result, width - 1, 1), extract(previous, 0, 1)
        if kind == "left":
            # The last bit shifted out: none of the value's is left from a count above the width.
            carry = extract(previous, width - 1, 1)
            _set_flags(at, count, value, result, carry, bit_xor(top, carry, 1))
        elif kind == "right":
            _set_flags(at, count, value, result, low, extract(value, width - 1, 1))
        else:
            _set_flags(at, count, value, result, low, 0)
        if width < 32 and kind != "signed":
            _forget_carry(at, count)

    return run


def _forget_carry(at: Operands, count: Word) -> None:
    """CF is undefined where a narrow operand is shifted by its width or more."""
    width = at.width(0)
    if isinstance(count, int):
        if count >= width:
            at.state.flags["cf"] = at.state.anything(1)
        return
    high = bit_and(count, mask(width) & ~(width - 1), width)
    defined = equal(high, 0, width)
    at.state.flags["cf"] = if_else(defined, at.state.flags["cf"], at.state.anything(1), 1)


def _rotate(*, left: bool) -> Callable[[Operands], None]:
    def run(at: Operands) -> None:
        width, value, count = at.width(0), at.read(0), _count(at, 1)
        turns = bit_and(count, width - 1, width)
        back = bit_and(subtract(0, turns, width), width - 1, width)
        one, other = (shift_left, shift_right) if left else (shift_right, shift_left)
        turned = bit_or(one(value, turns, width), other(value, back, width), width)
        result = if_else(equal(turns, 0, width), value, turned, width)
        top, low = extract(result, width - 1, 1), extract(result, 0, 1)
        carry = low if left else top
        overflow = bit_xor(top, low if left else extract(result, width - 2, 1), 1)
        flags, is_zero = at.state.flags, equal(count, 0, width)
        by_one = equal(count, 1, width)
        overflow = if_else(by_one, overflow, at.state.anything(1), 1)
        flags["cf"] = if_else(is_zero, flags["cf"], carry, 1)
        flags["of"] = if_else(is_zero, flags["of"], overflow, 1)
        at.write(0, result)

    return run


def _double_shift(*, left: bool) -> Callable[[Operands], None]:
    def run(at: Operands) -> None:
        width, value, more, count = at.width(0), at.read(0), at.read(1), _count(at, 2)
        assert isinstance(count, int)  # forms with a count in CL are not modelled
        if count == 0:
            at.write(0, value)  # which clears the upper half of a register
            return
        if left:
            pair = concat(value, width, more, width)
            result = extract(pair, width - count, width)
            carry = extract(value, width - count, 1)
        else:
            pair = concat(more, width, value, width)
            result = extract(pair, count, width)
            carry = extract(value, count - 1, 1)
        signs = bit_xor(extract(value, width - 1, 1), extract(result, width - 1, 1), 1)
        _set_flags(at, count, value, result, carry, signs)

    return run


def _bit_test(change: Callable[[Word, Word, int], Word] | None) -> Callable[[Operands], None]:
    def run(at: Operands) -> None:
        width, place = at.width(0), at.read(1)
        if at.is_memory(0) and not isinstance(place, int):
            raise UnknownInstructionError(str(at.instruction))  # it may reach far from its address
        if at.is_memory(0) and at.instruction.op_kind(1) == OpKind.REGISTER:
            raise UnknownInstructionError(str(at.instruction))
        place = bit_and(place, width - 1, width)
        value = at.read(0)
        flags = at.state.flags
        flags["cf"] = extract(shift_right(value, place, width), 0, 1)
        for name in ("of", "sf", "af", "pf"):  # ZF stays
            flags[name] = at.state.anything(1)
        if change is not None:
            at.write(0, change(value, shift_left(1, place, width), width))

    return run


def _clear(value: Word, bit: Word, width: int) -> Word:
    return bit_and(value, bit_not(bit, width), width)


HANDLERS: dict[int, Callable[[Operands], None]] = {
    Mnemonic.SHL: _shift(shift_left, "left"),
    Mnemonic.SHR: _shift(shift_right, "right"),
    Mnemonic.SAR: _shift(shift_right_signed, "signed"),
    Mnemonic.ROL: _rotate(left=True),
    Mnemonic.ROR: _rotate(left=False),
    Mnemonic.SHLD: _double_shift(left=True),
    Mnemonic.SHRD: _double_shift(left=False),
    Mnemonic.BT: _bit_test(None),
    Mnemonic.BTS: _bit_test(bit_or),
    Mnemonic.BTR: _bit_test(_clear),
    Mnemonic.BTC: _bit_test(bit_xor),
}
