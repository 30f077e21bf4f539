"""Reading back an x86-64 COFF object from bytes in memory.

COFF has no sizes of functions: each ends where the next one or the section does, less the padding.
The structures are those of Microsoft's PE Format specification; every access is checked against
the bounds of the data.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from iced_x86 import Decoder, Mnemonic

from seamir.objects.contents import (
    Function,
    ObjectError,
    ObjectFile,
    Relocation,
    Section,
    bytes_at,
    text_at,
)
from seamir.objects.lines import Lines
from seamir.objects.sections import COFF_SYMBOL, CoffSection, coff_tables

_RELOCATION = struct.Struct("<IIH")
_NO_DATA, _REMOVED, _DISCARDABLE = 0x80, 0x800, 0x0200_0000  # IMAGE_SCN_CNT_UNINITIALIZED_DATA...
_EXECUTABLE = 0x2000_0000  # IMAGE_SCN_MEM_EXECUTE
_WRITABLE = 0x8000_0000  # IMAGE_SCN_MEM_WRITE
_MANY_RELOCATIONS = 0x0100_0000  # IMAGE_SCN_LNK_NRELOC_OVFL: the first one has their number
_ALIGNMENT_SHIFT, _ALIGNMENT_MASK = 20, 0xF
_FUNCTION = 0x20  # IMAGE_SYM_DTYPE_FUNCTION
_EXTERNAL, _STATIC, _FILE = 2, 3, 103  # storage classes
_ADDR64, _REL32, _REL32_5, _SECREL = 1, 4, 9, 11
_KIND_NAMES = {
    _ADDR64: "ADDR64",
    2: "ADDR32",
    3: "ADDR32NB",
    **{_REL32 + more: f"REL32_{more}" if more else "REL32" for more in range(6)},
    10: "SECTION",
    _SECREL: "SECREL",
}
_WIDTHS = {_ADDR64: 8, 10: 2}  # bytes of the relocated field; 4 for the others


class _Header(NamedTuple):
    name: str
    data: bytes
    flags: int
    relocations: tuple[tuple[int, int, int], ...]  # offset, number of the symbol, kind

    @property
    def alignment(self) -> int:
        """In bytes; 16 where the section does not say."""
        power = self.flags >> _ALIGNMENT_SHIFT & _ALIGNMENT_MASK
        return 1 << power - 1 if power else 16


class _Symbol(NamedTuple):
    name: str
    value: int
    section: int  # from 1; 0 is undefined, -1 absolute, -2 debug
    kind: int
    storage: int


def read_coff(data: bytes) -> ObjectFile:
    """Read an x86-64 COFF object; raises ObjectError, and nothing else, if it is none."""
    image = _Image(data)
    lines = Lines(image.relocated)
    functions = [
        symbol
        for symbol in image.symbols.values()
        if symbol.kind == _FUNCTION and symbol.section > 0
    ]
    functions.sort(key=lambda symbol: (symbol.section, symbol.value))
    undefined = {
        symbol.name
        for symbol in image.symbols.values()
        if symbol.storage == _EXTERNAL and symbol.section == 0
    }
    others = {
        symbol.name
        for symbol in image.symbols.values()
        if symbol.storage == _EXTERNAL and symbol.kind != _FUNCTION and symbol.section
    }
    return ObjectFile(
        tuple(_section(image, header) for header in image.headers),
        tuple(_function(image, lines, functions, index) for index in range(len(functions))),
        tuple(sorted(undefined)),
        tuple(sorted(others)),
        lambda _name: (),  # no target with COFF objects has a fixup table
    )


class _Image:
    """The sections and symbols of an object, by COFF's own numbers."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        tables = coff_tables(data)
        self._strings = tables.strings
        self.headers = tuple(map(self._header, tables.sections))
        self.symbols = self._symbols(tables.symbols)
        for header in self.headers:
            self._check_relocations(header)

    def relocated(self, name: str) -> bytes | None:
        """A debug section by its name, relocated as objects/lines.py wants it."""
        header = next((header for header in self.headers if header.name == name), None)
        if header is None:
            return None
        data = bytearray(header.data)
        for offset, number, kind in header.relocations:
            symbol, width = self.symbols[number], _WIDTHS.get(kind, 4)
            base = symbol.section - 1 << 32 if kind == _ADDR64 else 0
            addend = int.from_bytes(data[offset : offset + width], "little")
            value = (base + symbol.value + addend) % (1 << 8 * width)
            data[offset : offset + width] = value.to_bytes(width, "little")
        return bytes(data)

    def relocations(self, header: _Header, start: int, end: int) -> tuple[Relocation, ...]:
        """The relocations at the section's bytes start to end, with offsets from start."""
        return tuple(
            self._relocation(header, *row, start)
            for row in header.relocations
            if start <= row[0] < end
        )

    def _relocation(
        self, header: _Header, offset: int, number: int, kind: int, start: int
    ) -> Relocation:
        width = _WIDTHS.get(kind, 4)
        addend = int.from_bytes(header.data[offset : offset + width], "little", signed=True)
        if _REL32 <= kind <= _REL32_5:
            addend -= width + kind - _REL32
        name = f"IMAGE_REL_AMD64_{_KIND_NAMES.get(kind, kind)}"
        return Relocation(offset - start, name, self.symbols[number].name, addend)

    def _header(self, section: CoffSection) -> _Header:
        name, size, offset, relocations, count, flags = section
        data = b"" if flags & _NO_DATA else bytes_at(self._data, offset, size, name)
        if flags & _MANY_RELOCATIONS:
            first = bytes_at(self._data, relocations, _RELOCATION.size, name)
            count = _RELOCATION.unpack(first)[0]
        rows = bytes_at(
            self._data, relocations, count * _RELOCATION.size, f"the relocations of {name}"
        )
        found = tuple(_RELOCATION.iter_unpack(rows))
        return _Header(name, data, flags, found[1:] if flags & _MANY_RELOCATIONS else found)

    def _symbols(self, table: bytes) -> dict[int, _Symbol]:
        """Symbols by number; the numbers of auxiliary records are missing."""
        found, number, rows = {}, 0, list(COFF_SYMBOL.iter_unpack(table))
        while number < len(rows):
            name, value, section, kind, storage, auxiliary = rows[number]
            what = f"symbol {number}"
            if section > len(self.headers):
                raise ObjectError(f"{what} is in section {section}, which does not exist")
            if name[:4] == bytes(4):
                text = text_at(self._strings, int.from_bytes(name[4:], "little"), what)
            else:
                text = text_at(name + b"\0", 0, what)
            found[number] = _Symbol(text, value, section, kind, storage)
            number += 1 + auxiliary
        return found

    def _check_relocations(self, header: _Header) -> None:
        for offset, number, kind in header.relocations:
            if number not in self.symbols:
                raise ObjectError(f"{header.name} is relocated by symbol {number}, which is none")
            if offset + _WIDTHS.get(kind, 4) > len(header.data):
                raise ObjectError(f"{header.name} holds a relocation out of bounds")


def _section(image: _Image, header: _Header) -> Section:
    return Section(
        name=header.name,
        data=header.data,
        alignment=header.alignment,
        flags=header.flags,
        loaded=not header.flags & (_REMOVED | _DISCARDABLE),
        writable=bool(header.flags & _WRITABLE),
        executable=bool(header.flags & _EXECUTABLE),
        relocations=image.relocations(header, 0, len(header.data)),
    )


def _function(image: _Image, lines: Lines, functions: Sequence[_Symbol], index: int) -> Function:
    symbol = functions[index]
    header = image.headers[symbol.section - 1]
    following = functions[index + 1 : index + 2]
    end = len(header.data)
    if following and following[0].section == symbol.section:
        end = following[0].value
    if not symbol.value <= end <= len(header.data):
        raise ObjectError(f"{symbol.name} extends past the end of its container")
    code = _without_padding(header.data[symbol.value : end])
    end = symbol.value + len(code)
    return Function(
        symbol.name,
        header.name,
        symbol.value,
        code,
        image.relocations(header, symbol.value, end),
        partial(lines.between, symbol.section - 1, symbol.value, end),
    )


def _without_padding(code: bytes) -> bytes:
    """The code of a function without what only fills up to the next one."""
    end = 0
    for instruction in Decoder(64, code):
        if instruction.mnemonic != Mnemonic.NOP:
            end = instruction.next_ip
    return code[:end]
