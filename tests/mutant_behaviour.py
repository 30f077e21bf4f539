"""Whether a mutant of an object behaves otherwise than its plan: it is executed in many scenarios.

Only in the emulator: mutated code may jump anywhere, loop and write where it likes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random

from code_mutants import Mutant
from execution import PlannedSide, Scenario, final_statuses, play, scenarios

from seamir.emulate.image import LinkError
from seamir.emulate.junk import Junk
from seamir.emulate.machine import Machine
from seamir.emulate.processor import GENERAL
from seamir.ir.leaf import ArgumentKind, Plan
from seamir.objects.contents import ObjectError

# Seeds of scenarios, with how many random operands each class of outcomes gets: few first, since
# most mutants are found out by any call that gets where they are.
ROUNDS = ((0, 1), (1, 4), (2, 4), (3, 8))
_UNSCRUBBED = "should be scrubbed"  # as the machine says it


@dataclass(frozen=True)
class Behaviour:
    """How a mutant differs from its plan, and in which call; None if no call shows it.

    `is_refused`: the object cannot be read or laid out, so there is nothing to execute.
    """

    calls: int
    difference: str | None = None
    is_refused: bool = False


def behaviour(mutant: Mutant, assumptions: Collection[str] = ()) -> Behaviour:
    """Executes the mutant's function in all outcome classes until a call goes wrong.

    Calls that break an assumption of a proof are left out.
    """
    try:
        machine = Machine(mutant.data, mutant.target)
    except (ObjectError, LinkError) as error:
        return Behaviour(0, f"{type(error).__name__}: {error}", is_refused=True)
    calls = 0
    for seed, repeat in ROUNDS:
        for scenario in scenarios(mutant.plan, seed=seed, repeat=repeat):
            if not overlaps(mutant.plan, scenario).isdisjoint(assumptions):
                continue
            calls += 1
            _, _, found = play(machine, mutant.plan, scenario)
            differences = without_own(machine, mutant.plan, scenario, found)
            if differences:
                return Behaviour(calls, f"{scenario.name}: {differences[0]}")
    return Behaviour(calls)


def without_own(machine: Machine, plan: Plan, call: Scenario, differences: list[str]) -> list[str]:
    """The differences of a call but registers that should be scrubbed and hold no foreign value.

    The machine reports all that is neither 0 nor what the caller had in that very register. What
    came from the caller, or nowhere, is the same where another status and other values come back.
    """
    doubtful = {text for text in differences if text.endswith(_UNSCRUBBED)}
    if not doubtful:
        return differences
    own: set[str] = set()
    entry = dict(zip(GENERAL, Junk(call.seed).words(len(GENERAL)), strict=True))
    for side in _other_sides(plan, call):
        again = machine.call(
            plan, call.arguments, call.regions, side, seed=call.seed + 1, registers=entry
        )
        own |= doubtful & set(again.problems)
    return [text for text in differences if text not in own]


def _other_sides(plan: Plan, call: Scenario) -> Iterator[PlannedSide]:
    """Others that differ from that of a call in all values and, if it completes, in the status."""
    assert isinstance(call.side, PlannedSide)
    *before, last = call.side.steps
    ends = [last]
    if plan.status is not None and isinstance(last, int):
        ends = [status for status in final_statuses(plan, Random(call.seed)) if status != last]
    for end in ends:
        yield replace(call.side, steps=(*before, end), seed=call.side.seed + 1)


def overlaps(plan: Plan, scenario: Scenario) -> set[str]:
    """What a call does not keep of what proofs may assume, in their words."""
    places = {
        argument.name: range(start, start + len(scenario.regions[start]))
        for argument in plan.arguments
        if (start := scenario.arguments[argument.name]) in scenario.regions
        and argument.kind is not ArgumentKind.VALUE
    }
    return {
        f"{one} and {other} do not overlap"
        for one, other in combinations(sorted(places), 2)
        if places[one].start < places[other].stop and places[other].start < places[one].stop
    }
