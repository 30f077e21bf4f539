"""What happens where outputs overlap: harmless if code stores in the order that the plan says.

If every read of the caller's memory comes before the first store, and stores go to one argument
after the other in the plan's order, then the memory ends up as the interpreter leaves it wherever
the pointers lead.
"""

from __future__ import annotations

from itertools import combinations

from seamir.ir.leaf import ArgumentKind, Plan
from seamir.verify.specification import End
from seamir.verify.walk import Path


class Overlaps:
    """Gathers, over all paths, which pairs of arguments may not overlap."""

    def __init__(self, plan: Plan) -> None:
        self._pointers = [a.name for a in plan.arguments if a.kind is not ArgumentKind.VALUE]
        self._harmful: set[tuple[str, str]] = set()

    def add(self, path: Path, end: End) -> None:
        """Takes a path that ends as the plan says."""
        memory = path.memory
        self._harmful |= {_pair(one, other) for one, other in memory.order_matters}
        places: dict[str, list[int]] = {}
        for index, write in enumerate(memory.writes):
            places.setdefault(write.region, []).append(index)
        order = list(dict.fromkeys(stored.argument for stored in end.stored))
        for one, other in combinations([name for name in order if name in places], 2):
            if max(places[one]) > min(places[other]):
                self._harmful.add(_pair(one, other))

    def assumptions(self) -> tuple[str, ...]:
        """What callers have to see to, in words."""
        return tuple(f"{one} and {other} do not overlap" for one, other in sorted(self._harmful))


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)
