"""Whether a mutant of an object behaves otherwise than its plan: it is executed in many scenarios.

Only in the emulator: mutated code may jump anywhere, loop and write where it likes.
"""

from __future__ import annotations

from dataclasses import dataclass

from code_mutants import Mutant
from execution import play, scenarios

from seamir.emulate.image import LinkError
from seamir.emulate.machine import Machine
from seamir.objects.contents import ObjectError

# Seeds of scenarios, with how many random operands each class of outcomes gets: few first, since
# most mutants are found out by any call that gets where they are.
ROUNDS = ((0, 1), (1, 4), (2, 4), (3, 8))


@dataclass(frozen=True)
class Behaviour:
    """How a mutant differs from its plan, and in which call; None if no call shows it.

    `is_refused`: the object cannot be read or laid out, so there is nothing to execute.
    """

    calls: int
    difference: str | None = None
    is_refused: bool = False


def behaviour(mutant: Mutant) -> Behaviour:
    """Executes the mutant's function in all outcome classes until a call goes wrong."""
    try:
        machine = Machine(mutant.data, mutant.target)
    except (ObjectError, LinkError) as error:
        return Behaviour(0, f"{type(error).__name__}: {error}", is_refused=True)
    calls = 0
    for seed, repeat in ROUNDS:
        for scenario in scenarios(mutant.plan, seed=seed, repeat=repeat):
            calls += 1
            _, _, differences = play(machine, mutant.plan, scenario)
            if differences:
                return Behaviour(calls, f"{scenario.name}: {differences[0]}")
    return Behaviour(calls)
