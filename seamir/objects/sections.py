"""The section tables of x86-64 objects, ELF and COFF: names, and which bytes each section has.

Nothing else of an object is read, and no library is loaded: the line table of every object that
is made is looked up here. The structures are those of the System V ABI and of Microsoft's PE
Format specification; every access is checked against the bounds of the data.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import NamedTuple

from seamir.objects.contents import ObjectError, bytes_at, text_at

COFF_MACHINE = b"\x64\x86"  # IMAGE_FILE_MACHINE_AMD64, the first two bytes of a file
COFF_SYMBOL = struct.Struct("<8sIhHBB")

_ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_ELF_SECTION = struct.Struct("<IIQQQQIIQQ")
_ELF_IDENTITY = b"\x7fELF\x02\x01\x01"  # 64-bit, little-endian, version 1
_ELF_RELOCATABLE, _ELF_X86_64 = 1, 62
_COFF_HEADER = struct.Struct("<HHIIIHH")
_COFF_SECTION = struct.Struct("<8sIIIIIIHHI")
_COFF_LENGTH = struct.Struct("<I")  # of the string table, itself included
_BASE_64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_LONG_NAME = re.compile(r"/(?:([0-9]{1,7})|/([A-Za-z0-9+/]{6}))")


class ElfSection(NamedTuple):
    """A section header of ELF; `offset` and `size` are in bytes, `offset` in the file."""

    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


class CoffSection(NamedTuple):
    """A section header of COFF; `offset` and `relocations` are places in the file, in bytes."""

    name: str
    size: int
    offset: int
    relocations: int
    relocation_count: int
    flags: int


class CoffTables(NamedTuple):
    """The tables of a COFF object; `strings` is the string table with its length."""

    sections: tuple[CoffSection, ...]
    symbols: bytes
    strings: bytes


def elf_sections(data: bytes) -> tuple[ElfSection, ...]:
    """The sections of an x86-64 ELF relocatable object; raises ObjectError if it is none."""
    fields = _ELF_HEADER.unpack(bytes_at(data, 0, _ELF_HEADER.size, "the ELF header"))
    if not fields[0].startswith(_ELF_IDENTITY):
        raise ObjectError("not a 64-bit little-endian ELF file")
    if fields[1:4] != (_ELF_RELOCATABLE, _ELF_X86_64, 1):
        raise ObjectError("not an x86-64 ELF relocatable object")
    place, entry_size, count, names_index = fields[6], *fields[11:14]
    if entry_size != _ELF_SECTION.size or not names_index < count:
        raise ObjectError("the ELF header describes no section header table")
    table = bytes_at(data, place, count * entry_size, "the section header table")
    rows = list(_ELF_SECTION.iter_unpack(table))
    offset, size = rows[names_index][4:6]
    names = bytes_at(data, offset, size, "the section name table")
    return tuple(
        ElfSection(text_at(names, row[0], f"section {index}"), *row[1:3], *row[4:9])
        for index, row in enumerate(rows)
    )


def coff_tables(data: bytes) -> CoffTables:
    """Sections and symbols of an x86-64 COFF object; raises ObjectError if it is none."""
    head = bytes_at(data, 0, _COFF_HEADER.size, "the COFF header")
    _, count, _, place, symbol_count, optional, _ = _COFF_HEADER.unpack(head)
    end = place + symbol_count * COFF_SYMBOL.size
    (size,) = _COFF_LENGTH.unpack(bytes_at(data, end, _COFF_LENGTH.size, "the string table"))
    strings = bytes_at(data, end, size, "the string table")
    table = bytes_at(
        data, _COFF_HEADER.size + optional, count * _COFF_SECTION.size, "the section table"
    )
    sections = tuple(
        CoffSection(_coff_name(name, strings), size, offset, relocations, count, flags)
        for name, _, _, size, offset, relocations, _, count, _, flags in _COFF_SECTION.iter_unpack(
            table
        )
    )
    return CoffTables(sections, bytes_at(data, place, end - place, "the symbol table"), strings)


def _coff_name(field: bytes, strings: bytes) -> str:
    """A section's name: eight bytes, or a slash and where the string table has it.

    Places that seven digits cannot tell have two slashes and are in base 64.
    """
    text = text_at(field + b"\0", 0, "a section")
    if not text.startswith("/"):
        return text
    found = _LONG_NAME.fullmatch(text)
    if found is None:
        raise ObjectError(f"the name of section {text} is not in the string table")
    decimal, digits = found.groups()
    place = 0 if decimal is None else int(decimal)
    for digit in digits or "":
        place = place * 64 + _BASE_64.index(digit)
    return text_at(strings, place, f"section {text}")


def section_place(data: bytes, name: str) -> tuple[int, int]:
    """The first byte in the file, and the one after the last, of the first section of that name.

    Both are 0 if there is none. Raises ObjectError if the data is no x86-64 object, ELF or COFF.
    """
    sections: Sequence[ElfSection | CoffSection]
    is_coff = data.startswith(COFF_MACHINE)
    sections = coff_tables(data).sections if is_coff else elf_sections(data)
    for section in sections:
        if section.name == name:
            return section.offset, section.offset + section.size
    return 0, 0
