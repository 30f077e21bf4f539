"""The instructions on XMM registers that compilers move and clear words with.

Intel SDM volume 2. An instruction that writes a part of a register says what becomes of the rest.
"""

from __future__ import annotations

from collections.abc import Callable

from iced_x86 import Mnemonic

from seamir.verify.operands import Operands
from seamir.verify.state import VECTOR_WIDTH
from seamir.verify.terms import (
    Word,
    bit_and,
    bit_or,
    bit_xor,
    concat,
    equal,
    extract,
    if_else,
    mask,
    zero_extend,
)

_HALF = 64  # bits
_WORD = 32  # bits


def _move(at: Operands) -> None:
    at.write(0, at.read(1))


def _move_low(width: int) -> Callable[[Operands], None]:
    """MOVD and MOVQ: the low bits, with zeros above in a vector register."""

    def run(at: Operands) -> None:
        value = extract(at.read(1), 0, width)
        at.write(0, zero_extend(value, width, max(at.width(0), width)))

    return run


def _logic(operation: Callable[[Word, Word, int], Word]) -> Callable[[Operands], None]:
    def run(at: Operands) -> None:
        at.write(0, operation(at.read(0), at.read(1), VECTOR_WIDTH))

    return run


def _join(a: Word, b: Word) -> Word:
    """A vector of two halves, the high one first."""
    return concat(a, _HALF, b, _HALF)


def _low(value: Word) -> Word:
    return extract(value, 0, _HALF)


def _high(value: Word) -> Word:
    return extract(value, _HALF, _HALF)


def _unpack_low(at: Operands) -> None:
    at.write(0, _join(_low(at.read(1)), _low(at.read(0))))


def _unpack_high(at: Operands) -> None:
    at.write(0, _join(_high(at.read(1)), _high(at.read(0))))


def _move_low_half(at: Operands) -> None:
    """MOVLPS and MOVLPD, between memory and the low half."""
    if at.is_memory(0):
        at.write(0, _low(at.read(1)))
    else:
        at.write(0, _join(_high(at.read(0)), at.read(1)))


def _move_high_half(at: Operands) -> None:
    """MOVHPS and MOVHPD, between memory and the high half."""
    if at.is_memory(0):
        at.write(0, _high(at.read(1)))
    else:
        at.write(0, _join(at.read(1), _low(at.read(0))))


def _low_to_high(at: Operands) -> None:
    at.write(0, _join(_low(at.read(1)), _low(at.read(0))))


def _high_to_low(at: Operands) -> None:
    at.write(0, _join(_high(at.read(0)), _high(at.read(1))))


def _shuffle(at: Operands) -> None:
    """PSHUFD: each word of the result is the one that two bits of the immediate say."""
    source, order = at.read(1), at.instruction.immediate(2)
    result: Word = extract(source, _WORD * (order & 3), _WORD)
    for index in range(1, 4):
        word = extract(source, _WORD * (order >> 2 * index & 3), _WORD)
        result = concat(word, _WORD, result, _WORD * index)
    at.write(0, result)


def _shuffle_halves(at: Operands) -> None:
    """SHUFPD: a half of the first operand below one of the second."""
    first, second, order = at.read(0), at.read(1), at.instruction.immediate(2)
    low = _high(first) if order & 1 else _low(first)
    at.write(0, _join(_high(second) if order & 2 else _low(second), low))


def _compare_words(at: Operands) -> None:
    """PCMPEQD: all ones in each word that is equal."""
    first, second = at.read(0), at.read(1)
    result: Word = 0
    for low in range(0, VECTOR_WIDTH, _WORD):
        same = equal(extract(first, low, _WORD), extract(second, low, _WORD), _WORD)
        word = if_else(same, mask(_WORD), 0, _WORD)
        result = concat(word, _WORD, result, low) if low else word
    at.write(0, result)


HANDLERS: dict[int, Callable[[Operands], None]] = {
    **dict.fromkeys(
        (
            *(Mnemonic.MOVAPS, Mnemonic.MOVAPD, Mnemonic.MOVUPS, Mnemonic.MOVUPD),
            *(Mnemonic.MOVDQA, Mnemonic.MOVDQU),
        ),
        _move,
    ),
    Mnemonic.MOVD: _move_low(32),
    Mnemonic.MOVQ: _move_low(64),
    **dict.fromkeys((Mnemonic.PXOR, Mnemonic.XORPS, Mnemonic.XORPD), _logic(bit_xor)),
    **dict.fromkeys((Mnemonic.PAND, Mnemonic.ANDPS, Mnemonic.ANDPD), _logic(bit_and)),
    **dict.fromkeys((Mnemonic.POR, Mnemonic.ORPS, Mnemonic.ORPD), _logic(bit_or)),
    **dict.fromkeys((Mnemonic.PUNPCKLQDQ, Mnemonic.UNPCKLPD), _unpack_low),
    **dict.fromkeys((Mnemonic.PUNPCKHQDQ, Mnemonic.UNPCKHPD), _unpack_high),
    **dict.fromkeys((Mnemonic.MOVLPS, Mnemonic.MOVLPD), _move_low_half),
    **dict.fromkeys((Mnemonic.MOVHPS, Mnemonic.MOVHPD), _move_high_half),
    Mnemonic.MOVLHPS: _low_to_high,
    Mnemonic.MOVHLPS: _high_to_low,
    Mnemonic.PSHUFD: _shuffle,
    Mnemonic.SHUFPD: _shuffle_halves,
    Mnemonic.PCMPEQD: _compare_words,
}
