"""What a run is given besides a plan: memory, and the other side of the call.

The other side is any function from the number of the attempt (the first is 0) and the registers
at the instruction to an Outcome. It must answer the same question the same way each time, as the
interpreter and the machine both ask it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from seamir.ir.leaf import Plan
from seamir.model.registers import ALL_BITS


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes written to memory at an address."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Completed:
    """The call reached the other side and came back, with new values in these registers.

    A register of Plan.destroyed that is not named holds anything afterwards: name all that
    matter, with the value it was loaded with for one that the other side leaves alone. `memory`
    is what the other side wrote; it may do so only where the plan says that memory is destroyed.
    `carry` is the carry flag, where that is an output. A call is refused if the registers say so.
    """

    registers: Mapping[str, int]
    memory: tuple[Write, ...] = ()
    carry: bool = False


@dataclass(frozen=True, slots=True)
class Carry:
    """The instruction failed with CF set, and the other side was not reached."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The instruction raised the exception of that vector."""

    vector: int


Outcome: TypeAlias = Completed | Carry | Fault
OtherSide: TypeAlias = Callable[[int, Mapping[str, int]], Outcome]


@dataclass(frozen=True, slots=True)
class Script:
    """An other side with one outcome an attempt; the last one serves all attempts after it."""

    outcomes: Sequence[Outcome]

    def __call__(self, attempt: int, registers: Mapping[str, int]) -> Outcome:
        return self.outcomes[min(attempt, len(self.outcomes) - 1)]


class MemoryAccessError(Exception):
    """A wrapper reached for bytes that are in no region."""


@dataclass
class Memory:
    """Memory that exists in regions only: address of the first byte -> content.

    `writes` are those of the wrapper, in order.
    """

    regions: Mapping[int, bytes]
    writes: list[Write] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._bytes = {start: bytearray(content) for start, content in self.regions.items()}

    def read(self, address: int, size: int) -> bytes:
        """The `size` bytes at an address; MemoryAccessError if a region has not all of them."""
        region, offset = self._find(address, size)
        return bytes(region[offset : offset + size])

    def write(self, address: int, data: bytes) -> None:
        """A write of the wrapper; MemoryAccessError unless it is within one region."""
        self.change(address, data)
        self.writes.append(Write(address, data))

    def change(self, address: int, data: bytes) -> None:
        """A write of somebody else, which is not recorded."""
        region, offset = self._find(address, len(data))
        region[offset : offset + len(data)] = data

    def _find(self, address: int, size: int) -> tuple[bytearray, int]:
        for start, region in self._bytes.items():
            if start <= address and address + size <= start + len(region):
                return region, address - start
        raise MemoryAccessError(f"no memory for {size} bytes at {address:#x}")


def check_outcome(plan: Plan, outcome: Outcome) -> None:
    """Raises ValueError if a conduit cannot behave so, which is a mistake in the script."""
    match outcome:
        case Completed(registers, memory, carry):
            if carry and not plan.returns_carry:
                raise ValueError(f"{plan.symbol}: the carry flag is no output")
            extra = sorted(set(registers) - plan.destroyed)
            if extra:
                raise ValueError(f"{plan.symbol}: the other side preserves {', '.join(extra)}")
            if memory and not plan.destroys_memory:
                raise ValueError(f"{plan.symbol}: the other side writes no memory")
            if any(not 0 <= value <= ALL_BITS for value in registers.values()):
                raise ValueError(f"{plan.symbol}: a register has 64 bits")
        case Carry():
            if plan.edges.carry is None:
                raise ValueError(f"{plan.symbol}: there is no carry edge")
        case Fault(vector):
            if not 0 <= vector <= 255:
                raise ValueError(f"{plan.symbol}: {vector} is no exception vector")
