"""What happens where outputs overlap: harmless if code stores in the order that the plan says.

If every read of the caller's memory comes before the first store, and the stores of outputs to
different arguments come in the plan's order, then the memory ends up as the interpreter leaves it
wherever the pointers lead.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from seamir.ir.leaf import ArgumentKind, Plan
from seamir.verify.memory import Write
from seamir.verify.specification import End, Stored
from seamir.verify.walk import Path


class Overlaps:
    """Gathers, over all paths, which pairs of arguments may not overlap."""

    def __init__(self, plan: Plan) -> None:
        self._pointers = [a.name for a in plan.arguments if a.kind is not ArgumentKind.VALUE]
        self._harmful: set[tuple[str, str]] = set()

    def add(self, path: Path, end: End) -> None:
        """Takes a path that ends as the plan says."""
        if end.traps and not end.calls:  # memory matters to nobody
            return
        memory = path.memory
        self._harmful |= {_pair(one, other) for one, other in memory.order_matters}
        stores = [(one.argument, _writes_to(one, memory.writes)) for one in end.stored]
        for (one, before), (other, after) in combinations(stores, 2):
            if one != other and before and after and max(before) > min(after):
                self._harmful.add(_pair(one, other))

    def assumptions(self) -> tuple[str, ...]:
        """What callers have to see to, in words."""
        return tuple(f"{one} and {other} do not overlap" for one, other in sorted(self._harmful))


def _writes_to(stored: Stored, writes: Sequence[Write]) -> list[int]:
    """Which of the writes reach bytes of an output."""
    return [
        number
        for number, write in enumerate(writes)
        if write.region == stored.argument
        and write.offset < stored.offset + stored.size
        and stored.offset < write.offset + write.size
    ]


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)
