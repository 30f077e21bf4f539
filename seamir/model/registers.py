"""The general-purpose registers of x86-64, one row each.

Numbers are those of the instruction encoding, which the TDX exposure masks also use (bit i of the
mask stands for register i).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

WIDTH = 64  # bits in every register
ALL_BITS = (1 << WIDTH) - 1


@dataclass(frozen=True, slots=True)
class Register:
    """A register and its number."""

    name: str
    number: int


REGISTERS: dict[str, Register] = {
    register.name: register
    for register in (
        Register("rax", 0),
        Register("rcx", 1),
        Register("rdx", 2),
        Register("rbx", 3),
        Register("rsp", 4),
        Register("rbp", 5),
        Register("rsi", 6),
        Register("rdi", 7),
        Register("r8", 8),
        Register("r9", 9),
        Register("r10", 10),
        Register("r11", 11),
        Register("r12", 12),
        Register("r13", 13),
        Register("r14", 14),
        Register("r15", 15),
    )
}

# The order in which the ABI documents, and so our tables, list operands.
ABI_ORDER = {
    name: index
    for index, name in enumerate(
        "rax rcx rdx r8 r9 r10 r11 r12 r13 r14 r15 rbx rsi rdi rbp".split()
    )
}

NEVER_AN_OPERAND = "rsp"
ONLY_IF_ALLOWED = "rbp"

# The carry flag where it is an output; as a place it has one bit.
CARRY_FLAG = "carry"

# What an exposure mask never has (Intel TDX Module ABI Specification, TDG.VP.VMCALL: bits 0, 1 and
# 4 of the mask are 0, and bit 5 under NO_RBP_MOD).
NEVER_EXPOSED = frozenset({"rax", "rcx", "rsp", "rbp"})


def slice_mask(low: int, high: int) -> int:
    """The mask of bits `low` to `high`, both included."""
    return ((1 << (high - low + 1)) - 1) << low


def exposure_mask(registers: Iterable[str]) -> int:
    """The mask as the other side takes it: bit i stands for the register of number i."""
    return sum(1 << REGISTERS[name].number for name in registers)
