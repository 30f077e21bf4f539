"""The status flags after an operation, and the conditions made of them.

Intel SDM volume 1, section 3.4.3.1 and appendix B; what the manual leaves undefined is anything.
"""

from __future__ import annotations

from typing import Any

from iced_x86 import ConditionCode

from seamir.verify.state import State
from seamir.verify.terms import (
    Word,
    bit_and,
    bit_not,
    bit_or,
    bit_xor,
    equal,
    extract,
    less_unsigned,
)


def set_result(state: State, result: Word, width: int) -> None:
    """ZF, SF and PF, which tell of the result."""
    flags = state.flags
    flags["zf"] = equal(result, 0, width)
    flags["sf"] = extract(result, width - 1, 1)
    flags["pf"] = _parity(extract(result, 0, 8))


def _parity(byte: Word) -> Word:
    """Whether a byte has an even number of ones."""
    folded = bit_xor(extract(byte, 0, 4), extract(byte, 4, 4), 4)
    folded = bit_xor(extract(folded, 0, 2), extract(folded, 2, 2), 2)
    return bit_not(bit_xor(extract(folded, 0, 1), extract(folded, 1, 1), 1), 1)


def set_logic(state: State, result: Word, width: int) -> None:
    """After and, or, xor and test."""
    set_result(state, result, width)
    state.flags["cf"] = state.flags["of"] = 0
    state.flags["af"] = state.anything(1)


def set_add(state: State, a: Word, b: Word, result: Word, width: int, carry: Word = 0) -> None:
    """After a + b + carry; CF too."""
    state.flags["cf"] = less_unsigned(result, a, width)
    if carry != 0 or not isinstance(carry, int):
        with_carry = bit_and(carry, equal(result, a, width), 1)
        state.flags["cf"] = bit_or(state.flags["cf"], with_carry, 1)
    set_sum(state, a, b, result, width)


def set_sum(state: State, a: Word, b: Word, result: Word, width: int) -> None:
    """After a + b, all but CF."""
    set_result(state, result, width)
    state.flags["af"] = _bit(bit_xor(bit_xor(a, b, width), result, width), 4)
    signs = bit_and(bit_xor(a, result, width), bit_xor(b, result, width), width)
    state.flags["of"] = _bit(signs, width - 1)


def set_subtract(
    state: State, a: Word, b: Word, result: Word, width: int, borrow: Word = 0
) -> None:
    """After a - b - borrow; CF too."""
    state.flags["cf"] = less_unsigned(a, b, width)
    if borrow != 0 or not isinstance(borrow, int):
        with_borrow = bit_and(borrow, equal(a, b, width), 1)
        state.flags["cf"] = bit_or(state.flags["cf"], with_borrow, 1)
    set_difference(state, a, b, result, width)
    if isinstance(borrow, int) and not borrow:
        state.flags["zf"] = equal(a, b, width)


def set_difference(state: State, a: Word, b: Word, result: Word, width: int) -> None:
    """After a - b, all but CF."""
    set_result(state, result, width)
    state.flags["af"] = _bit(bit_xor(bit_xor(a, b, width), result, width), 4)
    signs = bit_and(bit_xor(a, b, width), bit_xor(a, result, width), width)
    state.flags["of"] = _bit(signs, width - 1)


def _bit(word: Word, number: int) -> Word:
    return extract(word, number, 1)


def condition(state: State, code: Any) -> Word:
    """Whether a condition of Jcc, SETcc and CMOVcc holds; `code` is iced's number."""
    if code in _OPPOSITES:
        return bit_not(condition(state, _OPPOSITES[code]), 1)
    flags = state.flags
    if code in _FLAGS:
        return flags[_FLAGS[code]]
    if code == ConditionCode.BE:
        return bit_or(flags["cf"], flags["zf"], 1)
    less = bit_xor(flags["sf"], flags["of"], 1)
    return less if code == ConditionCode.L else bit_or(less, flags["zf"], 1)


_FLAGS = {
    ConditionCode.O: "of",
    ConditionCode.B: "cf",
    ConditionCode.E: "zf",
    ConditionCode.S: "sf",
    ConditionCode.P: "pf",
}
_OPPOSITES = {
    ConditionCode.NO: ConditionCode.O,
    ConditionCode.AE: ConditionCode.B,
    ConditionCode.NE: ConditionCode.E,
    ConditionCode.A: ConditionCode.BE,
    ConditionCode.NS: ConditionCode.S,
    ConditionCode.NP: ConditionCode.P,
    ConditionCode.GE: ConditionCode.L,
    ConditionCode.G: ConditionCode.LE,
}
