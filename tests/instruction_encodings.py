"""Random instructions of one form: registers, addresses and immediates at random, then encoded.

A form is iced's number of it (`Code`). What lies in memory is meant to be put into the page at
PAGE; `place_operand` gives the registers of an address the values that lead there.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from iced_x86 import (
    Code,
    Decoder,
    Encoder,
    Instruction,
    MemorySizeExt,
    Mnemonic,
    OpCodeInfo,
    OpCodeOperandKind,
    OpKind,
    Register,
    RepPrefixKind,
)

from seamir.model.registers import ALL_BITS

CODE, CODE_SIZE = 0x1000_0000, 1 << 20  # where instructions are, and where they jump
PAGE, PAGE_SIZE = 0x1800_0000, 4096  # below 2 GiB, so that an address without registers reaches it

SLOT = 32  # bytes from one instruction to the next
_PLACES = SLOT // 2  # instructions begin in the second halves, and jumps go to the first

STACK_USERS = frozenset({Mnemonic.PUSH, Mnemonic.POP, Mnemonic.CALL, Mnemonic.RET, Mnemonic.LEAVE})
STRINGS = {
    Mnemonic.STOSB: Instruction.create_stosb,
    Mnemonic.STOSW: Instruction.create_stosw,
    Mnemonic.STOSD: Instruction.create_stosd,
    Mnemonic.STOSQ: Instruction.create_stosq,
}
NO_ACCESS = frozenset({Mnemonic.LEA, Mnemonic.NOP})  # an address that is not used as one
UNALIGNED = frozenset({Mnemonic.MOVUPS, Mnemonic.MOVUPD, Mnemonic.MOVDQU})

_BOUNDARIES = (
    *(0, 1, -1, 2, 0x7F, 0x80, -0x80, 0xFF, 0x7FFF, -0x8000, 0xFFFF),
    *(0x7FFF_FFFF, -0x8000_0000, 0xFFFF_FFFF, (1 << 63) - 1, -(1 << 63)),
)


def _names(module: Any) -> dict[int, str]:
    """The names of iced's numbers, which are in a module at run time."""
    return {number: name for name, number in vars(module).items() if type(number) is int}


CODE_NAMES = _names(Code)
_KIND_NAMES = _names(OpCodeOperandKind)
_KINDS_OF_IMMEDIATES = {
    "IMM8": OpKind.IMMEDIATE8,
    "IMM8_CONST_1": OpKind.IMMEDIATE8,
    "IMM8SEX16": OpKind.IMMEDIATE8TO16,
    "IMM8SEX32": OpKind.IMMEDIATE8TO32,
    "IMM8SEX64": OpKind.IMMEDIATE8TO64,
    "IMM16": OpKind.IMMEDIATE16,
    "IMM32": OpKind.IMMEDIATE32,
    "IMM32SEX64": OpKind.IMMEDIATE32TO64,
    "IMM64": OpKind.IMMEDIATE64,
}


def _registers(names: str) -> list[Any]:
    return [getattr(Register, name.upper()) for name in names.split()]


_NUMBERED = [f"r{number}" for number in range(8, 16)]
WIDE = _registers("rax rcx rdx rbx rsp rbp rsi rdi " + " ".join(_NUMBERED))
_CLASSES = {
    "R8": _registers("al cl dl bl spl bpl sil dil ah ch dh bh " + "l ".join(_NUMBERED) + "l"),
    "R16": _registers("ax cx dx bx sp bp si di " + "w ".join(_NUMBERED) + "w"),
    "R32": _registers("eax ecx edx ebx esp ebp esi edi " + "d ".join(_NUMBERED) + "d"),
    "R64": WIDE,
    "XMM": _registers(" ".join(f"xmm{number}" for number in range(16))),
    **{name: _registers(name) for name in ("AL", "AX", "CL", "EAX", "RAX")},
}
_DATA_SEGMENTS = _registers("ds es ss cs")

# Where RIP is in the address, unicorn is off by the immediate's byte (its issue 2335).
RIP_IS_WRONG = frozenset(
    getattr(Code, f"{name}_RM{width}_R{width}_IMM8")
    for name in ("SHLD", "SHRD")
    for width in (16, 32, 64)
)
# In memory, the bit that a register counts may be far from the address; the model has no such form.
REGISTERS_ONLY = frozenset(
    getattr(Code, f"{name}_RM{width}_R{width}")
    for name in ("BT", "BTS", "BTR", "BTC")
    for width in (16, 32, 64)
)


def random_instruction(code: Any, place: int, random: Random) -> tuple[Instruction, bytes]:
    """An instruction of that form at an address, as iced decodes it, and its bytes."""
    while True:
        encoder = Encoder(64)
        try:
            encoder.encode(_built(code, place, random), place)
        except ValueError:
            continue  # such as AH beside R8
        data = encoder.take_buffer()
        decoded = Decoder(64, data, ip=place).decode()
        if decoded.code != code:  # the same bytes are another form, as xchg ax, ax is
            continue
        if decoded.mnemonic == Mnemonic.CALL and decoded.op0_register == Register.RSP:
            continue  # the stack would be where code is
        return decoded, data


def _built(code: Any, place: int, random: Random) -> Instruction:
    form, made = OpCodeInfo(code), Instruction()
    if form.mnemonic in STRINGS:
        return STRINGS[form.mnemonic](64, random.choice((RepPrefixKind.NONE, RepPrefixKind.REPE)))
    made.code = code
    for index in range(form.op_count):
        name = _KIND_NAMES[form.op_kind(index)]
        may_be_memory = name.endswith("_OR_MEM") and code not in REGISTERS_ONLY
        if name == "MEM" or (may_be_memory and random.random() < 0.5):
            made.set_op_kind(index, OpKind.MEMORY)
            _set_address(made, place, random)
        elif name in _KINDS_OF_IMMEDIATES:
            made.set_op_kind(index, _KINDS_OF_IMMEDIATES[name])
            made.set_immediate_i64(index, 1 if name == "IMM8_CONST_1" else _immediate(random))
        elif name.startswith("BR64"):
            made.set_op_kind(index, OpKind.NEAR_BRANCH64)
            made.near_branch64 = _target(place, random, is_near=name == "BR64_1")
        else:
            made.set_op_register(index, random.choice(_CLASSES[name.partition("_")[0]]))
    return made


def _immediate(random: Random) -> int:
    """A number of 64 bits with a sign, often a boundary or a count of a shift."""
    choice = random.randrange(3)
    if choice == 0:
        return random.choice(_BOUNDARIES)
    return random.randrange(70) if choice == 1 else random.getrandbits(64) - (1 << 63)


def _target(place: int, random: Random, *, is_near: bool) -> int:
    """Where a jump may go to: what the processor once saw there is never rewritten."""
    if is_near:
        return place + random.randrange(-100, 100) & ~_PLACES
    return random_target(random)


def random_target(random: Random) -> int:
    """An address in the code, in the half of a slot where no instruction begins."""
    return CODE + random.randrange(CODE_SIZE - SLOT) & ~_PLACES


def place_in(slot: int, random: Random) -> int:
    """Where an instruction begins, in the slot at an address."""
    return slot + _PLACES + random.randrange(_PLACES)


# -- addresses


def _set_address(made: Instruction, place: int, random: Random) -> None:
    """An operand in memory; in the form of address that the processor can encode."""
    offset = random.randrange(64, PAGE_SIZE - 64) & -16  # where the address alone says it
    made.segment_prefix = Register.NONE if random.random() < 0.95 else random.choice(_DATA_SEGMENTS)
    made.memory_displ_size = 8
    form = random.randrange(8)
    if form == 1 and made.code in RIP_IS_WRONG:
        form = 0
    if form == 0:
        made.memory_displacement = PAGE + offset
        return
    if form == 1:
        made.memory_base = Register.RIP
        made.memory_displacement = PAGE + offset
        return
    displacement = random.choice((0, 8 * random.randrange(-16, 16), random.getrandbits(31)))
    if form > 2:
        made.memory_base = random.choice(WIDE)
    moves_stack = made.mnemonic in STACK_USERS and made.memory_base == Register.RSP
    if moves_stack:  # else the stack would leave the page
        displacement = 8 * random.randrange(-16, 16)
    elif form < 6:
        made.memory_index = random.choice([one for one in WIDE if one != Register.RSP])
        made.memory_index_scale = random.choice((1, 2, 4, 8))
        if made.memory_base in (Register.NONE, made.memory_index):
            displacement &= -16  # else no value of the register leads to what is aligned
    if displacement == 0 and made.memory_base != Register.NONE:
        made.memory_displ_size = 0
    made.memory_displacement = displacement & ALL_BITS


def alignment(instruction: Instruction) -> int:
    """The bytes that the address of an operand in memory is to be a multiple of."""
    size = MemorySizeExt.size(instruction.memory_size)
    return 16 if size == 16 and instruction.mnemonic not in UNALIGNED else 1


def has_memory(instruction: Instruction) -> bool:
    """Whether it has an operand in memory."""
    kinds = (instruction.op_kind(index) for index in range(instruction.op_count))
    return any(kind == OpKind.MEMORY for kind in kinds)


def place_operand(instruction: Instruction, random: Random) -> Mapping[int, int] | None:
    """Values of registers, by iced's number, with which the operand lies in the page.

    None if the address is the same whatever they hold.
    """
    base, index = instruction.memory_base, instruction.memory_index
    if base == Register.RIP or base == index == Register.NONE:
        return None
    size = max(1, MemorySizeExt.size(instruction.memory_size))
    step = alignment(instruction)
    middle = instruction.mnemonic in STACK_USERS  # leaves the stack some room
    low, high = (512, PAGE_SIZE - 512) if middle else (0, PAGE_SIZE - size)
    wanted = PAGE + random.randrange(low, high + 1) // step * step
    scale = instruction.memory_index_scale
    if base not in (Register.NONE, index):
        values = {}
        if index != Register.NONE:
            values[index] = random.getrandbits(64)
        rest = wanted - instruction.memory_displacement - scale * values.get(index, 0)
        return {**values, base: rest & ALL_BITS}
    return {index: _solved(wanted, instruction.memory_displacement, scale + (base == index))}


def _solved(wanted: int, displacement: int, factor: int) -> int:
    """A number whose product with the factor, plus the displacement, is close to the address."""
    zeros = (factor & -factor).bit_length() - 1
    rest = ((wanted - displacement) & ALL_BITS) >> zeros
    return rest * pow(factor >> zeros, -1, 1 << 64) & (ALL_BITS >> zeros)
