"""Reading back COFF objects: what LLVM and GNU as make of them, and what is none."""

from __future__ import annotations

import contextlib
import random
import struct
from functools import cache

import pytest

import seamir
from seamir.emulate.image import USER_BASE, lay_out
from seamir.objects.coff import read_coff
from seamir.objects.contents import LineEntry, ObjectError, ObjectFile, Relocation
from seamir.objects.disassembly import listing
from seamir.objects.reading import read_object
from seamir.objects.sections import section_place
from seamir.targets import select_target

TEXT = """
import "tdx/conduits.seam";

leaf TDG.ONE = 500 via tdcall (a: u64) { rcx = a; }

leaf TDH.TWO = 501 via seamcall (a: u64) -> (r: u64 = rcx) { rcx = a; }
wrapper two = TDH.TWO { on carry call panic return 5; }
"""


@cache
def compiled(debug: bool = True) -> seamir.Compilation:
    program = seamir.load_text(TEXT, "text.seam", allow_calls=["panic"])
    return seamir.compile(program, target="uefi", debug=debug)


def data_of(debug: bool = True) -> bytes:
    return compiled(debug).outputs["obj"].data


@cache
def contents() -> ObjectFile:
    return read_object(data_of())


def test_functions_end_before_their_padding() -> None:
    one, two = contents().functions
    assert (one.name, one.section, one.offset) == ("tdg_one", ".text", 0)
    assert one.code == bytes.fromhex("b8f4010000 660f01cc c3")
    assert (two.name, two.offset % 16) == ("two", 0)
    assert two.offset > len(one.code)
    assert "nop" not in listing(two)
    assert two.code.endswith(b"\xeb\xe7")  # the edge jumps back to the return


def test_debug_data_changes_no_code() -> None:
    plain = read_object(data_of(debug=False)).functions
    assert [f.code for f in plain] == [f.code for f in contents().functions]
    assert [f.lines for f in plain] == [(), ()]


def test_calls_are_relative_to_the_end_of_their_field() -> None:
    assert contents().undefined_symbols == ("panic",)
    two = contents().functions[1]
    call = two.code.index(b"\xe8") + 1
    assert two.relocations == (Relocation(call, "IMAGE_REL_AMD64_REL32", "panic", -4),)
    assert "call panic  " in listing(two)


def test_lines_tell_which_section_they_are_of() -> None:
    one = contents().functions[0]
    assert one.lines[0] == LineEntry(0, "text.seam", 4)
    assert {entry.file for f in contents().functions for entry in f.lines} == {"text.seam"}


def test_what_is_loaded() -> None:
    loaded = {section.name for section in contents().sections if section.loaded}
    assert loaded == {".text", ".data", ".bss", ".pdata", ".xdata"}
    text = contents().section(".text")
    assert text is not None and text.alignment == 16


def test_functions_that_move_rsp_have_unwind_data() -> None:
    """Microsoft x64 asks for it: three words a function, here for the one that calls."""
    table = contents().section(".pdata")
    assert table is not None and len(table.data) == 12
    kinds = {relocation.kind for relocation in table.relocations}
    assert kinds == {"IMAGE_REL_AMD64_ADDR32NB"}


def test_the_image_is_linked() -> None:
    image = lay_out(contents(), select_target("uefi"))
    two = contents().functions[1]
    start = image.functions["two"]
    assert start == USER_BASE + two.offset
    place = start + two.relocations[0].offset
    distance = int.from_bytes(image.bytes_at(place, 4), "little", signed=True)
    assert image.stubs[place + 4 + distance] == "panic"
    table = contents().section(".pdata")
    assert table is not None
    first, last, _ = struct.unpack(
        "<III", next(image.data[i : i + 12] for i in table_places(image.data, two.offset))
    )
    assert (first, last) == (two.offset, two.offset + len(two.code))


def table_places(data: bytes, offset: int) -> list[int]:
    """Where a row of .pdata may begin: the function's place, relative to the image."""
    word = offset.to_bytes(4, "little")
    return [i for i in range(0, len(data) - 12, 4) if data[i : i + 4] == word]


# -- names that the string table has


def renamed(name: bytes, padding: int = 0) -> bytes:
    """The object with `.debug_line` renamed; `padding` bytes lie before the last string."""
    data = bytearray(data_of())
    strings = strings_of(data)
    index = [section.name for section in contents().sections].index(".debug_line")
    struct.pack_into("8s", data, SECTIONS + 40 * index, name)
    data += bytes(padding) + b".debug_line\0"
    struct.pack_into("<I", data, strings, len(data) - strings)
    return bytes(data)


def last_string(padding: int) -> int:
    """Where renamed() has its last string in the string table."""
    return len(renamed(b"", padding)) - strings_of(data_of()) - len(b".debug_line\0")


def strings_of(data: bytes | bytearray) -> int:
    """Where the string table begins, after the symbols."""
    _, _, _, symbols, symbol_count, _, _ = struct.unpack_from("<HHIIIHH", data)
    return int(symbols + 18 * symbol_count)


@pytest.mark.parametrize("padding", [0, 9_000_000, 10_000_000, 70_000_000])
def test_section_names_of_any_place(padding: int) -> None:
    """Places are decimal up to seven digits, and in base 64 beyond, as LLVM writes them."""
    place = last_string(padding)
    name = b"/%d" % place
    if place > 9_999_999:
        digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        name = "".join(["//", *(digits[place >> 6 * i & 63] for i in range(5, -1, -1))]).encode()
    data = renamed(name, padding)
    found = read_coff(data)
    assert [section.name for section in found.sections] == [s.name for s in contents().sections]
    assert [f.lines for f in found.functions] == [f.lines for f in contents().functions]
    assert section_place(data, ".debug_line") == section_place(data_of(), ".debug_line")


@pytest.mark.parametrize("name", [b"/", b"//", b"//AAAAA", b"//AAAA-A", b"/12345x", b"/-1"])
def test_section_names_that_tell_no_place(name: bytes) -> None:
    with pytest.raises(ObjectError, match="is not in the string table"):
        read_coff(renamed(name))


# -- what is none


def read_everything(data: bytes) -> None:
    found = read_object(data)
    for function in found.functions:
        with contextlib.suppress(ObjectError):  # the only error that there may be
            _ = function.lines
        listing(function)


def test_truncated_objects_are_errors() -> None:
    data = data_of()
    for end in range(2, len(data), 7):
        with pytest.raises(ObjectError):
            read_coff(data[:end])


def test_damaged_objects_are_read_or_errors() -> None:
    rng = random.Random(4)
    refused = 0
    for _ in range(3000):
        data = bytearray(data_of())
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data) if rng.random() < 0.5 else 700)] = rng.randrange(256)
        try:
            read_everything(bytes(data))
        except ObjectError:
            refused += 1
    assert 100 < refused < 2900


def changed(offset: int, value: int, layout: str = "<I") -> bytes:
    data = bytearray(data_of())
    struct.pack_into(layout, data, offset, value)
    return bytes(data)


SECTIONS = 20  # bytes of the header; rows of 40 follow


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x4c\x01" + bytes(80), "not a 64-bit little-endian ELF file"),
        (b"", "the ELF header extends past the end"),
        (b"\x64\x86", "the COFF header extends past the end"),
        (changed(8, 0x7FFF_FFFF), "the string table extends past the end"),
        (changed(2, 0xFFFF, "<H"), "the section table extends past the end"),
        (changed(SECTIONS + 16, 0x00FF_FFFF), r"\.text extends past the end"),
        (changed(SECTIONS + 24, 0x00FF_FFFF), r"the relocations of \.text extends past the end"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, problem: str) -> None:
    with pytest.raises(ObjectError, match=problem):
        read_object(data)
