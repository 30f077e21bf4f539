"""Objects that lie, for `seamir.prove`: each is an error or no proof, and never a traceback."""

from __future__ import annotations

import os
import random
import struct
from functools import cache
from pathlib import Path

import pytest
from command_line import LEAVES
from tools import need, run

import seamir
from seamir.objects.reading import read_object

PROGRAM = seamir.load_text(LEAVES)
SMALL = seamir.load_text(LEAVES, leaves=["TEST.READ"])
NEW = int(os.environ["SEAMIR_SEED"])
SEAMCALL = ".byte 0x66, 0x0f, 0x01, 0xcf\n"
TIME = 2.0  # seconds for a wrapper


@cache
def made(target: str, leaf: str = "*") -> bytes:
    """The object that seamir makes, without debug data, so that more of it is code."""
    program = seamir.load_text(LEAVES, leaves=[leaf])
    return seamir.compile(program, target=target, debug=False).outputs["obj"].data


def verdicts(
    data: bytes, target: str = "linux-kernel", program: seamir.Program = PROGRAM
) -> list[str]:
    """What becomes of an object: the verdicts, or the codes of errors."""
    try:
        result = seamir.prove(program, object=data, target=target, jobs=1, timeout=TIME)
    except seamir.SeamError as error:
        return [diagnostic.code for diagnostic in error.diagnostics]
    assert result.is_proved == (not result.diagnostics)
    assert all(diagnostic.render() for diagnostic in result.diagnostics)
    return [proof.verdict.value for proof in result.proofs]


def places_of_code(data: bytes) -> list[int]:
    """Where the bytes of functions are in the file."""
    functions = read_object(data).functions
    return [data.index(f.code) + offset for f in functions for offset in range(len(f.code))]


@pytest.mark.parametrize("seed", [1, 2, NEW])
@pytest.mark.parametrize("target", ["linux-kernel", "uefi"])
def test_mutated_objects(target: str, seed: int) -> None:
    random_numbers = random.Random(seed)
    data, seen = made(target), set()
    code = places_of_code(data)
    for _ in range(40):
        mutant = bytearray(data)
        for _ in range(random_numbers.choice((1, 1, 2, 4, 16))):
            places = code if random_numbers.random() < 0.5 else range(len(data))
            mutant[random_numbers.choice(places)] = random_numbers.choice(
                (0, 0x7F, 0x80, 0xFF, random_numbers.randrange(256))
            )
        if random_numbers.random() < 0.1:
            del mutant[random_numbers.randrange(len(mutant)) :]
        seen |= set(verdicts(bytes(mutant), target))
    assert "E0811" in seen and "proved" in seen and seen & {"refuted", "undecided"}


@pytest.mark.parametrize("size", [0, 1, 4, 63, 64, 5000])
@pytest.mark.parametrize("start", [b"", b"\x7fELF\x02\x01\x01", b"\x64\x86", b"!<arch>\n", b"MZ"])
def test_random_bytes(start: bytes, size: int) -> None:
    data = start + random.Random(size).randbytes(size)
    assert verdicts(data) == ["E0811"]
    assert verdicts(data, "uefi") == ["E0811"]


def test_a_section_that_is_its_own_name_table_and_relocates_itself() -> None:
    """Fields of each section header point at any section, itself included."""
    data = made("linux-kernel", "TEST.READ")
    place = struct.unpack_from("<Q", data, 40)[0]
    count = struct.unpack_from("<H", data, 60)[0]
    for index in range(count):
        for field in (40, 44):  # link and info
            for value in (index, 0, count - 1, count, 0xFFFF_FFFF):
                mutant = bytearray(data)
                struct.pack_into("<I", mutant, place + 64 * index + field, value)
                verdicts(bytes(mutant), program=SMALL)


@pytest.mark.parametrize("field", [8, 24, 32, 48, 56])  # flags, offset, size, alignment, row size
@pytest.mark.parametrize("value", [0, 1, 1 << 31, 1 << 62, (1 << 64) - 1])
def test_huge_numbers_in_section_headers(field: int, value: int) -> None:
    data = made("linux-kernel", "TEST.READ")
    place = struct.unpack_from("<Q", data, 40)[0]
    for index in range(struct.unpack_from("<H", data, 60)[0]):
        mutant = bytearray(data)
        struct.pack_into("<Q", mutant, place + 64 * index + field, value)
        verdicts(bytes(mutant), program=SMALL)


def assembled(body: str, folder: Path) -> bytes:
    """An object with one of the wrappers, in assembly."""
    need("as")
    start = ".globl test_read\n.type test_read, @function\ntest_read:\n"
    (folder / "x.s").write_text(f"{start}{body}\n.size test_read, . - test_read\n")
    run("as", "x.s", "-o", "x.o", cwd=folder)
    return (folder / "x.o").read_bytes()


UNDECIDED, REFUTED, EITHER = {"undecided"}, {"refuted"}, {"undecided", "refuted"}
CODE = {
    "one megabyte of nops": (".fill 1000000, 1, 0x90\nret", REFUTED),
    "an endless loop": ("1: jmp 1b", REFUTED),
    "a loop of calls": (f"1: {SEAMCALL}jmp 1b", REFUTED),
    "a loop of 2^64 rounds": ("mov $-1, %rax\n1: dec %rax\njnz 1b\nret", REFUTED),
    "a stack without end": ("1: push %rax\njmp 1b", REFUTED),
    "no stack": ("mov %rdi, %rsp\nret", REFUTED),
    "no instruction": (".byte 6, 6, 6", REFUTED),
    "a jump into the dark": ("jmp *%rax", REFUTED),
    # Of these it depends on the time how far the prover gets.
    "values deeper than Python's stack": (
        "lea 1(%rdi, %rsi), %rdi\nand %rdi, %rsi\n" * 600 + f"mov %rdi, %rcx\n{SEAMCALL}ret",
        EITHER,
    ),
    "2^40 paths": (
        "\n".join(f"test ${1 << i % 31}, %edi\njz 1f\nxor ${i}, %rsi\n1:" for i in range(40))
        + f"\nmov %rsi, %rcx\n{SEAMCALL}ret",
        EITHER,
    ),
}


@pytest.mark.parametrize("name", CODE)
def test_code_without_end_or_sense(name: str, tmp_path: Path) -> None:
    body, expected = CODE[name]
    assert set(verdicts(assembled(body, tmp_path), program=SMALL)) <= expected


def test_a_line_table_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """What the object says of lines is told where it can be told; it proves nothing."""
    data = seamir.compile(PROGRAM).outputs["obj"].data
    lines = seamir.load_text(LEAVES.replace("TEST.TRACK = 38", "TEST.TRACK = 39"))
    section = read_object(data).section(".debug_line")
    assert section is not None
    place = data.index(section.data)
    mutant = data[:place] + b"\xff" * len(section.data) + data[place + len(section.data) :]
    for given, line in ((data, ("text.seam", 30)), (mutant, None)):
        (failure,) = seamir.prove(lines, object=given).proofs[2].failures
        assert failure.line == line
