"""Bit vectors: constants as ints, and everything else as terms over symbols.

A constructor takes operands of `width` bits and returns the result in a normal form as simple as is
cheap to find: a constant where all is known, a sum as term plus constant. The same code so runs
instructions on numbers and on symbols. Equal terms are one object, so `is` compares them; terms
that are equal only by arithmetic are for the solver. A condition is a bit vector of 1 bit.
"""

from __future__ import annotations

from itertools import count
from typing import TypeAlias

__all__ = [
    "FALSE",
    "TRUE",
    "Term",
    "Word",
    "add",
    "bit_and",
    "bit_not",
    "bit_or",
    "bit_xor",
    "both",
    "concat",
    "either",
    "equal",
    "extract",
    "if_else",
    "less_signed",
    "less_unsigned",
    "mask",
    "multiply",
    "negate",
    "shift_left",
    "shift_right",
    "shift_right_signed",
    "sign_extend",
    "signed",
    "split_sum",
    "subtract",
    "symbol",
    "width_of",
    "zero_extend",
]


class Term:
    """An operation on words; `number` is its place in the order of creation."""

    __slots__ = ("arguments", "name", "number", "operator", "width")

    def __init__(
        self, operator: str, width: int, arguments: tuple[Word, ...], name: str, number: int
    ) -> None:
        self.operator = operator
        self.width = width
        self.arguments = arguments
        self.name = name
        self.number = number

    def __repr__(self) -> str:
        if self.operator == "symbol":
            return self.name
        shown = (hex(a) if isinstance(a, int) else repr(a) for a in self.arguments)
        return f"({self.operator}.{self.width} {' '.join(shown)})"


Word: TypeAlias = int | Term

FALSE, TRUE = 0, 1
_LARGEST_TABLE = 1 << 20  # terms; what is forgotten is made again, and compared by the solver
_table: dict[tuple[object, ...], Term] = {}
_symbols: dict[tuple[str, int], Term] = {}
_numbers = count()


def _make(operator: str, width: int, *arguments: Word) -> Term:
    key = (operator, width, *arguments)
    found = _table.get(key)
    if found is None:
        if len(_table) > _LARGEST_TABLE:
            _table.clear()
        found = _table.setdefault(key, Term(operator, width, arguments, "", next(_numbers)))
    return found


def symbol(name: str, width: int = 64) -> Term:
    """The unknown of that name."""
    found = _symbols.get((name, width))
    if found is None:
        made = Term("symbol", width, (), name, next(_numbers))
        found = _symbols.setdefault((name, width), made)
    return found


def mask(width: int) -> int:
    """All bits of a width."""
    return (1 << width) - 1


def signed(value: int, width: int) -> int:
    """A constant as a number in two's complement."""
    return value - (1 << width) if value >> (width - 1) else value


def split_sum(value: Word) -> tuple[Term | None, int]:
    """A word as (term, constant), whose sum it is; no term if it is constant."""
    if isinstance(value, int):
        return None, value
    if value.operator == "add" and isinstance(value.arguments[1], int):
        term = value.arguments[0]
        assert isinstance(term, Term)
        return term, value.arguments[1]
    return value, 0


def _ordered(a: Term, b: Term) -> tuple[Term, Term]:
    return (a, b) if a.number <= b.number else (b, a)


def add(a: Word, b: Word, width: int = 64) -> Word:
    """a + b."""
    left, first = split_sum(a)
    right, second = split_sum(b)
    constant = (first + second) & mask(width)
    if left is None or right is None:
        term = left if right is None else right
    else:
        term = _make("add", width, *_ordered(left, right))
    if term is None:
        return constant
    return _make("add", width, term, constant) if constant else term


def negate(a: Word, width: int = 64) -> Word:
    """-a."""
    if isinstance(a, int):
        return -a & mask(width)
    if a.operator == "neg":
        return a.arguments[0]
    return _make("neg", width, a)


def subtract(a: Word, b: Word, width: int = 64) -> Word:
    """a - b."""
    left, first = split_sum(a)
    right, second = split_sum(b)
    constant = (first - second) & mask(width)
    if right is None or left is right:
        return add(constant, left if left is not None and right is None else 0, width)
    return add(add(left if left is not None else 0, negate(right, width), width), constant, width)


def multiply(a: Word, b: Word, width: int = 64) -> Word:
    """The low bits of a * b."""
    if isinstance(a, int):
        a, b = b, a
    if isinstance(a, int) and isinstance(b, int):
        return a * b & mask(width)
    if isinstance(b, int):
        return a if b == 1 else b if b == 0 else _make("mul", width, a, b)
    assert isinstance(a, Term)
    return _make("mul", width, *_ordered(a, b))


def bit_and(a: Word, b: Word, width: int = 64) -> Word:
    """a & b."""
    if isinstance(a, int):
        a, b = b, a
    if isinstance(b, int):
        if isinstance(a, int):
            return a & b
        if b in (0, mask(width)):
            return a if b else 0
        if a.operator == "and" and isinstance(a.arguments[1], int):
            return bit_and(a.arguments[0], a.arguments[1] & b, width)
        if a.operator == "zext" and not mask(width_of(a.arguments[0])) & ~b:
            return a
        return _make("and", width, a, b)
    assert isinstance(a, Term)
    return a if a is b else _make("and", width, *_ordered(a, b))


def bit_or(a: Word, b: Word, width: int = 64) -> Word:
    """a | b."""
    if isinstance(a, int):
        a, b = b, a
    if isinstance(b, int):
        if isinstance(a, int):
            return a | b
        if b in (0, mask(width)):
            return b or a
        if a.operator == "or" and isinstance(a.arguments[1], int):
            return bit_or(a.arguments[0], a.arguments[1] | b, width)
        return _make("or", width, a, b)
    assert isinstance(a, Term)
    return a if a is b else _make("or", width, *_ordered(a, b))


def bit_xor(a: Word, b: Word, width: int = 64) -> Word:
    """a ^ b."""
    if isinstance(a, int):
        a, b = b, a
    if isinstance(b, int):
        if isinstance(a, int):
            return a ^ b
        if b == 0:
            return a
        if a.operator == "xor" and isinstance(a.arguments[1], int):
            return bit_xor(a.arguments[0], a.arguments[1] ^ b, width)
        return _make("xor", width, a, b)
    assert isinstance(a, Term)
    return 0 if a is b else _make("xor", width, *_ordered(a, b))


def bit_not(a: Word, width: int = 64) -> Word:
    """All bits of a inverted; of a condition, its opposite."""
    return bit_xor(a, mask(width), width)


def both(*conditions: Word) -> Word:
    """The conjunction of conditions."""
    result: Word = TRUE
    for condition in conditions:
        result = bit_and(result, condition, 1)
    return result


def either(*conditions: Word) -> Word:
    """The disjunction of conditions."""
    result: Word = FALSE
    for condition in conditions:
        result = bit_or(result, condition, 1)
    return result


def shift_left(a: Word, count: Word, width: int = 64) -> Word:
    """a << count; 0 from a count of `width` on."""
    if isinstance(count, int):
        if count >= width:
            return 0
        if isinstance(a, int):
            return a << count & mask(width)
        if count == 0:
            return a
    return _make("shl", width, a, count)


def shift_right(a: Word, count: Word, width: int = 64) -> Word:
    """a >> count with zeros from the left; 0 from a count of `width` on."""
    if isinstance(count, int):
        if count >= width:
            return 0
        if count == 0:
            return a
        if isinstance(a, int):
            return a >> count
        return zero_extend(extract(a, count, width - count), width - count, width)
    return _make("lshr", width, a, count)


def shift_right_signed(a: Word, count: Word, width: int = 64) -> Word:
    """a >> count with copies of the sign from the left."""
    if isinstance(count, int):
        count = min(count, width - 1)
        if isinstance(a, int):
            return signed(a, width) >> count & mask(width)
        if count == 0:
            return a
    return _make("ashr", width, a, count)


def width_of(a: Word) -> int:
    """Bits of a term; of a constant, which has no width of its own, it is a defect to ask."""
    assert isinstance(a, Term)
    return a.width


def extract(a: Word, low: int, width: int) -> Word:
    """`width` bits of a from bit `low` on."""
    if isinstance(a, int):
        return a >> low & mask(width)
    if width == a.width:
        return a
    if a.operator == "extract":
        start = a.arguments[1]
        assert isinstance(start, int)
        return extract(a.arguments[0], start + low, width)
    if a.operator in ("zext", "sext"):
        inner = a.arguments[0]
        size = width_of(inner)
        if low + width <= size:
            return extract(inner, low, width)
        if a.operator == "zext":
            if low >= size:
                return 0
            return zero_extend(extract(inner, low, size - low), size - low, width)
    if a.operator == "concat":
        upper, lower, below = a.arguments
        assert isinstance(below, int)
        if low + width <= below:
            return extract(lower, low, width)
        if low >= below:
            return extract(upper, low - below, width)
    if a.operator in ("and", "or", "xor"):
        one, other = a.arguments
        if isinstance(other, int):
            combine = {"and": bit_and, "or": bit_or, "xor": bit_xor}[a.operator]
            return combine(extract(one, low, width), extract(other, low, width), width)
    if a.operator == "add" and low == 0:
        one, other = a.arguments
        return add(extract(one, 0, width), extract(other, 0, width), width)
    if a.operator == "ite" and not all(isinstance(part, Term) for part in a.arguments[1:]):
        condition, one, other = a.arguments
        return if_else(condition, extract(one, low, width), extract(other, low, width), width)
    return _make("extract", width, a, low)


def zero_extend(a: Word, start: int, width: int) -> Word:
    """A word of `start` bits as one of `width` bits with zeros above."""
    if isinstance(a, int) or start == width:
        return a
    if a.operator == "zext":
        return zero_extend(a.arguments[0], width_of(a.arguments[0]), width)
    return _make("zext", width, a)


def sign_extend(a: Word, start: int, width: int) -> Word:
    """A word of `start` bits as one of `width` bits with copies of its sign above."""
    if isinstance(a, int):
        return signed(a, start) & mask(width)
    if start == width:
        return a
    if a.operator == "sext":
        return sign_extend(a.arguments[0], width_of(a.arguments[0]), width)
    if a.operator == "zext":
        return zero_extend(a.arguments[0], width_of(a.arguments[0]), width)
    return _make("sext", width, a)


def concat(high: Word, high_width: int, low: Word, low_width: int) -> Word:
    """The bits of `high` above those of `low`."""
    width = high_width + low_width
    if isinstance(high, int):
        if isinstance(low, int):
            return (high << low_width) | low
        if high == 0:
            return zero_extend(low, low_width, width)
    elif (
        isinstance(low, Term)
        and high.operator == low.operator == "extract"
        and high.arguments[0] is low.arguments[0]
        and isinstance(low.arguments[1], int)
        and high.arguments[1] == low.arguments[1] + low_width
    ):
        return extract(low.arguments[0], low.arguments[1], width)
    elif (
        isinstance(low, Term)
        and high.operator == "concat"
        and isinstance(high.arguments[1], Term)
        and isinstance(high.arguments[2], int)
    ):
        # The lowest parts first, so that neighbours of one word come together again.
        inner = high.arguments[2]
        joined = concat(high.arguments[1], inner, low, low_width)
        if isinstance(joined, Term) and joined.operator != "concat":
            return concat(high.arguments[0], high_width - inner, joined, inner + low_width)
    return _make("concat", width, high, low, low_width)


def equal(a: Word, b: Word, width: int = 64) -> Word:
    """Whether a == b."""
    if a is b:
        return TRUE
    if isinstance(a, int):
        a, b = b, a
    if isinstance(a, int):
        return int(a == b)
    if isinstance(b, int):
        if width == 1:
            return a if b else bit_not(a, 1)
        if a.operator == "add" and isinstance(a.arguments[1], int):
            return equal(a.arguments[0], (b - a.arguments[1]) & mask(width), width)
        if a.operator == "zext":
            size = width_of(a.arguments[0])
            return FALSE if b >> size else equal(a.arguments[0], b, size)
        if a.operator == "xor" and isinstance(a.arguments[1], int):
            return equal(a.arguments[0], a.arguments[1] ^ b, width)
        if a.operator == "ite":
            condition, one, other = a.arguments
            if isinstance(one, int) and isinstance(other, int):
                return if_else(condition, int(one == b), int(other == b), 1)
        return _make("eq", 1, a, b)
    (left, first), (right, second) = split_sum(a), split_sum(b)
    if left is right:
        return int(first == second)
    if a.operator == b.operator == "zext":
        one, other = a.arguments[0], b.arguments[0]
        if width_of(one) == width_of(other):
            return equal(one, other, width_of(one))
    return _make("eq", 1, *_ordered(a, b))


def less_unsigned(a: Word, b: Word, width: int = 64) -> Word:
    """Whether a < b, both without sign."""
    if isinstance(a, int) and isinstance(b, int):
        return int(a < b)
    if a is b or b == 0 or a == mask(width):
        return FALSE
    if b == 1:
        return equal(a, 0, width)
    if a == 0:
        return bit_not(equal(b, 0, width), 1)
    return _make("ult", 1, a, b, width)


def less_signed(a: Word, b: Word, width: int = 64) -> Word:
    """Whether a < b in two's complement."""
    if isinstance(a, int) and isinstance(b, int):
        return int(signed(a, width) < signed(b, width))
    if a is b:
        return FALSE
    if b == 0:
        return extract(a, width - 1, 1)
    return _make("slt", 1, a, b, width)


def if_else(condition: Word, a: Word, b: Word, width: int = 64) -> Word:
    """a where the condition holds and else b."""
    if isinstance(condition, int):
        return a if condition else b
    if a is b or (isinstance(a, int) and isinstance(b, int) and a == b):
        return a
    if width == 1 and isinstance(a, int) and isinstance(b, int):
        return condition if a else bit_not(condition, 1)
    return _make("ite", width, condition, a, b)
