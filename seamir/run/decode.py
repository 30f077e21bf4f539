"""Says what registers mean: operands, outputs, statuses and fields by their names.

Takes an execution and the other side it ran against; gives Attempts, whose words are harmless in
a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from seamir.emit.contract import show_number
from seamir.emit.rows import (
    OperandRow,
    abi_order,
    operand_rows,
    register_words,
    show_bits,
    source_of,
    span_of,
)
from seamir.emit.text import plain
from seamir.emulate.interpreter import grant, is_refused
from seamir.emulate.machine import Execution
from seamir.emulate.script import Carry, Completed, Fault
from seamir.ir.leaf import Again, Bits, Input, LoadKind, Plan, SetBits
from seamir.model.expressions import Constant, ParameterValue, evaluate, fold, possible
from seamir.model.registers import CARRY_FLAG, slice_mask
from seamir.model.types import Type, extend
from seamir.run.arguments import Call
from seamir.run.script import Answer, ScriptedSide, shown_status
from seamir.run.values import name_of_status


@dataclass(frozen=True, slots=True)
class RegisterValue:
    """A register's value, and what it means."""

    register: str
    value: int
    words: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of the instruction.

    `loaded` are the registers that the wrapper loads; `outcome` is "completed", "refused", "carry"
    or "fault"; `status` is what was found in its place, or where a refusal shows; `returned` are
    the registers that the script names. `again` is the clause that grants another attempt,
    `exhausted` one that would have and has none left.
    """

    loaded: tuple[RegisterValue, ...]
    outcome: str
    status: int | None
    status_name: str
    vector: int | None
    returned: tuple[RegisterValue, ...]
    again: str | None
    exhausted: str | None


def is_there(item: Input, inputs: Mapping[str, int]) -> bool:
    """Whether an element of an array is among those that a run-time count says there are."""
    return item.bound is None or inputs[item.bound.count] > item.bound.index


def fields_of(kind: Type, value: int) -> tuple[tuple[str, int], ...]:
    """The fields of a `bits` type, each with its value."""
    return tuple((f.name, (value & slice_mask(f.low, f.high)) >> f.low) for f in kind.fields)


def number_words(kind: Type, value: int) -> str:
    """A 64-bit value of a type as a number, negative ones as such."""
    return show_number(value - (1 << 64) if kind.signed and value >> 63 else value)


@dataclass(frozen=True)
class Speller:
    """Says what values mean; `names` are those of constants."""

    names: Mapping[int, str]

    def words(self, kind: Type, value: int) -> str:
        """What a number does not show: fields, a sign, a constant, true or false; or ""."""
        mask = slice_mask(0, kind.width - 1)
        for constant in kind.constants:
            if (value ^ constant) & mask == 0 and constant in self.names:
                return self.names[constant]
        if kind.fields:
            words = [f"{name} {show_number(part)}" for name, part in fields_of(kind, value)]
            rest = value & ~kind.bits & mask
            return ", ".join(words) + (f", and bits of no field: {rest:#x}" if rest else "")
        if kind.c_base == "bool" and value < 2:
            return ("false", "true")[value]
        extended = extend(value, kind.width, kind.signed)
        return number_words(kind, extended) if kind.signed and extended >> 63 else ""

    def argument(self, item: Input, value: int) -> str:
        """The value of an input, on one word."""
        if item.promise.fields:
            return f"{value:#x}"
        return self.words(item.promise, value) or number_words(item.type, value)


def bits_of(outcome: Completed, place: Bits) -> int:
    """The bits of a place after the call, its low end at bit 0."""
    return outcome.registers[place.register] >> place.low & slice_mask(0, place.width - 1)


class Decoder:
    """Says what registers mean at each attempt."""

    def __init__(self, plan: Plan, call: Call, speller: Speller) -> None:
        self._plan = plan
        self._speller = speller
        self._inputs = {item.name: item for item in plan.inputs}
        self._values = call.inputs
        self._rows: dict[str, list[OperandRow]] = {}
        for row in operand_rows(plan):
            self._rows.setdefault(row.register, []).append(row)
        self._registers = sorted((load.register for load in plan.loads), key=abi_order)
        self._at_entry = {x.register: evaluate(x.value, call.inputs) for x in plan.loads}
        self._loaded = cache(self._loaded_words)

    def attempts(self, execution: Execution, side: ScriptedSide) -> Iterator[Attempt]:
        """The attempts of an execution."""
        plan = self._plan
        budgets = [clause.attempts for clause in plan.again]
        status_name = cache(lambda status: shown_status(plan, status))
        for number, registers in enumerate(execution.attempts):
            answer = side.answer(number)
            outcome = side(number, registers)
            loaded = tuple(
                RegisterValue(name, registers[name], self._loaded(name, registers[name]))
                for name in self._registers
            )
            if not isinstance(outcome, Completed):
                vector = outcome.vector if isinstance(outcome, Fault) else None
                word = "carry" if isinstance(outcome, Carry) else "fault"
                yield Attempt(loaded, word, None, "", vector, (), None, None)
                continue
            refusal = plan.edges.refused
            if refusal is not None and is_refused(refusal, outcome.registers):
                value = bits_of(outcome, refusal.place)
                name = name_of_status(refusal.families, value)
                yield Attempt(loaded, "refused", value, name, None, (), None, None)
                continue
            returned = tuple(self._returned(outcome, answer))
            if plan.status is None:
                yield Attempt(loaded, "completed", None, "", None, returned, None, None)
                continue
            status = bits_of(outcome, plan.status)
            name = shown_status(plan, status, answer) if answer.name else status_name(status)
            granted = grant(plan.again, budgets, status)
            yield Attempt(
                loaded=loaded,
                outcome="completed",
                status=status,
                status_name=name,
                vector=None,
                returned=returned,
                again=plain(granted.text) if granted else None,
                exhausted=None if granted else _exhausted(plan.again, status),
            )

    def _returned(self, outcome: Completed, answer: Answer) -> Iterator[RegisterValue]:
        """The registers that the script names, each with the outputs in it."""
        for register in sorted(answer.registers, key=abi_order):
            is_flag = register == CARRY_FLAG
            value = int(outcome.carry) if is_flag else outcome.registers[register]
            yield RegisterValue(register, value, self._outputs_in(register))

    # -- loaded registers

    def _loaded_words(self, register: str, value: int) -> str:
        rows = self._rows.get(register, [])
        rest = 0
        if value != self._at_entry[register]:
            rows = [row for row in rows if not self._is_changed(row, value)]
            rest = value
            for row in rows:
                rest &= ~slice_mask(row.low, row.high)
        alone = len(rows) == len(self._rows.get(register, [])) == 1
        words = [self._row_words(row, value, alone=alone) for row in rows]
        words += self._steps(register, value, rest)
        return " | ".join(word for word in words if word)

    def _is_changed(self, row: OperandRow, value: int) -> bool:
        """Whether a resumption changed bits that were constant."""
        folded = fold(row.value)
        bits = (value & slice_mask(row.low, row.high)) >> row.low
        return isinstance(folded, Constant) and row.is_whole and bits != folded.value

    def _steps(self, register: str, value: int, rest: int) -> Iterator[str]:
        """Bits that no operand fills: those that a resumption sets, by place."""
        whole = rest == value
        for clause in self._plan.again:
            for step in clause.steps:
                if not isinstance(step, SetBits) or step.place.register != register:
                    continue
                mask = slice_mask(step.place.low, step.place.high)
                if rest & mask and step.place.width < 64:
                    yield f"{step.place} = {show_number((value & mask) >> step.place.low)}"
                    rest &= ~mask
        if rest and not whole:
            yield f"{rest:#x}"

    def _row_words(self, row: OperandRow, register_value: int, *, alone: bool) -> str:
        """What fills the bits of a row, with its value where the register does not show it."""
        is_register = alone and (row.low, row.high) == (0, 63)
        value = self._row_value(row, register_value)
        source = source_of(self._plan, row)
        if source == "leaf":
            return f"leaf {plain(self._plan.leaf)}"
        if source == "exposed":
            exposed = sorted(self._plan.exposed or (), key=abi_order)
            return f"exposes {register_words(exposed)}"
        if source:
            return f"{source} = {show_number(value)}" if value else ""
        if row.is_plain:
            return self._plain_words(self._inputs[row.parameters[0]], value, is_register)
        folded = fold(row.value)
        if isinstance(folded, Constant):
            return self._constant_words(row, value, is_register)
        return row.filled_by if is_register else f"{row.filled_by} = {show_number(value)}"

    def _row_value(self, row: OperandRow, register_value: int) -> int:
        """The value that fills a row: the parameter's own where one does as it is."""
        name = row.parameters[0] if row.is_plain else ""
        if register_value == self._at_entry[row.register]:
            return self._values[name] if name else evaluate(row.value, self._values)
        bits = (register_value & slice_mask(row.low, row.high)) >> row.low
        if row.is_whole or not isinstance(row.value, ParameterValue):
            return bits
        return bits << span_of(possible(row.value).bits)[0]

    def _plain_words(self, item: Input, value: int, is_register: bool) -> str:
        words, name = self._speller.words(item.promise, value), plain(item.name)
        if not is_there(item, self._values):
            return f"no {name}"
        if is_register:
            return f"{name}: {words}" if words else name
        return f"{name} = {words or number_words(item.type, value)}"

    def _constant_words(self, row: OperandRow, value: int, is_register: bool) -> str:
        place = show_bits(row.register, row.low, row.high)
        name = row.filled_by if isinstance(row.value, Constant) and row.value.name else ""
        if row.kind is LoadKind.ZERO:
            return "exposed and not used"
        if row.kind is LoadKind.PRELOAD:
            names = self._outputs_in(row.register)
            return f"preset of {names}" + (f", {name}" if name else "")
        if is_register:
            return name
        return f"{place} = {name or show_number(value)}" if value else ""

    def _outputs_in(self, register: str) -> str:
        names = [d.name for d in self._plan.deliveries if d.place.register == register]
        return ", ".join(dict.fromkeys(names))


def _exhausted(clauses: Sequence[Again], status: int) -> str | None:
    for clause in clauses:
        if any(match.accepts(status) for match in clause.matches):
            return plain(clause.text)
    return None
