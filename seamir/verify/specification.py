"""What a plan prescribes, as words over what the caller passed and the other side returned.

This is the interpreter's meaning (seamir/emulate/interpreter.py) for all values at once; it reads
the leaf IR and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from seamir.ir.leaf import Again, Argument, ArgumentKind, Delivery, Input, Plan, Returns
from seamir.model.entities import (
    Action,
    Bits,
    CallSymbol,
    CarryRegister,
    ReturnValue,
    SetBits,
    Trap,
)
from seamir.model.expressions import (
    Binary,
    Constant,
    Expression,
    ParameterValue,
    RefusalValue,
    TrapNumber,
)
from seamir.model.registers import slice_mask
from seamir.model.statuses import Match, StatusTest
from seamir.model.types import Type
from seamir.source import Span
from seamir.verify.memory import AT_ENTRY, Region, content
from seamir.verify.terms import (
    FALSE,
    TRUE,
    Term,
    Word,
    add,
    bit_and,
    bit_not,
    bit_or,
    both,
    either,
    equal,
    extract,
    if_else,
    less_signed,
    less_unsigned,
    mask,
    shift_left,
    shift_right,
    sign_extend,
    subtract,
    symbol,
    zero_extend,
)

BUDGET_WIDTH = 32  # bits of a count of attempts


@dataclass(frozen=True, slots=True)
class Stored:
    """An output in memory: `size` bytes at `offset` of what an argument points to."""

    argument: str
    offset: int
    size: int
    value: Word
    optional: bool
    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class End:
    """How a call ends where `condition` holds; `text` says in words where that is.

    `status` and `value` are None where nothing is returned; of `value` the low `value_width` bits
    count. `calls` is the function called before, if one is; with `traps` nothing returns.
    """

    condition: Word
    text: str
    traps: bool
    status: Word | None
    value: Word | None
    value_width: int
    stored: tuple[Stored, ...]
    calls: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Attempts:
    """Where the attempts of a call stand: what each clause still grants, and the operands."""

    budgets: tuple[Word, ...]
    operands: Mapping[str, Word]


@dataclass(frozen=True, slots=True)
class Granted:
    """Another attempt: the clause that grants it, when, and where the attempts stand then."""

    condition: Word
    clause: Again
    attempts: Attempts


class Specification:
    """A plan over symbols: arguments by name, and what they point to at entry."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.arguments = {a.name: symbol(f"argument.{a.name}") for a in plan.arguments}
        self.inputs: dict[str, Word] = {}
        for item in plan.inputs:
            self.inputs[item.name] = self._input(item)
        self.kept = tuple(self._promise(check.promise, check.input) for check in plan.checks)

    # -- inputs

    def _input(self, item: Input) -> Word:
        width = item.type.width
        if item.offset is None:
            raw = extract(self.arguments[item.argument], 0, width)
        else:
            raw = content(item.argument, AT_ENTRY, item.offset, width // 8)
        extend = sign_extend if item.type.signed else zero_extend
        value = extend(raw, width, 64)
        if item.bound is None:
            return value
        return if_else(self._is_there(item), value, item.bound.otherwise)

    def _is_there(self, item: Input) -> Word:
        if item.bound is None:
            return TRUE
        return less_unsigned(item.bound.index, self.inputs[item.bound.count])

    def _promise(self, kind: Type, name: str) -> Word:
        """Whether an input keeps the promise of a type."""
        value = self.inputs[name]
        less = less_signed if kind.signed else less_unsigned
        low, high = kind.low & mask(64), kind.high & mask(64)
        bounds = both(bit_not(less(value, low), 1), bit_not(less(high, value), 1))
        fits = both(bounds, equal(bit_and(value, ~kind.bits & mask(64)), 0))
        extend = sign_extend if kind.signed else zero_extend
        constants = (
            equal(value, extend(constant & mask(kind.width), kind.width, 64))
            for constant in kind.constants
        )
        return either(fits, *constants)

    def regions(self) -> dict[Term, Region]:
        """What each pointer argument leads to, by the pointer."""
        found = {}
        for argument in self.plan.arguments:
            if argument.kind is ArgumentKind.VALUE:
                continue
            pointer = self.arguments[argument.name]
            struct = argument.kind is ArgumentKind.STRUCT and self.plan.struct
            size = struct.size if struct else argument.size
            writable = None
            if argument.kind is not ArgumentKind.IN:
                writable = bit_not(equal(pointer, 0), 1) if argument.optional else TRUE
            found[pointer] = Region(argument.name, size, self._readable(argument, size), writable)
        return found

    def _readable(self, argument: Argument, size: int) -> dict[int, Word]:
        """On which condition each byte that an argument points to may be read.

        All of it is there, but for elements past the count and what NULL points to. The checks come
        first: of what they do not test, nothing is read before they passed.
        """
        there: Word = both(*self.kept)
        if argument.optional:
            there = both(there, bit_not(equal(self.arguments[argument.name], 0), 1))
        found = dict.fromkeys(range(size if argument.count is None else 0), there)
        checked = {check.input for check in self.plan.checks}
        for item in self.plan.inputs:
            if item.argument != argument.name or item.offset is None:
                continue
            condition = self._is_there(item)
            if item.name not in checked:
                condition = both(condition, *self.kept)
            for index in range(item.type.width // 8):
                found[item.offset + index] = condition
        return found

    # -- expressions

    def value(self, expression: Expression, edge_value: Word = 0) -> Word:
        """An expression; `edge_value` is the exception vector or what a refusal left."""
        match expression:
            case Constant(constant):
                return constant & mask(64)
            case ParameterValue(name):
                return self.inputs[name]
            case TrapNumber() | RefusalValue():
                return edge_value
            case Binary(operator, left, right):
                a, b = self.value(left, edge_value), self.value(right, edge_value)
                return _OPERATIONS[operator](a, b)

    def first_attempt(self) -> Attempts:
        """Before the first attempt: full budgets, and the loads."""
        loads = {load.register: self.value(load.value) for load in self.plan.loads}
        return Attempts(tuple(clause.attempts for clause in self.plan.again), loads)

    # -- an attempt completed

    def granted(self, before: Attempts, after: Mapping[str, Word]) -> list[Granted]:
        """The further attempts that registers and flags after an attempt may lead to.

        Clauses nest inside out: one that grants refills the budgets of those before it.
        """
        place = self.plan.status
        if place is None:
            return []
        status = bits(after, place)
        reached = bit_not(self.refused(after), 1)
        found = []
        for index, clause in enumerate(self.plan.again):
            matches = either(*(matched(match, status) for match in clause.matches))
            left = bit_not(equal(before.budgets[index], 0, BUDGET_WIDTH), 1)
            budgets = list(before.budgets)
            budgets[:index] = [inner.attempts for inner in self.plan.again[:index]]
            budgets[index] = subtract(before.budgets[index], 1, BUDGET_WIDTH)
            operands = self._resumed(clause, before.operands, after)
            condition = both(reached, matches, left)
            found.append(Granted(condition, clause, Attempts(tuple(budgets), operands)))
            reached = both(reached, bit_not(matches, 1))
        return found

    def _resumed(
        self, clause: Again, before: Mapping[str, Word], after: Mapping[str, Word]
    ) -> dict[str, Word]:
        operands = dict(before)
        for step in clause.steps:
            match step:
                case SetBits(place, value):
                    kept = bit_and(
                        operands[place.register], ~slice_mask(place.low, place.high) & mask(64)
                    )
                    placed = shift_left(self.value(value), place.low)
                    operands[place.register] = bit_or(kept, placed)
                case CarryRegister(register):
                    operands[register] = after[register]
        return operands

    @cached_property
    def changing(self) -> dict[str, int]:
        """The operands that some resumption changes, each with the bits that may change."""
        found: dict[str, int] = {}
        for step in [step for clause in self.plan.again for step in clause.steps]:
            register, changed = _changed_bits(step)
            found[register] = found.get(register, 0) | changed
        return found

    def refused(self, after: Mapping[str, Word]) -> Word:
        """Whether the registers say that the other side was not reached."""
        refusal = self.plan.edges.refused
        if refusal is None:
            return FALSE
        return bit_not(equal(bits(after, refusal.place), refusal.value & mask(64)), 1)

    # -- ends

    def ends_before(self) -> Iterator[End]:
        """The ends without an attempt: a check failed, and none before it."""
        passed: Word = TRUE
        for check, kept in zip(self.plan.checks, self.kept, strict=True):
            condition = both(passed, bit_not(kept, 1))
            text = f"{check.input} fails its check"
            if check.status is None:
                yield self._trap(condition, text, check.span)
            else:
                yield self._end(condition, text, check.status & mask(64), None, (), check.span)
            passed = both(passed, kept)

    def ends_completed(self, before: Attempts, after: Mapping[str, Word]) -> Iterator[End]:
        """The ends after an attempt that completed."""
        refusal = self.plan.edges.refused
        is_refused = self.refused(after)
        if refusal is not None:
            found = bits(after, refusal.place)
            yield self._give_up(is_refused, "it was refused", refusal.action, found)
        again = either(*(one.condition for one in self.granted(before, after)))
        condition = both(bit_not(is_refused, 1), bit_not(again, 1))
        text = "the call completed"
        if self.plan.returns is Returns.NOTHING:
            yield self._trap(condition, text, self.plan.span)
            return
        place = self.plan.status
        status = None if place is None else bits(after, place)
        yield self._end(condition, text, status, after, (), self.plan.span)

    def ends_carry(self) -> Iterator[End]:
        """The end after an attempt that failed with the carry flag."""
        yield self._give_up(TRUE, "the call failed with carry", self.plan.edges.carry, 0)

    def ends_fault(self, vector: Word) -> Iterator[End]:
        """The ends after an attempt that faulted."""
        rest: Word = TRUE
        for number, action in self.plan.edges.vectors:
            condition = both(rest, equal(vector, number))
            yield self._give_up(condition, f"fault {number} was raised", action, vector)
            rest = both(rest, bit_not(condition, 1))
        yield self._give_up(rest, "a fault was raised", self.plan.edges.fault, vector)

    def _give_up(self, condition: Word, text: str, action: Action | None, edge_value: Word) -> End:
        span = self.plan.span if action is None else action.span
        match action:
            case ReturnValue(value):
                status = self.value(value, edge_value)
                return self._end(condition, text, status, None, (), span)
            case CallSymbol(name, value):
                status_or_none = None if value is None else self.value(value, edge_value)
                return self._end(condition, text, status_or_none, None, (name,), span)
            case Trap() | None:
                return self._trap(condition, text, span)

    def _trap(self, condition: Word, text: str, span: Span) -> End:
        return End(condition, text, True, None, None, 0, (), (), span)

    def _end(
        self,
        condition: Word,
        text: str,
        status: Word | None,
        after: Mapping[str, Word] | None,
        calls: tuple[str, ...],
        span: Span,
    ) -> End:
        """An end that delivers; `after` is None if the call did not complete."""
        if self.plan.returns is Returns.NOTHING:
            return End(condition, text, True, None, None, 0, (), calls, span)
        stored, returned, width = [], None, 0
        for delivery in self.plan.deliveries:
            value = self._delivered(delivery, after)
            if delivery.argument is None:
                returned, width = value, delivery.type.width
            elif value is not None:
                stored.append(
                    Stored(
                        delivery.argument,
                        delivery.offset,
                        delivery.type.width // 8,
                        value,
                        delivery.optional,
                        delivery.name,
                        delivery.span,
                    )
                )
        traps = status is None and (after is None)
        return End(condition, text, traps, status, returned, width, tuple(stored), calls, span)

    def _delivered(self, delivery: Delivery, after: Mapping[str, Word] | None) -> Word | None:
        """An output, as wide as its type; None where the place keeps what it holds."""
        width = delivery.type.width
        if after is None:
            return None if delivery.keep else 0
        place = delivery.place
        raw = extract(after[place.register], place.low, place.width)
        extend = sign_extend if delivery.type.signed else zero_extend
        value = extract(extend(raw, place.width, 64), 0, width)
        if delivery.test is None:
            return value
        assert self.plan.status is not None  # a condition is about the status
        return if_else(tested(delivery.test, bits(after, self.plan.status)), value, 0, width)


_OPERATIONS = {
    "|": bit_or,
    "+": add,
    "-": subtract,
    "<<": shift_left,
    ">>": shift_right,
}


def _changed_bits(step: SetBits | CarryRegister) -> tuple[str, int]:
    """The register that a step changes, and the bits of it that may change.

    A value is not cut to its bits: only of a constant it is known where it ends.
    """
    if isinstance(step, CarryRegister):
        return step.register, mask(64)
    place, value = step.place, step.value
    if not isinstance(value, Constant):
        return place.register, mask(64)
    return place.register, slice_mask(place.low, place.high) | value.value << place.low & mask(64)


def bits(registers: Mapping[str, Word], place: Bits) -> Word:
    """The bits of a place, its low end at bit 0, as 64 bits."""
    return zero_extend(extract(registers[place.register], place.low, place.width), place.width, 64)


def matched(match: Match, status: Word) -> Word:
    """Whether a match accepts a status."""
    return equal(bit_and(status, match.mask & mask(64)), match.value & mask(64))


def tested(test: StatusTest, status: Word) -> Word:
    """Whether a condition holds for a status."""
    first = _any(test.any_of, status)
    if test.inverted:
        first = bit_not(first, 1)
    holds = either(first, _any(test.or_any_of, status))
    return both(holds, bit_not(_any(test.none_of, status), 1))


def _any(matches: Sequence[Match], status: Word) -> Word:
    return either(*(matched(match, status) for match in matches))
