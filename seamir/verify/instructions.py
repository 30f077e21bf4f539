"""What instructions do: a function for each mnemonic, and the forms that are modelled.

Meanings are those of the Intel SDM, volume 2. `execute` runs one instruction in a state and says
where control goes. An instruction that is not modelled raises UnknownInstructionError; none is
ever passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from iced_x86 import (
    Code,
    EncodingKind,
    Instruction,
    Mnemonic,
    OpCodeInfo,
    OpCodeOperandKind,
    OpKind,
)

from seamir.model.instructions import FAULT_VECTORS
from seamir.verify import flags, shifts, strings, vectors
from seamir.verify.operands import Operands, UnknownInstructionError
from seamir.verify.state import State
from seamir.verify.terms import (
    TRUE,
    Word,
    add,
    bit_and,
    bit_not,
    bit_or,
    bit_xor,
    concat,
    equal,
    extract,
    if_else,
    mask,
    multiply,
    negate,
    sign_extend,
    subtract,
    zero_extend,
)

_SLOT = 8  # bytes that PUSH, POP, CALL and RET move


@dataclass(frozen=True, slots=True)
class Jump:
    """Control goes to `target` if the condition holds, and else to the next instruction."""

    target: Word
    condition: Word = TRUE


@dataclass(frozen=True, slots=True)
class Stop:
    """Control goes nowhere: the instruction raises the exception of that vector."""

    vector: int


Flow: TypeAlias = Jump | Stop | None  # None: on to the next instruction
Handler: TypeAlias = Callable[[Operands], Flow]


def execute(instruction: Instruction, state: State) -> Flow:
    """Runs one instruction; raises UnknownInstructionError if it is not modelled."""
    handler = FORMS.get(instruction.code)
    if handler is None or instruction.has_lock_prefix:
        raise UnknownInstructionError(str(instruction))
    repeated = instruction.has_rep_prefix or instruction.has_repne_prefix
    if repeated and instruction.mnemonic not in _MAY_REPEAT:
        raise UnknownInstructionError(str(instruction))
    return handler(Operands(instruction, state))


# `rep ret` and `bnd jmp` of old compilers mean the same without the prefix.
_MAY_REPEAT = frozenset({Mnemonic.RET, Mnemonic.JMP, Mnemonic.CALL, *strings.HANDLERS})


# -- moves


def _move(at: Operands) -> None:
    at.write(0, at.read(1))


def _move_zero_extended(at: Operands) -> None:
    at.write(0, zero_extend(at.read(1), at.width(1), at.width(0)))


def _move_sign_extended(at: Operands) -> None:
    at.write(0, sign_extend(at.read(1), at.width(1), at.width(0)))


def _load_address(at: Operands) -> None:
    at.write(0, extract(at.address(), 0, at.width(0)))


def _exchange(at: Operands) -> None:
    first, second = at.read(0), at.read(1)
    at.write(0, second)  # before the other, which the address may be made of
    at.write(1, first)


def _swap_bytes(at: Operands) -> None:
    value, width = at.read(0), at.width(0)
    swapped: Word = extract(value, 0, 8)
    for low in range(8, width, 8):
        swapped = concat(swapped, low, extract(value, low, 8), 8)
    at.write(0, swapped)


def _move_if(at: Operands) -> None:
    holds = flags.condition(at.state, at.instruction.condition_code)
    at.write(0, if_else(holds, at.read(1), at.read(0), at.width(0)))


def _set_if(at: Operands) -> None:
    at.write(0, zero_extend(flags.condition(at.state, at.instruction.condition_code), 1, 8))


def _extend_accumulator(from_width: int) -> Handler:
    def extend(at: Operands) -> None:
        registers = at.state.registers
        value = sign_extend(extract(registers["rax"], 0, from_width), from_width, 2 * from_width)
        if from_width == 32:
            registers["rax"] = value
        elif from_width == 16:
            registers["rax"] = zero_extend(value, 32, 64)
        else:
            registers["rax"] = concat(extract(registers["rax"], 16, 48), 48, value, 16)

    return extend


def _sign_into_rdx(width: int) -> Handler:
    def fill(at: Operands) -> None:
        registers = at.state.registers
        sign = extract(registers["rax"], width - 1, 1)
        filled = if_else(sign, mask(width), 0, width)
        registers["rdx"] = zero_extend(filled, width, 64)

    return fill


# -- the stack


def push(state: State, value: Word) -> None:
    """Pushes 64 bits."""
    address = subtract(state.registers["rsp"], _SLOT)
    state.registers["rsp"] = address
    state.memory.write(state, address, _SLOT, value)


def pop(state: State) -> Word:
    """Pops 64 bits."""
    address = state.registers["rsp"]
    value = state.memory.read(state, address, _SLOT)
    state.registers["rsp"] = add(address, _SLOT)
    return value


def _push(at: Operands) -> None:
    push(at.state, at.read(0))


def _push_immediate(at: Operands) -> None:
    value: int = at.instruction.immediate(0)
    push(at.state, value & mask(64))


def _pop(at: Operands) -> None:
    at.write(0, pop(at.state))


def _leave(at: Operands) -> None:
    at.state.registers["rsp"] = at.state.registers["rbp"]
    at.state.registers["rbp"] = pop(at.state)


# -- arithmetic


def _add(at: Operands) -> None:
    a, b, width = at.read(0), at.read(1), at.width(0)
    result = add(a, b, width)
    flags.set_add(at.state, a, b, result, width)
    at.write(0, result)


def _add_with_carry(at: Operands) -> None:
    a, b, width, carry = at.read(0), at.read(1), at.width(0), at.state.flags["cf"]
    result = add(add(a, b, width), zero_extend(carry, 1, width), width)
    flags.set_add(at.state, a, b, result, width, carry)
    at.write(0, result)


def _subtract(at: Operands) -> None:
    at.write(0, _difference(at))


def _compare(at: Operands) -> None:
    _difference(at)


def _difference(at: Operands) -> Word:
    a, b, width = at.read(0), at.read(1), at.width(0)
    result = subtract(a, b, width)
    flags.set_subtract(at.state, a, b, result, width)
    return result


def _subtract_with_borrow(at: Operands) -> None:
    a, b, width, borrow = at.read(0), at.read(1), at.width(0), at.state.flags["cf"]
    extended = zero_extend(borrow, 1, width)
    if _is_same_register(at):  # how compilers spread the carry flag
        result = if_else(borrow, mask(width), 0, width)
    else:
        result = subtract(subtract(a, b, width), extended, width)
    flags.set_subtract(at.state, a, b, result, width, borrow)
    at.write(0, result)


def _is_same_register(at: Operands) -> bool:
    if at.is_memory(0) or at.is_memory(1):
        return False
    one = at.instruction
    return bool(one.op_register(0) == one.op_register(1)) and one.op_register(0) != 0


def _increment(at: Operands) -> None:
    a, width = at.read(0), at.width(0)
    result = add(a, 1, width)
    flags.set_sum(at.state, a, 1, result, width)
    at.write(0, result)


def _decrement(at: Operands) -> None:
    a, width = at.read(0), at.width(0)
    result = subtract(a, 1, width)
    flags.set_difference(at.state, a, 1, result, width)
    at.write(0, result)


def _negate(at: Operands) -> None:
    a, width = at.read(0), at.width(0)
    result = negate(a, width)
    flags.set_subtract(at.state, 0, a, result, width)
    at.state.flags["zf"] = equal(a, 0, width)
    at.state.flags["cf"] = bit_not(equal(a, 0, width), 1)
    at.write(0, result)


def _multiply(at: Operands) -> None:
    """The forms with two and three operands, whose result is as wide as they are."""
    width = at.width(0)
    a, b = (at.read(0), at.read(1)) if at.count == 2 else (at.read(1), at.read(2))
    result = multiply(a, b, width)
    wide = multiply(sign_extend(a, width, 2 * width), sign_extend(b, width, 2 * width), 2 * width)
    fits = equal(sign_extend(result, width, 2 * width), wide, 2 * width)
    state = at.state
    state.flags["cf"] = state.flags["of"] = bit_not(fits, 1)
    for name in ("sf", "zf", "af", "pf"):
        state.flags[name] = state.anything(1)
    at.write(0, result)


def _logic(operation: Callable[[Word, Word, int], Word], *, writes: bool = True) -> Handler:
    def run(at: Operands) -> None:
        width = at.width(0)
        result = operation(at.read(0), at.read(1), width)
        flags.set_logic(at.state, result, width)
        if writes:
            at.write(0, result)

    return run


def _invert(at: Operands) -> None:
    at.write(0, bit_not(at.read(0), at.width(0)))


def _set_flag(name: str, value: int | None) -> Handler:
    def run(at: Operands) -> None:
        before = at.state.flags[name]
        at.state.flags[name] = bit_not(before, 1) if value is None else value

    return run


# -- control


def _jump(at: Operands) -> Flow:
    if at.instruction.op_kind(0) in (OpKind.REGISTER, OpKind.MEMORY):
        return Jump(at.read(0))
    return Jump(int(at.instruction.near_branch_target))


def _jump_if(at: Operands) -> Flow:
    target = int(at.instruction.near_branch_target)
    return Jump(target, flags.condition(at.state, at.instruction.condition_code))


def _call(at: Operands) -> Flow:
    flow = _jump(at)
    push(at.state, int(at.instruction.next_ip))
    return flow


def _return(at: Operands) -> Flow:
    target = pop(at.state)
    if at.count:
        raise UnknownInstructionError(str(at.instruction))
    return Jump(target)


def _nothing(_at: Operands) -> None:
    pass


def _undefined_opcode(_at: Operands) -> Flow:
    return Stop(FAULT_VECTORS["#UD"])


def _breakpoint(_at: Operands) -> Flow:
    return Stop(FAULT_VECTORS["#BP"])


def _all(words: str) -> list[int]:
    return [getattr(Mnemonic, word.upper()) for word in words.split()]


_CONDITIONS = "o no b ae e ne be a s ns p np l ge le g".split()

_HANDLERS: dict[int, Handler] = {
    Mnemonic.MOV: _move,
    Mnemonic.MOVZX: _move_zero_extended,
    Mnemonic.MOVSX: _move_sign_extended,
    Mnemonic.MOVSXD: _move_sign_extended,
    Mnemonic.LEA: _load_address,
    Mnemonic.XCHG: _exchange,
    Mnemonic.BSWAP: _swap_bytes,
    **dict.fromkeys(_all(" ".join(f"cmov{one}" for one in _CONDITIONS)), _move_if),
    **dict.fromkeys(_all(" ".join(f"set{one}" for one in _CONDITIONS)), _set_if),
    Mnemonic.CBW: _extend_accumulator(8),
    Mnemonic.CWDE: _extend_accumulator(16),
    Mnemonic.CDQE: _extend_accumulator(32),
    Mnemonic.CDQ: _sign_into_rdx(32),
    Mnemonic.CQO: _sign_into_rdx(64),
    Mnemonic.PUSH: _push,
    Mnemonic.POP: _pop,
    Mnemonic.LEAVE: _leave,
    Mnemonic.ADD: _add,
    Mnemonic.ADC: _add_with_carry,
    Mnemonic.SUB: _subtract,
    Mnemonic.SBB: _subtract_with_borrow,
    Mnemonic.CMP: _compare,
    Mnemonic.INC: _increment,
    Mnemonic.DEC: _decrement,
    Mnemonic.NEG: _negate,
    Mnemonic.IMUL: _multiply,
    Mnemonic.AND: _logic(bit_and),
    Mnemonic.OR: _logic(bit_or),
    Mnemonic.XOR: _logic(bit_xor),
    Mnemonic.TEST: _logic(bit_and, writes=False),
    Mnemonic.NOT: _invert,
    Mnemonic.CLC: _set_flag("cf", 0),
    Mnemonic.STC: _set_flag("cf", 1),
    Mnemonic.CMC: _set_flag("cf", None),
    Mnemonic.CLD: _set_flag("df", 0),
    Mnemonic.STD: _set_flag("df", 1),
    **shifts.HANDLERS,
    **strings.HANDLERS,
    **vectors.HANDLERS,
    Mnemonic.JMP: _jump,
    **dict.fromkeys(_all(" ".join(f"j{one}" for one in _CONDITIONS)), _jump_if),
    Mnemonic.CALL: _call,
    Mnemonic.RET: _return,
    Mnemonic.NOP: _nothing,
    Mnemonic.ENDBR64: _nothing,
    Mnemonic.PAUSE: _nothing,
    Mnemonic.UD2: _undefined_opcode,
    Mnemonic.INT3: _breakpoint,
}
_IMMEDIATE_PUSHES = frozenset({Code.PUSHQ_IMM8, Code.PUSHQ_IMM32})

_KINDS = OpCodeOperandKind
_KNOWN_OPERANDS = frozenset(
    getattr(_KINDS, name)
    for name in (
        "MEM R8_OR_MEM R16_OR_MEM R32_OR_MEM R64_OR_MEM XMM_OR_MEM R8_REG R8_OPCODE R16_REG "
        "R16_OPCODE R16_RM R32_REG R32_OPCODE R32_RM R64_REG R64_OPCODE R64_RM XMM_REG XMM_RM AL "
        "AX CL EAX RAX IMM8 IMM8_CONST_1 IMM8SEX16 IMM8SEX32 IMM8SEX64 IMM16 IMM32 IMM32SEX64 "
        "IMM64 BR64_1 BR64_4 ES_RDI"
    ).split()
)
# Of instructions that move the stack or control, only the forms of 64-bit mode.
_ONLY = {
    Mnemonic.PUSH: {Code.PUSH_R64, Code.PUSH_RM64, *_IMMEDIATE_PUSHES},
    Mnemonic.POP: {Code.POP_R64, Code.POP_RM64},
    Mnemonic.LEAVE: {Code.LEAVEQ},
    Mnemonic.RET: {Code.RETNQ},
    Mnemonic.CALL: {Code.CALL_REL32_64, Code.CALL_RM64},
    Mnemonic.JMP: {Code.JMP_REL8_64, Code.JMP_REL32_64, Code.JMP_RM64},
}
# Forms that compilers do not emit: with meanings of their own, or not in the manual.
_NEVER = frozenset(
    {
        *(Code.TEST_RM8_IMM8_F6R1, Code.TEST_RM16_IMM16_F7R1),
        *(Code.TEST_RM32_IMM32_F7R1, Code.TEST_RM64_IMM32_F7R1),
        *(Code.IMUL_RM8, Code.IMUL_RM16, Code.IMUL_RM32, Code.IMUL_RM64, Code.BSWAP_R16),
        *(Code.SHLD_RM16_R16_IMM8, Code.SHLD_RM16_R16_CL, Code.SHLD_RM32_R32_CL),
        *(Code.SHRD_RM16_R16_IMM8, Code.SHRD_RM16_R16_CL, Code.SHRD_RM32_R32_CL),
        *(Code.SHLD_RM64_R64_CL, Code.SHRD_RM64_R64_CL),
    }
)


def _forms() -> dict[int, Handler]:
    """The handler of each modelled form, by iced's number of it."""
    found: dict[int, Handler] = {}
    codes: dict[str, Any] = vars(Code)  # a module at run time, an enumeration to mypy
    for name, code in codes.items():
        if not name.isupper():
            continue
        form = OpCodeInfo(code)
        handler = _HANDLERS.get(form.mnemonic)
        if handler is None or not form.mode64 or form.encoding != EncodingKind.LEGACY:
            continue
        if code not in _ONLY.get(form.mnemonic, {code}) or code in _NEVER:
            continue
        kinds = [form.op_kind(index) for index in range(form.op_count)]
        if all(kind in _KNOWN_OPERANDS for kind in kinds):
            found[code] = _push_immediate if code in _IMMEDIATE_PUSHES else handler
    return found


FORMS = _forms()
