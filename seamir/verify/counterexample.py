"""Makes a failure concrete: numbers for one call that goes wrong, from what z3 found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from seamir.emulate.image import PAGE
from seamir.emulate.interpreter import grant
from seamir.emulate.machine import DATA_START
from seamir.emulate.script import Carry, Completed, Fault, Outcome, Write
from seamir.ir.leaf import Again, Argument, ArgumentKind, CarryRegister, Plan
from seamir.model.registers import ALL_BITS, CARRY_FLAG, REGISTERS, slice_mask
from seamir.verify.evaluation import evaluate
from seamir.verify.memory import AT_ENTRY, SLOT
from seamir.verify.result import Counterexample
from seamir.verify.solver import Solver
from seamir.verify.specification import Specification
from seamir.verify.terms import TRUE, Word, either, equal
from seamir.verify.walk import Attempted, Path

Model = Mapping[str, int]
_MOST_ATTEMPTS = 1000  # of a call that is executed to see whether it goes wrong


def find_example(
    solver: Solver, specification: Specification, path: Path, wrong: Word = TRUE
) -> tuple[Counterexample, Model] | None:
    """A call that takes a path on which a condition holds, and the numbers of all symbols.

    None if there is none, which is a defect unless the solver was asked before.
    """
    example = _Example(specification, path)
    solver.assume_only(path.conditions)
    model = solver.model(wrong, *example.pointers_in_place()) or solver.model(wrong)
    return None if model is None else (example.of(model), model)


def with_all_attempts(plan: Plan, example: Counterexample) -> Counterexample | None:
    """The same call where the other side asks for every attempt there is, inner clauses first.

    It shows what a history that only uses up some budgets does not: such as that a clause which
    grants an attempt leaves those before it spent. None where the attempts are too many to execute.
    """
    if not 1 < plan.bound <= _MOST_ATTEMPTS:
        return None
    assert plan.status is not None
    refused, outcomes = plan.edges.refused, list[Outcome]()
    budgets = [clause.attempts for clause in plan.again]
    while any(budgets):
        clause = next(c for c, left in zip(plan.again, budgets, strict=True) if left)
        status = clause.matches[0].value
        grant(plan.again, budgets, status)
        registers = dict.fromkeys(sorted(plan.destroyed), 0)
        if refused is not None:
            registers[refused.place.register] = refused.value << refused.place.low
        registers[plan.status.register] |= status << plan.status.low & ALL_BITS
        outcomes.append(Completed(registers))
    return replace(example, outcomes=(*outcomes, outcomes[0]))


class _Example:
    """A counterexample in the making: names of symbols become parts of a call."""

    def __init__(self, specification: Specification, path: Path) -> None:
        self._specification = specification
        self._plan: Plan = specification.plan
        self._path = path
        pointers = [a.name for a in self._plan.arguments if a.kind is not ArgumentKind.VALUE]
        # Each of its own page, and not at its start, where a multiple of anything would be.
        self._places = {n: DATA_START + PAGE * i + 2 * SLOT for i, n in enumerate(pointers, 1)}

    def pointers_in_place(self) -> Iterator[Word]:
        """Conditions that put each pointer where the emulator has memory, or make it NULL."""
        for argument in self._plan.arguments:
            if argument.name in self._places:
                pointer = self._specification.arguments[argument.name]
                here = equal(pointer, self._places[argument.name])
                yield either(here, equal(pointer, 0)) if argument.optional else here

    def of(self, model: Model) -> Counterexample:
        """The call."""
        arguments = {a.name: model.get(f"argument.{a.name}", 0) for a in self._plan.arguments}
        for argument in self._plan.arguments:
            if argument.name in self._places and f"argument.{argument.name}" not in model:
                arguments[argument.name] = self._places[argument.name]
        registers = {
            name: model[f"entry.{name}"]
            for name in REGISTERS
            if f"entry.{name}" in model and name != "rsp"
        }
        regions = {
            arguments[argument.name]: self._content(argument, model, AT_ENTRY)
            for argument in self._plan.arguments
            if argument.name in self._places and arguments[argument.name]
        }
        outcomes = tuple(self._outcomes(model, arguments))
        return Counterexample(arguments, registers, regions, outcomes)

    def _content(self, argument: Argument, model: Model, epoch: str) -> bytes:
        """What a pointer leads to: all of it, of an array what the count says is there."""
        struct = argument.kind is ArgumentKind.STRUCT and self._plan.struct
        size = struct.size if struct else argument.size
        if argument.count is not None:
            count = evaluate(self._specification.inputs[argument.count], model)
            size = min(count, argument.length or 0) * argument.type.width // 8
        words = (
            model.get(f"{argument.name}[{slot}].{epoch}", 0).to_bytes(SLOT, "little")
            for slot in range(0, size, SLOT)
        )
        return b"".join(words)[:size]

    # -- what the other side does

    def _outcomes(self, model: Model, arguments: Mapping[str, int]) -> Iterator[Outcome]:
        origin = self._path.origin
        if origin is not None:
            yield from self._history(origin, model)
            yield self._last(origin, model, arguments)
        # For an attempt that should not be there, or whose operands are wrong.
        yield self._completed({})

    def _last(self, origin: Attempted, model: Model, arguments: Mapping[str, int]) -> Outcome:
        if origin.kind == "carry":
            return Carry()
        if origin.kind == "fault":
            assert origin.vector is not None
            return Fault(evaluate(origin.vector, model))
        known = {name: evaluate(word, model) for name, word in origin.after.items()}
        writes = tuple(self._changes(model, arguments)) if self._plan.destroys_memory else ()
        return self._completed(known, writes)

    def _completed(self, known: Mapping[str, int], memory: tuple[Write, ...] = ()) -> Completed:
        registers = {name: known.get(name, 0) for name in sorted(self._plan.destroyed)}
        carry = bool(known.get(CARRY_FLAG, 0)) and self._plan.returns_carry
        return Completed(registers, memory, carry)

    def _changes(self, model: Model, arguments: Mapping[str, int]) -> Iterator[Write]:
        """What memory holds after the attempt where the path looked at it again."""
        epoch = self._path.memory.epoch
        for argument in self._plan.arguments:
            if argument.name not in self._places or not arguments[argument.name]:
                continue
            if any(name.startswith(f"{argument.name}[") and name.endswith(epoch) for name in model):
                content = self._content(argument, model, epoch)
                yield Write(arguments[argument.name], content)

    def _history(self, origin: Attempted, model: Model) -> Iterator[Outcome]:
        """Attempts that use up as much of each clause as the path found used.

        The last clause first, since what it grants refills those before it.
        """
        if origin.is_exact:
            return
        clauses = self._plan.again
        for index in reversed(range(len(clauses))):
            left = evaluate(origin.before.budgets[index], model)
            for _ in range(clauses[index].attempts - left):
                yield self._granted(clauses[index], origin, model)

    def _granted(self, clause: Again, origin: Attempted, model: Model) -> Outcome:
        """An attempt that completes with a status of a clause."""
        place = self._plan.status
        assert place is not None
        known = {
            step.register: evaluate(origin.before.operands[step.register], model)
            for step in clause.steps
            if isinstance(step, CarryRegister)
        }
        refusal = self._plan.edges.refused
        if refusal is not None:
            known[refusal.place.register] = refusal.value << refusal.place.low & ALL_BITS
        earlier = self._plan.again[: self._plan.again.index(clause)]
        statuses = [match.value for match in clause.matches]
        chosen = next(
            (s for s in statuses if not any(m.accepts(s) for c in earlier for m in c.matches)),
            statuses[0],
        )
        kept = known.get(place.register, 0) & ~slice_mask(place.low, place.high)
        known[place.register] = (kept | chosen << place.low) & ALL_BITS
        return self._completed(known)
