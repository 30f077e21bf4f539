"""Where pointers wait during the call, and in which order registers are loaded for it.

A pointer often arrives in a register that the call needs, and left to itself LLVM moves it into a
callee-saved one, with a push and a pop. Naming a caller-saved register that the call neither
reads nor destroys, as input and output of the instruction, parks it there instead. LLVM loads
inputs in the order in which they are named: a good order needs no register in between.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations

from seamir.conventions import Convention
from seamir.ir.flag import FEW, SCRATCH, registers_left
from seamir.ir.leaf import Plan
from seamir.model.expressions import ParameterValue

_MOST_PARKED = 3

# A load: the register, and where its value arrives if it is an argument as it came.
Move = tuple[str, str | None]


def park(
    plan: Plan, convention: Convention, *, inlinable: bool
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Registers of parked pointers by argument name, and the order of all inputs.

    With retries the operands need the spare registers themselves, so nothing is parked; nor if
    that could leave none for the carry flag. Inlined, pointers are rarely in registers at all.
    """
    arrivals = dict(zip((a.name for a in plan.arguments), convention.arguments, strict=False))
    moves = tuple((load.register, _arrival(plan, load.register, arrivals)) for load in plan.loads)
    spare = registers_left(plan) - {load.register for load in plan.loads}
    if inlinable or plan.again or (plan.returns_carry and len(spare) <= FEW):
        return {}, tuple(register for register, _ in moves)
    free = tuple(name for name in SCRATCH if name in spare - convention.preserved)
    # Only what is stored through afterwards has to wait.
    written = {delivery.argument for delivery in plan.deliveries}
    names = [argument.name for argument in plan.arguments if argument.name in written]
    chosen = _choose(moves, tuple(arrivals.get(name) for name in names), free)
    parked = {name: place for name, place in zip(names, chosen, strict=True) if place is not None}
    waiting = tuple((place, arrivals.get(name)) for name, place in parked.items())
    return parked, _order(moves + waiting)[0]


def _arrival(plan: Plan, register: str, arrivals: dict[str, str]) -> str | None:
    load = plan.load(register)
    if load is None or not isinstance(load.value, ParameterValue):
        return None
    item = next(item for item in plan.inputs if item.name == load.value.name)
    return arrivals.get(item.argument) if item.offset is None else None


@lru_cache(maxsize=4096)
def _choose(
    moves: tuple[Move, ...], arrivals: tuple[str | None, ...], free: tuple[str, ...]
) -> tuple[str | None, ...]:
    """A register for each pointer, None where there is none left: the choice that moves least."""
    count = min(len(free), len(arrivals), _MOST_PARKED)
    best: tuple[int, tuple[str | None, ...]] | None = None
    for places in permutations(free, count):
        padded = (*places, *[None] * (len(arrivals) - count))
        waiting = tuple(
            (place, arrival)
            for place, arrival in zip(padded, arrivals, strict=True)
            if place is not None
        )
        moved = sum(place != arrival for place, arrival in waiting)
        cost = 2 * _order(moves + waiting)[1] + moved
        if best is None or cost < best[0]:
            best = (cost, padded)
    return best[1] if best else (None,) * len(arrivals)


def _order(moves: tuple[Move, ...]) -> tuple[tuple[str, ...], int]:
    """The registers in an order in which none is loaded before what arrived in it is used.

    Also how many could not be ordered so: each of those costs a register in between.
    """
    pending, ordered, cycles = list(moves), [], 0
    while pending:
        for index, (register, _) in enumerate(pending):
            others = pending[:index] + pending[index + 1 :]
            if all(arrival != register for _, arrival in others):
                break
        else:
            index, cycles = 0, cycles + 1
        ordered.append(pending.pop(index)[0])
    return tuple(ordered), cycles
