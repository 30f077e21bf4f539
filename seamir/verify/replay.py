"""Shows a counterexample happening: the call in unicorn, and what the plan means beside it."""

from __future__ import annotations

from dataclasses import dataclass

from seamir.emulate.compare import compare
from seamir.emulate.interpreter import Run, interpret
from seamir.emulate.machine import Execution, Machine
from seamir.emulate.script import Memory, Script
from seamir.ir.leaf import Plan
from seamir.targets import Target
from seamir.verify.result import Counterexample

_SEEDS = 16  # of what the counterexample leaves open, such as status flags after an attempt


@dataclass(frozen=True)
class Replay:
    """What was seen: the plan's own run, that of the code, and where they differ, in words."""

    run: Run
    execution: Execution
    differences: tuple[str, ...]


def replay(data: bytes, plan: Plan, target: Target, example: Counterexample) -> Replay:
    """Executes a counterexample with the code of an object.

    Raises SeamError if unicorn is missing, ObjectError or LinkError if the object cannot be
    loaded, MemoryAccessError if the plan itself leads outside the memory of the counterexample,
    ValueError if a pointer has to lead where the emulator has no memory.
    """
    machine = Machine(data, target)
    script = Script(example.outcomes)
    run = interpret(plan, example.arguments, Memory(example.regions), script)
    for seed in range(_SEEDS):
        execution = machine.call(
            plan,
            example.arguments,
            example.regions,
            script,
            seed=seed,
            registers=example.registers,
        )
        differences = compare(plan, run, execution)
        if differences:
            break
    return Replay(run, execution, tuple(differences))
