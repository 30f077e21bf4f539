"""The operands of one decoded instruction: reads and writes registers, memory and immediates.

Writing 32 bits of a register clears the upper half; writing 8 or 16 bits leaves the others (Intel
SDM volume 1, section 3.4.1.1).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from iced_x86 import Instruction, MemorySizeExt, Mnemonic, OpKind, Register

from seamir.model.registers import REGISTERS
from seamir.verify.state import VECTOR_WIDTH, State
from seamir.verify.terms import (
    Word,
    add,
    concat,
    extract,
    mask,
    multiply,
    shift_left,
    zero_extend,
)


class UnknownInstructionError(Exception):
    """An instruction, or a form of one, that is not modelled."""


# By number in iced: the 64-bit register, the lowest bit, and the width in bits.
_PARTS: dict[int, tuple[str, int, int]] = {}
_VECTORS = {getattr(Register, f"XMM{number}"): number for number in range(16)}


def _fill_parts() -> None:
    old = "rax rcx rdx rbx rsp rbp rsi rdi".split()
    for name in REGISTERS:
        short = name[1:]
        names = {64: name, 32: f"e{short}", 16: short, 8: f"{short[0]}l"}
        if name not in old:
            names = {64: name, 32: f"{name}d", 16: f"{name}w", 8: f"{name}l"}
        elif name in old[4:]:
            names[8] = f"{short}l"
        for width, spelled in names.items():
            _PARTS[getattr(Register, spelled.upper())] = (name, 0, width)
    for name in old[:4]:
        _PARTS[getattr(Register, f"{name[1]}h".upper())] = (name, 8, 8)


_fill_parts()
_IMMEDIATES = frozenset(
    {
        *(OpKind.IMMEDIATE8, OpKind.IMMEDIATE16, OpKind.IMMEDIATE32, OpKind.IMMEDIATE64),
        *(OpKind.IMMEDIATE8TO16, OpKind.IMMEDIATE8TO32, OpKind.IMMEDIATE8TO64),
        OpKind.IMMEDIATE32TO64,
    }
)
# Other instructions fault where an operand of 16 bytes in memory is not aligned.
_UNALIGNED = frozenset({Mnemonic.MOVUPS, Mnemonic.MOVUPD, Mnemonic.MOVDQU})
_NO_SEGMENT = frozenset({Register.NONE, Register.DS, Register.SS, Register.ES, Register.CS})


@cache
def memory_bytes(size: Any) -> int:
    """The bytes of iced's memory size of that number."""
    return MemorySizeExt.size(size)


class Operands:
    """The operands of an instruction in a state."""

    def __init__(self, instruction: Instruction, state: State) -> None:
        self.instruction = instruction
        self.state = state

    @property
    def count(self) -> int:
        """How many operands are written in the instruction."""
        return self.instruction.op_count

    def is_memory(self, index: int) -> bool:
        """Whether an operand lies in memory."""
        return bool(self.instruction.op_kind(index) == OpKind.MEMORY)

    def width(self, index: int) -> int:
        """Bits of an operand; of an immediate, those of the first operand."""
        kind = self.instruction.op_kind(index)
        if kind == OpKind.REGISTER:
            register = self.instruction.op_register(index)
            return VECTOR_WIDTH if register in _VECTORS else _part(register)[2]
        if kind == OpKind.MEMORY:
            return 8 * memory_bytes(self.instruction.memory_size)
        return self.width(0)

    def read(self, index: int) -> Word:
        """The value of an operand."""
        kind = self.instruction.op_kind(index)
        if kind == OpKind.REGISTER:
            return self.read_register(self.instruction.op_register(index))
        if kind == OpKind.MEMORY:
            size = self.width(index) // 8
            return self.state.memory.read(self.state, self.memory_address(index), size)
        if kind in _IMMEDIATES:
            value: int = self.instruction.immediate(index)
            return value & mask(self.width(index))
        raise UnknownInstructionError(str(self.instruction))

    def write(self, index: int, value: Word) -> None:
        """Changes an operand."""
        kind = self.instruction.op_kind(index)
        if kind == OpKind.REGISTER:
            self.write_register(self.instruction.op_register(index), value)
        elif kind == OpKind.MEMORY:
            size = self.width(index) // 8
            self.state.memory.write(self.state, self.memory_address(index), size, value)
        else:
            raise UnknownInstructionError(str(self.instruction))

    def read_register(self, register: int) -> Word:
        """The value of a register or a part of one, by iced's number."""
        if register in _VECTORS:
            return self.state.vectors[_VECTORS[register]]
        name, low, width = _part(register)
        return extract(self.state.registers[name], low, width)

    def write_register(self, register: int, value: Word) -> None:
        """Changes a register or a part of one."""
        if register in _VECTORS:
            self.state.vectors[_VECTORS[register]] = value
            return
        name, low, width = _part(register)
        if width == 64:
            self.state.registers[name] = value
        elif width == 32:
            self.state.registers[name] = zero_extend(value, 32, 64)
        else:
            before = self.state.registers[name]
            if low:
                value = concat(value, width, extract(before, 0, low), low)
            end = low + width
            self.state.registers[name] = concat(
                extract(before, end, 64 - end), 64 - end, value, end
            )

    def memory_address(self, index: int) -> Word:
        """The address of an operand in memory, aligned if the instruction wants it so."""
        address = self.address()
        if self.width(index) == VECTOR_WIDTH and self.instruction.mnemonic not in _UNALIGNED:
            self.state.memory.require_aligned(address, VECTOR_WIDTH // 8)
        return address

    def address(self) -> Word:
        """The address of the operand in memory."""
        instruction = self.instruction
        if instruction.segment_prefix not in _NO_SEGMENT:
            raise UnknownInstructionError(str(instruction))
        base, index = instruction.memory_base, instruction.memory_index
        if base == Register.RIP:
            return int(instruction.ip_rel_memory_address)
        address: Word = int(instruction.memory_displacement) & mask(64)
        for register, scale in ((base, 1), (index, instruction.memory_index_scale)):
            if register == Register.NONE:
                continue
            name, _, width = _part(register)
            if width != 64:
                raise UnknownInstructionError(str(instruction))
            value = self.state.registers[name]
            address = add(address, value if scale == 1 else _scaled(value, scale))
        return address


def _scaled(value: Word, scale: int) -> Word:
    return (
        multiply(value, scale)
        if isinstance(value, int)
        else shift_left(value, scale.bit_length() - 1)
    )


def _part(register: int) -> tuple[str, int, int]:
    found = _PARTS.get(register)
    if found is None:
        raise UnknownInstructionError("a register that is not modelled")
    return found
