"""What a plan means: the reference semantics, which code generation and documents are held to.

`interpret` takes a plan, the arguments of the C call, memory and the other side; it returns
everything that the caller and the other side can observe. Read it from `interpret` downwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seamir.emulate.script import (
    Carry,
    Completed,
    Fault,
    Memory,
    OtherSide,
    Outcome,
    Write,
    check_outcome,
)
from seamir.ir.leaf import Check, Delivery, Input, Plan, Returns
from seamir.model.entities import (
    Action,
    Again,
    Bits,
    CallSymbol,
    CarryRegister,
    Refusal,
    ReturnValue,
    SetBits,
    Trap,
)
from seamir.model.expressions import evaluate
from seamir.model.registers import ALL_BITS, CARRY_FLAG, slice_mask
from seamir.model.types import Type, extend


@dataclass(frozen=True, slots=True)
class Run:
    """What could be observed of one call of a wrapper.

    `attempts` has the loaded registers at each execution of the instruction. `status` is what
    was returned, None if nothing was; `value` is the output returned beside it, or in its place,
    as wide as its type, None if there is none. `trapped`: it ended in ud2, or in a function that
    does not return. `called` are the functions called. `writes` are the stores to the caller's
    memory, in order. `escaped_fault` is the vector of a fault that the wrapper has no edge for.
    """

    attempts: tuple[Mapping[str, int], ...]
    status: int | None = None
    value: int | None = None
    trapped: bool = False
    called: tuple[str, ...] = ()
    writes: tuple[Write, ...] = ()
    escaped_fault: int | None = None


def interpret(
    plan: Plan, arguments: Mapping[str, int], memory: Memory, other_side: OtherSide
) -> Run:
    """Calls a wrapper.

    `arguments` has the 64 bits of each argument's slot: for a value narrower than that, the
    upper bits are whatever the caller left there; for a pointer, its address, 0 for NULL.
    Raises MemoryAccessError if a pointer leads outside `memory`, and ValueError if the other side
    does what the plan says it cannot.
    """
    for check in plan.checks:
        tested = [item for item in plan.inputs if item.name == check.input]
        value = read_inputs(tested, arguments, memory)[check.input]
        if not keeps_promise(check.promise, value):
            return _Call(plan, arguments, memory, {}).fail(check)
    call = _Call(plan, arguments, memory, read_inputs(plan.inputs, arguments, memory))
    attempts, outcome, registers = call.attempt_until_final(other_side)
    match outcome:
        case Completed():
            refused = plan.edges.refused
            if refused is not None and is_refused(refused, registers):
                return call.give_up(attempts, refused.action, _bits(registers, refused.place))
            return call.complete(attempts, registers)
        case Carry():
            return call.give_up(attempts, plan.edges.carry, 0)
        case Fault(vector):
            if not plan.edges.has_fault:
                return Run(attempts, escaped_fault=vector)
            action = dict(plan.edges.vectors).get(vector, plan.edges.fault)
            return call.give_up(attempts, action, vector)


# -- before the call: arguments become 64-bit inputs, and some are checked


def read_inputs(
    inputs: Sequence[Input], arguments: Mapping[str, int], memory: Memory
) -> dict[str, int]:
    """The value of each input at entry, extended to 64 bits by the rule of its type.

    Of an array with a run-time bound only the elements that are there are read.
    """
    values: dict[str, int] = {}
    for item in inputs:
        if item.bound is not None and values[item.bound.count] <= item.bound.index:
            values[item.name] = item.bound.otherwise
            continue
        raw = arguments[item.argument]
        if item.offset is not None:
            raw = int.from_bytes(memory.read(raw + item.offset, item.type.width // 8), "little")
        values[item.name] = extend(raw, item.type.width, item.type.signed)
    return values


def keeps_promise(kind: Type, value: int) -> bool:
    """Whether a 64-bit value is one that the type promises."""
    number = value - (1 << 64) if kind.signed and value >> 63 else value
    if kind.low <= number <= kind.high and value & ~kind.bits == 0:
        return True
    return any(value == extend(constant, kind.width, kind.signed) for constant in kind.constants)


@dataclass
class _Call:
    """One call under way: the plan, what the caller passed, and the inputs made of it."""

    plan: Plan
    arguments: Mapping[str, int]
    memory: Memory
    inputs: Mapping[str, int]

    # -- attempts

    def attempt_until_final(
        self, other_side: OtherSide
    ) -> tuple[tuple[Mapping[str, int], ...], Outcome, Mapping[str, int]]:
        """All attempts: registers loaded at each, the last outcome, and registers after it.

        The loads are made once, at entry, and placed anew before each attempt; only the steps of
        a resumption change an operand, and nothing changes a selector or a preload.
        """
        plan = self.plan
        operands = {load.register: evaluate(load.value, self.inputs) for load in plan.loads}
        budgets = [clause.attempts for clause in plan.again]
        attempts: list[Mapping[str, int]] = []
        while True:
            loaded = dict(operands)
            attempts.append(loaded)
            outcome = other_side(len(attempts) - 1, dict(loaded))
            check_outcome(plan, outcome)
            if not isinstance(outcome, Completed):
                return tuple(attempts), outcome, {}
            for write in outcome.memory:
                self.memory.change(write.address, write.data)
            registers = _registers_after(plan, loaded, outcome)
            refused = plan.edges.refused
            if plan.status is None or (refused is not None and is_refused(refused, registers)):
                return tuple(attempts), outcome, registers
            clause = grant(plan.again, budgets, _bits(registers, plan.status))
            if clause is None:
                return tuple(attempts), outcome, registers
            self._resume(clause, operands, registers)

    def _resume(
        self, clause: Again, operands: dict[str, int], registers: Mapping[str, int]
    ) -> None:
        """Changes the operands as the steps of the clause say, one after the other.

        A value is placed as in a load: it is not cut to its bits, since its type promises them.
        """
        for step in clause.steps:
            match step:
                case SetBits(place, value):
                    mask = slice_mask(place.low, place.high)
                    bits = evaluate(value, self.inputs) << place.low & ALL_BITS
                    operands[place.register] = operands[place.register] & ~mask | bits
                case CarryRegister(register):
                    operands[register] = _register(registers, register)

    # -- the ends of a call

    def fail(self, check: Check) -> Run:
        """A check failed: its status is returned, or ud2, without an attempt."""
        if check.status is None:
            return self._trap(())
        return self._end((), check.status, None)

    def complete(
        self, attempts: tuple[Mapping[str, int], ...], registers: Mapping[str, int]
    ) -> Run:
        """The last attempt completed: its status is returned and its outputs are delivered."""
        place = self.plan.status
        if place is not None:
            return self._end(attempts, _bits(registers, place), registers)
        if self.plan.returns is Returns.NOTHING:
            return self._trap(attempts)
        value = self._deliver(registers)
        return Run(attempts, value=value, writes=tuple(self.memory.writes))

    def give_up(
        self, attempts: tuple[Mapping[str, int], ...], action: Action | None, edge_value: int
    ) -> Run:
        """The last attempt did not complete: the edge's action decides.

        `edge_value` is the vector of a fault, or what was found where a refusal shows. A wrapper
        with an edge for some vectors only gets the other faults too, and traps.
        """
        match action:
            case ReturnValue(value):
                return self._end(attempts, evaluate(value, self.inputs, edge_value), None)
            case CallSymbol(symbol, value):
                status = None if value is None else evaluate(value, self.inputs, edge_value)
                return self._end(attempts, status, None, called=(symbol,))
            case Trap() | None:
                return self._trap(attempts)

    def _trap(self, attempts: tuple[Mapping[str, int], ...]) -> Run:
        return Run(attempts, trapped=True)

    def _end(
        self,
        attempts: tuple[Mapping[str, int], ...],
        status: int | None,
        registers: Mapping[str, int] | None,
        called: tuple[str, ...] = (),
    ) -> Run:
        """Delivers the outputs, calls, and returns; `registers` is None if not completed.

        Without a status there is nothing to return to: the function called does not return.
        """
        if self.plan.returns is Returns.NOTHING:
            return Run(attempts, trapped=True, called=called)
        value = self._deliver(registers)
        return Run(
            attempts,
            status=status,
            value=None if status is None else value,
            trapped=status is None,
            called=called,
            writes=tuple(self.memory.writes),
        )

    # -- deliveries

    def _deliver(self, registers: Mapping[str, int] | None) -> int | None:
        """Delivers each output in order; returns the one that is returned, if any."""
        returned: int | None = None
        for delivery in self.plan.deliveries:
            value = self._value_of(delivery, registers)
            if value is None:
                continue
            if delivery.argument is None:
                returned = value
                continue
            pointer = self.arguments[delivery.argument]
            if pointer == 0 and delivery.optional:
                continue
            data = value.to_bytes(delivery.type.width // 8, "little")
            self.memory.write(pointer + delivery.offset, data)
        return returned

    def _value_of(self, delivery: Delivery, registers: Mapping[str, int] | None) -> int | None:
        """The value of an output, as wide as its type; None: the place keeps what it holds."""
        if registers is None:
            return None if delivery.keep else 0
        if delivery.test is not None:
            assert self.plan.status is not None  # a condition is about the status
            if not delivery.test.holds(_bits(registers, self.plan.status)):
                return 0
        place, kind = delivery.place, delivery.type
        value = extend(_bits(registers, place), place.width, kind.signed)
        return value & slice_mask(0, kind.width - 1)


def grant(clauses: Sequence[Again], budgets: list[int], status: int) -> Again | None:
    """The clause that grants another attempt for a status, if any; updates the budgets.

    Clauses nest inside out, like loops written by hand: an attempt that a clause grants refills
    the budgets of those before it.
    """
    for index, clause in enumerate(clauses):
        if not any(match.accepts(status) for match in clause.matches):
            continue
        if budgets[index] == 0:
            return None
        budgets[index] -= 1
        budgets[:index] = [inner.attempts for inner in clauses[:index]]
        return clause
    return None


def is_refused(refused: Refusal, registers: Mapping[str, int]) -> bool:
    """Whether the registers say that the other side was not reached."""
    return _bits(registers, refused.place) != refused.value


def _registers_after(plan: Plan, loaded: Mapping[str, int], outcome: Completed) -> dict[str, int]:
    """What is known of the registers once an attempt completed."""
    kept = {name: value for name, value in loaded.items() if name not in plan.destroyed}
    carry = {CARRY_FLAG: int(outcome.carry)} if plan.returns_carry else {}
    return {**kept, **outcome.registers, **carry}


def _register(registers: Mapping[str, int], name: str) -> int:
    if name not in registers:
        raise ValueError(f"the other side does not say what {name} holds after the call")
    return registers[name]


def _bits(registers: Mapping[str, int], place: Bits) -> int:
    """The bits of a place, its low end at bit 0."""
    return (_register(registers, place.register) >> place.low) & slice_mask(0, place.width - 1)
