"""Shows a counterexample happening: its call, executed, as `seamir run` shows calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seamir.compiler import constants_of
from seamir.emulate.interpreter import read_inputs
from seamir.emulate.script import Completed, Memory, MemoryAccessError, Outcome
from seamir.ir.leaf import Plan
from seamir.model.registers import ALL_BITS, CARRY_FLAG
from seamir.proving.verification import Verification
from seamir.run.arguments import Call
from seamir.run.decode import bits_of
from seamir.run.record import Record, record_of
from seamir.run.script import Answer, ScriptedSide, Setting
from seamir.verify.replay import replay
from seamir.verify.result import Counterexample


class _ExampleSide(ScriptedSide):
    """The other side of a counterexample: its outcomes as they are, the last one from then on."""

    def __init__(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        super().__init__(plan, tuple(_answer(plan, outcome) for outcome in outcomes))
        self._outcomes = outcomes

    def __call__(self, attempt: int, registers: Mapping[str, int]) -> Outcome:
        return self._outcomes[min(attempt, len(self._outcomes) - 1)]


def _answer(plan: Plan, outcome: Outcome) -> Answer:
    """An outcome as a script would say it: with the registers whose value counts."""
    if not isinstance(outcome, Completed):
        return Answer(outcome, None, "")
    place = plan.status
    status = None if place is None else bits_of(outcome, place)
    names = plan.needed - ({place.register} if place is not None else set())
    settings = [Setting(n, ALL_BITS, outcome.registers[n]) for n in names if n != CARRY_FLAG]
    if CARRY_FLAG in names:
        settings.append(Setting(CARRY_FLAG, 1, int(outcome.carry)))
    return Answer(None, status, "", tuple(settings))


class NoReplayError(Exception):
    """The call needs memory at addresses where the emulator has none; the text says which."""


def show_example(verification: Verification, plan: Plan, example: Counterexample) -> Record:
    """Executes a counterexample; raises SeamError if unicorn is missing, or NoReplayError."""
    target = verification.target
    try:
        done = replay(verification.data, plan, target, example)
    except (MemoryAccessError, ValueError) as error:  # NULL, for one
        raise NoReplayError(str(error)) from error
    inputs = read_inputs(plan.inputs, example.arguments, Memory(example.regions))
    call = Call(example.arguments, example.regions, inputs, ())
    side = _ExampleSide(plan, example.outcomes)
    constants = constants_of(verification.program)
    return record_of(plan, target, call, side, done.execution, done.differences, constants)
