"""What an emitted function costs: bytes of code, instructions, bytes of stack."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from iced_x86 import (
    Code,
    FlowControl,
    Instruction,
    InstructionInfoFactory,
    Mnemonic,
    OpAccess,
    OpKind,
    Register,
    RegisterExt,
)

from seamir.objects.contents import FixupEntry, Function, ObjectError
from seamir.objects.disassembly import branch_target, decode

_CALLS = frozenset({FlowControl.CALL, FlowControl.INDIRECT_CALL})
_ENDS = frozenset(
    {
        FlowControl.UNCONDITIONAL_BRANCH,
        FlowControl.INDIRECT_BRANCH,
        FlowControl.RETURN,
        FlowControl.EXCEPTION,
    }
)
_READS = frozenset({OpAccess.NONE, OpAccess.READ, OpAccess.COND_READ, OpAccess.NO_MEM_ACCESS})
_PADDING = frozenset({Mnemonic.INT3, Mnemonic.NOP})
_SLOT_BYTES = 8
_STATES_PER_INSTRUCTION = 64  # more different depths at an instruction mean a loop that pushes


@dataclass(frozen=True)
class Cost:
    """The cost of one function: code in bytes, instructions, and stack in bytes."""

    bytes: int
    instructions: int
    stack_bytes: int


@dataclass(frozen=True)
class _Stack:
    """Bytes between the return address and where rsp and, if known, rbp point."""

    depth: int = 0
    frame: int | None = None


def measure(function: Function, fixups: Iterable[FixupEntry] = ()) -> Cost:
    """Count the function's bytes and instructions and walk its control flow for stack bytes.

    The int3 that straight-line-speculation hardening puts after returns and jumps counts in
    bytes and instructions, since it is emitted. `stack_bytes` is the greatest distance of rsp
    below the return address (pushes, `sub rsp`): what a callee uses, the 8 bytes of a call's
    return address and a red zone do not count. A realignment of rsp counts as its worst case.
    A fixup's target is entered with the depth at the instruction that may fault. Code that
    only a jump table reaches is entered with the depth at the indirect jump.

    Raises ObjectError if reached code does not decode, branches to where no instruction starts,
    or changes rsp by an amount that is not in the code.
    """
    own = [entry for entry in fixups if entry.function == function.name]
    walk = _Walk(function, own)
    return Cost(len(function.code), len(walk.instructions), walk.deepest())


class _Walk:
    def __init__(self, function: Function, fixups: list[FixupEntry]) -> None:
        self.instructions = {instruction.ip: instruction for instruction in decode(function.code)}
        self._function = function
        self._fixups: dict[int, list[int]] = {}
        self._information = InstructionInfoFactory()
        for entry in fixups:
            self._at(entry.from_offset)
            self._at(entry.to_offset)
            self._fixups.setdefault(entry.from_offset, []).append(entry.to_offset)

    def deepest(self) -> int:
        """The greatest depth in bytes over every path."""
        seen: set[tuple[int, _Stack]] = set()
        indirect: set[_Stack] = set()
        deepest = 0
        pending = [(0, _Stack())] if self.instructions else []
        while pending:
            place = pending.pop()
            if place not in seen:
                seen.add(place)
                if len(seen) > _STATES_PER_INSTRUCTION * len(self.instructions):
                    raise self._error(place[0], "a loop changes the stack's depth")
                offset, before = place
                instruction = self._at(offset)
                after = self._step(instruction, before)
                deepest = max(deepest, after.depth)
                pending += [(target, after) for target in self._successors(instruction)]
                pending += [(target, before) for target in self._fixups.get(offset, [])]
                if instruction.flow_control == FlowControl.INDIRECT_BRANCH:
                    indirect.add(after)
            if not pending and indirect:
                pending = self._leftover({offset for offset, _ in seen}, indirect)
        return deepest

    def _leftover(self, reached: set[int], states: set[_Stack]) -> list[tuple[int, _Stack]]:
        """The first instruction no path reaches, in every state an indirect jump is in."""
        for offset, instruction in self.instructions.items():
            if offset not in reached and instruction.mnemonic not in _PADDING:
                return [(offset, state) for state in states]
        return []

    def _successors(self, instruction: Instruction) -> Iterator[int]:
        """Offsets inside the function that run next; a tail call and the end have none."""
        size = len(self._function.code)
        flow = instruction.flow_control
        if flow not in _ENDS and instruction.next_ip < size:  # a call at the end never returns
            yield instruction.next_ip
        target = branch_target(instruction, self._function.relocations)
        if flow not in _CALLS and target is not None and 0 <= target < size:
            yield target

    def _step(self, instruction: Instruction, stack: _Stack) -> _Stack:
        """The stack after the instruction."""
        if instruction.flow_control in _CALLS or instruction.flow_control in _ENDS:
            return stack
        if instruction.mnemonic == Mnemonic.LEAVE:
            return _Stack(self._frame(instruction, stack) - _SLOT_BYTES)
        written = self._written(instruction)
        pushed = -instruction.stack_pointer_increment
        if pushed and not (instruction.mnemonic == Mnemonic.ENTER or _pops_stack(instruction)):
            frame = None if Register.RBP in written else stack.frame
            return _Stack(stack.depth + pushed, frame)
        if Register.RSP in written:
            return replace(stack, depth=self._moved(instruction, stack))
        if Register.RBP in written:
            return replace(stack, frame=self._framed(instruction, stack))
        return stack

    def _moved(self, instruction: Instruction, stack: _Stack) -> int:
        """The depth after an instruction that writes rsp other than by a push or a pop."""
        mnemonic = instruction.mnemonic
        if instruction.op0_kind == OpKind.REGISTER and instruction.op0_register == Register.RSP:
            if mnemonic == Mnemonic.LEA and not instruction.memory_index:
                if instruction.memory_base == Register.RSP:
                    return stack.depth - _displacement(instruction)
                if instruction.memory_base == Register.RBP:
                    return self._frame(instruction, stack) - _displacement(instruction)
            if mnemonic == Mnemonic.MOV and _source(instruction) == Register.RBP:
                return self._frame(instruction, stack)
            if instruction.op1_kind in (OpKind.IMMEDIATE8TO64, OpKind.IMMEDIATE32TO64):
                amount = _signed(instruction.immediate(1))
                if mnemonic in (Mnemonic.SUB, Mnemonic.ADD):
                    return stack.depth + (amount if mnemonic == Mnemonic.SUB else -amount)
                if mnemonic == Mnemonic.AND and amount < 0 and -amount & (-amount - 1) == 0:
                    return stack.depth + max(-amount - _SLOT_BYTES, 0)
        raise self._error(instruction.ip, "rsp changes by an amount that is not known")

    def _framed(self, instruction: Instruction, stack: _Stack) -> int | None:
        """Where rbp points after an instruction that writes it, None if not into the frame."""
        if instruction.code in (Code.MOV_R64_RM64, Code.MOV_RM64_R64):
            return stack.depth if _source(instruction) == Register.RSP else None
        if instruction.code == Code.LEA_R64_M and instruction.memory_base == Register.RSP:
            return None if instruction.memory_index else stack.depth - _displacement(instruction)
        return None

    def _frame(self, instruction: Instruction, stack: _Stack) -> int:
        if stack.frame is None:
            raise self._error(instruction.ip, "rsp is set from rbp, which is no frame pointer")
        return stack.frame

    def _written(self, instruction: Instruction) -> set[int]:
        used = self._information.info(instruction).used_registers()
        return {RegisterExt.full_register(one.register) for one in used if one.access not in _READS}

    def _at(self, offset: int) -> Instruction:
        if offset not in self.instructions:
            raise self._error(offset, "no instruction starts where control flow leads")
        instruction = self.instructions[offset]
        if instruction.is_invalid:
            raise self._error(offset, "the bytes are no instruction")
        return instruction

    def _error(self, offset: int, problem: str) -> ObjectError:
        return ObjectError(f"{self._function.name}+{offset:#x}: {problem}")


def _pops_stack(instruction: Instruction) -> bool:
    if instruction.mnemonic != Mnemonic.POP or instruction.op0_kind != OpKind.REGISTER:
        return False
    return RegisterExt.full_register(instruction.op0_register) == Register.RSP


def _source(instruction: Instruction) -> int:
    in_register = instruction.op1_kind == OpKind.REGISTER
    return instruction.op1_register if in_register else Register.NONE


def _displacement(instruction: Instruction) -> int:
    return _signed(instruction.memory_displacement)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
