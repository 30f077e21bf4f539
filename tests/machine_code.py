"""What machine code does with registers and memory, read off its instructions.

The paths of a function are followed without running it: at each instruction every branch may be
taken, and the instruction that calls the other side may go on at its fixup.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from iced_x86 import (
    FlowControl,
    Instruction,
    InstructionInfoFactory,
    MemorySizeExt,
    Mnemonic,
    OpAccess,
    OpKind,
    Register,
    RegisterExt,
    UsedMemory,
)

from seamir.conventions import Convention
from seamir.ir.leaf import Plan, Returns
from seamir.model.registers import REGISTERS
from seamir.objects.contents import FixupEntry, Function
from seamir.objects.disassembly import branch_target, decode

_READS = {OpAccess.READ, OpAccess.COND_READ, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE}
_WRITES = {OpAccess.WRITE, OpAccess.COND_WRITE, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE}
_ENDS = {FlowControl.RETURN, FlowControl.EXCEPTION, FlowControl.INTERRUPT}
_ICED = {getattr(Register, name.upper()): name for name in REGISTERS}
_INFO = InstructionInfoFactory()


@dataclass(frozen=True)
class Store:
    """A store: `base` is the register of the address, `offset` and `size` are in bytes."""

    base: str
    offset: int
    size: int
    text: str


@dataclass(frozen=True)
class Code:
    """The code of a wrapper with its plan, which says what the instruction does."""

    plan: Plan
    function: Function
    fixups: tuple[FixupEntry, ...]
    convention: Convention

    def instructions(self) -> dict[int, Instruction]:
        """The instructions by offset."""
        return {instruction.ip: instruction for instruction in decode(self.function.code)}

    def call(self) -> int:
        """The offset of the instruction that calls the other side."""
        code = self.plan.instruction.code
        (found,) = [ip for ip in self.instructions() if self.function.code[ip:].startswith(code)]
        return found

    def successors(self, instruction: Instruction) -> tuple[int, ...]:
        """Where it may go on, within the function."""
        flow = instruction.flow_control
        target = branch_target(instruction, self.function.relocations)
        found = [] if target is None else [target]
        if instruction.ip == self.call():
            found += [one.to_offset for one in self.fixups if one.from_offset == instruction.ip]
        if flow not in _ENDS and flow not in (
            FlowControl.UNCONDITIONAL_BRANCH,
            FlowControl.INDIRECT_BRANCH,
        ):
            found.append(instruction.next_ip)
        return tuple(found)

    def returns(self, instruction: Instruction) -> bool:
        """Whether it leaves the function: a return, or the jump to the return thunk."""
        is_jump = instruction.flow_control == FlowControl.UNCONDITIONAL_BRANCH
        leaves = is_jump and branch_target(instruction, self.function.relocations) is None
        return leaves or instruction.flow_control == FlowControl.RETURN

    def read(self, instruction: Instruction) -> set[str]:
        """General-purpose registers whose value it uses."""
        if instruction.ip == self.call():
            return {load.register for load in self.plan.loads}
        return set(_accessed(instruction, _READS))

    def written(self, instruction: Instruction) -> set[str]:
        """General-purpose registers that have another value afterwards."""
        if instruction.ip == self.call():
            return set(self.plan.destroyed)
        return set(_accessed(instruction, _WRITES))


def _accessed(instruction: Instruction, kinds: Container[int]) -> Iterator[str]:
    for used in _INFO.info(instruction).used_registers():
        name = _ICED.get(RegisterExt.full_register(used.register))
        if name is not None and used.access in kinds:
            yield name


def stores(code: Code) -> list[Store]:
    """All stores of a function but pushes."""
    found = []
    for instruction in code.instructions().values():
        if instruction.mnemonic == Mnemonic.PUSH or instruction.ip == code.call():
            continue
        for memory in _INFO.info(instruction).used_memory():
            if memory.access in _WRITES:
                found.append(_store(instruction, memory))
    return found


def _store(instruction: Instruction, memory: UsedMemory) -> Store:
    assert memory.index == Register.NONE, f"{instruction} has an index"
    offset = memory.displacement - (1 << 64 if memory.displacement >> 63 else 0)
    return Store(
        _ICED[memory.base], offset, MemorySizeExt.size(memory.memory_size), str(instruction)
    )


def read_before_written(code: Code, register: str) -> list[str]:
    """Instructions that use what a register held when the other side came back."""
    instructions = code.instructions()
    waiting = list(code.successors(instructions[code.call()]))
    seen: set[int] = set()
    found = []
    while waiting:
        offset = waiting.pop()
        if offset in seen:
            continue
        seen.add(offset)
        instruction = instructions[offset]
        if register in code.read(instruction):
            found.append(str(instruction))
        elif register not in code.written(instruction):
            waiting += code.successors(instruction)
    return found


def left_at_return(code: Code) -> set[str]:
    """Registers that callers do not expect back and that may hold neither 0 nor the caller's value.

    Those that the function returns are left aside.
    """
    instructions = code.instructions()
    dirty: dict[int, frozenset[str]] = {0: frozenset()}
    waiting = [0]
    found: set[str] = set()
    while waiting:
        offset = waiting.pop()
        instruction = instructions[offset]
        if code.returns(instruction):
            found |= dirty[offset]
        written = code.written(instruction)
        after = dirty[offset] - written if _is_zero(instruction) else dirty[offset] | written
        for target in code.successors(instruction):
            known = dirty.get(target)
            merged = after if known is None else known | after
            if merged != known:
                dirty[target] = merged
                waiting.append(target)
    kept = code.convention.preserved
    pair = {"rdx"} if code.plan.returns is Returns.STATUS_AND_VALUE else set()
    return found - kept - {"rax"} - pair


def _is_zero(instruction: Instruction) -> bool:
    """Whether it makes its register 0."""
    is_register = instruction.op_count == 2 and instruction.op0_kind == OpKind.REGISTER
    if not is_register:
        return False
    if instruction.mnemonic == Mnemonic.XOR and instruction.op1_kind == OpKind.REGISTER:
        return bool(instruction.op0_register == instruction.op1_register)
    is_number = instruction.op1_kind not in (OpKind.REGISTER, OpKind.MEMORY)
    return bool(
        instruction.mnemonic == Mnemonic.MOV and is_number and instruction.immediate(1) == 0
    )
