"""What has to hold where a wrapper ends: every obligation at a return or a trap.

Each is told to `require` as a condition, what it is about in words, and the two values that the
condition compares, if it compares any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from seamir.ir.leaf import Plan, Returns
from seamir.source import Span
from seamir.targets import Target
from seamir.verify.evaluation import symbols_of
from seamir.verify.memory import SLOT, RegionMemory
from seamir.verify.specification import End, Specification, Stored
from seamir.verify.state import LATER, VECTORS
from seamir.verify.terms import FALSE, TRUE, Word, add, bit_not, equal, extract
from seamir.verify.walk import Path


class Require(Protocol):
    """Takes an obligation on a path."""

    def __call__(
        self,
        path: Path,
        condition: Word,
        text: str,
        *,
        found: Word | None = None,
        wanted: Word | None = None,
        span: Span | None = None,
    ) -> None:
        """Proves the condition on the path, or remembers that it failed."""


class Ends:
    """Holds the ends of one wrapper's paths against its specification."""

    def __init__(
        self,
        specification: Specification,
        target: Target,
        entry: Mapping[str, Word],
        vectors: Mapping[int, Word],
        require: Require,
    ) -> None:
        self._specification = specification
        self._plan: Plan = specification.plan
        self._target = target
        self._entry = entry
        self._vectors = vectors
        self._require = require

    def of(self, path: Path) -> Iterable[End]:
        """How the call may end where this path ends, by the plan."""
        origin, specification = path.origin, self._specification
        if origin is None:
            return specification.ends_before()
        if origin.kind == "completed":
            return specification.ends_completed(origin.before, origin.after)
        if origin.kind == "carry":
            return specification.ends_carry()
        assert origin.vector is not None
        return specification.ends_fault(origin.vector)

    def check_return(self, path: Path, end: End) -> None:
        """The function returned, and the call ended as `end` says."""
        if end.traps:
            self._require(path, FALSE, f"it returns, and has to trap: {end.text}", span=end.span)
            return
        self._check_calls(path, end)
        if end.status is not None:
            found = path.state.registers["rax"]
            self._equal(path, f"the status where {end.text}", found, end.status, 64, end.span)
        if end.value is not None:
            name = "rax" if self._plan.returns is Returns.VALUE else "rdx"
            found = extract(path.state.registers[name], 0, end.value_width)
            text = f"the output returned in {name} where {end.text}"
            self._equal(path, text, found, end.value, end.value_width, end.span)
        self._check_stores(path, end)
        self._check_preserved(path)
        if self._plan.scrub:
            self._check_scrub(path)

    def check_trap(self, path: Path, end: End) -> None:
        """The path ended in a trap, and the call as `end` says."""
        if not end.traps:
            self._require(path, FALSE, f"it traps, and has to return: {end.text}", span=end.span)
            return
        self._check_calls(path, end)
        if end.calls:  # after a trap memory matters to nobody, but the function called may look
            self._check_stores(path, end)

    # -- the parts

    def _equal(
        self, path: Path, text: str, found: Word, wanted: Word, width: int, span: Span
    ) -> None:
        condition = equal(found, wanted, width)
        self._require(path, condition, text, found=found, wanted=wanted, span=span)

    def _check_calls(self, path: Path, end: End) -> None:
        found, wanted = ", ".join(path.called) or "nothing", ", ".join(end.calls) or "nothing"
        text = f"it calls {found} and not {wanted} where {end.text}"
        self._require(path, int(path.called == end.calls), text, span=end.span)
        if path.called and end.stored:
            late = path.writes_at_call != len(path.memory.writes)
            text = f"it stores outputs after the call of {path.called[-1]}"
            self._require(path, int(not late), text, span=end.span)

    def _check_stores(self, path: Path, end: End) -> None:
        memory = path.memory
        places: set[tuple[str, int]] = set()
        for stored in end.stored:
            places |= {(stored.argument, stored.offset + i) for i in range(stored.size)}
            self._check_store(path, memory, stored, end)
        written = {(w.region, w.offset + i) for w in memory.writes for i in range(w.size)}
        for name, offset in sorted(written - places)[:1]:
            text = f"it writes to [{name} + {offset}], and nothing goes there where {end.text}"
            self._require(path, FALSE, text, span=end.span)

    def _check_store(self, path: Path, memory: RegionMemory, stored: Stored, end: End) -> None:
        pointer = self._specification.arguments[stored.argument]
        found = memory.word(stored.argument, stored.offset, stored.size)
        if found is None:
            # Right only where there is nowhere to store it.
            condition = equal(pointer, 0) if stored.optional else FALSE
            text = f"output {stored.name} is not stored where {end.text}"
            self._require(path, condition, text, wanted=stored.value, span=stored.span)
            return
        text = f"output {stored.name} where {end.text}"
        self._equal(path, text, found, stored.value, 8 * stored.size, stored.span)

    def _check_preserved(self, path: Path) -> None:
        registers, entry, span = path.state.registers, self._entry, self._plan.span
        for name in sorted(self._target.convention.preserved - {"rsp"}):
            text = f"{name}, which a function preserves, at return"
            self._equal(path, text, registers[name], entry[name], 64, span)
        wanted = add(entry["rsp"], SLOT)
        self._equal(path, "rsp at return", registers["rsp"], wanted, 64, span)
        clear = bit_not(path.state.flags["df"], 1)
        self._require(path, clear, "the direction flag is set at return", span=span)
        for number in self._preserved_vectors():
            text = f"xmm{number}, which a function preserves, at return"
            found = path.state.vectors[number]
            self._equal(path, text, found, self._vectors[number], 128, span)

    def _preserved_vectors(self) -> Sequence[int]:
        """The vector registers that hold at return what they held at entry.

        Where compilers may not use them they are not the caller's but somebody else's: all of them,
        unless the other side destroys them, which the caller then has provided for.
        """
        if "simd" in self._target.features:
            return self._target.convention.preserved_vectors
        return () if self._plan.destroys_simd else range(VECTORS)

    def _check_scrub(self, path: Path) -> None:
        """No register that a caller does not expect back holds what came from the other side."""
        returned = {"rax"}
        if self._plan.returns is Returns.STATUS_AND_VALUE:
            returned.add("rdx")
        for name, value in path.state.registers.items():
            if name in returned or name in self._target.convention.preserved:
                continue
            if any(_is_foreign(one.name) for one in symbols_of(value)):
                text = f"{name}, which is to be scrubbed, at return"
                self._equal(path, text, value, 0, 64, self._plan.span)
            else:
                self._require(path, TRUE, f"{name} is scrubbed", span=self._plan.span)


def _is_foreign(name: str) -> bool:
    """Whether a symbol came from the other side; what a called function leaves did not."""
    return LATER in name and "~called" not in name
