"""The prover's model of instructions: the same as a processor, on numbers and on symbols."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from iced_x86 import Decoder, Instruction
from instruction_encodings import CODE, CODE_NAMES, PAGE, alignment, random_instruction
from instruction_forms import (
    Bench,
    Contents,
    MisalignedError,
    PageMemory,
    compare_form,
    compare_instruction,
)
from symbolic_forms import symbolic_differences

from seamir.emulate.processor import GENERAL
from seamir.verify.instructions import FORMS, Jump, execute
from seamir.verify.operands import UnknownInstructionError
from seamir.verify.state import FLAGS, VECTORS, State
from seamir.verify.terms import TRUE

STATES = 120  # of each form; `python tests/fuzz_instructions.py` runs more
SYMBOLIC_STATES = 20
RARE = {  # what random encodings seldom are
    "xchg [rax], rax": "488700",
    "xchg [rcx + rdx], dl": "861411",
    "xchg al, ah": "86c4",
    "shld esi, edx, 0x80": "0fa4d680",
    "shrd esi, edx, 0x20": "0facd620",
    "shl esi, 0x20": "c1e620",
    "rol cl, 8": "c0c108",
    "ror cl, cl": "d2c9",
    "shl rcx, cl": "48d3e1",
    "cmove eax, eax": "0f44c0",
    "push rsp": "54",
    "pop rsp": "5c",
    "push [rsp + 8]": "ff742408",
    "pop [rsp + 8]": "8f442408",
    "sbb ah, ah": "18e4",
    "add bh, bl": "00df",
    "movzx eax, ah": "0fb6c4",
    "imul rax, rax, -1": "486bc0ff",
    "lea rsp, [rsp - 8]": "488d6424f8",
    "xchg rax, r8": "4990",
    "unpckhpd xmm1, xmm1": "660f15c9",
    "shufpd xmm3, xmm3, 1": "660fc6db01",
}
BY_NAME = {CODE_NAMES[code]: code for code in FORMS}
NAMES = sorted(BY_NAME)

bench = cache(Bench)


@pytest.mark.parametrize("name", NAMES)
def test_as_a_processor_on_numbers(name: str) -> None:
    result = compare_form(bench(), BY_NAME[name], STATES, seed=1)
    assert result.differences == []
    assert result.states == STATES


@pytest.mark.parametrize("name", RARE)
def test_rare_operands(name: str) -> None:
    random = Random(name)
    data = bytes.fromhex(RARE[name])
    instruction = Decoder(64, data, ip=bench().place(random)).decode()
    assert list(compare_instruction(bench(), instruction, data, STATES, random)) == []
    for _ in range(SYMBOLIC_STATES):
        content = Contents(instruction, random).content()
        assert list(symbolic_differences(instruction, content)) == []


@pytest.mark.parametrize("name", NAMES)
def test_on_symbols_as_on_numbers(name: str) -> None:
    random = Random(name)
    for _ in range(SYMBOLIC_STATES):
        instruction, data = random_instruction(BY_NAME[name], CODE, random)
        content = Contents(instruction, random).content()
        assert list(symbolic_differences(instruction, content)) == [], (str(instruction), data)


def zeros() -> State:
    """A processor full of zeros, but for the stack's pointer."""
    registers = dict.fromkeys(GENERAL, 0) | {"rsp": PAGE + 64}
    return State(
        dict(registers),
        dict.fromkeys(FLAGS, 0),
        dict.fromkeys(range(VECTORS), 0),
        PageMemory(bytes(4096)),
    )


def decode(text: str) -> Instruction:
    """The instruction of bytes in hexadecimal."""
    data = bytes.fromhex(text)
    found = Decoder(64, data, ip=CODE).decode()
    assert found.len == len(data)
    return found


def test_a_copy_is_another_processor() -> None:
    state = zeros()
    other = state.copy()
    for text in ("48ffc0", "55", "f9", "660f76c0"):  # inc rax; push rbp; stc; pcmpeqd xmm0, xmm0
        execute(decode(text), other)
    untouched = zeros()
    assert state.registers == untouched.registers
    assert state.flags == untouched.flags
    assert state.vectors == untouched.vectors
    other.memory.write(other, PAGE, 8, 1)
    assert state.memory.read(state, PAGE, 8) == 0


ALIGNED = [name for name in NAMES if "XMMM128" in name and not name.startswith(("MOVU", "MOVDQU"))]


@pytest.mark.parametrize("name", ALIGNED)
def test_sixteen_bytes_must_be_aligned(name: str) -> None:
    random = Random(name)
    while True:
        instruction, _ = random_instruction(BY_NAME[name], CODE, random)
        if alignment(instruction) == 16 and instruction.memory_base and instruction.memory_index:
            break
    before = Contents(instruction, random).content()
    execute(instruction, before.state())
    state = before.state()
    for register, value in state.registers.items():
        assert isinstance(value, int)
        state.registers[register] = value + 1  # which moves the address by less than 16 bytes
    with pytest.raises(MisalignedError):
        execute(instruction, state)


NOT_MODELLED = {
    "lock add [rax], rcx": "f0480108",
    "rep movsb": "f3a4",
    "repne stosq": "f248ab",
    "stosq with a 32-bit address": "6748ab",
    "cpuid": "0fa2",
    "rdtsc": "0f31",
    "mov rax, fs:[rcx]": "64488b01",
    "mov rax, [ecx]": "67488b01",
    "mov rax, [eip + 1]": "67488b0501000000",
    "lea eax, [ecx + edx]": "678d0411",
    "push ax": "6650",
    "pop ax": "6658",
    "ret 8": "c20800",
    "retf": "cb",
    "call far [rax]": "ff18",
    "jmp far [rax]": "ff28",
    "mov ss, ax": "8ed0",
    "mov rax, cr0": "0f20c0",
    "mul rcx": "48f7e1",
    "imul rcx": "48f7e9",
    "div rcx": "48f7f1",
    "bt [rax], rcx": "480fa308",
    "bts [rax], rcx": "480fab08",
    "shld rax, rcx, cl": "480fa5c8",
    "test al, 1, as /1": "f6c801",
    "shl eax, 1, as /6": "d1f0",
    "bswap ax": "660fc8",
    "rcl eax, 1": "d1d0",
    "vmovaps xmm0, xmm1": "c5f828c1",
    "movups xmm0, fs:[rax]": "640f1000",
    "xacquire xchg [rax], rcx": "f2488708",
    "endbr32": "f30f1efb",
    "int 0x80": "cd80",
    "hlt": "f4",
}


@pytest.mark.parametrize("name", NOT_MODELLED)
def test_what_is_not_modelled_is_refused(name: str) -> None:
    with pytest.raises(UnknownInstructionError):
        execute(decode(NOT_MODELLED[name]), zeros())


def test_a_prefix_that_changes_nothing() -> None:
    state = zeros()
    assert execute(decode("f3c3"), state) == Jump(0)  # rep ret
    assert state.registers["rsp"] == PAGE + 72
    assert execute(decode("66c3"), state) == Jump(0)  # branches have 64 bits in any case
    assert execute(decode("3effe0"), state) == Jump(0)  # notrack jmp rax
    assert execute(decode("f2e900000000"), state) == Jump(CODE + 6, TRUE)  # bnd jmp
