"""What a processor holds: words that may be unknown in registers and flags, and some memory.

The memory is an interface: frame and caller's regions in a proof, plain bytes where instructions
are compared with a processor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from seamir.model.registers import REGISTERS
from seamir.verify.terms import Word, symbol

VECTORS = 16  # XMM0 to XMM15
VECTOR_WIDTH = 128  # bits of each
LATER = "~"  # in the names of symbols for what came after an attempt

STATUS_FLAGS = ("cf", "pf", "af", "zf", "sf", "of")
FLAGS = (*STATUS_FLAGS, "df")


class Memory(Protocol):
    """Where an instruction reads and writes; addresses are 64-bit words, sizes bytes."""

    def read(self, state: State, address: Word, size: int) -> Word:
        """The bytes from an address on, the first one lowest; `state` is the processor's."""

    def write(self, state: State, address: Word, size: int, value: Word) -> None:
        """Puts a value there."""

    def require_aligned(self, address: Word, size: int) -> None:
        """Raises an error unless the address is known to be a multiple of `size` bytes."""

    def copy(self) -> Memory:
        """The same content, for another path."""


@dataclass
class State:
    """A processor; `registers` has 64 bits each, `flags` 1, `vectors` 128 bits by number.

    What the manual leaves undefined is an unknown of its own each time; `undefined` counts them,
    and their names begin with `epoch`.
    """

    registers: dict[str, Word]
    flags: dict[str, Word]
    vectors: dict[int, Word]
    memory: Memory
    undefined: int = 0
    epoch: str = ""

    @staticmethod
    def unknown(name: str, memory: Memory) -> State:
        """A processor that may hold anything; symbols are called such as "NAME.rax"."""
        return State(
            {register: symbol(f"{name}.{register}") for register in REGISTERS},
            {flag: symbol(f"{name}.{flag}", 1) for flag in STATUS_FLAGS} | {"df": 0},
            {n: symbol(f"{name}.xmm{n}", VECTOR_WIDTH) for n in range(VECTORS)},
            memory,
        )

    def copy(self) -> State:
        """The same, for another path."""
        return replace(
            self,
            registers=dict(self.registers),
            flags=dict(self.flags),
            vectors=dict(self.vectors),
            memory=self.memory.copy(),
        )

    def anything(self, width: int) -> Word:
        """What the processor's manual leaves undefined."""
        self.undefined += 1
        return symbol(f"{self.epoch}undefined.{self.undefined}", width)
