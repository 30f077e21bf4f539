"""Small changes of machine code in place, each a mistake that a compiler could make.

A change takes the number of an instruction and gives the bytes that may take the place of what
begins there, as many as were there before: what is left over is filled up with nop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

from iced_x86 import (
    ConditionCode,
    Decoder,
    Encoder,
    FlowControl,
    Instruction,
    Mnemonic,
    OpKind,
    Register,
    RegisterExt,
)

from seamir.objects.contents import Function

NOP = b"\x90"
_CALL, _JUMP, _TEST_EAX = b"\xe8", b"\xe9", b"\xa9"  # each with four bytes after it
_PREFIXES = frozenset({0x66, 0xF2, 0xF3, 0x2E, 0x3E, *range(0x40, 0x50)})
_REX = range(0x40, 0x50)
_REX_W = 1 << 3
_TWO_BYTES = 0x0F
_EXTENDING = frozenset({0xB6, 0xB7, 0xBE, 0xBF})  # after 0F: movzx and movsx
_SIGN_BIT = 1 << 3  # between those
_GROUP = frozenset({0x81, 0x83})  # add, or, and, sub, xor, cmp with a number; which is in ModRM
_OPERATIONS = (0, 1, 4, 5, 6)  # add, or, and, sub, xor, as opcodes and ModRM number them
_CONDITIONAL = frozenset({FlowControl.CONDITIONAL_BRANCH})
_NEAR = frozenset({OpKind.NEAR_BRANCH16, OpKind.NEAR_BRANCH32, OpKind.NEAR_BRANCH64})
_BOUNDS = frozenset({Mnemonic.CMP, Mnemonic.SUB, Mnemonic.ADD})
# iced's registers have no type that mypy knows: they are named in a module.
_GENERAL: dict[int, list[Any]] = {
    size: [getattr(Register, name) for name in names.split()]
    for size, names in {
        8: "RAX RCX RDX RBX RSP RBP RSI RDI R8 R9 R10 R11 R12 R13 R14 R15",
        4: "EAX ECX EDX EBX ESP EBP ESI EDI R8D R9D R10D R11D R12D R13D R14D R15D",
        2: "AX CX DX BX SP BP SI DI R8W R9W R10W R11W R12W R13W R14W R15W",
        1: "AL CL DL BL SPL BPL SIL DIL R8L R9L R10L R11L R12L R13L R14L R15L",
    }.items()
}


@dataclass(frozen=True)
class Body:
    """The code of one function; instructions are numbered, their `ip` is the offset in it."""

    function: Function

    @cached_property
    def instructions(self) -> list[Instruction]:
        """All of them, in order."""
        return list(Decoder(64, self.function.code))

    def code(self, number: int) -> bytes:
        """The bytes of an instruction."""
        one = self.instructions[number]
        return self.function.code[one.ip : one.next_ip]

    def is_relocated(self, number: int) -> bool:
        """Whether a linker writes into the instruction."""
        one = self.instructions[number]
        return any(one.ip <= r.offset < one.next_ip for r in self.function.relocations)

    def constant(self, number: int) -> tuple[int, int]:
        """Place within the instruction and bytes of its number, which has no bytes if none."""
        one = self.instructions[number]
        if any(one.op_kind(index) in _NEAR for index in range(one.op_count)):
            return 0, 0
        decoder = Decoder(64, self.code(number))
        offsets = decoder.get_constant_offsets(decoder.decode())
        return offsets.immediate_offset, offsets.immediate_size


Change = Callable[[Body, int, Random], Iterator[bytes]]


def encoded(instruction: Instruction, size: int) -> bytes | None:
    """The instruction in `size` bytes at its own address, with nops; None if it takes more."""
    encoder = Encoder(64)
    try:
        length = encoder.encode(instruction, instruction.ip)
    except ValueError:  # no such operands, or a target out of reach
        return None
    return encoder.take_buffer() + NOP * (size - length) if length <= size else None


def _opcode(code: bytes) -> int:
    """Where the opcode begins, after all prefixes."""
    return next((i for i, byte in enumerate(code) if byte not in _PREFIXES), 0)


def _with(code: bytes, place: int, byte: int) -> bytes:
    return code[:place] + bytes([byte]) + code[place + 1 :]


# -- registers


def exchange_operands(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """Two registers of an instruction change places; that of an address too."""
    if body.is_relocated(number):
        return
    one = body.instructions[number]
    places = list(_register_places(one))
    for index, first in enumerate(places):
        for second in places[index + 1 :]:
            changed = one.copy()
            left, right = getattr(one, first), getattr(one, second)
            setattr(changed, first, _sized(right, RegisterExt.size(left)))
            setattr(changed, second, _sized(left, RegisterExt.size(right)))
            yield from _if_other(body, number, changed)


def rename_register(body: Body, number: int, random: Random) -> Iterator[bytes]:
    """One operand of an instruction is another register of the same size."""
    if body.is_relocated(number):
        return
    one = body.instructions[number]
    for place in _register_places(one):
        for other in random.sample(_GENERAL[RegisterExt.size(getattr(one, place))], 4):
            changed = one.copy()
            setattr(changed, place, other)
            yield from _if_other(body, number, changed)


def _register_places(one: Instruction) -> Iterator[str]:
    """The attributes of an instruction that hold a general-purpose register."""
    kinds = [one.op_kind(index) for index in range(one.op_count)]
    places = [f"op{index}_register" for index, kind in enumerate(kinds) if kind == OpKind.REGISTER]
    if OpKind.MEMORY in kinds:
        places += ["memory_base", "memory_index"]
    return (place for place in places if RegisterExt.is_gpr(getattr(one, place)))


def _sized(register: Any, size: int) -> Any:
    """The register of that size (bytes) that is part of a register."""
    return _GENERAL[size][_GENERAL[8].index(RegisterExt.full_register(register))]


def _if_other(body: Body, number: int, changed: Instruction) -> Iterator[bytes]:
    """The changed instruction, if it fits and is another one."""
    code = encoded(changed, len(body.code(number)))
    if code is not None and code != body.code(number):
        yield code


# -- numbers


def change_constant(body: Body, number: int, random: Random) -> Iterator[bytes]:
    """A number is one more, one less, or has another bit."""
    place, size = body.constant(number)
    if size == 0 or body.is_relocated(number):
        return
    bits = 8 * size
    yield from _added(body, number, (1, -1))
    code = body.code(number)
    for bit in random.sample(range(bits), 4):
        yield _with(code, place + bit // 8, code[place + bit // 8] ^ 1 << bit % 8)


def _added(body: Body, number: int, amounts: tuple[int, ...]) -> Iterator[bytes]:
    """The instruction with its number changed by each of the amounts."""
    place, size = body.constant(number)
    code = body.code(number)
    value = int.from_bytes(code[place : place + size], "little")
    for amount in amounts:
        new = (value + amount) % (1 << 8 * size)
        yield code[:place] + new.to_bytes(size, "little") + code[place + size :]


def move_bound(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """A comparison or a step is off by one; a condition has or loses its "or equal"."""
    if body.is_relocated(number):
        return
    if body.instructions[number].mnemonic in _BOUNDS and body.constant(number)[1]:
        yield from _added(body, number, (1, -1))
    code = body.code(number)
    place = _condition(body, number)
    if place is None:
        return
    condition = code[place] & 0xF
    if condition in (0x2, 0x3, 0x6, 0x7):  # b, ae, be, a
        yield _with(code, place, code[place] ^ 4)
    if condition >= 0xC:  # l, ge, le, g
        yield _with(code, place, code[place] ^ 2)


def change_displacement(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """The address of an operand in memory is off by a word or half of one."""
    one = body.instructions[number]
    if not one.memory_displ_size or body.is_relocated(number):
        return
    for distance in (8, -8, 4, -4):
        changed = one.copy()
        changed.memory_displacement = (one.memory_displacement + distance) % (1 << 64)
        yield from _if_other(body, number, changed)


# -- whole instructions


def drop_instruction(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """An instruction does nothing, but for one with a relocation, which changes flags."""
    code = body.code(number)
    if not body.is_relocated(number):
        yield NOP * len(code)
    elif code[:1] in (_CALL, _JUMP):
        yield _TEST_EAX + code[1:]


def duplicate_instruction(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """One of two neighbours is there twice, in place of the other; padding may be the other."""
    for first, second in _pair(body, number):
        yield from _placed(body, number, (first, first))
        yield from _placed(body, number, (second, second))


def exchange_instructions(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """Two neighbours change places."""
    for first, second in _pair(body, number):
        yield from _placed(body, number, (second, first))


def _pair(body: Body, number: int) -> Iterator[tuple[Instruction, Instruction]]:
    """An instruction and the next one, unless there is none or one has a relocation."""
    if number + 1 == len(body.instructions):
        return
    if not body.is_relocated(number) and not body.is_relocated(number + 1):
        yield body.instructions[number], body.instructions[number + 1]


def _placed(body: Body, number: int, pair: tuple[Instruction, Instruction]) -> Iterator[bytes]:
    """Two instructions where the instruction of that number and the next one are."""
    room = len(body.code(number) + body.code(number + 1))
    place, code = body.instructions[number].ip, b""
    for one in pair:
        moved = one.copy()
        moved.ip = place + len(code)
        new = encoded(moved, one.len)
        if new is None:
            return
        code += new
    if len(code) <= room and code != body.code(number) + body.code(number + 1):
        yield code + NOP * (room - len(code))


# -- conditions, targets, operations, widths


def invert_condition(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """A branch, move or set is done where it was not, and the other way round."""
    place = _condition(body, number)
    if place is not None:
        code = body.code(number)
        yield _with(code, place, code[place] ^ 1)


def _condition(body: Body, number: int) -> int | None:
    """Where the byte with the condition is, None if there is none."""
    if body.instructions[number].condition_code == ConditionCode.NONE:
        return None
    code = body.code(number)
    place = _opcode(code)
    return place + 1 if code[place] == _TWO_BYTES else place


def move_target(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """A branch leads to the instruction before or after the one that it led to."""
    one = body.instructions[number]
    if one.op0_kind not in _NEAR or body.is_relocated(number):
        return
    for target in neighbours(body, one.near_branch_target):
        changed = one.copy()
        changed.near_branch64 = target
        yield from _if_other(body, number, changed)


def neighbours(body: Body, offset: int) -> Iterator[int]:
    """The offsets of the instructions before and after the one at an offset."""
    for one in body.instructions:
        if one.next_ip == offset:
            yield one.ip
        if one.ip == offset and one.next_ip < len(body.function.code):
            yield one.next_ip


def change_operation(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """An addition is a subtraction, an `or` an exclusive one, and so on."""
    if body.is_relocated(number):
        return
    code = body.code(number)
    place = _opcode(code)
    for operation in _OPERATIONS:
        if code[place] < 0x40 and code[place] & 7 < 6:
            yield from _other(code, place, code[place] & 7 | operation << 3)
        elif code[place] in _GROUP:
            yield from _other(code, place + 1, code[place + 1] & 0b11_000_111 | operation << 3)


def change_width(body: Body, number: int, _random: Random) -> Iterator[bytes]:
    """64 bits are taken for 32 or the other way round, a sign extended where 0 was meant."""
    if body.is_relocated(number):
        return
    code = body.code(number)
    place = _opcode(code)
    if code[place] == _TWO_BYTES and code[place + 1] in _EXTENDING:
        yield _with(code, place + 1, code[place + 1] ^ _SIGN_BIT)
    if place and code[place - 1] in _REX:
        changed = _with(code, place - 1, code[place - 1] ^ _REX_W)
        if Decoder(64, changed).decode().len == len(code):  # numbers of 8 bytes go with 64 bits
            yield changed


def _other(code: bytes, place: int, byte: int) -> Iterator[bytes]:
    if code[place] != byte:
        yield _with(code, place, byte)


CODE_CHANGES: dict[str, Change] = {
    "operands exchanged": exchange_operands,
    "register renamed": rename_register,
    "constant changed": change_constant,
    "bound off by one": move_bound,
    "displacement changed": change_displacement,
    "instruction dropped": drop_instruction,
    "instruction doubled": duplicate_instruction,
    "instructions exchanged": exchange_instructions,
    "condition inverted": invert_condition,
    "branch target moved": move_target,
    "operation changed": change_operation,
    "width changed": change_width,
}
