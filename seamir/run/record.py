"""A call that was executed, decoded: registers by their operands, statuses by their names.

`execute` runs the code and the plan against the same other side and makes a Record, from which
`report` makes text or JSON. What is in a Record comes from the code; `differences` say where that
is not what the plan means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from seamir.emit.contract import no_fault_reason, promise_words, vector_name
from seamir.emit.rows import output_rows
from seamir.emit.text import plain
from seamir.emulate.compare import compare
from seamir.emulate.interpreter import interpret, is_refused, keeps_promise
from seamir.emulate.machine import Execution, Machine
from seamir.emulate.script import Carry, Completed, Memory
from seamir.ir.leaf import CallSymbol, Delivery, Plan, Returns, ReturnValue, show_action
from seamir.model.entities import Action
from seamir.model.expressions import show
from seamir.model.registers import slice_mask
from seamir.run.arguments import Call
from seamir.run.decode import (
    Attempt,
    Decoder,
    Speller,
    bits_of,
    fields_of,
    is_there,
    number_words,
)
from seamir.run.script import Answer, ScriptedSide, shown_status
from seamir.targets import Target


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
    machine = Machine(data, target)
    run = interpret(plan, call.slots, Memory(call.regions), side)
    execution = machine.call(plan, call.slots, call.regions, side)
    differences = tuple(compare(plan, run, execution))
    return record_of(plan, target, call, side, execution, differences, constants)


def record_of(
    plan: Plan,
    target: Target,
    call: Call,
    side: ScriptedSide,
    execution: Execution,
    differences: tuple[str, ...],
    constants: dict[str, int],
) -> Record:
    """The record of a call that was executed against that other side; else as `execute`."""
    speller = Speller({value: name for name, value in reversed(constants.items())})
    decoder = Decoder(plan, call, speller)
    edge, end = _Ending(plan, target, call, side, execution).words()
    return Record(
        plan=plan,
        target=target,
        arguments=tuple(_arguments(plan, call, speller)),
        attempts=tuple(decoder.attempts(execution, side)),
        edge=edge,
        end=end,
        execution=execution,
        outputs=tuple(_outputs(plan, call, side, execution, speller)),
        differences=differences,
    )


def _arguments(plan: Plan, call: Call, speller: Speller) -> Iterator[tuple[str, int | None, str]]:
    for argument in plan.arguments:
        items = [item for item in plan.inputs if item.argument == argument.name]
        for item in items:
            if not is_there(item, call.inputs):
                continue
            value = call.inputs[item.name]
            yield item.name, value, speller.argument(item, value)
        if not items and call.slots[argument.name] == 0:
            yield argument.name, None, "NULL"


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
            refusal = self.plan.edges.refused
            if refusal is None or not is_refused(refusal, outcome.registers):
                return "", self._end(None)
            return self._edge("on refused", refusal.action)
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
                shown = f"{plain(check.input)} = {number_words(kind, value)}"
                return f"{plain(check.text)}: {shown} breaks the promise ({promise})"
        return ""

    def _end(self, action: Action | None) -> str:
        """What the caller gets: a status, ud2, or nothing as a function does not return."""
        plan, execution = self.plan, self.execution
        called = "".join(f"calls {plain(symbol)}(), " for symbol in execution.called)
        if execution.trapped:
            if isinstance(action, CallSymbol) and action.value is None and called:
                return f"{called}which does not return"
            came_back = plan.returns is Returns.NOTHING and execution.attempts and action is None
            return f"{called}executes ud2" + (": the call must not come back" if came_back else "")
        if execution.status is None:
            return f"{called}returns"
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
    if execution.trapped or execution.escaped_fault is not None:
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
    """The status with which the last attempt completed; None if it did not, or has none."""
    if not execution.attempts or plan.status is None:
        return None
    last = len(execution.attempts) - 1
    outcome = side(last, execution.attempts[last])
    if not isinstance(outcome, Completed):
        return None
    refusal = plan.edges.refused
    if refusal is not None and is_refused(refusal, outcome.registers):
        return None
    return bits_of(outcome, plan.status)


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
