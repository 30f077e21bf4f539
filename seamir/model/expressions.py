"""Values that go into registers: expressions over parameters and constants, in 64-bit arithmetic.

The same nodes serve the checked model and the leaf IR. `possible` says what is known of a value,
`evaluate` is their meaning, `show` prints them as one would write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from seamir.model.registers import ALL_BITS
from seamir.model.types import Possible


@dataclass(frozen=True, slots=True)
class Constant:
    """A 64-bit constant; `name` is what the description called it, if anything."""

    value: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """A parameter, extended to 64 bits; `promised` is what its type promises."""

    name: str
    promised: Possible


@dataclass(frozen=True, slots=True)
class TrapNumber:
    """The exception vector on a fault edge."""


@dataclass(frozen=True, slots=True)
class RefusalValue:
    """What the refused edge found in place of the value that tells of completion."""


@dataclass(frozen=True, slots=True)
class Binary:
    """`operator` is one of | + - << >>; the result keeps the low 64 bits."""

    operator: str
    left: Expression
    right: Expression


Expression: TypeAlias = Constant | ParameterValue | TrapNumber | RefusalValue | Binary

ZERO = Constant(0)


def possible(value: Expression) -> Possible:
    """What is known of the value of an expression."""
    match value:
        case Constant(constant):
            return Possible.exactly(constant)
        case ParameterValue():
            return value.promised
        case TrapNumber():
            return Possible.within(0, 31)
        case RefusalValue():
            return Possible.anything()
        case Binary(operator, left, right):
            return _possible_binary(operator, possible(left), possible(right))
        case _:
            assert_never(value)


def _possible_binary(operator: str, left: Possible, right: Possible) -> Possible:
    if operator == "|":
        bits = left.bits | right.bits
        if left.bits & right.bits == 0:
            return Possible(bits, left.low + right.low, left.high + right.high)
        return Possible(bits, max(left.low, right.low), bits)
    if operator == "+":
        high = left.high + right.high
        return Possible.anything() if high > ALL_BITS else _bounded(left.low + right.low, high)
    if operator == "-":
        low = left.low - right.high
        return Possible.anything() if low < 0 else _bounded(low, left.high - right.low)
    shift = right.low  # the checker allows constants only
    if operator == "<<":
        bits, high = left.bits << shift, left.high << shift
        if high > ALL_BITS:
            return Possible(bits & ALL_BITS, 0, bits & ALL_BITS)
        return Possible(bits, left.low << shift, high)
    return Possible(left.bits >> shift, left.low >> shift, left.high >> shift)


def _bounded(low: int, high: int) -> Possible:
    return Possible((1 << high.bit_length()) - 1, low, high)


def evaluate(value: Expression, parameters: Mapping[str, int], edge_value: int = 0) -> int:
    """The 64-bit value, given each parameter already extended to 64 bits.

    `edge_value` is what the edge knows: the exception vector, or what was found where completion
    would have left another value.
    """
    match value:
        case Constant(constant):
            return constant
        case ParameterValue(name):
            return parameters[name]
        case TrapNumber() | RefusalValue():
            return edge_value
        case Binary(operator, left, right):
            a = evaluate(left, parameters, edge_value)
            b = evaluate(right, parameters, edge_value)
            return _apply(operator, a, b)
        case _:
            assert_never(value)


def _apply(operator: str, a: int, b: int) -> int:
    if operator == "|":
        return a | b
    if operator == "+":
        return (a + b) & ALL_BITS
    if operator == "-":
        return (a - b) & ALL_BITS
    if operator == "<<":
        return (a << b) & ALL_BITS
    return a >> b


def parameters_of(value: Expression) -> set[str]:
    """Names of the parameters that the expression reads."""
    match value:
        case ParameterValue(name):
            return {name}
        case Binary(_, left, right):
            return parameters_of(left) | parameters_of(right)
        case _:
            return set()


def reads(value: Expression, *kinds: type[Expression]) -> bool:
    """Whether the expression has a part of these kinds, such as TrapNumber."""
    if isinstance(value, Binary):
        return reads(value.left, *kinds) or reads(value.right, *kinds)
    return isinstance(value, kinds)


def fold(value: Expression) -> Expression:
    """The expression with constant parts computed and `+ 0`, `| 0`, `<< 0` dropped.

    It is the expression itself if nothing changes.
    """
    if not isinstance(value, Binary):
        return value
    left, right = fold(value.left), fold(value.right)
    if isinstance(left, Constant) and isinstance(right, Constant):
        return Constant(_apply(value.operator, left.value, right.value))
    if isinstance(right, Constant) and right.value == 0:
        return left
    if isinstance(left, Constant) and left.value == 0 and value.operator in ("|", "+"):
        return right
    if left is value.left and right is value.right:
        return value
    return Binary(value.operator, left, right)


def show(value: Expression) -> str:
    """The expression as a person would write it."""
    match value:
        case Constant(constant, name):
            return name or (str(constant) if constant < 10 else f"{constant:#x}")
        case ParameterValue(name):
            return name
        case TrapNumber():
            return "trapnr"
        case RefusalValue():
            return "refusal"
        case Binary(operator, left, right):
            return f"{_inner(left, operator)} {operator} {_inner(right, operator, right=True)}"
        case _:
            assert_never(value)


def _inner(value: Expression, operator: str, *, right: bool = False) -> str:
    text = show(value)
    if not isinstance(value, Binary):
        return text
    same = value.operator == operator == "|"
    tighter = operator == "|" and value.operator != "|"
    if (same and not right) or tighter or (operator != "|" and value.operator != "|" and not right):
        return text
    return f"({text})"
