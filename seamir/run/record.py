"""A call that was executed, decoded: registers by their operands, statuses by their names.

`execute` runs the code and the plan against the same other side and makes a Record, from which
`report` makes text or JSON. What is in a Record comes from the code; `differences` say where that
is not what the plan means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from seamir.emit.contract import no_fault_reason, promise_words, show_number, vector_name
from seamir.emit.rows import (
    OperandRow,
    abi_order,
    operand_rows,
    output_rows,
    show_bits,
    source_of,
    span_of,
)
from seamir.emit.text import plain
from seamir.emulate.compare import compare
from seamir.emulate.interpreter import grant, interpret, keeps_promise
from seamir.emulate.machine import Execution, Machine
from seamir.emulate.script import Carry, Completed, Fault, Memory
from seamir.ir.leaf import (
    Again,
    CallSymbol,
    Delivery,
    Input,
    LoadKind,
    Plan,
    Returns,
    ReturnValue,
    SetBits,
    show_action,
)
from seamir.model.entities import Action
from seamir.model.expressions import (
    Constant,
    ParameterValue,
    evaluate,
    fold,
    possible,
    show,
)
from seamir.model.registers import slice_mask
from seamir.model.types import Type, extend
from seamir.run.arguments import Call
from seamir.run.script import Answer, ScriptedSide, shown_status
from seamir.targets import Target


@dataclass(frozen=True, slots=True)
class RegisterValue:
    """A register's value, and what it means."""

    register: str
    value: int
    words: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of the instruction.

    `loaded` are the registers that the wrapper loads; `outcome` is "completed", "carry" or
    "fault"; `returned` are the registers that the script names. `again` is the clause that grants
    another attempt, `exhausted` one that would have and has none left.
    """

    loaded: tuple[RegisterValue, ...]
    outcome: str
    status: int | None
    status_name: str
    vector: int | None
    returned: tuple[RegisterValue, ...]
    again: str | None
    exhausted: str | None


@dataclass(frozen=True, slots=True)
class DeliveredOutput:
    """An output as the caller finds it; `value` None: nothing was stored, `words` say why."""

    name: str
    destination: str
    value: int | None
    words: str
    fields: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One call and all that could be seen of it.

    `arguments` has the inputs and the pointers that are NULL (as None). `edge` says which edge or
    check decided, "" if the call completed; `end` what the caller gets in words.
    """

    plan: Plan
    target: Target
    arguments: tuple[tuple[str, int | None, str], ...]
    attempts: tuple[Attempt, ...]
    edge: str
    end: str
    execution: Execution
    outputs: tuple[DeliveredOutput, ...]
    differences: tuple[str, ...]


class DisagreementError(Exception):
    """The code of a wrapper does not do what its plan means: a defect of seamir."""


def execute(
    data: bytes,
    target: Target,
    plan: Plan,
    call: Call,
    side: ScriptedSide,
    constants: dict[str, int],
) -> Record:
    """Executes one call of the code in an object; `target` is what the object is for.

    `constants` name the values that a type allows beside its promise, the first of equal ones.
    Raises SeamError if unicorn is missing.
    """
    speller = Speller({value: name for name, value in reversed(constants.items())})
    machine = Machine(data, target)
    run = interpret(plan, call.slots, Memory(call.regions), side)
    execution = machine.call(plan, call.slots, call.regions, side)
    decoder = _Decoder(plan, call, speller)
    attempts = tuple(decoder.attempts(execution, side))
    edge, end = _Ending(plan, target, call, side, execution).words()
    return Record(
        plan=plan,
        target=target,
        arguments=tuple(_arguments(plan, call, speller)),
        attempts=attempts,
        edge=edge,
        end=end,
        execution=execution,
        outputs=tuple(_outputs(plan, call, side, execution, speller)),
        differences=tuple(compare(plan, run, execution)),
    )


def _arguments(plan: Plan, call: Call, speller: Speller) -> Iterator[tuple[str, int | None, str]]:
    for argument in plan.arguments:
        items = [item for item in plan.inputs if item.argument == argument.name]
        for item in items:
            value = call.inputs[item.name]
            yield item.name, value, speller.argument(item, value)
        if not items and call.slots[argument.name] == 0:
            yield argument.name, None, "NULL"


# -- words for values


def fields_of(kind: Type, value: int) -> tuple[tuple[str, int], ...]:
    """The fields of a `bits` type, each with its value."""
    return tuple((f.name, (value & slice_mask(f.low, f.high)) >> f.low) for f in kind.fields)


def _number(kind: Type, value: int) -> str:
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
        return _number(kind, extended) if kind.signed and extended >> 63 else ""

    def argument(self, item: Input, value: int) -> str:
        """The value of an input, on one word."""
        if item.promise.fields:
            return f"{value:#x}"
        return self.words(item.promise, value) or _number(item.type, value)


class _Decoder:
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
            place = plan.status
            mask = slice_mask(place.low, place.high)
            status = (outcome.registers[place.register] & mask) >> place.low
            name = shown_status(plan, status, answer) if answer.name else status_name(status)
            granted = grant(plan.again, budgets, status)
            yield Attempt(
                loaded=loaded,
                outcome="completed",
                status=status,
                status_name=name,
                vector=None,
                returned=tuple(self._returned(outcome, answer)),
                again=plain(granted.text) if granted else None,
                exhausted=None if granted else _exhausted(plan.again, status),
            )

    def _returned(self, outcome: Completed, answer: Answer) -> Iterator[RegisterValue]:
        """The registers that the script names, each with the outputs in it."""
        for register in sorted(answer.registers, key=abi_order):
            value = outcome.registers[register]
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
        if is_register:
            return f"{name}: {words}" if words else name
        return f"{name} = {words or _number(item.type, value)}"

    def _constant_words(self, row: OperandRow, value: int, is_register: bool) -> str:
        place = show_bits(row.register, row.low, row.high)
        name = row.filled_by if isinstance(row.value, Constant) and row.value.name else ""
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


# -- the end of a call


@dataclass(frozen=True)
class _Ending:
    """Says how the call ended."""

    plan: Plan
    target: Target
    call: Call
    side: ScriptedSide
    execution: Execution

    def words(self) -> tuple[str, str]:
        """The edge or check that decided ("" if none), and what the caller gets."""
        if not self.execution.attempts:
            return self._failed_check(), self._end(None)
        last = len(self.execution.attempts) - 1
        outcome = self.side(last, self.execution.attempts[last])
        if isinstance(outcome, Completed):
            return "", self._end(None)
        if self.execution.escaped_fault is not None:
            name = vector_name(self.execution.escaped_fault)
            reason = no_fault_reason(self.plan, self.target) or "no edge is for it"
            return "", f"{name} is not caught: {reason}"
        edges = self.plan.edges
        if isinstance(outcome, Carry):
            return self._edge("on carry", edges.carry)
        action = dict(edges.vectors).get(outcome.vector)
        if action is not None:
            return self._edge(f"on fault {vector_name(outcome.vector)}", action)
        if edges.fault is None:
            return "no edge is for this fault", self._end(None)
        return self._edge("on fault", edges.fault)

    def _edge(self, when: str, action: Action | None) -> tuple[str, str]:
        if action is None:
            return "", self._end(None)
        return f"{when} {plain(show_action(action))}", self._end(action)

    def _failed_check(self) -> str:
        for check in self.plan.checks:
            value = self.call.inputs[check.input]
            if not keeps_promise(check.promise, value):
                kind = next(i.type for i in self.plan.inputs if i.name == check.input)
                promise = promise_words(check.promise)
                shown = f"{plain(check.input)} = {_number(kind, value)}"
                return f"{plain(check.text)}: {shown} breaks the promise ({promise})"
        return ""

    def _end(self, action: Action | None) -> str:
        """What the caller gets: a status, ud2, or nothing as a function does not return."""
        plan, execution = self.plan, self.execution
        called = "".join(f"calls {plain(symbol)}(), " for symbol in execution.called)
        if execution.status is None:
            if isinstance(action, CallSymbol) and action.value is None and called:
                return f"{called}which does not return"
            came_back = plan.returns is Returns.NOTHING and execution.attempts and action is None
            return f"{called}executes ud2" + (": the call must not come back" if came_back else "")
        name = shown_status(plan, execution.status, self._last_answer())
        if isinstance(action, ReturnValue | CallSymbol) and action.value is not None and not name:
            name = plain(show(action.value))
        return f"{called}returns {f'{name} ' if name else ''}{execution.status:#x}"

    def _last_answer(self) -> Answer | None:
        count = len(self.execution.attempts)
        return self.side.answer(count - 1) if count else None


def _outputs(
    plan: Plan, call: Call, side: ScriptedSide, execution: Execution, speller: Speller
) -> Iterator[DeliveredOutput]:
    """Each output as the caller finds it; none if there is no return."""
    if execution.status is None:
        return
    written = {
        write.address + index: byte
        for write in execution.writes
        for index, byte in enumerate(write.data)
    }
    status = _completed_status(plan, side, execution)
    for delivery, row in zip(plan.deliveries, output_rows(plan), strict=True):
        value = _delivered(delivery, call.slots, written, execution)
        if value is None:
            is_null = delivery.argument is not None and call.slots[delivery.argument] == 0
            words = "NULL: nothing is stored" if is_null else "untouched"
            yield DeliveredOutput(delivery.name, row.destination, None, words, ())
            continue
        words = speller.words(delivery.type, value)
        if status is not None and delivery.test is not None and not delivery.test.holds(status):
            words = f"not {row.condition}"
        fields = fields_of(delivery.type, value)
        yield DeliveredOutput(delivery.name, row.destination, value, words, fields)


def _completed_status(plan: Plan, side: ScriptedSide, execution: Execution) -> int | None:
    """The status with which the last attempt completed; None if it did not."""
    if not execution.attempts:
        return None
    last = len(execution.attempts) - 1
    outcome = side(last, execution.attempts[last])
    if not isinstance(outcome, Completed):
        return None
    place = plan.status
    return outcome.registers[place.register] >> place.low & slice_mask(0, place.width - 1)


def _delivered(
    delivery: Delivery, slots: Mapping[str, int], written: Mapping[int, int], execution: Execution
) -> int | None:
    """The value that the code delivered, as wide as its type; None if it stored nothing."""
    if delivery.argument is None:
        mask = slice_mask(0, delivery.type.width - 1)
        return None if execution.value is None else execution.value & mask
    start = slots[delivery.argument] + delivery.offset
    size = delivery.type.width // 8
    if not all(start + index in written for index in range(size)):
        return None
    return int.from_bytes(bytes(written[start + index] for index in range(size)), "little")
